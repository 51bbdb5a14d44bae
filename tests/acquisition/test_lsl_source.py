"""A stream of the Lab Streaming Layer as a source: an outlet in another process, nothing lost, nothing repeated."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from myoloop.acquisition import lsl
from myoloop.acquisition.lsl import LslSettings, LslSource
from myoloop.acquisition.source import Foreseen, SourceError, SourceMistake

OUTLET = Path(__file__).with_name("lsl_outlet_for_tests.py")


@pytest.fixture(scope="module", autouse=True)
def on_this_machine_only(tmp_path_factory):
    config = tmp_path_factory.mktemp("lsl") / "lsl_api.cfg"
    config.write_text("[multicast]\nResolveScope = machine\n[log]\nlevel = -3\n")
    before = os.environ.get("LSLAPICFG")
    os.environ["LSLAPICFG"] = str(config)
    yield
    if before is None:
        del os.environ["LSLAPICFG"]
    else:
        os.environ["LSLAPICFG"] = before


@contextlib.contextmanager
def outlet(**more):
    """An outlet process: sample k of channel c is 10 k + c."""
    given = {
        "name": f"Toy-{os.getpid()}", "type": "EMG", "source_id": f"toy-{os.getpid()}", "rate_hz": 2000.0,
        "dtype": "<i4", "labels": ["a", "b", "c"], "units": ["microvolts"] * 3,
    } | more  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, str(OUTLET), json.dumps(given)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "up\n"
        yield given, process
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def source_of(given, **more):
    return LslSource(LslSettings(name=given["name"], **more), name="a")


def collect(source, seconds):
    descriptors, blocks = source.open(), []
    try:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            blocks += source.read(0.05)
    finally:
        source.close()
    return descriptors, blocks


def check_counters(blocks, first=0):
    samples = np.concatenate([block.array for block in blocks])
    k = np.arange(len(samples)) + samples[0, 0] // 10
    assert samples[0, 0] // 10 <= first + 2000
    assert np.array_equal(samples, k[:, None] * 10 + np.arange(samples.shape[1]))
    assert [b.first_sample for b in blocks] == np.cumsum([0] + [len(b.array) for b in blocks[:-1]]).tolist()


def test_no_sample_is_lost_or_repeated():
    with outlet() as (given, _):
        (descriptor,), blocks = collect(source_of(given), 1.5)
    check_counters(blocks)
    assert sum(len(b.array) for b in blocks) == pytest.approx(3000, rel=0.15)
    assert descriptor.topic == "emg/a"
    assert (descriptor.rate_hz, descriptor.dtype, descriptor.channels) == (2000.0, "<i4", ("a", "b", "c"))
    assert descriptor.units == ("V",) * 3
    assert descriptor.scale == (1e-6,) * 3
    assert given["name"] in descriptor.device
    stamps = [block.device_t for block in blocks]
    assert stamps == sorted(stamps)
    assert all(abs(b.device_t - b.t_ns / 1e9) < 5 for b in blocks), "LSL's clock is the monotonic one on one machine"


def test_blocks_are_rather_shorter_than_longer_than_asked_for():
    import pylsl

    for rate_hz, samples in ((150.0, 1), (250.0, 2), (350.0, 3), (2000.0, 20), (50.0, 1)):
        info = pylsl.StreamInfo("Toy", "EMG", 1, rate_hz, pylsl.cf_float32, "toy")
        source = LslSource(LslSettings(name="Toy", unit="uV"), name="a")
        source.describe(info)
        assert source._block_samples == samples


def test_samples_that_piled_up_all_come():
    with outlet() as (given, _):
        source = source_of(given)
        source.open()
        blocks = source.read(0.05)
        time.sleep(0.5)
        while sum(len(b.array) for b in blocks) < 1200:
            blocks += source.read(0.05)
        source.close()
    check_counters(blocks)


def test_a_reader_that_does_not_wait_gets_whole_blocks_from_the_first_reading_on():
    with outlet() as (given, _):
        source = source_of(given)
        source.open()
        time.sleep(0.4)
        blocks, deadline = [], time.monotonic() + 0.5
        while time.monotonic() < deadline:
            blocks += source.read(0.0)
            time.sleep(0.001)
        source.close()
    check_counters(blocks)
    assert min(len(block.array) for block in blocks) >= 20
    assert blocks[0].array[0, 0] > 10 * 400, "what came before was left out"
    assert sum(len(block.array) for block in blocks) == pytest.approx(1000, rel=0.15)


@pytest.mark.parametrize(("dtype", "travels"), [("<f4", "<f4"), ("<i8", "<f8")])
def test_every_format_keeps_its_values(dtype, travels):
    with outlet(dtype=dtype, rate_hz=1000.0) as (given, _):
        (descriptor,), blocks = collect(source_of(given), 0.3)
    assert descriptor.dtype == travels
    assert blocks[0].array.dtype == np.dtype(travels)
    check_counters(blocks)


def test_chosen_channels_go_where_they_belong():
    with outlet(labels=["x", "n", "a", "b"], units=["g", "", "mV", "uV"]) as (given, _):
        descriptors, blocks = collect(
            source_of(given, channels=("b", "a"), imu_channels=("x",), counter_channel="n", counter_step=10), 0.3
        )
    emg, imu = descriptors
    assert (emg.topic, emg.channels, emg.units) == ("emg/a", ("b", "a", "n"), ("V", "V", "1"))
    assert emg.scale == (1e-6, 1e-3, 1.0)
    assert (imu.topic, imu.channels, imu.units) == ("imu/a", ("x", "n"), ("m/s^2", "1"))
    for block in blocks:
        order = [3, 2, 1] if block.topic == "emg/a" else [0, 1]
        assert np.array_equal(block.array % 10, np.tile(order, (len(block.array), 1)))


def test_a_counter_channel_shows_what_was_lost_before_lsl():
    with outlet(lost=[300, 301, 302, 700]) as (given, _):
        _, blocks = collect(source_of(given, counter_channel="a", counter_step=10), 0.8)
    samples = np.concatenate([block.array for block in blocks])
    index = np.concatenate([block.first_sample + np.arange(len(block.array)) for block in blocks])
    assert np.array_equal(samples[:, 0] // 10 - samples[0, 0] // 10, index)
    gaps = np.flatnonzero(np.diff(index) > 1)
    assert np.diff(index)[gaps].tolist() == [4, 2]


def test_an_outlet_that_goes_is_an_error_and_not_waited_for():
    with outlet() as (given, process):
        source = source_of(given)
        source.open()
        source.read(0.1)
        process.stdin.close()
        process.wait(10)
        with pytest.raises(SourceError, match=r"is gone|nothing has come"):
            drain(source, 5.0)
        source.close()


def test_an_outlet_that_falls_silent_is_an_error():
    with outlet(seconds=0.2) as (given, _):
        source = source_of(given, silent_s=0.3)
        source.open()
        with pytest.raises(SourceError, match=r"nothing has come for 0\.3 s"):
            drain(source, 5.0)
        source.close()
        source.close()
        with pytest.raises(SourceError, match="not open"):
            source.read(0.0)


def drain(source, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        source.read(0.05)


def refused(settings, said, **more):
    source = LslSource(settings, name="a")
    with pytest.raises(SourceError, match=said) as caught:
        source.open()
    assert "\n" not in str(caught.value)


def test_a_stream_that_is_not_there_is_said_with_those_that_are():
    with outlet() as (given, _):
        refused(LslSettings(name="Other", timeout_s=0.3), rf"'Other': not found in 0.3 s; there are: .*{given['name']}")


def test_two_streams_that_fit_are_not_guessed_between():
    with outlet(name="Twin", source_id="t1"), outlet(name="Twin", source_id="t2"):
        refused(LslSettings(name="Twin"), r"2 streams fit: Twin \(source_id 't1'.*say more")
        source = LslSource(LslSettings(name="Twin", source_id="t2"), name="a")
        assert "t2" in source.open()[0].device
        source.close()


@pytest.mark.parametrize(
    ("stream", "settings", "said"),
    [
        ({}, {"channels": ("z",)}, "channel 'z' is not in the stream, which has: a, b, c"),
        ({"labels": ["a", "a", "c"]}, {"channels": ("a",)}, "channel 'a' is twice in the stream"),
        ({"units": None}, {"unit": "parsec"}, "channel 'ch1': found unit 'parsec', allowed: V, mV, uV.*; or set unit"),
        ({"units": None}, {}, "channel 'ch1' has no unit in the stream's description; set unit"),
        ({"said_rate_hz": 0.0}, {}, "says no regular rate; set rate_hz"),
        ({"dtype": "text"}, {}, "carries text, numbers are needed"),
        ({}, {"counter_channel": "a", "counter_wrap": 7, "counter_step": 2}, "counter: found step 2, wrap 7"),
        ({}, {"kind": "imu", "imu_channels": ("a",), "unit": "g"}, "imu_channels: found beside kind imu"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(stream, settings, said):
    import pylsl

    labels, units = stream.get("labels", ["a", "b", "c"]), stream.get("units", ["uV"] * 3)
    text = stream.get("dtype") == "text"
    info = pylsl.StreamInfo(
        "Toy", "EMG", 3, stream.get("said_rate_hz", 1000.0), pylsl.cf_string if text else pylsl.cf_float32, "toy"
    )
    channels = info.desc().append_child("channels")
    for label, unit in zip(labels, units or [], strict=bool(units)):
        channels.append_child("channel").append_child_value("label", label).append_child_value("unit", unit)
    with pytest.raises(SourceError, match=said) as caught:
        LslSource(LslSettings(name="Toy", **settings), name="a").describe(info)
    assert "\n" not in str(caught.value)


def test_a_stream_must_be_named_by_something_without_quotes():
    refused(LslSettings(), "none of name, type and source_id is set")
    refused(LslSettings(name="a' or 'b"), "allowed is text without quotes")
    for settings, setting in ((LslSettings(), "name"), (LslSettings(source_id="a'b"), "source_id")):
        with pytest.raises(SourceMistake) as caught:
            LslSource(settings, name="a").foresee()
        assert caught.value.setting == setting
    assert LslSource(LslSettings(name="x"), name="a").foresee() == Foreseen("live", None)


def test_a_missing_pylsl_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pylsl", None)
    with pytest.raises(SourceError, match=r"pip install 'myoloop\[lsl\]'"):
        lsl.LslSource(LslSettings(name="x"), name="a").open()


@pytest.mark.prove
def test_thirty_seconds_without_a_loss():
    with outlet(labels=[f"c{i}" for i in range(8)], units=["uV"] * 8) as (given, _):
        _, blocks = collect(source_of(given), 30.0)
    check_counters(blocks)
    assert sum(len(b.array) for b in blocks) == pytest.approx(60000, rel=0.02)

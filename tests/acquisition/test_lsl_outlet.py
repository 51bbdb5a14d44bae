"""Our streams by the Lab Streaming Layer: every sample in its unit at its time, and what it is."""

from __future__ import annotations

import os
import sys
import time

import numpy as np
import pytest

from myoloop.acquisition.lsl_outlet import LslOutlets, spoken_values
from myoloop.acquisition.source import SourceError
from myoloop.platform.messages import Event, SampleDescriptor, Samples
from myoloop.platform.steps import Received

EMG = SampleDescriptor(
    topic="emg/a", rate_hz=2000.0, dtype="<i2", channels=("biceps", "trigger"), units=("V", "1"),
    scale=(1e-6, 1.0), offset=(0.001, 0.0), sync_channel="trigger", mains_hz=60.0, device="an amplifier",
)  # fmt: skip
IMU = SampleDescriptor(
    topic="imu/a", rate_hz=100.0, dtype="<f8", channels=("x",), units=("m/s^2",), scale=(9.80665,), offset=(0.0,)
)


@pytest.fixture(scope="module", autouse=True)
def on_this_machine_only(tmp_path_factory):
    config = tmp_path_factory.mktemp("lsl") / "lsl_api.cfg"
    config.write_text("[multicast]\nResolveScope = machine\n[log]\nlevel = -3\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        if "LSLAPICFG" not in os.environ:
            patch.setenv("LSLAPICFG", str(config))
        yield


@pytest.fixture
def outlets():
    made = LslOutlets((EMG, IMU), rig="bench", session=f"s-{os.getpid()}", simulated=True, lsl_minus_host_s=1000.0)
    yield made
    made.close()


def inlet_of(topic: str):
    import pylsl

    (found,) = pylsl.resolve_byprop("source_id", f"s-{os.getpid()}/{topic}", 1, 10.0)
    inlet = pylsl.StreamInlet(found, max_buflen=60, recover=False)
    inlet.open_stream(10.0)
    return inlet


def pulled(inlet, samples: int) -> tuple[list, list]:
    """As many samples as were sent, or what came in ten seconds."""
    rows, stamps, until = [], [], time.monotonic() + 10.0
    while len(rows) < samples and time.monotonic() < until:
        more, at = inlet.pull_chunk(0.2, 4096)
        rows += list(more)
        stamps += list(at)
    return rows, stamps


def test_an_inlet_gets_every_sample_in_its_unit_at_its_time(outlets):
    emg, imu = inlet_of("emg/a"), inlet_of("imu/a")
    counts = np.random.default_rng(1).integers(-30000, 30000, (2000, 2)).astype("<i2")
    for first in range(0, 2000, 20):
        t_ns = 5_000_000_000 + round((first + 19) / 2000 * 1e9)
        samples = Samples(first_sample=first, t_ns=t_ns)
        outlets.push(Received("emg/a", "a", 1, first // 20, samples, counts[first : first + 20]))
        still = Samples(first_sample=first // 20, t_ns=t_ns)
        outlets.push(Received("imu/a", "a", 1, first // 20, still, np.array([[first / 7]])))
    rows, stamps = pulled(emg, 2000)
    assert np.array_equal(np.array(rows, np.float32), spoken_values(EMG, counts))
    assert np.array(rows)[:, 0] == pytest.approx(counts[:, 0] + 1000.0, rel=1e-6), "microvolts"
    assert np.array_equal(np.array(rows)[:, 1], counts[:, 1])
    assert stamps == pytest.approx(1005.0 + np.arange(2000) / 2000, abs=1e-6)
    rows, stamps = pulled(imu, 100)
    assert np.array(rows)[:, 0] == pytest.approx(np.arange(0, 2000, 20) / 7 * 9.80665, rel=1e-15)
    assert outlets.samples == {"emg/a": 2000, "imu/a": 100}
    assert outlets.missing == {"emg/a": 0, "imu/a": 0}


def test_an_inlet_is_told_what_it_gets(outlets):
    info = inlet_of("emg/a").info(10.0)
    assert (info.name(), info.type()) == ("bench emg/a (SIMULATED)", "EMG")
    assert (info.nominal_srate(), info.channel_count()) == (2000.0, 2)
    about = info.desc()
    assert about.child_value("manufacturer") == "an amplifier"
    assert about.child_value("simulated") == "true"
    assert about.child_value("mains_hz") == "60"
    channel = about.child("channels").child("channel")
    told = [[each.child_value(key) for key in ("label", "unit", "type")] for each in (channel, channel.next_sibling())]
    assert told == [["biceps", "microvolts", "EMG"], ["trigger", "1", "Trigger"]]


def test_our_own_source_reads_our_own_outlet(outlets):
    from myoloop.acquisition.lsl import LslSettings, LslSource

    source = LslSource(LslSettings(source_id=f"s-{os.getpid()}/emg/a"), name="b")
    (descriptor,) = source.open()
    source.close()
    assert descriptor.channels == ("biceps", "trigger")
    assert descriptor.units == ("V", "1")
    assert descriptor.scale == (1e-6, 1.0)


def test_events_are_markers_and_a_hole_is_counted(outlets):
    marks = inlet_of("event")
    outlets.push(Received("event", "console", 1, 0, Event(t_ns=2_500_000_000, kind="mark", who="AB", why="squeeze")))
    rows, stamps = pulled(marks, 1)
    assert rows == [["mark: squeeze"]]
    assert stamps == [pytest.approx(1002.5)]
    for seq, first in enumerate((0, 20, 60)):
        block = np.zeros((20, 2), "<i2")
        outlets.push(Received("emg/a", "a", 1, seq, Samples(first_sample=first, t_ns=first + 1), block))
    assert outlets.missing["emg/a"] == 20


def test_on_one_host_both_clocks_are_brought_together_by_themselves():
    import pylsl

    made = LslOutlets((IMU,), rig="r", session=f"c-{os.getpid()}", simulated=False)
    ahead_s = made._ahead_s
    made.close()
    assert ahead_s == pytest.approx(pylsl.local_clock() - time.monotonic(), abs=0.05)
    assert made.names["imu/a"] == "r imu/a"


def test_a_missing_pylsl_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pylsl", None)
    with pytest.raises(SourceError, match=r"pip install 'myoloop\[lsl\]'"):
        LslOutlets((EMG,), rig="r", session="s", simulated=False)

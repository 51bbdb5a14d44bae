"""View and record without a stimulator: real processes, a synthetic board, and not a sample lost."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from myoloop.experiments.origins import Origins, origins_in
from myoloop.experiments.protocols.rigfile import new_rig_file
from myoloop.experiments.sessions.listen import Heard, Listened, listen
from myoloop.experiments.sessions.listenview import ListenView
from myoloop.platform.messages import SampleDescriptor, Vital
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.verify import verify
from myoloop.platform.rig import load_rig
from myoloop.platform.supervisor import SupervisorError
from myoloop.platform.yamlfile import FileError


@pytest.fixture
def rig_file(tmp_path) -> Path:
    return new_rig_file("bench", tmp_path, board="SYNTHETIC_BOARD", protocol="demo")


@pytest.fixture
def record(rig_file, tmp_path, short_folder):
    def recorded(seconds: float | None, on_turn=lambda heard: "") -> Listened:
        made = listen(
            load_rig(rig_file), rig_file, subject="P001", study=tmp_path / "study", seconds=seconds, on_turn=on_turn
        )
        # No process is left to use it.
        assert list(short_folder.glob("myo-*")) == []
        return made

    return recorded


def check_whole(listened: Listened, seconds: float) -> None:
    """The recording is whole, and the board's own count has no hole and no repetition."""
    assert verify(listened.folder).status == "good"
    recording = Recording.open(listened.folder)
    assert (recording.outcome, recording.complete) == (listened.outcome, True)
    assert set(listened.samples) == set(recording.descriptors)
    for topic, heard in listened.samples.items():
        samples = recording.samples(topic)
        assert len(samples.gaps) == 0
        np.testing.assert_array_equal(samples.first_sample, samples.first_sample[0] + samples.row)
        assert len(samples.counts) >= heard
        rate_hz = recording.descriptors[topic].rate_hz
        assert len(samples.counts) == pytest.approx(seconds * rate_hz, rel=0.15, abs=0.6 * rate_hz)
    assert not list(recording.messages({"gap"}))


@pytest.mark.processes
@pytest.mark.timeout(120)
def test_a_board_is_recorded_without_losing_a_sample(record, rig_file):
    seen: list[Heard] = []
    listened = record(3.0, lambda heard: seen.append(heard) or "")
    assert (listened.outcome, listened.reason) == ("complete", "")
    check_whole(listened, 3.0)
    recording = Recording.open(listened.folder)
    assert (recording.metadata["rig"], recording.metadata["protocol"]) == ("bench", "listen")
    # The board makes its samples up, and of the body and the stimulator nothing is heard.
    assert origins_in(recording.metadata) == Origins("simulated", "none", "none")
    assert recording.simulated
    assert (listened.folder / "rig.yaml").read_bytes() == rig_file.read_bytes()
    # What a person sees meanwhile: levels and health of every stream.
    heard = seen[-1]
    assert set(heard.vital) == set(heard.descriptors) == set(heard.level)
    assert heard.bytes_written > 0
    assert heard.missing == 0


@pytest.mark.prove
@pytest.mark.processes
@pytest.mark.timeout(120)
def test_a_board_is_recorded_for_half_a_minute_without_losing_a_sample(record):
    check_whole(record(30.0), 30.0)


@pytest.mark.processes
@pytest.mark.timeout(120)
def test_the_operator_ends_it_when_he_likes(record):
    began = time.monotonic()
    listened = record(None, lambda heard: "enough" if sum(heard.samples.values()) > 200 else "")
    assert time.monotonic() - began < 60
    assert (listened.outcome, listened.reason) == ("complete", "enough")
    check_whole(listened, 1.0)


@pytest.mark.processes
@pytest.mark.timeout(120)
def test_a_rig_that_does_not_come_up_is_one_line_and_leaves_nothing(record, rig_file, short_folder):
    text = rig_file.read_text()
    assert "SYNTHETIC_BOARD" in text
    rig_file.write_text(text.replace("board: SYNTHETIC_BOARD", "board: CYTON_BOARD\n      serial_port: /dev/nowhere"))
    with pytest.raises(SupervisorError) as caught:
        record(3.0)
    assert "/dev/nowhere" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3
    assert list(short_folder.glob("myo-*")) == []


def test_a_mistake_in_the_rig_is_told_before_anything_starts(record, rig_file, tmp_path):
    text = rig_file.read_text()
    line = 1 + text.splitlines().index("      board: SYNTHETIC_BOARD")
    rig_file.write_text(text.replace("board: SYNTHETIC_BOARD", "board: NO_SUCH_BOARD"))
    with pytest.raises(FileError) as caught:
        record(3.0)
    assert str(caught.value).startswith(f"{rig_file}:{line}: nodes.forearm.settings.board: ")
    assert "NO_SUCH_BOARD" in str(caught.value)
    assert not (tmp_path / "study").exists()


@pytest.mark.processes
@pytest.mark.timeout(120)
def test_a_virtual_subject_is_heard_like_a_person(tmp_path, short_folder):
    path = new_rig_file("simrig", tmp_path, protocol="crps_motor_reeducation")
    listened = listen(
        load_rig(path), path, subject="SIM1", study=tmp_path / "study", seconds=2.0, on_turn=lambda heard: ""
    )
    assert (listened.outcome, listened.reason) == ("complete", "")
    check_whole(listened, 2.0)
    recording = Recording.open(listened.folder)
    assert recording.descriptors["emg/amplifier"].channels[:2] == ("ext", "flex")
    assert np.ptp(recording.samples("emg/amplifier").counts[:, 0]) > 0


@pytest.mark.processes
@pytest.mark.timeout(120)
def test_a_recording_is_listened_to_up_to_its_end(tmp_path, short_folder):
    counts = np.random.default_rng(1).integers(-500, 500, (1500, 1))
    np.savetxt(tmp_path / "emg.csv", counts, fmt="%d")
    (tmp_path / "map.yaml").write_text("rate: 1000 Hz\nchannels: [{from: 1, name: ext, unit: uV}]\n")
    path = tmp_path / "rig.yaml"
    path.write_text(
        "rig: {id: tape, class: HUMAN}\n"
        "nodes: {amp: {role: acquisition, source: playback, settings: {file: emg.csv, mapping: map.yaml}}}\n"
        "emg: {ext: {source: amp, channel: ext}}\n"
    )
    began = time.monotonic()
    listened = listen(
        load_rig(path), path, subject="P001", study=tmp_path / "study", seconds=None,
        on_turn=lambda heard: "it does not end" if time.monotonic() - began > 60 else "",
    )  # fmt: skip
    assert listened.outcome == "complete"
    assert listened.reason.endswith("emg.csv: at its end")
    recording = Recording.open(listened.folder)
    np.testing.assert_array_equal(recording.samples("emg/amp").counts, counts)
    assert origins_in(recording.metadata) == Origins("recorded", "none", "person")
    assert not recording.simulated


def test_a_view_shows_every_channel_with_its_level_and_health():
    emg = SampleDescriptor(
        topic="emg/amp", rate_hz=1000.0, dtype="<i2", channels=("a", "b"), units=("V", "V"), scale=(1e-6, 1e-6),
        offset=(0.0, 0.0),
    )  # fmt: skip
    heard = Heard(
        descriptors={"emg/amp": emg},
        level={"emg/amp": [2e-5, 3e-5]},
        vital={
            "emg/amp": Vital(
                topic="emg/amp", samples_seq=1, t_ns=1, rate_hz=999.5, valid_share=(1.0, 0.25), flags=("", "rail")
            )
        },
        bytes_written=2_500_000,
        missing=3,
    )
    console = Console(width=120, file=io.StringIO())
    console.print(ListenView(quiet=True).draw(heard))
    text = console.file.getvalue()
    for word in ("2e-05 V", "3e-05 V", "25%", "rail", "999.5", "2.50 MB", "3 messages missing"):
        assert word in text
    assert ListenView(quiet=True).turn(heard) == ""

"""The report on a recording that was only listened to: no controller, no stimulator, nothing asked."""

from __future__ import annotations

import re

import numpy as np
import pytest

from myoloop.experiments.protocols.rigfile import new_rig_file
from myoloop.experiments.reports.session import write_report
from myoloop.experiments.sessions.listen import listen
from myoloop.platform import wire
from myoloop.platform.messages import Heartbeat, SampleDescriptor, Samples
from myoloop.platform.recording.info import info
from myoloop.platform.recording.writer import RecordingWriter
from myoloop.platform.rig import load_rig

EMG = SampleDescriptor(
    topic="emg/forearm", rate_hz=250.0, dtype="<f4", channels=("a",), units=("V",), scale=(1.0,), offset=(0.0,),
    rail_low=-1.0, rail_high=1.0, device="bench",
)  # fmt: skip


@pytest.fixture
def heard(tmp_path):
    """Samples and heartbeats, and nothing else."""
    folder = tmp_path / "att-1"
    folder.mkdir()
    with RecordingWriter(folder, session="s", descriptors=[EMG], metadata={"simulated": "false"}, live=False) as writer:
        for i in range(200):
            t_ns = (i + 1) * 20_000_000
            block = np.full((5, 1), 1e-5, "<f4")
            told = (
                ("emg/forearm", Samples(first_sample=5 * i, t_ns=t_ns), block),
                ("heartbeat/forearm", Heartbeat(t_ns=t_ns, node="forearm", role="acquisition", state="running",
                 cycle_ms=0.5, cycle_mean_ms=0.5, cycle_worst_ms=0.9), None),
            )  # fmt: skip
            for topic, message, array in told:
                writer.write(
                    wire.encode(topic, message, session="s", publisher="forearm", epoch=1, seq=i, array=array), t_ns
                )
        writer.end("complete", "", 9_000_000_000)
    return folder


def test_it_warns_of_nothing_and_draws_what_there_is(heard, capfd):
    # Warnings are errors in these tests.
    text = write_report(heard).read_text(encoding="utf-8")
    assert capfd.readouterr() == ("", "")
    assert "none (listening only)" in text
    assert {"caption-timeline", "caption-timing"} <= set(re.findall(r'id="(caption-[a-z]+)"', text))
    assert "caption-current" not in text


@pytest.mark.processes
@pytest.mark.timeout(120)
def test_a_board_that_was_listened_to_has_a_report_and_misses_nothing(tmp_path, short_folder):
    rig = new_rig_file("bench", tmp_path, board="SYNTHETIC_BOARD", protocol="demo")
    listened = listen(
        load_rig(rig), rig, subject="P001", study=tmp_path / "study", seconds=1.5, on_turn=lambda heard: ""
    )
    assert info(listened.folder)["gaps"] == 0
    text = write_report(listened.folder).read_text(encoding="utf-8")
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))
    assert "Messages missing by number 0 " in plain

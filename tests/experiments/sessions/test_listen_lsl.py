"""A rig's streams sent on while they are recorded: another program gets what the recording has."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from myoloop.acquisition.lsl_outlet import spoken_values
from myoloop.experiments.protocols.rigfile import new_rig_file
from myoloop.experiments.sessions.listen import listen
from myoloop.platform.recording.reader import Recording
from myoloop.platform.rig import load_rig


class _Listener:
    """Another program: finds the EMG outlet at the first turn, and takes what comes at every other."""

    def __init__(self) -> None:
        self.inlet = None
        self.rows: list[list[float]] = []
        self.stamps: list[float] = []

    def turn(self, heard) -> str:
        import pylsl

        if self.inlet is None:
            (topic,) = [each for each in heard.descriptors if each.startswith("emg/")]
            (found,) = pylsl.resolve_byprop("name", heard.outlets.names[topic], 1, 5.0)
            self.inlet = pylsl.StreamInlet(found, max_buflen=60, recover=False)
            self.inlet.open_stream(5.0)
            return ""
        rows, stamps = self.inlet.pull_chunk(0.0, 4096)
        self.rows += list(rows)
        self.stamps += list(stamps)
        return ""


@pytest.mark.processes
@pytest.mark.timeout(120)
def test_another_program_gets_what_is_recorded(tmp_path, short_folder, monkeypatch):
    if "LSLAPICFG" not in os.environ:
        config = tmp_path / "lsl_api.cfg"
        config.write_text("[multicast]\nResolveScope = machine\n[log]\nlevel = -3\n", encoding="utf-8")
        monkeypatch.setenv("LSLAPICFG", str(config))
    rig_file = new_rig_file("bench", tmp_path, board="SYNTHETIC_BOARD", protocol="demo")
    other = _Listener()
    made = listen(
        load_rig(rig_file), rig_file, subject="P1", study=tmp_path / "study", seconds=4.0, on_turn=other.turn, lsl=True
    )
    recording = Recording.open(made.folder)
    (topic,) = [each for each in recording.descriptors if each.startswith("emg/")]
    record = recording.samples(topic)
    values = spoken_values(record.descriptor, record.counts)
    got = np.array(other.rows)
    assert len(got) > record.descriptor.rate_hz
    (first,) = np.flatnonzero((values == got[0]).all(axis=1))
    assert np.array_equal(values[first : first + len(got)], got), "without a hole"
    # Both clocks are this host's; a block's stamp is its newest sample's.
    last = np.searchsorted(record.row, first + len(got) - 1, side="right") - 1
    host_s = record.t_ns[last] * 1e-9
    assert other.stamps[-1] == pytest.approx(host_s, abs=0.1 + abs(_lsl_ahead_s()))
    assert made.sent[topic] >= len(got)


def _lsl_ahead_s() -> float:
    import pylsl

    return pylsl.local_clock() - time.monotonic()

"""A file that LabRecorder itself wrote, with an amplifier whose clock was set anew while it recorded.

``labrecorder_clock_reset.xdf``: the recorder of LSL's own project (PyPI ``labrecorder`` 1.0.0rc0, the C++ program's
classes) on one host; pylsl's outlet ``Amp`` (50 Hz, int16, sample k is k and -k) in a Linux time namespace, 5000 s
ahead, killed after some 20 s, and started anew in another, 20 s ahead, its first sample 15000. LabRecorder found it
again by its ``source_id``. The figures below are those that its footer has.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from myoloop.experiments.imports.guess import draft
from myoloop.experiments.imports.write import import_file
from myoloop.platform.errors import UserError
from myoloop.platform.recording.reader import Recording

SAMPLES = 3005
#: Of the footer: stamps of the first and last sample, and the clock offsets next to them.
FIRST_S, LAST_S = 77875.67743348199 - 5000.000024677, 72958.797656825 - 20.0000228439967


@pytest.fixture(scope="module")
def file(root) -> Path:
    return root / "tests" / "data" / "xdf" / "labrecorder_clock_reset.xdf"


def imported(source: Path, folder: Path):
    drafted = draft(source)
    assert [each.split(": ")[1] for each in drafted.missing] == ["mains"], "units and rate are in the file"
    (folder / "map.yaml").write_text(drafted.text.replace("mains: FILL_IN", "mains: 50 Hz"), encoding="utf-8")
    done = import_file(source, folder / "map.yaml", study=folder / "study", subject="P1")
    return done, Recording.open(done.folder).samples("emg/amp")


@pytest.fixture(scope="module")
def whole(file, tmp_path_factory):
    return imported(file, tmp_path_factory.mktemp("whole"))


def test_every_sample_is_there_on_one_clock_in_two_stretches(whole):
    done, record = whole
    assert record.counts.shape == (SAMPLES, 2)
    assert np.array_equal(record.counts[:, 0], -record.counts[:, 1])
    ((at, missing, kind),) = record.gaps
    assert (missing, kind) == (None, "restart")
    assert record.counts[:at, 0].tolist() == list(range(at))
    assert record.counts[at:, 0].tolist() == list(range(15000, 15000 + SAMPLES - at))
    assert done.duration_s == pytest.approx(LAST_S - FIRST_S, abs=1e-3)
    assert (done.outcome, done.streams["emg/amp"]["breaks"]) == ("complete", 1)
    # Without its offsets the stream would end 4917 s before it began.
    assert record.device_t[0] - record.device_t[-1] > 4900
    assert np.all(np.diff(record.t_ns) > 0)
    assert np.diff(record.t_ns[: at - 1]) == pytest.approx(20_000_000, abs=20_000)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.999])
def test_a_recorder_that_was_killed_leaves_what_is_whole(file, whole, tmp_path, share):
    raw = file.read_bytes()
    (tmp_path / "cut.xdf").write_bytes(raw[: int(len(raw) * share)])
    done, record = imported(tmp_path / "cut.xdf", tmp_path)
    assert done.outcome == "interrupted"
    assert 0 < len(record.counts) <= SAMPLES
    assert np.array_equal(record.counts, whole[1].counts[: len(record.counts)])


def test_a_byte_that_flipped_is_found_where_the_frame_is_hit(file, tmp_path):
    raw = bytearray(file.read_bytes())
    at = raw.index(b"\x03\x00", 3000) - 1
    raw[at] ^= 0x10
    (tmp_path / "bad.xdf").write_bytes(bytes(raw))
    with pytest.raises(UserError, match="damaged") as caught:
        draft(tmp_path / "bad.xdf")
    assert "\n" not in str(caught.value)

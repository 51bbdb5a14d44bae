"""Room on the disk: how it is reckoned, and when it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.sessions.room import (
    FACTOR,
    TALK_BYTES_S,
    RoomWatch,
    free_bytes,
    rate_bytes_s,
    refuse_if_full,
    written_bytes,
)
from myoloop.experiments.sessions.setup import SetupError
from myoloop.platform.messages import SampleDescriptor

EMG = SampleDescriptor(
    topic="emg/amplifier", rate_hz=2000.0, dtype="<i2", channels=("ext", "flex"), units=("V", "V"),
    scale=(1e-6, 1e-6), offset=(0.0, 0.0),
)  # fmt: skip
MB = 1_000_000


def told(left: list[int], rate: float = 0.5 * MB) -> list[str]:
    """Verdicts of looks every 5 s at a recording that grows at a rate."""
    watch = RoomWatch()
    found = [watch.look(5.0 * n, round(rate * 5.0 * n), each) for n, each in enumerate(left)]
    return ["unknown" if each is None else each.verdict for each in found]


def test_samples_count_with_their_size_and_all_else_as_measured():
    assert rate_bytes_s([EMG]) == 2000 * 2 * 2 + TALK_BYTES_S


def test_a_session_needs_room_for_its_longest_and_the_reserve():
    needed = FACTOR * rate_bytes_s([EMG]) * (600 + 180)
    refuse_if_full(Path("study"), [EMG], 600.0, lambda _: round(needed))
    with pytest.raises(SetupError, match=r"study: 594 MB free, needed are 594 MB for up to 10 min of recording"):
        refuse_if_full(Path("study"), [EMG], 600.0, lambda _: round(needed) - 1)


def test_a_disk_that_cannot_be_asked_is_refused():
    def unknown(_: Path) -> int:
        raise OSError(5, "Input/output error")

    with pytest.raises(SetupError, match="cannot be told: Input/output error"):
        refuse_if_full(Path("study"), [EMG], 600.0, unknown)


def test_little_room_is_told_once_and_less_ends_once():
    # At 0.5 MB/s 15 min are 450 MB, 3 min are 90 MB.
    assert told([460 * MB, 455 * MB, 449 * MB, 440 * MB, 91 * MB, 89 * MB, 85 * MB]) == [
        "unknown", "", "warn", "", "", "end", "",
    ]  # fmt: skip


def test_a_disk_that_is_full_at_once_ends_without_a_warning_before():
    assert told([0, 0, 0]) == ["unknown", "end", ""]


@given(st.lists(st.integers(2**40, 2**50), min_size=2, max_size=30), st.floats(1e3, 1e7))
@settings(deadline=None)
def test_with_room_for_days_nothing_is_ever_told(left, rate):
    assert not {"warn", "end"} & set(told(left, rate))


def test_a_recording_that_does_not_grow_tells_no_rate():
    assert told([1000, 1000, 1000], rate=0.0) == ["unknown"] * 3


def test_free_bytes_of_a_folder_that_is_not_there_yet_are_those_of_its_disk(tmp_path):
    assert free_bytes(tmp_path / "study" / "sub-P1") > 0


def test_written_bytes_count_every_file_of_the_attempt(tmp_path):
    (tmp_path / "session.mcap").write_bytes(b"x" * 1000)
    (tmp_path / "log.jsonl").write_bytes(b"x" * 10)
    assert written_bytes(tmp_path) >= 1010

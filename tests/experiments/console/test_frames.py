"""What the scope is sent can be read again, and nothing else can."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoloop.experiments.console.bins import Run
from myoloop.experiments.console.frames import (
    BINS,
    LINE,
    PULSES,
    FrameError,
    bins_section,
    frame,
    line_section,
    pulses_section,
    read_message,
)

NAN = float("nan")


def a_run(rows, columns):
    cells = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    return Run(12_345_678_901, 2_000_000_500, -cells, cells, (cells % 4).astype(np.uint8))


@given(st.integers(1, 7), st.integers(1, 17), st.integers(0, 5))
def test_every_part_comes_back_whatever_its_size(rows, columns, pulses):
    run = a_run(rows, columns)
    stamps = [1_000 * each for each in range(1, pulses + 1)]
    sent = frame(7, [bins_section(1, run, 5e6), line_section(0, [5_000], [[1.5, NAN]]), pulses_section(2, stamps)])
    assert len(sent) % 8 == 0
    ((bins, line, marks),) = read_message(sent)
    assert (bins.kind, bins.source, bins.first, bins.step_us) == (BINS, 1, 12_345_678_901, 5000.0)
    assert bins.t_us[0] == 2_000_000.5
    assert np.array_equal(bins.low, run.low)
    assert np.array_equal(bins.high, run.high)
    assert np.array_equal(bins.flags, run.flags)
    assert (line.kind, list(line.t_us)) == (LINE, [5.0])
    assert line.low[0, 0] == 1.5
    assert np.isnan(line.low[0, 1])
    assert (marks.kind, marks.source, list(marks.t_us)) == (PULSES, 2, [float(each) for each in range(1, pulses + 1)])


def test_frames_may_stand_one_after_the_other():
    one = frame(1, [pulses_section(0, [1_000])])
    two = frame(2, [pulses_section(0, [2_000, 3_000])])
    assert [len(sections[0].t_us) for sections in read_message(one + two)] == [1, 2]
    assert read_message(b"") == []


@pytest.mark.parametrize(
    "broken", [lambda b: b[:-8], lambda b: b[:10], lambda b: b + b"\0" * 8, lambda b: b"X" + b[1:]]
)
def test_what_is_not_whole_is_refused(broken):
    with pytest.raises(FrameError):
        read_message(broken(frame(1, [bins_section(0, a_run(2, 3), 5e6)])))


def test_a_length_that_is_not_there_is_refused():
    sent = bytearray(frame(1, [pulses_section(0, [1_000])]))
    sent[16 + 4] = 200
    with pytest.raises(FrameError, match="kind 3"):
        read_message(bytes(sent))

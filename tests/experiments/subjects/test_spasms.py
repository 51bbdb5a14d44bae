"""What a spasm of each kind looks like in time."""

import itertools

import numpy as np
import pytest

from myoloop.experiments.subjects.spasms import KINDS, Course, Spasm, draw_spasm

COURSE = Course(rise_s=0.1, ebb_s=2.0, shortest_s=0.5, longest_s=3.0, clonus_hz=6.0)


def drawn(kind, count=50, course=COURSE, level=0.4):
    rng = np.random.default_rng(3)
    return [draw_spasm(kind, (0,), 1_000_000_000, level, course, rng) for _ in range(count)]


def course_of(spasm, before_ns=0):
    times = np.arange(spasm.onset_ns - before_ns, spasm.end_ns + before_ns, 1_000_000)
    return times, spasm.activation(times)


@pytest.mark.parametrize("kind", ["tonic", "burst"])
def test_activation_lies_within_onset_and_end_and_never_falls_silent_between(kind):
    spasm = Spasm((0,), 1_000_000_000, 2_500_000_000, kind, 0.4, 5.0)
    assert spasm.activation(999_999_999) == 0.0
    assert spasm.activation(2_500_000_000) == 0.0
    held = [spasm.activation(t_ns) for t_ns in range(1_080_000_000, 2_400_000_000, 5_000_000)]
    assert min(held) >= 0.19
    assert max(held) == pytest.approx(0.4, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_lies_outside_onset_and_end(kind):
    for spasm in drawn(kind):
        times, drive = course_of(spasm, before_ns=500_000_000)
        outside = (times < spasm.onset_ns) | (times > spasm.end_ns)
        assert not drive[outside].any()
        assert all(spasm.onset_ns <= t_ns < spasm.end_ns for t_ns, _ in spasm.discharges)


@pytest.mark.parametrize("kind", ["tonic", "clonus", "myoclonus"])
def test_one_time_and_many_agree(kind):
    spasm = drawn(kind, 1)[0]
    times, drive = course_of(spasm)
    assert [spasm.activation(int(t_ns)) for t_ns in times[::7]] == drive[::7].tolist()


def test_a_tonic_drive_rises_holds_and_ebbs_away():
    for spasm in drawn("tonic"):
        times, drive = course_of(spasm)
        since_s = (times - spasm.onset_ns) * 1e-9
        left_s = (spasm.end_ns - times) * 1e-9
        assert drive[since_s < 0.05].max() <= 0.21
        assert drive[(since_s > 0.101) & (left_s > 2.001)] == pytest.approx(0.4)
        assert drive[np.argmin(np.abs(left_s - 1.0))] == pytest.approx(0.4 * np.sqrt(0.1), rel=0.01)
        assert drive[-1] < 0.01


def test_clonus_has_short_bursts_at_its_rate_with_silence_between():
    spasms = drawn("clonus", 200)
    for spasm in spasms:
        times, drive = course_of(spasm)
        on = np.flatnonzero(np.diff((drive > 0).astype(int), prepend=0) == 1)
        assert len(on) == len(spasm.bursts_ns) >= 4
        assert 0.045 <= spasm.burst_s <= 0.060
        assert 4.5 * 0.9 <= spasm.clonus_hz <= 7.5 * 1.1
        assert 1 / np.diff(times[on] * 1e-9).mean() == pytest.approx(spasm.clonus_hz, rel=0.01)
    deviations = np.concatenate([np.diff(s.bursts_ns) * 1e-9 * s.clonus_hz - 1 for s in spasms])
    assert deviations.std() == pytest.approx(0.04, rel=0.15)
    assert np.mean([s.clonus_hz for s in spasms]) == pytest.approx(6.0, rel=0.02)


def test_myoclonus_is_one_burst_of_60_to_250_ms():
    lengths_s = [(s.end_ns - s.onset_ns) * 1e-9 for s in drawn("myoclonus", 300)]
    assert 0.059 <= min(lengths_s) < 0.075
    assert 0.235 < max(lengths_s) <= 0.25
    for spasm in drawn("myoclonus"):
        drive = course_of(spasm)[1]
        assert drive.max() == pytest.approx(0.4)
        assert (drive[1:] > 0).all()


def test_a_unit_is_a_sparse_train_of_potentials():
    for spasm in drawn("unit", 100):
        assert spasm.onset_ns == spasm.discharges[0][0]
        sizes = {size for _, size in spasm.discharges}
        assert 2 <= len(sizes) <= 3
        for one in sizes:
            intervals_s = np.diff([t_ns * 1e-9 for t_ns, size in spasm.discharges if size == one])
            assert 1 / 13 < np.mean(intervals_s) < 1 / 6
            assert np.std(intervals_s) / np.mean(intervals_s) < 0.35
        assert 0.01 < spasm.level < 0.15
        assert not course_of(spasm)[1].any()


def test_events_come_out_in_order_of_time():
    for kind in KINDS:
        for spasm in drawn(kind):
            for a, b in itertools.pairwise(t_ns for t_ns, _ in spasm.discharges):
                assert a <= b


def test_a_kind_that_is_none_is_refused():
    with pytest.raises(ValueError, match="kind: found 'cramp', allowed are tonic"):
        draw_spasm("cramp", (0,), 0, 0.4, COURSE, np.random.default_rng(1))

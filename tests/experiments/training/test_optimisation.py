"""The optimiser: within the caps, beside what was comfortable, never again what hurt; one history, one word."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.training.discomfort import upper_bound
from myoloop.experiments.training.optimisation import Optimiser, OptimiserSettings, Tried
from myoloop.experiments.training.settings_grid import Pad, make_grid, neighbouring, stronger

PADS = (Pad("left", 10.0, 28.0, 250.0), Pad("right", 8.0, 20.0, 250.0))
WIDTHS_US, RATES_HZ = (150.0, 200.0, 250.0, 300.0), (15.0, 25.0, 40.0)
GRID = make_grid(PADS, (0.2, 0.4, 0.6, 0.8, 1.0), WIDTHS_US, RATES_HZ, step_ma=0.5)
START = dict.fromkeys(("left", "right"), (250.0, 25.0))
GAIN = {"left": 0.6, "right": 1.0}


def made(trials: int = 30, **more) -> Optimiser:
    return Optimiser(OptimiserSettings(points=GRID, start=START, trials=trials, **{"discomfort_max": 8.0, **more}))


def response(point) -> float:
    return GAIN[point.channel] * point.strength**2 * point.rate_hz / (point.rate_hz + 20.0)


def discomfort(point) -> float:
    return float(round(9.0 * point.strength))


def run(optimiser: Optimiser, say=discomfort, until: int = 1000) -> list[int]:
    proposed = []
    while len(proposed) < until and (proposal := optimiser.propose()) is not None:
        proposed.append(proposal.point)
        point = GRID[proposal.point]
        optimiser.told(Tried(proposal.point, response(point), say(point)))
    return proposed


class TestGrid:
    @given(
        motor=st.floats(0.5, 30.0), over=st.floats(0.0, 60.0), measured=st.sampled_from(WIDTHS_US),
        chronaxie=st.floats(1.0, 5000.0),
    )  # fmt: skip
    @settings(max_examples=50, deadline=None)
    def test_no_point_excites_more_than_what_was_tolerated_whatever_the_chronaxie(
        self, motor, over, measured, chronaxie
    ):
        pad = Pad("one", motor, motor + over, measured)

        def excites(current_ma, phase_us):
            return current_ma * phase_us / (phase_us + chronaxie)

        for point in make_grid([pad], (0.5, 1.0), WIDTHS_US, RATES_HZ, step_ma=0.1):
            assert excites(point.current_ma, point.phase_us) <= excites(pad.cap_ma, measured) * (1 + 1e-9)
            assert point.current_ma <= pad.cap_ma
            assert 0.0 < point.strength <= 1.0 + 1e-9

    def test_further_limits_leave_points_out(self):
        points = make_grid(PADS, (1.0,), (250.0,), RATES_HZ, step_ma=0.5, cap_of=lambda c, w, hz: 22.0)
        assert {point.channel for point in points} == {"right"}

    def test_a_neighbour_is_stronger_on_one_axis_at_most(self):
        near = neighbouring(GRID, GRID)
        for row, one in enumerate(GRID):
            for column, other in enumerate(GRID):
                steps = [a - b for a, b in zip(one.at, other.at, strict=True)]
                wanted = one.channel == other.channel and max(map(abs, steps)) <= 1 and sum(s > 0 for s in steps) <= 1
                assert near[row, column] == wanted


class TestBisection:
    def test_each_pad_begins_with_its_weakest_level_at_the_calibrations_pulses(self):
        optimiser = made()
        first = GRID[optimiser.propose().point]
        assert (first.channel, first.phase_us, first.rate_hz, first.at[0]) == ("left", 250.0, 25.0, 0)

    def test_it_goes_half_way_between_what_is_comfortable_and_what_is_not(self):
        optimiser = made()
        levels = [GRID[number].at[0] for number in run(optimiser, say=lambda point: 3.0, until=3)]
        assert levels == [0, 2, 3]

    def test_a_pad_whose_weakest_level_hurts_is_left_alone(self):
        optimiser = made()
        proposed = run(optimiser, say=lambda point: 9.0 if point.channel == "left" else 3.0)
        assert [GRID[number].channel for number in proposed].count("left") == 1

    def test_where_nobody_says_how_it_was_nothing_stronger_is_tried(self):
        optimiser = made()
        proposed = run(optimiser, say=lambda point: None)
        assert [GRID[number].at[0] for number in proposed] == [0, 0]
        assert optimiser.choose() is None


class TestExploration:
    def test_it_finds_nearly_the_best_with_a_quarter_of_the_grid(self):
        optimiser = made(trials=len(GRID) // 4)
        run(optimiser)
        best = max(response(point) for point in GRID if discomfort(point) <= 8.0)
        assert response(GRID[optimiser.choose().point]) >= 0.9 * best

    def test_what_is_chosen_was_tried_and_comfortable_each_time(self):
        optimiser = made()
        run(optimiser)
        chosen = optimiser.choose().point
        told = [each.discomfort for each in optimiser.tried if each.point == chosen]
        assert told
        assert max(told) <= 8.0

    def test_every_proposal_says_why(self):
        optimiser = made()
        while (proposal := optimiser.propose()) is not None:
            point = GRID[proposal.point]
            assert proposal.reason.startswith(str(point))
            words = ("first", "bisection between", "upper bound")
            assert any(word in proposal.reason for word in words)
            optimiser.told(Tried(proposal.point, response(point), discomfort(point)))

    def test_it_ends_at_its_trials(self):
        optimiser = made(trials=7)
        assert len(run(optimiser)) == 7

    def test_a_point_is_tried_again_but_not_without_end(self):
        optimiser = made(trials=200, tries=2)
        proposed = run(optimiser)
        assert max(proposed.count(number) for number in proposed) == 2

    def test_one_that_is_refused_is_closed_with_all_that_is_stronger(self):
        optimiser = made()
        run(optimiser, until=4)
        hurt = optimiser.tried[-1].point
        optimiser.told(Tried(hurt, 1.0, None, "it hurt"))
        closed = optimiser.closed()
        assert closed[hurt] == "it hurt"
        for number, point in enumerate(GRID):
            assert (number in closed) == stronger(point, GRID[hurt])
        assert not set(run(optimiser)) & set(closed)

    # Whatever is said, in whatever order: the safety rules hold.
    @given(data=st.data(), seed=st.integers(0, 5))
    @settings(max_examples=25, deadline=None)
    def test_only_neighbours_of_the_comfortable_and_never_what_hurt(self, data, seed):
        optimiser = made(trials=20)
        near = neighbouring(GRID, GRID)
        while (proposal := optimiser.propose()) is not None:
            closed, fine = optimiser.closed(), optimiser.comfortable()
            point, tried = GRID[proposal.point], {each.point for each in optimiser.tried}
            assert proposal.point not in closed
            first = not any(GRID[number].channel == point.channel for number in tried)
            bisected = (point.phase_us, point.rate_hz) == START[point.channel]
            beside = any(near[proposal.point, number] for number in fine)
            assert first or bisected or beside or proposal.point in fine
            told = [(GRID[each.point], each.discomfort) for each in optimiser.tried if each.discomfort is not None]
            if proposal.point not in tried and not first:
                bound = upper_bound([p for p, _ in told], [d for _, d in told], [point], 2.0)[0]
                assert bound <= 8.5
            said = data.draw(st.sampled_from([None, 0.0, 3.0, 6.0, 8.0, 9.0, 10.0]))
            got = data.draw(st.sampled_from([None, 0.0, -1.0, 0.5, 2.0]))
            optimiser.told(Tried(proposal.point, got, said, data.draw(st.sampled_from(["", "", "", "hurt"]))))


class TestState:
    def test_it_goes_on_from_its_state_as_if_nothing_had_been(self):
        whole, cut = made(), made()
        run(whole)
        run(cut, until=9)
        restored = made()
        restored.restore(json.loads(json.dumps(cut.state())))
        run(restored)
        assert restored.state() == whole.state()
        assert restored.choose() == whole.choose()

    @pytest.mark.parametrize(
        "tried", [Tried(-1), Tried(len(GRID)), Tried(0, float("nan")), Tried(0, 1.0, float("inf"))]
    )
    def test_a_trial_of_no_point_or_no_number_is_refused(self, tried):
        with pytest.raises(ValueError, match="allowed"):
            made().told(tried)

    def test_a_proposal_is_quick_enough_for_a_step_of_the_director(self):
        optimiser = made(trials=60, tries=20, kappa=4.0)
        took = []
        for _ in range(50):
            began = time.thread_time()
            proposal = optimiser.propose()
            took.append(time.thread_time() - began)
            point = GRID[proposal.point if proposal is not None else 0]
            optimiser.told(Tried(GRID.index(point), response(point), discomfort(point)))
        assert sorted(took)[len(took) // 2] < 0.03


def test_discomfort_rises_with_charge_and_is_known_better_beside_what_was_said():
    weak, strong = GRID[0], max((p for p in GRID if p.channel == "left"), key=lambda p: p.strength)
    before = upper_bound([], [], [weak, strong], 2.0)
    after = upper_bound([weak], [2.0], [weak, strong], 2.0)
    assert before[0] < before[1]
    assert after[0] < before[0]
    assert abs(after[0] - 2.0) < 1.5

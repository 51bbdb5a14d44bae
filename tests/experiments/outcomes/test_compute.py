"""Outcomes of sessions in which everything is planted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from myoloop.experiments.analysis.dosing import Amount, ChannelDose
from myoloop.experiments.analysis.tracks import EventRow, Interval, JointTrack, MeasureTrack, PhaseSpan, TrialSpan
from myoloop.experiments.outcomes import compute as outcomes_of
from myoloop.experiments.outcomes.compute import COMPUTED, as_rows, compute
from myoloop.experiments.outcomes.registry import NEEDS, OUTCOMES
from myoloop.experiments.outcomes.view import View
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.platform.messages import Trial

#: The demonstration: rest, calibration, rest, block of 11 trials, rest; one channel `ext` at 250 us and 35 Hz.
DEMO = load_protocol("demo")
T_S = np.arange(0.0, 100.0, 0.1)


def measure(value: Any, valid: bool = True) -> MeasureTrack:
    values = np.broadcast_to(np.asarray(value, dtype=np.float64), T_S.shape).copy()
    known = np.isfinite(values) & valid
    return MeasureTrack(values, values, values, known, {})


def muscle(**more: Any) -> SimpleNamespace:
    given: dict[str, Any] = {
        "t_s": T_S, "level_uv": np.full(T_S.shape, 5.0), "fatigue": measure(0.0), "spasm": measure(0.0), "spasms": (),
        "cocontraction": measure(np.nan), "clonus_hz": np.full(T_S.shape, np.nan), "slope_pct_per_min": measure(np.nan),
        "terms": {"M-wave": measure(np.nan)},
    }  # fmt: skip
    return SimpleNamespace(**{**given, **more})


def trial(number: int, outcome: str = "effort", kind: str = "block", **values: Any) -> Trial:
    given = {"charge_mc": 0.5, "target_ma_ext": 10.0, **values}
    return Trial(
        t_ns=0, kind=kind, name="assisted extension", block=1, trial=number, outcome=outcome, begin_ns=0, end_ns=1,
        values=given,
    )  # fmt: skip


def answered(form: str, **values: Any) -> EventRow:
    return EventRow(1.0, "form", "operator", "", {"form": form, **values})


def view(**more: Any) -> View:
    given: dict[str, Any] = {
        "muscles": {"ext": muscle(), "flex": muscle()}, "trials": (), "trial_spans": (), "phases": (), "events": (),
        "trial_times_s": (),
        "samples": {}, "settings": {}, "stimulated_muscle": "ext", "sites": (), "delivered": dict, "metadata": {},
        "joint": JointTrack(T_S, measure(np.nan)),
    }  # fmt: skip
    return View(SimpleNamespace(**{**given, **more}), DEMO)  # type: ignore[arg-type]


def value_of(name: str, **more: Any) -> float | None:
    return COMPUTED[name](view(**more)).value


def test_each_outcome_that_a_protocol_may_name_is_computed_and_needs_what_is_known() -> None:
    assert list(COMPUTED) == list(OUTCOMES)
    for kind in OUTCOMES.values():
        assert all(need in NEEDS or need.partition(":")[0] in ("form", "diary") for need in kind.needs)


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_session_that_holds_nothing_gives_nothing_and_says_why(name: str) -> None:
    found = COMPUTED[name](view(muscles={}, stimulated_muscle=None))
    assert found.value is None or name == "trials_done"
    assert found.why or name == "trials_done"


def test_only_what_the_protocol_names_is_computed_primary_first() -> None:
    session = view(trials=(trial(1),)).session
    rows = as_rows(compute(session, DEMO))
    assert [row["outcome"] for row in rows] == ["effort_started_share", "fatigue_index", "spasm_count"]
    assert rows[0]["value"] == 1.0


def test_trials_and_their_beginnings() -> None:
    rows = (
        trial(1, effort_after_ms=800.0), trial(2, effort_after_ms=1000.0), trial(3, "assisted"),
        trial(4, "skipped", charge_mc=0.0), trial(5, "paused"),
        trial(6, "effort", charge_mc=0.0, effort_after_ms=900.0),
    )  # fmt: skip
    assert value_of("trials_done", trials=rows) == 3
    assert value_of("effort_started_share", trials=rows) == pytest.approx(3 / 5)
    # The cue of 0.3 s is not the person's.
    assert value_of("trigger_latency", trials=rows) == pytest.approx(600.0)


def test_the_cue_that_counts_is_that_of_the_trials_own_block() -> None:
    first = next(phase for phase in DEMO.phases if phase.block is not None)
    second = first.model_copy(update={"block": first.block.model_copy(update={"name": "later", "cue_s": 1.0})})
    two = DEMO.model_copy(update={"phases": [*DEMO.phases, second]})
    rows = (
        trial(1, effort_after_ms=800.0),
        *(replace(trial(number, effort_after_ms=1700.0), name="later") for number in (2, 3)),
    )
    found = COMPUTED["trigger_latency"](View(view(trials=rows).session, two))
    assert (found.value, found.n) == (pytest.approx(700.0), 3)
    # Of trials of a block that the protocol does not have nothing is known.
    assert value_of("trigger_latency", trials=rows[1:]) is None


def test_the_dose_is_what_was_delivered_over_what_was_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    def dose(planned_mc: float, delivered_mc: float) -> ChannelDose:
        planned, delivered = Amount(11, 40.0, 1400, planned_mc), Amount(5, 20.0, 700, delivered_mc)
        return ChannelDose("block", "ext", planned, delivered, 0, None, None)

    # Of a channel whose target was never resolved nothing can be said.
    doses = (dose(4.0, 1.5), dose(2.0, 1.5), dose(float("nan"), 0.0))
    monkeypatch.setattr(outcomes_of, "block_doses", lambda session: doses)
    assert value_of("dose_share") == pytest.approx(0.5)
    monkeypatch.setattr(outcomes_of, "block_doses", lambda session: doses[2:])
    assert value_of("dose_share") is None


def test_rest_after_over_rest_before_without_the_second_of_settling() -> None:
    level = np.where(T_S < 50, 8.0, 4.0)
    level[(T_S >= 10) & (T_S < 11)] = 500.0
    phases = (PhaseSpan("baseline", "rest", 0, 10.0, 30.0), PhaseSpan("after", "rest", 4, 70.0, 90.0))
    found = value_of("resting_emg", phases=phases, muscles={"ext": muscle(level_uv=level), "flex": muscle()})
    assert found == pytest.approx(np.sqrt(0.5))
    assert value_of("resting_emg", phases=phases[:1]) is None


def test_spasms_count_over_the_time_in_which_they_could_be_told() -> None:
    told = np.where(T_S < 50, np.where((T_S > 10) & (T_S < 15), 1.0, 0.0), np.nan)
    one = muscle(spasm=measure(told), spasms=(Interval(10.0, 15.0),))
    assert value_of("spasm_count", muscles={"ext": one}) == pytest.approx(60 / 50, rel=0.01)
    assert value_of("spasm_share", muscles={"ext": one}) == pytest.approx(0.1, rel=0.05)


def test_rhythm_cocontraction_slope_and_fatigue_are_the_estimators_own() -> None:
    rhythm = np.full(T_S.shape, np.nan)
    rhythm[100:120] = 6.0
    together = np.where(T_S < 20, 0.6, 0.1)
    one = muscle(
        clonus_hz=rhythm, cocontraction=measure(together), slope_pct_per_min=measure(-8.0), fatigue=measure(0.3)
    )
    spans = (TrialSpan("await_effort", "block", 1, 1, 5.0, 15.0), TrialSpan("rest", "block", 1, 1, 30.0, 60.0))
    given = {"muscles": {"ext": one}, "trial_spans": spans}
    assert value_of("clonus_frequency", **given) == 6.0
    assert value_of("cocontraction", **given) == pytest.approx(0.6)
    assert value_of("median_frequency", **given) == -8.0
    assert value_of("fatigue_index", **given) == 0.3


def test_thresholds_are_told_as_charge() -> None:
    row = trial(
        1, "found", "threshold", channel="ext", sensory_ma=6.0, motor_ma=12.0, tolerance_ma=None, phase_us=250.0
    )
    assert value_of("sensory_threshold", trials=(row,)) == pytest.approx(1.5)
    assert value_of("motor_threshold", trials=(row,)) == pytest.approx(3.0)
    assert value_of("tolerance", trials=(row,)) is None


def test_answers_of_forms_and_of_the_diary() -> None:
    events = (
        answered("nrs", current=6),
        answered("nrs_now", current=5.5),
        answered("nrs", current=4),
        answered("pgic", change=2),
    )
    assert value_of("nrs_change", events=events) == -2.0
    assert value_of("pgic", events=events) == 2.0
    assert value_of("nrs_change", events=events[:1]) is None
    later = View(view().session, DEMO, (("doms", {"soreness": 3}), ("doms", {"soreness": 5})))
    assert COMPUTED["doms"](later).value == 5.0


def test_the_range_of_own_movement_is_taken_before_the_train() -> None:
    angle = np.radians(np.where((T_S > 10) & (T_S < 12), 40.0, 0.0)) + np.radians(90.0) * (T_S > 20)
    spans = (TrialSpan("await_effort", "block", 1, 1, 8.0, 13.0), TrialSpan("hold", "block", 1, 1, 20.0, 25.0))
    found = value_of("active_rom", trial_spans=spans, joint=JointTrack(T_S, measure(angle)))
    assert found == pytest.approx(40.0)


def test_a_contraction_is_the_strongest_that_was_made() -> None:
    rows = (
        trial(1, "done", "mvc", peak_uv=300.0), trial(2, "done", "mvc", peak_uv=350.0),
        trial(3, "paused", "mvc", peak_uv=900.0), trial(4, "done", "mvc", peak_uv=None),
    )  # fmt: skip
    assert value_of("mvc_emg", trials=rows) == 350.0


def test_force_of_a_contraction_is_its_plateau_above_what_was_before() -> None:
    pulls = ((1, 10.0, 100.0, "done"), (2, 30.0, 120.0, "done"), (3, 50.0, 900.0, "paused"))
    force = np.full(T_S.shape, 5.0)
    for _, begin_s, newton, _ in pulls:
        force[(begin_s + 1.0 <= T_S) & (begin_s + 4.0 > T_S)] = 5.0 + newton
    # A peak shorter than a plateau is none.
    force[np.searchsorted(T_S, 12.0)] = 200.0
    found = value_of(
        "mvc_force", samples={"force/cell": sampled(("N",), force)},
        trials=tuple(trial(number, outcome, "mvc") for number, _, _, outcome in pulls),
        trial_times_s=tuple((begin_s, None, begin_s + 5.0) for _, begin_s, _, _ in pulls),
    )  # fmt: skip
    assert found == pytest.approx(120.0)


def sampled(units: tuple[str, ...], values: np.ndarray) -> SimpleNamespace:
    names = tuple(f"c{n}" for n in range(len(units)))
    record = SimpleNamespace(descriptor=SimpleNamespace(channels=names, units=units))
    return SimpleNamespace(record=record, t_s=T_S, channel=lambda name: values)


def trains(count: int) -> tuple[TrialSpan, ...]:
    return tuple(TrialSpan("hold", "block", 1, n, 10.0 * n, 10.0 * n + 4.0) for n in range(1, count + 1))


def test_evoked_force_is_told_above_its_rest_and_its_loss_as_a_share() -> None:
    force = np.full(T_S.shape, 2.0)
    for n in range(1, 9):
        force[(10.0 * n <= T_S) & (10.0 * n + 4.0 > T_S)] = 2.0 + (8.0 if n <= 4 else 4.0)
    given = {"samples": {"force/cell": sampled(("N",), force)}, "trial_spans": trains(8)}
    assert value_of("evoked_fatigue", **given) == pytest.approx(1 - 4 / 8)
    assert value_of("torque_time_integral", **given) == pytest.approx(4 * 8 * 4 + 4 * 4 * 4, rel=0.05)
    assert value_of("evoked_fatigue", **{**given, "trial_spans": trains(5)}) is None


def test_evoked_force_is_compared_of_trains_with_the_same_charge_alone() -> None:
    # Current rises over the first two trains; then each gives 1 N of 20 less than the one before.
    charges, force = (0.2, 0.4, *[0.5] * 6), np.zeros(T_S.shape)
    for n, charge_mc in enumerate(charges, 1):
        force[(10.0 * n <= T_S) & (10.0 * n + 4.0 > T_S)] = (20.0 - n) * charge_mc / 0.5
    given = {
        "samples": {"force/cell": sampled(("N",), force)}, "trial_spans": trains(8),
        "trials": tuple(trial(n, charge_mc=charge) for n, charge in enumerate(charges, 1)),
        "trial_times_s": tuple((10.0 * n - 1.0, None, 10.0 * n + 6.0) for n in range(1, 9)),
    }  # fmt: skip
    found = COMPUTED["evoked_fatigue"](view(**given))
    assert found.value == pytest.approx(1 - 13 / 16)
    assert (found.n, found.parameters) == (6, {"trains_left_out": 2})
    slope = COMPUTED["evoked_fatigue_slope"](view(**given))
    assert slope.value == pytest.approx(-100 / 17)
    fewer = {name: given[name][:7] for name in ("trial_spans", "trials", "trial_times_s")}
    found = COMPUTED["evoked_fatigue"](view(**{**given, **fewer}))
    assert (found.value, found.why) == (None, "5 trains with the same charge, needed are 6")


def test_a_burst_of_calibration_just_before_the_first_train_is_not_taken_for_rest() -> None:
    force = np.full(T_S.shape, 2.0)
    force[(T_S >= 9.0) & (T_S < 10.0)] = 60.0
    for n in range(1, 9):
        force[(10.0 * n <= T_S) & (10.0 * n + 4.0 > T_S)] = 42.0 - 2.0 * n
    burst = TrialSpan("hold", "calibration", 1, 1, 9.0, 9.9)
    given = {"samples": {"force/cell": sampled(("N",), force)}, "trial_spans": (burst, *trains(8))}
    assert value_of("evoked_fatigue", **given) == pytest.approx(1 - 26 / 36)
    assert value_of("torque_time_integral", **given) == pytest.approx(4 * (38 + 24) / 2 * 8, rel=0.05)


def pulled_up_to_the_train(kind: str, pull: float = 40.0, train: float = 10.0) -> dict[str, Any]:
    """Rest at 2 N until 8 s; then the person pulls until each train, which evokes `train` above rest."""
    force = np.full(T_S.shape, 2.0)
    spans = []
    for begin_s in (10.0, 20.0):
        force[(begin_s - 2.0 <= T_S) & (begin_s - 0.2 > T_S)] = 2.0 + pull
        force[(begin_s <= T_S) & (begin_s + 4.0 > T_S)] = 2.0 + train
        spans += [
            TrialSpan("await_effort", kind, 1, 1, begin_s - 2.0, begin_s - 0.2),
            TrialSpan("hold", "block", 1, 1, begin_s, begin_s + 4.0),
        ]
    return {"samples": {"force/cell": sampled(("N",), force)}, "trial_spans": tuple(spans)}


@pytest.mark.parametrize("kind", ["block", "mvc"])
def test_force_while_the_person_pulls_is_not_taken_for_rest(kind: str) -> None:
    given = pulled_up_to_the_train(kind)
    rest = (PhaseSpan("before", "rest", 0, 0.0, 8.0),)
    found = COMPUTED["torque_time_integral"](view(**given, phases=rest))
    assert found.value == pytest.approx(2 * 10 * 4, rel=0.05)
    assert found.valid
    assert found.parameters["trains_after_effort"] == 2
    # Even of a rest phase that is over in a moment, but not of none.
    short = (PhaseSpan("before", "rest", 0, 0.0, 0.4),)
    assert value_of("torque_time_integral", **given, phases=short) == pytest.approx(2 * 10 * 4, rel=0.05)
    for phases in ((), (PhaseSpan("before", "rest", 0, 0.0, 0.1),), (PhaseSpan("pull", "mvc", 0, 0.0, 8.0),)):
        found = COMPUTED["torque_time_integral"](view(**given, phases=phases))
        assert found.value is None
        assert "the person pulls until each train" in found.why


def test_the_rest_of_a_train_that_has_one_of_its_own_serves_those_that_have_none() -> None:
    given = pulled_up_to_the_train("block")
    third = TrialSpan("hold", "block", 1, 3, 30.0, 34.0)
    found = COMPUTED["torque_time_integral"](view(**{**given, "trial_spans": (*given["trial_spans"], third)}))
    assert found.value == pytest.approx(2 * 10 * 4, rel=0.05)
    assert (found.n, found.parameters["trains_after_effort"]) == (3, 2)


def test_force_below_its_rest_is_doubted() -> None:
    rest = (PhaseSpan("before", "rest", 0, 0.0, 8.0),)
    found = COMPUTED["torque_time_integral"](view(**pulled_up_to_the_train("mvc", train=-5.0), phases=rest))
    assert found.value is not None
    assert found.value < 0
    assert not found.valid
    assert "below its rest in 2 of 2 trains" in found.doubt


def test_force_is_told_in_the_unit_that_it_was_recorded_in() -> None:
    given = pulled_up_to_the_train("block")
    pull = {"trials": (trial(1, "done", "mvc"),), "trial_times_s": ((8.0, None, 9.8),)}
    force = given["samples"]["force/cell"].channel("")

    def rows(**cells: Any) -> dict[str, dict[str, Any]]:
        one = view(**{**given, **pull, "samples": cells}, phases=(PhaseSpan("before", "rest", 0, 0.0, 8.0),))
        named = {name: COMPUTED[name](one) for name in ("torque_time_integral", "mvc_force", "evoked_fatigue")}
        return {row["outcome"]: row for row in as_rows(named)}

    # The angle of a dynamometer stands before its torque.
    dynamometer = sampled(("rad", "Nm"), force)
    dynamometer.channel = lambda name: force if name == "c1" else np.full(T_S.shape, 99.0)
    told = rows(**{"force/dynamometer": dynamometer})
    assert (told["torque_time_integral"]["unit"], told["mvc_force"]["unit"]) == ("Nm*s", "Nm")
    assert told["torque_time_integral"]["value"] == pytest.approx(80.0, rel=0.05)
    assert told["mvc_force"]["value"] == pytest.approx(40.0)
    told = rows(**{"force/cell": sampled(("N",), force)})
    assert (told["torque_time_integral"]["unit"], told["mvc_force"]["unit"]) == ("N*s", "N")
    told = rows(**{"force/cell": sampled(("V",), force)})
    assert [row["value"] for row in told.values()] == [None] * 3
    assert all(row["why"] == "no force in N or Nm was recorded: force/cell c0 in 'V'" for row in told.values())


def test_noise_of_the_cell_makes_no_peak() -> None:
    # 1 kHz: of 500 samples with 1 N of noise the largest stands 3 N above their mean.
    t_s = np.arange(0.0, 80.0, 0.001)
    force = np.random.default_rng(1).standard_normal(t_s.shape)
    for n in range(1, 7):
        force[(10.0 * n <= t_s) & (10.0 * n + 0.5 > t_s)] += 10.0 if n <= 3 else 5.0
    spans = tuple(TrialSpan("hold", "block", 1, n, 10.0 * n, 10.0 * n + 0.5) for n in range(1, 7))
    cell = sampled(("N",), force)
    cell.t_s = t_s
    assert value_of("evoked_fatigue", samples={"force/cell": cell}, trial_spans=spans) == pytest.approx(0.5, abs=0.03)


def test_twitches_that_get_weaker_show_in_the_gyroscope() -> None:
    rate = np.where(T_S < 30, 1.0, 0.5)
    spans = (TrialSpan("hold", "block", 1, 1, 10.0, 60.0),)
    moved = value_of("twitch_amplitude", samples={"imu/wrist": sampled(("rad/s",), rate)}, trial_spans=spans)
    assert moved == pytest.approx(0.5)

"""A decision's outcome is what the steps after it showed; a train ends with its last decision."""

from __future__ import annotations

import numpy as np
import pytest

from myoloop.controllers.policies.observation import OBSERVATION
from myoloop.controllers.policies.policy import Decision, PolicyInput
from myoloop.experiments.training.decisions import (
    ACTION,
    OUTCOME,
    PLACE,
    DecisionLog,
    Decisions,
    decisions_of,
    rows_of,
)
from myoloop.platform.messages import ChannelSetting, Dose, Phase, StimReport, Target

STEP_NS = 10_000_000
TARGET = Target(channel="ch1", current_ma=20.0, phase_us=250.0, rate_hz=33.3, ramp_up_s=1.0, ramp_down_s=1.0)


def seen(at_s: float, error: float, *, known: bool = True, residual: float = 0.0) -> np.ndarray:
    vector = np.zeros(len(OBSERVATION))
    for name, value in (("time", at_s / 10), ("error", error), ("known", float(known)), ("residual", residual)):
        vector[OBSERVATION.index(name)] = value
    return vector


def asked(step: int, *, trial: int = 1, charge_mc: float = 0.0, rule: str = "") -> PolicyInput:
    allowed = (ChannelSetting(channel="ch1", current_ma=5.0, phase_us=250.0, rate_hz=33.3),)
    report = StimReport(
        step=step, t_ns=step * STEP_NS, state="STIMULATING", request=None, requested=allowed, allowed=allowed,
        acknowledged=allowed, rule=rule, reasons=(), dose=Dose(session_charge_mc=charge_mc),
    )  # fmt: skip
    phase = Phase(
        t_ns=0, session="s", state="running", index=1, name="b", kind="block", block=1, trial=trial, trials=2,
        trial_state="hold", t_state_ns=0, targets=(TARGET,),
    )  # fmt: skip
    return PolicyInput(step * STEP_NS, phase, {}, {}, report)


def column(table: Decisions, name: str) -> list[float]:
    return rows_of(table)[name].tolist()


@pytest.fixture
def train() -> Decisions:
    """25 steps of a train, errors 0, 1, …, 24, a decision every 10 steps; then rest."""
    log = DecisionLog(0.1)
    due = []
    for step in range(25):
        given = asked(step, charge_mc=0.001 * step, rule="slew" if step in (3, 4) else "")
        residual = 0.15 if step > 10 else 0.0
        decided = Decision({"ch1": float(step)}, saturated=step == 24)
        if log.note(given, decided, seen(step * 0.01, step, known=step != 12, residual=residual)):
            due.append(step)
    assert due == [0, 10, 20]
    log.note(asked(25, charge_mc=0.025), Decision({"ch1": 0.0}), None)
    return log.decisions()


def test_there_is_one_at_the_begin_and_every_tenth_of_a_second(train: Decisions) -> None:
    assert column(train, "place.at_s") == pytest.approx([0.0, 0.1, 0.2])
    assert column(train, "observation.error") == [0.0, 10.0, 20.0]
    assert column(train, "outcome.seconds") == pytest.approx([0.1, 0.1, 0.05])


def test_the_outcome_is_of_the_steps_that_follow(train: Decisions) -> None:
    second = [error for error in range(11, 21) if error != 12]
    assert column(train, "outcome.error_mean") == pytest.approx([5.5, np.mean(second), 22.5])
    assert column(train, "outcome.error_rms")[1] == pytest.approx(np.sqrt(np.mean(np.square(second))))
    assert column(train, "outcome.measured") == [1.0, 0.9, 1.0]
    assert column(train, "outcome.charge_uc") == pytest.approx([10.0, 10.0, 5.0])
    assert column(train, "outcome.limited") == [0.2, 0.0, 0.0]
    assert column(train, "outcome.of_limit") == [0.25] * 3
    assert column(train, "outcome.saturated") == [0.0, 0.0, 0.25]
    assert np.isnan(column(train, "outcome.fatigue")).all()


def test_the_action_is_the_residual_in_force_in_the_steps_that_follow(train: Decisions) -> None:
    assert column(train, "action.residual") == pytest.approx([0.0, 0.15, 0.15])
    assert column(train, "action.current_ma") == pytest.approx([5.5, 15.5, 22.5])


def test_the_last_of_a_train_says_so(train: Decisions) -> None:
    assert column(train, "place.last") == [0.0, 0.0, 1.0]
    assert column(train, "place.cut") == [0.0] * 3
    assert train.trains == 1


def test_a_train_that_is_cut_says_so() -> None:
    log = DecisionLog(0.1)
    for step in range(15):
        log.note(asked(step), Decision({"ch1": 1.0}), seen(step * 0.01, 0.0))
    log.cut()
    log.cut()
    assert column(log.decisions(), "place.last") == [0.0, 1.0]
    assert column(log.decisions(), "place.cut") == [0.0, 1.0]


def test_a_decision_that_nothing_follows_is_none() -> None:
    log = DecisionLog(0.1)
    for step in range(11):
        log.note(asked(step), Decision({"ch1": 1.0}), seen(step * 0.01, 0.0))
    log.note(asked(11), Decision({"ch1": 0.0}), None)
    assert column(log.decisions(), "place.last") == [1.0]


def test_another_trial_is_another_train_though_no_rest_was_seen() -> None:
    log = DecisionLog(0.1)
    for step in range(10):
        log.note(asked(step, trial=1 + step // 5), Decision({"ch1": 1.0}), seen(0.01 * (step % 5), 0.0))
    log.cut()
    assert column(log.decisions(), "place.trial") == [1.0, 2.0]
    assert column(log.decisions(), "place.last") == [1.0, 1.0]


def test_what_is_not_measured_is_not_known() -> None:
    log = DecisionLog(0.1)
    for step in range(5):
        log.note(asked(step), Decision({"ch1": 1.0}), seen(step * 0.01, 3.0, known=False))
    log.cut()
    assert column(log.decisions(), "outcome.measured") == [0.0]
    assert np.isnan(column(log.decisions(), "outcome.error_rms")).all()


def test_columns_by_name_make_the_same_table(train: Decisions) -> None:
    again = decisions_of(rows_of(train))
    for name in ("observation", "action", "outcome", "place"):
        np.testing.assert_array_equal(getattr(again, name), getattr(train, name))
    assert again.outcome.shape == (3, len(OUTCOME))
    assert again.action.shape == (3, len(ACTION))
    assert again.place.shape == (3, len(PLACE))
    assert len(Decisions.joined([])) == 0

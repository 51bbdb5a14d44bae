"""Dose planned against delivered: what the director's plan would give beside what the body's ledger says."""

from __future__ import annotations

import dataclasses
import math

import msgspec
import pytest

from myoloop.experiments.analysis.dosing import block_doses, plan_of
from myoloop.experiments.analysis.session import load


@pytest.fixture(scope="module")
def session(lockstep_attempt):
    return load(lockstep_attempt)


def with_plan(session, change):
    """The same session, had the director followed another plan."""
    settings = {name: dict(value) for name, value in session.settings.items()}
    settings["director"]["plan"] = msgspec.to_builtins(change(plan_of(session)))
    return dataclasses.replace(session, settings=settings)


def test_what_is_planned_is_every_trial_at_the_target_that_was_resolved(session):
    (dose,) = block_doses(session)
    assert (dose.block, dose.channel, dose.used_before) == ("trains", "ext", 0)
    # 2 trains of 0.5 s up, 1 s hold, 0.3 s down at 35 Hz; 14 mA is 1.2 times 12 mA, rounded down to a step of 1 mA.
    assert (dose.planned.trains, dose.planned.on_s) == (2, pytest.approx(3.6))
    assert dose.planned.pulses == pytest.approx(126.0)
    target_ma = session.trials[0].values["target_ma_ext"]
    assert dose.planned.charge_mc == pytest.approx(2 * 1.4 * 35 * target_ma * 250e-6)


def test_what_is_delivered_is_what_reached_the_body_in_the_block(session):
    (dose,) = block_doses(session)
    pulses = session.delivered()["ext"]
    # Thresholds were given, not measured: no pulse lies outside the block.
    assert dose.delivered.pulses == len(pulses) > 0
    assert dose.delivered.charge_mc == pytest.approx(float(pulses.charge_uc.sum()) * 1e-3)
    assert dose.delivered.trains == len(pulses.trains())
    assert dose.mean_ma == pytest.approx(float(pulses.current_ma.mean()))
    assert dose.tolerance_share is None, "no tolerance was measured"


def test_a_tolerance_that_was_measured_at_the_same_width_tells_its_share(session):
    found = msgspec.structs.replace(
        session.trials[0], kind="threshold", values={"channel": "ext", "tolerance_ma": 20.0, "phase_us": 250.0}
    )
    (dose,) = block_doses(dataclasses.replace(session, trials=(found, *session.trials)))
    assert dose.tolerance_share == pytest.approx(dose.mean_ma / 20.0)
    other = msgspec.structs.replace(found, values={**found.values, "phase_us": 300.0})
    (dose,) = block_doses(dataclasses.replace(session, trials=(other, *session.trials)))
    assert dose.tolerance_share is None


def test_a_block_that_never_began_was_planned_all_the_same(session):
    (dose,) = block_doses(dataclasses.replace(session, phases=(), trials=()))
    assert dose.planned.trains == 2
    assert math.isnan(dose.planned.charge_mc), "no target was resolved"
    assert (dose.delivered.pulses, dose.mean_ma) == (0, None)


def test_trials_that_an_earlier_attempt_used_are_told(session):
    def go_on(plan):
        from myoloop.experiments.protocols.planned import Continuation, UsedTrials

        number = next(n for n, phase in enumerate(plan.phases) if phase.block is not None)
        return dataclasses.replace(plan, go_on=Continuation("att-1", (UsedTrials(number, 1, 1),)))

    (dose,) = block_doses(with_plan(session, go_on))
    assert dose.used_before == 1


def test_conditions_share_the_trials_of_their_block(session):
    def conditions(plan):
        from myoloop.experiments.protocols.planned import ConditionPlan, PulsePlan

        phases = tuple(
            phase
            if phase.block is None
            else dataclasses.replace(
                phase,
                block=dataclasses.replace(
                    phase.block,
                    conditions=(
                        ConditionPlan("fast", phase.block.intensity, (PulsePlan("ext", 250.0, 40.0),)),
                        ConditionPlan("slow", phase.block.intensity, (PulsePlan("ext", 250.0, 20.0),)),
                    ),
                ),
            )
            for phase in plan.phases
        )
        return dataclasses.replace(plan, phases=phases)

    rows = tuple(
        msgspec.structs.replace(session.trials[0], values={"target_ma_ext": 10.0, "condition": name})
        for name in ("fast", "slow")
    )
    (dose,) = block_doses(dataclasses.replace(with_plan(session, conditions), trials=rows))
    assert dose.planned.pulses == pytest.approx(3.6 * 30)
    assert dose.planned.charge_mc == pytest.approx(2 * 1.4 * 30 * 10.0 * 250e-6)


def test_a_record_without_a_plan_that_can_be_read_has_no_planned_dose(session):
    assert block_doses(dataclasses.replace(session, settings={})) == ()
    broken = {"director": {"plan": {"protocol": "x"}}}
    assert block_doses(dataclasses.replace(session, settings=broken)) == ()

"""The person in the whole subject: what drifts is felt and recruited, what hurts is told."""

from dataclasses import replace

import numpy as np
import pytest

from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.person import MuscleSite
from myoloop.experiments.subjects.subject import VirtualSubject
from myoloop.platform.messages import Phase
from myoloop.stimulators.emulators.ledger import Pulse

BLOCK_NS = 10_000_000
SITES = (MuscleSite("ext", ("emg",), ((0, "stim"),)),)
CALM = replace(SubjectParameters(), spasm_rate_per_min=0.0, muscle_spread=0.0)


def subject(**parameters):
    return VirtualSubject(replace(CALM, **parameters), 1, muscles=SITES, force_cell=True)


def live(person, seconds, current_ma=0.0, start_s=0, rate_hz=20):
    """Everything that a time of steady stimulation with pulses of 250 us gives: outputs, and truths by topic."""
    outputs, truths = [], {}
    period = round(100 / rate_hz)
    for k in range(round(start_s * 100), round((start_s + seconds) * 100)):
        pulses = [Pulse(k * BLOCK_NS + 1, 0, current_ma, 250.0)] if current_ma and k % period == 0 else []
        given = person.step(k * BLOCK_NS, (k + 1) * BLOCK_NS, pulses)
        outputs.append(given)
        for truth in given.truths:
            truths.setdefault(truth.topic, []).append(truth.message.values)
    return outputs, truths


def test_the_persons_truths_come_once_a_second():
    _, truths = live(subject(), 5)
    assert [len(truths[f"truth/{what}"]) for what in ("pain", "threshold")] == [5, 5]
    assert truths["truth/threshold"][0]["ext.motor_uc"] == pytest.approx(2.8)
    assert truths["truth/pain"][0]["pain"] == 0.0


def test_more_than_is_tolerated_hurts():
    # 40 mA of 250 us are 10 uC; the person wants no more than 7.8.
    hurt = live(subject(), 10, 40.0)[1]["truth/pain"][-1]["pain"]
    assert hurt == pytest.approx(10 * 0.2 * (10.0 / 7.8 - 1), rel=0.15)
    assert live(subject(), 10, 30.0)[1]["truth/pain"][-1]["pain"] == 0.0


def test_treatment_that_is_felt_relieves_who_responds():
    def pain_after(**parameters):
        made = subject(pain_baseline=6.0, pain_relief=0.5, pain_relief_s=60.0, **parameters)
        return live(made, 60, 8.0, rate_hz=2)[1]["truth/pain"][-1]["pain"]

    assert pain_after() == pytest.approx(6.0 * (1 - 0.5 * (1 - np.exp(-1))), rel=0.1)
    assert pain_after(pain_responds=0.0) == 6.0


def test_dry_pads_recruit_less_and_are_felt_later():
    def after(drying):
        made = subject(electrode_drying=drying, fatigue_rate=0.0)
        # Twenty minutes of rest at once: the drift's own clock is all that matters.
        made.person.drift.step(1200.0)
        outputs, truths = live(made, 3, 20.0)
        force = np.vstack([each.force for each in outputs[-100:]]).mean()
        return force, truths["truth/threshold"][-1]

    fresh, dry = after(0.0), after(0.5)
    assert dry[0] < 0.8 * fresh[0]
    factor = np.exp(0.5 * (1 - np.exp(-1)))
    assert dry[1]["ext.motor_uc"] == pytest.approx(2.8 * factor, rel=0.01)
    assert dry[1]["ext.sensory_uc"] == pytest.approx(1.3 * factor, rel=0.01)


def test_calibration_is_answered_at_the_threshold_of_today():
    made = subject(electrode_drying=0.5)
    made.person.drift.step(12000.0)
    made.see(Phase(t_ns=0, session="s", state="waiting", kind="calibration", index=1), 0)
    felt = {}
    for second in range(30):
        for output in live(made, 1, float(second + 1), start_s=second)[0]:
            felt |= {event.values["what"]: event.values["current_ma"] for event in output.events}
    assert felt["motor"] == np.floor(2.8 * np.exp(0.5) * 4) + 1
    assert felt["sensory"] == np.floor(1.3 * np.exp(0.5) * 4) + 1


PAIR = (
    MuscleSite("left", ("emg_l",)),
    MuscleSite("right", ("emg_r",), activation_max=0.8, strength=0.5),
    MuscleSite("flex", ("emg_f",), joint_sign=-1.0, effort_share=0.1),
)


def driven(muscle, kind="mvc"):
    """Activation of each muscle, and the force on the joint, in the middle of an effort."""
    made = VirtualSubject(replace(CALM, joint_fixed=1.0, effort_wander=0.0), 1, muscles=PAIR, force_cell=True)
    asked = Phase(t_ns=0, session="s", state="running", kind=kind, trial=1, trial_state="await_effort", muscle=muscle)
    made.see(asked, 0)
    outputs, _ = live(made, 2)
    force = np.vstack([each.force for each in outputs[-50:]]).mean()
    return (made.person._effort_shares[:, 0]).tolist(), force


@pytest.mark.parametrize(
    ("muscle", "shares"),
    [("left", [1.0, 0.0, 0.1]), ("right", [0.0, 0.8, 0.1]), ("flex", [0.1, 0.08, 1.0]), ("", [1.0, 0.8, 0.1])],
)
def test_a_maximal_contraction_is_of_the_muscle_that_is_named(muscle, shares):
    assert driven(muscle)[0] == pytest.approx(shares)


def test_a_muscle_that_is_smaller_or_driven_less_pulls_less():
    (_, left), (_, right) = driven("left"), driven("right")
    flexing = 0.1 * left / (1 - 0.1)
    assert right + flexing == pytest.approx(0.5 * 0.8 * (left + flexing), rel=0.03)


def test_other_efforts_go_where_the_protocol_trains():
    made = VirtualSubject(CALM, 1, muscles=PAIR)
    made.see(Phase(t_ns=0, session="s", state="running", kind="mvc", trial=1, muscle="flex"), 0)
    made.see(Phase(t_ns=0, session="s", state="running", kind="block", trial=1), 1)
    assert made.person._effort_shares[:, 0].tolist() == pytest.approx([1.0, 0.8, 0.1])

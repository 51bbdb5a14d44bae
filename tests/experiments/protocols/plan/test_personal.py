"""One person's protocol: what their progression has moved, and a first session that is smaller."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from myoloop.experiments.protocols.lint import errors, lint
from myoloop.experiments.protocols.plan import Plan, SessionCaps, make_plan
from myoloop.experiments.protocols.rigsummary import InputChannel, OutputChannel, RigSummary
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.stimulators.driver import Capabilities

DATA = Path(__file__).parents[3] / "data"
DEVICE = Capabilities(
    outputs=4, current_max_ma=100.0, current_step_ma=1.0, phase_min_us=20.0, phase_max_us=500.0, phase_step_us=10.0,
    rate_min_hz=1.0, rate_max_hz=120.0, lease_ms=200.0, times_itself=False,
)  # fmt: skip
RIG = RigSummary(
    "bench-1",
    "SIM",
    tuple(InputChannel(name, "emg", 2000.0, "amp") for name in ("ext", "flex")),
    (OutputChannel("ext", 0, 25.0), OutputChannel("flex", 1, 25.0)),
    DEVICE,
)
X = "phases[5].block.intensity.x"


def plan_of(**planning) -> Plan:
    return make_plan(load_protocol(DATA / "visit.yaml"), RIG, "s", "p", **planning)


def test_a_plan_of_every_kind_of_phase_goes_through_json():
    plan = plan_of()
    assert [phase.kind for phase in plan.phases] == [
        "screening", "checks", "mvc", "calibration", "checks", "block", "questions"
    ]  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan
    assert (plan.stop.attention_s, plan.stop.cap_hits) == (60.0, 3)
    assert [(site.name, site.channels, site.listened) for site in plan.sites] == [
        ("ext", ("ext",), True),
        ("flex", ("flex",), True),
    ]


def test_conditions_take_what_they_do_not_say_from_their_block():
    weak, strong = plan_of().phases[5].block.conditions
    assert (weak.name, weak.intensity.x, weak.pulses[0].rate_hz) == ("weak", 1.0, 35.0)
    assert (strong.intensity.share, strong.pulses[0].rate_hz, strong.pulses[0].phase_us) == (0.5, 20.0, 250.0)


def test_a_persons_own_values_are_those_of_the_plan():
    plan = plan_of(personal={X: 1.2, "phases[5].block.trials": 6})
    block = plan.phases[5].block
    assert (block.intensity.x, block.trials) == (1.2, 6)
    assert plan.overrides == {X: 1.2, "phases[5].block.trials": 6}


def test_a_number_of_repetitions_that_lint_lets_a_rule_move_is_taken_by_a_plan(tmp_path):
    path = tmp_path / "visit.yaml"
    path.write_text((DATA / "visit.yaml").read_text().replace('phases[5].block.trials"', 'phases[5].block.repeat"'))
    protocol = load_protocol(str(path))
    assert not [each for each in errors(lint(protocol)) if ".path" in each.place]
    assert make_plan(protocol, RIG, "s", "p", personal={"phases[5].block.repeat": 3.0}).phases[5].block.repeat == 3


@pytest.mark.parametrize(
    ("personal", "says"),
    [
        ({X: 1.4}, "found 1.4, the protocol's progression keeps it within 1 to 1.3"),
        ({X: float("nan")}, "found nan"),
        ({X: True}, "found True"),
        ({"phases[5].block.trials": 2.5}, "allowed is a whole number"),
        ({"phases[5].block.hold": 1.0}, "not a value that may be a person's own"),
        ({"phases[5].block.repeat": 1.0}, "no progression rule of visit moves it"),
        ({"envelope.current_max": 50.0}, "not a value that may be a person's own"),
        ({"phases[5].block.ramp_up": 0.1}, "not a value that may be a person's own"),
        ({"phases[55].block.trials": 3}, "the protocol has 7 phases"),
        ({"phases[0].block.trials": 3}, "no progression rule"),
    ],
)
def test_what_no_rule_moves_is_refused(personal, says):
    with pytest.raises(ValueError, match=r"phases|envelope") as error:
        plan_of(personal=personal)
    assert says in str(error.value)


def test_a_first_session_is_smaller_and_its_steps_end_sooner():
    whole, small = plan_of(), plan_of(caps=SessionCaps(current_share=0.5, on_share=0.25))
    assert [limits.current_max_ma for limits in whole.envelope.channels] == [40.0, 40.0]
    assert [limits.current_max_ma for limits in small.envelope.channels] == [20.0, 20.0]
    assert small.envelope.session_on_s_max == whole.envelope.session_on_s_max / 4
    assert small.phases[3].calibration.ascent.stop_at_ma == small.envelope.current_ma_calibrating == 20.0
    assert replace(small.envelope, channels=()) != replace(whole.envelope, channels=())


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1, float("nan")])
def test_a_session_is_never_made_larger(share):
    with pytest.raises(ValueError, match="allowed is more than 0 and at most 1"):
        SessionCaps(current_share=share)

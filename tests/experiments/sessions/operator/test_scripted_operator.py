"""The scripted operator serves what the session waits for, where nobody can be hurt."""

from __future__ import annotations

import msgspec
import pytest

from myoloop.experiments.sessions.operator import OperatorSettings, ScriptedOperator
from myoloop.platform.messages import Answer, Dose, Phase, StimReport, Target

TARGET = Target(channel="ext", current_ma=4.0, phase_us=250.0, rate_hz=35.0, ramp_up_s=0.1, ramp_down_s=0.1)
REPORT = StimReport(
    step=1, t_ns=0, state="CONNECTED", request=None, requested=(), allowed=(), acknowledged=(), rule="", reasons=(),
    dose=Dose(), envelope_sha256="abc",
)  # fmt: skip
MS = 1_000_000


def waiting(act, **changes):
    phase = Phase(t_ns=0, session="s-1", state="waiting", waiting_for=act)
    return msgspec.structs.replace(phase, **changes)


def first(operator, phase, *, from_ns=0, for_ms=2000):
    """The first command, and after how long."""
    for ms in range(0, for_ms, 10):
        commands = operator.step(phase, REPORT, from_ns + ms * MS)
        if commands:
            (command,) = commands
            return command, ms
    return None, for_ms


@pytest.mark.parametrize("rig_class", ["HUMAN", "human", ""])
def test_it_operates_no_rig_with_a_person(rig_class):
    with pytest.raises(ValueError, match="a script operates BENCH, SIM rigs only"):
        ScriptedOperator(rig_class)


def test_it_does_nothing_while_nothing_is_waited_for():
    operator = ScriptedOperator("SIM")
    assert first(operator, None)[0] is None
    assert first(operator, waiting(""))[0] is None
    assert first(operator, waiting("arm", state="ended"))[0] is None


@pytest.mark.parametrize(
    ("phase", "target", "kind", "arguments"),
    [
        (waiting("confirm"), "stimulator", "confirm", {"envelope_sha256": "abc"}),
        (waiting("arm"), "stimulator", "arm", {"mode": "normal", "session": "s-1", "envelope_sha256": "abc"}),
        (
            waiting("arm_calibration", kind="calibration", targets=(TARGET,)),
            "stimulator",
            "arm",
            {"mode": "calibration", "session": "s-1", "envelope_sha256": "abc", "channel": "ext"},
        ),
        (
            waiting("step", kind="calibration", targets=(TARGET,)),
            "stimulator",
            "step",
            {"channel": "ext", "current_ma": 4.0},
        ),
        (waiting("approve_envelope"), "director", "approve", {}),
    ],
)
def test_it_does_what_is_waited_for_after_its_reaction(phase, target, kind, arguments):
    command, ms = first(ScriptedOperator("BENCH"), phase)
    assert (command.target, command.kind, command.arguments) == (target, kind, arguments)
    assert command.who == "script"
    assert ms == (50 if kind == "step" else 200)


@pytest.mark.parametrize(
    ("phase", "values", "kind", "arguments"),
    [
        (waiting("arm"), {"arm_id": "x7"}, "armed", {"arm_id": "x7"}),
        (waiting("step", kind="calibration", targets=(TARGET,)), {}, "stepped", {"current_ma": 4.0}),
    ],
)
def test_what_the_stimulator_has_done_the_director_is_told(phase, values, kind, arguments):
    operator = ScriptedOperator("SIM")
    command, ms = first(operator, phase)
    operator.answered(Answer(t_ns=0, id=command.id, ok=True, values=values))
    told, after_ms = first(operator, phase, from_ns=(ms + 10) * MS)
    assert (told.target, told.kind, told.arguments, after_ms) == ("director", kind, arguments, 0)
    operator.answered(Answer(t_ns=0, id=told.id, ok=True))
    assert first(operator, phase, from_ns=(ms + 20) * MS)[0] is None


def test_what_is_refused_is_tried_again_and_then_given_up():
    operator = ScriptedOperator("SIM", OperatorSettings(tries=3))
    phase, now_ns, kinds = waiting("confirm"), 0, []
    for _ in range(4):
        command, ms = first(operator, phase, from_ns=now_ns)
        kinds.append(command.kind)
        now_ns += (ms + 10) * MS
        operator.answered(Answer(t_ns=0, id=command.id, ok=False, reason="another envelope"))
    assert kinds == ["confirm", "confirm", "confirm", "end"]
    assert command.why == "confirm refused 3 times: another envelope"


def test_answers_to_others_mean_nothing():
    operator = ScriptedOperator("SIM")
    command, _ = first(operator, waiting("arm"))
    operator.answered(Answer(t_ns=0, id="director-1", ok=True, values={"arm_id": "x"}))
    assert first(operator, waiting("arm"), from_ns=500 * MS)[0] is None
    operator.answered(Answer(t_ns=0, id=command.id, ok=True, values={"arm_id": "x"}))
    assert first(operator, waiting("arm"), from_ns=600 * MS)[0].kind == "armed"


def test_it_has_no_reason_to_resume():
    phase = waiting("resume", state="paused")
    command, ms = first(ScriptedOperator("SIM"), phase, for_ms=9000)
    assert (command.kind, ms) == ("end", 5000)

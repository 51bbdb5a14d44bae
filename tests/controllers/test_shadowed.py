"""A controller with a shadow: the same requests to the last bit, whatever the shadow does, and one message more."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from myoloop.controllers.choice import Choice
from myoloop.controllers.controller import Controller
from myoloop.controllers.policies.distilled_model import DistilledModel
from myoloop.controllers.settings import ControllerSettings
from myoloop.controllers.shadowed import Shadowed, make_controller
from myoloop.controllers.signals.snapshot import StateError
from myoloop.platform.messages import Overrun, SampleDescriptor, Samples, Shadow
from myoloop.platform.steps import StepInput
from myoloop.platform.streams import stream_of

KNOWN = {
    "quantity": "force", "setpoint": 25.0, "full_response": 100.0, "recruitment_median_ma": 20.0, "threshold_ma": 8.0,
}  # fmt: skip
FORCE = SampleDescriptor(
    topic="force/sim", rate_hz=100.0, dtype="<f4", channels=("cell",), units=("N",), scale=(1.0,), offset=(0.0,)
)


@pytest.fixture
def made(kit: SimpleNamespace) -> SimpleNamespace:
    """Settings with and without a shadow, and the inputs of a short train."""
    from myoloop.controllers.reflex import ReflexSettings, SpasmReflex
    from myoloop.controllers.settings import ForceSource

    model = dataclasses.asdict(DistilledModel.always(0.15))
    plain = kit.settings(
        policy=Choice(name="adaptive_gain", settings=KNOWN),
        force=ForceSource(descriptor=FORCE),
        reflex=ReflexSettings(spasm=SpasmReflex(enabled=False)),
    )
    chosen = Choice(name="fitted_q", settings={**KNOWN, "model": model, "budget_uc": 1000.0})
    rng = np.random.default_rng(1)
    given = []
    for number in range(1, 121):
        now_ns = kit.start_ns + number * kit.tick_ns
        emg = np.round(5.0 * rng.standard_normal((20, 2))).astype("<i2")
        force = np.array([[min(number * 0.3, 22.0)]], dtype="<f4")
        state, since = ("ramp_up", 0) if number < 50 else ("hold", 49)
        told = kit.phase(now_ns, state, t_state_ns=kit.start_ns + since * kit.tick_ns, targets=(kit.target(45.0),))
        inbox = [
            kit.received("phase", told, number),
            kit.received("emg/sim", Samples(first_sample=20 * (number - 1), t_ns=now_ns), number, emg),
            kit.received("force/sim", Samples(first_sample=number - 1, t_ns=now_ns), number, force),
        ]
        if number == 2:
            request = kit.received("report", kit.verdict_of(_nothing(), now_ns, state="ARMED"), number)
            inbox.append(request)
        given.append(StepInput(number, now_ns, inbox, {}))
    return SimpleNamespace(
        plain=plain, shadowed=msgspec.structs.replace(plain, shadow=chosen), given=given, chosen=chosen
    )


def _nothing() -> Any:
    from myoloop.platform.messages import StimRequest

    return StimRequest(step=1, t_ns=0, arm_id="arm", lease_ms=100, channels=())


def shadows(outgoing: list[Any]) -> list[Shadow]:
    return [each.message for each in outgoing if each.topic == "shadow"]


def test_what_acts_says_the_same_to_the_last_bit_and_the_shadow_is_one_message_beside_it(made: SimpleNamespace) -> None:
    alone, beside = make_controller(made.plain), make_controller(made.shadowed)
    assert isinstance(alone, Controller)
    assert isinstance(beside, Shadowed)
    assert beside.subscriptions == alone.subscriptions
    told: list[Shadow] = []
    for given in made.given:
        first, second = alone.step(given), beside.step(given)
        assert [each for each in second if each.topic != "shadow"] == first
        told += shadows(second)
        request = next(each.message for each in second if each.topic == "request")
        if told and told[-1].step == given.number and request.channels[0].current_ma:
            assert told[-1].asked_ma["ch1"] == request.channels[0].current_ma
    assert [each.step for each in told] == list(range(1, 121))
    assert all(each.same for each in told)
    late = told[-1]
    assert late.residual == 0.15
    assert late.would_ma["ch1"] > late.asked_ma["ch1"] > 8.0
    assert late.reason == "residual +0.15"


def test_nobody_listens_to_a_shadow(made: SimpleNamespace) -> None:
    """Neither the gate nor the controller subscribes to what it says; only the recorder does."""
    from myoloop.stimulators.stimulator import Stimulator, StimulatorSettings

    settings = StimulatorSettings(
        session="s", subject="p", rig_class="SIM", watched=(), vitals=(), outputs=1, current_max_ma=10.0,
        current_step_ma=1.0, phase_us=(1.0, 2.0), rate_hz=(1.0, 2.0),
    )  # fmt: skip
    assert "shadow" not in Stimulator(settings).subscriptions
    assert "shadow" not in make_controller(made.shadowed).subscriptions
    assert stream_of("shadow").recorded
    assert stream_of("shadow").publishers == {"controller"}


def test_a_shadow_that_raises_changes_nothing_but_its_own_message(
    made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from myoloop.controllers.policies.shadowing import FittedQShadow

    def fail(*_: Any) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(FittedQShadow, "decide", fail)
    alone, beside = make_controller(made.plain), make_controller(made.shadowed)
    for given in made.given:
        first, second = alone.step(given), beside.step(given)
        assert [each for each in second if each.topic != "shadow"] == first
        (told,) = shadows(second)
        assert told.would_ma == {"ch1": 0.0}
        assert "RuntimeError: no" in told.reason


def test_it_goes_on_from_its_state_and_the_controller_alone_reads_that_state_too(made: SimpleNamespace) -> None:
    one = make_controller(made.shadowed)
    for given in made.given[:80]:
        one.step(given)
    state = json.loads(json.dumps(one.state()))
    again, alone = make_controller(made.shadowed, state), Controller(made.plain, state)
    for given in made.given[80:]:
        said = one.step(given)
        assert again.step(given) == said
        assert alone.step(given) == [each for each in said if each.topic != "shadow"]
    state.pop("shadow")
    with pytest.raises(StateError, match="not the state of a controller with a shadow"):
        make_controller(made.shadowed, state)


def test_a_late_step_is_the_shadow_s_too(made: SimpleNamespace, kit: SimpleNamespace) -> None:
    beside = make_controller(made.shadowed)
    for given in made.given[:90]:
        beside.step(given)
    at = made.given[90]
    late = kit.received("overrun/controller", Overrun(t_ns=at.now_ns, step=90, took_ms=31.0, limit_ms=20.0), 1)
    (told,) = shadows(beside.step(dataclasses.replace(at, received=[*at.received, late])))
    assert told.fault == "falls back to adaptive gain: overrun of 31.0 ms"
    assert told.residual == 0.0


def test_its_settings_travel_as_json_to_the_controller_s_process(made: SimpleNamespace) -> None:
    from myoloop.controllers.node import _build

    stepped, settings = _build({"controller": json.loads(made.shadowed.to_json())})
    assert isinstance(stepped, Shadowed)
    assert ControllerSettings.from_json(settings).to_json() == made.shadowed.to_json()
    assert isinstance(_build({"controller": json.loads(made.plain.to_json())})[0], Controller)


@pytest.mark.parametrize(
    ("policy", "shadow", "said"),
    [
        ("open_loop", "fitted_q", "shadow: the policy is 'open_loop'; a shadow follows adaptive_gain and no other"),
        ("adaptive_gain", "pi", "shadow: found 'pi', allowed is fitted_q"),
    ],
)
def test_what_no_shadow_can_follow_is_refused(made: SimpleNamespace, policy: str, shadow: str, said: str) -> None:
    acting = Choice(name=policy, settings=KNOWN if policy == "adaptive_gain" else {})
    settings = msgspec.structs.replace(
        made.plain, policy=acting, shadow=msgspec.structs.replace(made.chosen, name=shadow)
    )
    with pytest.raises(ValueError, match=said):
        make_controller(settings)

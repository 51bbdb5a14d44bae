"""The learned policy: adaptive gain where its model says nothing or fails, bounded where it says much."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.choice import Choice
from myoloop.controllers.parts import Faults
from myoloop.controllers.policies.adaptive_gain import AdaptiveGain, AdaptiveGainSettings
from myoloop.controllers.policies.distilled_model import NODES_MAX, DistilledModel
from myoloop.controllers.policies.fitted_q import FittedQ, FittedQSettings
from myoloop.controllers.policies.guarded import GuardedPolicy
from myoloop.controllers.policies.observation import OBSERVATION
from myoloop.controllers.policies.policy import Decision, PolicyInput, make_policy
from myoloop.controllers.policies.residual import ACTIONS
from myoloop.controllers.signals.snapshot import Restorable

KNOWN: dict[str, Any] = {
    "quantity": "force", "setpoint": 25.0, "full_response": 100.0, "recruitment_median_ma": 20.0, "threshold_ma": 8.0,
}  # fmt: skip
PHASE_US, RATE_HZ = 300.0, 40.0
ROUNDING_UC = 1e-9
MakeInputs = Callable[..., list[PolicyInput]]


@pytest.fixture(scope="module")
def inputs(kit: SimpleNamespace) -> MakeInputs:
    """Steps of trials with a force that does what it likes."""

    def made(seed: int, trials: int = 2, *, gaps: float = 0.0, blind: float = 0.0) -> list[PolicyInput]:
        rng = random.Random(seed)
        now_ns, force, steps = 1_000_000_000, 0.0, []
        target = kit.target(
            45.0, channel="ch1", ramp_up_s=0.4, ramp_down_s=0.3, phase_us=PHASE_US, rate_hz=RATE_HZ
        )  # fmt: skip
        for trial in range(1, trials + 1):
            for state, length_s in (("ramp_up", 0.4), ("hold", 0.8), ("ramp_down", 0.3), ("rest", 0.3)):
                since_ns = now_ns
                for _ in range(round(length_s / 0.01)):
                    now_ns += rng.choice((60, 130, 500)) * 1_000_000 if rng.random() < gaps else 10_000_000
                    force = min(max(force + rng.gauss(0.1, 1.5), 0.0), 60.0)
                    phase = kit.phase(
                        now_ns, state, trial=trial, block=1, t_state_ns=since_ns, state_s=length_s, targets=(target,)
                    )
                    steps.append(PolicyInput(now_ns, phase, {}, force_n=None if rng.random() < blind else force))
        return steps

    return made


def _policy(model: DistilledModel, **more: Any) -> FittedQ:
    return FittedQ(FittedQSettings(**KNOWN, model=model, **more), ("ch1",))


def _classic() -> AdaptiveGain:
    return AdaptiveGain(AdaptiveGainSettings(**KNOWN), ("ch1",))


def _model(**changes: Any) -> DistilledModel:
    return dataclasses.replace(DistilledModel.always(0.15), **changes)


def _broken(model: DistilledModel, **attributes: Any) -> DistilledModel:
    """A model that was damaged after it was checked."""
    for name, value in attributes.items():
        object.__setattr__(model, name, value)
    return model


def _currents(policy: Any, steps: list[PolicyInput]) -> list[float]:
    return [policy.decide(given).current_ma["ch1"] for given in steps]


def _with(position: str, value: float) -> tuple[float, ...]:
    return tuple(value if name == position else 1e6 if value > 0 else -1e6 for name in OBSERVATION)


# -- what it asks for ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_model_that_says_nothing_is_adaptive_gain_bit_for_bit(inputs: MakeInputs, seed: int) -> None:
    steps = inputs(seed, gaps=0.01, blind=0.1)
    policy, classic = _policy(DistilledModel.always(0.0)), _classic()
    for step in steps:
        asked, expected = policy.decide(step), classic.decide(step)
        assert asked.current_ma == expected.current_ma
        assert (asked.saturated, asked.held, asked.fault) == (expected.saturated, expected.held, "")


def test_it_is_chosen_by_name_with_plain_values_and_a_tree_travels_as_json(inputs: MakeInputs) -> None:
    model = _model(
        feature=(OBSERVATION.index("hold"), 0, 0), threshold=(0.5, 0.0, 0.0), left=(1, -1, -1), right=(2, -1, -1),
        value=(0.0, 0.05, -0.3),
    )  # fmt: skip
    plain = json.loads(json.dumps({**KNOWN, "model": dataclasses.asdict(model)}))
    policy = make_policy(Choice(name="fitted_q", settings=plain), ("ch1",))
    reasons = [policy.decide(step).reason for step in inputs(1, trials=1)]
    assert any(reason.startswith("residual +0.05; fitted Q: force") for reason in reasons[:40])
    assert any(reason.startswith("residual -0.30") for reason in reasons[41:120])
    with pytest.raises(ValueError, match="fitted_q has no model"):
        make_policy(Choice(name="fitted_q", settings=KNOWN), ("ch1",))


def test_it_decides_every_so_often_and_each_train_begins_classic(inputs: MakeInputs) -> None:
    policy = _policy(DistilledModel.always(-0.15), decide_every_s=0.2)
    asked = []

    def noting(seen: Any) -> float:
        asked.append(seen[0] * 10.0)
        return -0.15

    object.__setattr__(policy._distilled._model, "decide", noting)
    steps = inputs(2, trials=2)
    for step in steps:
        decision = policy.decide(step)
        if step.phase.trial_state == "ramp_up" and step.now_ns - step.phase.t_state_ns <= 10_000_000:
            assert "residual +0.00" in decision.reason
    one_train = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4]
    assert asked == pytest.approx(2 * one_train, abs=0.0101)


def test_what_is_taken_away_is_not_made_up_for_by_the_integral(inputs: MakeInputs) -> None:
    """Else a model could wind the classic policy up, and leave it there."""
    rose = {}
    for name, policy in (("less", _policy(DistilledModel.always(-0.3))), ("classic", _classic())):
        integrals = []
        for step in inputs(3, trials=1):
            policy.decide(dataclasses.replace(step, force_n=24.0 if step.phase.trial_state == "hold" else None))
            if step.phase.trial_state == "hold":
                integrals.append(policy._correction._integral)
        rose[name] = integrals[-1] - integrals[0]
    assert rose["classic"] > 0.01
    assert rose["less"] <= 1e-9


# -- the charge that it may add ------------------------------------------------------------------------------------

_NODE = st.tuples(
    st.integers(0, len(OBSERVATION) - 1), st.floats(-2.0, 2.0), st.sampled_from(ACTIONS), st.sampled_from(ACTIONS)
)


def _tree(nodes: list[tuple[int, float, float, float]]) -> DistilledModel:
    """A chain of questions: each has one answer at once, the other asks on."""
    feature, threshold, left, right, value = [], [], [], [], []
    for number, (name, at, yes, no) in enumerate(nodes):
        last = number == len(nodes) - 1
        here = 2 * number
        feature += [name, 0]
        threshold += [at, 0.0]
        left += [here + 1, -1]
        right += [here + 2, -1]
        value += [0.0, yes]
        if last:
            feature.append(0)
            threshold.append(0.0)
            left.append(-1)
            right.append(-1)
            value.append(no)
    return _model(feature=tuple(feature), threshold=tuple(threshold), left=tuple(left), right=tuple(right),
                  value=tuple(value))  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    nodes=st.lists(_NODE, min_size=1, max_size=6), budget_uc=st.sampled_from((0.0, 1.0, 20.0, 200.0)),
    seed=st.integers(0, 10**6), gaps=st.sampled_from((0.0, 0.02)), pause_at=st.integers(1, 400),
)  # fmt: skip
def test_whatever_the_tree_says_the_excess_charge_over_the_classic_never_passes_the_budget(
    inputs: MakeInputs, nodes: list[Any], budget_uc: float, seed: int, gaps: float, pause_at: int
) -> None:
    """The classic policy is asked at each step from the same knowledge, and what is more is added up by the test."""
    policy, classic = _policy(_tree(nodes), budget_uc=budget_uc), _classic()
    classic_share = excess_uc = over_ma = 0.0
    last_ns: int | None = None
    for number, step in enumerate(inputs(seed, gaps=gaps)):
        if last_ns is not None:
            excess_uc += over_ma * PHASE_US * RATE_HZ * 1e-3 * min((step.now_ns - last_ns) * 1e-9, 0.1)
        last_ns = step.now_ns
        assert excess_uc <= budget_uc + ROUNDING_UC
        if number == pause_at:
            # A pause forgets what was learnt of the muscle, and not what was spent.
            policy.reset()
            classic_share = 0.0
        _same_knowledge(classic, policy)
        classic._share = classic_share
        expected = classic.decide(step).current_ma["ch1"]
        classic_share = classic._share
        over_ma = max(0.0, policy.decide(step).current_ma["ch1"] - expected)
    assert policy._distilled.budget.spent_uc <= budget_uc + ROUNDING_UC


def _same_knowledge(classic: AdaptiveGain, policy: FittedQ) -> None:
    for name in AdaptiveGain._kept:
        value = getattr(policy, name)
        if isinstance(value, Restorable):
            getattr(classic, name).restore(value.state())
        else:
            setattr(classic, name, copy.copy(value))


def test_it_adds_while_there_is_budget_and_fades_to_the_classic_request(inputs: MakeInputs) -> None:
    steps = [dataclasses.replace(step, force_n=25.0) for step in inputs(5, trials=6)]
    rich, poor = (_policy(DistilledModel.always(0.3), budget_uc=uc) for uc in (10_000.0, 30.0))
    more, less = _currents(rich, steps), _currents(poor, steps)
    assert rich._distilled.budget.spent_uc > 100.0
    assert poor._distilled.budget.spent_uc == pytest.approx(30.0, rel=1e-3)
    assert sum(more) > sum(less)


def test_without_budget_it_only_takes_away(inputs: MakeInputs) -> None:
    steps = inputs(6)
    assert _currents(_policy(DistilledModel.always(0.3)), steps)[:60] == _currents(_classic(), steps)[:60]


# -- when it is not to be believed -----------------------------------------------------------------------------------


class _Explodes(DistilledModel):
    def decide(self, seen: Any) -> float:
        raise ZeroDivisionError("of a model")


def _raising() -> DistilledModel:
    return _Explodes(**dataclasses.asdict(DistilledModel.always(0.15)))


FAILURES = {
    "exception": (_raising, "the model failed: ZeroDivisionError: of a model"),
    "damaged": (lambda: _broken(_model(), left=(7,), right=(8,)), "the model failed: IndexError"),
    "no number": (lambda: _broken(_model(), value=(math.nan,)), "the model said nan"),
    "endless": (lambda: _broken(_model(), value=(math.inf,)), "the model said inf"),
    "beyond": (lambda: _broken(_model(), value=(0.4,)), "the model said 0.4, its actions are -0.3 to 0.3"),
    "shifted": (lambda: _model(low=_with("gain", -0.5), high=_with("gain", 0.5)), "shifted input, "),
}


@pytest.mark.parametrize("how", FAILURES)
def test_a_failing_model_leaves_adaptive_gain_alone_and_it_says_so(inputs: MakeInputs, how: str) -> None:
    make, why = FAILURES[how]
    steps, faults = inputs(7), Faults()
    policy = GuardedPolicy(_policy(make(), budget_uc=10_000.0), "fitted_q", ("ch1",), faults)
    classic = _classic()
    reasons = []
    for step in steps:
        asked = policy.decide(step)
        assert asked.current_ma == classic.decide(step).current_ma
        reasons.append(asked.reason)
    assert f"adaptive gain alone: {why}" in reasons[-1]
    told = faults.take()
    assert len(told) == 1
    assert told[0].startswith(f"policy 'fitted_q' falls back to adaptive gain: {why}")


def test_one_decision_outside_of_the_training_is_not_followed_and_several_in_a_row_end_it(inputs: MakeInputs) -> None:
    steps = [dataclasses.replace(step, force_n=20.0) for step in inputs(8, trials=1)]
    odd = _model(low=_with("time", -0.005), high=_with("time", 0.055))
    policy = _policy(odd, shift_decisions=3, budget_uc=10_000.0)
    reasons = [policy.decide(step).reason for step in steps]
    assert "residual +0.15" in reasons[50]
    assert "residual +0.00" in reasons[65]
    assert "residual +0.00" in reasons[75]
    assert "adaptive gain alone: shifted input, time 0.08, in training -0.005 to 0.055" in reasons[85]


def test_an_overrun_ends_it_for_the_train_and_several_for_the_session(inputs: MakeInputs) -> None:
    policy = _policy(DistilledModel.always(-0.15), overruns_max=2)
    steps = inputs(9, trials=3)
    trains = [step.phase.trial for step in steps]
    late = {50: 31.25, trains.index(2) + 50: 28.0}
    decisions = [
        policy.decide(dataclasses.replace(step, overrun_ms=late.get(number, 0.0))) for number, step in enumerate(steps)
    ]
    assert "residual -0.15" in decisions[49].reason
    assert decisions[50].reason.startswith("adaptive gain alone in this train: overrun of 31.2 ms")
    assert decisions[50].fault == "falls back to adaptive gain: overrun of 31.2 ms"
    assert "residual -0.15" in decisions[trains.index(2) + 49].reason
    assert decisions[-1].fault == "falls back to adaptive gain: overruns, 2 of them, the last of 28.0 ms"
    assert all("adaptive gain alone" in each.reason for each in decisions[trains.index(2) + 50 :])
    policy.reset()
    assert "adaptive gain alone" in policy.decide(steps[-1]).reason


def test_an_overrun_while_nothing_is_decided_is_none_of_the_models(inputs: MakeInputs) -> None:
    policy = _policy(DistilledModel.always(-0.15), overruns_max=1)
    rest = next(n for n, step in enumerate(inputs(9)) if step.phase.trial_state == "rest") + 5
    for number, step in enumerate(inputs(9)):
        decision = policy.decide(dataclasses.replace(step, overrun_ms=30.0 if number == rest else 0.0))
    assert decision.fault == ""


def test_it_goes_on_bit_for_bit_from_a_saved_state(inputs: MakeInputs) -> None:
    tree = _tree([(OBSERVATION.index("error"), 0.0, -0.15, 0.3), (OBSERVATION.index("last_error"), 0.0, 0.05, -0.3)])
    steps = inputs(10, trials=3, gaps=0.01, blind=0.05)
    for cut in (3, 77, 180, 300):
        one, other = (_policy(tree, budget_uc=60.0, overruns_max=2) for _ in range(2))
        for number, step in enumerate(steps):
            given = dataclasses.replace(step, overrun_ms=25.0 if number in (60, 320) else 0.0)
            if number == cut:
                other.restore(json.loads(json.dumps(one.state())))
            decision = one.decide(given)
            if number >= cut:
                assert other.decide(given) == decision
        assert other.state() == one.state()


# -- what a model may be -----------------------------------------------------------------------------------------------

_WIDTH = len(OBSERVATION)
WRONG = {
    "other observations": ({"observation": OBSERVATION[:-1]}, "model.observation"),
    "another order": ({"observation": (*OBSERVATION[1:], OBSERVATION[0])}, "model.observation"),
    "short normaliser": ({"mean": (0.0,)}, "model.mean"),
    "scale of zero": ({"scale": (0.0,) * _WIDTH}, "model.scale"),
    "no number": ({"low": (math.nan,) * _WIDTH}, "model.low"),
    "range turned round": ({"low": (2e6,) * _WIDTH}, "model.low"),
    "wild actions": ({"actions": (-0.9, 0.0, 0.9)}, "model.actions"),
    "actions that fall": ({"actions": (0.15, 0.0)}, "model.actions"),
    "no actions": ({"actions": ()}, "model.actions"),
    "value beyond the actions": ({"value": (0.49,)}, "model.value of node 0"),
    "value is no number": ({"value": (math.nan,)}, "model.value of node 0"),
    "arrays of unequal length": ({"left": (-1, -1)}, "model.left"),
    "no nodes": ({"feature": ()}, "model.feature has 0 nodes"),
    "too many nodes": ({"feature": (0,) * (NODES_MAX + 1)}, f"allowed is 1 to {NODES_MAX}"),
    "a loop": ({"left": (0,), "right": (0,)}, "node 0 has no child 0"),
    "one child": ({"left": (-1,), "right": (1,)}, "node 0 has no child -1"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_model_that_makes_no_sense_is_refused(what: str) -> None:
    changes, named = WRONG[what]
    with pytest.raises(ValueError, match=r"^model") as caught:
        _model(**changes)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_node_that_asks_for_what_is_not_observed_is_refused() -> None:
    two = {"left": (1, -1, -1), "right": (2, -1, -1), "value": (0.0, 0.0, 0.0)}
    with pytest.raises(ValueError, match="node 0 asks for observation 99"):
        _model(**two, feature=(99, 0, 0), threshold=(0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="node 0 asks for observation 0 at nan"):
        _model(**two, feature=(0, 0, 0), threshold=(math.nan, 0.0, 0.0))


@pytest.mark.parametrize(
    ("key", "value"),
    [("decide_every_s", 0.0), ("budget_uc", -1.0), ("budget_uc", math.nan), ("shift_decisions", 0),
     ("overruns_max", 0), ("full_response", 0.0), ("gain_min", 0.0)],
)  # fmt: skip
def test_settings_out_of_bounds_are_refused(key: str, value: float) -> None:
    with pytest.raises(ValueError, match="fitted_q"):
        FittedQSettings(**{**KNOWN, key: value})


def test_decision_and_input_say_nothing_of_faults_unless_told() -> None:
    assert Decision({}).fault == ""

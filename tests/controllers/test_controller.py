"""The composition: one estimate and one request at every step, whatever comes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.choice import Choice
from myoloop.controllers.controller import Controller
from myoloop.controllers.policies.policy import Decision, PolicyInput
from myoloop.controllers.reflex import ReflexSettings, SpasmReflex
from myoloop.controllers.settings import ControllerSettings, EmgSource, MuscleInput, StimOutput
from myoloop.controllers.signals.snapshot import StateError
from myoloop.platform.messages import Estimate, Event, Samples, StimRequest
from myoloop.platform.plugins import PluginError
from myoloop.platform.steps import Outgoing, StepInput, Stepped
from myoloop.platform.streams import stream_of
from myoloop.platform.wire import decode, encode


class Loop:
    """Feeds a controller with plain rest EMG and what the test says."""

    def __init__(self, kit: SimpleNamespace, policy: str = "open_loop") -> None:
        self.kit = kit
        self.controller = Controller(kit.settings(policy))
        self.n, self.row = 0, 0
        # The gate answers each request in the step after it, unless a test says otherwise.
        self.answering = True
        self.asked: StimRequest | None = None
        self.events: list[Event] = []
        self.rng = np.random.default_rng(1)

    @property
    def now_ns(self) -> int:
        return self.kit.start_ns + self.n * self.kit.tick_ns

    def block(self, n: int = 20, uv: float = 5.0) -> Any:
        raw = np.round(uv * self.rng.standard_normal((n, 2))).astype("<i2")
        message = Samples(first_sample=self.row, t_ns=self.kit.start_ns + self.row * 500_000 + n * 500_000)
        self.row += n
        return self.kit.received("emg/sim", message, self.n, raw)

    def step(
        self,
        *more: Any,
        blocks: int = 1,
        phase: Any = "hold",
        not_alive: Mapping[str, str] | None = None,
        **of_phase: Any,
    ) -> tuple[Estimate, StimRequest]:
        self.n += 1
        inbox = [self.block() for _ in range(blocks)]
        if self.answering and self.asked is not None:
            verdict = self.kit.verdict_of(self.asked, self.now_ns, state="ARMED" if self.asked.arm_id else "READY")
            inbox.append(self.kit.received("report", verdict, self.n))
        if phase is not None:
            told = {"t_state_ns": self.kit.start_ns, **of_phase}
            inbox.insert(0, self.kit.received("phase", self.kit.phase(self.now_ns, phase, **told), self.n))
        out = self.controller.step(StepInput(self.n, self.now_ns, [*inbox, *more], not_alive or {}))
        assert [o.topic for o in out[:2]] == ["estimate", "request"]
        said, asked = out[0].message, out[1].message
        for more_ in out[2:]:
            assert isinstance(more_.message, Event)
            self.events.append(more_.message)
        assert isinstance(said, Estimate)
        assert isinstance(asked, StimRequest)
        assert said.step == asked.step == self.n
        assert said.t_ns == asked.t_ns == self.now_ns
        self.asked = asked
        return said, asked

    def live(self, seconds: float, **more: Any) -> tuple[Estimate, StimRequest]:
        for _ in range(round(seconds * 100)):
            last = self.step(**more)
        return last


def _ma(asked: StimRequest) -> float:
    return asked.channels[0].current_ma


def test_it_is_a_stepped_object_and_what_it_says_travels(kit: SimpleNamespace) -> None:
    loop = Loop(kit)
    assert isinstance(loop.controller, Stepped)
    assert loop.controller.name == "controller"
    assert loop.controller.subscriptions == ("emg/sim", "phase", "report", "pulse", "imu/sim")
    assert all(stream_of(topic) for topic in loop.controller.subscriptions)
    said, asked = loop.live(2.0)
    for out in (Outgoing("estimate", said), Outgoing("request", asked)):
        frames = encode(out.topic, out.message, session="s", publisher="controller", epoch=1, seq=0)
        assert decode(frames)[1].message == out.message
    assert _ma(asked) == 20.0
    assert asked.arm_id == "arm"
    assert asked.lease_ms == 100
    assert asked.channels[0].phase_us == 250.0
    assert asked.reason == "open loop: hold"
    assert [m.muscle for m in said.muscles] == ["agonist", "antagonist"]


def test_every_step_names_every_channel_also_at_zero_and_without_anything(kit: SimpleNamespace) -> None:
    loop = Loop(kit)
    said, asked = loop.step(blocks=0, phase=None)
    assert [c.channel for c in asked.channels] == ["ch1"]
    assert _ma(asked) == 0.0
    assert "no phase yet" in asked.reason
    assert all(not m.spasm.valid and not m.effort.valid and not m.fatigue.valid for m in said.muscles)
    assert all(m.level_uv is None for m in said.muscles)
    assert said.muscles[0].spasm.reason == "no EMG"


def test_the_first_request_after_arming_is_zero(kit: SimpleNamespace) -> None:
    loop = Loop(kit)
    loop.live(1.0, arm_id="")
    _, first = loop.step(arm_id="new")
    waiting = "zero until the gate has accepted a request of this arming"
    assert (_ma(first), first.arm_id, first.reason) == (0.0, "new", waiting)
    assert _ma(loop.step(arm_id="new")[1]) == 20.0
    assert _ma(loop.step(arm_id="other")[1]) == 0.0


def test_zero_is_asked_for_until_the_gate_has_accepted_one(kit: SimpleNamespace) -> None:
    loop = Loop(kit)
    loop.live(1.0, arm_id="")
    loop.answering = False
    # The first is lost; then the gate says why it takes none, or speaks of no request, or has not armed yet.
    told = [
        None,
        kit.verdict_of(None, loop.now_ns),
        kit.verdict_of(loop.asked, loop.now_ns, rule="request age"),
        kit.verdict_of(loop.asked, loop.now_ns, rule="arm id"),
        kit.verdict_of(loop.asked, loop.now_ns, rule="first request"),
        kit.verdict_of(loop.asked, loop.now_ns, state="READY"),
        kit.verdict_of(loop.asked, loop.now_ns, state="STOPPED"),
    ]
    for verdict in told:
        more = [] if verdict is None else [kit.received("report", verdict, loop.n)]
        assert _ma(loop.step(*more, arm_id="new")[1]) == 0.0
    accepted = kit.received("report", kit.verdict_of(loop.asked, loop.now_ns), loop.n)
    assert _ma(loop.step(accepted, arm_id="new")[1]) == 20.0
    assert _ma(loop.step(arm_id="new")[1]) == 20.0
    limited = kit.received("report", kit.verdict_of(loop.asked, loop.now_ns, rule="rise"), loop.n)
    assert _ma(loop.step(limited, arm_id="new")[1]) == 20.0


def test_a_gate_that_still_waits_for_the_first_request_gets_it(kit: SimpleNamespace) -> None:
    # A late word of the arming before was taken for this one's.
    loop = Loop(kit)
    assert _ma(loop.live(1.0)[1]) == 20.0
    loop.answering = False
    refused = kit.received("report", kit.verdict_of(loop.asked, loop.now_ns, rule="first request"), loop.n)
    assert _ma(loop.step(refused)[1]) == 0.0
    accepted = kit.received("report", kit.verdict_of(loop.asked, loop.now_ns), loop.n)
    assert _ma(loop.step(accepted)[1]) == 20.0


def test_what_the_gate_accepted_before_this_arming_is_not_of_this_arming(kit: SimpleNamespace) -> None:
    loop = Loop(kit)
    loop.live(1.0, arm_id="old")
    loop.answering = False
    late = kit.received("report", kit.verdict_of(loop.asked, loop.now_ns), loop.n)
    assert _ma(loop.step(late, arm_id="new")[1]) == 0.0
    assert _ma(loop.step(arm_id="new")[1]) == 0.0


@settings(deadline=None, max_examples=20)
@given(lost=st.lists(st.booleans(), max_size=30), late=st.lists(st.integers(0, 7), min_size=40, max_size=40))
def test_whatever_is_lost_or_late_after_arming_current_is_let_through_in_the_end(
    kit: SimpleNamespace, lost: list[bool], late: list[int]
) -> None:
    loop = Loop(kit)
    loop.live(0.2, arm_id="")
    loop.answering = False
    zero_seen = False
    reports: list[tuple[int, Any]] = []
    for n in range(200):
        due = [report for at, report in reports if at <= n]
        reports = [(at, report) for at, report in reports if at > n]
        asked = loop.step(*due, arm_id="new")[1]
        if n < len(lost) and lost[n]:
            continue
        # As the gate decides: nothing but zero before it has seen a zero.
        rule = "first request" if _ma(asked) > 0 and not zero_seen else ""
        zero_seen = zero_seen or not rule
        report = kit.received("report", kit.verdict_of(asked, loop.now_ns, rule=rule), loop.n)
        reports.append((n + 1 + late[n % len(late)], report))
    assert _ma(asked) == 20.0
    assert zero_seen


@pytest.mark.parametrize(
    ("of_phase", "why"),
    [
        ({"state": "paused"}, "protocol is paused"),
        ({"state": "waiting"}, "protocol is waiting"),
        ({"state": "ended"}, "protocol is ended"),
        ({"arm_id": ""}, "not armed"),
        ({"kind": "rest"}, "rest: no stimulation"),
    ],
)
def test_zero_where_the_protocol_does_not_run_a_block(kit: SimpleNamespace, of_phase: Any, why: str) -> None:
    loop = Loop(kit)
    assert _ma(loop.live(1.0)[1]) == 20.0
    asked = loop.step(**of_phase)[1]
    assert _ma(asked) == 0.0
    assert why in asked.reason


def test_zero_when_the_phase_is_older_than_300_ms(kit: SimpleNamespace) -> None:
    loop = Loop(kit)
    loop.live(1.0)
    currents = [_ma(loop.step(phase=None)[1]) for _ in range(35)]
    assert currents == [20.0] * 30 + [0.0] * 5


def test_calibration_is_exactly_the_target_in_the_hold_whatever_the_policy(kit: SimpleNamespace) -> None:
    for name in ("open_loop", "emg_trigger", "pi", "manual"):
        loop = Loop(kit, policy=name)
        loop.live(1.0, phase="rest", kind="calibration")
        targets = (kit.target(7.3),)
        assert _ma(loop.step(phase="hold", kind="calibration", targets=targets)[1]) == 7.3
        assert _ma(loop.step(phase="rest", kind="calibration", targets=targets)[1]) == 0.0
        hurt = (kit.target(math.nan),)
        assert _ma(loop.step(phase="hold", kind="calibration", targets=hurt)[1]) == 0.0


# EMG that does not come as it should


def test_several_blocks_in_one_step_are_what_they_are_one_by_one(kit: SimpleNamespace) -> None:
    one, many = Loop(kit), Loop(kit)
    one.live(2.0)
    for n in range(50):
        many.n = 4 * n + 3
        many.step(blocks=4)
    first = one.controller.state()["groups"]["emg/sim"]
    second = many.controller.state()["groups"]["emg/sim"]
    assert first["parts"]["rest"] == second["parts"]["rest"]
    assert first["parts"]["recent"] == second["parts"]["recent"]


def test_without_new_emg_requests_go_on_then_estimates_say_stale_and_current_is_zero(kit: SimpleNamespace) -> None:
    loop = Loop(kit)
    loop.live(1.0)
    told = [loop.step(blocks=0) for _ in range(40)]
    currents = [_ma(asked) for _, asked in told]
    assert currents[:10] == [20.0] * 10
    assert currents[-1] == 0.0
    assert currents.index(0.0) <= 13  # 100 ms and what artifact handling waits
    said, asked = told[-1]
    assert "bad signal: emg/sim is silent" in asked.reason
    assert "bad signal" in said.reflex
    assert said.muscles[0].spasm.reason == said.muscles[0].effort.reason == "no EMG"
    assert said.muscles[0].level_uv is None


def test_a_stream_that_is_not_alive_is_zero_at_once(kit: SimpleNamespace) -> None:
    loop = Loop(kit)
    assert _ma(loop.live(1.0)[1]) == 20.0
    asked = loop.step(not_alive={"emg/sim": "slow"})[1]
    assert (_ma(asked), "emg/sim is not alive (slow)" in asked.reason) == (0.0, True)
    assert _ma(loop.step(not_alive={"emg/other": "silent"})[1]) == 20.0


def test_it_tells_activity_and_threshold_of_the_muscle_whose_effort_is_waited_for(kit: SimpleNamespace) -> None:
    loop = Loop(kit, policy="emg_trigger")
    assert {muscle.threshold_uv for muscle in loop.live(0.1, kind="rest")[0].muscles} == {None}
    first, other = loop.live(2.0, phase="rest")[0].muscles
    # At rest it is under the threshold, which is at least twice what rest is.
    assert 0 < first.activity_uv < first.threshold_uv
    assert (other.activity_uv, other.threshold_uv) == (None, None)


def test_a_gap_makes_the_windows_it_touches_invalid(kit: SimpleNamespace) -> None:
    loop = Loop(kit, policy="emg_trigger")
    loop.live(2.0, phase="rest")
    loop.row += 400
    valid = []
    for _ in range(40):
        said, _ = loop.step(phase="rest")
        valid.append(said.muscles[0].effort.reason != "samples were lost within the window")
    # From when the hop that waits has left, for the 250 ms of the window.
    assert valid[:8] == [False] * 8 or valid[5:25] == [False] * 20
    assert valid.count(False) >= 24
    assert all(valid[30:])


def test_mostly_invalid_samples_are_a_bad_signal(kit: SimpleNamespace) -> None:
    loop = Loop(kit)
    loop.live(1.0)
    for _ in range(20):
        block = loop.block()
        mask = np.zeros((20, 2), dtype=bool)
        mask[:, 1] = True
        message = msgspec.structs.replace(block.message, invalid=np.packbits(mask).tobytes())
        asked = loop.step(kit.received("emg/sim", message, 1, block.array), blocks=0)[1]
    assert _ma(asked) == 0.0
    assert "emg/sim has more than 50 % invalid samples of antagonist" in asked.reason


def test_a_block_that_is_not_what_the_descriptor_says_is_not_used(kit: SimpleNamespace) -> None:
    loop = Loop(kit)
    loop.live(0.5)
    odd = kit.received("emg/sim", Samples(first_sample=loop.row, t_ns=loop.now_ns), 1, np.zeros((20, 3), dtype="<i2"))
    none = kit.received("emg/sim", Samples(first_sample=loop.row, t_ns=loop.now_ns), 1, None)
    said, _ = loop.step(odd, none, blocks=0)
    assert len(said.muscles) == 2


# policies that misbehave


class _Bad:
    """A policy of somebody else's."""

    answer: Any = None

    def __init__(self) -> None:
        self.resets = 0

    def decide(self, given: PolicyInput) -> Decision:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]

    def reset(self) -> None:
        self.resets += 1

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        pass


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (ZeroDivisionError("by nought"), "policy failed: ZeroDivisionError: by nought"),
        (None, "policy failed: AttributeError"),
        (Decision({"ch1": math.nan}), "policy refused: ch1 at nan mA"),
        (Decision({"ch1": math.inf}), "policy refused: ch1 at inf mA"),
        (Decision({"ch1": -1.0}), "policy refused: ch1 at -1.0 mA"),
        (Decision({"ch1": "10"}), "policy refused: ch1 at '10' mA"),  # type: ignore[dict-item]
        (Decision({"ch9": 1.0}), "policy refused: no channel is called 'ch9'"),
    ],
)
def test_a_policy_that_fails_is_zero_with_a_reason_and_the_controller_lives(
    kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, answer: Any, why: str
) -> None:
    loop = Loop(kit)
    bad = _Bad()
    bad.answer = answer
    loop.live(1.0)
    monkeypatch.setattr(loop.controller._policy, "_policy", bad)
    for _ in range(3):
        said, asked = loop.step()
        assert (_ma(asked), said.trigger) == (0.0, False)
        assert why in asked.reason
    # Told once, not at every step; who did it is named.
    (event,) = loop.events
    assert (event.kind, event.who, event.t_ns) == ("fault", "controller", loop.now_ns - 2 * kit.tick_ns)
    assert why.replace("policy", "policy 'open_loop'") in event.why
    bad.answer = Decision({"ch1": 12.0}, "fine")
    assert _ma(loop.step()[1]) == 12.0
    loop.step(state="paused")
    loop.step(state="paused")
    assert bad.resets == 1
    assert len(loop.events) == 1


class _Careless(_Bad):
    """Changes what it was only shown."""

    def decide(self, given: PolicyInput) -> Decision:
        given.estimates.clear()  # type: ignore[attr-defined]
        return Decision({"ch1": 12.0})


def test_a_policy_cannot_hide_a_spasm_from_the_reflex(kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop(kit)
    loop.live(1.0)
    monkeypatch.setattr(loop.controller._policy, "_policy", _Careless())
    said, asked = loop.step()
    assert len(said.muscles) == 2
    assert (_ma(asked), "policy failed: AttributeError" in asked.reason) == (0.0, True)


def test_what_a_policy_did_wrong_is_told_again_by_a_restored_controller_only_if_it_was_not_told(
    kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unsaved(_Bad):
        answer = Decision({"ch1": math.nan})

        def state(self) -> dict[str, Any]:
            return {"weights": {1, 2}}

    def again(state: dict[str, Any]) -> Loop:
        restored = Loop(kit)
        restored.controller = Controller(kit.settings(), json.loads(json.dumps(state, allow_nan=False)))
        monkeypatch.setattr(restored.controller._policy, "_policy", Unsaved())
        restored.n, restored.row, restored.asked = loop.n, loop.row, loop.asked
        restored.step()
        return restored

    loop = Loop(kit)
    loop.live(1.0)
    monkeypatch.setattr(loop.controller._policy, "_policy", Unsaved())
    before = again(loop.controller.state())
    assert [event.why.partition(":")[0] for event in before.events] == [
        "policy 'open_loop' failed",
        "policy 'open_loop' refused",
    ]
    loop.step()
    assert [event.why for event in loop.events] == [event.why for event in before.events]
    assert again(loop.controller.state()).events == []


# estimators that misbehave


def _break(loop: Loop, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let one of the estimators raise at every hop from now on."""

    def hear(heard: Any, situation: Any) -> None:
        raise ZeroDivisionError("by nought")

    (group,) = loop.controller._groups.values()
    (guard,) = [each for each in group._estimators if each._name == name]
    monkeypatch.setattr(guard._estimator, "hear", hear)


def test_without_an_estimate_of_spasms_nothing_is_asked_for_if_the_reflex_needs_it(
    kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Loop(kit)
    assert _ma(loop.live(1.0)[1]) == 20.0
    _break(loop, monkeypatch, "adaptive_burst")
    said, asked = loop.live(0.5)
    why = "estimator 'adaptive_burst' failed: hear: ZeroDivisionError: by nought"
    assert [(muscle.spasm.valid, muscle.spasm.reason) for muscle in said.muscles] == [(False, why)] * 2
    assert (_ma(asked), asked.reason) == (0.0, f"{why}: no spasm would be seen")
    assert [event.why for event in loop.events] == [why]
    # In a calibration too: there as well a spasm takes the current away.
    assert _ma(loop.step(kind="calibration", targets=(kit.target(7.3),))[1]) == 0.0


def test_without_an_estimate_of_spasms_that_no_reflex_needs_the_controller_goes_on(
    kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Loop(kit)
    loop.controller = Controller(kit.settings(reflex=ReflexSettings(spasm=SpasmReflex(enabled=False))))
    loop.live(1.0)
    _break(loop, monkeypatch, "adaptive_burst")
    said, asked = loop.live(0.5)
    assert not said.muscles[0].spasm.valid
    assert _ma(asked) == 20.0
    assert len(loop.events) == 1


def test_without_any_other_estimate_the_controller_goes_on(
    kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Loop(kit)
    loop.live(1.0)
    for name in ("effort", "contraction_spectrum", "mechanical_response"):
        _break(loop, monkeypatch, name)
    said, asked = loop.live(0.5)
    assert _ma(asked) == 20.0
    muscle = said.muscles[0]
    assert [muscle.effort.valid, muscle.fatigue.valid, muscle.response.valid] == [False] * 3
    assert muscle.effort.reason == "estimator 'effort' failed: hear: ZeroDivisionError: by nought"
    assert muscle.response.reason.startswith("estimator 'mechanical_response' failed")
    assert "failed" in muscle.fatigue.reason
    assert len(loop.events) == 3


THEIRS = """
from dataclasses import dataclass
from myoloop.controllers.policies.policy import Decision


@dataclass(frozen=True)
class Settings:
    current_ma: float = 3.0


class Steady:
    Settings = Settings

    def __init__(self, settings, channels):
        self.settings, self.channels = settings, channels

    def decide(self, given):
        return Decision(dict.fromkeys(self.channels, self.settings.current_ma), "steady")

    def reset(self):
        pass

    def state(self):
        return {}

    def restore(self, state):
        pass
"""


def test_a_policy_of_another_package_is_found_by_its_entry_point(
    kit: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "steady_lab.py").write_text(THEIRS)
    info = tmp_path / "steady_lab-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: steady-lab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[myoloop.policies]\nsteady = steady_lab:Steady\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    loop = Loop(kit)
    chosen = Choice(name="steady", settings={"current_ma": 4.5})
    loop.controller = Controller(ControllerSettings.from_json(_with_policy(kit, chosen)))
    assert _ma(loop.live(1.0)[1]) == 4.5
    with pytest.raises(PluginError, match="volts"):
        Controller(msgspec.structs.replace(kit.settings(), policy=Choice(name="steady", settings={"volts": 3})))


def _with_policy(kit: SimpleNamespace, chosen: Choice) -> str:
    return msgspec.structs.replace(kit.settings(), policy=chosen).to_json()


# reflexes in the loop


def test_a_spasm_stops_the_train_within_150_ms_and_it_comes_back(scene: Any) -> None:
    ran = scene(seed=8, policy="open_loop", seconds=16.0, spasms=((6.5, 0.6, 100.0, 1),), states=(
        ("cue", 0.5), ("ramp_up", 0.5), ("hold", 10.0), ("ramp_down", 0.5), ("rest", 1.0),
    )).run()  # fmt: skip
    current = {round(t, 2): asked.channels[0].current_ma for t, _, _, asked in ran.steps}
    assert current[6.45] == pytest.approx(20.0)
    assert current[6.65] == 0.0
    assert current[7.9] == 0.0
    assert current[10.0] == pytest.approx(20.0)
    assert any(said.reflex == "STOP: spasm of antagonist" for _, _, said, _ in ran.steps)


def test_a_whole_emg_triggered_session_tires_and_is_estimated_so(scene: Any) -> None:
    ran = scene(seed=1, seconds=64.0, fatigue_per_s=0.012, states=(
        ("cue", 0.5), ("await_effort", 3.0), ("ramp_up", 0.5), ("hold", 2.0), ("ramp_down", 0.5), ("rest", 2.0),
    )).run()  # fmt: skip
    said, truth = ran.steps[-1][2].muscles[0], ran.truth[-1]
    assert truth > 0.35
    assert said.fatigue.valid
    assert said.fatigue.value == pytest.approx(truth, abs=0.15)
    assert ran.steps[-1][3].channels[0].current_ma <= 20.0
    peaks = [asked.channels[0].current_ma for _, state, _, asked in ran.steps if state == "hold"]
    assert max(peaks[:200]) == pytest.approx(20.0)
    assert max(peaks[-200:]) < 19.0


# state


def _scene_bytes(scene: Any, cut: int | None, policy: str) -> list[bytes]:
    def again(n: int, controller: Controller) -> Controller:
        if n != cut:
            return controller
        text = json.dumps(controller.state(), allow_nan=False)
        return Controller(ControllerSettings.from_json(controller.settings.to_json()), json.loads(text))

    ran = scene(seed=2, policy=policy, seconds=9.0, spasms=((2.5, 0.5, 90.0, 1), (7.0, 0.4, 90.0, 1))).run(again)
    return [msgspec.json.encode(said) + msgspec.json.encode(asked) for _, _, said, asked in ran.steps]


@pytest.fixture(scope="module")
def straight() -> dict[str, list[bytes]]:
    return {}


@settings(deadline=None, max_examples=8)
@given(cut=st.integers(1, 900), policy=st.sampled_from(["emg_trigger", "open_loop"]))
def test_saved_and_restored_anywhere_it_goes_on_bit_for_bit(
    scene: Any, straight: dict[str, list[bytes]], cut: int, policy: str
) -> None:
    if policy not in straight:
        straight[policy] = _scene_bytes(scene, None, policy)
    assert _scene_bytes(scene, cut, policy) == straight[policy]


def test_a_state_of_another_controller_is_refused(kit: SimpleNamespace) -> None:
    state = Controller(kit.settings()).state()
    other = kit.settings(
        emg=(EmgSource(descriptor=kit.descriptor(topic="emg/else")),),
        muscles=(MuscleInput(muscle="agonist", topic="emg/else", column=0),),
    )
    with pytest.raises(StateError, match="emg/else"):
        Controller(other, state)
    with pytest.raises(StateError, match="version 7"):
        Controller(kit.settings(), {**state, "version": 7})
    with pytest.raises(StateError):
        Controller(kit.settings(), {"version": 1})


def test_the_state_it_starts_from_fits_into_a_message_by_far(kit: SimpleNamespace) -> None:
    wide = kit.settings(
        emg=(EmgSource(descriptor=kit.descriptor(channels=16)),),
        muscles=tuple(
            MuscleInput(muscle="agonist" if i == 0 else f"m{i}", topic="emg/sim", column=i) for i in range(16)
        ),
    )
    assert len(json.dumps(Controller(wide).state(), allow_nan=False)) < 50_000


# settings


def test_settings_are_json_and_refuse_what_does_not_fit_by_name(kit: SimpleNamespace) -> None:
    made = kit.settings("emg_trigger")
    assert ControllerSettings.from_json(made.to_json()) == made
    with pytest.raises(ValueError, match="lease"):
        ControllerSettings.from_json(made.to_json().replace('"lease_ms"', '"lease_s"'))
    with pytest.raises(ValueError, match="lease_ms is 500, allowed is 1 to 120"):
        kit.settings(lease_ms=500)
    with pytest.raises(ValueError, match="effort is asked of neck"):
        kit.settings(effort_muscles=("neck",))
    with pytest.raises(ValueError, match="drives neck"):
        kit.settings(stim=(StimOutput(channel="ch1", phase_us=250.0, rate_hz=35.0, muscle="neck"),))
    with pytest.raises(ValueError, match="emg/other, which is not an EMG source"):
        kit.settings(muscles=(MuscleInput(muscle="agonist", topic="emg/other", column=0),))
    with pytest.raises(ValueError, match="more than once: ch1"):
        kit.settings(stim=(made.stim[0], made.stim[0]))
    with pytest.raises(PluginError, match="contraction_spektrum"):
        Controller(kit.settings(estimators=(Choice(name="contraction_spektrum"),)))


def test_a_spasm_reflex_that_could_never_act_is_refused(kit: SimpleNamespace) -> None:
    off = ReflexSettings(spasm=SpasmReflex(enabled=False))
    with pytest.raises(ValueError, match=r"reflex\.spasm\.muscles names bicep, .* agonist, antag"):
        kit.settings(reflex=ReflexSettings(spasm=SpasmReflex(muscles=("agonist", "bicep"))))
    for estimators, found in (((), "none"), ((Choice(name="mwave"), Choice(name="effort")), "mwave, effort")):
        with pytest.raises(ValueError, match=rf"reflex\.spasm\.enabled is true .*\({found}\) tells spasm"):
            kit.settings(estimators=estimators)
        assert kit.settings(estimators=estimators, reflex=off).estimators == estimators
    # What an estimator of another package tells is not known before it is made.
    assert kit.settings(estimators=(Choice(name="of_another_package"),)).reflex.spasm.enabled


@pytest.mark.prove
def test_eight_channels_with_all_estimators_take_at_most_250_us(kit: SimpleNamespace) -> None:
    controller = Controller(
        kit.settings(
            "emg_trigger",
            emg=(EmgSource(descriptor=kit.descriptor(channels=8)),),
            muscles=tuple(
                MuscleInput(muscle="agonist" if i == 0 else f"m{i}", topic="emg/sim", column=i) for i in range(8)
            ),
        )
    )
    rng = np.random.default_rng(1)
    spent = []
    for n in range(1, 3001):
        now_ns = kit.start_ns + n * kit.tick_ns
        level = 100 if n % 800 > 400 else 5
        block = np.round(level * rng.standard_normal((20, 8))).astype("<i2")
        state = "hold" if n % 800 > 400 else "rest"
        inbox = [kit.received("emg/sim", Samples(first_sample=20 * (n - 1), t_ns=now_ns), n, block)]
        if n % 10 == 1:
            inbox.append(kit.received("phase", kit.phase(now_ns, state)))
        given_ = StepInput(n, now_ns, inbox)
        begin = time.perf_counter()
        controller.step(given_)
        spent.append(time.perf_counter() - begin)
    assert np.median(spent) <= 250e-6

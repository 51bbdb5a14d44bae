"""Sessions of nonsense: policy, reflexes and gate under random phases, measurements, estimates and settings.

What is looked for is a limit that was not kept: a policy's wish above what its target allows, current that the reflexes
added, current at the gate above the request, the participant's limit, the charge or the r.m.s. limit, and anything that
is no number.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from myoloop.controllers.choice import Choice
from myoloop.controllers.parts import Faults
from myoloop.controllers.policies.guarded import GuardedPolicy
from myoloop.controllers.policies.policy import Activity, PolicyInput, make_policy
from myoloop.controllers.reflex import FatigueReflex, Reflex, ReflexSettings, ReplanReflex, SpasmReflex, Wish
from myoloop.platform.messages import (
    ChannelSetting,
    Dose,
    Measure,
    MotionEstimate,
    MuscleEstimate,
    Phase,
    StimReport,
    Target,
)
from myoloop.stimulators import gate

STEPS = 300
STEP_NS = 10_000_000
CHANNELS = ("left", "right")
_STATES = ("idle", "cue", "await_effort", "ramp_up", "ramp_up", "hold", "hold", "hold", "ramp_down", "rest")
_ODD = (math.nan, math.inf, -math.inf, -5.0, 0.0, 1e300, 1e-300)
_WATCHED = ("controller",)
_ENVELOPE = gate.Envelope(
    session="bench", subject="P001", waveform_class="nmes",
    channels=(gate.ChannelLimits("left", 0, 25.0, 40.0), gate.ChannelLimits("right", 1, 18.0, 30.0)),
    phase_us=(100.0, 400.0), rate_hz=(2.0, 80.0), charge_per_phase_uc=12.0, rms_ma=10.0, rms_density_ma_cm2=1.0,
    power_density_w_cm2=0.1, channels_max=2, on_s_max=6.0, duty_max=0.4, session_on_s_max=400.0,
    session_charge_mc_max=1000.0, day_charge_mc_max=2000.0, course_charge_mc_max=20000.0, step_ma=1.0,
    new_ground_ma_per_s=5.0, known_ground_ramp_s_min=0.1, current_ma_calibrating=60.0, required_vitals=("vital/emg",),
    sensor_age_ms=100.0, ramp_down_s=0.5,
)  # fmt: skip
_SETTINGS = gate.GateSettings(
    session="bench", subject="P001", rig_class="SIM", watched=_WATCHED,
    device=gate.DeviceLimits(4, 100.0, 0.5, (20.0, 1000.0), (0.5, 200.0)),
)  # fmt: skip
POLICIES = (
    "open_loop", "manual", "emg_trigger", "pi", "inverse_recruitment", "adaptive_gain", "iterative_learning",
    "emg_proportional",
)  # fmt: skip


def session(seed: int) -> list[str]:
    """Live through one session; every limit that was not kept, in words."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x66757A7A, seed))))
    name = POLICIES[seed % len(POLICIES)]
    settings = _settings(name, rng)
    faults = Faults()
    policy = GuardedPolicy(make_policy(Choice(name=name, settings=settings), CHANNELS), name, CHANNELS, faults)
    reflex = Reflex(_reflexes(rng), {"left": "agonist", "right": ""})
    gated = _Gate(rng)
    over = 1.0 + float(settings.get("correction_max", 0.0)) if name == "pi" else 1.0
    found: list[str] = []
    phase, report, since_ns = None, None, 0
    for step in range(STEPS):
        now_ns = 1_000_000_000 + step * STEP_NS
        if phase is None or rng.random() < 0.02:
            since_ns = now_ns
            phase = _phase(rng, now_ns)
        phase = replace_phase(phase, now_ns, since_ns)
        given = PolicyInput(
            now_ns, phase, _estimates(rng), {"agonist": _activity(rng)}, report, _motion(rng), _force(rng),
            reflex.set_point_share, reflex.let_through,
        )  # fmt: skip
        decision = policy.decide(given)
        most = {target.channel: target.current_ma for target in phase.targets}
        for channel, current_ma in decision.current_ma.items():
            if not 0.0 <= current_ma <= over * most.get(channel, 0.0) + 1e-9:
                found.append(f"{name}: {channel} at {current_ma!r} mA, target {most.get(channel)!r}")
        wish = Wish(
            now_ns, dict(decision.current_ma), given.estimates, "lost" if rng.random() < 0.005 else "", phase.index,
            rng.random() > 0.02, phase.trial_state, (phase.block, phase.trial), decision.saturated, decision.held,
            bool(rng.random() < 0.3),
        )  # fmt: skip
        left, _ = reflex.apply(wish)
        for channel, current_ma in left.items():
            if not 0.0 <= current_ma <= wish.current_ma[channel]:
                found.append(f"reflex: {channel} at {current_ma!r} mA of {wish.current_ma[channel]!r}")
        asked = tuple(gate.Setting(channel, ma, 250.0, 35.0) for channel, ma in left.items())
        verdict = gated.step(now_ns, asked)
        found += _broken(verdict)
        report = _report(step, now_ns, verdict)
        if rng.random() < 0.01:
            policy.reset()
    return found


class _Gate:
    """A gate that is armed, in a world that is mostly well."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._state = gate.GateState()
        self._nonces = 0
        now_ns = 999_000_000 - 100 * STEP_NS
        for kind, role, arguments in (
            ("", "", {}),
            ("set_envelope", "director", asdict(_ENVELOPE)),
            ("confirm", "operator", {"envelope_sha256": _ENVELOPE.sha256}),
            ("arm", "operator", {"mode": "normal", "session": "bench", "envelope_sha256": _ENVELOPE.sha256}),
        ):
            now_ns += STEP_NS
            self._nonces += 1
            acts = [gate.Act(f"id-{self._nonces}", kind, role, arguments, False, f"n-{self._nonces}")] if kind else []
            self._step(now_ns, None, acts)
        if self._state.arming is None:
            raise RuntimeError("the benchmark's gate could not be armed")
        while now_ns < 999_000_000 - STEP_NS:
            now_ns += STEP_NS
            self._step(
                now_ns, self._request(now_ns, tuple(gate.Setting(name, 0.0, 250.0, 35.0) for name in CHANNELS)), []
            )

    def step(self, now_ns: int, asked: tuple[gate.Setting, ...]) -> gate.Verdict:
        return self._step(now_ns, None if self._rng.random() < 0.02 else self._request(now_ns, asked), [])

    def _request(self, now_ns: int, asked: tuple[gate.Setting, ...]) -> gate.Request:
        arm_id = self._state.arming.arm_id if self._state.arming is not None else "none"
        return gate.Request(now_ns - 2_000_000, arm_id, 100, asked)

    def _step(self, now_ns: int, request: gate.Request | None, acts: list[gate.Act]) -> gate.Verdict:
        evidence = gate.Evidence(
            vitals={"vital/emg": gate.VitalSign(now_ns, True)}, peers=dict.fromkeys(_WATCHED, now_ns),
            ended_peers=frozenset(), phase_ns=now_ns, phase_running=True,
            device=gate.DeviceEvidence(True, True, None, ()), slept_ns=0, faults=(),
        )  # fmt: skip
        self._state, verdict = gate.step(self._state, _SETTINGS, evidence, request, acts, [], now_ns)
        return verdict


def _broken(verdict: gate.Verdict) -> list[str]:
    found = []
    for setting in verdict.allowed:
        ma, width_s = setting.current_ma, setting.phase_us * 1e-6
        limits = next(item for item in _ENVELOPE.channels if item.channel == setting.channel)
        rms_ma = ma * math.sqrt(2.0 * width_s * setting.rate_hz)
        if not (math.isfinite(ma) and 0.0 <= ma <= limits.current_max_ma + 1e-9):
            found.append(f"gate: {setting.channel} at {ma!r} mA, limit {limits.current_max_ma}")
        if ma * 1e-3 * setting.phase_us > _ENVELOPE.charge_per_phase_uc + 1e-9 or rms_ma > _ENVELOPE.rms_ma + 1e-9:
            found.append(f"gate: {setting.channel} at {ma!r} mA is over the limit of charge or r.m.s.")
    asked = {setting.channel: setting.current_ma for setting in verdict.requested}
    for setting in verdict.allowed:
        if setting.current_ma > asked.get(setting.channel, 0.0) + 1e-9:
            found.append(f"gate: {setting.channel} at {setting.current_ma!r} of {asked.get(setting.channel)!r} mA")
    return found


def _settings(name: str, rng: np.random.Generator) -> dict[str, Any]:
    quantity = str(rng.choice(["force", "angle", "effort", "response", "level_uv"]))
    setpoint = float(rng.uniform(0.1, 60.0))
    keep = {"muscle": "agonist", "quantity": quantity, "setpoint": setpoint}
    if name == "emg_trigger":
        return {"muscle": "agonist"}
    if name == "emg_proportional":
        return {
            "muscle": "agonist", "full_uv": float(rng.uniform(5, 400)), "gain": float(rng.uniform(0.1, 10.0)),
            "rise_s": float(rng.choice([0.0, 0.3])), "artifact_uv_per_ma": float(rng.uniform(0, 5)),
        }  # fmt: skip
    if name == "pi":
        return {
            **keep, "proportional": float(rng.uniform(0, 5)), "integral_per_s": float(rng.uniform(0, 20)),
            "correction_max": float(rng.uniform(0, 1)),
        }  # fmt: skip
    if name in ("inverse_recruitment", "adaptive_gain", "iterative_learning"):
        median = float(rng.uniform(5, 60))
        return {
            **keep, "full_response": setpoint * float(rng.uniform(1.0, 10.0)),
            "recruitment_median_ma": median, "recruitment_spread": float(rng.uniform(0.05, 1.5)),
            "threshold_ma": float(rng.uniform(0, 0.9)) * median, "proportional": float(rng.uniform(0, 5)),
            "integral_per_s": float(rng.uniform(0, 20)), "correction_max": float(rng.uniform(0, 10)),
            "when_lost": str(rng.choice(["feed_forward", "zero"])), "channel": str(rng.choice(["", "left"])),
        }  # fmt: skip
    return {}


def _reflexes(rng: np.random.Generator) -> ReflexSettings:
    return ReflexSettings(
        spasm=SpasmReflex(hold_off_s=float(rng.uniform(0, 0.5)), resume_s=float(rng.choice([0.0, 0.2]))),
        fatigue=FatigueReflex(rest_at=0.5, work_s=0.3, rest_s=0.3, change_per_s=float(rng.uniform(0.1, 5.0))),
        replan=ReplanReflex(enabled=True, trials=1, window_s=0.3, rest_s=float(rng.choice([0.0, 0.2]))),
    )


def _number(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.choice(_ODD)) if rng.random() < 0.1 else float(rng.uniform(low, high))


def _measure(rng: np.random.Generator) -> Measure:
    if rng.random() < 0.2:
        return Measure()
    return Measure(value=None if rng.random() < 0.05 else _number(rng, 0.0, 1.0), valid=True, reason="")


def _estimates(rng: np.random.Generator) -> dict[str, MuscleEstimate]:
    if rng.random() < 0.05:
        return {}
    spasm = Measure(value=float(rng.random() < 0.004), valid=bool(rng.random() < 0.9), reason="")
    return {
        "agonist": MuscleEstimate(
            muscle="agonist", level_uv=_number(rng, 0.0, 300.0), fatigue=_measure(rng), spasm=spasm,
            effort=_measure(rng), response=_measure(rng),
        )
    }  # fmt: skip


def _activity(rng: np.random.Generator) -> Activity:
    return Activity(_number(rng, 0.0, 300.0), _number(rng, 1.0, 10.0), _number(rng, 0.0, 0.5), bool(rng.random() < 0.9))


def _motion(rng: np.random.Generator) -> MotionEstimate | None:
    return MotionEstimate(angle_rad=_measure(rng)) if rng.random() < 0.8 else None


def _force(rng: np.random.Generator) -> float | None:
    return _number(rng, -5.0, 120.0) if rng.random() < 0.9 else None


def _phase(rng: np.random.Generator, now_ns: int) -> Phase:
    targets = tuple(
        Target(
            channel=channel, current_ma=float(rng.uniform(0.0, 60.0)), phase_us=250.0, rate_hz=35.0,
            ramp_up_s=float(rng.choice([0.0, 0.2, 1.0])), ramp_down_s=float(rng.choice([0.0, 0.2, 1.0])),
        )
        for channel in CHANNELS[: int(rng.choice([0, 1, 2, 2, 2]))]
    )  # fmt: skip
    return Phase(
        t_ns=now_ns, session="bench", state="running", kind="block", machine="cyclic", index=int(rng.integers(1, 3)),
        block=int(rng.integers(1, 3)), trial=int(rng.integers(1, 4)), trials=3,
        trial_state=_STATES[int(rng.integers(len(_STATES)))], t_state_ns=now_ns, state_s=float(rng.choice([0.0, 0.5])),
        arm_id="arm", targets=targets, level=float(rng.uniform(-1, 2)),
    )  # fmt: skip


def replace_phase(phase: Phase, now_ns: int, since_ns: int) -> Phase:
    """The same phase, told again now."""
    import msgspec

    return msgspec.structs.replace(phase, t_ns=now_ns, t_state_ns=since_ns)


def _report(step: int, now_ns: int, verdict: gate.Verdict) -> StimReport:
    def told(settings: tuple[gate.Setting, ...]) -> tuple[ChannelSetting, ...]:
        return tuple(
            ChannelSetting(channel=s.channel, current_ma=s.current_ma, phase_us=s.phase_us, rate_hz=s.rate_hz)
            for s in settings
        )

    allowed = told(verdict.allowed)
    return StimReport(
        step=step, t_ns=now_ns, state="STIMULATING", request=("controller", 1, step), requested=told(verdict.requested),
        allowed=allowed, acknowledged=allowed, rule=verdict.rule, reasons=verdict.reasons, dose=Dose(),
    )  # fmt: skip

"""The way of a request to the person: the real gate, armed, and the device behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace

from myoloop.experiments.training.cases import Case
from myoloop.experiments.training.task import Task
from myoloop.platform.errors import UserError
from myoloop.stimulators import gate
from myoloop.stimulators.emulators.ledger import Pulse
from myoloop.stimulators.gate.rise import Ground

CHANNEL = "stim"
STEP_NS = 10_000_000
LEASE_MS = 100
_SESSION = "training"
_PEER, _VITAL = "controller", "vital/emg"


class EnvelopeTooWide(UserError, ValueError):
    """A task whose limits the gate refuses."""


def envelope_of(case: Case, task: Task) -> gate.Envelope:
    """The participant's envelope: the task's limits, and no more current than they tolerate."""
    limits, stim = task.envelope, task.stimulation
    step_ma = limits.current_step_ma
    most_ma = min(limits.tolerance_share * case.most_ma, limits.current_max_ma)
    most_ma = math.floor(most_ma / step_ma * (1.0 + 1e-12)) * step_ma
    rate_hz = (2.0, max(80.0, stim.rate_hz))
    session_mc = limits.session_charge_mc_max
    if session_mc is None:
        # All that the other limits let through, as for a protocol that says nothing.
        session_mc = limits.charge_per_phase_uc * 1e-3 * rate_hz[1] * limits.session_s
    return gate.Envelope(
        session=_SESSION,
        subject=_subject(case),
        waveform_class="nmes",
        channels=(gate.ChannelLimits(CHANNEL, 0, limits.pad_area_cm2, most_ma),),
        phase_us=(min(100.0, stim.phase_us), max(400.0, stim.phase_us)),
        rate_hz=rate_hz,
        charge_per_phase_uc=limits.charge_per_phase_uc,
        rms_ma=limits.rms_ma,
        rms_density_ma_cm2=limits.rms_density_ma_cm2,
        power_density_w_cm2=limits.power_density_w_cm2,
        channels_max=1,
        on_s_max=limits.on_s_max,
        duty_max=limits.duty_max,
        session_on_s_max=limits.session_s,
        session_charge_mc_max=session_mc,
        day_charge_mc_max=session_mc,
        course_charge_mc_max=session_mc,
        step_ma=limits.step_ma,
        new_ground_ma_per_s=limits.new_ground_ma_per_s,
        known_ground_ramp_s_min=limits.known_ground_ramp_s_min,
        current_ma_calibrating=most_ma,
        required_vitals=(_VITAL,),
        sensor_age_ms=100.0,
        ramp_down_s=0.5,
    )


class Armed:
    """A gate that has been armed for one person, in a world that is well: peers live, samples come, a device obeys.

    What the calibration had is known ground, as it is in a session that calibrated before.

    Parameters
    ----------
    start_ns
        The steps that arm it end here.

    Raises
    ------
    EnvelopeTooWide
        If the gate refuses the task's envelope.
    """

    def __init__(self, case: Case, task: Task, start_ns: int) -> None:
        self.envelope = envelope = envelope_of(case, task)
        limits = task.envelope
        self._settings = gate.GateSettings(
            session=_SESSION, subject=envelope.subject, rig_class="SIM", watched=(_PEER,),
            device=gate.DeviceLimits(1, limits.current_max_ma, limits.current_step_ma, (20.0, 1000.0), (0.5, 200.0)),
        )  # fmt: skip
        self._state = gate.GateState()
        self._phase_us, self._rate_hz = task.stimulation.phase_us, task.stimulation.rate_hz
        approved = {"envelope_sha256": envelope.sha256}
        now_ns = start_ns - 5 * STEP_NS
        acts: tuple[tuple[str, str, Mapping[str, object]], ...] = (
            ("", "", {}),
            ("set_envelope", "director", asdict(envelope)),
            ("confirm", "operator", approved),
            ("arm", "operator", {"mode": "normal", "session": _SESSION, **approved}),
        )
        for kind, role, arguments in acts:
            now_ns += STEP_NS
            doing = [gate.Act(kind, kind, role, arguments, False, f"n-{kind}")] if kind else []
            self._state, verdict = gate.step(self._state, self._settings, healthy(now_ns), None, doing, [], now_ns)
            for reply in verdict.replies:
                if not reply.ok:
                    raise EnvelopeTooWide(f"task {task.name}: {reply.reason}")
        arming = self._state.arming
        if arming is None:
            raise EnvelopeTooWide(f"task {task.name}: the gate could not be armed")
        self.arm_id = arming.arm_id
        most_ma = envelope.channels[0].current_max_ma
        self._state = replace(self._state, ground={CHANNEL: Ground(had=((most_ma, self._phase_us),))})
        self.step(self.request(now_ns, 0.0), healthy(start_ns), start_ns)

    @property
    def state(self) -> gate.GateState:
        """As the last step left it."""
        return self._state

    def request(self, t_ns: int, current_ma: float) -> gate.Request:
        """A request made at `t_ns`; whatever number it is."""
        setting = gate.Setting(CHANNEL, current_ma, self._phase_us, self._rate_hz)
        return gate.Request(t_ns, self.arm_id, LEASE_MS, (setting,))

    def step(self, request: gate.Request | None, evidence: gate.Evidence, now_ns: int) -> gate.Verdict:
        """Let the gate decide."""
        self._state, verdict = gate.step(self._state, self._settings, evidence, request, (), (), now_ns)
        return verdict


def healthy(now_ns: int) -> gate.Evidence:
    """Evidence of a world that is well."""
    return gate.Evidence(
        vitals={_VITAL: gate.VitalSign(now_ns, True)}, peers={_PEER: now_ns}, ended_peers=frozenset(),
        phase_ns=now_ns, phase_running=True, device=gate.DeviceEvidence(True, True, None, ()), slept_ns=0,
    )  # fmt: skip


class Device:
    """Pulses of the simulated stimulator's one output.

    An output that was at zero gives its first pulse at once, unless its last one was less than a period ago; while it
    is on, new current and width hold from the next pulse on.
    """

    def __init__(self) -> None:
        self._setting: gate.Setting | None = None
        self._due_ns = 0
        self._last_ns: int | None = None

    def step(self, allowed: tuple[gate.Setting, ...], heard_ns: int, end_ns: int) -> list[Pulse]:
        """Pulses since the last step to before `end_ns`, where `allowed` reaches the device at `heard_ns`."""
        if self._setting is None and not allowed:
            return []
        pulses: list[Pulse] = []
        self._run(heard_ns, pulses)
        setting = allowed[0] if allowed else None
        if setting is not None and self._setting is None:
            ready_ns = heard_ns if self._last_ns is None else self._last_ns + _period_ns(setting)
            self._due_ns = max(heard_ns, ready_ns)
        self._setting = setting
        self._run(end_ns, pulses)
        return pulses

    def _run(self, until_ns: int, pulses: list[Pulse]) -> None:
        setting = self._setting
        if setting is None:
            return
        while self._due_ns < until_ns:
            pulses.append(Pulse(self._due_ns, 0, setting.current_ma, setting.phase_us))
            self._last_ns = self._due_ns
            self._due_ns += _period_ns(setting)


def _period_ns(setting: gate.Setting) -> int:
    return round(1e9 / setting.rate_hz)


def _subject(case: Case) -> str:
    return f"V{case.seed}"

"""The gate among messages: collects its own evidence, lets the gate decide, and says what came of it.

A pure object (``Stepped``): everything it knows has come as a message, the device's own words included, so that a
replay has all of it. What the device must be sent stands in :attr:`Stimulator.order` after each step; the node's shell
does the writing.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isclose
from typing import Any

from myoloop.platform.messages import (
    Answer,
    ChannelSetting,
    ClockSample,
    Command,
    DeviceReport,
    Dose,
    Event,
    Heartbeat,
    Message,
    Phase,
    StimReport,
    StimRequest,
    Stop,
    Vital,
)
from myoloop.platform.steps import Outgoing, Received, StepInput
from myoloop.stimulators import gate

#: A vital stream is at its rate within this share of it.
RATE_TOLERANCE = 0.1
#: Commands still waiting for an acknowledgement that are remembered, to compare it with.
REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class VitalSource:
    """A vital stream the gate listens to: which channels of it matter, and its nominal rate."""

    topic: str
    rate_hz: float
    channels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StimulatorSettings:
    """Everything a stimulator object is built from; JSON-ready.

    Attributes
    ----------
    watched
        Names of the nodes whose heartbeat must be heard.
    prior_day_charge_mc, prior_course_charge_mc
        What other sessions gave, from the person's dose ledger.
    prior_session
        What this very session has given already, where it was begun before: charge in mC, time with current in s,
        pulses.
    """

    session: str
    subject: str
    rig_class: str
    watched: tuple[str, ...]
    vitals: tuple[VitalSource, ...]
    outputs: int
    current_max_ma: float
    current_step_ma: float
    phase_us: tuple[float, float]
    rate_hz: tuple[float, float]
    prior_day_charge_mc: float = 0.0
    prior_course_charge_mc: float = 0.0
    prior_session: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class DeviceOrder:
    """What the shell must do with the device after a step: stop first, then write."""

    stop: bool = False
    write: bool = False
    settings: tuple[ChannelSetting, ...] = ()
    calibrating: bool = False


@dataclass(slots=True)
class _Heard:
    """Evidence as it accumulates from messages."""

    vitals: dict[str, gate.VitalSign] = field(default_factory=dict)
    peers: dict[str, int] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    phase_ns: int | None = None
    phase_running: bool = False
    connected: bool = False
    oldest_unacknowledged_ns: int | None = None
    device_faults: tuple[str, ...] = ()
    acknowledged: tuple[ChannelSetting, ...] = ()
    boot_minus_monotonic_ns: int | None = None
    slept_ns: int = 0


class Stimulator:
    """Gate, evidence and report.

    Parameters
    ----------
    settings
        Constant for a session.
    """

    name = "stimulator"

    def __init__(self, settings: StimulatorSettings) -> None:
        self.settings = settings
        self.order = DeviceOrder()
        self._gate_settings = gate.GateSettings(
            session=settings.session,
            subject=settings.subject,
            rig_class=settings.rig_class,
            watched=settings.watched,
            device=gate.DeviceLimits(
                settings.outputs,
                settings.current_max_ma,
                settings.current_step_ma,
                settings.phase_us,
                settings.rate_hz,
            ),
            prior=gate.PriorDose(
                settings.prior_day_charge_mc,
                settings.prior_course_charge_mc,
                gate.DoseTotals(*settings.prior_session),
            ),
        )
        self._vital_sources = {source.topic: source for source in settings.vitals}
        self._state = gate.GateState()
        self._heard = _Heard()
        self._written = 0
        self._commanded: deque[tuple[int, tuple[ChannelSetting, ...]]] = deque(maxlen=REMEMBERED)
        self._disagreement = ""
        self._hashed: tuple[gate.Envelope, str] | None = None

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Vital signs, heartbeats of the watched, the phase and the request."""
        beats = tuple(f"heartbeat/{name}" for name in self.settings.watched)
        return (*self._vital_sources, "phase", "request", *beats)

    @property
    def gate_state(self) -> gate.GateState:
        """What the gate remembers (for the ledger and the live view)."""
        return self._state

    @property
    def device_limits(self) -> gate.DeviceLimits:
        """What the device can do, as the gate sees it."""
        return self._gate_settings.device

    def state(self) -> dict[str, Any]:
        """A stimulator always starts as one that knows nothing; there is no other state to restore."""
        return {}

    def step(self, given: StepInput) -> list[Outgoing]:
        """Let the gate take one step."""
        now_ns = given.now_ns
        request: StimRequest | None = None
        request_reference: tuple[str, int, int] | None = None
        acts: list[gate.Act] = []
        stops: list[str] = []
        for received in given.received:
            message = received.message
            if isinstance(message, StimRequest):
                # Only the newest counts; a request is a whole wish, never a change to an earlier one.
                request, request_reference = message, (received.publisher, received.epoch, received.seq)
            elif isinstance(message, Stop):
                stops.append(f"{message.why} ({message.who})")
            elif isinstance(message, Command):
                acts.append(_act(message))
            else:
                self._take_evidence(message, received)
        before = self._state
        self._state, verdict = gate.step(
            before, self._gate_settings, self._evidence(), _request(request), acts, stops, now_ns
        )
        self._order(verdict)
        report = self._report(given, verdict, request_reference)
        answers = [Outgoing("answer", _answer(reply, now_ns)) for reply in verdict.replies]
        return [Outgoing("report", report), *answers, *self._events(before, acts, verdict, now_ns)]

    # -- evidence ----------------------------------------------------------------------------------------------

    def _take_evidence(self, message: Message, received: Received) -> None:
        heard = self._heard
        if isinstance(message, Vital):
            self._take_vital(message, received.topic)
        elif isinstance(message, Heartbeat):
            heard.peers[received.publisher] = message.t_ns
            if message.state == "ended":
                heard.ended.add(received.publisher)
            else:
                heard.ended.discard(received.publisher)
        elif isinstance(message, Phase):
            heard.phase_ns, heard.phase_running = message.t_ns, message.state == "running"
        elif isinstance(message, DeviceReport):
            self._take_device(message)
        elif isinstance(message, ClockSample):
            difference_ns = message.boottime_ns - message.t_ns
            if heard.boot_minus_monotonic_ns is None:
                heard.boot_minus_monotonic_ns = difference_ns
            heard.slept_ns = difference_ns - heard.boot_minus_monotonic_ns

    def _take_vital(self, vital: Vital, topic: str) -> None:
        source = self._vital_sources.get(topic)
        if source is None:
            return
        previous = self._heard.vitals.get(topic)
        shares = [vital.valid_share[index] for index in source.channels if index < len(vital.valid_share)]
        good = len(shares) == len(source.channels) and all(share >= 0.5 for share in shares)
        good_ns = vital.t_ns if good else previous.good_ns if previous is not None else None
        at_rate = vital.rate_hz is not None and abs(vital.rate_hz - source.rate_hz) <= RATE_TOLERANCE * source.rate_hz
        self._heard.vitals[topic] = gate.VitalSign(good_ns, at_rate)

    def _take_device(self, report: DeviceReport) -> None:
        heard = self._heard
        heard.connected = report.connected
        heard.oldest_unacknowledged_ns = report.oldest_unacknowledged_ns
        heard.acknowledged = report.acknowledged
        heard.device_faults = report.faults
        if not report.connected:
            self._commanded.clear()
            return
        commanded = dict(self._commanded).get(report.ack_of)
        if commanded is not None:
            self._disagreement = disagreement(commanded, report.acknowledged)

    def _evidence(self) -> gate.Evidence:
        heard = self._heard
        faults = heard.device_faults
        if self._disagreement:
            faults = (*faults, self._disagreement)
        return gate.Evidence(
            vitals=heard.vitals,
            peers=heard.peers,
            ended_peers=frozenset(heard.ended),
            phase_ns=heard.phase_ns,
            phase_running=heard.phase_running,
            device=gate.DeviceEvidence(
                connected=heard.connected,
                acknowledged_zero=not any(setting.current_ma > 0 for setting in heard.acknowledged),
                oldest_unacknowledged_ns=heard.oldest_unacknowledged_ns,
                faults=faults,
            ),
            slept_ns=heard.slept_ns,
        )

    # -- what came of it ---------------------------------------------------------------------------------------

    def _order(self, verdict: gate.Verdict) -> None:
        settings = tuple(map(_setting, verdict.allowed))
        if verdict.write:
            self._written += 1
            self._commanded.append((self._written, settings))
        self.order = DeviceOrder(verdict.stop, verdict.write, settings, self._state.calibrating)

    def _report(self, given: StepInput, verdict: gate.Verdict, reference: tuple[str, int, int] | None) -> StimReport:
        state = self._state
        prior = self._gate_settings.prior
        return StimReport(
            step=given.number,
            t_ns=given.now_ns,
            state=state.name,
            request=reference,
            requested=tuple(map(_setting, verdict.requested)),
            allowed=tuple(map(_setting, verdict.allowed)),
            acknowledged=self._heard.acknowledged,
            rule=verdict.rule,
            reasons=verdict.reasons,
            dose=Dose(
                session_charge_mc=state.dose.charge_mc,
                session_on_s=state.dose.on_s,
                session_pulses=round(state.dose.pulses),
                day_charge_mc=prior.day_charge_mc + state.dose.charge_mc,
                course_charge_mc=prior.course_charge_mc + state.dose.charge_mc,
            ),
            envelope_sha256=self._envelope_sha256(),
            latched=state.latch.cause if state.latch is not None else "",
        )

    def _envelope_sha256(self) -> str:
        envelope = self._state.envelope
        if envelope is None:
            return ""
        if self._hashed is None or self._hashed[0] is not envelope:
            self._hashed = (envelope, envelope.sha256)
        return self._hashed[1]

    def _events(
        self, before: gate.GateState, acts: Sequence[gate.Act], verdict: gate.Verdict, now_ns: int
    ) -> list[Outgoing]:
        """Tell of every change of state and every act, with its reason."""
        events = []
        kinds = {act.id: act for act in acts}
        for reply in verdict.replies:
            act = kinds[reply.id]
            values: dict[str, float | str | bool | None] = {"ok": reply.ok, "act": act.kind}
            event = Event(t_ns=now_ns, kind="act", who=act.role, why=reply.reason, values=values)
            events.append(Outgoing("event", event))
        after = self._state
        if after.name != before.name and {after.name, before.name} != {"ARMED", "STIMULATING"}:
            cause = after.latch.cause if after.latch is not None else ""
            kind = {"FAULT": "fault", "STOPPED": "stop"}.get(after.name, "gate")
            values = {"from": before.name, "to": after.name}
            events.append(Outgoing("event", Event(t_ns=now_ns, kind=kind, who=self.name, why=cause, values=values)))
        return events


def disagreement(commanded: Sequence[ChannelSetting], acknowledged: Sequence[ChannelSetting]) -> str:
    """How what the device acknowledged differs from what it was sent; empty where it does not."""
    sent = {setting.channel: setting for setting in commanded if setting.current_ma > 0}
    said = {setting.channel: setting for setting in acknowledged if setting.current_ma > 0}
    for channel in sorted(sent.keys() | said.keys()):
        one, other = sent.get(channel), said.get(channel)
        if one is None or other is None or not _same(one, other):
            ma = [f"{each.current_ma:g}" if each is not None else "0" for each in (one, other)]
            return f"{channel}: sent {ma[0]} mA, acknowledged {ma[1]} mA"
    return ""


def settings_json(settings: StimulatorSettings) -> str:
    """The settings as a start record keeps them."""
    return json.dumps(asdict(settings), allow_nan=False, separators=(",", ":"))


def _same(one: ChannelSetting, other: ChannelSetting) -> bool:
    # A device speaks in codes; two numbers this close are the same code.
    pairs = ((one.current_ma, other.current_ma), (one.phase_us, other.phase_us), (one.rate_hz, other.rate_hz))
    return all(isclose(a, b, rel_tol=1e-9) for a, b in pairs)


def _act(command: Command) -> gate.Act:
    arguments: Mapping[str, Any] = command.arguments
    scripted = command.who.startswith("script")
    return gate.Act(command.id, command.kind, command.role, arguments, scripted, command.nonce)


def _request(message: StimRequest | None) -> gate.Request | None:
    if message is None:
        return None
    settings = tuple(gate.Setting(s.channel, s.current_ma, s.phase_us, s.rate_hz) for s in message.channels)
    return gate.Request(message.t_ns, message.arm_id, message.lease_ms, settings)


def _setting(setting: gate.Setting) -> ChannelSetting:
    return ChannelSetting(
        channel=setting.channel, current_ma=setting.current_ma, phase_us=setting.phase_us, rate_hz=setting.rate_hz
    )


def _answer(reply: gate.Reply, now_ns: int) -> Answer:
    return Answer(t_ns=now_ns, id=reply.id, ok=reply.ok, reason=reply.reason, values=dict(reply.values))

"""The gate among messages: collects its own evidence, lets the gate decide, and says what came of it.

A pure object (``Stepped``): everything it knows has come as a message, the device's own words included, so that a
replay has all of it. What the device must be sent stands in :attr:`Stimulator.order` after each step; the node's shell
does the writing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from myoloop.platform.messages import (
    Answer,
    ChannelSetting,
    Command,
    Dose,
    Event,
    Sealed,
    StimReport,
    StimRequest,
    Stop,
)
from myoloop.platform.sealed import SealedError, StudyKey
from myoloop.platform.steps import Outgoing, StepInput
from myoloop.stimulators import blinded, gate
from myoloop.stimulators.hearing import Hearing, VitalSource
from myoloop.stimulators.nominal_pulses import NominalPulses
from myoloop.stimulators.sealing import DEVICE, REPORT, Seals, TrueReport, open_assignment


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
        pulses. Of a blinded session what an active arm would have had.
    blinded
        The closed assignment of a blinded session (:mod:`myoloop.stimulators.sealing`); empty where all is open.
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
    period_step_us: float = 0.0
    restarts_at_once: bool = False
    prior_day_charge_mc: float = 0.0
    prior_course_charge_mc: float = 0.0
    prior_session: tuple[float, float, float] = (0.0, 0.0, 0.0)
    blinded: str = ""


@dataclass(frozen=True, slots=True)
class DeviceOrder:
    """What the shell must do with the device after a step: stop first, then write."""

    stop: bool = False
    write: bool = False
    settings: tuple[ChannelSetting, ...] = ()
    calibrating: bool = False


class Stimulator:
    """Gate, evidence and report.

    Of a blinded session there are two gates (:mod:`myoloop.stimulators.blinded`): everything that is said in the open
    is of the nominal one, everything that is ordered of the true one, and what was really given is said sealed.

    Parameters
    ----------
    settings
        Constant for a session.
    key
        The study's, for a blinded session.

    Raises
    ------
    SealedError
        If the session is blinded and there is no key, or another study's.
    """

    name = "stimulator"

    def __init__(self, settings: StimulatorSettings, key: StudyKey | None = None) -> None:
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
                settings.period_step_us,
                settings.restarts_at_once,
            ),
            prior=gate.PriorDose(
                settings.prior_day_charge_mc,
                settings.prior_course_charge_mc,
                gate.DoseTotals(*settings.prior_session),
            ),
        )
        self._hearing = Hearing(settings.vitals, bool(settings.blinded))
        self._pair = blinded.Pair()
        self._hashed: tuple[gate.Envelope, str] | None = None
        #: What closes what is said of a blinded session; None where all is open.
        self.seals: Seals | None = None
        if settings.blinded:
            if key is None:
                raise SealedError(f"session {settings.session} is blinded: its stimulator needs the study's key")
            self.seals = Seals(key, settings.session, settings.outputs)
            self._blind = self._unseal(key)
            self._pulses = NominalPulses()

    def _unseal(self, key: StudyKey) -> blinded.Blind:
        assignment = open_assignment(key, self.settings.session, self.settings.blinded)
        prior = replace(self._gate_settings.prior, session=gate.DoseTotals(*assignment.session_dose))
        return blinded.Blind(assignment.treatment, self._gate_settings, replace(self._gate_settings, prior=prior))

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Vital signs, heartbeats of the watched, the phase and the request."""
        beats = tuple(f"heartbeat/{name}" for name in self.settings.watched)
        vitals = (source.topic for source in self.settings.vitals)
        return (*vitals, "phase", "request", *beats)

    @property
    def gate_state(self) -> gate.GateState:
        """What the gate remembers whose orders are obeyed."""
        return self._pair.true

    @property
    def shown_state(self) -> gate.GateState:
        """What the gate remembers that all may know; of a session that is not blinded the same."""
        return self._pair.nominal

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
            elif isinstance(message, Sealed):
                if self.seals is not None and received.topic == DEVICE:
                    self._hearing.take_device(self.seals.device(message))
            else:
                self._hearing.take(received)
        before = self._pair.nominal
        said = self._decide(_request(request), acts, stops, now_ns)
        report = self._report(given, said.nominal, request_reference, self._shown_acknowledged(before))
        self._obey(said.true)
        answers = [Outgoing("answer", _answer(reply, now_ns)) for reply in said.nominal.replies]
        events = self._events(before, acts, said.nominal, now_ns)
        return [Outgoing("report", report), *answers, *events, *self._sealed(given, said.true)]

    def _decide(
        self, request: gate.Request | None, acts: Sequence[gate.Act], stops: Sequence[str], now_ns: int
    ) -> blinded.Verdicts:
        evidence = self._hearing.evidence()
        if self.seals is not None:
            self._pair, said = blinded.step(self._pair, self._blind, evidence, request, acts, stops, now_ns)
            return said
        state, verdict = gate.step(self._pair.true, self._gate_settings, evidence, request, acts, stops, now_ns)
        self._pair = blinded.Pair(state, state)
        return blinded.Verdicts(verdict, verdict)

    def _obey(self, verdict: gate.Verdict) -> None:
        settings = tuple(map(_setting, verdict.allowed))
        if verdict.write:
            self._hearing.commanded(settings)
        self.order = DeviceOrder(verdict.stop, verdict.write, settings, self._pair.true.calibrating)

    # -- what came of it ---------------------------------------------------------------------------------------

    def _shown_acknowledged(self, before: gate.GateState) -> tuple[ChannelSetting, ...]:
        if self.seals is None:
            return self._hearing.acknowledged
        # What a device that is well would say by now.
        return tuple(map(_setting, before.output)) if self._hearing.connected else ()

    def _sealed(self, given: StepInput, verdict: gate.Verdict) -> list[Outgoing]:
        """Of a blinded session: what was really allowed, and when pulses would fall if what is shown were given."""
        if self.seals is None:
            return []
        state, now_ns = self._pair.true, given.now_ns
        pulses = [Outgoing("pulse", each) for each in self._pulses.until(now_ns)]
        self._pulses.give(self._pair.nominal.output, now_ns)
        real = TrueReport(
            given.number,
            state.name,
            verdict.rule,
            tuple((each.channel, each.current_ma, each.phase_us, each.rate_hz) for each in verdict.allowed),
            tuple((each.channel, each.current_ma) for each in self._hearing.acknowledged),
            (state.dose.charge_mc, state.dose.on_s, state.dose.pulses),
        )
        return [*pulses, self.seals.close(REPORT, given.number, now_ns, real)]

    def _report(
        self,
        given: StepInput,
        verdict: gate.Verdict,
        reference: tuple[str, int, int] | None,
        acknowledged: tuple[ChannelSetting, ...],
    ) -> StimReport:
        state = self._pair.nominal
        prior = self._gate_settings.prior
        return StimReport(
            step=given.number,
            t_ns=given.now_ns,
            state=state.name,
            request=reference,
            requested=tuple(map(_setting, verdict.requested)),
            allowed=tuple(map(_setting, verdict.allowed)),
            acknowledged=acknowledged,
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
        envelope = self._pair.nominal.envelope
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
        after = self._pair.nominal
        if after.name != before.name and {after.name, before.name} != {"ARMED", "STIMULATING"}:
            cause = after.latch.cause if after.latch is not None else ""
            kind = {"FAULT": "fault", "STOPPED": "stop"}.get(after.name, "gate")
            values = {"from": before.name, "to": after.name}
            events.append(Outgoing("event", Event(t_ns=now_ns, kind=kind, who=self.name, why=cause, values=values)))
        return events


def settings_json(settings: StimulatorSettings) -> str:
    """The settings as a start record keeps them."""
    return json.dumps(asdict(settings), allow_nan=False, separators=(",", ":"))


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

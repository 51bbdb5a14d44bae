"""The director: where the session is in its protocol, and what everybody may know of it.

It owns the place in the protocol and nothing else: it sends no current (targets in its phase messages are wishes that
the controller and then the gate judge), arms nothing, and goes forward only. A pause never repeats a trial; what ends
the session is told once, with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from myoloop.experiments.protocols.plan import Plan, personal_envelope
from myoloop.experiments.sessions import (
    asking,
    calibration,
    checks,
    expiry,
    guarding,
    listening,
    maximal,
    optimising,
    trialblock,
    watch,
)
from myoloop.experiments.sessions.outbox import Outbox
from myoloop.experiments.sessions.place import Gate, Place, moved
from myoloop.experiments.sessions.requests import answer_to
from myoloop.experiments.sessions.telling import phase_message, without_running_numbers
from myoloop.experiments.sessions.trials import trial_of_block
from myoloop.experiments.sessions.watch import Ending
from myoloop.platform.messages import Answer, Command, Estimate, Event, StimReport
from myoloop.platform.steps import Outgoing, Received, StepInput

#: How often the phase is told when nothing changes.
TELL_EVERY_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class DirectorSettings:
    """What does not change in a session; JSON-ready through msgspec.

    Attributes
    ----------
    session
        Name of the session attempt.
    plan
        The protocol, ready for this rig and person.
    peers
        Topics that must be alive, such as ``heartbeat/controller``; silent for more than 300 ms ends the session.
    stimulator
        Name of the node that commands go to.
    start_timeout_s, answer_timeout_s
        How long all peers may take to be heard, and a command to be answered.
    """

    session: str
    plan: Plan
    peers: tuple[str, ...] = ()
    stimulator: str = "stimulator"
    start_timeout_s: float = 30.0
    answer_timeout_s: float = 2.0


class Director:
    """The protocol, phase by phase; a pure object, stepped.

    Parameters
    ----------
    settings
        What it follows.
    state
        What :meth:`state` once gave, to go on from there bit for bit.
    """

    name = "director"

    def __init__(self, settings: DirectorSettings, state: Mapping[str, Any] | None = None) -> None:
        self._settings = settings
        self._plan = settings.plan
        if state is None:
            self._place = Place(envelope=settings.plan.envelope)
            if settings.plan.thresholds is not None:
                given = settings.plan.thresholds
                names = [limits.channel for limits in settings.plan.envelope.channels]
                self._place.thresholds = dict.fromkeys(names, given)
                self._place.envelope = personal_envelope(self._plan, self._place.thresholds)
            if settings.plan.go_on is not None:
                self._place.tally = watch.Tally(pain_baseline=settings.plan.go_on.pain_baseline)
        else:
            self._place = msgspec.convert(dict(state), Place)

    @property
    def settings(self) -> DirectorSettings:
        """What it was made with."""
        return self._settings

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Topics it consumes, exact."""
        return tuple(dict.fromkeys(("answer", "command", "estimate", "event", "report", *self._settings.peers)))

    def state(self) -> dict[str, Any]:
        """What a restored director needs to go on bit for bit: JSON-ready."""
        kept: dict[str, Any] = msgspec.to_builtins(self._place)
        return kept

    def step(self, given: StepInput) -> list[Outgoing]:
        """Take one step and say what to publish, in order."""
        place = self._place
        out = Outbox(place, self._settings.session, self._settings.stimulator)
        self._pass_time(given.now_ns)
        place.peers = watch.watch_peers(place.peers, self._settings.peers, given.not_alive, given.now_ns)
        for received in given.received:
            self._receive(received, out)
        if place.stage != "ended":
            self._go_on(out)
        self._tell(out)
        return out.messages

    def end(self, ending: Ending, out: Outbox) -> None:
        """End the session now: the phase tells it, and the stimulator is paused if it may be armed."""
        place = self._place
        if place.stage == "ended":
            return
        phase = place.phase(self._plan)
        if phase is not None and place.block is not None and place.block.state.name != "idle":
            cut = ending.outcome
            out.trial(trial_of_block(phase, place.block, place.now_ns, place.gate.charge_mc, cut))
        # What ends because of pain, spasms or a fault does not ramp down first.
        at_once = ending.outcome in ("stopped", "fault")
        if place.arm_id or (at_once and place.stage == "pausing"):
            arguments = {"at_once": True} if at_once else None
            out.command("pause", why=ending.reason or ending.outcome, arguments=arguments)
        place.arm_id = ""
        place.outcome, place.reason = ending.outcome, ending.reason
        self.turn("ended")
        out.event("end", why=ending.reason, values={"outcome": ending.outcome})

    def turn(self, stage: Any) -> None:
        """Go over to another stage."""
        self._place.stage = stage
        self._place.stage_ns = self._place.now_ns

    def enter(self, index: int, out: Outbox) -> None:
        """Enter a phase, or end as complete after the last."""
        place = self._place
        place.index = index
        place.since_ns = place.now_ns
        place.block = place.calibrating = place.checking = place.pulling = place.optimising = None
        place.forms, place.blocked, place.heard = (), {}, {}
        self.turn("phase")
        phase = place.phase(self._plan)
        if phase is None:
            self.end(Ending("complete", ""), out)
        elif expiry.interrupts(self, self._plan, place, out):
            return
        elif phase.asked is not None:
            asking.enter(self, self._plan, place, out)
        elif phase.checks is not None:
            checks.enter(self, self._plan, place, out)
        elif phase.mvc is not None:
            maximal.enter(self, self._plan, place, out)
        elif phase.calibration is not None:
            calibration.enter(self, self._plan, place, out)
        elif phase.optimise is not None:
            optimising.enter(self, self._plan, place, out)
        elif phase.block is not None:
            trialblock.enter(self, self._plan, place, out)

    def pause_stimulator(self, then: str, why: str, out: Outbox) -> None:
        """Have the stimulator ramp down and disarm; `then` follows its answer."""
        out.command("pause", why=why)
        self._place.then = then
        self._place.disarmed_ns = None
        self.turn("pausing")

    def set_envelope(self, out: Outbox) -> None:
        """Hand the envelope to the stimulator; the next phase follows once the operator has confirmed it."""
        place = self._place
        out.command("set_envelope", arguments=msgspec.to_builtins(place.envelope))
        self.turn("setting")

    def resume(self, out: Outbox) -> None:
        """Go on after a pause, forward only."""
        place = self._place
        away_ns = place.now_ns - place.paused_ns
        place.since_ns += away_ns
        if place.block is not None:
            place.block = moved(place.block, away_ns)
        self.turn("phase")
        checks.resumed(place)
        maximal.resumed(place, away_ns)
        optimising.resumed(place)

    def _pass_time(self, now_ns: int) -> None:
        place = self._place
        if place.begin_ns is None:
            place.begin_ns = place.stage_ns = now_ns
        elif place.told is not None and place.told.state == "running":
            place.running_ns += max(0, now_ns - place.now_ns)
        place.now_ns = now_ns

    def _receive(self, received: Received, out: Outbox) -> None:
        message, place = received.message, self._place
        if isinstance(message, Command):
            if message.target == self.name:
                out.answer(answer_to(self, self._plan, place, message, out))
        elif place.stage == "ended":
            return
        elif isinstance(message, StimReport):
            guarding.seen(place, message)
            place.gate = Gate(
                message.state,
                message.envelope_sha256,
                message.t_ns,
                message.dose.session_charge_mc,
                any(s.current_ma > 0 for s in (*message.allowed, *message.acknowledged)),
            )
            ending = watch.latched(message)
            if ending is not None:
                self.end(ending, out)
            else:
                calibration.seen(self._plan, place, message)
                if place.block is not None:
                    place.block = trialblock.with_peak(place.block, message)
                    trialblock.held_at_cap(self, self._plan, place, message, out)
        elif isinstance(message, Estimate):
            guarding.seen(place, message)
            place.effort = message.trigger
            place.fatigue = listening.known_fatigue(message)
            listening.heard(self._plan, place, message)
            maximal.heard(self._plan, place, message)
            optimising.heard(self._plan, place, message)
            place.tally, ending = watch.estimated(place.tally, self._plan.stop, message)
            if ending is not None:
                self.end(ending, out)
        elif isinstance(message, Event) and received.publisher != self.name:
            self._happened(message, out)
        elif isinstance(message, Answer):
            self._answered(message, out)

    def _happened(self, event: Event, out: Outbox) -> None:
        if watch.is_stop(event):
            # Whoever carries the button stops the stimulator itself at once; this ends the session too.
            self.end(Ending("stopped", f"{event.who or 'the person'} pressed stop"), out)
        elif event.kind in expiry.CHANGED_ELECTRODES:
            expiry.electrode_changed(self._place, event.why)
        elif event.kind == "impedance":
            listening.impedance(self._place, event)
        elif event.kind == "felt":
            calibration.felt(self, self._plan, self._place, event, out)
            optimising.felt(self._plan, self._place, event, out)
        elif event.kind == "score":
            value = event.values.get("score")
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 10:
                self.scored(float(value), out)

    def scored(self, score: float, out: Outbox) -> None:
        """A pain score of 0 to 10 has been given."""
        place = self._place
        place.tally, ending = watch.scored(place.tally, self._plan.stop, score)
        if ending is not None:
            self.end(ending, out)
        else:
            calibration.pained(self, self._plan, place, score, out)
            optimising.pained(self._plan, place, score, out)

    def _answered(self, answer: Answer, out: Outbox) -> None:
        place = self._place
        kind, _ = place.asked.pop(answer.id, ("", 0))
        if not kind:
            return
        if not answer.ok:
            self.end(Ending("fault", f"the stimulator refused {kind}: {answer.reason}"), out)
        elif kind == "set_envelope" and place.stage == "setting":
            place.envelope_sha256 = str(answer.values.get("envelope_sha256", ""))
            place.set_ns = answer.t_ns
            self.turn("confirming")
        elif kind == "pause" and place.stage == "pausing":
            place.disarmed_ns = answer.t_ns
            place.arm_id = ""

    def _paused(self, out: Outbox) -> None:
        place = self._place
        place.arm_id = ""
        if place.then == "channel":
            calibration.next_channel(self, self._plan, place, out)
        elif place.then == "calibrate":
            self.turn("phase")
        elif place.then == "renew":
            expiry.renew(self, self._plan, place, out)
        elif place.then == "end":
            self.end(Ending("aborted", place.reason), out)
        else:
            self.rest_paused(out)

    def rest_paused(self, out: Outbox) -> None:
        """The session stands still from now on; what was cut stays cut."""
        place = self._place
        place.paused_ns = place.now_ns
        place.arm_id = ""
        if place.block is not None:
            trialblock.cut(self._plan, place, "paused", out)
        if place.calibrating is not None:
            place.calibrating = calibration.interrupted(place.calibrating)
        maximal.interrupted(self._plan, place, out)
        self.turn("paused")

    def _go_on(self, out: Outbox) -> None:
        place = self._place
        ending = (
            watch.lost_peer(place.peers, place.now_ns)
            or watch.overtime(self._plan.stop, place.begin_ns or 0, place.now_ns)
            or self._unanswered()
        )
        if ending is not None:
            self.end(ending, out)
        elif place.stage == "starting":
            self._start(out)
        elif place.stage == "confirming":
            ready = place.gate.state == "READY" and place.gate.envelope_sha256 == place.envelope_sha256
            # A report from before the envelope was set may look the same.
            if ready and place.gate.t_ns > place.set_ns:
                self._confirmed(out)
        elif place.stage == "phase":
            if not expiry.interrupts(self, self._plan, place, out) and not guarding.paused(
                self, self._plan, place, out
            ):
                self._play(out)
        elif place.stage == "pausing":
            if place.block is not None:
                trialblock.ramp_down(place)
            # What follows (a new envelope, another channel) needs current to have ramped to zero.
            if place.disarmed_ns is not None and place.gate.t_ns > place.disarmed_ns and not place.gate.flowing:
                self._paused(out)
        if guarding.disarmed(place):
            out.event("paused", why=f"the stimulator is {place.gate.state}, not armed any more")
            self.rest_paused(out)

    def _start(self, out: Outbox) -> None:
        place, settings = self._place, self._settings
        missing = watch.missing_peers(place.peers, settings.peers)
        if not missing and place.gate.state in ("CONNECTED", "READY"):
            self.set_envelope(out)
        elif place.now_ns - (place.begin_ns or 0) > settings.start_timeout_s * 1e9:
            stimulator = f"stimulator {place.gate.state or 'never heard'}"
            why = f"never heard: {', '.join(missing)}" if missing else stimulator
            self.end(Ending("fault", f"not ready within {settings.start_timeout_s:g} s: {why}"), out)

    def _confirmed(self, out: Outbox) -> None:
        place = self._place
        if place.block is None:
            self.enter(place.index, out)
        else:
            # A block under way got its envelope anew; it goes on with its next trial.
            self.turn("phase")

    def _play(self, out: Outbox) -> None:
        place = self._place
        phase = place.phase(self._plan)
        if phase is None:
            return
        if phase.rest is not None:
            if place.now_ns - place.since_ns >= round(phase.rest.duration_s * 1e9):
                listening.rest_noise(place)
                self.enter(place.index + 1, out)
        elif phase.asked is not None:
            asking.go_on(self, self._plan, place, out)
        elif phase.checks is not None:
            checks.go_on(self, self._plan, place, out)
        elif phase.mvc is not None:
            maximal.go_on(self, self._plan, place, out)
        elif phase.calibration is not None:
            calibration.go_on(self, self._plan, place, out)
        elif phase.optimise is not None:
            optimising.go_on(self, self._plan, place, out)
        else:
            trialblock.go_on(self, self._plan, place, out)

    def _unanswered(self) -> Ending | None:
        place = self._place
        for kind, sent_ns in place.asked.values():
            if place.now_ns - sent_ns > self._settings.answer_timeout_s * 1e9:
                why = f"no answer to {kind} within {self._settings.answer_timeout_s:g} s"
                return Ending("fault", f"{self._settings.stimulator}: {why}")
        return None

    def _tell(self, out: Outbox) -> None:
        place = self._place
        message = phase_message(self._plan, place, self._settings.session)
        bare = without_running_numbers(message)
        if bare != place.told or place.now_ns - place.told_ns >= TELL_EVERY_NS:
            place.told, place.told_ns = bare, place.now_ns
            out.phase(message)


def director_from(settings: str | bytes, state: str | bytes | None = None) -> Director:
    """Make a director from the JSON of its settings and state, as a recording's start record holds them.

    Raises
    ------
    msgspec.ValidationError
        If the JSON is not what a director of this version wrote.
    """
    kept = msgspec.json.decode(state) if state else None
    return Director(msgspec.json.decode(settings, type=DirectorSettings), kept)

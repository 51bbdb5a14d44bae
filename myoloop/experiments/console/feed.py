"""What a page is fed: the newest of everything a running session says, as one view of it may show it.

Pure: messages go in, a state and frames of the scope come out. One feed serves every page of its view; nothing of it
is needed for the session, and a new one knows the same after a moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from math import degrees
from typing import Any, Final

import msgspec

from myoloop.experiments.console import frames
from myoloop.experiments.console.bins import MinMax
from myoloop.experiments.console.card import Card, CardMuscle
from myoloop.experiments.console.seen import Recording, phase_state
from myoloop.experiments.console.views import View, shown
from myoloop.platform.liveness import Sequences
from myoloop.platform.messages import (
    Estimate,
    Event,
    Heartbeat,
    Measure,
    Message,
    MotionEstimate,
    MuscleEstimate,
    Phase,
    Pulses,
    Samples,
    StimReport,
    Vital,
)
from myoloop.platform.steps import Received

#: Newest events and pain scores that are told.
EVENTS: Final = 20
SCORES: Final = 8
#: What has been silent for so long is not alive; pages look on through more queues than the gate does.
SILENT_NS: Final = 500_000_000
#: Points of lines and pulses that wait to be fetched.
_WAITING: Final = 3_000
_UNKNOWN: Final = Measure()
_SILENT: Final = Measure(reason="controller silent")
_NAN: Final = float("nan")
#: Kinds of phases in which arms are treated differently.
_TREATS: Final = frozenset({"block", "optimise"})


class Feed:
    """One view of one running session.

    Parameters
    ----------
    card
        What is constant of the session.
    view
        What may be shown; a message of any other topic is not even kept.
    """

    def __init__(self, card: Card, view: View) -> None:
        self.card, self.view = card, view
        #: Grows when something has changed that a page should show at once.
        self.changes = 0
        self.missed = 0
        self._frame = 0
        self._phase: Phase | None = None
        self._report: StimReport | None = None
        self._estimate: Estimate | None = None
        self._beats: dict[str, Heartbeat] = {}
        self._vitals: dict[str, Vital] = {}
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS)
        self._scores: deque[dict[str, Any]] = deque(maxlen=SCORES)
        self._told = 0
        self._recording = Recording()
        self._sequences = Sequences()
        self._heard_ns = 0
        #: Whether anything was given in this session that differs between arms.
        self._treated = False
        self._streams = _streams(card) if view.scope else {}
        self._levels: deque[tuple[int, list[float]]] = deque(maxlen=_WAITING)
        self._angles: deque[tuple[int, list[float]]] = deque(maxlen=_WAITING)
        self._pulses: dict[str, deque[int]] = {each.name: deque(maxlen=_WAITING) for each in card.channels}
        self._takes: dict[type[Message], Callable[[Received, Any], None]] = {
            Samples: self._take_samples,
            Estimate: self._take_estimate,
            StimReport: self._take_report,
            Phase: self._take_phase,
            Event: self._take_event,
            Heartbeat: self._take_beat,
            Pulses: self._take_pulses,
            Vital: self._take_vital,
        }

    def topics(self, nodes: Mapping[str, str]) -> list[str]:
        """Exact topics to listen to, of these nodes (name -> role)."""
        wanted = {each for each in self.view.topics if each in _WHOLE}
        if "heartbeat" in self.view.topics:
            wanted |= {f"heartbeat/{name}" for name in [*nodes, "supervisor"]}
        if self.view.scope:
            wanted |= set(self._streams)
        if "vital" in self.view.topics:
            wanted |= {f"vital/{each.topic.partition('/')[2]}" for each in self.card.muscles}
        return sorted(wanted)

    def take(self, received: Received) -> None:
        """Take in a message."""
        if received.topic.partition("/")[0] not in self.view.topics:
            return
        gap = self._sequences.see(received, 0)
        if gap is not None:
            self.missed += gap.last_missing - gap.first_missing + 1
        take = self._takes.get(type(received.message))
        if take is not None:
            take(received, received.message)

    def layout(self) -> dict[str, Any]:
        """What the frames' streams, lines and channels are, for the page that draws them."""
        if not self.view.scope:
            return {"kind": "layout", "view": self.view.name, "streams": [], "lines": [], "channels": []}
        names = {topic: [each.name for each in muscles] for topic, (_, muscles) in self._streams.items()}
        muscles = [each.name for each in self.card.muscles]
        return {
            "kind": "layout",
            "view": self.view.name,
            "streams": [
                {"topic": topic, "muscles": names[topic], "bin_us": bins.bin_ns / 1e3, "unit": "µV"}
                for topic, (bins, _) in self._streams.items()
            ],
            "lines": [
                {"name": "envelope", "columns": muscles, "unit": "µV"},
                {"name": "angle", "columns": ["angle"], "unit": "°"},
            ],
            "channels": [each.name for each in self.card.channels],
        }

    def bins(self) -> bytes:
        """A frame of everything new on the scope; empty where nothing is, and always where no signal may be seen."""
        sections: list[bytes] = []
        for number, (bins, _) in enumerate(self._streams.values()):
            sections += [frames.bins_section(number, run, bins.bin_ns) for run in bins.take()]
        for number, line in enumerate((self._levels, self._angles)):
            if line:
                sections.append(frames.line_section(number, [t_ns for t_ns, _ in line], [row for _, row in line]))
                line.clear()
        for number, pulses in enumerate(self._pulses.values()):
            if pulses:
                sections.append(frames.pulses_section(number, list(pulses)))
                pulses.clear()
        if not sections:
            return b""
        self._frame += 1
        return frames.frame(self._frame, sections)

    def state(self, now_ns: int) -> dict[str, Any]:
        """Everything that is told in words and numbers, as the view lets it through."""
        card, estimate = self.card, self._estimate_now(now_ns)
        said: dict[str, Any] = {
            "kind": "state",
            "view": self.view.name,
            "t_ns": now_ns,
            "rig": "running",
            "running": True,
            "stop_ports": [] if card.stop_port is None else [card.stop_port],
            "session": card.session,
            "title": card.title,
            "subject": card.subject,
            "rig_class": card.rig_class,
            "simulated": card.simulated,
            "blinded": card.blinded,
            "phase": self._place(now_ns),
            "muscles": [self._muscle(each, estimate) for each in card.muscles],
            "motion": _motion(estimate.motion if estimate is not None else None),
            "channels": self._channels(),
            "gate": self._gate(now_ns),
            "controller": self._controller(now_ns),
            "dose": self._dose(),
            "pain": list(self._scores),
            "recording": self._recording.state(now_ns),
            "nodes": [_node(beat, now_ns) for _, beat in sorted(self._beats.items())],
            "events": list(self._events),
            "stopped": self._stopped(),
            "missed": self.missed,
        }
        return shown(self.view.rules, said)

    # -- taking ------------------------------------------------------------------------------------------------

    def _take_samples(self, received: Received, message: Samples) -> None:
        found = self._streams.get(received.topic)
        if found is not None and received.array is not None:
            source = (received.publisher, received.epoch)
            found[0].add(source, message.first_sample, message.t_ns, received.array, message.invalid)

    def _take_estimate(self, _: Received, message: Estimate) -> None:
        self._estimate = message
        if not self.view.scope:
            return
        # Where effort is waited for it is drawn as it is looked at: what crosses the threshold is what counts.
        known = {
            each.muscle: each.level_uv if each.activity_uv is None else each.activity_uv for each in message.muscles
        }
        self._levels.append((message.t_ns, [_or_nan(known.get(each.name)) for each in self.card.muscles]))
        if message.motion is not None:
            angle = message.motion.angle_rad
            value = degrees(angle.value) if angle.valid and angle.value is not None else _NAN
            self._angles.append((message.t_ns, [value]))

    def _take_report(self, _: Received, message: StimReport) -> None:
        before, self._report = self._report, message
        if before is None or (before.latched, before.state) != (message.latched, message.state):
            self.changes += 1

    def _take_phase(self, _: Received, message: Phase) -> None:
        before, self._phase = self._phase, message
        self._treated |= message.kind in _TREATS
        names = ("state", "waiting_for", "index", "trial", "trial_state", "forms", "arm_id")
        if before is None or any(getattr(before, name) != getattr(message, name) for name in names):
            self.changes += 1

    def _take_event(self, _: Received, message: Event) -> None:
        if message.kind == "score":
            self._scores.append({"score": message.values.get("score"), "t_ns": message.t_ns})
        words = self.view.events is None or (message.kind in self.view.early and not self._treated)
        if words or (self.view.events is not None and message.kind in self.view.events):
            self._told += 1
            self._events.append(
                {
                    "number": self._told,
                    "t_ns": message.t_ns,
                    "kind": message.kind,
                    "who": message.who,
                    "why": message.why if words else "",
                    "values": dict(message.values) if words else {},
                }
            )
            self.changes += 1

    def _take_beat(self, received: Received, message: Heartbeat) -> None:
        self._beats[received.publisher] = message
        if message.role == "recorder":
            self._recording.see(message)

    def _take_pulses(self, _: Received, message: Pulses) -> None:
        pulses = self._pulses.get(message.channel)
        if pulses is not None and self.view.scope:
            pulses.extend(message.t_ns)

    def _take_vital(self, _: Received, message: Vital) -> None:
        # It names the stream that it speaks of.
        self._vitals[message.topic] = message

    # -- telling -----------------------------------------------------------------------------------------------

    def _place(self, now_ns: int) -> dict[str, Any] | None:
        if self._phase is None:
            return None
        words = not (self._treated and self.card.blinded)
        return phase_state(self._phase, len(self.card.phases), now_ns, words=words)

    def _estimate_now(self, now_ns: int) -> Estimate | None:
        """The newest estimate; of a controller that is silent each measure only says so."""
        estimate = self._estimate
        if estimate is None or now_ns - estimate.t_ns < SILENT_NS:
            return estimate
        return msgspec.structs.replace(
            estimate,
            muscles=tuple(_nothing_known(each.muscle, _SILENT) for each in estimate.muscles),
            motion=None if estimate.motion is None else MotionEstimate(angle_rad=_SILENT),
        )

    def _muscle(self, muscle: CardMuscle, estimate: Estimate | None) -> dict[str, Any]:
        heard = estimate.muscles if estimate is not None else ()
        found = next((each for each in heard if each.muscle == muscle.name), None)
        said = found if found is not None else _nothing_known(muscle.name)
        vital = None if self._treated and self.card.blinded else self._vitals.get(muscle.topic)
        known = vital is not None and muscle.column < len(vital.flags)
        return {
            "name": muscle.name,
            "level_uv": said.level_uv,
            "activity_uv": said.activity_uv,
            "threshold_uv": said.threshold_uv,
            "quality": vital.flags[muscle.column] if vital is not None and known else None,
            "valid_share": vital.valid_share[muscle.column] if vital is not None and known else None,
            "spasm_kind": said.spasm_kind,
            "fatigue": _measure(said.fatigue),
            "spasm": _measure(said.spasm),
            "effort": _measure(said.effort),
        }

    def _channels(self) -> list[dict[str, Any]]:
        report, phase = self._report, self._phase
        groups = (report.requested, report.allowed, report.acknowledged) if report is not None else ((), (), ())
        rows = [{setting.channel: setting.current_ma for setting in group} for group in groups]
        targets = {each.channel: each.current_ma for each in phase.targets} if phase is not None else {}
        # Which setting is tried next follows from what the body answered to the last ones.
        follows = any(each.kind == "optimise" for each in self.card.phases)
        said = []
        for channel in self.card.channels:
            target_ma = targets.get(channel.name)
            level = None
            if target_ma is not None and channel.cap_ma > 0 and not (self.card.blinded and follows):
                level = target_ma / channel.cap_ma
            asked_ma, allowed_ma, delivered_ma = (row.get(channel.name, 0.0) for row in rows)
            said.append(
                {
                    "name": channel.name,
                    "target_ma": target_ma,
                    "asked_ma": asked_ma,
                    "allowed_ma": allowed_ma,
                    "delivered_ma": delivered_ma,
                    "cap_ma": channel.cap_ma,
                    "level": level,
                }
            )
        return said

    def _gate(self, now_ns: int) -> dict[str, Any]:
        report = self._report
        if report is None:
            return {"state": "", "rule": "", "reason": "", "latched": "", "alive": False}
        return {
            "state": report.state,
            "rule": report.rule,
            "reason": report.latched or "; ".join(report.reasons),
            "latched": report.latched,
            "alive": now_ns - report.t_ns < SILENT_NS,
        }

    def _stopped(self) -> dict[str, Any] | None:
        """Who stopped, as the stimulator itself tells it; None while nothing is latched by a stop."""
        report = self._report
        return {"who": report.latched.partition(": ")[2]} if report is not None and report.state == "STOPPED" else None

    def _controller(self, now_ns: int) -> dict[str, Any]:
        estimate = self._estimate
        if estimate is None:
            return {"reflex": "", "bad_signal": "", "trigger": False, "alive": False}
        return {
            "reflex": estimate.reflex,
            "bad_signal": estimate.bad_signal,
            "trigger": estimate.trigger,
            "alive": now_ns - estimate.t_ns < SILENT_NS,
        }

    def _dose(self) -> dict[str, Any] | None:
        if self._report is None:
            return None
        dose = self._report.dose
        return {
            "charge_mc": dose.session_charge_mc,
            "on_s": dose.session_on_s,
            "pulses": dose.session_pulses,
            "day_charge_mc": dose.day_charge_mc,
            "course_charge_mc": dose.course_charge_mc,
        }


#: Topics without an instance that a view may name.
_WHOLE: Final = frozenset({"phase", "report", "event", "estimate", "pulse", "gap"})


def _streams(card: Card) -> dict[str, tuple[MinMax, list[CardMuscle]]]:
    """The decimation of each EMG stream that carries somebody's muscle."""
    by_topic: dict[str, list[CardMuscle]] = {}
    for muscle in card.muscles:
        by_topic.setdefault(muscle.topic, []).append(muscle)
    return {
        topic: (
            MinMax(
                [each.column for each in muscles],
                [each.scale_uv for each in muscles],
                [each.offset_uv for each in muscles],
                muscles[0].rate_hz,
            ),
            muscles,
        )
        for topic, muscles in by_topic.items()
    }


def _nothing_known(muscle: str, why: Measure = _UNKNOWN) -> MuscleEstimate:
    return MuscleEstimate(muscle=muscle, level_uv=None, fatigue=why, spasm=why, effort=why, response=why)


def _measure(measure: Measure, factor: float = 1.0) -> dict[str, Any]:
    value, low, high = (None if each is None else each * factor for each in (measure.value, measure.low, measure.high))
    return {"value": value, "low": low, "high": high, "valid": measure.valid, "reason": measure.reason}


def _motion(motion: MotionEstimate | None) -> dict[str, Any] | None:
    if motion is None:
        return None
    return {
        "angle_deg": _measure(motion.angle_rad, degrees(1.0)),
        "inclination_deg": _measure(motion.inclination_rad, degrees(1.0)),
        "tremor_hz": _measure(motion.tremor_frequency_hz),
    }


def _node(beat: Heartbeat, now_ns: int) -> dict[str, Any]:
    return {
        "name": beat.node,
        "alive": now_ns - beat.t_ns < SILENT_NS,
        "cycle_ms": beat.cycle_ms,
        "cycle_mean_ms": beat.cycle_mean_ms,
        "cycle_worst_ms": beat.cycle_worst_ms,
    }


def _or_nan(value: float | None) -> float:
    return _NAN if value is None else value

"""A learned policy in the shadow of a recorded session: what it would have asked for, beside what was asked.

The recorded controller steps again; adaptive gain, which acted, is listened to, and the learned policy computes from
the same (:mod:`myoloop.controllers.policies.shadowing`). It goes on from what was really asked at every step, so that
each decision is one in a situation that was there. What would have come of it is not in any recording.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from myoloop.controllers.controller import Controller
from myoloop.controllers.policies.policy import Decision, PolicyInput
from myoloop.controllers.settings import ControllerSettings
from myoloop.controllers.shadowed import ACTING, Beside, Compared
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.replay import RELATIVE, ReplayError, processor, stepped_again
from myoloop.experiments.sessions.learned import shadow_choice
from myoloop.experiments.training.artefact import Artefact, channels_of, envelope_of
from myoloop.experiments.training.shadow_gate import Gated, through_its_gate
from myoloop.platform.errors import UserError
from myoloop.platform.messages import Start, StimRequest
from myoloop.platform.recording.reader import Recording

#: Copy of the protocol in an attempt's folder.
_PROTOCOL = "protocol.yaml"
Clock = Callable[[], int]


class ShadowError(UserError, ValueError):
    """A session that cannot be shadowed; one line."""


@dataclass(slots=True)
class ShadowFound:
    """What a shadow did beside a session.

    Attributes
    ----------
    session, artefact
        Which.
    replayed
        ``whole``, or up to which step and why no further.
    steps, followed
        Steps in which adaptive gain was asked, and those of them in which it asked, in the shadow, for what it asked in
        the session: only these are counted below.
    in_train
        Steps of trains.
    decisions, actions
        How often the model decided, and for what.
    differ
        Steps of trains in which another current would have been asked for.
    difference_ma, most_ma
        Mean and greatest size of that difference, over the steps of trains.
    asked_mc, added_mc, taken_mc
        Charge per phase asked for, and what would have been asked beyond and below it; before reflexes and gate.
    budget_spent_uc
        What of the policy's own budget would be spent.
    fallbacks, fallen_steps
        How often it would have fallen back, by reason; steps of trains on adaptive gain alone.
    shifted
        Steps of trains in which what it saw was outside of what it was trained on; by what of it.
    inference_ns
        Time of each step of the shadow.
    gate_did, gate_would
        What the session's own gate did, and would have done.
    """

    session: str
    artefact: str
    replayed: str = "whole"
    steps: int = 0
    followed: int = 0
    in_train: int = 0
    decisions: int = 0
    actions: Counter[float] = field(default_factory=Counter)
    differ: int = 0
    difference_ma: float = 0.0
    most_ma: float = 0.0
    asked_mc: float = 0.0
    added_mc: float = 0.0
    taken_mc: float = 0.0
    budget_spent_uc: float = 0.0
    fallbacks: Counter[str] = field(default_factory=Counter)
    fallen_steps: int = 0
    shifted: Counter[str] = field(default_factory=Counter)
    inference_ns: list[int] = field(default_factory=list)
    gate_did: Gated = field(default_factory=Gated)
    gate_would: Gated = field(default_factory=Gated)


def shadow_session(
    session: Path | str, artefact: Artefact | None = None, clock: Clock = time.perf_counter_ns
) -> ShadowFound:
    """Let a learned policy compute beside a recorded session.

    Parameters
    ----------
    session
        A session file, or the attempt's folder.
    artefact
        None: the one that the session was recorded with in its shadow.
    clock
        Measures each step of the shadow, in ns.

    Raises
    ------
    ShadowError, ArtefactError
        If the session is blinded, another policy acted than adaptive gain, or the artefact is not for it.
    ReplayError
        If it cannot be replayed, or nothing in it can be compared.
    """
    recording = Recording.open(session)
    if recording.metadata.get("blinded") == "true":
        raise ShadowError(f"{recording.path}: blinded; what was given is sealed, and this report would tell the arm")
    listeners: list[_Listener] = []

    def build(start: Start) -> Controller:
        recorded = ControllerSettings.from_json(start.settings)
        listeners.append(_Listener(recording.path, with_shadow(recorded, artefact, recording.path), clock))
        controller = Controller(msgspec.structs.replace(recorded, shadow=None), json.loads(start.state))
        controller.overhear(listeners[0])
        return controller

    relative = 0.0 if recording.metadata.get("processor", "") == processor() else RELATIVE
    instead, replayed = _compute(recording, build, listeners, relative)
    found = listeners[0].found
    found.replayed = replayed
    found.budget_spent_uc = listeners[0].beside.policy.distilled.budget.spent_uc
    if not found.in_train:
        why = "no train was followed" if found.followed else "adaptive gain in the shadow asks for something else"
        raise ReplayError(f"{recording.path}: nothing to compare: {why} ({replayed})")
    found.gate_did, found.gate_would = through_its_gate(recording, instead)
    return found


def with_shadow(settings: ControllerSettings, artefact: Artefact | None, session: Path) -> ControllerSettings:
    """A recorded controller's settings with a shadow of its own policy's settings.

    Raises
    ------
    ShadowError, ArtefactError
        If another policy acts than adaptive gain, or the artefact is not for these settings.
    """
    if settings.policy.name != ACTING:
        raise ShadowError(f"{session}: policy {settings.policy.name}; a shadow follows {ACTING} and no other")
    if artefact is None:
        if settings.shadow is None:
            raise ShadowError(f"{session}: was recorded without a shadow; needed is --artefact")
        return settings
    kept = session.parent / _PROTOCOL
    artefact.check(channels_of(settings.stim), envelope_of(load_protocol(kept).envelope) if kept.is_file() else None)
    return msgspec.structs.replace(settings, shadow=shadow_choice(settings.policy, artefact))


def _compute(
    recording: Recording, build: Callable[[Start], Controller], listeners: list[_Listener], relative: float
) -> tuple[dict[int, Mapping[str, float]], str]:
    """Step again as long as the recorded requests come out; the requests that would have been, and how far it was."""
    recorded = {
        each.received.message.step: each.received.message
        for each in recording.messages({"request"})
        if isinstance(each.received.message, StimRequest)
    }
    lost: list[int] = []
    instead: dict[int, Mapping[str, float]] = {}
    for given, said in stepped_again(recording, "controller", build, lost):
        request = next(each.message for each in said if isinstance(each.message, StimRequest))
        was = recorded.get(given.number)
        if was is None or not _same(was, request, relative):
            return instead, f"up to step {given.number - 1}: from there the record has another request"
        would = listeners[0].note(request)
        if would is not None:
            instead[given.number] = would
    return instead, f"up to step {lost[0] - 1}: later inputs are not in the record" if lost else "whole"


class _Listener:
    """Hears the policy that acts, lets the shadow compute, and counts."""

    def __init__(self, path: Path, settings: ControllerSettings, clock: Clock) -> None:
        self.beside = Beside(settings)
        self._clock = clock
        self._settings = settings
        told = settings.shadow.settings.get("artefact", "") if settings.shadow is not None else ""
        self.found = ShadowFound("/".join(path.parts[-4:-1]), str(told))
        self._last_ns: int | None = None
        self._fault = ""

    def decided(self, given: PolicyInput, decision: Decision) -> None:
        """The policy that acts was asked."""
        began_ns = self._clock()
        self.beside.decided(given, decision)
        self.found.inference_ns.append(self._clock() - began_ns)

    def reset(self) -> None:
        """The protocol does not run."""
        self.beside.reset()

    def note(self, request: StimRequest) -> dict[str, float] | None:
        """Count the step; what would have been asked for instead of a request, None where that is the same."""
        heard = self.beside.take()
        if heard is None:
            return None
        found = self.found
        found.steps += 1
        self._count_fall(heard)
        seconds = 0.0 if self._last_ns is None else min(0.1, (heard.given.now_ns - self._last_ns) * 1e-9)
        self._last_ns = heard.given.now_ns
        if not heard.same:
            return None
        found.followed += 1
        vector = self.beside.policy.distilled.observer.vector()
        if vector is None:
            return None
        found.in_train += 1
        if self.beside.policy.distilled.decisions > found.decisions:
            found.decisions = self.beside.policy.distilled.decisions
            found.actions[self.beside.policy.distilled.value] += 1
        found.fallen_steps += bool(heard.would.fault)
        outside = self.beside.policy.distilled.outside(vector.tolist())
        if outside:
            found.shifted[outside.split(" ", 1)[0]] += 1
        return self._count_difference(heard, request, seconds)

    def _count_fall(self, heard: Compared) -> None:
        fault = heard.would.fault
        if fault and fault != self._fault:
            self.found.fallbacks[fault] += 1
        self._fault = fault

    def _count_difference(self, heard: Compared, request: StimRequest, seconds: float) -> dict[str, float] | None:
        found, asked, would = self.found, heard.asked.current_ma, heard.would.current_ma
        differs = 0.0
        for each in request.channels:
            before, after = asked.get(each.channel, 0.0), would.get(each.channel, 0.0)
            mc_per_ma = each.phase_us * each.rate_hz * 1e-6 * seconds
            found.asked_mc += before * mc_per_ma
            found.added_mc += max(0.0, after - before) * mc_per_ma
            found.taken_mc += max(0.0, before - after) * mc_per_ma
            differs = max(differs, abs(after - before))
        found.differ += differs > 0.0
        found.difference_ma += differs
        found.most_ma = max(found.most_ma, differs)
        if not differs:
            return None
        # The reflexes take their share of whatever was asked for.
        return {
            each.channel: each.current_ma * would.get(each.channel, 0.0) / asked[each.channel]
            for each in request.channels
            if asked.get(each.channel, 0.0) > 0.0
        }


def _same(recorded: StimRequest, again: StimRequest, relative: float) -> bool:
    pairs = zip(recorded.channels, again.channels, strict=True)
    return all(
        one.channel == other.channel
        and abs(one.current_ma - other.current_ma) <= relative * max(one.current_ma, other.current_ma)
        for one, other in pairs
    )

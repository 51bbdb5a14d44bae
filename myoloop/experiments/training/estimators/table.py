"""What estimators can learn from: evidence beside the truth, of each person, as the controller's own path gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.controllers.choice import Choice
from myoloop.controllers.estimators.burst_evidence import BurstEvidence
from myoloop.controllers.estimators.burst_settings import BurstSettings
from myoloop.controllers.estimators.estimator import Estimator, Heard, Setup, Situation
from myoloop.controllers.estimators.fatigue_evidence import FatigueEvidence
from myoloop.controllers.estimators.spasm import ON, QUIET, AdaptiveBurst
from myoloop.experiments.training.estimators.hearing import STEP_NS, hear, setup_of
from myoloop.experiments.training.estimators.sessions import CHANNEL, Event, group_of, live
from myoloop.platform.messages import MuscleEstimate

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_TRUTH_EVERY = 1_000_000_000 // STEP_NS
_NOTHING = (np.nan, np.nan, np.nan)


@dataclass(frozen=True, slots=True)
class Person:
    """One person's session as rows.

    Attributes
    ----------
    number, group, seconds
        Who (``draw(number, group)``), and for how long.
    events
        Spasms that were there.
    t_ns, evidence, may, rules_on, in_spasm
        Of each hop: end, evidence of a burst, whether the rules can tell anything, whether they tell a burst, whether a
        spasm was on in truth.
    onsets_s, told_s
        When the rules told that a burst began; for how long they told one, altogether.
    fatigue_evidence, fused, lost
        Of each second: evidence, what the rules tell with its interval (NaN where nothing), what was true.
    """

    number: int
    group: str
    seconds: float
    events: tuple[Event, ...]
    t_ns: npt.NDArray[np.int64]
    evidence: Floats
    may: Mask
    rules_on: Mask
    in_spasm: Mask
    onsets_s: Floats
    told_s: float
    fatigue_evidence: Floats
    fused: Floats
    lost: Floats


@dataclass(slots=True)
class ToldBursts:
    """Bursts as they are told, step by step."""

    onsets_s: list[float]
    told_s: float = 0.0
    on: bool = False

    def hear(self, now_ns: int, estimate: MuscleEstimate) -> None:
        """Take in a step."""
        on = estimate.spasm.valid and estimate.spasm.value == 1.0
        if on and not self.on:
            self.onsets_s.append(now_ns * 1e-9)
        self.told_s += STEP_NS * 1e-9 * on
        self.on = on


class _Listening(AdaptiveBurst):
    """The rules, and what a learner would see beside them."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(BurstSettings(), setup)
        self._evidence = BurstEvidence(len(setup.muscles))
        self.rows: list[Floats] = []
        self.times_ns: list[int] = []
        self.codes_told: list[int] = []

    def hear(self, heard: Heard, situation: Situation) -> None:
        super().hear(heard, situation)
        self.rows.append(self._evidence.hear(heard, self)[0])
        self.times_ns.append(heard.t_ns)
        self.codes_told.append(int(self.codes[0]))


def listen(item: Mapping[str, Any]) -> dict[str, Any]:
    """Let one person live and the rules hear it; for :class:`~myoloop.experiments.training.jobs.Jobs`.

    Parameters
    ----------
    item
        ``number`` and ``seconds``.
    """
    session = live(int(item["number"]), float(item["seconds"]))
    setup = setup_of(session)
    listening, evidence = _Listening(setup), FatigueEvidence(((CHANNEL,),))
    bursts = ToldBursts([])
    tired: list[list[float]] = []
    fused: list[tuple[float, float, float]] = []

    def told(now_ns: int, situation: Situation, estimate: MuscleEstimate) -> None:
        evidence.step(situation)
        bursts.hear(now_ns, estimate)
        if now_ns // STEP_NS % _TRUTH_EVERY == 0:
            terms = {name: [getattr(estimate, name)] for name in ("fatigue_mechanical", "fatigue_mwave", "mwave")}
            tired.append(evidence.known(terms, [estimate.fatigue])[0].tolist())
            fused.append(told_interval(estimate))

    hear(session, [listening, Choice(name="mwave"), Choice(name="mechanical_response")], told)
    t_ns, codes = np.array(listening.times_ns), np.array(listening.codes_told)
    return {
        "number": session.number,
        "seconds": session.seconds,
        "events": [[event.kind, event.onset_s, event.end_s] for event in session.events],
        "told_s": bursts.told_s,
        "t_ns": t_ns,
        "evidence": np.array(listening.rows),
        "may": np.isin(codes, (QUIET, ON)),
        "rules_on": codes == ON,
        "in_spasm": in_spasm(session.events, t_ns),
        "onsets_s": np.array(bursts.onsets_s),
        "fatigue_evidence": np.array(tired),
        "fused": np.array(fused),
        "lost": session.force_lost,
    }


def hear_again(item: Mapping[str, Any]) -> dict[str, Any]:
    """Let one person live, and learned estimators hear it in the loop's own code.

    Parameters
    ----------
    item
        ``number``, ``seconds``, and the settings of ``learned_burst`` and ``learned_fatigue``.
    """
    session = live(int(item["number"]), float(item["seconds"]))
    chosen: Sequence[Choice | Estimator] = [
        Choice(name=name, settings=item[name]) for name in ("learned_burst", "learned_fatigue")
    ]
    bursts = ToldBursts([])
    tired: list[tuple[float, float, float]] = []

    def told(now_ns: int, situation: Situation, estimate: MuscleEstimate) -> None:
        bursts.hear(now_ns, estimate)
        if now_ns // STEP_NS % _TRUTH_EVERY == 0:
            tired.append(told_interval(estimate))

    hear(session, chosen, told)
    return {"onsets_s": np.array(bursts.onsets_s), "told_s": bursts.told_s, "fatigue": np.array(tired)}


def person_of(result: Mapping[str, Any]) -> Person:
    """The rows that :func:`listen` gave."""
    arrays = {name: result[name] for name in Person.__dataclass_fields__ if name in result}
    events = tuple(Event(str(kind), float(onset_s), float(end_s)) for kind, onset_s, end_s in result["events"])
    return Person(**{**arrays, "group": group_of(int(result["number"])), "events": events})


def in_spasm(events: Sequence[Event], t_ns: npt.NDArray[np.int64]) -> Mask:
    """Whether a spasm was on at each time."""
    on = np.zeros(len(t_ns), dtype=np.bool_)
    for event in events:
        on |= (t_ns > event.onset_s * 1e9) & (t_ns <= event.end_s * 1e9)
    return on


def told_interval(estimate: MuscleEstimate) -> tuple[float, float, float]:
    """Fatigue and its interval; NaN where nothing is told."""
    told = estimate.fatigue
    if not told.valid or told.value is None or told.low is None or told.high is None:
        return _NOTHING
    return told.value, told.low, told.high

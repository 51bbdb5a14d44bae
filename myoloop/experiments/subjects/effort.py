"""Voluntary effort: the person reads the screen, reacts, holds, tires, lets go."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from myoloop.experiments.subjects.distributions import Parameters, Uniform, parameter
from myoloop.platform.messages import Phase

_RISE_S = 0.18
_RELEASE_S = 0.12
_WANDER_S = 0.3
_WANDER_MOST = 0.3
_WORKING = frozenset({"await_effort", "ramp_up", "hold", "ramp_down"})


@dataclass(frozen=True, kw_only=True)
class EffortParameters(Parameters):
    """How a person works along.

    Attributes
    ----------
    reaction_s, reaction_spread_s
        Reaction time to what the screen says.
    effort_level, effort_spread
        Activation of a voluntary effort relative to a maximal one, and how much it differs from trial to trial.
    effort_decline
        Share of the effort given up per unit of fatigue.
    effort_wander
        Spread of the effort about its level within a trial, as a share of it, over some tenths of a second.
    effort_missed, effort_early
        Share of trials without an effort; share where it begins at the cue already.
    effort_boredom_per_h
        Rate at which compliance falls: after an hour at 1 it is 37 %. A bored person leaves trials out, and makes an
        effort of down to half.
    """

    reaction_s: float = parameter(
        0.28, 0.12, 1.0, varies=Uniform(0.22, 0.35), source="our choice: choice reaction to a screen is 0.2 to 0.4 s"
    )
    reaction_spread_s: float = parameter(0.05, 0.0, 0.3, source="our choice: a fifth of the reaction time")
    effort_level: float = parameter(
        0.35, 0.02, 1.0, varies=Uniform(0.28, 0.42), source="our choice: an effort that can be held for a trial"
    )
    effort_spread: float = parameter(
        0.04, 0.0, 0.3, varies=Uniform(0.02, 0.06), source="our choice: a tenth of the effort from trial to trial"
    )
    effort_decline: float = parameter(
        0.4, 0.0, 1.0, varies=Uniform(0.2, 0.6), source="our choice: a tired person still makes half the effort"
    )
    effort_wander: float = parameter(
        0.05, 0.0, 0.3, varies=Uniform(0.03, 0.08), source="our choice: force is held to some per cent by eye"
    )
    effort_missed: float = parameter(0.02, 0.0, 1.0, source="our choice: one trial in fifty")
    effort_early: float = parameter(0.05, 0.0, 1.0, source="our choice: one trial in twenty")
    effort_boredom_per_h: float = parameter(
        0.0, 0.0, 10.0, varies=Uniform(0.0, 0.5), source="our choice: none, or up to two trials in five after an hour"
    )


class VoluntaryEffort:
    """The person's will, as an activation of 0 to 1 relative to a maximal voluntary contraction.

    In a block's trial the effort begins a reaction time after the screen asks for it (``await_effort``; where a
    protocol has no such state, the first state after the cue; now and then the cue itself), and ends a reaction time
    after the screen says rest, or after anything that is not a running block. Where a maximal contraction is asked for
    it is as strong as the will.
    """

    def __init__(self, parameters: EffortParameters, rng: np.random.Generator) -> None:
        self._p = parameters
        self._rng = rng
        self._trial: tuple[str, int, int, int] | None = None
        self._early = self._over = self._asked = False
        self._level = 0.0
        self._begin_ns: int | None = None
        self._end_ns: int | None = None
        self._wander = 0.0
        self._lived_s = 0.0
        self.activation = 0.0

    @property
    def held(self) -> bool:
        """Whether an effort is being made."""
        return self.activation > 0.02

    @property
    def compliance(self) -> float:
        """Will to work along, from 1 at the beginning towards 0."""
        return math.exp(-self._p.effort_boredom_per_h * self._lived_s / 3600.0)

    def truth(self) -> dict[str, float | int | str | None]:
        """For ``truth/effort``."""
        return {"activation": self.activation, "compliance": self.compliance}

    def see(self, phase: Phase, now_ns: int) -> None:
        """Read the screen."""
        maximal = phase.kind == "mvc"
        asked = maximal or (phase.kind == "block" and phase.machine not in ("cyclic", "continuous"))
        in_trial = phase.state == "running" and asked and phase.trial > 0
        trial = (phase.session, phase.index, phase.block, phase.trial)
        if in_trial and trial != self._trial:
            self._trial = trial
            self._expect()
            if maximal:
                # Announced, watched and cheered on: nobody forgets it, and it is as strong as the will is.
                self._early = self._over = False
                self._level = 0.5 + 0.5 * self.compliance
        working = phase.trial_state in _WORKING or (phase.trial_state == "cue" and self._early)
        if in_trial and working:
            if not self._asked and not self._over:
                self._asked = True
                self._begin_ns, self._end_ns = now_ns + self._reaction_ns(), None
        elif self._asked:
            self._asked = False
            self._over = self._over or (in_trial and phase.trial_state != "cue")
            self._end_ns = now_ns + self._reaction_ns()

    def step(self, t_to_ns: int, span_s: float, fatigue: float) -> float:
        """Go on to `t_to_ns`, with the fatigue the person has; give back the activation then."""
        p = self._p
        self._lived_s += span_s
        self._wander += -self._wander * span_s / _WANDER_S
        self._wander += p.effort_wander * math.sqrt(2 * span_s / _WANDER_S) * float(self._rng.standard_normal())
        wanted = 0.0
        holding = self._begin_ns is not None and t_to_ns >= self._begin_ns
        if self._end_ns is not None and t_to_ns >= self._end_ns:
            self._begin_ns = self._end_ns = None
            holding = False
        if holding:
            wander = 1.0 + max(-_WANDER_MOST, min(_WANDER_MOST, self._wander))
            wanted = self._level * (1.0 - p.effort_decline * fatigue) * wander
        follow_s = _RISE_S / 3 if wanted > self.activation else _RELEASE_S / 3
        self.activation += (wanted - self.activation) * (1.0 - math.exp(-span_s / follow_s))
        if self.activation < 1e-4:
            self.activation = 0.0
        return min(1.0, self.activation)

    def _expect(self) -> None:
        p = self._p
        early, missed = self._rng.random(2)
        compliance = self.compliance
        left_out = 1.0 - (1.0 - p.effort_missed) * compliance
        self._early, self._over = bool(early < p.effort_early), bool(missed < left_out)
        level = p.effort_level + p.effort_spread * float(self._rng.standard_normal())
        self._level = min(1.0, max(0.5 * p.effort_level, level)) * (0.5 + 0.5 * compliance)

    def _reaction_ns(self) -> int:
        seconds = self._p.reaction_s + self._p.reaction_spread_s * float(self._rng.standard_normal())
        return int(min(0.8, max(0.12, seconds)) * 1e9)

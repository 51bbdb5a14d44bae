"""What the person feels of the stimulation, and says during calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from myoloop.experiments.subjects.distributions import Parameters, Relative, Uniform, parameter
from myoloop.platform.messages import Event, Phase

_REACTION_S = (0.2, 0.5)
#: The person names one thing after the other.
_APART_NS = 50_000_000
_DRIFT_S = 1.0
_DRY_S = 1200.0
_HABIT_S = 300.0
_WALK_S = 300.0
#: The walks turn back at so many of their spreads.
_WALK_MOST = 2.0
#: No threshold is more or less than so many times its beginning.
_DRIFT_MOST = 3.0


def _motor_uc(others: Mapping[str, float]) -> float:
    """Charge that recruits one axon in twenty: 1.645 standard deviations below the median."""
    return others["recruitment_median_uc"] * math.exp(-1.645 * others["recruitment_spread"])


@dataclass(frozen=True, kw_only=True)
class PerceptionParameters(Parameters):
    """What a person feels.

    Attributes
    ----------
    sensory_uc, motor_uc, tolerance_uc
        Charge per phase at which the person first feels, sees a twitch, and wants no more; for a reference pulse of
        250 us.
    electrode_drying
        How much charge every threshold gains while the electrodes dry, as a natural logarithm; reached with a time
        constant of 20 minutes.
    sensory_habituation
        How much charge the sensory threshold gains under felt stimulation, as a natural logarithm, with a time constant
        of 5 minutes; tolerance gains half of it. It is lost again three times as slowly.
    threshold_wander
        Spread of a slow random walk of the logarithm of all thresholds together, and of another one of what is felt;
        both return to where they began within some 5 minutes.
    """

    sensory_uc: float = parameter(
        1.3, 0.1, 50.0,
        varies=Relative(_motor_uc, Uniform(0.4, 0.6)),
        source="our choice: about half of the motor threshold; skin is felt before motor axons fire",
    )  # fmt: skip
    motor_uc: float = parameter(
        2.8, 0.2, 50.0,
        varies=Relative(_motor_uc, Uniform(0.95, 1.1)),
        source="our choice: a twitch is seen when one motor axon in twenty is recruited",
    )  # fmt: skip
    tolerance_uc: float = parameter(
        7.8, 0.3, 100.0,
        varies=Relative(lambda others: others["recruitment_median_uc"], Uniform(1.4, 1.65)),
        source="our choice: well above half recruitment, within the platform's default envelope",
    )  # fmt: skip

    electrode_drying: float = parameter(
        0.0, 0.0, 0.5, varies=Uniform(0.0, 0.1), source="our choice: none, or up to a tenth more charge"
    )
    sensory_habituation: float = parameter(
        0.0, 0.0, 1.0, varies=Uniform(0.0, 0.3), source="our choice: none, or up to a third more charge"
    )
    threshold_wander: float = parameter(
        0.0, 0.0, 0.2, varies=Uniform(0.0, 0.03), source="our choice: none, or some per cent from minute to minute"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sensory_uc < self.motor_uc < self.tolerance_uc:
            raise ValueError(
                f"sensory_uc {self.sensory_uc:g}, motor_uc {self.motor_uc:g} and tolerance_uc "
                f"{self.tolerance_uc:g}: must rise in this order"
            )


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Equivalent charge per phase, in uC, from which each is felt on one muscle."""

    sensory_uc: float
    motor_uc: float
    tolerance_uc: float

    def felt(self, charge_uc: float) -> list[str]:
        """What a pulse is felt as."""
        levels = (("sensory", self.sensory_uc), ("motor", self.motor_uc), ("tolerance", self.tolerance_uc))
        return [what for what, threshold_uc in levels if charge_uc > threshold_uc]

    def discomfort(self, charge_uc: float) -> float:
        """How unpleasant a pulse is: 0 where it is not felt, 10 at tolerance, in proportion between and beyond.

        Our choice: that people rate about in proportion to charge is what it is to have a scale for.
        """
        return 10.0 * max(0.0, charge_uc - self.sensory_uc) / (self.tolerance_uc - self.sensory_uc)


class ThresholdDrift:
    """How the thresholds of a person's muscles move in a session.

    What the electrodes do shifts all of a muscle's thresholds and its recruitment alike; what the person gets used to
    shifts what is felt. Sensory, motor and tolerance stay in this order whatever happens, and none leaves three times
    its beginning up or down.

    Parameters
    ----------
    persons
        Parameters of each muscle.
    rng
        For the random walks: two draws per muscle and second, whatever else happens.

    Attributes
    ----------
    thresholds
        Of each muscle, now.
    electrode
        Of each muscle: how many times the charge is needed that was needed at the beginning, for the same recruitment.
    """

    def __init__(self, persons: Sequence[PerceptionParameters], rng: np.random.Generator) -> None:
        self._persons = tuple(persons)
        self._rng = rng
        self._lived_s = self._since_s = 0.0
        self._felt = [False] * len(self._persons)
        self._used_to = [0.0] * len(self._persons)
        self._walks = [(0.0, 0.0)] * len(self._persons)
        self.electrode = [1.0] * len(self._persons)
        self.thresholds = [Thresholds(p.sensory_uc, p.motor_uc, p.tolerance_uc) for p in self._persons]

    def feel(self, number: int, charge_uc: float) -> None:
        """A pulse passes under the pads of a muscle."""
        if charge_uc > self.thresholds[number].sensory_uc:
            self._felt[number] = True

    def step(self, span_s: float) -> None:
        """Go on; the thresholds move once a second."""
        self._since_s += span_s
        while self._since_s >= _DRIFT_S - 1e-9:
            self._since_s -= _DRIFT_S
            self._lived_s += _DRIFT_S
            drawn = self._rng.standard_normal((len(self._persons), 2)).tolist()
            for number, (person, fresh) in enumerate(zip(self._persons, drawn, strict=True)):
                self._move(number, person, fresh)
            self._felt = [False] * len(self._persons)

    def truth(self, names: Sequence[str]) -> dict[str, float | int | str | None]:
        """For ``truth/threshold``: ``<name>.sensory_uc`` and so on of each muscle, by its name."""
        return {
            f"{name}.{what}_uc": getattr(threshold, f"{what}_uc")
            for name, threshold in zip(names, self.thresholds, strict=True)
            for what in ("sensory", "motor", "tolerance")
        }

    def _move(self, number: int, p: PerceptionParameters, fresh: Sequence[float]) -> None:
        goal, time_s = (p.sensory_habituation, _HABIT_S) if self._felt[number] else (0.0, 3.0 * _HABIT_S)
        self._used_to[number] += (goal - self._used_to[number]) * (1.0 - math.exp(-_DRIFT_S / time_s))
        kept = math.exp(-_DRIFT_S / _WALK_S)
        spread = p.threshold_wander * math.sqrt(1.0 - kept * kept)
        most = _WALK_MOST * p.threshold_wander
        pads, skin = (
            min(most, max(-most, kept * walk + spread * one))
            for walk, one in zip(self._walks[number], fresh, strict=True)
        )
        self._walks[number] = pads, skin
        electrode = math.exp(p.electrode_drying * (1.0 - math.exp(-self._lived_s / _DRY_S)) + pads)
        sensory = p.sensory_uc * math.exp(self._used_to[number] + skin)
        tolerance = p.tolerance_uc * math.exp(0.5 * self._used_to[number] + skin)
        # What is felt may come half way to the motor threshold, not past it: people feel before they twitch.
        sensory = min(sensory, math.sqrt(p.sensory_uc * p.motor_uc))
        tolerance = max(tolerance, math.sqrt(p.tolerance_uc * p.motor_uc))
        self.electrode[number] = electrode
        self.thresholds[number] = Thresholds(
            _near(p.sensory_uc, electrode * sensory),
            _near(p.motor_uc, electrode * p.motor_uc),
            _near(p.tolerance_uc, electrode * tolerance),
        )


def _near(beginning_uc: float, now_uc: float) -> float:
    return min(_DRIFT_MOST * beginning_uc, max(beginning_uc / _DRIFT_MOST, now_uc))


class Perception:
    """Answers ``felt`` once each per channel in every ascent, a reaction time after the first pulse above."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._calibration: tuple[str, int] | None = None
        self._ascent = (0, 0)
        self._anew = False
        self._said: set[tuple[str, str]] = set()
        self._answers: list[Event] = []

    def see(self, phase: Phase) -> None:
        """Learn whether a calibration is on; each ascent is answered anew, also one that begins again at the bottom."""
        calibration = (phase.session, phase.index) if phase.kind == "calibration" else None
        if calibration is not None and calibration != self._calibration:
            self._said.clear()
            self._ascent, self._anew = (phase.block, phase.trial), False
        self._calibration = calibration
        repeat, step = self._ascent
        self._anew = self._anew or phase.block != repeat or (phase.trial == 0 and step > 0)
        self._ascent = (phase.block, phase.trial)
        # The end of the burst that was enough is still felt, and is nothing new.
        if self._anew and phase.trial_state == "hold":
            self._said.clear()
            self._anew = False
        if phase.state == "ended":
            self._calibration = None

    def feel(self, t_ns: int, channel: str, current_ma: float, charge_uc: float, thresholds: Thresholds) -> None:
        """A pulse passes under the pads."""
        if self._calibration is None:
            return
        for what in thresholds.felt(charge_uc):
            if (channel, what) in self._said:
                continue
            self._said.add((channel, what))
            answer_ns = t_ns + int(self._rng.uniform(*_REACTION_S) * 1e9)
            if self._answers:
                answer_ns = max(answer_ns, self._answers[-1].t_ns + _APART_NS)
            values: dict[str, float | str | bool | None] = {
                "what": what,
                "channel": channel,
                "current_ma": current_ma,
            }
            self._answers.append(Event(t_ns=answer_ns, kind="felt", who="subject", values=values))

    def step(self, t_to_ns: int) -> list[Event]:
        """Answers given by `t_to_ns`."""
        given = [answer for answer in self._answers if answer.t_ns <= t_to_ns]
        self._answers = self._answers[len(given) :]
        return given

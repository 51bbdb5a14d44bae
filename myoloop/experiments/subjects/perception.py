"""What the person feels of the stimulation, and says during calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from myoloop.experiments.subjects.distributions import Parameters, Relative, Uniform, parameter
from myoloop.platform.messages import Event, Phase

_REACTION_S = (0.2, 0.5)
#: The person names one thing after the other.
_APART_NS = 50_000_000


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


class Perception:
    """Answers ``felt`` once each per channel in every calibration, a reaction time after the first pulse above."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._calibration: tuple[str, int] | None = None
        self._said: set[tuple[str, str]] = set()
        self._answers: list[Event] = []

    def see(self, phase: Phase) -> None:
        """Learn whether a calibration is on; a new one is answered anew."""
        calibration = (phase.session, phase.index) if phase.kind == "calibration" else None
        if calibration is not None and calibration != self._calibration:
            self._said.clear()
        self._calibration = calibration
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

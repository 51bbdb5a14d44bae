"""What a learner is rewarded for: weights from a file, and what is weighed.

Everything is a cost, so that a reward is 0 at best. The weights of the file that comes along are in the proportions of
the composite that controllers are compared by; gate and pain stand beside it, so that nothing is learnt that leans on
the gate or hurts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from myoloop.platform.yamlfile import load_model

FOLDER = Path(__file__).parent / "tasks"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one decision cost one person, over the time until the next.

    Attributes
    ----------
    tracking
        Root mean square of the error over that time, as a share of the target.
    fatigue
        Share of the muscle's force that was lost meanwhile; below 0 while it recovers.
    charge
        Charge of the pulses that flowed, over that of a train that the fresh muscle needs for the target.
    gate
        Share of the steps in which the gate let less through than was asked for.
    pain
        Mean of how far the current was beyond the comfortable share of what the person tolerates, as a share of the
        way from there to all of it: a proxy, as nobody is asked.
    """

    tracking: float
    fatigue: float
    charge: float
    gate: float
    pain: float


class Reward(BaseModel):
    """Weights of a reward file, each 0 or more; at least one above 0.

    Attributes
    ----------
    tracking, fatigue, charge, gate, pain
        Of each cost: see :class:`Cost`.
    comfortable_share
        Of the current that the person tolerates: up to here nothing hurts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    tracking: float = Field(ge=0.0, le=1e6)
    fatigue: float = Field(ge=0.0, le=1e6)
    charge: float = Field(ge=0.0, le=1e6)
    gate: float = Field(default=0.0, ge=0.0, le=1e6)
    pain: float = Field(default=0.0, ge=0.0, le=1e6)
    comfortable_share: float = Field(default=0.8, gt=0.0, lt=1.0)

    def of(self, cost: Cost) -> float:
        """The reward of a decision: 0 at best, but for recovery."""
        return -(
            self.tracking * cost.tracking
            + self.fatigue * cost.fatigue
            + self.charge * cost.charge
            + self.gate * cost.gate
            + self.pain * cost.pain
        )

    def pain_of(self, share: float) -> float:
        """Pain proxy of a current, given as a share of what the person tolerates."""
        return max(0.0, share - self.comfortable_share) / (1.0 - self.comfortable_share)


def load_reward(path: Path | str) -> Reward:
    """Read a reward file.

    Raises
    ------
    myoloop.platform.yamlfile.FileError
        With every mistake in the file, each with its line.
    """
    return load_model(path, Reward)

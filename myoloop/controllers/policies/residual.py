"""A factor on what a tracking policy asks for: none, set from outside, or decided by a learned model.

``wanted = feed * (1 + correction) * (1 + residual)``. What is seen in one step decides the residual of the next ones,
in training as live: whoever trains looks at the observation after a step and sets the value before the next.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.policies.observation import Observer, Seen
from myoloop.controllers.policies.recruitment import RecruitmentCurve
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Target

#: What may be chosen, in the order of its numbers; 0 is the classic policy.
ACTIONS: tuple[float, ...] = (-0.3, -0.15, -0.05, 0.0, 0.05, 0.15, 0.3)
#: A residual stays within minus and plus this.
RESIDUAL_MAX = 0.5


class NoResidual(Restorable):
    """The classic policy.

    Attributes
    ----------
    value
        The residual now.
    classic
        Share that the classic policy would ask for by the same knowledge; followed only where somebody asks.
    looks
        Whether it wants to see the steps.
    """

    value: float = 0.0
    classic: float = 0.0
    looks: bool = False

    def see(self, seen: Seen) -> None:
        """Not looked at."""

    def within(self, share: float, classic: float, curve: RecruitmentCurve, target: Target, seconds: float) -> float:
        """What of a share may be asked for, where `classic` is the classic policy's: all of it."""
        del classic, curve, target, seconds
        return share

    def stop(self, seconds: float) -> None:
        """Nothing is asked for in this step."""

    def end_trial(self) -> None:
        """Nothing to end."""

    def new_block(self) -> None:
        """Nothing to forget."""

    def reset(self) -> None:
        """Nothing to forget."""


class Steered(NoResidual):
    """A residual that is set from outside, by whoever trains.

    Attributes
    ----------
    observer
        What is seen.
    """

    looks = True
    _kept: ClassVar[tuple[str, ...]] = ("value", "classic", "observer")

    def __init__(self) -> None:
        self.value = 0.0
        self.classic = 0.0
        self.observer = Observer()

    @property
    def observation(self) -> npt.NDArray[np.float64] | None:
        """What is seen after the newest step; None outside of a train."""
        return self.observer.vector()

    def steer(self, value: float) -> None:
        """Set the residual of the steps to come, until the train ends or it is set again.

        Raises
        ------
        ValueError
            If it is not a number within -0.5 and 0.5.
        """
        if not -RESIDUAL_MAX <= value <= RESIDUAL_MAX:
            raise ValueError(f"residual is {value:g}, allowed is {-RESIDUAL_MAX:g} to {RESIDUAL_MAX:g}")
        self.value = float(value)

    def see(self, seen: Seen) -> None:
        """Note one step of a train."""
        self.observer.see(seen)

    def within(self, share: float, classic: float, curve: RecruitmentCurve, target: Target, seconds: float) -> float:
        """All of it; what the classic one would have asked is followed."""
        del curve, target, seconds
        self.classic = classic
        return share

    def stop(self, seconds: float) -> None:
        """Nothing is asked for in this step."""
        del seconds
        self.classic = 0.0

    def end_trial(self) -> None:
        """The train is over: the residual is none until it is set again."""
        self.value = 0.0
        self.observer.leave()

    def new_block(self) -> None:
        """Forget what was seen."""
        self.value = 0.0
        self.observer.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.value = self.classic = 0.0
        self.observer.reset()

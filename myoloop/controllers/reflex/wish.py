"""What the reflexes judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from myoloop.platform.messages import MuscleEstimate


@dataclass(frozen=True, slots=True)
class Wish:
    """What a policy wants, and what is known around it.

    Attributes
    ----------
    now_ns
        The step's time.
    current_ma
        By channel, what the policy asks for.
    estimates
        By muscle.
    bad_signal
        What is wrong with the EMG; empty where nothing is.
    phase_index
        Which phase of the protocol.
    adapt
        False in a calibration, where current may be taken away but not changed.
    trial_state, trial
        As the phase has it; (repetition of the block, trial).
    saturated, held
        As the policy's decision has it.
    limited
        Whether the gate let less through than was asked for.
    """

    now_ns: int
    current_ma: Mapping[str, float]
    estimates: Mapping[str, MuscleEstimate]
    bad_signal: str
    phase_index: int
    adapt: bool
    trial_state: str = ""
    trial: tuple[int, int] = (0, 0)
    saturated: bool = False
    held: float | None = None
    limited: bool = False

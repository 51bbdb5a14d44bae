"""How fast current may rise.

Ground is what this person has had on this channel in this session: amplitudes, each with its width, that flowed long
enough to be felt. At equal charge the narrower pulse is the stronger one, at equal current the wider one, so what is
known at one width counts at another only as far as neither current nor charge is more. On known ground current rises
with the train's ramp; beyond it one step at a time. Falling is free.
"""

from __future__ import annotations

from dataclasses import dataclass

from myoloop.stimulators.gate.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Trial:
    """New ground while it is being taken.

    Attributes
    ----------
    current_ma, phase_us
        The least since it began.
    served_ns, pulses
        How long without a break, and how many pulses that makes.
    """

    current_ma: float
    phase_us: float
    served_ns: int = 0
    pulses: float = 0.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What a channel has had.

    Attributes
    ----------
    had
        (current in mA, width in us) of settings none of which covers another.
    trial
        What it is getting beyond that now.
    """

    had: tuple[tuple[float, float], ...] = ()
    trial: Trial | None = None


def as_strong_ma(current_ma: float, phase_us: float, at_us: float) -> float:
    """The current at width `at_us` that has neither more current nor more charge than `current_ma` at `phase_us`."""
    return current_ma * min(1.0, phase_us / at_us)


def known_ma(ground: Ground, phase_us: float) -> float:
    """The most that is known ground at this width."""
    return max((as_strong_ma(current_ma, had_us, phase_us) for current_ma, had_us in ground.had), default=0.0)


def rise_cap(ground: Ground, now_ma: float, phase_us: float, envelope: Envelope, elapsed_ns: int) -> tuple[float, str]:
    """Largest current in mA that the rise allows this cycle, and the rule.

    Parameters
    ----------
    ground
        What is known of the channel.
    now_ma
        What it had risen to, at this width.
    phase_us
        Width asked for.
    elapsed_ns
        Time since the last cycle.
    """
    most_ma = known_ma(ground, phase_us)
    ramp_ma = now_ma + most_ma * (elapsed_ns * 1e-9) / envelope.known_ground_ramp_s_min
    if ramp_ma < most_ma:
        return ramp_ma, "rise on known ground"
    # A rounding error in the sum of steps is no step less: what is missing of a device's step would never be made up.
    return most_ma + envelope.step_ma * (1.0 + 1e-9), "rise onto new ground"


def learn(
    ground: Ground, current_ma: float, phase_us: float, rate_hz: float, envelope: Envelope, elapsed_ns: int
) -> Ground:
    """What is known of the channel after this has flowed for another `elapsed_ns`.

    New ground is known once it has flowed without a break for as long as `new_ground_ma_per_s` says, and for at least
    one pulse: a blink between two pulses teaches nothing.
    """
    trial = ground.trial or Trial(current_ma, phase_us)
    trial = Trial(
        min(trial.current_ma, current_ma),
        min(trial.phase_us, phase_us),
        trial.served_ns + elapsed_ns,
        trial.pulses + rate_hz * elapsed_ns * 1e-9,
    )
    taken_ma = trial.current_ma - known_ma(ground, trial.phase_us)
    if taken_ma <= 0.0:
        return Ground(ground.had)
    # As with the step itself, a rounding error must not cost another cycle.
    served_ma = trial.served_ns * 1e-9 * envelope.new_ground_ma_per_s
    served = served_ma * (1.0 + 1e-9) >= taken_ma
    if not served or trial.pulses < 1.0:
        return Ground(ground.had, trial)
    new = (trial.current_ma, trial.phase_us)
    return Ground((*(had for had in ground.had if as_strong_ma(*new, had[1]) < had[0]), new))

"""How fast current may rise.

Ground is what this person has had on this channel in this session, in current and in charge per phase: at equal
charge the narrower pulse is the stronger one, at equal current the wider one, so both must be known. On known ground
current rises with the train's ramp; beyond it one step at a time. Falling is free.
"""

from __future__ import annotations

from dataclasses import dataclass

from myoloop.stimulators.gate.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Ground:
    """What a channel has had, and when it may go beyond.

    Attributes
    ----------
    current_ma, charge_uc
        The most it has had.
    next_step_ns
        Not before this may new ground be taken.
    """

    current_ma: float = 0.0
    charge_uc: float = 0.0
    next_step_ns: int = 0


def rise_cap(
    ground: Ground, now_ma: float, phase_us: float, envelope: Envelope, elapsed_ns: int, now_ns: int
) -> tuple[float, str]:
    """Largest current in mA that the rise allows this cycle, and the rule.

    Parameters
    ----------
    ground
        What is known of the channel.
    now_ma
        What it has now.
    phase_us
        Width asked for.
    elapsed_ns
        Time since the last cycle.
    """
    known_ma = _known_ma(ground, phase_us)
    ramp_ma = now_ma + known_ma * (elapsed_ns * 1e-9) / envelope.known_ground_ramp_s_min
    if ramp_ma < known_ma:
        return ramp_ma, "rise on known ground"
    if now_ns < ground.next_step_ns:
        return known_ma, "rise onto new ground"
    return known_ma + envelope.step_ma, "rise onto new ground"


def learn(ground: Ground, current_ma: float, phase_us: float, envelope: Envelope, now_ns: int) -> Ground:
    """What is known of the channel after it has been given `current_ma`."""
    charge_uc = current_ma * phase_us * 1e-3
    taken_ma = current_ma - _known_ma(ground, phase_us)
    if taken_ma <= 0.0:
        return ground
    wait_ns = round(taken_ma / envelope.new_ground_ma_per_s * 1e9)
    return Ground(max(ground.current_ma, current_ma), max(ground.charge_uc, charge_uc), now_ns + wait_ns)


def _known_ma(ground: Ground, phase_us: float) -> float:
    """The current that is neither above the known current nor, at this width, above the known charge."""
    return min(ground.current_ma, ground.charge_uc * 1e3 / phase_us)

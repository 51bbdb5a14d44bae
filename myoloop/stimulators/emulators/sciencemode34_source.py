"""The current source of a ScienceMode device and what hangs on its outputs: what really flows, and what it notices.

One source serves all outputs, one pulse after the other (assumption for the P24: the vendor's rule of total time sums
over all channels). Before each it looks whether an electrode is there, which shows from about 15 mA on; a current that
the high voltage cannot drive through the load is an error (28 on the P24). The small test pulse of that look is not in
the ledger (assumption: it counts for nothing, and with it each pulse takes 60 us beside its points).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction

from myoloop.stimulators.emulators.faults import LineFaults
from myoloop.stimulators.emulators.ledger import Point, Pulse
from myoloop.stimulators.emulators.sciencemode34_fields import CODES_PER_MA, OVERHEAD_US, Shape

OK, HV_ERROR, ELECTRODE_ERROR, PULSE_TIMEOUT, LOW_CURRENT = 0, 8, 10, 16, 28
#: From here on a missing electrode is noticed.
ELECTRODE_CHECK_MA = 15
LOAD_OHM = 1000.0


@dataclass(slots=True)
class ScienceModeFaults(LineFaults):
    """What is broken in the line and in the device; set from outside at any time.

    Attributes
    ----------
    results_once, results_always
        Result code with which the next, or each, request of a command number is refused; nothing else comes of it.
        One byte; 0 refuses nothing.
    general_errors
        Result codes that it says unasked (General_error), taken from here as soon as time goes on.
    open_from_ns
        Outputs that come open at a time.
    load_ohm
        Load of an output; 1000 ohm where there is none.
    load_factor
        By how much all loads have risen.
    reset_at_ns
        When it resets by itself; None once it has.
    stuck_on
        What stops is answered and not done: running channels go on to the device's own time-out in mid level, and
        the last pulse of each output is repeated without end in low level.
    stop_delay_ns
        In low level, so long after a stop is heard what waits is still given and each output that has given pulses
        goes on in its rhythm; up to 40 ms (the high voltage is off when the stop is answered) is no fault but the
        worse reading of what the maker does not say.
    queue_full
        Low-level pulses find no place.
    reset_is_silent
        Reset is not answered.
    mask_flipped
        Bits of the active channels that it reports wrongly.
    """

    results_once: dict[int, int] = field(default_factory=dict)
    results_always: dict[int, int] = field(default_factory=dict)
    general_errors: list[int] = field(default_factory=list)
    open_from_ns: dict[int, int] = field(default_factory=dict)
    load_ohm: dict[int, float] = field(default_factory=dict)
    load_factor: float = 1.0
    reset_at_ns: int | None = None
    stuck_on: bool = False
    stop_delay_ns: int = 0
    queue_full: bool = False
    reset_is_silent: bool = False
    mask_flipped: int = 0


class CurrentSource:
    """Gives pulses one at a time and writes each that flowed to the ledger.

    Parameters
    ----------
    faults
        Electrodes and loads.

    Attributes
    ----------
    free_ns
        When it can give the next pulse.
    volts
        High voltage; 0 is off.
    """

    def __init__(self, faults: ScienceModeFaults, start_ns: int) -> None:
        self.faults = faults
        self.free_ns = start_ns
        self.volts = 0
        self.delivered: deque[Pulse] = deque()

    def load_ohm(self, output: int, t_ns: int) -> float:
        """Load on an output; infinite where it is open."""
        faults = self.faults
        if output in faults.open_electrodes or t_ns >= faults.open_from_ns.get(output, t_ns + 1):
            return math.inf
        return faults.load_ohm.get(output, LOAD_OHM) * faults.load_factor

    def give(self, output: int, shape: Shape, t_ns: int, share: Fraction = Fraction(1)) -> int:
        """Give one pulse that starts at `t_ns`, at a share of its amplitude; return the result code."""
        # assumption: a pulse that is refused takes the time of the test pulse alone
        self.free_ns = t_ns + OVERHEAD_US * 1000
        peak_ma = float(shape.peak_half_ma * share) / CODES_PER_MA
        load = self.load_ohm(output, t_ns)
        if not self.volts:
            return HV_ERROR
        is_open = math.isinf(load)
        if is_open and peak_ma >= ELECTRODE_CHECK_MA:
            return ELECTRODE_ERROR
        if not is_open and peak_ma * load > self.volts * 1000:
            # assumption: after this error nothing has flowed that counts
            return LOW_CURRENT
        self.free_ns += shape.total_us * 1000
        # assumption: below 15 mA an open electrode is not noticed; nothing flows, and the answer is good
        if shape.points and not is_open:
            self.delivered.append(_ledger_pulse(output, shape, t_ns, share))
        return OK


def _ledger_pulse(output: int, shape: Shape, t_ns: int, share: Fraction) -> Pulse:
    unit = share / CODES_PER_MA
    points = () if shape.symmetric else tuple(Point(float(p.half_ma * unit), float(p.width_us)) for p in shape.points)
    return Pulse(
        t_ns + shape.lead_us * 1000,
        output,
        float(shape.peak_half_ma * unit),
        float(shape.phase_us),
        points,
        float(shape.net * unit),
    )

"""The converter: volts become counts, at the times of the amplifier's own clock."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: +-5.5 mV over int16 at a gain of 1.
RAIL_V = 5.5e-3
COUNTS = 32767
VOLTS_PER_COUNT = RAIL_V / COUNTS


class Adc:
    """A converter of 16 bits.

    Parameters
    ----------
    gains
        Of each channel: 2 halves its range and its step.

    Attributes
    ----------
    volts_per_count, rail_v
        (channels,).

    Raises
    ------
    ValueError
        If a gain is not a positive number.
    """

    def __init__(self, gains: Sequence[float]) -> None:
        for channel, gain in enumerate(gains):
            if not 1e-3 <= gain <= 1e3:
                raise ValueError(f"gain of EMG channel {channel}: found {gain}, allowed is 0.001 to 1000")
        self.volts_per_count: Array = VOLTS_PER_COUNT / np.asarray(gains, dtype=np.float64)
        self.rail_v: Array = COUNTS * self.volts_per_count
        self._per_volt = 1.0 / self.volts_per_count

    def counts(self, volts: Array) -> Array:
        """Whole counts within the rails (n, channels); what is no number reads as the negative rail, not as silence."""
        within_v = np.fmin(np.fmax(volts, -self.rail_v), self.rail_v)
        counts: Array = np.rint(within_v * self._per_volt)
        return counts


def true_rate_hz(rate_hz: float, clock_ppm: float) -> float:
    """Rate, by the host's clock, of an amplifier of nominal `rate_hz` whose clock is fast by parts per million.

    Whoever cuts time into blocks asks for the samples that are due by this rate.
    """
    return rate_hz * (1.0 + 1e-6 * clock_ppm)

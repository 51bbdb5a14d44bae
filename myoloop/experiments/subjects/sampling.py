"""When a sensor takes its samples, where the body is known once per millisecond."""

from __future__ import annotations

import math


class SampleTimes:
    """A sensor's own rate.

    Parameters
    ----------
    rate_hz
        From 1 to 1000.
    start_ns
        When its time begins; the first sample is one period later.

    Raises
    ------
    ValueError
        If the rate is not within that.
    """

    def __init__(self, name: str, rate_hz: float, start_ns: int) -> None:
        if not 1 <= rate_hz <= 1000:
            raise ValueError(f"{name} {rate_hz:g} (allowed 1 to 1000)")
        self.rate_hz = float(rate_hz)
        self._start_ns = start_ns
        self._made = 0

    def due(self, t_to_ns: int, steps: int) -> list[int]:
        """Which of the milliseconds that end at `t_to_ns` (`steps` of them, counted from 0) have a sample."""
        since_start_s = (t_to_ns - self._start_ns) * 1e-9
        rate_hz = self.rate_hz
        # A sample whose time has come, but for the error of the product.
        last = math.floor(since_start_s * rate_hz + 1e-6)
        begin_s = since_start_s - steps * 1e-3
        picked = []
        for sample in range(self._made + 1, last + 1):
            at = round((sample / rate_hz - begin_s) * 1e3) - 1
            picked.append(min(steps - 1, max(0, at)))
        self._made = last
        return picked

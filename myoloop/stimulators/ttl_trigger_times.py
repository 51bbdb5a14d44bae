"""When the trigger box gave its triggers: its own counts and microseconds, put on the host's clock.

Each exchange bounds the offset between the clocks from both sides; the bounds of the newest are intersected, widened
by what the box's resonator may have drifted since.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from myoloop.platform.messages import Pulses
from myoloop.stimulators.ttl_trigger_settings import OUTPUTS, TtlTriggerDriverSettings

#: How late the firmware's loop may give triggers since the one before last; the next one counts from there.
_LOOP_NS = 200_000
#: Slowest and quickest resonator of a small board against the host's clock: 0.5 %.
_DRIFT = 0.005
_EXCHANGES = 8
_U32 = 1 << 32


class TriggerTimes:
    """What the box has counted, and what is known of its clock.

    Parameters
    ----------
    settings
        How the stimulator behind it is set.
    channel_of
        The channel on each output.
    """

    _raw_us: int | None
    _device_us: int
    _counts: list[int]
    _periods: list[int]

    def __init__(self, settings: TtlTriggerDriverSettings, channel_of: Mapping[int, str]) -> None:
        self._settings = settings
        self._channel_of = channel_of
        self._exchanges: deque[tuple[int, int, int]] = deque(maxlen=_EXCHANGES)
        self._pulses: list[tuple[int, list[int], int, str]] = []
        self._begin(None, 0, [0] * OUTPUTS)

    def begin(self, device_us: int, counts: Sequence[int]) -> None:
        """Count on from what the box says at the beginning."""
        self._begin(device_us, device_us, list(counts))

    def forget(self) -> None:
        """The box has restarted: its clock and its counts are other ones. What it gave before is still told."""
        self._exchanges.clear()
        self._begin(None, 0, [0] * OUTPUTS)

    def hear(self, raw_us: int) -> bool:
        """Take in the box's time; False, and nothing is taken in, where it has gone back."""
        # Its microseconds wrap after 71 minutes.
        since_us = 0 if self._raw_us is None else (raw_us - self._raw_us) % _U32
        if since_us > _U32 // 2:
            return False
        self._device_us = self._device_us + since_us if self._raw_us is not None else raw_us
        self._raw_us = raw_us
        return True

    def bound(self, sent_ns: int, heard_ns: int) -> None:
        """The box stamped what it said last after the one, and before the other."""
        self._exchanges.append((sent_ns, heard_ns, self._device_us * 1000))

    def count(self, edges: Sequence[int], periods: Sequence[int]) -> list[str]:
        """Take in count and age of each output's triggers, and the periods that hold now; what is wrong with them."""
        faults = []
        for output in range(OUTPUTS):
            made = (edges[2 * output] - self._counts[output]) % _U32
            self._counts[output] = edges[2 * output]
            before_us = self._periods[output]
            period_us = periods[output] or before_us
            self._periods[output] = period_us
            if not made:
                continue
            if made > 1000:
                faults.append(f"{self._channel_of.get(output, f'output {output}')}: {made} triggers at once")
                continue
            last_us = self._device_us - edges[2 * output + 1]
            times = [last_us - back * period_us for back in reversed(range(made))]
            # Where the period has changed in between, it is not said after which of them.
            steady = made == 1 or period_us == before_us
            late_us = 0 if steady else made * max(period_us, before_us)
            self._pulses.append((output, times, late_us, "acknowledged" if steady else "predicted"))
        return faults

    def take(self, now_ns: int) -> tuple[Pulses, ...]:
        """Pulses not taken yet, on the host's clock; none until an exchange bounds it."""
        if not self._pulses or not self._exchanges:
            return ()
        newest_ns = self._exchanges[-1][1]
        drifts = [round((newest_ns - heard_ns) * _DRIFT) for _, heard_ns, _ in self._exchanges]
        low_ns = max(sent - device - drift for (sent, _, device), drift in zip(self._exchanges, drifts, strict=True))
        high_ns = min(heard - device + drift for (_, heard, device), drift in zip(self._exchanges, drifts, strict=True))
        if low_ns > high_ns:
            sent_ns, heard_ns, device_ns = self._exchanges[-1]
            low_ns, high_ns = sent_ns - device_ns, heard_ns - device_ns
        told = []
        for output, times, late_us, kind in self._pulses:
            host = [t_us * 1000 + (low_ns + high_ns) // 2 for t_us in times]
            drift_ns = round((now_ns - host[0]) * _DRIFT)
            told.append(
                Pulses(
                    channel=self._channel_of.get(output, f"output {output}"),
                    t_ns=tuple(host),
                    uncertainty_ns=(high_ns - low_ns) // 2 + late_us * 1000 + max(drift_ns, 0) + _LOOP_NS,
                    kind=kind,
                    current_ma=self._settings.set_current_ma,
                    phase_us=self._settings.set_phase_us,
                )
            )
        self._pulses.clear()
        return tuple(told)

    def _begin(self, raw_us: int | None, device_us: int, counts: list[int]) -> None:
        self._raw_us, self._device_us, self._counts = raw_us, device_us, counts
        self._periods = [0] * OUTPUTS

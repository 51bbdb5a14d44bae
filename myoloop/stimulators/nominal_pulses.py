"""When pulses would fall if what is shown were given: what a blinded session tells of them in every arm.

The same reckoning in every arm, so that neither the times nor their grain tell one from another. In the active arm
they lie near the true ones, which are sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from myoloop.platform.messages import Pulses
from myoloop.stimulators.gate import Setting

#: From an order to the first pulse: what a serial line and a device take, in half.
UNCERTAINTY_NS = 1_000_000
#: How far the device's crystal may be from the host's, per second of a train: two of 50 ppm.
DRIFT_PER_S = 1e-4


@dataclass(slots=True)
class _Train:
    """One channel: what flows, when the next pulse is due, since when without a break."""

    setting: Setting | None
    due_ns: float
    began_ns: int
    last_ns: float | None = None


class NominalPulses:
    """Counts the pulses of what is shown; a stopwatch, no evidence."""

    def __init__(self) -> None:
        self._trains: dict[str, _Train] = {}

    def until(self, now_ns: int) -> tuple[Pulses, ...]:
        """The pulses up to now that have not been told of."""
        told = []
        for channel, train in sorted(self._trains.items()):
            setting = train.setting
            if setting is None:
                continue
            times: list[int] = []
            while train.due_ns <= now_ns:
                times.append(round(train.due_ns))
                train.last_ns = train.due_ns
                train.due_ns += 1e9 / setting.rate_hz
            if times:
                drift_ns = round((now_ns - train.began_ns) * DRIFT_PER_S)
                told.append(
                    Pulses(
                        channel=channel,
                        t_ns=tuple(times),
                        uncertainty_ns=UNCERTAINTY_NS + drift_ns,
                        kind="predicted",
                        current_ma=setting.current_ma,
                        phase_us=setting.phase_us,
                    )
                )
        return tuple(told)

    def give(self, output: Sequence[Setting], now_ns: int) -> None:
        """Let this be given from now on."""
        flowing = {setting.channel: setting for setting in output}
        for channel, train in self._trains.items():
            if channel not in flowing:
                train.setting = None
        for channel, setting in flowing.items():
            train = self._trains.setdefault(channel, _Train(None, now_ns, now_ns))
            if train.setting is None:
                # Off and on again is no way to shorten the time between two pulses.
                ready_ns = now_ns if train.last_ns is None else train.last_ns + 1e9 / setting.rate_hz
                train.due_ns, train.began_ns = max(now_ns, ready_ns), now_ns
            train.setting = setting

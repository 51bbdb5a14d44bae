"""The pulses of the stimulation unit that an openEMSstim board lets through, reckoned from what the board was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from myoloop.platform.messages import Pulses
from myoloop.stimulators.openemsstim_lines import ON_TIME_MS, OUTPUTS, OpenEmsStimDriverSettings

#: From a command's last byte until it is obeyed: what the firmware is printing, and an output it is shutting off.
OBEYED_NS = 150_000_000


@dataclass(slots=True)
class _Train:
    next_ns: int = 0
    until_ns: int = 0
    current_ma: float = 0.0
    predicted: list[tuple[int, float]] = field(default_factory=list)


class PredictedTrains:
    """One train per output.

    Parameters
    ----------
    settings
        How the unit is set.
    """

    def __init__(self, settings: OpenEmsStimDriverSettings) -> None:
        self._settings = settings
        self._period_ns = round(1e9 / settings.unit_rate_hz)
        self._trains = [_Train() for _ in range(OUTPUTS)]

    def on(self, output: int, current_ma: float, arrives_ns: int, now_ns: int) -> None:
        """A line sent now lets a current through from its arrival on, for the time it carries."""
        train = self._trains[output]
        if not train.current_ma or train.next_ns < now_ns:
            train.next_ns = arrives_ns
        train.current_ma, train.until_ns = current_ma, arrives_ns + ON_TIME_MS * 1_000_000

    def off(self, output: int, at_ns: int) -> None:
        """Nothing goes through from then on."""
        train = self._trains[output]
        train.until_ns, train.current_ma = min(train.until_ns, at_ns), 0.0

    def run(self, now_ns: int) -> None:
        """Let the unit go on until now."""
        for train in self._trains:
            while train.current_ma and train.next_ns <= min(now_ns, train.until_ns):
                train.predicted.append((train.next_ns, train.current_ma))
                train.next_ns += self._period_ns
            if train.until_ns <= now_ns:
                train.current_ma = 0.0

    def take(self, channel_of: Mapping[int, str]) -> tuple[Pulses, ...]:
        """Pulses not taken yet, by output and current."""
        told = []
        for output, train in enumerate(self._trains):
            by_current: dict[float, list[int]] = {}
            for t_ns, current_ma in train.predicted:
                by_current.setdefault(current_ma, []).append(t_ns)
            train.predicted.clear()
            for current_ma, times in by_current.items():
                told.append(
                    Pulses(
                        channel=channel_of.get(output, f"output {output}"),
                        t_ns=tuple(times),
                        # Where in its period the unit is cannot be known; at both ends, when the board obeys neither.
                        uncertainty_ns=self._period_ns + OBEYED_NS,
                        kind="predicted",
                        current_ma=current_ma,
                        phase_us=self._settings.unit_phase_us,
                    )
                )
        return tuple(told)

"""An emulator on its line: turn by turn bytes in, bytes out, its ledger, the faults that were asked for.

Whoever runs it calls :meth:`RunningEmulator.turn` at least every millisecond, so that answers leave and the time of
a command is known that exactly. It has no clock of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from myoloop.stimulators.emulators.emulator import Emulator
from myoloop.stimulators.emulators.fault_words import TimedFault
from myoloop.stimulators.emulators.ledger import Pulse
from myoloop.stimulators.emulators.lines import Line


@dataclass(slots=True)
class OutputTally:
    """What one output delivered.

    Attributes
    ----------
    pulses
        How many.
    current_max_ma
        Largest amplitude.
    phase_min_us, phase_max_us
        Least and largest width per phase.
    phase_charge_max_uc, charge_uc
        Largest charge of one phase; sum of the charges of one phase of each pulse.
    net_charge_uc
        What the pulses left behind; 0 where all were balanced.
    """

    pulses: int = 0
    current_max_ma: float = 0.0
    phase_min_us: float = 0.0
    phase_max_us: float = 0.0
    phase_charge_max_uc: float = 0.0
    charge_uc: float = 0.0
    net_charge_uc: float = 0.0

    def add(self, pulse: Pulse) -> None:
        """Count a pulse."""
        charge_uc = _phase_charge_uc(pulse)
        self.phase_min_us = min(self.phase_min_us, pulse.phase_us) if self.pulses else pulse.phase_us
        self.phase_max_us = max(self.phase_max_us, pulse.phase_us)
        self.current_max_ma = max(self.current_max_ma, pulse.current_ma)
        self.phase_charge_max_uc = max(self.phase_charge_max_uc, charge_uc)
        self.charge_uc += charge_uc
        self.net_charge_uc += pulse.net_charge_nc / 1000
        self.pulses += 1


class RunningEmulator:
    """A device on a line.

    Parameters
    ----------
    resets_on_open
        The board restarts when a host opens its port.
    faults
        What breaks, and when, counted from `start_ns`.
    on_pulses
        Given each turn's delivered pulses, where there are any.
    """

    def __init__(
        self,
        device: Emulator,
        line: Line,
        start_ns: int,
        *,
        resets_on_open: bool = False,
        faults: Iterable[TimedFault] = (),
        on_pulses: Callable[[list[Pulse]], None] | None = None,
    ) -> None:
        self.device, self.line = device, line
        self.outputs: dict[int, OutputTally] = {}
        self.longest_turn_ns = 0
        self._start_ns = start_ns
        self._turn_ns: int | None = None
        self._resets_on_open = resets_on_open
        self._faults = sorted(faults, key=lambda fault: fault.after_s)
        self._on_pulses = on_pulses

    def turn(self, now_ns: int) -> None:
        """Do what is due by `now_ns`, without waiting.

        Raises
        ------
        EndpointError
            If the line cannot come back.
        """
        if self._turn_ns is not None:
            self.longest_turn_ns = max(self.longest_turn_ns, now_ns - self._turn_ns)
        self._turn_ns = now_ns
        device, line = self.device, self.line
        while self._faults and now_ns >= self._start_ns + round(self._faults[0].after_s * 1e9):
            self._faults.pop(0).set(device, now_ns)
        if device.faults.vanished:
            line.vanish()
        else:
            line.listen()
        commands = line.receive()
        if line.accept() and self._resets_on_open:
            device.restart(now_ns)
        if commands:
            device.feed(commands, now_ns)
        answers = device.take(now_ns)
        pulses = device.pulses_until(now_ns)
        for pulse in pulses:
            self.outputs.setdefault(pulse.output, OutputTally()).add(pulse)
        if pulses and self._on_pulses is not None:
            self._on_pulses(pulses)
        line.send(answers)

    def summary(self) -> dict[str, Any]:
        """What was delivered until now, and how long the emulator was away at most."""
        return {
            "outputs": {str(output): asdict(tally) for output, tally in sorted(self.outputs.items())},
            "longest_turn_ms": self.longest_turn_ns / 1e6,
        }


def say_summary(summary: dict[str, Any]) -> str:
    """The summary in words, a line for each output."""
    lines = [
        f"output {output}: {one['pulses']} pulses, at most {one['current_max_ma']:g} mA, "
        f"{one['phase_min_us']:g} to {one['phase_max_us']:g} us per phase, at most {one['phase_charge_max_uc']:g} uC "
        f"per phase, {one['charge_uc']:.6g} uC in all, {one['net_charge_uc']:g} uC left behind"
        for output, one in summary["outputs"].items()
    ] or ["no pulse was delivered"]
    return "\n".join([*lines, f"longest turn {summary['longest_turn_ms']:.3g} ms"])


def _phase_charge_uc(pulse: Pulse) -> float:
    """Charge of a pulse's phase, of the larger one where they differ."""
    if not pulse.points:
        return pulse.current_ma * pulse.phase_us / 1000
    forward = sum(point.current_ma * point.width_us for point in pulse.points if point.current_ma > 0)
    back = -sum(point.current_ma * point.width_us for point in pulse.points if point.current_ma < 0)
    return max(forward, back) / 1000

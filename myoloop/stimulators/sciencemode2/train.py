"""When the pulses of a device that times itself should fall: reckoned by the host from what it was told, and when.

The device begins within the time between command and answer, and then keeps its interval; outputs follow one another
in slots. What it is told while it runs holds from the next round on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from myoloop.platform.messages import Pulses
from myoloop.stimulators.driver import DecodedOutput

SLOT_NS = 1_500_000
#: What the line takes before the device hears the first byte of a command, and the host's write into it.
_LINE_NS = 1_000_000
#: Two crystals of 50 ppm each.
_DRIFT = 1e-4


class _Given(NamedTuple):
    from_ns: int
    outputs: tuple[DecodedOutput, ...]


class PredictedTrain:
    """The pulses of one channel list, from its start to its end."""

    def __init__(self) -> None:
        self._given: deque[_Given] = deque()
        self._round_ns = 0
        self._slot = 0
        self._rounds = 0
        self._began_ns = 0
        self._began_within_ns = 0
        self._end_ns: int | None = 0
        self._period_ns = 0.0
        self._latest_ns: dict[int, int] = {}
        self._pulses: list[tuple[DecodedOutput, int, int]] = []

    def begin(self, early_ns: int, late_ns: int, outputs: tuple[DecodedOutput, ...]) -> None:
        """Let it have begun between the two times; what was given before has ended."""
        self.run(early_ns)
        self._began_ns = self._round_ns = (early_ns + late_ns) // 2
        self._began_within_ns = (late_ns - early_ns) // 2 + _LINE_NS
        self._period_ns = 1e9 / outputs[0].rate_hz
        self._given = deque([_Given(self._began_ns, outputs)])
        self._slot = self._rounds = 0
        self._end_ns = None

    def change(self, at_ns: int, outputs: tuple[DecodedOutput, ...]) -> None:
        """Let each output give other pulses from the next round after `at_ns` on."""
        self._given.append(_Given(at_ns, outputs))

    def end(self, at_ns: int) -> None:
        """Let no pulse fall after `at_ns`."""
        self._end_ns = at_ns if self._end_ns is None else min(at_ns, self._end_ns)

    def resume(self) -> None:
        """It had not ended after all."""
        self._end_ns = None

    def run(self, until_ns: int) -> None:
        """Reckon all pulses until then."""
        until_ns = until_ns if self._end_ns is None else min(until_ns, self._end_ns)
        while self._given:
            outputs = self._given[0].outputs
            if self._slot == 0:
                while len(self._given) > 1 and self._given[1].from_ns <= self._round_ns:
                    self._given.popleft()
                outputs = self._given[0].outputs
            t_ns = self._round_ns + self._slot * SLOT_NS
            if t_ns > until_ns:
                return
            output = outputs[self._slot]
            within_ns = self._began_within_ns + round((t_ns - self._began_ns) * _DRIFT)
            self._pulses.append((output, t_ns, within_ns))
            self._latest_ns[output.output] = t_ns + within_ns
            self._slot += 1
            if self._slot == len(outputs):
                self._slot = 0
                self._rounds += 1
                self._round_ns = self._began_ns + round(self._rounds * self._period_ns)

    def ready_ns(self, outputs: Sequence[DecodedOutput]) -> int:
        """From when these may begin so that no output's pulses come closer than its new period."""
        latest_ns = self._latest_ns
        again = [latest_ns[each.output] + round(1e9 / each.rate_hz) for each in outputs if each.output in latest_ns]
        return max(again, default=0)

    def take(self, channels: Mapping[int, str]) -> tuple[Pulses, ...]:
        """The pulses that were reckoned and not told of yet."""
        alike: dict[DecodedOutput, list[tuple[int, int]]] = {}
        for output, t_ns, within_ns in self._pulses:
            alike.setdefault(output, []).append((t_ns, within_ns))
        self._pulses.clear()
        return tuple(
            Pulses(
                channel=channels.get(output.output, f"output {output.output}"),
                t_ns=tuple(t_ns for t_ns, _ in told),
                uncertainty_ns=max(within_ns for _, within_ns in told),
                kind="predicted",
                current_ma=output.current_ma,
                phase_us=output.phase_us,
            )
            for output, told in alike.items()
        )

"""Which pulse a ScienceMode device gives when: the low-level queue and the mid-level channel table."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from myoloop.stimulators.emulators.sciencemode34_fields import ChannelTrain, Shape
from myoloop.stimulators.emulators.sciencemode34_source import OK, PULSE_TIMEOUT, CurrentSource

QUEUE_LENGTH = 10
#: How often a device that is stuck in low level repeats an output's only pulse.
_STUCK_PERIOD_NS = 50_000_000


class _Waiting(NamedTuple):
    """A low-level pulse in the queue."""

    arrived_ns: int
    number: int
    output: int
    shape: Shape


class GivenPulse(NamedTuple):
    """A low-level pulse that is over or was refused: what its answer needs."""

    number: int
    output: int
    result: int
    end_ns: int
    shape: Shape


@dataclass(slots=True)
class _Channel:
    """A channel that repeats its pulse."""

    shape: Shape
    period_ns: int
    due_ns: int
    ramp: int = 0
    given: int = 0

    def share(self) -> Fraction:
        """Share of the amplitude of the next pulse."""
        # assumption: of a ramp over n pulses the k-th has k/(n+1) of the amplitude, not rounded
        return Fraction(min(self.given, self.ramp) + 1, self.ramp + 1)


class PulseMaker:
    """Gives the source its pulses, one at a time.

    Attributes
    ----------
    errors
        Result code of each output that stopped by an error.
    stop_all
        Whether such an error stops all outputs.
    """

    def __init__(self, source: CurrentSource) -> None:
        self.source = source
        self.stop_all = False
        self.errors: dict[int, int] = {}
        self._queue: deque[_Waiting] = deque()
        self._running: dict[int, _Channel] = {}
        self._repeating: dict[int, _Channel] = {}
        self._last: dict[int, tuple[int, int, Shape]] = {}
        self._end_ns = 0
        self._ending = False

    @property
    def running(self) -> tuple[int, ...]:
        """Outputs that repeat in mid level."""
        return tuple(sorted(self._running))

    @property
    def active(self) -> tuple[int, ...]:
        """Outputs that run, or that a pulse waits for."""
        return tuple(sorted({*self._running, *self._repeating, *(waiting.output for waiting in self._queue)}))

    def clear(self) -> None:
        """Nothing runs and nothing waits; a pulse under way is finished."""
        self._queue.clear()
        self._ending = False
        for table in (self._running, self._repeating, self._last, self.errors):
            table.clear()

    def lapse(self) -> None:
        """Nothing runs; what went wrong is still known."""
        self._running.clear()

    def drop_queue(self) -> None:
        """Nothing waits, nothing is stuck."""
        self._queue.clear()
        self._repeating.clear()
        self._ending = False

    # Low level

    def full(self, now_ns: int) -> bool:
        """Is there no place for one more?"""
        # assumption: the pulse under way counts among the ten
        return len(self._queue) + int(self._end_ns > now_ns) >= QUEUE_LENGTH

    def queue(self, number: int, output: int, shape: Shape, now_ns: int) -> None:
        """Have a pulse given as soon as the source is free."""
        self._queue.append(_Waiting(now_ns, number, output, shape))

    def stick(self, now_ns: int) -> None:
        """A fault: repeat the last pulse of each output without end, at the distance of its last two."""
        for output, (t_ns, period_ns, shape) in self._last.items():
            self._repeating.setdefault(output, _Channel(shape, period_ns, max(t_ns + period_ns, now_ns)))

    def go_on(self, now_ns: int) -> None:
        """What waits is given, and each output goes on in the rhythm of its last two pulses, until :meth:`clear`."""
        self._ending = True
        for output, (t_ns, period_ns, shape) in self._last.items():
            # An output that has had no pulse for longer does not run any more.
            if now_ns - t_ns < 2 * period_ns:
                self._repeating.setdefault(output, _Channel(shape, period_ns, max(t_ns + period_ns, now_ns)))

    # Mid level

    def update(self, trains: Iterable[ChannelTrain], now_ns: int, *, keep_others: bool) -> None:
        """Replace the channel table; what is not named ends, unless a fault keeps it."""
        before = self._running
        self._running = {train.output: _channel(train, before.get(train.output), now_ns) for train in trains}
        if keep_others:
            self._running = {**before, **self._running}

    # Both

    def next(self) -> tuple[int, Callable[[int], GivenPulse | None]] | None:
        """When the next pulse is given, and what gives it then."""
        if self._repeating and not (self.source.faults.stuck_on or self._ending):
            self._repeating.clear()
        free_ns = self.source.free_ns
        candidates = [
            (max(channel.due_ns, free_ns), channel.due_ns, output)
            for output, channel in (*self._running.items(), *self._repeating.items())
        ]
        queued_ns = max(self._queue[0].arrived_ns, free_ns) if self._queue else None
        if candidates:
            start_ns, _, output = min(candidates)
            if queued_ns is None or start_ns < queued_ns:
                return start_ns, lambda now_ns: self._repeat(output, now_ns)
        return None if queued_ns is None else (queued_ns, self._give_queued)

    def _give_queued(self, now_ns: int) -> GivenPulse:
        waiting = self._queue.popleft()
        output, shape = waiting.output, waiting.shape
        result = self.source.give(output, shape, now_ns)
        # assumption: an error is found before the pulse and answered at once
        self._end_ns = now_ns
        if result == OK:
            self._end_ns += shape.total_us * 1000
            period_ns = now_ns - self._last[output][0] if output in self._last else _STUCK_PERIOD_NS
            self._last[output] = (now_ns, period_ns, shape)
        return GivenPulse(waiting.number, output, result, self._end_ns, shape)

    def _repeat(self, output: int, now_ns: int) -> None:
        table = self._running if output in self._running else self._repeating
        channel = table[output]
        if now_ns >= channel.due_ns + channel.period_ns:
            # assumption: a channel that the others leave no time for within its period has a pulse time-out
            result = PULSE_TIMEOUT
        else:
            result = self.source.give(output, channel.shape, now_ns, channel.share())
        if result == OK:
            channel.given += 1
            # assumption: a pulse that had to wait for the source does not shift those after it
            channel.due_ns += channel.period_ns
            self.errors.pop(output, None)
            return
        # assumption: a channel with any error stops until the next Ml_update has it run
        self.errors[output] = result
        del table[output]
        if self.stop_all:
            self._running.clear()


def _channel(train: ChannelTrain, before: _Channel | None, now_ns: int) -> _Channel:
    """A channel as it goes on, or as it begins."""
    period_ns = train.period_us * 1000
    if before is None:
        # assumption: a channel that comes on gives its first pulse at once, however long ago its last one was
        return _Channel(train.shape, period_ns, now_ns, train.ramp)
    # assumption: a new period counts from when the last pulse was due, and the count of the ramp goes on
    due_ns = before.due_ns
    if before.given:
        due_ns = max(due_ns - before.period_ns + period_ns, now_ns)
    return _Channel(train.shape, period_ns, due_ns, before.ramp, before.given)

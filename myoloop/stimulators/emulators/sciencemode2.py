"""RehaStim2 of Hasomed as an emulator: its modes, its watchdog, its errors, and every pulse it gives.

Eight outputs; a channel list gives a round of pulses every main interval, the outputs one after another in slots.
Whoever does not send a valid packet for 1.2 s is forgotten: no more pulses, and the device announces itself again.

What the maker's text leaves open is marked ``assumption`` where it is decided.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from myoloop.stimulators.emulators.device import EmulatedDevice
from myoloop.stimulators.emulators.faults import LineFaults
from myoloop.stimulators.emulators.ledger import Pulse
from myoloop.stimulators.emulators.sciencemode2_fields import (
    BUSY,
    OK,
    OUTPUTS,
    PARAMETER,
    SLOT_NS,
    TRANSFER,
    WRONG_MODE,
    ChannelList,
    RefusedError,
    Shape,
    read_list,
    read_shapes,
    read_single,
)
from myoloop.stimulators.emulators.sciencemode2_wire import Ear, written

_MS = 1_000_000
BEACON_NS = 500 * _MS
WATCHDOG_NS = 1200 * _MS
_VOLTAGE_MAX_V = 154.0
#: Between the two phases of a pulse, and the short circuit behind them.
_GAP_US, _SHORT_US = 100, 1

SWITCH, ELECTRODE, MODULE = -1, -2, -3
START_MODE, INITIALISED, STARTED = 0, 1, 2
NO_MOTOMED = -1


@dataclass(slots=True)
class RehaStim2Faults(LineFaults):
    """What is broken; set from outside at any time.

    Attributes
    ----------
    results
        By command (10, 30, 32, 34, 36): this result is answered, and the command not obeyed.
    results_left
        How often that happens yet; None for always.
    quick_stop
        The quick-stop button is pressed (or its plug out).
    module_broken
        The stimulation module fails with its next pulse.
    load_ohm
        Of each output; 154 V are all there is.
    reset_at_ns
        When the device restarts by itself, once.
    stuck_on
        StopChannelListMode is answered as done, and the stimulation goes on; the mode that is told is true, and the
        watchdog still acts.
    """

    results: dict[int, int] = field(default_factory=dict)
    results_left: int | None = None
    quick_stop: bool = False
    module_broken: bool = False
    load_ohm: dict[int, float] = field(default_factory=lambda: dict.fromkeys(range(OUTPUTS), 1000.0))
    reset_at_ns: int | None = None
    stuck_on: bool = False


class RehaStim2Device(EmulatedDevice[RehaStim2Faults]):
    """The device.

    Parameters
    ----------
    start_ns
        When it was switched on.
    answer_ns
        How long it takes for an answer, at most 100 ms.
    version
        Protocol version it announces.

    Attributes
    ----------
    faults
        What is broken.
    unknown
        Commands that it did not know.
    """

    def __init__(self, *, start_ns: int = 0, answer_ns: int = 15 * _MS, version: int = 1) -> None:
        if not 0 <= answer_ns <= 100 * _MS:
            raise ValueError(f"answers after {answer_ns} ns: a RehaStim2 takes at most 100 ms")
        super().__init__(RehaStim2Faults())
        self.unknown: list[int] = []
        self._answer_ns = answer_ns
        self._version = version
        self._ear = Ear()
        self._until_ns = start_ns
        self._begin(start_ns)

    @property
    def malformed(self) -> tuple[str, ...]:
        """Everything that looked like a packet and was none: why."""
        return tuple(self._ear.malformed)

    @property
    def active(self) -> tuple[int, ...]:
        """Outputs that are on."""
        if self._mode != STARTED:
            return ()
        return tuple(output for output, shape in self._shapes.items() if shape.current_ma and shape.width_us)

    @property
    def mode(self) -> int:
        """0 start, 1 initialised, 2 started."""
        return self._mode

    def _hear(self, data: bytes, now_ns: int) -> None:
        for number, command, fields in self._ear.hear(data):
            self._obey(number, command, fields, now_ns)
        self._advance(now_ns)

    def _restart(self, now_ns: int) -> None:
        self._answers.clear()
        self._begin(now_ns)

    # Modes

    def _begin(self, now_ns: int) -> None:
        """Switched on: nothing flows, announce."""
        self._own_number = 0
        self._announced_number: int | None = None
        self._busy_until_ns = now_ns
        self._pressed = False
        self._forget(now_ns)

    def _forget(self, now_ns: int) -> None:
        self._halt()
        self._in_session = False
        self._deadline_ns = now_ns
        self._beacon_ns = now_ns

    def _halt(self) -> None:
        """Back to start mode: what was left of a round is not given any more."""
        self._mode = START_MODE
        self._list: ChannelList | None = None
        self._shapes: dict[int, Shape] = {}
        self._round: deque[tuple[int, int, Shape]] = deque()
        self._rounds = 0
        self._next_round_ns: int | None = None

    def _fail(self, error: int, now_ns: int) -> None:
        self._halt()
        self._say_unasked(38, bytes((error & 0xFF,)), now_ns)

    # Time

    def _advance(self, until_ns: int) -> None:
        while (event := self._next_event(until_ns)) is not None:
            event()
        self._until_ns = until_ns
        if self.faults.quick_stop != self._pressed:
            self._pressed = self.faults.quick_stop
            # assumption: said once, when it is pressed, by a device in a session; releasing it says nothing.
            if self._pressed and self._in_session:
                self._fail(SWITCH, until_ns)

    def _next_event(self, until_ns: int) -> Callable[[], None] | None:
        """What happens next by then; the watchdog comes before a pulse of the same moment."""
        reset_ns = self.faults.reset_at_ns
        due: list[tuple[int, int, Callable[[], None]]] = []
        if reset_ns is not None:
            due.append((max(reset_ns, self._until_ns), 0, self._reset))
        if self._in_session:
            due.append((self._deadline_ns, 1, lambda: self._forget(self._deadline_ns)))
        else:
            due.append((self._beacon_ns, 2, self._announce))
        if self._round:
            due.append((self._round[0][0], 3, self._pulse))
        elif self._next_round_ns is not None:
            due.append((self._next_round_ns, 3, self._plan_round))
        at_ns, _, event = min(due, key=lambda one: one[:2])
        return event if at_ns <= until_ns else None

    def _reset(self) -> None:
        at_ns, self.faults.reset_at_ns = self.faults.reset_at_ns or 0, None
        self._restart(max(at_ns, self._until_ns))

    def _announce(self) -> None:
        self._announced_number = self._own_number
        self._say_unasked(1, bytes((self._version,)), self._beacon_ns)
        self._beacon_ns += BEACON_NS

    # Pulses

    def _plan_round(self) -> None:
        """Lay out the next round from what was last told; a change never touches one that has begun."""
        # assumption: what a later Start says holds from the next round on, and does not move the rounds.
        begin_ns, wanted = self._next_round_ns, self._list
        if begin_ns is None or wanted is None:
            return
        # assumption: a slow channel joins in every (factor + 1)th round, the first among them.
        joins = self._rounds % (wanted.slow_factor + 1) == 0
        outputs = [output for output in wanted.outputs if joins or output not in wanted.slow]
        for turn in range(3):
            t_ns = begin_ns + turn * wanted.inter_pulse_ns
            for output in wanted.outputs:
                shape = self._shapes[output]
                if output in outputs and turn < shape.group:
                    self._round.append((t_ns, output, shape))
                # assumption: without fixed slots the next pulse follows right behind, and 0 mA takes no time.
                used_us = (2 * shape.width_us + _GAP_US + _SHORT_US) if shape.current_ma and shape.width_us else 0
                t_ns += SLOT_NS if wanted.fixed_slots else used_us * 1000
        self._rounds += 1
        self._next_round_ns = None if wanted.main_ns is None else begin_ns + wanted.main_ns

    def _pulse(self) -> None:
        t_ns, output, shape = self._round.popleft()
        if not shape.current_ma or not shape.width_us:
            return
        if self.faults.module_broken:
            self._fail(MODULE, t_ns)
        # assumption: a load that 154 V do not suffice for is an electrode fault, as an open electrode is.
        elif (
            output in self.faults.open_electrodes
            or shape.current_ma * self.faults.load_ohm.get(output, 1000.0) > _VOLTAGE_MAX_V * 1000.0
        ):
            self._fail(ELECTRODE, t_ns)
        else:
            self._delivered.append(Pulse(t_ns, output, float(shape.current_ma), float(shape.width_us)))

    # Commands

    def _obey(self, number: int, command: int, fields: bytes, now_ns: int) -> None:
        # assumption: any packet with a good checksum feeds the watchdog, also one that is refused.
        self._deadline_ns = now_ns + WATCHDOG_NS
        if command == 2:
            # assumption: only the newest Init can be acknowledged; a refused version goes on announcing.
            if not self._in_session and number == self._announced_number and fields == b"\x00":
                self._in_session = True
            return
        if command == 4:
            return
        obeys = {10: self._tell_mode, 12: self._tell_motomed, 30: self._init, 32: self._start, 34: self._stop,
                 36: self._single}.get(command)  # fmt: skip
        if obeys is None:
            # assumption: training commands of the MOTOmed are unknown to a device without one; that is answered with
            # the command's own number. A packet with a wrong checksum is not answered at all.
            self.unknown.append(command)
            self._answer(number, 3, bytes((command,)), now_ns)
            return
        if now_ns < self._busy_until_ns:
            # assumption: the refusal takes as long as an answer.
            self._answer(number, command + 1, bytes((BUSY & 0xFF,)), now_ns)
            return
        # assumption: a command is obeyed when it is heard, and the device is busy until its answer leaves.
        self._busy_until_ns = now_ns + self._answer_ns
        result, more = self._forced(command)
        if result == OK:
            # assumption: a device that is still announcing itself refuses everything as of the wrong mode.
            try:
                result, more = obeys(fields, now_ns) if self._in_session else (WRONG_MODE, b"")
            except RefusedError as refused:
                result = refused.result
        if command in (10, 12) and not more:
            more = bytes((self._mode if command == 10 else NO_MOTOMED & 0xFF,))
        self._answer(number, command + 1, bytes((result & 0xFF,)) + more, now_ns)

    def _forced(self, command: int) -> tuple[int, bytes]:
        faults = self.faults
        if command not in faults.results or faults.results_left == 0:
            return OK, b""
        if faults.results_left is not None:
            faults.results_left -= 1
        return faults.results[command], b""

    def _tell_mode(self, fields: bytes, now_ns: int) -> tuple[int, bytes]:
        return (PARAMETER if fields else OK), bytes((self._mode,))

    def _tell_motomed(self, fields: bytes, now_ns: int) -> tuple[int, bytes]:
        return (PARAMETER if fields else OK), bytes((NO_MOTOMED & 0xFF,))

    def _init(self, fields: bytes, now_ns: int) -> tuple[int, bytes]:
        if self._mode != START_MODE:
            return WRONG_MODE, b""
        self._list = read_list(fields)
        self._mode = INITIALISED
        return OK, b""

    def _start(self, fields: bytes, now_ns: int) -> tuple[int, bytes]:
        wanted = self._list
        if self._mode == START_MODE or wanted is None:
            return WRONG_MODE, b""
        shapes = read_shapes(fields, wanted)
        if self.faults.quick_stop:
            # assumption: while the button is pressed nothing can be started, and that is said again.
            self._fail(SWITCH, now_ns)
            return WRONG_MODE, b""
        self._shapes = shapes
        if self._mode == INITIALISED or (wanted.main_ns is None and not self._round):
            # assumption: the first round begins when the command is heard, however short the time since the last.
            self._next_round_ns, self._rounds = now_ns, 0
        self._mode = STARTED
        return OK, b""

    def _stop(self, fields: bytes, now_ns: int) -> tuple[int, bytes]:
        if fields:
            return TRANSFER, b""
        # assumption: done also where there was nothing to stop.
        if not (self.faults.stuck_on and self._mode == STARTED):
            self._halt()
        return OK, b""

    def _single(self, fields: bytes, now_ns: int) -> tuple[int, bytes]:
        if self._mode != START_MODE:
            return WRONG_MODE, b""
        output, shape = read_single(fields)
        if self.faults.quick_stop:
            self._fail(SWITCH, now_ns)
            return WRONG_MODE, b""
        self._round.append((now_ns, output, shape))
        return OK, b""

    # Answers

    def _answer(self, number: int, command: int, data: bytes, now_ns: int) -> None:
        other = written((number + 1) % 256, command, data)
        self._answers.add(written(number, command, data), now_ns + self._answer_ns, lambda: other)

    def _say_unasked(self, command: int, data: bytes, now_ns: int) -> None:
        self._answers.add(written(self._own_number, command, data), now_ns)
        self._own_number = (self._own_number + 1) % 256

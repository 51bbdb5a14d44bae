"""An openEMSstim board and the approved stimulation unit behind it: bytes in, echoes out, pulses through its relays.

The board makes no pulse: a battery-driven unit runs on its own, and per output a relay lets its pulses through and a
digital potentiometer (the wiper) weakens them. Facts of the firmware: `stimulators.md` C.1; where that is silent, what
is done here is marked ``# assumption:``.

The firmware is one loop that reads a line (waiting for the rest of it, at most 50 ms for each byte), prints what it
thinks of it, obeys, and then looks at its timers. Everything that blocks that loop delays all the rest: printing at the
port's own pace once 64 bytes wait, 50 ms for each output that is shut off, and reading. While it is blocked 63 bytes
are kept and what comes then is lost. All of that is modelled, since it decides when current really ends.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice

from myoloop.stimulators.emulators.device import EmulatedDevice
from myoloop.stimulators.emulators.faults import LineFaults
from myoloop.stimulators.emulators.ledger import Pulse

OUTPUTS = 2
#: 8N1 at 19200 baud: ten bits a byte.
BYTE_NS = round(10 * 1e9 / 19200)
ON_TIME_MAX_MS = 5000
SHUT_OFF_NS = 50_000_000
READ_TIMEOUT_NS = 50_000_000
RECEIVED_KEPT = 63
PRINTED_KEPT = 64
WIPER_OFF = 255
WIPER_FULL = 42
READY = "SETUP DONE (LED 13 WILL BE ON)"
#: assumption: no line is longer than what the Nano's memory could hold; a read ends there.
_LINE_MAX = 512


@dataclass(frozen=True, slots=True)
class OpenEmsStimSettings:
    """Board and unit.

    Attributes
    ----------
    plain_text
        Firmware of commit e9d0378, which takes plain text; else that of HEAD, which hands the first character of it to
        its test mode.
    boot_ms
        From reset to the line that says it is ready. assumption: bytes that come meanwhile are lost.
    unit_current_ma_at_full, unit_rate_hz, unit_phase_us
        What the unit gives at an intensity of 100 %.
    """

    plain_text: bool = False
    boot_ms: int = 2000
    unit_current_ma_at_full: float = 15.0
    unit_rate_hz: float = 50.0
    unit_phase_us: float = 250.0


@dataclass(slots=True)
class OpenEmsStimFaults(LineFaults):
    """What is broken.

    Attributes
    ----------
    stuck_on
        Relays no longer open and wipers stay where they are, whatever the board is told and says.
    reset_at_ns
        When the board restarts by itself, once.
    """

    stuck_on: bool = False
    reset_at_ns: int | None = None


@dataclass(slots=True)
class _Output:
    closed: bool = False
    timed: bool = False
    end_ns: int = 0
    wiper: int = WIPER_OFF
    percent: int | None = None
    on_time_ms: int = 0


class OpenEmsStimDevice(EmulatedDevice[OpenEmsStimFaults]):
    """The board with the unit.

    Parameters
    ----------
    settings
        What it is.
    start_ns
        When it got power.
    """

    def __init__(self, settings: OpenEmsStimSettings | None = None, *, start_ns: int = 0) -> None:
        super().__init__(OpenEmsStimFaults())
        self.settings = settings or OpenEmsStimSettings()
        #: Commands that would have made the firmware write outside its own tables.
        self.undefined = 0
        self._unit_start_ns = start_ns
        self._period_ns = round(1e9 / self.settings.unit_rate_hz)
        self._next_pulse = 0
        self._line_free_ns = self._printed_ns = self._free_ns = self._ready_ns = start_ns
        self._boot(start_ns)

    @property
    def active(self) -> tuple[int, ...]:
        """Outputs whose relay is closed."""
        return tuple(number for number, output in enumerate(self._outputs) if output.closed)

    def _hear(self, data: bytes, now_ns: int) -> None:
        """Each byte arrives when the line has carried it."""
        for byte in data:
            self._line_free_ns = max(self._line_free_ns, now_ns) + BYTE_NS
            if self._line_free_ns >= self._ready_ns:
                self._received.append((self._line_free_ns, byte))

    def _restart(self, now_ns: int) -> None:
        """Reset the board, as opening its port does; the unit goes on."""
        self._let_through(now_ns)
        self._boot(now_ns)

    def _boot(self, now_ns: int) -> None:
        self._outputs = [_Output() for _ in range(OUTPUTS)]
        self._received: deque[tuple[int, int]] = deque()
        self._answers.clear()
        self._line_free_ns = self._printed_ns = now_ns
        self._free_ns = self._ready_ns = now_ns + self.settings.boot_ms * 1_000_000
        self._print(READY)

    # The loop

    def _advance(self, until_ns: int) -> None:
        reset_ns = self.faults.reset_at_ns
        if reset_ns is not None and reset_ns <= until_ns:
            self.faults.reset_at_ns = None
            self._loop(reset_ns)
            self._restart(reset_ns)
        self._loop(until_ns)

    def _loop(self, until_ns: int) -> None:
        """Everything the loop does at or before `until_ns`."""
        while True:
            ends = [output.end_ns for output in self._outputs if output.timed]
            timer_ns = max(min(ends), self._free_ns) if ends else None
            read_ns = max(self._received[0][0], self._free_ns) if self._received else None
            if read_ns is not None and (timer_ns is None or read_ns <= timer_ns):
                if not self._read(read_ns, until_ns):
                    return
            elif timer_ns is None or timer_ns > until_ns:
                return
            else:
                self._free_ns = timer_ns
            self._look_at_timers()

    def _read(self, start_ns: int, until_ns: int) -> bool:
        """Read one line and obey it; False if that is not over by `until_ns`."""
        waiting = sum(1 for arrival_ns, _ in self._received if arrival_ns <= start_ns)
        if waiting > RECEIVED_KEPT:
            kept = [*islice(self._received, RECEIVED_KEPT), *islice(self._received, waiting, None)]
            self._received = deque(kept)
        line, last_ns = bytearray(), start_ns
        for arrival_ns, byte in self._received:
            if arrival_ns > last_ns + READ_TIMEOUT_NS or len(line) >= _LINE_MAX:
                break
            last_ns = max(last_ns, arrival_ns)
            line.append(byte)
            if byte == 0x0A:
                break
        whole = line.endswith(b"\n") or len(line) >= _LINE_MAX
        end_ns = last_ns if whole else last_ns + READ_TIMEOUT_NS
        if end_ns > until_ns:
            return False
        for _ in line:
            self._received.popleft()
        self._free_ns = end_ns
        self._obey(line.decode("latin-1").strip())
        return True

    def _look_at_timers(self) -> None:
        for output in self._outputs:
            if output.timed and output.end_ns <= self._free_ns:
                self._shut_off(output)

    # Commands

    def _obey(self, line: str) -> None:
        # assumption: label and value on one line each.
        self._print(f"\tUSB: received command: {line}")
        if line == "Connection End":
            self._shut_all_off()
        elif line.startswith("WV,"):
            # assumption: a notice without its full stop, or without any digits, is let go.
            digits, stop, _ = line[3:].partition(",")[2].partition(".")
            if stop and digits:
                self._print(f"\tEMS_CMD: HEX command length: {len(digits)}")
                self._print(digits)
                text = _text_of(digits)
                self._print(f"\tEMS_CMD: Converted HEX command: {text}")
                self._command(text)
        elif self.settings.plain_text:
            self._command(line)
        else:
            self._print(f"\tCommand NON HEX:{line}")
            self._test_mode(line[:1])

    def _command(self, text: str) -> None:
        if "C" not in text:
            # assumption: without an output there is nothing to do.
            return
        number = _integer_after(text, "C")
        if not 0 <= number < OUTPUTS:
            if "I" in text or "T" in text:
                # assumption: writing outside the tables changes nothing that matters; a driver must never find out.
                self.undefined += 1
            else:
                self._shut_all_off()
            return
        output = self._outputs[number]
        if "I" in text:
            # assumption: intensities beyond 0 to 100 are clamped.
            output.percent = min(max(_integer_after(text, "I"), 0), 100)
        if "T" in text:
            # assumption: the number wraps to 16 bits before it is clamped.
            wrapped_ms = (_integer_after(text, "T") + 32768) % 65536 - 32768
            output.on_time_ms = min(wrapped_ms, ON_TIME_MAX_MS)
        if "G" in text:
            self._let_through(self._free_ns)
            output.closed = output.timed = True
            output.end_ns = self._free_ns + output.on_time_ms * 1_000_000
            if output.percent is not None and not self.faults.stuck_on:
                output.wiper = wiper(output.percent)

    def _test_mode(self, character: str) -> None:
        # assumption: 1 and 2 toggle a relay without a timer; q/w turn the signal up by one code, a/s down.
        self._let_through(self._free_ns)
        if character in ("1", "2"):
            output = self._outputs[int(character) - 1]
            output.closed, output.timed = not output.closed, False
        elif character and character in "qaws":
            output = self._outputs["qaws".index(character) // 2]
            output.wiper = min(max(output.wiper + (1 if character in "as" else -1), 0), WIPER_OFF)
        else:
            self._print("\tERROR: SINGLE-CHAR Command Unknown")

    def _shut_all_off(self) -> None:
        for output in self._outputs:
            self._shut_off(output)

    def _shut_off(self, output: _Output) -> None:
        # assumption: an output that is off already takes as long.
        self._let_through(self._free_ns)
        output.timed = False
        if not self.faults.stuck_on:
            output.closed, output.wiper = False, WIPER_OFF
        self._free_ns += SHUT_OFF_NS

    def _print(self, line: str) -> None:
        """Print a line: it leaves at the port's pace, and the loop waits while more than a buffer of it is left."""
        data = line.encode("latin-1", "replace") + b"\r\n"
        self._printed_ns = max(self._printed_ns, self._free_ns) + len(data) * BYTE_NS
        self._free_ns = max(self._free_ns, self._printed_ns - PRINTED_KEPT * BYTE_NS)
        self._answers.add(data, self._printed_ns)

    # The unit

    def _deliver(self, until_ns: int) -> None:
        self._let_through(until_ns + 1)

    def _let_through(self, until_ns: int) -> None:
        """Record the unit's pulses before `until_ns` that went through as relays and wipers stand now."""
        pulses = -((self._unit_start_ns - until_ns) // self._period_ns)
        if pulses <= self._next_pulse:
            return
        for number in range(self._next_pulse, pulses) if self.active else ():
            t_ns = self._unit_start_ns + number * self._period_ns
            for index, output in enumerate(self._outputs):
                current_ma = self.settings.unit_current_ma_at_full * share_of(output.wiper)
                if output.closed and current_ma > 0 and index not in self.faults.open_electrodes:
                    self._delivered.append(Pulse(t_ns, index, current_ma, self.settings.unit_phase_us))
        self._next_pulse = pulses


def wiper(percent: int) -> int:
    """Where the firmware puts the potentiometer for an intensity: 255 lets nothing through, 0 everything."""
    return 255 - (int((215 - 55) * (percent - 1) / 100 + 0.5) + 55)


def share_of(position: int) -> float:
    """Share of the current at 100 % that goes through. assumption: in proportion to the wiper's way from 255."""
    return (WIPER_OFF - position) / (WIPER_OFF - WIPER_FULL)


def _text_of(digits: str) -> str:
    """Hexadecimal digits as the firmware reads them: A to F count 0 to 5."""
    # assumption: what is no digit counts 0; an odd digit at the end is dropped.
    values = [int(each) if "0" <= each <= "9" else max(0, "ABCDEF".find(each)) for each in digits]
    return "".join(chr(high * 16 + low) for high, low in zip(values[::2], values[1::2], strict=False))


def _integer_after(text: str, letter: str) -> int:
    """The number behind a letter, as the Arduino library reads it: 0 where there is none."""
    rest = text[text.index(letter) + 1 :].lstrip()
    sign, rest = (-1, rest[1:]) if rest[:1] == "-" else (1, rest)
    digits = ""
    for each in rest:
        if not "0" <= each <= "9":
            break
        digits += each
    return sign * int(digits or "0")

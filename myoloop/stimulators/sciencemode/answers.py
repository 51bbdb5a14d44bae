"""Answers of a ScienceMode 3 or 4 stimulator."""

from __future__ import annotations

from dataclasses import dataclass

from myoloop.stimulators.sciencemode.frames import Frame

#: What the device calls each result that is not 0, in plain words.
RESULTS = {
    1: "the command arrived damaged",
    2: "a value the device does not take",
    3: "protocol error",
    4: "timeout of the stimulation processor",
    5: "timeout of the EMG processor",
    6: "EMG register error",
    7: "not initialised, or another level is active",
    8: "high-voltage error",
    9: "demultiplexer timeout",
    10: "electrode open or badly in contact",
    11: "a command the device does not know",
    12: "demultiplexer parameter error",
    13: "demultiplexer not initialised",
    14: "demultiplexer error",
    15: "demultiplexer busy",
    16: "pulse timeout: the pulse does not fit its period",
    17: "fuel gauge error",
    18: "live signal error",
    19: "file transmission timeout",
    20: "file not found",
    21: "busy",
    22: "file error",
    23: "flash erase error",
    24: "flash write error",
    25: "unknown controller",
    26: "firmware too large",
    27: "fuel gauge not programmed",
    28: "less current than was set: the load is too high",
}
#: Per-output states of Ml_get_current_data, as results.
_STATE_RESULTS = {0: 0, 1: 10, 2: 16, 3: 28}
LEVELS = ("no level", "low level initialised", "mid level initialised", "mid level running")
VOLTAGES = {0: "standard", 1: "off", 2: "30 V", 3: "60 V", 4: "90 V", 5: "120 V", 6: "150 V"}
_HASHES = ("none", "git", "md5", "sha256")
_SAMPLES = 128


class AnswerError(ValueError):
    """A frame with a right checksum that is no answer we know."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What every answer has: the number of its command, its own command, its result (0 is good)."""

    number: int
    command: int
    result: int


@dataclass(frozen=True, slots=True)
class PulseDone(Answer):
    """A low-level pulse was given, or why not.

    Attributes
    ----------
    output
        Which output it says; None where the device does not.
    measurement, sampling_us, samples
        What was measured of the pulse, where it was asked for: kind, interval, raw values.
    """

    output: int | None
    measurement: int = 0
    sampling_us: int = 0
    samples: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CurrentData(Answer):
    """State of the outputs in mid level.

    Attributes
    ----------
    running
        Whether anything is stimulated.
    active
        Which outputs; None where the device does not say.
    states
        Result code per output: 0, 10, 16, 28.
    """

    selection: int
    running: bool
    active: tuple[bool, ...] | None
    states: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Version(Answer):
    """Firmware and protocol version; of ScienceMode 4 also the firmware's hash."""

    firmware: tuple[int, int, int]
    protocol: tuple[int, int, int]
    hash: int | None = None
    hash_kind: str = "none"
    hash_valid: bool = False


@dataclass(frozen=True, slots=True)
class DeviceId(Answer):
    """Serial number."""

    serial: str


@dataclass(frozen=True, slots=True)
class Battery(Answer):
    """Charge of a RehaMove3."""

    percent: int
    millivolt: int


@dataclass(frozen=True, slots=True)
class StimStatus(Answer):
    """Which level is on (index into LEVELS), and the high voltage (key of VOLTAGES)."""

    level: int
    high_voltage: int

    @property
    def stopped(self) -> bool:
        """No level initialised and the high voltage off."""
        return self.level == 0 and self.high_voltage == 1

    def __str__(self) -> str:
        level = LEVELS[self.level] if self.level < len(LEVELS) else f"level {self.level}"
        return f"{level}, high voltage {VOLTAGES.get(self.high_voltage, self.high_voltage)}"


@dataclass(frozen=True, slots=True)
class GeneralError(Answer):
    """Something is wrong that belongs to no command (or the device does not know to which)."""


@dataclass(frozen=True, slots=True)
class UnknownCommand(Answer):
    """The device does not know the command."""


def result_text(result: int) -> str:
    """One result in plain words, with its number."""
    return f"{RESULTS.get(result, 'unknown result')} (result {result})"


def read(frame: Frame) -> Answer:
    """Read an answer.

    Raises
    ------
    AnswerError
        If it is none we know, or not as long as it must be.
    """
    p = frame.payload
    if not p:
        raise AnswerError(f"answer {frame.command} without a result")
    number, command, result = frame.number, frame.command, p[0]
    # A device that refuses may leave out what it would have said.
    if result and command in _LENGTHS and len(p) < _LENGTHS[command]:
        return Answer(number, command, result)
    if len(p) < _LENGTHS.get(command, 1):
        raise AnswerError(f"answer {command} with {len(p)} bytes, needs {_LENGTHS[command]}")
    match command:
        case 1 | 5 | 31 | 33 | 35 | 59:
            return Answer(number, command, result)
        case 3:
            return _pulse_done(frame)
        case 37:
            return _current_data(frame)
        case 51:
            return Version(number, command, result, (p[1], p[2], p[3]), (p[4], p[5], p[6]))
        case 53:
            serial = p[1:11].decode("ascii", "replace").rstrip("\0 ")
            return DeviceId(number, command, result, serial)
        case 55:
            return Battery(number, command, result, p[1], p[2] << 8 | p[3])
        case 63:
            return StimStatus(number, command, result, p[1], p[2])
        case 66:
            return GeneralError(number, command, result)
        case 67:
            return UnknownCommand(number, command, result)
        case 69:
            kind = _HASHES[p[11]] if p[11] < len(_HASHES) else f"kind {p[11]}"
            return Version(
                number, command, result, (p[1], p[2], p[3]), (p[4], p[5], p[6]),
                int.from_bytes(p[7:11], "big"), kind, bool(p[12]),
            )  # fmt: skip
    raise AnswerError(f"answer {command} is not known")


#: Shortest payload of each answer that has more than a result.
_LENGTHS = {3: 2, 37: 3, 51: 7, 53: 11, 55: 4, 63: 3, 69: 13}


def _pulse_done(frame: Frame) -> PulseDone:
    p = frame.payload
    output = (p[1] >> 4) * 4 + (p[1] & 0x0F)
    # ScienceMode 3 names no measurement; its fields may end with the output.
    measurement = p[2] if len(p) > 2 else 0
    if measurement == 0:
        return PulseDone(frame.number, frame.command, p[0], output)
    if len(p) < 5 + 2 * _SAMPLES:
        raise AnswerError(f"answer 3 with {len(p)} bytes, needs {5 + 2 * _SAMPLES} with a measurement")
    samples = tuple(p[i] << 8 | p[i + 1] for i in range(5, 5 + 2 * _SAMPLES, 2))
    return PulseDone(frame.number, frame.command, p[0], output, measurement, p[3] << 8 | p[4], samples)


def _current_data(frame: Frame) -> CurrentData:
    p = frame.payload
    selection, data = p[1], p[2:]
    size = {2: 1, 3: 2, 4: 5}.get(selection)
    if size is None or len(data) < size:
        raise AnswerError(f"answer 37, selection {selection}, with {len(p)} bytes")
    if selection == 4:
        active = tuple(bool(data[0] >> i & 1) for i in range(8))
        # The low half of each byte is the even output.
        nibbles = [half for byte in data[1:5] for half in (byte & 0x0F, byte >> 4)]
        states = tuple(_STATE_RESULTS.get(nibble, 3) for nibble in nibbles)
        return CurrentData(frame.number, 37, p[0], selection, any(active), active, states)
    running = any(byte >> 4 & 1 for byte in data[:size])
    states = tuple(10 * (byte >> i & 1) for byte in data[:size] for i in range(4))
    return CurrentData(frame.number, 37, p[0], selection, running, None, states)

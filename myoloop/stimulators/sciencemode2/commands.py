"""What host and device say to one another, as far as the driver needs it.

Only what can be undone or ends within the device's own 1.2 s can be said here: no single pulse, no training device.
"""

from __future__ import annotations

from collections.abc import Sequence

from myoloop.stimulators.sciencemode2.frames import Packet

INIT, INIT_ACK, UNKNOWN_COMMAND, WATCHDOG = 1, 2, 3, 4
GET_MODE, INIT_LIST, START_LIST, STOP_LIST = 10, 30, 32, 34
STIMULATION_ERROR = 38

#: Commands that are answered, by name; the answer's command is one more.
NAMES = {
    GET_MODE: "GetStimulationMode",
    INIT_LIST: "InitChannelListMode",
    START_LIST: "StartChannelListMode",
    STOP_LIST: "StopChannelListMode",
}
VERSION = 1
DONE, TRANSFER_ERROR, WRONG_MODE, WRONG_VERSION, BUSY = 0, -1, -3, -5, -8
RESULTS = {
    -1: "transfer error",
    -2: "a parameter it does not take",
    -3: "not in this mode",
    -4: "no training device",
    -5: "another protocol version",
    -6: "trainer error",
    -7: "training device busy",
    -8: "busy with another command",
}
ERRORS = {
    -1: "quick-stop button pressed, or its plug is out",
    -2: "electrode fault",
    -3: "stimulation module fault",
}
MODE_START, MODE_INITIALISED, MODE_STARTED = 0, 1, 2

#: Interval codes are in steps of 0.5 ms above these.
STEP_US = 500
MAIN_BASE_US = 1000
INTER_PULSE_BASE_US = 1500
INTER_PULSE_MIN_US = 8000
#: Time that each channel of the list has for itself, also at 0 mA.
SLOT_US = 1500


def init_ack(number: int, result: int) -> Packet:
    """Answer to the device's Init of this number: 0 accepts its version, -5 does not."""
    return Packet(number, INIT_ACK, bytes((result & 0xFF,)))


def watchdog(number: int) -> Packet:
    """Nothing but a sign of life; has no answer."""
    return Packet(number, WATCHDOG)


def get_mode(number: int) -> Packet:
    """Ask which mode the device is in."""
    return Packet(number, GET_MODE)


def stop_list(number: int) -> Packet:
    """End the channel list: no current, back to start mode."""
    return Packet(number, STOP_LIST)


def init_list(number: int, outputs: Sequence[int], period_us: int) -> Packet:
    """Say which outputs, from 0, take part and how far their pulses are apart.

    Fixed slots of 1.5 ms one after another, no output slower than the others. The time between the pulses of a group
    is of no use to single pulses; it is the shortest that is allowed and holds all slots.
    """
    mask = 0
    for output in outputs:
        mask |= 1 << output
    inter_pulse_us = max(INTER_PULSE_MIN_US, SLOT_US * len(outputs))
    inter_pulse_code = (inter_pulse_us - INTER_PULSE_BASE_US) // STEP_US
    main_code = (period_us - MAIN_BASE_US) // STEP_US
    return Packet(number, INIT_LIST, bytes((0, mask, 0, inter_pulse_code, main_code >> 8, main_code & 0xFF, 0)))


def start_list(number: int, pulses: Sequence[tuple[int, int]]) -> Packet:
    """Width in us and current in mA of each output of the list in order: start it, or give it other pulses."""
    data = b"".join(bytes((0, width_us >> 8, width_us & 0xFF, current_ma)) for width_us, current_ma in pulses)
    return Packet(number, START_LIST, data)


def result_of(packet: Packet) -> int:
    """First byte of an answer, signed; an answer without one is a transfer error."""
    if not packet.data:
        return TRANSFER_ERROR
    return packet.data[0] - 256 if packet.data[0] > 127 else packet.data[0]

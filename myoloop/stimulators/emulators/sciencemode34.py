"""Firmware of the Hasomed P24 (ScienceMode 4) and RehaMove3 (ScienceMode 3): bytes in, bytes out, its own pulses.

It is a plain object: whoever runs it hands it bytes with the time, and asks for its answers and its pulses. Commands
are worked off one at a time in the order in which they came. In low level each Ll_channel_config is one pulse, given
as soon as the source is free and answered when it is over. In mid level the device repeats the pulses of its channel
table by itself, until 2 s after the last Ml_update or Ml_get_current_data.

What the vendor's text does not settle is marked ``assumption``. Four hold throughout: commands that come while the
high voltage is switched wait until that is done; a stop takes effect when its turn comes, not 40 ms later; a stop with
no level is good; answers leave without any latency of the line. It shares no code with the driver.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from myoloop.stimulators.emulators.faults import AnswerQueue
from myoloop.stimulators.emulators.ledger import Pulse
from myoloop.stimulators.emulators.sciencemode34_answers import (
    channel_fields,
    empty_fields,
    identity_fields,
    state_fields,
)
from myoloop.stimulators.emulators.sciencemode34_fields import (
    PROFILES,
    ParameterError,
    read_channel_config,
    read_low_level_init,
    read_mid_level_init,
    read_nothing,
    read_selection,
    read_update,
)
from myoloop.stimulators.emulators.sciencemode34_pulses import GivenPulse, PulseMaker
from myoloop.stimulators.emulators.sciencemode34_source import (
    ELECTRODE_ERROR,
    HV_ERROR,
    LOW_CURRENT,
    OK,
    CurrentSource,
    ScienceModeFaults,
)
from myoloop.stimulators.emulators.sciencemode34_wire import BrokenPacket, Packet, PacketReader, packed

LL_INIT, LL_CHANNEL_CONFIG, LL_STOP = 0, 2, 4
ML_INIT, ML_UPDATE, ML_STOP, ML_GET_CURRENT_DATA = 30, 32, 34, 36
RESET, GET_STIM_STATUS, GENERAL_ERROR, UNKNOWN_COMMAND = 58, 62, 66, 67
TRANSFER_ERROR, PARAMETER_ERROR, TIMEOUT_ERROR, WRONG_LEVEL, INVALID_COMMAND, BUSY = 1, 2, 4, 7, 11, 21
#: Levels, as Get_stim_status has them.
NONE, LOW_LEVEL, MID_LEVEL, MID_LEVEL_RUNNING = 0, 1, 2, 3

MS = 1_000_000
EXECUTION_NS = {LL_INIT: 40 * MS, LL_STOP: 40 * MS, ML_INIT: 80 * MS, ML_STOP: 40 * MS}
KEEP_ALIVE_NS = 2000 * MS
#: Codes of the high voltage, as Get_stim_status has them.
_HV_STANDARD, _HV_OFF, _HV_150 = 0, 1, 6


class ScienceMode34Device:
    """A P24 or a RehaMove3.

    Parameters
    ----------
    profile
        ``p24`` or ``rehamove3``.
    start_ns
        The time at which it is on and ready.

    Attributes
    ----------
    faults
        What is broken.

    Raises
    ------
    ValueError
        If there is no such profile.
    """

    def __init__(self, profile: str = "p24", *, start_ns: int = 0) -> None:
        if profile not in PROFILES:
            raise ValueError(f"a ScienceMode device is one of {', '.join(PROFILES)}, not {profile!r}")
        self.profile = PROFILES[profile]
        self.faults = ScienceModeFaults()
        self._answers = AnswerQueue(self.faults)
        self._source = CurrentSource(self.faults, start_ns)
        self._left = b""
        self._now_ns = start_ns
        self._ready_ns = start_ns
        self._forget(start_ns)

    @property
    def active(self) -> tuple[int, ...]:
        """Outputs that run, or that a pulse waits for."""
        return self._pulses.active

    def feed(self, data: bytes, now_ns: int) -> None:
        """Take bytes from the host; they may be cut anywhere and have garbage between packets."""
        self._advance(now_ns)
        if self.faults.vanished or self._now_ns < self._ready_ns:
            return
        self._commands.extend((self._now_ns, packet) for packet in self._reader.feed(data))
        self._advance(now_ns)

    def take(self, now_ns: int) -> bytes:
        """Bytes that leave for the host by `now_ns`."""
        self._advance(now_ns)
        left = self._left + self._answers.take(self._now_ns)
        self._left = b""
        return b"" if self.faults.vanished else left

    def pulses_until(self, now_ns: int) -> list[Pulse]:
        """Every pulse delivered up to and including `now_ns` that was not asked for yet, in order of time."""
        self._advance(now_ns)
        pulses: list[Pulse] = []
        delivered = self._source.delivered
        while delivered and delivered[0].t_ns <= now_ns:
            pulses.append(delivered.popleft())
        return pulses

    def restart(self, now_ns: int) -> None:
        """Lose power for a moment: no level, nothing waits, silent until it is ready again."""
        self._advance(now_ns)
        self._restart()

    def _forget(self, t_ns: int) -> None:
        self._level = NONE
        self._measurement = 0
        self._keep_alive_ns = t_ns
        self._busy_until_ns = t_ns
        self._end_at_ns: int | None = None
        self._reader = PacketReader()
        self._commands: deque[tuple[int, Packet | BrokenPacket]] = deque()
        self._pulses = PulseMaker(self._source)
        self._switch(_HV_OFF)

    def _restart(self) -> None:
        # What has left by now is on the wire; what has not is lost.
        self._left += self._answers.take(self._now_ns)
        self._answers.clear()
        self._forget(self._now_ns)
        self._ready_ns = self._now_ns + self.profile.boot_ns

    # Time

    def _advance(self, until_ns: int) -> None:
        """Do all that falls due until then, in order of time; a time that goes back is taken for no time gone by."""
        until_ns = max(until_ns, self._now_ns)
        while self.faults.general_errors:
            # assumption: what it says unasked has the number 0
            self._say(0, GENERAL_ERROR, bytes((self.faults.general_errors.pop(0) & 0xFF,)), self._now_ns)
        while (event := self._next()) is not None and event[0] <= until_ns:
            self._now_ns, act = event
            act()
        self._now_ns = until_ns

    def _next(self) -> tuple[int, Callable[[], None]] | None:
        """What happens next and when; of what happens at the same time, what ends pulses comes before them."""
        events: list[tuple[int, Callable[[], None]]] = []
        if self.faults.reset_at_ns is not None:
            events.append((self.faults.reset_at_ns, self._reset_itself))
        if self._end_at_ns is not None:
            events.append((self._end_at_ns, self._end))
        if self._level == MID_LEVEL_RUNNING:
            events.append((self._keep_alive_ns + KEEP_ALIVE_NS, self._lapse))
        pulse = self._pulses.next()
        if pulse is not None:
            events.append((pulse[0], lambda: self._give(pulse[1])))
        if self._commands:
            events.append((max(self._commands[0][0], self._busy_until_ns), self._obey))
        if not events:
            return None
        t_ns, act = min(events, key=lambda event: max(event[0], self._now_ns))
        return max(t_ns, self._now_ns), act

    def _reset_itself(self) -> None:
        self.faults.reset_at_ns = None
        self._restart()

    def _lapse(self) -> None:
        """Stop by itself, 2 s after the host's last word."""
        # assumption: the level is then "mid level initialised"; the high voltage stays on (vendor)
        self._pulses.lapse()
        self._level = MID_LEVEL

    def _give(self, pulse: Callable[[int], GivenPulse | None]) -> None:
        given = pulse(self._now_ns)
        if given is not None:
            output = given.output
            measurement = self._measurement if given.result == OK else 0
            load_ohm = self._source.load_ohm(output, self._now_ns)
            fields = channel_fields(self.profile, output, measurement, given.shape, load_ohm, self._source.volts)
            self._answer(given.number, LL_CHANNEL_CONFIG, given.result, fields, given.end_ns)
        if self._level == MID_LEVEL_RUNNING and not self._pulses.running:
            self._level = MID_LEVEL

    # Commands

    def _obey(self) -> None:
        _, packet = self._commands.popleft()
        number, command, payload = packet
        known = command in self.profile.commands
        if isinstance(packet, BrokenPacket) and not known:
            # assumption: a broken packet that names no command of its own is answered by General_error
            self._say(number, GENERAL_ERROR, bytes((TRANSFER_ERROR,)), self._now_ns)
        elif isinstance(packet, BrokenPacket):
            # assumption: the number is echoed as read
            self._refuse(packet, TRANSFER_ERROR)
        elif not known:
            # assumption: with the number of what it does not know
            self._say(number, UNKNOWN_COMMAND, bytes((INVALID_COMMAND,)), self._now_ns)
        elif refused := self.faults.results_once.pop(command, self.faults.results_always.get(command, OK)):
            self._refuse(packet, refused)
        else:
            try:
                result = self._execute(number, command, payload)
            except ParameterError:
                result = PARAMETER_ERROR
            if result == OK:
                self._busy_until_ns = self._now_ns + EXECUTION_NS.get(command, 0)
                self._answer(number, command, OK, b"", self._busy_until_ns)
            elif result is not None:
                self._refuse(packet, result)

    def _execute(self, number: int, command: int, payload: bytes) -> int | None:
        """Do what is asked; the result, or None where it has been or will be answered."""
        if command == ML_UPDATE:
            return self._update(payload)
        if command == ML_GET_CURRENT_DATA:
            return self._current_data(number, payload)
        if command == ML_INIT:
            return self._mid_level_init(payload)
        if command == ML_STOP:
            return self._mid_level_stop(payload)
        if command == LL_CHANNEL_CONFIG:
            return self._channel_config(number, payload)
        if command == LL_INIT:
            return self._low_level_init(payload)
        if command == LL_STOP:
            return self._low_level_stop(payload)
        read_nothing(payload)
        if command == RESET:
            if not self.faults.reset_is_silent:
                self._answer(number, RESET, OK, b"", self._now_ns)
            self._restart()
        elif command == GET_STIM_STATUS:
            self._answer(number, command, OK, bytes((self._level, self._hv_code)), self._now_ns)
        else:
            self._answer(number, command, OK, identity_fields(self.profile, command), self._now_ns)
        return None

    def _low_level_init(self, payload: bytes) -> int:
        wanted = read_low_level_init(payload, self.profile)
        if self._level in (MID_LEVEL, MID_LEVEL_RUNNING):
            return WRONG_LEVEL
        # assumption: in low level it may be said again; what waits is dropped and never answered
        self._pulses.drop_queue()
        self._end_at_ns = None
        self._level = LOW_LEVEL
        self._measurement = wanted.measurement
        self._switch(wanted.hv_code)
        return OK

    def _channel_config(self, number: int, payload: bytes) -> int | None:
        if self._level != LOW_LEVEL:
            return WRONG_LEVEL
        wanted = read_channel_config(payload, self.profile)
        if wanted.shape is None:
            self._answer(number, LL_CHANNEL_CONFIG, OK, channel_fields(self.profile, wanted.output), self._now_ns)
            return None
        if not self._source.volts:
            # assumption: with the high voltage off a pulse is a high-voltage error
            return HV_ERROR
        if self._pulses.full(self._now_ns) or self.faults.queue_full:
            # assumption: one pulse too many is answered with "busy"
            return BUSY
        self._pulses.queue(number, wanted.output, wanted.shape, self._now_ns)
        return None

    def _low_level_stop(self, payload: bytes) -> int:
        read_nothing(payload)
        if self._level in (MID_LEVEL, MID_LEVEL_RUNNING):
            return WRONG_LEVEL
        if self.faults.stuck_on:
            self._pulses.stick(self._now_ns)
        elif self.faults.stop_delay_ns and self._level == LOW_LEVEL:
            # Said again, it ends no later.
            if self._end_at_ns is None:
                self._end_at_ns = self._now_ns + self.faults.stop_delay_ns
                self._pulses.go_on(self._now_ns)
        else:
            # assumption: a pulse under way is finished and answered; what waits is dropped and never answered
            # assumption: current ends when a stop is heard, not when the 40 ms until its answer are over; with the
            # fault word `stop-delay=40ms` the train goes on until then, and all promises hold with that too
            self._end()
        return OK

    def _mid_level_init(self, payload: bytes) -> int:
        stop_all = read_mid_level_init(payload, self.profile)
        if self._level == LOW_LEVEL:
            return WRONG_LEVEL
        # assumption: in mid level it may be said again, and stops all channels
        self._end()
        self._level = MID_LEVEL
        self._pulses.stop_all = stop_all
        self._switch(_HV_150)
        return OK

    def _update(self, payload: bytes) -> int:
        if self._level not in (MID_LEVEL, MID_LEVEL_RUNNING):
            return WRONG_LEVEL
        trains = read_update(payload, self.profile)
        # assumption: only a good Ml_update keeps alive
        self._keep_alive_ns = self._now_ns
        self._pulses.update(trains, self._now_ns, keep_others=self.faults.stuck_on)
        self._level = MID_LEVEL_RUNNING if self._pulses.running else MID_LEVEL
        return OK

    def _mid_level_stop(self, payload: bytes) -> int:
        read_nothing(payload)
        if self._level == LOW_LEVEL:
            return WRONG_LEVEL
        if not (self.faults.stuck_on and self._pulses.running):
            self._end()
        return OK

    def _current_data(self, number: int, payload: bytes) -> int | None:
        selection = read_selection(payload, self.profile)
        if self._level not in (MID_LEVEL, MID_LEVEL_RUNNING):
            return WRONG_LEVEL
        self._keep_alive_ns = self._now_ns
        mask = (sum(1 << output for output in self._pulses.running) ^ self.faults.mask_flipped) & 0xFF
        fields = state_fields(selection, mask, self._level == MID_LEVEL_RUNNING, self._pulses.errors)
        self._answer(number, ML_GET_CURRENT_DATA, OK, fields, self._now_ns)
        return None

    def _switch(self, hv_code: int) -> None:
        self._source.volts = self.profile.hv_volts[hv_code]
        self._hv_code = _HV_150 if hv_code == _HV_STANDARD else hv_code

    def _end(self) -> None:
        """No level, no high voltage, nothing runs or waits."""
        self._end_at_ns = None
        self._level = NONE
        self._switch(_HV_OFF)
        self._pulses.clear()

    # Answers

    def _refuse(self, packet: Packet | BrokenPacket, result: int) -> None:
        """Answer with a result; assumption: where the answer has more fields, they are zeros."""
        fields = empty_fields(self.profile, packet.command, packet.payload)
        self._answer(packet.number, packet.command, result, fields, self._now_ns)

    def _answer(self, number: int, command: int, result: int, fields: bytes, due_ns: int) -> None:
        if result not in self.profile.results and result in (HV_ERROR, LOW_CURRENT, BUSY):
            # assumption: the RehaMove3, without these codes, says electrode error or time-out
            result = ELECTRODE_ERROR if result == LOW_CURRENT else TIMEOUT_ERROR
        self._say(number, command + 1, bytes((result & 0xFF,)) + fields, due_ns)

    def _say(self, number: int, command: int, payload: bytes, due_ns: int) -> None:
        self._answers.add(packed(number, command, payload), due_ns, lambda: packed((number + 1) % 64, command, payload))

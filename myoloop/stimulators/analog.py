"""Driver of an isolated current source at the analog outputs of an NI-DAQ device; the only way to microcurrent.

The host makes each pulse: a finite buffer of converter codes, plus and minus for as many samples each, that ends in
rest. Nothing is ever generated that is longer than the lease, so a host that is gone leaves one pulse at most. A train
goes on for 100 ms after the gate's last write, and not longer.

The source, its isolation and its limits are the laboratory's own. Volts per mA are measured on the dummy load and
entered, and so is the code at which no current flows. On a person there must be a relay in both leads that is held only
while its line changes its level: software cannot stop a source whose converter has failed.

The framing of a table of trains, little endian::

    "AO1" | u32 samples per second | u8 count | count x train
    train     u8 output | u32 period in us | u32 samples | samples x i16 code
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isfinite

from myoloop.platform.messages import ChannelSetting, DeviceReport, Pulses
from myoloop.stimulators.analog_source import SAMPLES_MAX, AnalogOutput, AnalogSettings
from myoloop.stimulators.contact import Contact
from myoloop.stimulators.driver import Capabilities, DecodedOutput, DriverError
from myoloop.stimulators.ni_output import NiOutput
from myoloop.stimulators.wiring import wired

_MAGIC = b"AO1"
#: A train goes on for so long after the last write.
_HOLD_NS = 100_000_000
#: The device's clock and the call that starts it: when a buffer is over, and how late its first sample may be.
_MARGIN_NS = 500_000
_START_NS = 2_000_000
_PERIOD_MAX_US = 10_000_000
_STOPS = 3


@dataclass(slots=True)
class _Train:
    given: DecodedOutput
    period_ns: int
    codes: tuple[int, ...]
    due_ns: int


class AnalogDriver:
    """Driver of the source.

    Parameters
    ----------
    settings
        How it is wired.
    transport
        The device's outputs, in the order of their numbers among ``settings.channels``; None opens ``settings.port``
        at :meth:`open`.
    """

    Settings = AnalogSettings

    def __init__(self, settings: AnalogSettings, transport: AnalogOutput | None = None) -> None:
        self._settings = settings
        self._device = transport
        self._wired = tuple(sorted(settings.channels.values()))
        self._channel_of = {output: channel for channel, output in settings.channels.items()}
        self._trains: dict[int, _Train] = {}
        self._last_ns: dict[int, int] = {}
        self._hold_ns: int | None = None
        self._busy_until_ns = 0
        self._orders: deque[tuple[int, int]] = deque()
        self._sent = self._ack_of = 0
        self._level = False
        self._stops_left = 0
        self._pulses: list[Pulses] = []
        self._contact = Contact("analog output")

    @property
    def capabilities(self) -> Capabilities:
        """The converter's step, whole samples, periods in whole us."""
        s = self._settings
        sample_us = 1e6 / s.sample_rate_hz
        return Capabilities(
            outputs=s.outputs,
            current_max_ma=s.code_max * s.step_ma,
            current_step_ma=s.step_ma,
            phase_min_us=sample_us,
            # Two phases and the sample of rest behind them are no longer than the lease.
            phase_max_us=(s.lease_ms * s.sample_rate_hz // 1000 - 1) // 2 * sample_us,
            phase_step_us=sample_us,
            rate_min_hz=1e6 / _PERIOD_MAX_US,
            rate_max_hz=s.rate_max_hz,
            lease_ms=_HOLD_NS / 1e6,
            times_itself=False,
            period_step_us=1.0,
        )

    def open(self) -> str:
        """Set all outputs to rest and see that the device obeys."""
        s = self._settings
        try:
            if self._device is None:
                self._device = NiOutput(
                    s.port, self._wired, range_v=s.range_v, idle_code=s.zero_code, heartbeat_line=s.heartbeat_line
                )
            self._device.zero()
            self._device.done()
        except OSError as error:
            self.close()
            raise DriverError(f"analog output {s.port}: {error}") from None
        self._contact.connected = True
        relay = f"relay at {s.heartbeat_line}" if s.heartbeat_line else "no relay"
        self._contact.identity = f"current source at {self._device.identity}, {s.volts_per_ma:g} V per mA, {relay}"
        return self._contact.identity

    def encode(self, settings: Sequence[ChannelSetting]) -> bytes:
        """One table of trains; an output that is not in it gives nothing."""
        s = self._settings
        trains = []
        for output, wanted in wired(s.channels, settings):
            code = self._code_down(wanted.current_ma)
            if code == 0:
                continue
            samples = _whole(wanted.phase_us * s.sample_rate_hz / 1e6, "phase_us", wanted.phase_us)
            if not 1 <= samples <= (s.lease_ms * s.sample_rate_hz // 1000 - 1) // 2:
                most_us = self.capabilities.phase_max_us
                raise DriverError(f"phase_us {wanted.phase_us}: both phases must fit the lease, {most_us:g} at most")
            if not 0 < wanted.rate_hz <= s.rate_max_hz:
                raise DriverError(f"rate_hz {wanted.rate_hz} is not above 0 and at most {s.rate_max_hz:g}")
            period_us = _whole(1e6 / wanted.rate_hz, "rate_hz", wanted.rate_hz)
            if not (2 * samples + 1) * 1e6 / s.sample_rate_hz < period_us <= _PERIOD_MAX_US:
                raise DriverError(f"rate_hz {wanted.rate_hz}: two phases of {wanted.phase_us:g} us do not fit")
            up, down, rest = s.zero_code + code, s.zero_code - code, s.zero_code
            codes = (*(up,) * samples, *(down,) * samples, rest)
            head = struct.pack("<BII", output, period_us, len(codes))
            trains.append(head + struct.pack(f"<{len(codes)}h", *codes))
        return _MAGIC + struct.pack("<IB", s.sample_rate_hz, len(trains)) + b"".join(trains)

    def decode(self, data: bytes) -> tuple[DecodedOutput, ...]:
        """Read a table number by number, and each buffer sample by sample."""
        return tuple(given for given, _, _ in self._read(data))

    def write(self, data: bytes, now_ns: int) -> int:
        """Take the table for the next 100 ms; and tell the relay that all is well."""
        if self._device is None or not self._contact.connected:
            raise DriverError("analog output: not open")
        table = self._read(data)
        trains = {}
        for given, period_us, codes in table:
            period_ns = period_us * 1000
            last_ns = self._last_ns.get(given.output)
            due_ns = now_ns if last_ns is None else max(now_ns, last_ns + period_ns)
            trains[given.output] = _Train(given, period_ns, codes, due_ns)
        with self._contact.writing():
            self._device.heartbeat(not self._level)
        self._level = not self._level
        self._trains, self._hold_ns = trains, now_ns + _HOLD_NS
        self._stops_left = 0
        self._sent += 1
        self._orders.append((self._sent, now_ns))
        return self._sent

    @property
    def due_ns(self) -> int | None:
        """When the next pulse is to be made, and the one before is over."""
        if not self._trains or self._hold_ns is None or not self._contact.connected:
            return None
        due_ns = max(min(train.due_ns for train in self._trains.values()), self._busy_until_ns)
        return due_ns if due_ns <= self._hold_ns else None

    def pulse(self, now_ns: int) -> None:
        """Make the pulses that are due, after reading their very samples again."""
        if self._lapsed(now_ns) or self._device is None or now_ns < self._busy_until_ns:
            return
        due = []
        for output, train in self._trains.items():
            # What was missed by more than half a period is not caught up.
            while now_ns - train.due_ns > train.period_ns // 2:
                train.due_ns += train.period_ns
            if train.due_ns <= now_ns:
                due.append(output)
        if not due:
            return
        rest = self._settings.zero_code
        longest = max(len(self._trains[output].codes) for output in due)
        buffers = []
        for output in self._wired:
            codes = list(self._trains[output].codes) if output in due else []
            buffers.append(codes + [rest] * (longest - len(codes)))
        try:
            for output, codes in zip(self._wired, buffers, strict=True):
                self._check(output, codes, due)
            if not self._device.done():
                self._busy_until_ns = now_ns + _MARGIN_NS
                return
            self._device.play(buffers, self._settings.sample_rate_hz)
        except DriverError as error:
            self._contact.faults.append(str(error))
            self.stop(now_ns)
            return
        except OSError as error:
            self._give_up(error)
            return
        self._busy_until_ns = now_ns + longest * 1_000_000_000 // self._settings.sample_rate_hz + _MARGIN_NS
        for output in due:
            train = self._trains[output]
            self._last_ns[output] = now_ns
            train.due_ns = now_ns + train.period_ns
            self._pulses.append(
                Pulses(
                    channel=self._channel_of[output],
                    t_ns=(now_ns,),
                    uncertainty_ns=_START_NS,
                    kind="sent",
                    current_ma=train.given.current_ma,
                    phase_us=train.given.phase_us,
                )
            )

    def stop(self, now_ns: int) -> None:
        """Cut off what is being generated and set all outputs to rest; twice more at the next polls."""
        self._trains, self._hold_ns = {}, None
        if self._device is None:
            return
        self._stops_left = _STOPS
        self._sent += 1
        self._orders.append((self._sent, now_ns))
        self._rest()

    def poll(self, now_ns: int) -> tuple[DeviceReport, tuple[Pulses, ...]]:
        """See whether the device is well; what it was told by then it has taken."""
        if self._stops_left and self._stops_left < _STOPS:
            self._rest()
        self._stops_left = max(0, self._stops_left - 1)
        if self._device is not None and self._contact.connected:
            try:
                self._device.done()
                if self._orders:
                    self._ack_of = self._orders[-1][0]
                    self._orders.clear()
            except OSError as error:
                self._give_up(error)
        self._lapsed(now_ns)
        report = self._contact.report(
            now_ns,
            acknowledged=tuple(
                ChannelSetting(
                    channel=self._channel_of[output],
                    current_ma=train.given.current_ma,
                    phase_us=train.given.phase_us,
                    rate_hz=train.given.rate_hz,
                )
                for output, train in sorted(self._trains.items())
            ),
            ack_of=self._ack_of,
            sent=self._sent,
            oldest_unacknowledged_ns=self._orders[0][1] if self._orders else None,
        )
        pulses, self._pulses = tuple(self._pulses), []
        return report, pulses

    def close(self) -> None:
        """Set all outputs to rest and let go of the device."""
        if self._device is not None:
            self._trains = {}
            self._rest()
            self._device.close()
        self._device = None
        self._contact.connected = False

    # -- inside ------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> list[tuple[DecodedOutput, int, tuple[int, ...]]]:
        s = self._settings
        wrong = DriverError(f"{len(data)} bytes that are not one table of trains")

        def number(at: int, size: int) -> int:
            if at + size > len(data):
                raise wrong
            return int.from_bytes(data[at : at + size], "little")

        if data[:3] != b"AO1" or number(3, 4) != s.sample_rate_hz:
            raise wrong
        at = 8
        found: list[tuple[DecodedOutput, int, tuple[int, ...]]] = []
        for _ in range(number(7, 1)):
            output, period_us, count = number(at, 1), number(at + 1, 4), number(at + 5, 4)
            at += 9
            end = at + 2 * count
            if end > len(data) or count > SAMPLES_MAX or any(output == other[0].output for other in found):
                raise wrong
            codes = tuple(int.from_bytes(data[place : place + 2], "little", signed=True) for place in range(at, end, 2))
            at = end
            if output not in self._channel_of or not period_us:
                raise wrong
            amplitude, samples, net = self._pulse_of(codes)
            given = DecodedOutput(
                output=output,
                current_ma=amplitude * s.step_ma,
                phase_us=samples * 1e6 / s.sample_rate_hz,
                rate_hz=1e6 / period_us,
                net_charge_wire=net,
            )
            found.append((given, period_us, codes))
        if at != len(data):
            raise wrong
        return found

    def _pulse_of(self, codes: Sequence[int]) -> tuple[int, int, int]:
        """Amplitude in codes, samples of a phase, net charge in codes times samples; of the samples as they stand."""
        zero = self._settings.zero_code
        runs: list[list[int]] = []
        for code in codes:
            if runs and runs[-1][0] == code - zero:
                runs[-1][1] += 1
            else:
                runs.append([code - zero, 1])
        if len(codes) * 1000 > self._settings.lease_ms * self._settings.sample_rate_hz:
            raise DriverError(f"a buffer of {len(codes)} samples, longer than {self._settings.lease_ms} ms")
        if len(runs) != 3 or not runs[0][0] > 0 > runs[1][0] or runs[2][0] != 0:
            raise DriverError("a buffer that is not two phases and rest at its end")
        net = sum(level * length for level, length in runs)
        return max(runs[0][0], -runs[1][0]), max(runs[0][1], runs[1][1]), net

    def _check(self, output: int, codes: Sequence[int], due: Sequence[int]) -> None:
        """Hold the very samples against what the gate has seen of the table.

        Raises
        ------
        DriverError
            If they are anything else.
        """
        if output not in due:
            if any(code != self._settings.zero_code for code in codes):
                raise DriverError(f"a buffer for output {output}, where no pulse is due")
            return
        given = self._trains[output].given
        amplitude, samples, net = self._pulse_of(codes)
        same = amplitude * self._settings.step_ma == given.current_ma
        if not same or samples * 1e6 / self._settings.sample_rate_hz != given.phase_us or net != 0:
            raise DriverError(f"a buffer for output {output} that is not the pulse it was given")

    def _code_down(self, current_ma: float) -> int:
        s = self._settings
        if not (isfinite(current_ma) and 0 <= current_ma <= s.code_max * s.step_ma * (1 + 1e-9)):
            raise DriverError(f"current_ma {current_ma} is not within 0 to {s.code_max * s.step_ma:g}")
        # A whole number of steps, computed in another order, is that number.
        code = min(floor(current_ma / s.step_ma * (1 + 1e-9)), s.code_max)
        return code if code * s.step_ma <= current_ma * (1 + 1e-9) else code - 1

    def _lapsed(self, now_ns: int) -> bool:
        if self._hold_ns is None or now_ns > self._hold_ns:
            self._trains, self._hold_ns = {}, None
        return not self._trains or not self._contact.connected

    def _rest(self) -> None:
        assert self._device is not None
        with self._contact.trying():
            self._device.zero()

    def _give_up(self, error: OSError) -> None:
        """The device did not do as it should: rest, and no more."""
        self._trains = {}
        self._contact.lose(error)
        self._rest()


def _whole(value: float, name: str, asked: float) -> int:
    if not isfinite(value) or abs(value - round(value)) > 1e-10 * max(1.0, abs(value)):
        raise DriverError(f"{name} {asked}: is no whole number of the device's steps")
    return round(value)

"""Mid level: the device repeats what it was told, by its own clock, for 2 s after it was last spoken to.

Each order is one Ml_update, which is the keep-alive too; what the outputs do is read back after each. When the device
gives its pulses is not told: they are predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from myoloop.platform.messages import ChannelSetting, Pulses
from myoloop.stimulators.driver import Capabilities, DecodedOutput, DriverError
from myoloop.stimulators.sciencemode import commands, decoder
from myoloop.stimulators.sciencemode.answers import Answer, CurrentData, result_text
from myoloop.stimulators.sciencemode.commands import DURATION_MAX_US, Command, Train
from myoloop.stimulators.sciencemode.level import Confirmed, Order
from myoloop.stimulators.sciencemode.link import Asked, Link, Purpose
from myoloop.stimulators.sciencemode.settings import PHASE_MIN_US, ScienceMode34Settings, wanted_trains

#: The device stops by itself so long after the last update or reading of its state (P24, RehaMove3).
DEVICE_LEASE_NS = 2_000_000_000
#: An answer that has not come by then is not waited for when pulses are predicted.
_ANSWER_LATEST_NS = 500_000_000
#: The device's state is asked for only so soon after an update was written.
_ASKED_WITHIN_NS = 100_000_000


class MidLevel:
    """Trains that the device times.

    Parameters
    ----------
    wiring
        The device and its channels.
    """

    name = "mid level"
    begin_command = Command.ML_INIT
    begun = frozenset((2, 3))
    due_ns: int | None = None
    waiting_since_ns: int | None = None

    def __init__(self, wiring: ScienceMode34Settings) -> None:
        self.faults: list[str] = []
        self._wiring = wiring
        self._orders: dict[int, Order] = {}
        self._newest: Order | None = None
        self._expected: dict[int, Order] = {}
        self._confirmed = Confirmed((), 0)
        self._flowed: dict[str, ChannelSetting] = {}
        self._prediction = Prediction()

    @property
    def capabilities(self) -> Capabilities:
        """The device makes the times, in steps of half or quarter milliseconds."""
        profile = self._wiring.profile
        return Capabilities(
            profile.outputs, self._wiring.current_max_ma, 0.5, float(PHASE_MIN_US), float(DURATION_MAX_US), 1.0,
            profile.rate_min_hz, profile.rate_max_hz, DEVICE_LEASE_NS / 1e6, True,
            period_step_us=float(profile.period_step_us), restarts_at_once=True,
        )  # fmt: skip

    @property
    def confirmed(self) -> Confirmed:
        """The newest order with a good answer, until a stop is confirmed."""
        return self._confirmed

    def begin(self, number: int) -> bytes:
        """Where the device can: one output failing stops them all."""
        return commands.ml_init(number, stop_all_on_error=self._wiring.profile.stop_all_on_error)

    def end(self) -> Sequence[Command | None]:
        """Zero first, which needs no switching of the high voltage."""
        return (None, Command.ML_STOP)

    def encode(self, settings: Sequence[ChannelSetting], link: Link | None) -> bytes:
        """One Ml_update; the same bytes for the same settings until something is written."""
        profile = self._wiring.profile
        trains = {}
        rate_hz = (profile.rate_min_hz, profile.rate_max_hz)
        for output, points, period_us in wanted_trains(self._wiring, settings, profile.period_step_us, rate_hz):
            trains[output] = Train(points, *profile.period_code(period_us))
        return commands.ml_update(0 if link is None else link.next_number, trains)

    def decode(self, data: bytes) -> tuple[DecodedOutput, ...]:
        """Read an Ml_update."""
        return self._read(data).outputs

    def give(self, order: Order, link: Link, now_ns: int) -> None:
        """Send the update at once: the device takes one after the other."""
        number = self._read(order.data).number
        if number in link.pending:
            raise DriverError(f"bytes with the number {number} of a command that is not answered yet: encode again")
        link.send(order.data, Asked(number, Purpose.UPDATE, Command.ML_UPDATE, now_ns))
        self._orders[number] = self._newest = order

    def pulse(self, link: Link, now_ns: int) -> None:
        """The device gives them."""

    def hear(self, asked: Asked, answer: Answer, link: Link, now_ns: int) -> None:
        """An update taken or refused, or the outputs' state."""
        if asked.purpose is Purpose.READ_BACK:
            self._hear_state(self._expected.pop(asked.number), answer)
            return
        order = self._orders.pop(asked.number)
        settings = order.settings(self._wiring)
        if answer.result:
            # All that are wired, not those that were to have current: that would tell a blinded session's arm.
            names = ", ".join(self._wiring.channels)
            self.faults.append(f"{names}: update refused: {result_text(answer.result)}")
            return
        if order.number > self._confirmed.ack_of:
            self._confirmed = Confirmed(settings, order.number)
            self._prediction.change(order.outputs, (asked.sent_ns + now_ns) // 2, asked.sent_ns)
            self._flowed |= {one.channel: one for one in settings}
        # The question keeps the device alive as an update does: after a gap it is not asked.
        lately = now_ns - order.written_ns < _ASKED_WITHIN_NS
        if not self._expected and self._newest is not None and lately:
            # The device obeys in order: its answer speaks of the newest update that was sent before the question.
            selection = self._wiring.profile.selection
            asked = link.ask(
                lambda number: commands.ml_get_current_data(number, selection), Purpose.READ_BACK,
                Command.ML_GET_CURRENT_DATA, now_ns,
            )  # fmt: skip
            self._expected[asked.number] = self._newest

    def halt(self, now_ns: int) -> None:
        """Stop bytes have gone out: answers to what was before them are not waited for."""
        self._orders.clear()
        self._expected.clear()
        self._newest = None
        self._prediction.doubt(now_ns)

    def halted(self, now_ns: int) -> None:
        """Nothing flows."""
        self._confirmed = Confirmed((), self._confirmed.ack_of if not self._confirmed.settings else 0)
        self._flowed.clear()
        self._prediction.end()

    def let_go(self) -> None:
        """No answer comes any more; what the device goes on with by itself is foretold until it is known to stand."""
        self._orders.clear()
        self._expected.clear()
        self._newest = None

    def pulses(self, link: Link | None, now_ns: int) -> tuple[Pulses, ...]:
        """Predicted up to the oldest update without answer, or to a stop that is not confirmed yet."""
        until_ns = now_ns
        if link is not None:
            sent = [one.sent_ns for one in link.pending.values() if one.purpose is Purpose.UPDATE]
            until_ns = min((t for t in sent if now_ns - t < _ANSWER_LATEST_NS), default=now_ns)
        given = self._prediction.until(until_ns)
        return tuple(
            Pulses(
                channel=self._wiring.name_of(said.output), t_ns=tuple(times), uncertainty_ns=uncertainty_ns,
                kind="predicted", current_ma=said.current_ma, phase_us=said.phase_us,
            )
            for said, times, uncertainty_ns in given
        )  # fmt: skip

    def _read(self, data: bytes) -> decoder.Update:
        s = self._wiring
        return decoder.update(
            data, outputs=s.profile.outputs, gap_us=s.interphase_us, quarter_ms=s.profile.quarter_ms
        )  # fmt: skip

    def _hear_state(self, order: Order, answer: Answer) -> None:
        if not isinstance(answer, CurrentData) or answer.result:
            self.faults.append(f"state of the outputs: {result_text(answer.result)}")
            return
        name_of = self._wiring.name_of
        wanted = {one.output for one in order.outputs}
        for output in range(self._wiring.profile.outputs):
            if output < len(answer.states) and answer.states[output]:
                self.faults.append(f"{name_of(output)}: {result_text(answer.states[output])}")
        if answer.active is not None:
            active = {output for output, on in enumerate(answer.active) if on}
        else:
            # It says only whether anything runs.
            active = (wanted or set(self._wiring.channels.values())) if answer.running else set()
        for output in sorted(active - wanted):
            self.faults.append(f"{name_of(output)}: the device stimulates where zero was commanded: pull the leads")
            still = self._flowed.get(name_of(output))
            if still is not None and still not in self._confirmed.settings:
                self._confirmed = Confirmed((*self._confirmed.settings, still), self._confirmed.ack_of)
        for output in sorted(wanted - active):
            self.faults.append(f"{name_of(output)}: the device has stopped it by itself")


@dataclass(slots=True)
class _Running:
    said: DecodedOutput
    next_ns: int


class Prediction:
    """When a device that times itself gives pulses, as far as that can be known.

    Assumed, for the makers do not say: an output that is switched on gives its first pulse at once; one whose period
    stays goes on in its rhythm, whatever else changes; a new period counts from the update. So no time is better known
    than to half a period.
    """

    def __init__(self) -> None:
        self._running: dict[int, _Running] = {}
        self._changes: list[tuple[int, int, tuple[DecodedOutput, ...]]] = []
        self._lease_end_ns = 0
        self._end_ns: int | None = None

    def change(self, outputs: Sequence[DecodedOutput], t_ns: int, heard_ns: int) -> None:
        """The device has taken an update, about at `t_ns`; it has heard the host at `heard_ns` or later."""
        self._changes.append((t_ns, heard_ns + DEVICE_LEASE_NS, tuple(outputs)))
        self._end_ns = None

    def doubt(self, now_ns: int) -> None:
        """Stop bytes have gone out."""
        if self._end_ns is None:
            self._end_ns = now_ns

    def end(self) -> None:
        """The device has stopped: it did when it was told first."""
        self._changes.append((0 if self._end_ns is None else self._end_ns, 0, ()))

    def until(self, until_ns: int) -> list[tuple[DecodedOutput, list[int], int]]:
        """What is given until then that was not told yet: settings, times, uncertainty.

        No later than a stop that may yet be confirmed, and than the end of the device's own lease.
        """
        given: list[tuple[DecodedOutput, list[int], int]] = []
        for t_ns, lease_end_ns, outputs in self._changes:
            given += self._advance(min(t_ns, self._lease_end_ns))
            self._lease_end_ns = lease_end_ns
            running = {}
            for said in outputs:
                before = self._running.get(said.output)
                next_ns = t_ns
                # One whose next pulse is in the past has stood still since the device's lease was over.
                if before is not None and before.said.rate_hz == said.rate_hz:
                    next_ns = max(t_ns, before.next_ns)
                running[said.output] = _Running(said, next_ns)
            self._running = running
        self._changes.clear()
        if self._end_ns is not None and until_ns - self._end_ns < _ANSWER_LATEST_NS:
            until_ns = min(until_ns, self._end_ns)
        return given + self._advance(min(until_ns, self._lease_end_ns))

    def _advance(self, until_ns: int) -> list[tuple[DecodedOutput, list[int], int]]:
        given = []
        for one in self._running.values():
            period_ns = round(1e9 / one.said.rate_hz)
            times = list(range(one.next_ns, until_ns, period_ns))
            if times:
                one.next_ns = times[-1] + period_ns
                given.append((one.said, times, period_ns // 2))
        return given

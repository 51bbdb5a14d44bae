"""The stimulator's process: the only owner of the driver.

Everything it decides, the gate decides; this shell hands bytes to the device, stop bytes before anything else, and
keeps the person's dose ledger.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from myoloop import __version__
from myoloop.platform.bus import Bus
from myoloop.platform.clock import MonotonicClock, boottime_ns
from myoloop.platform.messages import ChannelSetting, ClockSample, DeviceReport, Pulses
from myoloop.platform.node import Configuration, Heard, NodeFault
from myoloop.platform.sealed import SealedError
from myoloop.platform.stepping import BusStepping, start_record
from myoloop.platform.steps import Outgoing
from myoloop.stimulators import gate
from myoloop.stimulators.assignment import Blinding, blinding_of
from myoloop.stimulators.dose_ledger import Ledger
from myoloop.stimulators.driver import Driver, DriverError, PulseByPulse
from myoloop.stimulators.hearing import REMEMBERED, VitalSource
from myoloop.stimulators.registry import make_driver
from myoloop.stimulators.sealing import SealedWords
from myoloop.stimulators.stimulator import Stimulator, StimulatorSettings, settings_json

#: What the device says is recorded when it changes, and at least this often.
DEVICE_REPORT_NS = 100_000_000
CLOCK_SAMPLE_NS = 100_000_000
#: At a session's end the device has so long to answer that it has stopped: a P24 takes 330 ms; the host may be busy.
STOPPED_WITHIN_NS = 1_000_000_000
_LOOK_S = 0.005
#: What is said of a blinded session where numbers would tell the arm.
WRONG_BYTES = "bytes do not say what was allowed"
NOT_STOPPED = "the device has not answered that it has stopped: pull the leads"
REFUSED_BYTES = "the driver does not take what was allowed"


class StimulatorBody:
    """Work of role ``stimulator``."""

    role = "stimulator"
    cycle_ns = 10_000_000
    wakes = frozenset({"request"})
    files: tuple[int, ...] = ()

    def configure(self, given: Configuration, bus: Bus) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Open the driver, read the ledger, build the gate.

        Raises
        ------
        NodeFault
            If there is no such device, the ledger cannot be believed or is held by another session, or the arm of a
            blinded session cannot be found.
        """
        settings = given.settings
        self._bus = bus
        try:
            self._driver: Driver = make_driver(settings["driver"], settings["driver_settings"], settings["outputs"])
            identity = self._driver.open()
        except DriverError as error:
            raise NodeFault(str(error)) from None
        try:
            blinding = blinding_of(settings)
            seal = None if blinding is None else blinding.dose
            self._ledger = Ledger.open(settings["ledger"], settings["subject"], settings["dose_session"], seal)
            with self._ledger.let_go_if_refused():
                self._stimulator = make_stimulator(settings, self._driver, self._ledger.prior, blinding)
        except SealedError as error:
            raise NodeFault(str(error)) from None
        self._words = Words(self._stimulator)
        self._stepping = BusStepping(self._stimulator, bus)
        self._handover = Handover(self._driver, self._stimulator, blinded=self._stimulator.seals is not None)
        self._clock_ns = 0
        bus.open_stop()
        return self._stimulator.subscriptions, {"identity": identity}

    def begin(self, now_ns: int) -> None:
        """Write down what the gate starts from."""
        settings = settings_json(self._stimulator.settings)
        self._bus.publish(start_record(self._stimulator, "stimulator", settings, {"myoloop": __version__}))

    def idle(self, now_ns: int) -> None:
        """Nothing to do before the beginning."""

    def turn(self, heard: Heard, now_ns: int) -> None:
        """Stop first; then let the gate decide on everything that has come, and do what it says."""
        if heard.stops:
            self._driver.stop(now_ns)
        for stop in heard.stops:
            self._stepping.receive(self._bus.own(Outgoing("stop", stop)))
        report, pulses = self._handover.poll(now_ns)
        if report is not None:
            self._stepping.receive(self._bus.own(self._words.device(report, now_ns)))
        if now_ns - self._clock_ns >= CLOCK_SAMPLE_NS:
            self._clock_ns = now_ns
            self._stepping.receive(self._bus.own(Outgoing("clock", clock_sample(now_ns))))
        self._stepping.take(heard)
        self._stepping.step(now_ns, heard.not_alive)
        self._handover.obey(now_ns)
        for each in self._words.pulses(pulses, now_ns):
            self._bus.publish(each)
        stimulator = self._stimulator
        self._ledger.keep(stimulator.shown_state.dose, now_ns, force=bool(heard.stops), real=stimulator.gate_state.dose)

    @property
    def due_ns(self) -> int | None:
        """When the next pulse is due that the host has to make; None where there is none."""
        driver = getattr(self, "_driver", None)
        return driver.due_ns if isinstance(driver, PulseByPulse) else None

    def punctual(self, now_ns: int) -> None:
        """Give the pulses that are due."""
        driver = self._driver
        if isinstance(driver, PulseByPulse):
            driver.pulse(now_ns)

    def end(self, outcome: str, reason: str, now_ns: int) -> None:
        """Stop the device whatever has happened, and book the dose.

        Raises
        ------
        NodeFault
            If the device or the ledger could not be left as it should be; everything else has been done then.
        """
        driver = getattr(self, "_driver", None)
        if driver is None:
            return
        # In reverse: each is done whatever becomes of those before it.
        with _clear_faults(), contextlib.ExitStack() as then:
            stimulator = getattr(self, "_stimulator", None)
            if stimulator is not None:
                then.callback(self._ledger.close, stimulator.shown_state.dose, now_ns, stimulator.gate_state.dose)
            then.callback(driver.close)
            then.push(self._see_it_stop)
            for _ in range(3):
                then.callback(driver.stop, now_ns)

    def _see_it_stop(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait until the device has answered that it gives nothing.

        Parameters
        ----------
        kind
            Of what has gone wrong before; that is told then, and nothing of this.

        Raises
        ------
        NodeFault
            If it does not.
        """
        handover = getattr(self, "_handover", None)
        if handover is None:
            return
        clock = MonotonicClock()
        until_ns = clock.now_ns() + STOPPED_WITHIN_NS
        problem = self._look_whether_stopped(handover, clock.now_ns())
        # Of a blinded session always as long: how soon a device answers would tell the arm.
        while (problem or handover.blinded) and clock.now_ns() < until_ns:
            time.sleep(_LOOK_S)
            problem = self._look_whether_stopped(handover, clock.now_ns())
        if problem and kind is None:
            raise NodeFault(problem)

    def _look_whether_stopped(self, handover: Handover, now_ns: int) -> str:
        """What speaks against it; the last pulses, of which the device tells only now, are recorded too."""
        problem, pulses = handover.not_stopped(now_ns)
        for each in self._words.pulses(pulses, now_ns):
            self._bus.publish(each)
        return problem

    def counters(self) -> dict[str, float]:
        """Current on all channels now, in mA; of a blinded session what is shown."""
        stimulator = getattr(self, "_stimulator", None)
        output = stimulator.shown_state.output if stimulator is not None else ()
        return {"current_ma": sum(setting.current_ma for setting in output)}


@contextlib.contextmanager
def _clear_faults() -> Iterator[None]:
    try:
        yield
    except DriverError as error:
        raise NodeFault(str(error)) from None


class Handover:
    """What is between the gate's order and the driver: encode, read again, write; poll.

    The same in a node and in lockstep.

    Parameters
    ----------
    driver
        An open driver.
    stimulator
        Whose orders are carried out.
    blinded
        Whether no number and no moment of what is said may tell the arm.
    """

    def __init__(self, driver: Driver, stimulator: Stimulator, *, blinded: bool = False) -> None:
        self.blinded = blinded
        self._driver = driver
        self._stimulator = stimulator
        self._fault = ""
        self._fault_told = False
        self._said: DeviceReport | None = None
        self._orders: dict[int, int] = {}
        self._ordered = 0

    def poll(self, now_ns: int) -> tuple[DeviceReport | None, tuple[Pulses, ...]]:
        """What the device has said, if it is worth recording, and the pulses known since."""
        report, pulses = self._driver.poll(now_ns)
        # The driver numbers everything it sends, stops too; the gate knows its own orders only.
        report = msgspec.structs.replace(report, ack_of=self._orders.get(report.ack_of, 0), sent=self._ordered)
        if self._fault and self._fault_told and self._over(report):
            self._fault = ""
        if self._fault:
            self._fault_told = True
            report = msgspec.structs.replace(report, faults=(*report.faults, self._fault))
        said = self._said
        if (
            # What changes when is told by when it is said: of a blinded session it is said always.
            not self.blinded
            and said is not None
            and msgspec.structs.replace(said, t_ns=report.t_ns) == report
            and now_ns - said.t_ns < DEVICE_REPORT_NS
        ):
            return None, pulses
        self._said = report
        return report, pulses

    def not_stopped(self, now_ns: int) -> tuple[str, tuple[Pulses, ...]]:
        """What speaks against it that the device has stopped, after a stop, empty where nothing does; pulses since."""
        report, pulses = self._driver.poll(now_ns)
        # The stop, or current that was asked for just before it, may be unanswered yet.
        waits = report.connected and report.oldest_unacknowledged_ns is not None
        if not waits and not any(setting.current_ma > 0 for setting in report.acknowledged):
            return "", pulses
        said = "" if self.blinded or not report.faults else f" ({'; '.join(report.faults)})"
        return f"{NOT_STOPPED}{said}", pulses

    def obey(self, now_ns: int) -> None:
        """Carry out the gate's newest order. Bytes that do not say what was allowed are not written: all stops."""
        order = self._stimulator.order
        if order.stop:
            self._driver.stop(now_ns)
        if not order.write:
            return
        self._ordered += 1
        try:
            data = self._driver.encode(order.settings)
            wrong = self._disagreement(data, order.settings, order.calibrating)
            if wrong:
                self._fail(WRONG_BYTES if self.blinded else wrong, now_ns)
            else:
                self._orders[self._driver.write(data, now_ns)] = self._ordered
                self._orders.pop(next(iter(self._orders)), None) if len(self._orders) > REMEMBERED else None
        except DriverError as error:
            self._fail(REFUSED_BYTES if self.blinded else str(error), now_ns)

    def _fail(self, what: str, now_ns: int) -> None:
        self._driver.stop(now_ns)
        self._fault, self._fault_told = what, False

    def _over(self, report: DeviceReport) -> bool:
        """Whether the cause of a fault is gone.

        The device has answered to the stop that it gives nothing, all it was sent is answered, it complains of nothing,
        and bytes for zero can be made and say zero. The gate has latched by then, and writes nothing until an operator
        has acknowledged that; what fails again is a fault again.
        """
        if not report.connected or report.faults or report.oldest_unacknowledged_ns is not None:
            return False
        if any(setting.current_ma > 0 for setting in report.acknowledged):
            return False
        try:
            return not self._driver.decode(self._driver.encode(()))
        except DriverError:
            return False

    def _disagreement(self, data: bytes, settings: Sequence[ChannelSetting], calibrating: bool) -> str:
        decoded = [
            gate.WireOutput(each.output, each.current_ma, each.phase_us, each.rate_hz, each.net_charge_wire)
            for each in self._driver.decode(data)
        ]
        allowed = [gate.Setting(s.channel, s.current_ma, s.phase_us, s.rate_hz) for s in settings]
        state = self._stimulator.gate_state
        return gate.disagreement(allowed, decoded, state.envelope, self._stimulator.device_limits, calibrating)


class Words:
    """What device and driver say, as messages: open, or sealed where the session is blinded.

    Parameters
    ----------
    stimulator
        Whose session it is.
    """

    def __init__(self, stimulator: Stimulator) -> None:
        self._sealed = None if stimulator.seals is None else SealedWords(stimulator.seals)

    def device(self, report: DeviceReport, now_ns: int) -> Outgoing:
        """What the device said."""
        return Outgoing("device", report) if self._sealed is None else self._sealed.device(report, now_ns)

    def pulses(self, pulses: Sequence[Pulses], now_ns: int) -> list[Outgoing]:
        """The pulses known since."""
        if self._sealed is not None:
            return self._sealed.pulses(pulses, now_ns)
        return [Outgoing("pulse", each) for each in pulses]


def make_stimulator(
    settings: Mapping[str, Any], driver: Driver, prior: gate.PriorDose, blinding: Blinding | None
) -> Stimulator:
    """Build the gate; of a blinded session with the arm it has found.

    Raises
    ------
    SealedError
        If the arm cannot be found.
    NodeFault
        If the ledger cannot be believed.
    """
    made = stimulator_settings_of(settings, driver, prior)
    if blinding is None:
        return Stimulator(made)
    return Stimulator(replace(made, blinded=blinding.assign(Path(settings["ledger"]))), blinding.key)


def clock_sample(now_ns: int) -> ClockSample:
    """Stamps of this host's clocks. The wall time is for people; nothing is reckoned with it."""
    return ClockSample(t_ns=now_ns, wall_ns=time.time_ns(), boottime_ns=now_ns + boottime_ns() - time.monotonic_ns())


def stimulator_settings_of(settings: Mapping[str, Any], driver: Driver, prior: gate.PriorDose) -> StimulatorSettings:
    """Build the gate's settings from a node's and the device's capabilities."""
    can = driver.capabilities
    return StimulatorSettings(
        session=settings["session"],
        subject=settings["subject"],
        rig_class=settings["rig_class"],
        watched=tuple(settings["watched"]),
        vitals=tuple(VitalSource(v["topic"], v["rate_hz"], tuple(v["channels"])) for v in settings["vitals"]),
        outputs=can.outputs,
        current_max_ma=can.current_max_ma,
        current_step_ma=can.current_step_ma,
        phase_us=(can.phase_min_us, can.phase_max_us),
        rate_hz=(can.rate_min_hz, can.rate_max_hz),
        period_step_us=can.period_step_us,
        restarts_at_once=can.restarts_at_once,
        prior_day_charge_mc=prior.day_charge_mc,
        prior_course_charge_mc=prior.course_charge_mc,
        prior_session=(prior.session.charge_mc, prior.session.on_s, prior.session.pulses),
    )

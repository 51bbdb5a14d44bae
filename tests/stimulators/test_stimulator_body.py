"""The stimulator's process: stop bytes before anything else, and an end that leaves nothing undone."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from myoloop.platform import wire
from myoloop.platform.bus import Asked
from myoloop.platform.messages import (
    Answer,
    ChannelSetting,
    Command,
    DeviceReport,
    Heartbeat,
    Phase,
    Pulses,
    StimReport,
    StimRequest,
    Stop,
    Vital,
)
from myoloop.platform.node import Configuration, Heard, NodeFault
from myoloop.platform.steps import Outgoing, Received
from myoloop.platform.supervisor import STIMULATOR_END_S
from myoloop.stimulators import gate, serial_port
from myoloop.stimulators import node as stimulator_node
from myoloop.stimulators.dose_ledger import Ledger, is_held
from myoloop.stimulators.driver import Capabilities, DecodedOutput, DriverError
from myoloop.stimulators.node import StimulatorBody

MS = 1_000_000
PEERS = {"controller": "controller", "amp": "acquisition", "recorder": "recorder", "director": "director",
         "supervisor": "supervisor"}  # fmt: skip
ENVELOPE = gate.Envelope(
    session="s1", subject="P001", waveform_class="nmes",
    channels=(gate.ChannelLimits("left", 0, 25.0, 40.0),),
    phase_us=(100.0, 400.0), rate_hz=(2.0, 80.0), charge_per_phase_uc=12.0, rms_ma=10.0, rms_density_ma_cm2=1.0,
    power_density_w_cm2=0.1, channels_max=1, on_s_max=6.0, duty_max=0.4, session_on_s_max=400.0,
    session_charge_mc_max=1000.0, day_charge_mc_max=2000.0, course_charge_mc_max=20000.0, step_ma=1.0,
    new_ground_ma_per_s=20.0, known_ground_ramp_s_min=0.1, current_ma_calibrating=60.0,
    required_vitals=("vital/amp",), sensor_age_ms=100.0, ramp_down_s=0.5,
)  # fmt: skip


class Device:
    """A driver that writes down what is done with it, and acknowledges at once."""

    capabilities = Capabilities(2, 100.0, 0.5, 20.0, 1000.0, 1.0, 1.0, 200.0, 200.0, False)

    def __init__(self, done: list[str]) -> None:
        self.done = done
        self.said = DeviceReport(t_ns=0, connected=True, identity="fake")
        self.number = 0
        self.broken: dict[str, Exception] = {}
        #: It answers a stop only when it has been asked so often.
        self.stops_after_polls = 0
        self.pulses: tuple[Pulses, ...] = ()

    def _do(self, what: str) -> None:
        self.done.append(what)
        if what in self.broken:
            raise self.broken[what]

    def open(self) -> str:
        self._do("open")
        return "fake"

    def encode(self, settings) -> bytes:
        return msgspec.json.encode([each for each in settings if each.current_ma > 0])

    def decode(self, data: bytes) -> tuple[DecodedOutput, ...]:
        said = msgspec.json.decode(data, type=list[ChannelSetting])
        return tuple(DecodedOutput(0, s.current_ma, s.phase_us, s.rate_hz, 0) for s in said)

    def write(self, data: bytes, now_ns: int) -> int:
        self._do("write")
        self.number += 1
        acknowledged = tuple(msgspec.json.decode(data, type=list[ChannelSetting]))
        self.said = msgspec.structs.replace(self.said, ack_of=self.number, acknowledged=acknowledged)
        return self.number

    def stop(self, now_ns: int) -> None:
        self._do("stop")
        if self.stops_after_polls == 0:
            self.said = msgspec.structs.replace(self.said, acknowledged=())

    def poll(self, now_ns: int):
        if self.stops_after_polls and "stop" in self.done:
            self.stops_after_polls -= 1
            if self.stops_after_polls == 0:
                self.said = msgspec.structs.replace(self.said, acknowledged=())
        pulses, self.pulses = self.pulses, ()
        return msgspec.structs.replace(self.said, t_ns=now_ns), pulses

    def close(self) -> None:
        self._do("close")


class Roads:
    """A bus that writes down, in the same list as the device, what goes out."""

    node, session, epoch = "stimulator", "s1", 1

    def __init__(self, done: list[str]) -> None:
        self.done = done
        self.said: list[Outgoing] = []
        self.answers: list[Answer] = []

    def open_stop(self) -> None:
        self.done.append("open stop")

    def publish(self, outgoing: Outgoing) -> list[bytes]:
        self.done.append(f"say {outgoing.topic}")
        self.said.append(outgoing)
        return wire.encode(
            outgoing.topic, outgoing.message, session="s1", publisher="stimulator", epoch=1, seq=len(self.said)
        )

    def own(self, outgoing: Outgoing) -> Received:
        return wire.decode(self.publish(outgoing))[1]

    def answer(self, route: bytes, answer: Answer) -> None:
        self.answers.append(answer)


class Rig:
    """A stimulator node among peers that are all well."""

    def __init__(self, folder: Path, monkeypatch, ledger: str = "") -> None:
        self.done: list[str] = []
        self.device, self.roads, self.body = Device(self.done), Roads(self.done), StimulatorBody()
        self.ledger = folder / "dose.jsonl"
        self.ledger.write_text(ledger)
        monkeypatch.setattr(stimulator_node, "make_driver", lambda *_: self.device)
        self.now_ns = 5_000 * MS
        self.seq = 0

    def configure(self, **more: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
        settings = {
            "driver": "fake", "driver_settings": {}, "outputs": {"left": 0}, "ledger": str(self.ledger),
            "subject": "P001", "session": "s1", "dose_session": "ses-02", "rig_class": "SIM", "watched": list(PEERS),
            "vitals": [{"topic": "vital/amp", "rate_hz": 2000.0, "channels": [0]}], **more,
        }  # fmt: skip
        return self.body.configure(Configuration("stimulator", dict(PEERS), settings), self.roads)

    def received(self, topic: str, publisher: str, message) -> Received:
        self.seq += 1
        frames = wire.encode(topic, message, session="s1", publisher=publisher, epoch=1, seq=self.seq)
        return wire.decode(frames)[1]

    def turn(self, *more: Received, asked: tuple[Asked, ...] = (), stops: tuple[Stop, ...] = ()) -> StimReport:
        self.now_ns += 10 * MS
        t_ns = self.now_ns
        beats = [
            Heartbeat(t_ns=t_ns, node=name, role=role, state="running", cycle_ms=0, cycle_mean_ms=0, cycle_worst_ms=0)
            for name, role in PEERS.items()
        ]
        vital = Vital(topic="emg/amp", samples_seq=1, t_ns=t_ns, rate_hz=2000.0, valid_share=(1.0,), flags=("",))
        world = [self.received(f"heartbeat/{each.node}", each.node, each) for each in beats]
        world.append(self.received("vital/amp", "amp", vital))
        world.append(self.received("phase", "director", Phase(t_ns=t_ns, session="s1", state="running")))
        self.body.turn(Heard([*world, *more], list(asked), [], list(stops), {}), t_ns)
        return next(each.message for each in reversed(self.roads.said) if each.topic == "report")

    def command(self, kind: str, role: str = "operator", **arguments: Any) -> Answer:
        act = Command(
            t_ns=self.now_ns, id=f"id{self.seq}", kind=kind, target="stimulator", arguments=arguments, role=role,
            nonce=f"n{self.seq}",
        )  # fmt: skip
        self.turn(asked=(Asked(self.received("command", role, act), b"way back"),))
        assert self.roads.answers[-1].id == act.id
        return self.roads.answers[-1]

    def request(self, current_ma: float) -> StimReport:
        channel = ChannelSetting(channel="left", current_ma=current_ma, phase_us=300.0, rate_hz=40.0)
        wish = StimRequest(step=1, t_ns=self.now_ns + 8 * MS, arm_id=self.arm_id, lease_ms=100, channels=(channel,))
        return self.turn(self.received("request", "controller", wish))

    def to_current(self) -> Rig:
        """Configured, begun, armed, and 4 mA flow."""
        self.configure()
        self.body.begin(self.now_ns)
        self.turn()
        assert self.command("set_envelope", "director", **asdict(ENVELOPE)).ok
        assert self.command("confirm", envelope_sha256=ENVELOPE.sha256).ok
        armed = self.command("arm", mode="normal", session="s1", envelope_sha256=ENVELOPE.sha256)
        assert armed.ok, armed.reason
        self.arm_id = armed.values["arm_id"]
        self.request(0.0)
        for _ in range(40):
            report = self.request(4.0)
        assert (report.state, report.acknowledged[0].current_ma) == ("STIMULATING", 4.0)
        self.done.clear()
        return self

    def booked(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.ledger.read_text().splitlines()]

    def dose(self) -> gate.DoseTotals:
        """What the last report says has been given."""
        report = next(each.message for each in reversed(self.roads.said) if each.topic == "report")
        return report.dose


@pytest.fixture
def rig(tmp_path, monkeypatch):
    made = Rig(tmp_path, monkeypatch)
    yield made
    made.device.broken.clear()
    made.body.end("stopped", "the test is over", made.now_ns)


STOP = Stop(t_ns=1, who="pedal", why="it hurts")


class TestBringingUp:
    def test_the_device_is_opened_and_the_ledger_held_before_anything_is_heard(self, rig):
        topics, values = rig.configure()
        assert rig.done == ["open", "open stop"]
        assert is_held(rig.ledger)
        assert values == {"identity": "fake"}
        assert {"request", "phase", "vital/amp", "heartbeat/controller"} <= set(topics)

    def test_what_it_starts_from_is_written_down(self, tmp_path, monkeypatch):
        line = gate.ledger_line("P001", "ses-02", 1, gate.DoseTotals(1.5, 2.5, 3.0))
        rig = Rig(tmp_path, monkeypatch, ledger=line)
        rig.configure()
        rig.body.begin(rig.now_ns)
        (start,) = [each.message for each in rig.roads.said if each.topic == "start/stimulator"]
        settings = json.loads(start.settings)
        # So that a replay needs no ledger and no clock.
        assert settings["prior_session"] == [1.5, 2.5, 3.0]
        assert rig.turn().dose.session_on_s == 2.5
        rig.body.end("complete", "", rig.now_ns)
        assert len(rig.booked()) == 1

    def test_a_device_that_is_not_there_is_a_fault_in_a_line(self, rig):
        rig.device.broken["open"] = DriverError("no such port")
        with pytest.raises(NodeFault, match=r"^no such port$"):
            rig.configure()

    @pytest.mark.parametrize("why", ["line 1: found", "held by another session of this person"])
    def test_a_ledger_that_cannot_be_had_arms_nobody_and_the_device_is_stopped(self, rig, why):
        other = None
        if why.startswith("held"):
            other = Ledger.open(rig.ledger, "P001", "ses-01")
        else:
            rig.ledger.write_text("not a ledger\n")
        with pytest.raises(NodeFault, match=why):
            rig.configure()
        rig.body.end("fault", "", rig.now_ns)
        assert rig.done == ["open", "stop", "stop", "stop", "close"]
        if other is not None:
            other.close(gate.DoseTotals(), 0)


class TestStop:
    def test_the_device_is_stopped_before_the_step_and_before_anything_is_said(self, rig):
        rig.to_current()
        report = rig.turn(stops=(STOP,))
        assert rig.done[0] == "stop"
        assert rig.done.index("say stop") < rig.done.index("say step/stimulator") < rig.done.index("say report")
        assert (report.state, report.allowed) == ("STOPPED", ())
        assert "it hurts" in report.latched

    def test_it_stops_also_where_the_step_fails(self, rig, monkeypatch):
        rig.to_current()
        monkeypatch.setattr(gate, "step", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            rig.turn(stops=(STOP,))
        assert rig.done[0] == "stop"

    def test_every_stop_is_recorded_and_consumed_by_the_step(self, rig):
        rig.to_current()
        rig.turn(stops=(STOP, msgspec.structs.replace(STOP, who="keyboard")))
        stops = [each.message.who for each in rig.roads.said if each.topic == "stop"]
        (step,) = [each.message for each in rig.roads.said if each.topic == "step/stimulator"][-1:]
        assert stops == ["pedal", "keyboard"]
        assert sum(reference[0] == "stop" for reference in step.inputs) == 2

    def test_the_dose_is_booked_at_once(self, rig, eventually):
        rig.to_current()
        rig.turn(stops=(STOP,))
        given_s = rig.dose().session_on_s
        assert given_s > 0.3
        # Less than a second after the line before.
        eventually(lambda: [entry["on_s"] for entry in rig.booked()][-1:] == [given_s], "the line")

    def test_the_device_hears_it_again_in_the_cycles_after(self, rig):
        rig.to_current()
        rig.turn(stops=(STOP,))
        rig.done.clear()
        rig.turn()
        assert "stop" in rig.done

    def test_without_one_the_device_is_not_stopped(self, rig):
        rig.to_current()
        rig.request(4.0)
        assert "stop" not in rig.done


class TestDose:
    def test_it_is_booked_every_second_while_current_flows(self, rig, eventually):
        rig.to_current()
        for _ in range(210):
            rig.request(4.0)
        eventually(lambda: len(rig.booked()) >= 2)
        on_s = [entry["on_s"] for entry in rig.booked()]
        assert on_s == sorted(on_s)
        assert {entry["session"] for entry in rig.booked()} == {"ses-02"}

    def test_a_ledger_that_cannot_be_written_ends_the_node(self, rig, eventually):
        rig.to_current()
        rig.ledger.unlink()
        rig.turn(stops=(STOP,))

        def fault() -> str:
            try:
                rig.turn()
            except NodeFault as told:
                return str(told)
            return ""

        assert "dose.jsonl: cannot be written: No such file" in eventually(fault)
        rig.ledger.write_text("")
        with pytest.raises(NodeFault):
            rig.body.end("fault", "", rig.now_ns)
        assert rig.done[-4:] == ["stop", "stop", "stop", "close"]


class TestEnd:
    def test_the_device_is_stopped_three_times_closed_and_the_dose_is_on_the_disk(self, rig, monkeypatch):
        synced = []
        fsync = os.fsync
        monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_size), fsync(fd)))
        rig.to_current()
        rig.body.end("complete", "", rig.now_ns)
        assert rig.done == ["stop", "stop", "stop", "close"]
        assert rig.booked()[-1]["on_s"] == rig.dose().session_on_s > 0
        assert synced[-1] == rig.ledger.stat().st_size
        assert not is_held(rig.ledger)

    @pytest.mark.parametrize("what", ["stop", "close"])
    @pytest.mark.parametrize(
        ("error", "raised"), [(DriverError("the port is gone"), NodeFault), (OSError("gone"), OSError)]
    )
    def test_whatever_raises_everything_else_is_done(self, rig, what, error, raised):
        rig.to_current()
        rig.device.broken[what] = error
        with pytest.raises(raised, match="gone"):
            rig.body.end("fault", "", rig.now_ns)
        assert rig.done == ["stop", "stop", "stop", "close"]
        assert rig.booked()[-1]["on_s"] == rig.dose().session_on_s > 0
        assert not is_held(rig.ledger)

    def test_a_device_that_answers_late_that_it_has_stopped_is_waited_for(self, rig):
        rig.to_current()
        rig.device.stops_after_polls = 20
        rig.body.end("complete", "", rig.now_ns)
        assert rig.device.stops_after_polls == 0
        assert rig.done == ["stop", "stop", "stop", "close"]

    def test_pulses_of_which_the_device_tells_only_as_it_stops_are_recorded(self, rig):
        rig.to_current()
        rig.device.stops_after_polls = 3
        last = Pulses(channel="left", t_ns=(7,), uncertainty_ns=1, kind="acknowledged", current_ma=4.0, phase_us=300.0)
        rig.device.pulses = (last,)
        rig.body.end("fault", "", rig.now_ns)
        assert [each.message for each in rig.roads.said if each.topic == "pulse"] == [last]
        assert rig.done == ["stop", "stop", "stop", "say pulse", "close"]

    def test_a_device_that_never_answers_that_it_has_stopped_is_a_fault_that_says_what_to_do(self, rig):
        rig.to_current()
        rig.device.stops_after_polls = 1_000_000
        rig.device.said = msgspec.structs.replace(rig.device.said, faults=("it goes on",))
        with pytest.raises(NodeFault, match=r"has not answered that it has stopped: pull the leads \(it goes on\)"):
            rig.body.end("complete", "", rig.now_ns)
        # All the rest is done all the same.
        assert rig.done == ["stop", "stop", "stop", "close"]
        assert not is_held(rig.ledger)
        rig.device.stops_after_polls = 1

    def test_the_supervisor_leaves_it_time_to_wait_empty_the_port_and_book_the_dose(self):
        own_s = stimulator_node.STOPPED_WITHIN_NS * 1e-9 + serial_port._CLOSE_S
        assert own_s + 0.5 <= STIMULATOR_END_S

    def test_a_device_that_answers_nothing_at_all_has_not_said_that_it_stopped(self, rig):
        rig.to_current()
        rig.device.said = msgspec.structs.replace(rig.device.said, oldest_unacknowledged_ns=1)
        with pytest.raises(NodeFault, match="has not answered that it has stopped: pull the leads"):
            rig.body.end("complete", "", rig.now_ns)
        assert rig.device.said.acknowledged == ()
        rig.device.said = msgspec.structs.replace(rig.device.said, oldest_unacknowledged_ns=None)

    def test_of_a_port_that_is_lost_nothing_is_waited_for_where_nothing_flowed(self, rig):
        rig.to_current()
        rig.device.said = msgspec.structs.replace(rig.device.said, connected=False, oldest_unacknowledged_ns=1)
        rig.body.end("fault", "device lost", rig.now_ns)
        assert rig.done == ["stop", "stop", "stop", "close"]

    def test_a_node_that_was_never_configured_has_nothing_to_leave(self):
        StimulatorBody().end("aborted", "", 0)

    def test_its_heartbeat_says_the_current(self, rig):
        assert rig.body.counters() == {"current_ma": 0}
        rig.to_current()
        assert rig.body.counters() == {"current_ma": 4.0}

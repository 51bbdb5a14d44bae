"""Between the gate's order and the device: bytes read again, and a dose ledger that can be believed or stops all."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from myoloop.platform.messages import ChannelSetting, DeviceReport
from myoloop.platform.node import NodeFault
from myoloop.stimulators import gate
from myoloop.stimulators.driver import Capabilities, DecodedOutput, DriverError
from myoloop.stimulators.node import DEVICE_REPORT_NS, LEDGER_NS, Handover, Ledger
from myoloop.stimulators.stimulator import DeviceOrder

MS = 1_000_000
CAN = Capabilities(2, 100.0, 0.5, 20.0, 1000.0, 1.0, 1.0, 200.0, 200.0, False)
DEVICE = gate.DeviceLimits(2, 100.0, 0.5, (20.0, 1000.0), (1.0, 200.0))
ENVELOPE = gate.Envelope(
    session="s1", subject="P001", waveform_class="nmes",
    channels=(gate.ChannelLimits("left", 0, 25.0, 40.0), gate.ChannelLimits("right", 1, 25.0, 30.0)),
    phase_us=(100.0, 400.0), rate_hz=(2.0, 80.0), charge_per_phase_uc=12.0, rms_ma=10.0, rms_density_ma_cm2=1.0,
    power_density_w_cm2=0.1, channels_max=2, on_s_max=6.0, duty_max=0.4, session_on_s_max=400.0,
    session_charge_mc_max=1000.0, day_charge_mc_max=2000.0, course_charge_mc_max=20000.0, step_ma=1.0,
    new_ground_ma_per_s=5.0, known_ground_ramp_s_min=0.1, current_ma_calibrating=60.0,
    required_vitals=("vital/emg",), sensor_age_ms=100.0, ramp_down_s=0.5,
)  # fmt: skip


def setting(current_ma: float, channel: str = "left", phase_us: float = 300.0, rate_hz: float = 40.0) -> ChannelSetting:
    return ChannelSetting(channel=channel, current_ma=current_ma, phase_us=phase_us, rate_hz=rate_hz)


@dataclass
class Gate:
    """What a handover needs of the stimulator: an order, and the envelope it was made under."""

    order: DeviceOrder = field(default_factory=DeviceOrder)
    gate_state: gate.GateState = field(default_factory=lambda: gate.GateState(envelope=ENVELOPE))
    device_limits: gate.DeviceLimits = DEVICE


class Device:
    """A driver whose bytes are JSON; a fault may change what is encoded, or what happens when it is written."""

    capabilities = CAN
    outputs = {"left": 0, "right": 1}  # noqa: RUF012

    def __init__(self) -> None:
        self.done: list[str] = []
        self.written: list[bytes] = []
        self.spoil: Callable[[list[dict]], list[dict]] = lambda said: said
        self.on_write: Callable[[], None] = lambda: None
        self.on_encode: Callable[[], None] = lambda: None
        self.said = DeviceReport(t_ns=0, connected=True, identity="fake")

    def open(self) -> str:
        return "fake"

    def encode(self, settings: Sequence[ChannelSetting]) -> bytes:
        self.on_encode()
        said = [
            {"output": self.outputs[s.channel], "ma": s.current_ma, "us": s.phase_us, "hz": s.rate_hz, "net": 0}
            for s in settings
            if s.current_ma > 0
        ]
        return json.dumps(self.spoil(said)).encode()

    def decode(self, data: bytes) -> tuple[DecodedOutput, ...]:
        return tuple(DecodedOutput(s["output"], s["ma"], s["us"], s["hz"], s["net"]) for s in json.loads(data))

    def write(self, data: bytes, now_ns: int) -> int:
        self.on_write()
        self.done.append("write")
        self.written.append(data)
        # Numbers of its own, far from the gate's.
        return 1000 + 7 * len(self.written)

    def stop(self, now_ns: int) -> None:
        self.done.append("stop")

    def poll(self, now_ns: int):
        return replace_report(self.said, t_ns=now_ns), ()

    def close(self) -> None:
        self.done.append("close")


def replace_report(report: DeviceReport, **changes) -> DeviceReport:
    import msgspec

    return msgspec.structs.replace(report, **changes)


@pytest.fixture
def bench():
    driver, stimulator = Device(), Gate()
    return driver, stimulator, Handover(driver, stimulator)


def order(handover, stimulator, *settings: ChannelSetting, now_ns: int = 0, **more) -> None:
    stimulator.order = DeviceOrder(write=True, settings=settings, **more)
    handover.obey(now_ns)


class TestHandover:
    def test_what_the_gate_allowed_is_written(self, bench):
        driver, stimulator, handover = bench
        order(handover, stimulator, setting(10.0), setting(5.0, "right"))
        assert [each.current_ma for each in driver.decode(driver.written[0])] == [10.0, 5.0]

    def test_without_an_order_nothing_is_written(self, bench):
        driver, _, handover = bench
        handover.obey(0)
        assert driver.done == []

    def test_stop_bytes_go_before_any_other(self, bench):
        driver, stimulator, handover = bench
        order(handover, stimulator, stop=True)
        assert driver.done == ["stop", "write"]

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda said: [{**each, "ma": each["ma"] + 0.5} for each in said],
            lambda said: [{**each, "ma": 0.5} for each in said],
            lambda said: [{**each, "ma": float("nan")} for each in said],
            lambda said: [{**each, "ma": -each["ma"]} for each in said],
            lambda said: [{**each, "us": each["us"] * 2} for each in said],
            lambda said: [{**each, "hz": each["hz"] + 1} for each in said],
            lambda said: [{**each, "net": 1} for each in said],
            lambda said: [{**each, "output": 1} for each in said],
            lambda said: [*said, {**said[0], "output": 1}],
            lambda said: [*said, *said],
            lambda said: [],
        ],
        ids=["more", "much less", "nan", "inverted", "wider", "faster", "unbalanced", "other output", "another too",
             "twice", "nothing"],
    )  # fmt: skip
    def test_bytes_that_say_anything_else_are_not_written_and_all_stops(self, bench, spoil):
        driver, stimulator, handover = bench
        driver.spoil = spoil
        order(handover, stimulator, setting(10.0))
        assert (driver.written, driver.done) == ([], ["stop"])
        report, _ = handover.poll(1)
        assert len(report.faults) == 1
        assert report.faults[0].startswith("bytes ")

    def test_bytes_that_say_current_where_zero_was_ordered_are_not_written(self, bench):
        driver, stimulator, handover = bench
        driver.spoil = lambda said: [{"output": 0, "ma": 1.0, "us": 300.0, "hz": 40.0, "net": 0}]
        order(handover, stimulator)
        assert driver.written == []

    @hypothesis_settings(deadline=None)
    @given(
        st.floats(0.5, 40.0).map(lambda ma: round(ma * 2) / 2),
        st.tuples(
            st.sampled_from([0, 1, 2]), st.floats(allow_nan=True), st.sampled_from([100.0, 300.0, 400.0, 1000.0]),
            st.sampled_from([1.0, 40.0, 200.0]), st.integers(-1, 1),
        ),
    )  # fmt: skip
    def test_whatever_a_driver_makes_of_it_nothing_above_the_order_is_written(self, allowed_ma, said):
        driver, stimulator = Device(), Gate()
        handover = Handover(driver, stimulator)
        keys = ("output", "ma", "us", "hz", "net")
        driver.spoil = lambda _: [dict(zip(keys, said, strict=True))]
        order(handover, stimulator, setting(allowed_ma))
        for data in driver.written:
            (output,) = driver.decode(data)
            assert output.output == 0
            assert 0 < output.current_ma <= allowed_ma * (1 + 1e-9)
            assert (output.phase_us, output.rate_hz, output.net_charge_wire) == (300.0, 40.0, 0)

    @pytest.mark.parametrize("where", ["on_encode", "on_write"])
    def test_a_driver_that_fails_is_a_fault_and_all_stops(self, bench, where):
        driver, stimulator, handover = bench

        def fail():
            raise DriverError("the port is gone")

        setattr(driver, where, fail)
        order(handover, stimulator, setting(10.0))
        assert (driver.written, driver.done) == ([], ["stop"])
        assert handover.poll(1)[0].faults == ("the port is gone",)

    def test_a_fault_of_its_own_stays_beside_what_the_device_says(self, bench):
        driver, stimulator, handover = bench
        driver.spoil = lambda said: []
        order(handover, stimulator, setting(10.0))
        driver.said = replace_report(driver.said, faults=("electrode open",))
        for now_ns in (1, 2 * DEVICE_REPORT_NS):
            assert [fault.split(":")[0] for fault in handover.poll(now_ns)[0].faults] == [
                "electrode open", "bytes say zero where current is allowed"
            ]  # fmt: skip

    def test_an_acknowledgement_is_told_by_the_number_of_the_gates_order(self, bench):
        driver, stimulator, handover = bench
        order(handover, stimulator, setting(10.0))
        order(handover, stimulator, setting(11.0))
        driver.said = replace_report(driver.said, ack_of=1007)
        assert (handover.poll(1)[0].ack_of, handover.poll(2 * DEVICE_REPORT_NS)[0].sent) == (1, 2)
        driver.said = replace_report(driver.said, ack_of=1014)
        assert handover.poll(2 * DEVICE_REPORT_NS + 1)[0].ack_of == 2

    def test_what_nobody_ordered_acknowledges_nothing(self, bench):
        driver, _, handover = bench
        driver.said = replace_report(driver.said, ack_of=3)
        assert handover.poll(1)[0].ack_of == 0

    def test_what_the_device_says_is_told_when_it_changes_and_ten_times_a_second(self, bench):
        driver, _, handover = bench
        assert handover.poll(0)[0] is not None
        assert handover.poll(50 * MS)[0] is None
        driver.said = replace_report(driver.said, acknowledged=(setting(1.0),))
        assert handover.poll(60 * MS)[0].acknowledged
        assert handover.poll(120 * MS)[0] is None
        assert handover.poll(60 * MS + DEVICE_REPORT_NS)[0] is not None


DOSE = gate.DoseTotals(1.25, 4.0, 160.0)


@pytest.fixture
def ledger(tmp_path):
    """Open the ledger of a person; every thread of theirs ends with the test."""
    opened = []

    def open_(text: str | bytes | None = None, subject: str = "P001", session: str = "s2", day: str = "2024-05-02"):
        path = tmp_path / "dose.jsonl"
        if text is not None:
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        opened.append(Ledger.open(str(path), subject, session, day))
        return opened[-1]

    yield open_
    for each in opened:
        each.close(gate.DoseTotals(), 0)


def lines(tmp_path) -> list[dict]:
    return [json.loads(line) for line in (tmp_path / "dose.jsonl").read_text().splitlines()]


def line(subject="P001", session="s1", day="2024-05-01", dose=DOSE) -> str:
    return gate.ledger_line(subject, session, day, dose)


class TestReadingTheLedger:
    def test_who_has_none_has_had_nothing(self, ledger):
        assert ledger().prior == gate.PriorDose()

    def test_other_sessions_count_for_the_course_todays_for_the_day_and_this_one_for_itself(self, ledger):
        text = line() + line(session="s0", day="2024-05-02") + line(session="s2", day="2024-05-02")
        assert ledger(text).prior == gate.PriorDose(1.25, 2.5, DOSE)

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            (line(subject="P002"), "line 1: belongs to 'P002', this is 'P001'"),
            (line() + line()[:-5], "line 2: cut off"),
            (line() + "\n", "line 2"),
            ("not a ledger\n", "line 1"),
            (b"\xff\xfe\n", "dose ledger"),
            (line().replace("1.25", "-1.25"), "line 1: charge_mc"),
            (line().replace("1.25", "NaN"), "line 1: charge_mc"),
        ],
        ids=["another person's", "cut", "empty line", "garbage", "not text", "negative", "nan"],
    )
    def test_one_that_cannot_be_believed_arms_nobody(self, ledger, tmp_path, text, why):
        with pytest.raises(NodeFault, match=why) as caught:
            ledger(text)
        assert str(tmp_path / "dose.jsonl") in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_one_that_cannot_be_read_arms_nobody(self, ledger, tmp_path):
        (tmp_path / "dose.jsonl").mkdir()
        with pytest.raises(NodeFault, match="directory"):
            ledger()


class TestKeepingTheLedger:
    def test_it_is_appended_once_a_second_while_there_is_anything_new(self, ledger, tmp_path):
        kept = ledger(line())
        for tick in range(300):
            kept.keep(replace(DOSE, on_s=4.0 + tick), tick * 10 * MS + LEDGER_NS)
        entries = lines(tmp_path)
        assert entries[0]["session"] == "s1"
        assert [entry["on_s"] for entry in entries[1:]] == [4.0, 104.0, 204.0]
        assert {entry["session"] for entry in entries[1:]} == {"s2"}

    def test_nothing_new_and_nothing_at_all_are_not_written(self, ledger, tmp_path):
        kept = ledger()
        kept.keep(gate.DoseTotals(), 10 * LEDGER_NS, force=True)
        assert not (tmp_path / "dose.jsonl").exists()
        for second in range(1, 5):
            kept.keep(DOSE, second * LEDGER_NS, force=True)
        assert len(lines(tmp_path)) == 1

    def test_a_stop_is_written_at_once(self, ledger, tmp_path):
        kept = ledger()
        kept.keep(DOSE, LEDGER_NS)
        kept.keep(replace(DOSE, on_s=4.01), LEDGER_NS + 10 * MS)
        kept.keep(replace(DOSE, on_s=4.02), LEDGER_NS + 20 * MS, force=True)
        assert [entry["on_s"] for entry in lines(tmp_path)] == [4.0, 4.02]

    def test_what_was_kept_is_what_the_next_session_reads(self, ledger):
        kept = ledger()
        kept.keep(DOSE, LEDGER_NS)
        kept.close(replace(DOSE, on_s=9.0), LEDGER_NS + 1)
        assert ledger(session="s3").prior == gate.PriorDose(1.25, 1.25)
        assert ledger(session="s2").prior.session == replace(DOSE, on_s=9.0)

    def test_every_line_is_synced_and_closing_waits_for_it(self, ledger, tmp_path, monkeypatch):
        synced = []
        fsync = os.fsync

        def watch(descriptor):
            synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", watch)
        kept = ledger()
        kept.keep(DOSE, LEDGER_NS)
        kept.close(replace(DOSE, on_s=9.0), LEDGER_NS)
        # The new file's name too.
        assert synced == [str(tmp_path / "dose.jsonl"), str(tmp_path), str(tmp_path / "dose.jsonl")]

    def test_a_slow_disk_keeps_the_gate_from_nothing(self, ledger, monkeypatch):
        released = threading.Event()
        monkeypatch.setattr(os, "fsync", lambda _: released.wait(10))
        kept = ledger()
        kept.keep(DOSE, LEDGER_NS)
        kept.keep(replace(DOSE, on_s=9.0), 2 * LEDGER_NS)
        released.set()

    def test_a_disk_that_refuses_is_a_fault(self, ledger, tmp_path):
        kept = ledger()
        (tmp_path / "dose.jsonl").mkdir()
        with pytest.raises(NodeFault, match=r"dose ledger .*dose\.jsonl"):
            kept.keep(DOSE, LEDGER_NS)

    def test_a_disk_that_cannot_be_synced_is_a_fault_at_the_next_line(self, ledger, monkeypatch, eventually):
        def refuse(_):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fsync", refuse)
        kept = ledger()
        kept.keep(DOSE, LEDGER_NS)

        def told():
            try:
                kept.keep(DOSE, 2 * LEDGER_NS)
            except NodeFault as fault:
                return str(fault)
            return ""

        assert "cannot be synced: Input/output error" in eventually(told, "the fault")

"""Between the gate's order and the device: bytes read again, and written only where they say what was allowed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from myoloop.platform.messages import ChannelSetting, DeviceReport
from myoloop.stimulators import gate
from myoloop.stimulators.driver import Capabilities, DecodedOutput, DriverError
from myoloop.stimulators.node import DEVICE_REPORT_NS, Handover
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


def refuse() -> None:
    raise DriverError("the port is gone")


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
        setattr(driver, where, refuse)
        order(handover, stimulator, setting(10.0))
        assert (driver.written, driver.done) == ([], ["stop"])
        assert handover.poll(1)[0].faults == ("the port is gone",)

    @pytest.mark.parametrize("where", ["spoil", "on_encode", "on_write"])
    def test_a_fault_is_told_once_at_least_and_is_over_when_the_stop_has_been_obeyed(self, bench, where):
        driver, stimulator, handover = bench
        whole = getattr(driver, where)
        setattr(driver, where, (lambda said: []) if where == "spoil" else refuse)
        order(handover, stimulator, setting(10.0))
        setattr(driver, where, whole)
        assert len(handover.poll(1)[0].faults) == 1
        assert handover.poll(2)[0].faults == ()

    @pytest.mark.parametrize(
        "still",
        [
            {"connected": False}, {"faults": ("electrode open",)}, {"oldest_unacknowledged_ns": 1},
            {"acknowledged": (setting(1.0),)},
        ],
        ids=["lost", "complains", "has not answered", "goes on"],
    )  # fmt: skip
    def test_a_fault_stays_until_the_device_is_well_and_gives_nothing(self, bench, still):
        driver, stimulator, handover = bench
        driver.on_write = refuse
        order(handover, stimulator, setting(10.0))
        well, driver.said = driver.said, replace_report(driver.said, **still)
        for now_ns in range(0, 10 * DEVICE_REPORT_NS, DEVICE_REPORT_NS):
            assert "the port is gone" in handover.poll(now_ns)[0].faults
        driver.said = well
        assert handover.poll(10 * DEVICE_REPORT_NS)[0].faults == ()

    @pytest.mark.parametrize("where", ["spoil", "on_encode"])
    def test_a_fault_stays_while_not_even_zero_can_be_said(self, bench, where):
        driver, stimulator, handover = bench
        always = [{"output": 0, "ma": 1.0, "us": 300.0, "hz": 40.0, "net": 0}]
        setattr(driver, where, (lambda said: always) if where == "spoil" else refuse)
        order(handover, stimulator, setting(10.0))
        for now_ns in range(0, 10 * DEVICE_REPORT_NS, DEVICE_REPORT_NS):
            assert len(handover.poll(now_ns)[0].faults) == 1
        assert driver.written == []

    def test_what_fails_again_is_a_fault_again(self, bench):
        driver, stimulator, handover = bench
        driver.on_write = refuse
        for now_ns in (1, 5):
            order(handover, stimulator, setting(10.0))
            assert handover.poll(now_ns)[0].faults == ("the port is gone",)
            assert handover.poll(now_ns + 1)[0].faults == ()

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

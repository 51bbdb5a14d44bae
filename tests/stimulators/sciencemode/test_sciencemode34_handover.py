"""The driver behind the gate's handover: the bytes say what was allowed, and what is acknowledged is what was sent."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators import gate
from myoloop.stimulators.gate.limits import served_rate_hz
from myoloop.stimulators.hearing import Hearing
from myoloop.stimulators.node import Handover
from myoloop.stimulators.stimulator import DeviceOrder

MS = 1_000_000
ENVELOPE = gate.Envelope(
    session="s1", subject="P001", waveform_class="nmes",
    channels=(gate.ChannelLimits("left", 0, 25.0, 40.0), gate.ChannelLimits("right", 1, 25.0, 40.0)),
    phase_us=(100.0, 400.0), rate_hz=(2.0, 80.0), charge_per_phase_uc=12.0, rms_ma=10.0, rms_density_ma_cm2=1.0,
    power_density_w_cm2=0.1, channels_max=2, on_s_max=6.0, duty_max=0.4, session_on_s_max=400.0,
    session_charge_mc_max=1000.0, day_charge_mc_max=2000.0, course_charge_mc_max=20000.0, step_ma=1.0,
    new_ground_ma_per_s=5.0, known_ground_ramp_s_min=0.1, current_ma_calibrating=60.0,
    required_vitals=("vital/emg",), sensor_age_ms=100.0, ramp_down_s=0.5,
)  # fmt: skip
KINDS = [("p24", "low"), ("p24", "mid"), ("rehamove3", "low"), ("rehamove3", "mid")]

wishes = st.lists(
    st.tuples(
        st.sampled_from(["left", "right"]), st.integers(1, 50), st.sampled_from([100, 250, 300]),
        st.sampled_from([2.0, 12.5, 30.0, 35.0, 50.0, 80.0]),
    ),
    max_size=2, unique_by=lambda one: one[0],
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(wishes, st.integers(1, 12)), min_size=1, max_size=10))
def test_whatever_the_gate_orders_the_device_agrees_with_it(make_bench, kind, acts):
    bench = make_bench(*kind)
    can = bench.driver.capabilities
    limits = gate.DeviceLimits(
        can.outputs, can.current_max_ma, can.current_step_ma, (can.phase_min_us, can.phase_max_us),
        (can.rate_min_hz, can.rate_max_hz), can.period_step_us,
    )  # fmt: skip
    stimulator = SimpleNamespace(order=None, gate_state=gate.GateState(envelope=ENVELOPE), device_limits=limits)
    handover, hearing = Handover(bench.driver, stimulator), Hearing((), False)
    written_ns, last = 0, None

    def cycle(wish):
        """The node's turn each 10 ms, and between them its punctual wakings."""
        nonlocal written_ns, last
        report, _ = handover.poll(bench.now_ns)
        if report is not None:
            hearing.take_device(report)
        device = hearing.evidence().device
        assert device.faults == ()
        assert gate.evidence.device_fault(device, bench.now_ns) == ""
        write = wish != last or bench.now_ns - written_ns >= 50 * MS
        if write:
            hearing.commanded(wish)
            written_ns, last = bench.now_ns, wish
        stimulator.order = DeviceOrder(write=write, settings=wish)
        handover.obey(bench.now_ns)
        for _ in range(10):
            due_ns = bench.driver.due_ns
            if due_ns is not None and due_ns <= bench.now_ns:
                bench.driver.pulse(bench.now_ns)
            bench.clock.advance(MS)

    for wanted, cycles in acts:
        wish = tuple(
            ChannelSetting(
                channel=channel, current_ma=half_ma / 2, phase_us=float(us),
                rate_hz=served_rate_hz(rate_hz, can.period_step_us),
            )
            for channel, half_ma, us, rate_hz in wanted
        )  # fmt: skip
        for _ in range(cycles):
            cycle(wish)
    for _ in range(60):
        cycle(())
    assert hearing.evidence().device.acknowledged_zero
    assert bench.device.active == ()

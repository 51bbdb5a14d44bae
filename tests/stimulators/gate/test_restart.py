"""A device that gives a pulse as soon as an output comes on gets none sooner than a period after the last one."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from myoloop.stimulators.gate import ChannelLimits, DeviceLimits
from myoloop.stimulators.gate.ceilings import RESTART_MARGIN_NS

EAGER = DeviceLimits(4, 100.0, 0.5, (20.0, 1000.0), (0.5, 200.0), restarts_at_once=True)
MARGIN_MS = RESTART_MARGIN_NS * 1e-6


def zero_for_ms(bench, wish, **kind) -> float:
    """How long current stays at zero though it is asked for again at once."""
    bench.step(wish({}))
    assert bench.ma() == 0.0
    since_ns = bench.now_ns
    for _ in range(1000):
        bench.step(wish(5.0, **kind), after_ms=1.0)
        if bench.ma() > 0.0:
            return (bench.now_ns - since_ns) * 1e-6
        assert bench.verdict.rule in ("pulse period", "rise on known ground")
    raise AssertionError("it never came again")


@pytest.mark.parametrize("rate_hz", [5.0, 20.0, 40.0])
def test_it_stays_at_zero_for_a_period_and_as_much_as_commands_may_be_late(new_gate, wish, rate_hz):
    bench = new_gate(device=EAGER).to_stimulating(5.0, rate_hz=rate_hz)
    waited_ms = zero_for_ms(bench, wish, rate_hz=rate_hz)
    # A millisecond's rounding, and what the rise takes to the first step of current.
    assert 1e3 / rate_hz + MARGIN_MS <= waited_ms <= 1e3 / rate_hz + MARGIN_MS + 15.0


def test_a_device_that_minds_its_last_pulse_is_not_waited_for(new_gate, wish):
    bench = new_gate().to_stimulating(5.0, rate_hz=5.0)
    assert zero_for_ms(bench, wish, rate_hz=5.0) < 50.0


def test_a_blink_between_two_steps_of_a_ramp_is_one_too(new_gate, wish):
    """What is rounded down to nothing is off: it comes again no sooner."""
    bench = new_gate(device=EAGER).to_stimulating(5.0, rate_hz=20.0)
    bench.step(wish(0.3, rate_hz=20.0))
    assert bench.ma() == 0.0
    bench.step(wish(0.3, rate_hz=20.0))
    bench.step(wish(5.0, rate_hz=20.0))
    assert (bench.ma(), bench.verdict.rule) == (0.0, "pulse period")
    assert "the last pulse may be less than a period ago" in bench.verdict.reasons[0]


def test_the_other_channel_goes_on(new_gate, wish):
    bench = new_gate(device=EAGER).to_stimulating(5.0, rate_hz=20.0)
    bench.hold(wish({"left": 5.0, "right": 3.0}, rate_hz=20.0), 3000.0)
    assert bench.ma("right") == 3.0
    bench.step(wish({"right": 3.0}, rate_hz=20.0))
    bench.step(wish({"left": 5.0, "right": 3.0}, rate_hz=20.0))
    assert (bench.ma("left"), bench.ma("right")) == (0.0, 3.0)


@pytest.mark.parametrize(
    ("after_ms", "rule"),
    # A period of 50 ms, and 25 ms.
    [(74.999999, "pulse period"), (75.0, "rise on known ground"), (75.000001, "rise on known ground")],
)
def test_it_comes_again_at_the_very_nanosecond(new_gate, wish, after_ms, rule):
    bench = new_gate(device=EAGER).to_stimulating(5.0, rate_hz=20.0)
    bench.step(wish({}))
    bench.step(wish(0.1, rate_hz=20.0), after_ms=after_ms - 0.000001)
    verdict = bench.step(wish(5.0, rate_hz=20.0), after_ms=0.000001)
    assert verdict.rule == rule


def test_a_slower_rate_while_it_flows_is_no_restart(new_gate, wish):
    bench = new_gate(device=EAGER).to_stimulating(5.0, rate_hz=40.0)
    zero_for_ms(bench, wish, rate_hz=40.0)
    # Far less than a period of 2 Hz since it was at zero.
    bench.step(wish(5.0, rate_hz=2.0))
    assert bench.ma() > 0.0


# -- the pause belongs to the output, whatever the envelope calls it, and however it comes to be another one

SWAPPED = (ChannelLimits("left", 1, 25.0, 40.0), ChannelLimits("new", 0, 25.0, 30.0))


@pytest.mark.parametrize("at_once", [False, True])
def test_channels_are_not_renamed_before_it_is_known_when_their_outputs_went_off(new_gate, at_once):
    """In no step of a way down, nor in the very step that cuts it short."""
    bench = new_gate(device=EAGER).to_stimulating(5.0, rate_hz=20.0)
    before = bench.state.envelope
    renamed = asdict(replace(bench.envelope, channels=SWAPPED))
    # The step after the pause; then each of the ramp.
    for step in range(1000):
        pause = [bench.act("pause", at_once=at_once and step == 3)] if step in (0, 3) else []
        verdict = bench.step(acts=[*pause, bench.act("set_envelope", "director", **renamed)])
        *_, reply = verdict.replies
        assert (reply.ok, bench.state.envelope) == (False, before)
        if not verdict.allowed:
            break
    assert bench.state.off_ns == {0: bench.now_ns}
    bench.envelope = replace(bench.envelope, channels=SWAPPED)
    assert bench.set_envelope().ok


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(("channel", "waits"), [("new", True), ("left", False)])
def test_an_output_under_another_name_waits_and_another_output_under_its_name_does_not(
    new_gate, wish, at_once, channel, waits
):
    bench = new_gate(device=EAGER).to_stimulating(5.0, rate_hz=2.0)
    bench.do("pause", at_once=at_once)
    while bench.verdict.allowed:
        bench.step()
    off_ns = bench.now_ns
    assert bench.set_envelope(channels=SWAPPED).ok
    assert bench.confirm().ok
    assert bench.arm().ok
    bench.step(wish({}))
    bench.step(wish({channel: 5.0}, rate_hz=2.0))
    assert (bench.verdict.rule == "pulse period") is waits
    while bench.ma(channel) == 0.0:
        bench.step(wish({channel: 5.0}, rate_hz=2.0), after_ms=1.0)
    waited_ms = (bench.now_ns - off_ns) * 1e-6
    assert (waited_ms >= 500.0 + MARGIN_MS) is waits

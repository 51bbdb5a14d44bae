"""The worse reading of what the maker does not say: after a stop, low level goes on for the 40 ms until its answer.

Nothing that driver and gate promise rests on which of the two is true; only what was given in those 40 ms is told by
nobody.
"""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.platform.messages import ChannelSetting

MS = 1_000_000
DEVICES = ["p24", "rehamove3"]


def setting(current_ma=20.0, channel="left", rate_hz=100.0):
    return ChannelSetting(channel=channel, current_ma=current_ma, phase_us=250.0, rate_hz=rate_hz)


@pytest.fixture(params=DEVICES)
def slow(request, make_bench):
    bench = make_bench(request.param)
    bench.device.faults.stop_delay_ns = 40 * MS
    return bench


def test_the_train_goes_on_for_40_ms_and_then_nothing_flows(slow):
    slow.run(200, setting())
    before = len(slow.made)
    slow.driver.stop(slow.now_ns)
    stopped_ns = slow.now_ns
    slow.run(1000, write=False)
    late = [pulse.t_ns - stopped_ns for pulse in slow.made[before:]]
    assert len(late) in (3, 4)
    assert max(late) <= 40 * MS
    assert slow.device.active == ()
    assert slow.faults == []


def test_the_driver_asks_whether_it_has_stopped_and_gives_the_next_train_when_it_has(slow):
    slow.run(200, setting())
    slow.driver.stop(slow.now_ns)
    stopped_ns = slow.now_ns
    report = slow.run(500, setting())
    assert (slow.faults, report.acknowledged) == ([], (setting(),))
    again = [pulse.t_ns for pulse in slow.made if pulse.t_ns > stopped_ns + 40 * MS]
    assert len(again) > 20
    # Stops and their answers take their 40 ms each, and the level as long.
    assert min(again) >= stopped_ns + 80 * MS


def test_a_stop_after_a_rest_has_nothing_to_go_on_with(slow):
    slow.run(200, setting())
    slow.run(200)
    before = len(slow.made)
    slow.driver.stop(slow.now_ns)
    slow.run(500, write=False)
    assert slow.made[before:] == []


@settings(deadline=None, max_examples=8)
@given(st.sampled_from(DEVICES), st.lists(st.tuples(
    st.sampled_from(["on", "both", "zero", "stop"]), st.integers(1, 60), st.sampled_from([20, 40, 100]),
), max_size=20))  # fmt: skip
def test_whatever_is_done_nothing_is_stronger_sooner_or_later_than_that(make_bench, device, acts):
    bench = make_bench(device)
    bench.device.faults.stop_delay_ns = 40 * MS
    stops = []
    for act, ms, rate_hz in [*acts, ("stop", 500, 20)]:
        wish = {"on": [setting(rate_hz=rate_hz)], "both": [setting(rate_hz=rate_hz), setting(10.0, "right")]}
        if act == "stop":
            bench.driver.stop(bench.now_ns)
            stops.append(bench.now_ns)
        # After a stop the gate is latched for ten seconds: nothing is asked for while the device still obeys it.
        bench.run(max(ms, 45) if act == "stop" else ms, *wish.get(act, ()), write=act != "stop")
    assert bench.faults == []
    assert bench.device.active == ()
    assert {(pulse.output, pulse.current_ma) for pulse in bench.made} <= {(0, 20.0), (1, 10.0)}
    assert all(pulse.t_ns <= stops[-1] + 40 * MS for pulse in bench.made)
    for pulse in bench.made:
        told = any(abs(pulse.t_ns - t_ns) <= train.uncertainty_ns for t_ns, train in bench.told)
        assert told or any(0 <= pulse.t_ns - t_ns <= 40 * MS for t_ns in stops)
    for output in (0, 1):
        times = [pulse.t_ns for pulse in bench.made if pulse.output == output]
        assert all(b - a >= 10 * MS - 600_000 for a, b in itertools.pairwise(times))

"""Mid level: the device times itself; each order is an update and the keep-alive, and its outputs are read back."""

import pytest

from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import DecodedOutput, DriverError
from myoloop.stimulators.sciencemode.frames import Frame, Receiver, encode
from myoloop.stimulators.sciencemode.mid_level import Prediction

MS = 1_000_000


def setting(current_ma=20.0, *, channel="left", phase_us=250.0, rate_hz=50.0):
    return ChannelSetting(channel=channel, current_ma=current_ma, phase_us=phase_us, rate_hz=rate_hz)


def sent_commands(bench):
    return [frame.command for frame in Receiver().feed(b"".join(bench.line.sent))]


@pytest.mark.parametrize("device", ["p24", "rehamove3"])
def test_predicted_pulses_are_those_of_the_device_to_half_a_period(make_bench, device):
    bench = make_bench(device, "mid")
    bench.run(1000, setting(), setting(12.5, channel="right", rate_hz=40.0, phase_us=300.0))
    bench.run(500, setting(21.0), setting(12.5, channel="right", rate_hz=20.0, phase_us=300.0))
    bench.run(100)
    for output, name in enumerate(("left", "right")):
        told = [(t_ns, train) for t_ns, train in bench.told if train.channel == name]
        made = [pulse for pulse in bench.made if pulse.output == output]
        assert abs(len(told) - len(made)) <= 1
        others = 0
        for (t_ns, train), pulse in zip(told, made, strict=False):
            assert train.kind == "predicted"
            assert abs(t_ns - pulse.t_ns) <= train.uncertainty_ns
            others += (train.current_ma, train.phase_us) != (pulse.current_ma, pulse.phase_us)
        # The one that falls on the change may be given before or after it.
        assert others <= 1
        charges = [sum(abs(one.current_ma) * one.phase_us for one in each) for each in ((t for _, t in told), made)]
        assert charges[0] == pytest.approx(charges[1], abs=21.0 * 250 + 1e-3 * charges[1])
    assert bench.faults == []


def test_an_order_is_acknowledged_by_the_device_and_its_outputs_are_read_back(make_bench):
    bench = make_bench("p24", "mid")
    asked = (setting(), setting(7.5, channel="right"))
    t_ns = bench.now_ns
    number = bench.write(*asked)
    bench.clock.advance(MS)
    report = bench.poll()
    assert (report.acknowledged, report.ack_of) == (asked, number)
    assert report.oldest_unacknowledged_ns == bench.now_ns  # the question for their state, which has just gone out
    bench.clock.advance(MS)
    report = bench.poll()
    assert report.oldest_unacknowledged_ns is None
    assert sent_commands(bench)[-2:] == [32, 36]
    assert bench.now_ns > t_ns


def test_answers_that_overtake_each_other_acknowledge_the_newest_order(make_bench):
    bench = make_bench("p24", "mid")
    bench.device.faults.reorder_answers = True
    bench.write(setting())
    number = bench.write(setting(21.0))
    bench.clock.advance(MS)
    report = bench.poll()
    assert (report.acknowledged, report.ack_of) == ((setting(21.0),), number)
    assert sent_commands(bench).count(36) == 1


def test_zero_is_an_update_that_enables_nothing(make_bench):
    bench = make_bench("p24", "mid")
    bench.run(100, setting())
    made = len(bench.made)
    report = bench.run(100)
    assert report.acknowledged == ()
    assert report.ack_of == report.sent
    assert bench.device.active == ()
    assert len(bench.made) <= made + 1


def test_nothing_keeps_the_device_going_but_what_is_written(make_bench):
    bench = make_bench("p24", "mid")
    bench.run(50, setting())
    bench.run(3000, write=False)
    # The device's own 2 s; the state is asked for after an order only.
    assert 98 <= len(bench.made) <= 104
    assert sent_commands(bench).count(36) == 1
    assert abs(len(bench.told) - len(bench.made)) <= 1
    # Written again, it goes on from there, with no pulse in between.
    bench.run(100, setting())
    gap_ns = max(b[0] - a[0] for a, b in zip(bench.told, bench.told[1:], strict=False))
    assert gap_ns > 900 * MS


def test_updates_go_out_at_once_behind_nothing(make_bench):
    bench = make_bench("p24", "mid")
    bench.run(50, setting())
    bench.device.faults.drop_answers = True
    bench.write(setting(21.0))
    bench.clock.advance(10 * MS)
    bench.write()
    assert bench.device.active == ()
    report = bench.poll()
    assert report.acknowledged == (setting(),)


def test_the_same_bytes_until_something_is_written(make_bench):
    bench = make_bench("p24", "mid")
    first = bench.driver.encode([setting()])
    assert bench.driver.encode([setting()]) == first
    bench.driver.write(first, bench.now_ns)
    assert bench.driver.encode([setting()]) != first


def test_bytes_with_a_number_that_is_not_answered_yet_are_refused(make_bench):
    bench = make_bench("p24", "mid")
    first = bench.driver.encode([setting()])
    bench.driver.write(first, bench.now_ns)
    with pytest.raises(DriverError, match="encode again"):
        bench.driver.write(first, bench.now_ns)


@pytest.mark.parametrize(
    ("result", "text"),
    [(1, "arrived damaged"), (2, "does not take"), (4, "timeout"), (7, "not initialised"), (8, "high-voltage"),
     (10, "electrode"), (16, "does not fit its period"), (28, "load is too high")],
)  # fmt: skip
def test_a_refused_update_is_said_in_the_same_words_whatever_was_in_it(make_bench, result, text):
    bench = make_bench("p24", "mid")
    bench.device.faults.results_once[32] = result
    report = bench.run(40, setting(), setting(channel="right"))
    (fault,) = bench.faults
    assert fault.startswith("left, right: update refused: ")
    assert text in fault
    assert fault.endswith(f"(result {result})")
    assert (report.acknowledged, report.ack_of) == ((), 0)
    bench.faults.clear()
    bench.device.faults.results_once[32] = result
    bench.run(40)
    assert bench.faults == [fault]


def answered(bench, payload):
    """What is said of it when the device answers the question for the outputs' state with this."""
    bench.clock.advance(MS)
    bench.poll()
    asked = Receiver().feed(bench.line.sent[-1])[0]
    assert asked.command == 36
    bench.line.receive = lambda: encode(Frame(asked.number, 37, payload))
    report = bench.poll()
    del bench.line.receive
    return report


def test_electrode_errors_are_said_by_channel(make_bench):
    bench = make_bench("p24", "mid")
    bench.write(setting(), setting(channel="right"))
    report = answered(bench, bytes((0, 4, 0b11, 0x31, 0, 0, 0)))
    assert report.faults == (
        "left: electrode open or badly in contact (result 10)",
        "right: less current than was set: the load is too high (result 28)",
    )
    bench = make_bench("rehamove3", "mid")
    bench.write(setting())
    report = answered(bench, bytes((0, 2, 0b00010001)))
    assert report.faults == ("left: electrode open or badly in contact (result 10)",)


@pytest.mark.parametrize("device", ["p24", "rehamove3"])
def test_an_output_that_goes_on_where_zero_was_commanded_is_a_fault_and_counts_as_current(make_bench, device):
    bench = make_bench(device, "mid", channels={"left": 0})
    bench.run(100, setting())
    bench.device.faults.stuck_on = True
    report = bench.run(100)
    assert bench.faults == ["left: the device stimulates where zero was commanded: pull the leads"]
    assert report.acknowledged == (setting(),)


def test_an_output_that_was_never_used_and_gives_current_is_a_fault(make_bench):
    bench = make_bench("p24", "mid")
    bench.write()
    report = answered(bench, bytes((0, 4, 0b100, 0, 0, 0, 0)))
    assert report.faults == ("output 2: the device stimulates where zero was commanded: pull the leads",)


def test_an_output_that_has_stopped_by_itself_is_a_fault(make_bench):
    bench = make_bench("p24", "mid")
    bench.write(setting(), setting(channel="right"))
    report = answered(bench, bytes((0, 4, 0b01, 0, 0, 0, 0)))
    assert report.faults == ("right: the device has stopped it by itself",)
    bench = make_bench("rehamove3", "mid")
    bench.write(setting())
    assert answered(bench, bytes((0, 2, 0))).faults == ("left: the device has stopped it by itself",)


def test_a_state_that_is_refused_is_a_fault(make_bench):
    bench = make_bench("p24", "mid")
    bench.device.faults.results_once[36] = 7
    bench.run(40, setting())
    assert bench.faults == ["state of the outputs: not initialised, or another level is active (result 7)"]


def test_only_the_p24_is_told_to_stop_all_when_one_output_fails(make_bench):
    for device, payload in (("p24", b"\x01"), ("rehamove3", b"\x00")):
        bench = make_bench(device, "mid")
        frames = Receiver().feed(b"".join(bench.line.sent))
        assert [frame.payload for frame in frames if frame.command == 30] == [payload]
        assert bench.driver.due_ns is None
        bench.driver.pulse(bench.now_ns)


def test_what_the_device_does_while_it_is_not_heard_is_predicted_to_its_own_lease(make_bench):
    bench = make_bench("p24", "mid")
    bench.run(100, setting())
    bench.line.pulled = True
    bench.run(3000, write=False)
    assert abs(len(bench.told) - len(bench.made)) <= 2
    assert 100 <= len(bench.told) <= 107


def train(rate_hz, current_ma=10.0):
    return DecodedOutput(0, current_ma, 200.0, rate_hz, 0)


def times(given):
    return [t_ns // MS for _, each, _ in given for t_ns in each]


def test_a_rhythm_stays_while_the_period_does_and_begins_anew_with_another():
    prediction = Prediction()
    prediction.change([train(50.0)], 1000 * MS, 1000 * MS)
    prediction.change([train(50.0, 12.0)], 1050 * MS, 1050 * MS)
    prediction.change([train(100.0, 12.0)], 1085 * MS, 1085 * MS)
    prediction.change([], 1100 * MS, 1100 * MS)
    given = prediction.until(2000 * MS)
    assert times(given) == [1000, 1020, 1040, 1060, 1080, 1085, 1095]
    assert [(said.current_ma, half_ns) for said, _, half_ns in given] == [
        (10.0, 10 * MS), (12.0, 10 * MS), (12.0, 5 * MS),
    ]  # fmt: skip
    assert prediction.until(3000 * MS) == []


def test_after_a_stop_nothing_is_predicted_that_its_confirmation_would_take_back(make_bench):
    bench = make_bench("p24", "mid")
    bench.run(210, setting())
    bench.driver.stop(bench.now_ns)
    stopped_ns = bench.now_ns
    bench.run(300, write=False)
    assert max(t_ns for t_ns, _ in bench.told) <= stopped_ns
    assert abs(len(bench.told) - len(bench.made)) <= 1
    # One that is never confirmed may have been in vain.
    bench.run(210, setting())
    bench.line.pulled = True
    bench.driver.stop(bench.now_ns)
    bench.told.clear()
    bench.run(490, write=False)
    assert bench.told == []
    bench.run(3000, write=False)
    assert 95 <= len(bench.told) <= 100


def test_a_stop_that_is_confirmed_ended_it_when_it_was_told_first():
    prediction = Prediction()
    prediction.change([train(50.0)], 1000 * MS, 1000 * MS)
    prediction.doubt(1030 * MS)
    prediction.doubt(1050 * MS)
    prediction.end()
    assert times(prediction.until(2000 * MS)) == [1000, 1020]
    prediction.end()
    assert prediction.until(2000 * MS) == []

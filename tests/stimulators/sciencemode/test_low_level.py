"""Low level: each pulse is the host's, with a receipt; the stream of pulses is the device's own ledger."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.sciencemode import low_level
from myoloop.stimulators.sciencemode.frames import Frame, Receiver, encode

MS = 1_000_000


def setting(current_ma=20.0, *, channel="left", phase_us=250.0, rate_hz=50.0):
    return ChannelSetting(channel=channel, current_ma=current_ma, phase_us=phase_us, rate_hz=rate_hz)


def receipts(bench):
    """Pulses told against pulses delivered: each within its uncertainty, none missing, none more."""
    names = {output: name for name, output in bench.settings.channels.items()}
    told = sorted(bench.told, key=lambda one: one[0])
    assert len(told) == len(bench.made)
    for name in names.values():
        mine = [(t_ns, train) for t_ns, train in told if train.channel == name]
        theirs = [pulse for pulse in bench.made if names[pulse.output] == name]
        assert len(mine) == len(theirs)
        for (t_ns, train), pulse in zip(mine, theirs, strict=True):
            assert abs(t_ns - pulse.t_ns) <= train.uncertainty_ns
            assert (train.current_ma, train.phase_us) == (pulse.current_ma, pulse.phase_us)
    return told


def pulses_sent(bench):
    frames = Receiver().feed(b"".join(bench.line.sent))
    return [frame for frame in frames if frame.command == 2]


def times_ms(bench, output=0, since_ns=None):
    since_ns = bench.made[0].t_ns if since_ns is None else since_ns
    return [round((pulse.t_ns - since_ns) / MS) for pulse in bench.made if pulse.output == output]


@pytest.mark.parametrize("device", ["p24", "rehamove3"])
def test_the_stream_of_pulses_is_the_ledger(make_bench, device):
    bench = make_bench(device)
    bench.run(1000, setting(), setting(12.5, channel="right", rate_hz=40.0, phase_us=300.0))
    bench.run(100)
    told = receipts(bench)
    assert 45 + 37 <= len(told) <= 50 + 40
    assert {train.kind for _, train in told} == {"acknowledged"}
    assert max(train.uncertainty_ns for _, train in told) <= 5 * MS
    assert bench.faults == []


def test_a_train_begins_at_once_and_goes_on_by_its_period(make_bench):
    bench = make_bench()
    bench.run(101, setting(rate_hz=40.0))
    assert times_ms(bench) == [0, 25, 50, 75]


def test_current_and_width_hold_from_the_next_pulse_and_the_rhythm_stays(make_bench):
    bench = make_bench()
    bench.run(50, setting(10.0))
    bench.run(50, setting(11.0, phase_us=300.0))
    assert times_ms(bench) == [0, 20, 40, 60, 80]
    assert [(one.current_ma, one.phase_us) for one in bench.made] == [(10.0, 250.0)] * 3 + [(11.0, 300.0)] * 2


def test_no_pulse_is_sooner_than_a_period_after_the_last(make_bench):
    bench = make_bench()
    bench.run(5, setting(rate_hz=10.0))
    bench.poll()
    for _ in range(4):
        bench.run(5)
        bench.run(5, setting(rate_hz=10.0))
    bench.run(3)
    # Off and on again gave none; a quicker train counts from the last pulse, too.
    bench.run(7, setting(rate_hz=20.0))
    bench.run(50, setting(rate_hz=50.0))
    assert times_ms(bench) == [0, 50, 70, 90]


def test_a_train_goes_on_for_100_ms_after_the_last_write_and_no_longer(make_bench):
    bench = make_bench()
    bench.write(setting())
    bench.run(300, write=False)
    assert times_ms(bench) == [0, 20, 40, 60, 80]
    assert bench.driver.due_ns is None
    assert bench.poll().acknowledged == ()


def test_a_pulse_that_is_asked_for_after_the_100_ms_is_not_given(make_bench):
    for late_ms, count in ((100, 1), (101, 0)):
        bench = make_bench()
        bench.write(setting(rate_hz=1.0))
        bench.clock.advance(late_ms * MS)
        bench.driver.pulse(bench.now_ns)
        assert len(pulses_sent(bench)) == count


def test_pulses_missed_by_more_than_half_a_period_are_left_out(make_bench):
    bench = make_bench()
    bench.write(setting(rate_hz=20.0))
    bench.driver.pulse(bench.now_ns)
    bench.clock.advance(95 * MS)
    bench.poll()
    # Due were 50 and 100 ms: the first is missed, the second not yet due, by 5 ms.
    bench.write(setting(rate_hz=20.0))
    bench.driver.pulse(bench.now_ns)
    bench.poll()
    assert len(bench.made) == 1
    assert bench.driver.due_ns - bench.now_ns == 5 * MS
    bench.clock.advance(10 * MS)
    bench.driver.pulse(bench.now_ns)
    assert bench.driver.due_ns - bench.now_ns == 50 * MS
    bench.clock.advance(5 * MS)
    bench.poll()
    assert times_ms(bench) == [0, 105]


def test_no_more_than_one_pulse_per_output_and_four_in_all_are_without_receipt(make_bench):
    channels = {f"c{output}": output for output in range(8)}
    bench = make_bench(channels=channels)
    bench.device.faults.answer_delay_ns = 60 * MS
    bench.write(*(setting(channel=name, rate_hz=100.0) for name in channels))
    for _ in range(40):
        bench.driver.pulse(bench.now_ns)
        bench.clock.advance(MS)
        assert bench.driver.due_ns >= bench.now_ns
    assert len(pulses_sent(bench)) == 4
    bench.run(200, *(setting(channel=name, rate_hz=100.0) for name in channels))
    bench.device.faults.answer_delay_ns = 0
    bench.run(100)
    assert {pulse.output for pulse in bench.made} == set(range(8))
    receipts(bench)


def test_a_slow_device_slows_the_train_and_is_not_flooded(make_bench):
    bench = make_bench()
    bench.device.faults.answer_delay_ns = 30 * MS
    bench.run(500, setting(rate_hz=50.0))
    gaps = {b - a for a, b in zip(times_ms(bench), times_ms(bench)[1:], strict=False)}
    # Receipts come after 31 ms; the pulse due at 20 is left out.
    assert gaps == {40}
    assert bench.faults == []


def test_zero_is_acknowledged_by_the_device_itself(make_bench):
    bench = make_bench()
    number = bench.write()
    bench.clock.advance(MS)
    report = bench.poll()
    assert (report.acknowledged, report.ack_of, report.oldest_unacknowledged_ns) == ((), number, None)
    bench.device.faults.drop_answers = True
    sent_ns = bench.now_ns
    second = bench.write()
    third = bench.write()
    bench.clock.advance(100 * MS)
    report = bench.poll()
    assert (report.ack_of, report.oldest_unacknowledged_ns, report.sent) == (number, sent_ns, third)
    assert second < third


def test_an_order_is_acknowledged_when_each_output_has_given_a_pulse_of_it(make_bench):
    bench = make_bench()
    both = (setting(), setting(10.0, channel="right", rate_hz=25.0))
    number = bench.write(*both)
    assert bench.poll().acknowledged == ()
    bench.driver.pulse(bench.now_ns)
    report = bench.poll()
    assert (report.acknowledged, report.oldest_unacknowledged_ns) == ((), bench.now_ns)
    bench.clock.advance(5 * MS)
    report = bench.poll()
    assert (report.acknowledged, report.ack_of) == (both, number)
    # One output has given a pulse of the next order, the other not: it is no order's.
    later = (setting(21.0), setting(11.0, channel="right", rate_hz=25.0))
    bench.run(22, *later)
    bench.clock.advance(5 * MS)
    report = bench.poll()
    assert (report.acknowledged, report.ack_of) == ((later[0], both[1]), 0)
    bench.run(40, *later)
    report = bench.poll()
    assert (report.acknowledged, report.ack_of) == (later, report.sent)


def test_zero_is_acknowledged_at_once_and_an_output_that_is_off_gives_nothing(make_bench):
    bench = make_bench()
    bench.run(100, setting(), setting(channel="right"))
    report = bench.run(30, setting())
    assert report.acknowledged == (setting(),)
    report = bench.run(30)
    assert report.acknowledged == ()
    made = len(bench.made)
    bench.run(200)
    assert len(bench.made) == made


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (1, "left: the command arrived damaged (result 1)"),
        (2, "left: a value the device does not take (result 2)"),
        (4, "left: timeout of the stimulation processor (result 4)"),
        (7, "left: not initialised, or another level is active (result 7)"),
        (8, "left: high-voltage error (result 8)"),
        (10, "left: electrode open or badly in contact (result 10)"),
        (16, "left: pulse timeout: the pulse does not fit its period (result 16)"),
        (28, "left: less current than was set: the load is too high (result 28)"),
        (99, "left: unknown result (result 99)"),
    ],
)
def test_every_error_is_said_with_its_channel_and_ends_its_train(make_bench, result, text):
    bench = make_bench()
    bench.run(100, setting(), setting(channel="right"))
    bench.device.faults.results_once[2] = result
    made = len(bench.made)
    bench.run(30, write=False)
    assert bench.faults == [text]
    # What concerns one output ends its train, anything else all.
    alone = result in (10, 16, 28)
    assert (bench.driver.due_ns is not None) == alone
    bench.run(15, write=False)
    assert len([pulse for pulse in bench.made[made:] if pulse.output == 0]) == 0
    assert len([pulse for pulse in bench.made[made:] if pulse.output == 1]) == (2 if alone else 1)
    assert bench.driver.poll(bench.now_ns)[0].faults == ()


def test_an_open_electrode_is_said_from_15_ma_on_and_its_pulses_are_none(make_bench):
    bench = make_bench()
    bench.device.faults.open_electrodes.add(1)
    bench.run(45, setting(), setting(14.5, channel="right"))
    assert bench.faults == []
    bench = make_bench()
    bench.device.faults.open_electrodes.add(1)
    bench.run(45, setting(), setting(15.0, channel="right"))
    assert bench.faults == ["right: electrode open or badly in contact (result 10)"]
    receipts(bench)


def test_a_load_that_is_too_high_is_said(make_bench):
    bench = make_bench()
    bench.run(50, setting(40.0))
    bench.device.faults.load_ohm[0] = 5000.0
    bench.run(50, setting(40.0))
    assert bench.faults == ["left: less current than was set: the load is too high (result 28)"]


def test_a_receipt_that_gets_lost_stays_unacknowledged_and_its_pulse_is_told_as_sent(make_bench):
    bench = make_bench()
    bench.device.faults.drop_answers = True
    bench.write(setting())
    sent_ns = bench.now_ns
    bench.driver.pulse(sent_ns)
    report = bench.run(250, setting())
    assert report.oldest_unacknowledged_ns == sent_ns
    assert bench.told == []
    bench.run(300, setting())
    ((t_ns, train),) = bench.told
    assert (t_ns, train.kind) == (sent_ns, "sent")
    # It stays unacknowledged, and its output silent, until a stop.
    assert bench.reports[-1].oldest_unacknowledged_ns == sent_ns
    assert len(bench.made) == 1
    bench.device.faults.drop_answers = False
    bench.driver.stop(bench.now_ns)
    bench.run(300, write=False)
    assert bench.reports[-1].oldest_unacknowledged_ns is None
    assert len(bench.told) == 1


def test_a_receipt_after_half_a_second_tells_its_pulse_no_second_time(make_bench):
    bench = make_bench()
    bench.device.faults.answer_delay_ns = 600 * MS
    bench.write(setting())
    bench.driver.pulse(bench.now_ns)
    bench.run(700, write=False)
    assert [train.kind for _, train in bench.told] == ["sent"]


def test_a_pulse_under_way_at_a_stop_is_told(make_bench):
    bench = make_bench()
    bench.write(setting(), setting(channel="right"))
    bench.driver.pulse(bench.now_ns)
    bench.driver.stop(bench.now_ns)
    bench.run(600, write=False)
    # The device gives the one that has begun and drops the other; nobody says so.
    assert len(bench.made) == 1
    assert sorted((train.channel, train.kind) for _, train in bench.told) == [
        ("left", "acknowledged"),
        ("right", "sent"),
    ]
    assert bench.faults == []


@pytest.mark.parametrize("fault", ["duplicate_answers", "split_answers_ns", "garbage_before_answers"])
def test_answers_twice_in_pieces_or_after_garbage_change_nothing(make_bench, fault):
    bench = make_bench()
    value = {"duplicate_answers": True, "split_answers_ns": 2 * MS, "garbage_before_answers": b"\xf0\x81\x55\x81"}
    setattr(bench.device.faults, fault, value[fault])
    bench.run(500, setting(), setting(channel="right", rate_hz=32.0))
    bench.run(50)
    receipts(bench)
    assert bench.faults == []


@pytest.mark.parametrize("fault", ["wrong_number_answers", "corrupt_answers", "drop_answers"])
def test_answers_that_cannot_be_matched_leave_pulses_unacknowledged(make_bench, fault):
    bench = make_bench()
    setattr(bench.device.faults, fault, True)
    sent_ns = bench.now_ns + MS
    report = bench.run(300, setting())
    assert report.oldest_unacknowledged_ns == sent_ns
    assert report.acknowledged == ()
    assert len(bench.made) == 1


def test_a_receipt_for_another_output_is_a_fault(make_bench):
    bench = make_bench()
    bench.device.faults.drop_answers = True
    bench.write(setting())
    bench.driver.pulse(bench.now_ns)
    (pulse,) = pulses_sent(bench)
    answer = encode(Frame(pulse.number, 3, b"\x00\x01\x00"))
    bench.line.receive = lambda: answer
    assert bench.poll().faults == ("left: the receipt of its pulse is for right",)


def test_a_restart_of_the_device_is_seen_in_a_train_and_at_zero(make_bench):
    bench = make_bench()
    bench.run(50, setting())
    bench.device._level = 0
    bench.run(40, setting())
    assert bench.faults == ["left: not initialised, or another level is active (result 7)"]
    assert bench.poll().acknowledged == ()
    bench = make_bench()
    bench.device._level = 0
    bench.run(60)
    assert "it was restarted?" in bench.faults[0]
    bench = make_bench()
    bench.device.faults.results_once[62] = 7
    bench.run(60)
    assert bench.faults == ["state: not initialised, or another level is active (result 7)"]


def test_a_pulse_whose_bytes_say_otherwise_is_never_written(make_bench, monkeypatch):
    bench = make_bench()
    bench.write(setting())
    honest = low_level.commands.ll_channel_config

    def other(number, channel, connector, points):
        return honest(number, channel, connector, [type(p)(p.duration_us, p.half_ma * 2) for p in points])

    monkeypatch.setattr(low_level.commands, "ll_channel_config", other)
    bench.driver.pulse(bench.now_ns)
    assert pulses_sent(bench) == []
    assert bench.driver.due_ns is None
    report = bench.poll()
    assert report.faults == ("left: the bytes of a pulse do not say what was allowed",)
    # It has stopped, too.
    assert Receiver().feed(bench.line.sent[-1])[0].command == 4


def test_bytes_that_are_no_table_are_not_written(make_bench):
    bench = make_bench()
    with pytest.raises(DriverError, match="not the table"):
        bench.driver.write(b"\xf0", bench.now_ns)


def test_a_rest_between_the_phases_is_on_the_wire(make_bench):
    bench = make_bench(interphase_us=100)
    bench.write(setting())
    bench.driver.pulse(bench.now_ns)
    (pulse,) = pulses_sent(bench)
    assert len(pulse.payload) == 1 + 3 * 4
    assert int.from_bytes(pulse.payload[5:9], "big") == 100 << 20 | 300 << 10


def test_a_rehamove3_is_begun_with_the_lowest_voltage_that_will_do(make_bench):
    for current_max_ma, code in ((30.0, 2), (60.0, 3), (100.0, 5)):
        bench = make_bench("rehamove3", current_max_ma=current_max_ma)
        begun = [frame for frame in Receiver().feed(b"".join(bench.line.sent)) if frame.command == 0]
        assert [frame.payload[0] >> 1 for frame in begun] == [code]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(
    st.sampled_from(["on", "both", "zero", "nothing", "stop", "late"]), st.integers(1, 60), st.integers(5, 100)
), max_size=25))  # fmt: skip
def test_whatever_is_done_no_pulse_is_lost_none_too_soon_none_too_strong(make_bench, acts):
    bench = make_bench()
    spacing_ns = {}
    for act, ms, rate_hz in acts:
        # Answers are late at worst, never lost.
        bench.device.faults.answer_delay_ns = 15 * MS if act == "late" else 0
        wish = [setting(rate_hz=1e6 / (1_000_000 // rate_hz))]
        if act == "both":
            wish.append(setting(10.0, channel="right"))
        if act == "stop":
            bench.driver.stop(bench.now_ns)
        bench.run(ms, *(wish if act in ("on", "both", "late") else ()), write=act not in ("nothing", "stop"))
    bench.driver.stop(bench.now_ns)
    bench.run(700, write=False)
    assert bench.faults == []
    assert {pulse.current_ma for pulse in bench.made} <= {10.0, 20.0}
    told = {"acknowledged": 0, "sent": 0}
    for _, train in bench.told:
        told[train.kind] += 1
    # What a stop met on its way may have been given or not, and is told as sent.
    assert told["acknowledged"] <= len(bench.made) <= told["acknowledged"] + told["sent"]
    last_ns = {}
    for pulse in bench.made:
        gap_ns = pulse.t_ns - last_ns.get(pulse.output, -(10**12))
        spacing_ns[pulse.output] = min(gap_ns, spacing_ns.get(pulse.output, 10**12))
        last_ns[pulse.output] = pulse.t_ns
    assert all(gap_ns >= 10 * MS - 600_000 for gap_ns in spacing_ns.values())

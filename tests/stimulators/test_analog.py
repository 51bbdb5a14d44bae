"""The analog driver by the samples a device is given: balanced in its own codes, never longer than the lease."""

import inspect
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.analog import AnalogDriver
from myoloop.stimulators.analog_source import AnalogSettings
from myoloop.stimulators.driver import Driver, DriverError, PulseByPulse
from myoloop.stimulators.gate.limits import round_down

MS = 1_000_000
CHANNELS = {"left": 0, "right": 1}


def settings_with(**options):
    given = {"channels": CHANNELS, "port": "Dev1", "rig_class": "BENCH", "volts_per_ma": 0.5,
             "source_current_max_ma": 15.0, "zero_code": 0}  # fmt: skip
    return AnalogSettings(**{**given, **options})


def setting(current_ma=10.0, *, channel="left", phase_us=250.0, rate_hz=40.0):
    return ChannelSetting(channel=channel, current_ma=current_ma, phase_us=phase_us, rate_hz=rate_hz)


class Device:
    """Outputs that write down what is played; they can refuse, run dry, and be slow to end."""

    identity = "fake"

    def __init__(self):
        self.played, self.zeros, self.levels = [], 0, []
        self.refuses, self.ran_dry, self.busy, self.closed = set(), False, False, False

    def play(self, buffers, sample_rate_hz):
        self._may("play")
        self.played.append(([list(each) for each in buffers], sample_rate_hz))

    def done(self):
        self._may("done")
        if self.ran_dry:
            raise OSError("the buffer ran dry")
        return not self.busy

    def zero(self):
        self.zeros += 1
        self._may("zero")

    def heartbeat(self, level):
        self._may("heartbeat")
        self.levels.append(level)

    def close(self):
        self.closed = True

    def _may(self, what):
        if what in self.refuses:
            raise OSError(f"{what} refused")


class Bench:
    """Driver and device; the gate's cycle of 10 ms, and between its steps the node's punctual calls."""

    def __init__(self, **options):
        self.device = Device()
        self.driver = AnalogDriver(settings_with(**options), self.device)
        self.driver.open()
        self.now_ns = 1_000 * MS
        self.told = []

    def run(self, ms, *wanted, write=True, late_ns=0):
        reports = []
        end_ns = self.now_ns + ms * MS
        step_ns = self.now_ns
        while self.now_ns < end_ns:
            if self.now_ns >= step_ns:
                report, pulses = self.driver.poll(self.now_ns)
                reports.append(report)
                self.told += pulses
                if write and (step_ns // MS) % 50 == 0:
                    self.driver.write(self.driver.encode(wanted), self.now_ns)
                step_ns += 10 * MS
            due_ns = self.driver.due_ns
            if due_ns is not None and due_ns + late_ns <= self.now_ns:
                self.driver.pulse(self.now_ns)
            self.now_ns += MS // 4
        return reports

    def times_ms(self, channel="left"):
        return [pulse.t_ns[0] / MS - 1000 for pulse in self.told if pulse.channel == channel]


@pytest.fixture
def bench():
    return Bench()


def test_it_meets_the_contract_of_a_device_whose_pulses_the_host_makes():
    driver = AnalogDriver(settings_with())
    assert isinstance(driver, Driver)
    assert isinstance(driver, PulseByPulse)
    assert not driver.capabilities.times_itself


def test_a_human_rig_needs_a_relay_that_is_held_by_a_heartbeat():
    with pytest.raises(DriverError, match=r"HUMAN.*heartbeat_line"):
        settings_with(rig_class="HUMAN")
    assert settings_with(rig_class="HUMAN", heartbeat_line="port0/line0").rig_class == "HUMAN"


def test_open_sets_rest_and_tells_what_it_is():
    device = Device()
    driver = AnalogDriver(settings_with(), device)
    assert "no relay" in driver.open()
    assert device.zeros == 1
    device.refuses.add("zero")
    with pytest.raises(DriverError, match="zero refused"):
        AnalogDriver(settings_with(), device).open()


def test_the_buffer_is_two_phases_and_rest_in_codes(bench):
    bench.run(20, setting(10.0, phase_us=30.0))
    step_ma = 20 / 65536 / 0.5
    code = math.floor(10.0 / step_ma)
    assert bench.device.played == [([[code] * 3 + [-code] * 3 + [0], [0] * 7], 100_000)]
    assert bench.told[0].current_ma == code * step_ma
    assert bench.told[0].kind == "sent"


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(CHANNELS)), st.floats(0, 15), st.integers(1, 100), st.integers(10_000, 10**6)),
        max_size=2, unique_by=lambda one: one[0],
    ),
    st.sampled_from([16, 12]), st.integers(-200, 200),
)  # fmt: skip
def test_decoding_gives_back_what_was_encoded_less_under_a_step(asked, bits, zero_code):
    driver = AnalogDriver(settings_with(dac_bits=bits, zero_code=zero_code))
    can = driver.capabilities
    wanted = [
        setting(min(ma, can.current_max_ma), channel=channel, phase_us=10.0 * samples, rate_hz=1e6 / period_us)
        for channel, ma, samples, period_us in asked
    ]
    decoded = {output.output: output for output in driver.decode(driver.encode(wanted))}
    for one in wanted:
        got = decoded.pop(CHANNELS[one.channel], None)
        if got is None:
            assert one.current_ma < can.current_step_ma
            continue
        assert one.current_ma - can.current_step_ma < got.current_ma <= one.current_ma * (1 + 1e-9)
        assert got.phase_us == pytest.approx(one.phase_us, rel=1e-12)
        assert got.rate_hz == pytest.approx(one.rate_hz, rel=1e-12)
        assert got.net_charge_wire == 0
    assert not decoded


@settings(deadline=None)
@given(st.floats(0, 15), st.floats(0.01, 1000))
def test_what_the_gate_rounds_to_is_said_exactly(current_ma, volts_per_ma):
    driver = AnalogDriver(settings_with(volts_per_ma=volts_per_ma, source_current_max_ma=130.0))
    can = driver.capabilities
    allowed_ma = round_down(min(current_ma, can.current_max_ma), can.current_step_ma)
    decoded = driver.decode(driver.encode([setting(allowed_ma)]))
    assert sum(each.current_ma for each in decoded) == pytest.approx(allowed_ma, rel=1e-9)


def test_a_microcurrent_is_said_in_steps_far_below_it():
    driver = AnalogDriver(settings_with(volts_per_ma=10.0, source_current_max_ma=0.6, sample_rate_hz=10_000))
    can = driver.capabilities
    assert can.current_step_ma < 0.0001
    assert can.phase_max_us > 40_000
    (output,) = driver.decode(driver.encode([setting(0.1, phase_us=40_000.0, rate_hz=0.5)]))
    assert output.current_ma == pytest.approx(0.1, abs=can.current_step_ma)


def test_encode_and_decode_share_no_function_or_table():
    decode = "".join(map(inspect.getsource, (AnalogDriver.decode, AnalogDriver._read, AnalogDriver._pulse_of)))
    for name in ("_MAGIC", "struct.", "_whole", "_code_down"):
        assert name not in decode
    assert "DecodedOutput" not in inspect.getsource(AnalogDriver.encode)


@pytest.mark.parametrize(
    "wrong",
    [setting(channel="middle"), setting(-1.0), setting(15.1), setting(math.nan), setting(math.inf),
     setting(phase_us=5.0), setting(phase_us=255.0), setting(phase_us=math.nan), setting(phase_us=50_000.0),
     setting(rate_hz=0.0), setting(rate_hz=33.0), setting(rate_hz=125.0), setting(rate_hz=math.nan),
     setting(rate_hz=math.inf), setting(phase_us=5000.0, rate_hz=100.0)],
)  # fmt: skip
def test_what_the_device_cannot_say_is_refused(wrong):
    with pytest.raises(DriverError):
        AnalogDriver(settings_with()).encode([wrong])


def test_a_channel_twice_is_refused():
    with pytest.raises(DriverError, match="twice"):
        AnalogDriver(settings_with()).encode([setting(), setting()])


def spoiled(good, at, codes):
    """The table with samples changed: `at` is counted in samples of its first train."""
    data = bytearray(good)
    for index, code in enumerate(codes):
        place = 8 + 9 + 2 * (at + index)
        data[place : place + 2] = code.to_bytes(2, "little", signed=True)
    return bytes(data)


@pytest.mark.parametrize("codes", [[100], [0], [-5], [32767]])
def test_a_buffer_that_does_not_end_in_rest_or_is_no_pulse_is_not_decoded(codes):
    driver = AnalogDriver(settings_with())
    good = driver.encode([setting(phase_us=30.0)])
    for at in range(7):
        try:
            decoded = driver.decode(spoiled(good, at, codes))
        except DriverError:
            continue
        assert decoded == driver.decode(good) or decoded[0].net_charge_wire != 0


def test_net_charge_is_told_in_codes_times_samples():
    driver = AnalogDriver(settings_with(zero_code=7))
    good = driver.encode([setting(phase_us=20.0)])
    (output,) = driver.decode(spoiled(good, 0, [107, 107, -94, -94]))
    assert output.net_charge_wire == -2


def test_tables_that_must_never_be_played_are_not_decoded():
    driver = AnalogDriver(settings_with(lease_ms=1))
    good = driver.encode([setting(phase_us=30.0)])
    train = good[8:]
    other_output = b"\x02" + train[1:]
    no_period = train[:1] + bytes(4) + train[5:]
    for trains in ([other_output], [no_period], [train, train]):
        with pytest.raises(DriverError, match="not one table"):
            driver.decode(good[:7] + bytes((len(trains),)) + b"".join(trains))
    longer = AnalogDriver(settings_with()).encode([setting(phase_us=600.0)])
    with pytest.raises(DriverError, match="longer than 1 ms"):
        driver.decode(longer)
    with pytest.raises(DriverError, match="not one table"):
        AnalogDriver(settings_with(sample_rate_hz=50_000)).decode(good)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_bytes_that_are_not_one_whole_table_are_refused(data):
    driver = AnalogDriver(settings_with())
    good = driver.encode([setting(phase_us=30.0), setting(channel="right", phase_us=20.0)])
    bad = data.draw(
        st.one_of(
            st.integers(0, len(good) - 1).map(lambda end: good[:end]),
            st.binary(min_size=1, max_size=20).map(lambda more: good + more),
            st.binary(max_size=60),
            st.just(good + good),
        )
    )
    with pytest.raises(DriverError):
        driver.decode(bad)


def test_a_train_goes_on_while_it_is_written_never_sooner_than_its_period(bench):
    bench.run(1000, setting(rate_hz=40.0), setting(5.0, channel="right", rate_hz=25.0))
    for channel, period_ms in (("left", 25), ("right", 40)):
        gaps = [b - a for a, b in itertools.pairwise(bench.times_ms(channel))]
        assert min(gaps) >= period_ms
        assert sum(gaps) / len(gaps) <= period_ms + 0.8
    buffers = [row for rows, _ in bench.device.played for row in rows]
    assert all(sum(row) == 0 and row[-1] == 0 for row in buffers)


def test_a_host_that_does_not_write_any_more_gives_none_after_100_ms(bench):
    bench.run(200, setting(rate_hz=100.0))
    bench.run(500, setting(rate_hz=100.0), write=False)
    assert 240 <= max(bench.times_ms()) <= 250
    assert bench.driver.due_ns is None
    assert bench.driver.poll(bench.now_ns)[0].acknowledged == ()


def test_pulses_missed_by_more_than_half_a_period_are_not_caught_up(bench):
    bench.run(100, setting(rate_hz=100.0), late_ns=30 * MS)
    assert min(b - a for a, b in itertools.pairwise(bench.times_ms())) >= 10


def test_new_current_holds_from_the_next_pulse_and_off_and_on_does_not_beat_the_period(bench):
    bench.run(10, setting(10.0, rate_hz=20.0))
    for cycle in range(20):
        bench.driver.write(bench.driver.encode([setting(5.0, rate_hz=20.0)] if cycle % 2 else []), bench.now_ns)
        bench.run(10, write=False)
    gaps = [b - a for a, b in itertools.pairwise(bench.times_ms())]
    assert min(gaps) >= 50
    assert {round(pulse.current_ma) for pulse in bench.told} == {5, 10}


def test_a_buffer_is_not_cut_by_the_next_one():
    bench = Bench(volts_per_ma=10.0, source_current_max_ma=0.6, sample_rate_hz=10_000)
    bench.run(1000, setting(0.3, phase_us=20_000.0, rate_hz=10.0),
              setting(0.3, channel="right", phase_us=20_000.0, rate_hz=8.0))  # fmt: skip
    times = sorted({*bench.times_ms(), *bench.times_ms("right")})
    assert min(b - a for a, b in itertools.pairwise(times)) >= 40.1


def test_a_device_that_is_not_done_is_waited_for(bench):
    bench.device.busy = True
    bench.run(40, setting(rate_hz=100.0))
    assert bench.device.played == []
    bench.device.busy = False
    bench.run(40, setting(rate_hz=100.0))
    assert bench.device.played


def test_the_samples_of_every_pulse_are_read_again_before_they_are_played(bench):
    bench.driver.write(bench.driver.encode([setting(phase_us=30.0)]), bench.now_ns)
    train = bench.driver._trains[0]
    for spoiled_codes in [(*train.codes[:-1], 1), (train.codes[0] + 1, *train.codes[1:]), train.codes[:3], ()]:
        bench.driver.write(bench.driver.encode([setting(phase_us=30.0)]), bench.now_ns)
        bench.driver._trains[0].codes = spoiled_codes
        bench.driver.pulse(bench.driver.due_ns)
        assert bench.device.played == []
        assert "buffer" in bench.driver.poll(bench.now_ns)[0].faults[0]
        assert bench.driver.due_ns is None


def test_an_output_where_no_pulse_is_due_rests(bench):
    bench.driver.write(bench.driver.encode([setting(), setting(channel="right")]), bench.now_ns)
    with pytest.raises(DriverError, match="where no pulse is due"):
        bench.driver._check(1, bench.driver._trains[1].codes, [0])


def test_a_whole_pulse_that_is_another_than_was_given_is_not_played(bench):
    bench.driver.write(bench.driver.encode([setting(10.0)]), bench.now_ns)
    driver, train = bench.driver, bench.driver._trains[0]
    (_, _, stronger), *_ = driver._read(driver.encode([setting(11.0)]))
    (_, _, wider), *_ = driver._read(driver.encode([setting(10.0, phase_us=300.0)]))
    (_, _, right), *_ = driver._read(driver.encode([setting(10.0)]))
    unbalanced = (*train.codes[:-1], train.codes[-2], train.codes[-1])
    for codes in (stronger, wider, unbalanced):
        with pytest.raises(DriverError, match="not the pulse it was given"):
            driver._check(0, codes, [0])
    driver._check(0, right, [0])


def test_a_pulse_that_nobody_waits_for_is_none(bench):
    bench.driver.pulse(bench.now_ns)
    bench.driver.write(bench.driver.encode([setting()]), bench.now_ns)
    bench.driver.pulse(bench.now_ns)
    bench.driver.pulse(bench.now_ns)
    bench.driver.pulse(bench.now_ns + 10 * MS)
    assert len(bench.device.played) == 1


def test_the_relay_is_held_by_writes_alone(bench):
    bench.run(300, setting())
    assert bench.device.levels == [True, False] * 3
    bench.run(200, write=False)
    bench.driver.stop(bench.now_ns)
    assert len(bench.device.levels) == 6


def test_stop_is_rest_at_once_and_twice_more(bench):
    bench.run(100, setting())
    before = bench.device.zeros
    bench.driver.stop(bench.now_ns)
    assert bench.device.zeros == before + 1
    assert bench.driver.due_ns is None
    reports = bench.run(100, write=False)
    assert bench.device.zeros == before + 3
    assert (reports[-1].acknowledged, reports[-1].ack_of) == ((), reports[-1].sent)


def test_orders_are_confirmed_in_the_gates_own_numbers(bench):
    step_ma = bench.driver.capabilities.current_step_ma
    asked = setting(20_000 * step_ma)
    report = bench.run(60, asked)[-1]
    assert report.acknowledged == (asked,)
    assert (report.ack_of, report.oldest_unacknowledged_ns) == (report.sent, None)


@pytest.mark.parametrize("refusal", ["play", "done", "dry"])
def test_a_device_that_fails_is_lost_and_set_to_rest(bench, refusal):
    bench.run(100, setting())
    played, zeros = len(bench.device.played), bench.device.zeros
    if refusal == "dry":
        bench.device.ran_dry = True
    else:
        bench.device.refuses.add(refusal)
    reports = bench.run(30, write=False)
    assert not reports[-1].connected
    assert next(fault for report in reports for fault in report.faults).startswith("port lost: ")
    assert bench.device.zeros > zeros
    assert len(bench.device.played) == played
    with pytest.raises(DriverError, match="not open"):
        bench.driver.write(bench.driver.encode([]), bench.now_ns)


def test_a_relay_that_cannot_be_held_is_a_lost_device(bench):
    bench.device.refuses.add("heartbeat")
    with pytest.raises(DriverError, match="heartbeat refused"):
        bench.driver.write(bench.driver.encode([setting()]), bench.now_ns)
    assert bench.driver.due_ns is None


def test_stop_and_close_never_raise(bench):
    bench.device.refuses.update(("zero", "done"))
    bench.driver.stop(bench.now_ns)
    assert not bench.driver.poll(bench.now_ns)[0].connected
    bench.driver.close()
    bench.driver.close()
    bench.driver.stop(0)
    assert bench.device.closed


@pytest.mark.parametrize(
    "wrong",
    [{"rig_class": "human"}, {"channels": {"a": 2}}, {"channels": {"a": 0, "b": 0}}, {"volts_per_ma": 0.0},
     {"volts_per_ma": math.nan}, {"source_current_max_ma": 131.0}, {"source_current_max_ma": 0.001, "dac_bits": 8},
     {"zero_code": 5000}, {"lease_ms": 101}, {"lease_ms": 100, "sample_rate_hz": 500_000},
     {"sample_rate_hz": 30_000}, {"rate_max_hz": 0.0}, {"outputs": 0}, {"dac_bits": 24}, {"range_v": math.inf}],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(DriverError):
        settings_with(**wrong)

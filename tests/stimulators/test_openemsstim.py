"""The openEMSstim driver: lines that say what was allowed, told again in time, and a board that shuts off when not."""

import inspect
import itertools
import json
import math
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from myoloop.platform.clock import VirtualClock
from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import Driver, DriverError
from myoloop.stimulators.emulators.openemsstim import OpenEmsStimDevice, OpenEmsStimSettings, share_of, wiper
from myoloop.stimulators.openemsstim import OpenEmsStimDriver
from myoloop.stimulators.openemsstim_decoder import decoded
from myoloop.stimulators.openemsstim_lines import OpenEmsStimDriverSettings, command_line, encoded
from myoloop.stimulators.transport import MemoryTransport

MS = 1_000_000
CHANNELS = {"left": 0, "right": 1}
#: How long a line may wait for its turn behind others.
WAITS_NS = 120 * MS
GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/openemsstim_ascii.json").read_text())["vectors"]
UNIT = {
    "unit_current_ma_at_full": 15.0, "unit_phase_us": 250.0, "unit_rate_hz": 50.0,
    "unit_waveform": "symmetric_biphasic",
}  # fmt: skip


def settings_with(**options):
    return OpenEmsStimDriverSettings(
        **{"channels": CHANNELS, "port": "/dev/ttyUSB0", "ready_s": 0.05, **UNIT, **options}
    )


def setting(current_ma=15.0, *, channel="left", phase_us=250.0, rate_hz=50.0):
    return ChannelSetting(channel=channel, current_ma=current_ma, phase_us=phase_us, rate_hz=rate_hz)


class Waiting(MemoryTransport):
    """While the driver opens, each look at the port lets time go by."""

    step_ns = 100 * MS

    def receive(self):
        self._clock.advance(self.step_ns)
        return super().receive()


class Bench:
    """Driver and board on one virtual clock; the gate's cycle of 10 ms, its write at least every 50 ms."""

    def __init__(self, framing="wv", opened=True, **options):
        self.clock = VirtualClock()
        self.device = OpenEmsStimDevice(
            OpenEmsStimSettings(plain_text=framing == "plain", **options), start_ns=self.clock.now_ns()
        )
        self.link = Waiting(self.device, self.clock)
        self.driver = OpenEmsStimDriver(settings_with(framing=framing, ready_s=5.0), self.link)
        self.lines = []
        if opened:
            self.driver.open()
            self.link.step_ns = 0
            self.device.pulses_until(self.clock.now_ns())

    def run(self, ms, *wanted, write=True):
        told, faults, reports = [], [], []
        for cycle in range(ms // 10):
            now_ns = self.clock.now_ns()
            report, pulses = self.driver.poll(now_ns)
            told += [(t_ns, train) for train in pulses for t_ns in train.t_ns]
            faults += report.faults
            reports.append(report)
            if write and cycle % 5 == 0:
                self.driver.write(self.driver.encode(wanted), now_ns)
            self.clock.advance(10 * MS)
        return reports, told, faults

    def pulses(self):
        return self.device.pulses_until(self.clock.now_ns())


@pytest.fixture
def bench():
    return Bench()


def test_it_meets_the_contract():
    assert isinstance(OpenEmsStimDriver(settings_with()), Driver)


@pytest.mark.parametrize("vector", [v for v in GOLDEN if "channel0" in v], ids=lambda v: v["name"])
def test_golden_lines(vector):
    args = vector["channel0"], vector["intensity_pct"], vector["on_time_ms"]
    assert command_line(*args, "wv").decode().strip() == vector["wv_hex_framed"]
    assert command_line(*args, "plain").hex() == vector["bytes_hex"]
    assert command_line(*args, "plain").decode().strip() == vector["ascii"]


def test_the_stop_is_the_golden_one():
    seen = []
    bench = Bench()
    bench.device.feed = lambda data, now_ns: seen.append(data)
    bench.driver.stop(bench.clock.now_ns())
    framed = {v["name"]: v for v in GOLDEN}
    assert seen == [
        command_line(0, None, 0, "wv") + command_line(1, None, 0, "wv")
        + framed["all_stop_by_bad_channel"]["wv_hex_framed"].encode() + b"\n"
        + framed["all_stop_ble_disconnect_string"]["ascii"].encode() + b"\n"
    ]  # fmt: skip
    assert bytes.fromhex("4330543047") == b"C0T0G"
    assert b"4330543047" in seen[0]


@pytest.mark.parametrize("framing", ["wv", "plain"])
def test_open_waits_for_the_board_and_hears_it_understand(framing):
    bench = Bench(framing, opened=False)
    assert "openEMSstim" in bench.driver.open()
    assert bench.pulses() == []


def test_plain_text_is_refused_by_its_own_trap():
    bench = Bench(opened=False)
    bench.driver = OpenEmsStimDriver(settings_with(framing="plain", ready_s=5.0), bench.link)
    with pytest.raises(DriverError, match="NON HEX"):
        bench.driver.open()


def test_a_silent_port_is_no_board():
    bench = Bench(opened=False)
    bench.device.faults.vanished = True
    bench.driver = OpenEmsStimDriver(settings_with(), bench.link)
    with pytest.raises(DriverError, match="nothing was said"):
        bench.driver.open()


@settings(deadline=None)
@given(st.floats(0, 15), st.floats(0, 15), st.sampled_from(["wv", "plain"]))
def test_decoding_gives_back_what_was_asked_less_under_a_step(left_ma, right_ma, framing):
    driver = OpenEmsStimDriver(settings_with(framing=framing))
    asked = [setting(left_ma), setting(right_ma, channel="right")]
    decoded = {each.output: each for each in driver.decode(driver.encode(asked))}
    for one in asked:
        got = decoded.pop(CHANNELS[one.channel], None)
        if got is None:
            assert one.current_ma < 5
            continue
        # Two thirds are one part of 213 less, the potentiometer's code nearest below.
        assert one.current_ma - 5 - 15 / 213 < got.current_ma <= one.current_ma * (1 + 1e-9)
        assert (got.phase_us, got.rate_hz, got.net_charge_wire) == (250.0, 50.0, 0)
    assert not decoded


def test_every_whole_step_can_be_said():
    driver = OpenEmsStimDriver(settings_with())
    step_ma = driver.capabilities.current_step_ma
    said = [driver.decode(driver.encode([setting(n * step_ma)])) for n in range(4)]
    assert said[0] == ()
    assert [each[0].current_ma for each in said[1:]] == [5.0, 15 * 141 / 213, 15.0]


@given(st.integers(1, 100))
def test_the_decoder_has_the_wiper_of_the_firmware(percent):
    driver = OpenEmsStimDriver(settings_with())
    (decoded,) = driver.decode(command_line(0, percent, 300, "wv") + command_line(1, None, 0, "wv"))
    assert decoded.current_ma == pytest.approx(15 * share_of(wiper(percent)), rel=1e-12)


def test_encode_and_decode_share_no_function_or_table():
    decode = inspect.getsource(decoded)
    for name in ("framed(", "command_line", "encoded", "_PERCENT", "LEVELS", "_off", "ON_TIME_MS"):
        assert name not in decode
    assert "DecodedOutput" not in inspect.getsource(encoded)


@pytest.mark.parametrize(
    "wrong",
    [setting(channel="middle"), setting(-1.0), setting(15.1), setting(math.nan), setting(math.inf),
     setting(phase_us=251.0), setting(phase_us=math.nan), setting(rate_hz=49.9), setting(rate_hz=math.inf)],
)  # fmt: skip
def test_what_the_unit_is_not_set_to_is_refused(wrong):
    with pytest.raises(DriverError):
        OpenEmsStimDriver(settings_with()).encode([wrong])


def test_a_channel_twice_is_refused():
    with pytest.raises(DriverError, match="twice"):
        OpenEmsStimDriver(settings_with()).encode([setting(), setting()])


@pytest.mark.parametrize(
    "text", [b"C0I0T300G", b"C0I100T301G", b"C0I101T300G", b"C9G", b"C0I100G", b"C1T0G", b"C0I01T300G", b"", b"Q"]
)
@pytest.mark.parametrize("framing", ["wv", "plain"])
def test_lines_that_must_never_leave_are_not_decoded(text, framing):
    driver = OpenEmsStimDriver(settings_with(framing=framing))
    line = b"WV,0018," + text.hex().upper().encode() + b".\n" if framing == "wv" else text + b"\n"
    with pytest.raises(DriverError):
        driver.decode(line + command_line(1, None, 0, framing))


@settings(deadline=None)
@given(st.data())
def test_spoiled_bytes_are_not_decoded(data):
    driver = OpenEmsStimDriver(settings_with())
    good = driver.encode([setting(), setting(5.0, channel="right")])
    at = data.draw(st.integers(0, len(good) - 1))
    spoiled = data.draw(
        st.one_of(
            st.just(good[:at]),
            st.binary(min_size=1, max_size=9).map(lambda more: good + more),
            st.binary(max_size=60),
        )
    )
    with pytest.raises(DriverError):
        driver.decode(spoiled)


def test_a_train_goes_on_while_it_is_written(bench):
    bench.run(1000, setting())
    pulses = bench.pulses()
    assert {b.t_ns - a.t_ns for a, b in itertools.pairwise(pulses)} == {20 * MS}
    assert {(pulse.output, pulse.current_ma) for pulse in pulses} == {(0, 15.0)}
    assert len(pulses) >= 44


def test_two_outputs_go_on_side_by_side_at_their_own_current(bench):
    _, _, faults = bench.run(2000, setting(5.0), setting(15.0, channel="right"))
    pulses = bench.pulses()
    assert faults == []
    for output, current_ma in ((0, 5.0), (1, 15.0)):
        own = [pulse for pulse in pulses if pulse.output == output]
        assert {b.t_ns - a.t_ns for a, b in itertools.pairwise(own)} == {20 * MS}
        assert {pulse.current_ma for pulse in own} == {current_ma}
        assert len(own) >= 90


def test_a_host_that_does_not_write_any_more_is_a_board_that_shuts_off(bench):
    bench.run(500, setting(), setting(channel="right"))
    last_ns = bench.clock.now_ns()
    bench.run(2000, write=False)
    assert bench.device.active == ()
    assert max(pulse.t_ns for pulse in bench.pulses()) < last_ns + bench.driver.capabilities.lease_ms * MS


def test_orders_are_confirmed_in_the_gates_own_numbers_within_its_time(bench):
    wanted = [setting(10.0), setting(5.0, channel="right")]
    reports, _, _ = bench.run(600, *wanted)
    assert reports[-1].acknowledged == tuple(wanted)
    assert reports[-1].sent - reports[-1].ack_of <= 5
    for report in reports:
        assert report.oldest_unacknowledged_ns is None or report.t_ns - report.oldest_unacknowledged_ns <= 240 * MS
    reports, _, _ = bench.run(600)
    assert reports[-1].acknowledged == ()
    assert bench.device.active == ()


def test_zero_goes_out_at_once(bench):
    bench.run(500, setting())
    t_ns = bench.clock.now_ns()
    bench.driver.write(bench.driver.encode([]), t_ns)
    bench.clock.advance(120 * MS)
    assert bench.device.active == () or bench.device.pulses_until(t_ns + 200 * MS)
    bench.clock.advance(100 * MS)
    bench.pulses()
    assert bench.device.active == ()


@pytest.mark.parametrize("into_ms", range(400, 560, 10))
def test_stop_ends_both_outputs_within_what_the_board_takes(into_ms):
    bench = Bench()
    bench.run(into_ms, setting(), setting(channel="right"))
    t_ns = bench.clock.now_ns()
    bench.driver.stop(t_ns)
    bench.driver.stop(t_ns)
    reports, _, _ = bench.run(1500, write=False)
    late_ms = (max(pulse.t_ns for pulse in bench.pulses()) - t_ns) / MS
    assert late_ms < 250
    assert bench.device.active == ()
    assert reports[-1].acknowledged == ()
    assert reports[-1].oldest_unacknowledged_ns is None
    assert bench.device.undefined == 0


def test_stop_goes_out_three_times_and_no_more():
    bench = Bench()
    seen = []
    feed = bench.device.feed
    bench.device.feed = lambda data, now_ns: (seen.append(data), feed(data, now_ns))
    for _ in range(3):
        bench.driver.stop(bench.clock.now_ns())
        bench.run(10, write=False)
    bench.run(4000, write=False)
    assert sum(data.count(b"Connection End") for data in seen) == 3


def test_current_after_a_stop_is_stopped_again_at_once(bench):
    bench.driver.stop(bench.clock.now_ns())
    bench.run(1000, setting())
    t_ns = bench.clock.now_ns()
    bench.driver.stop(t_ns)
    bench.run(1500, write=False)
    pulses = bench.pulses()
    assert pulses
    assert all(pulse.t_ns < t_ns + 250 * MS for pulse in pulses)
    assert bench.device.active == ()


def test_what_is_predicted_is_what_happens_within_what_is_said_of_it(bench):
    _, told, _ = bench.run(700, setting(5.0))
    _, more, _ = bench.run(700)
    told += more
    made = bench.pulses()
    assert abs(len(told) - len(made)) <= 8
    for t_ns, train in told:
        assert train.kind == "predicted"
        assert min(abs(t_ns - pulse.t_ns) for pulse in made) <= train.uncertainty_ns
        assert train.current_ma == made[0].current_ma
    for pulse in made:
        assert min(abs(t_ns - pulse.t_ns) for t_ns, _ in told) <= told[0][1].uncertainty_ns


def test_a_lost_echo_leaves_the_order_unconfirmed(bench):
    bench.device.faults.drop_answers = True
    t_ns = bench.clock.now_ns()
    reports, _, _ = bench.run(400, setting())
    assert reports[-1].oldest_unacknowledged_ns == t_ns
    assert reports[-1].acknowledged == ()
    bench.device.faults.drop_answers = False
    assert bench.run(600, setting())[0][-1].acknowledged == (setting(),)


@pytest.mark.parametrize("fault", ["corrupt_answers", "duplicate_answers"])
def test_spoiled_echoes_confirm_nothing_and_doubled_ones_nothing_twice(bench, fault):
    setattr(bench.device.faults, fault, True)
    reports, _, _ = bench.run(400, setting())
    assert reports[-1].acknowledged == ((setting(),) if fault == "duplicate_answers" else ())


def test_a_board_that_restarts_says_so(bench):
    bench.run(300, setting())
    bench.device.restart(bench.clock.now_ns())
    _, _, faults = bench.run(2500, write=False)
    assert faults == ["the board restarted"]
    assert bench.pulses()[-1].t_ns < bench.clock.now_ns() - 2000 * MS


def test_a_board_that_does_not_understand_is_a_fault(bench):
    bench.device.feed(b"nonsense\n", bench.clock.now_ns())
    assert bench.run(300)[2] == ["the board did not understand a command"]


def test_noise_without_an_end_is_let_go(bench):
    bench.driver._received += b"x" * 5000
    assert bench.driver.poll(bench.clock.now_ns())[0].faults == ()
    assert len(bench.driver._received) == 0
    assert bench.run(400, setting())[0][-1].acknowledged == (setting(),)


class Stutter:
    """A port that takes nothing for a moment, and then does again."""

    def __init__(self, link):
        self.link, self.full = link, True

    def send(self, data):
        if self.full:
            raise BlockingIOError("full")
        self.link.send(data)

    def receive(self):
        return self.link.receive()

    def close(self):
        pass


def test_a_port_that_was_lost_for_a_moment_is_stopped_all_the_same(bench):
    bench.run(300, setting())
    bench.driver._transport = Stutter(bench.driver._transport)
    with pytest.raises(DriverError, match="full"):
        bench.driver.write(bench.driver.encode([setting(5.0)]), bench.clock.now_ns())
    bench.driver._transport.full = False
    t_ns = bench.clock.now_ns()
    bench.driver.stop(t_ns)
    bench.run(1000, write=False)
    assert all(pulse.t_ns < t_ns + 250 * MS for pulse in bench.pulses())
    assert bench.device.active == ()
    with pytest.raises(DriverError, match="not open"):
        bench.driver.write(bench.driver.encode([]), bench.clock.now_ns())


def test_a_stop_that_the_port_did_not_take_is_sent_by_the_next_one(bench):
    bench.run(300, setting())
    bench.driver._transport = Stutter(bench.driver._transport)
    bench.driver.stop(bench.clock.now_ns())
    bench.driver._transport.full = False
    bench.run(20, write=False)
    told = []
    feed = bench.device.feed
    bench.device.feed = lambda data, now_ns: (told.append(data), feed(data, now_ns))
    bench.driver.stop(bench.clock.now_ns())
    bench.driver.stop(bench.clock.now_ns())
    assert [data.count(b"Connection End") for data in told] == [1]


class Gone:
    def send(self, data):
        raise BrokenPipeError("gone")

    def receive(self):
        raise BrokenPipeError("gone")

    def close(self):
        pass


def test_a_lost_port_is_told_once_and_stop_never_raises(bench):
    bench.driver._transport = Gone()
    report, _ = bench.driver.poll(bench.clock.now_ns())
    assert not report.connected
    assert report.faults == ("port lost: gone",)
    with pytest.raises(DriverError, match="not open"):
        bench.driver.write(bench.driver.encode([]), bench.clock.now_ns())
    bench.driver.stop(bench.clock.now_ns())
    bench.driver.close()
    bench.driver.close()
    bench.driver.stop(0)


def test_a_port_that_breaks_while_writing_or_stopping_is_lost():
    bench = Bench()
    bench.driver._transport = Gone()
    with pytest.raises(DriverError, match="gone"):
        bench.driver.write(bench.driver.encode([setting()]), bench.clock.now_ns())
    bench = Bench()
    bench.driver._transport = Gone()
    bench.driver.stop(bench.clock.now_ns())
    assert bench.driver.poll(bench.clock.now_ns())[0].faults == ("port lost: gone",)


def test_a_port_that_is_gone_at_once_is_one_line():
    with pytest.raises(DriverError, match=r"^openEMSstim: gone$"):
        OpenEmsStimDriver(settings_with(), Gone()).open()


def test_closing_in_a_train_ends_it(bench):
    bench.run(400, setting())
    t_ns = bench.clock.now_ns()
    bench.driver.close()
    bench.clock.advance(2000 * MS)
    assert all(pulse.t_ns < t_ns + 250 * MS for pulse in bench.pulses())
    assert bench.device.active == ()


acts = st.sampled_from(["off", "left", "both", "right", "stop", "nothing", "deaf", "heard"])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(acts, st.integers(1, 20)), max_size=20))
@example([("off", 1), ("both", 1), ("nothing", 13), ("nothing", 20), ("off", 13)])
def test_whatever_is_asked_when_no_line_is_ever_undefined_and_zero_always_comes(script):
    bench = Bench()
    allowed_ns = {0: 0, 1: 0}
    for act, cycles in script:
        wanted = {
            "left": [setting(10.0)], "right": [setting(5.0, channel="right")],
            "both": [setting(5.0), setting(10.0, channel="right")],
        }.get(act, [])  # fmt: skip
        if act in ("deaf", "heard"):
            bench.device.faults.drop_answers = act == "deaf"
        if act == "stop":
            bench.driver.stop(bench.clock.now_ns())
        bench.run(cycles * 10, *wanted, write=act in ("off", "left", "right", "both"))
        for each in wanted:
            allowed_ns[CHANNELS[each.channel]] = bench.clock.now_ns()
        lease_ns = bench.driver.capabilities.lease_ms * MS
        for pulse in bench.pulses():
            # The lease counts from the last line, which may have waited for its turn.
            assert pulse.t_ns <= allowed_ns[pulse.output] + WAITS_NS + lease_ns
            assert pulse.current_ma <= 10.0
    bench.driver.stop(bench.clock.now_ns())
    bench.run(1500, write=False)
    bench.pulses()
    assert bench.device.active == ()
    assert bench.device.undefined == 0


@pytest.mark.parametrize(
    "wrong",
    [{"channels": {"a": 2}}, {"channels": {"a": 0, "b": 0}}, {"unit_current_ma_at_full": 0.0},
     {"unit_current_ma_at_full": math.nan}, {"unit_phase_us": -1.0}, {"unit_rate_hz": math.inf},
     {"unit_waveform": "monophasic"}, {"framing": "hex"}, {"ready_s": 0.0}],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(DriverError):
        settings_with(**wrong)

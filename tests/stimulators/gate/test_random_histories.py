"""Whatever happens: random worlds, requests, acts and times, watched by a second set of eyes.

The :class:`Witness` knows the rules by itself (limits from the golden file, formulas written again, its own memory of
what was heard and done) and judges every single step of a history.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace
from math import inf, isfinite, nan, sqrt
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from myoloop.stimulators import gate

MS = 1_000_000
S = 1_000 * MS
CEILING = json.loads((Path(__file__).parents[2] / "data" / "default_envelope.json").read_text())["ceiling"]
DEVICE_MA, DEVICE_STEP_MA, DEVICE_US, DEVICE_HZ = 100.0, 0.5, (20.0, 1000.0), (0.5, 200.0)
EPS = 1e-9


def most_ma(envelope, limits, setting, calibrating):
    """The least of all limits on current, worked out again: participant, class, device."""
    top = CEILING[envelope.waveform_class]
    width_s, rate_hz = setting.phase_us * 1e-6, setting.rate_hz
    per_rms = 1 / sqrt(2 * width_s * rate_hz)
    stuck_cm2 = limits.pad_area_cm2 * 0.5
    charge_uc = min(envelope.charge_per_phase_uc, top["charge_per_phase_uC"])
    rms_ma = min(envelope.rms_ma, top["rms_mA_per_channel"])
    density = min(envelope.rms_density_ma_cm2, top["rms_density_mA_cm2"])
    power = min(envelope.power_density_w_cm2, top["power_density_W_cm2"])
    return min(
        envelope.current_ma_calibrating if calibrating else limits.current_max_ma,
        top["current_mA"],
        DEVICE_MA,
        charge_uc * 1e-6 / width_s * 1e3,
        rms_ma * per_rms,
        density * stuck_cm2 * per_rms,
        # P = R I^2: 500 ohm
        1e3 * sqrt(power * stuck_cm2 / 500) * per_rms,
    )


class Witness:
    """Judges every step of a gate on the bench."""

    def __init__(self, bench):
        self.bench = bench
        self.before_ns = None
        self.stopping = 0
        self.latched_ns = None
        self.healthy_ns = None
        self.owed = ["confirm", "arm"]
        self.on_device = ()
        self.sent = False
        self.accepted = None
        self.had = {}
        self.highest = {}
        self.train = {}
        self.on_s = self.charge_mc = self.loose_mc = 0.0
        self.clock_ns = self.ended_ns = self.rest_from_ns = 0
        self.outputs = {}
        self.previous = ()
        self.ramp = None
        self.currents = 0

    def judge(self, request, acts, stops):
        bench, verdict, now_ns = self.bench, self.bench.verdict, self.bench.now_ns
        state, evidence = bench.state, bench.evidence()
        elapsed_ns = 0 if self.before_ns is None else now_ns - self.before_ns
        self.book(elapsed_ns)
        jumped = elapsed_ns < 0 or elapsed_ns > 100 * MS
        broken = jumped or self.broken(evidence, now_ns)
        done = [(act, reply) for act, reply in zip(acts, verdict.replies, strict=True) if reply.ok]
        self.watch_latch(state, stops, done, broken, now_ns)
        self.forget_ground(state, done, evidence)
        pausing = self.watch_pause(done, stops, broken, now_ns)
        if request is not None:
            self.accepted = request
        if verdict.allowed:
            self.currents += 1
            assert not stops, "current in the step of a stop"
            assert self.latched_ns is None, "current while latched"
            assert not self.owed or (pausing and self.owed == ["arm"]), f"current before the operator's {self.owed}"
            assert not broken, "current with something broken"
            self.check_evidence(evidence, now_ns)
            self.check_limits(verdict, state)
            if pausing:
                self.check_ramp(verdict, state, now_ns)
            else:
                self.check_request(verdict, evidence, done, now_ns)
                self.check_dose(state)
            self.check_rise(verdict, state, now_ns, elapsed_ns)
        self.check_device(verdict, state, evidence, now_ns)
        if not verdict.allowed:
            self.train = {}
        for channel in {setting.channel for setting in self.previous} - {s.channel for s in verdict.allowed}:
            self.train.pop(channel, None)
        self.give(verdict.allowed)
        self.previous, self.before_ns = verdict.allowed, now_ns

    # -- what the witness keeps ------------------------------------------------------------------------------------

    def broken(self, evidence, now_ns):
        device = evidence.device
        waited_ns = 0 if device.oldest_unacknowledged_ns is None else now_ns - device.oldest_unacknowledged_ns
        return bool(
            not device.connected
            or device.faults
            or waited_ns > 250 * MS
            or abs(evidence.slept_ns) > 50 * MS
            or evidence.faults
            or any(peer not in evidence.peers for peer in self.bench.settings.watched)
            or evidence.ended_peers & set(self.bench.settings.watched)
            or any(abs(now_ns - heard_ns) > 150 * MS for heard_ns in evidence.peers.values())
        )

    def book(self, elapsed_ns):
        elapsed_ns = max(0, elapsed_ns)
        began_ns, self.clock_ns = self.clock_ns, self.clock_ns + elapsed_ns
        self.charge_mc += sum(s.current_ma * s.phase_us * s.rate_hz * elapsed_ns / S * 1e-6 for s in self.previous)
        for output in self.outputs.values():
            output.run(elapsed_ns)
        if self.previous:
            # A gap shorter than a period, and than one of 12 Hz, was no rest.
            since_ns = self.ended_ns if began_ns < self.rest_from_ns else began_ns
            self.on_s += (self.clock_ns - since_ns) / S
            self.ended_ns = self.clock_ns
            longest_ns = max(int(1e9 / s.rate_hz) for s in self.previous)
            self.rest_from_ns = max(self.rest_from_ns, self.clock_ns + max(longest_ns, 83_333_334))

    def give(self, allowed):
        """A device gives pulses, which are booked; for each change one too many at most, and one that is to come."""
        before = {s.channel: s for s in self.previous}
        flows = {s.channel: s for s in allowed}
        for channel in before.keys() | flows.keys():
            was, now = before.get(channel), flows.get(channel)
            if was != now:
                self.loose_mc += 2 * max(s.current_ma * s.phase_us for s in (was, now) if s is not None) * 1e-6
            output = self.outputs.setdefault(channel, self.bench.output("following"))
            output.set(None if now is None else (now.current_ma * now.phase_us * 1e-3, now.rate_hz))
        booked_mc = self.bench.state.dose.charge_mc
        assert self.given_mc() <= booked_mc + EPS
        assert self.charge_mc - EPS <= booked_mc <= self.charge_mc + self.loose_mc + EPS

    def given_mc(self):
        return sum(output.charge_mc for output in self.outputs.values())

    def watch_latch(self, state, stops, done, broken, now_ns):
        if stops:
            assert state.name == "STOPPED", "a stop was not obeyed in its step"
            self.latched_ns, self.owed = now_ns, ["acknowledge", "confirm", "arm"]
            self.stopping = 3
            self.healthy_ns = None
            return
        if self.latched_ns is None and state.latch is not None:
            self.latched_ns, self.owed = now_ns, ["acknowledge", "confirm", "arm"]
            self.stopping = 3
            self.healthy_ns = None
            assert broken, "a latch without a cause"
            return
        if self.latched_ns is not None:
            self.healthy_ns = None if broken else now_ns if self.healthy_ns is None else self.healthy_ns
        elif not self.bench.connected:
            self.owed = ["confirm", "arm"]
        for act, _ in done:
            assert not act.scripted or self.bench.settings.rig_class != "HUMAN" or act.kind == "pause"
            if act.kind == "acknowledge":
                assert now_ns - self.latched_ns >= 10 * S, "acknowledged too early"
                assert self.healthy_ns is not None
                assert now_ns - self.healthy_ns >= 3 * S, "acknowledged before 3 s of health"
                self.latched_ns = None
            if self.owed and act.kind == self.owed[0]:
                assert act.role == "operator"
                self.owed = self.owed[1:]
            elif act.kind == "set_envelope" and "acknowledge" not in self.owed:
                self.owed = ["confirm", "arm"]
            elif act.kind == "pause":
                self.owed = [kind for kind in ("acknowledge", "confirm") if kind in self.owed] + ["arm"]

    def forget_ground(self, state, done, evidence):
        """A latch, a new envelope, a device that went away."""
        if state.latch is not None or not evidence.device.connected or any(a.kind == "set_envelope" for a, _ in done):
            self.had, self.highest, self.train = {}, {}, {}

    def watch_pause(self, done, stops, broken, now_ns):
        if stops or broken or not self.previous:
            self.ramp = None
        elif self.ramp is None and any(act.kind == "pause" for act, _ in done):
            self.ramp = (now_ns, {s.channel: s.current_ma for s in self.previous})
        return self.ramp is not None

    # -- what must hold where current flows ------------------------------------------------------------------------

    def check_evidence(self, evidence, now_ns):
        envelope = self.bench.state.envelope
        for topic in envelope.required_vitals:
            vital = evidence.vitals[topic]
            assert abs(now_ns - vital.good_ns) <= envelope.sensor_age_ms * MS
            assert vital.at_rate
        assert abs(now_ns - evidence.phase_ns) <= 300 * MS

    def check_limits(self, verdict, state):
        envelope, top = state.envelope, CEILING[state.envelope.waveform_class]
        arming = state.arming
        calibrating = bool(arming and arming.calibrating) or state.name == "READY"
        assert len(verdict.allowed) <= min(envelope.channels_max, top["channels_max"])
        assert len({setting.channel for setting in verdict.allowed}) == len(verdict.allowed)
        for setting in verdict.allowed:
            limits = envelope.channel(setting.channel)
            assert limits is not None
            assert all(isfinite(value) for value in (setting.current_ma, setting.phase_us, setting.rate_hz))
            assert setting.current_ma > 0
            for value, bounds in (
                (setting.phase_us, (envelope.phase_us, top["phase_us"], DEVICE_US)),
                (setting.rate_hz, (envelope.rate_hz, top["rate_hz"], DEVICE_HZ)),
            ):
                assert all(low <= value <= high for low, high in bounds)
            assert setting.current_ma <= most_ma(envelope, limits, setting, calibrating) * (1 + EPS)
            assert (setting.current_ma / DEVICE_STEP_MA).is_integer()
            if arming and arming.calibrating:
                assert setting.channel == arming.calibrating
                assert setting.current_ma <= arming.level_ma

    def check_request(self, verdict, evidence, done, now_ns):
        request = self.accepted
        assert evidence.phase_running
        assert request is not None
        assert request.arm_id == self.bench.state.arming.arm_id
        assert not any(act.kind == "arm" for act, _ in done), "current in the step of the arming"
        assert now_ns - request.t_ns < request.lease_ms * MS <= 120 * MS, "current on a lapsed lease"
        asked = {setting.channel: setting for setting in request.settings}
        assert len(asked) == len(request.settings)
        for setting in verdict.allowed:
            assert setting.current_ma <= asked[setting.channel].current_ma
            assert (setting.phase_us, setting.rate_hz) == (
                asked[setting.channel].phase_us,
                asked[setting.channel].rate_hz,
            )
        for setting in request.settings:
            assert all(isfinite(v) for v in (setting.current_ma, setting.phase_us, setting.rate_hz))
            assert setting.current_ma >= 0

    def check_ramp(self, verdict, state, now_ns):
        since_ns, began = self.ramp
        left = 1 - (now_ns - since_ns) / S / state.envelope.ramp_down_s
        before = {setting.channel: setting.current_ma for setting in self.previous}
        for setting in verdict.allowed:
            assert setting.current_ma <= before[setting.channel]
            assert setting.current_ma <= began[setting.channel] * left + EPS

    def check_dose(self, state):
        envelope = state.envelope
        assert state.dose.on_s == pytest.approx(self.on_s, abs=1e-6)
        prior = self.bench.settings.prior
        assert self.on_s < envelope.session_on_s_max + 1e-6
        given_mc = self.given_mc()
        assert given_mc < envelope.session_charge_mc_max + 1e-6
        assert prior.day_charge_mc + given_mc < envelope.day_charge_mc_max + 1e-6
        assert prior.course_charge_mc + given_mc < envelope.course_charge_mc_max + 1e-6
        for setting in self.bench.verdict.allowed:
            used = state.ontime.get(envelope.channel(setting.channel).output)
            used_ns = 0 if used is None else used.used_ns + (used.gap_ns or 0)
            assert setting.rate_hz <= 12 or used_ns < envelope.on_s_max * S

    def check_rise(self, verdict, state, now_ns, elapsed_ns):
        envelope = state.envelope
        step_ma, per_s = envelope.step_ma * (1 + 1e-8), envelope.new_ground_ma_per_s * (1 + 1e-8)
        for setting in verdict.allowed:
            channel, ma, us = setting.channel, setting.current_ma, setting.phase_us
            had = self.had.setdefault(channel, set())
            known_ma = max((i * min(1, w / us) for i, w in had), default=0.0)
            assert ma <= known_ma + step_ma, "more than a step beyond all that ever flowed"
            # The highest current and the highest charge rise by a step and then no faster than per_s.
            highs = self.highest.setdefault(channel, [])
            charge_uc = ma * us / 1000
            for then_ns, high_ma, high_uc in highs:
                more_ma = step_ma + per_s * (now_ns - then_ns) / S
                assert ma <= high_ma + more_ma
                assert charge_uc <= high_uc + more_ma * envelope.phase_us[1] / 1000 + EPS
            if not highs or ma > highs[-1][1] or charge_uc > highs[-1][2]:
                last = highs[-1] if highs else (0, 0.0, 0.0)
                highs.append((now_ns, max(ma, last[1]), max(charge_uc, last[2])))
            # A train rises from zero on its ramp.
            began_ns = self.train.setdefault(channel, now_ns - max(elapsed_ns, 0))
            strongest_ma = max([known_ma, *(i for i, _ in had)])
            ramp_ma = strongest_ma * (now_ns - began_ns) / S / envelope.known_ground_ramp_s_min
            assert ma <= ramp_ma + DEVICE_STEP_MA + step_ma
            had.add((ma, us))

    # -- what the device is told -----------------------------------------------------------------------------------

    def check_device(self, verdict, state, evidence, now_ns):
        assert verdict.allowed == state.output
        latched = state.latch is not None
        assert latched == (state.name in ("FAULT", "STOPPED")) == (self.latched_ns is not None)
        if self.stopping:
            assert verdict.stop, "stop bytes go out three times"
            self.stopping -= 1
        elif verdict.stop:
            assert latched, "stop bytes of no latch"
            assert not evidence.device.acknowledged_zero
        if verdict.stop:
            self.on_device = ()
        if verdict.write:
            assert not latched
            assert evidence.device.connected
            if not verdict.allowed and not self.on_device:
                assert evidence.device.acknowledged_zero or not self.sent, "a zero not acknowledged was kept alive"
            self.on_device, self.sent = verdict.allowed, True
        if not evidence.device.connected:
            self.on_device = ()
        assert self.on_device == verdict.allowed, "the device was not told what is in force"


# -- histories ---------------------------------------------------------------------------------------------------------

CURRENTS = st.one_of(
    st.floats(0.0, 8.0), st.floats(0.0, 150.0), st.sampled_from([0.0, 0.49, 0.5, 1.0, 3.0, 10.0, 40.0, 1e9, 5e-324])
)
WIDTHS = st.one_of(st.sampled_from([100.0, 150.0, 300.0, 400.0]), st.floats(100.0, 400.0))
RATES = st.one_of(st.sampled_from([2.0, 12.0, 40.0, 80.0]), st.floats(2.0, 80.0))
BAD = st.sampled_from([nan, inf, -inf, -1.0, -1e-300, 1e308, 0.0, 5000.0])
CHANNELS = st.sampled_from(["left", "right"])


@st.composite
def requests(draw):
    """Mostly reasonable; else wrong in one way."""
    count = draw(st.sampled_from([1, 1, 1, 2]))
    names = ["left", "right"][:count] if count == 2 else [draw(CHANNELS)]
    asked = [gate.Setting(name, draw(CURRENTS), draw(WIDTHS), draw(RATES)) for name in names]
    how = {"age_ms": draw(st.sampled_from([0.0, 2.0, 2.0, 9.0])), "lease_ms": 120}
    match draw(st.sampled_from(["", "", "", "", "", "", "number", "channel", "twice", "age", "lease", "arm_id"])):
        case "number":
            field = draw(st.sampled_from(["current_ma", "phase_us", "rate_hz"]))
            asked[-1] = replace(asked[-1], **{field: draw(BAD)})
        case "channel":
            asked.append(gate.Setting("heart", draw(CURRENTS), 300.0, 40.0))
        case "twice":
            asked.append(replace(asked[0], current_ma=draw(CURRENTS)))
        case "age":
            how["age_ms"] = draw(st.sampled_from([49.0, 50.0, 51.0, 1e4, -4.0, -6.0, -1e4]))
        case "lease":
            how["lease_ms"] = draw(st.sampled_from([-1, 0, 1, 11, 119, 121, 10**9]))
        case "arm_id":
            how["arm_id"] = draw(st.sampled_from(["", "guess", "nonce-1", "nonce-3"]))
    return ("request", tuple(asked), tuple(how.items()), draw(st.integers(1, 30)))


ACTS = st.tuples(
    st.just("act"),
    st.sampled_from(["confirm", "set_envelope", "arm", "calibrate", "step", "pause", "pause", "acknowledge"]),
    st.sampled_from(["right", "right", "right", "right", "operator", "director", "controller", ""]),
    st.sampled_from([False] * 7 + [True]),
    st.floats(0.1, 1.0),
)
WRONG = [
    "controller", "director", "vital/emg", "phase", "ended", "phase_running", "at_rate", "connected",
    "acknowledged_zero", "unacknowledged_ns", "device_faults", "node_faults", "slept_ns",
]  # fmt: skip
WRONGS = st.tuples(st.just("wrong"), st.sampled_from(WRONG), st.integers(1, 40))
TIMES = st.tuples(
    st.just("time"), st.sampled_from([0.0, 0.001, 1.0, 99.0, 100.0, 100.1, 5000.0, -0.001, -50.0, -20_000.0])
)
RISES = st.tuples(st.just("rise"), st.floats(0.5, 60.0), WIDTHS, RATES, st.integers(10, 150))
CALIBRATIONS = st.tuples(st.just("calibrate"), st.integers(1, 5), st.integers(5, 40))
STOPS = st.tuples(st.just("stop"), st.integers(1, 3))
WAYS_BACK = st.just(("back",))
EVENTS = st.one_of(WAYS_BACK, RISES, requests(), CALIBRATIONS, ACTS, WRONGS, TIMES, STOPS)
RIGS = ["SIM", "BENCH", "HUMAN"]
HISTORIES = st.tuples(st.sampled_from(RIGS), st.lists(EVENTS, max_size=30))


def an_event(rng, bench):
    """A likely event for a gate in its state, drawn by a seeded generator: histories that go far."""
    back = {"FAULT": 0.5, "STOPPED": 0.5, "READY": 0.3, "CONNECTED": 0.4, "DISCONNECTED": 0.4}
    if rng.random() < back.get(bench.name, 0.02):
        return ("back",)
    if bench.name in ("READY", "CONNECTED") and rng.random() < 0.2:
        return ("wrong", "connected", 5)
    width_us, rate_hz = rng.choice([100.0, 150.0, 300.0, 400.0, rng.uniform(100, 400)]), rng.choice([2.0, 12.0, 40.0])
    rate_hz = rng.choice([rate_hz, rate_hz, 80.0, rng.uniform(2, 80)])
    match rng.choices(
        ["rise", "request", "bad", "calibrate", "act", "wrong", "time", "stop"], [30, 30, 8, 4, 18, 12, 3, 1]
    )[0]:
        case "rise":
            ma = rng.choice([rng.uniform(0.5, 8), rng.uniform(0.5, 60), 12.0])
            return ("rise", ma, width_us, rate_hz, rng.randint(10, 150))
        case "request":
            channels = rng.choice([["left"], ["right"], ["left", "right"]])
            asked = [
                gate.Setting(name, rng.choice([0, 1, 3, rng.uniform(0, 12)]), width_us, rate_hz) for name in channels
            ]
            return ("request", tuple(asked), (("age_ms", rng.choice([0.0, 2.0, 9.0])),), rng.randint(1, 30))
        case "bad":
            setting = gate.Setting("left", rng.uniform(0, 12), width_us, rate_hz)
            field = rng.choice(["current_ma", "phase_us", "rate_hz"])
            wrong = replace(setting, **{field: rng.choice([nan, inf, -inf, -1.0, 1e308, 0.0, 5000.0])})
            asked = rng.choice([[wrong], [setting, setting], [setting, replace(setting, channel="heart")], [setting]])
            how = {"age_ms": rng.choice([2.0, 50.0, 51.0, -4.0, -6.0]), "lease_ms": rng.choice([0, 1, 120, 121])}
            how |= rng.choice([{}, {}, {"arm_id": "guess"}])
            return ("request", tuple(asked), tuple(how.items()), 1)
        case "calibrate":
            return ("calibrate", rng.randint(1, 6), rng.randint(5, 45))
        case "act":
            kinds = ["confirm", "set_envelope", "arm", "calibrate", "step", "pause", "acknowledge"]
            role = rng.choice(["right"] * 5 + ["operator", "director", "controller", ""])
            return ("act", rng.choice(kinds), role, rng.random() < 0.1, rng.uniform(0.3, 1.0))
        case "wrong":
            return ("wrong", rng.choice(WRONG), rng.randint(1, 50))
        case "time":
            return ("time", rng.choice([0.0, 0.001, 99.0, 100.0, 100.1, 5000.0, -0.001, -50.0, -20_000.0]))
        case _:
            return ("stop", rng.randint(1, 3))


class History:
    """Runs the events of a history on a bench, every step of it judged."""

    def __init__(self, new_gate, envelope, rig_class, dose_share=1.0):
        # Limits low enough that histories get there.
        envelope = replace(
            envelope,
            charge_per_phase_uc=3.0,
            rms_ma=1.5,
            on_s_max=2.0,
            session_on_s_max=40.0 * dose_share,
            session_charge_mc_max=4.0 * dose_share,
        )
        self.bench = new_gate(envelope, rig_class=rig_class)
        self.witness = Witness(self.bench)
        self.each_step = None
        self.back()

    def step(self, request=None, acts=(), stops=(), after_ms=10.0):
        bench = self.bench
        arm_id = bench.arm_id
        stamped = None if request is None else request(bench.now_ns + round(after_ms * MS), arm_id)
        if self.each_step is not None:
            self.each_step(bench, stamped, acts, stops, bench.now_ns + round(after_ms * MS))
        bench.step(stamped, acts=acts, stops=stops, after_ms=after_ms)
        self.witness.judge(stamped, acts, stops)
        return bench.verdict

    def act(self, kind, role="right", scripted=False, share=1.0):
        bench = self.bench
        arguments = {}
        match kind:
            case "confirm":
                arguments = {"envelope_sha256": bench.envelope.sha256}
            case "arm" | "calibrate":
                mode = "normal" if kind == "arm" else "calibration"
                arguments = {"session": "ses-01", "envelope_sha256": bench.envelope.sha256, "mode": mode}
                arguments |= {"channel": "left"} if kind == "calibrate" else {}
            case "set_envelope":
                channels = [replace(limits, current_max_ma=40.0 * share) for limits in bench.envelope.channels]
                envelope = replace(bench.envelope, channels=tuple(channels), rms_ma=10.0 * share)
                arguments = asdict(envelope)
                if bench.state.name in ("CONNECTED", "READY") and not bench.state.output:
                    bench.envelope = envelope
            case "step":
                level_ma = bench.state.arming.level_ma if bench.state.arming else 0.0
                arguments = {"channel": "left", "current_ma": level_ma + 2 * share - 0.5}
        if role == "right":
            role = "director" if kind == "set_envelope" else "operator"
        kind = {"calibrate": "arm"}.get(kind, kind)
        self.step(acts=[bench.act(kind, role, scripted=scripted, **arguments)])

    def back(self):
        """The whole way to ARMED, as far as the world lets it."""
        bench = self.bench
        bench.healthy()
        if bench.state.latch is not None:
            for _ in range(115):
                self.step(after_ms=99.0)
            self.act("acknowledge")
        self.step()
        if bench.state.envelope is None:
            self.act("set_envelope")
        self.act("confirm")
        self.act("arm")
        self.step(self.wish(()))

    def wish(self, asked, **how):
        from_conftest = self.bench.wish
        return from_conftest(settings=asked, **how)

    def run(self, events):
        bench = self.bench
        for event in events:
            match event:
                case ("request", asked, how, cycles):
                    for _ in range(cycles):
                        self.step(self.wish(asked, **dict(how)))
                case ("rise", ma, phase_us, rate_hz, cycles):
                    for _ in range(cycles):
                        self.step(self.wish((gate.Setting("left", ma, phase_us, rate_hz),)))
                case ("calibrate", steps, cycles):
                    self.act("pause")
                    for _ in range(60):
                        self.step()
                    self.act("calibrate")
                    self.step(self.wish(()))
                    for step in range(steps):
                        self.act("step", share=0.25 + 0.5 * (step % 2))
                        for _ in range(cycles):
                            self.step(self.wish((gate.Setting("left", 20.0, 300.0, 40.0),)))
                case ("act", kind, role, scripted, share):
                    self.act(kind, role, scripted, share)
                case ("wrong", what, cycles):
                    self.wrong(what)
                    for _ in range(cycles):
                        self.step(self.wish((gate.Setting("left", 3.0, 300.0, 40.0),)))
                    bench.healthy()
                case ("time", after_ms):
                    self.step(self.wish((gate.Setting("left", 3.0, 300.0, 40.0),)), after_ms=after_ms)
                case ("stop", cycles):
                    for _ in range(cycles):
                        self.step(self.wish((gate.Setting("left", 3.0, 300.0, 40.0),)), stops=["pedal"])
                case ("back",):
                    self.back()

    def wrong(self, what):
        bench = self.bench
        match what:
            case "ended":
                bench.ended = {"recorder"}
            case "phase_running" | "at_rate" | "connected" | "acknowledged_zero":
                setattr(bench, what, False)
            case "unacknowledged_ns":
                bench.unacknowledged_ns = bench.now_ns
            case "device_faults" | "node_faults":
                setattr(bench, what, ("",))
            case "slept_ns":
                bench.slept_ns = 60 * MS
            case _:
                bench.frozen[what] = bench.now_ns - 60 * MS


#: The same histories in every run, so that a build does not fail by chance; `make prove` has ten times as many.
FEW = settings(
    deadline=None, derandomize=True, database=None, max_examples=60, phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
MANY = settings(FEW, max_examples=600)


def judge_history(new_gate, envelope, rig_class, events):
    run = History(new_gate, envelope, rig_class)
    run.run(events)
    return run


def judge_seed(new_gate, envelope, seed, length):
    """A history of one seed; what it was stands in the failure."""
    rng = random.Random(seed)
    run, events = History(new_gate, envelope, rng.choice(RIGS), rng.choice([0.1, 1.0])), []
    try:
        for _ in range(length):
            events.append(an_event(rng, run.bench))
            run.run(events[-1:])
    except AssertionError as error:
        raise AssertionError(f"seed {seed}, after {events}: {error}") from error
    return run


@FEW
@given(HISTORIES)
def test_no_history_breaks_a_rule(new_gate, envelope, history):
    judge_history(new_gate, envelope, *history)


@pytest.mark.prove
@pytest.mark.timeout(1200)
@MANY
@given(HISTORIES)
def test_no_history_of_many_breaks_a_rule(new_gate, envelope, history):
    judge_history(new_gate, envelope, *history)


@pytest.mark.parametrize("seed", range(12))
def test_no_long_history_breaks_a_rule(new_gate, envelope, seed):
    judge_seed(new_gate, envelope, seed, 60)


@pytest.mark.prove
@pytest.mark.timeout(1200)
def test_no_long_history_of_many_breaks_a_rule(new_gate, envelope):
    for seed in range(1000, 1120):
        judge_seed(new_gate, envelope, seed, 60)


def test_the_long_histories_go_everywhere(new_gate, envelope):
    """A witness who never sees current proves nothing; nor one who never sees it limited."""
    states, rules, currents, highest_ma = set(), set(), 0, 0.0
    for seed in range(12):
        run = History(new_gate, envelope, "SIM", 0.1 if seed % 2 else 1.0)

        def see(bench, *_):
            nonlocal highest_ma
            states.add(bench.name)
            rules.add(bench.verdict.rule)
            highest_ma = max(highest_ma, bench.ma())

        run.each_step, rng = see, random.Random(seed)
        for _ in range(60):
            run.run([an_event(rng, run.bench)])
        currents += run.witness.currents
    assert states == {"DISCONNECTED", "CONNECTED", "READY", "CALIBRATING", "ARMED", "STIMULATING", "FAULT", "STOPPED"}
    assert rules >= {
        "arm id", "calibration step", "charge per phase", "dose", "latched", "lease", "not armed", "on-time",
        "pause", "phase", "range", "request age", "rise on known ground", "rise onto new ground", "stale phase",
        "stale samples",
    }  # fmt: skip
    assert currents > 3000
    assert highest_ma > 10


# -- a lower limit never allows more -----------------------------------------------------------------------------------

#: Everything that bounds from above; a ramp bounds the other way.
LOWERED = [
    "charge_per_phase_uc", "rms_ma", "rms_density_ma_cm2", "power_density_w_cm2", "channels_max", "on_s_max",
    "duty_max", "session_on_s_max", "session_charge_mc_max", "day_charge_mc_max", "course_charge_mc_max", "step_ma",
    "new_ground_ma_per_s", "current_ma_calibrating", "sensor_age_ms", "ramp_down_s",
]  # fmt: skip


def lowered(envelope, field, share):
    match field:
        case "channels":
            channels = tuple(replace(each, current_max_ma=each.current_max_ma * share) for each in envelope.channels)
            return replace(envelope, channels=channels)
        case "pads":
            channels = tuple(replace(each, pad_area_cm2=each.pad_area_cm2 * share) for each in envelope.channels)
            return replace(envelope, channels=channels)
        case "phase_us" | "rate_hz":
            low, high = getattr(envelope, field)
            return replace(envelope, **{field: (low + (high - low) * (1 - share) / 2, low + (high - low) * share)})
        case "known_ground_ramp_s_min":
            return replace(envelope, known_ground_ramp_s_min=envelope.known_ground_ramp_s_min / share)
        case "channels_max":
            return replace(envelope, channels_max=1)
        case _:
            return replace(envelope, **{field: getattr(envelope, field) * share})


FIELDS = [*LOWERED, "channels", "pads", "phase_us", "rate_hz", "known_ground_ramp_s_min"]


def compare_lowered(new_gate, envelope, rng, length):
    """At every step of a history, the same step under a lower limit."""
    run = History(new_gate, envelope, rng.choice(RIGS))

    def both(bench, request, acts, stops, now_ns):
        if bench.state.envelope is None or acts:
            return
        field, share = rng.choice(FIELDS), rng.choice([rng.uniform(0.01, 1.0), rng.uniform(0.9, 1.0)])
        evidence = bench.evidence()
        _, wide = gate.step(bench.state, bench.settings, evidence, request, acts, stops, now_ns)
        narrow_state = replace(bench.state, envelope=lowered(bench.state.envelope, field, share))
        _, narrow = gate.step(narrow_state, bench.settings, evidence, request, acts, stops, now_ns)
        most = {setting.channel: setting.current_ma for setting in wide.allowed}
        for setting in narrow.allowed:
            assert setting.current_ma <= most.get(setting.channel, 0.0), f"{field} x {share} allows more"

    run.each_step = both
    for _ in range(length):
        run.run([an_event(rng, run.bench)])


@pytest.mark.parametrize("seed", range(6))
def test_a_lower_limit_never_allows_more(new_gate, envelope, seed):
    compare_lowered(new_gate, envelope, random.Random(seed), 50)


@pytest.mark.prove
@pytest.mark.timeout(1200)
def test_a_lower_limit_never_allows_more_in_many_histories(new_gate, envelope):
    for seed in range(1000, 1060):
        compare_lowered(new_gate, envelope, random.Random(seed), 50)


# -- endings in time ---------------------------------------------------------------------------------------------------


def lasting_ns(bench, wish, ending, cycle_ms, asks_on):
    """How long after its ending current still flows, in real cycles."""
    bench.to_stimulating(3.0)
    since_ns = bench.now_ns
    match ending:
        case "lease":
            lapse_ns = bench.state.lease.expires_ns
        case "vital/emg":
            bench.frozen[ending], lapse_ns = since_ns, since_ns + 100 * MS
        case "phase":
            bench.frozen[ending], lapse_ns = since_ns, since_ns + 300 * MS
        case _:
            bench.frozen[ending], lapse_ns = since_ns, since_ns + 150 * MS
    for _ in range(2000):
        if not bench.step(wish(3.0) if asks_on else None, after_ms=cycle_ms).allowed:
            return bench.now_ns - lapse_ns
    raise AssertionError("current never ended")


@FEW
@given(
    st.sampled_from(["lease", "vital/emg", "phase", "controller", "supervisor"]),
    st.floats(0.5, 10.0),
    st.floats(0.0, 9.0),
)
def test_current_ends_within_50_ms_of_a_lapse(new_gate, wish, ending, cycle_ms, age_ms):
    late_ns = lasting_ns(new_gate(), wish, ending, cycle_ms, ending != "lease")
    assert late_ns <= 50 * MS
    assert late_ns <= cycle_ms * MS + 1, "in the very next cycle, in fact"


# -- same in, same out -------------------------------------------------------------------------------------------------


def test_the_same_history_gives_the_same_verdicts(new_gate, envelope):
    def verdicts():
        rng, found = random.Random(7), []
        run = History(new_gate, envelope, "SIM")
        run.each_step = lambda bench, *_: found.append((bench.verdict, bench.state))
        for _ in range(40):
            run.run([an_event(rng, run.bench)])
        return found

    assert verdicts() == verdicts()

"""An auditor of the bytes: he knows the envelope, the device, and what the separate decoder has read.

His arithmetic is his own (charge, r.m.s. current, density, power, dose, rise, on-time, from the decoded wire values),
and he decides for himself whether a request was one that may be obeyed. Of the gate he is told nothing but the answers
to an operator's acts.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path

from myoloop.stimulators import gate

MS = 1_000_000
S = 1_000 * MS
CEILING = json.loads((Path(__file__).parents[2] / "data" / "default_envelope.json").read_text())["ceiling"]
WIRED = {"left": 0, "right": 1}
EPS = 1e-8


class Violation(AssertionError):
    """What the bytes say, and what they may not."""


@dataclass
class Auditor:
    """Judges every step by what flows according to the newest bytes."""

    envelope: gate.Envelope
    can: object
    prior: gate.PriorDose
    now_ns: int
    armed: str = ""
    calibrating: str = ""
    level_ma: float = 0.0
    zero_heard: bool = False
    newest_ns: int = -(10**30)
    obeyed: gate.Request | None = None
    pausing: bool = False
    cut: bool = False
    cuts: int = 0
    paused_ns: int = 0
    paused_ma: dict[int, float] = field(default_factory=dict)
    flowing: tuple = ()
    had: dict[int, list[tuple[float, float]]] = field(default_factory=dict)
    on_s: float = 0.0
    charge_mc: float = 0.0
    used_s: dict[int, float] = field(default_factory=dict)
    off_ns: dict[int, int] = field(default_factory=dict)
    judged: int = 0

    def __post_init__(self) -> None:
        self.top = CEILING[self.envelope.waveform_class]
        self.widest_ms = self.envelope.phase_us[1] / 1000
        self.forget(self.now_ns)

    def forget(self, now_ns: int) -> None:
        """After a stop: nothing is known of the person, and nobody is armed."""
        self.armed, self.obeyed, self.pausing = "", None, False
        self.had = {output: [] for output in WIRED.values()}
        # Highest current and charge since, and the least of them less what time alone allows: that bounds what follows.
        self.high_ma, self.high_uc = dict.fromkeys(self.had, 0.0), dict.fromkeys(self.had, 0.0)
        self.least_ma = dict.fromkeys(self.had, -self.pace(now_ns))
        self.least_uc = dict.fromkeys(self.had, -self.pace(now_ns) * self.widest_ms)

    def pace(self, now_ns: int) -> float:
        return self.envelope.new_ground_ma_per_s * now_ns / S

    def answered(self, act: gate.Act, reply: gate.Reply, now_ns: int) -> None:
        """An act that was done."""
        if act.kind == "arm":
            self.armed, self.zero_heard, self.obeyed, self.pausing = reply.values["arm_id"], False, None, False
            self.calibrating, self.level_ma, self.newest_ns = act.arguments.get("channel", ""), 0.0, -(10**30)
        elif act.kind == "step":
            self.level_ma = reply.values["current_ma"]
        elif act.kind == "pause":
            self.armed, self.obeyed = "", None
            if act.arguments.get("at_once", False) is not False:
                self.pausing, self.cut = False, True
                self.cuts += bool(self.flowing)
            elif not self.pausing:
                # A second pause is no new beginning of the way down.
                self.pausing, self.paused_ns = True, now_ns
                self.paused_ma = {one.output: one.current_ma for one in self.flowing}

    def judge(self, now_ns: int, request: gate.Request | None, flows: tuple, stopped: bool) -> None:
        """See what flows from now on, as the decoder read it."""
        elapsed_s = max(0, now_ns - self.now_ns) / S
        self.book(elapsed_s)
        if stopped:
            self.forget(now_ns)
        elif request is not None and not self.pausing:
            self.obeyed = request if self.may_be_obeyed(request, now_ns) else None
        before = {one.output: one for one in self.flowing}
        self.must(not (stopped and flows), "current with stop bytes", flows)
        self.must(not (self.cut and flows), "current after a pause at once", flows)
        self.cut = False
        self.must(len(flows) <= min(self.envelope.channels_max, self.top["channels_max"]), "too many outputs", flows)
        self.must(len({one.output for one in flows}) == len(flows), "an output twice", flows)
        for one in flows:
            self.judged += 1
            self.within_limits(one)
            was_ma = before[one.output].current_ma if one.output in before else 0.0
            if was_ma == 0.0 and one.output in self.off_ns and self.can.restarts_at_once:
                period_ns = 1e9 / one.rate_hz
                self.must(now_ns - self.off_ns[one.output] >= period_ns * (1 - EPS), "two pulses too close", one)
            if self.pausing:
                left = 1 - (now_ns - self.paused_ns) / S / self.envelope.ramp_down_s
                self.must(one.current_ma <= was_ma, "rises on the way down", one)
                self.must(one.current_ma <= self.paused_ma[one.output] * left + EPS, "above the way down", one)
            else:
                self.asked_for(one, now_ns)
                self.dose_left(one)
                self.rises_slowly(one, was_ma, elapsed_s)
        self.learn(flows, now_ns)
        self.off_ns |= dict.fromkeys(before.keys() - {one.output for one in flows}, now_ns)
        self.flowing, self.now_ns = flows, now_ns
        if not flows:
            self.pausing = False

    @staticmethod
    def must(good: bool, what: str, found: object) -> None:
        if not good:
            raise Violation(f"{what}: {found}")

    def book(self, elapsed_s: float) -> None:
        self.on_s += elapsed_s if self.flowing else 0.0
        tetanic = {one.output for one in self.flowing if one.rate_hz > 12}
        for one in self.flowing:
            self.charge_mc += one.current_ma * one.phase_us * 1e-6 * one.rate_hz * elapsed_s
        rest = min(1.0, self.envelope.duty_max / max(1e-9, 1 - self.envelope.duty_max))
        for output in set(self.used_s) | tetanic:
            more_s = elapsed_s if output in tetanic else -rest * elapsed_s
            self.used_s[output] = max(0.0, self.used_s.get(output, 0.0) + more_s)

    def may_be_obeyed(self, request: gate.Request, now_ns: int) -> bool:
        """Whether anything at all may flow for it."""
        age_ns = now_ns - request.t_ns
        names = [asked.channel for asked in request.settings]
        active = [asked for asked in request.settings if asked.current_ma != 0]
        good = (
            bool(self.armed)
            and request.arm_id == self.armed
            and 0 < request.lease_ms <= 120
            and -5 * MS <= age_ns <= 50 * MS
            and request.t_ns >= self.newest_ns
            and len(set(names)) == len(names)
            and set(names) <= set(WIRED)
            and all(self.can_be(asked) for asked in request.settings)
            and len(active) <= self.envelope.channels_max
            and (self.zero_heard or not active)
            and (not self.calibrating or all(asked.channel == self.calibrating for asked in active))
        )
        if good:
            self.zero_heard, self.newest_ns = True, request.t_ns
        return good

    def can_be(self, asked: gate.Setting) -> bool:
        """Whether its numbers are some, and its width and rate ones that this person may have of this device."""
        values = (asked.current_ma, asked.phase_us, asked.rate_hz)
        if not all(abs(value) <= sys.float_info.max for value in values) or asked.current_ma < 0:
            return False
        if asked.current_ma == 0:
            return True
        phase, rate = self.envelope.phase_us, self.envelope.rate_hz
        fits = 2e-6 * asked.phase_us * asked.rate_hz <= 1
        return phase[0] <= asked.phase_us <= phase[1] and rate[0] <= asked.rate_hz <= rate[1] and fits

    def most_ma(self, output: int, phase_us: float, rate_hz: float) -> dict[str, float]:
        """Each limit on the amplitude at this width and rate."""
        e, top = self.envelope, self.top
        limits = next(each for each in e.channels if each.output == output)
        rms_of_one_ma = math.sqrt(2e-6 * phase_us * rate_hz)
        stuck_cm2 = limits.pad_area_cm2 / 2
        watt = min(e.power_density_w_cm2, top["power_density_W_cm2"]) * stuck_cm2
        return {
            "channel": e.current_ma_calibrating if self.calibrating else limits.current_max_ma,
            "class": top["current_mA"],
            "device": self.can.current_max_ma,
            "charge": min(e.charge_per_phase_uc, top["charge_per_phase_uC"]) / (phase_us / 1000),
            "r.m.s.": min(e.rms_ma, top["rms_mA_per_channel"]) / rms_of_one_ma,
            "density": min(e.rms_density_ma_cm2, top["rms_density_mA_cm2"]) * stuck_cm2 / rms_of_one_ma,
            "power": 1000 * math.sqrt(watt / 500) / rms_of_one_ma,
        }

    def within_limits(self, one) -> None:
        self.must(one.output in WIRED.values(), "an output that is none's", one)
        self.must(one.net_charge_wire == 0, "not balanced", one)
        self.must(one.current_ma > 0, "no current", one)
        e, top, can = self.envelope, self.top, self.can
        for value, ranges in (
            (one.phase_us, (e.phase_us, top["phase_us"], (can.phase_min_us, can.phase_max_us))),
            (one.rate_hz, (e.rate_hz, top["rate_hz"], (can.rate_min_hz, can.rate_max_hz))),
        ):  # fmt: skip
            for low, high in ranges:
                self.must(low * (1 - EPS) <= value <= high * (1 + EPS), f"outside {low:g} to {high:g}", one)
        for what, most_ma in self.most_ma(one.output, one.phase_us, one.rate_hz).items():
            self.must(one.current_ma <= most_ma * (1 + EPS), f"{what}: above {most_ma} mA", one)
        if self.calibrating:
            self.must(one.current_ma <= self.level_ma * (1 + EPS), f"above the step of {self.level_ma} mA", one)

    def asked_for(self, one, now_ns: int) -> None:
        asked_now = self.obeyed
        self.must(asked_now is not None and bool(self.armed), "nobody may be obeyed", one)
        self.must(now_ns < asked_now.t_ns + asked_now.lease_ms * MS, "the lease is over", one)
        asked = next((each for each in asked_now.settings if WIRED[each.channel] == one.output), None)
        self.must(asked is not None, "not asked for", one)
        self.must(one.current_ma <= asked.current_ma * (1 + EPS), f"more than {asked.current_ma} mA asked for", one)
        self.must(abs(one.phase_us - asked.phase_us) <= EPS * one.phase_us, f"asked {asked.phase_us} us", one)
        late_us = 1e6 / one.rate_hz - 1e6 / asked.rate_hz
        most_us = self.can.period_step_us + EPS * 1e6 / one.rate_hz
        self.must(-EPS * 1e6 / one.rate_hz <= late_us <= most_us, f"asked {asked.rate_hz} Hz", one)

    def dose_left(self, one) -> None:
        e = self.envelope
        self.must(self.on_s < e.session_on_s_max + EPS, "session's time is over", one)
        for given_mc, most_mc in (
            (self.prior.session.charge_mc + self.charge_mc, e.session_charge_mc_max),
            (self.prior.session.charge_mc + self.prior.day_charge_mc + self.charge_mc, e.day_charge_mc_max),
            (self.prior.session.charge_mc + self.prior.course_charge_mc + self.charge_mc, e.course_charge_mc_max),
        ):
            self.must(given_mc < most_mc * (1 + EPS), f"dose of {most_mc} mC is used up", one)
        if e.on_s_max is not None and one.rate_hz > 12:
            self.must(self.used_s.get(one.output, 0.0) < e.on_s_max + EPS, "on-time or duty is used up", one)

    def rises_slowly(self, one, was_ma: float, elapsed_s: float) -> None:
        step_ma = self.envelope.step_ma * (1 + EPS)
        known_ma = max((ma * min(1.0, us / one.phase_us) for ma, us in self.had[one.output]), default=0.0)
        self.must(one.current_ma <= known_ma + step_ma, f"more than a step above {known_ma}", one)
        ramp_ma = self.high_ma[one.output] * elapsed_s / self.envelope.known_ground_ramp_s_min
        most_ma = was_ma + self.can.current_step_ma + ramp_ma + step_ma
        self.must(one.current_ma <= most_ma, f"a jump from {was_ma} mA in {elapsed_s} s", one)

    def learn(self, flows: tuple, now_ns: int) -> None:
        pace_ma = self.pace(now_ns)
        pace_uc, step_ma = pace_ma * self.widest_ms, self.envelope.step_ma * (1 + EPS) + EPS
        for one in flows:
            # A board that cannot say its own step exactly gives a hair less; what it stands for is that step.
            current_ma = math.ceil(one.current_ma / self.can.current_step_ma - 1e-6) * self.can.current_step_ma
            output, charge_uc, had = one.output, current_ma * one.phase_us / 1000, self.had[one.output]
            self.high_ma[output] = max(self.high_ma[output], current_ma)
            self.high_uc[output] = max(self.high_uc[output], charge_uc)
            if not any(ma >= current_ma and us >= one.phase_us for ma, us in had):
                had.append((current_ma, one.phase_us))
        for output in self.had:
            over_ma, over_uc = self.high_ma[output] - pace_ma, self.high_uc[output] - pace_uc
            self.must(over_ma <= self.least_ma[output] + step_ma, "current rises too fast", flows)
            self.must(over_uc <= self.least_uc[output] + step_ma * self.widest_ms, "charge rises too fast", flows)
            self.least_ma[output] = min(self.least_ma[output], over_ma)
            self.least_uc[output] = min(self.least_uc[output], over_uc)

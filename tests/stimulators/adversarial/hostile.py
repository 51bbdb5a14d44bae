"""Hostile requests: campaigns of a wish at the edge of what is allowed, and among them what is wrong in one way."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from myoloop.stimulators import gate

MS = 1_000_000
WIRED = {"left": 0, "right": 1}


class Hostile:
    """Draws requests: campaigns of a wish at the edge of what is allowed, and among them what is wrong in one way.

    Parameters
    ----------
    auditor
        Who knows where the edges are.
    """

    ODD = (math.nan, math.inf, -math.inf, -1.0, -5e-324, 5e-324, 1e300, -1e308, 1e9, 10**400, -(10**20), 0, -0.0)

    def __init__(self, rng: random.Random, auditor) -> None:
        self.rng, self.auditor, self.can = rng, auditor, auditor.can
        self.wish: tuple[gate.Setting, ...] = ()
        self.left = 0
        self.stale = ["", "guess"]

    def draw(self, now_ns: int, arm_id: str) -> gate.Request:
        rng = self.rng
        if self.left <= 0:
            self.wish, self.left = self.campaign(), rng.randint(1, 150)
        self.left -= 1
        settings = self.wish if self.auditor.zero_heard else tuple(replace(one, current_ma=0.0) for one in self.wish)
        request = gate.Request(now_ns - rng.choice((0, 1, 2 * MS, 9 * MS)), arm_id, 120, settings)
        return self.spoilt(request, now_ns) if rng.random() < 0.06 else request

    def near(self, value: float) -> float:
        """It, a hair to either side, or a share of it."""
        rng = self.rng
        kind = rng.randrange(6)
        if kind == 0:
            return math.nextafter(value, math.inf)
        if kind == 1:
            return math.nextafter(value, 0.0)
        return value * rng.choice((1 - 1e-9, 1 + 1e-9, 0.5, 1.5)) if kind == 2 else value

    def campaign(self) -> tuple[gate.Setting, ...]:
        rng, e = self.rng, self.auditor.envelope
        names = rng.choice((["left"], ["right"], ["left", "right"], ["right", "left"]))
        if rng.random() < 0.9:
            names = names[: e.channels_max]
        if rng.random() < 0.1:
            names = []
        rate_hz = self.rate_hz()
        wish = []
        for name in names:
            phase_us = rng.choice(
                (*e.phase_us, rng.uniform(*e.phase_us), min(max(300.0, e.phase_us[0]), e.phase_us[1]))
            )
            step_us = self.can.phase_step_us
            if step_us and rng.random() < 0.97:
                # To the device's step, within what is allowed.
                phase_us = max(math.ceil(e.phase_us[0] / step_us), math.floor(phase_us / step_us)) * step_us
            if rng.random() < 0.02:
                phase_us = self.near(phase_us)
            if rng.random() < 0.1 and not self.can.one_rate:
                rate_hz = self.rate_hz()
            wish.append(gate.Setting(name, self.current_ma(WIRED[name], phase_us, rate_hz), phase_us, rate_hz))
        return tuple(wish)

    def rate_hz(self) -> float:
        rng, (low, high) = self.rng, self.auditor.envelope.rate_hz
        rate_hz = rng.choice((low, high, 12.0, 12.5, 40.0, rng.uniform(low, high)))
        rate_hz = min(max(rate_hz, low), high)
        step_hz = self.can.rate_step_hz
        if step_hz and rng.random() < 0.97:
            # Tenths of a hertz as they are written.
            rate_hz = min(round(rate_hz / step_hz), math.floor(high / step_hz + 1e-9)) / round(1 / step_hz)
        return self.near(rate_hz) if rng.random() < 0.02 else rate_hz

    def current_ma(self, output: int, phase_us: float, rate_hz: float) -> float:
        rng, a = self.rng, self.auditor
        edges = list(a.most_ma(output, phase_us, rate_hz).values())
        step_ma = self.can.current_step_ma
        code = rng.randint(0, round(self.can.current_max_ma / step_ma))
        known_ma = max((ma for ma, _ in a.had[output]), default=0.0)
        edge_ma = rng.choice((*edges, min(edges), min(edges), code * step_ma, known_ma + a.envelope.step_ma, 1e6))
        return rng.uniform(0, 2 * min(edges)) if rng.random() < 0.2 else self.near(edge_ma)

    def spoilt(self, request: gate.Request, now_ns: int) -> gate.Request:
        """Wrong in one way."""
        rng = self.rng
        settings = list(request.settings) or [gate.Setting("left", 1.0, 300.0, 40.0)]
        at = rng.randrange(len(settings))
        way = rng.randrange(6)
        if way == 0:
            settings[at] = replace(
                settings[at], **{rng.choice(("current_ma", "phase_us", "rate_hz")): rng.choice(self.ODD)}
            )
        elif way == 1:
            settings.append(replace(settings[at], channel=rng.choice(("heart", "", "LEFT", "left ", "0"))))
        elif way == 2:
            settings.append(replace(settings[at], current_ma=rng.choice((0.0, 1.0, 60.0))))
        elif way == 3:
            return replace(request, arm_id=rng.choice(self.stale))
        elif way == 4:
            return replace(request, lease_ms=rng.choice((0, -1, 1, 2, 119, 120, 121, 10**9, -(2**63), 2**70)))
        else:
            age_ns = rng.choice((50 * MS, -5 * MS, 0, 100 * MS, 10**18, -(10**18))) + rng.choice((-1, 0, 1))
            return replace(request, t_ns=now_ns - age_ns)
        return replace(request, settings=tuple(settings))

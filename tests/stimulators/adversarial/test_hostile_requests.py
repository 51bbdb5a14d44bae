"""Whatever is asked for, and however: what the separate decoder reads in the bytes is within every limit.

A sample runs always, the whole million in `make prove`.
"""

from __future__ import annotations

import math
import os
import random
from dataclasses import replace

import pytest

from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators import gate
from myoloop.stimulators.driver import DecodedOutput, DriverError
from myoloop.stimulators.gate import acts, decision, decoded
from myoloop.stimulators.gate.ontime import OnTime

KINDS_THERE_ARE = 9
SAMPLE = 20_000
#: Of all kinds together; more with MYOLOOP_HOSTILE_REQUESTS.
WHOLE = int(os.environ.get("MYOLOOP_HOSTILE_REQUESTS", "1_000_000"))
REQUESTS_A_SESSION = 2500
#: Steps after a dose is used up; then another session begins.
OVER = 100


def run(new_station, kind, seed, requests, prepare=lambda station: None):
    """Sessions of hostile requests; and what was seen, for a proof that saw nothing is none."""
    seen = dict.fromkeys(("requests", "currents", "refused", "writes", "stops", "sessions", "cuts"), 0)
    while seen["requests"] < requests:
        station = new_station(kind, seed, seen["sessions"])
        prepare(station)
        most = min(REQUESTS_A_SESSION, requests - seen["requests"])
        while station.requests < most and station.over < OVER:
            station.step()
        for name, more in (
            ("requests", station.requests), ("currents", station.auditor.judged), ("refused", station.refused),
            ("writes", station.tap.writes), ("stops", station.tap.stops), ("sessions", 1),
            ("cuts", station.auditor.cuts),
        ):  # fmt: skip
            seen[name] += more
    return seen


def saw_enough(seen, requests):
    assert seen["requests"] >= requests
    # Outputs that had current when they were judged, and bytes that were written.
    assert seen["currents"] > 0.02 * requests
    assert seen["writes"] > 0.02 * requests
    return seen


def test_bytes_are_within_every_limit(new_station, kind):
    requests = math.ceil(SAMPLE / KINDS_THERE_ARE)
    saw_enough(run(new_station, kind, 20261121, requests), requests)


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_bytes_are_within_every_limit_whatever_a_million_requests_ask_for(new_station, kind):
    requests = math.ceil(WHOLE / KINDS_THERE_ARE)
    seen = saw_enough(run(new_station, kind, 4, requests), requests)
    assert seen["stops"] > 0
    assert seen["cuts"] > 0, "no current was ended at once by a pause"
    assert seen["refused"] > 0, "no encoder went mad, and nothing was asked for that the device cannot say"


def test_every_kind_is_tried(kinds):
    assert len(kinds) == KINDS_THERE_ARE


# -- past the gate: what the codec itself does with whatever it is given ---------------------------------------------


def odd(rng, near):
    return rng.choice((near, math.nextafter(near, math.inf), math.nextafter(near, 0), -near, math.nan, math.inf,
                       -math.inf, 0.0, 1e300, 5e-324, near * 1000, near * rng.uniform(0, 2)))  # fmt: skip


def test_a_codec_says_what_it_is_given_or_refuses_it_without_a_gate_too(new_station, kind):
    tap = new_station(kind, 1, 0).tap
    can, rng = tap.capabilities, random.Random(kind)
    said = refused = lines = 0
    for _ in range(600):
        code = rng.randint(1, max(1, min(200, round(can.current_max_ma / can.current_step_ma))))
        phase_us = rng.choice((can.phase_min_us, 200.0, 300.0))
        rate_hz = rng.choice((40.0, 20.0, can.rate_max_hz))
        values = {"current_ma": code * can.current_step_ma, "phase_us": phase_us, "rate_hz": rate_hz}
        for name in rng.choice(((), (), ("current_ma",), ("phase_us",), ("rate_hz",), tuple(values))):
            values[name] = odd(rng, values[name])
        asked = [ChannelSetting(channel=rng.choice(("left", "right", "left", "heart")), **values)]
        if rng.random() < 0.1:
            asked.append(asked[0])
        try:
            outputs = tap.decode(tap.encode(asked))
        except DriverError as error:
            refused += 1
            lines += str(error).count("\n")
            continue
        said += bool(outputs)
        assert [one.output for one in outputs] == [{"left": 0, "right": 1}[one.channel] for one in asked if outputs]
        for one in outputs:
            assert one.net_charge_wire == 0
            assert 0 < one.current_ma <= min(asked[0].current_ma, can.current_max_ma) * (1 + 1e-8)
            assert one.phase_us == pytest.approx(asked[0].phase_us, rel=1e-9)
            assert one.rate_hz == pytest.approx(asked[0].rate_hz, rel=1e-8)
    assert said > 50
    assert refused > 50
    assert lines == 0, "a refusal is one line"


# -- the auditor himself: he finds what is wrong ---------------------------------------------------------------------


@pytest.fixture
def flowing(new_station):
    """A station at current; not every session gets there."""
    for session in range(50):
        station = new_station("simulated", 2, session)
        for _ in range(400):
            station.step()
            if station.tap.flowing and not station.auditor.pausing and not station.auditor.calibrating:
                return station
    raise AssertionError("no current in 50 sessions")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"current_ma": 500.0}, "above"), ({"output": 5}, "none's"), ({"net_charge_wire": 1}, "not balanced"),
        ({"phase_us": 10.0}, "outside"), ({"rate_hz": 500.0}, "outside"), ({"rate_hz": 0.01}, "outside"),
        ({"current_ma": 0.0}, "no current"),
    ],
)  # fmt: skip
def test_an_auditor_sees_bytes_that_say_what_may_not_be(flowing, violation, change, what):
    station = flowing
    (one, *_) = station.tap.flowing
    wrong = DecodedOutput(**{name: change.get(name, getattr(one, name)) for name in one.__dataclass_fields__})
    with pytest.raises(violation, match=what):
        station.auditor.judge(station.now_ns, None, (wrong,), False)


def test_an_auditor_sees_current_that_nobody_asked_for_any_more(flowing, violation):
    station = flowing
    with pytest.raises(violation, match="the lease is over"):
        station.auditor.judge(station.now_ns + 121_000_000, None, station.tap.flowing, False)


def test_an_auditor_sees_current_after_a_stop(flowing, violation):
    station = flowing
    with pytest.raises(violation, match="stop bytes"):
        station.auditor.judge(station.now_ns, None, station.tap.flowing, True)


def too_much(*given):
    cap_ma, rule = CAP(*given)
    return cap_ma * 1.01, rule


def never_at_once(state, act, *rest):
    return PAUSE(state, replace(act, arguments={}), *rest)


CAP, PAUSE = decision.current_cap, acts._pause
#: What would be let through without it, and what is said of that.
BROKEN = {
    "caps": ([(decision, "current_cap", too_much), (decoded, "current_cap", too_much)], "above"),
    "rise": ([(decision, "rise_cap", lambda *_: (1e9, "rise"))], "more than a step"),
    "dose": ([(decision, "dose_exceeded", lambda *_: "")], "used up|is over"),
    "on-time": ([(decision, "pass_time", lambda *_: OnTime())], "on-time or duty"),
    "refusals": ([(decision, "_refusal", lambda *_: "")], "nobody may be obeyed|not asked for|outside|too many"),
    "restart": ([(decision, "_too_soon_ms", lambda *_: 0.0)], "two pulses too close"),
    "zero on the way": ([(decision, "_ramp_down", lambda ramp, *_: decision._Allowed(ramp.settings))], "way down"),
    "zero at once": ([(acts, "_pause", never_at_once)], "after a pause at once"),
    "bytes": ([(gate, "disagreement", lambda *_: "")], "asked|outside|above|more than|jump|rises"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "what"), BROKEN.values(), ids=BROKEN)
def test_an_auditor_finds_a_gate_that_lets_something_through(new_station, violation, monkeypatch, changes, what):
    for module, name, instead in changes:
        monkeypatch.setattr(module, name, instead)

    def mad(station):
        station.madness = 0.05 if changes[0][1] == "disagreement" else 0.0

    def sessions():
        for kind in ("analog", "sciencemode34 mid, P24", "sciencemode34 low, P24"):
            run(new_station, kind, 3, 20_000, mad)

    with pytest.raises(violation, match=what):
        sessions()

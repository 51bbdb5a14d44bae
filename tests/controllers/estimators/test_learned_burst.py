"""From probabilities to bursts, and a learned detector beside the rules."""

from __future__ import annotations

import json

import numpy as np
import pytest

from myoloop.controllers.choice import Choice
from myoloop.controllers.estimators.burst_evidence import EVIDENCE
from myoloop.controllers.estimators.estimator import Setup, make_estimator
from myoloop.controllers.estimators.learned_burst import Bursts, LearnedBurst, LearnedBurstSettings
from myoloop.platform.plugins import PluginError

HOP_NS = 10_000_000
#: One stump: likely from a 50 ms level of 1 over rest on.
STUMP = {
    "inputs": EVIDENCE, "mean": [0.0] * len(EVIDENCE), "scale": [1.0] * len(EVIDENCE), "base": 0.0,
    "feature": [[0, -1, -1]], "threshold": [[1.0, 0.0, 0.0]], "left": [[1, -1, -1]], "right": [[2, -1, -1]],
    "value": [[0.0, -3.0, 3.0]],
}  # fmt: skip


def _run(chances: list[float], may: list[bool] | None = None, **settings: float) -> tuple[list[bool], Bursts]:
    bursts = Bursts(LearnedBurstSettings(**{"hops_min": 2, "merge_ms": 50.0, **settings}), 1, 0.01)
    told = []
    for hop, chance in enumerate(chances):
        allowed = np.array([may[hop] if may else True])
        bursts.hear((hop + 1) * HOP_NS, np.array([chance]), allowed)
        told.append(bool(bursts.on[0]))
    return told, bursts


def test_it_begins_after_so_many_hops_and_is_dated_from_the_first():
    told, bursts = _run([0.1, 0.9, 0.9, 0.9])
    assert told == [False, False, True, True]
    assert bursts.onset_ns.tolist() == [HOP_NS]


def test_a_single_hop_begins_nothing():
    assert not any(_run([0.1, 0.9, 0.1, 0.9, 0.1])[0])


def test_it_goes_on_over_a_short_pause_and_is_over_after_a_long_one():
    told, _ = _run([0.9, 0.9, *[0.1] * 4, 0.3, *[0.1] * 6])
    assert told == [False, *[True] * 10, False, False]


def test_where_nothing_may_be_told_nothing_is_on():
    told, _ = _run([0.9] * 6, may=[True, True, True, False, False, True])
    assert told == [False, True, True, False, False, False]


def test_what_is_on_for_too_long_is_stuck_until_it_pauses():
    told, bursts = _run([0.9] * 520, longest_s=5.0)
    assert told[490]
    assert not told[-1]
    assert bursts.stuck.all()
    told, bursts = _run([*[0.9] * 520, *[0.1] * 6, 0.9, 0.9], longest_s=5.0)
    assert told[-1]
    assert not bursts.stuck.any()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "model is empty"),
        ({"model": STUMP, "on_from": 1.0}, "on_from is 1"),
        ({"model": STUMP, "on_from": 0.2, "off_below": 0.3}, "off_below 0.3"),
        ({"model": STUMP, "on_from": float("nan")}, "on_from is nan"),
        ({"model": STUMP, "hops_min": 0}, "hops_min is 0"),
        ({"model": STUMP, "longest_s": 60.0}, "longest_s is 60"),
        ({"model": STUMP, "rules": {"sigmas": 0.0}}, "sigmas is 0"),
        ({"model": {**STUMP, "inputs": ["pose"]}}, "found pose"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_one_line(settings, said):
    setup = Setup(("a",), 2000.0, 20, True, np.zeros(1, dtype=np.bool_))
    with pytest.raises((PluginError, ValueError), match=said) as caught:
        make_estimator(Choice(name="learned_burst", settings=settings), setup)
    assert "\n" not in str(caught.value)


def test_it_says_nothing_before_the_rules_know_rest():
    estimator = LearnedBurst(LearnedBurstSettings(model=STUMP), Setup(("a",), 2000.0, 20, True, np.zeros(1, bool)))
    (spasm,) = estimator.fields(0)["spasm"]
    assert not spasm.valid
    assert spasm.reason


def test_a_restored_one_goes_on_bit_for_bit():
    chances = np.random.default_rng(5).uniform(size=400)
    settings = LearnedBurstSettings(hops_min=2, merge_ms=50.0)
    one, other = Bursts(settings, 1, 0.01), Bursts(settings, 1, 0.01)
    for hop, chance in enumerate(chances):
        if hop == 200:
            other.restore(json.loads(json.dumps(one.state())))
        for bursts in (one,) if hop < 200 else (one, other):
            bursts.hear(hop * HOP_NS, np.array([chance]), np.array([True]))
    assert one.state() == other.state()
    assert one.onset_ns[0] > 0
    whole = LearnedBurst(LearnedBurstSettings(model=STUMP), Setup(("a",), 2000.0, 20, True, np.zeros(1, bool)))
    whole.restore(json.loads(json.dumps(whole.state())))

"""Drills in real processes: a seeded sample here, the whole table in `make prove`."""

from __future__ import annotations

import random

import pytest

from myoloop.experiments.drills.faults import chosen
from myoloop.experiments.drills.run import run_drill
from myoloop.experiments.drills.stops import time_stops

pytestmark = [pytest.mark.processes, pytest.mark.timeout(150)]

ALL = chosen([], [])
#: One process, and one device whose host's clock is wrong.
SAMPLE = [
    random.Random(f"3 {number}").choice(chosen([device], [group]))
    for number, (device, group) in enumerate((("simulated", "process"), ("rehastim2", "clock")))
]
STOPS = 20


def name(pair):
    device, drill = pair
    return f"{device.name}-{drill.name}"


def check(pair, folder):
    found = run_drill(*pair, folder / "session")
    assert found.passed, (found.fault, found.wrong, found.told)


@pytest.mark.parametrize("pair", SAMPLE, ids=name)
def test_current_ends_when_something_fails(pair, tmp_path):
    check(pair, tmp_path)


@pytest.mark.prove
@pytest.mark.parametrize("pair", [pair for pair in ALL if pair not in SAMPLE], ids=name)
def test_current_ends_whatever_fails(pair, tmp_path):
    check(pair, tmp_path)


def test_stop_bytes_follow_a_stop_at_once():
    found = time_stops("simulated", STOPS)
    assert (found.stops, found.unheard) == (STOPS, 0)
    assert found.p50_ms <= 20.0


@pytest.mark.prove
@pytest.mark.timeout(400)
def test_stop_bytes_follow_all_but_one_of_a_thousand_stops_within_20_ms():
    found = time_stops("simulated", 1000)
    assert found.passed, found

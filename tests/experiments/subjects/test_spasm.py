"""Spasms come at random times, one at a time, and last as long as they say."""

import itertools

import numpy as np
import pytest

from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.spasm import Spasm, SpasmGenerator

BLOCK_NS = 10_000_000


def live(minutes, in_effort=False, seed=1, muscles=2, **parameters):
    generator = SpasmGenerator(SubjectParameters(**parameters), muscles, np.random.default_rng(seed), 0)
    began, ended = [], []
    for t_ns in range(0, round(minutes * 60e9), BLOCK_NS):
        first, last = generator.step(t_ns, t_ns + BLOCK_NS, in_effort)
        began += [first] if first else []
        ended += [last] if last else []
    return began, ended


def test_each_spasm_ends_before_the_next_and_after_a_plausible_time():
    began, ended = live(20)
    assert len(began) >= 20
    assert ended == began[: len(ended)]
    assert len(began) - len(ended) <= 1
    for spasm in began:
        assert 0.4e9 <= spasm.end_ns - spasm.onset_ns <= 2.0e9
    for a, b in itertools.pairwise(began):
        assert b.onset_ns - a.end_ns >= 2.4e9
    assert {spasm.kind for spasm in began} == {"tonic", "burst"}
    assert {spasm.muscle for spasm in began} == {0, 1}


def test_the_rate_is_what_was_asked_for_save_the_pauses():
    began, _ = live(60, spasm_rate_per_min=6.0)
    # Mean interval: 10 s of waiting, 1.2 s of spasm, 2.5 s of pause.
    assert len(began) / 60 == pytest.approx(60 / 13.7, rel=0.15)


def test_none_comes_before_the_first_may_and_none_at_a_rate_of_zero():
    assert live(5, first_spasm_s=60.0)[0][0].onset_ns >= 60e9
    assert live(5, spasm_rate_per_min=0.0)[0] == []


def test_fewer_come_in_an_effort():
    assert len(live(20, in_effort=True, spasm_in_effort=0.2)[0]) < 0.5 * len(live(20)[0])


@pytest.mark.parametrize("kind", ["tonic", "burst"])
def test_activation_lies_within_onset_and_end_and_never_falls_silent_between(kind):
    spasm = Spasm(0, 1_000_000_000, 2_500_000_000, kind, 0.4, 5.0)
    assert spasm.activation(999_999_999) == 0.0
    assert spasm.activation(2_500_000_000) == 0.0
    held = [spasm.activation(t_ns) for t_ns in range(1_080_000_000, 2_400_000_000, 5_000_000)]
    assert min(held) >= 0.19
    assert max(held) == pytest.approx(0.4, rel=0.02)

"""Blocks become hops: whatever the blocks, gaps and bad samples."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import sosfilt

from myoloop.controllers.signals.conditioning import Conditioner, Hop
from myoloop.controllers.signals.conditioning_settings import ConditioningSettings
from myoloop.controllers.signals.filters import BlockFilter, bandpass, notch
from myoloop.controllers.signals.snapshot import StateError
from myoloop.platform.messages import SampleDescriptor, Samples

DESCRIPTOR = SampleDescriptor(
    topic="emg/sim", rate_hz=2000.0, dtype="<i2", channels=("a", "b", "c"), units=("V", "V", "V"),
    scale=(1e-6, 2e-6, 1e-6), offset=(0.0, 1e-3, 0.0),
)  # fmt: skip
RAW = (100 * np.random.default_rng(5).standard_normal((4000, 3)) + 300).round().astype("<i2")


def _conditioner(**more: object) -> Conditioner:
    return Conditioner(ConditioningSettings(), DESCRIPTOR, (1, 0), False, **more)


def _feed(conditioner: Conditioner, begin: int, end: int, epoch: int = 1, invalid: bytes = b"") -> list[Hop]:
    message = Samples(first_sample=begin, t_ns=1_000_000_000 + end * 500_000, invalid=invalid)
    return conditioner.add(message, RAW[begin:end], epoch) + conditioner.release(2_000_000_000 + end * 500_000, False)


def _samples(hops: list[Hop]) -> np.ndarray:
    return np.concatenate([hop.samples for hop in hops])


def test_a_stream_without_faults_is_filtered_as_scipy_does() -> None:
    hops = _feed(_conditioner(), 0, 4000)
    volts = np.stack([RAW[:, 1] * 2.0 + 1000.0, RAW[:, 0] * 1.0], axis=1)
    sos = np.concatenate([bandpass(2000.0), notch(2000.0, 50.0)])
    settled = BlockFilter(sos, 2)
    settled.settle(volts[0])
    expected, _ = sosfilt(sos, volts, axis=0, zi=settled._z.reshape(len(sos), 2, 2))
    assert np.max(np.abs(_samples(hops) - expected)) < 1e-6
    assert all(hop.good.all() for hop in hops[11:])
    assert not hops[0].good.any()  # until the filter has settled
    assert [hop.t_ns for hop in hops[:3]] == [1_010_000_000, 1_020_000_000, 1_030_000_000]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 133), min_size=1, max_size=30))
def test_how_the_stream_is_cut_changes_nothing(lengths: list[int]) -> None:
    ends = np.minimum(np.cumsum(lengths), 4000)
    cut, begin = _conditioner(), 0
    hops = []
    for end in ends.tolist():
        if end > begin:
            hops += _feed(cut, begin, end)
            begin = end
    whole = _feed(_conditioner(), 0, begin)
    assert len(hops) == len(whole) == begin // 20
    if whole:
        assert np.array_equal(_samples(hops), _samples(whole))
        assert [hop.t_ns for hop in hops] == [hop.t_ns for hop in whole]


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3999))
def test_saved_and_restored_goes_on_bit_for_bit(cut: int) -> None:
    one, other = _conditioner(), _conditioner()
    _feed(one, 0, cut)
    other.restore(json.loads(json.dumps(one.state())))
    assert [(h.t_ns, h.samples.tobytes(), h.good.tobytes()) for h in _feed(one, cut, 4000)] == [
        (h.t_ns, h.samples.tobytes(), h.good.tobytes()) for h in _feed(other, cut, 4000)
    ]


def test_lost_samples_are_told_and_the_filter_settles_anew() -> None:
    conditioner = _conditioner()
    _feed(conditioner, 0, 1010)
    hops = _feed(conditioner, 1210, 2000)
    assert hops[0].lost_hops == 11  # 200 lost and the half hop that waited
    assert not hops[0].good.any()
    assert all(hop.good.all() for hop in hops[10:])
    assert [hop.lost_hops for hop in hops[1:]] == [0] * (len(hops) - 1)
    # The step in the signal's offset does not ring: it was settled on the first new sample.
    assert np.max(np.abs(_samples(hops))) < 1500


@pytest.mark.parametrize("first", [500, 0])
def test_a_source_that_starts_again_or_repeats_itself_is_a_break(first: int) -> None:
    conditioner = _conditioner()
    _feed(conditioner, 0, 1000)
    hops = _feed(conditioner, first, first + 400, epoch=1 if first else 2)
    assert hops[0].lost_hops >= 1
    assert not hops[0].good.any()


def test_invalid_bits_reach_the_samples_they_speak_of() -> None:
    mask = np.zeros((400, 3), dtype=bool)
    mask[205, 1] = True  # channel b: our first
    mask[300:310, 2] = True  # channel c: not used
    conditioner = _conditioner()
    _feed(conditioner, 0, 400)
    hops = _feed(conditioner, 400, 800, invalid=np.packbits(mask).tobytes())
    bad = ~np.concatenate([hop.good for hop in hops])
    assert np.argwhere(bad).tolist() == [[205, 0]]
    assert hops[10].invalid.tolist() == [1.0, 0.0]


def test_a_block_without_a_valid_sample_needs_settling_after_it() -> None:
    conditioner = _conditioner()
    _feed(conditioner, 0, 400)
    mask = np.zeros((20, 3), dtype=bool)
    mask[:, 0] = True
    _feed(conditioner, 400, 420, invalid=np.packbits(mask).tobytes())
    hops = _feed(conditioner, 420, 800)
    assert not any(hop.good[:, 1].any() for hop in hops[:10])
    assert all(hop.good[:, 0].all() for hop in hops)
    assert hops[10].good.all()


def test_nan_and_infinity_never_reach_the_filter() -> None:
    descriptor = SampleDescriptor(
        topic="emg/sim", rate_hz=2000.0, dtype="<f4", channels=("a",), units=("V",), scale=(1.0,), offset=(0.0,)
    )
    conditioner = Conditioner(ConditioningSettings(), descriptor, (0,), False)
    block = np.full((400, 1), 1e-5, dtype="<f4")
    block[300], block[301] = np.nan, np.inf
    hops = conditioner.add(Samples(first_sample=0, t_ns=1), block, 1) + conditioner.release(2, False)
    assert np.isfinite(_samples(hops)).all()
    assert np.flatnonzero(~np.concatenate([hop.good for hop in hops[10:]])).tolist() == [100, 101]


def test_while_stimulation_may_flow_samples_wait_and_then_catch_up() -> None:
    conditioner = Conditioner(ConditioningSettings(), DESCRIPTOR, (0,), True)
    now_ns = 1_000_000_000 + 400 * 500_000
    conditioner.add(Samples(first_sample=0, t_ns=now_ns), RAW[:400], 1)
    assert len(conditioner.release(now_ns, True)) == 17  # 30 ms wait
    assert len(conditioner.release(now_ns, False)) == 3


def test_a_block_longer_than_its_memory_keeps_the_newest_and_says_that_some_are_lost() -> None:
    slow = SampleDescriptor(
        topic="emg/sim", rate_hz=1000.0, dtype="<i2", channels=("a",), units=("V",), scale=(1e-6,), offset=(0.0,)
    )
    conditioner = Conditioner(ConditioningSettings(), slow, (0,), False)
    hops = conditioner.add(Samples(first_sample=0, t_ns=10**10), np.ones((5000, 1), dtype="<i2"), 1)
    hops += conditioner.release(10**10, False)
    assert sum(len(hop.samples) for hop in hops) == 2000
    assert hops[0].lost_hops == 301
    assert hops[-1].t_ns == 10**10


def test_what_does_not_fit_the_descriptor_is_refused(kit: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="column 7 does not exist, it has 3 channels"):
        Conditioner(ConditioningSettings(), DESCRIPTOR, (7,), True)
    with pytest.raises(ValueError, match="channel e1 is in '1', EMG must be in 'V'"):
        Conditioner(ConditioningSettings(), kit.descriptor(units=("V", "1")), (1,), True)
    with pytest.raises(ValueError, match="sync channel 'trg' is not one of its channels"):
        Conditioner(ConditioningSettings(), kit.descriptor(sync_channel="trg"), (0,), True)
    with pytest.raises(StateError, match="missing or unknown"):
        Conditioner(ConditioningSettings(), DESCRIPTOR, (0,), True).restore({"waiting": {}})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"low_hz": 0.0}, "conditioning.low_hz is 0, allowed is above 0"),
        ({"low_hz": float("nan")}, "conditioning.low_hz is nan, allowed is above 0"),
        ({"high_hz": 20.0}, r"conditioning.high_hz is 20, allowed is above low_hz \(20\)"),
        ({"high_hz": float("inf")}, "conditioning.high_hz is inf, allowed is above low_hz"),
        ({"settle_ms": -1.0}, "conditioning.settle_ms is -1, allowed is 0 and above"),
    ],
)
def test_settings_out_of_their_range_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ConditioningSettings(**given)


def test_a_band_that_the_rate_does_not_hold_is_refused_and_not_made_narrower() -> None:
    with pytest.raises(ValueError, match=r"band is 20 to 901 Hz at 2000 samples/s, allowed is up to 900 Hz"):
        Conditioner(ConditioningSettings(high_hz=901.0), DESCRIPTOR, (0,), False)
    Conditioner(ConditioningSettings(high_hz=900.0), DESCRIPTOR, (0,), False)


def test_a_channel_that_dies_while_pulses_flow_is_told_to_be_dead_and_the_other_is_not() -> None:
    descriptor = SampleDescriptor(
        topic="emg/sim", rate_hz=2000.0, dtype="<i2", channels=("a", "b", "sync"), units=("V", "V", "1"),
        scale=(1e-6, 1e-6, 1.0), offset=(0.0, 0.0, 0.0), sync_channel="sync",
    )  # fmt: skip
    conditioner = Conditioner(ConditioningSettings(), descriptor, (0, 1), True)
    rows = np.random.default_rng(1).normal(0.0, 50.0, (4000, 3)).round().astype("<i2")
    rows[:, 2] = np.arange(4000) % 60 < 2  # 33 pulses/s
    dead = np.zeros((4000, 3), dtype=np.bool_)
    dead[2000:, 0] = True
    invalid = []
    for begin in range(0, 4000, 20):
        end = begin + 20
        bits = np.packbits(dead[begin:end].ravel()).tobytes() if dead[begin:end].any() else b""
        message = Samples(first_sample=begin, t_ns=1_000_000_000 + end * 500_000, invalid=bits)
        hops = conditioner.add(message, rows[begin:end], 1)
        hops += conditioner.release(1_000_000_000 + end * 500_000, True)
        invalid += [(hop.t_ns, *hop.invalid.tolist()) for hop in hops]
    after = [row for row in invalid if row[0] > 2_100_000_000]
    assert len(after) > 80
    assert all(a == 20.0 for _, a, _ in after)
    assert all(b < 20.0 for _, _, b in after)
    assert not any(a == 20.0 for t_ns, a, _ in invalid if 1_200_000_000 < t_ns <= 2_000_000_000)

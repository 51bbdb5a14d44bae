"""The work that everybody does is the same work."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from myoloop.acquisition.quality import QualitySettings
from myoloop.experiments.benchmarks.yardstick import work
from myoloop.experiments.benchmarks.yardstick.work import Shape, Work

SHAPE = Shape(channels=3, block=20, rate_hz=2000.0)


def test_command_is_the_rms_of_the_band_pass_over_the_last_quarter_second() -> None:
    blocks = work.noise(SHAPE)[:60]
    doing = Work(SHAPE)

    commands = [doing.command(block) for block in blocks]

    sos = butter(4, (20.0, 450.0), btype="bandpass", fs=2000.0, output="sos")
    filtered = sosfilt(sos, np.concatenate(blocks) * work.SCALE_V * 1e6, axis=0)
    rms_uv = np.sqrt(np.mean(filtered[-500:] ** 2, axis=0))
    assert commands[-1] == pytest.approx(rms_uv.mean() / work.UV_PER_MA)


def test_both_ways_to_filter_give_the_same_commands() -> None:
    plain, matrix = Work(SHAPE), Work(SHAPE, matrix=True)

    for block in work.noise(SHAPE)[:50]:
        assert matrix.command(block) == pytest.approx(plain.command(block), rel=1e-9)


def test_blocks_and_commands_survive_being_packed() -> None:
    block = work.noise(SHAPE)[0]
    data = work.pack_block(7, 123, block)

    assert len(data) == SHAPE.message_bytes
    number, unpacked = work.unpack_block(data)
    assert number == 7
    np.testing.assert_array_equal(unpacked, block)
    assert work.unpack_command(work.pack_command(9, 2.5)) == (9, 2.5)


def test_no_block_comes_again_while_quality_remembers_it() -> None:
    assert QualitySettings().repeated_memory < work.NOISE_BLOCKS
    assert len({block.tobytes() for block in work.noise(SHAPE)}) == work.NOISE_BLOCKS


def test_the_period_follows_from_block_and_rate() -> None:
    assert Shape(16, 20, 2000.0).period_ns == 10_000_000

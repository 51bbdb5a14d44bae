"""Blocks become samples with a mask and the small message the gate listens to."""

from __future__ import annotations

import numpy as np
import pytest

from myoloop.acquisition.intake import Intake, vital_topics
from myoloop.acquisition.source import Block, SourceError
from myoloop.platform import wire
from myoloop.platform.messages import SampleDescriptor, Samples, Vital

EMG = SampleDescriptor(
    topic="emg/forearm", rate_hz=2000.0, dtype="<i2", channels=("a", "b", "c"), units=("V",) * 3,
    scale=(1e-6,) * 3, offset=(0.0,) * 3, rail_low=-2048, rail_high=2047,
)  # fmt: skip
IMU = SampleDescriptor(
    topic="imu/forearm", rate_hz=100.0, dtype="<f4", channels=("ax",), units=("m/s^2",), scale=(1.0,), offset=(0.0,),
)  # fmt: skip


def block(first_sample=0, t_ns=1_000_000_000, seed=0, n=20, **more):
    array = np.random.default_rng(seed).integers(-900, 900, (n, 3)).astype("<i2")
    return Block("emg/forearm", first_sample, t_ns, array, **more)


def test_a_block_becomes_samples_and_vital_untouched():
    intake = Intake(EMG, "vital/forearm")
    given = block(device_t=17.5)
    samples, vital = intake.take(given)
    assert samples.topic == "emg/forearm"
    assert samples.message == Samples(first_sample=0, t_ns=1_000_000_000, device_t=17.5)
    assert samples.array is given.array
    assert vital.topic == "vital/forearm"
    assert vital.message == Vital(
        topic="emg/forearm", samples_seq=0, t_ns=1_000_000_000, rate_hz=None,
        valid_share=(1.0, 1.0, 1.0), flags=("", "", ""),
    )  # fmt: skip


def test_both_messages_travel():
    for seq, out in enumerate(Intake(EMG, "vital/forearm").take(block())):
        frames = wire.encode(
            out.topic, out.message, session="s", publisher="forearm", epoch=1, seq=seq, array=out.array
        )
        assert wire.decode(frames)[1].message == out.message


def test_vital_counts_the_samples_messages():
    intake = Intake(EMG, "vital/forearm")
    numbers = [intake.take(block(20 * i, (100 + i) * 10_000_000, i))[1].message.samples_seq for i in range(3)]
    assert numbers == [0, 1, 2]
    assert intake.take(block(60, seed=9), samples_seq=40)[1].message.samples_seq == 40
    assert intake.take(block(80, seed=10))[1].message.samples_seq == 41


def test_the_mask_travels_as_packed_bits():
    given = block()
    given.array[3, 1] = 2047
    given.array[4, 2] = -2048
    source = np.zeros((20, 3), bool)
    source[19, 0] = True
    samples, vital = Intake(EMG, "vital/forearm").take(Block(given.topic, 0, given.t_ns, given.array, invalid=source))
    bits = np.unpackbits(np.frombuffer(samples.message.invalid, np.uint8), count=60).reshape(20, 3)
    assert np.array_equal(np.argwhere(bits), [[3, 1], [4, 2], [19, 0]])
    assert vital.message.flags == ("invalid", "rail", "rail")


def test_a_pulse_excuses_a_rail():
    intake = Intake(EMG, "vital/forearm")
    given = block()
    given.array[:] = 2047
    intake.see_pulses([given.t_ns - 5_000_000])
    samples, vital = intake.take(given)
    assert samples.message.invalid
    assert vital.message.valid_share == (1.0, 1.0, 1.0)


def test_a_loss_shows_in_the_next_vital():
    intake = Intake(EMG, "vital/forearm")
    intake.take(block())
    _, vital = intake.take(block(60, 1_030_000_000, seed=1))
    assert vital.message.flags == ("gap", "gap", "gap")
    assert vital.message.valid_share == (pytest.approx(20 / 60),) * 3


def test_the_rate_is_told_at_any_time():
    intake = Intake(EMG, "vital/forearm")
    assert intake.tick(5) is None
    for i in range(150):
        intake.take(block(20 * i, (100 + i) * 10_000_000, i))
    assert intake.tick(2_490_000_000) == pytest.approx(2000.0)
    assert intake.tick(3_490_000_000) == pytest.approx(1000.0)


def test_an_empty_block_says_nothing():
    assert Intake(EMG, "vital/forearm").take(block(n=0)) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Block("emg/other", 0, 0, np.zeros((20, 3), "<i2")), "emg/forearm: a block of emg/other"),
        (Block("emg/forearm", 0, 0, np.zeros((20, 3), "<i4")), "in <i4, expected <i2"),
        (Block("emg/forearm", 0, 0, np.zeros((20, 2), "<i2")), r"shape \(20, 2\), expected \(samples, 3\)"),
    ],
)
def test_a_block_that_is_not_as_described_is_refused(given, said):
    with pytest.raises(SourceError, match=said):
        Intake(EMG, "vital/forearm").take(given)


def test_emg_has_the_sources_own_vital_and_other_streams_their_own():
    assert vital_topics([IMU, EMG]) == {"emg/forearm": "vital/forearm", "imu/forearm": "vital/forearm-imu"}
    assert vital_topics([IMU]) == {"imu/forearm": "vital/forearm"}

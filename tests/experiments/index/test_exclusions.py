"""The rules that keep a stream from being used, each at its bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from myoloop.experiments.index.exclusions import EMG_SPREAD_V, of_content
from myoloop.experiments.index.facts import SessionFacts
from myoloop.experiments.index.grade import grade
from myoloop.experiments.index.streams import BlockTally
from myoloop.platform.messages import ClockSample, SampleDescriptor, Samples
from myoloop.platform.steps import Received


def descriptor(topic: str, units: tuple[str, ...], rate_hz: float = 2000.0) -> SampleDescriptor:
    n = len(units)
    names = tuple(f"c{number}" for number in range(n))
    return SampleDescriptor(
        topic=topic, rate_hz=rate_hz, dtype="<f8", channels=names, units=units, scale=(1.0,) * n, offset=(0.0,) * n
    )


def tallied(
    described: SampleDescriptor, values: Any, *, rows: int = 20, epochs: tuple[int, ...] = (1,), first: int = 0
) -> BlockTally:
    """A stream of even blocks; each epoch counts anew."""
    tally = BlockTally(described)
    blocks = np.array_split(np.asarray(values, np.float64), len(values) // rows)
    for number, block in enumerate(blocks):
        t_ns = round((number + 1) * rows / described.rate_hz * 1e9)
        part, inside = divmod(number, -(-len(blocks) // len(epochs)))
        message = Samples(first_sample=first + rows * inside, t_ns=t_ns)
        tally.add(Received(described.topic, "amp", epochs[part], inside, message, block), t_ns)
    return tally


def excluded(*tallies: BlockTally, clock: tuple[ClockSample, ...] = ()) -> list[tuple[str, str]]:
    named = {each.descriptor.topic: each for each in tallies}
    facts = [each.facts(0, 0, blinded=False) for each in tallies]
    return [(each.code, each.what) for each in of_content(facts, named, clock, 0)]


def emg(spread_v: float = 1e-5) -> BlockTally:
    rng = np.random.default_rng(3)
    return tallied(descriptor("emg/amp", ("V", "1")), rng.normal(0.0, spread_v, (8000, 2)))


def test_plausible_emg_is_used() -> None:
    assert excluded(emg()) == []


@pytest.mark.parametrize(
    ("spread_v", "codes"), [(4e-3, ["wrong_unit"]), (1e-3, []), (1e-7, []), (2e-8, ["wrong_unit"])]
)
def test_emg_that_varies_as_no_muscle_does_is_in_another_unit(spread_v: float, codes: list[str]) -> None:
    assert [code for code, _ in excluded(emg(spread_v))] == codes


def test_a_flat_channel_is_not_taken_for_another_unit() -> None:
    values = np.zeros((8000, 1))
    assert excluded(tallied(descriptor("emg/amp", ("V",)), values)) == []


@pytest.mark.parametrize(
    ("topic", "units", "value"),
    [
        ("imu/amp", ("g", "g", "g"), (0.0, 0.0, 1.0)),
        ("imu/amp", ("m/s^2",) * 3, (0.0, 0.0, 1.0)),
        ("imu/amp", ("m/s^2",) * 3, (0.0, 0.0, 981.0)),
        ("imu/amp", ("rad/s",) * 3, (0.0, 90.0, 0.0)),
        ("force/cell", ("kN",), (0.1,)),
    ],
)
def test_a_stream_in_another_unit_is_excluded(topic: str, units: tuple[str, ...], value: tuple[float, ...]) -> None:
    other = tallied(descriptor(topic, units, 100.0), np.tile(value, (400, 1)), rows=1)
    assert excluded(emg(), other) == [("wrong_unit", topic)]


def test_an_imu_in_its_units_is_used() -> None:
    values = np.tile((0.0, 0.0, 9.81, 0.1, 0.0, 0.0), (400, 1))
    assert excluded(emg(), tallied(descriptor("imu/amp", ("m/s^2",) * 3 + ("rad/s",) * 3, 100.0), values, rows=1)) == []


def holed(values: np.ndarray, every: int = 10) -> np.ndarray:
    """The same with some samples that are no finite number."""
    values = values.copy()
    values[::every] = np.nan
    values[1] = np.inf
    return values


def test_samples_that_are_no_number_do_not_make_another_unit() -> None:
    rng = np.random.default_rng(3)
    heard = holed(rng.normal(0.0, 1e-5, (8000, 2)))
    felt = holed(np.tile((0.0, 0.0, 9.81, 0.1, 0.0, 0.0), (400, 1)))
    imu = tallied(descriptor("imu/amp", ("m/s^2",) * 3 + ("rad/s",) * 3, 100.0), felt, rows=1)
    assert excluded(tallied(descriptor("emg/amp", ("V", "1")), heard), imu) == []
    # What another unit looks like is seen nonetheless.
    assert excluded(tallied(descriptor("emg/amp", ("V", "1")), 1e3 * heard)) == [("wrong_unit", "emg/amp")]
    other = tallied(descriptor("imu/amp", ("m/s^2",) * 3, 100.0), holed(np.tile((0.0, 0.0, 1.0), (400, 1))), rows=1)
    assert excluded(emg(), other) == [("wrong_unit", "imu/amp")]


def test_samples_that_must_not_be_used_are_not_judged() -> None:
    described = descriptor("emg/amp", ("V",))
    tally = BlockTally(described)
    for number in range(400):
        block = np.random.default_rng(number).normal(0.0, 1e-5, (20, 1))
        block[15:] = 1.0  # at the rail
        message = Samples(
            first_sample=20 * number, t_ns=(number + 1) * 10_000_000, invalid=np.packbits(block[:, 0] == 1.0).tobytes()
        )
        tally.add(Received("emg/amp", "amp", 1, number, message, block), message.t_ns)
    assert excluded(tally) == []


def test_a_channel_without_any_number_is_excluded_for_that() -> None:
    values = np.random.default_rng(3).normal(0.0, 1e-5, (8000, 2))
    values[:, 1] = np.nan
    tally = tallied(descriptor("emg/amp", ("V", "V")), values)
    assert excluded(tally) == [("no_valid", "emg/amp")]


def test_a_session_without_emg_is_excluded() -> None:
    assert excluded() == [("no_emg", "session")]
    assert excluded(BlockTally(descriptor("emg/amp", ("V",)))) == [("no_emg", "session")]


def test_a_count_that_went_back_is_excluded_and_a_source_opened_anew_is_graded() -> None:
    values = np.random.default_rng(4).normal(0.0, 1e-5, (8000, 1))
    again = tallied(descriptor("emg/amp", ("V",)), values, epochs=(1, 1))
    assert excluded(again) == [("clock_jump", "emg/amp")]
    anew = tallied(descriptor("emg/amp", ("V",)), values, epochs=(1, 2))
    assert excluded(anew) == []
    facts = SessionFacts(status="complete", streams=(anew.facts(0, 0, blinded=False),))
    assert grade(facts, ()) == ("C", ("emg/amp: opened anew 1 times",))


def test_a_host_that_slept_is_told() -> None:
    def stamp(t_s: float, boot_s: float, peer: str = "") -> ClockSample:
        return ClockSample(t_ns=round(t_s * 1e9), wall_ns=0, boottime_ns=round(boot_s * 1e9), peer=peer)

    awake = (stamp(1, 101), stamp(2, 102.04), stamp(3, 103, "other"))
    assert excluded(emg(), clock=awake) == []
    assert excluded(emg(), clock=(*awake, stamp(4, 134))) == [("suspend", "session")]


def test_between_a_and_b_stands_what_is_told() -> None:
    (stream,) = (emg().facts(0, 0, blinded=False),)
    latency = {"emg_to_request": {"n": 9, "p50_ms": 5.0, "p99_ms": 60.0}}
    slow = SessionFacts(status="complete", streams=(stream,), latency_ms=latency)
    assert grade(slow, ()) == ("B", ("EMG to request: 60.0 ms (99 %)",))
    worse = msgspec.structs.replace(stream, lost_percent=0.5, gaps=3, jitter_p99_ms=30.0, rate_error_percent=-1.0)
    letter, why = grade(SessionFacts(status="complete", streams=(worse,)), ())
    assert letter == "B"
    assert why == ("emg/amp: 0.50 % lost in 3 gaps", "emg/amp: rate -1.00 %", "emg/amp: jitter 30.0 ms (99 %)")


@pytest.mark.realdata
def test_emg_under_stimulation_lies_within_the_bounds(data_dir: Path) -> None:
    with np.load(data_dir / "fes_emg_artifact" / "fes_handcycling_16ch_2000Hz.npz") as file:
        values = file["emg_V"].T
    tally = tallied(descriptor("emg/delsys", ("V",) * 16), values)
    assert excluded(tally) == []
    medians = np.median(tally.spreads, axis=0)
    assert EMG_SPREAD_V[0] * 10 < medians.min()
    assert medians.max() < EMG_SPREAD_V[1] / 2

"""What keeps a session from being used: rules over its facts, each with its bound.

The bounds are our choice. A session that breaks one is listed with the reason and left out by every analysis over the
study, until a person decides otherwise; nothing is corrected here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from myoloop.experiments.index.facts import Exclusion, StreamFact
from myoloop.experiments.index.streams import BlockTally
from myoloop.platform.messages import ClockSample

#: Units that a stream of each name may be in, as the platform's contract of samples has them (1: trigger or counter).
UNITS = {
    "emg": ("V", "1"),
    "imu": ("m/s^2", "rad/s", "rad", "1"),
    "force": ("N", "Nm", "rad", "m/s^2", "rad/s", "V", "1"),
}
#: Median over a session of the standard deviation within 10 ms or so: above the noise of any amplifier divided by ten,
#: above what surface EMG has for most of a session (under continuous FES cycling 0.01 to 1.2 mV in a recording of 16
#: muscles). Resting EMG of some microvolts times 1000 does not fit between.
EMG_SPREAD_V = (5e-8, 3e-3)
#: Median length of the acceleration, of which gravity alone makes 9.8; a sensor that gives g has 1, one in mg 1000.
ACCELERATION_M_S2 = (2.0, 50.0)
#: Of a mean over some 10 ms; gyroscopes end at 2000 degrees per second, which is 35.
TURN_RAD_S = 40.0
RATE_ERROR_PERCENT = 5.0
LOST_PERCENT = 10.0
SUSPEND_S = 0.05


def of_content(
    facts: Sequence[StreamFact], tallies: Mapping[str, BlockTally], clock: Sequence[ClockSample], zero_ns: int
) -> tuple[Exclusion, ...]:
    """What a recording's content alone excludes."""
    found: list[Exclusion] = []
    for stream in facts:
        found += _wrong_unit(stream, tallies[stream.topic])
        found += _clock_of(stream)
        if stream.topic.startswith("emg/") and stream.lost_percent > LOST_PERCENT:
            found.append(_of(stream, "lost", f"{stream.lost_percent:.1f} % of the samples are missing"))
    if not any(stream.topic.startswith("emg/") and stream.samples for stream in facts):
        found.append(Exclusion(code="no_emg", what="session", reason="holds no EMG sample"))
    found += _suspends(clock, zero_ns)
    return tuple(found)


def _of(stream: StreamFact, code: str, reason: str) -> Exclusion:
    return Exclusion(code=code, what=stream.topic, reason=reason)


def _wrong_unit(stream: StreamFact, tally: BlockTally) -> Iterator[Exclusion]:
    name = stream.topic.partition("/")[0]
    allowed = UNITS.get(name)
    wrong = [
        f"{channel} in {unit!r}"
        for channel, unit in zip(stream.channels, stream.units, strict=True)
        if allowed is not None and unit not in allowed
    ]
    if wrong and allowed is not None:
        yield _of(stream, "wrong_unit", f"{', '.join(wrong)}; allowed are {', '.join(allowed)}")
        return
    if not len(tally.means):
        return
    if name == "emg":
        yield from _implausible_emg(stream, tally.spreads)
    for at in _triples(stream.units, "m/s^2"):
        lengths = _known(np.linalg.norm(tally.means[:, at], axis=1))
        median = float(np.median(lengths)) if len(lengths) else None
        low, high = ACCELERATION_M_S2
        if median is not None and not low <= median <= high:
            yield _of(
                stream,
                "wrong_unit",
                f"acceleration of {median:.3g} m/s^2 in the median, where gravity alone makes 9.8: in another unit?",
            )
    for at in _triples(stream.units, "rad/s"):
        most = float(np.abs(_known(tally.means[:, at])).max(initial=0.0))
        if not most <= TURN_RAD_S:
            yield _of(stream, "wrong_unit", f"turns at {most:.3g} rad/s, sensors end at 35: in degrees?")


def _implausible_emg(stream: StreamFact, spreads: npt.NDArray[np.float64]) -> Iterator[Exclusion]:
    low, high = EMG_SPREAD_V
    for column, (channel, unit) in enumerate(zip(stream.channels, stream.units, strict=True)):
        known = _known(spreads[:, column])
        if unit != "V":
            continue
        if not len(known):
            # Nothing can be told of its unit; that it holds nothing to be used is reason enough.
            yield _of(stream, "no_valid", f"{channel}: hardly any sample is a number that may be used")
            continue
        median = float(np.median(known))
        if median == 0.0:  # a channel that gives nothing at all is flat, which is another matter
            continue
        if not low <= median <= high:
            yield _of(
                stream,
                "wrong_unit",
                f"{channel} varies by {median:.3g} V in the median, EMG by {low:g} to {high:g}: in another unit?",
            )


def _known(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Those that could be told."""
    return values[np.isfinite(values)]


def _triples(units: Sequence[str], unit: str) -> list[list[int]]:
    columns = [column for column, each in enumerate(units) if each == unit]
    return [columns[at : at + 3] for at in range(0, len(columns) - len(columns) % 3, 3)]


def _clock_of(stream: StreamFact) -> Iterator[Exclusion]:
    jumps = [(old, new) for old, new in pairwise(stream.segments) if new.cause in ("clock", "counter")]
    if jumps:
        told = "; ".join(
            f"its clock jumped by {new.step_s:+.3f} s after {old.end_s:.3f} s"
            if new.step_s is not None
            else f"its count went back after {old.end_s:.3f} s"
            for old, new in jumps[:5]
        )
        more = f" and {len(jumps) - 5} more" if len(jumps) > 5 else ""
        yield _of(
            stream,
            "clock_jump",
            f"{told}{more}: {len(stream.segments)} segments, which are not joined",
        )
    if stream.rate_error_percent is not None and abs(stream.rate_error_percent) > RATE_ERROR_PERCENT:
        yield _of(
            stream,
            "wrong_rate",
            f"comes at {stream.measured_hz:.1f} Hz, said to be {stream.rate_hz:g} Hz "
            f"({stream.rate_error_percent:+.1f} %)",
        )


def _suspends(clock: Sequence[ClockSample], zero_ns: int) -> Iterator[Exclusion]:
    """The host slept: its boot time went on, its monotonic clock did not."""
    own = [each for each in clock if not each.peer and each.boottime_ns]
    for before, after in pairwise(own):
        slept_s = ((after.boottime_ns - before.boottime_ns) - (after.t_ns - before.t_ns)) * 1e-9
        if abs(slept_s) > SUSPEND_S:
            at_s = (after.t_ns - zero_ns) * 1e-9
            yield Exclusion(
                code="suspend", what="session", reason=f"the host slept for {slept_s:.1f} s before {at_s:.3f} s"
            )

"""What a row of contractions says of a muscle: its fatigue, how quickly its frequency falls, and why it changes.

Pure functions of the contractions that counted. Time goes in as it was measured; every figure comes with its interval
or with the reason why there is none.

**From frequency to fatigue.** Conduction velocity v scales the whole spectrum; in the band 20-450 Hz the mean
frequency follows as v^0.83 (ratio 0.8306 for a loss of 20 %, by exact quadrature over the Stulen-De Luca spectrum).
With a conduction velocity that has fallen by 30 % at fatigue 0.6, fatigue = (1 - v / v0) / 0.5. That slope differs
between people; the interval carries 15 % for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.jasa import quadrant
from myoloop.controllers.estimators.trend import Trend, departure, screened, theil_sen
from myoloop.platform.messages import Measure

Floats = npt.NDArray[np.float64]

#: d ln MNF / d ln v in the band 20-450 Hz: ln 0.8306 / ln 0.8.
BAND_SENSITIVITY = 0.832
#: Fall of conduction velocity per unit of fatigue: 30 % at 0.6.
VELOCITY_FALL_PER_FATIGUE = 0.5
#: How much that differs between people (standard deviation, relative).
MAPPING_SD = 0.15
#: Scatter of ln MNF of one second of steady EMG; it falls with the root of the length.
SECOND_SCATTER = 0.045
#: Scatter of ln MNF between contractions is never believed to be below this, however long they are.
SCATTER_MIN = 0.02
#: A muscle tires where the whole interval of the slope is below this: noise and drift of amplitude alone bring up to
#: half of it.
FATIGUE_PCT_PER_MIN = -1.0
#: Contractions of which the beginning is told as median and MAD.
BASELINE_CONTRACTIONS = 3
#: So few contractions after a pause say where the muscle is now.
AFTER_PAUSE_MIN = 3
#: Of fewer contractions the scatter is not known well enough to say which of them is off.
SCREEN_MIN = 10
#: With a larger share of a contraction's samples at the rail its amplitude is a lower bound.
CLIPPED_SHARE = 0.005


class Contraction(NamedTuple):
    """One steady contraction.

    Attributes
    ----------
    t_ns
        Middle of the segments that counted.
    log_mnf, mdf_hz, log_finsm5
        Of the average of their spectra, noise taken off: ln(MNF / Hz), MDF, ln FInsm5.
    segments
        How many.
    number
        Since the session began, from 1.
    log_rms
        ln(RMS / µV), noise taken off.
    invalid_share
        Of its samples, at the rail or else not valid.
    """

    t_ns: int
    log_mnf: float
    mdf_hz: float
    segments: int
    number: int
    log_rms: float
    log_finsm5: float
    invalid_share: float


class Carried(NamedTuple):
    """What was known before an electrode change: ln(MNF / MNF at the beginning) and its standard deviation."""

    log_ratio: float = 0.0
    sd: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """When contractions are enough.

    Attributes
    ----------
    contractions_min, slope_contractions_min
        Fewer are not enough evidence for the index, and for a slope and its quadrant.
    early, late
        Beginning and present are judged from so many contractions.
    slope_contractions
        The slope is that of the newest so many since the last pause.
    pause_s
        A longer pause between contractions is one in which the muscle may have recovered.
    segment_s
        Length of one spectrum; segments overlap by two thirds.
    """

    contractions_min: int
    slope_contractions_min: int
    early: int
    late: int
    slope_contractions: int
    pause_s: float
    segment_s: float


@dataclass(frozen=True, slots=True)
class Baseline:
    """Median and MAD of the first three contractions."""

    log_mnf: float
    log_mnf_mad: float
    log_rms: float
    log_rms_mad: float


@dataclass(frozen=True, slots=True)
class Course:
    """Slopes since the last pause, for a look behind the fields of the estimate.

    Attributes
    ----------
    frequency
        MNF in Hz over minutes since the first of these contractions.
    log_amplitude, log_finsm5
        ln(RMS / µV) and ln FInsm5 over the same.
    clipped
        Whether amplitudes are lower bounds.
    contractions, spoilt
        How many; how many of them were left out because they do not belong to the row.
    """

    frequency: Trend
    log_amplitude: Trend
    log_finsm5: Trend
    clipped: bool
    contractions: int
    spoilt: int

    @property
    def frequency_pct_per_min(self) -> tuple[float, float, float]:
        """Slope of MNF relative to the line's beginning, and its 95 % interval."""
        line = self.frequency
        start = line.intercept
        return 100.0 * line.slope / start, 100.0 * line.low / start, 100.0 * line.high / start

    @property
    def jasa(self) -> str:
        """Quadrant of amplitude and frequency; a clipped amplitude may have risen by more than it seems."""
        amplitude = self.log_amplitude
        high = float("inf") if self.clipped else amplitude.high
        return quadrant((amplitude.low, high), (self.frequency.low, self.frequency.high))


def baseline(points: list[Contraction]) -> Baseline | None:
    """Where a muscle began; None before its third contraction."""
    if len(points) < BASELINE_CONTRACTIONS:
        return None
    told: list[float] = []
    for values in ([p.log_mnf for p in points], [p.log_rms for p in points]):
        first = np.array(values[:BASELINE_CONTRACTIONS])
        middle = float(np.median(first))
        told += [middle, float(np.median(np.abs(first - middle)))]
    return Baseline(*told)


def course(points: list[Contraction], evidence: Evidence) -> Course | None:
    """Slopes since the last pause; None where there are not enough contractions."""
    newest = points[_resumed(points, evidence.pause_s) :][-evidence.slope_contractions :]
    if len(newest) < evidence.slope_contractions_min:
        return None
    t_min = np.array([(p.t_ns - newest[0].t_ns) / 60e9 for p in newest])
    told = np.array([(np.exp(p.log_mnf), p.log_rms, p.log_finsm5) for p in newest])
    belongs = _belong(t_min, told)
    frequency, amplitude, index = (theil_sen(t_min[belongs], each[belongs]) for each in told.T)
    return Course(
        frequency=frequency,
        log_amplitude=amplitude,
        log_finsm5=index,
        clipped=any(p.invalid_share > CLIPPED_SHARE for p in newest),
        contractions=len(newest),
        spoilt=len(newest) - int(np.count_nonzero(belongs)),
    )


def slope(found: Course | None, points: list[Contraction], evidence: Evidence) -> Measure:
    """``frequency_slope_pct_per_min`` of a course."""
    if found is None:
        since = len(points) - _resumed(points, evidence.pause_s)
        need = evidence.slope_contractions_min
        return Measure(reason=f"not enough evidence: {since} of {need} steady contractions since the last pause")
    if found.frequency.intercept <= 0:
        return Measure(reason="the mean frequency follows no line")
    value, low, high = found.frequency_pct_per_min
    return Measure(value=value, low=low, high=high, valid=True, reason="")


def tires(slope_pct_per_min: Measure) -> bool:
    """Whether a slope is one of fatigue: the whole of its interval is below -1 %/min."""
    high = slope_pct_per_min.high
    return slope_pct_per_min.valid and high is not None and high < FATIGUE_PCT_PER_MIN


def change(points: list[Contraction], evidence: Evidence, carried: Carried) -> Carried | str:
    """How far ln MNF has moved from where it began, and its standard deviation; or why that cannot be said."""
    count, need = len(points), evidence.contractions_min
    if count < need:
        return f"not enough evidence: {count} of {need} steady contractions"
    resumed = _resumed(points, evidence.pause_s)
    since = count - resumed
    early, late = evidence.early, evidence.late
    # Before a pause too short a row to draw a line through: then it is one row.
    if resumed >= AFTER_PAUSE_MIN:
        if since < AFTER_PAUSE_MIN:
            return (
                f"{since} of {AFTER_PAUSE_MIN} steady contractions since a pause of more than {evidence.pause_s:g} s: "
                "the muscle may have recovered"
            )
        early, late = min(early, resumed), min(late, since)
    table = np.array([(p.t_ns - points[0].t_ns, p.log_mnf, p.segments) for p in points], dtype=np.float64)
    length_s = evidence.segment_s * (float(np.median(table[:, 2])) + 2.0) / 3.0
    scatter_min = max(SCATTER_MIN, SECOND_SCATTER / float(np.sqrt(length_s)))
    moved = departure(table[:, 0] * 1e-9, table[:, 1], table[:, 2], early=early, late=late, scatter_min=scatter_min)
    return Carried(carried.log_ratio + moved.last - moved.first, float(np.hypot(carried.sd, moved.sd)))


def fatigue_of_frequency(log_ratio: float, sd: float) -> Measure:
    """Fatigue from ln(MNF / MNF at the beginning) and its standard deviation.

    The value is kept within 0 to 1; the interval is not, so that its width stays what is known.
    """
    velocity = float(np.exp(log_ratio / BAND_SENSITIVITY))
    fatigue = (1.0 - velocity) / VELOCITY_FALL_PER_FATIGUE
    steepness = velocity / BAND_SENSITIVITY / VELOCITY_FALL_PER_FATIGUE
    spread = 1.96 * float(np.hypot(steepness * sd, MAPPING_SD * fatigue))
    return Measure(
        value=min(max(fatigue, 0.0), 1.0), low=fatigue - spread, high=fatigue + spread, valid=True, reason=""
    )


def over_a_break(before: Carried | str, carried: Carried) -> Carried:
    """What is still known after an electrode change: the fatigue until then, which may have gone wholly or not at all.

    Its standard deviation makes the 95 % interval reach from there to full recovery. Where nothing was known before the
    break, that is what was carried into it.
    """
    known = carried if isinstance(before, str) else before
    # As the index is linear in the velocity, not in its logarithm, so much reaches full recovery.
    reach = BAND_SENSITIVITY * float(np.expm1(abs(known.log_ratio) / BAND_SENSITIVITY))
    return Carried(known.log_ratio, float(np.hypot(known.sd, reach / 1.96)))


def _belong(t_min: Floats, told: Floats) -> npt.NDArray[np.bool_]:
    """Which contractions are of one row; the others were spoilt by something else than the muscle.

    A cable that moves, hum or a bad contact shows in amplitude or in the ends of the spectrum sooner than in the mean
    frequency. Where those would leave out more than a quarter, they say nothing (efforts differ), and only the mean
    frequency counts.
    """
    if len(t_min) < SCREEN_MIN:
        return np.ones(len(t_min), dtype=np.bool_)
    each = [screened(t_min, column) for column in told.T]
    belongs: npt.NDArray[np.bool_] = np.logical_and.reduce(each)
    return belongs if belongs.mean() >= 0.75 else each[0]


def _resumed(points: list[Contraction], pause_s: float) -> int:
    """Number in `points` of the first contraction since the last pause."""
    pause_ns = pause_s * 1e9
    for i in range(len(points) - 1, 0, -1):
        if points[i].t_ns - points[i - 1].t_ns > pause_ns:
            return i
    return 0

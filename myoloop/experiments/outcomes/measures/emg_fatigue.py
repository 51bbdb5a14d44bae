"""Fatigue from the EMG of voluntary contractions, computed after the session from its samples.

Only pieces of contractions count that neither stimulation nor artifact has touched: no pulse within or shortly before
them, no sample that is not valid, no gap, no impulses, no movement of the electrodes. What is left out is counted by
its reason and told; where too little is left there is no value. EMG and force can disagree: this is no loss of force.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from myoloop.experiments.analysis.tracks import Interval, MuscleSite, SampleTrack
from myoloop.experiments.outcomes.kind import Measure, OutcomeKind
from myoloop.experiments.outcomes.measures.evoked import slope
from myoloop.experiments.outcomes.view import Floats, Value, View, within

PIECE_S = 0.25
#: Nothing counts from this much before a pulse to this much after it: artifact, M-wave, reflexes, amplifier's return.
PULSE_S = (0.001, 0.05)
#: A contraction is what is this much louder than rest; it needs so many pieces, and a slope so many contractions.
LOUDER, PIECES_MIN, CONTRACTIONS_MIN = 3.0, 2, 5
#: Gaussian EMG has a kurtosis of 3, sparse EMG 6 to 8; impulses of a stimulator have far more.
KURTOSIS_MAX = 12.0
#: More power than this share below 15 Hz is movement of skin and cable.
MOVEMENT_HZ, MOVEMENT_SHARE_MAX = 15.0, 0.5
#: Correlation with itself 10 to 100 ms later: an artifact of 10 to 100 Hz, or mains, repeats itself; EMG does not.
REGULAR_S, REGULAR_MAX = (0.01, 0.1), 0.7
PARAMETERS = {
    "piece_s": PIECE_S, "clear_before_pulse_s": PULSE_S[0], "clear_after_pulse_s": PULSE_S[1], "louder": LOUDER,
    "pieces_min": PIECES_MIN, "contractions_min": CONTRACTIONS_MIN, "kurtosis_max": KURTOSIS_MAX,
    "regular_from_s": REGULAR_S[0], "regular_to_s": REGULAR_S[1], "regular_max": REGULAR_MAX,
    "movement_below_hz": MOVEMENT_HZ, "movement_share_max": MOVEMENT_SHARE_MAX,
}  # fmt: skip


@dataclass(slots=True)
class Pieces:
    """Fit pieces of one muscle by contraction, and how many were left out for which reason.

    Attributes
    ----------
    contractions
        (middle in s, (n_pieces, n_samples) in V) of each with enough fit pieces.
    left_out
        By reason.
    """

    contractions: list[tuple[float, Floats]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def fit_pieces(view: View, site: MuscleSite) -> Pieces:
    """Cut the contractions of a muscle into pieces and keep those that nothing has touched."""
    track = view.session.samples[site.topic]
    column = track.record.descriptor.channels.index(site.channel)
    volts = track.channel(site.channel).astype(np.float64)
    pulses_s = np.sort(np.concatenate([each.t_s for each in view.session.delivered().values()] or [np.empty(0)]))
    found = Pieces()
    floor = _rest_rms(view, track, volts, pulses_s)
    size = max(2, round(PIECE_S * track.rate_hz))
    for span in _contractions(view):
        kept = []
        for begin in _begins(track, span, size):
            piece = slice(begin, begin + size)
            reason = unfit(track.t_s[piece], volts[piece], track.record.invalid[piece, column], track.rate_hz, pulses_s)
            if reason:
                found.left_out[reason] += 1
            elif float(np.std(volts[piece])) < LOUDER * floor:
                found.left_out["no louder than rest"] += 1
            else:
                kept.append((float(track.t_s[piece].mean()), volts[piece]))
        if len(kept) >= PIECES_MIN:
            found.contractions.append((float(np.mean([at for at, _ in kept])), np.array([each for _, each in kept])))
        elif kept:
            found.left_out["contraction too short"] += len(kept)
    return found


def _contractions(view: View) -> Iterator[Interval]:
    """Stretches in which the person was asked to pull, in order of time."""
    spans = list(view.states("await_effort"))
    for trial, (begin_s, _, end_s) in zip(view.session.trials, view.session.trial_times_s, strict=True):
        if trial.kind == "mvc" and trial.outcome == "done":
            spans.append(Interval(begin_s, end_s))
    yield from sorted(spans)


def _begins(track: SampleTrack, span: Interval, size: int) -> range:
    inside = np.flatnonzero(within(track.t_s, span))
    return range(int(inside[0]), int(inside[-1]) + 2 - size, size) if len(inside) else range(0)


def unfit(t_s: Floats, volts: Floats, invalid: np.ndarray[Any, Any], rate_hz: float, pulses_s: Floats) -> str:
    """Why nothing spectral may be told of a piece; empty where it may."""
    first, last = np.searchsorted(pulses_s, (t_s[0] - PULSE_S[1], t_s[-1] + PULSE_S[0]))
    if last > first:
        return "stimulation"
    if invalid.any() or not np.isfinite(volts).all():
        return "samples that are not valid"
    if t_s[-1] - t_s[0] > 1.05 * (len(t_s) - 1) / rate_hz:
        return "gap"
    centred = volts - volts.mean()
    power = float(np.mean(centred**2))
    if not power > 0:
        return "flat"
    if float(np.mean(centred**4)) / power**2 > KURTOSIS_MAX:
        return "impulses (artifact)"
    lines = np.abs(np.fft.rfft(centred)) ** 2
    below = np.fft.rfftfreq(len(centred), 1.0 / rate_hz) < MOVEMENT_HZ
    if lines[below].sum() > MOVEMENT_SHARE_MAX * lines.sum():
        return "movement (artifact)"
    return "regular (artifact or mains)" if _regularity(centred, power, rate_hz) > REGULAR_MAX else ""


def _regularity(centred: Floats, power: float, rate_hz: float) -> float:
    """Largest correlation of a piece with itself at lags of `REGULAR_S`, each over the samples that overlap."""
    size = len(centred)
    spectrum = np.fft.rfft(centred, 2 * size)
    overlap = np.fft.irfft(spectrum * spectrum.conj())[:size] / np.arange(size, 0, -1)
    low, high = (round(lag_s * rate_hz) for lag_s in REGULAR_S)
    return float(overlap[low : high + 1].max() / power)


def _rest_rms(view: View, track: SampleTrack, volts: Floats, pulses_s: Floats) -> float:
    """Of the first rest, without pulses; 0 where there is none."""
    rests = view.rests()
    if not rests:
        return 0.0
    keep = within(track.t_s, rests[0])
    if len(pulses_s):
        since = track.t_s - pulses_s[np.maximum(np.searchsorted(pulses_s, track.t_s, "right") - 1, 0)]
        keep &= (since < 0) | (since > PULSE_S[1])
    return float(np.std(volts[keep])) if keep.any() else 0.0


def _slope_of(told: Callable[[Floats, Floats], float]) -> Callable[[View], Value]:
    """The outcome of one figure of a contraction: (lines' frequencies, mean density) to a number."""

    def compute(view: View) -> Value:
        # Here, since whoever reads a protocol reads this module, and SciPy's signals take two seconds.
        from myoloop.controllers.signals.features import Spectrum, spectral_validity

        parts, left_out, n = {}, Counter[str](), {}
        intervals = {}
        for site in view.session.sites:
            if (why := spectral_validity(view.session.samples[site.topic].rate_hz)) != "":
                left_out[why] += 1
                continue
            pieces = fit_pieces(view, site)
            left_out += pieces.left_out
            if len(pieces.contractions) < CONTRACTIONS_MIN:
                continue
            rate_hz = view.session.samples[site.topic].rate_hz
            spectrum = Spectrum(rate_hz, pieces.contractions[0][1].shape[1])
            at_min = np.array([at_s for at_s, _ in pieces.contractions]) / 60.0
            values = np.array(
                [
                    told(spectrum.frequencies_hz, spectrum.densities(each).mean(axis=0))
                    for _, each in pieces.contractions
                ]
            )
            found = slope(at_min, values)
            if found is not None:
                parts[site.muscle], intervals[site.muscle] = found[0], list(found[1:])
                n[site.muscle] = len(values)
        return _value(view, parts, n, left_out, intervals)

    return compute


def _value(
    view: View, parts: dict[str, float], n: dict[str, int], left_out: Counter[str], intervals: dict[str, list[float]]
) -> Value:
    parameters: dict[str, Any] = {"left_out": dict(left_out), "intervals": intervals}
    if not parts:
        said = ", ".join(f"{reason} {count}" for reason, count in left_out.most_common()) or "no contraction"
        why = f"fewer than {CONTRACTIONS_MIN} contractions with fit pieces (left out: {said})"
        return Value(None, why=why, parameters=parameters)
    muscle = view.session.stimulated_muscle
    if muscle in parts:
        return Value(parts[muscle], n[muscle], parts, parameters=parameters)
    return Value(float(np.mean(list(parts.values()))), sum(n.values()), parts, parameters=parameters)


def _mdf(frequencies_hz: Floats, density: Floats) -> float:
    from myoloop.controllers.signals.features import median_frequency_hz

    return float(median_frequency_hz(frequencies_hz, density))


def _rms(frequencies_hz: Floats, density: Floats) -> float:
    return float(np.sqrt(density.sum() * (frequencies_hz[1] - frequencies_hz[0])))


def _dimitrov(frequencies_hz: Floats, density: Floats) -> float:
    from myoloop.controllers.signals.features import log_dimitrov_index

    return float(np.exp(log_dimitrov_index(frequencies_hz, density)))


_HOW = (
    "Theil and Sen's slope over contractions of {}, from Welch spectra of pieces that neither stimulation nor artifact "
    "touched, in %/min of the line's first value; pieces left out and intervals (95 %) in `parameters`"
)
_NEEDS = ("emg", "effort")
MEASURES = (
    Measure("emg_mdf_slope", OutcomeKind("slope of the EMG's median frequency over own contractions", "%/min", _NEEDS),
            _slope_of(_mdf), _HOW.format("the median frequency"), PARAMETERS, "more",
            "Merletti and Parker, Electromyography, 2004; Sen 1968"),
    Measure("emg_rms_slope", OutcomeKind("slope of the EMG's RMS over own contractions", "%/min", _NEEDS),
            _slope_of(_rms), _HOW.format("the RMS in the band"), PARAMETERS, "",
            "Merletti and Parker, Electromyography, 2004; Sen 1968"),
    Measure("emg_dimitrov_slope", OutcomeKind("slope of Dimitrov's index over own contractions", "%/min", _NEEDS),
            _slope_of(_dimitrov), _HOW.format("Dimitrov's index (M-1/M5)"), PARAMETERS, "less",
            "Dimitrov et al., Med Sci Sports Exerc 2006;38:1971; Sen 1968"),
)  # fmt: skip

"""Voluntary fatigue: how well the slope of the mean frequency is told, and what a real record says.

Every drawn person is a scene for each seed and each loss of conduction velocity
(:mod:`~myoloop.experiments.benchmarks.contraction_scenes`); all scenes of a seed are the muscles of one source, which a
muscle group hears hop by hop as in a session. The truth is the straight line through each contraction's exact mean
frequency, by quadrature of its spectrum behind the conditioning filter. Beside it the simplest known method: a
least-squares line through the median frequencies of windows of 250 ms, the contractions' true times given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import sosfreqz
from scipy.stats import kendalltau, linregress

from myoloop.controllers.choice import Choice
from myoloop.controllers.estimators.baseline import BaselineSettings
from myoloop.controllers.estimators.contractions import FATIGUE_PCT_PER_MIN, tires
from myoloop.controllers.estimators.estimator import Setup, Situation
from myoloop.controllers.estimators.trend import theil_sen
from myoloop.controllers.muscles import MuscleGroup
from myoloop.controllers.parts import Faults
from myoloop.controllers.signals.batch import WindowFeatures
from myoloop.controllers.signals.conditioning import Conditioner
from myoloop.controllers.signals.conditioning_settings import ConditioningSettings
from myoloop.controllers.signals.features import Spectrum
from myoloop.controllers.signals.filters import bandpass, notch
from myoloop.experiments.benchmarks import contraction_scenes as scenes
from myoloop.experiments.benchmarks import real_contractions as real
from myoloop.experiments.benchmarks.findings import LEFT_OUT, Finding, mean_over_subjects
from myoloop.experiments.benchmarks.recordings import folder
from myoloop.platform.messages import MuscleEstimate, SampleDescriptor, Samples

NAME = "fatigue"
LOSSES = (0.0, 0.0, 0.05, 0.10, 0.10, 0.25)
RECORDING = "emg_fatigue_plux"
SIMPLEST = "least squares through 250 ms median frequencies"
STEP_NS = 10_000_000

Floats = npt.NDArray[np.float64]


def measure(
    subjects: int, seeds: int, first_seed: int, say: Callable[[str], None]
) -> tuple[list[Finding], dict[str, Any]]:
    """Findings, and the contractions of the figure."""
    lines_hz = np.arange(10.0, 500.0, 0.25)
    sos = np.concatenate([bandpass(scenes.RATE_HZ), notch(scenes.RATE_HZ, 50.0)])
    response = np.abs(sosfreqz(sos, lines_hz, fs=scenes.RATE_HZ)[1]) ** 2
    table = np.empty((subjects, seeds, len(LOSSES), 9))
    quadrants: list[tuple[float, float, str]] = []
    for seed in range(seeds):
        say(f"fatigue: scenes {seed + 1} of {seeds}")
        made = [
            scenes.make(first_seed + subject, loss, np.random.default_rng((first_seed, subject, seed, number)))
            for subject in range(subjects)
            for number, loss in enumerate(LOSSES)
        ]
        told = _hear([scene for scene, _ in made], np.stack([counts for _, counts in made], axis=1))
        for at, ((scene, counts), estimate) in enumerate(zip(made, told, strict=True)):
            means, medians = scenes.true_frequencies_hz(scene, response, lines_hz)
            exact = scenes.straight_slope_pct_per_min(scene.middle_s, means)
            exact_median = scenes.straight_slope_pct_per_min(scene.middle_s, medians)
            slope = estimate.frequency_slope_pct_per_min
            simple = _simplest(scene, counts)
            table[at // len(LOSSES), seed, at % len(LOSSES)] = (
                exact, *((slope.value, slope.low, slope.high) if slope.valid else (np.nan,) * 3), tires(slope),
                exact_median, *simple,
            )  # fmt: skip
            quadrants.append((scene.loss, scene.log_gain, estimate.jasa))
    findings = _slopes(table) + _quadrants(quadrants)
    say("fatigue: the real record")
    recorded, curves = _real()
    if not recorded:
        say(f"{LEFT_OUT}fatigue: no recording {RECORDING!r} (MYOLOOP_DATA says where recordings are)")
        curves = _picture(first_seed, response, lines_hz)
    return findings + recorded, curves


def draw(curves: dict[str, Any], figure: Any) -> None:
    """Mean frequency of each contraction, the line that is told and its 95 % interval."""
    axes = figure.add_subplot()
    t_s = np.array(curves["t_s"])
    axes.plot(t_s, curves["mean_frequency_hz"], "o", markersize=4, color="C0", label="contractions")
    slope, low, high = (np.array(curves[name]) for name in ("slope", "slope_low", "slope_high"))
    middle = float(np.median(t_s))
    level = curves["intercept"] + slope * (middle - t_s[0])
    axes.plot(t_s, level + slope * (t_s - middle), color="C0", label="Theil-Sen line")
    axes.fill_between(
        t_s, level + low * (t_s - middle), level + high * (t_s - middle), color="C0", alpha=0.2, linewidth=0,
        label="95 % interval of its slope",
    )  # fmt: skip
    if curves.get("exact_hz"):
        axes.plot(t_s, curves["exact_hz"], "--", color="C3", label="truth")
    axes.set_xlabel("time (s)")
    axes.set_ylabel("mean frequency (Hz)")
    axes.set_title(curves["title"])
    axes.legend(frameon=False)


def _hear(made: list[scenes.Scene], counts: npt.NDArray[np.int16]) -> list[MuscleEstimate]:
    """What the controller's muscle group knows at the end of scenes that are its muscles."""
    names = tuple(f"m{number}" for number in range(len(made)))
    descriptor = SampleDescriptor(
        topic="emg/scenes", rate_hz=scenes.RATE_HZ, dtype="<i2", channels=names, units=("V",) * len(names),
        scale=(scenes.UV_PER_COUNT * 1e-6,) * len(names), offset=(0.0,) * len(names),
    )  # fmt: skip
    return _play(descriptor, counts, scenes.effort_expected(made))


def _play(
    descriptor: SampleDescriptor, counts: npt.NDArray[np.int16], asked: npt.NDArray[np.bool_]
) -> list[MuscleEstimate]:
    columns = tuple(range(len(descriptor.channels)))
    conditioner = Conditioner(ConditioningSettings(), descriptor, columns, False)
    setup = Setup(
        muscles=descriptor.channels, rate_hz=descriptor.rate_hz, hop_samples=conditioner.hop_samples, stimulated=False,
        effort_muscles=np.ones(len(columns), dtype=np.bool_), channels=((),) * len(columns),
    )  # fmt: skip
    group = MuscleGroup(conditioner, setup, BaselineSettings(), [Choice(name="contraction_spectrum")], Faults())
    rows, now_ns = conditioner.hop_samples, 0
    for number in range(len(counts) // rows):
        now_ns = (number + 1) * STEP_NS
        situation = Situation(now_ns, effort_expected=bool(asked[min(number, len(asked) - 1)]))
        block = counts[rows * number : rows * (number + 1)]
        group.add(Samples(first_sample=rows * number, t_ns=now_ns), block, 1, situation)
        group.advance(now_ns, False, situation)
    return group.estimates(now_ns, 10**9)


def _simplest(scene: scenes.Scene, counts: npt.NDArray[np.int16]) -> tuple[float, float, float]:
    """Slope in %/min and the ends of its 95 % interval."""
    features = WindowFeatures(scenes.RATE_HZ, 500, 500, features=("median_frequency_hz",))
    times, found = [], []
    for begin in scene.begin_s:
        at, end = (round((begin + each) * scenes.RATE_HZ) for each in (scenes.RAMP_S, scenes.WORK_S - scenes.RAMP_S))
        told = features.record(counts[at:end, None].astype(np.float64))["median_frequency_hz"][:, 0]
        found += told.tolist()
        times += (begin + 0.25 * (np.arange(len(told)) + 0.5)).tolist()
    t_min = (np.array(times) - times[0]) / 60
    line = linregress(t_min, found)
    half = 1.96 * line.stderr
    low, value, high = (100 * each / line.intercept for each in (line.slope - half, line.slope, line.slope + half))
    return value, low, high


def _slopes(table: Floats) -> list[Finding]:
    """Error, interval and flag of the slope over (subjects, seeds, losses)."""
    exact, value, low, high, flag, exact_median, simple, simple_low, simple_high = np.moveaxis(table, -1, 0)
    losses = np.array(LOSSES)
    n = len(table)

    def over(values: Floats, which: npt.NDArray[np.bool_] | None = None) -> tuple[float, float, float]:
        kept = values if which is None else values[:, :, which]
        return mean_over_subjects(kept.reshape(n, -1))

    square = tuple(float(np.sqrt(max(each, 0.0))) for each in over((value - exact) ** 2))
    told = f"{scenes.SNR_DB:g} dB, {100 * scenes.SPOILT:g} % of contractions spoilt"
    covered = over(((low <= exact) & (exact <= high)).astype(np.float64))
    plain = float(((simple_low <= exact_median) & (exact_median <= simple_high)).mean())
    found = [
        Finding(
            part=NAME, what=f"slope of the mean frequency, RMSE; {told}", value=square[0], unit="%/min", low=square[1],
            high=square[2], target=1.0, sense="at most", baseline=SIMPLEST, n=n,
            baseline_value=float(np.sqrt(np.mean((simple - exact_median) ** 2))),
        ),
        Finding(
            part=NAME, what="share of true slopes within the 95 % interval, not too few", value=covered[0],
            low=covered[1], high=covered[2], target=0.93, baseline=SIMPLEST, baseline_value=plain, n=n,
        ),
        Finding(
            part=NAME, what="the same, not too many", value=covered[0], low=covered[1], high=covered[2], target=0.97,
            sense="at most", baseline=SIMPLEST, baseline_value=plain, n=n,
        ),
    ]  # fmt: skip
    simple_flag = (simple_high < FATIGUE_PCT_PER_MIN).astype(np.float64)
    for loss, what, target, sense in (
        (0.0, "fatigue told where there is none", 2.0, "at most"),
        (0.05, "found: 5 % of conduction velocity lost in 138 s", None, "at least"),
        (0.10, "found: 10 % of conduction velocity lost in 138 s", 95.0, "at least"),
        (0.25, "found: 25 % of conduction velocity lost in 138 s", None, "at least"),
    ):
        which = losses == loss
        share = over(flag, which)
        found.append(
            Finding(
                part=NAME, what=what, value=100 * share[0], unit="%", low=100 * share[1], high=100 * share[2],
                target=target, sense="at most" if sense == "at most" else "at least", baseline=SIMPLEST, n=n,
                baseline_value=100 * float(simple_flag[:, :, which].mean()),
            )
        )  # fmt: skip
    return found


def _quadrants(told: list[tuple[float, float, str]]) -> list[Finding]:
    """How often joint analysis names the quadrant in which the scene lies, or another one."""
    tired = [(gain, name) for loss, gain, name in told if loss >= 0.10]
    # A drift that the scene's own scatter hides has no sign to be found.
    clear = [("fatigue" if gain > 0 else "force decrease", name) for gain, name in tired if abs(gain) > 0.1]
    right = float(np.mean([name == true for true, name in clear]))
    wrong = float(np.mean([name not in (true, "undetermined") for true, name in clear]))
    return [
        Finding(part=NAME, what="quadrant named, 10 % lost or more and amplitude drifted", value=100 * right, unit="%"),
        Finding(part=NAME, what="another quadrant named, same scenes", value=100 * wrong, unit="%"),
    ]


def _picture(first_seed: int, response: Floats, lines_hz: Floats) -> dict[str, Any]:
    """A scene with a loss of 25 %, for the figure where there is no recording."""
    scene, counts = scenes.make(first_seed, 0.25, np.random.default_rng(first_seed))
    spectrum = Spectrum(scenes.RATE_HZ, 500)
    emg = counts.astype(np.float64)[:, None] * scenes.UV_PER_COUNT
    rows = [real.stretch(emg, m, 2.4, scenes.RATE_HZ, spectrum) for m in scene.middle_s]
    exact, _ = scenes.true_frequencies_hz(scene, response, lines_hz)
    curves = _curves(scene.middle_s, np.array([row["mnf"] for row in rows]), "simulated: 25 % of velocity lost")
    return {**curves, "exact_hz": exact.tolist()}


def _real() -> tuple[list[Finding], dict[str, Any]]:
    """The thirty real contractions against values that were made with other code; nothing where they are absent."""
    place = folder(RECORDING)
    if place is None:
        return [], {}
    raw = real.counts(place)
    t_s, found = real.features(raw)
    ends = max(abs(found["mnf"][k] / real.MNF_HZ[k] - 1) for k in (0, -1))
    slopes = {name: theil_sen(t_s - t_s[0], values).slope for name, values in found.items()}
    off = {name: abs(slopes[name] / real.SLOPE_PER_S[name] - 1) for name in slopes}
    tau = abs(float(kendalltau(t_s, found["mnf"]).statistic) / real.KENDALL_TAU_MNF - 1)
    (told,) = _play(real.DESCRIPTOR, raw, np.arange(len(raw) // 10) >= 50)
    slope = told.frequency_slope_pct_per_min
    findings = [
        Finding(
            part=NAME, what="real record: mean frequency of first and last contraction, largest deviation",
            value=100 * ends, unit="%", target=2.0, sense="at most",
        ),
        Finding(
            part=NAME, what="real record: slopes of MNF, MDF, RMS, zero crossings, ln FInsm5, largest deviation",
            value=100 * max(off.values()), unit="%", target=2.0, sense="at most",
        ),
        Finding(
            part=NAME, what="real record: Kendall's tau of MNF, deviation", value=100 * tau, unit="%", target=2.0,
            sense="at most",
        ),
        Finding(
            part=NAME, what="real record, as the controller hears it: contractions (30 there are)",
            value=float(told.contractions),
        ),
    ]  # fmt: skip
    if slope.valid and slope.value is not None:
        findings.append(
            Finding(
                part=NAME, what=f"the same: slope of MNF, golden {real.MNF_PCT_PER_MIN:.1f}; JASA {told.jasa}",
                value=slope.value, low=slope.low, high=slope.high, unit="%/min",
            )
        )  # fmt: skip
    title = "30 fatiguing contractions of a real biceps"
    return findings, _curves(t_s, found["mnf"], title)


def _curves(t_s: Floats, mnf_hz: Floats, title: str) -> dict[str, Any]:
    line = theil_sen(t_s - t_s[0], mnf_hz)
    return {
        "title": title,
        "t_s": t_s.tolist(),
        "mean_frequency_hz": mnf_hz.tolist(),
        "intercept": line.intercept,
        "slope": line.slope,
        "slope_low": line.low,
        "slope_high": line.high,
    }

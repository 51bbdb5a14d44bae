"""How well spasms are found, dated and told apart, by their level over the noise, without and with stimulation.

Scenes with a known truth (:mod:`~myoloop.experiments.subjects.scenes`) pass the controller's own path. An onset counts
as found where the estimate says so from 0.1 s before to 0.5 s after it, each at most once
(:func:`~myoloop.controllers.estimators.scoring.score_onsets`); its time is when the estimate was there to be acted on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.scoring import WINDOW_S, score_onsets
from myoloop.experiments.benchmarks.findings import Finding, mean_over_subjects
from myoloop.experiments.benchmarks.spasm_runs import RATE_HZ, Told, run_controller, run_fixed_threshold
from myoloop.experiments.subjects.emg import shaped_noise
from myoloop.experiments.subjects.scenes import SCENE_KINDS, SceneEvent, pulse_times_s, spasm_scenes

NAME = "spasm"
SNR_DB = (20.0, 14.0, 10.0, 6.0)
SECONDS = 120.0
#: Columns of one detector: more cost memory and gain no time.
_COLUMNS = 50
_BASELINE = "fixed threshold, mean + 3 SD"
#: A clonus is told an octave off from here on.
_OCTAVE = 1.5
_STEP_DB, _STEP_S, _STEP_COLUMNS = 10.0, (20.0, 60.0), 20


@dataclass(slots=True)
class Score:
    """One condition: tables are (subjects, seeds)."""

    f1: npt.NDArray[np.float64]
    false_per_min: npt.NDArray[np.float64]
    fixed_f1: npt.NDArray[np.float64]
    fixed_false_per_min: npt.NDArray[np.float64]
    latencies_s: list[float] = field(default_factory=list)
    fixed_latencies_s: list[float] = field(default_factory=list)
    longest_s: float = 0.0
    confusion: list[Counter[tuple[str, str]]] = field(default_factory=list)
    clonus_errors_hz: list[float] = field(default_factory=list)
    octaves_off: int = 0
    decided_s: list[float] = field(default_factory=list)
    events: int = 0
    splits: int = 0
    merges: int = 0
    true_s: float = 0.0
    told_s: float = 0.0


def measure(
    subjects: int, seeds: int, first_seed: int, say: Callable[[str], None]
) -> tuple[list[Finding], dict[str, Any]]:
    """Score the detector on `subjects` x `seeds` scenes of two minutes in eight conditions."""
    scores: dict[tuple[bool, float], Score] = {}
    for stimulated in (False, True):
        for snr_db in SNR_DB:
            say(f"spasm: {snr_db:g} dB, {_with(stimulated)}")
            scores[stimulated, snr_db] = _score(subjects, seeds, first_seed, snr_db, stimulated)
    findings: list[Finding] = []
    for (stimulated, snr_db), score in scores.items():
        findings += _detection(score, snr_db, stimulated)
    for stimulated in (False, True):
        these = {snr_db: scores[stimulated, snr_db] for snr_db in SNR_DB}
        findings += _typing(these, stimulated) + _course(these, stimulated)
    say("spasm: a step of the baseline")
    findings.append(_step(first_seed))
    return findings, _curves(scores)


def draw(curves: dict[str, Any], figure: Any) -> None:
    """F1 and latency by level over the noise; the confusion of kinds at 10 dB."""
    score, latency, kinds = figure.subplots(1, 3)
    for course in curves["courses"]:
        style = "-" if course["method"] == "myoloop" else ":"
        colour = "tab:red" if course["stimulated"] else "tab:blue"
        name = f"{course['method']}, {_with(course['stimulated'])}"
        score.errorbar(
            curves["snr_db"], course["f1"], yerr=np.abs(np.array(course["interval"]).T - course["f1"]), linestyle=style,
            color=colour, marker="o", markersize=3, label=name,
        )  # fmt: skip
        if course["method"] == "myoloop":
            latency.plot(curves["snr_db"], 1e3 * np.array(course["median_s"]), color=colour, marker="o", markersize=3)
            latency.plot(curves["snr_db"], 1e3 * np.array(course["p95_s"]), color=colour, linestyle="--")
    score.set(xlabel="level of the spasm (dB over rest)", ylabel="F1 of onsets, one to one", ylim=(0, 1.02))
    score.legend(fontsize=6, loc="lower right")
    latency.axhline(60, color="0.6", linewidth=0.8)
    latency.axhline(150, color="0.6", linewidth=0.8, linestyle="--")
    latency.set(xlabel="level of the spasm (dB over rest)", ylabel="onset until told (ms): median, 95 % (dashed)")
    latency.set_ylim(bottom=0)
    table = np.array(curves["confusion"], dtype=float)
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    kinds.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(table.shape):
        dark = "white" if share[row, column] > 0.5 else "black"
        kinds.text(column, row, f"{table[row, column]:.0f}", ha="center", va="center", fontsize=7, color=dark)
    kinds.set_xticks(range(table.shape[1]), [*curves["kinds"], "none"], rotation=60, fontsize=7)
    kinds.set_yticks(range(table.shape[0]), curves["kinds"], fontsize=7)
    kinds.set(xlabel="told", ylabel="true, at 10 dB")


def _with(stimulated: bool) -> str:
    return "33 Hz stimulation" if stimulated else "no stimulation"


def _score(subjects: int, seeds: int, first_seed: int, snr_db: float, stimulated: bool) -> Score:
    shape = (subjects, seeds)
    score = Score(
        f1=np.zeros(shape), false_per_min=np.zeros(shape), fixed_f1=np.zeros(shape),
        fixed_false_per_min=np.zeros(shape),
        confusion=[Counter() for _ in range(subjects)],
    )  # fmt: skip
    scenes = [(subject, seed) for subject in range(subjects) for seed in range(seeds)]
    pulses_s = pulse_times_s(SECONDS) if stimulated else None
    for first in range(0, len(scenes), _COLUMNS):
        part = scenes[first : first + _COLUMNS]
        numbers = [first_seed + subject * seeds + seed for subject, seed in part]
        emg, events = spasm_scenes(numbers, SECONDS, snr_db, RATE_HZ, stimulated)
        for place, true, ours, fixed in zip(
            part, events, run_controller(emg, pulses_s), run_fixed_threshold(emg), strict=True
        ):
            onsets_s = [event.onset_s for event in true]
            score.fixed_f1[place], score.fixed_false_per_min[place] = _onsets(onsets_s, fixed, score.fixed_latencies_s)
            score.f1[place], score.false_per_min[place] = _onsets(onsets_s, ours, score.latencies_s)
            _tell_apart(score, place[0], true, ours)
    return score


def _onsets(true_s: list[float], told: list[Told], latencies_s: list[float]) -> tuple[float, float]:
    """F1 and false onsets a minute; the latencies are added to the list."""
    matched = score_onsets(true_s, [burst.at_s for burst in told])
    latencies_s += matched.latencies_s
    return matched.f1, matched.false / (SECONDS / 60.0)


def _tell_apart(score: Score, subject: int, true: list[SceneEvent], told: list[Told]) -> None:
    low, high = WINDOW_S
    score.events += len(true)
    score.true_s += sum(event.end_s - event.onset_s for event in true)
    score.told_s += sum(burst.end_s - burst.at_s for burst in told)
    score.longest_s = max([score.longest_s, *(burst.end_s - burst.at_s for burst in told)])
    for event in true:
        within = [burst for burst in told if event.onset_s + low <= burst.at_s <= event.end_s + high]
        score.splits += max(0, len(within) - 1)
        burst = next((one for one in within if one.at_s <= event.onset_s + high), None)
        if burst is None:
            continue
        score.confusion[subject][event.kind, burst.kind] += 1
        if np.isfinite(burst.kind_s):
            score.decided_s.append(burst.kind_s - event.onset_s)
        if event.kind == burst.kind == "clonus":
            score.clonus_errors_hz.append(abs(burst.clonus_hz - event.clonus_hz))
            ratio = burst.clonus_hz / event.clonus_hz
            score.octaves_off += not 1 / _OCTAVE < ratio < _OCTAVE
    for burst in told:
        overlaps = sum(event.onset_s < burst.end_s and burst.at_s < event.end_s for event in true)
        score.merges += max(0, overlaps - 1)


def _detection(score: Score, snr_db: float, stimulated: bool) -> list[Finding]:
    where = f"{snr_db:g} dB, {_with(stimulated)}"
    strict = snr_db >= 10
    count = int(score.f1.size)
    mean, low, high = mean_over_subjects(score.f1)
    fixed = mean_over_subjects(score.fixed_f1)[0]
    false, false_low, false_high = mean_over_subjects(score.false_per_min)
    fixed_false = mean_over_subjects(score.fixed_false_per_min)[0]
    median_s, p95_s = (float(q) for q in np.quantile(score.latencies_s, (0.5, 0.95)))
    fixed_s = [float(q) for q in np.quantile(score.fixed_latencies_s, (0.5, 0.95))]
    at_most: Literal["at most"] = "at most"
    return [
        Finding(
            part=NAME, what=f"F1 of onsets, {where}", value=mean, low=low, high=high, target=0.95 if strict else 0.75,
            baseline=_BASELINE, baseline_value=fixed, n=count,
        ),
        Finding(
            part=NAME, what=f"false onsets, {where}", value=false, unit="per min", low=false_low, high=false_high,
            target=0.2 if strict else None, sense=at_most, baseline=_BASELINE, baseline_value=fixed_false, n=count,
        ),
        Finding(
            part=NAME, what=f"median latency, {where}", value=1e3 * median_s, unit="ms",
            target=60.0 if strict else None, sense=at_most, baseline=_BASELINE, baseline_value=1e3 * fixed_s[0],
            n=len(score.latencies_s),
        ),
        Finding(
            part=NAME, what=f"latency, 95 % of onsets, {where}", value=1e3 * p95_s, unit="ms",
            target=150.0 if strict else None, sense=at_most, baseline=_BASELINE, baseline_value=1e3 * fixed_s[1],
            n=len(score.latencies_s),
        ),
    ]  # fmt: skip


def macro_f1(confusion: Counter[tuple[str, str]]) -> float:
    """Mean over the kinds of the F1 of each; what was told to be of no kind counts as wrong."""
    scores = []
    for kind in SCENE_KINDS:
        right = confusion[kind, kind]
        wrong = sum(n for (true, told), n in confusion.items() if (true == kind) != (told == kind))
        if right + wrong:
            scores.append(2 * right / (2 * right + wrong))
    return float(np.mean(scores)) if scores else 1.0


def _typing(scores: dict[float, Score], stimulated: bool) -> list[Finding]:
    findings = []
    for snr_db, score in scores.items():
        each = [[macro_f1(confusion)] for confusion in score.confusion]
        mean, low, high = mean_over_subjects(each)
        findings.append(
            Finding(
                part=NAME,
                what=f"macro-F1 of kinds, {snr_db:g} dB, {_with(stimulated)}",
                value=mean,
                low=low,
                high=high,
                target=0.85 if snr_db >= 10 else None,
                n=sum(c.total() for c in score.confusion),
            )
        )
    clear = [score for snr_db, score in scores.items() if snr_db >= 10]
    errors = [error for score in clear for error in score.clonus_errors_hz]
    octaves = sum(score.octaves_off for score in clear)
    decided = [at for score in clear for at in score.decided_s]
    where = f"10 to 20 dB, {_with(stimulated)}"
    return [
        *findings,
        Finding(
            part=NAME, what=f"clonus frequency, mean error, {where}", value=float(np.mean(errors)), unit="Hz",
            target=0.1, sense="at most", n=len(errors),
        ),
        Finding(
            part=NAME, what=f"clonus frequency, octave errors, {where}", value=100.0 * octaves / len(errors), unit="%",
            target=1.0, sense="at most", n=len(errors),
        ),
        Finding(
            part=NAME, what=f"kind first told, 95 % of spasms, {where}", value=float(np.quantile(decided, 0.95)),
            unit="s after onset", target=1.2, sense="at most", n=len(decided),
        ),
    ]  # fmt: skip


def _course(scores: dict[float, Score], stimulated: bool) -> list[Finding]:
    clear = [score for snr_db, score in scores.items() if snr_db >= 10]
    where = f"10 to 20 dB, {_with(stimulated)}"
    events = sum(score.events for score in clear)
    told = sum(score.told_s for score in clear) / sum(score.true_s for score in clear) - 1.0
    return [
        Finding(
            part=NAME, what=f"longest burst told, all levels, {_with(stimulated)}",
            value=max(score.longest_s for score in scores.values()), unit="s", target=30.0, sense="at most", n=events,
        ),
        Finding(
            part=NAME, what=f"spasms told in pieces, {where}",
            value=100.0 * sum(score.splits for score in clear) / events, unit="pieces too many per 100", n=events,
        ),
        Finding(
            part=NAME, what=f"spasms told as one, {where}", value=100.0 * sum(score.merges for score in clear) / events,
            unit="per 100", n=events,
        ),
        Finding(part=NAME, what=f"time in spasm, told too long by, {where}", value=100.0 * told, unit="%", n=events),
    ]  # fmt: skip


def _step(first_seed: int) -> Finding:
    """For how long a spasm is told after the level at rest has risen for good."""
    seconds = sum(_STEP_S)
    rng = np.random.Generator(np.random.PCG64(first_seed))
    rows = round(seconds * RATE_HZ)
    emg = np.column_stack([shaped_noise(rows, RATE_HZ, rng) for _ in range(_STEP_COLUMNS)])
    emg[round(_STEP_S[0] * RATE_HZ) :] *= 10 ** (_STEP_DB / 20)
    told = run_controller(emg)
    ends = [max((burst.end_s for burst in bursts), default=_STEP_S[0]) - _STEP_S[0] for bursts in told]
    return Finding(
        part=NAME, what=f"longest told after rest rose by {_STEP_DB:g} dB for good", value=float(max(ends)), unit="s",
        target=30.0, sense="at most", n=_STEP_COLUMNS,
    )  # fmt: skip


def _curves(scores: dict[tuple[bool, float], Score]) -> dict[str, Any]:
    courses = []
    for method in ("myoloop", "fixed threshold"):
        for stimulated in (False, True):
            these = [scores[stimulated, snr_db] for snr_db in SNR_DB]
            ours = method == "myoloop"
            means = [mean_over_subjects(one.f1 if ours else one.fixed_f1) for one in these]
            latencies = [one.latencies_s if ours else one.fixed_latencies_s for one in these]
            courses.append(
                {
                    "method": method,
                    "stimulated": stimulated,
                    "f1": [mean for mean, _, _ in means],
                    "interval": [[low, high] for _, low, high in means],
                    "median_s": [float(np.median(some)) for some in latencies],
                    "p95_s": [float(np.quantile(some, 0.95)) for some in latencies],
                }
            )
    confusion = sum((scores[False, 10.0].confusion), Counter())
    told: Sequence[str] = (*SCENE_KINDS, "")
    return {
        "snr_db": list(SNR_DB),
        "courses": courses,
        "kinds": list(SCENE_KINDS),
        "confusion": [[confusion[true, one] for one in told] for true in SCENE_KINDS],
    }

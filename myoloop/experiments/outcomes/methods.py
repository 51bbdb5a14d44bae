"""How each outcome is computed, and with which numbers: what stands beside every value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from myoloop.experiments.outcomes.force import BEFORE_S
from myoloop.experiments.outcomes.mechanical import (
    ALIKE_PCT,
    CV_MAX_PCT,
    DRIFT_MAX_DEG,
    MVC_REPEATS,
    PART,
    PEAK_S,
    RANGE_PERCENT,
    TRAINS_COMPARED,
)
from myoloop.experiments.outcomes.registry import MEASURES
from myoloop.experiments.sessions.maximal import PLATEAU_S

_PLATEAU = {"plateau_s": PLATEAU_S, "repeats": MVC_REPEATS, "cv_max_pct": CV_MAX_PCT}
_LIVE = "as the estimator told it while the session ran; only what it called valid"
#: Of the outcomes that are not in ``measures/``: method, parameters, better end.
_FIRST: dict[str, tuple[str, Mapping[str, Any], str]] = {
    "trials_done": ("count of trials whose train was given to its end", {}, "more"),
    "effort_started_share": ("trials begun by effort over trials that awaited one", {}, "more"),
    "trigger_latency": ("median of effort_after_ms, less the cue", {}, "less"),
    "dose_share": ("charge of delivered pulses over charge of the plan at the resolved targets", {}, ""),
    "fatigue_index": (f"newest value, {_LIVE}", {}, "less"),
    "median_frequency": (f"slope, {_LIVE}", {}, "more"),
    "evoked_fatigue": ("1 - median peak above rest of the last trains over that of the first, of trains with the same "
                       "charge", {"trains_compared": TRAINS_COMPARED, "before_s": BEFORE_S, "peak_s": PEAK_S,
                                  "alike_pct": ALIKE_PCT}, "less"),
    "torque_time_integral": ("trapezoid over each train of force above the median at rest before it",
                             {"before_s": BEFORE_S}, "more"),
    "resting_emg": ("median level in the last rest over that in the first, geometric mean of muscles",
                    {"settling_s": 1.0}, "less"),
    "spasm_count": ("bursts of the estimator over the minutes in which it could tell", {}, "less"),
    "spasm_share": ("share of the estimates that could tell and told one", {}, "less"),
    "clonus_frequency": ("median over the time in which a clonus was on", {}, ""),
    "cocontraction": ("mean of the valid index (Falconer and Winter) while effort was asked for", {}, "less"),
    "mvc_emg": ("largest plateau of the level over whole contractions", _PLATEAU, "more"),
    "mvc_force": ("largest plateau of force above that before each contraction", _PLATEAU, "more"),
    "symmetry": ("100 (first - second) / larger of the largest plateaus", {"plateau_s": PLATEAU_S}, ""),
    "active_rom": ("range of the joint's valid angle in own efforts, median over trials",
                   {"percentiles": list(RANGE_PERCENT), "drift_max_deg": DRIFT_MAX_DEG}, "more"),
    "twitch_amplitude": ("RMS of the gyroscope, last part of the trains over the first, each above rest",
                         {"part": PART}, "more"),
    "sensory_threshold": ("rising steps until it is felt, as charge of one phase", {}, ""),
    "motor_threshold": ("rising steps until the muscle answers, as charge of one phase", {}, ""),
    "tolerance": ("rising steps until it is enough, as charge of one phase", {}, ""),
    "nrs_change": ("last answer less the first", {}, "less"),
    "pgic": ("newest answer, 1 very much better to 7 very much worse", {}, "less"),
    "doms": ("largest soreness of the diary's answers after this session", {}, "less"),
}  # fmt: skip


def method_of(name: str) -> str:
    """In a sentence."""
    return MEASURES[name].method if name in MEASURES else _FIRST[name][0]


def parameters_of(name: str) -> dict[str, Any]:
    """The numbers of the method, JSON-ready."""
    return dict(MEASURES[name].parameters if name in MEASURES else _FIRST[name][1])


def better_of(name: str) -> str:
    """Which end is the better one: ``less``, ``more``, or empty where none is."""
    return MEASURES[name].better if name in MEASURES else _FIRST[name][2]

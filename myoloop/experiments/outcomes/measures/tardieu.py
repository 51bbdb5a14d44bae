"""Tardieu assist: how far a joint goes when it is stretched slowly (R2), and where a fast stretch catches (R1).

A clinician moves the joint; an operator sets a mark that says ``tardieu V1`` at each slow stretch and ``tardieu V3
<muscle>`` at each fast one, with the name of the stretched muscle's EMG. The joint's angle by IMU and that EMG do the
rest: R1 is the angle at which the stretched muscle's EMG sets in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from myoloop.experiments.analysis.tracks import Interval, MuscleSite
from myoloop.experiments.outcomes.kind import Measure, OutcomeKind
from myoloop.experiments.outcomes.view import Floats, Value, View, within

MARK = re.compile(r"\btardieu\s+v\s*([13])\b(.*)", re.IGNORECASE)
#: The stretch is looked for so long after the mark, the limb held before it for so long; the mark may be late by this.
AFTER_S, HELD_S, LATE_S = 6.0, 0.5, 1.0
#: A stretch is none below this; it begins where it has this share of its greatest speed.
RANGE_MIN_DEG, BEGINS_AT = 10.0, 0.1
#: The fast stretch must be faster than the slow one by this, or nothing was compared.
FASTER_MIN = 2.0
#: The EMG's envelope is the RMS of so much; it sets in where it stays above the mean before the stretch by so many
#: standard deviations for so long (Hodges and Bui 1996 compare such rules).
ENVELOPE_S, ONSET_SD, ONSET_S = 0.02, 5.0, 0.025
#: Of the EMG before the stretch so much must be there.
BASELINE_MIN_S = 0.25


class Stretch(NamedTuple):
    """One passive stretch; angles from where the limb was held before, in its direction.

    Attributes
    ----------
    begin_s, end_s
        From the first movement to the farthest angle.
    range_deg, peak_deg_s
        Its farthest angle, its greatest speed.
    t_s, moved_deg
        (n,) over the stretch.
    """

    begin_s: float
    end_s: float
    range_deg: float
    peak_deg_s: float
    t_s: Floats
    moved_deg: Floats

    def angle_at(self, at_s: float) -> float:
        """How far it had gone at a time."""
        return float(np.interp(at_s, self.t_s, self.moved_deg))


def stretch_at(t_s: Floats, angle_deg: Floats, marked_s: float) -> Stretch | None:
    """The stretch at a mark; None where the limb was not held before or did not move far enough.

    Parameters
    ----------
    t_s, angle_deg
        (n,) of the joint, finite, in order of time.
    """
    held = angle_deg[within(t_s, Interval(marked_s - LATE_S - HELD_S, marked_s - LATE_S))]
    after = within(t_s, Interval(marked_s - LATE_S, marked_s + AFTER_S))
    if not len(held) or np.count_nonzero(after) < 5:
        return None
    t_s, moved = t_s[after], angle_deg[after] - float(np.median(held))
    farthest = int(np.argmax(np.abs(moved)))
    if farthest < 3 or abs(moved[farthest]) < RANGE_MIN_DEG:
        return None
    t_s, moved = t_s[: farthest + 1], moved[: farthest + 1] * np.sign(moved[farthest])
    speed = np.gradient(moved, t_s)
    fastest = int(np.argmax(speed))
    slower = np.flatnonzero(speed[:fastest] < BEGINS_AT * speed[fastest])
    begin = int(slower[-1]) + 1 if len(slower) else 0
    return Stretch(float(t_s[begin]), float(t_s[-1]), float(moved[-1]), float(speed[fastest]), t_s, moved)


def emg_onset(t_s: Floats, volts: Floats, rate_hz: float, stretch: Stretch) -> float | None:
    """When the EMG sets in during a stretch, s; None where it does not, or too little stands before the stretch.

    Parameters
    ----------
    t_s, volts
        (n,) from before the stretch to its end; finite.
    """
    size = max(1, round(ENVELOPE_S * rate_hz))
    squares = np.concatenate(([0.0], np.cumsum((volts - volts.mean()) ** 2)))
    if len(volts) < 2 * size:
        return None
    # Of the samples up to each, so that nothing sets in before it does.
    envelope = np.sqrt(np.maximum(0.0, squares[size:] - squares[:-size]) / size)
    at_s = t_s[size - 1 :]
    before = envelope[at_s < stretch.begin_s]
    if len(before) < BASELINE_MIN_S * rate_hz:
        return None
    above = (envelope > before.mean() + ONSET_SD * before.std()) & (at_s >= stretch.begin_s) & (at_s <= stretch.end_s)
    stays = max(1, round(ONSET_S * rate_hz))
    runs = np.convolve(above, np.ones(stays), "valid") >= stays
    found = np.flatnonzero(runs)
    return float(at_s[found[0]]) if len(found) else None


class _Told(NamedTuple):
    """What the marks gave: R2 of each slow stretch and R1 of each fast one, speeds, and why some gave nothing."""

    r2_deg: list[float]
    r1_deg: list[float]
    slow_deg_s: list[float]
    fast_deg_s: list[float]
    why: list[str]

    @property
    def parameters(self) -> dict[str, Any]:
        """For beside the value."""
        return {
            "v1_stretches": len(self.slow_deg_s), "v3_stretches": len(self.fast_deg_s), "catches": len(self.r1_deg),
            "v1_peak_deg_s": _median(self.slow_deg_s), "v3_peak_deg_s": _median(self.fast_deg_s),
        }  # fmt: skip

    @property
    def doubt(self) -> str:
        """Why nothing rests on a comparison of the two."""
        slow, fast = _median(self.slow_deg_s), _median(self.fast_deg_s)
        if slow is None or fast is None or fast >= FASTER_MIN * slow:
            return ""
        return f"fast stretches reach {fast:.0f} deg/s, slow ones {slow:.0f}: needed are {FASTER_MIN:g} times as much"


def _median(values: list[float]) -> float | None:
    return round(float(np.median(values)), 2) if values else None


def _told(view: View) -> _Told:
    track = view.session.joint
    keep = track.angle_rad.valid & np.isfinite(track.angle_rad.value) if len(track.t_s) else np.zeros(0, np.bool_)
    t_s, angle_deg = track.t_s[keep], np.degrees(track.angle_rad.value[keep])
    told = _Told([], [], [], [], [])
    for at_s, fast, named in _marks(view):
        stretch = stretch_at(t_s, angle_deg, at_s)
        if stretch is None:
            told.why.append(f"no stretch at {at_s:.1f} s: no valid angle, or the joint was not held or not moved")
        elif not fast:
            told.r2_deg.append(stretch.range_deg)
            told.slow_deg_s.append(stretch.peak_deg_s)
        else:
            told.fast_deg_s.append(stretch.peak_deg_s)
            onset_s, why = _onset(view, stretch, named)
            if onset_s is None:
                told.why.append(f"no catch at {at_s:.1f} s: {why}")
            else:
                told.r1_deg.append(stretch.angle_at(onset_s))
    return told


def _marks(view: View) -> Iterator[tuple[float, bool, str]]:
    """When, whether fast, and which muscle is named."""
    for event in view.session.events:
        said = MARK.search(event.why) if event.kind == "mark" else None
        if said is not None:
            yield event.t_s, said[1] == "3", said[2].strip(" ,.;:")


def _onset(view: View, stretch: Stretch, named: str) -> tuple[float | None, str]:
    """When the named muscle's EMG sets in, and why it does not."""
    site = _site(view, named)
    if isinstance(site, str):
        return None, site
    track = view.session.samples[site.topic]
    column = track.record.descriptor.channels.index(site.channel)
    keep = within(track.t_s, Interval(stretch.begin_s - LATE_S, stretch.end_s))
    given = [each.t_s for each in view.session.delivered().values()]
    if any(((t > stretch.begin_s - LATE_S) & (t < stretch.end_s)).any() for t in given):
        return None, "stimulation fell into it"
    volts = track.channel(site.channel).astype(np.float64)[keep]
    if track.record.invalid[keep, column].any() or not np.isfinite(volts).all():
        return None, f"{site.muscle} has samples that are not valid"
    onset_s = emg_onset(track.t_s[keep], volts, track.rate_hz, stretch)
    return onset_s, "" if onset_s is not None else f"the EMG of {site.muscle} does not set in"


def _site(view: View, named: str) -> MuscleSite | str:
    """The muscle that a mark names, or the only one there is; else why there is none."""
    sites: Mapping[str, MuscleSite] = {site.muscle.casefold(): site for site in view.session.sites}
    if not named and len(sites) == 1:
        return next(iter(sites.values()))
    heard = ", ".join(site.muscle for site in sites.values()) or "none"
    return sites.get(named.casefold()) or f"the mark names {named or 'no muscle'}, EMG is heard of: {heard}"


def _of(told: _Told, value: float | None, n: int, lacking: str, doubt: str = "") -> Value:
    why = "; ".join(dict.fromkeys(told.why))
    if value is None:
        none = not (told.r2_deg or told.fast_deg_s or told.why)
        return Value(None, why=lacking if none else why or lacking, parameters=told.parameters)
    return Value(value, n, why=why, doubt=doubt, parameters=told.parameters)


def r2(view: View) -> Value:
    """Median range of the slow stretches."""
    told = _told(view)
    return _of(told, _median(told.r2_deg), len(told.r2_deg), "no mark says tardieu V1")


def r1(view: View) -> Value:
    """Median angle at which a fast stretch catches."""
    told = _told(view)
    return _of(told, _median(told.r1_deg), len(told.r1_deg), "no mark says tardieu V3", told.doubt)


def r2_less_r1(view: View) -> Value:
    """R2 less R1, of the medians."""
    told = _told(view)
    slow, fast = _median(told.r2_deg), _median(told.r1_deg)
    lacking = "no mark says tardieu V1" if slow is None else "no mark says tardieu V3"
    value = None if slow is None or fast is None else round(slow - fast, 2)
    return _of(told, value, min(len(told.r2_deg), len(told.r1_deg)), lacking, told.doubt)


_PARAMETERS = {
    "after_s": AFTER_S, "held_s": HELD_S, "late_s": LATE_S, "range_min_deg": RANGE_MIN_DEG, "begins_at": BEGINS_AT,
}  # fmt: skip
_FAST = {
    **_PARAMETERS, "envelope_s": ENVELOPE_S, "onset_sd": ONSET_SD, "onset_s": ONSET_S, "faster_min": FASTER_MIN,
}  # fmt: skip
_SOURCE = "Boyd and Graham, Eur J Neurol 1999;6(S4):S23; Hodges and Bui, EEG Clin Neurophysiol 1996;101:511"
MEASURES = (
    Measure("tardieu_r2", OutcomeKind("Tardieu R2: how far a slow stretch goes", "deg", ("imu", "mark")), r2,
            "from the angle held before to the farthest; median over stretches marked tardieu V1", _PARAMETERS, "more",
            _SOURCE),
    Measure("tardieu_r1", OutcomeKind("Tardieu R1: where a fast stretch catches", "deg", ("emg", "imu", "mark")), r1,
            "from the angle held before to that at which the stretched muscle's EMG sets in; median over stretches "
            "marked tardieu V3", _FAST, "more", _SOURCE),
    Measure("tardieu_r2_r1", OutcomeKind("Tardieu R2 less R1", "deg", ("emg", "imu", "mark")), r2_less_r1,
            "difference of the medians of R2 and R1", _FAST, "less", _SOURCE),
)  # fmt: skip

"""Force as outcomes take it: of which channel, in which unit, and what it is where nobody pulls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from myoloop.experiments.analysis.tracks import Interval
from myoloop.experiments.outcomes.view import Floats, View, within

#: What a force cell or a dynamometer may tell in; the first channel in one of them counts.
UNITS = ("N", "Nm")
#: The rest before a train, above which its force is told.
BEFORE_S = 0.5
#: After a train, a burst of calibration or an effort force falls for about so long.
FALLS_S = 0.5
#: Of a rest phase the person settles in the first second, where more than `BEFORE_S` is left; so much must be left.
SETTLES_S, REST_MIN_S = 1.0, 0.25
#: States of a trial of any kind in which current is given, or the person is asked to pull.
_PULLED = ("await_effort", "ramp_up", "hold", "ramp_down")

NO_REST = "no rest to tell force above: the person pulls until each train, and no rest phase with force was recorded"


class Force(NamedTuple):
    """The force that outcomes are told of.

    Attributes
    ----------
    t_s, value
        (n,): finite samples alone, in `unit`.
    unit
        One of `UNITS`.
    why
        Why there is none; empty where there is.
    """

    t_s: Floats
    value: Floats
    unit: str
    why: str = ""


class Rest(NamedTuple):
    """Force at rest, which a train's is told above.

    Attributes
    ----------
    value
        In the force's unit.
    after_effort
        Whether the person was asked to pull until just before this train: its force is not of the current alone.
    """

    value: float
    after_effort: bool


def force_of(view: View) -> Force:
    """The first channel of a force stream in N or Nm; why there is none."""
    none = np.empty(0)
    others = []
    for topic, track in view.session.samples.items():
        if not topic.startswith("force/"):
            continue
        descriptor = track.record.descriptor
        for name, unit in zip(descriptor.channels, descriptor.units, strict=True):
            if unit in UNITS:
                value = track.channel(name).astype(np.float64)
                known = np.isfinite(value)
                return Force(track.t_s[known], value[known], unit)
            others.append(f"{topic} {name} in {unit!r}")
    if others:
        return Force(none, none, "", f"no force in {' or '.join(UNITS)} was recorded: {', '.join(others)}")
    return Force(none, none, "", "no force cell was recorded")


def rests_before(view: View, force: Force, trains: Sequence[Interval]) -> list[Rest | None]:
    """Force at rest before each train: the median of the half second before it; None without any rest.

    Where the person is asked to pull then, or force still falls from that, from a burst of calibration or from another
    train, it is the rest before the nearest train that has one of its own. Where no train has, it is the rest phase
    before it, or else the next one.
    """
    pulled = [span for span in view.session.trial_spans if span.state in _PULLED]
    begins_s = np.array([span.begin_s for span in pulled])
    ends_s = np.array([span.end_s for span in pulled])
    tried = np.array([span.state == "await_effort" for span in pulled], np.bool_)
    own: dict[int, float] = {}
    efforts = []
    for n, train in enumerate(trains):
        begin_s = train.begin_s
        before = within(force.t_s, Interval(begin_s - BEFORE_S, begin_s))
        pulling = (begins_s < begin_s) & (ends_s > begin_s - BEFORE_S - FALLS_S)
        efforts.append(bool((pulling & tried & (ends_s > begin_s - FALLS_S)).any()))
        if before.any() and not pulling.any():
            own[n] = float(np.median(force.value[before]))
    phases = [] if own else _rest_phases(view, force)
    found: list[Rest | None] = []
    for n, train in enumerate(trains):
        if own:
            value = own[min(own, key=lambda other: abs(other - n))]
        elif phases:
            earlier = [told for at_s, told in phases if at_s <= train.begin_s]
            value = earlier[-1] if earlier else phases[0][1]
        else:
            found.append(None)
            continue
        found.append(Rest(value, efforts[n]))
    return found


def _rest_phases(view: View, force: Force) -> list[tuple[float, float]]:
    """When each rest phase ends, and the median of the force in it."""
    told = []
    for span in view.session.phases:
        if span.kind != "rest":
            continue
        settles_s = SETTLES_S if span.end_s - span.begin_s >= SETTLES_S + BEFORE_S else 0.0
        keep = within(force.t_s, Interval(span.begin_s + settles_s, span.end_s))
        if keep.any() and np.ptp(force.t_s[keep]) >= REST_MIN_S:
            told.append((span.end_s, float(np.median(force.value[keep]))))
    return told

"""What is made once of a recorded session so that any of it is shown at once: bins of every stream, and its course.

It is kept under ``derivatives/lookback`` in the study and may be deleted: it is made again, from the recording alone.
It is believed while the recording's files are those that it was made of, by the code that made it. Of a session that is
blinded and stays so, nothing is made of what a muscle did or what was given: see :mod:`.withheld`.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from myoloop.experiments.analysis import gather
from myoloop.experiments.analysis.session import Session, session_of
from myoloop.experiments.analysis.tracks import Floats, MeasureTrack
from myoloop.experiments.console.lookback.pyramid import Bins, Column, bin_values, levels_of
from myoloop.experiments.index.cache import Look, look_at
from myoloop.experiments.review.detections import detections
from myoloop.experiments.studies.blindness import was_blinded
from myoloop.experiments.training.jobs import code_sha256
from myoloop.platform.errors import UserError
from myoloop.platform.messages import StimReport
from myoloop.platform.recording.folder import AttemptPlace, find_recording, place_of, replace_file
from myoloop.platform.recording.seek import SeekableRecording

LOOKBACK_FOLDER = "derivatives/lookback"
FORMAT = "myoloop-lookback-1"
FACTS_FILE = "overview.json"
_CODE = (
    "experiments/console/lookback/overview.py",
    "experiments/console/lookback/pyramid.py",
    "experiments/console/lookback/withheld.py",
    "experiments/analysis",
    "experiments/review",
    "platform",
)
#: Finest bins of samples; a stretch that shows more detail is read from the recording itself.
SAMPLE_BIN_S = 0.01
#: And so many samples in each at least: a clock's jitter leaves none empty.
_PER_BIN = 8
#: Finest bins of what was estimated and decided.
TRACK_BIN_S = 0.05


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """Curves that are drawn over one axis.

    Attributes
    ----------
    name
        The stream's topic; ``muscle/<name>``, ``angle`` or ``current/<channel>``.
    columns, units
        Of each curve.
    begin_s, widths_s
        Where its bins begin; how wide they are, level by level, finest first.
    """

    name: str
    columns: tuple[str, ...]
    units: tuple[str, ...]
    begin_s: float
    widths_s: tuple[float, ...]


class GateSpan(msgspec.Struct, frozen=True):
    """How long the gate was in a state, under a rule, and its first reason in its own words."""

    begin_s: float
    end_s: float
    state: str
    rule: str = ""
    reason: str = ""
    latched: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of an overview but its bins.

    Attributes
    ----------
    looks, code
        The recording's files as they were, and what made it.
    about
        The session's metadata, outcome, reason, end and stamp of what was simulated.
    phases, trials, spans, events, gaps, gate
        Its course, as :class:`~myoloop.experiments.analysis.session.Session` has it.
    muscles, sites
        Those that were heard, and where.
    detected
        What the detector found, for :func:`~myoloop.experiments.review.review.review_of`.
    """

    format: str
    code: str
    looks: tuple[Look, ...]
    about: dict[str, Any]
    lanes: tuple[Lane, ...]
    phases: tuple[dict[str, Any], ...]
    trials: tuple[dict[str, Any], ...]
    spans: tuple[dict[str, Any], ...]
    events: tuple[dict[str, Any], ...]
    gaps: tuple[dict[str, Any], ...]
    gate: tuple[GateSpan, ...]
    muscles: tuple[str, ...]
    sites: tuple[dict[str, Any], ...]
    detected: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """An overview as it is kept.

    Attributes
    ----------
    levels
        By lane; finest first.
    """

    facts: Facts
    levels: Mapping[str, tuple[Bins, ...]]


class Drawn(NamedTuple):
    """A lane before it is written."""

    lane: Lane
    levels: tuple[Bins, ...]


def overview_folder(place: AttemptPlace, *, opened: bool = False) -> Path:
    """Where the overview of an attempt is kept; of a blinded session whose arms are opened there is another one."""
    name = f"ses-{place.session:02d}_att-{place.attempt}{'_opened' if opened else ''}"
    return place.study / LOOKBACK_FOLDER / f"sub-{place.subject}" / name


def make_overview(path: Path | str, *, opened: bool = False) -> Path:
    """Make the overview of a recording, or leave the one that holds; return its folder.

    Parameters
    ----------
    opened
        Of a blinded session, with what tells the arm; only for who may see it (:func:`.opened.may_see_all`).

    Raises
    ------
    RecordingError
        If there is no recording, or it is damaged.
    UserError
        If it does not stand in a study, or the overview cannot be written.
    """
    attempt = find_recording(path).parent
    place = place_of(attempt)
    if place is None:
        raise UserError(f"{attempt}: is not an attempt of a study: sub-<id>/ses-NN/att-N is needed")
    folder, looks = overview_folder(place, opened=opened), look_at(attempt)
    if read_facts(folder, looks) is not None:
        return folder
    recording = SeekableRecording.open(attempt, check_all=True)
    blinded = was_blinded(recording.metadata, place.study) and not opened
    got = gather.gather(recording)
    session = session_of(recording, got)
    drawn = () if blinded else tuple(_lanes(session))
    facts = _facts(session, got.reports, looks, tuple(each.lane for each in drawn), blinded=blinded)
    _write(folder, facts, drawn)
    return folder


def read_overview(place: AttemptPlace, looks: tuple[Look, ...], *, opened: bool = False) -> Overview | None:
    """The overview of an attempt; None where there is none, or it is of other files or other code."""
    folder = overview_folder(place, opened=opened)
    facts = read_facts(folder, looks)
    if facts is None:
        return None
    try:
        levels = {
            lane.name: tuple(
                Bins(lane.begin_s, width_s, *np.load(folder / _file(number, level), mmap_mode="r", allow_pickle=False))
                for level, width_s in enumerate(lane.widths_s)
            )
            for number, lane in enumerate(facts.lanes)
        }
    except (OSError, ValueError, TypeError):
        return None
    return Overview(facts, levels)


def read_facts(folder: Path, looks: tuple[Look, ...]) -> Facts | None:
    """The facts of an overview if it holds for these files."""
    try:
        facts = msgspec.json.decode((folder / FACTS_FILE).read_bytes(), type=Facts)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return facts if (facts.format, facts.code, facts.looks) == (FORMAT, _code(), looks) else None


# -- what it is made of ---------------------------------------------------------------------------------------------


def _lanes(session: Session) -> Iterator[Drawn]:
    for topic, track in session.samples.items():
        descriptor = track.record.descriptor
        columns: list[Column] = [functools.partial(track.channel, name) for name in descriptor.channels]
        width_s = max(SAMPLE_BIN_S, _PER_BIN / descriptor.rate_hz)
        yield _drawn(topic, descriptor.channels, descriptor.units, track.t_s, columns, width_s)
    for muscle, heard in session.muscles.items():
        named: dict[str, tuple[str, Floats]] = {"level": ("uV", heard.level_uv)}
        for name, measure in (("fatigue", heard.fatigue), ("effort", heard.effort), ("spasm", heard.spasm)):
            named |= _measured(name, measure)
        yield _of_named(f"muscle/{muscle}", heard.t_s, named)
    if len(session.joint.t_s):
        yield _of_named("angle", session.joint.t_s, _measured("angle", session.joint.angle_rad, "rad"))
    for channel, current in session.currents.items():
        amounts = {
            "asked": current.asked_ma, "allowed": current.allowed_ma, "acknowledged": current.acknowledged_ma,
            "cap": current.cap_ma,
        }  # fmt: skip
        named = {name: ("mA", values) for name, values in amounts.items()}
        yield _of_named(f"current/{channel}", current.t_s, named)


def _measured(name: str, measure: MeasureTrack, unit: str = "1") -> dict[str, tuple[str, Floats]]:
    """A measure, its interval, and whether it was valid."""
    return {
        name: (unit, measure.value), f"{name}_low": (unit, measure.low), f"{name}_high": (unit, measure.high),
        f"{name}_valid": ("1", measure.valid.astype(np.float64)),
    }  # fmt: skip


def _of_named(name: str, t_s: Floats, named: Mapping[str, tuple[str, Floats]]) -> Drawn:
    units = tuple(unit for unit, _ in named.values())
    columns: list[Column] = [functools.partial(_as_it_is, values) for _, values in named.values()]
    return _drawn(name, tuple(named), units, t_s, columns, TRACK_BIN_S)


def _as_it_is(values: Floats) -> Floats:
    return values


def _drawn(
    name: str, columns: tuple[str, ...], units: tuple[str, ...], t_s: Floats, values: list[Column], width_s: float
) -> Drawn:
    begin_s, end_s = (float(t_s.min()), float(t_s.max())) if len(t_s) else (0.0, 0.0)
    # On a grid that all lanes share.
    begin_s = float(np.floor(begin_s / width_s) * width_s)
    n = int((end_s - begin_s) / width_s) + 1 if len(t_s) else 0
    levels = levels_of(bin_values(t_s, values, begin_s, width_s, n))
    widths = tuple(level.width_s for level in levels)
    return Drawn(Lane(name=name, columns=columns, units=units, begin_s=begin_s, widths_s=widths), levels)


def _facts(
    session: Session, reports: Sequence[StimReport], looks: tuple[Look, ...], lanes: tuple[Lane, ...], *, blinded: bool
) -> Facts:
    from myoloop.experiments.console.lookback.withheld import withhold
    from myoloop.experiments.reports.session import stamp_of

    facts = Facts(
        format=FORMAT,
        code=_code(),
        looks=looks,
        about={
            **{f"of_{key.replace('.', '_')}": value for key, value in session.metadata.items()},
            "session": session.session_id, "subject": session.subject, "outcome": session.outcome,
            "reason": session.reason, "end_s": session.end_s, "complete": session.complete,
            "stamp": stamp_of(session, in_full=True), "blinded": blinded,
        },
        lanes=lanes,
        phases=tuple(each._asdict() for each in session.phases),
        trials=tuple(
            {
                "kind": trial.kind, "name": trial.name, "block": trial.block, "trial": trial.trial,
                "outcome": trial.outcome, "begin_s": begin_s, "trigger_s": trigger_s, "end_s": end_s,
                "values": trial.values,
            }
            for trial, (begin_s, trigger_s, end_s) in zip(session.trials, session.trial_times_s, strict=True)
        ),
        spans=tuple(each._asdict() for each in session.trial_spans),
        events=tuple({**each._asdict(), "values": dict(each.values)} for each in session.events),
        gaps=tuple(each._asdict() for each in session.gaps),
        gate=tuple(_gate_spans(reports, session.zero_ns)),
        muscles=tuple(session.muscles),
        sites=tuple(each._asdict() for each in session.sites),
        detected=() if blinded else tuple(asdict(each) for each in detections(session)),
    )  # fmt: skip
    return withhold(facts, session) if blinded else facts


def _gate_spans(reports: Sequence[StimReport], zero_ns: int) -> Iterator[GateSpan]:
    """Stretches in which the gate said the same."""
    now: tuple[str, str, str] | None = None
    begin_s = at_s = 0.0
    reason = ""
    for report in reports:
        at_s = (report.t_ns - zero_ns) * 1e-9
        said = (report.state, report.rule, report.latched)
        if said == now:
            continue
        if now is not None:
            yield GateSpan(begin_s, at_s, now[0], now[1], reason, now[2])
        now, begin_s, reason = said, at_s, report.reasons[0] if report.reasons else ""
    if now is not None:
        yield GateSpan(begin_s, at_s, now[0], now[1], reason, now[2])


# -- where it is kept -----------------------------------------------------------------------------------------------


def _write(folder: Path, facts: Facts, drawn: Sequence[Drawn]) -> None:
    """Bins first: without its facts an overview is none."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for number, (_, levels) in enumerate(drawn):
            for level, bins in enumerate(levels):
                np.save(folder / _file(number, level), np.stack([bins.low, bins.high]), allow_pickle=False)
        replace_file(folder / FACTS_FILE, msgspec.json.encode(facts))
    except OSError as error:
        raise UserError(f"{folder}: the overview cannot be written: {error.strerror}") from None


def _file(lane: int, level: int) -> str:
    return f"lane{lane:03d}_level{level}.npy"


@functools.cache
def _code() -> str:
    return code_sha256(_CODE)

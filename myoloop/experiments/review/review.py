"""A session's review: what the detector found, what a person made of it, and how well the two agree.

``review.jsonl`` beside the recording holds every act with who, when and why, append-only and chained; nothing is ever
taken back but by a further act. The recording is not touched. A terminal, a script and the console call the same
two functions: :func:`read_review` and :func:`apply_acts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from myoloop.experiments.analysis.session import Session, load
from myoloop.experiments.analysis.tracks import Interval
from myoloop.experiments.review.acts import OF_LABEL, Act, Labels, label_data, problems_of
from myoloop.experiments.review.detections import detections
from myoloop.experiments.review.labels import Label, Span, labels_sha256
from myoloop.experiments.review.scores import ClassScore, score_labels
from myoloop.experiments.studies.audit import REVIEW_FILE, check_actor, utc
from myoloop.experiments.studies.chained import ChainedLog, read_chained
from myoloop.platform.errors import UserError


class NotReviewed(UserError, ValueError):
    """A review that cannot be read, or an act that cannot be; one clear line each."""


@dataclass(frozen=True, slots=True)
class Review:
    """The labels of a session as they stand.

    Attributes
    ----------
    folder
        Of the attempt.
    acts
        Entries of the log, oldest first.
    """

    folder: Path
    session_id: str
    labels: Labels
    acts: tuple[Mapping[str, Any], ...]
    sha256: str

    @property
    def rows(self) -> tuple[Label, ...]:
        """Every label in order of time."""
        return tuple(sorted(self.labels.by_id.values(), key=lambda each: (each.span.begin_s, each.id)))

    def open_of(self, *kinds: str) -> int:
        """How many detections of some classes nobody has judged yet."""
        return sum(each.state == "open" and each.kind in kinds for each in self.labels.by_id.values())

    def corrected(self, *kinds: str) -> dict[str, tuple[Interval, ...]]:
        """What a person says happened, by muscle: labels of some classes that hold."""
        return {
            muscle: tuple(
                Interval(*each.span)
                for each in self.rows
                if each.holds and each.kind in kinds and each.muscle == muscle
            )
            for muscle in self.labels.muscles
        }

    def scores(self) -> tuple[ClassScore, ...]:
        """The detector against the labels, class by class; see :func:`score_labels`."""
        return score_labels(self.labels)


def read_review(path: Path | str | Session) -> Review:
    """The review of a session, or what the detector found where nobody has reviewed it.

    Raises
    ------
    RecordingError
        If there is no recording, or it is damaged.
    UserError
        If the review was edited, or is of other detections.
    """
    session = path if isinstance(path, Session) else load(path)
    return review_of(
        session.path.parent, session.session_id, detections(session), tuple(session.muscles), session.end_s
    )


def review_of(
    folder: Path, session_id: str, found: tuple[Label, ...], muscles: tuple[str, ...], end_s: float
) -> Review:
    """The review of an attempt of which it is known already what the detector found, in which muscles, and its end.

    Raises
    ------
    UserError
        As :func:`read_review`.
    """
    labels = Labels({each.id: each for each in found}, muscles, end_s)
    sha256 = labels_sha256(found)
    log = folder / REVIEW_FILE
    entries = read_chained(log)
    for entry in entries:
        if entry.get("detections_sha256") != sha256:
            raise NotReviewed(
                f"{log}, entry {entry['n']}: is a review of other detections than this recording holds "
                f"({str(entry.get('detections_sha256'))[:12]} there, {sha256[:12]} here)"
            )
        act = _act_of(entry)
        if problem := labels.problem(act):
            raise NotReviewed(f"{log}, entry {entry['n']}: {problem}")
        labels = labels.after(act)
    return Review(folder, session_id, labels, tuple(entries), sha256)


def apply_acts(review: Review, acts: Sequence[Act], *, who: str, role: str, wall: datetime) -> Review:
    """Do acts one after the other, all or none, each an entry of the log.

    Parameters
    ----------
    who, role
        Who reviews, and as what; neither may be empty.
    wall
        When, with its time zone.

    Raises
    ------
    NotReviewed
        If one of them cannot be done; every such act is named with its place, and nothing is written.
    """
    check_actor(who, role)
    problems = problems_of(review.labels, acts)
    if problems:
        raise NotReviewed("; ".join(f"act {place + 1}: {problem}" for place, problem in problems))
    labels, entries = review.labels, list(review.acts)
    log = ChainedLog(review.folder / REVIEW_FILE)
    for act in acts:
        after = labels.after(act)
        name = _changed(labels, after, act)
        old, new = labels.by_id.get(name), after.by_id.get(name)
        entries.append(
            log.append(
                {
                    "wall_utc": utc(wall),
                    "who": who,
                    "role": role,
                    "act": act.act,
                    "what": name,
                    "old": label_data(old),
                    "new": {"class": act.kind, "muscle": act.muscle} if act.act == "whole" else label_data(new),
                    "why": act.why.strip(),
                    "detections_sha256": review.sha256,
                }
            )
        )
        labels = after
    return Review(review.folder, review.session_id, labels, tuple(entries), review.sha256)


def _changed(before: Labels, after: Labels, act: Act) -> str:
    """What an act was done to, in words for the log."""
    if act.act == "whole":
        return f"{act.kind} of {act.muscle or 'all muscles'}"
    return act.id or next(name for name in after.by_id if name not in before.by_id)


def _act_of(entry: Mapping[str, Any]) -> Act:
    new = entry.get("new") or {}
    named = str(entry.get("act"))
    span = Span(float(new["begin_s"]), new["end_s"]) if "begin_s" in new else None
    return Act(
        named,
        str(entry.get("what")) if named in OF_LABEL else "",
        str(new.get("class", "")),
        str(new.get("muscle", "")),
        span,
        str(entry.get("why", "")),
    )

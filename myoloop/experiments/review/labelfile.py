"""Labels as a CSV file that a person edits, or a program writes: one act a line.

Columns: ``act`` (confirm, reject, move, reclass, add, whole; a line without one is passed over), ``id``, ``class``,
``muscle``, ``begin_s``, ``end_s``, ``why``. A draft has every detection with an empty act.
What stands in the other columns of a line and is not what its act changes must be what the label is.
"""

from __future__ import annotations

import csv
import io
from datetime import datetime
from pathlib import Path

from myoloop.experiments.review.acts import ACTS, Act, problems_of
from myoloop.experiments.review.labels import Label, Span
from myoloop.experiments.review.review import NotReviewed, Review, apply_acts
from myoloop.platform.errors import UserError

COLUMNS = ("act", "id", "class", "muscle", "begin_s", "end_s", "why")


def draft(labels: tuple[Label, ...]) -> str:
    """A file to edit: every label where it is now, with an empty act."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in labels:
        end = "" if each.span.end_s is None else f"{each.span.end_s:.6f}"
        writer.writerow(("", each.id, each.kind, each.muscle, f"{each.span.begin_s:.6f}", end, ""))
    return file.getvalue()


def read_label_file(path: Path) -> tuple[list[Act], list[int]]:
    """The acts of a file, and the line that each stands on.

    Raises
    ------
    UserError
        If the file cannot be read.
    NotReviewed
        If a column is missing or a line is none; every such line is named.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    reader = csv.DictReader(io.StringIO(text))
    absent = [name for name in ("act", "id") if name not in (reader.fieldnames or ())]
    unknown = [name for name in reader.fieldnames or () if name not in COLUMNS]
    if absent or unknown:
        named = ", ".join(absent) if absent else f"found {', '.join(map(str, unknown))}"
        raise NotReviewed(f"{path}:1: columns: {named}{' missing' if absent else ''}, allowed: {', '.join(COLUMNS)}")
    acts, lines, problems = [], [], []
    for row in reader:
        values = {name: (row.get(name) or "").strip() for name in COLUMNS}
        if not values["act"]:
            continue
        if None in row:
            problems.append(f"{path}:{reader.line_num}: more values than columns")
            continue
        try:
            acts.append(_act(values))
            lines.append(reader.line_num)
        except ValueError as error:
            problems.append(f"{path}:{reader.line_num}: {error}")
    if problems:
        raise NotReviewed("\n".join(problems))
    return acts, lines


def apply_label_file(review: Review, path: Path, *, who: str, role: str, wall: datetime) -> Review:
    """Do the acts of a file, all or none; see :func:`~myoloop.experiments.review.review.apply_acts`.

    Raises
    ------
    UserError
        If the file cannot be read.
    NotReviewed
        If a line is none, or cannot be done; every such line is named by its number, and nothing is written.
    """
    acts, lines = read_label_file(path)
    problems = problems_of(review.labels, acts)
    if problems:
        raise NotReviewed("\n".join(f"{path}:{lines[place]}: {problem}" for place, problem in problems))
    return apply_acts(review, acts, who=who, role=role, wall=wall)


def _act(values: dict[str, str]) -> Act:
    if values["act"] not in ACTS:
        raise ValueError(f"act: found {values['act']!r}, allowed: {', '.join(ACTS)}")
    span = None
    if values["end_s"] and not values["begin_s"]:
        raise ValueError("begin_s: is missing beside end_s")
    if values["begin_s"]:
        span = Span(_number(values, "begin_s"), _number(values, "end_s") if values["end_s"] else None)
    return Act(values["act"], values["id"], values["class"], values["muscle"], span, values["why"])


def _number(values: dict[str, str], name: str) -> float:
    try:
        return float(values[name])
    except ValueError:
        raise ValueError(f"{name}: found {values[name]!r}, allowed is a time in s") from None


def draft_to(review: Review, path: Path) -> Path:
    """Write a draft of the labels as they stand.

    Raises
    ------
    UserError
        If the file is there already, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(draft(review.rows))
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    return path

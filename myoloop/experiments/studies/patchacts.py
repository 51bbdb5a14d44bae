"""Patch tests between sessions: a patch is put on, and read; who has none is not stimulated through that material."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from myoloop.experiments.screening.forms import check_form
from myoloop.experiments.studies.answered import AnswerError
from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.personrecord import append_record, record_path
from myoloop.platform.errors import UserError

#: A patch is put on; it is read.
PATCH_FORMS = ("patch_test", "patch_reading")


def look(study: Path | str, person: str) -> list[dict[str, Any]]:
    """What was written of a person's patch tests, in order.

    Raises
    ------
    UserError
        If the log is damaged.
    """
    rows = read_chained(record_path(study, person, "patch_tests"))
    return [row for row in rows if str(row.get("form", "")).partition(".")[0] in PATCH_FORMS]


def write(
    study: Path | str, person: str, form_id: str, values: Mapping[str, Any], *, who: str, now: datetime
) -> dict[str, Any]:
    """Write that a patch was put on, or read; the row as written, as a session would have left it.

    Parameters
    ----------
    form_id
        ``patch_test.MATERIAL`` or ``patch_reading.MATERIAL``.
    now
        With its zone.

    Raises
    ------
    UserError
        If it is another form, has a mistake, nobody is named, or the person has withdrawn.
    """
    if form_id.partition(".")[0] not in PATCH_FORMS:
        raise UserError(f"{form_id}: allowed is {' or '.join(PATCH_FORMS)}, with the material behind a dot")
    if not who.strip():
        raise UserError(f"{form_id}: nobody is named who writes it")
    mistakes = check_form(form_id, values, now)
    if mistakes:
        raise AnswerError(mistakes)
    row = {"form": form_id, "values": dict(values), "wall": now.isoformat(), "who": who}
    return append_record(study, person, "patch_tests", row)

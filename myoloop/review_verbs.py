"""The verbs of what a person makes of a session: review (labels of events) and score (answers to an instrument)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from myoloop.answers import CHECK_FAILED, EXIT_CODES, GOOD, Json, clear_errors, say

review_verbs = typer.Typer()
verb = partial(review_verbs.command, epilog=EXIT_CODES)


@verb()
def review(
    session: Annotated[str, typer.Argument(help="A session file, or the attempt's folder it is in.")],
    apply: Annotated[
        Path | None, typer.Option("--apply", help="Do the acts of this CSV file, all or none; --draft makes one.")
    ] = None,
    confirm: Annotated[list[str] | None, typer.Option(help="This label is right; repeatable.")] = None,
    reject: Annotated[list[str] | None, typer.Option(help="This label is none; repeatable, with --why.")] = None,
    whole: Annotated[
        list[str] | None,
        typer.Option(help="The recording was looked through for missed spasm, clonus or contraction; repeatable."),
    ] = None,
    who: Annotated[str, typer.Option(help="Who reviews.")] = "",
    role: Annotated[str, typer.Option(help="As what, such as assessor.")] = "",
    why: Annotated[str, typer.Option(help="Reason of --confirm, --reject and --whole.")] = "",
    draft: Annotated[
        Path | None, typer.Option(help="Write a CSV file to edit, with every label; nothing is overwritten.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Events that the detector found, corrected by a person; how well the detector did against the labels.

    Each act is an entry in review.jsonl beside the recording, which is never altered.

    Example: myoloop review study/sub-SIM1/ses-01/att-1 --apply labels.csv --who "A. Smith" --role assessor
    """
    with clear_errors():
        from datetime import UTC, datetime

        from myoloop.experiments.review.acts import Act
        from myoloop.experiments.review.labelfile import apply_label_file, draft_to
        from myoloop.experiments.review.review import apply_acts, read_review
        from myoloop.experiments.review.words import as_data, say_review

        found, now = read_review(session), datetime.now(UTC)
        acts = [Act("confirm", name, why=why) for name in confirm or ()]
        acts += [Act("reject", name, why=why) for name in reject or ()]
        acts += [Act("whole", kind=kind, why=why) for kind in whole or ()]
        if apply is not None and acts:
            raise typer.BadParameter("one at a time: --apply, or --confirm, --reject, --whole", param_hint="--apply")
        if apply is not None:
            found = apply_label_file(found, apply, who=who, role=role, wall=now)
        elif acts:
            found = apply_acts(found, acts, who=who, role=role, wall=now)
        text = say_review(found)
        if draft is not None:
            text += f"\n{draft_to(found, draft)}"
        say(as_data(found), as_json, text)


@verb()
def score(
    instrument: Annotated[
        str | None, typer.Argument(help="An instrument, such as odi; without it, all that there are.")
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(help="CSV file: a column for each item, one line for each time it was answered."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Scores of an instrument from answers by item number; a score that is missing says why.

    Exit code 1 where a score is missing.

    Example: myoloop score odi --answers odi.csv
    """
    with clear_errors():
        from myoloop.experiments.outcomes.answerfile import instruments_data, say_instruments, say_scores, score_file

        if instrument is None:
            say(instruments_data(), as_json, say_instruments())
            return
        if answers is None:
            raise typer.BadParameter("needs --answers FILE", param_hint="INSTRUMENT")
        rows = score_file(instrument, answers)
        say(rows, as_json, say_scores(rows))
        missing = any(row["value"] is None and not row["code"] for row in rows)
        raise typer.Exit(CHECK_FAILED if missing else GOOD)

"""The verbs about a person's course: course, diary, adverse."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from myoloop.answers import EXIT_CODES, Json, clear_errors, say

StudyPath = Annotated[Path, typer.Argument(metavar="STUDY", help="Folder of the study.")]
PersonCode = Annotated[str, typer.Argument(metavar="PERSON", help="Pseudonym of the person.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and show what would be written; write nothing.")]
Values = Annotated[
    list[str] | None, typer.Option("--value", help="An answer of the form, as question=answer; repeatable.")
]

course_verbs = typer.Typer()
verb = partial(course_verbs.command, epilog=EXIT_CODES)


@verb()
def course(
    study: StudyPath,
    person: PersonCode,
    lift: Annotated[
        str | None, typer.Option(metavar="RULE", help="Let a rule (gap, week) not hold for the next session.")
    ] = None,
    close: Annotated[bool, typer.Option("--close", help="End the course before its time.")] = False,
    flare: Annotated[int | None, typer.Option(metavar="N", help="Session N was followed by a flare.")] = None,
    who: Annotated[str, typer.Option(help="Who decides or writes it.")] = "",
    role: Annotated[str, typer.Option(help="As what; whose word lifts a rule, study.yaml says.")] = "",
    why: Annotated[str, typer.Option(help="The reason, or what was seen.")] = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """What of a person's course is planned, done, missed and due, and how well it was kept.

    Example: myoloop course study P017
    """
    with clear_errors():
        from datetime import UTC, datetime

        from myoloop.experiments.studies import courseacts
        from myoloop.experiments.studies.courseview import course_data, say_course
        from myoloop.experiments.studies.personrecord import RecordError, read_record

        now = datetime.now(UTC)
        asked = [lift is not None, close, flare is not None]
        if sum(asked) > 1:
            raise typer.BadParameter("allowed is one of them at a time", param_hint="--lift, --close, --flare")
        if any(asked):
            if lift is not None:
                row = courseacts.lift(study, person, lift, name=who, role=role, why=why, now=now, dry_run=dry_run)
            elif flare is not None:
                row = courseacts.flare(study, person, flare, who=who, why=why, now=now, dry_run=dry_run)
            else:
                row = courseacts.close(study, person, who=who, why=why, now=now, dry_run=dry_run)
            said = "would be written" if dry_run else "written"
            say({"person": person, "written": not dry_run, "entry": row}, as_json, f"{person}: {row['kind']} {said}")
            return
        record = read_record(study, person)
        if record.course is None:
            raise RecordError(f"{study}: {person} has no course: no session of a protocol with one was begun")
        say(course_data(record, record.course, now), as_json, say_course(record, record.course, now))


@verb()
def diary(
    study: StudyPath,
    person: PersonCode,
    form: Annotated[str | None, typer.Option(help="What is answered, such as doms; without it, what is asked.")] = None,
    value: Values = None,
    who: Annotated[str | None, typer.Option(help="Who writes it; else the person.")] = None,
    correct: Annotated[int | None, typer.Option(metavar="N", help="Entry that this one corrects.")] = None,
    why: Annotated[str, typer.Option(help="Reason of a correction.")] = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write an entry into a person's diary; without a form, what they are asked and what they wrote.

    Example: myoloop diary study P017 --form doms --value soreness=4 --value dark_urine=no --value much_swelling=no
    """
    with clear_errors():
        from datetime import UTC, datetime

        from myoloop.experiments.studies import diaryacts

        now = datetime.now(UTC)
        if form is None:
            if value or correct is not None:
                raise typer.BadParameter("is needed with an entry, such as doms", param_hint="--form")
            found = diaryacts.look(study, person, now)
        else:
            act = diaryacts.Act(form, tuple(value or ()), who or person, correct, why)
            found = diaryacts.write(study, person, act, now, dry_run=dry_run)
        say(found.data, as_json, found.text)


@verb()
def adverse(
    study: StudyPath,
    person: PersonCode,
    report: Annotated[bool, typer.Option("--report", help="Report a new event; its form is given by --value.")] = False,
    follow_up: Annotated[int | None, typer.Option(metavar="N", help="Follow event N up; it stays open.")] = None,
    correct: Annotated[int | None, typer.Option(metavar="N", help="Correct answers of event N.")] = None,
    resolve: Annotated[int | None, typer.Option(metavar="N", help="Event N is over.")] = None,
    value: Values = None,
    session: Annotated[int | None, typer.Option(help="Session that a new event belongs to.")] = None,
    who: Annotated[str, typer.Option(help="Who writes it.")] = "",
    why: Annotated[str, typer.Option(help="What was seen, or why it is corrected.")] = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """A person's adverse events; report one, follow it up, correct it, resolve it. Nothing is ever overwritten.

    Example: myoloop adverse study P017 --resolve 3 --who "C. Roth" --why "skin without a mark for two days"
    """
    with clear_errors():
        from datetime import UTC, datetime

        from myoloop.experiments.studies import adverseacts

        asked = {"follow_up": follow_up, "correction": correct, "resolution": resolve}
        numbered = [(kind, number) for kind, number in asked.items() if number is not None]
        if len(numbered) + report > 1:
            raise typer.BadParameter(
                "allowed is one of them at a time", param_hint="--report, --follow-up, --correct, --resolve"
            )
        now = datetime.now(UTC)
        if not numbered and not report:
            if value or who or why or session is not None:
                raise typer.BadParameter(
                    "one of them is needed to write", param_hint="--report, --follow-up, --correct, --resolve"
                )
            found = adverseacts.look(study, person, now)
        elif report:
            found = adverseacts.report(study, person, tuple(value or ()), session, who, now, dry_run=dry_run)
        else:
            act = adverseacts.Later(numbered[0][0], numbered[0][1], tuple(value or ()), who, why)
            found = adverseacts.write_later(study, person, act, now, dry_run=dry_run)
        say(found.data, as_json, found.text)

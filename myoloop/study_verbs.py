"""The verbs about a study: audit, sign, allocate, unblind, reassign, withdraw, and the identity key file."""

from __future__ import annotations

import getpass
import secrets
import sys
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from myoloop.answers import CHECK_FAILED, EXIT_CODES, GOOD, Json, clear_errors, say, whole_number

studies = typer.Typer()
verb = partial(studies.command, epilog=EXIT_CODES)
allocate = typer.Typer(
    help="Who gets which arm, from a sealed list.\n\n"
    "Example: myoloop allocate import list.csv --study study --key keys/study.key --who 'A. Berg' --role statistician",
    epilog=EXIT_CODES,
    no_args_is_help=True,
)
keyfile = typer.Typer(
    help="The encrypted key file with the second identifier of each person, outside the study folder.\n\n"
    "Example: myoloop keyfile create keys/identity.key",
    epilog=EXIT_CODES,
    no_args_is_help=True,
)
studies.add_typer(allocate, name="allocate")
studies.add_typer(keyfile, name="keyfile")

Study = Annotated[Path, typer.Option("--study", help="Study folder.")]
Who = Annotated[str, typer.Option("--who", help="Name of who does it.")]
Role = Annotated[str, typer.Option("--role", help="In which role.")]
Why = Annotated[str, typer.Option("--why", help="Reason; stands in the audit.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Person = Annotated[str, typer.Argument(help="Pseudonym, such as P017.")]
KeyFile = Annotated[Path, typer.Argument(help="The key file.")]
PassphraseFile = Annotated[
    Path | None, typer.Option("--passphrase-file", help="Its first line; else it is asked for in a terminal.")
]
Initials = Annotated[str, typer.Option("--initials", help="1 to 6 letters.")]
BirthYear = Annotated[
    int,
    typer.Option("--birth-year", parser=partial(whole_number, least=1900), metavar="INTEGER", help="Such as 1980."),
]


@verb()
def audit(
    path: Annotated[Path, typer.Argument(help="Study, person, session's attempt, or one chained log.")],
    as_json: Json = False,
) -> None:
    """Who did what, when and why, and whether every chained log below is whole.

    Example: myoloop audit study
    """
    with clear_errors():
        from dataclasses import asdict

        from myoloop.experiments.studies.audit import read_audit, say_audit

        found = read_audit(path)
        say(asdict(found), as_json, say_audit(found))
        raise typer.Exit(CHECK_FAILED if found.problems else GOOD)


@verb()
def sign(
    protocol: Annotated[str, typer.Argument(help="A protocol file, or a preset by name.")],
    study: Study,
    name: Annotated[str, typer.Option("--name", help="The clinician's name.")],
    role: Role,
    day: Annotated[str | None, typer.Option("--date", help="Of the signature, such as 2026-11-21; else today.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Sign a protocol's hash and every safety parameter that no trial stands behind.

    Example: myoloop sign protocol.yaml --study study --name 'C. Roth' --role physician
    """
    with clear_errors():
        from myoloop.experiments.protocols.evidence import safety_parameters
        from myoloop.experiments.protocols.schema import load_protocol
        from myoloop.experiments.studies.signatures import PROVEN, check_signer, sha256_of
        from myoloop.experiments.studies.signatures import sign as sign_protocol

        now = datetime.now(UTC)
        signed_on = _day(day, now)
        check_signer(name, role, signed_on, now)
        chosen = load_protocol(protocol)
        sha256 = sha256_of(chosen.path)
        parameters = safety_parameters(chosen)
        rows = [{"path": p, "value": value, "grade": grade} for p, value, grade in parameters if grade != PROVEN]
        text = [f"{row['path']}: {row['value']} ({row['grade']})" for row in rows]
        if dry_run:
            written = None
        else:
            written = str(sign_protocol(study, sha256, parameters, name=name, role=role, day=signed_on, wall=now))
        what = f"{'would sign' if dry_run else 'signed'} {chosen.path} (sha256 {sha256}) and {len(rows)} values"
        say({"protocol_sha256": sha256, "parameters": rows, "written": written}, as_json, "\n".join([*text, what]))


@allocate.command("import", epilog=EXIT_CODES)
def allocate_import(
    file: Annotated[Path, typer.Argument(help="CSV with number, arm, and if needed stratum, station.")],
    study: Study,
    key: Annotated[Path, typer.Option("--key", help="The study's key, outside of it; made if it is not there.")],
    who: Who,
    role: Role,
    stations: Annotated[
        str, typer.Option("--stations", help="Names of stations that work offline, such as A,B,C: each gets a slice.")
    ] = "",
    protocol: Annotated[str | None, typer.Option(help="Whose arms the list may name.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Seal an allocation list into the study; the list itself is kept elsewhere, or destroyed.

    Example: myoloop allocate import list.csv --study study --key keys/study.key --who 'A. Berg' --role statistician
    """
    with clear_errors():
        from myoloop.experiments.studies.allocation import import_list, parse_list, read_list_file, slice_list
        from myoloop.experiments.studies.audit import audit_of, check_actor, record_act
        from myoloop.experiments.studies.secret_files import refuse_inside

        check_actor(who, role)
        refuse_inside(file, study, "a list that holds the arms")
        rows = parse_list(read_list_file(file), str(file), _arms(protocol))
        if stations:
            rows = slice_list(rows, [each.strip() for each in stations.split(",")])
        counts: dict[str, int] = {}
        for row in rows:
            counts[row.stratum] = counts.get(row.stratum, 0) + 1
        sha256 = None
        if not dry_run:
            sha256 = import_list(study, rows, key)
            new = {"list_sha256": sha256, "counts": counts}
            what = "allocation.sealed"
            record_act(audit_of(study), datetime.now(UTC), who, role, "allocate_import", what, None, new, "")
        lines = [f"{stratum}: {count} entries" for stratum, count in sorted(counts.items())]
        lines += [f'sealed; in the protocol: allocation.list: "{sha256}"'] if sha256 else ["nothing was written"]
        say({"list_sha256": sha256, "counts": counts}, as_json, "\n".join(lines))


@allocate.command("take", epilog=EXIT_CODES)
def allocate_take(
    person: Person,
    study: Study,
    stratum: Annotated[str, typer.Option(help="Whose next number is taken.")] = "all",
    station: Annotated[str, typer.Option(help="Whose slice, where the list has slices.")] = "",
    as_json: Json = False,
) -> None:
    """Take the next free number for a person; the same again if they have one. The arm is not shown.

    Example: myoloop allocate take P017 --study study --stratum left
    """
    with clear_errors():
        from dataclasses import asdict

        from myoloop.experiments.studies.allocation import take

        taken = take(study, person, stratum, station)
        say(asdict(taken), as_json, f"{person}: number {taken.number} of stratum {taken.stratum}")


@allocate.command("status", epilog=EXIT_CODES)
def allocate_status(study: Study, as_json: Json = False) -> None:
    """The sealed list's hash, how many entries each stratum has left, and who took which number.

    Example: myoloop allocate status --study study
    """
    with clear_errors():
        from myoloop.experiments.studies.allocation import standing

        found = standing(study)
        lines = [f"list {found['list_sha256']}"]
        for stratum, slices in found["strata"].items():
            lines += [f"{stratum}, {name}: {each['left']} of {each['entries']} left" for name, each in slices.items()]
        lines += [f"{who}: number {one['number']} of {one['stratum']}" for who, one in found["taken"].items()]
        say(found, as_json, "\n".join(lines))


@verb()
def unblind(
    study: Annotated[Path, typer.Argument(help="Study folder.")],
    person: Person,
    who: Who,
    role: Role,
    why: Why,
    protocol: Annotated[
        str | None, typer.Option(help="Says whose role may; else the protocol of the person's newest session.")
    ] = None,
    confirm: Annotated[str | None, typer.Option("--confirm", help="Second step: the code that the first gave.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="Second step: the study's key.")] = None,
    as_json: Json = False,
) -> None:
    """Open one person's arm in an emergency: first ask, then confirm. Both steps stand in the audit.

    Example: myoloop unblind study P017 --who 'A. Berg' --role pi --why 'seizure, needs treatment'
    """
    with clear_errors():
        from myoloop.experiments.studies import unblind as steps
        from myoloop.experiments.studies.unblinding_roles import roles_of
        from myoloop.platform.sealed import read_key

        now = datetime.now(UTC)
        roles = roles_of(study, person, protocol)
        if confirm is None:
            code = f"{secrets.randbelow(10**6):06d}"
            steps.ask_to_unblind(study, person, who, role, why, now, code, roles)
            text = f"nothing is opened yet; to open the arm of {person}, repeat with --confirm {code} --key FILE"
            say({"person": person, "confirm": code}, as_json, text)
            return
        if key is None:
            raise typer.BadParameter("the second step needs the study's key", param_hint="--key")
        arm = steps.unblind(study, person, who, role, why, now, confirm, read_key(key), roles)
        say({"person": person, "arm": arm}, as_json, f"{person}: {arm}\ntell nobody who need not know")


@verb()
def reassign(
    session: Annotated[Path, typer.Argument(help="A session's folder, such as study/sub-P017/ses-05.")],
    to: Annotated[str, typer.Option("--to", help="Whose session it is.")],
    who: Who,
    role: Role,
    why: Why,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give a session that was recorded under a wrong pseudonym to the person it belongs to, with its dose.

    Example: myoloop reassign study/sub-P017/ses-05 --to P018 --who 'A. Berg' --role pi --why 'wrong code typed'
    """
    with clear_errors():
        from dataclasses import asdict

        from myoloop.experiments.studies.people import Actor
        from myoloop.experiments.studies.people import reassign as give

        done = give(session, to, Actor(who, role, datetime.now(UTC), why), dry_run=dry_run)
        lead = "would move" if dry_run else "moved"
        say(
            asdict(done),
            as_json,
            f"{lead} {done.old} to {done.new}: {done.attempts} attempt(s), {done.dose_lines} lines of dose, "
            f"{done.record_entries} entries of the record",
        )


@verb()
def withdraw(
    person: Person,
    who: Who,
    role: Role,
    why: Why,
    study: Study = Path("study"),
    also: Annotated[
        list[Path] | None,
        typer.Option(help="A folder elsewhere with datasets, trainings or exports of the study; repeatable."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Remove everything of a person from the study and what was made of it, and prove it by a search of every file.

    Exit code 1 where other files still name the person.

    Example: myoloop withdraw P017 --study study --who 'A. Berg' --role pi --why 'consent withdrawn' --dry-run
    """
    with clear_errors():
        from dataclasses import asdict

        from myoloop.experiments.studies.people import Actor
        from myoloop.experiments.studies.withdrawal import say_withdrawn
        from myoloop.experiments.studies.withdrawal import withdraw as remove

        done = remove(study, person, Actor(who, role, datetime.now(UTC), why), also=tuple(also or ()), dry_run=dry_run)
        say(asdict(done), as_json, say_withdrawn(done, person))
        raise typer.Exit(CHECK_FAILED if (done.mentions or done.alike) and not dry_run else GOOD)


@keyfile.command("create", epilog=EXIT_CODES)
def keyfile_create(
    file: KeyFile,
    study: Annotated[Path | None, typer.Option("--study", help="A study folder that it may not stand in.")] = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Make an empty key file.

    Example: myoloop keyfile create keys/identity.key --study study
    """
    with clear_errors():
        from myoloop.experiments.studies.identity import create_key_file

        create_key_file(file, _passphrase(passphrase_file, twice=True), study)
        say({"written": str(file)}, as_json, str(file))


@keyfile.command("add", epilog=EXIT_CODES)
def keyfile_add(
    file: KeyFile,
    person: Person,
    initials: Initials,
    birth_year: BirthYear,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Add a person's initials and year of birth.

    Example: myoloop keyfile add keys/identity.key P017 --initials AB --birth-year 1980
    """
    with clear_errors():
        from myoloop.experiments.studies.identity import add_identity, make_identity

        add_identity(file, _passphrase(passphrase_file), person, make_identity(initials, birth_year))
        say({"person": person, "added": True}, as_json, f"{person}: added")


@keyfile.command("remove", epilog=EXIT_CODES)
def keyfile_remove(
    file: KeyFile, person: Person, passphrase_file: PassphraseFile = None, as_json: Json = False
) -> None:
    """Remove a person, as after a withdrawal.

    Example: myoloop keyfile remove keys/identity.key P017
    """
    with clear_errors():
        from myoloop.experiments.studies.identity import remove_identity

        remove_identity(file, _passphrase(passphrase_file), person)
        say({"person": person, "removed": True}, as_json, f"{person}: removed")


@keyfile.command("check", epilog=EXIT_CODES)
def keyfile_check(
    file: KeyFile,
    person: Person,
    initials: Initials,
    birth_year: BirthYear,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Is this the person? Exit code 1 if initials or year of birth are others.

    Example: myoloop keyfile check keys/identity.key P017 --initials AB --birth-year 1980
    """
    with clear_errors():
        from myoloop.experiments.studies.identity import check_identity, make_identity

        good = check_identity(file, _passphrase(passphrase_file), person, make_identity(initials, birth_year))
        say({"person": person, "matches": good}, as_json, f"{person}: {'matches' if good else 'does NOT match'}")
        raise typer.Exit(GOOD if good else CHECK_FAILED)


def _passphrase(file: Path | None, *, twice: bool = False) -> str:
    if file is not None:
        return next(iter(file.read_text("utf-8").splitlines()), "")
    if not sys.stdin.isatty():
        raise typer.BadParameter("needed where there is no terminal to ask in", param_hint="--passphrase-file")
    typed = getpass.getpass("passphrase: ")
    if twice and getpass.getpass("again: ") != typed:
        raise typer.BadParameter("both times the same passphrase is needed", param_hint="passphrase")
    return typed


def _day(text: str | None, now: datetime) -> date:
    if text is None:
        return now.astimezone().date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"found {text[:40]!r}, allowed is a date such as 2026-11-21", param_hint="--date"
        ) from None


def _arms(protocol: str | None) -> tuple[str, ...]:
    if protocol is None:
        return ()
    from myoloop.experiments.protocols.schema import load_protocol

    arms: dict[str, Any] = load_protocol(protocol).arms
    if not arms:
        raise typer.BadParameter(f"{protocol} has no arms", param_hint="--protocol")
    return tuple(arms)

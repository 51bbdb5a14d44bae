"""Close a session that was cut off, or go on with it, from its folder."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from myoloop.experiments.sessions.continuing import (
    ContinueError,
    Standing,
    attempts_of,
    close,
    continuation,
    now_utc,
    record_continued,
    standing,
)
from myoloop.experiments.sessions.run import DRAWN, prepare
from myoloop.experiments.sessions.script import Script
from myoloop.experiments.sessions.setup import SessionSetup
from myoloop.experiments.studies.identity import SecondCheck
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import place_of
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.reader import Recording

ROLE = "operator"


def say_standing(session: Path) -> tuple[dict[str, Any], str, bool]:
    """How a session stands: as data, in words, and whether there is nothing to decide.

    Raises
    ------
    ContinueError
        If it is no session's folder.
    """
    attempts = [standing(attempt) for attempt in _attempts(session)]
    cut = [each for each in attempts if each.state == "cut"]
    lines = [f"{each.folder.name}: {_in_words(each)}" for each in attempts]
    if cut:
        lines.append(f'myoloop resume {session} --close --why "..." ends it as interrupted')
        lines.append(f'myoloop resume {session} --continue --why "..." goes on with the trials that never began')
    data = [{"attempt": each.folder.name, "state": each.state, "outcome": each.outcome} for each in attempts]
    return (
        {"session": str(session), "attempts": data, "cut": [each.folder.name for each in cut]},
        "\n".join(lines),
        not cut,
    )


def close_session(session: Path, *, who: str, why: str, wall: datetime | None = None) -> Standing:
    """Close what was cut off of a session.

    Raises
    ------
    ContinueError
        If nothing of it was.
    """
    cut = [attempt for attempt in _attempts(session) if standing(attempt).state == "cut"]
    if not cut:
        raise ContinueError(f"{session}: nothing of it was cut off; {say_standing(session)[1]}")
    closed = [close(attempt, who=who, role=ROLE, why=why, wall=wall or now_utc()) for attempt in cut]
    return closed[-1]


def go_on_with(
    session: Path,
    *,
    who: str,
    why: str,
    same_electrodes: bool = False,
    subject: str | None = None,
    rig: str | None = None,
    script: Script | None = None,
    speed: str = "real",
    key: Path | str | None = None,
    identity: SecondCheck | None = None,
) -> SessionSetup:
    """A new attempt at a session that did not come to its end, with the trials that never began.

    Parameters
    ----------
    same_electrodes
        Whether somebody says that no pad was moved since; else thresholds are measured anew.

    Raises
    ------
    ContinueError
        If it is running or complete, or its protocol is not the one that was played.
    """
    attempts = _attempts(session)
    for attempt in attempts:
        found = standing(attempt)
        if found.state == "running":
            raise ContinueError(f"{attempt}: is running")
        if found.state == "cut":
            close(attempt, who=who, role=ROLE, why=why, wall=now_utc())
    wall = (script.moment if script is not None else None) or now_utc()
    went = continuation(session, wall, new_electrodes=not same_electrodes)
    last = session / went.attempt
    place = place_of(last)
    if place is None:
        raise ContinueError(f"{session}: is no session of a study, allowed is STUDY/sub-X/ses-NN")
    recording = Recording.open(last)
    _unchanged(last, recording)
    setup = prepare(
        str(last / "protocol.yaml"),
        subject=subject or _same_subject(recording, place.subject),
        rig=rig or str(last / "rig.yaml"),
        study=place.study,
        seed=int(recording.metadata.get("seed") or 1),
        session=place.session,
        script=script,
        speed=speed,
        go_on=went,
        key=key,
        identity=identity,
    )
    if setup.subject != place.subject:
        raise ContinueError(f"--subject: found {setup.subject}, the session is of {place.subject}")
    record_continued(setup.folder, who=who, role=ROLE, why=why, wall=now_utc(), after=went.attempt)
    return setup


def _same_subject(recording: Recording, pseudonym: str) -> str:
    """Somebody drawn from a group by name is drawn from it again, with the same seed."""
    group = recording.metadata.get("group")
    return f"{DRAWN}{group}" if group else pseudonym


def _attempts(session: Path) -> list[Path]:
    attempts = attempts_of(session)
    if not attempts:
        raise ContinueError(f"{session}: no attempt there; allowed is the folder of a session, STUDY/sub-X/ses-NN")
    return attempts


def _unchanged(attempt: Path, recording: Recording) -> None:
    """The protocol that is gone on with is the very one that was begun."""
    for name in ("protocol.yaml", "rig.yaml"):
        try:
            found = hashlib.sha256((attempt / name).read_bytes()).hexdigest()
        except OSError as error:
            raise RecordingError(f"{attempt / name}: cannot be read: {error.strerror}") from None
        if found != recording.metadata.get(f"sha256.{name}"):
            raise ContinueError(f"{attempt / name}: is not the file that the session was begun with")


def _in_words(each: Standing) -> str:
    if each.state == "cut":
        return "cut off, neither closed nor continued"
    return f"{each.outcome or each.state}{f', {each.reason}' if each.reason else ''}"


def reason_in(line: str) -> tuple[str, str]:
    """The reason that another program says in one line, and the line without it.

    Parameters
    ----------
    line
        A JSON object with ``why``, and what else was given in it.

    Raises
    ------
    UserError
        If it is none; it does not repeat what was said.
    """
    try:
        told = json.loads(line)
    except ValueError:
        told = None
    if not isinstance(told, dict) or not isinstance(why := told.pop("why", None), str):
        raise UserError('--why -: allowed is one line of JSON on standard input, {"why": "a reason"}')
    return why, json.dumps(told)

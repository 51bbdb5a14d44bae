"""The learned controller that a study works with: put there by a named person, on a passed evaluation, and taken back.

``models/<sha256>/`` of the study holds each artefact that was ever deployed, with its evaluation and its training.
Which one is at work stands nowhere but in the study's chained audit: the acts ``deploy`` and ``rollback``, in order.
What was cut off the audit's end shows by ``models/last.json``, which has the hash of the newest of them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from myoloop.experiments.studies.audit import AUDIT_FILE, audit_of, check_actor, record_act
from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.exclusive import exclusively
from myoloop.experiments.studies.signatures import CLINICIANS
from myoloop.experiments.training.approval import Evidence, against, read_evidence
from myoloop.experiments.training.artefact import Artefact, ArtefactError, load_artefact
from myoloop.experiments.training.jobs import code_sha256
from myoloop.experiments.training.trained_files import TRAINING
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import replace_file

FOLDER, ARTEFACT, LAST = "models", "artefact", "last.json"
#: Who may put a controller to work.
APPROVERS = ("pi", *CLINICIANS)
DEPLOY, ROLLBACK = "deploy", "rollback"
WHAT = "learned controller"
NONE = "none"
#: On so many held-out people an artefact must have been evaluated to work on a person; our choice.
PEOPLE_MIN = 20
_HASH = " sha256 "


class DeploymentError(UserError, ValueError):
    """Nothing was deployed or rolled back; one line for each reason.

    Attributes
    ----------
    problems
        The lines.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a study's audit says.

    Attributes
    ----------
    standing
        Identities (``id sha256 hash``) of what was deployed and not taken back, the newest last: that one is at work.
    evaluations
        By identity, the hash of the evaluation that it was deployed on.
    acts
        How many deployments and rollbacks there were.
    """

    standing: tuple[str, ...] = ()
    evaluations: tuple[tuple[str, str], ...] = ()
    acts: int = 0

    @property
    def identity(self) -> str:
        """Of the one at work; ``none`` where there is none."""
        return self.standing[-1] if self.standing else NONE


@dataclass(frozen=True, slots=True)
class Change:
    """What a deployment or a rollback changed: identities, and hash of the audit's entry (empty in a dry run)."""

    old: str
    new: str
    entry_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Approver:
    """Who decides, as what, when and why."""

    name: str
    role: str
    wall: datetime
    why: str

    def check(self) -> None:
        """Refuse a decision of nobody, of one who may not decide, or for no reason.

        Raises
        ------
        DeploymentError
            If that is so.
        """
        if not self.name.strip():
            raise DeploymentError(["--approver: empty; a deployment has a name"])
        if self.role not in APPROVERS:
            raise DeploymentError([f"--role: found {self.role!r}, allowed to deploy: {', '.join(APPROVERS)}"])
        if not self.why.strip():
            raise DeploymentError(["--why: empty; a deployment has a reason"])


def deploy(
    artefact_folder: Path, study: Path, evaluation: Path, approver: Approver, *, training: Path | None = None,
    dry_run: bool = False,
) -> tuple[Change, Evidence]:  # fmt: skip
    """Put an artefact to work in a study.

    Parameters
    ----------
    training
        File of the training that the evaluation is of; None: beside the evaluation.
    dry_run
        Check everything, write nothing.

    Raises
    ------
    DeploymentError
        With everything that stands against it.
    ArtefactError, ApprovalError, DamagedLog
        If something cannot be read, or is not what it says.
    """
    approver.check()
    if not study.is_dir():
        raise DeploymentError([f"{study}: no such folder; a study folder is needed"])
    artefact = load_artefact(artefact_folder)
    evidence = read_evidence(evaluation, training)
    reasons = against(evidence, artefact)
    if reasons:
        raise DeploymentError(reasons)
    if dry_run:
        return _change(study, artefact), evidence
    with exclusively(study / FOLDER):
        change = _change(study, artefact)
        _keep(study / FOLDER / artefact.sha256, artefact, evidence)
        what = f"{WHAT}, evaluation{_HASH}{evidence.sha256}"
        return _record(study, approver, DEPLOY, what, change), evidence


def rollback(study: Path, approver: Approver, *, classic: bool = False, dry_run: bool = False) -> Change:
    """Take the learned controller that is at work out of it again.

    Parameters
    ----------
    classic
        Back to none, whatever was at work before.

    Raises
    ------
    DeploymentError
        If none is at work, or the one before cannot be used any more.
    DamagedLog
        If the audit cannot be trusted.
    """
    check_actor(approver.name, approver.role)
    if not approver.why.strip():
        raise DeploymentError(["--why: empty; a rollback has a reason"])
    if not study.is_dir():
        raise DeploymentError([f"{study}: no such folder; a study folder is needed"])
    change = _back(study, classic)
    if dry_run:
        return change
    with exclusively(study / FOLDER):
        return _record(study, approver, ROLLBACK, WHAT, _back(study, classic))


def deployed(study: Path) -> Deployed:
    """What is at work in a study, by its audit.

    Raises
    ------
    DeploymentError, DamagedLog
        If the audit was changed or cut.
    """
    standing: list[str] = []
    evaluations: dict[str, str] = {}
    acts, newest = 0, ""
    for row in read_chained(study / AUDIT_FILE):
        if row.get("act") not in (DEPLOY, ROLLBACK) or not str(row.get("what", "")).startswith(WHAT):
            continue
        acts, newest = acts + 1, str(row["sha256"])
        if row["act"] == DEPLOY:
            standing.append(str(row["new"]))
            evaluations[standing[-1]] = str(row["what"]).rpartition(_HASH)[2]
        else:
            # Back to whatever the entry says, which is one that stood before, or none.
            while standing and standing[-1] != row["new"]:
                standing.pop()
    _check_end(study, newest, acts)
    return Deployed(tuple(standing), tuple(evaluations.items()), acts)


def deployed_artefact(study: Path, identity: str, rig_class: str) -> Artefact:
    """The artefact at work, read and checked again; for a person also on how many it was evaluated.

    Raises
    ------
    ArtefactError, DeploymentError
        If it is not what was deployed, was evaluated by other code, or on too few to work on a person.
    """
    kept = kept_in(study, identity)
    artefact = load_artefact(kept / ARTEFACT)
    if artefact.identity != identity:
        raise ArtefactError(f"{kept}: is {artefact.identity}, deployed was {identity}")
    wanted = dict(deployed(study).evaluations)[identity]
    evaluation = kept / _evaluation(wanted)
    content = evaluation.read_bytes() if evaluation.is_file() else b""
    if hashlib.sha256(content).hexdigest() != wanted:
        raise DeploymentError([f"{evaluation}: is not the evaluation that {identity} was deployed on"])
    told = json.loads(content)
    if told["code_sha256"] != code_sha256():
        raise DeploymentError(
            [f"{evaluation}: was made by other code than acts here; evaluate again and deploy, or roll it back"]
        )
    people = len(told["people"])
    if rig_class == "HUMAN" and people < PEOPLE_MIN:
        raise DeploymentError(
            [f"{evaluation}: evaluated on {people} people; allowed on a HUMAN rig is at least {PEOPLE_MIN}"]
        )
    return artefact


def kept_in(study: Path, identity: str) -> Path:
    """Where a study keeps what was deployed."""
    return study / FOLDER / identity.rpartition(_HASH)[2]


# -- inside --------------------------------------------------------------------------------------------------------


def _change(study: Path, artefact: Artefact) -> Change:
    now = deployed(study).identity
    if now == artefact.identity:
        raise DeploymentError([f"{artefact.folder}: {artefact.identity} is at work already"])
    return Change(now, artefact.identity)


def _back(study: Path, classic: bool) -> Change:
    found = deployed(study)
    if not found.standing:
        raise DeploymentError([f"{study}: no learned controller is at work; there is nothing to roll back"])
    before = NONE if classic or len(found.standing) < 2 else found.standing[-2]
    if before != NONE:
        try:
            load_artefact(kept_in(study, before) / ARTEFACT)
        except ArtefactError as error:
            raise DeploymentError([f"{error}; back to adaptive gain: myoloop rollback --classic"]) from None
    return Change(found.identity, before)


def _evaluation(sha256: str) -> str:
    return f"evaluation-{sha256[:16]}.json"


def _keep(folder: Path, artefact: Artefact, evidence: Evidence) -> None:
    """Copy what is deployed into the study; what is there under its hash is it, or is refused."""
    if not (folder / ARTEFACT).exists():
        folder.mkdir(parents=True, exist_ok=True)
        making = folder / f".{ARTEFACT}.making"
        shutil.rmtree(making, ignore_errors=True)
        shutil.copytree(artefact.folder, making)
        making.rename(folder / ARTEFACT)
    copied = load_artefact(folder / ARTEFACT)
    if copied.sha256 != artefact.sha256:
        raise ArtefactError(f"{folder / ARTEFACT}: is sha256 {copied.sha256[:12]}..., not the one of its folder's name")
    replace_file(folder / _evaluation(evidence.sha256), evidence.content)
    replace_file(folder / TRAINING, evidence.training_content)


def _record(study: Path, approver: Approver, act: str, what: str, change: Change) -> Change:
    entry = record_act(
        audit_of(study), approver.wall, approver.name, approver.role, act, what, change.old, change.new, approver.why
    )
    last = {"sha256": entry["sha256"], "act": act, "new": change.new}
    replace_file(study / FOLDER / LAST, (json.dumps(last, sort_keys=True) + "\n").encode())
    return Change(change.old, change.new, str(entry["sha256"]))


def _check_end(study: Path, newest: str, acts: int) -> None:
    """Whole lines cut off a log's end do not show in its chain."""
    path = study / FOLDER / LAST
    if not path.exists():
        if acts > 1:
            raise DeploymentError([f"{path}: is missing; what was deployed last is not known"])
        return
    try:
        told: Mapping[str, Any] = json.loads(path.read_bytes())
        known = str(told["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeploymentError([f"{path}: cannot be read: {error}"]) from None
    entries = [str(row["sha256"]) for row in read_chained(study / AUDIT_FILE)]
    # Killed between the two writes, it names the act before the newest.
    if known != newest and known not in entries:
        raise DeploymentError([f"{study / AUDIT_FILE}: cut: an act that {path} names is gone from it"])

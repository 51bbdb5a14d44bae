"""The verbs that put a trained controller to work: shadow it, deploy it, take it back."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from myoloop.answers import EXIT_CODES, Json, clear_errors, say

deployment = typer.Typer()
verb = partial(deployment.command, epilog=EXIT_CODES)

Study = Annotated[Path, typer.Option("--study", help="Study folder.")]
Role = Annotated[str, typer.Option("--role", help="In which role.")]
Why = Annotated[str, typer.Option("--why", help="Reason; stands in the audit.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, and do nothing.")]


@verb()
def shadow(
    session: Annotated[str, typer.Argument(help="A session file, or the attempt's folder it is in.")],
    artefact: Annotated[
        Path | None, typer.Option(help="Folder of the trained controller; else the one recorded in the shadow.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What a trained controller would have asked for in a recorded session, and what the gate would have done.

    Example: myoloop shadow study/sub-SIM1/ses-01/att-1 --artefact trained/artefact
    """
    with clear_errors():
        from myoloop.experiments.training.artefact import load_artefact
        from myoloop.experiments.training.shadow import shadow_session
        from myoloop.experiments.training.shadow_words import as_data, say_shadow

        chosen = None if artefact is None else load_artefact(artefact)
        data = as_data(shadow_session(session, chosen))
        say(data, as_json, say_shadow(data))


@verb()
def deploy(
    artefact: Annotated[Path, typer.Argument(metavar="ARTEFACT", help="Folder of the trained controller.")],
    study: Study,
    evaluation: Annotated[Path, typer.Option(help="evaluation.json of this very artefact, passed.")],
    approver: Annotated[str, typer.Option(help="Name of who answers for it.")],
    role: Role,
    why: Why,
    training: Annotated[
        Path | None, typer.Option(help="training.json of the artefact; else the one beside the evaluation.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Put a trained controller to work in a study: protocols with artefact: deployed get it from the next session on.

    Example: myoloop deploy t/artefact --study s --evaluation t/evaluation.json --approver 'C. Roth' --role pi --why ok
    """
    with clear_errors():
        from myoloop.experiments.training import deployment as models

        who = models.Approver(approver, role, datetime.now(UTC), why)
        change, evidence = models.deploy(artefact, study, evaluation, who, training=training, dry_run=dry_run)
        found = evidence.composite
        lines = [
            f"{'would deploy' if dry_run else 'deployed'} {change.new}, before it {change.old}",
            f"evaluated on {evidence.people} people held out: composite {found['mean']:.3f} "
            f"({found['low']:.3f} to {found['high']:.3f}), adaptive gain is 1",
        ]
        if evidence.people < models.PEOPLE_MIN:
            lines.append(f"not for a HUMAN rig: evaluated on fewer than {models.PEOPLE_MIN} people")
        result = {
            "deployed": change.new,
            "before": change.old,
            "evaluation_sha256": evidence.sha256,
            "people": evidence.people,
            "audit_sha256": change.entry_sha256,
            "dry_run": dry_run,
        }
        say(result, as_json, "\n".join(lines))


@verb()
def rollback(
    study: Study,
    who: Annotated[str, typer.Option("--who", help="Name of who does it.")],
    why: Why,
    role: Role = "operator",
    classic: Annotated[
        bool, typer.Option("--classic", help="Back to adaptive gain, whatever was at work before.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take the trained controller that is at work out of it: back to the one before, or to adaptive gain.

    Example: myoloop rollback --study study --who 'A. Berg' --why 'uneven force'
    """
    with clear_errors():
        from myoloop.experiments.training import deployment as models

        change = models.rollback(
            study, models.Approver(who, role, datetime.now(UTC), why), classic=classic, dry_run=dry_run
        )
        now = "adaptive gain" if change.new == models.NONE else change.new
        rolled, at_work = ("would roll", "would be") if dry_run else ("rolled", "is")
        text = f"{rolled} back {change.old}; at work {at_work} {now}"
        result = {
            "rolled_back": change.old,
            "deployed": change.new,
            "audit_sha256": change.entry_sha256,
            "dry_run": dry_run,
        }
        say(result, as_json, text)

"""The verb that makes tables of a study."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from myoloop.answers import EXIT_CODES, Json, clear_errors, say

analyses = typer.Typer()
verb = partial(analyses.command, epilog=EXIT_CODES)


@verb()
def analyse(
    study: Annotated[Path, typer.Argument(help="Study folder.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the tables; by default derivatives/tables in the study.")
    ] = None,
    use: Annotated[
        str, typer.Option(help="Statuses that are used, with commas: complete, interrupted, incomplete, recovered.")
    ] = "",
    corrected: Annotated[
        bool, typer.Option("--corrected", help="Outcomes of spasms from the labels that a person corrected.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    cluster: Annotated[
        str, typer.Option(help="Address of a Dask scheduler instead, such as tcp://host:8786; it must see the study.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Tables of all sessions of a study, as Parquet: sessions, trials, trains, pulses, events, forms, outcomes.

    Sessions that the index excludes, or that cannot be read, are left out and listed with the reason. What has not
    changed is not read again.

    Example: myoloop analyse study --workers 2
    """
    with clear_errors():
        from myoloop.experiments.analysis.statuses import statuses
        from myoloop.experiments.analysis.study_tables import analyse as analyse_study
        from myoloop.experiments.training.jobs import Jobs

        jobs = Jobs(workers=workers, cluster=cluster, say=lambda line: typer.echo(line, err=True))
        found = analyse_study(study, out, jobs, use=statuses(use), corrected=corrected)
        say({"folder": str(found.folder), **found.as_data()}, as_json, found.words())

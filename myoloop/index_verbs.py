"""The verb that lists what the recordings of a study are worth."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from myoloop.answers import CHECK_FAILED, EXIT_CODES, GOOD, Json, clear_errors, say

index_verbs = typer.Typer()
verb = partial(index_verbs.command, epilog=EXIT_CODES)


@verb()
def index(
    study: Annotated[Path, typer.Argument(help="Study folder.")],
    rehash: Annotated[
        bool, typer.Option("--rehash", help="Hash every file again, whatever its size and times say.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 where a session is refused or excluded.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    cluster: Annotated[
        str, typer.Option(help="Address of a Dask scheduler instead, such as tcp://host:8786; it must see the study.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Every session of a study: status, integrity, gaps, clocks, latency, what excludes it and why, and a grade.

    What was read before and has not changed is not read again. One bad file never stops the rest. No arm is shown.

    Example: myoloop index study
    """
    with clear_errors():
        from myoloop.experiments.index.study import index_study
        from myoloop.experiments.index.words import say_index
        from myoloop.experiments.training.jobs import Jobs

        jobs = Jobs(workers=workers, cluster=cluster, say=lambda line: typer.echo(line, err=True))
        found = index_study(study, jobs, rehash=rehash)
        say(found.as_data(), as_json, say_index(found))
        bad = bool(found.problems) or any(not row.usable for row in found.rows)
        raise typer.Exit(CHECK_FAILED if strict and bad else GOOD)

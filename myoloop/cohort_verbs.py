"""The verbs about whole studies: plant one with known effects, and analyse one into its report."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from myoloop.answers import EXIT_CODES, Json, clear_errors, say, whole_number

cohorts = typer.Typer()
verb = partial(cohorts.command, epilog=EXIT_CODES)

Workers = Annotated[int, typer.Option(min=1, help="Processes.")]
Cluster = Annotated[str, typer.Option(help="Address of a Dask scheduler instead, such as tcp://host:8786.")]


@verb()
def plant(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make: study, its key, analysis file, truth.")],
    people: Annotated[int, typer.Option(help="Even: half of them in each of two arms.")] = 20,
    sessions: Annotated[int, typer.Option(help="Of each person, 2 to 6.")] = 6,
    seed: Annotated[
        int, typer.Option(parser=partial(whole_number, least=0), metavar="INTEGER", help="Of everything random.")
    ] = 1,
    short: Annotated[
        bool,
        typer.Option("--short", help="Sessions of seconds, with strength and dose alone: to try the way, no more."),
    ] = False,
    faults: Annotated[
        bool, typer.Option("--faults/--no-faults", help="Whether recordings are spoiled and sessions cut and missed.")
    ] = True,
    workers: Workers = 1,
    cluster: Cluster = "",
    as_json: Json = False,
) -> None:
    """Make a study of virtual people with known effects, so that an analysis can be tried.

    What is planted stands in OUT/truth.json, which no analysis reads.

    Example: myoloop plant planted --people 20 --sessions 6 --seed 1 --workers 2
    """
    with clear_errors():
        from dataclasses import asdict

        from myoloop.experiments.cohorts.planting import Cohort
        from myoloop.experiments.cohorts.planting import plant as make
        from myoloop.experiments.training.jobs import Jobs

        wanted = Cohort(people=people, sessions=sessions, seed=seed, short=short, faults=faults)
        jobs = Jobs(workers=workers, cluster=cluster, say=lambda line: typer.echo(line, err=True))
        made = make(out, wanted, jobs)
        lines = [f"{made.study}: {made.sessions} sessions of {people} virtual people", *made.faults]
        lines += [f"key: {made.key}", f"analysis file: {made.analysis}", f"truth: {made.truth}"]
        data = {name: str(each) if isinstance(each, Path) else each for name, each in asdict(made).items()}
        say(data, as_json, "\n".join(lines))


@verb()
def cohort(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="Study folder.")],
    analysis: Annotated[
        Path | None, typer.Option(help="Pre-registered analysis file; without one everything is exploratory.")
    ] = None,
    blinded: Annotated[
        bool, typer.Option("--blinded", help="Tell no arm: with the key as A and B, without it all together.")
    ] = False,
    key: Annotated[Path | None, typer.Option(help="The study's key; without it arms stay withheld.")] = None,
    who: Annotated[str, typer.Option(help="Who opens the arms, for the study's audit.")] = "",
    role: Annotated[str, typer.Option(help="In which role.")] = "",
    why: Annotated[str, typer.Option(help="For which analysis.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder for report and tables; outside of the study where arms are told.")
    ] = None,
    use: Annotated[
        str,
        typer.Option(
            help="Statuses, with commas, such as complete,recovered: the primary estimate of these, beside the "
            "registered one; without an analysis file what is used."
        ),
    ] = "",
    workers: Workers = 1,
    cluster: Cluster = "",
    as_json: Json = False,
) -> None:
    """Analyse a study: estimates with intervals, what is excluded and why, and a report with its figures and tables.

    Arms of a study with a sealed list are told only with its key and --who, --role, --why, which its audit keeps.

    Example: myoloop cohort study --analysis analysis.yaml --blinded
    """
    with clear_errors():
        from myoloop.experiments.analysis.statuses import statuses
        from myoloop.experiments.cohorts.opening import open_arms
        from myoloop.experiments.cohorts.view import say_cohort
        from myoloop.experiments.training.jobs import Jobs

        jobs = Jobs(workers=workers, cluster=cluster, say=lambda line: typer.echo(line, err=True))
        found, folder = open_arms(
            study, analysis, key, blinded=blinded, who=who, role=role, why=why, out=out, jobs=jobs, use=statuses(use)
        )
        from myoloop.experiments.reports.cohort import write_cohort_report

        page = write_cohort_report(found, folder)
        say(*say_cohort(found, page, as_json=as_json))

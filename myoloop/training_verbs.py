"""The verbs that make, prove and deploy controllers that learn."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from myoloop.answers import CHECK_FAILED, EXIT_CODES, GOOD, Json, clear_errors, say, seconds
from myoloop.platform.errors import UserError

training = typer.Typer()
verb = partial(training.command, epilog=EXIT_CODES)
dataset = typer.Typer(
    help="What controllers are trained on: decisions from recorded sessions and virtual people, split by person.\n\n"
    "Example: myoloop dataset build data --study study",
    epilog=EXIT_CODES,
    no_args_is_help=True,
)
training.add_typer(dataset, name="dataset")
dataset_verb = partial(dataset.command, epilog=EXIT_CODES)

DatasetFolder = Annotated[Path, typer.Argument(metavar="DATASET", help="Folder of the dataset.")]


def _alone(context: typer.Context, *sizes: str) -> None:
    """Refuse sizes beside ``--quick``, which would not be used."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in sizes and getattr(source, "name", "") == "COMMANDLINE":
            raise UserError(f"--quick: found with {parameter.opts[0]}; it has a size of its own: leave out one of them")


@dataset_verb("build")
def dataset_build(
    out: Annotated[Path, typer.Argument(metavar="DATASET", help="Folder to make; nothing is overwritten.")],
    study: Annotated[
        list[Path] | None, typer.Option(help="Study folder with recorded sessions; may be given more than once.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Task of a virtual cohort: a file, or isometric_hold.")] = None,
    people: Annotated[int, typer.Option(min=0, help="Virtual people that do the task.")] = 0,
    first: Annotated[int, typer.Option(min=0, help="Number of the first of them.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the split, and of what the cohort draws by lot.")] = 0,
    held_out: Annotated[float, typer.Option(help="Share of the people of each source that is held out.")] = 0.3,
    explore: Annotated[float, typer.Option(help="Share of the cohort's decisions that are drawn by lot.")] = 0.5,
    every_s: Annotated[float, typer.Option("--every", metavar="SECONDS", help="Time between decisions.")] = 0.1,
    halves: Annotated[
        Path | None, typer.Option(help="people.tsv of an earlier dataset: its people keep their half.")
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(metavar="PERSON=REASON", help="Somebody who is not to be in it; may be given more than once."),
    ] = None,
    mix: Annotated[
        bool, typer.Option("--mix-simulated", help="Let people and virtual people stand in one dataset.")
    ] = False,
    compared: Annotated[
        int, typer.Option(min=2, help="Virtual people that recorded open-loop responses are compared with.")
    ] = 20,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    cluster: Annotated[str, typer.Option(help="Address of a Dask scheduler instead, such as tcp://host:8786.")] = "",
    keep: Annotated[Path | None, typer.Option(help="Folder from which interrupted work goes on.")] = None,
    as_json: Json = False,
) -> None:
    """Make a dataset, frozen by its hash; somebody in both halves is refused.

    Example: myoloop dataset build data --study study --task isometric_hold --people 20
    """
    with clear_errors():
        from myoloop.experiments.training.card import say_card
        from myoloop.experiments.training.dataset import Sources, build
        from myoloop.experiments.training.jobs import Jobs
        from myoloop.experiments.training.split import read_halves
        from myoloop.experiments.training.task import load_task

        sources = Sources(
            studies=tuple(study or ()),
            task=None if task is None else load_task(task),
            people=people,
            first=first,
            decide_every_s=every_s,
            seed=seed,
            explore=explore,
            held_out_share=held_out,
            halves={} if halves is None else read_halves(halves),
            leave_out=dict(_with_reason(each) for each in leave_out or ()),
            mix=mix,
            compared=compared,
        )
        jobs = Jobs(workers=workers, cluster=cluster, folder=keep, say=lambda line: typer.echo(line, err=True))
        made = build(out, sources, jobs)
        text = f"{out}: {len(made.decisions)} decisions, sha256 {made.sha256}\n{say_card(made.card)}"
        result = {"dataset": str(out), "sha256": made.sha256, "decisions": len(made.decisions)}
        say({**result, "card": made.card}, as_json, text)


@dataset_verb("info")
def dataset_info(folder: DatasetFolder, as_json: Json = False) -> None:
    """The data card of a dataset, and how far virtual people are from the recorded ones.

    Example: myoloop dataset info data
    """
    with clear_errors():
        from myoloop.experiments.training.card import say_card
        from myoloop.experiments.training.dataset import open_dataset
        from myoloop.experiments.training.sim_to_real import say_gap

        found = open_dataset(folder)
        text = (
            f"{folder}: {len(found.decisions)} decisions, sha256 {found.sha256}\n"
            f"{say_card(found.card)}\n{say_gap(found.gap)}"
        )
        result = {"dataset": str(folder), "sha256": found.sha256, "decisions": len(found.decisions)}
        say({**result, "card": found.card, "sim_to_real": found.gap}, as_json, text)


@dataset_verb("verify")
def dataset_verify(folder: DatasetFolder, as_json: Json = False) -> None:
    """Whether a dataset is as it was frozen, and nobody is in both halves; exit code 1 where not.

    Example: myoloop dataset verify data
    """
    with clear_errors():
        from myoloop.experiments.training.dataset import verify_dataset

        sha256, found = verify_dataset(folder)
        good = f"{folder}: as it was frozen, nobody in both halves, sha256 {sha256}"
        say({"good": not found, "sha256": sha256, "problems": found}, as_json, "\n".join(found) or good)
        raise typer.Exit(CHECK_FAILED if found else GOOD)


@verb()
def train_estimators(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for what is learned and found; nothing there is replaced.")],
    people: Annotated[int, typer.Option(help="Virtual people to learn from, a multiple of 6.")] = 18,
    held_out: Annotated[int, typer.Option(help="Others to compare on, a multiple of 6.")] = 12,
    length_s: Annotated[
        float, typer.Option("--seconds", parser=seconds, metavar="SECONDS", help="Of each session, in s.")
    ] = 120.0,
    first: Annotated[int, typer.Option(help="Number of the first person, a multiple of 6.")] = 6000,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn in learning.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Few people and short sessions: to see that it runs.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    cluster: Annotated[str, typer.Option(help="Address of a Dask scheduler instead, such as tcp://host:8786.")] = "",
    keep: Annotated[Path | None, typer.Option(help="Folder from which interrupted work goes on.")] = None,
    as_json: Json = False,
) -> None:
    """Learn estimators of spasm and fatigue on virtual people, and hold them against the rules on others.

    A verb of its own, since `train` learns a controller and needs none of this. The rules stay the default: what is
    learned is chosen by name, with the settings in spasm.json and fatigue.json.

    Example: myoloop train-estimators --quick --out learned
    """
    with clear_errors():
        from myoloop.experiments.training.estimators.learn import QUICK, Size, learn, words
        from myoloop.experiments.training.jobs import Jobs

        if quick:
            _alone(context, "people", "held_out", "length_s", "first")
        size = QUICK if quick else Size(people=people, held_out=held_out, seconds=length_s, first=first)
        jobs = Jobs(workers=workers, cluster=cluster, folder=keep, say=lambda line: typer.echo(line, err=True))
        found = learn(size, seed, out, jobs)
        say(found, as_json, words(found))


@verb()
def optimise(
    context: typer.Context,
    people: Annotated[int, typer.Option(min=1, help="Virtual people to set up.")] = 60,
    first: Annotated[
        int, typer.Option(min=0, help="Number of the first of them; nobody from 60000 was tuned on.")
    ] = 60_000,
    kappa: Annotated[float, typer.Option(min=0.0, help="How much the unknown counts, in standard deviations.")] = 3.0,
    quick: Annotated[bool, typer.Option("--quick", help="12 people: to see that it runs.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    cluster: Annotated[str, typer.Option(help="Address of a Dask scheduler instead, such as tcp://host:8786.")] = "",
    keep: Annotated[Path | None, typer.Option(help="Folder from which interrupted work goes on.")] = None,
    as_json: Json = False,
) -> None:
    """Prove the optimiser of settings on virtual people; exit code 1 where it does not do what it must.

    In a session it is the `optimise` phase of a protocol.

    Example: myoloop optimise --quick
    """
    with clear_errors():
        from myoloop.experiments.training.jobs import Jobs
        from myoloop.experiments.training.set_up import QUICK_PEOPLE, prove

        jobs = Jobs(workers=workers, cluster=cluster, folder=keep, say=lambda line: typer.echo(line, err=True))
        if quick:
            _alone(context, "people")
        found = prove(QUICK_PEOPLE if quick else people, jobs, first_seed=first, kappa=kappa)
        say(found.to_json(), as_json, found.words())
    raise typer.Exit(GOOD if found.good else CHECK_FAILED)


def _with_reason(text: str) -> tuple[str, str]:
    person, _, reason = text.partition("=")
    if not person or not reason.strip():
        raise typer.BadParameter(f"found {text!r}, allowed is PERSON=REASON", param_hint="--leave-out")
    return person, reason.strip()


@verb()
def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for training and artefact; what was interrupted goes on from it.")],
    task: Annotated[str, typer.Option(help="Task file, or the name of one that comes along.")] = "isometric_hold",
    data: Annotated[
        Path | None, typer.Option("--dataset", metavar="DATASET", help="Logged decisions and halves beside the cohort.")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Protocol file or preset that the artefact is for: its channels and envelope.")
    ] = None,
    people: Annotated[int, typer.Option(help="Virtual people, training half and held out together.")] = 200,
    first: Annotated[int, typer.Option(help="Number of the first of them.")] = 0,
    held_out_share: Annotated[float, typer.Option(help="Of the people, never seen in training.")] = 0.3,
    repetitions: Annotated[int, typer.Option(help="Trials of each session.")] = 15,
    seeds: Annotated[int, typer.Option(help="Trainings from the beginning, of which one is chosen.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the split and the first of them.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Few people and short sessions: to see that it runs.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    cluster: Annotated[str, typer.Option(help="Address of a Dask scheduler instead, such as tcp://host:8786.")] = "",
    as_json: Json = False,
) -> None:
    """Train a controller on virtual people, and on logged decisions: adaptive gain with a learned residual.

    The same arguments make the same artefact. People who are held out are for `evaluate` alone.

    Example: myoloop train --quick --out trained
    """
    with clear_errors():
        from myoloop.experiments.training.dataset import open_dataset
        from myoloop.experiments.training.jobs import Jobs
        from myoloop.experiments.training.logged import read_logged
        from myoloop.experiments.training.plan import QUICK, Plan
        from myoloop.experiments.training.purpose import purpose_of, within
        from myoloop.experiments.training.task import load_task
        from myoloop.experiments.training.train import train_controller, training_words
        from myoloop.experiments.training.trained_files import WORK

        if quick:
            _alone(context, "people", "first", "held_out_share", "repetitions", "seeds")
        size = QUICK if quick else Plan(
            people=people, first=first, held_out_share=held_out_share, repetitions=repetitions, seeds=seeds
        )  # fmt: skip
        jobs = Jobs(workers=workers, cluster=cluster, folder=out / WORK, say=lambda line: typer.echo(line, err=True))
        logged = None if data is None else read_logged(open_dataset(data))
        what = within(load_task(task), protocol)
        found = train_controller(out, what, size, seed, jobs, logged, purpose_of(protocol, what))
        say({name: found[name] for name in ("chosen", "curves", "artefact_sha256")}, as_json, training_words(found))


@verb()
def evaluate(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="TRAINING", help="Folder of the training.")],
    out: Annotated[Path | None, typer.Option(help="Folder for what is found; else the training's own.")] = None,
    data: Annotated[
        Path | None, typer.Option("--dataset", metavar="DATASET", help="Whose gap from virtual to recorded is told.")
    ] = None,
    people: Annotated[int, typer.Option(min=0, help="Of those held out; 0: all.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Few people: to see that it runs.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    cluster: Annotated[str, typer.Option(help="Address of a Dask scheduler instead, such as tcp://host:8786.")] = "",
    as_json: Json = False,
) -> None:
    """Hold a trained controller against all classic ones, on people held out from training, days and faults the same.

    Exit code 1 where it does not pass: the composite's interval must stay below that of adaptive gain, nobody be worse
    by more than 10 %, and no pulse break the envelope.

    Example: myoloop evaluate trained --quick
    """
    with clear_errors():
        from myoloop.experiments.reports.training import write_training_report
        from myoloop.experiments.training.dataset import GAP, open_dataset
        from myoloop.experiments.training.evaluate import (
            QUICK,
            EvaluationPlan,
            evaluate_controller,
            evaluation_words,
            read_training,
        )
        from myoloop.experiments.training.jobs import Jobs
        from myoloop.experiments.training.trained_files import WORK

        if quick:
            _alone(context, "people")
        size = QUICK if quick else EvaluationPlan(people=people)
        out = out or folder
        jobs = Jobs(workers=workers, cluster=cluster, folder=out / WORK, say=lambda line: typer.echo(line, err=True))
        gap = None if data is None else json.loads((open_dataset(data).folder / GAP).read_bytes())
        found = evaluate_controller(out, read_training(folder), size, jobs, gap)
        beside = [*([folder] if out != folder else []), *([data] if data is not None else [])]
        page = write_training_report(out, also=beside)
        say({**found, "report": str(page)}, as_json, f"{evaluation_words(found)}\nreport: {page}")
        raise typer.Exit(GOOD if found["passed"] else CHECK_FAILED)

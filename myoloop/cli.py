"""The command line: one command, each verb calls one function.

Exit codes: 0 good, 1 the check failed, 2 bad input, 3 fault or stop. Heavy imports stand inside the verbs, so that
``myoloop --help`` is quick.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from myoloop.analysis_verbs import analyses
from myoloop.answers import (
    BAD_INPUT,
    CHECK_FAILED,
    EXIT_CODES,
    FAULT,
    GOOD,
    Json,
    Verbs,
    clear_errors,
    say,
    seconds,
)
from myoloop.cohort_verbs import cohorts
from myoloop.console_verbs import console_verbs
from myoloop.course_verbs import course_verbs
from myoloop.deployment_verbs import deployment
from myoloop.device_verbs import device_verbs
from myoloop.import_verbs import imports
from myoloop.index_verbs import index_verbs
from myoloop.recording_verbs import recordings
from myoloop.review_verbs import review_verbs
from myoloop.session_verbs import sessions
from myoloop.site_verbs import site_verbs
from myoloop.study_verbs import studies
from myoloop.training_verbs import training

app = typer.Typer(
    name="myoloop",
    help="Closed-loop, EMG-guided electrical stimulation for research. Research software, not a medical device.\n\n"
    "Example: myoloop demo --speed max --seed 1 --out study",
    epilog=EXIT_CODES,
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
new_app = typer.Typer(
    help="Write a file to edit: a protocol, a rig, or a package with a controller.\n\n"
    "Example: myoloop new protocol my_study",
    epilog=EXIT_CODES,
    no_args_is_help=True,
)
app.add_typer(new_app, name="new")
app.add_typer(sessions)
app.add_typer(recordings)
app.add_typer(cohorts)
app.add_typer(index_verbs)
app.add_typer(analyses)
app.add_typer(imports)
app.add_typer(review_verbs)
app.add_typer(course_verbs)
app.add_typer(console_verbs)
app.add_typer(site_verbs)
app.add_typer(studies)
app.add_typer(device_verbs)
app.add_typer(training)
app.add_typer(deployment)
verb = partial(app.command, epilog=EXIT_CODES)
new_verb = partial(new_app.command, epilog=EXIT_CODES)

Out = Annotated[Path, typer.Option("--out", help="Study folder; made if it is not there.")]
NewName = Annotated[str, typer.Argument(help="Name of what is written, and of its file.")]
NewOut = Annotated[Path, typer.Option("--out", help="Folder it is written to; made if it is not there.")]


@verb()
def listen(
    rig: Annotated[str, typer.Argument(help="Rig file; its stimulator is not started.")],
    subject: Annotated[str, typer.Option(help="Pseudonym.")] = "listen",
    length_s: Annotated[
        float | None,
        typer.Option("--for", parser=seconds, metavar="SECONDS", help="How long, in s; else until Ctrl-C."),
    ] = None,
    out: Out = Path("study"),
    lsl: Annotated[
        bool, typer.Option("--lsl", help="Send all streams on by the Lab Streaming Layer (extra lsl).")
    ] = False,
    as_json: Json = False,
) -> None:
    """View and record a rig's sources, without a stimulator.

    Example: myoloop listen rig.yaml --for 30
    """
    with clear_errors():
        from myoloop.experiments.sessions.listen import listen as listen_to
        from myoloop.experiments.sessions.listenview import ListenView
        from myoloop.platform.rig import load_rig

        wired = load_rig(rig)
        with ListenView(quiet=as_json).shown() as view:
            heard = listen_to(
                wired, Path(rig), subject=subject, study=out, seconds=length_s, on_turn=view.turn, lsl=lsl
            )
        data = {"session": str(heard.folder), "outcome": heard.outcome, "reason": heard.reason}
        say(
            {**data, "samples": heard.samples, "sent": heard.sent},
            as_json,
            f"{heard.folder}: {heard.outcome}, {sum(heard.samples.values())} samples",
        )
        raise typer.Exit(GOOD if heard.outcome == "complete" else FAULT)


@verb()
def protocols(as_json: Json = False) -> None:
    """The protocols that ship.

    Example: myoloop protocols
    """
    with clear_errors():
        from myoloop.experiments.protocols.schema import load_protocol, presets

        rows = {name: load_protocol(path).protocol for name, path in presets().items()}
        text = "\n".join(f"{name:28} {row.title} (evidence: {row.evidence.grade})" for name, row in rows.items())
        say({name: {"title": row.title, "evidence": row.evidence.grade} for name, row in rows.items()}, as_json, text)


@verb()
def show(
    protocol: Annotated[str, typer.Argument(help="A protocol file, or a preset by name.")], as_json: Json = False
) -> None:
    """A protocol in words.

    Example: myoloop show lbp_spasm_relief
    """
    with clear_errors():
        from myoloop.experiments.protocols.schema import load_protocol
        from myoloop.experiments.protocols.show import as_data, describe

        chosen = load_protocol(protocol)
        say(as_data(chosen), as_json, describe(chosen).rstrip())


@verb()
def schema(
    out: Annotated[Path | None, typer.Option(help="Write it there instead of printing it.")] = None,
    as_json: Json = False,
) -> None:
    """The protocol file as a JSON Schema, for editors that complete and underline while one types.

    Example: myoloop schema --out protocol.schema.json
    """
    with clear_errors():
        import json

        from myoloop.experiments.protocols.json_schema import json_schema
        from myoloop.experiments.protocols.templates import write_new

        made = json_schema()
        text = json.dumps(made, indent=1, ensure_ascii=False)
        if out is not None:
            write_new({out: text + "\n"}, refuse=out)
            made = {"file": str(out)}
            text = str(out)
        say(made, as_json, text)


@verb()
def lint(
    file: Annotated[str, typer.Argument(help="A protocol file, or a preset by name.")],
    rig: Annotated[str | None, typer.Option(help="Also say what this rig cannot serve.")] = None,
    as_json: Json = False,
) -> None:
    """Every mistake in a protocol, one line each, with its line number.

    Example: myoloop lint protocol.yaml --rig rig.yaml
    """
    with clear_errors():
        from myoloop.experiments.protocols.lint import errors, lint_file
        from myoloop.experiments.sessions.setup import summarise
        from myoloop.platform.rig import load_rig

        problems = lint_file(file, summarise(load_rig(rig)) if rig is not None else None)
        wrong = errors(problems)
        rows = [
            {
                "place": each.place,
                "text": each.text,
                "severity": each.severity,
                "line": each.line,
                "column": each.column,
            }
            for each in problems
        ]
        text = "\n".join(each.with_column() for each in problems) or f"{file}: no mistake found"
        say({"good": not wrong, "problems": rows}, as_json, text)
        raise typer.Exit(BAD_INPUT if wrong else GOOD)


@new_verb("protocol")
def new_protocol(name: NewName, out: NewOut = Path(), as_json: Json = False) -> None:
    """A commented protocol that lints clean.

    Example: myoloop new protocol my_study
    """
    with clear_errors():
        from myoloop.experiments.protocols import templates

        _wrote(templates.new_protocol(name, out), as_json)


@new_verb("controller")
def new_controller(name: NewName, out: NewOut = Path(), as_json: Json = False) -> None:
    """A package with a policy of your own and a passing test.

    Example: myoloop new controller gentle
    """
    with clear_errors():
        from myoloop.experiments.protocols import templates

        _wrote(templates.new_controller(name, out), as_json)


@new_verb("rig")
def new_rig(
    name: NewName,
    board: Annotated[str | None, typer.Option(help="A BrainFlow board, such as CYTON_BOARD.")] = None,
    device: Annotated[
        str | None, typer.Option(help="An emulated stimulator on the virtual subject: p24, rehastim2 or another.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Protocol whose muscles a simulated rig has.")
    ] = "crps_motor_reeducation",
    out: NewOut = Path(),
    as_json: Json = False,
) -> None:
    """A rig file: for a board, or with a virtual subject.

    Example: myoloop new rig bench --board CYTON_BOARD
    """
    with clear_errors():
        from myoloop.experiments.protocols.rigfile import new_rig_file

        _wrote(new_rig_file(name, out, board=board, device=device, protocol=protocol), as_json)


@verb()
def doctor(out: Out = Path("study"), as_json: Json = False) -> None:
    """What this machine can do, and what to fix.

    Example: myoloop doctor
    """
    with clear_errors():
        from dataclasses import asdict

        from myoloop.experiments.doctor import examine

        findings = examine(out)
        lines = [
            f"{each.verdict:8} {each.name:16} {each.found}{f'  -> {each.fix}' if each.fix else ''}" for each in findings
        ]
        say({each.name: asdict(each) for each in findings}, as_json, "\n".join(lines))
        raise typer.Exit(CHECK_FAILED if any(each.verdict == "broken" for each in findings) else GOOD)


@verb()
def top(
    once: Annotated[bool, typer.Option("--once", help="One look, then end.")] = False, as_json: Json = False
) -> None:
    """What every node and stream of the running rig is doing now.

    Example: myoloop top --once
    """
    with clear_errors():
        from myoloop.experiments.top import watch
        from myoloop.experiments.topview import snapshot_json, snapshot_table

        for snapshot in watch(1.0):
            if as_json:
                typer.echo(json.dumps(snapshot_json(snapshot)))
            else:
                from rich.console import Console

                Console().print(snapshot_table(snapshot))
            if once:
                break


@verb()
def stop(as_json: Json = False) -> None:
    """Stop the stimulators of all rigs that run on this host, now.

    Example: myoloop stop
    """
    with clear_errors():
        from myoloop.experiments.top import stop_running

        stopped = stop_running()
        say({"stopped": stopped}, as_json, f"stopped {stopped}")


@verb()
def node(
    rig: Annotated[str, typer.Argument(help="The running rig: its file, or its name.")],
    name: Annotated[str, typer.Argument(help="Which of its nodes.")],
    runtime: Annotated[
        Path | None, typer.Option(help="Runtime folder of the rig's supervisor; else that of the rig that runs here.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Be one node of a rig that runs on this host, until it ends or standard input does; the supervisor starts these.

    Example: myoloop node rig.yaml controller
    """
    with clear_errors():
        from myoloop.platform.attach import check_runtime, runtime_of
        from myoloop.platform.process import run_node

        folder = runtime or runtime_of(rig)
        check_runtime(folder, rig)
        code = run_node(folder, name)
        say({"node": name, "runtime": str(folder), "exit": code}, as_json, f"{name}: ended")
        raise typer.Exit(code)


@verb()
def bench(
    name: Annotated[str, typer.Argument(help="loop, estimators, policies, subject or training")],
    full: Annotated[bool, typer.Option("--full", help="loop: with peers and rounds, many minutes.")] = False,
    subjects: Annotated[int, typer.Option(help="Drawn people; not for loop.")] = 20,
    seeds: Annotated[int, typer.Option(help="Repetitions for each of them; not for loop.")] = 5,
    first_seed: Annotated[
        int, typer.Option(help="People and repetitions are numbered from here; not for loop.")
    ] = 1000,
    part: Annotated[list[str] | None, typer.Option(help="Only this part; may be given more than once.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for findings (JSON) and figures (SVG); not for loop.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure: the loop against plain pipes, estimates and control against truth, the virtual subject against time.

    Exit code 1 where a target is not reached.

    Example: myoloop bench estimators --part spasm --subjects 4 --seeds 1
    """
    with clear_errors():
        if name == "loop":
            if part or out is not None:
                raise typer.BadParameter("loop has no parts and writes no folder", param_hint="--part, --out")
            from myoloop.experiments.benchmarks.loop import bench_loop

            raise typer.Exit(bench_loop(full=full, as_json=as_json))
        from myoloop.experiments.benchmarks.suites import SUITES, Size, bench_suite

        if name not in SUITES:
            raise typer.BadParameter(f"found {name!r}, allowed: loop, {', '.join(SUITES)}", param_hint="NAME")
        size = Size(subjects=subjects, seeds=seeds, first_seed=first_seed)
        raise typer.Exit(bench_suite(name, size, parts=tuple(part or ()), out=out, as_json=as_json))


def main() -> int:
    """Run the command line; returns the exit code."""
    try:
        app(standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else BAD_INPUT
    return GOOD


def _wrote(path: Path, as_json: bool) -> None:
    say({"written": str(path)}, as_json, str(path))

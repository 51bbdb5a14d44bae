"""The command line: one command, each verb calls one function.

Exit codes: 0 good, 1 the check failed, 2 bad input, 3 fault or stop. Heavy imports stand inside the verbs, so that
``myoloop --help`` is quick.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="myoloop",
    help="Closed-loop, EMG-guided electrical stimulation for research. Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
new_app = typer.Typer(
    help="Write a file to edit: a protocol, a rig, or a package with a controller.", no_args_is_help=True
)
app.add_typer(new_app, name="new")

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, for machines.")]
Out = Annotated[Path, typer.Option("--out", help="Study folder; made if it is not there.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of everything random about the virtual subject.")]
SessionPath = Annotated[str, typer.Argument(help="A session file, or the attempt's folder it is in.")]

GOOD, CHECK_FAILED, BAD_INPUT, FAULT = 0, 1, 2, 3


@app.command()
def demo(
    out: Out = Path("study"),
    speed: Annotated[str, typer.Option(help="real (separate processes) or max (lockstep).")] = "real",
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """A whole closed-loop session on a virtual subject, then its report.

    Example: myoloop demo --speed max --seed 1 --out study
    """
    with _clear_errors():
        _session("demo", "SIM1", None, speed, seed, out, [], as_json)


@app.command()
def run(
    protocol: Annotated[str, typer.Argument(help="A protocol file, or a preset by name (see: myoloop protocols).")],
    subject: Annotated[str, typer.Option(help="Pseudonym, or the YAML file of a virtual subject.")],
    rig: Annotated[str | None, typer.Option(help="Rig file; without one a virtual subject is wired up.")] = None,
    speed: Annotated[str, typer.Option(help="real (separate processes) or max (lockstep).")] = "real",
    seed: Seed = 1,
    session: Annotated[
        int | None, typer.Option(min=1, help="Try this session of the subject again; else the next one is begun.")
    ] = None,
    out: Out = Path("study"),
    fault: Annotated[
        list[str] | None, typer.Option(help="On purpose: kill:NODE@20s, freeze:NODE@20s or stop@20s; repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run one session.

    Example: myoloop run crps_motor_reeducation --subject SIM01 --speed max
    """
    with _clear_errors():
        _session(protocol, subject, rig, speed, seed, out, fault or [], as_json, session)


@app.command()
def listen(
    rig: Annotated[str, typer.Argument(help="Rig file; its stimulator is not started.")],
    subject: Annotated[str, typer.Option(help="Pseudonym.")] = "listen",
    seconds: Annotated[float | None, typer.Option("--for", min=0.1, help="How long, in s; else until Ctrl-C.")] = None,
    out: Out = Path("study"),
    as_json: Json = False,
) -> None:
    """View and record a rig's sources, without a stimulator.

    Example: myoloop listen rig.yaml --for 30
    """
    with _clear_errors():
        from myoloop.experiments.sessions.listen import listen as listen_to
        from myoloop.experiments.sessions.listenview import ListenView
        from myoloop.platform.rig import load_rig

        wired = load_rig(rig)
        with ListenView(quiet=as_json).shown() as view:
            heard = listen_to(wired, Path(rig), subject=subject, study=out, seconds=seconds, on_turn=view.turn)
        _say(
            {"session": str(heard.folder), "outcome": heard.outcome, "reason": heard.reason, "samples": heard.samples},
            as_json,
            f"{heard.folder}: {heard.outcome}, {sum(heard.samples.values())} samples",
        )
        raise typer.Exit(GOOD if heard.outcome == "complete" else FAULT)


@app.command()
def protocols(as_json: Json = False) -> None:
    """The protocols that ship.

    Example: myoloop protocols
    """
    with _clear_errors():
        from myoloop.experiments.protocols.schema import load_protocol, presets

        rows = {name: load_protocol(path).protocol for name, path in presets().items()}
        text = "\n".join(f"{name:28} {row.title} (evidence: {row.evidence.grade})" for name, row in rows.items())
        _say({name: {"title": row.title, "evidence": row.evidence.grade} for name, row in rows.items()}, as_json, text)


@app.command()
def show(
    protocol: Annotated[str, typer.Argument(help="A protocol file, or a preset by name.")], as_json: Json = False
) -> None:
    """A protocol in words.

    Example: myoloop show low_back_spasm_relief
    """
    with _clear_errors():
        from myoloop.experiments.protocols.schema import load_protocol
        from myoloop.experiments.protocols.show import as_data, describe

        chosen = load_protocol(protocol)
        _say(as_data(chosen), as_json, describe(chosen).rstrip())


@app.command()
def lint(
    file: Annotated[str, typer.Argument(help="A protocol file, or a preset by name.")],
    rig: Annotated[str | None, typer.Option(help="Also say what this rig cannot serve.")] = None,
    as_json: Json = False,
) -> None:
    """Every mistake in a protocol, one line each, with its line number.

    Example: myoloop lint protocol.yaml --rig rig.yaml
    """
    with _clear_errors():
        from myoloop.experiments.protocols.lint import errors, lint_file
        from myoloop.experiments.sessions.setup import summarise
        from myoloop.platform.rig import load_rig

        problems = lint_file(file, summarise(load_rig(rig)) if rig is not None else None)
        wrong = errors(problems)
        rows = [{"place": each.place, "text": each.text, "severity": each.severity} for each in problems]
        text = "\n".join(map(str, problems)) or f"{file}: no mistake found"
        _say({"good": not wrong, "problems": rows}, as_json, text)
        raise typer.Exit(BAD_INPUT if wrong else GOOD)


@new_app.command("protocol")
def new_protocol(name: str, out: Annotated[Path, typer.Option(help="Folder it is written to.")] = Path()) -> None:
    """A commented protocol that lints clean.

    Example: myoloop new protocol my_study
    """
    with _clear_errors():
        from myoloop.experiments.protocols import templates

        typer.echo(templates.new_protocol(name, out))


@new_app.command("controller")
def new_controller(name: str, out: Annotated[Path, typer.Option(help="Folder it is written to.")] = Path()) -> None:
    """A package with a policy of your own and a passing test.

    Example: myoloop new controller gentle
    """
    with _clear_errors():
        from myoloop.experiments.protocols import templates

        typer.echo(templates.new_controller(name, out))


@new_app.command("rig")
def new_rig(
    name: str,
    board: Annotated[str | None, typer.Option(help="A BrainFlow board, such as CYTON_BOARD.")] = None,
    protocol: Annotated[
        str, typer.Option(help="Protocol whose muscles a simulated rig has.")
    ] = "crps_motor_reeducation",
    out: Annotated[Path, typer.Option(help="Folder it is written to.")] = Path(),
) -> None:
    """A rig file: for a board, or with a virtual subject.

    Example: myoloop new rig bench --board CYTON_BOARD
    """
    with _clear_errors():
        from myoloop.experiments.protocols.rigfile import new_rig_file

        typer.echo(new_rig_file(name, out, board=board, protocol=protocol))


@app.command()
def replay(
    session: SessionPath,
    check: Annotated[bool, typer.Option("--check", help="Every decision must come out again, bit for bit.")] = False,
    controller: Annotated[
        str | None, typer.Option(help="What would this controller have asked for? A YAML file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a recording through the live code again.

    Example: myoloop replay study/sub-SIM1/ses-01/att-1 --check
    """
    with _clear_errors():
        from myoloop.experiments.objects import BUILDERS, other_controller
        from myoloop.experiments.replay import replay as replay_recording
        from myoloop.experiments.replaying import compare_controllers, say_replay

        if controller is not None:
            result, text = compare_controllers(session, other_controller(controller))
            _say(result, as_json, text)
            raise typer.Exit(GOOD)
        replayed = replay_recording(session, BUILDERS)
        result, text = say_replay(replayed)
        _say(result, as_json, text)
        raise typer.Exit(CHECK_FAILED if check and not replayed.equal else GOOD)


@app.command()
def verify(session: SessionPath, as_json: Json = False) -> None:
    """Is a recording whole and unchanged?

    Example: myoloop verify study/sub-SIM1/ses-01/att-1
    """
    with _clear_errors():
        from dataclasses import asdict

        from myoloop.platform.recording.verify import verify as verify_recording

        found = verify_recording(session)
        lines = [f"{found.path}: {found.status.upper()}", f"head {found.head}", f"{found.records} records checked"]
        lines += [f"at byte {problem.offset}: {problem.what}" for problem in found.problems]
        lines += [f"unverified tail: {found.unverified_tail_bytes} bytes"] if found.status == "incomplete" else []
        _say(asdict(found), as_json, "\n".join(lines))
        raise typer.Exit(GOOD if found.status == "good" else CHECK_FAILED)


@app.command()
def recover(session: SessionPath, as_json: Json = False) -> None:
    """Make a cut recording whole; the file as it was found is kept beside it.

    Example: myoloop recover study/sub-SIM1/ses-01/att-1
    """
    with _clear_errors():
        from dataclasses import asdict

        from myoloop.platform.recording.recover import recover as recover_recording

        done = recover_recording(session)
        _say(
            asdict(done),
            as_json,
            f"{done.path}: {done.records} records kept, {done.lost_bytes} bytes lost; {done.kept}",
        )


@app.command()
def info(session: SessionPath, as_json: Json = False) -> None:
    """What is in a recording.

    Example: myoloop info study/sub-SIM1/ses-01/att-1
    """
    with _clear_errors():
        from myoloop.platform.recording.info import info as recording_info

        found = recording_info(session)
        lines = [f"{key}: {found[key]}" for key in ("path", "session", "subject", "outcome", "reason", "simulated")]
        lines += [f"{found['duration_s']:.1f} s, {found['messages']} messages, {found['gaps']} missing"]
        lines += [
            f"  {topic:28} {stream['count']:8} {stream['rate_hz'] or 0:8.1f} Hz"
            for topic, stream in found["streams"].items()
        ]
        _say(found, as_json, "\n".join(lines))


@app.command()
def export(
    session: SessionPath,
    out: Annotated[Path, typer.Argument(help="File to write; it must not be there.")],
    to: Annotated[str, typer.Option("--to", help="fif (MNE).")] = "fif",
    as_json: Json = False,
) -> None:
    """Hand a recording to other programs.

    Example: myoloop export study/sub-SIM1/ses-01/att-1 session_raw.fif --to fif
    """
    with _clear_errors():
        if to != "fif":
            raise typer.BadParameter(f"found {to!r}, allowed is fif", param_hint="--to")
        from myoloop.experiments.analysis.export import export_fif

        written = [str(path) for path in export_fif(session, out)]
        _say({"written": written}, as_json, "\n".join(written))


@app.command()
def report(
    session: SessionPath,
    out: Annotated[Path | None, typer.Option(help="HTML file; by default in the attempt's folder.")] = None,
    as_json: Json = False,
) -> None:
    """The report of a session: one HTML file that needs no network.

    Example: myoloop report study/sub-SIM1/ses-01/att-1
    """
    with _clear_errors():
        from myoloop.experiments.reports.session import write_report

        path = write_report(session, out)
        _say({"report": str(path)}, as_json, str(path))


@app.command()
def doctor(out: Out = Path("study"), as_json: Json = False) -> None:
    """What this machine can do, and what to fix.

    Example: myoloop doctor
    """
    with _clear_errors():
        from dataclasses import asdict

        from myoloop.experiments.doctor import examine

        findings = examine(out)
        lines = [
            f"{each.verdict:8} {each.name:16} {each.found}{f'  -> {each.fix}' if each.fix else ''}" for each in findings
        ]
        _say({each.name: asdict(each) for each in findings}, as_json, "\n".join(lines))
        raise typer.Exit(CHECK_FAILED if any(each.verdict == "broken" for each in findings) else GOOD)


@app.command()
def top(
    once: Annotated[bool, typer.Option("--once", help="One look, then end.")] = False, as_json: Json = False
) -> None:
    """What every node and stream of the running rig is doing now.

    Example: myoloop top --once
    """
    with _clear_errors():
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


@app.command()
def stop() -> None:
    """Stop the stimulator of the running rig, now.

    Example: myoloop stop
    """
    with _clear_errors():
        from myoloop.experiments.top import stop_running

        typer.echo(f"stopped {stop_running()}")


@app.command()
def node(
    rig: Annotated[str, typer.Argument(help="Rig file, or its name as the supervisor gives it.")],
    name: Annotated[str, typer.Argument(help="Which of its nodes.")],
    runtime: Annotated[Path, typer.Option(help="Runtime folder of the rig's supervisor on this host.")],
) -> None:
    """Be one node of a rig; the supervisor starts these.

    Example: myoloop node rig.yaml controller --runtime DIR
    """
    with _clear_errors():
        from myoloop.platform.process import run_node

        if not (runtime / "rig.json").is_file():
            raise typer.BadParameter(f"found {str(runtime)!r}, which is no runtime folder", param_hint="--runtime")
        raise typer.Exit(run_node(runtime, name))


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="loop")],
    full: Annotated[bool, typer.Option("--full", help="With peers and rounds: takes many minutes.")] = False,
    as_json: Json = False,
) -> None:
    """Measure, as ratios to a baseline of the same run.

    Example: myoloop bench loop
    """
    with _clear_errors():
        if name != "loop":
            raise typer.BadParameter(f"found {name!r}, allowed is loop", param_hint="NAME")
        from myoloop.experiments.benchmarks.loop import bench_loop

        raise typer.Exit(bench_loop(full=full, as_json=as_json))


def main() -> int:
    """Run the command line; returns the exit code."""
    try:
        app(standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else BAD_INPUT
    return GOOD


def _session(
    protocol: str,
    subject: str,
    rig: str | None,
    speed: str,
    seed: int,
    out: Path,
    faults: list[str],
    as_json: bool,
    session: int | None = None,
) -> None:
    if speed not in ("real", "max"):
        raise typer.BadParameter(f"found {speed!r}, allowed are real and max", param_hint="--speed")
    from myoloop.experiments.sessions.conclude import conclude
    from myoloop.experiments.sessions.faults import parse_fault
    from myoloop.experiments.sessions.run import prepare, run_live, run_lockstep
    from myoloop.experiments.sessions.view import LiveView, Progress

    planned = [parse_fault(text) for text in faults]
    if planned and speed == "max":
        raise typer.BadParameter("faults strike processes: allowed with --speed real", param_hint="--fault")
    setup = prepare(protocol, subject=subject, rig=rig, study=out, seed=seed, session=session)
    if speed == "max":
        with Progress(setup, quiet=as_json).shown() as progress:
            end = run_lockstep(setup, progress.tick)
    else:
        with LiveView(setup, quiet=as_json).shown() as view:
            end = run_live(setup, view.turn, planned)
    result = conclude(end)
    _say(result, as_json, f"{end.outcome}{f': {end.reason}' if end.reason else ''}\nreport: {result['report']}")
    raise typer.Exit(end.exit_code)


def _say(result: Any, as_json: bool, text: str) -> None:
    typer.echo(json.dumps(result, default=str) if as_json else text)


@contextmanager
def _clear_errors() -> Iterator[None]:
    """A mistake of the user is one clear line each and exit code 2, a fault of a rig exit code 3; never a traceback."""
    from myoloop.platform.errors import UserError

    try:
        yield
    except UserError as error:
        for line in getattr(error, "problems", None) or [str(error)]:
            print(line, file=sys.stderr)  # noqa: T201
        raise typer.Exit(error.exit_code) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"{where}{(error.strerror or str(error)).lower()}", file=sys.stderr)  # noqa: T201
        raise typer.Exit(BAD_INPUT) from None

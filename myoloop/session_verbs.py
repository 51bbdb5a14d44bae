"""The verbs that play a session: demo, run, resume after one was cut off, rehearse on a dummy load."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from myoloop.answers import CHECK_FAILED, EXIT_CODES, GOOD, Json, clear_errors, say, seconds, whole_number

if TYPE_CHECKING:
    from myoloop.experiments.sessions.faults import Fault
    from myoloop.experiments.sessions.live import Seen
    from myoloop.experiments.sessions.script import Script
    from myoloop.experiments.sessions.setup import SessionSetup
    from myoloop.experiments.studies.identity import SecondCheck

sessions = typer.Typer()
verb = partial(sessions.command, epilog=EXIT_CODES)

Out = Annotated[Path, typer.Option("--out", help="Study folder; made if it is not there.")]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        parser=partial(whole_number, least=0),
        metavar="INTEGER",
        help="Of everything random about the virtual subject.",
    ),
]
Speed = Annotated[str, typer.Option(help="real (separate processes) or max (lockstep).")]
ScriptFile = Annotated[
    str | None, typer.Option("--script", help="YAML file with every act and fault; SIM and BENCH rigs only.")
]
KeyFile = Annotated[
    str | None, typer.Option("--key", help="The study's key file, where arms come from its sealed list.")
]
IdentityFile = Annotated[
    Path | None,
    typer.Option("--identity", help="Key file to check the person against (myoloop keyfile); needed on HUMAN rigs."),
]
Second = Annotated[
    str | None,
    typer.Option(
        "--second",
        help="Initials and year of birth, such as 'AB 1980'; else asked in a terminal. With - a line of JSON on "
        'standard input says them and the passphrase: {"second": "AB 1980", "passphrase": "..."}.',
    ),
]
DeskToo = Annotated[
    bool,
    typer.Option("--desk", help="A person acts, at a console; no script. Keys of a terminal work beside."),
]
ConsoleToo = Annotated[bool, typer.Option("--console", help="As --desk, and start a console and open its page.")]
#: The longest line that is read from standard input, in characters.
LINE_MAX = 32_768
#: Opens the key file where nobody can be asked.
IN_ENVIRONMENT = "MYOLOOP_KEYFILE_PASSPHRASE"


@verb()
def demo(out: Out = Path("study"), speed: Speed = "real", seed: Seed = 1, as_json: Json = False) -> None:
    """A whole closed-loop session on a virtual subject, then its report.

    Example: myoloop demo --speed max --seed 1 --out study
    """
    with clear_errors():
        from myoloop.experiments.sessions.run import prepare

        _check_speed(speed)
        _play(lambda: prepare("demo", subject="SIM1", rig=None, study=out, seed=seed), speed, [], None, as_json)


@verb()
def run(
    protocol: Annotated[str, typer.Argument(help="A protocol file, or a preset by name (see: myoloop protocols).")],
    subject: Annotated[
        str, typer.Option(help="Pseudonym, the YAML file of a virtual subject, or SIM:<group> for one drawn from it.")
    ],
    rig: Annotated[str | None, typer.Option(help="Rig file; without one a virtual subject is wired up.")] = None,
    speed: Speed = "real",
    seed: Seed = 1,
    session: Annotated[
        int | None,
        typer.Option(
            parser=partial(whole_number, least=1),
            metavar="INTEGER",
            help="Try this session of the subject again; else the next one is begun.",
        ),
    ] = None,
    out: Out = Path("study"),
    script: ScriptFile = None,
    key: KeyFile = None,
    identity: IdentityFile = None,
    second: Second = None,
    desk: DeskToo = False,
    console: ConsoleToo = False,
    fault: Annotated[
        list[str] | None, typer.Option(help="On purpose: kill:NODE@20s, freeze:NODE@20s or stop@20s; repeatable.")
    ] = None,
    shadow: Annotated[
        str | None,
        typer.Option(
            metavar="ARTEFACT",
            help="Folder of a trained controller, or deployed: it computes, is recorded, never acts.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run one session.

    Example: myoloop run crps_motor_reeducation --subject SIM01 --speed max
    """
    with clear_errors():
        from myoloop.experiments.sessions.faults import parse_fault
        from myoloop.experiments.sessions.run import prepare
        from myoloop.experiments.sessions.script import load_script

        _check_speed(speed)
        planned = [parse_fault(text) for text in fault or []]
        if planned and speed == "max":
            raise typer.BadParameter("faults strike processes: allowed with --speed real", param_hint="--fault")
        acts = load_script(script) if script is not None else None
        at_desk = _at_desk(desk or console, speed, script)
        checked = _second_check(identity, second)
        if console:
            _open_console(out, rig=rig, key=key, identity=identity)
        _play(
            lambda: prepare(
                protocol,
                subject=subject,
                rig=rig,
                study=out,
                seed=seed,
                session=session,
                script=acts,
                speed=speed,
                key=key,
                identity=checked,
                shadow=shadow,
            ),
            speed,
            planned,
            acts,
            as_json,
            at_desk,
        )


@verb()
def resume(
    session: Annotated[Path, typer.Argument(help="The session that was cut off: STUDY/sub-X/ses-NN.")],
    close: Annotated[bool, typer.Option("--close", help="End it as interrupted.")] = False,
    go_on: Annotated[
        bool, typer.Option("--continue", help="A new attempt with the trials that never began, forward only.")
    ] = False,
    why: Annotated[
        str, typer.Option(help="The reason, for the record; needed; - reads it as JSON from standard input.")
    ] = "",
    who: Annotated[str, typer.Option(help="Who decides, for the record.")] = "operator",
    same_electrodes: Annotated[
        bool, typer.Option("--same-electrodes", help="None was moved since: thresholds younger than 24 h still hold.")
    ] = False,
    subject: Annotated[
        str | None, typer.Option(help="The virtual subject's file or group again; else by pseudonym and seed.")
    ] = None,
    rig: Annotated[str | None, typer.Option(help="Rig file; else the one that was kept.")] = None,
    speed: Speed = "real",
    script: ScriptFile = None,
    key: KeyFile = None,
    identity: IdentityFile = None,
    second: Second = None,
    desk: DeskToo = False,
    console: ConsoleToo = False,
    as_json: Json = False,
) -> None:
    """What to do with a session that was cut off: close it, or go on with what is left.

    Without --close or --continue it says how the session stands.

    Example: myoloop resume study/sub-SIM1/ses-01 --close --why "power cut"
    """
    with clear_errors():
        from myoloop.experiments.sessions.resuming import close_session, go_on_with, reason_in, say_standing
        from myoloop.experiments.sessions.script import load_script

        _check_speed(speed)
        if close and go_on:
            raise typer.BadParameter("allowed is one of --close and --continue", param_hint="--close")
        if not close and not go_on:
            stands, text, settled = say_standing(session)
            say(stands, as_json, text)
            raise typer.Exit(GOOD if settled else CHECK_FAILED)
        # One line for both: it stands in no list of processes.
        line = sys.stdin.readline(LINE_MAX) if "-" in (why, second) else ""
        if why == "-":
            why, line = reason_in(line)
        if not why.strip():
            raise typer.BadParameter("a reason is needed", param_hint="--why")
        if close:
            closed = close_session(session, who=who, why=why)
            say({"session": str(closed.folder), "outcome": closed.outcome}, as_json, f"{closed.folder}: closed")
            raise typer.Exit(GOOD)
        acts = load_script(script) if script is not None else None
        at_desk = _at_desk(desk or console, speed, script)
        checked = _second_check(identity, second, line)
        if console:
            _open_console(session.resolve().parents[1], rig=rig, key=key, identity=identity)
        _play(
            lambda: go_on_with(
                session, who=who, why=why, same_electrodes=same_electrodes, subject=subject, rig=rig, script=acts,
                speed=speed, key=key, identity=checked,
            ),
            speed,
            [],
            acts,
            as_json,
            at_desk,
        )  # fmt: skip


@verb()
def rehearse(
    rig: Annotated[str, typer.Argument(help="Rig file of class BENCH, its leads on a dummy load, or SIM.")],
    protocol: Annotated[
        str | None, typer.Option(help="Run this protocol; else rising steps, many starts and a stop.")
    ] = None,
    length_s: Annotated[
        float,
        typer.Option(
            "--seconds",
            parser=seconds,
            metavar="SECONDS",
            help="How long short trains are given for the latency, in s.",
        ),
    ] = 60,
    out: Out = Path("study"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: Json = False,
) -> None:
    """A session on a dummy load of 1 kilo-ohm: asked against given, request-to-pulse latency, jitter, stop.

    Exit code 1 where anything is not as it should be.

    Example: myoloop rehearse bench.yaml --seconds 30
    """
    with clear_errors():
        import msgspec

        from myoloop.experiments.rehearsal.bench import say_bench
        from myoloop.experiments.rehearsal.kept import as_data
        from myoloop.experiments.rehearsal.rehearse import planned
        from myoloop.experiments.rehearsal.rehearse import rehearse as rehearse_rig
        from myoloop.experiments.rehearsal.words import say_findings
        from myoloop.experiments.sessions.view import LiveView
        from myoloop.platform.rig import load_rig

        if dry_run:
            if protocol is not None:
                raise typer.BadParameter("a protocol of one's own is shown by myoloop show", param_hint="--dry-run")
            bench = planned(load_rig(rig), length_s)
            say({**msgspec.to_builtins(bench), "seconds": bench.seconds}, as_json, say_bench(bench))
            raise typer.Exit(GOOD)

        @contextmanager
        def shown(setup: SessionSetup) -> Iterator[Callable[[Seen], str]]:
            with LiveView(setup, quiet=as_json).shown() as view:
                yield view.turn

        done = rehearse_rig(rig, study=out, seconds=length_s, protocol=protocol, shown=shown)
        text = f"{say_findings(done.findings)}\nkept: {done.folder}"
        say({"session": str(done.folder), **as_data(done.kept)}, as_json, text)
        raise typer.Exit(GOOD if done.kept.passed else CHECK_FAILED)


def _second_check(file: Path | None, said: str | None, line: str | None = None) -> SecondCheck | None:
    """Who is there; what is missing is asked for in a terminal, and nowhere else.

    Parameters
    ----------
    line
        What standard input has said, where it has been read already.
    """
    from myoloop.experiments.studies.identity import SecondCheck, from_line, parse_identity

    if file is None:
        if said is not None:
            raise typer.BadParameter("needed with --second: the key file", param_hint="--identity")
        return None
    if said == "-":
        given = sys.stdin.readline(LINE_MAX) if line is None else line
        return from_line(file, given, os.environ.get(IN_ENVIRONMENT))
    asks = sys.stdin.isatty()
    if said is None and not asks:
        raise typer.BadParameter("needed where there is no terminal to ask in", param_hint="--second")
    who = parse_identity(getpass.getpass("initials and year of birth: ") if said is None else said)
    passphrase = os.environ.get(IN_ENVIRONMENT)
    if passphrase is None and not asks:
        raise typer.BadParameter("needed where there is no terminal to ask in", param_hint=IN_ENVIRONMENT)
    return SecondCheck(file, getpass.getpass("passphrase: ") if passphrase is None else passphrase, who)


def _at_desk(asked: bool, speed: str, script: str | None) -> bool:
    """Whether a person acts at a console; then nobody else does."""
    if asked and script is not None:
        raise typer.BadParameter("a person acts with --desk and --console, no script", param_hint="--script")
    if asked and speed != "real":
        raise typer.BadParameter("a person acts with --desk and --console: allowed is real", param_hint="--speed")
    return asked


def _open_console(study: Path, **options: object) -> None:
    from myoloop.experiments.sessions.console_beside import start_console

    beside = start_console(study, {f"--{name}": value for name, value in options.items()})
    for role, address in beside.addresses.items():
        typer.echo(f"{role:10} {address}", err=True)


def _check_speed(speed: str) -> None:
    if speed not in ("real", "max"):
        raise typer.BadParameter(f"found {speed!r}, allowed are real and max", param_hint="--speed")


def _play(
    prepared: Callable[[], SessionSetup],
    speed: str,
    faults: list[Fault],
    script: Script | None,
    as_json: bool,
    at_desk: bool = False,
) -> None:
    from myoloop.experiments.outcomes.words import say_outcomes
    from myoloop.experiments.sessions.acting import is_by_hand
    from myoloop.experiments.sessions.conclude import conclude
    from myoloop.experiments.sessions.keyboard import Keyboard
    from myoloop.experiments.sessions.run import run_live, run_lockstep
    from myoloop.experiments.sessions.view import LiveView, Progress

    setup = prepared()
    if setup.rig.rig.rig_class == "HUMAN":
        from myoloop.experiments.rehearsal.kept import say_last

        typer.echo(say_last(setup.rig, setup.folder.parents[2])[1], err=True)
    if speed == "max":
        with Progress(setup, quiet=as_json).shown() as progress:
            end = run_lockstep(setup, progress.tick, script)
    else:
        keyboard = Keyboard(serves=is_by_hand(setup.rig.rig.rig_class, at_desk=at_desk, at_keys=True))
        # Whoever started it may be gone before it ends: nothing is drawn for nobody.
        quiet = as_json or (at_desk and not sys.stdout.isatty())
        with LiveView(setup, quiet=quiet, keyboard=keyboard).shown() as view:
            end = run_live(setup, view.turn, faults, script, keyboard if view.keys else None, at_desk=at_desk)
    result = conclude(end)
    reported = result["report"] or f"none, {result['not_reported']}"
    text = f"{end.outcome}{f': {end.reason}' if end.reason else ''}\nreport: {reported}"
    if result["report"]:
        text += f"\n{say_outcomes(result)}"
    try:
        say(result, as_json, text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever started it is gone; what it says is on record. Python's own last flush must not fail either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(end.exit_code)

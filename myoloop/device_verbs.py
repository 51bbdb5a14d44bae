"""The verbs about devices: emulate one, list those that are plugged in, drill what must happen when something fails."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from myoloop.answers import CHECK_FAILED, EXIT_CODES, GOOD, Json, clear_errors, say, seconds

device_verbs = typer.Typer()
verb = partial(device_verbs.command, epilog=EXIT_CODES)


@verb()
def emulate(
    name: Annotated[str, typer.Argument(help="p24, rehamove3, rehastim2, openemsstim, ttl or simulated")],
    pty: Annotated[bool, typer.Option("--pty", help="On a pseudo terminal; so it is unless --tcp is given.")] = False,
    tcp: Annotated[int | None, typer.Option(help="On this TCP port, for this host only.")] = None,
    link: Annotated[Path | None, typer.Option(help="Symbolic link that is kept to the pseudo terminal.")] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="File to which each delivered pulse is added, as a JSON line.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND[=VALUE][@SECONDS]",
            help="What breaks, and when, such as answer-delay=300ms@5; may be given more than once; "
            "a kind that is none lists those there are.",
        ),
    ] = None,
    length_s: Annotated[
        float | None,
        typer.Option("--seconds", parser=seconds, metavar="SECONDS", help="How long, in s; else until Ctrl-C."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="A line for each pulse.")] = False,
    as_json: Json = False,
) -> None:
    """Be a stimulator that speaks its own bytes; the first line says where it is, the last ones what it delivered.

    With --json each line is a JSON object.

    Example: myoloop emulate p24 --link /tmp/p24 --ledger pulses.jsonl
    """
    with clear_errors():
        from myoloop.stimulators.emulators.emulate import emulate as run
        from myoloop.stimulators.emulators.ledger import Pulse, ledger_line
        from myoloop.stimulators.emulators.running import say_summary

        if pty and tcp is not None:
            raise typer.BadParameter("only one of --pty and --tcp", param_hint="--tcp")
        if tcp is not None and not 0 < tcp < 65536:
            raise typer.BadParameter(f"found {tcp}, allowed is 1 to 65535", param_hint="--tcp")
        if link is not None and tcp is not None:
            raise typer.BadParameter("a TCP port has no link", param_hint="--link")

        def here(port: str, setting: str) -> None:
            say({"emulator": name, setting: port}, as_json, port)

        def each(pulse: Pulse) -> None:
            text = f"{pulse.t_ns / 1e9:.6f} s  output {pulse.output}  {pulse.current_ma:g} mA  {pulse.phase_us:g} us"
            say(json.loads(ledger_line(pulse)), as_json, text)

        summary = run(
            name,
            f"tcp:127.0.0.1:{tcp}" if tcp is not None else "pty" if link is None else f"pty:{link}",
            here,
            ledger=ledger,
            faults=fault or (),
            length_s=length_s,
            on_pulse=each if verbose else None,
        )
        say(summary, as_json, say_summary(summary))


@verb()
def devices(
    probe: Annotated[
        bool, typer.Option("--probe", help="Ask at all likely ports, also where opening one resets a board.")
    ] = False,
    port: Annotated[
        list[str] | None,
        typer.Option(help="Ask at this port only, in every protocol; may be given more than once."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Serial ports: what is likely there, who has them, what answers. Nothing is sent that could stimulate.

    Example: myoloop devices --probe
    """
    with clear_errors():
        from dataclasses import asdict

        from myoloop.stimulators.ports import look, say_ports

        found = look(probe=probe, only=tuple(port or ()))
        say({"ports": [asdict(each) for each in found]}, as_json, say_ports(found))


@verb()
def drill(
    device: Annotated[
        list[str] | None,
        typer.Option(help="simulated, p24-low, p24-mid or rehastim2; may be given more than once; all if not given."),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="A fault, or a group of them, that --list shows; may be given more than once."),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Only list the drills.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be run.")] = False,
    stops: Annotated[int, typer.Option(min=0, help="Also time so many stops, to stop bytes at the device.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="JSON file for what is found; what it has of other drills stays.")
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="Folder in which the sessions of the drills stay.")] = None,
    as_json: Json = False,
) -> None:
    """A session for each thing that can fail, during a train, in processes of its own: how soon current ends.

    Faults are brought only into sessions that the drill itself starts, on a virtual subject. Exit code 1 if one failed.

    Example: myoloop drill --device simulated --fault kill-controller
    """
    with clear_errors():
        from myoloop.experiments.drills.drills import Found, keep_found, run_drills
        from myoloop.experiments.drills.faults import chosen, say_list
        from myoloop.experiments.drills.findings import Finding, finding_line, table
        from myoloop.experiments.drills.stops import say_stops, time_stops

        pairs = [] if stops and not fault else chosen(device or [], fault or [])
        if show or dry_run:
            rows = [{"device": each.name, **one.as_row()} for each, one in pairs]
            say({"drills": rows}, as_json, say_list(pairs))
            return

        def each_found(finding: Finding) -> None:
            if out is not None:
                keep_found(out, Found(drills=(finding,)))
            if not as_json:
                typer.echo(finding_line(finding), err=True)

        findings = tuple(run_drills(pairs, each_found, keep))
        timed = {name: time_stops(name, stops) for name in (device or ["simulated"])} if stops else {}
        found = Found(drills=findings, stops=timed)
        if out is not None:
            keep_found(out, found)
        text = "\n".join([*([table(findings)] if findings else []), *(say_stops(*item) for item in timed.items())])
        say(msgspec.to_builtins(found), as_json, text)
        raise typer.Exit(GOOD if found.passed else CHECK_FAILED)

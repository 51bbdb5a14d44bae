"""The verb that opens the console."""

from __future__ import annotations

import getpass
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from myoloop.answers import EXIT_CODES, Json, clear_errors

if TYPE_CHECKING:
    from myoloop.experiments.console.page import Settings

console_verbs = typer.Typer()
verb = partial(console_verbs.command, epilog=EXIT_CODES)


@verb()
def console(
    study: Annotated[Path, typer.Argument(help="Study folder.")] = Path("study"),
    rig: Annotated[
        Path | None, typer.Option(help="Rig file that sessions are started with; else a virtual subject is wired up.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="The study's key file, where arms come from its sealed list.")
    ] = None,
    identity: Annotated[
        Path | None, typer.Option(help="Key file to check people against (myoloop keyfile); needed on HUMAN rigs.")
    ] = None,
    who: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=NAME", help="Who has a role's address, for the record; repeatable. Else the login."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on loopback; 0 for any free one.")] = 8723,
    no_open: Annotated[bool, typer.Option("--no-open", help="Only print the addresses; open no browser.")] = False,
    as_json: Json = False,
) -> None:
    """Serve the operator's console on this host's loopback, until Ctrl-C; sessions go on without it.

    Prints one address for each role: who has it, has the role. Research software, not a medical device.

    Example: myoloop console study --no-open
    """
    with clear_errors():
        from myoloop.experiments.console.opening import open_browser
        from myoloop.experiments.console.security import Origin, addresses
        from myoloop.experiments.console.serving import serve

        def started(settings: Settings) -> None:
            origin = Origin(settings.port)
            found = addresses(origin, settings.tokens)
            if as_json:
                typer.echo(json.dumps({"url": origin.url, "study": str(settings.study), "addresses": found}))
            else:
                rows = "\n".join(f"{role:10} {url}" for role, url in found.items())
                typer.echo(f"console of {settings.study}; Ctrl-C ends it, a session goes on\n{rows}")
            if not no_open:
                open_browser(origin, settings.tokens)

        serve(
            study, port=port, rig=rig, key=key, identity=identity, who=getpass.getuser(), names=who or (),
            on_start=started,
        )  # fmt: skip

"""How every verb of the command line answers: exit codes, one JSON object for machines, one clear line per mistake."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

GOOD, CHECK_FAILED, BAD_INPUT, FAULT = 0, 1, 2, 3
EXIT_CODES = "Exit codes: 0 good, 1 the check failed, 2 bad input, 3 fault or stop."

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, for machines.")]


class Verbs(TyperGroup):
    """A command that says in one line what is wrong with how it was called, and ends with 2."""

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, *more: Any, **extra: Any
    ) -> NoReturn:
        """Run a verb and end the process."""
        extra["standalone_mode"] = False
        try:
            code = super().main(args, prog_name, *more, **extra)
        except typer.Abort:
            code = FAULT
        except Exception as error:
            line = _usage(error)
            if line is None:
                raise
            typer.echo(line, err=True)
            code = BAD_INPUT
        sys.exit(code or GOOD)


def _usage(error: Exception) -> str | None:
    """What is wrong with the call, in one line that names what was found; None for any other error."""
    said = getattr(error, "format_message", None)
    if said is None:
        return None
    context = getattr(error, "ctx", None)
    if context is None or type(error).__name__ == "NoArgsIsHelpError":
        return str(said())
    text = str(said())
    if type(error) is typer.BadParameter:
        options = getattr(error.param, "opts", None) or [""]
        named = error.param_hint or options[-1]
        text = f"{named if isinstance(named, str) else named[0]}: {error.message}"
    return f"{context.command_path}: {' '.join(text.split())}"


def whole_number(text: str, least: int) -> int:
    """Read a whole number, no less than `least`.

    Raises
    ------
    typer.BadParameter
        If it is none.
    """
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise typer.BadParameter(f"found {str(text)!r}, allowed is a whole number, at least {least}")
    return number


def seconds(text: str) -> float:
    """Read a number of seconds, at least 0.1.

    Raises
    ------
    typer.BadParameter
        If it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0.1):
        raise typer.BadParameter(f"found {str(text)!r}, allowed is a number of seconds, at least 0.1")
    return number


def say(result: Any, as_json: bool, text: str) -> None:
    """Print a verb's answer: `result` as one JSON object, or `text`."""
    typer.echo(json.dumps(result, default=str) if as_json else text)


@contextmanager
def clear_errors() -> Iterator[None]:
    """A mistake of the user is one clear line each and exit code 2, a fault of a rig exit code 3; never a traceback."""
    from myoloop.platform.errors import UserError

    try:
        yield
    except UserError as error:
        for line in getattr(error, "problems", None) or [str(error)]:
            typer.echo(line, err=True)
        raise typer.Exit(error.exit_code) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"{where}{(error.strerror or str(error)).lower()}", err=True)
        raise typer.Exit(BAD_INPUT) from None

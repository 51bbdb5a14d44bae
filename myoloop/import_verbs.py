"""The verb that brings recordings of other programs in."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from myoloop.answers import CHECK_FAILED, EXIT_CODES, GOOD, Json, clear_errors, say

imports = typer.Typer()
verb = partial(imports.command, epilog=EXIT_CODES)


@verb("import")
def import_recording(
    file: Annotated[Path, typer.Argument(help="XDF, BDF, EDF, CSV, TSV or other text, HDF5, NPZ, or what MNE reads.")],
    mapping: Annotated[
        Path | None, typer.Option("--map", help="The mapping file; with --guess, where its draft is written.")
    ] = None,
    guess: Annotated[bool, typer.Option("--guess", help="Draft the mapping file, and import nothing.")] = False,
    out: Annotated[Path, typer.Option(help="Study folder; made if it is not there.")] = Path("study"),
    subject: Annotated[str, typer.Option(help="Pseudonym; the file becomes this person's next session.")] = "imported",
    protocol: Annotated[
        Path | None,
        typer.Option(help="What was done while it was recorded: outcomes it names that need no trial of ours are had."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and judge everything, write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Make a session like ours of a recording of another program; a mapping file says what is what.

    Example: myoloop import emg.xdf --guess --map emg.yaml; then myoloop import emg.xdf --map emg.yaml --out study
    """
    with clear_errors():
        if guess:
            from myoloop.experiments.imports.guess import draft, keep_draft

            drafted = draft(file)
            if mapping is not None:
                keep_draft(drafted, mapping)
            left = f"{len(drafted.missing)} to fill in: {', '.join(drafted.missing)}" if drafted.missing else "complete"
            written = "" if mapping is None else str(mapping)
            say(
                {"mapping": drafted.text, "missing": drafted.missing, "written": written},
                as_json,
                f"{mapping}: {left}" if mapping is not None else drafted.text.rstrip(),
            )
            return
        if mapping is None:
            raise typer.BadParameter("is needed; --guess drafts one", param_hint="--map")
        from myoloop.experiments.imports.write import import_file

        done = import_file(file, mapping, study=out, subject=subject, protocol=protocol, dry_run=dry_run)
        say(done.as_data(), as_json, done.in_words())
        raise typer.Exit(GOOD if done.outcome == "complete" else CHECK_FAILED)

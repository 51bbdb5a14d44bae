"""The verb about the site library: which sites there are, one of them in words, its picture."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from myoloop.answers import EXIT_CODES, Json, clear_errors, say

site_verbs = typer.Typer()
verb = partial(site_verbs.command, epilog=EXIT_CODES)


@verb()
def sites(
    name: Annotated[
        str | None, typer.Argument(help="A site, with or without its side, such as wrist_extensors_left.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Also write its picture to this SVG file.")] = None,
    file: Annotated[bool, typer.Option("--file", help="The file itself, to copy.")] = False,
    own: Annotated[Path | None, typer.Option(help="A folder with a study's own sites.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Sites for pads and EMG: all of them, or one in words.

    Example: myoloop sites wrist_extensors_left --picture wrist.svg
    """
    with clear_errors():
        from myoloop.experiments.sites.draw import picture as draw
        from myoloop.experiments.sites.library import load_site
        from myoloop.experiments.sites.library import sites as known
        from myoloop.experiments.sites.words import as_data, describe

        if name is None:
            if picture is not None:
                raise typer.BadParameter("needs the name of a site", param_hint="--picture")
            rows = {each: load_site(each, own) for each in known(own)}
            text = "\n".join(f"{each:24} {row.use:10} {row.region:15} {row.title}" for each, row in rows.items())
            say({each: {key: getattr(row, key) for key in ("title", "use", "region", "sides")}
                 for each, row in rows.items()}, as_json, text)  # fmt: skip
            return
        site = load_site(name, own)
        if file:
            written = known(own)[site.name].read_text(encoding="utf-8")
            say({"file": written}, as_json, written.rstrip())
            return
        result, text = as_data(site), describe(site)
        if picture is not None:
            if picture.suffix != ".svg":
                raise typer.BadParameter(
                    f"found {picture.name!r}, allowed is a name ending in .svg", param_hint="--picture"
                )
            if not dry_run:
                picture.write_text(draw(site), encoding="utf-8")
            text += f"\n\n{'would be written' if dry_run else 'written'}: {picture}"
            result["picture_file"] = str(picture)
        say(result, as_json, text)

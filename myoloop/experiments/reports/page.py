"""One HTML page with everything in it, and its figures as files: how every report is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from myoloop.experiments.reports.drawing import Drawn
from myoloop.platform.recording.folder import replace_file

_HERE = Path(__file__).parent
#: Of every page.
_STYLE = "session.css"


def render_page(template: str, figures: Sequence[Drawn], **values: Any) -> str:
    """A page: what was given is text, whatever it holds; only our own styles and figures are markup.

    Parameters
    ----------
    template
        File beside this one.
    figures
        Each is put in where the template names it.
    values
        Of the template.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    drawn = {
        each.name: {"title": each.title, "caption": each.caption, "svg": Markup(each.inline)}  # noqa: S704 - our own
        for each in figures
    }
    css = Markup((_HERE / _STYLE).read_text(encoding="utf-8"))  # noqa: S704 - our own
    return environment.get_template(template).render(css=css, figures=drawn, **values)


def write_figures(folder: Path, figures: Sequence[Drawn]) -> None:
    """Write each figure as SVG with the numbers it was drawn from as CSV."""
    folder.mkdir(exist_ok=True)
    for each in figures:
        replace_file(folder / f"{each.name}.svg", each.svg.encode())
        replace_file(folder / f"{each.name}.csv", each.csv.encode())

"""The report on a training: a single HTML page that needs no network and no script, its figures also as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import myoloop
from myoloop.experiments.reports import training_beside as beside
from myoloop.experiments.reports import training_made as made
from myoloop.experiments.reports import training_tables as tables
from myoloop.experiments.reports import training_words as words
from myoloop.experiments.reports.drawing import Drawn
from myoloop.experiments.reports.page import render_page, write_figures
from myoloop.experiments.reports.session import REPORT_FILE, REPORT_FOLDER
from myoloop.experiments.reports.training_figures import draw_curves, draw_results
from myoloop.experiments.reports.training_folder import Found, read_folder
from myoloop.experiments.reports.training_results import TrainingReportError
from myoloop.platform.recording.folder import replace_file

#: Beside the report: what differs from one run to the next.
TIMES_FILE = "times.html"


@dataclass(frozen=True, slots=True)
class TrainingReportSettings:
    """Settings of the report.

    Attributes
    ----------
    beside
        Further files and folders to report on: a dataset, ``estimators.json``, the result of a set-up. Those that stand
        in the training's folder are found by themselves.
    figure_files
        Whether the figures are written as files too, each as SVG with the numbers it was drawn from as CSV.
    """

    beside: tuple[str, ...] = ()
    figure_files: bool = True


class TrainingReport:
    """The built-in report ``training``."""

    Settings = TrainingReportSettings

    def __init__(self, settings: TrainingReportSettings | None = None) -> None:
        self.settings = settings or TrainingReportSettings()

    def write(self, path: Path | str, out: Path | None = None) -> Path:
        """Write the report on a training.

        Parameters
        ----------
        path
            Folder that ``train`` or ``evaluate`` wrote into.
        out
            The page to write, ending in ``.html``, or a folder for it; by default ``report/report.html`` in the
            training's folder. An older report there is replaced, figures with it.

        Returns
        -------
        Path
            The page.

        Raises
        ------
        TrainingReportError
            If there is no training, something of it is damaged, or the report cannot be written; one line.
        """
        folder = Path(path)
        page = _page_path(folder, out)
        found = read_folder(folder, tuple(Path(each) for each in self.settings.beside))
        figures = draw_all(found)
        try:
            page.parent.mkdir(parents=True, exist_ok=True)
            replace_file(page, render(found, figures).encode())
            replace_file(page.with_name(TIMES_FILE), render_times(found).encode())
            if self.settings.figure_files:
                write_figures(page.parent / "figures", figures)
        except OSError as error:
            raise TrainingReportError(f"{page.parent}: the report cannot be written: {error.strerror}") from None
        return page


def write_training_report(folder: Path | str, out: Path | None = None, also: Sequence[Path | str] = ()) -> Path:
    """Write the report on a training; see :meth:`TrainingReport.write`.

    Parameters
    ----------
    also
        As :attr:`TrainingReportSettings.beside`.
    """
    return TrainingReport(TrainingReportSettings(beside=tuple(map(str, also)))).write(folder, out)


def draw_all(found: Found) -> list[Drawn]:
    """Every figure for which there are numbers."""
    stamp, simulated = found.stamp, found.simulated
    figures = []
    if found.training is not None:
        figures.append(draw_curves(found.training.curves, stamp, simulated))
    if found.evaluation is not None:
        figures += draw_results(found.evaluation.results, stamp, simulated)
    if found.estimators is not None:
        figures.append(beside.draw_estimators(found.estimators, stamp, simulated))
    if found.set_up is not None:
        figures.append(beside.draw_set_up(found.set_up, stamp, simulated))
    return figures


def render(found: Found, figures: Sequence[Drawn]) -> str:
    """The page."""
    training, evaluation = found.training, found.evaluation
    results = evaluation.results if evaluation is not None else None
    word, verdict = words.verdict(evaluation) if evaluation is not None else ("not evaluated", [])
    gap = evaluation.gap if evaluation is not None else None
    if found.dataset is not None:
        gap = found.dataset.gap
    card = found.dataset.card if found.dataset is not None else None
    estimators = beside.estimators(found.estimators) if found.estimators is not None else (None, "")
    values: dict[str, Any] = {
        "name": made.name(found),
        "subtitle": made.subtitle(found),
        "stamp": found.stamp,
        "said": found.said,
        "running": f"{words.RUNNING} {found.said}",
        "header": made.header(found),
        "problems": found.problems,
        "verdict_word": word,
        "verdict": verdict,
        "tiles": words.tiles(results) if results is not None else [],
        "intended": words.INTENDED,
        "not_for": words.NOT_FOR,
        "data_facts": beside.data_facts(card) if card is not None else [],
        "data_sources": beside.sources(card) if card is not None else None,
        "data_excluded": beside.excluded(card) if card is not None else None,
        "data_limits": list(card["limits"]) if card is not None else [],
        "no_dataset": made.no_dataset(training),
        "splits": made.splits(training) if training is not None else None,
        "task": made.task(training) if training is not None else [],
        "reward": made.reward(training) if training is not None else None,
        "controllers": made.controllers(found),
        "curves": made.curves(training) if training is not None else None,
        "differences": tables.differences(results) if results is not None else None,
        "outcomes": tables.outcomes(results) if results is not None else None,
        "gate": tables.gate(results) if results is not None else None,
        "faults": tables.faults(results) if results is not None else None,
        "worst": tables.worst(results) if results is not None else None,
        "off_policy_caveat": words.OFF_POLICY,
        "off_policy": made.off_policy(evaluation),
        "gaps": beside.gaps(gap) if gap is not None else [],
        "estimators": estimators[0],
        "estimators_verdict": estimators[1],
        "set_up": beside.set_up_facts(found.set_up) if found.set_up is not None else [],
        "times_page": TIMES_FILE,
        "decide_ai": words.decide_ai(training, evaluation),
        "versions": made.versions(found),
        "limits": words.limits(training, evaluation),
        "version": myoloop.__version__,
    }
    return render_page("training.html.jinja", figures, **values)


def render_times(found: Found) -> str:
    """The page of what differs from one run to the next."""
    return render_page(
        "training_times.html.jinja",
        (),
        name=made.name(found),
        stamp=found.stamp,
        said=found.said,
        running=f"{words.RUNNING} {found.said}",
        compute=made.compute(found),
        deadlines=made.deadlines(found.evaluation),
    )


def _page_path(folder: Path, out: Path | None) -> Path:
    if out is None:
        return folder / REPORT_FOLDER / REPORT_FILE
    if out.suffix.lower() in (".html", ".htm"):
        return out
    if out.is_file():
        raise TrainingReportError(f"{out}: is a file; a folder or a file ending in .html is needed")
    return out / REPORT_FILE

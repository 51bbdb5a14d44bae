"""The report on a cohort: a page that fetches nothing, every figure with its numbers, nothing that is withheld."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from myoloop.experiments.cohorts.cohort import SIMULATED, Cohort
from myoloop.experiments.reports.cohort import render, write_cohort_report
from myoloop.experiments.reports.cohort_figures import draw_all
from myoloop.experiments.reports.drawing import Drawn

Made = Callable[..., Cohort]
ALL = ["flow", "missing", "dose", "trajectories", "primary", "responders", "waterfall", "dose-response"]


@pytest.fixture(scope="module")
def figures(cohort: Made) -> list[Drawn]:
    return draw_all(cohort())


@pytest.fixture(scope="module")
def page(cohort: Made, figures: list[Drawn]) -> str:
    return render(cohort(), figures)


@pytest.fixture(scope="module")
def withheld(cohort: Made) -> tuple[str, list[Drawn]]:
    found = cohort(view="pooled")
    drawn = draw_all(found)
    return render(found, drawn), drawn


def test_there_is_a_figure_for_all_that_is_asked_for(figures: list[Drawn]) -> None:
    assert [each.name for each in figures] == ALL


@pytest.mark.parametrize("name", ALL)
def test_a_figure_says_how_many_is_stamped_and_is_no_smaller_than_can_be_read(figures: list[Drawn], name: str) -> None:
    (figure,) = [each for each in figures if each.name == name]
    assert re.search(r"n = \d+ ", figure.caption)
    assert "people" in figure.caption
    assert "session" in figure.caption
    assert SIMULATED in figure.svg
    sizes = [float(each) for each in re.findall(r"font(?:-size)?: ?(?:[a-z0-9]+ )?([0-9.]+)px", figure.svg)]
    assert sizes
    assert min(sizes) >= 7.0
    rows = list(csv.DictReader(io.StringIO(figure.csv)))
    assert rows
    assert {row["simulated"] for row in rows} == {"true"}


def test_the_source_of_the_primary_figure_is_the_estimate(cohort: Made, figures: list[Drawn]) -> None:
    (figure,) = [each for each in figures if each.name == "primary"]
    first = next(csv.DictReader(io.StringIO(figure.csv)))
    shown = cohort().result.lines[0].shown()
    assert shown is not None
    assert [float(first[name]) for name in ("estimate", "low", "high")] == list(shown)


def test_the_page_fetches_nothing_and_names_what_its_numbers_hang_on(cohort: Made, page: str) -> None:
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)
    assert "<script" not in page
    found = cohort()
    assert found.code_sha256 in page
    assert found.input_sha256 in page
    assert found.result.analysis_sha256 in page
    assert "Confounded" in page
    for heading in ("CONSORT", "TIDieR", "EMG and stimulation", "Adverse events", "Blinding", "Missing data"):
        assert heading in page
    assert "it shows that the analysis works, and nothing about anybody" in page


def test_what_no_file_answers_says_so(page: str) -> None:
    assert "not answered by any file" in page


def test_without_arms_no_figure_tells_one(withheld: tuple[str, list[Drawn]]) -> None:
    page, figures = withheld
    assert "primary" not in [each.name for each in figures]
    assert "dose-response" not in [each.name for each in figures]
    for each in figures:
        told = (each.svg + each.csv + each.caption).replace("what an active arm would have had", "")
        assert "sham" not in told
        assert "active" not in told
    assert "arms are withheld" in page


def test_files_stand_beside_the_page_and_older_ones_go(cohort: Made, tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "old.svg").write_text("old")
    page = write_cohort_report(cohort(view="pooled"), tmp_path)
    assert page == tmp_path / "report.html"
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert "old.svg" not in names
    assert {path.removesuffix(".svg") for path in names if path.endswith(".svg")} == {
        path.removesuffix(".csv") for path in names if path.endswith(".csv")
    }
    assert {"estimates.csv", "sessions.csv", "exclusions.csv", "provenance.json"} <= {
        path.name for path in tmp_path.iterdir()
    }

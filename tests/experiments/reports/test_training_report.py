"""The report on a training: everything on one page, and what was not measured says so."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from myoloop.experiments.reports import training_beside as beside
from myoloop.experiments.reports.registry import OF_TRAINING, kind_of, make_report, report_names
from myoloop.experiments.reports.training import write_training_report
from myoloop.experiments.reports.training_evaluation import read_evaluation
from myoloop.experiments.reports.training_folder import read_folder
from myoloop.experiments.reports.training_words import verdict
from myoloop.experiments.training.dataset import Sources
from myoloop.experiments.training.split import HALVES
from myoloop.experiments.training.trained_files import COMPUTE, EVALUATION, TIMING, TRAINING

SECTIONS = (
    "result", "use", "data", "splits", "task", "controllers", "learning", "held-out", "outcomes", "gate", "faults",
    "failures", "off-policy", "sim-to-real", "ablations", "estimators", "set-up", "compute", "decide-ai", "versions",
    "limits",
)  # fmt: skip
FIGURES = {"learning", "paired", "outcomes", "trials", "worst", "faults", "estimators", "set-up"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, known_training) -> Path:
    return known_training.put(
        tmp_path_factory.mktemp("trained") / "t",
        training=known_training.training(),
        evaluation=known_training.evaluation(),
        compute={"seconds": 812.3, "cpu_s_here": 100.0, "workers": 2, "cluster": False},
        timing={"steps": 900, "budget_ms": 2.0, "wall_ms": known_training.percentiles(),
                "thread_ms": known_training.percentiles(), "missed": 1, "missed_by_own_time": 0,
                "evaluation": {"seconds": 300.0, "workers": 2, "cluster": False}},
        estimators=known_training.estimators(),
        set_up=known_training.set_up(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(folder) -> Path:
    return write_training_report(folder)


@pytest.fixture(scope="module")
def text(written) -> str:
    return written.read_text(encoding="utf-8")


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text[text.index("<body>") :]))


def rows(page: Path, name: str) -> list[dict[str, str]]:
    with (page.parent / "figures" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_section_stands_in_it(text):
    assert tuple(re.findall(r'<section id="([a-z-]+)"', text)) == SECTIONS


def test_it_is_one_page_that_fetches_nothing_and_runs_nothing(text, page_of):
    page = page_of(text)
    assert page.fetched == []
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"url\((?!#)|@import", text)
    # Names of the XML of an SVG are no addresses that a browser would fetch.
    hosts = set(re.findall(r"https?://([^\s\"'<]+?)[/\"']", text))
    assert hosts <= {"www.w3.org", "purl.org", "creativecommons.org"}


def test_it_says_on_every_page_and_figure_that_it_is_research_and_simulated(text, written):
    assert '<div class="watermark" aria-hidden="true">SIMULATED</div>' in text
    assert '@bottom-center { content: "Research software, not a medical device, not for treating anybody. Every' in text
    sections = text.split("<section id=")[1:]
    assert all('<span class="stamp">SIMULATED</span>' in section for section in sections)
    for figure in (written.parent / "figures").glob("*.svg"):
        assert "SIMULATED" in figure.read_text(encoding="utf-8")


def test_what_a_file_says_cannot_become_markup(text):
    assert "an input &lt;outside&gt; its range" in text
    assert "<outside>" not in text


def test_its_figures_are_files_with_their_numbers_beside_them(written):
    folder = written.parent / "figures"
    assert {path.name for path in folder.iterdir()} == {f"{n}.{end}" for n in FIGURES for end in ("svg", "csv")}
    for name in FIGURES:
        assert {row["simulated"] for row in rows(written, name)} == {"true"}


def test_no_letter_of_a_figure_is_smaller_than_7_pt(written):
    for figure in (written.parent / "figures").glob("*.svg"):
        root = ElementTree.fromstring(figure.read_bytes())
        styles = [each.get("style", "") for each in root.iter() if each.tag.endswith(("text", "tspan"))]
        sizes = [float(size) for style in styles for size in re.findall(r"(?:font:|font-size:)[^;]*?([\d.]+)px", style)]
        # One px of the SVG is one point: its width is given in pt with as many units.
        assert root.get("width", "").endswith("pt")
        assert sizes, figure
        assert min(sizes) >= 7.0, figure


def test_the_numbers_beside_a_figure_are_those_of_the_evaluation_to_the_last_digit(written, known_training):
    told = known_training.evaluation()["controllers"]
    found = {(row["person"], row["baseline"]): row for row in rows(written, "paired")}
    assert len(found) == 12 * 5
    for place, person in enumerate(known_training.HELD_OUT):
        row = found[person, "iterative_learning"]
        assert float(row["composite of baseline"]) == told["iterative_learning"]["composite_by_person"][place]
        assert float(row["composite of learned"]) == told["fitted_q"]["composite_by_person"][place]
    rmse = [row for row in rows(written, "outcomes") if (row["controller"], row["measure"]) == ("open_loop", "rmse")]
    by_person = told["open_loop"]["figures_by_person"]["rmse"]
    assert [float(row["value"]) for row in rmse] == [100.0 * value for value in by_person]
    assert {row["unit"] for row in rmse} == {"% of target"}


def test_the_learning_curve_is_each_seed_with_median_and_quartiles(written, text, known_training):
    found = rows(written, "learning")
    told = known_training.training()["curves"]
    each = {(row["seed"], float(row["round of exploring and fitting"])): row for row in found}
    value = "composite on people of validation"
    assert [float(each[str(point["seed"]), point["round"]][value]) for point in told] == [
        point["composite"]["mean"] for point in told
    ]
    last = [point["composite"]["mean"] for point in told if point["round"] == 2]
    assert float(each["median", 2][value]) == float(np.median(last))
    assert "n = 5 seeds of learning" in plain(text)
    assert "Fewer than 5 seeds" not in text


def test_a_better_controller_is_told_with_its_interval_and_both_counts(text, known_training):
    said = plain(text)
    less = known_training.evaluation()["learned_less"]["adaptive_gain"]
    assert f"{less['mean']:+.3f} [{less['low']:+.3f}, {less['high']:+.3f}] (95 % interval)" in said
    assert "n = 12 people held out, n = 1 seed of the day each" in said
    assert "It passed what deployment asks" in said
    assert "With 1 of 12 people it fell back to the classic controller" in said


@pytest.mark.parametrize(
    ("learned", "said"),
    [(1.2, "Negative result: the learned controller is worse than adaptive gain"),
     (1.0, "Negative result: no difference from adaptive gain was shown")],
)  # fmt: skip
def test_a_negative_result_is_told_as_negative(tmp_path, learned, said, known_training):
    found = read_evaluation(known_training.put(tmp_path / "t", evaluation=known_training.evaluation(learned)))
    word, lines = verdict(found)
    assert word == "negative"
    assert lines[0].startswith(said)
    assert any(line.startswith("Not for deployment") for line in lines)


def test_who_is_worse_off_is_named_even_if_most_are_better(tmp_path, known_training):
    word, lines = verdict(
        read_evaluation(known_training.put(tmp_path / "t", evaluation=known_training.evaluation(0.8, worst=1.3)))
    )
    assert word == "better, not passed"
    assert f"1 of 12 people held out are worse off by more than 10 %: {known_training.HELD_OUT[4]}." in lines


def test_of_one_person_there_is_no_interval_and_no_verdict(tmp_path, known_training):
    told = known_training.evaluation()
    told["people"], told["robustness"] = known_training.HELD_OUT[:1], []
    for each in told["controllers"].values():
        each["composite_by_person"] = each["composite_by_person"][:1]
        each["figures_by_person"] = {key: values[:1] for key, values in each["figures_by_person"].items()}
        each["trial_rmse_by_person"], each["fell_back"] = None, {}
    word, lines = verdict(read_evaluation(known_training.put(tmp_path / "t", evaluation=told)))
    assert word == "negative"
    assert "(one person, no interval)" in lines[0]


def test_the_worst_people_are_named_with_what_came_of_them(text, known_training):
    section = plain("<body>" + text[text.index('<section id="failures"') : text.index('<section id="off-policy"')])
    each = known_training.evaluation()["controllers"]["fitted_q"]["composite_by_person"]
    worst = int(np.argmax(each))
    assert f"{known_training.HELD_OUT[worst]} {each[worst]:.3f}" in section
    assert "an input &lt;outside&gt; its range" in section


def test_the_matrix_of_faults_says_what_was_not_measured(written, text):
    drawn = (written.parent / "figures" / "faults.svg").read_text(encoding="utf-8")
    # Three baselines under two faults, each in two lines.
    assert drawn.count("measured</") == 6
    section = plain("<body>" + text[text.index('<section id="faults"') : text.index('<section id="failures"')])
    assert "Not tried under faults: open loop, EMG trigger, PI + feed-forward." in section
    assert "force lost 4" in section
    found = {(row["condition"], row["controller"]) for row in rows(written, "faults")}
    assert ("force_lost", "fitted_q") in found
    assert ("force_lost", "open_loop") not in found


def test_an_off_policy_estimate_comes_with_its_caveat_and_its_error(text):
    section = plain("<body>" + text[text.index('<section id="off-policy"') : text.index('<section id="sim-to-real"')])
    assert "nothing is decided by it" in section
    assert "+0.0200" in section
    assert "error of the estimate +0.0075" in section


def test_deadline_misses_hashes_and_items_of_decide_ai_stand_in_it(text, known_training):
    said = plain(text)
    for what in (known_training.ARTEFACT,
                 known_training.CODE, "human factors", "errors, and how they are handled", "version of the system",
                 "population it was trained on"):  # fmt: skip
        assert what in said, what


def test_what_differs_from_run_to_run_stands_in_a_page_of_its_own(text, written, known_training, tmp_path):
    times = plain(written.with_name("times.html").read_text(encoding="utf-8"))
    for what in ("1 on the wall, 0 by the thread", "Training 812 s with 2 workers", "Evaluation 300 s with 2 workers"):
        assert what in times, what
        assert what not in plain(text), what
    assert "times.html" in plain(text)
    # The same training and evaluation on a slower machine.
    slower = known_training.put(
        tmp_path / "t", training=known_training.training(), evaluation=known_training.evaluation(),
        compute={"seconds": 9999.0, "cpu_s_here": 100.0, "workers": 1, "cluster": False},
        estimators=known_training.estimators(), set_up=known_training.set_up(),
    )  # fmt: skip
    assert write_training_report(slower).read_bytes() == written.read_bytes()


def test_learned_estimators_and_the_set_up_are_told_as_they_came_out(text, written):
    said = plain(text)
    assert "The learned estimator of fatigue is not shown to be equal to the rules." in said
    assert "100 % of n = 1 people (asked: 80 %)" in said
    assert [row["learned"] for row in rows(written, "estimators")][:2] == ["0.92", ""]
    assert float(rows(written, "set-up")[0]["reached (share of best)"]) == 0.97


def test_what_was_not_measured_says_so(tmp_path, known_training):
    page = write_training_report(known_training.put(tmp_path / "t", training=known_training.training()))
    sections = page.read_text(encoding="utf-8").split('<section id="')[1:]
    silent = {each.split('"')[0] for each in sections if "Not measured." in each}
    assert silent == {
        "result", "held-out", "outcomes", "gate", "faults", "failures", "off-policy", "sim-to-real", "ablations",
        "estimators", "set-up",
    }  # fmt: skip
    assert "not evaluated" in page.read_text(encoding="utf-8")


def test_the_same_files_give_the_same_bytes(written, folder, tmp_path):
    again = write_training_report(folder, tmp_path / "again")
    first = {path.name: path.read_bytes() for path in written.parent.rglob("*") if path.is_file()}
    assert {path.name: path.read_bytes() for path in again.parent.rglob("*") if path.is_file()} == first


def test_a_training_is_known_from_a_session(folder, tmp_path):
    assert kind_of(folder) == "training"
    assert kind_of(tmp_path) == "session"
    assert OF_TRAINING == (TRAINING, EVALUATION)
    assert {COMPUTE, TIMING} == {"compute.json", "timing.json"}
    assert "training" in report_names()
    assert make_report("training", {"beside": ["a"], "figure_files": False}).settings.beside == ("a",)


def test_an_artefact_that_is_not_the_one_evaluated_is_said(tmp_path, known_training):
    told = {**known_training.evaluation(), "artefact_sha256": "ef" * 32}
    (problem,) = read_folder(
        known_training.put(tmp_path / "t", training=known_training.training(), evaluation=told)
    ).problems
    assert "is not the one of this training" in problem


def test_learning_from_people_makes_it_partly_simulated(tmp_path, known_training):
    logged = {"dataset_sha256": "12" * 32, "people": 3, "transitions": 400}
    found = read_folder(known_training.put(tmp_path / "t", training={**known_training.training(), "logged": logged}))
    assert found.stamp == "PARTLY SIMULATED"
    assert "every figure of an evaluation is of virtual people" in found.said


def test_the_gap_to_people_is_told_with_its_interval_or_that_nobody_was_there():
    row = {"measure": "response_per_current", "unit": "N/mA",
           "recorded": {"mean": 2.0, "low": 1.5, "high": 2.5, "n": 4},
           "virtual": {"median": 2.4, "low": 1.0, "high": 4.0}, "within": 3, "subjects": 4,
           "difference": {"mean": -0.4, "low": None, "high": None, "n": 1}}  # fmt: skip
    gap = {
        "virtual_people": 20, "people": {"note": "nobody was at hand", "sessions": [], "rows": []},
        "full_tier": {"note": "", "sessions": ["a", "b"], "rows": [row]},
    }  # fmt: skip
    (_, note, none), (_, _, table) = beside.gaps(gap)
    assert (note, none) == ("nobody was at hand", None)
    assert table.rows[0] == (
        "response per current (N/mA)", "2 [1.5, 2.5]", "2.4 (1 to 4)", "-0.4 (one subject, no interval)", "3 of 4",
    )  # fmt: skip
    assert "n = 4 subjects, 2 open-loop sessions" in table.caption


def test_a_data_card_says_who_is_in_it_and_what_was_left_out():
    card = {
        "holds": "people", "subjects": {"train": 2, "held_out": 1}, "sources": {"study": {"train": 2, "held_out": 1}},
        "sessions": [{}] * 3, "excluded": [{"source": "study", "session": "ses-01", "reason": "blinded"}],
        "arms": "none", "demographics": {"people": "not held", "strata": {"a": 3}}, "cohort": None,
    }  # fmt: skip
    assert set(card["subjects"]) == set(HALVES)
    facts = dict(beside.data_facts(card))
    assert facts["Subjects"] == "n = 3: 2 to train, 1 held out"
    assert facts["Recorded sessions"] == "n = 3 used, 1 excluded"
    assert beside.sources(card).rows == (("study", "2", "1"),)
    assert beside.excluded(card).rows == (("study", "ses-01", "blinded"),)
    assert Sources().held_out_share == 0.3

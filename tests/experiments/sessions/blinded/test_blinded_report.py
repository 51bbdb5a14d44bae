"""The blinded version of a report: no byte of it tells the arm, a current or a charge."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from myoloop.experiments.analysis.session import load
from myoloop.experiments.analysis.tracks import EventRow
from myoloop.experiments.reports.blinded import NotWithheld, check_withheld, withheld
from myoloop.experiments.reports.session import SessionReport, SessionReportSettings
from myoloop.experiments.studies.audit import audit_of, record_act
from myoloop.platform.errors import UserError

#: What is different in every recording: hashes of the protocol with its sealed list.
HASH = re.compile(rb"[0-9a-f]{64}")


def written(folder: Path, out: Path, **settings: object) -> dict[str, bytes]:
    page = SessionReport(SessionReportSettings(**settings)).write(folder, out)  # type: ignore[arg-type]
    return {
        path.relative_to(page.parent).as_posix(): path.read_bytes()
        for path in sorted(page.parent.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def pages(verum, sham, zero, tmp_path_factory) -> dict[str, dict[str, bytes]]:
    out = tmp_path_factory.mktemp("blinded")
    studies = {"verum": verum, "sham": sham, "zero": zero}
    return {name: written(study.folder, out / name, blinded=True) for name, study in studies.items()}


def test_it_is_the_same_byte_for_byte_in_every_arm(pages):
    masked = {name: {file: HASH.sub(b"", content) for file, content in files.items()} for name, files in pages.items()}
    assert masked["verum"] == masked["sham"]
    assert masked["verum"].keys() == masked["zero"].keys()


def test_no_byte_names_an_arm_a_current_or_a_charge(pages, verum, sham):
    for files in pages.values():
        for file, content in files.items():
            text = content.decode("utf-8")
            assert not re.search(r"\b(mA|µA|uA|mC|µC|uC)\b|current_ma|charge_mc", text), file
            assert verum.arm not in text
            assert sham.arm not in text
            assert "EMG (" not in text


def test_it_has_a_folder_of_its_own_without_what_the_usual_one_holds(pages):
    assert set(pages["verum"]) == {"report.html", "figures/course.svg", "figures/course.csv"}


def test_it_still_tells_what_it_may(pages):
    text = pages["sham"]["report.html"].decode("utf-8")
    for said in ("blinded version", "Outcomes", "Stops, adverse events, deviations", "Trials", "lost (%)", "SIMULATED"):
        assert said in text


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("stopped at 12.5 mA, it hurt", "stopped at withheld, it hurt"),
        ("from 3 to 12 mA in steps", "from withheld in steps"),
        ("1.2 mA/cm² and 3 µC", "withheld and withheld"),
        ("current ma: 12.5; words: tingling", "withheld; words: tingling"),
        ("ext: 8 of 9 trials, 35 Hz", "ext: 8 of 9 trials, 35 Hz"),
    ],
)
def test_an_amount_in_a_free_text_is_replaced(said, left):
    assert withheld(said) == left


def test_what_acts_and_events_carry_is_not_in_it_either(sham, tmp_path):
    study = tmp_path / "study"
    shutil.copytree(sham.root, study)
    attempt = study / sham.folder.relative_to(sham.root)
    act = {"channel": "ext", "current_ma": 17.25}
    record_act(
        audit_of(attempt), datetime(2026, 11, 21, tzinfo=UTC), "A. Smith", "operator", "step", "ext", None, act, ""
    )
    session = load(attempt)
    told = EventRow(1.0, "override", "operator", "at 17.25 mA", {"current_ma": 17.25, "check": "skin"})
    loaded = replace(session, events=(*session.events, told))
    page = SessionReport(SessionReportSettings(blinded=True)).write(attempt, tmp_path / "out", loaded)
    text = page.read_text(encoding="utf-8")
    assert "check overridden" in text
    assert "17.25" not in text


def test_a_page_that_would_tell_is_not_written():
    with pytest.raises(NotWithheld, match="the page would hold 'mC'; nothing is written"):
        check_withheld("dose: 12 mC", "the page")
    for left in ("{&#39;withheld&#39;: 3.0}", "withheld: 3", "withheld = 12.5"):
        with pytest.raises(NotWithheld):
            check_withheld(left, "the page")
    check_withheld("withheld; words: tingling, 3 of 4", "the page")


def test_with_the_key_it_tells_what_was_given_and_only_outside_the_study(verum, sham, tmp_path):
    told = {}
    for study in (verum, sham):
        page = written(study.folder, tmp_path / study.arm, key=str(study.key))["report.html"].decode("utf-8")
        assert "UNBLINDED" in page
        rows = re.findall(r"<tr><th scope=\"row\">ext</th>(.*?)</tr>", page)
        told[study.arm] = [int(share) for row in rows for share in re.findall(r"<td>(\d+)</td>$", row)]
    # An active arm has what is shown; the sham, on for half a second of each train, far less.
    assert any(share >= 95 for share in told[verum.arm])
    assert any(share < 60 for share in told[sham.arm])
    for out in (None, sham.root / "unblinded"):
        with pytest.raises(UserError, match="allowed is a place outside"):
            SessionReport(SessionReportSettings(key=str(sham.key))).write(sham.folder, out)
    with pytest.raises(UserError, match="allowed is one of them"):
        SessionReport(SessionReportSettings(key=str(sham.key), blinded=True)).write(sham.folder, tmp_path)

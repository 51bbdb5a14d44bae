"""The report on a session: one page that holds everything and fetches nothing."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from mcap.opcode import Opcode

from myoloop.experiments.origins import Origins
from myoloop.experiments.reports.registry import make_report, report_names
from myoloop.experiments.reports.session import write_report
from myoloop.platform.plugins import PluginError
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.scan import Scan
from myoloop.platform.recording.verify import verify


@pytest.fixture(scope="module")
def written(known, tmp_path_factory) -> Path:
    return write_report(known.write(tmp_path_factory.mktemp("study") / "sub-P017" / "ses-03" / "att-2"))


@pytest.fixture(scope="module")
def text(written) -> str:
    return written.read_text(encoding="utf-8")


def test_it_stands_beside_the_recording(written):
    assert written.parts[-3:] == ("att-2", "report", "report.html")
    assert (written.parent / "trials.csv").is_file()


def test_it_is_one_page_that_fetches_nothing_and_runs_nothing(text, page_of):
    page = page_of(text)
    assert page.fetched == []
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"url\((?!#)|@import", text)


def test_who_cannot_see_it_is_told_what_heads_what_and_what_a_figure_shows(text, page_of):
    assert "<th>" not in text
    assert 'scope="col"' in text
    assert 'scope="row"' in text
    figures = re.findall(r'<svg role="img" aria-label="[^"]+" aria-describedby="(caption-[a-z]+)"', text)
    assert len(figures) == len(re.findall("<svg ", text)) > 0
    assert set(figures) <= set(page_of(text).ids)


def test_it_says_what_the_session_was(text):
    for said in ("P017", "tiny 1.2.3", "ab" * 32, "very low", "SIM", "0.1.0", "open_loop", "bench amplifier",
                 "2023-11-14 22:13:20 UTC", "stopped: stop (operator)"):  # fmt: skip
        assert said in text
    assert "research use only" in text.lower()


def test_what_came_from_the_recording_cannot_become_markup(text):
    assert "bench &lt;1&gt;" in text
    assert "stop &lt;operator&gt;" in text
    assert "<operator>" not in text


def test_what_was_simulated_is_stamped_on_every_section_figure_and_printed_page(text, written, page_of):
    sections = [section for section in page_of(text).sections if "trials with stimulation" not in section]
    assert len(sections) >= 8
    assert all("SIMULATED" in section for section in sections)
    assert '<div class="watermark" aria-hidden="true">SIMULATED</div>' in text
    for figure in (written.parent / "figures").glob("*.svg"):
        assert "SIMULATED" in figure.read_text(encoding="utf-8")
    with (written.parent / "figures" / "current.csv").open(encoding="utf-8", newline="") as file:
        assert {row["simulated"] for row in csv.DictReader(file)} == {"true"}


def test_of_a_played_recording_it_is_not_said_that_everything_was_simulated(known, tmp_path):
    metadata = {**known.METADATA, **Origins("recorded", "simulated", "simulated").metadata()}
    written = write_report(known.write(tmp_path / "att-1", metadata=metadata))
    text = written.read_text(encoding="utf-8")
    assert "everything here was simulated" not in text
    assert "<b>Stimulation simulated, EMG recorded from a file.</b>" in text
    assert '<div class="watermark" aria-hidden="true">PARTLY SIMULATED</div>' in text
    for figure in (written.parent / "figures").glob("*.svg"):
        drawn = figure.read_text(encoding="utf-8")
        assert "PARTLY SIMULATED: stimulation simulated, EMG recorded from a file" in drawn


def test_a_persons_session_is_not_stamped(known, tmp_path):
    metadata = {**known.METADATA, "simulated": "false", "rig_class": "HUMAN"}
    text = write_report(known.write(tmp_path / "att-1", metadata=metadata)).read_text(encoding="utf-8")
    assert "SIMULATED" not in text
    assert "everything here was simulated" not in text


def test_its_figures_are_files_with_their_numbers_beside_them(written):
    folder = written.parent / "figures"
    names = {"timeline", "fatigue", "current", "timing", "course", "trigger"}
    assert {path.name for path in folder.iterdir()} == {f"{n}.{end}" for n in names for end in ("svg", "csv")}
    for name in names:
        assert ElementTree.fromstring((folder / f"{name}.svg").read_bytes()).tag.endswith("svg")


def test_the_numbers_beside_a_figure_are_the_sessions(written):
    with (written.parent / "figures" / "timeline.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    (true,) = (row for row in rows if row["series"] == "spasm, true")
    assert (float(true["x"]), float(true["x_end"])) == (2.5, 2.8)
    assert [float(row["x"]) for row in rows if row["series"] == "gap"] == [pytest.approx(3.199), pytest.approx(3.3)]
    envelope = [
        float(r["value"]) for r in rows if (r["series"], r["name"]) == ("EMG envelope", "biceps") and r["value"]
    ]
    assert max(envelope) == pytest.approx(200.0, rel=0.3), "noise of 200 uV in the spasm"
    assert min(envelope) < 10.0


def test_its_tables_hold_the_sessions_numbers(text):
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))
    assert "rise onto new ground 20 5.0 c1: 10 of 12.4 mA, rise onto new ground" in plain
    assert "device step 80 20.0" in plain
    assert "c1 20 1 0.9 10.0 250 2.50 0.05" in plain, "the dose, channel by channel"
    assert "1 1 effort 0.5 0.40 2.5 0.05 12.0 of 12.4 0.25" in plain, "the trial"
    assert "biceps 1 2 1 0 1 0.67 20" in plain, "spasms: true, detected, matched, missed, false, F1, latency"
    assert "request to the gate's report on it 400 3.00 3.00 3.00".replace("'", "&#39;") in plain
    assert "cycle of controller 100 1.00 1.00 9.00" in plain, "the node's own worst cycle"
    assert "3.199 11.0 emg/amp lost 10" in plain


def test_its_integrity_box_is_what_verify_says(text, written, known, tmp_path):
    found = verify(written.parent.parent)
    assert "record good" in text
    assert found.head in text
    assert f"<dd>{found.records}</dd>" in text
    changed = known.write(tmp_path / "att-1")
    (changed / "manifest.json").write_text("{}", encoding="utf-8")
    told = write_report(changed).read_text(encoding="utf-8")
    assert "record damaged" in told
    assert "manifest.json" in told


def test_a_cut_session_is_reported_on_as_incomplete(known, tmp_path):
    file = known.write(tmp_path / "att-1", end=False) / "session.mcap"
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    text = write_report(file).read_text(encoding="utf-8")
    assert "record incomplete" in text
    assert "Cut at byte" in text


def test_a_session_cut_before_its_first_stream_is_reported_on_without_figures(known, tmp_path):
    file = known.write(tmp_path / "att-1", end=False) / "session.mcap"
    with file.open("rb") as stream:
        records = Scan(stream, file.stat().st_size).records()
        first = next(record.offset for record in records if record.opcode == Opcode.CHANNEL)
    file.write_bytes(file.read_bytes()[:first])
    text = write_report(file).read_text(encoding="utf-8")
    assert "INCOMPLETE" in text
    assert "<svg" not in text


@pytest.mark.parametrize("size", [0, 40])
def test_what_is_no_session_gets_no_report(known, tmp_path, size):
    file = known.write(tmp_path / "att-1", end=False) / "session.mcap"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(RecordingError, match=r"session\.mcap: (is empty, no|no) recording"):
        write_report(file)
    assert not (tmp_path / "att-1" / "report").exists()


def test_the_same_recording_gives_the_same_bytes(written):
    before = {path: path.read_bytes() for path in written.parent.rglob("*") if path.is_file()}
    write_report(written.parent.parent)
    assert {path: path.read_bytes() for path in written.parent.rglob("*") if path.is_file()} == before


def test_it_goes_where_it_is_told(known_attempt, tmp_path):
    assert write_report(known_attempt, tmp_path / "mine.html") == tmp_path / "mine.html"
    assert (tmp_path / "mine.html").is_file()
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match="is a file"):
        write_report(known_attempt, tmp_path / "file")
    with pytest.raises(RecordingError, match="cannot be written"):
        write_report(known_attempt, tmp_path / "file" / "report.html")


def test_a_session_of_the_real_loop_is_reported_on(lockstep_attempt, tmp_path, page_of):
    text = write_report(lockstep_attempt, tmp_path).read_text(encoding="utf-8")
    assert page_of(text).fetched == []
    assert "virtual clock" in text
    assert not (tmp_path / "figures" / "timing.svg").exists(), "nothing was measured under a virtual clock"


def test_reports_are_found_by_name(known_attempt, tmp_path):
    assert "session" in report_names()
    page = make_report("session", {"figure_files": False}).write(known_attempt, tmp_path)
    assert page == tmp_path / "report.html"
    assert not (tmp_path / "figures").exists()
    with pytest.raises(PluginError, match="there is no report 'sesion' \\(did you mean session"):
        make_report("sesion")
    with pytest.raises(PluginError, match="figure_file"):
        make_report("session", {"figure_file": True})

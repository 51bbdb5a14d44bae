"""A recording opened to be looked at: at once where it is short, from its overview where it is long."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from myoloop.experiments.analysis.session import load
from myoloop.experiments.console.lookback.overview import make_overview, overview_folder
from myoloop.experiments.console.lookback.recorded import NotMadeYet, recorded
from myoloop.experiments.review.detections import detections
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import AttemptPlace, create_attempt


@pytest.fixture(scope="module")
def made(known, tmp_path_factory) -> SimpleNamespace:
    """A study with one attempt and its overview."""
    study = tmp_path_factory.mktemp("study")
    attempt = known.write(study / "sub-P017" / "ses-03" / "att-1")
    folder = make_overview(attempt)
    return SimpleNamespace(study=study, attempt=attempt, folder=folder, place=AttemptPlace(study, "P017", 3, 1))


@pytest.fixture
def bare(known, tmp_path) -> SimpleNamespace:
    """The same without an overview."""
    attempt = known.write(tmp_path / "sub-P017" / "ses-03" / "att-1")
    return SimpleNamespace(study=tmp_path, attempt=attempt, place=AttemptPlace(tmp_path, "P017", 3, 1))


def test_every_sample_of_a_short_stretch_is_in_its_bins_in_microvolt(made, known):
    bins, invalid = recorded(made.place).bins("emg/amp", 2.4995, 2.7995, 60)
    # 5 ms a bin: five samples, from the recording itself.
    raw = known.counts[2500:2800, 0].reshape(60, 5)
    assert np.allclose(bins.low[:, 0], raw.min(axis=1), atol=1e-3)
    assert np.allclose(bins.high[:, 0], raw.max(axis=1), atol=1e-3)
    assert not invalid.any()


def test_what_is_not_valid_is_shown_and_marked(made):
    _, invalid = recorded(made.place).bins("emg/amp", 0.4895, 0.5195, 30)
    assert np.flatnonzero(invalid[:, 0]).tolist() == [12, 13, 14, 15]
    assert not invalid[:, 1].any()


def test_a_long_stretch_shows_the_burst_from_the_overview(made, known):
    bins, _ = recorded(made.place).bins("emg/amp", 0.0, 4.0, 20)
    burst = known.counts[2500:2800, 0]
    assert bins.high[12:14, 0].max() == pytest.approx(burst.max(), abs=1e-3)
    assert bins.high[14:, 0].max() < 40


def test_without_an_overview_a_short_stretch_is_there_at_once_and_a_long_one_says_what_it_needs(bare):
    here = recorded(bare.place)
    assert [lane.name for lane in here.lanes()] == ["emg/amp", "imu/amp"]
    assert np.isfinite(here.bins("emg/amp", 0.0, 2.0, 100)[0].high).all()
    with pytest.raises(NotMadeYet, match="20 s need an overview"):
        here.bins("emg/amp", 0.0, 20.0, 100)


def test_an_overview_is_found_once_it_is_made_while_the_recording_is_open(bare):
    here = recorded(bare.place)
    assert here.overview is None
    make_overview(bare.attempt)
    assert here.overview is not None
    assert "current/c1" in [lane.name for lane in here.lanes()]


def test_an_overview_of_a_changed_recording_is_not_believed(bare):
    make_overview(bare.attempt)
    os.utime(bare.attempt / "session.mcap", ns=(1, 1))
    assert recorded(bare.place).overview is None


def test_what_was_decided_is_told_by_lane(made):
    here = recorded(made.place)
    lanes = {lane.name: lane for lane in here.lanes()}
    assert {"muscle/biceps", "muscle/triceps", "current/c1"} <= set(lanes)
    bins, _ = here.bins("current/c1", 1.05, 1.15, 2)
    amounts = dict(zip(lanes["current/c1"].columns, bins.high[1], strict=True))
    assert (amounts["asked"], amounts["allowed"]) == (pytest.approx(12.4), 10.0)
    fatigue, _ = here.bins("muscle/biceps", 3.0, 3.5, 1)
    said = dict(zip(lanes["muscle/biceps"].columns, fatigue.high[0], strict=True))
    assert (said["fatigue"], said["fatigue_low"], said["fatigue_high"]) == pytest.approx((0.25, 0.1, 0.4))
    assert said["fatigue_valid"] == 1.0


def test_what_was_decided_at_a_moment_is_the_newest_of_each_by_then(made):
    told = recorded(made.place).decided_at(1.1)
    assert told["report"]["rule"] == "rise onto new ground"
    assert told["request"]["channels"][0]["current_ma"] == 12.4
    assert 1.0 < told["estimate"]["t_s"] <= 1.1
    assert recorded(made.place).decided_at(-10.0) == {}


def test_the_course_has_gate_states_trials_events_and_what_was_detected(made):
    facts = recorded(made.place).overview.facts
    states = [(span.state, span.rule) for span in facts.gate]
    assert states == [("ARMED", ""), ("STIMULATING", "rise onto new ground"), ("STIMULATING", ""), ("ARMED", ""),
                      ("STOPPED", "")]  # fmt: skip
    assert facts.gate[-1].latched == "stop (operator)"
    assert [trial["outcome"] for trial in facts.trials] == ["effort"]
    assert any(event["kind"] == "stop" for event in facts.events)
    assert len(facts.detected) == len(detections(load(made.attempt)))
    assert "SIMULATED" in facts.about["stamp"]


def test_it_is_kept_in_the_derivatives_and_the_recording_is_not_touched(made, known, tmp_path):
    assert made.folder == overview_folder(made.place)
    assert made.folder.relative_to(made.study).parts[:2] == ("derivatives", "lookback")
    other = known.write(tmp_path / "other" / "sub-P017" / "ses-03" / "att-1")
    assert (other / "session.mcap").read_bytes() == (made.attempt / "session.mcap").read_bytes()
    assert sorted(path.name for path in made.attempt.iterdir()) == sorted(path.name for path in other.iterdir())


def test_an_overview_that_holds_is_not_made_again(made):
    before = {path.name: path.stat().st_mtime_ns for path in made.folder.iterdir()}
    make_overview(made.attempt)
    assert {path.name: path.stat().st_mtime_ns for path in made.folder.iterdir()} == before


def test_a_spoilt_overview_is_none_and_is_made_again(bare):
    folder = make_overview(bare.attempt)
    (folder / "lane000_level0.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr': '|O'}")
    assert recorded(bare.place).overview is None


@pytest.mark.parametrize(
    ("stretch", "says"),
    [
        (("emg/other", 0.0, 1.0, 10), "lane: found 'emg/other', there is: emg/amp"),
        (("emg/amp", 1.0, 1.0, 10), "stretch: found 1.0 to 1.0"),
        (("emg/amp", 0.0, float("nan"), 10), "stretch: found 0.0 to nan"),
        (("emg/amp", 0.0, 1.0, 10**9), "allowed are times in order, 4096 bins"),
    ],
)
def test_what_cannot_be_shown_says_what_was_found_and_what_is_allowed(made, stretch, says):
    with pytest.raises(UserError, match=says):
        recorded(made.place).bins(*stretch)


def test_no_such_attempt_is_one_clear_line(made):
    with pytest.raises(UserError, match="ses-09/att-1: there is no such session"):
        recorded(AttemptPlace(made.study, "P017", 9, 1))


def test_outside_of_a_study_no_overview_is_made(known, tmp_path):
    with pytest.raises(UserError, match="is not an attempt of a study"):
        make_overview(known.write(tmp_path / "loose"))


def test_a_cut_recording_is_shown_as_far_as_it_goes(known, tmp_path):
    attempt = create_attempt(tmp_path, "P017", 1)
    known.write(attempt, end=False)
    file = attempt / "session.mcap"
    file.write_bytes(file.read_bytes()[:-5000])
    make_overview(attempt)
    here = recorded(AttemptPlace(tmp_path, "P017", 1, 1))
    assert not here.overview.facts.about["complete"]
    assert np.isfinite(here.bins("emg/amp", 1.0, 2.0, 10)[0].high).all()


def test_removed_derivatives_are_made_again(bare):
    folder = make_overview(bare.attempt)
    shutil.rmtree(Path(bare.study) / "derivatives")
    assert make_overview(bare.attempt) == folder

"""Fits on rows whose truth is planted, their plain arrays, their scores, and the loop's own code beside them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from myoloop.controllers.estimators import burst_evidence, fatigue_evidence
from myoloop.controllers.estimators.boosted import Boosted, read_model
from myoloop.controllers.estimators.learned_burst import LearnedBurstSettings
from myoloop.experiments.training.estimators import fatigue, spasm
from myoloop.experiments.training.estimators.learn import Size
from myoloop.experiments.training.estimators.scores import compare, reliability, score_bursts
from myoloop.experiments.training.estimators.sessions import REST_S, Event, group_of, live
from myoloop.experiments.training.estimators.table import Person, hear_again, in_spasm, listen, person_of
from myoloop.platform.errors import UserError

SECONDS = 20.0


def _person(number: int, lag_s: float = 0.0) -> Person:
    """Somebody whose first input tells a spasm plainly, and whose rules tell each `lag_s` late."""
    rng = np.random.default_rng(number)
    onsets_s = np.arange(5.0, SECONDS - 3.0, 5.0) + rng.uniform(0.0, 1.0, 3)
    events = tuple(Event("tonic", float(onset_s), float(onset_s) + 1.5) for onset_s in onsets_s)
    t_ns = np.arange(1, round(SECONDS * 100) + 1) * 10_000_000
    evidence = rng.normal(size=(len(t_ns), len(burst_evidence.EVIDENCE)))
    truth = in_spasm(events, t_ns)
    evidence[:, 0] = rng.normal(np.where(truth, 3.0, 0.0), 0.4)
    lost = np.linspace(0.0, rng.uniform(0.3, 0.7), round(SECONDS))
    tired = rng.normal(size=(len(lost), len(fatigue_evidence.EVIDENCE)))
    tired[:, 2] = lost + rng.normal(0.0, 0.02, len(lost))
    fused = np.column_stack([lost + 0.2, lost - 0.2, lost + 0.5])
    return Person(
        number, group_of(number), SECONDS, events, t_ns, evidence, np.ones(len(t_ns), bool), truth, truth,
        onsets_s + lag_s, 4.5, tired, fused, lost,
    )  # fmt: skip


PEOPLE = [_person(number) for number in range(6)]


@pytest.fixture(scope="module")
def fitted_spasm() -> spasm.Fitted:
    return spasm.fit(PEOPLE, 0)


@pytest.fixture(scope="module")
def fitted_fatigue() -> fatigue.Fitted:
    return fatigue.fit(PEOPLE, 0)


def test_the_arrays_of_a_detector_are_the_pipeline(fitted_spasm):
    plain = json.loads(json.dumps(fitted_spasm.settings["model"]))
    inputs = _person(99).evidence
    ours = Boosted(read_model(plain, burst_evidence.EVIDENCE)).probability(inputs)
    assert ours == pytest.approx(fitted_spasm.model.predict_proba(inputs)[:, 1], abs=1e-12)
    assert ours.max() > 0.9
    assert ours.min() < 0.1


def test_the_arrays_of_an_index_are_the_pipeline(fitted_fatigue):
    inputs = _person(99).fatigue_evidence
    for model, name in ((fitted_fatigue.model, "model"), (fitted_fatigue.error_model, "error_model")):
        plain = json.loads(json.dumps(fitted_fatigue.settings[name]))
        ours = Boosted(read_model(plain, fatigue_evidence.EVIDENCE)).score(inputs)
        assert ours == pytest.approx(model.predict(inputs), abs=1e-12)


def test_it_finds_what_is_planted_in_people_it_has_not_seen(fitted_spasm, fitted_fatigue):
    unseen = _person(99)
    model = Boosted(read_model(fitted_spasm.settings["model"], burst_evidence.EVIDENCE))
    settings = LearnedBurstSettings(**{k: v for k, v in fitted_spasm.settings.items() if k != "model"})
    ((onsets_s, told_s),) = spasm.told([unseen], [model.probability(unseen.evidence)], settings)
    score = score_bursts(unseen.events, onsets_s, told_s, unseen.seconds)
    assert score.f1 == 1.0
    assert score.latency_ms < 50.0
    value = Boosted(read_model(fitted_fatigue.settings["model"], fatigue_evidence.EVIDENCE)).score(
        unseen.fatigue_evidence
    )
    assert np.sqrt(np.mean((value - unseen.lost) ** 2)) < 0.1


def test_the_same_people_and_seed_give_the_same_settings(fitted_spasm):
    assert spasm.fit(PEOPLE, 0).settings == fitted_spasm.settings


def test_thresholds_tell_no_more_false_onsets_than_the_rules_where_that_can_be_had():
    chances = [np.where(one.in_spasm, 0.85, 0.1) for one in PEOPLE]
    for one, chance in zip(PEOPLE, chances, strict=True):
        for event in one.events:
            # A moment that is likely and false.
            at = round((event.onset_s - 1.0) * 100)
            chance[at : at + 2] = 0.95
    best = spasm.choose(PEOPLE, chances)[0]
    assert best["hops_min"] == 3
    assert (best["f1"], best["false_per_min"]) == (1.0, 0.0)


def test_a_difference_counts_as_at_least_equal_only_with_its_whole_interval():
    numbers = [1, 2, 3, 4]
    rules = [0.8, 0.9, 0.7, 0.8]
    same = compare("F1", "", "more", 0.02, numbers, rules, [0.81, 0.9, 0.7, 0.8])
    assert same.at_least_equal
    wide = compare("F1", "", "more", 0.02, numbers, rules, [1.0, 0.7, 0.9, 0.8])
    assert wide.difference > 0.0
    assert not wide.at_least_equal
    assert wide.worst == 2
    unknown = compare("latency", "ms", "less", 20.0, numbers, [40.0, np.nan, 50.0, 40.0], [45.0, 1.0, 50.0, np.nan])
    assert (unknown.people, unknown.difference) == (2, 2.5)


def test_reliability_of_what_says_as_often_as_it_is():
    rng = np.random.default_rng(0)
    said = rng.uniform(size=20_000)
    assert reliability(said, rng.uniform(size=said.size) < said)["calibration_error"] < 0.02
    assert reliability(np.full(1000, 0.9), np.zeros(1000, bool))["calibration_error"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    "wrong", [{"people": 7}, {"held_out": 0}, {"seconds": 20.0}, {"seconds": np.nan}, {"first": 3}]
)
def test_a_size_that_cannot_be_is_refused_in_one_line(wrong):
    with pytest.raises(UserError, match="allowed"):
        Size(**wrong)


def test_a_session_is_the_same_for_the_same_number_and_rests_first():
    one, again = live(9, 23.0), live(9, 23.0)
    assert (one.emg == again.emg).all()
    assert one.events == again.events
    assert (one.emg[:, 1] > 0).argmax() / 2000.0 == pytest.approx(REST_S, abs=0.06)
    assert one.force_lost[10] == 0.0
    assert one.force_lost[-1] > 0.0
    assert all(event.onset_s >= REST_S for event in one.events)


def test_in_the_loop_it_tells_what_the_rows_tell(fitted_spasm, fitted_fatigue):
    item = {"number": 9, "seconds": 26.0}
    heard = person_of(listen(item))
    settings = {"learned_burst": fitted_spasm.settings, "learned_fatigue": fitted_fatigue.settings}
    told = hear_again({**item, **settings})
    model = Boosted(read_model(fitted_spasm.settings["model"], burst_evidence.EVIDENCE))
    shape = LearnedBurstSettings(**{k: v for k, v in fitted_spasm.settings.items() if k != "model"})
    ((onsets_s, _),) = spasm.told([heard], [model.probability(heard.evidence)], shape)
    assert len(onsets_s) > 0
    # What is on freezes the templates of the artifact, so later onsets may differ; the first cannot.
    assert told["onsets_s"][0] == pytest.approx(onsets_s[0], abs=0.15)
    assert (np.isfinite(told["fatigue"][:, 0]) == np.isfinite(heard.fused[:, 0])).all()

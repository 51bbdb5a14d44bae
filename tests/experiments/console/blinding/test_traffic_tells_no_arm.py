"""Whoever sees everything that the console sends in a blinded session cannot tell the arm."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest
from starlette.testclient import TestClient

from myoloop.experiments.benchmarks.blinded_traffic import ACTIVE, SCREENS, SHAM, make_study, play, play_study
from myoloop.experiments.benchmarks.guessing import LEAKS, NOTHING, WORDS, Table, guess, planted, table_of, words_in
from myoloop.experiments.console.app import make_app
from myoloop.experiments.console.lookback.overview import make_overview
from myoloop.experiments.console.page import Settings
from myoloop.experiments.console.screens import SCREENS as PAGES
from myoloop.experiments.console.security import Origin, Role, Tokens

PEOPLE = 20
PORT = 8723
#: Better than chance is what comes by chance less often than this.
BY_CHANCE = 0.05


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> SimpleNamespace:
    """The same person on the same day, once in each arm."""
    sessions, studies = [], []
    for arm in (ACTIVE, SHAM):
        study = make_study(tmp_path_factory.mktemp("place"), (arm,), trials=1)
        sessions.append(play(study, 0))
        studies.append(study)
    return SimpleNamespace(sessions=sessions, active=sessions[0], sham=sessions[1], studies=studies)


@pytest.mark.parametrize("screen", SCREENS)
def test_a_page_is_sent_the_same_bytes_at_the_same_moments_in_either_arm(pair, screen):
    active, sham = pair.active.sent[screen], pair.sham.sent[screen]
    assert len(active) > 50
    assert active == sham


def test_no_frame_of_the_scope_is_sent_at_all(pair):
    assert all(each.data[:1] == b"{" for session in pair.sessions for sent in session.sent.values() for each in sent)


def test_no_feature_of_the_traffic_differs_so_there_is_nothing_to_guess_from(pair):
    table = table_of(pair.sessions)
    assert table.names == []
    [guessed] = guess(table)
    assert (guessed.guesser, guessed.accuracy) == (NOTHING, 0.5)


@pytest.mark.parametrize("leak", LEAKS)
def test_each_leak_that_is_planted_shows_in_some_feature(pair, leak):
    assert table_of(planted(pair.sessions, leak)).names


def test_no_word_of_an_arm_is_in_the_traffic_or_a_file_name(pair):
    assert [words_in(session) for session in pair.sessions] == [[], []]
    assert words_in(pair.active, ("own effort",)) == [("operator", "own effort")], "the search finds what is there"


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.CLINICIAN, Role.SUPERVISOR, Role.SUBJECT])
def test_no_word_of_an_arm_is_in_any_page_cookie_header_or_line_of_the_log(pair, role, tmp_path, caplog):
    study = pair.studies[1].root / "study"
    make_overview(study / "sub-P001" / "ses-01" / "att-1")
    numbers = iter(range(99))
    tokens = Tokens(lambda: f"token{next(numbers)}")
    client = TestClient(
        make_app(Settings(study=study, port=PORT, tokens=tokens, temporary=tmp_path)), base_url=Origin(PORT).url
    )
    with caplog.at_level(logging.DEBUG, logger="myoloop.console"):
        client.get("/enter", params={"token": tokens.to_enter(role)}, follow_redirects=False)
        session = "/sessions/P001/1/1"
        paths = [each.path for each in PAGES if each.path] + [
            session, f"{session}/report", f"/api{session}/facts", f"/api{session}/labels", f"/api{session}/at?t_s=1",
            f"/api{session}/bins?from_s=0&to_s=1&n=9&lane=emg/x", "/api/jobs", "/day/P001", "/adverse/P001",
            "/sign/sub-P001/ses-01/att-1",
        ]  # fmt: skip
        answers = [client.get(path) for path in paths]
    assert len(answers) > 15
    told = [answer.text + str(answer.headers) for answer in answers] + [caplog.text, str(client.cookies)]
    # A report of the study's own words: a protocol's title may say what it is about, and this one does not.
    assert [(place, word) for place, text in enumerate(told) for word in WORDS if word in text.lower()] == []


def noise() -> Table:
    """Forty sessions whose sixty features say nothing."""
    rng = np.random.default_rng(4)
    people = np.repeat(np.arange(PEOPLE), 2)
    values = rng.normal(size=(2 * PEOPLE, 60))
    for person in range(PEOPLE):
        values[people == person] -= values[people == person].mean(axis=0)
    return Table(values, np.tile([1, 0], PEOPLE), people, [f"f{number}" for number in range(60)])


def test_in_noise_the_guessers_find_nothing():
    assert min(each.p_value for each in guess(noise())) > BY_CHANCE


def test_a_small_difference_in_one_of_many_features_is_found():
    table = noise()
    table.values[:, 17] = 0.02 * (2 * table.arms - 1) + 0.004 * table.values[:, 17]
    best = min(guess(table), key=lambda each: each.p_value)
    assert best.p_value < 1e-6
    assert best.accuracy > 0.9


@pytest.fixture(scope="module")
def traffic():
    """A virtual study of forty sessions."""
    found = play_study(PEOPLE)
    assert len(found) == 2 * PEOPLE
    assert sum(each.arm == ACTIVE for each in found) == PEOPLE
    return found


@pytest.mark.prove
@pytest.mark.timeout(3600)
class TestStudyOfFortySessions:
    def test_no_guesser_does_better_than_chance(self, traffic):
        assert min(each.p_value for each in guess(table_of(traffic))) > BY_CHANCE

    @pytest.mark.parametrize("leak", LEAKS)
    def test_the_same_guessers_find_a_leak(self, traffic, leak):
        best = min(guess(table_of(planted(traffic, leak))), key=lambda each: each.p_value)
        assert best.p_value < 1e-4, best

    def test_no_word_of_an_arm_is_anywhere(self, traffic):
        assert [words_in(each) for each in traffic if words_in(each)] == []

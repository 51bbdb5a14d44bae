"""Planted effects: none by default, relief of what is at rest in who responds, soreness on the days after."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.subjects.involuntary import InvoluntaryParameters, SpasmGenerator
from myoloop.experiments.subjects.perception import Thresholds
from myoloop.experiments.subjects.planted import SOREST_AFTER_H, Planted, PlantedParameters, soreness
from myoloop.experiments.subjects.population import draw, typical
from myoloop.experiments.subjects.presets import PRESETS

S = 1_000_000_000
THRESHOLDS = Thresholds(1.0, 2.0, 8.0)


def planted(responds=True, **parameters):
    return Planted(PlantedParameters(**parameters), responds=responds)


def live(made, seconds, charge_uc=0.0, share=0.0, rate_hz=10, begin_s=0):
    """Steady stimulation, second by second."""
    for pulse in range(round(begin_s * rate_hz), round((begin_s + seconds) * rate_hz)):
        t_ns = round(pulse * S / rate_hz)
        if charge_uc:
            made.feel(0, t_ns, charge_uc, share, THRESHOLDS)
        made.step(t_ns)
    made.step(round((begin_s + seconds) * S))
    return made


def test_nothing_is_planted_by_default_nor_in_anybody_who_is_drawn():
    made = live(planted(planted_s=10.0), 60, 5.0)
    assert (made.tone, made.spasms, made.soreness(24.0)) == (1.0, 1.0, 0.0)
    for preset in PRESETS:
        for person in (typical(preset), draw(3, preset)):
            assert (person.tone_relief, person.spasm_relief, person.soreness_relief) == (0.0, 0.0, 0.0)


def test_what_is_felt_takes_its_share_in_its_time():
    made = live(planted(tone_relief=0.5, spasm_relief=0.8, planted_s=60.0), 60, 5.0)
    reached = 1 - np.exp(-1)
    assert made.tone == pytest.approx(1 - 0.5 * reached, abs=0.01)
    assert made.spasms == pytest.approx(1 - 0.8 * reached, abs=0.015)
    later = live(made, 3600, begin_s=60)
    assert 1 - later.tone == pytest.approx(0.5 * reached * np.exp(-1), rel=0.03)


@pytest.mark.parametrize("charge_uc", [0.0, 0.9, 9.0])
def test_what_is_not_felt_or_is_too_much_relieves_nothing(charge_uc):
    made = live(planted(tone_relief=0.5, spasm_relief=0.5, planted_s=10.0), 60, charge_uc)
    assert (made.tone, made.spasms) == (1.0, 1.0)


def test_who_does_not_respond_keeps_everything():
    made = live(planted(False, tone_relief=0.5, spasm_relief=0.5, soreness_relief=0.5, soreness_before=4.0), 60, 5.0)
    assert (made.tone, made.spasms, made.soreness(0.0)) == (1.0, 1.0, 4.0)


def test_contraction_makes_sore_a_day_and_a_half_later():
    # Half of the muscle for a minute.
    made = live(planted(soreness_per_min=4.0), 60, 5.0, share=0.5)
    assert made.contraction_min == pytest.approx(0.5, rel=0.02)
    assert made.soreness(0.0) == 0.0
    assert made.soreness(SOREST_AFTER_H) == pytest.approx(2.0, rel=0.02)
    assert made.soreness(24.0) < made.soreness(36.0) > made.soreness(72.0)
    assert made.truth()["sorest"] == made.soreness(SOREST_AFTER_H)


def test_single_twitches_keep_a_muscle_busy_for_a_tenth_of_a_second_each():
    made = live(planted(), 60, 5.0, share=1.0, rate_hz=1)
    assert made.contraction_min == pytest.approx(0.1, rel=0.05)


@given(st.floats(0, 20), st.floats(0, 10), st.floats(0, 300))
@settings(deadline=None)
def test_soreness_stays_on_its_scale(added, before, after_h):
    assert 0.0 <= soreness(added, before, after_h) <= 10.0


def test_spasms_come_as_seldom_as_is_planted():
    def spasms(calm):
        made = SpasmGenerator(InvoluntaryParameters(first_spasm_s=0.0), 1, np.random.default_rng(1), 0)
        steps = range(0, 3600 * S, S // 10)
        return sum(made.step(t, t + S // 10, False, calm=calm)[0] is not None for t in steps)

    always, half = spasms(1.0), spasms(0.5)
    # 6 in a minute of the time between them, which a pause of 2.5 s and their own length take from.
    assert 240 < always < 330
    assert 0.5 < half / always < 0.72
    assert spasms(0.0) == 0

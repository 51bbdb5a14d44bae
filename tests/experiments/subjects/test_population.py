"""Who is drawn: the same for the same seed, different for another, within the ranges, as the group is."""

import json
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest

from myoloop.experiments.subjects.distributions import Relative, Same, Uniform
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.population import distributions_of, draw, population, typical
from myoloop.experiments.subjects.presets import PRESETS

PRESET_FIT = json.loads((Path(__file__).parents[2] / "data" / "preset_fit.json").read_text())
SOME = range(60)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_same_seed_draws_the_same_person_and_another_seed_another(preset):
    assert draw(3, preset) == draw(3, preset)
    assert draw(3, preset) != draw(4, preset)


def test_each_person_of_a_population_can_be_drawn_alone():
    assert population(7, 3, "acute_sci") == [draw(seed, "acute_sci") for seed in (7, 8, 9)]
    assert population(7, 0, "acute_sci") == []


@pytest.mark.parametrize("preset", PRESETS)
def test_everybody_has_thresholds_in_order_within_what_a_stimulator_gives(preset):
    for seed in SOME:
        person = draw(seed, preset)
        assert person.sensory_uc < person.motor_uc < person.recruitment_median_uc < person.tolerance_uc
        assert person.tolerance_uc * 1e3 / 250 < (40 if preset == "demo" else 80)


@pytest.mark.parametrize("preset", ["able_bodied", "acute_sci", "chronic_sci"])
def test_the_person_typical_of_a_group_tires_as_it_was_measured(preset):
    person = typical(preset)
    assert person.fatigue_rate == PRESET_FIT[preset]["k"]
    rates = [draw(seed, preset).fatigue_rate for seed in SOME]
    assert np.median(rates) == pytest.approx(person.fatigue_rate, rel=0.06)
    assert max(rates) > 1.1 * min(rates)


def test_the_groups_differ_in_how_often_they_have_spasms():
    most = {preset: max(draw(seed, preset).spasm_rate_per_min for seed in SOME) for preset in PRESETS}
    assert most["able_bodied"] == 0.0
    assert 0.0 < most["acute_sci"] <= 2.0 < most["chronic_sci"] <= 6.0
    demo = [draw(seed).spasm_rate_per_min for seed in SOME]
    assert 5.0 <= min(demo) < max(demo) <= 8.0


def test_the_demonstrations_people_keep_their_character():
    for seed in SOME:
        person = draw(seed, "demo")
        assert 0.4 <= person.fatigue_rate <= 0.65
        assert person.ec_share == 0.0
        assert person.spasm_clonus_weight == SubjectParameters().spasm_clonus_weight


def test_voluntary_emg_and_mwave_are_seen_through_the_same_skin():
    people = [draw(seed, "able_bodied") for seed in range(150)]
    emg, mwave, charge = (
        np.log([getattr(person, name) for person in people])
        for name in ("emg_mvc_uv", "mwave_mv", "recruitment_median_uc")
    )
    assert np.corrcoef(emg, mwave)[0, 1] > 0.6
    assert np.corrcoef(emg, charge)[0, 1] < -0.2


def test_a_parameter_has_a_stream_of_its_own_so_that_presets_share_what_they_do_not_change():
    able, chronic = asdict(draw(5, "able_bodied")), asdict(draw(5, "chronic_sci"))
    same = {name for name in able if able[name] == chronic[name]}
    assert {"recruitment_median_uc", "chronaxie_us", "recovery_s", "ec_share", "reaction_s"} <= same
    assert {"fatigue_rate", "spasm_rate_per_min", "strength"}.isdisjoint(same)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_parameter_has_a_distribution_in_every_group(preset):
    assert set(distributions_of(preset)) == {declared.name for declared in fields(SubjectParameters)}


def test_what_goes_with_others_is_drawn_after_them_and_never_in_a_circle(monkeypatch):
    module = "myoloop.experiments.subjects.population.distributions_of"
    given = distributions_of("able_bodied")
    circle = Relative(lambda others: others["mwave_fall"], Uniform(1.0, 1.0))
    monkeypatch.setattr(module, lambda preset: {**given, "mwave_fall": circle})
    with pytest.raises(ValueError, match=r"mwave_fall: go with parameters"):
        draw(1, "able_bodied")
    chain = {**given, "mwave_fall": Relative(lambda others: others["ec_share"], Same(0.5))}
    monkeypatch.setattr(module, lambda preset: chain)
    person = draw(1, "able_bodied")
    assert person.mwave_fall == pytest.approx(0.5 * person.ec_share, rel=1e-4)


def test_an_unknown_group_or_a_negative_number_of_people_is_refused():
    with pytest.raises(ValueError, match=r"preset: found 'stroke', allowed are demo, able_bodied"):
        draw(1, "stroke")
    with pytest.raises(ValueError, match="n: found -1"):
        population(1, -1, "demo")

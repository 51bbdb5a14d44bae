"""Who a virtual person is: drawn from a population, written in a file, refused where impossible."""

import math

import pytest

from myoloop.experiments.subjects.parameters import SubjectParameters, draw, load_subject
from myoloop.platform.yamlfile import FileError


def write(tmp_path, text):
    path = tmp_path / "subject.yaml"
    path.write_text(text)
    return path


def test_the_same_seed_draws_the_same_person_and_another_seed_another():
    assert draw(3) == draw(3)
    assert draw(3) != draw(4)


def test_everybody_in_the_population_has_thresholds_in_order_below_40_ma():
    for seed in range(200):
        person = draw(seed)
        assert person.sensory_uc < person.motor_uc < person.recruitment_median_uc < person.tolerance_uc
        assert person.tolerance_uc * 1e3 / 250 < 40


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e9, True, "4"])
def test_a_parameter_out_of_its_range_is_refused_with_the_range(value):
    with pytest.raises(ValueError, match=r"emg_mvc_uv: found .*, allowed is .*20 to 2000"):
        SubjectParameters(emg_mvc_uv=value)


def test_thresholds_out_of_order_are_refused():
    with pytest.raises(ValueError, match="must rise"):
        SubjectParameters(motor_uc=20.0)


def test_a_file_draws_the_person_and_changes_what_it_names(tmp_path):
    path = write(tmp_path, "subject: simulated\nname: VS7\nseed: 7\nparameters:\n  spasm_rate_per_min: 0\n")
    name, person = load_subject(path)
    assert name == "VS7"
    assert person.spasm_rate_per_min == 0
    assert person.emg_mvc_uv == draw(7).emg_mvc_uv


def test_without_a_seed_of_its_own_the_file_takes_the_sessions(tmp_path):
    path = write(tmp_path, "subject: simulated\nname: VS\n")
    assert load_subject(path, seed=5)[1] == draw(5)
    assert load_subject(path)[1] == SubjectParameters()


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("subject: person\nname: VS\n", 1, "allowed: simulated"),
        ("subject: simulated\nname: 3\n", 2, "pseudonym"),
        ("subject: simulated\nname: VS-007\n", 2, "allowed is a pseudonym of 1 to 32 letters and digits"),
        ("subject: simulated\nname: Jane Doe\n", 2, "found 'Jane Doe'"),
        ("subject: simulated\nname: ../P1\n", 2, "found '../P1'"),
        ("subject: simulated\nname: VS\nseed: -1\n", 3, "whole number"),
        ("subject: simulated\nname: VS\nsed: 1\n", 3, "unknown key"),
        ("subject: simulated\nname: VS\nparameters:\n  strenght: 1\n", 4, "unknown parameter"),
        ("subject: simulated\nname: VS\nparameters:\n  strength: 99\n", 4, "0.05 to 5"),
        ("subject: simulated\nname: VS\nparameters: 4\n", 3, "map"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, text, line, says):
    path = write(tmp_path, text)
    with pytest.raises(FileError) as error:
        load_subject(path)
    (problem,) = error.value.problems
    assert problem.startswith(f"{path}:{line}: ")
    assert says in problem


def test_all_mistakes_are_named_at_once(tmp_path):
    with pytest.raises(FileError) as error:
        load_subject(write(tmp_path, "subject: x\nname: ''\nextra: 1\n"))
    assert len(error.value.problems) == 3

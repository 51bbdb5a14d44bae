"""The subject file: one person, read strictly and written so that it loads to the same person."""

import pytest

from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.population import draw, typical
from myoloop.experiments.subjects.presets import PRESETS
from myoloop.experiments.subjects.subject_file import load_subject, write_subject
from myoloop.platform.yamlfile import FileError


def write(tmp_path, text):
    path = tmp_path / "subject.yaml"
    path.write_text(text)
    return path


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
        ("subject: simulated\nname: VS\npreset: stroke\n", 3, "demo, able_bodied, acute_sci, chronic_sci"),
        ("subject: simulated\nname: VS\npreset: [demo]\n", 3, "allowed: demo"),
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


def test_a_file_may_name_the_group_that_the_person_is_drawn_from(tmp_path):
    path = write(tmp_path, "subject: simulated\nname: VS\npreset: chronic_sci\nseed: 4\n")
    assert load_subject(path)[1] == draw(4, "chronic_sci") != draw(4)


def test_a_group_without_a_seed_is_the_person_typical_of_it_unless_the_session_has_one(tmp_path):
    path = write(tmp_path, "subject: simulated\nname: VS\npreset: acute_sci\n")
    assert load_subject(path)[1] == typical("acute_sci")
    assert load_subject(path, seed=3)[1] == draw(3, "acute_sci")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_written_person_loads_to_the_same_person_whatever_the_sessions_seed(tmp_path, preset):
    path = tmp_path / "person.yaml"
    for person in (draw(11, preset), typical(preset)):
        write_subject(path, "P11", person)
        assert load_subject(path) == load_subject(path, seed=5) == ("P11", person)


def test_a_person_is_not_written_under_what_is_no_pseudonym(tmp_path):
    with pytest.raises(ValueError, match="pseudonym"):
        write_subject(tmp_path / "person.yaml", "Jane Doe", SubjectParameters())
    assert list(tmp_path.iterdir()) == []

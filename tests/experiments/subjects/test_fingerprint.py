"""The same virtual person has one fingerprint, whatever they are called and wherever they come from."""

from __future__ import annotations

from dataclasses import replace

from myoloop.experiments.subjects.fingerprint import fingerprint
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.subjects.subject_file import load_subject, write_subject


def test_a_drawn_person_and_their_file_are_the_same(tmp_path) -> None:
    person = draw(7, "chronic_sci")
    write_subject(tmp_path / "p.yaml", "VS007", person)
    assert fingerprint(load_subject(tmp_path / "p.yaml")[1]) == fingerprint(person)


def test_another_seed_another_group_and_another_parameter_are_another_person() -> None:
    person = draw(7, "chronic_sci")
    others = [draw(8, "chronic_sci"), draw(7, "able_bodied"), replace(person, strength=person.strength * (1 + 1e-15))]
    assert len({fingerprint(each) for each in [person, *others]}) == 4

"""Conventional TENS is felt and contracts nothing; what twitches or contracts is asked for otherwise."""

from __future__ import annotations

import pytest

from myoloop.experiments.protocols.lint import lint_file
from myoloop.experiments.protocols.schema import load_protocol, presets

TENS = presets()["neck_relax"].read_text(encoding="utf-8")
ASKED = "intensity: {ref: sensory, x: 1.5}"


@pytest.fixture
def found(tmp_path):
    """Errors of the preset in which one text became another."""

    def check(before, after):
        assert TENS.count(before) == 1
        path = tmp_path / "p.yaml"
        path.write_text(TENS.replace(before, after), encoding="utf-8")
        return [
            each.text for each in lint_file(path) if each.severity == "error" and "which is a contraction" in each.text
        ]

    return check


@pytest.mark.parametrize(
    "wanted", ["{ref: motor, x: 1.0}", "{ref: tolerance, x: 0.8}", "{ref: motor, share: 0.2, to: tolerance}"]
)
def test_at_a_tetanic_rate_it_refers_to_what_is_felt(found, wanted):
    assert found(ASKED, ASKED) == []
    (text,) = found(ASKED, f"intensity: {wanted}")
    assert text.endswith("at 80 Hz, which is a contraction: allowed for tens above 12 Hz is ref: sensory")


def test_twitches_may_refer_to_the_motor_threshold(found):
    assert found(ASKED, "intensity: {ref: motor, x: 1.2}\n      rate: 5 Hz") == []


def test_a_condition_is_held_to_the_same(found):
    moved = "intensity: {ref: motor, x: 1.1}"
    more = f"conditions: {{felt: {{}}, moved: {{{moved}}}, twitch: {{rate: 5 Hz, {moved}}}}}"
    assert len(found(ASKED, f"{ASKED}\n      {more}")) == 1


@pytest.mark.parametrize("name", ["crps_tens", "lbp_spasm_relief", "neck_relax", "spasticity_clonus"])
def test_what_ships_against_pain_is_felt_first(name):
    blocks = [item.block for item in load_protocol(name).phases if item.block is not None]
    assert blocks[0].intensity.ref == "sensory"
    rates = {block.rate_hz for block in blocks if block.intensity.ref == "motor"}
    assert rates <= {5.0}

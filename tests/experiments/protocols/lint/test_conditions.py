"""A condition of a block is held to everything that a block is: its width, its rate, its intensity."""

from __future__ import annotations

from pathlib import Path

import pytest

from myoloop.experiments.protocols.lint import errors, lint
from myoloop.experiments.protocols.schema import load_protocol

VISIT = (Path(__file__).parents[3] / "data" / "visit.yaml").read_text()
STRONG = "strong: {intensity: {ref: motor, share: 0.5, to: tolerance}, rate: 20 Hz}"


@pytest.mark.parametrize(
    ("strong", "said"),
    [
        ("{phase: 400 us}", "ext is used at 400 us, its thresholds were found at 250 us"),
        ("{phase: 450 us}", "found 450 us, allowed by the envelope is 100 to 400 us"),
        ("{rate: 90 Hz}", "found 90 Hz, allowed by the envelope is 2 to 80 Hz"),
        ("{intensity: {ref: tolerance, x: 1.0}}", "found 1 x tolerance, allowed is at most 0.9 x tolerance"),
        ("{intensity: {fixed: 5 mA}}", "found 5 mA as a fixed current, allowed for microcurrent only"),
    ],
)
def test_a_condition_is_held_to_what_a_block_is_held_to(tmp_path: Path, strong: str, said: str) -> None:
    path = tmp_path / "visit.yaml"
    path.write_text(VISIT.replace(STRONG, f"strong: {strong}"))
    found = [str(problem) for problem in errors(lint(load_protocol(str(path))))]
    assert any(said in line and "conditions.strong" in line for line in found), found


def test_a_threshold_that_only_a_condition_asks_for_must_be_measured(tmp_path: Path) -> None:
    path = tmp_path / "visit.yaml"
    path.write_text(VISIT.replace("order: [sensory, motor, tolerance]", "order: [sensory, motor]"))
    found = [str(problem) for problem in errors(lint(load_protocol(str(path))))]
    assert any("conditions.strong.intensity: refers to the tolerance threshold of ext" in line for line in found), found

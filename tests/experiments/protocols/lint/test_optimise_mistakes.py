"""An optimise phase that cannot be given, or whose choice is used wrongly, gets its one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from myoloop.experiments.protocols.lint import errors, lint, lint_file
from myoloop.experiments.protocols.plan import length_s
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.protocols.show import describe

TEXT = (Path(__file__).parents[3] / "data" / "set_up.yaml").read_text(encoding="utf-8")


def told(tmp_path, *changes: tuple[str, str]) -> list[str]:
    text = TEXT
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path = tmp_path / "p.yaml"
    path.write_text(text, encoding="utf-8")
    return [str(problem) for problem in errors(lint_file(path))]


def test_as_it_stands_nothing_is_wrong(tmp_path):
    assert told(tmp_path) == []


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("phases: [200 us, 250 us, 300 us]", "phases: [200 us, 300 us]",
         "optimise.phases: 250 us, with which ext is calibrated, is missing"),
        ("rates: [25 Hz, 35 Hz, 50 Hz]", "rates: [25 Hz, 50 Hz]",
         "optimise.rates: 35 Hz, with which ext is calibrated, is missing"),
        ("rates: [25 Hz, 35 Hz, 50 Hz]", "rates: [35 Hz, 90 Hz]", "found 90 Hz, allowed by the envelope is 2 to 80 Hz"),
        ("phases: [200 us, 250 us, 300 us]", "phases: [50 us, 250 us]",
         "found 50 us, allowed by the envelope is 100 to 400 us"),
        ("order: [motor, tolerance]", "order: [motor]",
         "no calibration before it finds the tolerance threshold of ext"),
        ("levels: [0.3, 0.6, 0.9]", "levels: [0.6, 0.3]", "levels must rise, each once"),
        ("rest: 3 s", "rest: 1 s", "found 57% duty, allowed by the envelope's duty_max is 33%"),
        ("total_on: 4 min", "total_on: 30 s", "allowed by the envelope's total_on is 30 s"),
        ("trials: 8", "trials: 61", "optimise.trials: found 61, allowed: at most 60"),
        ("response: mwave", "response: mwave\n      channels: [thumb]",
         "found 'thumb', allowed is a channel of stimulation: ext, flex"),
        ("{ref: optimum, x: 0.9}", "{ref: optimum, x: 1.1}", "found 1.1 x optimum, allowed is at most 1"),
        ("{ref: optimum, x: 0.9}", "{ref: optimum, share: 0.5}", "optimum is one current"),
        ("{ref: optimum, x: 0.9}", "{ref: optimum, x: 0.9}\n      rate: 30 Hz", "found a rate beside the optimum"),
    ],
)  # fmt: skip
def test_each_mistake_gives_its_line(tmp_path, before, after, line):
    problems = told(tmp_path, (before, after))
    assert any(line in problem for problem in problems), problems


def test_movement_needs_an_imu_and_a_rest_that_was_seen(tmp_path):
    moved = ("response: mwave", "response: movement")
    assert told(tmp_path, moved) == []
    assert "but devices has no imu" in told(tmp_path, moved, ("  imu: {optional: false}\n", ""))[0]
    assert "no rest phase with baseline" in told(tmp_path, moved, ("  - rest: {name: begin, duration: 5 s}\n", ""))[0]


def test_a_block_at_the_optimum_needs_an_optimisation_before_it(tmp_path):
    begin, end = TEXT.index("  - optimise:"), TEXT.index("  - block:")
    assert "no optimise phase comes before it" in told(tmp_path, (TEXT[begin:end], ""))[0]


def test_a_sham_arm_would_show(tmp_path):
    arms = ("controller: {policy", "arms: {real: {treatment: active}, sham: {treatment: sham}}\ncontroller: {policy")
    assert any("found with the arm sham, a sham" in problem for problem in told(tmp_path, arms))


def test_it_is_told_in_words_and_counted_in_the_length(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(TEXT, encoding="utf-8")
    protocol = load_protocol(path)
    assert not errors(lint(protocol))
    text = describe(protocol)
    assert "choose among ext, flex, 200, 250, 300 us, 25, 35, 50 Hz" in text
    assert "at 0.9 x the current that was chosen, with its pads, width and rate" in text
    path.write_text(TEXT.replace("trials: 8", "trials: 9"), encoding="utf-8")
    assert length_s(load_protocol(path))[1] == pytest.approx(length_s(protocol)[1] + 4.3)

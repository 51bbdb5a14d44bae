"""Task and reward files: read strictly, every mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from myoloop.experiments.training.reward import Cost, Reward
from myoloop.experiments.training.stimulated import EnvelopeTooWide
from myoloop.experiments.training.task import BUILT_IN, Task, load_task
from myoloop.platform.yamlfile import FileError

_REWARD = "{tracking: 0.5, fatigue: 150, charge: 0.2}"


@pytest.mark.parametrize("name", BUILT_IN)
def test_tasks_that_come_along_can_be_read_and_told_as_plain_data(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    assert Task.model_validate(task.model_dump(mode="json")) == task
    assert Task.model_validate_json(task.model_dump_json()) == task


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("trial: {ramp_s: 1.0, hold_s: 3.003}", "hold_s: found 3.003, allowed is a multiple of 0.01"),
        ("trial: {ramp_up_s: 1.0}", "trial.ramp_up_s: unknown key"),
        ("trial: {hold_s: 30}", "trial.hold_s: found 30, allowed: at most 15"),
        ("target_share: .nan", "target_share: found nan, allowed: a finite number"),
        ("target_share: -1", "target_share: found -1, allowed: more than 0"),
        ("people: {preset: martians}", "people.preset: found 'martians', allowed: 'demo', 'able_bodied', 'acute_sci'"),
        ("faults: [{kind: lost}]", "faults[0].kind: found 'lost', allowed: 'force_lost', 'force_stuck'"),
        ("faults: [{kind: force_lost, factor: 2}]", "factor says nothing of force_lost"),
        ("faults: [{kind: threshold_drift}]", "for_s is needed"),
        ("envelope: {duty_max: 0.7}", "envelope.duty_max: found 0.7, allowed: at most 0.5"),
        ("trial: {hold_s: 6}", "a train of 8 s, allowed is up to envelope.on_s_max (6 s)"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_is_allowed(tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "task.yaml"
    file.write_text(f"name: mine\nreward: {_REWARD}\n{line}\n", encoding="utf-8")
    with pytest.raises(FileError) as error:
        load_task(file)
    (problem,) = error.value.problems
    assert told in problem
    assert problem.startswith(f"{file}:{1 if 'on_s_max' in told else 3}: ")


def test_a_mistake_in_the_reward_file_is_told_with_its_own_line(tmp_path: Path) -> None:
    (tmp_path / "reward.yaml").write_text("tracking: 0.5\nfatigue: -1\ncharge: 0.2\njoy: 1\n", encoding="utf-8")
    file = tmp_path / "task.yaml"
    file.write_text("name: mine\nreward: reward.yaml\n", encoding="utf-8")
    with pytest.raises(FileError) as error:
        load_task(file)
    assert error.value.problems[0] == f"{tmp_path / 'reward.yaml'}:2: fatigue: found -1, allowed: at least 0"
    assert error.value.problems[1].startswith(f"{tmp_path / 'reward.yaml'}:4: joy: unknown key")


def test_a_reward_file_that_is_not_there_is_named_with_the_tasks_line(tmp_path: Path) -> None:
    file = tmp_path / "task.yaml"
    file.write_text("name: mine\nreward: nowhere.yaml\n", encoding="utf-8")
    with pytest.raises(FileError, match=r"task\.yaml:2: reward: found 'nowhere\.yaml', there is no file"):
        load_task(file)


def test_a_changed_task_is_checked_as_a_file_is() -> None:
    task = load_task("isometric_hold")
    assert task.changed(target_share=0.3).target_share == 0.3
    with pytest.raises(ValueError, match="target_share"):
        task.changed(target_share=2.0)


def test_limits_that_the_gate_refuses_are_told_in_one_line() -> None:
    from myoloop.experiments.training.cases import task_cases
    from myoloop.experiments.training.stimulated import Armed

    task = load_task("isometric_hold")
    too_dear = task.changed(
        envelope={**task.envelope.model_dump(), "session_charge_mc_max": 19999.0, "pad_area_cm2": 6}
    )
    Armed(task_cases(too_dear, [1])[0], too_dear, 10**9)
    narrow = task.envelope.model_copy(update={"duty_max": 0.9})
    with pytest.raises(EnvelopeTooWide, match=r"task isometric_hold: .*duty_max: found 0\.9, allowed is above 0"):
        Armed(task_cases(task, [1])[0], task.model_copy(update={"envelope": narrow}), 10**9)


def test_a_reward_is_the_weighted_cost_and_pain_begins_beyond_comfort() -> None:
    reward = Reward(tracking=1.0, fatigue=10.0, charge=0.5, gate=2.0, pain=3.0, comfortable_share=0.8)
    assert reward.of(Cost(tracking=0.1, fatigue=0.01, charge=1.0, gate=0.5, pain=0.2)) == pytest.approx(-2.3)
    assert reward.pain_of(0.8) == 0.0
    assert reward.pain_of(0.9) == pytest.approx(0.5)
    assert reward.pain_of(1.0) == pytest.approx(1.0)

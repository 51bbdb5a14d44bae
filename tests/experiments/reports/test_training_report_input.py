"""What a training report is made from may be missing or damaged: then it is one line, and nothing is written."""

from __future__ import annotations

from typing import Any

import pytest

from myoloop.experiments.reports.training import write_training_report
from myoloop.experiments.reports.training_results import TrainingReportError


def changed(data: dict[str, Any], keys: str, to: object) -> dict[str, Any]:
    """With one key replaced; ``a.b`` is b of a."""
    *path, last = keys.split(".")
    at = data
    for key in path:
        at = at[key]
    at[last] = to
    return data


@pytest.mark.parametrize(
    ("name", "keys", "to", "said"),
    [
        ("training", "format", "x", r"training\.json: format: found 'x'"),
        ("training", "budget_uc", "much", r"Expected `float`, got `str` - at `\$\.budget_uc`"),
        ("training", "task.target_share", 7, r"training\.json: task\.target_share: "),
        ("training", "curves", [], r"curves: found none"),
        ("training", "people", {}, r"missing required field `fitted` - at `\$\.people`"),
        ("evaluation", "controllers.fitted_q", {}, r"at `\$\.controllers\[\.\.\.\]`"),
        ("evaluation", "people", ["a", "b", "c"], r"found 12 values for 3 people"),
        ("evaluation", "controllers", {}, r"controllers: fitted_q is missing"),
        ("evaluation", "people", [], r"people: found nobody"),
        ("evaluation", "sim_to_real", {"people": 3}, r"at `\$\.sim_to_real\.people`"),
        ("evaluation", "off_policy.log", {}, r"missing required field `decisions` - at `\$\.off_policy\.log`"),
        ("training", "plan", {"held_out_share": "much"}, r"at `\$\.plan\.held_out_share`"),
        ("estimators", "size", 3, r"estimators\.json: is damaged"),
        ("set_up", "each", [{}], r"set_up\.json: is damaged"),
    ],
)
def test_what_is_damaged_is_one_line_that_names_file_and_key(tmp_path, known_training, name, keys, to, said):
    data = changed(getattr(known_training, name)(), keys, to)
    known_training.put(tmp_path / "t", **{"training": known_training.training(), name: data})
    with pytest.raises(TrainingReportError, match=said) as raised:
        write_training_report(tmp_path / "t")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "t" / "report").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": NaN}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_one_line(tmp_path, content, known_training):
    known_training.put(tmp_path / "t", training=known_training.training())
    (tmp_path / "t" / "evaluation.json").write_bytes(content)
    with pytest.raises(TrainingReportError, match=r"evaluation\.json: is damaged") as raised:
        write_training_report(tmp_path / "t")
    assert "\n" not in str(raised.value)


def test_where_there_is_no_training_it_says_so(tmp_path, known_training):
    with pytest.raises(TrainingReportError, match="there is no such folder"):
        write_training_report(tmp_path / "none")
    with pytest.raises(TrainingReportError, match=r"holds no training, there is neither training\.json nor eval"):
        write_training_report(tmp_path)
    known_training.put(tmp_path, training=known_training.training())
    with pytest.raises(TrainingReportError, match=r"found no dataset, no estimators\.json"):
        write_training_report(tmp_path, also=[tmp_path / "else"])
    with pytest.raises(TrainingReportError, match="is neither"):
        write_training_report(
            tmp_path, also=[known_training.put(tmp_path / "other", estimators={"x": 1}) / "estimators.json"]
        )

"""A person at a console instead of a script: what cannot be both is one line, before anything is made."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.sessions.acting import is_by_hand


@pytest.mark.parametrize("who", ["--desk", "--console"])
@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--script", "{script}"], "--script: a person acts with --desk and --console, no script"),
        (["--speed", "max"], "--speed: a person acts with --desk and --console: allowed is real"),
    ],
)
@pytest.mark.parametrize(
    "verb", [["run", "demo", "--subject", "SIM1"], ["resume", "ses-01", "--continue", "--why", "power cut"]]
)
def test_a_person_acts_in_real_time_and_no_script_beside(tmp_path, verb, who, more, line):
    script = tmp_path / "script.yaml"
    script.write_text("acts: []\n", encoding="utf-8")
    given = [each.format(script=script) for each in more]
    done = CliRunner().invoke(app, [*verb, *(["--out", str(tmp_path / "study")] if "run" in verb else []), who, *given])
    assert done.exit_code == 2
    assert line in f"{done.stderr}{done.exception}"
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("rig_class", "at_desk", "at_keys", "by_hand"),
    [
        ("SIM", False, True, False), ("BENCH", False, True, False), ("HUMAN", False, True, True),
        ("SIM", True, False, True), ("BENCH", True, True, True), ("HUMAN", True, False, True),
        ("HUMAN", False, False, False),
    ],
)  # fmt: skip
def test_at_a_desk_a_person_serves_on_any_rig_at_the_keys_where_somebody_could_be_hurt(
    rig_class, at_desk, at_keys, by_hand
):
    assert is_by_hand(rig_class, at_desk=at_desk, at_keys=at_keys) is by_hand

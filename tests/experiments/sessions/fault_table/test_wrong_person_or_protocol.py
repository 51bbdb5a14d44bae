"""users.md 4b: wrong subject id, wrong protocol; through the program, as an operator meets them."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.run import prepare
from myoloop.experiments.studies.courselog import plan_line, plan_of
from myoloop.experiments.studies.identity import Cost, add_identity, create_key_file, make_identity
from myoloop.experiments.studies.personrecord import append_record

TABLE = Path(__file__).parent / "table.yaml"
PASSPHRASE = "correct horse battery"


@pytest.fixture
def run(tmp_path):
    """``myoloop run`` of P1, who is A.B., born in 1980."""
    key = tmp_path / "identity.key"
    create_key_file(key, PASSPHRASE, cost=Cost(n=1 << 10))
    add_identity(key, PASSPHRASE, "P1", make_identity("AB", 1980))

    def ran(*more: str, passphrase: str | None = PASSPHRASE) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "MYOLOOP_KEYFILE_PASSPHRASE"}
        if passphrase is not None:
            environment["MYOLOOP_KEYFILE_PASSPHRASE"] = passphrase
        command = [sys.executable, "-P", "-m", "myoloop", "run", str(TABLE), "--subject", "P1", "--speed", "max"]
        return subprocess.run(
            [*command, "--out", str(tmp_path / "study"), "--identity", str(key), *more],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False, env=environment,
        )  # fmt: skip

    return ran


def test_a_mistyped_code_is_refused_with_one_line_before_anything_is_made(run, tmp_path):
    done = run("--second", "XZ 1977")
    assert done.returncode == 2
    assert "identity: the second identifier is not that of P1" in done.stderr
    assert not list(tmp_path.glob("study/sub-*/ses-*"))
    assert not any(word in done.stderr + done.stdout for word in ("XZ", "1977", "AB", "1980"))


def test_the_right_person_goes_on_and_the_second_identifier_stands_nowhere(run, tmp_path):
    done = run("--second", "ab 1980")
    assert done.returncode == 0, done.stderr
    kept = [path.read_bytes() for path in (tmp_path / "study").rglob("*") if path.is_file()]
    assert kept
    assert not any(b"ab 1980" in each.lower() or PASSPHRASE.encode() in each for each in kept)


@pytest.mark.parametrize(
    ("more", "passphrase", "said"), [((), PASSPHRASE, "--second"), (("--second", "AB 1980"), None, "PASSPHRASE")]
)
def test_without_a_terminal_nothing_is_asked(run, more, passphrase, said, tmp_path):
    done = run(*more, passphrase=passphrase)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "study").exists()


def test_a_wrong_protocol_is_refused_before_anything_is_made(tmp_path):
    begun = load_protocol("crps_motor_reeducation")
    day = datetime.now(UTC) - timedelta(days=2)
    append_record(tmp_path, "P1", "course", plan_line(plan_of(begun.course, "UTC"), "0" * 64, day))
    with pytest.raises(
        ValueError, match=r"protocol: found emgtrig_wrist_stroke .* P1 is in a course of sha256 000000000000"
    ):
        prepare("emgtrig_wrist_stroke", subject="P1", rig=None, study=tmp_path, seed=1)
    assert not list(tmp_path.glob("sub-P1/ses-*"))

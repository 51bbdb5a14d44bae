"""Who may have a session now: a signed protocol, a course that allows it, values that are the person's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from myoloop.experiments.protocols.evidence import safety_parameters
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions import run
from myoloop.experiments.sessions.admission import RefusedError, admit
from myoloop.experiments.sessions.setup import SetupError
from myoloop.experiments.sessions.simulated_rig import simulated_rig_data
from myoloop.experiments.sessions.survey import survey
from myoloop.experiments.studies.courselog import begun_line, ended_line, plan_line, plan_of
from myoloop.experiments.studies.identity import (
    Cost,
    SecondCheck,
    add_identity,
    create_key_file,
    make_identity,
    parse_identity,
)
from myoloop.experiments.studies.personrecord import append_record
from myoloop.experiments.studies.progression import Change, Result, change_line, flare_line, result_line
from myoloop.experiments.studies.signatures import sha256_of, sign
from myoloop.platform.errors import UserError
from myoloop.platform.rig import Rig

PROTOCOL = load_protocol("crps_motor_reeducation")
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
DOSE = {"on_s": 100.0, "charge_mc": 5.0, "pulses": 3500}
PASSPHRASE = "correct horse battery"
SHARE = "phases[7].block.intensity.share"


def booked(study: Path, session: int, begin: datetime, outcome: str = "complete", attempt: int = 1) -> None:
    if session == attempt == 1:
        plan = plan_of(PROTOCOL.course, "UTC", ("principal investigator",))
        append_record(study, "P1", "course", plan_line(plan, sha256_of(Path(PROTOCOL.path)), begin))
    append_record(study, "P1", "course", begun_line(session, attempt, begin, **DOSE))
    if outcome:
        end = begin + timedelta(minutes=30)
        append_record(study, "P1", "course", ended_line(session, attempt, end, outcome, **DOSE, tolerance_share=0.5))


def second_check(keys: Path, said: str = "AB 1980") -> SecondCheck:
    """P1 is A.B., born in 1980; somebody says who they are."""
    keys.mkdir()
    path = keys / "identity.key"
    create_key_file(path, PASSPHRASE, cost=Cost(n=1 << 10))
    add_identity(path, PASSPHRASE, "P1", make_identity("A.B.", 1980))
    return SecondCheck(path, PASSPHRASE, parse_identity(said))


def test_the_first_session_is_smaller(tmp_path: Path) -> None:
    found = admit(tmp_path, "P1", PROTOCOL, "SIM", NOW)
    assert found.caps is not None
    assert (found.caps.current_share, found.caps.on_share) == (0.8, 0.6)
    assert found.counted
    assert found.held == 0


def test_after_a_whole_session_the_next_is_whole(tmp_path: Path) -> None:
    booked(tmp_path, 1, NOW - timedelta(days=2))
    found = admit(tmp_path, "P1", PROTOCOL, "SIM", NOW)
    assert found.caps is None
    assert found.held == 1


def test_a_visit_on_which_nothing_was_given_leaves_the_next_session_the_first(tmp_path: Path) -> None:
    booked(tmp_path, 1, NOW - timedelta(days=4), outcome="refused")
    found = admit(tmp_path, "P1", PROTOCOL, "SIM", NOW)
    assert found.held == 0
    assert found.caps is not None
    booked(tmp_path, 2, NOW - timedelta(days=2), outcome="stopped")
    assert admit(tmp_path, "P1", PROTOCOL, "SIM", NOW, session=2).held == 0
    assert admit(tmp_path, "P1", PROTOCOL, "SIM", NOW).held == 1


def test_a_session_inside_the_gap_is_refused_with_the_moment_from_which_it_may_be(tmp_path: Path) -> None:
    booked(tmp_path, 1, NOW - timedelta(hours=3))
    with pytest.raises(RefusedError) as refused:
        admit(tmp_path, "P1", PROTOCOL, "SIM", NOW)
    (gap, *_) = str(refused.value).splitlines()
    assert gap.startswith("gap: ")
    assert "allowed from 2026-11-22 02:00" in gap
    assert admit(tmp_path, "P1", PROTOCOL, "SIM", NOW + timedelta(hours=18)).held == 1


def test_an_attempt_that_has_no_end_keeps_the_next_session_from_beginning_but_not_its_own_next_attempt(
    tmp_path: Path,
) -> None:
    booked(tmp_path, 1, NOW - timedelta(days=3), outcome="")
    with pytest.raises(RefusedError, match="unfinished"):
        admit(tmp_path, "P1", PROTOCOL, "SIM", NOW)
    assert admit(tmp_path, "P1", PROTOCOL, "SIM", NOW, session=1).counted


def test_a_protocol_without_a_course_counts_nothing(tmp_path: Path) -> None:
    found = admit(tmp_path, "P1", load_protocol("demo"), "SIM", NOW)
    assert (found.caps, found.counted) == (None, False)


def test_a_person_is_stimulated_by_what_a_clinician_has_signed_only(tmp_path: Path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    with pytest.raises(RefusedError, match=r"not signed: .*no clinician has signed this protocol"):
        admit(study, "P1", PROTOCOL, "HUMAN", NOW)
    parameters = [(each.path, each.written, each.grade) for each in safety_parameters(PROTOCOL)]
    sign(
        study, sha256_of(Path(PROTOCOL.path)), parameters, name="Dr A", role="physician",
        day=NOW.date(), wall=NOW,
    )  # fmt: skip
    assert admit(study, "P1", PROTOCOL, "HUMAN", NOW, identity=second_check(tmp_path / "keys")).counted


def test_values_that_progression_has_moved_are_the_persons_own(tmp_path: Path) -> None:
    booked(tmp_path, 1, NOW - timedelta(days=2))
    append_record(
        tmp_path, "P1", "progression", result_line(Result(1, "session_end", {"effort_started_share": 0.3}), NOW)
    )
    moved = Change(1, "more help after failure", SHARE, 0.2, 0.25, "0.3 is below 0.5", 1)
    append_record(tmp_path, "P1", "progression", change_line(moved, NOW))
    assert admit(tmp_path, "P1", PROTOCOL, "SIM", NOW).personal == {SHARE: 0.25}


def test_after_a_flare_the_next_session_lasts_half_as_long(tmp_path: Path) -> None:
    booked(tmp_path, 1, NOW - timedelta(days=2))
    append_record(tmp_path, "P1", "progression", result_line(Result(1, "session_end", {}, flare=True), NOW))
    caps = admit(tmp_path, "P1", PROTOCOL, "SIM", NOW).caps
    assert caps is not None
    assert (caps.current_share, caps.on_share) == (1.0, 0.5)
    # It is known that this is for the flare: told again today, it takes no more away.
    assert caps.flare_share == 0.5


def test_after_a_flare_in_a_session_that_was_cut_short_its_next_attempt_is_smaller_too(tmp_path: Path) -> None:
    booked(tmp_path, 1, NOW - timedelta(days=4))
    booked(tmp_path, 2, NOW - timedelta(days=1), outcome="stopped")
    append_record(tmp_path, "P1", "progression", flare_line(2, NOW, "the person", "told in a form"))
    caps = admit(tmp_path, "P1", PROTOCOL, "SIM", NOW, session=2).caps
    assert caps is not None
    assert (caps.on_share, caps.flare_share) == (0.5, 0.5)


def test_a_mistake_in_the_studys_own_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("zone: Middle/Earth\n")
    with pytest.raises(ValueError, match=r"study.yaml:1: zone: found 'Middle/Earth'"):
        admit(tmp_path, "P1", PROTOCOL, "SIM", NOW)


def test_on_a_human_rig_nobody_is_taken_at_their_code_alone(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="identity: who P1 is was not checked; needed are --identity FILE and"):
        admit(tmp_path, "P1", PROTOCOL, "HUMAN", NOW)
    assert admit(tmp_path, "P1", PROTOCOL, "SIM", NOW).counted


@pytest.mark.parametrize("said", ["AC 1980", "AB 1981"])
def test_another_second_identifier_is_refused_without_repeating_it(tmp_path: Path, said: str) -> None:
    check = second_check(tmp_path / "keys", said)
    with pytest.raises(RefusedError) as refused:
        admit(tmp_path / "study", "P1", PROTOCOL, "BENCH", NOW, identity=check)
    (line,) = str(refused.value).splitlines()
    assert line.startswith("identity: the second identifier is not that of P1")
    assert not any(word in line + repr(check) for word in (*said.split(), PASSPHRASE))


def test_a_person_who_is_not_in_the_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="P2 is not in it; who this is cannot be checked"):
        admit(tmp_path / "study", "P2", PROTOCOL, "SIM", NOW, identity=second_check(tmp_path / "keys"))


@pytest.mark.parametrize("text", ["", "AB", "1980", "AB 80", "AB1980", "A2 1980", "AB 1980 x"])
def test_what_is_no_second_identifier_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_identity(text)
    assert not text or text not in str(refused.value).partition("such as")[0]


def test_a_course_is_not_gone_on_with_by_another_protocol(tmp_path: Path) -> None:
    booked(tmp_path, 1, NOW - timedelta(days=2))
    other = load_protocol("emgtrig_wrist_stroke")
    with pytest.raises(RefusedError) as refused:
        admit(tmp_path, "P1", other, "SIM", NOW)
    (line,) = [each for each in str(refused.value).splitlines() if each.startswith("protocol: ")]
    mine = sha256_of(Path(PROTOCOL.path))[:12]
    assert line.startswith(f"protocol: found emgtrig_wrist_stroke {other.protocol.version}, sha256 ")
    assert line.endswith(f"P1 is in a course of sha256 {mine}; allowed is that very file")


def test_the_protocol_that_is_allowed_is_named_where_it_was_kept(tmp_path: Path) -> None:
    booked(tmp_path, 1, NOW - timedelta(days=2))
    kept = tmp_path / "sub-P1" / "ses-01" / "att-1" / "protocol.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(Path(PROTOCOL.path).read_bytes())
    with pytest.raises(RefusedError, match=f"kept as {kept}"):
        admit(tmp_path, "P1", load_protocol("emgtrig_wrist_stroke"), "SIM", NOW)
    assert admit(tmp_path, "P1", load_protocol(str(kept)), "SIM", NOW).held == 1


def test_a_person_in_a_course_gets_no_protocol_without_one_on_a_human_rig(tmp_path: Path) -> None:
    booked(tmp_path, 1, NOW - timedelta(days=2))
    demo = load_protocol("demo")
    assert not admit(tmp_path, "P1", demo, "SIM", NOW).counted
    with pytest.raises(RefusedError, match="protocol: found demo"):
        admit(tmp_path, "P1", demo, "HUMAN", NOW)


@pytest.mark.parametrize(("before", "now"), [("SIM", "HUMAN"), ("BENCH", "HUMAN"), ("HUMAN", "SIM"), ("", "HUMAN")])
def test_rehearsals_and_sessions_of_a_person_are_never_one_course(tmp_path: Path, before: str, now: str) -> None:
    kept = tmp_path / "sub-P1" / "ses-01" / "att-1" / "rig.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_text(f"rig: {{id: bench, class: {before}}}\n" if before else "rig: [\n")
    with pytest.raises(
        RefusedError, match=rf"rehearsal: sub-P1/ses-01/att-1 is of a {before or 'unknown'} rig, .*{now}"
    ):
        admit(tmp_path, "P1", PROTOCOL, now, NOW)


def test_rehearsals_may_follow_one_another(tmp_path: Path) -> None:
    kept = tmp_path / "sub-P1" / "ses-01" / "att-1" / "rig.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_text("rig: {id: bench, class: BENCH}\n")
    assert admit(tmp_path, "P1", PROTOCOL, "SIM", NOW).counted


def test_a_real_device_is_on_no_rig_where_nobody_is_screened(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig.model_validate(simulated_rig_data(load_protocol("demo")))
    known = survey(rig)
    real = rig.nodes["stimulator"].model_copy(update={"driver": "labs_own"})
    monkeypatch.setattr(run, "survey", lambda rig: known)
    with pytest.raises(SetupError, match="found 'labs_own', allowed on a SIM rig is simulated"):
        run.check(load_protocol("demo"), rig.model_copy(update={"nodes": {**rig.nodes, "stimulator": real}}))

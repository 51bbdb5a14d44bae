"""Thresholds and pain at light touch from session to session, and nothing of the arm."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from myoloop.experiments.analysis.sensitivity import Found, Sensitivity, Visit, sensitivity_of
from myoloop.experiments.analysis.session import load
from myoloop.experiments.analysis.tracks import EventRow
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.reports.sensitivity import light_touch, thresholds
from myoloop.experiments.reports.session import write_report
from myoloop.experiments.reports.tables import Table
from myoloop.experiments.sessions.blinding import allocated
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.script import Script
from myoloop.experiments.sessions.setup import make_setup
from myoloop.experiments.sessions.simulated_rig import simulated_rig
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.platform import sealed
from myoloop.platform.messages import Trial
from myoloop.platform.recording.folder import create_attempt, keep_copy
from myoloop.platform.recording.reader import Recording
from myoloop.platform.yamlfile import parse_yaml

PROTOCOL = """
protocol: {id: felt, version: 1.0.0, schema: 1, title: What is felt, rigs: [SIM], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [arm]}
  stim: {class: mA, min_step: 1 mA}
sites:
  arm: {muscle: wrist extensors, side: left, pad: 5x5 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 30 mA, current_calibrating: 30 mA, step: 2 mA, slew: 20 mA/s}
stimulation:
  c1: {site: arm, phase: 250 us, rate: 35 Hz}
phases:
  - questions: {forms: [pads, allodynia_map]}
  - calibration: {order: [sensory, motor], start: 1 mA, step: 1 mA, stop_at: 20 mA, interval: 1.2 s, burst: 0.4 s}
  - block: {name: train, trials: 1, machine: cyclic, ramp_up: 0.3 s, hold: 0.5 s, ramp_down: 0.2 s, rest: 0.5 s,
            intensity: {ref: motor, x: 1.0}}
controller: {policy: open_loop, reflex: {spasm: {enabled: false}}}
stop_rules: [{session_max: 3 min}, {pain_ceiling: 9}]
outcomes: {primary: sensory_threshold}
arms:
  quokkaverum: {treatment: active}
  numbatscheinarm: {treatment: sham}
allocation: {method: simple, list: LIST, emergency_unblinding: {roles: [pi]}}
sham: {type: zero_current, check: {during: true, after: true}}
"""
SCRIPT = """
date: DATE
operator: {name: A. Smith, role: operator, reaction: 0.2 s}
others: clear
forms:
  pads.arm: {pads_sound: "yes", lot: LOT, material: gel, uses: 1, uses_max: 20, expires_on: 2027-11-21}
  allodynia_map.arm: {brush: 1, brush_worst: BRUSH, worst_at: back of the hand, zone_cm: 9.5}
"""
ARMS = {"quokkaverum": 1, "numbatscheinarm": 2}
BEGIN = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
#: Planted, session by session: sensory threshold, lot of the pads, pain at light touch.
COURSE = ((1.0, "A7", 6), (1.5, "A7", 5), (2.25, "B2", 3))


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By arm: the folder of the last of three sessions, in a blinded study of one person."""
    return {arm: _study(arm, tmp_path_factory.mktemp("study")) for arm in ARMS}


def _study(arm: str, place: Path) -> Path:
    study, key, secret = place / "study", place / "study.key", sealed.StudyKey(bytes(range(32)))
    study.mkdir()
    sealed.write_key(key, secret)
    content = sealed.seal_list(secret.public, [(number, "", "", name) for name, number in ARMS.items()])
    (study / sealed.LIST_FILE).write_bytes(content)
    path = place / "felt.yaml"
    path.write_text(PROTOCOL.replace("LIST", hashlib.sha256(content).hexdigest()), encoding="utf-8")
    protocol = load_protocol(path)
    for number, (sensory_uc, lot, brush) in enumerate(COURSE, 1):
        begin = BEGIN + timedelta(days=7 * (number - 1))
        folder = create_attempt(study, "P017", number)
        person = SubjectParameters(sensory_uc=sensory_uc, first_spasm_s=600.0, muscle_spread=0.0)
        setup = make_setup(
            protocol, simulated_rig(protocol), subject="P017", session=f"s{number}", folder=folder, parameters=person,
            seed=1, allocated=allocated(protocol, study / sealed.LIST_FILE, ARMS[arm], key),
        )  # fmt: skip
        text = SCRIPT.replace("DATE", f"{begin:%Y-%m-%dT%H:%M}").replace("LOT", lot).replace("BRUSH", str(brush))
        script = Script.model_validate(parse_yaml(text)[0])
        copied = dict([keep_copy(folder, "protocol.yaml", path.read_bytes())])
        lockstep = Lockstep(
            replace(setup, copies=copied), wall_start_ns=round(begin.timestamp()) * 10**9, script=script
        )
        ended = lockstep.run()
        assert (ended.outcome, ended.reason) == ("complete", ""), ended.reason
    return folder


def tables_of(folder: Path) -> tuple[Table, Table]:
    told = sensitivity_of(load(folder))
    assert not told.problems
    found, touched = thresholds(told, load_protocol(folder / "protocol.yaml"), blinded=True), light_touch(told)
    assert found is not None
    assert touched is not None
    return found, touched


def column(table: Table | None, name: str) -> list[str]:
    assert table is not None
    return [row[table.columns.index(name)] for row in table.rows]


def test_thresholds_stand_with_their_dates_as_charge_and_follow_what_is_planted(studies: dict[str, Path]) -> None:
    found, _ = tables_of(studies["quokkaverum"])
    assert column(found, "date (UTC)") == ["2026-11-21", "2026-11-28", "2026-12-05"]
    for said, (planted_uc, _, _) in zip(column(found, "sensory (µC)"), COURSE, strict=True):
        # Found on the step above it; steps are of 1 mA and 250 us.
        assert 0.0 <= float(said) - planted_uc <= 2 * 0.25
    assert len(set(column(found, "motor (µC)"))) == 1
    assert column(found, "tolerance (µC)") == ["–"] * 3, "not looked for"
    first, *later = map(float, column(found, "sensory (µC)"))
    assert column(found, "sensory, of the first (%)") == ["–", *(f"{100 * each / first:.0f}" for each in later)]


def test_other_pads_are_marked(studies: dict[str, Path]) -> None:
    found, _ = tables_of(studies["quokkaverum"])
    assert column(found, "electrodes and conditions") == ["–", "–", "other pads: lot B2, before A7"]


def test_pain_at_light_touch_is_told_site_by_site(studies: dict[str, Path]) -> None:
    _, touched = tables_of(studies["quokkaverum"])
    assert column(touched, "site") == ["arm"] * 3
    assert column(touched, "at the pads (0 to 10)") == ["1"] * 3
    assert column(touched, "where it is worst (0 to 10)") == ["6", "5", "3"]
    assert column(touched, "same place, other side (0 to 10)") == ["–"] * 3


def test_the_report_of_a_visit_shows_it(studies: dict[str, Path], tmp_path: Path) -> None:
    page = write_report(studies["quokkaverum"], tmp_path).read_text(encoding="utf-8")
    assert "Thresholds from session to session" in page
    assert "other pads: lot B2, before A7" in page
    assert "Pain at light touch" in page
    assert "back of the hand" in page
    assert "a trend is no effect" in " ".join(page.split())


def test_it_is_the_same_in_every_arm_and_names_none(studies: dict[str, Path]) -> None:
    verum, sham = (tables_of(folder) for folder in studies.values())
    assert verum == sham
    assert "real current in every arm" in verum[0].caption
    said = repr(verum).casefold()
    assert not any(arm in said for arm in (*ARMS, "sham"))


def test_nothing_sealed_is_read(studies: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    session, frames = load(studies["numbatscheinarm"]), Recording.frames
    asked = []

    def watched(recording: Recording, topics: Any = None) -> Any:
        asked.append(topics)
        return frames(recording, topics)

    monkeypatch.setattr(Recording, "frames", watched)
    assert len(sensitivity_of(session).visits) == 3
    assert asked == [{"trial", "event"}] * 2


def test_an_earlier_visit_shows_only_what_was_before_it(studies: dict[str, Path]) -> None:
    second = studies["quokkaverum"].parents[1] / "ses-02" / "att-1"
    assert [visit.session for visit in sensitivity_of(load(second)).visits] == [1, 2]


def test_a_recording_that_cannot_be_read_is_named_and_the_others_stand(
    studies: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(studies["quokkaverum"].parents[2], tmp_path / "study")
    person = tmp_path / "study" / "sub-P017"
    broken = person / "ses-01" / "att-1" / "session.mcap"
    data = bytearray(broken.read_bytes())
    data[len(data) // 2] ^= 0xFF
    broken.write_bytes(data)
    told = sensitivity_of(load(person / "ses-03" / "att-1"))
    assert [visit.session for visit in told.visits] == [2, 3]
    (problem,) = told.problems
    assert problem.startswith("ses-01/att-1 is not among the earlier sessions: ")


def felt(sensory_ma: float, phase_us: float = 250.0) -> Trial:
    values: dict[str, Any] = {"channel": "c1", "sensory_ma": sensory_ma, "motor_ma": None, "phase_us": phase_us}
    return Trial(t_ns=0, kind="threshold", name="", block=1, trial=1, outcome="found", begin_ns=0, values=values)


def test_electrodes_that_were_changed_within_a_session_are_marked_from_then_on() -> None:
    session: Any = SimpleNamespace(
        path=Path("somewhere.mcap"), wall_start=None, simulated=False, trials=(felt(4.0), felt(6.0)),
        trial_times_s=((0.0, None, 10.0), (30.0, None, 40.0)),
        events=(EventRow(20.0, "electrode_changed", "director", "pad came off", {}),),
    )  # fmt: skip
    table = thresholds(sensitivity_of(session), None, blinded=False)
    assert column(table, "date (UTC)") == ["not known"] * 2
    assert column(table, "sensory (µC)") == ["1.00", "1.50"]
    assert column(table, "electrodes and conditions") == [
        "–", "electrodes changed in this session: pad came off; measured anew"
    ]  # fmt: skip


def visit(number: int, phase_us: float, sensory_uc: float, *, simulated: bool = True) -> Visit:
    return Visit(number, 1, BEGIN, simulated, (Found("c1", phase_us, {"sensory": sensory_uc}, {}),), {})


def test_only_what_was_found_at_one_pulse_width_is_compared() -> None:
    visits = (visit(1, 250.0, 2.0), visit(2, 100.0, 1.0), visit(3, 250.0, 3.0))
    table = thresholds(Sensitivity(visits), None, blinded=False)
    assert column(table, "sensory, of the first (%)") == ["–", "–", "150"]
    assert column(table, "electrodes and conditions")[1:] == [
        "other pulse width: before 250 µs", "other pulse width: before 100 µs"
    ]  # fmt: skip


def test_what_was_simulated_is_not_taken_for_a_person() -> None:
    visits = (visit(1, 250.0, 2.0), visit(2, 250.0, 2.0, simulated=False))
    table = thresholds(Sensitivity(visits), None, blinded=False)
    assert column(table, "electrodes and conditions") == ["simulated", "–"]


def test_where_nothing_was_found_there_is_no_table() -> None:
    assert thresholds(Sensitivity(()), None, blinded=False) is None
    assert light_touch(Sensitivity(())) is None

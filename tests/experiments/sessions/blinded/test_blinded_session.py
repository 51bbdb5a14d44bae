"""A blinded session: nothing that is readable without the study's key holds the arm, and all of it can be replayed."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import msgspec
import pandas as pd
import pytest

from myoloop.experiments.exports.exporting import FORMATS, Wanted, export
from myoloop.experiments.objects import builders
from myoloop.experiments.replay import replay as replay_recording
from myoloop.experiments.reports.session import BLINDED, write_report
from myoloop.experiments.sessions.blinding import BlindingError, check_blinded
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.run import prepare
from myoloop.experiments.studies.allocation import take
from myoloop.experiments.unsealed import NotBlinded, given, pulses_given
from myoloop.platform import sealed
from myoloop.platform.errors import UserError
from myoloop.platform.messages import Pulses, Sealed, Start, StimReport
from myoloop.platform.recording.folder import create_attempt
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.verify import verify
from myoloop.platform.sealed import SealedError
from myoloop.stimulators.dose_ledger import read_real
from myoloop.stimulators.sealing import DEVICE, PULSE, REPORT, SealedDose

VERUM, SHAM = "quokkaverum", "numbatscheinarm"
WORDS = (VERUM, SHAM, "sham", "placebo", "zero_current", "transient", "treatment")
#: What depends on what the muscle answers, and so on what was really given: raw data, and what is made of it.
BETRAYS = ("emg/", "imu/", "vital/", "estimate", "step/controller")


def flowed_ma(study) -> list[float]:
    """What the device was really told to give, as the sealed reports say."""
    return [sum(each[1] for each in study.seals.report(message).allowed) for message in study.said(REPORT)]


def test_the_active_arm_is_given_what_is_shown_and_the_sham_arm_its_beginning(verum, sham):
    shown = [sum(each.current_ma for each in report.allowed) for report in verum.said("report")]
    assert flowed_ma(verum) == shown
    given_ma = flowed_ma(sham)
    assert max(given_ma) == max(shown) == 12.0
    assert sum(given_ma) < 0.7 * sum(shown)
    assert all(real <= nominal for real, nominal in zip(given_ma, shown, strict=True))


def test_the_device_gives_what_the_sealed_stream_says(sham):
    pulses = [each for message in sham.said(PULSE) for each in sham.seals.pulses(message)]
    assert {each.kind for each in pulses} == {"acknowledged"}
    nominal = [each for each in sham.said("pulse") if isinstance(each, Pulses)]
    assert 0 < sum(len(each.t_ns) for each in pulses) < 0.7 * sum(len(each.t_ns) for each in nominal)
    acknowledged = {
        each.current_ma for message in sham.said(DEVICE) for each in sham.seals.device(message).acknowledged
    }
    assert max(acknowledged) == 12.0


def test_nominal_pulses_lie_where_the_device_makes_them(verum):
    """In the active arm: the controller knows where the artifacts are, as well as both sides know it."""
    told = [each for message in verum.said(PULSE) for each in verum.seals.pulses(message)]
    real = sorted((t_ns, each.uncertainty_ns) for each in told for t_ns in each.t_ns)
    shown = sorted((t_ns, each.uncertainty_ns) for each in verum.said("pulse") for t_ns in each.t_ns)
    assert len(real) == len(shown) > 100
    for (one_ns, one_wide_ns), (other_ns, other_wide_ns) in zip(real, shown, strict=True):
        assert abs(one_ns - other_ns) <= one_wide_ns + other_wide_ns


def test_everything_that_is_told_in_the_open_is_equal_byte_for_byte(verum, sham):
    """Excepted are hashes of what is sealed, and what the muscle itself answers."""
    for topic in sorted({*Recording.open(verum.folder).topics(), *Recording.open(sham.folder).topics()}):
        if topic.startswith(BETRAYS) or topic == "chain":
            continue
        one, other = verum.said(topic), sham.said(topic)
        assert len(one) == len(other), topic
        if topic.startswith("sealed/"):
            one, other = ([(each.number, each.t_ns, len(each.box)) for each in side] for side in (one, other))
        elif topic.startswith("start/"):
            one, other = ([without_box(each) for each in side] for side in (one, other))
        elif topic.startswith("step/"):
            one, other = ([msgspec.structs.replace(each, digest=0) for each in side] for side in (one, other))
        assert one == other, topic


def without_box(start: Start) -> tuple:
    settings = json.loads(start.settings)
    return start.object, {**settings, "blinded": len(settings.get("blinded", ""))}, start.state


def test_sealed_records_come_at_the_same_times_and_in_one_size(verum, sham):
    for topic in (REPORT, DEVICE, PULSE):
        assert len({len(each.box) for study in (verum, sham) for each in study.said(topic)}) == 1


def test_what_tells_of_the_device_or_the_body_in_the_open_is_not_there(sham):
    topics = Recording.open(sham.folder).topics()
    assert not [topic for topic in topics if topic == "device" or topic.startswith("truth/")]


def test_no_search_finds_an_arm_in_anything_that_is_readable_without_the_key(verum, sham, zero, found_in):
    """B4: the whole of the study but the protocol, which names all arms to everybody."""
    for study in (verum, sham, zero):
        there = {path.name for path in study.root.rglob("*")}
        assert {"session.mcap", "manifest.json", "dose.jsonl", "allocation.sealed"} <= there
        assert found_in(study.root, WORDS) == []


def test_file_names_are_the_same_in_every_arm(verum, sham):
    names = [sorted(str(path.relative_to(study.root)) for path in study.root.rglob("*")) for study in (verum, sham)]
    assert names[0] == names[1]


def test_the_dose_ledger_says_in_the_open_what_an_active_arm_would_have_had(verum, sham):
    def booked(study) -> list[dict]:
        return [json.loads(line) for line in study.setup.ledger.read_text().splitlines()]

    for one, other in zip(booked(verum), booked(sham), strict=True):
        assert one.keys() == other.keys()
        assert len(one["sealed"]) == len(other["sealed"])
        for name in ("charge_mc", "on_s", "pulses"):
            assert one[name] == other[name] > 0
    real = {}
    for study in (verum, sham):
        box = SealedDose(sealed.read_key(study.key))
        real[study.arm] = read_real(study.setup.ledger, "P001", "ses-01", box)
    assert real[VERUM].charge_mc == booked(verum)[-1]["charge_mc"]
    assert real[SHAM].charge_mc < 0.7 * real[VERUM].charge_mc


def test_another_attempt_goes_on_with_what_was_really_given(play, sham):
    study, first = play(SHAM, attempts=2), sham
    assert study.lockstep._stimulator.gate_state.dose.charge_mc == pytest.approx(
        2 * first.lockstep._stimulator.gate_state.dose.charge_mc
    )
    (start,) = study.said("start/stimulator")
    assert json.loads(start.settings)["prior_session"][0] == pytest.approx(
        first.said("report")[-1].dose.session_charge_mc
    )


def test_nothing_at_all_is_given_where_the_sham_is_zero(zero):
    study = zero
    assert set(flowed_ma(study)) == {0.0}
    assert not [each for message in study.said(PULSE) for each in study.seals.pulses(message)]
    assert max(report.dose.session_charge_mc for report in study.said("report")) > 0


@pytest.mark.parametrize("arm", [VERUM, SHAM])
def test_a_replay_decides_everything_again_with_the_key_and_says_that_it_needs_it(arm, verum, sham):
    study = verum if arm == VERUM else sham
    result = replay_recording(study.folder, builders(study.key))
    assert result.equal, [each.first_difference for each in result.objects]
    outputs = {each.name: each.outputs for each in result.objects}
    assert outputs["stimulator"] == len(study.said("report")) + len(study.said(REPORT))
    with pytest.raises(SealedError, match="is blinded: its stimulator needs the study's key"):
        replay_recording(study.folder, builders())


def test_another_studys_key_replays_nothing(verum, sham):
    with pytest.raises(SealedError, match="does not open with this key"):
        replay_recording(sham.folder, builders(verum.key))


def test_a_blinded_recording_verifies_without_the_key(sham):
    assert verify(sham.folder).status == "good"


def test_the_record_says_that_it_is_blinded_in_every_arm(verum, sham):
    for study in (verum, sham):
        assert Recording.open(study.folder).metadata["blinded"] == "true"


def test_an_entry_that_is_of_no_arm_is_refused_without_naming_it(sham):
    setup = sham.setup
    found = setup.allocated
    treatments = {VERUM: found.treatments[VERUM]}
    for wrong, told in ((msgspec.structs.replace if False else None, ""),):
        assert wrong is None
        assert told == ""
    broken = replace(setup, allocated=replace(found, treatments=treatments))
    with pytest.raises(SealedError, match="entry 2 is of no arm of the protocol") as refused:
        Lockstep(broken, record=False)
    assert SHAM not in str(refused.value)


def test_a_list_that_is_not_the_protocols_is_refused(sham):
    setup = sham.setup
    broken = replace(setup, allocated=replace(setup.allocated, list_sha256="0" * 64))
    with pytest.raises(SealedError, match="the protocol names 0000"):
        Lockstep(broken, record=False)


def test_nobody_is_treated_in_the_open_whose_protocol_gives_them_an_arm(sham):
    protocol = sham.setup.protocol
    with pytest.raises(BlindingError, match="no entry of the sealed list"):
        check_blinded(protocol, "HUMAN", None)
    check_blinded(protocol, "SIM", None)
    check_blinded(protocol, "HUMAN", sham.setup.allocated)


def test_reports_count_and_size_alike(verum, sham):
    sizes = [
        Counter(len(msgspec.msgpack.encode(each)) for each in study.said("report") if isinstance(each, StimReport))
        for study in (verum, sham)
    ]
    assert sizes[0] == sizes[1]
    assert all(isinstance(each, Sealed) for each in sham.said(REPORT))


def test_a_report_says_that_its_numbers_are_nominal_in_every_arm(verum, sham, tmp_path):
    for study in (verum, sham):
        page = write_report(study.folder, tmp_path / study.arm).read_text(encoding="utf-8")
        assert BLINDED in page
        assert SHAM not in page
        assert VERUM not in page


class TestRun:
    """``myoloop run`` finds the entry of a person in the study, and asks for the key."""

    @pytest.fixture
    def study(self, plan) -> SimpleNamespace:
        setup, place = plan(SHAM)
        study = place / "other"
        list_ = study / sealed.LIST_FILE
        study.mkdir()
        list_.write_bytes((place / "study" / sealed.LIST_FILE).read_bytes())
        return SimpleNamespace(path=study, protocol=str(setup.protocol.path), key=place / "keys" / "study.key")

    def prepared(self, study, **more):
        return prepare(study.protocol, subject="P002", rig=None, study=study.path, seed=1, **more)

    def test_a_person_with_an_entry_is_blinded(self, study):
        taken = take(study.path, "P002", "")
        setup = self.prepared(study, key=study.key)
        assert (setup.allocated.entry, setup.allocated.key) == (taken.number, study.key)

    def test_a_person_without_an_entry_is_refused(self, study):
        with pytest.raises(UserError, match="P002"):
            self.prepared(study, key=study.key)

    def test_without_the_key_nobody_of_such_a_study_is_treated(self, study):
        take(study.path, "P002", "")
        with pytest.raises(BlindingError, match="name the study's key: --key FILE"):
            self.prepared(study)
        assert not list(study.path.glob("sub-*/ses-*"))

    def test_a_study_without_a_list_plays_on_the_virtual_subject_in_the_open(self, study, tmp_path):
        study.path = tmp_path
        assert self.prepared(study).allocated is None


def test_who_holds_the_key_reads_what_was_given(sham, verum):
    told = list(given(sham.folder, sham.key))
    assert [each.report.step for each in told] == [report.step for report in sham.said("report")]
    assert [each.t_ns for each in told] == [report.t_ns for report in sham.said("report")]
    totals = sham.lockstep._stimulator.gate_state.dose
    assert told[-1].report.dose == (totals.charge_mc, totals.on_s, totals.pulses)
    assert abs(sum(len(each.t_ns) for each in pulses_given(sham.folder, sham.key)) - totals.pulses) <= 4
    with pytest.raises(SealedError, match="does not open"):
        next(given(sham.folder, verum.key))


def test_of_a_session_that_is_not_blinded_nothing_is_sealed(sham, tmp_path):
    setup = sham.setup
    folder = create_attempt(tmp_path, "P001", 1)
    open_setup = replace(setup, allocated=None, folder=folder, ledger=tmp_path / "dose.jsonl")
    lockstep = Lockstep(open_setup)
    lockstep.tick(0)
    lockstep.close()
    with pytest.raises(NotBlinded, match="nothing of it is sealed"):
        next(given(folder, sham.key))


def exported_trains(root):
    file = root / "sub-P001/ses-01/emg/sub-P001_ses-01_task-blind_acq-att1_events.tsv"
    return pd.read_csv(file, sep="\t", na_values="n/a").query("trial_type == 'stimulation'")


@pytest.mark.parametrize("arm", ["verum", "sham"])
def test_no_byte_of_an_export_names_an_arm(arm, request, tmp_path):
    study = request.getfixturevalue(arm)
    for to in FORMATS:
        export(study.folder, tmp_path / to, Wanted(to=to))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 20
    held = [(path, word) for path in files for word in WORDS if word.encode() in path.read_bytes().lower()]
    assert held == []
    assert not [path for path in files if any(word in str(path.relative_to(tmp_path)) for word in WORDS)]


def test_without_the_key_both_arms_say_the_same_of_the_stimulation(verum, sham, tmp_path):
    for name, study in (("verum", verum), ("sham", sham)):
        export(study.folder, tmp_path / name, Wanted(to="bids"))
    assert exported_trains(tmp_path / "verum").equals(exported_trains(tmp_path / "sham")), (
        "nominal: what an active arm would have had"
    )
    assert "Blinded: arms are withheld" in (tmp_path / "sham" / "README").read_text("utf-8")
    assert "arm" not in pd.read_csv(tmp_path / "verum" / "participants.tsv", sep="\t").columns


def test_with_the_key_it_says_the_arm_and_what_was_given(verum, sham, tmp_path):
    root = tmp_path / "study"
    shutil.copytree(verum.root, root)
    take(root, "P001", "")
    export(root / "sub-P001/ses-01/att-1", tmp_path / "verum", Wanted(to="bids", key=verum.key))
    people = pd.read_csv(tmp_path / "verum" / "participants.tsv", sep="\t")
    assert people["arm"].tolist() == ["quokkaverum"]
    assert "Unblinded" in (tmp_path / "verum" / "README").read_text("utf-8")
    for to in ("nominal", "given"):
        key = sham.key if to == "given" else None
        export(sham.folder, tmp_path / to, Wanted(to="csv", key=key))
    charge = {
        to: pd.read_csv(next((tmp_path / to).rglob("trains.csv")))["charge_uc"].sum() for to in ("nominal", "given")
    }
    assert 0 < charge["given"] < 0.6 * charge["nominal"], "the sham fades after half a second"

"""A blinded session: nothing that is readable without the study's key holds the arm, and all of it can be replayed."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from myoloop.experiments.objects import builders
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.replay import replay as replay_recording
from myoloop.experiments.sessions.blinding import BlindingError, allocated, check_blinded
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.setup import make_setup
from myoloop.experiments.sessions.simulated_rig import simulated_rig
from myoloop.experiments.subjects.population import draw
from myoloop.platform import sealed
from myoloop.platform.messages import Pulses, Sealed, Start, StimReport
from myoloop.platform.recording.folder import create_attempt
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.verify import verify
from myoloop.platform.sealed import SealedError
from myoloop.stimulators.dose_ledger import read_real
from myoloop.stimulators.sealing import DEVICE, PULSE, REPORT, SealedDose, Seals

#: Arms with names that nothing else has.
VERUM, SHAM = "quokkaverum", "numbatscheinarm"
ENTRIES = {VERUM: 1, SHAM: 2}
TEXT = """
protocol: {id: blind, version: 1.0.0, schema: 1, title: Two trains, rigs: [SIM, HUMAN], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [ext]}
  stim: {class: mA, min_step: 1 mA}
sites:
  ext: {muscle: wrist extensors, side: left, pad: 5x5 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 20 mA, step: 2 mA, slew: 20 mA/s}
stimulation:
  ext: {site: ext, phase: 250 us, rate: 35 Hz}
thresholds: {motor: 12 mA, tolerance: 20 mA}
phases:
  - rest: {name: begin, duration: 0.3 s}
  - block: {name: train, trials: 2, machine: cyclic, ramp_up: 0.3 s, hold: 1.5 s, ramp_down: 0.2 s, rest: 2.3 s,
            intensity: {ref: motor, x: 1.0}}
controller: {policy: open_loop}
stop_rules: [{session_max: 1 min}]
outcomes: {primary: trials_done}
arms:
  quokkaverum: {treatment: active}
  numbatscheinarm: {treatment: sham}
allocation:
  method: simple
  list: LIST
  emergency_unblinding: {roles: [pi]}
sham: {type: transient, on: 0.5 s, fade: 0.5 s, check: {during: true, after: true}}
"""
#: What is closed in lines of text; four letters of it may be a word by chance.
BOXED = re.compile(rb'"(box|sealed)": "[^"]*"')
#: What depends on what the muscle answers, and so on what was really given: raw data, and what is made of it.
BETRAYS = ("emg/", "imu/", "vital/", "estimate", "step/controller")


@dataclass
class Study:
    """A study of one person, and everything that was in a session of theirs."""

    arm: str
    folder: Path
    key: Path
    ledger: Path
    lockstep: Lockstep

    def said(self, topic: str) -> list:
        found = Recording.open(self.folder).messages({topic})
        return [each.received.message for each in found]

    @property
    def seals(self) -> Seals:
        return Seals(sealed.read_key(self.key), "s1", 2)


def text_of(kind: str, sealed_list: bytes) -> str:
    text = TEXT.replace("LIST", hashlib.sha256(sealed_list).hexdigest())
    return (
        text if kind == "transient" else text.replace("type: transient, on: 0.5 s, fade: 0.5 s", "type: zero_current")
    )


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    def played(arm: str, kind: str = "transient", attempts: int = 1) -> Study:
        place = tmp_path_factory.mktemp("place")
        study, key = place / "study", place / "keys" / "study.key"
        study.mkdir()
        key.parent.mkdir()
        # The same in every run: what is sealed with it holds no word by chance.
        secret = sealed.StudyKey(bytes(range(len(arm), len(arm) + 32)))
        sealed.write_key(key, secret)
        content = sealed.seal_list(secret.public, [(number, "", "", name) for name, number in ENTRIES.items()])
        (study / sealed.LIST_FILE).write_bytes(content)
        (place / "blind.yaml").write_text(text_of(kind, content))
        protocol = load_protocol(place / "blind.yaml")
        for _ in range(attempts):
            folder = create_attempt(study, "P001", 1)
            setup = make_setup(
                protocol, simulated_rig(protocol), subject="P001", session="s1", folder=folder, parameters=draw(1),
                seed=1, allocated=allocated(protocol, study / sealed.LIST_FILE, ENTRIES[arm], key),
            )  # fmt: skip
            lockstep = Lockstep(setup)
            assert lockstep.run().outcome == "complete"
        return Study(arm, folder, key, setup.ledger, lockstep)

    return played


@pytest.fixture(scope="module")
def verum(play) -> Study:
    return play(VERUM)


@pytest.fixture(scope="module")
def sham(play) -> Study:
    return play(SHAM)


def flowed_ma(study: Study) -> list[float]:
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


def test_no_search_finds_an_arm_in_anything_that_is_readable_without_the_key(play, verum, sham):
    """B4: the whole of the study but the protocol, which names all arms to everybody."""
    for study in (verum, sham, play(SHAM, "zero_current")):
        root = study.folder.parents[2]
        files = [path for path in root.rglob("*") if path.is_file()]
        assert {"session.mcap", "manifest.json", "dose.jsonl", "allocation.sealed"} <= {path.name for path in files}
        for path in files:
            held = f"{path.relative_to(root)}".encode() + BOXED.sub(b"", path.read_bytes())
            for word in (VERUM, SHAM, "sham", "placebo", "zero_current", "transient", "treatment"):
                assert word.encode() not in held.lower(), (path, word)


def test_file_names_are_the_same_in_every_arm(verum, sham):
    names = [
        sorted(str(path.relative_to(study.folder.parents[2])) for path in study.folder.parents[2].rglob("*"))
        for study in (verum, sham)
    ]
    assert names[0] == names[1]


def test_the_dose_ledger_says_in_the_open_what_an_active_arm_would_have_had(verum, sham):
    def booked(study: Study) -> list[dict]:
        return [json.loads(line) for line in study.ledger.read_text().splitlines()]

    for one, other in zip(booked(verum), booked(sham), strict=True):
        assert one.keys() == other.keys()
        assert len(one["sealed"]) == len(other["sealed"])
        for name in ("charge_mc", "on_s", "pulses"):
            assert one[name] == other[name] > 0
    real = {}
    for study in (verum, sham):
        box = SealedDose(sealed.read_key(study.key))
        real[study.arm] = read_real(study.ledger, "P001", "ses-01", box)
    assert real[VERUM].charge_mc == booked(verum)[-1]["charge_mc"]
    assert real[SHAM].charge_mc < 0.7 * real[VERUM].charge_mc


def test_another_attempt_goes_on_with_what_was_really_given(play):
    study = play(SHAM, attempts=2)
    first = play(SHAM)
    assert study.lockstep._stimulator.gate_state.dose.charge_mc == pytest.approx(
        2 * first.lockstep._stimulator.gate_state.dose.charge_mc
    )
    (start,) = study.said("start/stimulator")
    assert json.loads(start.settings)["prior_session"][0] == pytest.approx(
        first.said("report")[-1].dose.session_charge_mc
    )


def test_nothing_at_all_is_given_where_the_sham_is_zero(play):
    study = play(SHAM, "zero_current")
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
    setup = sham.lockstep.setup
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
    setup = sham.lockstep.setup
    broken = replace(setup, allocated=replace(setup.allocated, list_sha256="0" * 64))
    with pytest.raises(SealedError, match="the protocol names 0000"):
        Lockstep(broken, record=False)


def test_nobody_is_treated_in_the_open_whose_protocol_gives_them_an_arm(sham):
    protocol = sham.lockstep.setup.protocol
    with pytest.raises(BlindingError, match="no entry of the sealed list"):
        check_blinded(protocol, "HUMAN", None)
    check_blinded(protocol, "SIM", None)
    check_blinded(protocol, "HUMAN", sham.lockstep.setup.allocated)


def test_reports_count_and_size_alike(verum, sham):
    sizes = [
        Counter(len(msgspec.msgpack.encode(each)) for each in study.said("report") if isinstance(each, StimReport))
        for study in (verum, sham)
    ]
    assert sizes[0] == sizes[1]
    assert all(isinstance(each, Sealed) for each in sham.said(REPORT))

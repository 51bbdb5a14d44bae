"""A study of one person with a sealed list, a key and a session in it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.blinding import allocated
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.setup import SessionSetup, make_setup
from myoloop.experiments.sessions.simulated_rig import simulated_rig
from myoloop.experiments.subjects.population import draw
from myoloop.platform import sealed
from myoloop.platform.recording.folder import create_attempt
from myoloop.platform.recording.reader import Recording
from myoloop.stimulators.sealing import Seals

#: What is closed in lines of text; four letters of it may be a word by chance.
BOXED = re.compile(rb'"(box|sealed)": "[^"]*"')
#: Arms with names that nothing else has.
VERUM, SHAM = "quokkaverum", "numbatscheinarm"
ENTRIES = {VERUM: 1, SHAM: 2}
TEXT = """
protocol: {id: blind, version: 1.0.0, schema: 1, title: Two trains, rigs: [SIM], evidence: {grade: none}}
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
  - block: {name: train, trials: 2, machine: cyclic, ramp_up: 0.3 s, hold: 1.5 s, ramp_down: 0.2 s, rest: 4.2 s,
            intensity: {ref: motor, x: 1.0}}
controller: {policy: open_loop, reflex: {spasm: {enabled: false}}}
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


@dataclass
class Study:
    """A study of one person, and everything that was in a session of theirs."""

    arm: str
    setup: SessionSetup
    key: Path
    lockstep: Lockstep

    @property
    def folder(self) -> Path:
        return self.setup.folder

    @property
    def root(self) -> Path:
        return self.folder.parents[2]

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


@pytest.fixture(scope="session")
def plan(tmp_path_factory):
    """Decide a session of a person who has this arm, in a study of its own, or another attempt at the same."""

    def planned(arm: str, kind: str = "transient", place: Path | None = None) -> tuple[SessionSetup, Path]:
        new = place is None
        place = tmp_path_factory.mktemp("place") if place is None else place
        study, key = place / "study", place / "keys" / "study.key"
        if new:
            study.mkdir()
            key.parent.mkdir()
            # The same in every run: what is sealed with it holds no word by chance.
            secret = sealed.StudyKey(bytes(range(len(arm), len(arm) + 32)))
            sealed.write_key(key, secret)
            content = sealed.seal_list(secret.public, [(number, "", "", name) for name, number in ENTRIES.items()])
            (study / sealed.LIST_FILE).write_bytes(content)
            (place / "blind.yaml").write_text(text_of(kind, content))
        protocol = load_protocol(place / "blind.yaml")
        folder = create_attempt(study, "P001", 1)
        setup = make_setup(
            protocol, simulated_rig(protocol), subject="P001", session="s1", folder=folder, parameters=draw(1), seed=1,
            allocated=allocated(protocol, study / sealed.LIST_FILE, ENTRIES[arm], key),
        )  # fmt: skip
        return setup, place

    return planned


@pytest.fixture(scope="session")
def play(plan):
    """Play such a session, or two attempts at it."""

    def played(arm: str, kind: str = "transient", attempts: int = 1) -> Study:
        place = None
        for _ in range(attempts):
            setup, place = plan(arm, kind, place)
            lockstep = Lockstep(setup)
            assert lockstep.run().outcome == "complete"
        return Study(arm, setup, place / "keys" / "study.key", lockstep)

    return played


@pytest.fixture(scope="session")
def verum(play) -> Study:
    return play(VERUM)


@pytest.fixture(scope="session")
def sham(play) -> Study:
    return play(SHAM)


@pytest.fixture(scope="session")
def zero(play) -> Study:
    """A session whose sham is no current at all."""
    return play(SHAM, "zero_current")


@pytest.fixture(scope="session")
def found_in():
    """Words found in what is readable of a study without its key; what the protocol names, it names to everybody."""

    def search(study: Path, words: tuple[str, ...]) -> list[tuple[str, str]]:
        found = []
        for path in sorted(path for path in study.rglob("*") if path.is_file()):
            held = f"{path.relative_to(study)}".encode() + BOXED.sub(b"", path.read_bytes())
            found += [(path.name, word) for word in words if word.encode() in held.lower()]
        return found

    return search

"""A virtual blinded study, and everything that its consoles' pages were sent: does it tell who was in which arm?

Each virtual person is treated in both arms, as in a cross-over, so that persons who differ by chance cannot be taken
for arms, and no leak hides among them. Sessions are played under a virtual clock. What was recorded goes through the
server's own feed in the views of a blinded session, at the rate at which the server sends. What is asked of it stands
in :mod:`.guessing`.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from myoloop.experiments.console.card import Card, CardChannel, CardMuscle, CardPhase
from myoloop.experiments.console.feed import Feed
from myoloop.experiments.console.views import view_of
from myoloop.experiments.protocols.schema import Protocol, load_protocol
from myoloop.experiments.sessions.blinding import allocated
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.script import Script
from myoloop.experiments.sessions.setup import SessionSetup, make_setup
from myoloop.experiments.sessions.simulated_rig import simulated_rig
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.training.jobs import Item, Jobs, Result
from myoloop.platform import sealed
from myoloop.platform.messages import Phase
from myoloop.platform.recording.folder import create_attempt
from myoloop.platform.recording.seek import SeekableRecording

#: Names of arms that stand nowhere else: a search for them finds nothing by chance.
ACTIVE, SHAM = "quokkaverum", "numbatscheinarm"
SCREENS: Final = ("operator", "subject")
#: As the server sends: states in a blinded session at equal intervals, frames of the scope more often.
STATE_NS, FRAME_NS = 100_000_000, 33_333_333
TRIALS: Final = 3
_PROTOCOL: Final = """
protocol: {id: blindtraffic, version: 1.0.0, schema: 1, title: Own effort and a train, rigs: [SIM],
           evidence: {grade: none}}
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
  - questions: {name: before, forms: [nrs]}
  - rest: {name: baseline, duration: 1 s}
  - block: {name: trains, trials: TRIALS, machine: effort, cue: 0.2 s, await: {timeout: 1.5 s, on_timeout: assist},
            ramp_up: 0.3 s, hold: 1 s, ramp_down: 0.2 s, rest: 2 s, intensity: {ref: motor, x: 1.0},
            prompts: [nrs_now]}
  - questions: {name: after, forms: [nrs_now]}
controller: {policy: emg_trigger, settings: {muscle: ext, sustain: 0.2 s}}
stop_rules: [{session_max: 2 min}]
outcomes: {primary: trials_done}
arms:
  quokkaverum: {treatment: active}
  numbatscheinarm: {treatment: sham}
allocation:
  method: simple
  list: LIST
  emergency_unblinding: {roles: [pi]}
sham: {type: zero_current, check: {during: true, after: true}}
"""


class Sent(msgspec.Struct, frozen=True, array_like=True):
    """A message to a page.

    Attributes
    ----------
    t_ns
        When, from the session's beginning.
    data
        As it went over the socket.
    """

    t_ns: int
    data: bytes


class SessionTraffic(msgspec.Struct, frozen=True):
    """What the pages of one session were sent, by screen, and the arm that its person was in."""

    arm: str
    person: str
    sent: dict[str, tuple[Sent, ...]]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyPlace:
    """A study with its sealed list, its key and the arms of its entries, which nothing else is told."""

    root: Path
    protocol: Protocol
    key: Path
    arms: tuple[str, ...]


def make_study(root: Path, arms: tuple[str, ...], *, trials: int = TRIALS) -> StudyPlace:
    """Seal a list of arms into a new study, one for each person."""
    study, key = root / "study", root / "keys" / "study.key"
    study.mkdir(parents=True)
    key.parent.mkdir()
    secret = sealed.StudyKey(bytes(range(32)))
    sealed.write_key(key, secret)
    content = sealed.seal_list(secret.public, [(number + 1, "", "", arm) for number, arm in enumerate(arms)])
    (study / sealed.LIST_FILE).write_bytes(content)
    file = root / "protocol.yaml"
    file.write_text(
        _PROTOCOL.replace("LIST", hashlib.sha256(content).hexdigest()).replace("TRIALS", str(trials)), encoding="utf-8"
    )
    return StudyPlace(root, load_protocol(file), key, arms)


def plan_session(study: StudyPlace, number: int) -> SessionSetup:
    """Decide the session of the person who has an entry of the list, counted from 0."""
    person, protocol, seed = f"P{number + 1:03d}", study.protocol, number + 1
    folder = create_attempt(study.root / "study", person, 1)
    found = allocated(protocol, study.root / "study" / sealed.LIST_FILE, number + 1, study.key)
    return make_setup(
        protocol, simulated_rig(protocol), subject=person, session="ses-01", folder=folder, parameters=draw(seed),
        seed=seed, allocated=found,
    )  # fmt: skip


def script_of(seed: int) -> Script:
    """What the person of a seed says of their pain, whatever they are given: their own words are not the console's."""
    scores = random.Random(seed)
    before, after = scores.randint(1, 5), scores.randint(1, 5)
    nrs = {"current": before, "average_24h": before, "worst_24h": before + 1}
    return Script.model_validate({"forms": {"nrs": nrs, "nrs_now": {"current": after}}, "others": "clear"})


def card_of(setup: SessionSetup, recording: SeekableRecording) -> Card:
    """What a live session says of itself, of one that was played under a virtual clock."""
    protocol = setup.protocol
    emg = next(each for each in recording.descriptors.values() if each.topic.startswith("emg/"))
    muscles = tuple(
        CardMuscle(name, emg.topic, column, emg.rate_hz, emg.scale[column] * 1e6, emg.offset[column] * 1e6)
        for column, name in enumerate(emg.channels)
    )
    return Card(
        session=setup.session, study="study", subject=setup.subject, protocol=protocol.protocol.id,
        title=protocol.protocol.title, rig_class="SIM", simulated=True,
        blinded=recording.metadata.get("blinded") == "true", muscles=muscles,
        channels=tuple(CardChannel(name, 20.0, name) for name in protocol.stimulation),
        phases=tuple(CardPhase(str(number), "phase") for number in range(len(protocol.phases))), stop_port=8700,
        stimulator="stimulator", director="director",
    )  # fmt: skip


def traffic_of(card: Card, recording: SeekableRecording, screen: str) -> Iterator[Sent]:
    """What a page of a screen is sent, message by message."""
    view = view_of(screen, blinded=card.blinded)
    feed = Feed(card, view)
    yield Sent(0, msgspec.json.encode(feed.layout()))
    begun_ns, state_ns, frame_ns, changes = -1, 0, 0, 0
    for received, t_ns in recording.messages():
        if begun_ns < 0:
            if not isinstance(received.message, Phase):
                continue
            begun_ns = state_ns = frame_ns = t_ns
        while t_ns >= min(state_ns, frame_ns):
            at_ns = min(state_ns, frame_ns)
            if at_ns == state_ns:
                yield Sent(at_ns - begun_ns, msgspec.json.encode(feed.state(at_ns)))
                state_ns += STATE_NS
            else:
                frame = feed.bins()
                if frame:
                    yield Sent(at_ns - begun_ns, frame)
                frame_ns += FRAME_NS
        feed.take(received)
        if not view.steady and feed.changes != changes:
            changes = feed.changes
            yield Sent(t_ns - begun_ns, msgspec.json.encode(feed.state(t_ns)))


def play(study: StudyPlace, number: int) -> SessionTraffic:
    """Play one session and give what its pages were sent, and the names of the files that it left.

    Raises
    ------
    ValueError
        If it did not go to its end.
    """
    setup = plan_session(study, number)
    outcome = Lockstep(setup, script=script_of(setup.seed)).run()
    if outcome.outcome != "complete":
        raise ValueError(f"session {number}: ended as {outcome.outcome}: {outcome.reason}")
    recording = SeekableRecording.open(setup.folder)
    card = card_of(setup, recording)
    sent = {screen: tuple(traffic_of(card, recording, screen)) for screen in SCREENS}
    names = tuple(sorted(str(path.relative_to(study.root)) for path in (study.root / "study").rglob("*")))
    return SessionTraffic(study.arms[number], setup.subject, sent, names)


def play_item(item: Item) -> Result:
    """One session in a study of its own, for :class:`~myoloop.experiments.training.jobs.Jobs`."""
    number, people = int(item["number"]), int(item["people"])
    arms = [ACTIVE, SHAM] * people
    arms[number] = str(item["arm"])
    with tempfile.TemporaryDirectory(prefix="myoloop-") as name:
        study = make_study(Path(name), tuple(arms[:people]), trials=int(item["trials"]))
        found = play(study, number)
    return {"traffic": msgspec.json.encode(found).decode()}


def play_study(people: int, jobs: Jobs | None = None, *, trials: int = TRIALS) -> list[SessionTraffic]:
    """Play a whole study: two sessions of each person, one in each arm."""
    items: list[Mapping[str, Any]] = [
        {"people": people, "number": number, "arm": arm, "trials": trials}
        for number in range(people)
        for arm in (ACTIVE, SHAM)
    ]
    done = (jobs or Jobs()).run("blinded_traffic", play_item, items)
    return [msgspec.json.decode(each["traffic"], type=SessionTraffic) for each in done]

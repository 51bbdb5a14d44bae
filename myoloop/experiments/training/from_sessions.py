"""Decisions from the recorded sessions of a study: the recorded controller steps again, and its policy is listened to.

What the policy was given comes out of the live code, not out of a second reading of the record. Beside it runs the same
policy with an eye (:class:`~myoloop.controllers.policies.steered.SteeredGain` with a residual of 0 is adaptive gain bit
for bit); a step counts as long as both ask for what the record says was asked for.

What becomes of a session:

- complete, stopped, aborted, ended by a fault, interrupted and recovered: used. A train that a stop, a pause or the end
  of the record cut is used too and says so (``cut``): to leave it out would hide what went wrong.
- without an end (INCOMPLETE): used as far as it can be replayed; the list of sessions says so.
- blinded: excluded. What was given is sealed, and the force in such a table would tell the arm.
- damaged, partly simulated, without a controller, with another policy, without one whole decision: excluded.

One bad session never stops the others; each exclusion has its reason.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from myoloop.controllers.controller import Controller
from myoloop.controllers.policies.policy import Decision, PolicyInput
from myoloop.controllers.policies.steered import SteeredGain
from myoloop.controllers.settings import ControllerSettings
from myoloop.experiments.origins import Origins, origins_in
from myoloop.experiments.replay import RELATIVE, asked_instead, processor
from myoloop.experiments.studies.allocation import takes
from myoloop.experiments.studies.participants import participants
from myoloop.experiments.subjects.fingerprint import fingerprint
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.subjects.presets import PRESETS
from myoloop.experiments.training.decisions import DecisionLog, Decisions
from myoloop.experiments.training.split import Person
from myoloop.platform.errors import UserError
from myoloop.platform.messages import Start, StimRequest
from myoloop.platform.plugins import plugin_settings
from myoloop.platform.recording.folder import place_of
from myoloop.platform.recording.layout import SESSION_FILE
from myoloop.platform.recording.reader import Recording
from myoloop.platform.sealed import LIST_FILE

#: Recorded policies of which observations can be had.
OBSERVED = ("adaptive_gain",)
#: Group that a pseudonym without one is drawn from.
_GROUP = "demo"


class Excluded(UserError):
    """A session that cannot be used, and why."""


@dataclass(frozen=True, slots=True)
class Used:
    """A session that is in a dataset.

    Attributes
    ----------
    session
        ``sub-P001/ses-01/att-1``.
    state
        How it ended; ``INCOMPLETE`` where the record has no end.
    replayed
        ``whole``, or up to which step its replay was equal and why no further.
    recording_sha256
        Of the session file.
    """

    person: str
    session: str
    protocol: str
    policy: str
    state: str
    replayed: str
    recording_sha256: str
    simulated: bool
    body: str
    decisions: Decisions


@dataclass(slots=True)
class FromStudy:
    """What a study gave.

    Attributes
    ----------
    excluded
        (session, reason).
    strata
        By person, the stratum of the allocation, where there is one.
    """

    source: str
    used: list[Used] = field(default_factory=list)
    excluded: list[tuple[str, str]] = field(default_factory=list)
    strata: dict[str, str] = field(default_factory=dict)

    @property
    def people(self) -> list[Person]:
        """Who is in it."""
        names = sorted({each.person for each in self.used})
        return [
            Person(
                name,
                self.source,
                all(each.simulated for each in self.used if each.person == name),
                frozenset(each.body for each in self.used if each.person == name and each.body),
            )
            for name in names
        ]


def read_study(study: Path | str, decide_every_s: float, leave_out: dict[str, str] | None = None) -> FromStudy:
    """Read every session of a study folder.

    Parameters
    ----------
    leave_out
        People who are not to be in it, and why.

    Raises
    ------
    UserError
        If there is no such folder, or its list of participants cannot be read: nobody knows then who has withdrawn.
    """
    study, leave_out = Path(study), leave_out or {}
    if not study.is_dir():
        raise UserError(f"{study}: no such folder; a study folder is needed")
    result = FromStudy(f"study {study.resolve().name}")
    enrolled = participants(study)
    if (study / LIST_FILE).exists():
        result.strata = {name: taken.stratum for name, taken in takes(study).items() if taken.stratum}
    for attempt in attempts(study):
        name = attempt.relative_to(study).as_posix()
        person = attempt.parts[-3].removeprefix("sub-")
        row = enrolled.get(person)
        if person in leave_out:
            result.excluded.append((name, f"left out: {leave_out[person]}"))
        elif row is not None and row.status == "withdrawn":
            result.excluded.append((name, "the person has withdrawn"))
        else:
            try:
                result.used.append(read_session(attempt, decide_every_s))
            except (UserError, OSError, ValueError, KeyError, TypeError) as error:
                # Whatever is wrong with one session, the others are read.
                result.excluded.append((name, reason_of(error, attempt)))
    return result


def attempts(study: Path) -> list[Path]:
    """Folders of all attempts of a study that have a session file, in order of person, session and attempt."""
    found = [(place_of(path), path.parent) for path in study.glob(f"sub-*/ses-*/att-*/{SESSION_FILE}")]
    places = [(place, folder) for place, folder in found if place is not None]
    return [
        folder for _, folder in sorted(places, key=lambda each: (each[0].subject, each[0].session, each[0].attempt))
    ]


def read_session(attempt: Path, decide_every_s: float) -> Used:
    """Read the decisions of one attempt.

    Raises
    ------
    Excluded
        If it has none that can be used; it says why.
    myoloop.platform.errors.UserError
        If it cannot be read or replayed.
    """
    recording = Recording.open(attempt)
    metadata = recording.metadata
    origins = usable_origins(recording)
    start = controller_start(recording)
    settings = ControllerSettings.from_json(start.settings)
    if settings.policy.name not in OBSERVED:
        raise Excluded(f"policy {settings.policy.name}: only of {', '.join(OBSERVED)} is known what it saw")
    listener = _Listener(settings, decide_every_s)
    replayed = _replay(attempt, listener, metadata.get("processor", "") == processor())
    decisions = listener.log.decisions()
    if not len(decisions):
        raise Excluded(f"no decision in it: no train was followed ({replayed})")
    return Used(
        person=attempt.parts[-3].removeprefix("sub-"),
        session="/".join(attempt.parts[-3:]),
        protocol=f"{metadata.get('protocol', '')} {metadata.get('protocol_version', '')}".strip(),
        policy=settings.policy.name,
        state=recording.outcome if recording.complete else "INCOMPLETE",
        replayed=replayed,
        recording_sha256=hashlib.sha256(recording.path.read_bytes()).hexdigest(),
        simulated=origins.everything,
        body=body_of(recording) if origins.everything else "",
        decisions=decisions,
    )


def usable_origins(recording: Recording) -> Origins:
    """Where a session came from, of one that is wholly of a person or wholly simulated, and not blinded.

    Raises
    ------
    Excluded
        If it is none.
    """
    if recording.metadata.get("blinded") == "true":
        raise Excluded("blinded: what was given is sealed, and the forces would tell the arm")
    origins = origins_in(recording.metadata)
    if origins is None:
        raise Excluded("the record does not say what of it was simulated")
    if origins.everything and origins.body == "simulated":
        return origins
    if origins.simulated or origins.body != "person" or origins.emg != "live":
        raise Excluded(f"neither wholly of a person nor wholly simulated: {origins.in_words() or origins.body}")
    return origins


def controller_start(recording: Recording) -> Start:
    """The start record of the session's controller.

    Raises
    ------
    Excluded
        If there is none.
    """
    topics = [topic for topic in recording.topics() if topic.startswith("start/")]
    for each in recording.messages(topics):
        if isinstance(each.received.message, Start) and each.received.message.kind == "controller":
            return each.received.message
    raise Excluded("no controller was recorded, nothing was decided in it")


def body_of(recording: Recording) -> str:
    """Fingerprint of the virtual person behind a simulated session.

    A record from before these were kept says seed and group only: then it is who they draw. That may be wrong where the
    person came from a subject file; it errs towards taking two for one.
    """
    told = recording.metadata.get("person_sha256", "")
    if told:
        return told
    seed, group = recording.metadata.get("seed", ""), recording.metadata.get("group") or _GROUP
    if not seed.isdecimal() or group not in PRESETS:
        raise Excluded("simulated, and the record does not say which virtual person it was")
    return fingerprint(draw(int(seed), group))


class _Listener:
    """Hears a controller's policy, and runs the same policy with an eye beside it."""

    def __init__(self, settings: ControllerSettings, decide_every_s: float) -> None:
        channels = tuple(output.channel for output in settings.stim)
        chosen = plugin_settings("policy 'adaptive_gain'", SteeredGain, dict(settings.policy.settings))
        self._policy = SteeredGain(chosen, channels)
        muscle = str(settings.policy.settings.get("muscle") or "")
        self.log = DecisionLog(decide_every_s, muscle)
        self.heard: tuple[PolicyInput, Decision] | None = None
        self.own: Decision | None = None

    def decided(self, given: PolicyInput, decision: Decision) -> None:
        """Ask the policy that sees."""
        self.heard = given, decision
        self.own = self._policy.decide(given)

    def reset(self) -> None:
        """As the recorded one."""
        self._policy.reset()
        self.log.cut()

    def agrees(self, relative: float) -> bool:
        """Whether both policies asked for the same in this step."""
        if self.heard is None or self.own is None:
            return True
        theirs = self.heard[1].current_ma
        return all(_near(self.own.current_ma.get(name, 0.0), theirs[name], relative) for name in theirs)

    def note(self) -> None:
        """The step is as it was recorded: write it down."""
        if self.heard is not None and self.own is not None:
            self.log.note(self.heard[0], self.own, self._policy.steered.observation)
        self.heard = self.own = None


def _replay(attempt: Path, listener: _Listener, exact: bool) -> str:
    """Let the recorded controller step again as far as it says what it said; how far that was."""
    relative = 0.0 if exact else RELATIVE

    def build(start: Start) -> Controller:
        controller = Controller(ControllerSettings.from_json(start.settings), json.loads(start.state))
        controller.overhear(listener)
        return controller

    lost: list[int] = []
    for _, recorded, again in asked_instead(attempt, build, lost):
        if not _same(recorded, again, relative) or not listener.agrees(relative):
            listener.log.cut()
            return f"up to step {recorded.step - 1}: from there it asks for something else than the record says"
        listener.note()
    listener.log.cut()
    return f"up to step {lost[0] - 1}: later inputs are not in the record" if lost else "whole"


def _same(recorded: StimRequest, again: StimRequest, relative: float) -> bool:
    ours, theirs = ({each.channel: each.current_ma for each in request.channels} for request in (again, recorded))
    return ours.keys() == theirs.keys() and all(_near(ours[name], theirs[name], relative) for name in ours)


def _near(one: float, other: float, relative: float) -> bool:
    return abs(one - other) <= relative * max(abs(one), abs(other))


def reason_of(error: Exception, attempt: Path) -> str:
    """Why a session cannot be used, in one line, without where on this machine it stands."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = text.replace(f"{attempt}/", "").replace(str(attempt), "/".join(attempt.parts[-3:]))
    return text if isinstance(error, UserError) else f"cannot be used: {text}"


def as_row(used: Used) -> dict[str, Any]:
    """A session as the data card lists it."""
    return {
        "person": used.person,
        "session": used.session,
        "protocol": used.protocol,
        "policy": used.policy,
        "state": used.state,
        "replayed": used.replayed,
        "simulated": used.simulated,
        "trains": used.decisions.trains,
        "decisions": len(used.decisions),
        "cut_trains": int(used.decisions.place[:, -1].sum()),
        "recording_sha256": used.recording_sha256,
    }

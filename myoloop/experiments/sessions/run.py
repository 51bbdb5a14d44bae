"""One session from its names: protocol, rig, subject, study; live or in lockstep; everything left in its folder."""

from __future__ import annotations

import gc
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from myoloop.experiments.protocols.lint import errors, lint
from myoloop.experiments.protocols.plan import longest_s
from myoloop.experiments.protocols.planned import Continuation
from myoloop.experiments.protocols.schema import Protocol, load_protocol
from myoloop.experiments.sessions.acting import begin_of, check_script, operator_of
from myoloop.experiments.sessions.admission import admit
from myoloop.experiments.sessions.blinding import allocated_in
from myoloop.experiments.sessions.continuing import cut_attempt
from myoloop.experiments.sessions.faults import Fault
from myoloop.experiments.sessions.keyboard import Keyboard
from myoloop.experiments.sessions.learned import shadow_artefact, with_learned
from myoloop.experiments.sessions.live import LAST_LOOK_S, LiveSession, Seen
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.records_before import screening_before
from myoloop.experiments.sessions.room import Free, free_bytes, refuse_if_full
from myoloop.experiments.sessions.script import Script
from myoloop.experiments.sessions.settling import settle
from myoloop.experiments.sessions.setup import (
    SessionSetup,
    SetupError,
    make_setup,
    rig_json,
    summarise,
)
from myoloop.experiments.sessions.simulated_rig import simulated_rig
from myoloop.experiments.sessions.survey import Survey, survey
from myoloop.experiments.sessions.virtual_body import emulates, group_of, virtual_body
from myoloop.experiments.studies.identity import SecondCheck
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.subjects.presets import PRESETS
from myoloop.experiments.subjects.subject_file import load_subject
from myoloop.platform.errors import UserError
from myoloop.platform.messages import Phase
from myoloop.platform.recording.compact import compact
from myoloop.platform.recording.folder import create_attempt, keep_copy, next_session, no_attempt_if_refused
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.rig import Rig, load_rig
from myoloop.platform.yamlfile import FileError
from myoloop.stimulators.dose_ledger import HELD, LEDGER_FILE, is_held

#: Somebody drawn from a group of virtual people.
DRAWN = "SIM:"
_PSEUDONYM = re.compile(r"[A-Za-z0-9]{1,32}")


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """How a session ended.

    Attributes
    ----------
    outcome
        ``complete``, ``stopped``, ``aborted`` or ``fault``.
    """

    folder: Path
    outcome: str
    reason: str
    duration_s: float

    @property
    def exit_code(self) -> int:
        """0 where it went to its end, 3 for a fault or stop."""
        return 0 if self.outcome == "complete" else 3


def prepare(
    protocol: str,
    *,
    subject: str,
    rig: str | None,
    study: Path,
    seed: int,
    session: int | None = None,
    script: Script | None = None,
    speed: str = "max",
    go_on: Continuation | None = None,
    key: Path | str | None = None,
    identity: SecondCheck | None = None,
    free: Free = free_bytes,
    shadow: str | None = None,
) -> SessionSetup:
    """Read everything, check it against one another, and make the attempt's folder.

    Parameters
    ----------
    protocol
        File or preset.
    subject
        Pseudonym, file of a virtual subject, or ``SIM:<preset>``: somebody drawn from that group, called SIM1.
    rig
        Rig file; None makes a SIM rig for the protocol.
    session
        Which of the person's sessions this is a new attempt at; its dose goes on. None begins the next one.
    script
        Who acts; checked against protocol and rig.
    speed
        ``real`` or ``max``: what a script may break depends on it.
    go_on
        What earlier attempts at this session have used up; None begins it from its beginning.
    key
        The study's key file, where the protocol has arms that come from its sealed list. Only the stimulator's node
        reads it.
    identity
        The person's second identifier; needed on a HUMAN rig, and kept nowhere.
    free
        Tells how many bytes are free where the session is recorded.
    shadow
        Folder of an artefact, or ``deployed``: it computes beside the controller, is recorded and does not act.

    Raises
    ------
    FileError
        With every mistake in protocol, rig or subject, one line each.
    SetupError, RecordingError
        If they do not fit together, a session of this person is running, or the folder cannot be made.
    """
    # What is played, signed and kept must be the same bytes: read before and after everything that looks at them.
    path = load_protocol(protocol).path
    content = Path(path).read_bytes()
    chosen = load_protocol(path)
    wired = load_rig(rig) if rig is not None else simulated_rig(chosen)
    known = check(chosen, wired)
    chosen = with_learned(chosen, Path(study), wired.rig.rig_class)
    beside = None if shadow is None else shadow_artefact(shadow, Path(study))
    streams = [each for source in known.sources.values() for each in source.descriptors or ()]
    refuse_if_full(Path(study), streams, longest_s(chosen), free)
    name, parameters = _person(subject, seed, group_of(wired))
    if wired.node_of("subject") is not None:
        virtual_body(wired, parameters, seed)
    if script is not None:
        check_script(script, chosen, wired, speed)
    ledger = Path(study) / f"sub-{name}" / LEDGER_FILE
    if is_held(ledger):
        raise SetupError(f"dose ledger {ledger}: {HELD}")
    cut = cut_attempt(ledger.parent)
    if cut is not None:
        raise SetupError(
            f"{cut}: was cut off and is neither closed nor continued; "
            f"first: myoloop resume {cut.parent} --close or --continue, with --why"
        )
    wall = begin_of(script)
    admitted = admit(Path(study), name, chosen, wired.rig.rig_class, wall, session, identity=identity)
    found = allocated_in(Path(study), chosen, name, key)
    number = next_session(study, name) if session is None else session
    folder = create_attempt(study, name, number)
    with no_attempt_if_refused(folder):
        setup = make_setup(
            chosen,
            wired,
            subject=name,
            session="/".join(folder.parts[-3:]),
            folder=folder,
            parameters=parameters,
            seed=seed,
            known=known,
            allocated=found,
            shadow=beside,
            go_on=go_on,
            screening=screening_before(chosen, ledger.parent, admitted.held, wired.rig.rig_class, wall, script),
            personal=admitted.personal,
            caps=admitted.caps,
        )
        if Path(chosen.path).read_bytes() != content:
            raise SetupError(f"{chosen.path}: was changed while it was read")
        kept = {
            "protocol.yaml": content,
            "rig.yaml": Path(rig).read_bytes() if rig is not None else rig_json(wired).encode(),
            "envelope.json": setup.plan.envelope.to_json().encode(),
        }
        copies = dict(keep_copy(folder, file, content) for file, content in kept.items())
    group = subject.removeprefix(DRAWN) if subject.startswith(DRAWN) else ""
    return replace(setup, copies=copies, group=group)


def check(protocol: Protocol, rig: Rig) -> Survey:
    """Refuse a rig or a protocol that is wrong, or a rig that cannot serve the protocol.

    Returns
    -------
    Survey
        What is known of the rig now.

    Raises
    ------
    FileError
        With every mistake.
    SetupError
        If a port that the rig names is taken, or its pedal is not there.
    """
    known = survey(rig)
    stimulator = rig.node_of("stimulator")
    real = stimulator is not None and rig.nodes[stimulator].driver != "simulated" and not emulates(rig)
    if rig.rig.rig_class == "SIM" and stimulator is not None and real:
        # Nobody is screened and nothing is signed there: no real device may be on it.
        place, found_driver = rig.place(("nodes", stimulator, "driver")), rig.nodes[stimulator].driver
        raise SetupError(
            f"{place}: found {found_driver!r}, allowed on a SIM rig is simulated, or a driver with port: emulated"
        )
    found = errors(lint(protocol, summarise(rig, known)))
    if found:
        raise FileError([str(problem) for problem in found])
    if rig.stop is not None and rig.stop.port is not None:
        _check_port(rig, rig.stop.port)
    if rig.stop is not None and rig.stop.pedal is not None and not Path(rig.stop.pedal).exists():
        raise SetupError(f"{rig.place(('stop', 'pedal'))}: found {rig.stop.pedal!r}, there is no such device")
    return known


def _check_port(rig: Rig, port: int) -> None:
    with socket.socket() as probe:
        if os.name == "posix":
            # As the stop node does: what a session before has left there is no listener.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            place, why = rig.place(("stop", "port")), (error.strerror or str(error)).lower()
            raise SetupError(f"{place}: found {port}, which cannot be had: {why}") from None


def run_lockstep(
    setup: SessionSetup, on_tick: Callable[[Phase | None], None] | None = None, script: Script | None = None
) -> SessionEnd:
    """Run in one process, as fast as it goes.

    Parameters
    ----------
    script
        Who acts, and on which day.
    """
    day = script.moment if script is not None else None
    wall_ns = time.time_ns() if day is None else round(day.timestamp()) * 1_000_000_000
    # What is loaded by now stays; the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    with _rarely_collected(), no_attempt_if_refused(setup.folder):
        result = Lockstep(setup, wall_start_ns=wall_ns, on_tick=on_tick, script=script).run()
        return _ended(setup, result.outcome, result.reason, result.duration_s)


@contextmanager
def _rarely_collected() -> Iterator[None]:
    """Let the collector look less often: messages form no circles, and looking at them costs a seventh of the time."""
    usual = gc.get_threshold()
    gc.set_threshold(50_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def run_live(
    setup: SessionSetup,
    on_turn: Callable[[Seen], str] | None = None,
    faults: Sequence[Fault] = (),
    script: Script | None = None,
    keyboard: Keyboard | None = None,
    free: Free = free_bytes,
    after_stop_s: float = LAST_LOOK_S / 2,
    at_desk: bool = False,
) -> SessionEnd:
    """Run in separate processes, at real time.

    Parameters
    ----------
    faults
        What is to go wrong on purpose, and when.
    script
        Who acts.
    keyboard
        Of the terminal that somebody sits at.
    free
        Tells how many bytes are free where the session is recorded.
    after_stop_s
        How long what follows a stop is recorded.
    at_desk
        Whether a person does at a console what the session waits for; no script then.

    Raises
    ------
    SupervisorError, SetupError
        If the rig does not come up.
    """
    # The supervisor is watched as every node is: to look through all that is loaded would be 100 ms of silence.
    gc.collect()
    gc.freeze()
    with _rarely_collected(), no_attempt_if_refused(setup.folder):
        operator = operator_of(setup, script, keyboard, at_desk=at_desk)
        result = LiveSession(setup, operator, on_turn, faults, free, after_stop_s).run()
    return _ended(setup, result.outcome, result.reason, result.duration_s)


def _ended(setup: SessionSetup, outcome: str, reason: str, duration_s: float) -> SessionEnd:
    # A job after the end: the recording is whole before and after it, and stays as it was if it fails.
    try:
        compact(setup.folder)
    except RecordingError as error:
        reason = reason or f"not compacted: {error}"
    try:
        settle(setup.folder, outcome)
    except (UserError, OSError) as error:
        reason = reason or f"records not left: {error}"
    return SessionEnd(setup.folder, outcome, reason, duration_s)


def _person(subject: str, seed: int, of_rig: str) -> tuple[str, SubjectParameters]:
    group = subject.removeprefix(DRAWN)
    if group != subject:
        if group not in PRESETS:
            raise SetupError(f"subject {subject!r}: allowed are {', '.join(DRAWN + preset for preset in PRESETS)}")
        return "SIM1", draw(seed, group)
    path = Path(subject)
    if path.suffix in (".yaml", ".yml"):
        return load_subject(path, seed)
    if not _PSEUDONYM.fullmatch(subject):
        allowed = f"a pseudonym of 1 to 32 letters and digits, a YAML file, or {DRAWN}<preset>"
        raise SetupError(f"subject {subject!r}: allowed is {allowed}")
    return subject, draw(seed, of_rig)

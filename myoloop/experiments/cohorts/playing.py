"""One session of a planted study: the real lockstep run, from protocol to settled attempt."""

from __future__ import annotations

import gc
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

import msgspec
from ruamel.yaml import YAML

from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.lockstep import TICK_NS, Lockstep
from myoloop.experiments.sessions.resuming import close_session
from myoloop.experiments.sessions.run import prepare
from myoloop.experiments.sessions.script import Script
from myoloop.experiments.sessions.settling import settle
from myoloop.experiments.sessions.setup import SessionSetup
from myoloop.experiments.sessions.simulated_rig import simulated_rig_data
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.subject_file import write_subject
from myoloop.platform.errors import UserError
from myoloop.platform.messages import Phase
from myoloop.platform.recording.compact import compact
from myoloop.platform.recording.layout import SESSION_FILE
from myoloop.platform.recording.manifest import MANIFEST_FILE

#: Who acts is quick: what an operator takes to press a button is no part of what is planted.
_REACTION = "0.02 s"
#: By so much the amplifier's clock jumps, when the person is asked for a guess and nothing hangs on it any more.
JUMP_S = 2.0
#: The site with the pads.
_STIMULATED = "left"
#: Of the file that a cut-off session leaves.
_LEFT_PCT = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A session that is to be played.

    Attributes
    ----------
    right
        Strength of the right muscle relative to the left one.
    time_jump
        Whether the amplifier's time stamps jump near its end.
    """

    protocol: Path
    study: Path
    key: Path
    person: str
    parameters: SubjectParameters
    right: float
    seed: int
    begin: datetime
    time_jump: bool = False


@dataclass(frozen=True, slots=True)
class Played:
    """A session that was played.

    Attributes
    ----------
    folder
        Of its attempt.
    left
        Of each train, which share of the stimulated muscle's force was left at the end of its hold, as the body itself
        has it: nothing that a recording tells.
    """

    folder: Path
    left: tuple[float, ...]

    @property
    def evoked_loss(self) -> float | None:
        """Share that is lost from the first three trains to the last three; None of fewer than six.

        The first train rises with the envelope's slew and is not whole, so that of the first three the lesser of the
        other two is their median.
        """
        if len(self.left) < 6:
            return None
        return 1.0 - median(self.left[-3:]) / min(self.left[1:3])


def play(wanted: Wanted) -> Played:
    """Play it to its end, and settle it.

    Raises
    ------
    UserError
        If it does not come to its end.
    """
    script = _script(wanted)
    setup = _prepared(wanted, script)
    left: dict[int, float] = {}

    def tick(phase: Phase | None) -> None:
        if phase is not None and phase.trial_state == "hold":
            # Of the newest tick: what is left at the end of the hold, as the body itself has it.
            pulse_uc = wanted.parameters.tolerance_uc
            left[phase.trial] = 1.0 - lockstep.body.subject.force_lost(pulse_uc)[_STIMULATED]

    lockstep = Lockstep(setup, wall_start_ns=_wall_ns(wanted), on_tick=tick, script=script)
    gc.collect()
    gc.freeze()
    end = lockstep.run()
    if end.outcome != "complete" and not wanted.time_jump:
        raise UserError(f"{setup.folder}: a planted session ended as {end.outcome}: {end.reason}")
    compact(setup.folder)
    settle(setup.folder, end.outcome)
    return Played(setup.folder, tuple(left[trial] for trial in sorted(left)))


def cut_off(wanted: Wanted, after_s: float) -> Path:
    """Play it so far and no further, as after a kill, and have it closed as interrupted; the attempt's folder."""
    script = _script(wanted)
    setup = _prepared(wanted, script)
    ticks = 0

    def tick(_: Phase | None) -> None:
        nonlocal ticks
        ticks += 1
        if ticks * TICK_NS > after_s * 1e9:
            raise KeyboardInterrupt

    Lockstep(setup, wall_start_ns=_wall_ns(wanted), on_tick=tick, script=script).run()
    # A kill leaves no end, and no manifest.
    file = setup.folder / SESSION_FILE
    os.truncate(file, file.stat().st_size * _LEFT_PCT // 100)
    (setup.folder / MANIFEST_FILE).unlink()
    close_session(setup.folder.parent, who="A. Smith", why="power cut", wall=wanted.begin)
    return setup.folder


def _wall_ns(wanted: Wanted) -> int:
    return round(wanted.begin.timestamp()) * 1_000_000_000


def _prepared(wanted: Wanted, script: Script) -> SessionSetup:
    data = simulated_rig_data(load_protocol(wanted.protocol))
    data["nodes"]["body"]["settings"]["muscles"]["right"]["strength"] = wanted.right
    with tempfile.TemporaryDirectory() as place:
        rig, person = Path(place) / "rig.yaml", Path(place) / "person.yaml"
        with rig.open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(msgspec.to_builtins(data), file)
        write_subject(person, wanted.person, wanted.parameters)
        return prepare(
            str(wanted.protocol), subject=str(person), rig=str(rig), study=wanted.study, seed=wanted.seed,
            script=script, key=wanted.key,
        )  # fmt: skip


def _script(wanted: Wanted) -> Script:
    acts = []
    if wanted.time_jump:
        fault = {"kind": "time_jump", "source": "amplifier", "by": f"{JUMP_S:g} s"}
        acts = [{"when": {"phase": "guess"}, "do": {"fault": fault}}]
    told = {
        "date": wanted.begin.strftime("%Y-%m-%dT%H:%M"),
        "operator": {"name": "A. Smith", "role": "clinician", "reaction": _REACTION},
        "others": "clear",
        "forms": {"blinding_guess": "person"},
        "acts": acts,
    }
    return Script.model_validate(told)

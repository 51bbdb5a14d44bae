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
#: The block whose trains are given alike; before it current rises onto new ground.
TRAINS = "trains"
#: States of a trial in which current is given.
_GIVEN = ("ramp_up", "hold", "ramp_down")
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
    evoked_n
        Of each train in the block of alike ones, the peak of the stimulated muscle's force above that just before it,
        as the body itself has it every 10 ms: no cell, no noise, nothing that a recording tells.
    """

    folder: Path
    evoked_n: tuple[float, ...]

    @property
    def evoked_loss(self) -> float | None:
        """Share of evoked force that is lost from the first three trains to the last three.

        The same physical quantity as the outcome ``evoked_fatigue``, without cell and recording. None of fewer than six
        trains, or where nothing was evoked.
        """
        if len(self.evoked_n) < 6 or not median(self.evoked_n[:3]) > 0.0:
            return None
        return 1.0 - median(self.evoked_n[-3:]) / median(self.evoked_n[:3])


def play(wanted: Wanted) -> Played:
    """Play it to its end, and settle it.

    Raises
    ------
    UserError
        If it does not come to its end.
    """
    script = _script(wanted)
    setup = _prepared(wanted, script)
    evoked_n: dict[int, float] = {}
    rest_n = 0.0

    def tick(phase: Phase | None) -> None:
        nonlocal rest_n
        now_n = lockstep.body.subject.force_n[_STIMULATED]
        if phase is None or phase.trial_state not in _GIVEN:
            rest_n = now_n
        elif phase.kind == "block" and phase.name == TRAINS:
            # Bursts of the calibration have numbers too, from 1 like these.
            evoked_n[phase.trial] = max(evoked_n.get(phase.trial, 0.0), now_n - rest_n)

    lockstep = Lockstep(setup, wall_start_ns=_wall_ns(wanted), on_tick=tick, script=script)
    gc.collect()
    gc.freeze()
    end = lockstep.run()
    if end.outcome != "complete" and not wanted.time_jump:
        raise UserError(f"{setup.folder}: a planted session ended as {end.outcome}: {end.reason}")
    compact(setup.folder)
    settle(setup.folder, end.outcome)
    return Played(setup.folder, tuple(evoked_n[trial] for trial in sorted(evoked_n)))


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

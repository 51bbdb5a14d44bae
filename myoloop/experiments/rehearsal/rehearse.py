"""Rehearse a rig on a dummy load: a whole session on it, judged by its own recording."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from ruamel.yaml import YAML

from myoloop.experiments.rehearsal.bench import Bench, RehearsalError, bench_of, refuse_people
from myoloop.experiments.rehearsal.findings import Findings, find
from myoloop.experiments.rehearsal.heard import hear
from myoloop.experiments.rehearsal.kept import FOLDER, LOAD, Rehearsal, keep, wiring_sha256
from myoloop.experiments.sessions.live import Seen
from myoloop.experiments.sessions.run import prepare, run_live
from myoloop.experiments.sessions.script import Script
from myoloop.experiments.sessions.setup import SessionSetup
from myoloop.experiments.sessions.survey import survey
from myoloop.platform.rig import Rig, load_rig
from myoloop.stimulators.driver import Capabilities

#: What follows a stop is watched for longer than current may last by any device's own bound but the longest (2 s).
_AFTER_STOP_S = 1.0
#: Device and person answer in no form here; a protocol's own are answered as of somebody with nothing to find.
_SCRIPT = Script.model_validate({"others": "clear"})

#: Shows a session while it runs; gives what is called at each turn.
Shown = Callable[[SessionSetup], AbstractContextManager[Callable[[Seen], str] | None]]


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What came of it, and where it lies."""

    folder: Path
    kept: Rehearsal

    @property
    def findings(self) -> Findings:
        """What was found."""
        return self.kept.findings


def planned(rig: Rig, seconds: float) -> Bench:
    """What would be done; nothing is opened.

    Raises
    ------
    RehearsalError, FileError
        If the rig cannot be rehearsed, or has mistakes.
    """
    refuse_people(rig)
    return bench_of(rig, _device(rig), seconds)


def rehearse(
    rig_file: Path | str,
    *,
    study: Path,
    seconds: float = 60.0,
    protocol: str | None = None,
    shown: Shown = lambda setup: nullcontext(None),
) -> Rehearsed:
    """Run a session on a rig of class SIM or BENCH, compare asked with given, and keep what was found.

    Parameters
    ----------
    seconds
        How long short trains are given for the latency; not with a protocol.
    protocol
        File or preset that is run instead; it must be for such rigs.
    shown
        Shows it.

    Raises
    ------
    RehearsalError
        If the rig is for people, or cannot be rehearsed.
    UserError
        If rig and protocol do not fit, or the rig does not come up.
    """
    rig = load_rig(rig_file)
    refuse_people(rig)
    device = _device(rig)
    with TemporaryDirectory(prefix="myo-rehearsal-") as made:
        script, ended = _SCRIPT, ("complete", "")
        if protocol is None:
            bench = bench_of(rig, device, seconds)
            path = Path(made) / "rehearsal.yaml"
            with path.open("w") as file:
                YAML().dump(bench.protocol(), file)
            script, ended = bench.script(), bench.ended
        setup = prepare(
            protocol or str(path), subject=LOAD, rig=str(rig_file), study=study / FOLDER, seed=1, script=script,
            speed="real",
        )  # fmt: skip
    with shown(setup) as on_turn:
        run_live(setup, on_turn, script=script, after_stop_s=_AFTER_STOP_S)
    found = find(hear(setup.folder), step_ma=device.current_step_ma, ended=ended)
    kept = Rehearsal(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        rig=rig.rig.id,
        rig_class=rig.rig.rig_class,
        wiring_sha256=wiring_sha256(rig),
        device=found.device,
        simulated=setup.origins.stimulation != "device",
        passed=found.passed,
        protocol=f"{setup.protocol.protocol.id} {setup.protocol.protocol.version}",
        findings=found,
    )
    keep(setup.folder, kept)
    return Rehearsed(setup.folder, kept)


def _device(rig: Rig) -> Capabilities:
    found = survey(rig).device
    if found is None:
        raise RehearsalError(f"rig {rig.rig.id}: has no stimulator to rehearse")
    return found

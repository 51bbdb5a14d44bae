"""The scripted operator: does what the session waits for, on rigs where nobody can be hurt.

It sees what a person at the console would see (phase, the stimulator's report, answers) and acts a reaction time
after the session begins to wait. What is refused it tries again, for a while; then it ends the session and says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from myoloop.platform.messages import Answer, Command, Phase, StimReport
from myoloop.platform.steps import Outgoing, StepInput

#: Rig classes that a script may operate; the gate refuses it on others too.
SCRIPTED_RIGS = frozenset({"SIM", "BENCH"})


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """How the script acts.

    Attributes
    ----------
    session
        Name of the session attempt, which an arming names.
    rig_class
        ``SIM`` or ``BENCH``.
    stimulator, director
        Names of the nodes it commands.
    reaction_s, step_s
        How long after the session begins to wait it acts, and the same for a step of a calibration.
    retry_s, tries
        A refused act is tried again after so long, so many times in all.
    paused_s
        A pause that nobody has told it about ends the session after so long.
    """

    session: str
    rig_class: str
    stimulator: str = "stimulator"
    director: str = "director"
    reaction_s: float = 0.2
    step_s: float = 0.05
    retry_s: float = 0.1
    tries: int = 50
    paused_s: float = 5.0


class Desk(msgspec.Struct):
    """Everything the operator remembers.

    Attributes
    ----------
    phase, report
        What is on the screen.
    wait, since_ns
        What the session waits for (with its phase and step), and since when that is seen.
    asked
        The command that is on its way: id, kind.
    next_ns
        Not before this does it act.
    refused
        How often the present act was refused.
    done
        The present wait has been served.
    """

    phase: Phase | None = None
    report: StimReport | None = None
    wait: tuple[str, int, int, int, str] | None = None
    since_ns: int = 0
    asked: tuple[str, str] | None = None
    next_ns: int = 0
    commands: int = 0
    refused: int = 0
    done: bool = False
    step_ma: float = 0.0
    why: str = ""


class ScriptedOperator:
    """Serves whatever the session waits for; a pure object, stepped.

    Parameters
    ----------
    settings
        How it acts.
    state
        What :meth:`state` once gave.

    Raises
    ------
    ValueError
        If the rig is of a class that a script may not operate.
    """

    name = "operator"
    subscriptions = ("answer", "phase", "report")

    def __init__(self, settings: OperatorSettings, state: Mapping[str, Any] | None = None) -> None:
        if settings.rig_class not in SCRIPTED_RIGS:
            allowed = ", ".join(sorted(SCRIPTED_RIGS))
            raise ValueError(f"a script operates {allowed} rigs only, this one is {settings.rig_class}")
        self._settings = settings
        self._desk = Desk() if state is None else msgspec.convert(dict(state), Desk)
        self._out: list[Outgoing] = []

    @property
    def settings(self) -> OperatorSettings:
        """What it was made with."""
        return self._settings

    def state(self) -> dict[str, Any]:
        """What a restored operator needs to go on bit for bit: JSON-ready."""
        kept: dict[str, Any] = msgspec.to_builtins(self._desk)
        return kept

    def step(self, given: StepInput) -> list[Outgoing]:
        """Look at the screen, and act if it is time."""
        desk = self._desk
        self._out = []
        for received in given.received:
            message = received.message
            if isinstance(message, Phase):
                desk.phase = message
            elif isinstance(message, StimReport):
                desk.report = message
            elif isinstance(message, Answer):
                self._answered(message, given.now_ns)
        if desk.phase is not None:
            self._look(desk.phase, given.now_ns)
        return self._out

    def _look(self, phase: Phase, now_ns: int) -> None:
        desk = self._desk
        wanted = "resume" if phase.state == "paused" else phase.waiting_for
        wait = (wanted, phase.index, phase.block, phase.trial, _channel(phase)) if wanted else None
        if wait != desk.wait:
            desk.wait, desk.since_ns = wait, now_ns
            desk.asked, desk.refused, desk.done = None, 0, False
            reaction_s = self._settings.step_s if wanted == "step" else self._settings.reaction_s
            desk.next_ns = now_ns + round(reaction_s * 1e9)
        if wait is None or desk.done or desk.asked is not None or now_ns < desk.next_ns or phase.state == "ended":
            return
        self._act(wanted, phase, now_ns)

    def _act(self, wanted: str, phase: Phase, now_ns: int) -> None:
        desk, settings = self._desk, self._settings
        sha256 = desk.report.envelope_sha256 if desk.report is not None else ""
        if wanted == "confirm":
            # The report on the screen may still be of before the envelope was set: then this is refused and retried.
            self._command(settings.stimulator, "confirm", now_ns, {"envelope_sha256": sha256})
        elif wanted in ("arm", "arm_calibration"):
            calibrating = {"channel": _channel(phase)} if wanted == "arm_calibration" else {}
            mode = "calibration" if calibrating else "normal"
            arguments = {"mode": mode, "session": settings.session, "envelope_sha256": sha256, **calibrating}
            self._command(settings.stimulator, "arm", now_ns, arguments)
        elif wanted == "step":
            desk.step_ma = phase.targets[0].current_ma
            arguments = {"channel": _channel(phase), "current_ma": desk.step_ma}
            self._command(settings.stimulator, "step", now_ns, arguments)
        elif wanted == "approve_envelope":
            self._command(settings.director, "approve", now_ns, {}, why="scripted approval")
        elif wanted == "resume" and now_ns - desk.since_ns >= settings.paused_s * 1e9:
            self._end(phase.reason or "paused, and a script does not resume", now_ns)

    def _answered(self, answer: Answer, now_ns: int) -> None:
        desk, settings = self._desk, self._settings
        if desk.asked is None or answer.id != desk.asked[0]:
            return
        kind = desk.asked[1]
        desk.asked = None
        if not answer.ok:
            desk.refused += 1
            desk.next_ns = now_ns + round(settings.retry_s * 1e9)
            if desk.refused >= settings.tries:
                self._end(f"{kind} refused {desk.refused} times: {answer.reason}", now_ns)
        elif kind == "arm":
            self._command(settings.director, "armed", now_ns, {"arm_id": str(answer.values.get("arm_id", ""))})
        elif kind == "step":
            self._command(settings.director, "stepped", now_ns, {"current_ma": desk.step_ma})
        else:
            desk.done = True

    def _end(self, why: str, now_ns: int) -> None:
        self._command(self._settings.director, "end", now_ns, {}, why=why)

    def _command(self, target: str, kind: str, now_ns: int, arguments: Mapping[str, Any], *, why: str = "") -> None:
        desk = self._desk
        desk.commands += 1
        identity = f"operator-{desk.commands}"
        desk.asked = (identity, kind)
        command = Command(
            t_ns=now_ns,
            id=identity,
            kind=kind,
            target=target,
            # The name by which the gate knows a script.
            who="script",
            why=why,
            arguments=dict(arguments),
        )
        self._out.append(Outgoing("command", command))


def _channel(phase: Phase) -> str:
    """The channel that is calibrated."""
    return phase.targets[0].channel if phase.kind == "calibration" and phase.targets else ""

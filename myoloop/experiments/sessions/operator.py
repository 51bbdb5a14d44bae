"""The scripted operator: does what the session waits for, on rigs where nobody can be hurt.

It sees what a person at the console would see (phase, the stimulator's report, answers) and acts a reaction time
after the session begins to wait. What is refused it tries again, for a while; then it ends the session and says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from myoloop.platform.messages import Answer, Command, Phase, StimReport

#: Rig classes that a script may operate; the gate refuses it on others too.
SCRIPTED_RIGS = frozenset({"SIM", "BENCH"})
#: The name by which the gate knows a script.
SCRIPT = "script"


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """How the script acts.

    Attributes
    ----------
    stimulator, director
        Names of the nodes it commands.
    reaction_s, step_s
        How long after the session begins to wait it acts, and the same for a step of a calibration.
    retry_s, tries
        A refused act is tried again after so long, so many times in all.
    paused_s
        A pause ends the session after so long: a script has no reason to resume.
    """

    stimulator: str = "stimulator"
    director: str = "director"
    reaction_s: float = 0.2
    step_s: float = 0.05
    retry_s: float = 0.1
    tries: int = 50
    paused_s: float = 5.0


#: What the session waits for: the act, phase, repetition, step, channel.
Wait = tuple[str, int, int, int, str]


class ScriptedOperator:
    """Serves whatever the session waits for.

    Parameters
    ----------
    rig_class
        ``SIM`` or ``BENCH``.
    settings
        How it acts.

    Raises
    ------
    ValueError
        If the rig is of a class that a script may not operate.
    """

    def __init__(self, rig_class: str, settings: OperatorSettings | None = None) -> None:
        if rig_class not in SCRIPTED_RIGS:
            allowed = ", ".join(sorted(SCRIPTED_RIGS))
            raise ValueError(f"a script operates {allowed} rigs only, this one is {rig_class}")
        self._settings = settings or OperatorSettings()
        self._wait: Wait | None = None
        self._since_ns = 0
        self._next_ns = 0
        self._now_ns = 0
        self._asked: tuple[str, str] | None = None
        self._answer: tuple[str, Answer] | None = None
        self._refused = 0
        self._done = False
        self._step_ma = 0.0
        self._commands = 0

    def step(self, phase: Phase | None, report: StimReport | None, now_ns: int) -> list[Command]:
        """Look at the screen, and act if it is time."""
        if phase is None or phase.state == "ended":
            return []
        self._now_ns = now_ns
        answered, self._answer = self._answer, None
        wanted = "resume" if phase.state == "paused" else phase.waiting_for
        wait = (wanted, phase.index, phase.block, phase.trial, _channel(phase)) if wanted else None
        if wait != self._wait:
            self._wait, self._since_ns = wait, now_ns
            self._asked, self._refused, self._done = None, 0, False
            reaction_s = self._settings.step_s if wanted == "step" else self._settings.reaction_s
            self._next_ns = now_ns + round(reaction_s * 1e9)
        elif answered is not None:
            return self._follow_up(*answered)
        if wait is None or self._done or self._asked is not None or now_ns < self._next_ns:
            return []
        return self._act(wanted, phase, report)

    def answered(self, answer: Answer) -> None:
        """One of its commands has been answered; what follows from it comes with the next step."""
        if self._asked is not None and answer.id == self._asked[0]:
            self._answer = (self._asked[1], answer)
            self._asked = None

    def _act(self, wanted: str, phase: Phase, report: StimReport | None) -> list[Command]:
        settings = self._settings
        # The report on the screen may still be of before an envelope was set: then this is refused and tried again.
        sha256 = report.envelope_sha256 if report is not None else ""
        if wanted == "confirm":
            return self._command(settings.stimulator, "confirm", {"envelope_sha256": sha256})
        if wanted in ("arm", "arm_calibration"):
            calibrating = {"channel": _channel(phase)} if wanted == "arm_calibration" else {}
            mode = "calibration" if calibrating else "normal"
            arguments = {"mode": mode, "session": phase.session, "envelope_sha256": sha256, **calibrating}
            return self._command(settings.stimulator, "arm", arguments)
        if wanted == "step":
            self._step_ma = phase.targets[0].current_ma
            step = {"channel": _channel(phase), "current_ma": self._step_ma}
            return self._command(settings.stimulator, "step", step)
        if wanted == "approve_envelope":
            return self._command(settings.director, "approve", {}, why="scripted approval")
        if wanted == "resume" and self._now_ns - self._since_ns >= round(settings.paused_s * 1e9):
            self._done = True
            return self._command(settings.director, "end", {}, why="paused, and a script does not resume")
        return []

    def _follow_up(self, kind: str, answer: Answer) -> list[Command]:
        settings = self._settings
        if not answer.ok:
            self._refused += 1
            self._next_ns = self._now_ns + round(settings.retry_s * 1e9)
            if self._refused < settings.tries:
                return []
            self._done = True
            why = f"{kind} refused {self._refused} times: {answer.reason}"
            return self._command(settings.director, "end", {}, why=why)
        if kind == "arm":
            return self._command(settings.director, "armed", {"arm_id": str(answer.values.get("arm_id", ""))})
        if kind == "step":
            return self._command(settings.director, "stepped", {"current_ma": self._step_ma})
        self._done = True
        return []

    def _command(self, target: str, kind: str, arguments: Mapping[str, Any], *, why: str = "") -> list[Command]:
        self._commands += 1
        identity = f"operator-{self._commands}"
        self._asked = (identity, kind)
        command = Command(
            t_ns=self._now_ns,
            id=identity,
            kind=kind,
            target=target,
            who=SCRIPT,
            why=why,
            arguments=dict(arguments),
        )
        return [command]


def _channel(phase: Phase) -> str:
    """The channel that is calibrated."""
    return phase.targets[0].channel if phase.kind == "calibration" and phase.targets else ""

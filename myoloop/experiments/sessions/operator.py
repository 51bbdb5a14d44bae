"""The scripted operator: does what the session waits for, on rigs where nobody can be hurt.

It sees what a person at the console would see (phase, the stimulator's report, answers) and acts a reaction time
after the session begins to wait. What is refused it tries again, for a while; then it ends the session and says why.
A script may have it do more, do it otherwise, or leave it undone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from myoloop.experiments.sessions.script import ScriptedAct
from myoloop.experiments.sessions.scripted_acts import Ask, Break, Deed, Heed, ScriptedActs
from myoloop.platform.messages import Answer, Command, Phase, StimReport

#: Rig classes that a script may operate; the gate refuses it on others too.
SCRIPTED_RIGS = frozenset({"SIM", "BENCH"})
#: The name by which the gate knows a script.
SCRIPT = "script"
FOREVER_S = 1e8


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
        A pause ends the session after so long, unless the script still has a reason to resume.
    name
        Who it is on the record; the gate knows it for a script by how it begins.
    """

    stimulator: str = "stimulator"
    director: str = "director"
    reaction_s: float = 0.2
    step_s: float = 0.05
    retry_s: float = 0.1
    tries: int = 50
    paused_s: float = 5.0
    name: str = SCRIPT


#: What the session waits for: the act, phase, repetition, step, channel or form.
Wait = tuple[str, int, int, int, str]
#: A form's full id and answers; None where nobody gives any.
Answers = Callable[[str], tuple[str, Mapping[str, Any]] | None]
#: The operator shows that they attend when so little time is left to do so.
ATTEND_LEFT_S = 5.0
#: What only a script's own act can do; without one in it the session ends.
_BY_SCRIPT = frozenset({"override", "retry", "resume"})


#: What the keys do where a script serves the rest.
BY_KEY = frozenset({"form", "override", "retry", "resume", "attend"})


def no_answers(form: str) -> tuple[str, Mapping[str, Any]] | None:
    """Nobody has told what to answer."""
    return None


class ScriptedOperator:
    """Serves whatever the session waits for.

    Parameters
    ----------
    rig_class
        ``SIM`` or ``BENCH``.
    settings
        How it acts.
    acts
        What else it does, by a script.
    answers
        What it answers to a form.

    Raises
    ------
    ValueError
        If the rig is of a class that a script may not operate.
    """

    def __init__(
        self,
        rig_class: str,
        settings: OperatorSettings | None = None,
        *,
        acts: Sequence[ScriptedAct] = (),
        answers: Answers = no_answers,
    ) -> None:
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
        self._acts = ScriptedActs(acts, self._settings.name)
        self._answers = answers
        self._ignored: set[str] = set()
        self._absent_until_ns: int | None = None
        self._attended_ns = 0
        self._deeds: list[Deed] = []
        self._scripted: dict[str, str] = {}
        #: Scripted acts that were refused, with the reason.
        self.refused: list[str] = []

    def step(self, phase: Phase | None, report: StimReport | None, now_ns: int) -> list[Command]:
        """Look at the screen, and act if it is time."""
        if phase is None or phase.state == "ended":
            return []
        self._now_ns = now_ns
        by_script = [command for deed in self._acts.due(phase, now_ns) for command in self._do(deed)]
        if self._absent_until_ns is not None and now_ns < self._absent_until_ns:
            return by_script
        return by_script + self._attend(phase, now_ns) + self._serve(phase, report, now_ns)

    def take_deeds(self) -> list[Deed]:
        """Stops, a person's answers and faults that have come due: whoever runs the session does them."""
        deeds, self._deeds = self._deeds, []
        return deeds

    def _do(self, deed: Deed) -> list[Command]:
        if isinstance(deed, Heed):
            if deed.served:
                self._ignored.discard(deed.wait)
            else:
                self._ignored.add(deed.wait)
        elif isinstance(deed, Ask):
            self._commands += 1
            identity = f"script-{self._commands}"
            self._scripted[identity] = deed.kind
            return [self._make(identity, self._settings.director, deed.kind, deed.arguments, deed.why)]
        else:
            if isinstance(deed, Break) and deed.fault.kind == "operator_absent":
                lasts_s = FOREVER_S if deed.fault.for_s is None else deed.fault.for_s
                self._absent_until_ns = self._now_ns + round(lasts_s * 1e9)
            self._deeds.append(deed)
        return []

    def leave_to_keys(self) -> None:
        """Somebody sits at the keys: what is for a person to say is not said by a program."""
        self._ignored |= BY_KEY

    def _may_act(self, now_ns: int) -> bool:
        return now_ns >= self._next_ns

    def _who(self) -> str:
        name = self._settings.name
        return name if name.startswith(SCRIPT) else f"{SCRIPT} ({name})"

    def _role(self) -> str:
        """As whom it acts, for the audit; who gets a command goes by its sender's key."""
        return ""

    def _approving(self) -> str:
        """Why an envelope is approved of."""
        return "scripted approval"

    def _attend(self, phase: Phase, now_ns: int) -> list[Command]:
        left_s = phase.attention_left_s
        if left_s is None or left_s > ATTEND_LEFT_S or "attend" in self._ignored or now_ns < self._attended_ns:
            return []
        self._attended_ns = now_ns + round(self._settings.reaction_s * 1e9)
        return self._do(Ask("attend"))

    def _serve(self, phase: Phase, report: StimReport | None, now_ns: int) -> list[Command]:
        answered, self._answer = self._answer, None
        wanted = "resume" if phase.state == "paused" else phase.waiting_for
        wanted = "" if wanted in self._ignored else wanted
        wait = (wanted, phase.index, phase.block, phase.trial, _channel(phase)) if wanted else None
        if wait != self._wait:
            self._wait, self._since_ns = wait, now_ns
            self._asked, self._refused, self._done = None, 0, False
            reaction_s = self._settings.step_s if wanted == "step" else self._settings.reaction_s
            self._next_ns = now_ns + round(reaction_s * 1e9)
        elif answered is not None:
            return self._follow_up(*answered)
        if wait is None or self._done or self._asked is not None or not self._may_act(now_ns):
            return []
        return self._act(wanted, phase, report)

    def answered(self, answer: Answer) -> None:
        """One of its commands has been answered; what follows from it comes with the next step."""
        scripted = self._scripted.pop(answer.id, "")
        if scripted and not answer.ok:
            self.refused.append(f"{scripted}: {answer.reason}")
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
            return self._command(settings.director, "approve", {}, why=self._approving())
        if wanted == "form":
            return self._answer_form(_channel(phase))
        if wanted in _BY_SCRIPT and not self._acts.has(wanted):
            return self._give_up(wanted, phase)
        return []

    def _give_up(self, wanted: str, phase: Phase) -> list[Command]:
        if self._now_ns - self._since_ns < round(self._settings.paused_s * 1e9):
            return []
        self._done = True
        if wanted == "resume":
            why = "paused, and a script does not resume"
        else:
            why = f"{phase.prompt.rstrip('.') or phase.name}: no {wanted} in the script"
        return self._command(self._settings.director, "end", {}, why=why)

    def _answer_form(self, form: str) -> list[Command]:
        told = self._answers(form)
        if told is None:
            self._done = True
            why = f"form {form}: no script answers it"
            return self._command(self._settings.director, "end", {}, why=why)
        return self._command(self._settings.director, "form", {"form": told[0], "values": dict(told[1])})

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
        return [self._make(identity, target, kind, arguments, why)]

    def _make(self, identity: str, target: str, kind: str, arguments: Mapping[str, Any], why: str) -> Command:
        return Command(
            t_ns=self._now_ns,
            id=identity,
            kind=kind,
            target=target,
            who=self._who(),
            why=why,
            arguments=dict(arguments),
            role=self._role(),
        )


def _channel(phase: Phase) -> str:
    """The form that is asked for, or the channel that is calibrated."""
    if phase.waiting_for == "form":
        return phase.forms[0] if phase.forms else ""
    return phase.targets[0].channel if phase.kind == "calibration" and phase.targets else ""

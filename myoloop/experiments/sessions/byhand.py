"""A person at the keys: alone on a rig for people, beside the script where nobody can be hurt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from myoloop.experiments.sessions.keyboard import Keyboard
from myoloop.experiments.sessions.operator import OperatorSettings, ScriptedOperator
from myoloop.experiments.sessions.scripted_acts import Ask, Deed
from myoloop.platform.messages import Answer, Command, Phase, StimReport


class ByHand:
    """What the keys ask for, and whatever another operator does.

    Parameters
    ----------
    inner
        Who serves what the session waits for, each time ENTER is pressed or by itself.
    """

    def __init__(self, inner: ScriptedOperator, keyboard: Keyboard, director: str, who: str) -> None:
        self._inner = inner
        self._keyboard = keyboard
        self._director = director
        self._who = who
        self._sent = 0

    def step(self, phase: Phase | None, report: StimReport | None, now_ns: int) -> list[Command]:
        """What is to be done now."""
        commands = self._inner.step(phase, report, now_ns)
        for deed in self._keyboard.take_deeds():
            if isinstance(deed, Ask):
                self._sent += 1
                commands.append(
                    Command(
                        t_ns=now_ns,
                        id=f"key-{self._sent}",
                        kind=deed.kind,
                        target=self._director,
                        who=self._who,
                        why=deed.why,
                        arguments=dict(deed.arguments),
                    )
                )
        return commands

    def answered(self, answer: Answer) -> None:
        """Whether what was asked for was done."""
        if answer.id.startswith("key-"):
            self._keyboard.tell("" if answer.ok else answer.reason)
        self._inner.answered(answer)

    def take_deeds(self) -> Sequence[Deed]:
        """What a script does besides."""
        return self._inner.take_deeds()


class HandOperator(ScriptedOperator):
    """Does what the session waits for when a person says so, each time anew; no script, so it may on any rig.

    Parameters
    ----------
    wanted
        Whether the person has said so since last asked.
    """

    def __init__(self, settings: OperatorSettings, wanted: Callable[[], bool]) -> None:
        super().__init__("SIM", settings)
        self._wanted = wanted
        self.leave_to_keys()

    def _may_act(self, now_ns: int) -> bool:
        return self._wanted()

    def _who(self) -> str:
        return self._settings.name

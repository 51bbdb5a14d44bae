"""What one step of the director has to say, in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from myoloop.experiments.sessions.place import Place
from myoloop.platform.messages import Answer, Command, Event, Phase, Trial
from myoloop.platform.steps import Outgoing


class Outbox:
    """Collects messages; commands are numbered and remembered until they are answered."""

    def __init__(self, place: Place, session: str, stimulator: str) -> None:
        self._place = place
        self._session = session
        self._stimulator = stimulator
        self.messages: list[Outgoing] = []

    def command(self, kind: str, *, why: str = "", arguments: Mapping[str, Any] | None = None) -> None:
        """Send a command to the stimulator."""
        place = self._place
        place.commands += 1
        identity = f"director-{place.commands}"
        place.asked[identity] = (kind, place.now_ns)
        command = Command(
            t_ns=place.now_ns,
            id=identity,
            kind=kind,
            target=self._stimulator,
            who="director",
            why=why,
            arguments=dict(arguments or {}),
        )
        self.messages.append(Outgoing("command", command))

    def answer(self, answer: Answer) -> None:
        """Answer a command."""
        self.messages.append(Outgoing("answer", answer))

    def event(self, kind: str, *, why: str = "", values: Mapping[str, float | str | bool | None] | None = None) -> None:
        """Tell that something happened."""
        event = Event(t_ns=self._place.now_ns, kind=kind, who="director", why=why, values=dict(values or {}))
        self.messages.append(Outgoing("event", event))

    def trial(self, trial: Trial) -> None:
        """Write a row of the trial table."""
        self.messages.append(Outgoing("trial", trial))

    def phase(self, phase: Phase) -> None:
        """Tell the whole state."""
        self.messages.append(Outgoing("phase", phase))

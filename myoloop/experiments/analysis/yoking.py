"""What the policy ``yoked`` needs of another person's session: when, after each prompt, a train was triggered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from myoloop.experiments.protocols.plan import YOKED
from myoloop.platform.errors import UserError
from myoloop.platform.messages import Estimate, Message, Phase, Trial
from myoloop.platform.recording.layout import DamagedRecording
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.verify import verify
from myoloop.platform.yamlfile import FileError, load_yaml

PROTOCOL_COPY = "protocol.yaml"


class YokeError(UserError, ValueError):
    """A session to which nobody can be yoked; one line."""


@dataclass(frozen=True, slots=True)
class Yoke:
    """The controller section for the person who is yoked.

    Attributes
    ----------
    session, sha256
        Whose trains they are: the attempt's id, and the head of its recording's chain.
    delays_ns
        By block: from each trial's prompt to its trigger, None without one.
    missing
        By block: numbers of trials that have no row in this recording; they count as without a trigger.
    controller
        As a protocol has it: the session's own section with policy and settings replaced.
    """

    session: str
    sha256: str
    delays_ns: dict[str, list[int | None]]
    missing: dict[str, list[int]]
    controller: dict[str, Any]

    def as_data(self) -> dict[str, Any]:
        """For machines."""
        return {
            "session": self.session,
            "sha256": self.sha256,
            "delays_ns": self.delays_ns,
            "missing": self.missing,
            "controller": self.controller,
        }

    def as_yaml(self) -> str:
        """The section to paste into a protocol, saying of which session it is."""
        lines = [f"# Yoked to {self.session}, recording sha256 {self.sha256}."]
        for block, delays in self.delays_ns.items():
            triggered = sum(each is not None for each in delays)
            lines.append(f"# {block}: {len(delays)} trials, {triggered} triggered.")
            if numbers := ", ".join(map(str, self.missing.get(block, ()))):
                lines.append(f"# {block}: not in this recording, taken as without a trigger: trial {numbers}.")
        yaml: Any = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        yaml.sort_base_mapping_type_on_output = False
        text = StringIO()
        yaml.dump({"controller": self.controller}, text)
        return "\n".join([*lines, text.getvalue().rstrip()])


def trigger_delays_ns(messages: Iterable[Message]) -> tuple[dict[str, list[int | None]], dict[str, list[int]]]:
    """When the controller's policy triggered, per block and trial, and which trials have no row.

    The controller's own step is what is measured, not the director's that follows it: to be triggered again at that
    delay is then to get the train as late as the other person got it.

    Parameters
    ----------
    messages
        Phases, estimates and trials of one recording, in order.

    Returns
    -------
    tuple
        By the block's name, all its repetitions one after the other: delays, None without a trigger; and numbers of
        the trials before the last one that have no row.

    Raises
    ------
    YokeError
        If two blocks have one name: nobody could tell whose delays are whose.
    """
    awaited: tuple[str, int] | None = None
    prompt_ns = 0
    per_repeat: dict[str, int] = {}
    index_of: dict[str, int] = {}
    first_ns: dict[tuple[str, int], int] = {}
    rows: dict[str, dict[int, int | None]] = {}
    for message in messages:
        if isinstance(message, Phase):
            awaited = None
            if message.kind == "block" and message.machine == "effort":
                if index_of.setdefault(message.name, message.index) != message.index:
                    raise YokeError(f"two blocks are called {message.name!r}: give each its own name")
                per_repeat[message.name] = message.trials
                rows.setdefault(message.name, {})
                if message.trial_state == "await_effort":
                    awaited = message.name, (message.block - 1) * message.trials + message.trial
                    prompt_ns = message.t_state_ns
        elif isinstance(message, Estimate):
            if awaited is not None and message.trigger and message.t_ns >= prompt_ns:
                first_ns.setdefault(awaited, message.t_ns - prompt_ns)
        elif isinstance(message, Trial) and message.kind == "block" and message.name in rows:
            number = (message.block - 1) * per_repeat[message.name] + message.trial
            # A time-out in the very step of an effort is a time-out: the row says what the train answered.
            answered = "effort_after_ms" in message.values
            rows[message.name][number] = first_ns.get((message.name, number)) if answered else None
    delays: dict[str, list[int | None]] = {}
    missing: dict[str, list[int]] = {}
    for name, found in rows.items():
        numbers = range(1, max(found, default=0) + 1)
        delays[name] = [found.get(number) for number in numbers]
        if absent := [number for number in numbers if number not in found]:
            missing[name] = absent
    return delays, missing


def yoke_to(session: Path | str) -> Yoke:
    """What yokes a person to a recorded session.

    Parameters
    ----------
    session
        Session file, or the attempt's folder.

    Raises
    ------
    RecordingError
        If there is no recording, or it is damaged.
    YokeError
        If no effort was awaited or came in it, it was yoked itself, or its protocol's copy cannot be read.
    """
    recording = Recording.open(session)
    checked = verify(recording.path)
    if checked.status == "damaged":
        problem = checked.problems[0]
        raise DamagedRecording(problem.offset, f"{problem.what} (in {recording.path})")
    own = _controller(recording.path.parent / PROTOCOL_COPY)
    if own["policy"] == YOKED:
        raise YokeError(f"{recording.path}: was yoked itself; name the session that it was yoked to")
    topics = {"phase", "estimate", "trial"}
    delays, missing = trigger_delays_ns(each.received.message for each in recording.messages(topics))
    if not delays:
        raise YokeError(f"{recording.path}: no block of it waits for an effort: there is no trigger to yoke to")
    if not any(delay is not None for each in delays.values() for delay in each):
        raise YokeError(f"{recording.path}: no effort came in it: there is no trigger to yoke to")
    spoken = {block: [_seconds(each) for each in found] for block, found in delays.items()}
    source = f"{recording.session} sha256 {checked.head}"
    controller = {**own, "policy": YOKED, "settings": {"source": source, "delays": spoken}}
    return Yoke(recording.session, checked.head, delays, missing, controller)


def _controller(path: Path) -> dict[str, Any]:
    """The controller section of the session's own protocol: reflexes and estimators stay as they were."""
    try:
        section = load_yaml(path)[0]["controller"]
        return {"policy": str(section["policy"]), **{str(key): value for key, value in section.items()}}
    except (FileError, KeyError, TypeError) as error:
        raise YokeError(f"{path}: the session's protocol cannot be read: {error}") from None


def _seconds(delay_ns: int | None) -> str | None:
    # Exact: a delay that is rounded up would come a step later.
    return None if delay_ns is None else f"{(Decimal(delay_ns) / 10**9).normalize():f} s"

"""A recording through the live code again.

Each object is given its recorded steps: the same inputs, in the same order, at the same time, from the state recorded
at its start. What it says must be what it said.
"""

from __future__ import annotations

import platform
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from myoloop.platform.errors import UserError
from myoloop.platform.messages import Estimate, Message, Phase, Start, Step, StimReport, StimRequest, Trial
from myoloop.platform.recording.reader import Recorded, Recording
from myoloop.platform.stepping import digest
from myoloop.platform.steps import Received, StepInput, Stepped

#: What an object says that must come out again bit for bit.
CHECKED: tuple[type[Message], ...] = (Estimate, StimRequest, StimReport, Phase, Trial)
#: How close numbers must be where another processor family or other versions did the arithmetic.
RELATIVE = 1e-6

Builder = Callable[[Start], Stepped]


class ReplayError(UserError):
    """A recording that cannot be replayed; the text is for the operator."""


@dataclass(slots=True)
class ObjectReplay:
    """How the replay of one object went.

    Attributes
    ----------
    steps, outputs
        Steps taken again, and what they said that was compared.
    first_difference
        The first step that is not equal, and how; empty where all are.
    not_replayable
        Steps whose inputs are not in the file (lost to a kill).
    """

    name: str
    steps: int = 0
    outputs: int = 0
    first_difference: str = ""
    not_replayable: list[int] = field(default_factory=list)


@dataclass(slots=True)
class ReplayResult:
    """How a replay went.

    Attributes
    ----------
    exact
        True where bits were compared; False where versions or processor differ and numbers were compared.
    """

    path: Path
    exact: bool
    objects: list[ObjectReplay]

    @property
    def equal(self) -> bool:
        """Whether everything that could be compared is equal."""
        return bool(self.objects) and not any(each.first_difference for each in self.objects)


def replay(path: Path | str, builders: dict[str, Builder]) -> ReplayResult:
    """Replay every object of a recording and compare.

    Parameters
    ----------
    builders
        How an object of each kind is made from its start record.

    Raises
    ------
    ReplayError
        If the recording has no start record, or one that cannot be built from.
    """
    recording = Recording.open(path)
    starts = _starts(recording)
    exact = recording.metadata.get("processor", "") == processor()
    return ReplayResult(
        recording.path, exact, [_replay_object(recording, start, _build(builders, start), exact) for start in starts]
    )


def asked_instead(
    path: Path | str, build: Callable[[Start], Stepped]
) -> Iterator[tuple[int, StimRequest, StimRequest]]:
    """What another controller would have asked for, step by step: (now_ns, recorded, other).

    The EMG is the recorded one: under another controller it would have differed.

    Raises
    ------
    ReplayError
        If the recording has no controller.
    """
    recording = Recording.open(path)
    start = next((start for start in _starts(recording) if start.kind == "controller"), None)
    if start is None:
        raise ReplayError(f"{recording.path}: no controller was recorded")
    stepped = build(start)
    recorded = {
        each.received.message.step: each.received.message
        for each in recording.messages({"request"})
        if isinstance(each.received.message, StimRequest)
    }
    for step, inputs in _steps(recording, stepped, start, []):
        for outgoing in stepped.step(StepInput(step.number, step.now_ns, inputs, step.not_alive)):
            if isinstance(outgoing.message, StimRequest) and step.number in recorded:
                yield step.now_ns, recorded[step.number], outgoing.message


def processor() -> str:
    """Processor family and the versions that floating point depends on."""
    import numpy as np

    return f"{platform.machine()} numpy {np.__version__} python {platform.python_version_tuple()[1]}"


def _starts(recording: Recording) -> list[Start]:
    topics = [topic for topic in recording.topics() if topic.startswith("start/")]
    starts = [each.received.message for each in recording.messages(topics)]
    found = [start for start in starts if isinstance(start, Start)]
    if not found:
        raise ReplayError(f"{recording.path}: no object has left a start record")
    return found


def _build(builders: dict[str, Builder], start: Start) -> Stepped:
    builder = builders.get(start.kind)
    if builder is None:
        raise ReplayError(f"object {start.object}: kind {start.kind!r} is not known here")
    try:
        return builder(start)
    except (ValueError, KeyError, TypeError) as error:
        raise ReplayError(f"object {start.object}: its start record cannot be used: {error}") from None


def _replay_object(recording: Recording, start: Start, stepped: Stepped, exact: bool) -> ObjectReplay:
    result = ObjectReplay(start.object)
    said = _said(recording, start)
    for step, inputs in _steps(recording, stepped, start, result.not_replayable):
        result.steps += 1
        if result.not_replayable:
            # After a hole the object's state is not what it was; nothing later can be compared.
            break
        if digest(inputs) != step.digest and not result.first_difference:
            result.first_difference = f"step {step.number}: an input is not what the object was given"
        for outgoing in stepped.step(StepInput(step.number, step.now_ns, inputs, step.not_alive)):
            if not isinstance(outgoing.message, CHECKED):
                continue
            result.outputs += 1
            expected = next(said.get(outgoing.topic, iter(())), None)
            difference = _difference(outgoing.topic, outgoing.message, expected, exact)
            if difference and not result.first_difference:
                result.first_difference = f"step {step.number}: {difference}"
        if result.first_difference:
            break
    return result


def _said(recording: Recording, start: Start) -> dict[str, Iterator[Message]]:
    """What the object said, topic by topic, in order."""
    topics = {Estimate: "estimate", StimRequest: "request", StimReport: "report", Phase: "phase", Trial: "trial"}

    def stream(topic: str) -> Iterator[Message]:
        for each in recording.messages({topic}):
            yield each.received.message

    return {topic: stream(topic) for topic in topics.values() if topic in recording.topics()}


def _steps(
    recording: Recording, stepped: Stepped, start: Start, not_replayable: list[int]
) -> Iterator[tuple[Step, list[Received]]]:
    """Each recorded step of an object with its inputs, in order, reading the file once.

    An input may stand in the file after the step that consumed it: each node hands over at its own pace.
    """
    step_topic = f"step/{start.object}"
    topics = {*stepped.subscriptions, *_OWN, step_topic} & set(recording.topics())
    waiting: deque[Step] = deque()
    at_hand: dict[tuple[str, str, int, int], Received] = {}
    for each in recording.messages(topics):
        _sort(each, step_topic, waiting, at_hand)
        while waiting and all(reference in at_hand for reference in waiting[0].inputs):
            step = waiting.popleft()
            yield step, [at_hand.pop(reference) for reference in step.inputs]
    not_replayable.extend(step.number for step in waiting)


#: Topics an object may be given without subscribing to them: acts, answers, and what its own shell says.
_OWN = frozenset({"command", "answer", "stop", "device", "clock"})


def _sort(
    each: Recorded, step_topic: str, waiting: deque[Step], at_hand: dict[tuple[str, str, int, int], Received]
) -> None:
    received = each.received
    if received.topic == step_topic and isinstance(received.message, Step):
        waiting.append(received.message)
    else:
        at_hand[received.reference] = received


def _difference(topic: str, said: Message, expected: Message | None, exact: bool) -> str:
    if expected is None:
        return f"{topic}: said now, not in the recording"
    if msgspec.msgpack.encode(said) == msgspec.msgpack.encode(expected):
        return ""
    where = _unequal("", msgspec.to_builtins(said), msgspec.to_builtins(expected), exact)
    return f"{topic}{where}" if where else ""


def _unequal(where: str, said: Any, expected: Any, exact: bool) -> str:
    if isinstance(said, dict) and isinstance(expected, dict) and said.keys() == expected.keys():
        return next(filter(None, (_unequal(f"{where}.{k}", said[k], expected[k], exact) for k in said)), "")
    if isinstance(said, (list, tuple)) and isinstance(expected, (list, tuple)) and len(said) == len(expected):
        pairs = enumerate(zip(said, expected, strict=True))
        return next(filter(None, (_unequal(f"{where}[{i}]", a, b, exact) for i, (a, b) in pairs)), "")
    if said == expected:
        return ""
    numbers = isinstance(said, float) and isinstance(expected, float)
    if numbers and not exact and abs(said - expected) <= RELATIVE * max(abs(said), abs(expected)):
        return ""
    return f"{where}: {said!r} now, {expected!r} in the recording"

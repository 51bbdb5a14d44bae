"""A recording through the live code again.

Each object is given its recorded steps: the same inputs, in the same order, at the same time, from the state recorded
at its start. What it says must be what it said.
"""

from __future__ import annotations

import platform
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from myoloop.platform.errors import UserError
from myoloop.platform.messages import Estimate, Message, Phase, Shadow, Start, Step, StimReport, StimRequest, Trial
from myoloop.platform.recording.reader import Recorded, Recording
from myoloop.platform.stepping import digest
from myoloop.platform.steps import Outgoing, Received, StepInput, Stepped
from myoloop.platform.streams import STREAMS, stream_of

#: What an object says that must come out again bit for bit.
CHECKED: tuple[type[Message], ...] = (Estimate, StimRequest, Shadow, StimReport, Phase, Trial)
#: What a blinded session has really decided; sealed the same way again where it is decided the same way again.
SEALED_DECISIONS = "sealed/report"
#: Who decides in every session; what each of them said must be there to be compared.
DECIDING = ("controller", "stimulator", "director")
#: How a session ends whose processes all lived to its end: nothing of it can be missing.
WHOLE = frozenset({"complete", "stopped"})
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
    equal_up_to_step
        The last step up to which all that it said is in the file and was said again; 0 where not even the first.
    first_difference
        The first step that is not equal, and how; or what is missing that a kill cannot have lost. Empty where all
        that can be compared is equal.
    not_replayable
        Steps whose inputs are not in the file (lost to a kill), and all that follow one.
    outputs_lost
        What the last step said again and the file does not have: the object, or the recorder, was killed before it
        was handed over.
    """

    name: str
    steps: int = 0
    outputs: int = 0
    equal_up_to_step: int = 0
    first_difference: str = ""
    not_replayable: list[int] = field(default_factory=list)
    outputs_lost: int = 0


@dataclass(slots=True)
class ReplayResult:
    """How a replay went.

    Attributes
    ----------
    exact
        True where bits were compared; False where versions or processor differ and numbers were compared.
    outcome
        How the session ended; empty where the file has no end.
    whole
        True where the session went to an end in order, so that everything must be there; False where a fault or a
        kill may have lost the last of what an object was given or said.
    """

    path: Path
    exact: bool
    objects: list[ObjectReplay]
    outcome: str = ""
    whole: bool = True

    @property
    def equal(self) -> bool:
        """Whether every object that decided is equal as far as it must be, and something could be compared."""
        return any(each.outputs for each in self.objects) and not any(each.first_difference for each in self.objects)


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
    whole = recording.complete and recording.outcome in WHOLE
    objects = [_replay_object(recording, start, _build(builders, start.start), exact) for start in starts]
    for each in objects:
        each.first_difference = each.first_difference or _missing_of(each, whole)
    objects += _without_start(recording, starts, whole)
    return ReplayResult(recording.path, exact, objects, recording.outcome, whole)


def asked_instead(
    path: Path | str, build: Callable[[Start], Stepped], not_replayable: list[int]
) -> Iterator[tuple[int, StimRequest, StimRequest]]:
    """What another controller would have asked for, step by step: (now_ns, recorded, other).

    The EMG is the recorded one: under another controller it would have differed.

    Parameters
    ----------
    not_replayable
        Gets the steps whose inputs are not in the file.

    Raises
    ------
    ReplayError
        If the recording has no controller.
    """
    recording = Recording.open(path)
    recorded = {
        each.received.message.step: each.received.message
        for each in recording.messages({"request"})
        if isinstance(each.received.message, StimRequest)
    }
    for given, said in stepped_again(recording, "controller", build, not_replayable):
        for outgoing in said:
            if isinstance(outgoing.message, StimRequest) and given.number in recorded:
                yield given.now_ns, recorded[given.number], outgoing.message


def stepped_again(
    recording: Recording, kind: str, build: Builder, not_replayable: list[int]
) -> Iterator[tuple[StepInput, list[Outgoing]]]:
    """Let the object of a kind take its recorded steps again, whoever `build` makes of it: (input, what it says).

    Parameters
    ----------
    not_replayable
        Gets the steps whose inputs are not in the file.

    Raises
    ------
    ReplayError
        If the recording has no such object.
    """
    found = next((found for found in _starts(recording) if found.start.kind == kind), None)
    if found is None:
        raise ReplayError(f"{recording.path}: no {kind} was recorded")
    stepped = build(found.start)
    for step, inputs in _steps(recording, found.start, not_replayable):
        given = StepInput(step.number, step.now_ns, inputs, step.not_alive)
        yield given, stepped.step(given)


def processor() -> str:
    """Processor family and the versions that floating point depends on."""
    versions = " ".join(f"{name} {version(name)}" for name in ("numpy", "scipy"))
    return f"{platform.machine()} {versions} python {platform.python_version()}"


@dataclass(frozen=True, slots=True)
class _Begun:
    """An object's start record, and the node that it was in."""

    publisher: str
    start: Start


def _starts(recording: Recording) -> list[_Begun]:
    topics = [topic for topic in recording.topics() if topic.startswith("start/")]
    found = [
        _Begun(each.received.publisher, each.received.message)
        for each in recording.messages(topics)
        if isinstance(each.received.message, Start)
    ]
    if not found and recording.metadata.get("origin") == "imported":
        raise ReplayError(f"{recording.path}: was imported, nothing was decided in it and there is nothing to check")
    if not found:
        raise ReplayError(f"{recording.path}: no object has left a start record, nothing was decided in it")
    return found


def _missing_of(replayed: ObjectReplay, whole: bool) -> str:
    """What is missing of an object that was replayed without a difference, and must be there."""
    if whole and replayed.not_replayable:
        return f"step {replayed.not_replayable[0]}: an input is not in the recording"
    if whole and replayed.outputs_lost:
        return f"step {replayed.equal_up_to_step + 1}: said now, not in the recording"
    took_steps = replayed.steps or replayed.not_replayable
    if (whole or took_steps) and not replayed.outputs:
        return "nothing that it said could be compared"
    return ""


def _without_start(recording: Recording, starts: list[_Begun], whole: bool) -> list[ObjectReplay]:
    """Objects that must have decided, or did, and have left no start record."""
    said = {topic for topic, count in recording.counts.items() if count}
    objects = {each.start.object for each in starts}
    missing = {name for topic in said if topic.startswith("step/") and (name := topic[5:]) not in objects}
    kinds = {each.start.kind for each in starts}
    for kind in DECIDING:
        if kind not in kinds and (whole or said & set(_decisions(kind))):
            missing.add(kind)
    return [ObjectReplay(name, first_difference="it has no start record") for name in sorted(missing)]


def _decisions(kind: str) -> list[str]:
    """Topics on which objects of a kind say what is compared."""
    open_ones = [row.name for row in STREAMS if row.message in CHECKED and kind in row.publishers]
    return [*open_ones, SEALED_DECISIONS] if kind in stream_of(SEALED_DECISIONS).publishers else open_ones


def _build(builders: dict[str, Builder], start: Start) -> Stepped:
    builder = builders.get(start.kind)
    if builder is None:
        raise ReplayError(f"object {start.object}: kind {start.kind!r} is not known here")
    try:
        return builder(start)
    except (ValueError, KeyError, TypeError) as error:
        raise ReplayError(f"object {start.object}: its start record cannot be used: {error}") from None


def _replay_object(recording: Recording, begun: _Begun, stepped: Stepped, exact: bool) -> ObjectReplay:
    start = begun.start
    result = ObjectReplay(start.object)
    said = _said(recording, begun)
    lost = ""
    for step, inputs in _steps(recording, start, result.not_replayable):
        # Whoever hands over a step has handed over what the one before it said.
        result.first_difference = result.first_difference or lost
        if result.first_difference:
            break
        result.steps += 1
        if step.number != result.steps:
            result.first_difference = f"step {result.steps}: not in the recording"
            break
        if digest(inputs) != step.digest:
            result.first_difference = f"step {step.number}: an input is not what the object was given"
        for outgoing in stepped.step(StepInput(step.number, step.now_ns, inputs, step.not_alive)):
            if not isinstance(outgoing.message, CHECKED) and outgoing.topic != SEALED_DECISIONS:
                continue
            expected = next(said.get(outgoing.topic, iter(())), None)
            if expected is None:
                result.outputs_lost += 1
                lost = lost or f"step {step.number}: {outgoing.topic}: said now, not in the recording"
                continue
            result.outputs += 1
            difference = _difference(outgoing.topic, outgoing.message, expected, exact)
            if difference and not result.first_difference:
                result.first_difference = f"step {step.number}: {difference}"
        if not lost and not result.first_difference:
            result.equal_up_to_step = step.number
    if result.first_difference or result.not_replayable:
        # After a hole the object's state is not what it was; nothing later can be compared.
        result.first_difference = result.first_difference or lost
        return result
    for topic, messages in said.items():
        if next(messages, None) is not None:
            result.first_difference = f"after step {result.steps}: {topic}: in the recording, not said now"
    return result


def _said(recording: Recording, begun: _Begun) -> dict[str, Iterator[Message]]:
    """What the object said, topic by topic, in order."""

    def stream(topic: str) -> Iterator[Message]:
        for each in recording.messages({topic}):
            if each.received.publisher == begun.publisher:
                yield each.received.message

    return {topic: stream(topic) for topic in _decisions(begun.start.kind) if topic in recording.topics()}


def _steps(recording: Recording, start: Start, not_replayable: list[int]) -> Iterator[tuple[Step, list[Received]]]:
    """Each recorded step of an object with its inputs, in order, holding only what still has a step to come.

    An input may stand in the file after the step that consumed it: each node hands over at its own pace.
    """
    step_topic = f"step/{start.object}"
    # What it consumed is what its steps name, not what an object made today would subscribe to.
    topics = {step_topic} | {
        reference[0]
        for each in recording.messages({step_topic})
        if isinstance(each.received.message, Step)
        for reference in each.received.message.inputs
    }
    waiting: deque[Step] = deque()
    at_hand: dict[tuple[str, str, int, int], Received] = {}
    for each in recording.messages(topics):
        _sort(each, step_topic, waiting, at_hand)
        while waiting and all(reference in at_hand for reference in waiting[0].inputs):
            step = waiting.popleft()
            yield step, [at_hand.pop(reference) for reference in step.inputs]
    not_replayable.extend(step.number for step in waiting)


def _sort(
    each: Recorded, step_topic: str, waiting: deque[Step], at_hand: dict[tuple[str, str, int, int], Received]
) -> None:
    received = each.received
    if received.topic == step_topic and isinstance(received.message, Step):
        waiting.append(received.message)
    else:
        at_hand[received.reference] = received


def _difference(topic: str, said: Message, expected: Message, exact: bool) -> str:
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

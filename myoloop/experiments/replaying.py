"""A replay in words and numbers, for the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from myoloop.experiments.replay import ObjectReplay, ReplayResult, asked_instead
from myoloop.platform.messages import Start, StimRequest
from myoloop.platform.steps import Stepped

NOT_CAUSAL = "The EMG is the recorded one: under this controller it would have differed, and so would what follows."


def say_replay(result: ReplayResult) -> tuple[dict[str, Any], str]:
    """What a replay came to."""
    rows = [
        {
            "object": each.name,
            "steps": each.steps,
            "outputs": each.outputs,
            "equal": not each.first_difference,
            "equal_up_to_step": each.equal_up_to_step,
            "first_difference": each.first_difference,
            "not_replayable": each.not_replayable,
            "outputs_lost": each.outputs_lost,
        }
        for each in result.objects
    ]
    basis = "bit for bit" if result.exact else "within 1e-6 (other processor or versions)"
    ended = f"ended as {result.outcome}" if result.outcome else "has no end"
    verdict = f"EQUAL as far as it goes ({ended})" if not result.whole else "EQUAL"
    lines = [f"{result.path}: {verdict if result.equal else 'NOT EQUAL'}, compared {basis}"]
    for each in result.objects:
        lost = _lost(each.not_replayable)
        lost += f"; what the last step said is not in the file ({each.outputs_lost})" if each.outputs_lost else ""
        lines.append(f"  {each.name:12} {each.steps:7} steps, {each.outputs:7} outputs: {_verdict(each, result)}{lost}")
    data = {"equal": result.equal, "exact": result.exact, "outcome": result.outcome, "whole": result.whole}
    return {**data, "objects": rows}, "\n".join(lines)


def _verdict(replayed: ObjectReplay, result: ReplayResult) -> str:
    if replayed.first_difference:
        return replayed.first_difference
    return "equal" if result.whole else f"EQUAL up to step {replayed.equal_up_to_step}"


def compare_controllers(
    session: Path | str,
    build: Callable[[Start], Stepped],
    see: Callable[[int, StimRequest, StimRequest], None] | None = None,
) -> tuple[dict[str, Any], str]:
    """What another controller would have asked for, against what was asked.

    Parameters
    ----------
    see
        Is given every step: its time, what was asked for, and what would have been.
    """
    steps = differing = 0
    asked: dict[str, float] = {}
    other: dict[str, float] = {}
    most: dict[str, float] = {}
    not_replayable: list[int] = []
    for now_ns, recorded, instead in asked_instead(session, build, not_replayable):
        steps += 1
        if see is not None:
            see(now_ns, recorded, instead)
        before = {each.channel: each.current_ma for each in recorded.channels}
        after = {each.channel: each.current_ma for each in instead.channels}
        differing += before != after
        for channel in before.keys() | after.keys():
            asked[channel] = asked.get(channel, 0.0) + before.get(channel, 0.0)
            other[channel] = other.get(channel, 0.0) + after.get(channel, 0.0)
            most[channel] = max(most.get(channel, 0.0), after.get(channel, 0.0))
    channels = {
        channel: {
            "mean_asked_ma": asked[channel] / max(steps, 1),
            "mean_instead_ma": other[channel] / max(steps, 1),
            "most_instead_ma": most[channel],
        }
        for channel in sorted(asked)
    }
    lines = [f"{steps} steps, {differing} with another request{_lost(not_replayable)}"]
    lines += [
        f"  {channel:12} mean {row['mean_asked_ma']:.2f} mA asked, {row['mean_instead_ma']:.2f} mA instead, "
        f"at most {row['most_instead_ma']:.1f} mA"
        for channel, row in channels.items()
    ]
    lines.append(NOT_CAUSAL)
    result = {"steps": steps, "differing": differing, "channels": channels, "note": NOT_CAUSAL}
    return {**result, "not_replayable": not_replayable}, "\n".join(lines)


def _lost(not_replayable: list[int]) -> str:
    return f"; not replayable from step {not_replayable[0]} on, inputs lost" if not_replayable else ""

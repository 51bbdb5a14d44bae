"""Does a yoked controller have a delay for each trial that waits, and one that its block can wait for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from myoloop.controllers.policies.yoked import YokedSettings
from myoloop.experiments.protocols.phases import BlockPhase
from myoloop.experiments.protocols.plan import YOKED
from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.sessions.tuning import TuningError, tune
from myoloop.platform.yamlfile import KeyPath

Finding = tuple[KeyPath, str, Any]

#: Outcomes that are known only where the person's own effort starts the trains.
_OF_EFFORT = frozenset({"effort_started_share", "trigger_latency"})
_DELAYS: KeyPath = ("controller", "settings", "delays")


def delays_fit_the_trials(protocol: Protocol) -> Iterator[Finding]:
    """Each block that waits has a list of its own, as long as its trials, of delays within its time-out."""
    settings = _settings(protocol)
    if settings is None:
        return
    waiting = [
        (index, item.block)
        for index, item in enumerate(protocol.phases)
        if item.block is not None and item.block.machine == "effort"
    ]
    blocks: dict[str, BlockPhase] = {}
    for _, block in waiting:
        blocks.setdefault(block.name, block)
    if not waiting:
        text = "yoked waits for a trigger, and no block does: needed is one with machine: effort"
        yield ("controller", "policy"), text, "error"
        return
    if not settings.source.strip():
        yield ("controller", "settings"), "source is missing: of which session these delays are", "warning"
    for index, block in waiting:
        if blocks[block.name] is not block:
            text = f"found {block.name!r} twice among the blocks that wait, allowed is a name of its own for its delays"
            yield ("phases", index, "block", "name"), text, "error"
        elif not settings.delays_s.get(block.name):
            yield _DELAYS, f"no delays for the block {block.name!r}: no train of it would be triggered", "error"
    for name, delays in settings.delays_s.items():
        if name not in blocks:
            yield (*_DELAYS, name), f"found {name!r}, allowed is a block that waits: {', '.join(blocks)}", "error"
        else:
            yield from _list_fits(blocks[name], delays)


def outcomes_are_of_this_person(protocol: Protocol) -> Iterator[Finding]:
    """What a yoked train cannot tell is no outcome: whether and when an own effort would have started it."""
    if protocol.controller.policy != YOKED:
        return
    named: list[tuple[KeyPath, str | None]] = [(("outcomes", "primary"), protocol.outcomes.primary.measure)]
    named += [(("outcomes", "secondary", i), each.measure) for i, each in enumerate(protocol.outcomes.secondary)]
    named += [(("progression", i, "measure"), rule.measure) for i, rule in enumerate(protocol.progression)]
    for keys, measure in named:
        if measure in _OF_EFFORT:
            yield keys, f"{measure} cannot be measured where trains are yoked: they answer no effort", "error"


RULES = (delays_fit_the_trials, outcomes_are_of_this_person)


def _list_fits(block: BlockPhase, delays: tuple[float | None, ...]) -> Iterator[Finding]:
    keys: KeyPath = (*_DELAYS, block.name)
    trials = block.trials * block.repeat
    if 0 < len(delays) < trials:
        text = f"found {len(delays)} delays for {trials} trials: those without one are not triggered"
        yield keys, text, "warning"
    elif len(delays) > trials:
        yield keys, f"found {len(delays)} delays for {trials} trials: the last ones are never used", "warning"
    timeout_s = block.await_effort.timeout_s if block.await_effort is not None else 0.0
    for place, delay_s in enumerate(delays):
        if delay_s is not None and delay_s > timeout_s:
            text = f"found {delay_s:g} s, the block waits {timeout_s:g} s: this train would not be triggered"
            yield (*keys, place), text, "error"


def _settings(protocol: Protocol) -> YokedSettings | None:
    """Settings of the yoked policy; None for any other, and where they are wrong, which is told elsewhere."""
    if protocol.controller.policy != YOKED:
        return None
    try:
        plain = tune("controller.settings", protocol.controller.settings, YokedSettings)
        return msgspec.convert(plain, YokedSettings)
    except (TuningError, msgspec.ValidationError, ValueError, TypeError):
        return None

"""One person's protocol: values that their progression has moved, and the smaller first session.

Both are applied before a plan is made, so that plan, record and replay hold what was meant for this person today.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from myoloop.experiments.protocols.phases import BlockPhase, Intensity, PhaseItem
from myoloop.experiments.protocols.schema import Protocol
from myoloop.stimulators.gate.envelope import Envelope
from myoloop.stimulators.gate.limits import round_down

#: What a person's progression may move, and nothing else: plain numbers of a block that no limit depends on; each is
#: above the first and at most the second.
MOVABLE: dict[str, tuple[float, float]] = {
    "intensity.x": (0.0, 10.0),
    "intensity.share": (0.0, 1.0),
    "trials": (0.0, 10_000.0),
    "repeat": (0.0, 10_000.0),
}
_PATH = re.compile(r"^phases\[(\d+)\]\.block\.(.+)$")


@dataclass(frozen=True, slots=True)
class SessionCaps:
    """A smaller session: shares of the envelope's current and of its time on, 0 to 1.

    Attributes
    ----------
    flare_share
        What of `on_share` is for a flare that is on record: the same flare, told again, takes no more away.
    """

    current_share: float = 1.0
    on_share: float = 1.0
    flare_share: float = 1.0

    def __post_init__(self) -> None:
        for name in ("current_share", "on_share", "flare_share"):
            share = getattr(self, name)
            if not 0.0 < share <= 1.0:
                raise ValueError(f"caps.{name}: found {share!r}, allowed is more than 0 and at most 1")


def personalised(phases: tuple[PhaseItem, ...], protocol: Protocol, values: Mapping[str, float]) -> list[PhaseItem]:
    """The phases with a person's own values.

    Parameters
    ----------
    values
        Path in the protocol's file to value: plain numbers, times in s.

    Raises
    ------
    ValueError
        If a path is none that a progression rule of this protocol moves, or a value leaves the rule's bounds.
    """
    moved = list(phases)
    for path, value in sorted(values.items()):
        index, part = _block_part(protocol, path)
        _check(protocol, path, part, value)
        block = moved[index].block
        if block is None:
            raise ValueError(f"{path}: phases[{index}] is a {moved[index].kind}, not a block")
        moved[index] = PhaseItem(block=_with(block, path, part, value))
    return moved


def capped(envelope: Envelope, caps: SessionCaps, step_ma: float) -> Envelope:
    """The envelope of a smaller session; currents are rounded down to the device's step."""
    return replace(
        envelope,
        channels=tuple(
            replace(limits, current_max_ma=round_down(limits.current_max_ma * caps.current_share, step_ma))
            for limits in envelope.channels
        ),
        current_ma_calibrating=round_down(envelope.current_ma_calibrating * caps.current_share, step_ma),
        session_on_s_max=envelope.session_on_s_max * caps.on_share,
    )


def movable_part(path: str) -> tuple[int, str] | None:
    """Number of the phase and part of its block that a path names, where progression may move it."""
    match = _PATH.match(path)
    return (int(match[1]), match[2]) if match is not None and match[2] in MOVABLE else None


def _block_part(protocol: Protocol, path: str) -> tuple[int, str]:
    part = movable_part(path)
    if part is None:
        parts = ", ".join(MOVABLE)
        raise ValueError(f"{path}: not a value that may be a person's own; allowed is phases[n].block.{{{parts}}}")
    index, name = part
    if index >= len(protocol.phases):
        raise ValueError(f"{path}: the protocol has {len(protocol.phases)} phases")
    return index, name


def _check(protocol: Protocol, path: str, part: str, value: float) -> None:
    rules = [rule for rule in protocol.progression if rule.path == path]
    if not rules:
        raise ValueError(f"{path}: no progression rule of {protocol.protocol.id} moves it")
    least, most = min(rule.least for rule in rules), max(rule.most for rule in rules)
    above, at_most = MOVABLE[part]
    if isinstance(value, bool) or not (least <= value <= most and above < value <= at_most):
        raise ValueError(f"{path}: found {value!r}, the protocol's progression keeps it within {least:g} to {most:g}")
    if part in ("trials", "repeat") and value != int(value):
        raise ValueError(f"{path}: found {value!r}, allowed is a whole number")


def _with(block: BlockPhase, path: str, part: str, value: float) -> BlockPhase:
    if part in ("intensity.x", "intensity.share"):
        name = part.rpartition(".")[2]
        intensity: Intensity = block.intensity
        if getattr(intensity, name) is None:
            raise ValueError(f"{path}: the block's intensity has no {name}")
        return block.model_copy(update={"intensity": intensity.model_copy(update={name: float(value)})})
    return block.model_copy(update={part: int(value)})

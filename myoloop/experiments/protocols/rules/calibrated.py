"""Do the thresholds that a block refers to hold for its pulses: found by trains, and at the rate that is used.

A threshold is one of a pulse train. Single twitches are felt, move and hurt at other currents than a contraction does,
and what a person bears falls as the rate rises. That widths must be the same, `consistency` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from myoloop.experiments.protocols.phases import OPTIMUM, BlockPhase, CalibrationPhase, PhaseItem
from myoloop.experiments.protocols.schema import Protocol
from myoloop.platform.yamlfile import KeyPath
from myoloop.stimulators.gate.ceilings import TETANIC_ABOVE_HZ

Finding = tuple[KeyPath, str, Any]


def thresholds_hold_for_the_rate(protocol: Protocol) -> Iterator[Finding]:
    """A contraction is not dosed by thresholds of single twitches; one at another rate is worth a word."""
    found_hz: dict[str, float] = {}
    for index, item in enumerate(protocol.phases):
        if item.calibration is not None:
            found_hz |= {name: _rate_hz(protocol, item.calibration, name) for name in _channels(protocol, item)}
        for below, block in item.block.variants() if item.block is not None else ():
            keys: KeyPath = ("phases", index, "block", *below, "intensity")
            if block.intensity.fixed_ma is None and block.intensity.ref != OPTIMUM:
                for name in _channels(protocol, item):
                    if name in found_hz:
                        yield from _held(keys, name, _rate_hz(protocol, block, name), found_hz[name])


RULES = (thresholds_hold_for_the_rate,)


def _held(keys: KeyPath, channel: str, used_hz: float, found_hz: float) -> Iterator[Finding]:
    if used_hz <= TETANIC_ABOVE_HZ or used_hz == found_hz:
        return
    if found_hz <= TETANIC_ABOVE_HZ:
        text = (
            f"{channel} is used at {used_hz:g} Hz, a contraction; its thresholds were found at {found_hz:g} Hz, in "
            f"single twitches: allowed is a calibration above {TETANIC_ABOVE_HZ:g} Hz"
        )
        yield keys, text, "error"
        return
    more = "what is borne falls with the rate" if used_hz > found_hz else "they hold for that rate only"
    yield keys, f"{channel} is used at {used_hz:g} Hz, its thresholds were found at {found_hz:g} Hz: {more}", "warning"


def _channels(protocol: Protocol, item: PhaseItem) -> tuple[str, ...]:
    named = getattr(item.content, "channels", ())
    return tuple(name for name in named or protocol.stimulation if name in protocol.stimulation)


def _rate_hz(protocol: Protocol, phase: BlockPhase | CalibrationPhase, channel: str) -> float:
    return phase.rate_hz or protocol.stimulation[channel].rate_hz

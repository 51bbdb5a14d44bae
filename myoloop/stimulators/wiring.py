"""Which output of a device a stimulation channel is wired to: checked once, and looked up for each encoder.

No decoder uses this: it reads the outputs from the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import DriverError


def check_wiring(channels: Mapping[str, int], outputs: int, there_are: str) -> None:
    """See that each channel has an output of its own.

    Parameters
    ----------
    outputs
        How many there are, numbered from 0.
    there_are
        The same in words, for the operator: ``the board has 0 and 1``.

    Raises
    ------
    DriverError
        If an output is not there, or two channels share one.
    """
    for channel, output in channels.items():
        if output not in range(outputs):
            raise DriverError(f"channel {channel}: output {output}, {there_are}")
    if len(set(channels.values())) != len(channels):
        raise DriverError(f"two channels on one output: {dict(channels)}")


def wired(channels: Mapping[str, int], settings: Sequence[ChannelSetting]) -> Iterator[tuple[int, ChannelSetting]]:
    """Output and setting of each, in the order given.

    Raises
    ------
    DriverError
        At the first whose channel is not wired, or was named before.
    """
    seen: set[str] = set()
    for wanted in settings:
        if wanted.channel not in channels or wanted.channel in seen:
            known = ", ".join(sorted(channels))
            raise DriverError(f"channel {wanted.channel!r}: unknown or twice; there are {known}")
        seen.add(wanted.channel)
        yield channels[wanted.channel], wanted

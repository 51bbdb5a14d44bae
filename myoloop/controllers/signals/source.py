"""What a descriptor says of an EMG source, checked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from myoloop.platform.messages import SampleDescriptor

Floats = npt.NDArray[np.float64]

MICROVOLTS = 1e6


def rails_of(descriptor: SampleDescriptor, columns: tuple[int, ...]) -> tuple[Floats | None, Floats | None]:
    """Rails in µV, per channel; None where they are not known."""
    if descriptor.rail_low is None or descriptor.rail_high is None:
        return None, None
    scale = np.array([descriptor.scale[c] for c in columns]) * MICROVOLTS
    offset = np.array([descriptor.offset[c] for c in columns]) * MICROVOLTS
    ends = np.stack([descriptor.rail_low * scale + offset, descriptor.rail_high * scale + offset])
    return ends.min(axis=0), ends.max(axis=0)


def check(descriptor: SampleDescriptor, columns: tuple[int, ...]) -> None:
    """See that these columns are EMG.

    Raises
    ------
    ValueError
        If there is none, one does not exist, or its unit is not volts.
    """
    if not columns:
        raise ValueError(f"{descriptor.topic}: no column is used")
    for column in columns:
        if not 0 <= column < len(descriptor.channels):
            raise ValueError(
                f"{descriptor.topic}: column {column} does not exist, it has {len(descriptor.channels)} channels"
            )
        if descriptor.units[column] != "V":
            name, unit = descriptor.channels[column], descriptor.units[column]
            raise ValueError(f"{descriptor.topic}: channel {name} is in {unit!r}, EMG must be in 'V'")


def sync_of(descriptor: SampleDescriptor) -> tuple[int, float, float] | None:
    """Column, scale and offset of the trigger channel; None where there is none.

    Raises
    ------
    ValueError
        If it is not one of the channels.
    """
    if descriptor.sync_channel is None:
        return None
    if descriptor.sync_channel not in descriptor.channels:
        raise ValueError(f"{descriptor.topic}: sync channel {descriptor.sync_channel!r} is not one of its channels")
    column = descriptor.channels.index(descriptor.sync_channel)
    return column, descriptor.scale[column], descriptor.offset[column]

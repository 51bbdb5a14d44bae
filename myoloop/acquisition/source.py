"""The contract of a source: anything that yields samples.

A source is one file: a class that meets :class:`Source`, with a frozen settings dataclass, named by an entry point
of the group ``myoloop.sources``. It opens a device, says what its streams are, and hands over blocks as the device
gave them: own dtype, own counter, the host's stamp at arrival. It filters nothing and invents nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from myoloop.platform.errors import UserError
from myoloop.platform.messages import SampleDescriptor


class SourceError(UserError):
    """The device cannot be opened or has gone; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Block:
    """Samples as the device gave them.

    Attributes
    ----------
    topic
        The stream's topic, as its descriptor says.
    first_sample
        Index of the first row since opening, by the device's own counting where it counts.
    t_ns
        Host monotonic time of the newest row.
    array
        (n_samples, n_channels) in the descriptor's dtype.
    device_t
        The device's stamp or counter of the newest row.
    invalid
        (n_samples, n_channels), True where the source itself knows a sample to be bad.
    """

    topic: str
    first_sample: int
    t_ns: int
    array: npt.NDArray[Any]
    device_t: float | None = None
    invalid: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The source has no more samples (a playback at its end)."""

    why: str


#: What :meth:`Source.read` may hand over.
Reading = Block | Ended


@runtime_checkable
class Source(Protocol):
    """Anything that yields samples."""

    def open(self) -> tuple[SampleDescriptor, ...]:
        """Open the device and describe its streams.

        Raises
        ------
        SourceError
            If it cannot be opened.
        """
        ...

    def read(self, wait_s: float) -> list[Reading]:
        """Hand over what has come, waiting at most `wait_s` for the first; [] if nothing came.

        Raises
        ------
        SourceError
            If the device is gone. Never retried behind the caller's back.
        """
        ...

    def close(self) -> None:
        """Release the device; may be called twice."""
        ...

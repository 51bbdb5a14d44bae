"""The contract of a source: anything that yields samples.

A source is one file: a class that meets :class:`Source`, with a frozen settings dataclass, named by an entry point
of the group ``myoloop.sources``. It opens a device, says what its streams are, and hands over blocks as the device
gave them: own dtype, own counter, the host's stamp at arrival. It filters nothing and invents nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from myoloop.platform.errors import UserError
from myoloop.platform.messages import SampleDescriptor

#: Where samples come from: a person or thing that is measured now, a recording, or nobody at all.
Origin = Literal["live", "recorded", "simulated"]


class SourceError(UserError):
    """The device cannot be opened or has gone; the text is for the operator."""

    exit_code = 3


class SourceMistake(SourceError):
    """What the source was told cannot be: a file that is not there, a board that nobody knows, a cell without number.

    Attributes
    ----------
    setting
        Which setting is wrong; empty where the mistake is in a file of its own, whose place the text begins with.
    problems
        One line each.
    """

    exit_code = 2

    def __init__(self, *problems: str, setting: str = "") -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.setting = setting


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a source says of itself before it is opened.

    Attributes
    ----------
    origin
        Where its samples come from; what is not live is stamped so wherever the session is shown.
    descriptors
        Its streams; None where only the open device can tell.
    """

    origin: Origin = "live"
    descriptors: tuple[SampleDescriptor, ...] | None = None


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


@runtime_checkable
class Foreseeing(Protocol):
    """A source that can look at what it was told without opening its device; one that cannot counts as live."""

    def foresee(self) -> Foreseen:
        """Look at files and names, touch no device.

        Raises
        ------
        SourceMistake
            If it cannot be opened as it was told to.
        """
        ...

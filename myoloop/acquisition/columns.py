"""What a file of a recording is opened as: columns of raw values with what the file itself says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy.typing as npt

from myoloop.platform.errors import UserError


class FormatError(UserError, ValueError):
    """A file that is not what it should be; one line, beginning with its path."""


@dataclass(frozen=True, slots=True)
class Column:
    """One channel of a file.

    Attributes
    ----------
    name
        As the file calls it.
    values
        (n_samples,), raw, in the file's own dtype.
    rate_hz, unit, scale, offset
        As far as the file says them; an SI value is raw * scale + offset in `unit`, empty where it says none.
    rails
        Raw values of saturation.
    kind
        ``emg`` where the file says that it is.
    """

    name: str
    values: npt.NDArray[Any]
    rate_hz: float | None = None
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    rails: tuple[float, float] | None = None
    kind: str = ""


class Annotation(NamedTuple):
    """A note in a file; `onset_s` from its first sample, `duration_s` None where it has none."""

    onset_s: float
    duration_s: float | None
    text: str


class OpenedFile(Protocol):
    """A file, its columns to be had by name or by number from 1."""

    @property
    def names(self) -> Sequence[str]:
        """What columns there are."""
        ...

    @property
    def emg_names(self) -> Sequence[str]:
        """Columns that the file itself says are EMG, with rate and unit."""
        ...

    @property
    def device(self) -> str:
        """What it was recorded with, as far as the file says."""
        ...

    @property
    def annotations(self) -> Sequence[Annotation]:
        """What somebody noted in the file."""
        ...

    def column(self, key: str | int) -> Column:
        """One column; KeyError if there is none such, ValueError if the name is not clear or the data are odd."""
        ...


def place_of_column(names: Sequence[str], key: str | int) -> int:
    """Where a column stands: by its name or its number from 1; KeyError or ValueError as `OpenedFile.column`."""
    if isinstance(key, int):
        if not 1 <= key <= len(names):
            raise KeyError(key)
        return key - 1
    if key not in names:
        raise KeyError(key)
    if list(names).count(key) > 1:
        raise ValueError("stands twice in the file; use its number")
    return list(names).index(key)

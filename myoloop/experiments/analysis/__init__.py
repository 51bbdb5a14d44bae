"""What is made of a recording afterwards: its streams and tables, one session as arrays, its summary.

>>> from myoloop.experiments.analysis import load                                           # doctest: +SKIP
>>> load("study/sub-P017/ses-03/att-1").streams["emg"].seconds(60.0, 61.0)                  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from myoloop.experiments.analysis.reading import Recording, load

__all__ = ["Recording", "load"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: whoever wants one module of this package need not wait for all.
    if name in __all__:
        from myoloop.experiments.analysis import reading

        return getattr(reading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

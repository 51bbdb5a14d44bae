"""What an outcome is: its name, unit and needs, its method with its parameters, and the function that computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from myoloop.experiments.outcomes.view import Value, View


class OutcomeKind(NamedTuple):
    """One outcome, as a protocol may name it.

    Attributes
    ----------
    text
        What it is.
    unit
        Of its value; ``1`` for a share or an index.
    needs
        Keys of `NEEDS`, or ``form:`` and a form's id, or ``diary:`` and a form's id.
    """

    text: str
    unit: str
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """An outcome with how it is computed: what a file of ``measures/`` names in its `MEASURES`.

    Attributes
    ----------
    compute
        From a session; gives a :class:`Value` without one, and why, where it cannot be had.
    method
        How it is computed, in a sentence.
    parameters
        Numbers of the method, JSON-ready, each with its unit in its name.
    better
        Which end is the better one: ``less``, ``more``, or empty.
    source
        Of the method.
    """

    name: str
    kind: OutcomeKind
    compute: Callable[[View], Value]
    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    better: str = ""
    source: str = ""

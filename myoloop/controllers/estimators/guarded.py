"""An estimator as the controller hears it: whatever it does ends in measures that say whether they are valid."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from msgspec.structs import astuple

from myoloop.controllers.estimators.estimator import Estimator, Heard, Situation
from myoloop.controllers.parts import Faults, one_line, said, savable
from myoloop.controllers.signals.snapshot import StateError
from myoloop.platform.messages import Measure, MWave

MEASURES = frozenset(
    {
        "fatigue", "spasm", "effort", "response", "fatigue_emg", "fatigue_mwave", "fatigue_mechanical",
        "frequency_slope_pct_per_min", "cocontraction", "flexion_relaxation",
    }
)  # fmt: skip
#: Fields that are words of a fixed list, empty where nothing is known.
WORDS: Mapping[str, frozenset[str]] = {
    "jasa": frozenset({"", "fatigue", "force increase", "recovery", "force decrease", "undetermined"}),
    "spasm_kind": frozenset({"", "unit", "tonic", "clonus", "myoclonus"}),
}
#: Fields that are plain numbers, and what stands there where nothing is known.
NUMBERS: Mapping[str, tuple[type[Real], int | None]] = {
    "spasm_onset_ns": (Integral, None),
    "median_frequency_hz": (Real, None),
    "mean_frequency_hz": (Real, None),
    "contraction_t_ns": (Integral, None),
    "contractions": (Integral, 0),
    "clonus_frequency_hz": (Real, None),
    "effort_onset_ns": (Integral, None),
}
_INT_MAX = 2**63


class _Wrong(ValueError):
    """What is wrong with a field; the text says it."""


class GuardedEstimator:
    """Lets an estimator hear and step, and takes only fields from it that can be believed to be what they say.

    One that raised while it took something in is not asked any more in this session: nobody knows what it remembers.
    One that gives something else than its fields is asked again in the next step. In both cases its fields are not
    valid and their reason names it.

    Parameters
    ----------
    estimator
        Anybody's.
    name
        As the settings name it.
    muscles
        How many values a field has.
    faults
        Where what it does wrong is told.
    ours
        Whether it is one of myoloop's own, whose fields the type checker has looked at.
    """

    def __init__(self, estimator: Estimator, name: str, muscles: int, faults: Faults, *, ours: bool) -> None:
        self._estimator = estimator
        self._name = name
        self._muscles = muscles
        self._faults = faults
        self._ours = ours
        self._names: tuple[str, ...] | None = None
        self._failed = ""
        #: Why its fields are not valid in this step; empty where nothing is wrong.
        self.problem = ""

    def hear(self, heard: Heard, situation: Situation) -> None:
        """Let it take in a hop."""
        if self._failed:
            return
        spasm = heard.spasm
        try:
            self._estimator.hear(heard, situation)
            if heard.spasm is not spasm:
                _check_mask(heard.spasm, self._muscles)
        except Exception as error:  # noqa: BLE001 - an estimator is anybody's code; the controller goes on without it
            heard.spasm = spasm
            self._fail("hear", error)

    def step(self, situation: Situation) -> None:
        """Let it take in a step."""
        if self._failed:
            return
        try:
            self._estimator.step(situation)
        except Exception as error:  # noqa: BLE001 - as above
            self._fail("step", error)

    def fields(self, now_ns: int) -> Mapping[str, Sequence[Any]]:
        """Its fields; where they are not what they must be, the same fields, not valid."""
        if not self._failed:
            try:
                given = self._estimator.fields(now_ns)
                if not self._ours:
                    given = self._checked(given)
            except Exception as error:  # noqa: BLE001 - as above
                self._tell("fields", error)
            else:
                self._names, self.problem = tuple(given), ""
                return given
        return {name: [_nothing(name, self.problem)] * self._muscles for name in self._names or ()}

    def may_lack(self, field: str) -> bool:
        """Whether a field may be missing because of what it does wrong."""
        return bool(self.problem) and (self._names is None or field in self._names)

    def state(self) -> dict[str, Any]:
        """What a restored object needs to go on: JSON-ready. One that cannot say it begins anew when restored."""
        inner: dict[str, Any] | None = None
        try:
            inner = self._estimator.state()
            wrong = savable(inner)
        except Exception as error:  # noqa: BLE001 - as above
            wrong = said(error)
        if wrong:
            self._faults.tell(f"estimator {self._name} state", f"estimator {self._name!r} failed: state: {wrong}")
            inner = None
        return {
            "estimator": inner,
            "names": None if self._names is None else list(self._names),
            "failed": self._failed,
            "problem": self.problem,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state.

        Raises
        ------
        StateError
            If the estimator does not take back what it gave.
        """
        names = state["names"]
        self._names = None if names is None else tuple(names)
        self._failed, self.problem = state["failed"], state["problem"]
        if state["estimator"] is None:
            return
        try:
            self._estimator.restore(state["estimator"])
        except StateError:
            raise
        except Exception as error:
            raise StateError(f"estimator {self._name!r} does not take its state back: {said(error)}") from error

    def _fail(self, where: str, error: Exception) -> None:
        self._tell(where, error)
        self._failed = self.problem

    def _tell(self, where: str, error: Exception) -> None:
        why = one_line(error) if isinstance(error, _Wrong) else said(error)
        self.problem = f"estimator {self._name!r} failed: {where}: {why}"
        self._faults.tell(f"estimator {self._name} {where} {type(error).__name__}", self.problem)

    def _checked(self, given: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
        """The same fields, of plain kinds."""
        checked: dict[str, Sequence[Any]] = {}
        for name, values in given.items():
            if name not in _CHECKS and name not in NUMBERS and name not in MEASURES:
                raise _Wrong(f"gives {name!r}, which is no field of an estimate")
            if len(values) != self._muscles:
                raise _Wrong(f"gives {len(values)} values of {name} for {self._muscles} muscles")
            check: _Check = _CHECKS.get(name, _measure if name in MEASURES else _number)
            checked[name] = [check(name, value) for value in values]
        return checked


def _nothing(name: str, why: str) -> Any:
    """What stands in a field of which nothing is known."""
    if name in MEASURES:
        return Measure(reason=why)
    if name in WORDS:
        return ""
    return NUMBERS[name][1] if name in NUMBERS else None


def _measure(name: str, given: Any) -> Measure:
    if type(given) is not Measure:
        raise _Wrong(f"{name} is a {type(given).__name__}, not a Measure")
    limits = (given.value, given.low, given.high)
    plain = all(number is None or (type(number) is float and math.isfinite(number)) for number in limits)
    if plain and type(given.valid) is bool and type(given.reason) is str and one_line(given.reason) is given.reason:
        return given
    value, low, high = (_real(name, number) for number in limits)
    return Measure(value=value, low=low, high=high, valid=bool(given.valid), reason=one_line(given.reason))


def _number(name: str, given: Any) -> float | int | None:
    kind, missing = NUMBERS[name]
    if given is None and missing is None:
        return None
    if kind is Real:
        return _real(name, given)
    if not isinstance(given, Integral) or isinstance(given, bool) or not -_INT_MAX <= int(given) < _INT_MAX:
        raise _Wrong(f"{name} is {given!r}, not a whole number")
    return int(given)


def _word(name: str, given: Any) -> str:
    if type(given) is not str or given not in WORDS[name]:
        raise _Wrong(f"{name} is {given!r}, allowed: {', '.join(sorted(WORDS[name])) or 'nothing'}")
    return given


def _mwave(name: str, given: Any) -> MWave | None:
    if given is None:
        return None
    if type(given) is not MWave:
        raise _Wrong(f"{name} is a {type(given).__name__}, not an MWave")
    for number in astuple(given):
        if isinstance(number, float) and not math.isfinite(number):
            raise _Wrong(f"{name} holds {number!r}, not a finite number")
    return given


_Check = Callable[[str, Any], Any]
_CHECKS: Mapping[str, _Check] = {"jasa": _word, "spasm_kind": _word, "mwave": _mwave}


def _real(name: str, given: Any) -> float | None:
    if given is None or (type(given) is float and math.isfinite(given)):
        return given
    # numpy's numbers are real numbers too; what must not be acted on is nothing, never NaN.
    if not isinstance(given, Real) or isinstance(given, bool) or not math.isfinite(given):
        raise _Wrong(f"{name} holds {given!r}, not a finite number")
    return float(given)


def _check_mask(mask: Any, muscles: int) -> None:
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (muscles,):
        raise _Wrong(f"heard.spasm is no array of {muscles} truth values")

"""A new outcome, or a new instrument, is one new file."""

from __future__ import annotations

import importlib
import sys

import pytest

from myoloop.experiments.outcomes import instruments, measures, registry, scoring

OUTCOME = """
from myoloop.experiments.outcomes.kind import Measure, OutcomeKind
from myoloop.experiments.outcomes.view import Value
MEASURES = (Measure("{name}", OutcomeKind("blinks", "1/min", ()), lambda view: Value(3.0, 1), "counted"),)
"""
INSTRUMENT = """
from myoloop.experiments.outcomes.instrument import Instrument, ScoreKind, numbered, sum_of_all
INSTRUMENTS = (Instrument("tiny", "Tiny", numbered(2, 0, 3), (
    ScoreKind("tiny", "tiny", "points", sum_of_all(), "the sum", "a test"),), ("1",)),)
"""


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A folder that is searched as the package's own are."""

    def put(package, name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)
        importlib.invalidate_caches()

    yield put
    for name in ("new_one", "taken"):
        for package in (measures, instruments):
            sys.modules.pop(f"{package.__name__}.{name}", None)


def test_a_file_in_measures_is_an_outcome(beside):
    beside(measures, "new_one", OUTCOME.format(name="blinks"))
    found = registry._found()
    assert found["blinks"].kind.text == "blinks"
    assert found["blinks"].compute(None).value == 3.0


def test_a_name_that_is_there_already_is_refused(beside):
    beside(measures, "taken", OUTCOME.format(name="spasm_count"))
    with pytest.raises(ValueError, match=r"measures/taken\.py: spasm_count is there already"):
        registry._found()


def test_a_file_in_instruments_is_scored(beside):
    beside(instruments, "new_one", INSTRUMENT)
    found = scoring._found()["tiny"]
    assert found.score({"item_1": 2, "item_2": 3})["tiny"].value == 5.0

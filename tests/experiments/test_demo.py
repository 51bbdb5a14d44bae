"""The demonstration over many people: spasms found, fatigue known, against the virtual subject's truth.

Every build runs the demonstration itself, by the commands of README.md; here its estimates are held against truth.
"""

from __future__ import annotations

import pytest

from myoloop.experiments.analysis.session import load
from myoloop.experiments.analysis.summary import summarise
from myoloop.experiments.sessions.run import prepare, run_lockstep


@pytest.mark.prove
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(1, 21))
def test_spasms_and_fatigue_are_estimated_in_twenty_people(seed, tmp_path):
    end = run_lockstep(prepare("demo", subject="SIM1", rig=None, study=tmp_path, seed=seed))
    result = summarise(load(end.folder))
    found = {key: result[key] for key in ("spasm_f1", "fatigue_true_end", "fatigue_estimated_end", "spasms_true")}
    print(seed, found)  # noqa: T201
    assert (end.outcome, end.reason) == ("complete", "")
    assert result["gaps"] == 0
    assert result["spasm_f1"] >= 0.8, found
    assert abs(result["fatigue_estimated_end"] - result["fatigue_true_end"]) <= 0.15, found

"""The figures that issue and documentation promise, on twenty drawn people and five repetitions each."""

from __future__ import annotations

import json

import pytest

from myoloop.experiments.benchmarks.suites import SUITES, Size, bench_suite

#: Targets that are not reached, and are told as such in the documentation with why and what was tried.
NOT_REACHED: dict[str, set[str]] = {"estimators": set(), "policies": set(), "subject": set()}


@pytest.mark.prove
@pytest.mark.realdata
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("suite", SUITES)
def test_every_target_but_those_told_of_is_reached(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    bench_suite(suite, Size(), as_json=True)
    found = json.loads(capsys.readouterr().out)["findings"]
    assert {finding["part"] for finding in found} == set(SUITES[suite])
    missed = {f"{finding['part']}: {finding['what']}" for finding in found if finding["reached"] is False}
    assert missed <= NOT_REACHED[suite]

"""The figures that issue and documentation promise, on twenty drawn people and five repetitions each."""

from __future__ import annotations

import json

import pytest

from myoloop.experiments.benchmarks.suites import SUITES, Size, bench_suite

#: Targets that are not reached, and are told as such in the documentation with why and what was tried.
NOT_REACHED: dict[str, set[str]] = {
    "estimators": {
        "fatigue: found: 10 % of conduction velocity lost in 138 s",
        "spasm: false onsets, 10 dB, 33 Hz stimulation",
        "spasm: latency, 95 % of onsets, 10 dB, 33 Hz stimulation",
        "step: median of a step, 8 channels, all eight estimators, at 33 Hz stimulation",
        "step: median of a step, 8 channels, all eight estimators, both",
    },
    "policies": set(),
    "subject": set(),
}


@pytest.mark.prove
@pytest.mark.realdata
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("suite", SUITES)
def test_every_target_but_those_told_of_is_reached(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    bench_suite(suite, Size(), as_json=True)
    said = json.loads(capsys.readouterr().out)
    found = said["findings"]
    assert said["left_out"] == []
    assert {finding["part"] for finding in found} == set(SUITES[suite])
    missed = {f"{finding['part']}: {finding['what']}" for finding in found if finding["reached"] is False}
    assert missed <= NOT_REACHED[suite]

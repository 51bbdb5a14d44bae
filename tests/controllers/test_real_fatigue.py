"""Thirty fatiguing contractions of a real biceps, played through the controller block by block."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr, theilslopes

from myoloop.controllers.controller import Controller
from myoloop.controllers.estimators.contractions import tires
from myoloop.controllers.reflex import FatigueReflex, ReflexSettings
from myoloop.controllers.settings import EmgSource, MuscleInput
from myoloop.platform.messages import Estimate, SampleDescriptor, Samples, StimRequest
from myoloop.platform.steps import StepInput

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "real_fatigue_golden.json").read_text())
#: 12 bit over 3 V at a gain of 1000 (SOURCE.md of the recording).
PLUX = SampleDescriptor(
    topic="emg/plux", rate_hz=1000.0, dtype="<i2", channels=("biceps",), units=("V",), scale=(3e-3 / 4096,),
    offset=(-1.5e-3,),
)  # fmt: skip
LENGTHS_S = {"ramp_up": (0.3, "hold"), "hold": (1.5, "ramp_down"), "ramp_down": (0.3, "rest"), "rest": (0.5, "cue")}


@pytest.fixture(scope="module")
def recording(data_dir: Path) -> np.ndarray:
    import h5py

    with h5py.File(data_dir / "emg_fatigue_plux" / "emg_fatigue.h5") as file:
        (device,) = file.values()
        channel = device["raw"]["channel_2"]
        return np.asarray(channel).reshape(-1, 1).astype("<i2")


def _play(kit: SimpleNamespace, raw: np.ndarray, reflex: bool) -> list[tuple[str, int, Estimate, StimRequest]]:
    controller = Controller(
        kit.settings(
            "emg_trigger",
            emg=(EmgSource(descriptor=PLUX, stimulated=False),),
            muscles=(MuscleInput(muscle="agonist", topic="emg/plux", column=0),),
            reflex=ReflexSettings(fatigue=FatigueReflex(enabled=reflex)),
            imu=None,
        )
    )
    state, since_ns, trial = "await_effort", kit.start_ns, 1
    steps = []
    for n in range(1, len(raw) // 10 + 1):
        now_ns = kit.start_ns + n * kit.tick_ns
        told = kit.phase(now_ns, state, trial=trial, t_state_ns=since_ns)
        block = Samples(first_sample=10 * (n - 1), t_ns=now_ns)
        inbox = [kit.received("phase", told, n), kit.received("emg/plux", block, n, raw[10 * n - 10 : 10 * n])]
        if n == 2:
            inbox.append(kit.received("report", kit.verdict_of(steps[0][3], now_ns), n))
        said, asked = (out.message for out in controller.step(StepInput(n, now_ns, inbox)))
        steps.append((state, trial, said, asked))
        length_s, after = LENGTHS_S.get(state, (0.0, "await_effort"))
        if said.trigger if state == "await_effort" else (now_ns - since_ns) * 1e-9 >= length_s:
            state, since_ns = ("ramp_up" if state == "await_effort" else after), now_ns
            trial += state == "cue"
    return steps


def _peaks(steps: list[Any]) -> list[tuple[float, float]]:
    """Per trial: largest requested current, and the fatigue estimated then; trials in which it was known."""
    best: dict[int, tuple[float, float | None]] = {}
    for state, trial, said, asked in steps:
        current = asked.channels[0].current_ma
        if state == "hold" and current > best.get(trial, (0.0, None))[0]:
            best[trial] = (current, said.muscles[0].fatigue.value)
    return [(current, fatigue) for current, fatigue in best.values() if fatigue is not None]


@pytest.mark.realdata
def test_thirty_real_contractions(kit: SimpleNamespace, recording: np.ndarray) -> None:
    steps = _play(kit, recording, reflex=True)
    found: dict[int, tuple[float, float, float]] = {}
    for _, _, said, _ in steps:
        muscle = said.muscles[0]
        if muscle.contractions and muscle.contraction_t_ns is not None:
            t_s = (muscle.contraction_t_ns - kit.start_ns) * 1e-9
            found[muscle.contractions] = (t_s, muscle.median_frequency_hz or 0.0, muscle.mean_frequency_hz or 0.0)
    t_s, mdf, mnf = np.array(list(found.values())).T
    assert abs(len(found) - GOLDEN["n_contractions"]) <= 1
    expected = [item["t"] for item in GOLDEN["per_contraction"]]
    assert np.max(np.min(np.abs(t_s[:, None] - np.array(expected)), axis=1)) < 0.5
    # The golden slopes are of the middle 1.5 s of each contraction, these of all of it but its ends.
    for name, values in (("mdf", mdf), ("mnf", mnf)):
        low, high = GOLDEN[name]["ci95"]
        assert low <= theilslopes(values, t_s).slope <= high
    assert theilslopes(mnf, t_s).slope == pytest.approx(GOLDEN["mnf"]["theilsen"], rel=0.15)
    slope = steps[-1][2].muscles[0].frequency_slope_pct_per_min
    assert slope.low <= GOLDEN["mnf"]["rel_slope_pct_per_min"] <= slope.high
    assert tires(slope)
    assert steps[-1][2].muscles[0].jasa == "fatigue"
    last = steps[-1][2].muscles[0].fatigue
    assert last.valid
    assert steps[-1][2].muscles[0].fatigue_emg.low > 0.2
    assert last.reason == ""
    assert not any(said.muscles[0].spasm.value for _, _, said, _ in steps)

    peaks = _peaks(steps)
    assert len(peaks) >= 24
    assert spearmanr(*zip(*peaks, strict=True)).statistic <= -0.8
    assert peaks[-1][0] < 0.75 * peaks[0][0]


@pytest.mark.realdata
def test_without_the_reflex_the_current_does_not_fall(kit: SimpleNamespace, recording: np.ndarray) -> None:
    peaks = _peaks(_play(kit, recording[:80_000], reflex=False))
    assert {round(current, 9) for current, _ in peaks} == {20.0}

"""The two tiers of the virtual subject beside each other: do they agree, and how fast is each."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.adc import VOLTS_PER_COUNT
from myoloop.experiments.subjects.fast import STEP_NS, FastSubjects, Features, Trains
from myoloop.experiments.subjects.features_of_emg import BAND_HZ
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.person import MuscleSite
from myoloop.experiments.subjects.population import draw, population
from myoloop.experiments.subjects.subject import VirtualSubject
from myoloop.platform.messages import Phase, Truth
from myoloop.stimulators.emulators.ledger import Pulse

Array = npt.NDArray[np.float64]

SECONDS = 16.0
_RATE_HZ = 2000
_WINDOW, _WINDOW_STEPS = 500, 25
_CURRENTS_MA = (22.0, 16.0)
_SITES = (
    MuscleSite("agonist", ("emg_1",), ((0, "stim_1"),)),
    MuscleSite("antagonist", ("emg_2",), ((1, "stim_2"),), joint_sign=-1.0, effort_share=0.5),
)
_HOLD = Phase(t_ns=0, session="s", state="running", kind="block", block=1, trial=1, trial_state="hold")
_TIMED_BLOCKS = 300


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the fast tier is from the full one, in per cent.

    Attributes
    ----------
    force
        Largest difference of any muscle's force, of the highest.
    rms, mnf
        Mean difference of the exact RMS, and of the mean frequency that a window is expected to have, from what is
        found in the samples.
    rms_spread, mnf_spread
        Standard deviation that is told of windows, of that found.
    curves
        RMS over time.
    """

    force: float
    rms: float
    mnf: float
    rms_spread: float
    mnf_spread: float
    curves: dict[str, Any]


def agreement(person: SubjectParameters, seed: int) -> Agreement:
    """One person, stimulated and making an effort, in both tiers.

    Nothing evoked is in the person's EMG: the fast tier tells of what is left when it is removed.
    """
    person = replace(
        person, mwave_mv=0.0, artifact_mv_per_ma=0.0, effort_missed=0.0, effort_early=0.0, amplifier_clock_ppm=0.0,
        electrode_drift=0.0, electrode_lifts_per_h=0.0, lead_falls_per_h=0.0,
        effort_level=max(0.2, person.effort_level),
    )  # fmt: skip
    full, fast = VirtualSubject(person, seed, muscles=_SITES), FastSubjects([person], [seed], muscles=_SITES)
    trains = Trains(1, range(len(_SITES)))
    full.see(_HOLD, 0)
    fast.see(_HOLD, 0)
    emg, features, forces = [], [], []
    for _ in range(round(SECONDS * 100)):
        t_ns = fast.now_ns
        pulses = trains.step(t_ns, [_CURRENTS_MA])
        lived = full.step(t_ns, t_ns + STEP_NS, pulses[0])
        emg.append(lived.emg[:, : len(_SITES)])
        for told in lived.truths:
            if told.topic == "truth/force" and isinstance(told.message, Truth):
                forces.append([float(told.message.values[site.name] or 0.0) for site in _SITES])
        features.append(fast.step(pulses))
    emg_uv: Array = np.concatenate(emg).astype(np.float64) * (VOLTS_PER_COUNT * 1e6)
    return _compared(emg_uv, np.array(forces, dtype=np.float64), features)


def _compared(emg_uv: Array, forces_n: Array, features: list[Features]) -> Agreement:
    quick_n = np.array([one.force_n[0] for one in features])[9::10]
    # The first second is that of the reaction.
    begin = 100
    windows = emg_uv[begin * 20 :].reshape(-1, _WINDOW, emg_uv.shape[1])
    ends = features[begin + _WINDOW_STEPS - 1 :: _WINDOW_STEPS]
    rms_uv, mnf_hz = _found(windows)

    def told(what: str) -> Array:
        return np.array([getattr(one, what)[0] for one in ends])

    exact_uv, expected_hz = told("rms_exact_uv"), told("mnf_exact_hz") + told("mnf_bias_hz")
    rms, mnf = rms_uv / exact_uv - 1.0, mnf_hz / expected_hz - 1.0
    seconds = (begin * 0.01 + 0.25 * np.arange(1, len(ends) + 1)).round(2)
    return Agreement(
        force=float(100.0 * np.abs(quick_n - forces_n).max() / forces_n.max()),
        rms=float(100.0 * rms.mean()),
        mnf=float(100.0 * mnf.mean()),
        rms_spread=float(100.0 * (told("rms_sd_uv") / exact_uv).mean() / rms.std(axis=0).mean()),
        mnf_spread=float(100.0 * (told("mnf_sd_hz") / expected_hz).mean() / mnf.std(axis=0).mean()),
        curves={
            "t_s": seconds.tolist(),
            "full_uv": rms_uv[:, 0].round(3).tolist(),
            "fast_uv": exact_uv[:, 0].round(3).tolist(),
        },
    )


def _found(windows: Array) -> tuple[Array, Array]:
    """RMS and, with a Hann window, mean frequency of (windows, samples, channels) within the band."""
    f = np.fft.rfftfreq(_WINDOW, 1.0 / _RATE_HZ)
    band = (f >= BAND_HZ[0]) & (f <= BAND_HZ[1])
    plain = np.square(np.abs(np.fft.rfft(windows, axis=1)[:, band]))
    tapered = np.square(np.abs(np.fft.rfft(windows * np.hanning(_WINDOW)[:, None], axis=1)[:, band]))
    rms: Array = np.sqrt(2.0 * plain.sum(axis=1)) / _WINDOW
    mnf: Array = np.einsum("f,wfc->wc", f[band], tapered) / tapered.sum(axis=1)
    return rms, mnf


def full_real_time(seed: int, muscles: int, channels: int) -> float:
    """How many times faster than real time the full tier is, with every muscle stimulated at 33 Hz; CPU time."""
    sites = [
        MuscleSite(f"m{number}", tuple(f"e{number}_{k}" for k in range(channels)), ((number, f"s{number}"),))
        for number in range(muscles)
    ]
    subject = VirtualSubject(draw(seed, "chronic_sci"), seed, muscles=sites)
    trains = Trains(1, range(muscles))
    given = [trains.step(block * STEP_NS, [[20.0] * muscles])[0] for block in range(100 + _TIMED_BLOCKS)]
    _live(subject, given[:100], 0)
    begin_s = time.process_time()
    _live(subject, given[100:], 100)
    return _TIMED_BLOCKS * 0.01 / (time.process_time() - begin_s)


def _live(subject: VirtualSubject, given: list[list[Pulse]], first: int) -> None:
    for block, pulses in enumerate(given, first):
        subject.step(block * STEP_NS, (block + 1) * STEP_NS, pulses)


def fast_steps_per_s(seed: int, people: int) -> float:
    """Control steps per second of all people together, pulses made on the way; CPU time."""
    fast = FastSubjects(population(seed, people, "chronic_sci"), range(people), muscles=_SITES)
    trains = Trains(people, range(len(_SITES)))
    currents = np.tile(_CURRENTS_MA, (people, 1))
    steps = 1000 if people == 1 else 60
    for _ in range(50):
        fast.step(trains.step(fast.now_ns, currents))
    begin_s = time.process_time()
    for _ in range(steps):
        fast.step(trains.step(fast.now_ns, currents))
    return steps * people / (time.process_time() - begin_s)

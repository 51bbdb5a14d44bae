"""Features: how exact, and how quickly a long record and a single window are worked through, beside LibEMG.

The signal that is timed is Gaussian noise from a fixed seed: 8 channels, 2 kHz, 600 s, windows of 500 samples every
100; of a few repetitions the quickest counts, ours and theirs. LibEMG needs a NumPy below 2. It runs in this Python
where it can be imported, else in the one that ``MYOLOOP_LIBEMG_PYTHON`` names (an environment with the extra `bench`),
on the same signal in the same run; where there is neither, the comparison is left out and said to be.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.batch import FeatureStream, WindowFeatures
from myoloop.controllers.signals.features import Spectrum, log_dimitrov_index, mean_frequency_hz, rms, tkeo
from myoloop.controllers.signals.velocity import conduction_velocity
from myoloop.experiments.benchmarks.findings import LEFT_OUT, Finding, mean_over_subjects
from myoloop.experiments.benchmarks.yardstick import libemg_features
from myoloop.experiments.subjects import spectrum as truth
from myoloop.experiments.subjects.population import draw as draw_person

NAME = "features"
RATE_HZ, CHANNELS, SECONDS = 2000.0, 8, 600.0
WINDOW, STEP = 500, 100
RECORD_S = 60.0
GOLDEN_MAX = 1e-6
SPEED_MIN = 15.0
#: RMS, MNF and MDF of 8 channels must not take more of a 10 ms block than this.
STEP_MAX_US = 100.0
INTERPRETER = "MYOLOOP_LIBEMG_PYTHON"

Floats = npt.NDArray[np.float64]


def measure(
    subjects: int, seeds: int, first_seed: int, say: Callable[[str], None]
) -> tuple[list[Finding], dict[str, Any]]:
    """Findings, and the times of the figure."""
    say("features: exact values")
    findings = [
        Finding(
            part=NAME, what="largest deviation from exact values (two tones, TKEO, velocity)", value=_golden(),
            target=GOLDEN_MAX, sense="at most",
        )
    ]  # fmt: skip
    say("features: a minute of EMG of each person")
    findings.append(_minute(subjects, seeds, first_seed))
    say("features: 8 channels, 600 s")
    signal = np.random.default_rng(0).standard_normal((round(SECONDS * RATE_HZ), CHANNELS))
    ours = {name: _batch_s(signal, dtype) for name, dtype in (("float32", np.float32), ("float64", np.float64))}
    step_us = _step_us(signal)
    say("features: the same by LibEMG")
    theirs = _libemg(signal)
    baseline = "" if theirs is None else "LibEMG"
    findings += [
        Finding(
            part=NAME, what=f"RMS + MNF + MDF, 8 channels x 2 kHz x 600 s, {name}", value=seconds, unit="s",
            baseline=baseline, baseline_value=None if theirs is None else theirs["seconds"],
        )
        for name, seconds in ours.items()
    ]  # fmt: skip
    if theirs is None:
        say(f"{LEFT_OUT}features: LibEMG is not installed, and {INTERPRETER} names no Python that has it: not compared")
    else:
        findings.append(
            Finding(
                part=NAME, what="times as quick as LibEMG on that record, same run",
                value=theirs["seconds"] / ours["float32"], target=SPEED_MIN, baseline="LibEMG", baseline_value=1.0,
            )
        )  # fmt: skip
    findings.append(
        Finding(
            part=NAME, what="the same of one new window of 8 channels, median", value=step_us, unit="us",
            target=STEP_MAX_US, sense="at most", baseline=baseline,
            baseline_value=None if theirs is None else theirs["step_us"],
        )
    )  # fmt: skip
    seconds = {"float32": ours["float32"], "float64": ours["float64"]}
    if theirs is not None:
        seconds["LibEMG"] = theirs["seconds"]
    return findings, {"seconds": seconds, "what": "RMS + MNF + MDF, 8 channels x 2 kHz x 600 s"}


def draw(curves: dict[str, Any], figure: Any) -> None:
    """The time of each."""
    axes = figure.add_subplot()
    names = list(curves["seconds"])
    bars = axes.barh(names, [curves["seconds"][name] for name in names], color=["C0", "C0", "C7"][: len(names)])
    axes.bar_label(bars, fmt="%.2f s", padding=4)
    axes.set(xlabel="time (s)", ylabel="by")
    axes.set_title(curves["what"])
    axes.invert_yaxis()
    axes.margins(x=0.15)


def _golden() -> float:
    """Largest relative deviation from values that are known exactly."""
    t = np.arange(4000) / RATE_HZ
    tones = (np.sin(2 * np.pi * 60 * t) + 0.5 * np.sin(2 * np.pi * 150 * t))[:, None]
    spectrum = Spectrum(RATE_HZ, 4000, hann=False)
    lines, density = spectrum.frequencies_hz, spectrum.density(tones)
    power = np.array([1.0, 0.25]) / 2
    f = np.array([60.0, 150.0])
    index = float(np.exp(log_dimitrov_index(lines, density)[0]))
    cosine = 0.7 * np.cos(2 * np.pi * 80 * t)[:, None]
    pairs = [
        (float(rms(tones)[0]), float(np.sqrt(power.sum()))),
        (float(mean_frequency_hz(lines, density)[0]), float(f @ power / power.sum())),
        (index, float((power / f).sum() / (power * f**5).sum())),
        (float(tkeo(cosine).mean()), 0.49 * float(np.sin(2 * np.pi * 80 / RATE_HZ)) ** 2),
        (conduction_velocity(_travelling(4.0), RATE_HZ, 0.01).velocity_m_per_s, 4.0),
    ]
    return max(abs(found / exact - 1) for found, exact in pairs)


def _travelling(velocity_m_per_s: float) -> Floats:
    f = np.fft.rfftfreq(4000, 1 / RATE_HZ)
    lines = np.fft.rfft(np.random.default_rng(1).standard_normal(4000))
    lines *= np.sqrt(truth.spectral_density(f, 60.0, 120.0))
    lines[-1] = 0.0
    turn = np.exp(-2j * np.pi * f * 0.01 / velocity_m_per_s)
    return np.stack([np.fft.irfft(lines, 4000), np.fft.irfft(lines * turn, 4000)], axis=1)


def _minute(subjects: int, seeds: int, first_seed: int) -> Finding:
    """Bias of the mean frequency of a minute of EMG with a person's exact spectrum, windows of 1 s."""
    features = WindowFeatures(RATE_HZ, 2000, 1000, band_hz=(10.0, 500.0))
    n = round(RECORD_S * RATE_HZ)
    f = np.fft.rfftfreq(n, 1 / RATE_HZ)
    errors = np.empty((subjects, seeds))
    whole = np.empty((subjects, seeds))
    for i in range(subjects):
        person = draw_person(first_seed + i)
        corners = (person.emg_low_hz, person.emg_high_hz)
        shape = np.sqrt(truth.spectral_density(f, *corners))
        exact = truth.mean_frequency_hz(*corners)
        for j in range(seeds):
            white = np.random.default_rng((first_seed, i, j)).standard_normal(n)
            signal = np.fft.irfft(np.fft.rfft(white) * shape, n)[:, None]
            found = mean_frequency_hz(features.frequencies_hz, features.rest(signal))
            errors[i, j] = 100 * (float(found[0]) / exact - 1)
            each = WindowFeatures(RATE_HZ, WINDOW, WINDOW, features=("mean_frequency_hz",)).record(signal)
            whole[i, j] = 100 * (float(each["mean_frequency_hz"].mean()) / exact - 1)
    mean, _, high = mean_over_subjects(errors)
    half = high - mean
    return Finding(
        part=NAME, what="mean frequency of a minute of EMG against quadrature, mean deviation",
        value=abs(mean), unit="%", low=max(0.0, abs(mean) - half), high=abs(mean) + half, target=0.2, sense="at most",
        baseline="mean of windows of 250 ms", baseline_value=abs(float(whole.mean())), n=subjects,
    )  # fmt: skip


def _batch_s(signal: Floats, dtype: npt.DTypeLike) -> float:
    features = WindowFeatures(RATE_HZ, WINDOW, STEP, dtype=dtype)
    best_s = float("inf")
    for _ in range(libemg_features.REPEATS):
        began = time.perf_counter()
        features.record(signal)
        best_s = min(best_s, time.perf_counter() - began)
    return best_s


def _step_us(signal: Floats) -> float:
    stream = FeatureStream(WindowFeatures(RATE_HZ, WINDOW, STEP), CHANNELS)
    times = []
    for first in range(0, 1200 * STEP, STEP):
        block = signal[first : first + STEP]
        began = time.perf_counter()
        told = stream.add(block)
        if told:
            times.append(time.perf_counter() - began)
    return 1e6 * float(np.median(times))


def _libemg(signal: Floats) -> dict[str, Any] | None:
    """What LibEMG needed, in seconds and microseconds; None where it cannot be run."""
    python = os.environ.get(INTERPRETER)
    if python is None and importlib.util.find_spec("libemg") is not None:
        python = sys.executable
    if python is None:
        return None
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "signal.npy"
        np.save(path, signal)
        script = str(Path(libemg_features.__file__))
        ended = subprocess.run(  # the interpreter is the user's own
            [python, script, str(path), str(WINDOW), str(STEP)],
            capture_output=True, text=True, check=False, timeout=600,
            env={**os.environ, "PYTHONPATH": "", "MPLBACKEND": "Agg"},
        )  # fmt: skip
    if ended.returncode != 0:
        last = ended.stderr.strip().splitlines()[-1:] or ["no word"]
        raise RuntimeError(f"{INTERPRETER}={python} cannot run LibEMG: {last[0]}")
    found: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found

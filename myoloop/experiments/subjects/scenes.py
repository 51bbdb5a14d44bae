"""Scenes for the detectors of involuntary activity: EMG of a muscle at rest with spasms in it, and when they were.

They are made of the same parts as the virtual subject (:mod:`~myoloop.experiments.subjects.spasms`, the spectrum of
:mod:`~myoloop.experiments.subjects.emg`), without a person: the level of every event is set relative to the noise.
After ``spasm_bench`` of the project's reference (science.md 2.1): four minutes, tonic, unit, clonic and myoclonic
events, levels from 3 dB below to 6 dB above the stated one, a baseline that drifts by half, and, where asked for,
what a subtracted template of 33 Hz stimulation leaves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from myoloop.experiments.subjects.emg import shaped_noise
from myoloop.experiments.subjects.spasms import Course, Spasm, draw_spasm, unit_level

Array = npt.NDArray[np.float64]

#: No event comes earlier: a baseline can be learnt.
QUIET_S = 15.0
SCENE_KINDS = ("tonic", "unit", "clonus", "myoclonus")
STIMULATION_HZ = 33.0

_GAP_S = (3.0, 9.0)
_LEVEL_DB = (-3.0, 6.0)
_DRIFT = 0.5
#: Peak of what is left of a pulse, in units of the rest RMS.
_RESIDUAL = 3.0
#: Most of it moves slowly, as a template lags behind a muscle that tires; the rest is new with every pulse: jitter.
_FRESH_SHARE = 0.2
_LAG_S = 2.0
_POTENTIAL_WIDTH_S = 1.3e-3


@dataclass(frozen=True, slots=True)
class SceneEvent:
    """One spasm of a scene.

    Attributes
    ----------
    onset_s, end_s
        From the scene's begin.
    level
        RMS of its EMG in units of the mean rest RMS: on the plateau of a tonic one, within the bursts of clonus and
        myoclonus, over the whole event of a unit.
    clonus_hz
        Mean rate of its bursts; 0 where it is no clonus.
    """

    kind: str
    onset_s: float
    end_s: float
    level: float
    clonus_hz: float = 0.0


def pulse_times_s(seconds: float) -> Array:
    """When the pulses of a stimulated scene were given: 33 Hz throughout, (n,) from the scene's begin."""
    return np.arange(1, math.floor(seconds * STIMULATION_HZ) + 1) / STIMULATION_HZ


def spasm_scene(
    seed: int, seconds: float = 240.0, snr_db: float = 10.0, rate_hz: float = 2000.0, stimulated: bool = False
) -> tuple[Array, list[SceneEvent]]:
    """Make one scene; the same arguments give the same scene.

    Parameters
    ----------
    snr_db
        Median-like level of the events over the mean rest RMS; each lies -3 to +6 dB from it.
    stimulated
        Whether residuals of 33 Hz stimulation (:func:`pulse_times_s`) are in it: an M-wave's shape, jittered by 50
        us, whose peak has an RMS of 3 times the rest RMS, of which four fifths of the power drift over 2 s and one
        fifth is new with every pulse.

    Returns
    -------
    emg
        (n,) in units of the mean rest RMS.
    events
        In order of time, none overlapping, at least 3 s apart.

    Raises
    ------
    ValueError
        If the scene is too short for an event, or a rate cannot hold the spectrum.
    """
    if not (math.isfinite(seconds) and seconds > QUIET_S):
        raise ValueError(f"seconds: found {seconds}, allowed is more than {QUIET_S:g}")
    if not (math.isfinite(rate_hz) and rate_hz >= 500):
        raise ValueError(f"rate_hz: found {rate_hz}, allowed is 500 or more")
    if not math.isfinite(snr_db):
        raise ValueError(f"snr_db: found {snr_db}, allowed is a finite number")
    drawing, noise = (
        np.random.Generator(np.random.PCG64(one)) for one in np.random.SeedSequence((0x7363656E, seed)).spawn(2)
    )
    rows = round(seconds * rate_hz)
    spasms = _spasms(seconds, snr_db, drawing)
    phase, period_s = drawing.uniform(0, 2 * math.pi), drawing.uniform(60.0, 120.0)
    drift = 1.0 + _DRIFT * np.sin(phase + 2 * math.pi / (rate_hz * period_s) * np.arange(rows))
    drift /= math.sqrt(1.0 + 0.5 * _DRIFT**2)
    # At rest: the amplifier's white noise and a little tone, in equal shares.
    emg = math.sqrt(0.5) * (noise.standard_normal(rows) + shaped_noise(rows, rate_hz, noise)) * drift
    active = shaped_noise(rows, rate_hz, noise)
    events = []
    for spasm in spasms:
        first, last = (math.ceil(t_ns * 1e-9 * rate_hz) for t_ns in (spasm.onset_ns, spasm.end_ns))
        if spasm.kind == "unit":
            emg[first : last + 1] += _train(spasm, np.arange(first, min(rows, last + 1)) / rate_hz)
        else:
            times = np.rint(np.arange(first, last) * (1e9 / rate_hz)).astype(np.int64)
            emg[first:last] += active[first:last] * spasm.activation(times)
        events.append(SceneEvent(spasm.kind, spasm.onset_ns * 1e-9, spasm.end_ns * 1e-9, spasm.level, spasm.clonus_hz))
    if stimulated:
        _stimulate(emg, seconds, rate_hz, noise)
    return emg, events


def spasm_scenes(
    seeds: Sequence[int],
    seconds: float = 240.0,
    snr_db: float = 10.0,
    rate_hz: float = 2000.0,
    stimulated: bool = False,
) -> tuple[Array, list[list[SceneEvent]]]:
    """Make many scenes at once, to be the muscles of one detector.

    Returns
    -------
    emg
        (n, scenes), each column as :func:`spasm_scene` makes it.
    events
        Of each.
    """
    made = [spasm_scene(seed, seconds, snr_db, rate_hz, stimulated) for seed in seeds]
    return np.column_stack([emg for emg, _ in made]), [events for _, events in made]


def _spasms(seconds: float, snr_db: float, rng: np.random.Generator) -> list[Spasm]:
    spasms: list[Spasm] = []
    t_s = QUIET_S + rng.uniform(0.0, _GAP_S[1] - _GAP_S[0])
    # Every kind comes as often as every other.
    kinds: list[str] = []
    while True:
        kinds = kinds or [SCENE_KINDS[k] for k in rng.permutation(len(SCENE_KINDS))]
        kind = kinds.pop()
        level = 10 ** ((snr_db + rng.uniform(*_LEVEL_DB)) / 20)
        course = Course(
            rise_s=rng.uniform(0.06, 0.15), ebb_s=rng.uniform(0.3, 1.0), shortest_s=0.6, longest_s=3.0,
            clonus_hz=rng.uniform(4.5, 7.5), unit_size=1.0,
        )  # fmt: skip
        spasm = draw_spasm(kind, (0,), round(t_s * 1e9), level, course, rng)
        if spasm.end_ns * 1e-9 > seconds - 1.0:
            return spasms
        spasms.append(_scaled(spasm, level))
        t_s = spasm.end_ns * 1e-9 + rng.uniform(*_GAP_S)


def _scaled(spasm: Spasm, level: float) -> Spasm:
    """Make the potentials of a unit as large as its RMS shall be."""
    if spasm.kind != "unit":
        return spasm
    sizes = np.array([size for _, size in spasm.discharges])
    factor = level / unit_level(sizes, (spasm.end_ns - spasm.onset_ns) * 1e-9)
    discharges = tuple((t_ns, size * factor) for t_ns, size in spasm.discharges)
    return Spasm(spasm.muscles, spasm.onset_ns, spasm.end_ns, spasm.kind, level, discharges=discharges)


def _train(spasm: Spasm, times_s: Array) -> Array:
    """A unit's potentials at times, each within 10 ms of its discharge."""
    train = np.zeros(len(times_s))
    for t_ns, size in spasm.discharges:
        begin, end = np.searchsorted(times_s, (t_ns * 1e-9, t_ns * 1e-9 + 0.010))
        z = (times_s[begin:end] - t_ns * 1e-9 - 4 * _POTENTIAL_WIDTH_S) / _POTENTIAL_WIDTH_S
        train[begin:end] -= size * 0.5 * math.exp(0.5) * z * np.exp(-0.5 * z * z)
    return train


def _stimulate(emg: Array, seconds: float, rate_hz: float, rng: np.random.Generator) -> None:
    """Add what a template of the artifact and M-wave leaves: a wave whose gain moves from pulse to pulse."""
    given_s = pulse_times_s(seconds)
    slow, fresh = rng.standard_normal((2, len(given_s)))
    keep = math.exp(-1.0 / (STIMULATION_HZ * _LAG_S))
    slow[1:] *= math.sqrt(1.0 - keep * keep)
    drifted = lfilter([1.0], [1.0, -keep], slow)
    gains = math.sqrt(1.0 - _FRESH_SHARE) * drifted + math.sqrt(_FRESH_SHARE) * fresh
    gains = _RESIDUAL * np.clip(gains, -2.0, 2.0)
    jittered_s = given_s + 50e-6 * rng.uniform(-1.0, 1.0, len(given_s))
    length = math.ceil(0.015 * rate_hz)
    rows = np.ceil(jittered_s * rate_hz).astype(np.int64)[:, None] + np.arange(length)
    z = (rows / rate_hz - jittered_s[:, None] - 6.5e-3) / _POTENTIAL_WIDTH_S
    waves = gains[:, None] * -math.exp(0.5) * z * np.exp(-0.5 * z * z)
    inside = rows < len(emg)
    np.add.at(emg, rows[inside], waves[inside])

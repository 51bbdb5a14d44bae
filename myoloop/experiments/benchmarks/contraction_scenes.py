"""Rows of voluntary contractions of muscles that tire at a known rate, and what the controller makes of them.

24 contractions in 138 s, each held for 3 s between ramps of 0.2 s: Gaussian EMG with the exact Stulen-De Luca
spectrum of a drawn person, its conduction velocity falling from contraction to contraction, an amplitude that
drifts by up to a third either way whatever the muscle does, a white noise floor 15 dB below the first contraction
within 20 to 450 Hz that drifts as well, and 8 % of the contractions spoilt by what happens to electrodes. Many scenes
are the columns of one source, which a :class:`~myoloop.controllers.muscles.MuscleGroup` hears as in a session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.population import draw as draw_person
from myoloop.experiments.subjects.spectrum import spectral_density

Floats = npt.NDArray[np.float64]

RATE_HZ = 2000.0
RAMP_S, HOLD_S = 0.2, 3.0
WORK_S = HOLD_S + 2 * RAMP_S
CONTRACTIONS, FIRST_S, EVERY_S = 24, 3.0, 5.75
LENGTH_S = FIRST_S + CONTRACTIONS * EVERY_S + 1.0
JITTER_S = 0.2
SNR_DB = 15.0
SPOILT = 0.08
NOISE_BAND_HZ = (20.0, 450.0)
UV_PER_COUNT = 0.1


@dataclass(frozen=True, slots=True)
class Scene:
    """One muscle.

    Attributes
    ----------
    low_hz, high_hz
        Corners of its fresh spectrum.
    loss
        Share of the conduction velocity that is lost from the first to the last contraction.
    log_gain
        By how much ln(amplitude) has drifted at the end.
    begin_s
        Onset of each contraction.
    spoilt
        Which contractions are.
    """

    low_hz: float
    high_hz: float
    loss: float
    log_gain: float
    begin_s: Floats
    spoilt: npt.NDArray[np.bool_]

    @property
    def velocity(self) -> Floats:
        """Relative conduction velocity in each contraction."""
        return 1.0 - self.loss * np.linspace(0.0, 1.0, CONTRACTIONS)

    @property
    def middle_s(self) -> Floats:
        """Middle of each contraction."""
        return self.begin_s + 0.5 * WORK_S


def make(subject: int, loss: float, rng: np.random.Generator) -> tuple[Scene, npt.NDArray[np.int16]]:
    """A scene and its samples (n,), in counts of a tenth of a microvolt."""
    person = draw_person(subject)
    n = round(LENGTH_S * RATE_HZ)
    begin_s = FIRST_S + EVERY_S * np.arange(CONTRACTIONS) + rng.uniform(-JITTER_S, JITTER_S, CONTRACTIONS)
    scene = Scene(
        person.emg_low_hz,
        person.emg_high_hz,
        loss,
        float(rng.uniform(-0.3, 0.3)),
        begin_s,
        rng.random(CONTRACTIONS) < SPOILT,
    )
    level_uv = 0.3 * person.emg_mvc_uv
    # White to 1 kHz, so much of it within the band.
    share = (NOISE_BAND_HZ[1] - NOISE_BAND_HZ[0]) / (0.5 * RATE_HZ)
    noise_uv = level_uv * 10 ** (-SNR_DB / 20) / np.sqrt(share)
    drift = float(rng.uniform(-0.2, 0.2))
    emg = noise_uv * np.exp(drift * np.linspace(0.0, 1.0, n)) * rng.standard_normal(n)
    work = round(WORK_S * RATE_HZ)
    envelope = np.minimum(1.0, np.minimum(np.arange(work), np.arange(work)[::-1]) / (RAMP_S * RATE_HZ))
    for k, (begin, velocity) in enumerate(zip(begin_s, scene.velocity, strict=True)):
        at = round(begin * RATE_HZ)
        gain = level_uv * np.exp(scene.log_gain * k / (CONTRACTIONS - 1))
        emg[at : at + work] += gain * envelope * _pattern(work, scene, float(velocity), rng)
        if scene.spoilt[k]:
            emg[at : at + work] += gain * _mishap(work, rng)
    counts = np.clip(np.rint(emg / UV_PER_COUNT), -32767, 32767).astype(np.int16)
    return scene, counts


def true_frequencies_hz(scene: Scene, response: Floats, lines_hz: Floats) -> tuple[Floats, Floats]:
    """Mean and median frequency of each contraction without noise, by quadrature, behind a filter.

    Parameters
    ----------
    response
        Power response of the filter on `lines_hz`, which are close and equally spaced.
    """
    means, medians = [], []
    for velocity in scene.velocity:
        density = response * spectral_density(lines_hz, scene.low_hz, scene.high_hz, float(velocity))
        power = np.cumsum(density)
        means.append(float(density @ lines_hz / power[-1]))
        medians.append(float(np.interp(0.5 * power[-1], power, lines_hz)))
    return np.array(means), np.array(medians)


def straight_slope_pct_per_min(t_s: Floats, y: Floats) -> float:
    """Slope of the least-squares line relative to where it begins."""
    slope, intercept = np.polyfit((t_s - t_s[0]) / 60.0, y, 1)
    return float(100.0 * slope / intercept)


def effort_expected(scenes: Sequence[Scene]) -> npt.NDArray[np.bool_]:
    """Per hop of 10 ms: somebody is asked for effort, from well before the earliest to just after the latest."""
    t_s = 0.01 * np.arange(1, round(LENGTH_S * 100) + 1)
    first = np.min([scene.begin_s for scene in scenes], axis=0) - 0.3
    last = np.max([scene.begin_s for scene in scenes], axis=0) + WORK_S + 0.3
    asked: npt.NDArray[np.bool_] = ((t_s[:, None] >= first) & (t_s[:, None] < last)).any(axis=1)
    return asked


def _pattern(n: int, scene: Scene, velocity: float, rng: np.random.Generator) -> Floats:
    """Gaussian EMG of RMS 1 with the exact spectrum, by shaping white noise in the frequency domain."""
    f = np.fft.rfftfreq(n, 1 / RATE_HZ)
    density = spectral_density(f, scene.low_hz, scene.high_hz, velocity)
    lines = np.fft.rfft(rng.standard_normal(n)) * np.sqrt(density / density.mean())
    pattern: Floats = np.fft.irfft(lines, n)
    return pattern


def _mishap(n: int, rng: np.random.Generator) -> Floats:
    """What spoils a contraction, relative to its EMG: a cable that moves, hum, or a contact that crackles."""
    kind = int(rng.integers(3))
    size = float(rng.uniform(0.7, 2.0))
    white = rng.standard_normal(n)
    if kind == 0:
        lines = np.fft.rfft(white)
        lines[np.fft.rfftfreq(n, 1 / RATE_HZ) > 35.0] = 0.0
        slow = np.fft.irfft(lines, n)
        moved: Floats = size * slow / slow.std()
        return moved
    if kind == 1:
        t = np.arange(n) / RATE_HZ
        hum: Floats = size * np.sqrt(2.0) * np.sin(2 * np.pi * 150.0 * t + float(rng.uniform(0, 2 * np.pi)))
        return hum
    return 0.6 * size * white

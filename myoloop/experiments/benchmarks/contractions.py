"""Stimulated contractions of muscles side by side: the scenes of the virtual subject's benchmark.

Every scene is one muscle of the same array, so that a hundred of them cost little more than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.ding import (
    A_REST_N_S,
    ALPHA_A_S2,
    ALPHA_KM_S_N,
    ALPHA_TAU1_N,
    KM_REST,
    R0,
    TAU1_REST_S,
    TAU2_S,
    TAU_C_S,
)
from myoloop.experiments.subjects.muscle import MuscleParameters, Muscles, Recruited

Array = npt.NDArray[np.float64]

_BLOCK_MS = 10
_BLOCK_NS = 10_000_000
#: Ding's muscle, fully recruited, with his own coefficients.
DING = {"strength": 1.0, "recovery_s": 127.0, "fatigue_rate": 1.0}


@dataclass(frozen=True, slots=True)
class Scene:
    """A muscle and the pulses it gets.

    Attributes
    ----------
    pulses_ns
        In order.
    share
        Of the muscle that each of them recruits.
    """

    parameters: MuscleParameters
    pulses_ns: tuple[int, ...]
    share: float = 1.0


def pulses(rate_hz: float, trains: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Times in ns of trains from a second to a second."""
    return tuple(
        round((begin_s + k / rate_hz) * 1e9)
        for begin_s, end_s in trains
        for k in range(int((end_s - begin_s) * rate_hz))
    )


def every(count: int, on_s: float = 1.0, off_s: float = 1.0) -> list[tuple[float, float]]:
    """Trains that follow one another."""
    return [(k * (on_s + off_s), k * (on_s + off_s) + on_s) for k in range(count)]


def forces_n(scenes: Sequence[Scene], seconds: float) -> Array:
    """Force of each scene's muscle at the end of each millisecond: (ms, scenes) in N."""
    muscles = Muscles([scene.parameters for scene in scenes])
    idle = np.zeros(len(scenes))
    due: list[list[Recruited]] = [[] for _ in range(round(seconds * 100))]
    for number, scene in enumerate(scenes):
        for t_ns in scene.pulses_ns:
            if t_ns // _BLOCK_NS < len(due):
                due[t_ns // _BLOCK_NS].append(Recruited(number, t_ns, scene.share))
    made = np.empty((len(due) * _BLOCK_MS, len(scenes)))
    for block, given in enumerate(due):
        given.sort(key=lambda pulse: pulse.t_ns)
        made[block * _BLOCK_MS : (block + 1) * _BLOCK_MS] = muscles.advance(block * _BLOCK_NS, _BLOCK_MS, given, idle)
    return made


def euler_n(scenes: Sequence[Scene], seconds: float) -> Array:
    """The same by the simplest method, Euler's with 1 ms, of fully recruited muscles."""
    count = len(scenes)
    rate = np.array([scene.parameters.fatigue_rate for scene in scenes])
    recovery_s = np.array([scene.parameters.recovery_s for scene in scenes])
    cn, s, force = np.zeros(count), np.zeros(count), np.zeros(count)
    a, tau1, km = np.full(count, A_REST_N_S), np.full(count, TAU1_REST_S), np.full(count, KM_REST)
    last_s = np.full(count, -np.inf)
    due: list[list[int]] = [[] for _ in range(round(seconds * 1000))]
    for number, scene in enumerate(scenes):
        for t_ns in scene.pulses_ns:
            if (at := round(t_ns * 1e-6)) < len(due):
                due[at].append(number)
    step = 1e-3
    made = np.empty((len(due), count))
    for at, hit in enumerate(due):
        if hit:
            s[hit] += 1.0 + (R0 - 1.0) * np.exp((last_s[hit] - at * step) / TAU_C_S)
            last_s[hit] = at * step
        x = cn / (km + cn)
        rise = a * x - force / (tau1 + TAU2_S * x)
        cn += step / TAU_C_S * (s - cn)
        s -= step / TAU_C_S * s
        drive = rate * force
        a += step * (ALPHA_A_S2 * drive - (a - A_REST_N_S) / recovery_s)
        tau1 += step * (ALPHA_TAU1_N * drive - (tau1 - TAU1_REST_S) / recovery_s)
        km += step * (ALPHA_KM_S_N * drive - (km - KM_REST) / recovery_s)
        force += step * rise
        made[at] = force
    return made


def peaks(forces: Array, trains: Sequence[tuple[float, float]], until_s: float) -> Array:
    """Highest force from the begin of each train to that of the next one: (trains, scenes)."""
    begins = [round(begin_s * 1000) for begin_s, _ in trains]
    ends = [*begins[1:], round(until_s * 1000)]
    return np.array([forces[begin:end].max(axis=0) for begin, end in zip(begins, ends, strict=True)])


def bickel(parameters: Sequence[MuscleParameters], share: float = 1.0, count: int = 180) -> Array:
    """Peaks of Bickel's contractions: six pulses 70 ms apart, then as long a pause; (count, muscles)."""
    trains = [(k * 0.84, k * 0.84 + 0.42) for k in range(count)]
    times = tuple(round((begin_s + 0.07 * k) * 1e9) for begin_s, _ in trains for k in range(6))
    made = forces_n([Scene(one, times, share) for one in parameters], count * 0.84)
    return peaks(made, trains, count * 0.84)

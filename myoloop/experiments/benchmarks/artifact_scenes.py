"""EMG under stimulation of which the truth is known, and a way to play any EMG through the controller's front end.

A scene is the sum, sample by sample, of what is known apart: voluntary EMG (shaped noise under a slow envelope), the
M-wave (a Gaussian's derivative that shrinks and broadens as the muscle tires, jittered in time and size), the
artifact, and amplifier noise; then the amplifier clips. Its artifact is an edge of 0.1 ms that decays, and where it
drives the amplifier beyond its rail a base line that comes back exponentially. All people of a scene stand side by
side as columns: they have their pulses in common and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.estimator import Evoked
from myoloop.controllers.signals.artifact import ArtifactSettings
from myoloop.controllers.signals.conditioning import Conditioner
from myoloop.controllers.signals.conditioning_settings import ConditioningSettings
from myoloop.experiments.subjects.distributions import LogNormal, Uniform
from myoloop.platform.messages import Pulses, SampleDescriptor, Samples

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

RATE_HZ = 2000.0
RAIL_UV = 5500.0
PULSES_HZ = 33.3
CURRENT_MA, PHASE_US = 20.0, 250.0
#: News of a pulse comes so long after it: one cycle of the stimulator's, one of the controller's.
_NEWS_S = 0.02

# What people differ in (science.md 3 and 4.4: latency 3 to 5 ms, width, recovery 2 to 8 ms, jitter 50 to 100 us).
_EMG_UV = LogNormal(60.0, 0.3)
_MWAVE_UV = LogNormal(1000.0, 0.4)
_WIDTH_MS = Uniform(1.2, 1.8)
_LATENCY_MS = Uniform(3.0, 5.0)
_ARTIFACT_UV = LogNormal(8000.0, 0.4)
_DECAY_MS = Uniform(0.3, 0.5)
_RECOVERY_MS = Uniform(2.0, 8.0)
_RECOVERY_SHARE = Uniform(0.02, 0.2)
_SIZE_JITTER = Uniform(0.01, 0.03)
_FALL = Uniform(0.1, 0.4)
_SLOWING = Uniform(0.1, 0.25)
_JITTER_S = Uniform(50e-6, 100e-6)
_EMG_NOISE_UV = 3.0


@dataclass(frozen=True, slots=True)
class Scene:
    """EMG of several people; arrays are (samples, people) in µV.

    Attributes
    ----------
    emg, mwave, seen
        What is theirs, what is evoked, and what the amplifier gives.
    pulse_rows
        When pulses fell, in rows.
    planned_rows
        When the stimulator says they did.
    """

    emg: Array
    mwave: Array
    seen: Array
    pulse_rows: Array
    planned_rows: Array


@dataclass(frozen=True, slots=True)
class Heard:
    """What the front end makes of EMG: samples (n, channels), which are good, and frames behind pulses."""

    samples: Array
    good: Mask
    invalid: Array
    evoked: Sequence[Evoked]
    waited_ms: Array


def draw_scene(people: int, first_seed: int, seed: int, seconds: float) -> Scene:
    """One repetition with `people` drawn people: who they are hangs on `first_seed`, what happens on `seed` too."""
    who = [np.random.default_rng([first_seed, person]) for person in range(people)]
    rng = np.random.default_rng([first_seed, people, seed])
    n = round(seconds * RATE_HZ)
    jitter_s = _JITTER_S.draw(np.random.default_rng([first_seed]))
    # The stimulator's clock is off by 1e-4: its period is no whole number of samples, nor constant.
    period = RATE_HZ / PULSES_HZ * (1.0 + 1e-4 * rng.uniform(-1.0, 1.0))
    planned = np.arange(RATE_HZ + 13.0, n - 200.0, period)
    off = np.clip(rng.normal(0.0, 0.5 * jitter_s, len(planned)), -jitter_s, jitter_s) * RATE_HZ
    pulses = planned + off
    emg = _voluntary(rng, n, np.array([_EMG_UV.draw(each) for each in who]))
    mwave, artifact = np.zeros((n, people)), np.zeros((n, people))
    for column, each in enumerate(who):
        _evoke(each, rng, pulses, mwave[:, column], artifact[:, column])
    seen = np.clip(emg + mwave + artifact, -RAIL_UV, RAIL_UV)
    return Scene(emg, mwave, np.round(seen / 0.2) * 0.2, pulses, planned)


def _voluntary(rng: np.random.Generator, n: int, level_uv: Array) -> Array:
    from scipy.signal import butter, sosfilt

    people = len(level_uv)
    shaped = sosfilt(butter(2, (40.0, 160.0), btype="bandpass", fs=RATE_HZ, output="sos"),
                     rng.standard_normal((n, people)), axis=0)  # fmt: skip
    shaped /= shaped.std(axis=0)
    t_s = np.arange(n)[:, None] / RATE_HZ
    phase, period_s = rng.uniform(0, 2 * np.pi, people), rng.uniform(3.0, 6.0, people)
    envelope = 0.15 + 0.85 * (0.5 - 0.5 * np.cos(2 * np.pi * t_s / period_s + phase)) ** 2
    made: Array = shaped * envelope * level_uv + _EMG_NOISE_UV * rng.standard_normal((n, people))
    return made


def _evoke(who: np.random.Generator, rng: np.random.Generator, pulses: Array, mwave: Array, artifact: Array) -> None:
    """Add what each pulse leaves of one person's M-wave and artifact, in place."""
    size_uv, width_ms, latency_ms = _MWAVE_UV.draw(who), _WIDTH_MS.draw(who), _LATENCY_MS.draw(who)
    edge_uv, decay_ms = _ARTIFACT_UV.draw(who), _DECAY_MS.draw(who)
    recovery_ms, share = _RECOVERY_MS.draw(who), _RECOVERY_SHARE.draw(who)
    scatter, fall, slowing = _SIZE_JITTER.draw(who), _FALL.draw(who), _SLOWING.draw(who)
    rows = np.arange(58)
    tired = 1.0 - np.exp(-np.arange(len(pulses)) / (0.5 * len(pulses)))
    sizes = size_uv * (1.0 - fall * tired) * (1.0 + scatter * rng.standard_normal(len(pulses)))
    for pulse, size, tiredness in zip(pulses.tolist(), sizes.tolist(), tired.tolist(), strict=True):
        first = int(np.ceil(pulse))
        since_ms = (first - pulse + rows) * 1e3 / RATE_HZ
        width = width_ms / (1.0 - slowing * tiredness)
        z = (since_ms - latency_ms - 2.2 * width) / width
        mwave[first : first + 58] -= 0.5 * size * z * np.exp(0.5 - 0.5 * z * z)
        overdrive = max(0.0, edge_uv - RAIL_UV)
        edge = edge_uv * (_pulse(since_ms, decay_ms) - _pulse(since_ms - PHASE_US * 1e-3, decay_ms))
        artifact[first : first + 58] += edge - share * overdrive * np.exp(-since_ms / recovery_ms)


def _pulse(since_ms: Array, decay_ms: float) -> Array:
    after = np.maximum(since_ms, 0.0)
    made: Array = (1.0 - np.exp(-after / 0.1)) * np.exp(-after / decay_ms)
    return made


def listen(
    seen_uv: Array, settings: ArtifactSettings, *, rate_hz: float = RATE_HZ, told_rows: Array | None = None,
    trigger_rows: Array | None = None, uncertainty_s: float = 2e-4, rail_uv: float | None = RAIL_UV,
    stimulated: bool = True,
) -> Heard:  # fmt: skip
    """Play EMG through the controller's front end, block by block of 10 ms, as a controller does.

    Parameters
    ----------
    seen_uv
        (n, channels).
    told_rows, trigger_rows
        Pulses that the host tells of 20 ms later; pulses that a trigger channel shows.
    rail_uv
        None: the amplifier does not tell where its rail is.
    stimulated
        False: nothing is known of pulses, and nothing done about them.
    """
    array, channels = seen_uv * 1e-6, seen_uv.shape[1]
    names, units = [f"e{i}" for i in range(channels)], ["V"] * channels
    if trigger_rows is not None:
        line = np.zeros((len(array), 1))
        for row in np.ceil(trigger_rows).astype(int).tolist():
            line[row : row + 2] = 1.0
        array = np.concatenate([array, line], axis=1)
        names, units = [*names, "trigger"], [*units, "1"]
    descriptor = SampleDescriptor(
        topic="emg/scene", rate_hz=rate_hz, dtype="<f8", channels=tuple(names), units=tuple(units),
        scale=(1.0,) * len(names), offset=(0.0,) * len(names), rail_low=None if rail_uv is None else -rail_uv * 1e-6,
        rail_high=None if rail_uv is None else rail_uv * 1e-6,
        sync_channel=None if trigger_rows is None else "trigger",
    )  # fmt: skip
    conditioner = Conditioner(ConditioningSettings(artifact=settings), descriptor, tuple(range(channels)), stimulated)
    begin_ns, period_ns = 1_000_000_000, 1e9 / rate_hz
    size, told = conditioner.hop_samples, 0
    told_rows = np.zeros(0) if told_rows is None else told_rows
    hops, waited = [], []
    for block in range(len(array) // size):
        now_ns = begin_ns + round((size * block + size - 1) * period_ns)
        while told < len(told_rows) and begin_ns + told_rows[told] * period_ns + _NEWS_S * 1e9 <= now_ns:
            at_ns = begin_ns + round(float(told_rows[told]) * period_ns)
            conditioner.hear(
                Pulses(
                    channel="ch1", t_ns=(at_ns,), uncertainty_ns=round(uncertainty_s * 1e9), kind="sent",
                    current_ma=CURRENT_MA, phase_us=PHASE_US,
                )
            )  # fmt: skip
            told += 1
        rows = array[size * block : size * (block + 1)]
        new = conditioner.add(Samples(first_sample=size * block, t_ns=now_ns), rows, 1)
        new += conditioner.release(now_ns, stimulated)
        waited += [(now_ns - hop.t_ns) * 1e-6 for hop in new]
        hops += new
    hops += conditioner.release(now_ns + 10**9, False)
    return Heard(
        np.concatenate([hop.samples for hop in hops]),
        np.concatenate([hop.good for hop in hops]),
        np.sum([hop.invalid for hop in hops], axis=0),
        [frame for hop in hops for frame in hop.evoked],
        np.array(waited),
    )

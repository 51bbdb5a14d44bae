"""How a segment lies and moves: inclination on real arm movements, tremor and joint angle on simulated ones.

Real movements: a forearm's IMU at 50 Hz against its maker's own fusion, which has a magnetometer too (seven people with
and without Parkinson's disease, three tasks each). Where the recordings are absent those findings are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from myoloop.controllers.estimators.estimator import ImuInput, Situation
from myoloop.controllers.motion import Motion, MotionSettings
from myoloop.experiments.benchmarks.findings import LEFT_OUT, Finding, mean_over_subjects
from myoloop.experiments.benchmarks.intermittent import IMU
from myoloop.experiments.benchmarks.recordings import VARIABLE, folder
from myoloop.experiments.subjects.imu import Imu
from myoloop.experiments.subjects.limb import Limb
from myoloop.experiments.subjects.population import draw as draw_person

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "motion"
INCLINATION_MAX_DEG = 1.0
FREQUENCY_ERROR_MAX_HZ = 0.25
RECORDINGS = "pd_imu_dryad"
#: A tremor is measured after two seconds of it.
TREMOR_S, TREMOR_RANGE_HZ, TREMOR_RAD_S = 2.0, (3.5, 11.5), (0.05, 0.5)
GROUPS = ("able_bodied", "acute_sci", "chronic_sci")
_COMPLEMENTARY_TAU_S = 2.0

Array = npt.NDArray[np.float64]
Say = Callable[[str], None]


def measure(subjects: int, seeds: int, first_seed: int, say: Say) -> tuple[list[Finding], dict[str, Any]]:
    """Take in the recordings, then tremors and swings of `subjects` people, `seeds` of each."""
    findings: list[Finding] = []
    curves: dict[str, Any] = {}
    path = folder(RECORDINGS)
    if path is None:
        say(f"{LEFT_OUT}motion: no recordings {RECORDINGS} ({VARIABLE} says where they are): inclination")
    else:
        say("motion: inclination on recorded arm movements")
        more, curves["inclination"] = _inclination(path)
        findings += more
    say(f"motion: tremor, {subjects} people x {seeds}")
    more, curves["tremor"] = _tremor(subjects, seeds, first_seed)
    findings += more
    say(f"motion: joint angle, {subjects} people x {seeds}")
    more, curves["angle"] = _angle(subjects, seeds, first_seed)
    return findings + more, curves


def _inclination(path: Path) -> tuple[list[Finding], dict[str, Any]]:
    medians, tails, covered, plain, felt = [], [], [], [], []
    shown: dict[str, Any] = {}
    for file in sorted(path.glob("*.npz")):
        with np.load(file) as data:
            accelerometer, gyroscope = data["acc"].astype(np.float64), data["gyr"].astype(np.float64)
            rotation = data["R"].astype(np.float64)
        rate_hz = 50.0
        # The reference's matrices turn from the ground's frame into the sensor's.
        reference = _tilt(rotation[:, :, 2])
        told = np.array(list(_told(accelerometer, gyroscope, rate_hz)))
        known = np.isfinite(told[:, 0])
        away = np.degrees(np.abs(told[known, 0] - reference[known]))
        medians.append(float(np.median(away)))
        tails.append(float(np.quantile(away, 0.9)))
        covered.append(float(np.mean((told[known, 1] <= reference[known]) & (reference[known] <= told[known, 2]))))
        simple = _tilt(_complementary(accelerometer, gyroscope, rate_hz))
        plain.append(float(np.median(np.degrees(np.abs(simple - reference)[known]))))
        alone = _tilt(accelerometer / np.linalg.norm(accelerometer, axis=1)[:, None])
        felt.append(float(np.median(np.degrees(np.abs(alone - reference)[known]))))
        if not shown:
            some = slice(500, 1500, 4)
            shown = {
                "t_s": (np.arange(len(told))[some] / rate_hz).tolist(),
                "told_deg": np.degrees(told[some, 0]).round(3).tolist(),
                "reference_deg": np.degrees(reference[some]).round(3).tolist(),
                "accelerometer_deg": np.degrees(alone[some]).round(3).tolist(),
            }
    n = len(medians)
    baseline = f"complementary filter, {_COMPLEMENTARY_TAU_S:g} s"
    findings = [
        Finding(
            part=NAME,
            what="inclination on recorded arm movements, median error of the median recording",
            value=round(float(np.median(medians)), 3),
            unit="deg",
            target=INCLINATION_MAX_DEG,
            sense="at most",
            baseline=baseline,
            baseline_value=round(float(np.median(plain)), 3),
            n=n,
        ),
        Finding(
            part=NAME,
            what="the same of the worst recording",
            value=round(max(medians), 3),
            unit="deg",
            baseline=baseline,
            baseline_value=round(max(plain), 3),
            n=n,
        ),
        Finding(
            part=NAME,
            what="error that nine tenths of the time stay below, median recording",
            value=round(float(np.median(tails)), 3),
            unit="deg",
            baseline="accelerometer alone (its median error)",
            baseline_value=round(float(np.median(felt)), 3),
            n=n,
        ),
        Finding(
            part=NAME,
            what="coverage of the inclination's 95 % interval",
            value=round(float(np.mean(covered)), 4),
            n=n,
        ),
    ]
    return findings, {**shown, "median_deg": medians, "complementary_deg": plain}


def _told(accelerometer: Array, gyroscope: Array, rate_hz: float) -> Iterator[tuple[float, float, float]]:
    """Inclination and its interval after each sample; NaN where it is not told."""
    motion = _motion(rate_hz)
    rows = np.concatenate([accelerometer, gyroscope], axis=1)
    for i, row in enumerate(rows):
        now_ns = round((i + 1) / rate_hz * 1e9)
        measure = motion.step(Situation(now_ns, imu=[(now_ns, row[None])])).inclination_rad
        if measure.value is None or measure.low is None or measure.high is None:
            yield float("nan"), float("nan"), float("nan")
        else:
            yield measure.value, measure.low, measure.high


def _motion(rate_hz: float) -> Motion:
    return Motion(MotionSettings(), ImuInput(replace(IMU, rate_hz=rate_hz), (0, 1, 2), (3, 4, 5)))


def _tilt(vertical: Array) -> Array:
    """Inclination of the x axis against the downward vertical, from the upward one in the sensor's frame."""
    across = np.hypot(vertical[:, 1], vertical[:, 2])
    tilt: Array = np.arctan2(across, -vertical[:, 0])
    return tilt


def _complementary(accelerometer: Array, gyroscope: Array, rate_hz: float) -> Array:
    """Upward vertical by the textbook's filter: turned by the gyroscope, drawn to the accelerometer."""
    felt = accelerometer / np.linalg.norm(accelerometer, axis=1)[:, None]
    share = 1.0 / (1.0 + _COMPLEMENTARY_TAU_S * rate_hz)
    vertical, found = felt[0], np.empty_like(felt)
    for i, (rate, towards) in enumerate(zip(gyroscope, felt, strict=True)):
        vertical = vertical - np.cross(rate, vertical) / rate_hz
        vertical = (1.0 - share) * vertical / np.linalg.norm(vertical) + share * towards
        found[i] = vertical
    unit: Array = found / np.linalg.norm(found, axis=1)[:, None]
    return unit


def _tremor(subjects: int, seeds: int, first_seed: int) -> tuple[list[Finding], dict[str, Any]]:
    """Two seconds of tremor, in front of slow movement and noise; and none, where none must be told."""
    errors, missed, false, plain, true_hz, told_hz = [], [], [], [], [], []
    for i in range(subjects):
        rng = np.random.default_rng([0x5472656D, first_seed, i])
        for _ in range(seeds):
            frequency = rng.uniform(*TREMOR_RANGE_HZ)
            size = float(np.exp(rng.uniform(*np.log(TREMOR_RAD_S))))
            rows = _trembling(rng, frequency, size)
            found = _rhythm(rows)
            missed.append(float(found is None))
            errors.append(abs(found - frequency) if found is not None else np.nan)
            plain.append(abs(_strongest(rows) - frequency))
            true_hz.append(frequency)
            told_hz.append(found)
            false.append(float(_rhythm(_trembling(rng, frequency, 0.0)) is not None))
    within = np.array([error <= FREQUENCY_ERROR_MAX_HZ for error in errors if np.isfinite(error)], dtype=np.float64)
    known = np.array([error for error in errors if np.isfinite(error)])
    table = np.array(errors).reshape(subjects, seeds)
    each = np.nanmean(table, axis=1)[:, None]
    mean, low, high = mean_over_subjects(each[np.isfinite(each[:, 0])])
    findings = [
        Finding(
            part=NAME,
            what=f"tremor of 3.5 to 11.5 Hz, mean error of its frequency after {TREMOR_S:g} s",
            value=mean,
            low=low,
            high=high,
            unit="Hz",
            target=FREQUENCY_ERROR_MAX_HZ,
            sense="at most",
            baseline="strongest line of the magnitude's spectrum",
            baseline_value=round(float(np.mean(plain)), 3),
            n=len(known),
        ),
        Finding(
            part=NAME,
            what="tremors whose frequency is told within 0.25 Hz, of those told",
            value=round(float(within.mean()), 4),
            n=len(within),
        ),
        Finding(part=NAME, what="tremors that are not told", value=round(float(np.mean(missed)), 4), n=len(missed)),
        Finding(
            part=NAME, what="tremors told where there are none", value=round(float(np.mean(false)), 4), n=len(false)
        ),
    ]
    return findings, {"true_hz": np.round(true_hz, 3).tolist(), "told_hz": told_hz}


def _trembling(rng: np.random.Generator, frequency_hz: float, rms_rad_s: float) -> Array:
    """Two seconds of an IMU's rows at 100 Hz: a rhythm that is not quite even, about some axis."""
    n = round(TREMOR_S * 100.0)
    t_s = np.arange(n) / 100.0
    phase = np.cumsum(2 * np.pi * frequency_hz / 100.0 * (1.0 + 0.1 * rng.standard_normal(n))) + rng.uniform(0, 7)
    axes = rng.standard_normal((2, 3))
    axes /= np.linalg.norm(axes, axis=1)[:, None]
    slow_hz, slow_rad_s = rng.uniform(0.1, 1.0), rng.uniform(0.0, 1.0)
    slow = slow_rad_s * np.sin(2 * np.pi * slow_hz * t_s + rng.uniform(0, 7))
    rate = rms_rad_s * np.sqrt(2.0) * np.sin(phase)[:, None] * axes[0] + slow[:, None] * axes[1]
    rate += 0.01 * rng.standard_normal((n, 3))
    accelerometer = np.array([-9.80665, 0.0, 0.0]) + 0.05 * rng.standard_normal((n, 3))
    return np.concatenate([accelerometer, rate], axis=1)


def _rhythm(rows: Array) -> float | None:
    """Frequency of the tremor that is told at the end."""
    motion = _motion(100.0)
    told = None
    for i, row in enumerate(rows):
        now_ns = (i + 1) * 10_000_000
        told = motion.step(Situation(now_ns, imu=[(now_ns, row[None])])).tremor_frequency_hz
    return None if told is None else told.value


def _strongest(rows: Array) -> float:
    """Strongest line between 3 and 12 Hz in the spectrum of the magnitude of the rate of turn."""
    size = np.linalg.norm(rows[:, 3:], axis=1)
    power = np.abs(np.fft.rfft((size - size.mean()) * np.hanning(len(size)))) ** 2
    lines = np.fft.rfftfreq(len(size), 0.01)
    band = (lines >= 3.0) & (lines <= 12.0)
    return float(lines[band][np.argmax(power[band])])


def _angle(subjects: int, seeds: int, first_seed: int) -> tuple[list[Finding], dict[str, Any]]:
    """Half a minute of muscle force that comes and goes, after a rest of five seconds."""
    errors, covered = np.empty((subjects, seeds)), np.empty((subjects, seeds))
    shown: dict[str, Any] = {}
    for i in range(subjects):
        person = draw_person(first_seed + i, GROUPS[i % len(GROUPS)])
        for seed in range(seeds):
            rng = np.random.default_rng([0x4A6F696E, first_seed, i, seed])
            limb, imu, motion = Limb(person), Imu(person, rng), _motion(100.0)
            top_n = person.stiffness_n_m / person.moment_arm_m
            goal_n, force_n = 0.0, 0.0
            truth, told = [], []
            for block in range(350):
                t_s = block * 0.1
                if t_s >= 5.0 and block % 15 == 0:
                    goal_n = float(rng.uniform(0.0, 0.9)) * top_n
                forces = []
                for _ in range(100):
                    force_n += (goal_n - force_n) * 0.001 / 0.15
                    forces.append(force_n)
                states = limb.advance(forces)
                now_ns = (block + 1) * 100_000_000
                rows = imu.read(states, now_ns).astype(np.float64)
                measure = motion.step(Situation(now_ns, imu=[(now_ns, rows)], baseline=t_s < 4.5)).angle_rad
                if t_s >= 5.0 and measure.value is not None:
                    truth.append(states[-1][0])
                    told.append((measure.value, measure.low or 0.0, measure.high or 0.0))
            table, true = np.array(told), np.array(truth) - truth[0]
            errors[i, seed] = np.degrees(np.sqrt(np.mean((table[:, 0] - true) ** 2)))
            covered[i, seed] = np.mean((table[:, 1] <= true) & (true <= table[:, 2]))
            if not shown:
                shown = {
                    "true_deg": np.degrees(true).round(2).tolist(),
                    "told_deg": np.degrees(table[:, 0]).round(2).tolist(),
                }
    mean, low, high = mean_over_subjects(errors)
    share, share_low, share_high = mean_over_subjects(covered)
    findings = [
        Finding(
            part=NAME, what="RMS error of the joint angle of the virtual limb", value=mean, low=low,
            high=high, unit="deg", n=errors.size,
        ),
        Finding(
            part=NAME, what="coverage of the joint angle's 95 % interval", value=share,
            low=round(share_low, 4), high=round(share_high, 4), n=errors.size,
        ),
    ]  # fmt: skip
    return findings, shown


def draw(curves: dict[str, Any], figure: Figure) -> None:
    """Inclination beside the reference, tremors told and true, the joint angle of a virtual limb."""
    axes = figure.subplots(1, 3 if "inclination" in curves else 2)
    if "inclination" in curves:
        real = curves["inclination"]
        axes[0].plot(real["t_s"], real["accelerometer_deg"], color="0.8", label="accelerometer alone")
        axes[0].plot(real["t_s"], real["reference_deg"], "k", label="reference")
        axes[0].plot(real["t_s"], real["told_deg"], "--", label="told")
        axes[0].set(xlabel="time (s)", ylabel="inclination (deg)", title="recorded forearm")
        axes[0].legend(fontsize="small")
    tremor, angle = curves["tremor"], curves["angle"]
    told = np.array(tremor["told_hz"], dtype=np.float64)
    axes[-2].plot([3, 12], [3, 12], color="0.8")
    axes[-2].plot(tremor["true_hz"], told, ".")
    axes[-2].set(xlabel="true frequency (Hz)", ylabel="told frequency (Hz)", title="tremor after 2 s")
    t_s = 0.1 * np.arange(len(angle["true_deg"]))
    axes[-1].plot(t_s, angle["true_deg"], "k", label="true")
    axes[-1].plot(t_s, angle["told_deg"], "--", label="told")
    axes[-1].set(xlabel="time (s)", ylabel="joint angle (deg)", title="virtual limb")
    axes[-1].legend(fontsize="small")

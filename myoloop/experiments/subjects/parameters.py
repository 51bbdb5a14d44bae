"""What makes one virtual person: parameters, a population to draw them from, and the subject file.

Charges are given for a reference pulse of 250 us per phase; other widths follow Weiss' strength-duration law
(:func:`myoloop.experiments.subjects.muscle.equivalent_charge_uc`). The ranges are what the models were tried in,
not what people may be; the population is a starting point for simulation, not a description of patients.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from myoloop.platform.yamlfile import FileError, at, load_yaml

#: It becomes part of a path.
_PSEUDONYM = re.compile(r"[A-Za-z0-9]{1,32}")


def _within(default: float, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectParameters:
    """One virtual person.

    Attributes
    ----------
    recruitment_median_uc, recruitment_spread
        Charge per phase that recruits half of the motor axons under the pads, and the standard deviation of its
        natural logarithm over them.
    chronaxie_us
        Of the strength-duration law.
    sensory_uc, motor_uc, tolerance_uc
        Charge per phase at which the person first feels, sees a twitch, and wants no more.
    fatigue_rate
        Scales Ding's three fatigue coefficients; 0.70, 0.94 and 1.29 are able-bodied, acute and chronic spinal cord
        injury (`preset_fit`).
    recovery_s
        Time constant of recovery (Ding's tau_fat).
    voluntary_fatigue
        Share of the stress of a voluntary contraction that fatigues.
    cv_slowing
        Conduction velocity lost per unit of fatigue: 0.5 is 30 % at a fatigue of 0.6.
    strength
        Force relative to Ding's muscle, whose fresh maximum is 270 N.
    emg_mvc_uv
        RMS of the EMG of a maximal voluntary contraction.
    emg_low_hz, emg_high_hz
        Corners of the Stulen-De Luca spectrum of the fresh muscle.
    emg_noise_uv, mains_uv, mains_hz
        RMS of electrode and amplifier noise, and of the mains hum.
    emg_crosstalk
        Share of another muscle's EMG that a channel sees.
    resting_tone
        Activation at rest.
    mwave_mv, mwave_fall
        Peak to peak of the M-wave at full recruitment; share of it lost at a fatigue of 1.
    artifact_mv_per_ma, artifact_crosstalk
        Stimulation artifact on the stimulated muscle's channels, and the share that the others get.
    spasm_rate_per_min, spasm_in_effort
        Mean rate of spasms at rest; factor on it while a voluntary effort is held. The population has few of those: a
        spasm no stronger than the effort it falls into cannot be told from it by EMG, and the estimate says so.
    spasm_level, spasm_tonic_share
        Median activation of a spasm; share of spasms that are tonic, the others come in bursts.
    first_spasm_s
        None comes earlier.
    reaction_s, reaction_spread_s
        Reaction time to what the screen says.
    effort_level, effort_spread
        Activation of a voluntary effort relative to a maximal one, and how much it differs from trial to trial.
    effort_decline
        Share of the effort given up per unit of fatigue.
    effort_missed, effort_early
        Share of trials without an effort; share where it begins at the cue already.
    inertia_kg_m2, damping_n_m_s, stiffness_n_m, weight_n_m
        The limb about its joint: inertia, damping and stiffness per radian, largest torque of its weight.
    moment_arm_m, imu_distance_m
        Of the muscles about the joint; of the IMU from it.
    accel_noise_m_s2, gyro_noise_rad_s, gyro_bias_rad_s
        Standard deviation per sample; spread of the constant bias.
    muscle_spread
        How much the person's muscles differ: standard deviation of the logarithm.
    """

    recruitment_median_uc: float = _within(5.0, 1.0, 50.0)
    recruitment_spread: float = _within(0.35, 0.05, 1.5)
    chronaxie_us: float = _within(300.0, 50.0, 1000.0)
    sensory_uc: float = _within(1.3, 0.1, 50.0)
    motor_uc: float = _within(2.8, 0.2, 50.0)
    tolerance_uc: float = _within(7.8, 0.3, 100.0)
    fatigue_rate: float = _within(0.5, 0.0, 3.0)
    recovery_s: float = _within(127.0, 10.0, 1000.0)
    voluntary_fatigue: float = _within(0.35, 0.0, 1.0)
    cv_slowing: float = _within(0.5, 0.0, 0.9)
    strength: float = _within(0.5, 0.05, 5.0)
    emg_mvc_uv: float = _within(400.0, 20.0, 2000.0)
    emg_low_hz: float = _within(60.0, 20.0, 100.0)
    emg_high_hz: float = _within(120.0, 40.0, 200.0)
    emg_noise_uv: float = _within(3.0, 0.1, 50.0)
    mains_uv: float = _within(1.5, 0.0, 200.0)
    mains_hz: float = _within(50.0, 45.0, 65.0)
    emg_crosstalk: float = _within(0.04, 0.0, 0.5)
    resting_tone: float = _within(0.008, 0.0, 0.2)
    mwave_mv: float = _within(3.0, 0.0, 20.0)
    mwave_fall: float = _within(0.2, 0.0, 1.0)
    artifact_mv_per_ma: float = _within(0.4, 0.0, 5.0)
    artifact_crosstalk: float = _within(0.12, 0.0, 1.0)
    spasm_rate_per_min: float = _within(6.0, 0.0, 30.0)
    spasm_in_effort: float = _within(0.02, 0.0, 2.0)
    spasm_level: float = _within(0.4, 0.02, 1.0)
    spasm_tonic_share: float = _within(0.6, 0.0, 1.0)
    first_spasm_s: float = _within(8.0, 0.0, 3600.0)
    reaction_s: float = _within(0.28, 0.12, 1.0)
    reaction_spread_s: float = _within(0.05, 0.0, 0.3)
    effort_level: float = _within(0.35, 0.02, 1.0)
    effort_spread: float = _within(0.04, 0.0, 0.3)
    effort_decline: float = _within(0.4, 0.0, 1.0)
    effort_missed: float = _within(0.02, 0.0, 1.0)
    effort_early: float = _within(0.05, 0.0, 1.0)
    inertia_kg_m2: float = _within(0.05, 0.001, 5.0)
    damping_n_m_s: float = _within(1.0, 0.001, 50.0)
    stiffness_n_m: float = _within(12.0, 0.0, 200.0)
    weight_n_m: float = _within(3.0, 0.0, 100.0)
    moment_arm_m: float = _within(0.04, 0.001, 0.2)
    imu_distance_m: float = _within(0.2, 0.0, 1.0)
    accel_noise_m_s2: float = _within(0.03, 0.0, 1.0)
    gyro_noise_rad_s: float = _within(0.005, 0.0, 0.5)
    gyro_bias_rad_s: float = _within(0.01, 0.0, 0.2)
    muscle_spread: float = _within(0.05, 0.0, 0.5)

    def __post_init__(self) -> None:
        for parameter in fields(self):
            value = getattr(self, parameter.name)
            low, high = parameter.metadata["low"], parameter.metadata["high"]
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{parameter.name}: found {value!r}, allowed is a number from {low:g} to {high:g}")
            if not low <= value <= high:
                raise ValueError(f"{parameter.name}: found {value:g}, allowed is {low:g} to {high:g}")
        if not self.sensory_uc < self.motor_uc < self.tolerance_uc:
            raise ValueError(
                f"sensory_uc {self.sensory_uc:g}, motor_uc {self.motor_uc:g} and tolerance_uc "
                f"{self.tolerance_uc:g}: must rise in this order"
            )
        if self.emg_low_hz >= self.emg_high_hz:
            raise ValueError(f"emg_low_hz {self.emg_low_hz:g}: must be below emg_high_hz {self.emg_high_hz:g}")


def draw(seed: int) -> SubjectParameters:
    """Draw a person from the population; the same seed gives the same person."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x5375626A, seed))))

    def around(median: float, spread: float) -> float:
        # Two spreads at most, so that nobody leaves the ranges that the models were tried in.
        return round(median * math.exp(spread * min(2.0, max(-2.0, rng.standard_normal()))), 5)

    def between(low: float, high: float) -> float:
        return round(float(rng.uniform(low, high)), 5)

    median_uc = around(5.0, 0.08)
    spread = between(0.28, 0.42)
    motor_uc = round(median_uc * math.exp(-1.645 * spread) * between(0.95, 1.1), 5)
    return SubjectParameters(
        recruitment_median_uc=median_uc,
        recruitment_spread=spread,
        chronaxie_us=between(250.0, 400.0),
        sensory_uc=round(motor_uc * between(0.4, 0.6), 5),
        motor_uc=motor_uc,
        tolerance_uc=round(median_uc * between(1.4, 1.65), 5),
        fatigue_rate=between(0.4, 0.65),
        recovery_s=between(110.0, 150.0),
        voluntary_fatigue=between(0.25, 0.45),
        cv_slowing=around(0.5, 0.04),
        strength=around(0.5, 0.15),
        emg_mvc_uv=around(400.0, 0.25),
        emg_low_hz=around(60.0, 0.05),
        emg_high_hz=around(120.0, 0.05),
        emg_noise_uv=between(2.0, 4.0),
        mains_uv=between(0.5, 2.5),
        mwave_mv=around(3.0, 0.25),
        mwave_fall=between(0.1, 0.3),
        artifact_mv_per_ma=around(0.4, 0.3),
        spasm_rate_per_min=between(5.0, 8.0),
        spasm_level=around(0.4, 0.12),
        spasm_tonic_share=between(0.4, 0.8),
        reaction_s=between(0.22, 0.35),
        effort_level=between(0.28, 0.42),
        effort_spread=between(0.02, 0.06),
        effort_decline=between(0.2, 0.6),
    )


def load_subject(path: Path | str, seed: int | None = None) -> tuple[str, SubjectParameters]:
    """Read a subject file: a name, the seed that draws the person, and what differs from the draw.

    ::

        subject: simulated
        name: VS007
        seed: 7
        parameters:
          spasm_rate_per_min: 5

    Parameters
    ----------
    seed
        Draws the person where the file names no seed; without either the person has the default parameters.

    Returns
    -------
    name
        The file's `name`.
    parameters
        The person.

    Raises
    ------
    myoloop.platform.yamlfile.FileError
        With every mistake in the file.
    """
    data, lines = load_yaml(path)
    if not isinstance(data, dict):
        raise FileError([f"{path}:1: found {data!r}, allowed is a map with subject, name, seed, parameters"])
    problems = [
        f"{at(path, lines, (key,))}: unknown key, allowed: subject, name, seed, parameters"
        for key in data
        if key not in ("subject", "name", "seed", "parameters")
    ]
    if data.get("subject") != "simulated":
        problems.append(f"{at(path, lines, ('subject',))}: found {data.get('subject')!r}, allowed: simulated")
    name = data.get("name")
    if not isinstance(name, str) or not _PSEUDONYM.fullmatch(name):
        problems.append(
            f"{at(path, lines, ('name',))}: found {name!r}, allowed is a pseudonym of 1 to 32 letters and digits"
        )
    drawn = data.get("seed", seed)
    if drawn is not None and (isinstance(drawn, bool) or not isinstance(drawn, int) or drawn < 0):
        problems.append(f"{at(path, lines, ('seed',))}: found {drawn!r}, allowed is a whole number from 0")
        drawn = None
    person = SubjectParameters() if drawn is None else draw(drawn)
    changes = data.get("parameters") or {}
    if not isinstance(changes, dict):
        problems.append(f"{at(path, lines, ('parameters',))}: found {changes!r}, allowed is a map of parameters")
        changes = {}
    known = {parameter.name for parameter in fields(SubjectParameters)}
    for key in changes:
        if key not in known:
            problems.append(f"{at(path, lines, ('parameters', key))}: unknown parameter")
    try:
        person = replace(person, **{key: value for key, value in changes.items() if key in known})
    except ValueError as error:
        key = str(error).split(":", 1)[0]
        where = ("parameters", key) if key in changes else ("parameters",)
        problems.append(f"{at(path, lines, where)}: {str(error).removeprefix(key + ': ')}")
    if problems:
        raise FileError(problems)
    return str(name), person

"""What makes one virtual person: parameters, a population to draw them from, and the subject file.

Charges are given for a reference pulse of 250 us per phase; other widths follow Weiss' strength-duration law
(:func:`myoloop.experiments.subjects.muscle.equivalent_charge_uc`). The ranges are what the models were tried in,
not what people may be; the population is a starting point for simulation, not a description of patients.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from myoloop.experiments.subjects.distributions import parameter
from myoloop.experiments.subjects.effort import EffortParameters
from myoloop.experiments.subjects.electrodes import ElectrodeParameters
from myoloop.experiments.subjects.force_cell import ForceCellParameters
from myoloop.experiments.subjects.imu import ImuParameters
from myoloop.experiments.subjects.involuntary import InvoluntaryParameters
from myoloop.experiments.subjects.limb import LimbParameters
from myoloop.experiments.subjects.muscle import MuscleParameters
from myoloop.experiments.subjects.pain import PainParameters
from myoloop.experiments.subjects.perception import PerceptionParameters
from myoloop.platform.yamlfile import FileError, at, load_yaml

#: It becomes part of a path.
_PSEUDONYM = re.compile(r"[A-Za-z0-9]{1,32}")


@dataclass(frozen=True, kw_only=True)
class SubjectParameters(
    MuscleParameters,
    ElectrodeParameters,
    InvoluntaryParameters,
    LimbParameters,
    ImuParameters,
    ForceCellParameters,
    EffortParameters,
    PerceptionParameters,
    PainParameters,
):
    """One virtual person: the parameters of every model, each described where its model is.

    Attributes
    ----------
    muscle_spread
        How much the person's muscles differ: standard deviation of the logarithm.
    """

    muscle_spread: float = parameter(0.05, 0.0, 0.5, source="our choice: pads lie alike on both sides")


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

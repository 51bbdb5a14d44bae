"""Groups of people: how each differs from what the models' parameters declare.

``able_bodied``, ``acute_sci`` and ``chronic_sci`` draw every parameter from its declared distribution, or from the
group's own one here. The rate of fatigue has the literature's figure in its middle: Ding's three coefficients, scaled
so that after 180 contractions 56, 44 and 33 % of the force are left, as Bickel and others (2004) measured in
able-bodied people and people with acute and chronic spinal cord injury.

``demo`` is the demonstration's: the parameters here differ between its people, all others have their defaults.
"""

from __future__ import annotations

from collections.abc import Mapping

from myoloop.experiments.subjects.distributions import Distribution, LogNormal, Relative, Same, Uniform

#: ``tests/data/preset_fit.json``: factor on Ding's coefficients.
ABLE_BODIED_RATE = 0.7018411418320374
ACUTE_SCI_RATE = 0.9408651710106635
CHRONIC_SCI_RATE = 1.294194364503024

#: What goes together in all groups but the demonstration's. Fat under the pads lies under the electrodes as well: it
#: raises the charge that is needed and lowers what is seen; and the same skin is over voluntary EMG and M-wave.
_TOGETHER: dict[str, Distribution] = {
    "emg_mvc_uv": Relative(lambda others: 400.0 * (5.0 / others["recruitment_median_uc"]) ** 0.5, LogNormal(1.0, 0.22)),
    "mwave_mv": Relative(lambda others: 0.0075 * others["emg_mvc_uv"], LogNormal(1.0, 0.15)),
}

_ABLE_BODIED: dict[str, Distribution] = {
    "fatigue_rate": LogNormal(ABLE_BODIED_RATE, 0.12),
    "spasm_rate_per_min": Same(0.0),
    "resting_tone": Uniform(0.002, 0.008),
    "strength": LogNormal(0.6, 0.2),
}

_SPINAL_CORD_INJURY: dict[str, Distribution] = {
    # Incomplete: some effort is left, less is felt, and more is borne.
    "effort_level": Uniform(0.05, 0.3),
    "effort_missed": Uniform(0.0, 0.1),
    "sensory_uc": Relative(lambda others: others["motor_uc"], Uniform(0.5, 0.95)),
    "tolerance_uc": Relative(lambda others: others["recruitment_median_uc"], Uniform(1.6, 2.4)),
}

_ACUTE_SCI: dict[str, Distribution] = {
    **_SPINAL_CORD_INJURY,
    "fatigue_rate": LogNormal(ACUTE_SCI_RATE, 0.12),
    # The first months: reflexes are still depressed.
    "spasm_rate_per_min": Uniform(0.2, 2.0),
    "strength": LogNormal(0.45, 0.2),
}

_CHRONIC_SCI: dict[str, Distribution] = {
    **_SPINAL_CORD_INJURY,
    "fatigue_rate": LogNormal(CHRONIC_SCI_RATE, 0.12),
    "spasm_rate_per_min": Uniform(1.0, 6.0),
    "resting_tone": Uniform(0.004, 0.02),
    # Atrophy: a smaller muscle, and a smaller EMG.
    "strength": LogNormal(0.3, 0.25),
    "emg_mvc_uv": Relative(lambda others: 280.0 * (5.0 / others["recruitment_median_uc"]) ** 0.5, LogNormal(1.0, 0.25)),
}

_DEMO: dict[str, Distribution] = {
    "recruitment_median_uc": LogNormal(5.0, 0.08),
    "recruitment_spread": Uniform(0.28, 0.42),
    "chronaxie_us": Uniform(250.0, 400.0),
    "fatigue_rate": Uniform(0.4, 0.65),
    "recovery_s": Uniform(110.0, 150.0),
    "voluntary_fatigue": Uniform(0.25, 0.45),
    "cv_slowing": LogNormal(0.5, 0.04),
    "mwave_fall": Uniform(0.1, 0.3),
    "strength": LogNormal(0.5, 0.15),
    "emg_mvc_uv": LogNormal(400.0, 0.25),
    "emg_low_hz": LogNormal(60.0, 0.05),
    "emg_high_hz": LogNormal(120.0, 0.05),
    "emg_noise_uv": Uniform(2.0, 4.0),
    "mains_uv": Uniform(0.5, 2.5),
    "mwave_mv": LogNormal(3.0, 0.25),
    "artifact_mv_per_ma": LogNormal(0.4, 0.3),
    "spasm_rate_per_min": Uniform(5.0, 8.0),
    "spasm_level": LogNormal(0.4, 0.12),
    "spasm_tonic_share": Uniform(0.4, 0.8),
    "reaction_s": Uniform(0.22, 0.35),
    "effort_level": Uniform(0.28, 0.42),
    "effort_spread": Uniform(0.02, 0.06),
    "effort_decline": Uniform(0.2, 0.6),
}
#: Their thresholds are made from the muscle's, as everybody's.
_DEMO_AS_DECLARED = ("sensory_uc", "motor_uc", "tolerance_uc")

PRESETS = ("demo", "able_bodied", "acute_sci", "chronic_sci")

_GROUPS: dict[str, dict[str, Distribution]] = {
    "able_bodied": {**_TOGETHER, **_ABLE_BODIED},
    "acute_sci": {**_TOGETHER, **_ACUTE_SCI},
    "chronic_sci": {**_TOGETHER, **_CHRONIC_SCI},
}


def distributions(
    preset: str, declared: Mapping[str, Distribution], defaults: Mapping[str, float]
) -> dict[str, Distribution]:
    """How each parameter is distributed in a group.

    Parameters
    ----------
    declared, defaults
        Of every parameter: the distribution it was declared with, and its default.

    Raises
    ------
    ValueError
        If there is no such preset.
    """
    if preset == "demo":
        as_declared = {name: declared[name] for name in _DEMO_AS_DECLARED}
        return {**{name: Same(value) for name, value in defaults.items()}, **as_declared, **_DEMO}
    if preset not in _GROUPS:
        raise ValueError(f"preset: found {preset!r}, allowed are {', '.join(PRESETS)}")
    return {**declared, **_GROUPS[preset]}

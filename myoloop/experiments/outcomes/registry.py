"""Every outcome that a protocol may name: what it is, its unit, and what it cannot be had without.

A protocol that names an outcome for which its devices or phases do not suffice is refused before the study begins,
not when the analysis is due.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from myoloop.experiments.outcomes import measures
from myoloop.experiments.outcomes.kind import Measure, OutcomeKind

#: What an outcome may need: a device, a kind of phase, or a form (``form:nrs``; ``diary:doms`` after the session).
NEEDS = {
    "emg": "an EMG channel",
    "two_emg": "EMG of an agonist and an antagonist",
    "imu": "an IMU that is not optional",
    "force": "a force cell",
    "rest": "a rest phase with baseline before and after the blocks",
    "effort": "a block of machine effort",
    "block": "a block",
    "mark": "an operator, who sets a mark",
    "calibration": "a calibration phase",
    "mvc": "an MVC phase",
    "mvc_pair": "MVC phases of one pair: left and right of one muscle, else one agonist and one antagonist",
    "diary": "a diary of the course",
}


_FIRST: dict[str, OutcomeKind] = {
    "trials_done": OutcomeKind("trials that were done as planned", "trials", ("block",)),
    "effort_started_share": OutcomeKind(
        "share of the trials started by the person's own effort", "1", ("emg", "effort")
    ),
    "trigger_latency": OutcomeKind(
        "time from the prompt to the effort that starts a train, median", "ms", ("emg", "effort")
    ),
    "dose_share": OutcomeKind("charge delivered over charge planned", "1", ("block",)),
    "fatigue_index": OutcomeKind("fatigue of the stimulated muscle at the end", "1", ("emg", "block")),
    "median_frequency": OutcomeKind("slope of the median frequency over contractions", "%/min", ("emg", "block")),
    "evoked_fatigue": OutcomeKind("loss of evoked force over the trains", "1", ("force", "block")),
    "torque_time_integral": OutcomeKind("force-time integral of the trains", "N*s", ("force", "block")),
    "resting_emg": OutcomeKind("resting EMG after over before the blocks", "1", ("emg", "rest")),
    "spasm_count": OutcomeKind("spasms per minute of rest and stimulation", "1/min", ("emg",)),
    "spasm_share": OutcomeKind("share of the time in spasm", "1", ("emg",)),
    "clonus_frequency": OutcomeKind("rhythm of clonus, median over bursts", "Hz", ("emg",)),
    "cocontraction": OutcomeKind("co-contraction index during effort", "1", ("two_emg", "effort")),
    "mvc_emg": OutcomeKind("EMG of the strongest voluntary contraction", "uV", ("emg", "mvc")),
    "mvc_force": OutcomeKind("force of the strongest voluntary contraction", "N", ("force", "mvc")),
    "symmetry": OutcomeKind("symmetry of two muscles' strongest contractions", "%", ("emg", "mvc_pair")),
    "active_rom": OutcomeKind("range of motion of the joint in own efforts", "deg", ("imu", "effort")),
    "twitch_amplitude": OutcomeKind("movement of the limb per twitch, end over beginning", "1", ("imu", "block")),
    "sensory_threshold": OutcomeKind("sensory threshold", "uC", ("calibration",)),
    "motor_threshold": OutcomeKind("motor threshold", "uC", ("calibration",)),
    "tolerance": OutcomeKind("tolerance", "uC", ("calibration",)),
    "nrs_change": OutcomeKind("pain score after less before the session", "points", ("form:nrs",)),
    "pgic": OutcomeKind("patient global impression of change", "1 to 7", ("form:pgic",)),
    "doms": OutcomeKind("muscle soreness on the days after", "points", ("diary:doms",)),
}  # fmt: skip


def _found() -> dict[str, Measure]:
    """What each file of ``measures/`` names."""
    found: dict[str, Measure] = {}
    for module in sorted(each.name for each in iter_modules(measures.__path__)):
        for measure in import_module(f"{measures.__name__}.{module}").MEASURES:
            if measure.name in found or measure.name in _FIRST:
                raise ValueError(f"measures/{module}.py: {measure.name} is there already")
            found[measure.name] = measure
    return found


#: By name, those of ``measures/``; the first ones are computed in `compute`.
MEASURES: dict[str, Measure] = _found()
OUTCOMES: dict[str, OutcomeKind] = {**_FIRST, **{name: measure.kind for name, measure in MEASURES.items()}}

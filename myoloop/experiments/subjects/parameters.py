"""What makes one virtual person: the parameters of all models together.

Charges are given for a reference pulse of 250 us per phase; other widths follow Weiss' strength-duration law
(:func:`myoloop.experiments.subjects.muscle.equivalent_charge_uc`). The ranges are what the models were tried in,
not what people may be.
"""

from __future__ import annotations

from dataclasses import dataclass

from myoloop.experiments.subjects.answers import AnswerParameters
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
from myoloop.experiments.subjects.planted import PlantedParameters
from myoloop.experiments.subjects.tremor import TremorParameters


@dataclass(frozen=True, kw_only=True)
class SubjectParameters(
    MuscleParameters,
    ElectrodeParameters,
    InvoluntaryParameters,
    TremorParameters,
    LimbParameters,
    ImuParameters,
    ForceCellParameters,
    EffortParameters,
    PerceptionParameters,
    PainParameters,
    PlantedParameters,
    AnswerParameters,
):
    """One virtual person: the parameters of every model, each described where its model is.

    Attributes
    ----------
    muscle_spread
        How much the person's muscles differ: standard deviation of the logarithm.
    """

    muscle_spread: float = parameter(0.05, 0.0, 0.5, source="our choice: pads lie alike on both sides")

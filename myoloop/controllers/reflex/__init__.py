"""The reflex supervisor: the rules that override any policy, and only ever take current away."""

from myoloop.controllers.reflex.settings import (
    FatigueReflex,
    ReflexSettings,
    ReplanReflex,
    SignalReflex,
    SpasmReflex,
)
from myoloop.controllers.reflex.states import TRANSITIONS, State
from myoloop.controllers.reflex.supervisor import Reflex
from myoloop.controllers.reflex.wish import Wish

__all__ = [
    "TRANSITIONS",
    "FatigueReflex",
    "Reflex",
    "ReflexSettings",
    "ReplanReflex",
    "SignalReflex",
    "SpasmReflex",
    "State",
    "Wish",
]

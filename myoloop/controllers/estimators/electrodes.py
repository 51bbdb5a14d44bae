"""Which channels have been dead for so long that their electrode is held to be off.

A hop is dead where fewer than half of its samples may be used and it was not the pulses alone that spoilt them. While
stimulation flows, all that is not valid behind a pulse is put down to the pulse; but where not one sample between two
pulses was valid, it was not the pulse.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.estimator import Heard
from myoloop.controllers.signals.snapshot import Restorable

#: As :class:`~myoloop.controllers.estimators.fatigue.SpectrumSettings` holds it.
OFF_S = 1.0
#: What is told of a muscle meanwhile.
ELECTRODE_OFF = f"electrode off for {OFF_S:g} s"
_HEARD_SHARE_MIN = 0.5
_NOBODY = np.zeros(0, dtype=np.intp)


class ElectrodeWatch(Restorable):
    """Counts the dead hops of each muscle.

    Parameters
    ----------
    muscles
        Number of muscles.
    hop_s
        Length of a hop.
    """

    _kept: ClassVar[tuple[str, ...]] = ("_dead", "_blind")

    def __init__(self, muscles: int, hop_s: float) -> None:
        self._dead = np.zeros(muscles, dtype=np.int64)
        #: Where nothing was valid in the frame behind the newest pulse.
        self._blind = np.zeros(muscles, dtype=np.bool_)
        self._off_hops = max(1, round(OFF_S / hop_s))

    @property
    def off(self) -> list[bool]:
        """Per muscle, whether its channel is dead now and has been for `OFF_S`."""
        off: list[bool] = (self._dead >= self._off_hops).tolist()
        return off

    def hear(self, heard: Heard) -> npt.NDArray[np.intp]:
        """Take in one hop; the muscles that it makes known to be off, or to be heard again."""
        if heard.evoked:
            self._blind = ~np.logical_or.reduce([np.logical_or.reduce(frame.good, axis=0) for frame in heard.evoked])
        low = heard.share_hop < _HEARD_SHARE_MIN
        if not np.count_nonzero(low) and not np.count_nonzero(self._dead):
            return _NOBODY
        before = self._dead >= self._off_hops
        # What pulses alone have spoilt says neither that the electrode is on nor that it is off.
        self._dead[low & (self._blind | (heard.invalid_share > 0.0))] += 1
        self._dead[~low] = 0
        self._blind &= low
        return np.flatnonzero((self._dead >= self._off_hops) != before)

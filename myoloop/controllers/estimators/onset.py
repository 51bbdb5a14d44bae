"""When a contraction began: looked up in what was heard before it was known to be one.

A contraction is known only after it has lasted a while; its beginning is the first of the 10 ms levels that stood above
rest without a pause longer than 40 ms up to then. The same with and without stimulation: hops that a pulse spoilt
count as the ones before them.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.estimator import Heard
from myoloop.controllers.signals.snapshot import Restorable

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: How far back a beginning is looked for, how long a pause in it may be, and what counts as above rest.
LOOK_BACK_S = 0.6
PAUSE_S = 0.04
SIGMAS, RATIO = 2.0, 1.5


class Beginnings(Restorable):
    """The newest 10 ms levels above rest, and how far back the activity that is on reaches.

    Parameters
    ----------
    muscles
        Number of muscles.
    hop_s
        Length of a hop.
    """

    _kept: ClassVar[tuple[str, ...]] = ("_rise", "_at")

    def __init__(self, muscles: int, hop_s: float) -> None:
        self._hop_ns = round(hop_s * 1e9)
        self._size = max(4, round(LOOK_BACK_S / hop_s))
        self._pause = max(1, round(PAUSE_S / hop_s))
        self._rise: Floats = np.full((self._size, muscles), -np.inf)
        self._at = 0

    def hear(self, heard: Heard) -> None:
        """Take in one hop."""
        self._at = (self._at + 1) % self._size
        row = self._rise[self._at]
        np.subtract(heard.log_level_hop, heard.rest_hop, out=row)
        if np.count_nonzero(heard.share_hop < 0.5):
            unknown = heard.share_hop < 0.5
            row[unknown] = self._rise[self._at - 1][unknown]

    def of(self, muscle: int, heard: Heard) -> int:
        """Host time at which the activity that is on in this muscle began."""
        threshold = max(SIGMAS * float(heard.rest_sigma_hop[muscle]), float(np.log(RATIO)))
        newest_first = (self._at - np.arange(self._size)) % self._size
        above = self._rise[newest_first, muscle] > threshold
        first, quiet = 0, 0
        for back, loud in enumerate(above.tolist()):
            quiet = 0 if loud else quiet + 1
            if quiet > self._pause:
                break
            if loud:
                first = back
        return heard.t_ns - (first + 1) * self._hop_ns

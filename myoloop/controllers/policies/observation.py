"""What a learned correction of a tracking policy sees: dimensionless numbers, the same in training and live.

It holds what the policy itself knows and nothing else: the course, its own feed-forward, correction and gain, and the
error, now, a little while ago and at the same time of the last trial, so that a learner can learn what iterative
learning learns.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.snapshot import Restorable

#: Meaning and order of the vector. Errors are (due - response) over the goal; shares are those of the muscle.
OBSERVATION: tuple[str, ...] = (
    "time",  # in the train, over 10 s
    "hold",  # 1 in the hold
    "ramp_down",  # 1 in the ramp down
    "due",  # share of the goal that the course asks for now
    "ahead",  # and after the delay of the muscle
    "slope",  # of the course there, over 0.1 s
    "known",  # 1 where the response is measured, else the errors are those last known
    "error",
    "error_100ms_ago",
    "error_200ms_ago",
    "error_sum",  # over this train, over 1 s
    "last_error",  # of the last trial at this time of it
    "last_error_in_100ms",
    "last_error_in_300ms",
    "last_rms",  # root mean square of the last trial's errors
    "trials",  # ln(1 + finished trials) / ln(100)
    "goal",  # over the full response
    "gain",
    "gain_change",  # since this train began
    "feed",
    "correction",
    "share",  # asked for now
    "limit",  # share that the target's current recruits
    "through",  # share of the asked current that came through reflexes and gate
    "work",  # integral of the share over this block, over 60 s
    "residual",  # in force now
)

_BIN_S = 0.05
_LONGEST_S = 20.0
_MOST = 10.0


class Seen(NamedTuple):
    """What a tracking policy knows at the end of one step within a train.

    Attributes
    ----------
    at_s
        Time in the train.
    trial_state
        ``ramp_up``, ``hold`` or ``ramp_down``.
    due, ahead, slope
        Share of the goal that the course asks for now, after the delay, and its slope there (1/s).
    response
        Relative to the full response; None where it is not known.
    goal
        Set point relative to the full response.
    gain, feed, correction, residual, share, limit
        The muscle's gain, the feed-forward (share), both corrections of it, the share now asked for and its limit.
    through
        Share of the current asked for that came through.
    seconds
        Since the step before.
    """

    at_s: float
    trial_state: str
    due: float
    ahead: float
    slope: float
    response: float | None
    goal: float
    gain: float
    feed: float
    correction: float
    residual: float
    share: float
    limit: float
    through: float
    seconds: float


class Observer(Restorable):
    """Turns what a policy knows, step by step, into the vector :data:`OBSERVATION`."""

    _kept: ClassVar[tuple[str, ...]] = (
        "_sum", "_count", "_last", "_last_rms", "_error", "_error_sum", "_noted", "_trials", "_work", "_gain_begin",
    )  # fmt: skip

    def __init__(self) -> None:
        bins = round(_LONGEST_S / _BIN_S)
        self._sum, self._count, self._last = np.zeros(bins), np.zeros(bins), np.zeros(bins)
        self._seen: Seen | None = None
        self._last_rms = 0.0
        self._trials = 0
        self._work = 0.0
        self._error = self._error_sum = 0.0
        self._noted = False
        self._gain_begin = 1.0

    def see(self, seen: Seen) -> None:
        """Take in one step of a train."""
        self._seen = seen
        if not self._noted:
            self._gain_begin = seen.gain
            self._noted = True
        self._work += seen.share * seen.seconds
        if seen.response is not None:
            self._error = error = (seen.goal * seen.due - seen.response) / seen.goal
            self._error_sum += error * seen.seconds
            at = int(seen.at_s / _BIN_S)
            if at < len(self._sum):
                self._sum[at] += error
                self._count[at] += 1.0

    def vector(self) -> npt.NDArray[np.float64] | None:
        """The observation after the newest step, float64 (len(OBSERVATION),); None outside of a train."""
        seen = self._seen
        if seen is None:
            return None
        state, at_s = seen.trial_state, seen.at_s
        return np.array(
            (
                at_s / 10.0,
                1.0 if state == "hold" else 0.0,
                1.0 if state == "ramp_down" else 0.0,
                seen.due,
                seen.ahead,
                seen.slope * 0.1,
                0.0 if seen.response is None else 1.0,
                _bounded(self._error),
                _bounded(self._before(at_s - 0.1)),
                _bounded(self._before(at_s - 0.2)),
                _bounded(self._error_sum),
                _bounded(self._of_last(at_s)),
                _bounded(self._of_last(at_s + 0.1)),
                _bounded(self._of_last(at_s + 0.3)),
                _bounded(self._last_rms),
                np.log1p(self._trials) / np.log(100.0),
                seen.goal,
                seen.gain,
                seen.gain - self._gain_begin,
                seen.feed,
                seen.correction,
                seen.share,
                seen.limit,
                seen.through,
                self._work / 60.0,
                seen.residual,
            ),
            dtype=np.float64,
        )

    def leave(self) -> None:
        """The train is over, or is not asked for now: nothing to be seen. What was noted becomes the last trial."""
        self._seen = None
        if not self._noted:
            return
        heard = self._count > 0
        if heard.any():
            mean = self._sum[heard] / self._count[heard]
            at = np.flatnonzero(heard)
            # Between measurements it goes on as it was; after the last one nothing is known of it.
            self._last[:] = np.interp(np.arange(len(self._last)), at, mean)
            self._last[at[-1] + 1 :] = 0.0
            self._last_rms = float(np.sqrt(np.mean(mean**2)))
            self._trials += 1
        self._forget_train()

    def reset(self) -> None:
        """Forget everything: another block, or the protocol does not run."""
        self._seen = None
        self._last[:] = 0.0
        self._last_rms = 0.0
        self._trials = 0
        self._work = 0.0
        self._forget_train()

    def _forget_train(self) -> None:
        self._sum[:] = 0.0
        self._count[:] = 0.0
        self._error = self._error_sum = 0.0
        self._noted = False
        self._gain_begin = 1.0

    def _before(self, at_s: float) -> float:
        """Error of this train at an earlier time of it; 0 before its beginning and where nothing was measured."""
        at = int(at_s / _BIN_S)
        if at_s < 0.0 or at >= len(self._sum) or self._count[at] == 0.0:
            return 0.0
        return float(self._sum[at] / self._count[at])

    def _of_last(self, at_s: float) -> float:
        at = int(at_s / _BIN_S)
        return float(self._last[at]) if at < len(self._last) else 0.0


def _bounded(value: float) -> float:
    return min(max(value, -_MOST), _MOST)

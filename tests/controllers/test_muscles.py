"""A group of muscles hears gaps and dead channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.baseline import BaselineSettings
from myoloop.controllers.estimators.estimator import Heard, Setup, Situation
from myoloop.controllers.muscles import MuscleGroup
from myoloop.controllers.parts import Faults
from myoloop.controllers.signals.conditioning import Conditioner
from myoloop.controllers.signals.conditioning_settings import ConditioningSettings
from myoloop.platform.messages import SampleDescriptor, Samples

HOP_NS = 10_000_000


class _Group:
    """Two muscles of noise; what an estimator would hear is kept."""

    def __init__(self) -> None:
        descriptor = SampleDescriptor(
            topic="emg/s", rate_hz=2000.0, dtype="<f8", channels=("a", "b"), units=("V",) * 2, scale=(1e-6,) * 2,
            offset=(0.0,) * 2,
        )  # fmt: skip
        conditioner = Conditioner(ConditioningSettings(notch="off"), descriptor, (0, 1), stimulated=False)
        setup = Setup(("biceps", "triceps"), 2000.0, conditioner.hop_samples, False, np.zeros(2, dtype=bool))
        self.group = MuscleGroup(conditioner, setup, BaselineSettings(), (), Faults())
        self.heard: list[tuple[Heard, npt.NDArray[np.bool_]]] = []
        kept: Any = self
        self.group._estimators.append(kept)
        self.rng, self.row = np.random.default_rng(1), 0

    def hear(self, heard: Heard, situation: Situation) -> None:
        self.heard.append((heard, heard.recent_good.copy()))

    def step(self, situation: Situation) -> None:
        pass

    def live(self, hops: int, dead: int | None = None) -> None:
        for _ in range(hops):
            emg = 10.0 * self.rng.standard_normal((20, 2))
            if dead is not None:
                emg[:, dead] = np.nan
            now_ns = (self.row // 20 + 1) * HOP_NS
            self.group.add(Samples(first_sample=self.row, t_ns=now_ns), emg, 1, Situation(now_ns))
            self.group.advance(now_ns, False, Situation(now_ns))
            self.row += 20


def test_the_muscle_with_the_most_invalid_samples_is_named_and_its_share_of_the_hop_told() -> None:
    group = _Group()
    group.live(50)
    assert group.group.invalid_share == 0.0
    for dead, name in enumerate(("biceps", "triceps")):
        group.live(30, dead=dead)
        assert (group.group.worst_muscle, group.group.invalid_share) == (name, 1.0)
        assert group.heard[-1][0].invalid_share[dead] == 1.0


def test_what_lies_before_a_gap_and_behind_it_does_not_stand_side_by_side() -> None:
    group = _Group()
    group.live(60)
    group.row += 5 * 20
    group.live(20)
    lost = group.heard[-20][0].lost_hops
    assert lost >= 5
    good = group.heard[-1][1]
    # 100 ms behind the gap are not used: the filter settles.
    assert not good[-20 * 20 - lost * 20 : -10 * 20].any()
    assert good[-10 * 20 :].all()
    assert good[-20 * 20 - lost * 20 - 40 : -20 * 20 - lost * 20].all()


def test_a_gap_longer_than_what_is_remembered_leaves_nothing_of_before() -> None:
    group = _Group()
    group.live(150)
    group.row += 1000 * 20
    group.live(1)
    assert not group.heard[-1][1].any()

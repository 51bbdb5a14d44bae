"""All muscles on one EMG source: from blocks to what is known of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.controllers.choice import Choice
from myoloop.controllers.estimators.baseline import BaselineSettings, RestBaseline
from myoloop.controllers.estimators.estimator import BUILT_IN, Estimator, Heard, Setup, Situation, make_estimator
from myoloop.controllers.estimators.fused import TERMS, FusedFatigue
from myoloop.controllers.estimators.guarded import GuardedEstimator
from myoloop.controllers.parts import Faults
from myoloop.controllers.policies.policy import Activity
from myoloop.controllers.signals.conditioning import Conditioner, Hop
from myoloop.controllers.signals.windows import HopPower, RecentSamples
from myoloop.platform.messages import Measure, MuscleEstimate, Pulses, Samples

Floats = npt.NDArray[np.float64]

LEVEL_S = 0.25
SHORT_S = 0.05
RECENT_S = 1.0
#: Below this share of valid samples a window says nothing.
SHARE_MIN = 0.1
#: Power of a nanovolt, in µV²: ln of a flat line stays finite.
_FLOOR_UV2 = 1e-6
_UNKNOWN = Measure()


class MuscleGroup:
    """Conditioning, rest, contractions and estimators of the muscles on one source.

    Parameters
    ----------
    conditioner
        The front end of the source.
    setup
        Muscles and what does not change.
    baseline
        How rest is learned.
    estimators
        Which, in order: chosen by name, or made already.
    faults
        Where what an estimator does wrong is told.
    """

    def __init__(
        self,
        conditioner: Conditioner,
        setup: Setup,
        baseline: BaselineSettings,
        estimators: Sequence[Choice | Estimator],
        faults: Faults,
    ) -> None:
        self._setup = setup
        self._conditioner = conditioner
        self._effort_muscles = setup.effort_muscles
        muscles = len(setup.muscles)
        self._level_hops = max(1, round(LEVEL_S / setup.hop_s))
        self._short_hops = max(1, round(SHORT_S / setup.hop_s))
        recent = max(2 * setup.hop_samples, round(RECENT_S * setup.rate_hz) + setup.hop_samples)
        self._recent_samples = recent
        self._power = HopPower(self._level_hops, muscles, setup.hop_samples)
        self._invalid = HopPower(self._level_hops, muscles, setup.hop_samples)
        self._recent = RecentSamples(recent, muscles)
        self._rest = RestBaseline(baseline, muscles, setup.hop_s)
        self._estimators = [
            GuardedEstimator(make_estimator(choice, setup), choice.name, muscles, faults, ours=choice.name in BUILT_IN)
            if isinstance(choice, Choice)
            else GuardedEstimator(choice, type(choice).__name__, muscles, faults, ours=False)
            for choice in estimators
        ]
        self._nobody = np.zeros(muscles, dtype=np.bool_)
        self._all_rows: Floats = np.full(muscles, float(setup.hop_samples))
        self._level: list[float | None] = [None] * muscles
        self._short: tuple[list[float], list[bool]] = ([0.0] * muscles, [False] * muscles)
        self._invalid_share = 0.0
        self._worst = 0
        self._fused = FusedFatigue(muscles)
        self._reported_ns = -1
        #: Host time of the newest sample used, None before the first.
        self.heard_ns: int | None = None

    @property
    def muscles(self) -> tuple[str, ...]:
        """Their names."""
        return self._setup.muscles

    @property
    def invalid_share(self) -> float:
        """Largest share over the muscles of bad samples in the last 250 ms; those a pulse spoilt do not count."""
        return self._invalid_share

    @property
    def worst_muscle(self) -> str:
        """Whose share that is; the first of several."""
        return self._setup.muscles[self._worst]

    def add(self, message: Samples, array: npt.NDArray[Any], epoch: int, situation: Situation) -> None:
        """Take in a block."""
        for hop in self._conditioner.add(message, array, epoch):
            self._hear(hop, situation)

    def hear_pulses(self, message: Pulses) -> None:
        """Take in pulses; what had been used of the samples they spoilt is taken back."""
        spoilt = self._conditioner.hear(message)
        if spoilt:
            self._power.void(spoilt)

    def advance(self, now_ns: int, stimulating: bool, situation: Situation) -> None:
        """Work through everything that need not wait any longer."""
        report = situation.report
        if stimulating and report is not None and report.t_ns != self._reported_ns:
            self._reported_ns = report.t_ns
            self._conditioner.hear_currents({item.channel: item.current_ma for item in report.allowed})
        for hop in self._conditioner.release(now_ns, stimulating):
            self._hear(hop, situation)
        for estimator in self._estimators:
            estimator.step(situation)

    def estimates(self, now_ns: int, silent_ns: int) -> list[MuscleEstimate]:
        """What is known of each muscle now."""
        count = len(self._setup.muscles)
        known: dict[str, Sequence[Any]] = {}
        for estimator in self._estimators:
            known.update(estimator.fields(now_ns))
        silent = self.heard_ns is None or now_ns - self.heard_ns > silent_ns
        known["level_uv"] = [None] * count if silent else self._level
        if "fatigue" not in known:
            known["fatigue"] = self._fused.step(now_ns, self._terms(known, count))
        for name in ("spasm", "effort", "response"):
            if name not in known:
                known[name] = [self._missing(name)] * count
        names = tuple(known)
        return [
            MuscleEstimate(muscle=muscle, **dict(zip(names, values, strict=True)))
            for muscle, *values in zip(self._setup.muscles, *known.values(), strict=True)
        ]

    def lost(self, field: str) -> str:
        """Why a field is missing that would be there if an estimator did no wrong; empty where that is not so."""
        return next((each.problem for each in self._estimators if each.may_lack(field)), "")

    def activity(self) -> dict[str, Activity]:
        """How active each muscle is, over the last 50 ms; empty before the first sample."""
        if self.heard_ns is None:
            return {}
        levels, usable = self._short
        rest = np.exp(self._rest.slow.median).tolist()
        sigma = self._rest.slow.sigma.tolist()
        return {name: Activity(levels[i], rest[i], sigma[i], usable[i]) for i, name in enumerate(self._setup.muscles)}

    def state(self) -> dict[str, Any]:
        """What a restored object needs to go on bit for bit: JSON-ready."""
        parts = self._parts()
        return {
            "parts": {name: part.state() for name, part in parts.items()},
            "estimators": [estimator.state() for estimator in self._estimators],
            "heard_ns": self.heard_ns,
            "reported_ns": self._reported_ns,
            "level": list(self._level),
            "short": [list(self._short[0]), list(self._short[1])],
            "invalid_share": self._invalid_share,
            "worst": self._worst,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state.

        Raises
        ------
        StateError
            If it does not belong to such a group.
        """
        for name, part in self._parts().items():
            part.restore(state["parts"][name])
        for estimator, saved in zip(self._estimators, state["estimators"], strict=True):
            estimator.restore(saved)
        self.heard_ns = state["heard_ns"]
        self._reported_ns = state["reported_ns"]
        self._level = list(state["level"])
        self._short = (list(state["short"][0]), list(state["short"][1]))
        self._invalid_share = state["invalid_share"]
        self._worst = state["worst"]

    def _parts(self) -> dict[str, Any]:
        return {
            "conditioner": self._conditioner,
            "power": self._power,
            "invalid": self._invalid,
            "recent": self._recent,
            "rest": self._rest,
            "fused": self._fused,
        }

    def _hear(self, hop: Hop, situation: Situation) -> None:
        size = self._setup.hop_samples
        for _ in range(min(hop.lost_hops, self._level_hops)):
            self._power.add(0.0, 0.0)
            self._invalid.add(0.0, size)
        if hop.lost_hops:
            # What lies on either side of a gap does not stand side by side.
            lost = min(hop.lost_hops * size, self._recent_samples)
            self._recent.add(np.zeros((lost, len(self._nobody))), np.zeros((lost, len(self._nobody)), dtype=np.bool_))
        good = hop.good
        used, counts = hop.samples, self._all_rows
        if np.count_nonzero(good) < good.size:
            used, counts = used * good, np.add.reduce(good, axis=0, dtype=np.float64)
        self._power.add(np.einsum("ij,ij->j", used, used), counts)
        self._invalid.add(0.0, hop.invalid)
        self._recent.add(hop.samples, good)
        self.heard_ns = hop.t_ns

        hop_power, share_hop = self._power.mean_square(1)
        short_power, share = self._power.mean_square(self._short_hops)
        level_power, level_share = self._power.mean_square(self._level_hops)
        log_hop = 0.5 * np.log(np.maximum(hop_power, _FLOOR_UV2))
        log_level = 0.5 * np.log(np.maximum(short_power, _FLOOR_UV2))
        usable = share >= SHARE_MIN
        rest = self._rest
        # With a share s of the samples a level scatters 1 / sqrt(s) as much.
        inflate = 1.0 / np.sqrt(np.maximum(share, SHARE_MIN))
        asked = self._effort_muscles if situation.effort_expected else self._nobody
        rest.hear(log_level, log_hop, usable, share_hop >= 0.5, asked, inflate)
        recent, recent_good = self._recent.last(self._recent_samples)
        level_uv = np.sqrt(level_power)
        heard = Heard(
            hop.t_ns, hop.samples, good, recent, recent_good, hop.blanked, hop.lost_hops,
            log_level, log_hop, share, share_hop,
            rest.slow.median, rest.slow.sigma, rest.fast.median, rest.fast.sigma, rest.known,
            level_uv, level_share, rest.contracting, rest.began, rest.ended, self._nobody, hop.evoked,
            hop.invalid / size,
        )  # fmt: skip
        for estimator in self._estimators:
            estimator.hear(heard, situation)
        if self._setup.stimulated:
            self._conditioner.freeze(heard.spasm)
        known = level_share >= SHARE_MIN
        self._level = level_uv.tolist()
        if np.count_nonzero(known) < len(known):
            self._level = [v if k else None for v, k in zip(self._level, known.tolist(), strict=True)]
        self._short = (np.sqrt(short_power).tolist(), (usable & rest.known).tolist())
        bad = self._invalid.share(self._level_hops)
        self._worst = int(bad.argmax())
        self._invalid_share = float(bad[self._worst])

    def _missing(self, field: str) -> Measure:
        why = self.lost(field)
        return Measure(reason=why) if why else _UNKNOWN

    def _terms(self, known: Mapping[str, Sequence[Any]], count: int) -> Mapping[str, Sequence[Any]]:
        """The terms of fatigue; of one that a part should tell and does not, why not."""
        lost = {name: why for name in TERMS if name not in known and (why := self.lost(name))}
        return {**known, **{name: [Measure(reason=why)] * count for name, why in lost.items()}} if lost else known

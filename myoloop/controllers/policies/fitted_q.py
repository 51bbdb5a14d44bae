"""Fitted Q: adaptive gain with a learned residual, decided by a tree that was distilled from fitted-Q iteration.

Whatever the model does, what is asked for is adaptive gain's request times 1 + residual, within the target's current
and a bounded charge beyond adaptive gain, and then passes reflexes and gate. Where the model is not to be believed it
is adaptive gain alone, and the record says since when and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from myoloop.controllers.policies.adaptive_gain import AdaptiveGainSettings, check_gain, gain_of
from myoloop.controllers.policies.distilled import Distilled
from myoloop.controllers.policies.distilled_model import DistilledModel
from myoloop.controllers.policies.learned import NothingLearned
from myoloop.controllers.policies.policy import Decision, PolicyInput
from myoloop.controllers.policies.tracking import Tracking, check_channel, check_tracking

#: No learned policy may add more in a session.
BUDGET_MAX_UC = 100_000.0


@dataclass(frozen=True, kw_only=True)
class FittedQSettings(AdaptiveGainSettings):
    """See :class:`~myoloop.controllers.policies.adaptive_gain.AdaptiveGainSettings`.

    Attributes
    ----------
    artefact
        In a protocol: folder of the trained artefact, which gives what follows and the settings that it was trained
        with. In a record: its id and hash.
    model
        Decision tree as plain arrays.
    decide_every_s
        Within a train.
    budget_uc
        Charge that it may ask for beyond adaptive gain, in the whole session; 0: it may only take away.
    shift_decisions
        So many decisions in a row on what it was not trained on, and it is adaptive gain to the session's end.
    overruns_max
        The same for steps of the controller that took too long; each of them alone ends it for the train.
    """

    artefact: str = ""
    model: DistilledModel | None = None
    decide_every_s: float = 0.1
    budget_uc: float = 0.0
    shift_decisions: int = 5
    overruns_max: int = 3

    def __post_init__(self) -> None:
        check_tracking(self, "fitted_q")
        check_gain(self, "fitted_q")
        if not 0.01 <= self.decide_every_s <= 5.0:
            raise ValueError(f"fitted_q.decide_every_s is {self.decide_every_s:g}, allowed is 0.01 to 5 s")
        if not 0.0 <= self.budget_uc <= BUDGET_MAX_UC:
            raise ValueError(f"fitted_q.budget_uc is {self.budget_uc:g}, allowed is 0 to {BUDGET_MAX_UC:g} uC")
        for name in ("shift_decisions", "overruns_max"):
            count = getattr(self, name)
            if not 1 <= count <= 1000:
                raise ValueError(f"fitted_q.{name} is {count}, allowed is 1 to 1000")


class FittedQ(Tracking):
    """Adaptive gain and a learned residual.

    Raises
    ------
    ValueError
        If there is no model.
    """

    Settings = FittedQSettings
    _kept: ClassVar[tuple[str, ...]] = (*Tracking._kept, "_distilled")

    def __init__(self, settings: FittedQSettings, channels: tuple[str, ...]) -> None:
        check_channel("fitted_q", settings.channel, channels)
        if settings.model is None:
            raise ValueError("fitted_q has no model: settings.artefact must name the folder of a trained artefact")
        self._distilled = Distilled(
            settings.model,
            decide_every_s=settings.decide_every_s,
            budget_uc=settings.budget_uc,
            shift_decisions=settings.shift_decisions,
            overruns_max=settings.overruns_max,
        )
        super().__init__("fitted Q", settings, gain_of(settings), NothingLearned(), self._distilled)

    def decide(self, given: PolicyInput) -> Decision:
        """Ask for the current that the course needs now."""
        distilled = self._distilled
        if given.overrun_ms > 0.0 and self._place.at_s is not None:
            distilled.late(given.overrun_ms)
        residual = distilled.value
        asked = super().decide(given)
        fallen, paused = distilled.fallen, distilled.paused
        if fallen:
            more = f"adaptive gain alone: {fallen}"
        elif paused:
            more = f"adaptive gain alone in this train: {paused}"
        else:
            more = f"residual {residual:+.2f}"
        why = fallen or paused
        fault = f"falls back to adaptive gain: {why}" if why else ""
        # First what it is: a reason is cut where it becomes too long.
        return Decision(asked.current_ma, f"{more}; {asked.reason}", asked.trigger, asked.saturated, asked.held, fault)

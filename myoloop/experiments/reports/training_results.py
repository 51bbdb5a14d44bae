"""What an evaluation found, as its figures and tables ask for it: by condition, controller, measure and person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from myoloop.experiments.training.composite import WEIGHTS, WORSE, interval
from myoloop.platform.errors import UserError

Array = npt.NDArray[np.float64]

COMPOSITE = "composite"
#: How a name of ours reads where it is not its words.
_WORDS = {
    "pi_feed_forward": "PI + feed-forward",
    "emg_trigger": "EMG trigger",
    "fitted_q": "learned (fitted Q)",
    "plain": "no fault",
}


class TrainingReportError(UserError):
    """A training that cannot be reported on; one line that names the file."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that is measured of a person: its name, unit, digits to print, and what is meant."""

    title: str
    unit: str
    digits: int
    means: str
    #: What a value is multiplied by to be shown in `unit`.
    factor: float = 1.0

    @property
    def axis(self) -> str:
        """For the axis of a figure."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def sentence(self) -> str:
        """For a caption."""
        return f"{self.title[:1].upper()}{self.title[1:]}: {self.means}."


#: Less is better in all of them, but for the bias, of which none is best.
MEASURES: dict[str, Measure] = {
    COMPOSITE: Measure("composite", "", 3, "the weighed sum by which controllers are compared, 1: adaptive gain"),
    "rmse": Measure("tracking RMSE", "% of target", 1,
                    "root mean square of the true force against the trapezoid over a train, mean of all trials", 100.0),
    "bias": Measure("bias in the hold", "% of target", 1, "mean error in the hold, signed", 100.0),
    "settling_s": Measure("settling time", "s", 2,
                          "from the begin of a hold until the error stays below 10 % of the target, mean of all holds; "
                          "the hold's length where it never does"),
    "fatigue": Measure("fatigue at the end", "% of force lost", 1,
                       "share of the muscle's force that is lost at the end of the last train, in truth", 100.0),
    "charge_mc": Measure("charge", "mC", 1, "of one phase, summed over the pulses that reached the person"),
    "pain": Measure("pain proxy", "0 to 1", 3,
                    "how far the current is beyond the comfortable share of what the person tolerates, mean over the "
                    "trains; a proxy, as nobody is asked"),
    "gated": Measure("gate intervened", "% of the trains' time", 1,
                     "steps in which the gate let less through than was asked for", 100.0),
    "saturated": Measure("saturated", "% of the trains' time", 1, "more was wanted than may be asked for", 100.0),
    "peak_ma": Measure("peak current", "mA", 1, "largest that was delivered"),
    "assisted": Measure("assisted trials", "trials", 1, "waited for an effort in vain"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one controller under one condition.

    Attributes
    ----------
    people
        Names, in the order of all that follows.
    figures
        (people,) by the names of :data:`MEASURES`, in the unit of the evaluation: shares, not percent.
    intervals
        Mean, low, high over people of the same, as the evaluation has them.
    violations, interventions
        By limit of the envelope, over all people; by rule of the gate, None where it was not kept.
    fell, fell_people
        By reason, how many people's learned controller fell back to the classic one; how many people's did.
    fell_back
        Reason by person, where it was kept.
    trial_rmse
        (people, trials), a share of the target; None where it was not kept.
    """

    people: tuple[str, ...]
    figures: Mapping[str, Array]
    intervals: Mapping[str, tuple[float, float, float]]
    violations: Mapping[str, int]
    interventions: Mapping[str, int] | None = None
    fell: Mapping[str, int] = field(default_factory=dict)
    fell_back: Mapping[str, str] = field(default_factory=dict)
    fell_people: int = 0
    trial_rmse: Array | None = None


@dataclass(frozen=True, slots=True)
class Curves:
    """Learning curves.

    Attributes
    ----------
    seeds
        Of learning.
    at, at_label
        (points,) after how much learning.
    values, value_label
        (seeds, points).
    reference, reference_label
        What they are held against; None where nothing is.
    note
        On whom it was measured.
    """

    seeds: tuple[int, ...]
    at: Array
    at_label: str
    values: Array
    value_label: str
    reference: float | None = None
    reference_label: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """Learned less baseline in the composite, over people; of one person there is no interval."""

    people: int
    mean: float
    low: float
    high: float
    better: int
    worse: int
    worst: str
    worst_by: float

    @property
    def verdict(self) -> str:
        """What the interval lets one say, and nothing more."""
        if self.people < 2:
            return "no difference shown"
        if self.high < 0.0:
            return "better"
        return "worse" if self.low > 0.0 else "no difference shown"

    @property
    def words(self) -> str:
        """The mean with its interval."""
        if self.people < 2:
            return f"{self.mean:+.3f} (one person, no interval)"
        return f"{self.mean:+.3f} [{self.low:+.3f},\u00a0{self.high:+.3f}]"


@dataclass(frozen=True, slots=True)
class Results:
    """An evaluation.

    Attributes
    ----------
    people
        Names of those held out.
    outcomes
        By condition and controller.
    plain
        The condition without faults, on everybody.
    less
        The learned controller's composite less that of each baseline, without faults: mean, low, high.
    """

    people: tuple[str, ...]
    baselines: tuple[str, ...]
    learned: str
    reference: str
    plain: str
    outcomes: Mapping[tuple[str, str], Outcome]
    less: Mapping[str, tuple[float, float, float]]

    @property
    def conditions(self) -> tuple[str, ...]:
        """What they were measured under, the one without faults first."""
        found = dict.fromkeys(condition for condition, _ in self.outcomes)
        return tuple(sorted(found, key=lambda each: each != self.plain))

    @property
    def n_words(self) -> str:
        """Whom and how often they were measured."""
        count = len(self.people)
        return f"n = {count} {'person' if count == 1 else 'people'} held out, n = 1 seed of the day each"

    @property
    def composite_words(self) -> str:
        """The composite as it was fixed."""
        parts = " + ".join(f"{weight:g} x {MEASURES[name].title}" for name, weight in WEIGHTS.items())
        return f"{parts}, each over that of {label(self.reference)} with the same person, seed and faults"

    @property
    def violations(self) -> int:
        """Pulses outside the envelope, all controllers and conditions together."""
        return sum(sum(outcome.violations.values()) for outcome in self.outcomes.values())

    def figure(self, condition: str, controller: str, measure: str) -> Array | None:
        """A measure in the unit it is shown in, (people,); None where it was not measured."""
        outcome = self.outcomes.get((condition, controller))
        if outcome is None or measure not in outcome.figures:
            return None
        return outcome.figures[measure] * MEASURES[measure].factor

    def over_trials(self, controller: str) -> Array | None:
        """RMSE of each trial without faults as a share of the target, (people, trials)."""
        outcome = self.outcomes.get((self.plain, controller))
        return None if outcome is None else outcome.trial_rmse

    def interval(self, condition: str, controller: str, measure: str) -> tuple[float, float, float] | None:
        """Mean over people with its 95 % interval, in the unit it is shown in; None where it was not measured."""
        outcome = self.outcomes.get((condition, controller))
        if outcome is None or measure not in outcome.intervals:
            return None
        mean, low, high = (value * MEASURES[measure].factor for value in outcome.intervals[measure])
        return mean, low, high

    def difference(self, condition: str, baseline: str) -> Difference | None:
        """The learned controller beside a baseline, person by person; None where one of them was not measured."""
        ours = self.figure(condition, self.learned, COMPOSITE)
        theirs = self.figure(condition, baseline, COMPOSITE)
        if ours is None or theirs is None:
            return None
        if ours.shape != theirs.shape:
            raise TrainingReportError(
                f"{condition}: {label(baseline)} was measured on other people than the learned one"
            )
        away = ours - theirs
        found = self.less.get(baseline) if condition == self.plain else None
        if found is None:
            told = interval(away, 0)
            found = told.mean, told.low, told.high
        worst = int(np.argmax(away))
        return Difference(
            len(away), *found, int((away < 0).sum()), int((away > 0).sum()),
            self.outcomes[condition, baseline].people[worst], float(away[worst]),
        )  # fmt: skip

    def worst_first(self) -> list[int]:
        """Places of the people by the learned controller's composite without faults, the highest first."""
        ours = self.figure(self.plain, self.learned, COMPOSITE)
        return [] if ours is None else [int(each) for each in np.argsort(-ours, kind="stable")]

    def much_worse(self, condition: str) -> list[str]:
        """Who is worse off by more than 10 % than with adaptive gain."""
        outcome = self.outcomes.get((condition, self.learned))
        if outcome is None:
            return []
        return [who for who, value in zip(outcome.people, outcome.figures[COMPOSITE], strict=True) if value > WORSE]


def label(name: str) -> str:
    """A name of ours as people read it."""
    return _WORDS.get(name, name.replace("_", " "))

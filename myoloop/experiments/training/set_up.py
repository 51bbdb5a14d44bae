"""Whether the optimiser finds good settings for people it has not seen, in few trials and never above tolerance.

Each virtual person has three pairs of pads over muscles that pull alike and differ in strength and depth. Tolerance and
motor threshold of each are measured as a calibration does, at one width. Then the optimiser tries settings on the
person, who tires, has spasms and rates each train with their own scatter; the response is the movement of the joint, as
an IMU tells it, and is not measured where a spasm was on (the truth, not a detector's word). For comparison every
setting of the grid is given to a copy of the rested person: the true response. What is chosen is judged by that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.experiments.protocols.envelope import DEFAULTS, TOLERANCE_SHARE
from myoloop.experiments.subjects.fast import STEP_NS, FastSubjects
from myoloop.experiments.subjects.muscle import equivalent_charge_uc
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.person import MuscleSite
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.training.jobs import Jobs
from myoloop.experiments.training.optimisation import Optimiser, OptimiserSettings, Tried
from myoloop.experiments.training.settings_grid import Pad, Point, make_grid
from myoloop.stimulators.emulators.ledger import Pulse
from myoloop.stimulators.gate.limits import round_down

Array = npt.NDArray[np.float64]

PADS = ("near", "middle", "far")
#: Of the muscles under the pads, over the person's own; which pad lies on which differs from person to person.
STRENGTHS = (1.0, 0.75, 0.5)
#: How much the muscles differ in depth: standard deviation of the logarithm (our choice, thrice that of one site).
MUSCLE_SPREAD = 0.15
PRESETS = ("able_bodied", "acute_sci", "chronic_sci")
LEVELS = (0.2, 0.4, 0.6, 0.8, 1.0)
WIDTHS_US = (150.0, 200.0, 250.0, 300.0)
RATES_HZ = (15.0, 25.0, 35.0, 50.0)
START_US, START_HZ = 250.0, 25.0
#: Step of the ascents, and of the device.
ASCENT_MA, DEVICE_MA = 1.0, 0.5
#: Of the angle that an IMU tells (our choice: half a degree), and of the response from train to train.
ANGLE_SD_RAD, TRAIN_SPREAD = 0.009, 0.02
#: The highest rating allowed; 10 is what the person calls enough.
DISCOMFORT_MAX = 9.0
BUDGET_SHARE = 0.25
#: Reached is at least this share of the best true response.
REACHED = 0.9
#: Share of the people that must reach it.
ENOUGH = 0.8
_RAMP_STEPS, _HOLD_STEPS, _REST_STEPS, _MEAN_STEPS = 20, 70, 600, 30
_WIDEST = 40
#: First seeds of the people; those of the proof are no others' (tuning was done on seeds from 10 000 up).
HELD_OUT_SEED, TUNING_SEED = 60_000, 10_000
#: Of the proof, and of a look at whether it runs.
PEOPLE, QUICK_PEOPLE = 60, 12


@dataclass(frozen=True, slots=True)
class SetUp:
    """What came of one person.

    Attributes
    ----------
    grid, trials
        Settings within the caps, and how many of them were given (the same one twice counts twice).
    reached
        True response of what was chosen over the best of the whole grid; 0 where nothing was chosen.
    reached_comfortable
        The same over the best of those that the person rates as allowed.
    reached_at_random
        Over the best of the grid: the best of as many settings, drawn at random from the whole grid, given to a rested
        person each, with the same error of measurement; mean of 200 draws.
    over_tolerance
        Trials with a pulse above the person's tolerance.
    worst
        The most of any trial: 0, not felt, to 10, tolerance.
    """

    seed: int
    preset: str
    grid: int
    trials: int
    reached: float
    reached_comfortable: float
    reached_at_random: float
    over_tolerance: int
    worst: float
    chosen: str
    best: str


@dataclass(frozen=True, slots=True)
class Proof:
    """Of all people together."""

    people: tuple[SetUp, ...]

    @property
    def share_reached(self) -> float:
        """Share of the people with 90 % of the best response in at most a quarter of the grid's trials."""
        good = [each.reached >= REACHED and each.trials <= BUDGET_SHARE * each.grid for each in self.people]
        return sum(good) / len(good)

    @property
    def over_tolerance(self) -> int:
        """Trials above anyone's tolerance."""
        return sum(each.over_tolerance for each in self.people)

    @property
    def good(self) -> bool:
        """Whether it does what it must."""
        return self.share_reached >= ENOUGH and self.over_tolerance == 0

    def words(self) -> str:
        """What was found, in some lines."""
        told = self.to_json()
        return (
            f"{told['people']} virtual people that were not used in the making, seeds from {self.people[0].seed}\n"
            f"at least {REACHED:.0%} of the best true response of the grid, in at most {BUDGET_SHARE:.0%} of its "
            f"trials: {self.share_reached:.0%} of the people (needed: {ENOUGH:.0%})\n"
            f"median of what was reached: {told['median_reached']:.2f}, least {told['least_reached']:.2f}; "
            f"of as many settings at random: {told['median_reached_at_random']:.2f}\n"
            f"trials: {told['trials']}, median {told['median_trials_share']:.0%} of the grid; "
            f"above tolerance: {self.over_tolerance} (allowed: 0), the worst at {told['worst']:.1f} of 10\n"
            f"{'as it must be' if self.good else 'NOT as it must be'}"
        )

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "people": len(self.people),
            "share_reached": self.share_reached,
            "median_reached": float(np.median([each.reached for each in self.people])),
            "least_reached": min(each.reached for each in self.people),
            "median_reached_comfortable": float(np.median([each.reached_comfortable for each in self.people])),
            "median_reached_at_random": float(np.median([each.reached_at_random for each in self.people])),
            "share_reached_at_random": float(np.mean([each.reached_at_random >= REACHED for each in self.people])),
            "median_trials_share": float(np.median([each.trials / each.grid for each in self.people])),
            "most_trials_share": max(each.trials / each.grid for each in self.people),
            "trials": sum(each.trials for each in self.people),
            "over_tolerance": self.over_tolerance,
            "worst": max(each.worst for each in self.people),
            "good": self.good,
            "each": [asdict(each) for each in self.people],
        }


def prove(people: int, jobs: Jobs, *, first_seed: int = HELD_OUT_SEED, kappa: float = 3.0) -> Proof:
    """Set up this many virtual people.

    Raises
    ------
    ValueError
        If there is nobody.
    """
    if people < 1:
        raise ValueError(f"people: found {people}, allowed is at least 1")
    seeds = [first_seed + number for number in range(people)]
    items = [{"seeds": seeds[n : n + _GROUP], "kappa": kappa} for n in range(0, people, _GROUP)]
    found = [SetUp(**each) for result in jobs.run("set-ups", set_up, items) for each in result["people"]]
    return Proof(tuple(found))


#: People in one piece of work: few enough to share out, enough to be stepped together.
_GROUP = 10


def set_up(item: Mapping[str, Any]) -> dict[str, Any]:
    """Set up some people together; one piece of work."""
    seeds = [int(seed) for seed in item["seeds"]]
    people = [virtual_person(seed) for seed in seeds]
    sites = muscle_sites()
    subjects = FastSubjects(people, seeds, muscles=sites)
    optimisers = []
    for number, seed in enumerate(seeds):
        grid = grid_of(subjects.people[number].muscles, seed)
        trials = int(BUDGET_SHARE * len(grid))
        optimisers.append(
            Optimiser(
                OptimiserSettings(
                    points=grid, start=dict.fromkeys(PADS, (START_US, START_HZ)), trials=trials,
                    discomfort_max=DISCOMFORT_MAX, kappa=float(item["kappa"]),
                )
            )
        )  # fmt: skip
    worst = _optimise(subjects, optimisers, seeds)
    return {
        "people": [
            asdict(_judged(person, seed, optimiser, worst[number]))
            for number, (person, seed, optimiser) in enumerate(zip(people, seeds, optimisers, strict=True))
        ]
    }


def virtual_person(seed: int) -> SubjectParameters:
    """Person of a seed: of each group in turn."""
    return replace(draw(seed, PRESETS[seed % len(PRESETS)]), muscle_spread=MUSCLE_SPREAD)


def muscle_sites() -> list[MuscleSite]:
    """Three muscles that pull alike, each with a pair of pads."""
    return [
        MuscleSite(f"muscle{number}", (f"emg{number}",), ((number, f"muscle{number}"),), strength=strength)
        for number, strength in enumerate(STRENGTHS)
    ]


def output_of(channel: str, seed: int) -> int:
    """On which muscle a pad lies: the pads are shuffled, so that none is the best for everybody."""
    order = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x70616473, seed)))).permutation(len(PADS))
    return int(order[PADS.index(channel)])


def grid_of(muscles: Sequence[SubjectParameters], seed: int) -> tuple[Point, ...]:
    """Settings within what a calibration of each pad finds, and within the platform's own limits."""
    pads = []
    for channel in PADS:
        muscle = muscles[output_of(channel, seed)]
        motor_ma = _ascended_ma(muscle.motor_uc, muscle)
        cap_ma = round_down(TOLERANCE_SHARE * _ascended_ma(muscle.tolerance_uc, muscle), DEVICE_MA)
        pads.append(Pad(channel, motor_ma, cap_ma, START_US))
    charge_max_uc = DEFAULTS["nmes"].charge_per_phase_uc
    return make_grid(
        pads, LEVELS, WIDTHS_US, RATES_HZ, step_ma=DEVICE_MA,
        cap_of=lambda channel, phase_us, rate_hz: charge_max_uc * 1e3 / phase_us,
    )  # fmt: skip


def _ascended_ma(threshold_uc: float, muscle: SubjectParameters) -> float:
    """First step of an ascent that is above a threshold."""
    per_ma = equivalent_charge_uc(1.0, START_US, muscle.chronaxie_us)
    return float(np.floor(threshold_uc / per_ma / ASCENT_MA) + 1.0) * ASCENT_MA


def _optimise(subjects: FastSubjects, optimisers: Sequence[Optimiser], seeds: Sequence[int]) -> list[list[float]]:
    """Everybody's trials, one after the other; how unpleasant each was, in truth."""
    noises = [np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x616E676C, seed)))) for seed in seeds]
    worst: list[list[float]] = [[] for _ in optimisers]
    while True:
        proposals = [optimiser.propose() for optimiser in optimisers]
        if all(proposal is None for proposal in proposals):
            return worst
        given = [
            None if proposal is None else (optimiser.settings.points[proposal.point], seed)
            for proposal, optimiser, seed in zip(proposals, optimisers, seeds, strict=True)
        ]
        moved, spasms = trial(subjects, given)
        for number, proposal in enumerate(proposals):
            spread, error = noises[number].standard_normal(2).tolist()
            if proposal is None:
                continue
            person = subjects.people[number]
            worst[number].append(person.feelings.discomfort)
            said = person.answer("comfort", subjects.now_ns) or {}
            response = float(moved[number]) * (1.0 + TRAIN_SPREAD * spread) + ANGLE_SD_RAD * error
            measured = None if spasms[number] else response
            optimisers[number].told(Tried(proposal.point, measured, float(said["discomfort"])))


def trial(
    subjects: FastSubjects, given: Sequence[tuple[Point, int] | None], rest_steps: int = _REST_STEPS
) -> tuple[Array, Array]:
    """One train for each person, and a rest; how far each joint moved, in rad, and whether a spasm was on."""
    next_ns = [subjects.now_ns] * len(given)
    before: Array = np.zeros(len(given))
    spasms: Array = np.zeros(len(given))
    angles = []
    for step in range(_RAMP_STEPS + _HOLD_STEPS + rest_steps):
        share = min(1.0, (step + 1) / _RAMP_STEPS) if step < _RAMP_STEPS + _HOLD_STEPS else 0.0
        pulses: list[list[Pulse]] = []
        for number, each in enumerate(given):
            own: list[Pulse] = []
            if each is not None and share > 0.0:
                point, seed = each
                while next_ns[number] < subjects.now_ns + STEP_NS:
                    current_ma = point.current_ma * share
                    own.append(Pulse(next_ns[number], output_of(point.channel, seed), current_ma, point.phase_us))
                    next_ns[number] += round(1e9 / point.rate_hz)
            pulses.append(own)
        if step == 0:
            before = np.array([person.limb.angle_rad for person in subjects.people])
        features = subjects.step(pulses)
        if _RAMP_STEPS + _HOLD_STEPS - _MEAN_STEPS <= step < _RAMP_STEPS + _HOLD_STEPS:
            angles.append(features.angle_rad)
        if step < _RAMP_STEPS + _HOLD_STEPS:
            spasms += features.spasm.any(axis=1)
    moved: Array = np.mean(angles, axis=0) - before
    return moved, spasms


def true_responses(person: SubjectParameters, seed: int, grid: Sequence[Point]) -> tuple[Array, Array]:
    """What each setting moves in a rested copy of the person, and how unpleasant it is (10: tolerance)."""
    moved, unpleasant = [], []
    for begin in range(0, len(grid), _WIDEST):
        part = grid[begin : begin + _WIDEST]
        copies = FastSubjects([person] * len(part), [seed] * len(part), muscles=muscle_sites())
        moved.append(trial(copies, [(point, seed) for point in part], rest_steps=0)[0])
        unpleasant.append([each.feelings.discomfort for each in copies.people])
    return np.concatenate(moved), np.concatenate(unpleasant)


def _judged(person: SubjectParameters, seed: int, optimiser: Optimiser, worst: Sequence[float]) -> SetUp:
    grid = optimiser.settings.points
    responses, unpleasant = true_responses(person, seed, grid)
    choice = optimiser.choose()
    tolerated = unpleasant <= 10.0
    best = int(np.argmax(np.where(tolerated, responses, -np.inf)))
    allowed_best = float(responses[unpleasant <= DISCOMFORT_MAX].max(initial=0.0))
    reached = 0.0 if choice is None else float(responses[choice.point])
    return SetUp(
        seed=seed,
        preset=PRESETS[seed % len(PRESETS)],
        grid=len(grid),
        trials=len(optimiser.tried),
        reached=reached / float(responses[best]),
        reached_comfortable=reached / allowed_best if allowed_best > 0.0 else 0.0,
        reached_at_random=_at_random(responses, len(optimiser.tried), seed) / float(responses[best]),
        over_tolerance=sum(each > 10.0 for each in worst),
        worst=max(worst, default=0.0),
        chosen="" if choice is None else str(grid[choice.point]),
        best=str(grid[best]),
    )


def _at_random(responses: Array, trials: int, seed: int) -> float:
    """True response of the best of so many drawn at random, as measured; mean of many draws."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x72616E64, seed))))
    found = []
    for _ in range(200):
        drawn = rng.permutation(len(responses))[:trials]
        spread, error = rng.standard_normal((2, len(drawn)))
        measured = responses[drawn] * (1.0 + TRAIN_SPREAD * spread) + ANGLE_SD_RAD * error
        found.append(responses[drawn[int(np.argmax(measured))]])
    return float(np.mean(found))

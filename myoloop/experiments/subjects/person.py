"""The person: what nerves, will, spasms, feeling and one joint do, without the muscles' fibres and without sensors.

Fibres are kept apart so that those of many people can be stepped as one array, and sensors so that the same person
can be heard in samples (:mod:`myoloop.experiments.subjects.subject`) or in features
(:mod:`myoloop.experiments.subjects.fast`). A step goes in two halves: :meth:`Person.decide` says what the fibres get,
:meth:`Person.move` takes the force that they give.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.answers import BodyState, Feelings, answers
from myoloop.experiments.subjects.effort import VoluntaryEffort
from myoloop.experiments.subjects.involuntary import SpasmGenerator
from myoloop.experiments.subjects.limb import Limb, State
from myoloop.experiments.subjects.muscle import Muscles, Recruited, equivalent_charge_uc
from myoloop.experiments.subjects.pain import Pain
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.perception import Perception, ThresholdDrift
from myoloop.experiments.subjects.planted import Planted
from myoloop.experiments.subjects.spasms import Spasm
from myoloop.experiments.subjects.tremor import Tremor
from myoloop.platform.messages import Phase
from myoloop.stimulators.emulators.ledger import Pulse

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MuscleSite:
    """A muscle with what is stuck on it.

    Attributes
    ----------
    name
        The protocol's name of the muscle.
    emg_channels
        Names of the EMG channels on it.
    outputs
        (output of the stimulator, the protocol's name of that channel) of each pair of pads on it.
    joint_sign
        1 where its force raises the joint angle, -1 where it lowers it, 0 where it does not move it.
    effort_share
        How much of a voluntary effort goes to it: 1 for what the protocol trains, little for an antagonist. A maximal
        contraction of a muscle by its name goes to that muscle alone; only what pulls against it goes along, a little.
    activation_max
        Most of it that the person's will can drive: less than 1 after disuse or in pain. EMG and force are less.
    strength
        Its force over that of the person's other muscles at the same drive: a muscle that is smaller. Its EMG, which
        says nothing of that, is the same.
    """

    name: str
    emg_channels: tuple[str, ...]
    outputs: tuple[tuple[int, str], ...] = ()
    joint_sign: float = 1.0
    effort_share: float = 1.0
    activation_max: float = 1.0
    strength: float = 1.0


#: Of a maximal contraction, what goes to a muscle that pulls against it (our choice: a tenth, as in any effort).
_COCONTRACTION = 0.1


class Randomness:
    """Generators of a session, one for everything that draws, so that none moves another.

    Parameters
    ----------
    seed
        Of everything that is random about the session.
    """

    def __init__(self, seed: int) -> None:
        seeds = np.random.SeedSequence((0x6D796F6C, seed)).spawn(12)
        made = [np.random.Generator(np.random.PCG64(one)) for one in seeds]
        self.muscles, self.noise, self.spasms, self.effort, self.perception, self.imu = made[:6]
        self.cell, self.drift, self.pain, self.electrodes, self.tremor, self.answers = made[6:]


class Arrived(NamedTuple):
    """A pulse under the pads of a muscle, and the share of the muscle that it recruits."""

    pulse: Pulse
    muscle: int
    share: float


@dataclass(frozen=True, slots=True)
class Decided:
    """What the fibres get in a span.

    Attributes
    ----------
    activation
        Of each muscle at the span's begin and at the end of each millisecond, (muscles, steps + 1), 0 to 1.
    willed
        Voluntary part of it at the span's end, (muscles,).
    arrived
        Pulses that reached a muscle, in order of time.
    discharges
        Potentials of single motor units: (muscle, time in ns, size).
    began, ended
        The spasm that began and the one that ended.
    """

    activation: Array
    willed: Array
    arrived: list[Arrived]
    discharges: list[tuple[int, int, float]]
    began: Spasm | None
    ended: Spasm | None

    def mean_activation(self) -> Array:
        """Over the span, (muscles,)."""
        whole: Array = 0.5 * (self.activation[:, :-1] + self.activation[:, 1:]).mean(axis=1)
        return whole

    def recruited(self, first: int = 0) -> list[Recruited]:
        """Its pulses as the fibres get them, where the person's muscles are numbered from `first`."""
        return [Recruited(first + number, pulse.t_ns, share) for pulse, number, share in self.arrived]


class Person:
    """One person.

    Parameters
    ----------
    parameters
        Single muscles differ from it by ``muscle_spread``, drawn.
    sites
        At least one; no name or output twice.
    start_ns
        When the person's time begins.

    Attributes
    ----------
    muscles
        Parameters of each muscle.

    Raises
    ------
    ValueError
        If there is no muscle, or a name or an output comes twice.
    """

    def __init__(
        self, parameters: SubjectParameters, random: Randomness, sites: Sequence[MuscleSite], start_ns: int
    ) -> None:
        _check(sites)
        self.parameters = parameters
        self.sites = tuple(sites)
        self.muscles = [_differing(parameters, random.muscles, site.strength) for site in sites]
        self.spasms = SpasmGenerator(parameters, len(sites), random.spasms, start_ns)
        self.effort = VoluntaryEffort(parameters, random.effort)
        self.tremor = Tremor(parameters, random.tremor)
        self.perception = Perception(random.perception)
        self.drift = ThresholdDrift(self.muscles, random.drift)
        self.pain = Pain(parameters, random.pain, start_ns)
        self.planted = Planted(parameters, responds=parameters.pain_responds > 0.0, start_ns=start_ns)
        self.feelings = Feelings()
        self._says = random.answers
        self.limb = Limb(parameters)
        self.outputs = {output: (number, name) for number, site in enumerate(sites) for output, name in site.outputs}
        self._signs = [site.joint_sign for site in sites]
        self._joint_signs = np.array(self._signs)
        self._trained = _shares([site.effort_share for site in sites], sites)
        self._effort_shares = self._trained
        self._willed = 0.0
        self._current_ma = 0.0

    def see(self, phase: Phase, now_ns: int) -> None:
        """What the screen shows, from `now_ns` on."""
        self.effort.see(phase, now_ns)
        self.perception.see(phase)
        if phase.kind:
            self._effort_shares = self._maximal(phase.muscle) if phase.kind == "mvc" else self._trained

    def decide(
        self,
        t_from_ns: int,
        steps: int,
        pulses: Sequence[Pulse],
        fibres: Muscles,
        fatigue: Sequence[float],
        first: int = 0,
    ) -> Decided:
        """Live through a span of whole milliseconds, up to what the fibres get.

        Parameters
        ----------
        fibres
            Where the person's muscles are rows from `first` on; they are not stepped.
        fatigue
            Of each of the person's muscles, at the span's begin.
        """
        span_s, t_to_ns = steps * 1e-3, t_from_ns + steps * 1_000_000
        arrived = [one for pulse in pulses if (one := self._arrives(pulse, fibres, first)) is not None]
        self.drift.step(span_s)
        self.pain.step(t_to_ns)
        self.planted.step(t_to_ns)
        lengthening = -self.limb.velocity_rad_s
        began, ended = self.spasms.step(
            t_from_ns,
            t_to_ns,
            self.effort.held,
            stretch_rad_s=[sign * lengthening for sign in self._signs],
            step_ma=self._stepped_ma(pulses),
            fatigue=fatigue,
            calm=self.planted.spasms,
        )
        before, self._willed = self._willed, self.effort.step(t_to_ns, span_s, max(fatigue))
        self.tremor.step(steps)
        willed = _ramp(before, self._willed, steps)
        shaking = self.tremor.on_effort()
        if shaking is not None:
            willed = willed * shaking
        drive = self._effort_shares * willed
        voluntary = drive[:, -1].copy()
        # Drives onto one pool of motor neurons add, until all of it is recruited.
        drive += self.parameters.resting_tone * self.planted.tone
        involuntary = self.spasms.activation(t_from_ns, steps)
        if involuntary is not None:
            drive += involuntary
        np.minimum(1.0, drive, out=drive)
        discharges = self.spasms.discharges(t_from_ns, t_to_ns)
        return Decided(drive, voluntary, arrived, discharges, began, ended)

    def move(self, forces_n: Array) -> list[State]:
        """Move the joint by the forces of a span, (steps, muscles); give back its state after each millisecond."""
        shaking_n_m = self.tremor.torque_n_m(self.effort.held)
        net_n: list[float] = (forces_n @ self._joint_signs).tolist()
        return self.limb.advance(net_n, None if shaking_n_m is None else shaking_n_m.tolist())

    def answer(self, form_id: str, t_ns: int, fatigue: float = 0.0) -> dict[str, Any] | None:
        """What the person answers to a form at `t_ns`, not before the last step; None where it is not theirs.

        Parameters
        ----------
        form_id
            One of :data:`myoloop.experiments.subjects.answers.OWN`.
        fatigue
            Of the most tired muscle.
        """
        felt, channel, current_ma = self.feelings.lately(t_ns)
        state = BodyState(
            pain_said=self.pain.score(t_ns),
            pain=self.pain.exact,
            pain_before=self.parameters.pain_baseline,
            felt=felt,
            channel=channel,
            current_ma=current_ma,
            fatigue=fatigue,
            soreness=self.planted.soreness(0.0),
            discomfort=self.feelings.discomfort,
        )
        return answers(form_id, state, self.parameters, self._says)

    def _maximal(self, asked: str) -> Array:
        """How a maximal contraction of one muscle is shared out; where none is named, as any effort."""
        one = next((site for site in self.sites if site.name == asked), None)
        if one is None:
            return self._trained
        against = [site.joint_sign * one.joint_sign < 0.0 for site in self.sites]
        shares = [
            1.0 if site is one else _COCONTRACTION if pulls else 0.0
            for site, pulls in zip(self.sites, against, strict=True)
        ]
        return _shares(shares, self.sites)

    def _arrives(self, pulse: Pulse, fibres: Muscles, first: int) -> Arrived | None:
        site = self.outputs.get(pulse.output)
        if site is None or pulse.current_ma <= 0:
            return None
        number, channel = site
        charge_uc = equivalent_charge_uc(pulse.current_ma, pulse.phase_us, self.muscles[number].chronaxie_us)
        arriving_uc = charge_uc / self.drift.electrode[number]
        share = fibres.recruits(first + number, arriving_uc, self._signs[number] * self.limb.angle_rad)
        thresholds = self.drift.thresholds[number]
        self.perception.feel(pulse.t_ns, channel, pulse.current_ma, charge_uc, thresholds)
        self.drift.feel(number, charge_uc)
        self.pain.feel(charge_uc, thresholds)
        self.planted.feel(number, pulse.t_ns, charge_uc, share, thresholds)
        felt, discomfort = thresholds.felt(charge_uc), thresholds.discomfort(charge_uc)
        self.feelings.feel(pulse.t_ns, channel, pulse.current_ma, felt, discomfort)
        return Arrived(pulse, number, share)

    def _stepped_ma(self, pulses: Sequence[Pulse]) -> float:
        """By how much the current rose above that of the last block that had pulses."""
        if not pulses:
            return 0.0
        before_ma, self._current_ma = self._current_ma, max(pulse.current_ma for pulse in pulses)
        return max(0.0, self._current_ma - before_ma)


def _shares(shares: Sequence[float], sites: Sequence[MuscleSite]) -> Array:
    """Of a voluntary effort, of each muscle, (muscles, 1); none gets more than the will can drive."""
    return np.array([[share * site.activation_max] for share, site in zip(shares, sites, strict=True)])


def _ramp(before: float, after: float, steps: int) -> Array:
    if before == after:
        return np.full(steps + 1, after)
    return np.linspace(before, after, steps + 1)


def _differing(person: SubjectParameters, rng: np.random.Generator, strength: float) -> SubjectParameters:
    """One of the person's muscles: it lies deeper or shallower, and its EMG is larger or smaller."""
    depth, size, slowing = (math.exp(person.muscle_spread * x) for x in np.clip(rng.standard_normal(3), -2, 2))
    changed = {
        "recruitment_median_uc": person.recruitment_median_uc * depth,
        "sensory_uc": person.sensory_uc * depth,
        "motor_uc": person.motor_uc * depth,
        "tolerance_uc": person.tolerance_uc * depth,
        "emg_mvc_uv": person.emg_mvc_uv * size,
        "mwave_mv": person.mwave_mv * size,
        "cv_slowing": person.cv_slowing * math.sqrt(slowing),
        "strength": person.strength * strength,
    }
    limits = {name: SubjectParameters.__dataclass_fields__[name].metadata for name in changed}
    return replace(
        person, **{name: min(limits[name]["high"], max(limits[name]["low"], x)) for name, x in changed.items()}
    )


def _check(sites: Sequence[MuscleSite]) -> None:
    if not sites:
        raise ValueError("a virtual subject needs at least one muscle")
    once: tuple[tuple[str, list[str]], ...] = (
        ("muscle", [site.name for site in sites]),
        ("EMG channel", [*(name for site in sites for name in site.emg_channels), "sync"]),
        ("output", [str(output) for site in sites for output, _ in site.outputs]),
    )
    for what, names in once:
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{what} {name} comes twice")

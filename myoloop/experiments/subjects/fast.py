"""The fast tier: people in steps of 10 ms with features instead of samples, for training and for many people at once.

Fibres, joint, spasms, effort, thresholds and pain are the very models of the full tier with the same random numbers,
so that a person has the same spasms and the same force in both. What the fast tier leaves out is the sampled signal:
EMG is told by its RMS and mean frequency over the last window, M-waves by their height, each with the error that an
estimate from such a window has (:mod:`myoloop.experiments.subjects.features_of_emg`). They are those of EMG from which
stimulation was removed without a trace.

The fibres of all people are stepped as one array; what nerves and joints do is stepped person by person. A person is
the same to the last bit whoever else is stepped along.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.features_of_emg import BAND_HZ, PatternTable, error
from myoloop.experiments.subjects.muscle import SHARES, Muscles, Recruited, bins_recruited
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.person import Decided, MuscleSite, Person, Randomness
from myoloop.platform.messages import Phase
from myoloop.stimulators.emulators.ledger import Pulse

Array = npt.NDArray[np.float64]

STEP_NS = 10_000_000
_STEPS = 10
_RATE_HZ = 2000.0


@dataclass(frozen=True, slots=True)
class Features:
    """What is known at the end of a step; arrays (people, muscles) unless said otherwise.

    Attributes
    ----------
    rms_uv, mnf_hz
        As estimated from the last window: the exact values with the error of such an estimate.
    rms_exact_uv, mnf_exact_hz
        Without it.
    rms_sd_uv, mnf_sd_hz, mnf_bias_hz
        Standard deviation of the error; mean error of a window's mean frequency.
    mwave_mv, mwave_sd_mv
        Height of the M-wave of the newest pulse, as estimated, and the standard deviation of its error; NaN before the
        first pulse.
    force_n
        Of each muscle.
    angle_rad
        Of the joint, (people,).
    spasm
        Whether an involuntary drive is on.
    voluntary
        Activation by the person's will, 0 to 1.
    fatigue, evoked_capacity
        As :class:`myoloop.experiments.subjects.muscle.Muscles` has them: share of all force that is lost; force per
        recruited fibre over fresh, NaN before the first pulse.
    """

    rms_uv: Array
    mnf_hz: Array
    rms_exact_uv: Array
    mnf_exact_hz: Array
    rms_sd_uv: Array
    mnf_sd_hz: Array
    mnf_bias_hz: Array
    mwave_mv: Array
    mwave_sd_mv: Array
    force_n: Array
    angle_rad: Array
    spasm: npt.NDArray[np.bool_]
    voluntary: Array
    fatigue: Array
    evoked_capacity: Array


class FastSubjects:
    """Virtual people without samples.

    Parameters
    ----------
    parameters, seeds
        One per person, as the full tier's.
    muscles
        The same of everybody.
    window_s
        That features are taken from.
    start_ns
        When their time begins.

    Raises
    ------
    ValueError
        If there is nobody, a person has no seed, the window is no whole number of steps, or a muscle makes no sense.
    """

    def __init__(
        self,
        parameters: Sequence[SubjectParameters],
        seeds: Sequence[int],
        *,
        muscles: Sequence[MuscleSite],
        window_s: float = 0.25,
        start_ns: int = 0,
    ) -> None:
        if not parameters or len(parameters) != len(seeds):
            raise ValueError(f"{len(parameters)} people with {len(seeds)} seeds: one each, and at least one person")
        window = round(window_s * 100)
        if window < 1 or not math.isclose(window * 0.01, window_s):
            raise ValueError(f"window_s: found {window_s:g}, allowed is a multiple of 0.01")
        randomness = [Randomness(seed) for seed in seeds]
        self.people = [
            Person(one, random, muscles, start_ns) for one, random in zip(parameters, randomness, strict=True)
        ]
        self._errors = [random.noise for random in randomness]
        own = [muscle for person in self.people for muscle in person.muscles]
        self._shape = (len(self.people), len(muscles))
        self.fibres = Muscles(own, apart=True)
        self._t_ns = start_ns
        self._table = PatternTable(own)
        self._mvc_uv2 = np.array([p.emg_mvc_uv**2 for p in own])
        self._mix = self._mixing([len(site.emg_channels) for site in muscles])
        in_band = (BAND_HZ[1] - BAND_HZ[0]) / (0.5 * _RATE_HZ)
        self._noise_uv2 = np.array([p.emg_noise_uv**2 * in_band for p in own])
        self._mains_uv2 = np.array([p.mains_uv**2 for p in own])
        self._mains_hz = np.array([p.mains_hz for p in own])
        self._white_mnf_hz = 0.5 * (BAND_HZ[0] + BAND_HZ[1])
        self._window_s = window_s
        # Estimates of windows that overlap err alike.
        keep = math.exp(-2.0 * 0.01 / window_s)
        fresh = math.sqrt(1.0 - keep**2)
        self._wrong = np.stack([rng.standard_normal((len(muscles), 3)) for rng in self._errors])
        # RMS and mean frequency; M-waves have no window.
        self._kept, self._new = np.array([keep, keep, 0.0]), np.array([fresh, fresh, 1.0])
        # Power of the pattern, and power times mean frequency, of the window's steps.
        self._past = np.zeros((window, 2, len(own)))
        self._lived = 0
        self._mwave_mv = np.full(len(own), np.nan)
        self._full_mwave_mv = np.array([p.mwave_mv for p in own])

    @property
    def now_ns(self) -> int:
        """The time that has been lived to."""
        return self._t_ns

    def see(self, phase: Phase, now_ns: int) -> None:
        """What everybody's screen shows, from `now_ns` on."""
        for person in self.people:
            person.see(phase, now_ns)

    def step(self, pulses: Sequence[Sequence[Pulse]]) -> Features:
        """Live for 10 ms.

        Parameters
        ----------
        pulses
            Of each person, in order of time, within the step.

        Raises
        ------
        ValueError
            If it is not one list per person, or a pulse lies outside the step.
        """
        if len(pulses) != len(self.people):
            raise ValueError(f"pulses of {len(pulses)} people: there are {len(self.people)}")
        begin_ns, end_ns = self._t_ns, self._t_ns + STEP_NS
        for given in pulses:
            for pulse in given:
                if not begin_ns <= pulse.t_ns <= end_ns:
                    raise ValueError(f"a pulse at {pulse.t_ns} ns, not within {begin_ns} to {end_ns} ns")
        self._t_ns = end_ns
        people, count = self.people, self._shape[1]
        fatigue = self.fibres.fatigue.reshape(self._shape).tolist()
        decided = [
            person.decide(begin_ns, _STEPS, given, self.fibres, fatigue[number], number * count)
            for number, (person, given) in enumerate(zip(people, pulses, strict=True))
        ]
        recruited = [one for number, each in enumerate(decided) for one in each.recruited(number * count)]
        if len(people) > 1:
            recruited.sort(key=_time)
        self._evoke(recruited)
        drives = np.concatenate([each.activation for each in decided])
        power = self._power(drives, decided)
        mean = 0.5 * (drives[:, :-1] + drives[:, 1:]).mean(axis=1)
        forces_n = self.fibres.advance(begin_ns, _STEPS, recruited, mean)
        for number, person in enumerate(people):
            person.move(forces_n[:, number * count : (number + 1) * count])
        return self._features(power, decided)

    def _mixing(self, channels: Sequence[int]) -> Array:
        """Power that a channel of one muscle sees of each muscle's pattern: (people, to, from)."""
        mix = np.empty((*self._shape, self._shape[1]))
        for number, person in enumerate(self.people):
            leaks = [p.emg_crosstalk**2 * n for p, n in zip(person.muscles, channels, strict=True)]
            mix[number] = leaks
            np.fill_diagonal(mix[number], 1.0)
        return mix

    def _evoke(self, recruited: Sequence[Recruited]) -> None:
        if not recruited:
            return
        rows = np.array([pulse.muscle for pulse in recruited])
        fibres = bins_recruited([pulse.share for pulse in recruited]) * SHARES
        heights = (fibres * self.fibres.mwave_by_bin[rows]).sum(axis=1)
        self._mwave_mv[rows] = heights * self._full_mwave_mv[rows]

    def _power(self, drives: Array, decided: Sequence[Decided]) -> Array:
        """Power of each muscle's pattern over the step, for what it would be at a velocity of 1."""
        square = np.square(drives)
        power: Array = 0.5 * (square[:, :-1] + square[:, 1:]).mean(axis=1)
        count = self._shape[1]
        for number, (person, each) in enumerate(zip(self.people, decided, strict=True)):
            now = person.spasms.now or each.ended
            if now is not None and now.kind == "unit":
                # Told by its potentials, not by a drive.
                for muscle in now.muscles:
                    power[number * count + muscle] += now.level**2
        power *= self._mvc_uv2
        return power

    def _features(self, power: Array, decided: Sequence[Decided]) -> Features:
        fibres, shape = self.fibres, self._shape
        moments = self._table.at(fibres.velocity)
        now = np.empty((2, len(power)))
        np.multiply(power, moments[:, 0], out=now[0])
        np.multiply(now[0], moments[:, 2], out=now[1])
        if shape[1] > 1:
            now = (self._mix @ now.reshape(2, *shape)[..., None]).reshape(2, -1)
        self._past[self._lived % len(self._past)] = now
        self._lived += 1
        signal, weighted = self._past.sum(axis=0) * (1.0 / min(self._lived, len(self._past)))
        total = signal + self._noise_uv2 + self._mains_uv2
        mean_hz = weighted + self._noise_uv2 * self._white_mnf_hz + self._mains_uv2 * self._mains_hz
        mean_hz /= total
        rms_uv = np.sqrt(total)
        relative, mnf_sd_hz, mnf_bias_hz = error(signal, self._noise_uv2 + self._mains_uv2, moments, self._window_s)
        rms_sd_uv = relative * rms_uv
        for number, rng in enumerate(self._errors):
            self._wrong[number] = self._kept * self._wrong[number] + self._new * rng.standard_normal((shape[1], 3))
        wrong = self._wrong.reshape(-1, 3)
        # Of two samples, the highest and the lowest, each with the noise that is there at every time.
        mwave_sd_mv = 1e-3 * math.sqrt(2.0) * rms_uv
        return Features(
            rms_uv=np.maximum(0.0, rms_uv + rms_sd_uv * wrong[:, 0]).reshape(shape),
            mnf_hz=np.clip(mean_hz + mnf_bias_hz + mnf_sd_hz * wrong[:, 1], *BAND_HZ).reshape(shape),
            rms_exact_uv=rms_uv.reshape(shape),
            mnf_exact_hz=mean_hz.reshape(shape),
            rms_sd_uv=rms_sd_uv.reshape(shape),
            mnf_sd_hz=mnf_sd_hz.reshape(shape),
            mnf_bias_hz=mnf_bias_hz.reshape(shape),
            mwave_mv=(self._mwave_mv + mwave_sd_mv * wrong[:, 2]).reshape(shape),
            mwave_sd_mv=mwave_sd_mv.reshape(shape),
            force_n=fibres.force_n.reshape(shape).copy(),
            angle_rad=np.array([person.limb.angle_rad for person in self.people]),
            spasm=np.array([_in_spasm(person, shape[1]) for person in self.people]),
            voluntary=np.array([each.willed for each in decided]),
            fatigue=fibres.fatigue.reshape(shape),
            evoked_capacity=fibres.evoked_capacity.reshape(shape),
        )


class Trains:
    """Pulses of stimulators whose settings hold for one step of control after the other.

    Parameters
    ----------
    outputs
        Numbers of the outputs of each person's stimulator.
    """

    def __init__(self, people: int, outputs: Sequence[int], start_ns: int = 0) -> None:
        self._outputs = tuple(outputs)
        self._next_ns = [[start_ns] * len(self._outputs) for _ in range(people)]

    def step(
        self, t_from_ns: int, current_ma: npt.ArrayLike, phase_us: float = 250.0, rate_hz: float = 33.0
    ) -> list[list[Pulse]]:
        """Pulses of the 10 ms from `t_from_ns`, in order of time; none where the current is 0.

        Parameters
        ----------
        current_ma
            (people, outputs).
        """
        end_ns, period_ns = t_from_ns + STEP_NS, round(1e9 / rate_hz)
        given = []
        for due_ns, currents in zip(self._next_ns, np.asarray(current_ma, dtype=np.float64).tolist(), strict=True):
            pulses = []
            for place, (output, current) in enumerate(zip(self._outputs, currents, strict=True)):
                due_ns[place] = max(due_ns[place], t_from_ns)
                while current > 0.0 and due_ns[place] < end_ns:
                    pulses.append(Pulse(due_ns[place], output, current, phase_us))
                    due_ns[place] += period_ns
            pulses.sort(key=_time)
            given.append(pulses)
        return given


def _time(pulse: Pulse | Recruited) -> int:
    return pulse.t_ns


def _in_spasm(person: Person, muscles: int) -> list[bool]:
    now = person.spasms.now
    return [now is not None and number in now.muscles for number in range(muscles)]

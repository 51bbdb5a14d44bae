"""The virtual subject: a person whose muscles are stimulated, who makes efforts, has spasms, feels, and tires.

One object, stepped in blocks: pulses and the screen go in; EMG, IMU, the person's answers and the truth come out.
It is deterministic in (parameters, seed, everything that went in).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.adc import COUNTS
from myoloop.experiments.subjects.contact import ElectrodeEvent
from myoloop.experiments.subjects.effort import VoluntaryEffort
from myoloop.experiments.subjects.electrodes import Electrodes
from myoloop.experiments.subjects.force_cell import ForceCell
from myoloop.experiments.subjects.imu import IMU_CHANNELS, Imu
from myoloop.experiments.subjects.involuntary import SpasmGenerator
from myoloop.experiments.subjects.limb import Limb
from myoloop.experiments.subjects.muscle import SHARES, Muscles, Recruited, bins_recruited, equivalent_charge_uc
from myoloop.experiments.subjects.pain import Pain
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.perception import Perception, ThresholdDrift
from myoloop.experiments.subjects.spasms import Spasm
from myoloop.experiments.subjects.tremor import Tremor
from myoloop.platform.messages import Event, Phase, SampleDescriptor, Truth
from myoloop.platform.steps import Outgoing
from myoloop.stimulators.emulators.ledger import Pulse

TRUTH_PERIOD_NS = 100_000_000
#: The person's own state moves once a second.
PERSON_PERIOD_NS = 1_000_000_000


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
        How much of a voluntary effort goes to it: 1 for what the protocol trains, little for an antagonist.
    """

    name: str
    emg_channels: tuple[str, ...]
    outputs: tuple[tuple[int, str], ...] = ()
    joint_sign: float = 1.0
    effort_share: float = 1.0


@dataclass(frozen=True, slots=True)
class SubjectOutput:
    """What a step gave.

    Attributes
    ----------
    emg
        int16 counts (n, EMG channels + 1); the trigger last, 0 or 1.
    imu
        float32 (m, 6): accelerometer x y z in m/s^2, gyroscope x y z in rad/s.
    force
        float32 (k, 1) in N; None without a force cell.
    events
        The person's answers.
    truths
        On ``truth/<what>``.
    """

    emg: npt.NDArray[np.int16]
    imu: npt.NDArray[np.float32]
    events: list[Event]
    truths: list[Outgoing]
    force: npt.NDArray[np.float32] | None = None


class VirtualSubject:
    """A virtual person.

    Parameters
    ----------
    parameters
        Of the person; single muscles differ from it by ``muscle_spread``, drawn with the seed.
    seed
        Of everything that is random about this session.
    muscles
        At least one.
    force_cell
        Whether there is one on the joint.
    electrode_events
        What happens to electrodes and leads, by number of the EMG channel.
    start_ns
        When the person's time begins: the `t_from_ns` of the first step.

    Raises
    ------
    ValueError
        If there is no muscle, a name comes twice, or a rate cannot be simulated.
    """

    def __init__(
        self,
        parameters: SubjectParameters,
        seed: int,
        *,
        muscles: Sequence[MuscleSite],
        emg_rate_hz: float = 2000.0,
        imu_rate_hz: float = 100.0,
        force_rate_hz: float = 100.0,
        force_cell: bool = False,
        electrode_events: Sequence[ElectrodeEvent] = (),
        start_ns: int = 0,
    ) -> None:
        _check(muscles, emg_rate_hz)
        self.parameters = parameters
        self.muscles = tuple(muscles)
        self.emg_rate_hz = float(emg_rate_hz)
        seeds = np.random.SeedSequence((0x6D796F6C, seed)).spawn(12)
        own, self._noise, *others = (np.random.Generator(np.random.PCG64(one)) for one in seeds)
        self._persons = [_differing(parameters, own) for _ in muscles]
        self._muscle = Muscles(self._persons)
        self._electrodes = Electrodes(
            self._persons,
            [len(site.emg_channels) for site in muscles],
            self.emg_rate_hz,
            events=electrode_events,
            rng=others[8],
        )
        self._spasms = SpasmGenerator(parameters, len(muscles), others[0], start_ns)
        self._effort = VoluntaryEffort(parameters, others[1])
        self._tremor = Tremor(parameters, others[9])
        self._perception = Perception(others[2])
        self._drift = ThresholdDrift(self._persons, others[6])
        self._pain = Pain(parameters, others[7], start_ns)
        self._limb = Limb(parameters)
        self._imu = Imu(parameters, others[3], rate_hz=imu_rate_hz, start_ns=start_ns)
        self._cell = ForceCell(parameters, others[5], rate_hz=force_rate_hz, start_ns=start_ns) if force_cell else None
        self._effort_before = 0.0
        self._effort_shares = np.array([site.effort_share for site in muscles])
        self._joint_signs = np.array([site.joint_sign for site in muscles])
        self._current_ma = 0.0
        self._site_of = {output: (i, name) for i, site in enumerate(muscles) for output, name in site.outputs}
        self._t_ns = self._start_ns = start_ns
        self._emg_made = 0
        self._truth_ns = start_ns + TRUTH_PERIOD_NS
        self._person_ns = start_ns

    @property
    def emg_channels(self) -> tuple[str, ...]:
        """Names of the columns of the EMG, ``sync`` last."""
        return (*(name for site in self.muscles for name in site.emg_channels), "sync")

    def descriptors(self, source: str) -> tuple[SampleDescriptor, ...]:
        """What a reader must know of ``emg/<source>``, ``imu/<source>`` and, with a cell, ``force/<source>``."""
        channels = self.emg_channels
        emg = SampleDescriptor(
            topic=f"emg/{source}",
            rate_hz=self.emg_rate_hz,
            dtype="<i2",
            channels=channels,
            units=(*["V"] * (len(channels) - 1), "1"),
            scale=(*self._electrodes.adc.volts_per_count.tolist(), 1.0),
            offset=(0.0,) * len(channels),
            rail_low=-COUNTS,
            rail_high=COUNTS,
            sync_channel="sync",
            mains_hz=self.parameters.mains_hz,
            device="myoloop virtual subject",
        )
        imu = SampleDescriptor(
            topic=f"imu/{source}",
            rate_hz=self._imu.rate_hz,
            dtype="<f4",
            channels=IMU_CHANNELS,
            units=(*["m/s^2"] * 3, *["rad/s"] * 3),
            scale=(1.0,) * 6,
            offset=(0.0,) * 6,
            mains_hz=self.parameters.mains_hz,
            device="myoloop virtual subject",
        )
        if self._cell is None:
            return emg, imu
        force = SampleDescriptor(
            topic=f"force/{source}",
            rate_hz=self._cell.rate_hz,
            dtype="<f4",
            channels=("force",),
            units=("N",),
            scale=(1.0,),
            offset=(0.0,),
            mains_hz=self.parameters.mains_hz,
            device="myoloop virtual subject",
        )
        return emg, imu, force

    @property
    def fatigue(self) -> dict[str, float]:
        """Fatigue of each muscle, 0 to 1."""
        return self._by_muscle(self._muscle.fatigue)

    @property
    def velocity(self) -> dict[str, float]:
        """Conduction velocity of each muscle relative to fresh."""
        return self._by_muscle(self._muscle.velocity)

    def _by_muscle(self, values: npt.NDArray[np.float64]) -> dict[str, float]:
        return {site.name: float(value) for site, value in zip(self.muscles, values, strict=True)}

    def see(self, phase: Phase, now_ns: int) -> None:
        """What the screen shows, from `now_ns` on."""
        self._effort.see(phase, now_ns)
        self._perception.see(phase)

    def step(self, t_from_ns: int, t_to_ns: int, pulses: Sequence[Pulse]) -> SubjectOutput:
        """Live from `t_from_ns` to `t_to_ns`.

        Parameters
        ----------
        pulses
            Delivered in the span and not given before, in order of time.

        Raises
        ------
        ValueError
            If the span does not follow on the last one, is not whole milliseconds, or a pulse lies outside it.
        """
        span_ns = t_to_ns - t_from_ns
        if t_from_ns != self._t_ns or span_ns <= 0 or span_ns % 1_000_000:
            raise ValueError(f"a step from {t_from_ns} to {t_to_ns} ns: must go on from {self._t_ns} by whole ms")
        for pulse in pulses:
            if not t_from_ns <= pulse.t_ns <= t_to_ns:
                raise ValueError(f"a pulse at {pulse.t_ns} ns, not within {t_from_ns} to {t_to_ns} ns")
        steps, span_s = span_ns // 1_000_000, span_ns * 1e-9
        self._t_ns = t_to_ns
        since_start_s = (t_to_ns - self._start_ns) * 1e-9
        rows = round(since_start_s * self._electrodes.rate_hz) - self._emg_made
        last_ns = self._start_ns + round(self._emg_made / self._electrodes.rate_hz * 1e9)
        self._emg_made += rows

        fatigue = self._muscle.fatigue.tolist()
        recruited, truths = self._receive(pulses, rows, last_ns)
        self._drift.step(span_s)
        self._pain.step(t_to_ns)
        began, ended = self._spasms.step(
            t_from_ns,
            t_to_ns,
            self._effort.held,
            stretch_rad_s=[-site.joint_sign * self._limb.velocity_rad_s for site in self.muscles],
            step_ma=self._stepped_ma(pulses),
            fatigue=fatigue,
        )
        effort = self._effort.step(t_to_ns, span_s, max(fatigue))
        self._tremor.step(steps)
        activation = self._activated(effort, t_from_ns, steps)
        velocity = self._muscle.velocity.tolist()
        forces_n = self._muscle.advance(
            t_from_ns, steps, recruited, 0.5 * (activation[:, :-1] + activation[:, 1:]).mean(1)
        )
        shaking_n_m = self._tremor.torque_n_m(self._effort.held)
        states = self._limb.advance(
            (forces_n @ self._joint_signs).tolist(), None if shaking_n_m is None else shaking_n_m.tolist()
        )
        for number, t_ns, size in self._spasms.discharges(t_from_ns, t_to_ns):
            self._electrodes.discharge(number, last_ns - t_ns, size, velocity[number])
        emg = self._electrodes.block(rows, activation, velocity, self._noise)
        imu = self._imu.read(states, t_to_ns)
        force = self._cell.read(self._limb.torques_n_m, t_to_ns) if self._cell is not None else None
        truths += self._spasm_truths(began, ended)
        if t_to_ns >= self._truth_ns:
            self._truth_ns += TRUTH_PERIOD_NS * max(1, math.ceil((t_to_ns - self._truth_ns + 1) / TRUTH_PERIOD_NS))
            truths += self._slow_truths(t_to_ns)
        if t_to_ns >= self._person_ns + PERSON_PERIOD_NS:
            self._person_ns = t_to_ns
            truths += self._person_truths(t_to_ns)
        return SubjectOutput(emg, imu, self._perception.step(t_to_ns), truths, force)

    def _receive(self, pulses: Sequence[Pulse], rows: int, last_ns: int) -> tuple[list[Recruited], list[Outgoing]]:
        recruited: list[Recruited] = []
        told: dict[tuple[int, float, float], list[int]] = {}
        for pulse in pulses:
            told.setdefault((pulse.output, pulse.current_ma, pulse.phase_us), []).append(pulse.t_ns)
            site = self._site_of.get(pulse.output)
            if site is None or pulse.current_ma <= 0:
                continue
            number, channel = site
            person, sign = self._persons[number], self.muscles[number].joint_sign
            charge_uc = equivalent_charge_uc(pulse.current_ma, pulse.phase_us, person.chronaxie_us)
            arriving_uc = charge_uc / self._drift.electrode[number]
            share = self._muscle.recruits(number, arriving_uc, sign * self._limb.angle_rad)
            recruited.append(Recruited(number, pulse.t_ns, share))
            self._imu.jolt(pulse.t_ns, share)
            fibres = bins_recruited(share) * SHARES
            self._electrodes.evoke(
                number, last_ns - pulse.t_ns, rows, pulse.current_ma, pulse.phase_us, fibres,
                self._muscle.velocity_by_bin[number], self._muscle.mwave_by_bin[number],
            )  # fmt: skip
            thresholds = self._drift.thresholds[number]
            self._perception.feel(pulse.t_ns, channel, pulse.current_ma, charge_uc, thresholds)
            self._drift.feel(number, charge_uc)
            self._pain.feel(charge_uc, thresholds)
        truths = []
        for (output, current_ma, phase_us), times in told.items():
            values: dict[str, float | int | str | None] = {
                "output": output,
                "channel": self._site_of[output][1] if output in self._site_of else None,
                "current_ma": current_ma,
                "phase_us": phase_us,
            }
            truths.append(Outgoing("truth/pulse", Truth(t_ns=times[-1], values=values, pulses_ns=tuple(times))))
        return recruited, truths

    def _stepped_ma(self, pulses: Sequence[Pulse]) -> float:
        """By how much the current rose above that of the last block that had pulses."""
        if not pulses:
            return 0.0
        before_ma, self._current_ma = self._current_ma, max(pulse.current_ma for pulse in pulses)
        return max(0.0, self._current_ma - before_ma)

    def _activated(self, effort: float, t_from_ns: int, steps: int) -> npt.NDArray[np.float64]:
        """Activation of each muscle at the block's begin and at the end of each ms, (muscles, steps + 1).

        Drives onto one pool of motor neurons add, until all of it is recruited.
        """
        willed = np.linspace(self._effort_before, effort, steps + 1)
        self._effort_before = effort
        shaking = self._tremor.on_effort()
        if shaking is not None:
            willed *= shaking
        drive = self._effort_shares[:, None] * willed + self.parameters.resting_tone
        involuntary = self._spasms.activation(t_from_ns, steps)
        if involuntary is not None:
            drive += involuntary
        return np.minimum(1.0, drive, out=drive)

    def _spasm_truths(self, began: Spasm | None, ended: Spasm | None) -> list[Outgoing]:
        truths = []
        for spasm, end_ns in ((ended, ended.end_ns if ended else None), (began, None)):
            if spasm is not None:
                values: dict[str, float | int | str | None] = {
                    "muscle": self.muscles[spasm.muscle].name,
                    "kind": spasm.kind,
                    "level": spasm.level,
                    "onset_ns": spasm.onset_ns,
                    "end_ns": end_ns,
                    "clonus_hz": spasm.clonus_hz if spasm.kind == "clonus" else None,
                    "joined": " ".join(self.muscles[other].name for other in spasm.muscles[1:]),
                }
                t_ns = spasm.onset_ns if end_ns is None else end_ns
                truths.append(Outgoing("truth/spasm", Truth(t_ns=t_ns, values=values)))
        return truths

    def _slow_truths(self, t_ns: int) -> list[Outgoing]:
        return [
            Outgoing("truth/fatigue", Truth(t_ns=t_ns, values=dict(self.fatigue))),
            Outgoing("truth/velocity", Truth(t_ns=t_ns, values=dict(self.velocity))),
            Outgoing("truth/force", Truth(t_ns=t_ns, values=dict(self._by_muscle(self._muscle.force_n)))),
            Outgoing("truth/joint", Truth(t_ns=t_ns, values=self._limb.truth())),
        ]

    def _person_truths(self, t_ns: int) -> list[Outgoing]:
        told = {
            "pain": self._pain.truth(),
            "effort": self._effort.truth(),
            "threshold": self._drift.truth([site.name for site in self.muscles]),
        }
        return [Outgoing(f"truth/{what}", Truth(t_ns=t_ns, values=values)) for what, values in told.items()]


def _differing(person: SubjectParameters, rng: np.random.Generator) -> SubjectParameters:
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
    }
    limits = {name: SubjectParameters.__dataclass_fields__[name].metadata for name in changed}
    return replace(
        person, **{name: min(limits[name]["high"], max(limits[name]["low"], x)) for name, x in changed.items()}
    )


def _check(muscles: Sequence[MuscleSite], emg_rate_hz: float) -> None:
    if not muscles:
        raise ValueError("a virtual subject needs at least one muscle")
    once: tuple[tuple[str, list[str]], ...] = (
        ("muscle", [site.name for site in muscles]),
        ("EMG channel", [*(name for site in muscles for name in site.emg_channels), "sync"]),
        ("output", [str(output) for site in muscles for output, _ in site.outputs]),
    )
    for what, names in once:
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{what} {name} comes twice")
    if not any(site.emg_channels for site in muscles):
        raise ValueError("a virtual subject needs at least one EMG channel")
    if not 500 <= emg_rate_hz <= 20000:
        raise ValueError(f"emg_rate_hz {emg_rate_hz:g} (allowed 500 to 20000)")

"""The virtual subject: a person whose muscles are stimulated, who makes efforts, has spasms, feels, and tires.

One object, stepped in blocks: pulses and the screen go in; EMG, IMU, force, the person's answers and the truth come
out. It is deterministic in (parameters, seed, everything that went in).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.adc import COUNTS
from myoloop.experiments.subjects.contact import ElectrodeEvent
from myoloop.experiments.subjects.ding import FRESH_N, force_capacity_n
from myoloop.experiments.subjects.electrodes import Electrodes
from myoloop.experiments.subjects.force_cell import ForceCell
from myoloop.experiments.subjects.imu import IMU_CHANNELS, Imu
from myoloop.experiments.subjects.muscle import SHARES, Muscles, bins_recruited
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.person import Decided, MuscleSite, Person, Randomness
from myoloop.experiments.subjects.truths import Truths
from myoloop.platform.messages import Event, Phase, SampleDescriptor
from myoloop.platform.steps import Outgoing
from myoloop.stimulators.emulators.ledger import Pulse


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
        random = Randomness(seed)
        self.person = Person(parameters, random, muscles, start_ns)
        if not any(site.emg_channels for site in muscles):
            raise ValueError("a virtual subject needs at least one EMG channel")
        if not 500 <= emg_rate_hz <= 20000:
            raise ValueError(f"emg_rate_hz {emg_rate_hz:g} (allowed 500 to 20000)")
        self.parameters = parameters
        self.muscles = tuple(muscles)
        self.emg_rate_hz = float(emg_rate_hz)
        self._fibres = Muscles(self.person.muscles)
        self._electrodes = Electrodes(
            self.person.muscles,
            [len(site.emg_channels) for site in muscles],
            self.emg_rate_hz,
            events=electrode_events,
            rng=random.electrodes,
        )
        self._noise = random.noise
        self._imu = Imu(parameters, random.imu, rate_hz=imu_rate_hz, start_ns=start_ns)
        self._cell = (
            ForceCell(parameters, random.cell, rate_hz=force_rate_hz, start_ns=start_ns) if force_cell else None
        )
        self._truths = Truths(self.person, self._fibres, self.emg_channels[:-1], start_ns)
        self._t_ns = self._start_ns = start_ns
        self._emg_made = 0

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
        """Fatigue of each muscle, 0 to 1: the share of its force that would be missing if all of it were recruited."""
        return self._truths.by_muscle(self._fibres.fatigue)

    @property
    def force_n(self) -> dict[str, float]:
        """Force of each muscle now, in N: what no cell has read."""
        return self._truths.by_muscle(self._fibres.force_n)

    def force_lost(self, charge_uc: float) -> dict[str, float]:
        """Share of force that is lost, of the fibres that an equivalent charge recruits in the rested posture."""
        shares = [self._fibres.recruits(muscle, charge_uc) for muscle in range(len(self.muscles))]
        weight = bins_recruited(shares) * SHARES
        a, tau1, km = self._fibres.slow_states
        left = (weight * force_capacity_n(a, tau1, km)).sum(axis=1) / (weight.sum(axis=1) * FRESH_N + 1e-12)
        return self._truths.by_muscle(np.clip(1.0 - left, 0.0, 1.0))

    @property
    def velocity(self) -> dict[str, float]:
        """Conduction velocity of each muscle relative to fresh."""
        return self._truths.by_muscle(self._fibres.velocity)

    def see(self, phase: Phase, now_ns: int) -> None:
        """What the screen shows, from `now_ns` on."""
        self.person.see(phase, now_ns)

    def happen(self, event: ElectrodeEvent) -> None:
        """Let something happen to an electrode now, whatever the event's own time: it shows from the next block on.

        Raises
        ------
        ValueError
            If there is no such channel.
        """
        self._electrodes.happen(event)

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
        self._t_ns = t_to_ns
        steps = span_ns // 1_000_000
        person, fibres = self.person, self._fibres
        decided = person.decide(t_from_ns, steps, pulses, fibres, fibres.fatigue.tolist())
        emg = self._heard(t_to_ns, decided)
        forces_n = fibres.advance(t_from_ns, steps, decided.recruited(), decided.mean_activation())
        imu = self._imu.read(person.move(forces_n), t_to_ns)
        force = self._cell.read(person.limb.torques_n_m, t_to_ns) if self._cell is not None else None
        truths = self._truths.told(t_to_ns, pulses, decided, self._electrodes.contact)
        return SubjectOutput(emg, imu, person.perception.step(t_to_ns), truths, force)

    def _heard(self, t_to_ns: int, decided: Decided) -> npt.NDArray[np.int16]:
        """The EMG that is due by `t_to_ns`; pulses shake the IMU as well."""
        rate_hz, electrodes = self._electrodes.rate_hz, self._electrodes
        last_ns = self._start_ns + round(self._emg_made / rate_hz * 1e9)
        rows = round((t_to_ns - self._start_ns) * 1e-9 * rate_hz) - self._emg_made
        self._emg_made += rows
        velocity = self._fibres.velocity.tolist()
        for pulse, number, share in decided.arrived:
            electrodes.evoke(
                number, last_ns - pulse.t_ns, rows, pulse.current_ma, pulse.phase_us, bins_recruited(share) * SHARES,
                self._fibres.velocity_by_bin[number], self._fibres.mwave_by_bin[number],
            )  # fmt: skip
            self._imu.jolt(pulse.t_ns, share)
        for number, t_ns, size in decided.discharges:
            electrodes.discharge(number, last_ns - t_ns, size, velocity[number])
        return electrodes.block(rows, decided.activation, velocity, self._noise)

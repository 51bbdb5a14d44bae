"""What the electrodes and the amplifier see: EMG, M-waves, artifacts, noise, mains and the trigger, as counts.

One amplifier for all muscles of a person. In each block of a person's life: :meth:`Electrodes.evoke` for every pulse
and :meth:`Electrodes.discharge` for every potential of a single motor unit in the block, then
:meth:`Electrodes.block`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.adc import COUNTS, Adc, true_rate_hz
from myoloop.experiments.subjects.contact import Contact, ContactParameters, ElectrodeEvent
from myoloop.experiments.subjects.distributions import Uniform, parameter
from myoloop.experiments.subjects.emg import EmgParameters, InterferencePattern
from myoloop.experiments.subjects.mwave import Mwave, MwaveParameters, mwave
from myoloop.experiments.subjects.stimulus_artifact import ArtifactModel, ArtifactParameters

Array = npt.NDArray[np.float64]

#: The trigger line stays up this long, so that no amplifier above 1 kHz misses it.
TRIGGER_S = 0.001

_POTENTIAL_S = 0.0125


@dataclass(frozen=True, kw_only=True)
class ElectrodeParameters(EmgParameters, MwaveParameters, ArtifactParameters, ContactParameters):
    """What electrodes and amplifier see of a muscle.

    Attributes
    ----------
    amplifier_clock_ppm
        By how much the amplifier's clock is fast against the host's.
    """

    amplifier_clock_ppm: float = parameter(
        0.0, -500.0, 500.0, varies=Uniform(-50.0, 50.0), source="usual for quartz oscillators"
    )


class Electrodes:
    """All EMG channels of one amplifier, the trigger channel last.

    Parameters
    ----------
    parameters
        One per muscle; those of the amplifier (mains frequency, clock) are the first one's.
    channels
        How many EMG channels each muscle has.
    rate_hz
        Nominal.
    events
        What happens to the electrodes, by number of the EMG channel.
    gains
        Of each EMG channel; 1 if not given.
    rng
        For what pulses and electrodes do at random: its own, so that a pulse moves no noise. If not given, always the
        same.

    Attributes
    ----------
    rate_hz
        True, by the host's clock: what the samples due are counted with.
    adc
        Steps and rails of the channels.
    """

    def __init__(
        self,
        parameters: Sequence[ElectrodeParameters],
        channels: Sequence[int],
        rate_hz: float,
        *,
        events: Sequence[ElectrodeEvent] = (),
        gains: Sequence[float] | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        self._p = parameters
        self.rate_hz = true_rate_hz(rate_hz, parameters[0].amplifier_clock_ppm)
        ends = np.cumsum([0, *channels])
        columns = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        self._of = np.repeat(np.arange(len(columns)), channels)
        self.channels = int(ends[-1])
        if gains is not None and len(gains) != self.channels:
            raise ValueError(f"gains: found {len(gains)}, allowed is one for each of {self.channels} EMG channels")
        self.adc = Adc(gains if gains is not None else [1.0] * self.channels)
        self._pattern = InterferencePattern(parameters, channels, self.rate_hz)
        self._mwaves = [Mwave(own) for own in parameters]
        self._mixing = np.eye(self.channels)
        self._reach: list[Array] = []
        self._artifacts = []
        for own, column in zip(parameters, columns, strict=True):
            seen, reached = np.full(self.channels, own.emg_crosstalk), np.full(self.channels, own.artifact_crosstalk)
            seen[column] = reached[column] = 1.0
            self._reach.append(seen)
            self._artifacts.append(ArtifactModel(own, reached, self.adc.rail_v))
            # Channels of one muscle pick up patterns of their own.
            self._mixing[column] = np.where(seen == 1.0, self._mixing[column], seen)
        self._mvc_v = 1e-6 * np.array([own.emg_mvc_uv for own in parameters])
        random, contact = (rng or np.random.Generator(np.random.PCG64(0x656C6563))).spawn(2)
        self._rng = random
        self._contact = Contact([parameters[muscle] for muscle in self._of.tolist()], events, contact)
        self._mains_step = 2 * math.pi * parameters[0].mains_hz / self.rate_hz
        self._evoked_v = np.zeros((64, self.channels))
        self._evoked_rows = 0
        self._trigger: list[tuple[int, int]] = []
        self._samples = 0

    @property
    def contact(self) -> Array:
        """Truth: contact of each EMG channel, (channels,), 1 as stuck on, 0 without."""
        order = self._contact.order
        return self._contact.contact.copy() if order is None else self._contact.contact[order]

    def happen(self, event: ElectrodeEvent) -> None:
        """Let something happen to an electrode now: it shows from the next block on.

        Raises
        ------
        ValueError
            If there is no such channel.
        """
        for channel in (event.channel, event.other or 0):
            if not 0 <= channel < self.channels:
                raise ValueError(f"channel: found {channel}, allowed is 0 to {self.channels - 1}")
        self._contact.happen(event)

    def evoke(
        self,
        muscle: int,
        since_ns: int,
        rows: int,
        current_ma: float,
        phase_us: float,
        shares: npt.ArrayLike,
        velocity: npt.ArrayLike,
        amplitude: npt.ArrayLike = 1.0,
    ) -> None:
        """Add what a pulse leaves in this block and the next ones.

        Parameters
        ----------
        since_ns
            Time from the pulse to the sample before the block's first; negative if it falls later.
        rows
            Of the block.
        shares
            (bins,) share of the whole muscle that it recruits in each bin of fibres; the sum is the recruitment.
        velocity, amplitude
            (bins,) or one for all: relative conduction velocity, factor on the M-wave (potentiation, decline).

        Raises
        ------
        ValueError
            If anything of it is no finite number.
        """
        recruited = np.atleast_1d(np.asarray(shares, dtype=np.float64))
        speeds = np.broadcast_to(np.asarray(velocity, dtype=np.float64), recruited.shape)
        factors = np.broadcast_to(np.asarray(amplitude, dtype=np.float64), recruited.shape)
        if not math.isfinite(current_ma + phase_us + float(recruited @ factors) + float(speeds.sum())):
            raise ValueError(f"a pulse of {current_ma} mA and {phase_us} us that recruits {recruited}: not finite")
        place, late = self._rng.random(), self._rng.standard_normal()
        moved_ns = since_ns - 2e3 * self._p[muscle].artifact_jitter_us * place
        phase_s = phase_us * 1e-6
        first = max(0, math.floor(-moved_ns * 1e-9 * self.rate_hz + 1e-9))
        artifacts, mwaves = self._artifacts[muscle], self._mwaves[muscle]
        beyond_v = artifacts.overdrive_v(current_ma, phase_s)
        if current_ma != 0.0:
            since_s = self._since_s(moved_ns, first, artifacts.lasts_s(phase_s, beyond_v is not None))
            if len(since_s):
                self._room(first, len(since_s))[:] += artifacts.left_v(since_s, current_ma, phase_s, beyond_v)
        some = recruited > 0.0
        if some.any():
            since_s = self._since_s(moved_ns, first, mwaves.lasts_s(speeds[some]))
            t_ns = round(self._samples / self.rate_hz * 1e9 - moved_ns)
            wave_v = mwaves.evoked_v(t_ns, since_s, recruited, speeds, factors, late)
            self._room(first, len(since_s))[:] += wave_v[:, None] * self._reach[muscle]
        self._trigger.append((first, first + max(1, round(TRIGGER_S * self.rate_hz))))

    def discharge(self, muscle: int, since_ns: int, size: float, velocity: float = 1.0) -> None:
        """Add the potential of a single motor unit.

        Parameters
        ----------
        since_ns
            Time from the discharge to the sample before the block's first; negative if it falls later.
        size
            Peak to peak, relative to the RMS of a maximal contraction.
        """
        first = max(0, math.floor(-since_ns * 1e-9 * self.rate_hz + 1e-9))
        since_s = self._since_s(since_ns, first, _POTENTIAL_S / velocity)
        wave_v = mwave(since_s, velocity, latency_s=1.8e-3 / velocity) * (size * self._mvc_v[muscle])
        self._room(first, len(since_s))[:] += wave_v[:, None] * self._reach[muscle]

    def block(
        self, rows: int, activation: npt.ArrayLike, velocity: Sequence[float], rng: np.random.Generator
    ) -> npt.NDArray[np.int16]:
        """Make a block.

        Parameters
        ----------
        activation
            (muscles, knots): of each muscle at times evenly spaced from the block's begin to its end, both included,
            0 to 1; linear between. Two knots or more.
        velocity
            Per muscle, relative conduction velocity.

        Returns
        -------
        int16 array (rows, channels + 1)
            Counts; the trigger last, 0 or 1.

        Raises
        ------
        ValueError
            If a velocity is not a number. Anything else that is none reads as a channel at its negative rail.
        """
        white = rng.standard_normal((2, rows, self.channels))
        self._contact.step(round(self._samples / self.rate_hz * 1e9))
        contact = self._contact
        drive = np.asarray(activation, dtype=np.float64)
        levels_v = _ramps(rows, drive.shape[1]) @ (drive.T * self._mvc_v)
        volts = self._pattern.block(white[0], velocity) * levels_v[:, self._of]
        if len(self._p) > 1:
            volts = volts @ self._mixing
        if self._evoked_rows:
            evoked_v = self._evoked_v[: min(rows, self._evoked_rows)]
            volts[: len(evoked_v)] += evoked_v
            self._shift(rows)
        volts *= contact.gain
        white[1] *= contact.noise_v
        volts += white[1]
        hum = np.sin(self._mains_step * np.arange(self._samples, self._samples + rows))
        volts += hum[:, None] * contact.mains_v
        self._samples += rows
        if contact.order is not None:
            volts = volts[:, contact.order]
        counts = np.zeros((rows, self.channels + 1), dtype=np.int16)
        counts[:, :-1] = self.adc.counts(volts)
        if contact.railed.any():
            railed = contact.railed if contact.order is None else contact.railed[contact.order]
            counts[:, :-1][:, railed] = COUNTS
        self._sample_trigger(counts[:, -1])
        return counts

    def _since_s(self, since_ns: float, first: int, lasts_s: float) -> Array:
        """Times after a pulse of the samples from `first` on until nothing of it is left."""
        begin_s = since_ns * 1e-9 + (first + 1) / self.rate_hz
        rows = max(0, math.ceil((lasts_s - begin_s) * self.rate_hz))
        since: Array = begin_s + np.arange(rows) / self.rate_hz
        return since

    def _room(self, first: int, rows: int) -> Array:
        """Where the rows from `first` on are summed."""
        last = first + rows
        if last > len(self._evoked_v):
            self._evoked_v = np.vstack([self._evoked_v, np.zeros((2 * last, self.channels))])
        self._evoked_rows = max(self._evoked_rows, last)
        return self._evoked_v[first:last]

    def _shift(self, rows: int) -> None:
        left = max(0, self._evoked_rows - rows)
        self._evoked_v[:left] = self._evoked_v[rows : rows + left]
        self._evoked_v[left : self._evoked_rows] = 0.0
        self._evoked_rows = left

    def _sample_trigger(self, line: npt.NDArray[np.int16]) -> None:
        if not self._trigger:
            return
        rows = len(line)
        still = []
        for begin, end in self._trigger:
            line[max(0, begin) : max(0, min(end, rows))] = 1
            if end > rows:
                still.append((begin - rows, end - rows))
        self._trigger = still


@lru_cache(maxsize=256)
def _ramps(rows: int, knots: int) -> Array:
    """Linear interpolation from knots to the samples of a block: (rows, knots)."""
    if knots < 2:
        raise ValueError(f"activation: found {knots} knots, allowed are 2 or more")
    at = np.arange(1, rows + 1) / rows * (knots - 1)
    below = np.minimum(at.astype(np.int64), knots - 2)
    weights = np.zeros((rows, knots))
    weights[np.arange(rows), below] = 1.0 - (at - below)
    weights[np.arange(rows), below + 1] += at - below
    return weights

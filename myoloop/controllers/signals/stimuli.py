"""Which pulses fell where, as the amplifier, the stimulator or the EMG itself says.

Three sources, from the best to the worst: the amplifier's own trigger channel (to a row, and nothing has to be waited
for); the stimulator's messages (with the uncertainty they state, and late; a steady train is foretold meanwhile, and
where the uncertainty is more than half a row the sharpest edge within it is taken for the pulse); the artifact in the
EMG. Whatever they say goes through the clock of its train.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.artifact import ArtifactSettings
from myoloop.controllers.signals.pulse_clock import ArtifactOnsets
from myoloop.controllers.signals.pulse_times import PulseTimes, sharpest
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.controllers.signals.source import sync_of
from myoloop.controllers.signals.subtraction import JOINT, STRAY, Rows, Subtraction
from myoloop.platform.messages import Pulses, SampleDescriptor

Floats = npt.NDArray[np.float64]

#: Standard deviation of what is known to lie within one row.
_ROW_SD = 1.0 / math.sqrt(12.0)
#: So many onsets in a row that do not fit a steady train are held to be something else.
_DOUBTS = 2


class Stimuli(Restorable):
    """Finds and hears pulses, and tells the subtraction of them.

    Parameters
    ----------
    settings
        Where pulses are told from.
    descriptor, channels
        The source, and how many of its channels are used.
    stimulated
        Whether the source sits on the person who is stimulated.
    subtraction
        Who is told.

    Raises
    ------
    ValueError
        If the trigger channel that is asked for does not exist.
    """

    _kept: ClassVar[tuple[str, ...]] = ("_times", "_onsets", "_sync_on")

    def __init__(
        self,
        settings: ArtifactSettings,
        descriptor: SampleDescriptor,
        channels: int,
        stimulated: bool,
        subtraction: Subtraction,
    ) -> None:
        rate = descriptor.rate_hz
        self._subtraction = subtraction
        self._sync = sync_of(descriptor) if stimulated else None
        self._sync_level = settings.sync_level
        self._source = _source(settings, descriptor) if stimulated else "host"
        self._before_rows = settings.before_ms * 1e-3 * rate
        self._before_sharp = round(0.025 * rate)
        self._period_ns = 1e9 / rate
        self._threshold = settings.onset_threshold
        self._times = PulseTimes(rate)
        refractory = max(2, round(settings.refractory_ms * 1e-3 * rate))
        self._onsets = ArtifactOnsets(channels, settings.onset_threshold, refractory)
        self._sync_on = False

    def forget(self) -> None:
        """Rows are lost."""
        self._times.forget()

    def see(self, raw: Floats, array: npt.NDArray[Any], first: int) -> None:
        """Look for pulses in new rows: `raw` in µV, `array` as it came, `first` the row they begin with."""
        if self._source == "sync" and self._sync is not None:
            column, scale, offset = self._sync
            on = array[:, column] * scale + offset > self._sync_level
            for row in self._rises(on):
                # The line was seen to be up here: it rose within the sampling interval before.
                names = sorted(self._times.channel_at(first + row))
                self._add_pulse(JOINT.join(names), first + row - 0.5, _ROW_SD, 0.5)
        elif self._source == "artifact":
            for row, channel in self._onsets.find(raw):
                # Which stimulation channel it is, is told by when it comes, else by where it is seen most.
                name = self._times.train_at(first + row) or f"~{channel}"
                self._add_pulse(name, float(first + row), _ROW_SD, 0.5, _DOUBTS)
            for name, expected, number in self._times.expected(first + len(raw) - 3.0, 0.0):
                self._subtraction.add(expected, name, 0.0, number, 0.5, False)

    def hear(self, message: Pulses, row: float, rows: Rows, start: int) -> float:
        """Take in a pulse the host tells of.

        Parameters
        ----------
        row
            Where it fell.
        rows
            What is in hand.
        start
            First row that has not been used yet.

        Returns
        -------
        float
            First row that it had spoilt and that has been used; infinity where there is none.
        """
        half_width = message.uncertainty_ns / self._period_ns
        self._times.told(message.channel, row, message.current_ma)
        if self._source == "host":
            return self._hear_one(message, row, half_width, rows, start)
        if self._source == "sync":
            self._name(row, half_width, message)
        return math.inf

    def hear_currents(self, current_ma: Mapping[str, float]) -> None:
        """Hear what the stimulator gives on each channel from now on."""
        for channel, value in current_ma.items():
            self._times.set_current(channel, value)

    def foretell(self, end: int) -> bool:
        """Take the next pulses of steady trains for given; False where news of pulses must be waited for."""
        if self._source != "host":
            return True
        for channel, row, number in self._times.expected(end + self._before_rows):
            self._subtraction.add(row, channel, self._times.current_ma(channel), number, 0.5, False)
        return self._times.steady(end)

    def due(self, end: int, row: int) -> bool:
        """Whether a pulse is expected from row `end` on that would spoil `row`."""
        return self._source != "artifact" and self._times.due(end, row + self._before_rows + 0.5)

    def _rises(self, on: npt.NDArray[np.bool_]) -> list[int]:
        """Rows in which the trigger line went up."""
        before, count = self._sync_on, np.count_nonzero(on)
        self._sync_on = bool(on[-1])
        if count == (len(on) if before else 0):
            return []
        rising = on.copy()
        rising[1:] &= ~on[:-1]
        rising[0] &= not before
        rows: list[int] = np.flatnonzero(rising).tolist()
        return rows

    def _add_pulse(self, channel: str, row: float, sd: float, half_width: float, doubts: int = 0) -> None:
        known = self._times.observe(channel, row, sd, doubts)
        if known is None:
            # Perhaps something else, perhaps another train: what follows is no evidence, and nothing is learned of it.
            self._subtraction.add(row, STRAY, 0.0, 0, half_width, False)
            return
        refined, number = known
        for pulse in self._subtraction.pulses:
            if pulse[1] == channel and abs(pulse[0] - refined) <= 2.0:
                pulse[5] = True
                return
        current_ma = sum(self._times.current_ma(name) for name in channel.split(JOINT))
        self._subtraction.add(refined, channel, current_ma, number, half_width, True)

    def _hear_one(self, message: Pulses, row: float, half_width: float, rows: Rows, start: int) -> float:
        """Take in a pulse the host tells of; the first row it had spoilt unknown to us, infinity where none."""
        sd, width = half_width / math.sqrt(3.0), half_width
        if half_width > 0.5:
            reach = half_width + 1.0
            low, high = math.floor(row - reach) - rows.first, math.ceil(row + reach) + 1 - rows.first
            begin = max(0, low - self._before_sharp)
            if low >= max(begin, 1) and high < len(rows.raw):
                at, stands_out = sharpest(rows.raw[begin : high + 1], low - begin, high - begin)
                if stands_out > self._threshold:
                    row, sd, width = float(rows.first + begin + at), _ROW_SD, 0.5
        refined, number = self._times.observe(message.channel, row, sd) or (row, 0)
        for pulse in self._subtraction.pulses:
            names = pulse[1].split(JOINT)
            if message.channel in names and abs(pulse[0] - refined) <= max(2.0, 3.0 * half_width):
                pulse[5] = True
                if len(names) == 1:
                    pulse[2] = message.current_ma
                return math.inf
        spoilt = refined - self._before_rows - width
        if math.ceil(spoilt) < start:
            if self._subtraction.covered(refined, max(2.0, 3.0 * half_width)):
                return math.inf
            return float(math.ceil(spoilt))
        self._subtraction.add(refined, message.channel, message.current_ma, number, width, True)
        return math.inf

    def _name(self, row: float, half_width: float, message: Pulses) -> None:
        """Tell a pulse that the trigger line showed which channel and current it was of."""
        for pulse in self._subtraction.pulses:
            if abs(pulse[0] - row) > max(2.0, half_width + 1.0):
                continue
            if pulse[1] == message.channel:
                pulse[2] = message.current_ma
            elif message.channel not in pulse[1].split(JOINT):
                if not pulse[1]:
                    pulse[2] = 0.0
                self._subtraction.join(pulse, message.channel, message.current_ma)
                known = self._times.observe(pulse[1], pulse[0], _ROW_SD)
                if known is not None:
                    pulse[0], pulse[3] = known


def _source(settings: ArtifactSettings, descriptor: SampleDescriptor) -> str:
    has_sync = descriptor.sync_channel is not None
    if settings.pulses_from == "auto":
        return "sync" if has_sync else "host"
    if settings.pulses_from == "sync" and not has_sync:
        raise ValueError(
            f"{descriptor.topic}: artifact.pulses_from is 'sync', allowed only where a sync channel is declared"
        )
    return settings.pulses_from

"""A rig's streams for other programs, by the Lab Streaming Layer. Needs the extra ``lsl``.

Each stream becomes an outlet with its labels, units and type; events become one of markers. Values are physical, EMG in
microvolts as the field has it; masks of validity do not travel, so that a sample that must not be used looks like any
other. Stamps are those of our blocks, brought from this host's monotonic clock to LSL's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.acquisition.lsl import load_pylsl
from myoloop.platform.messages import Event, SampleDescriptor, Samples
from myoloop.platform.steps import Received

#: By the first part of a topic: LSL's type.
_TYPES = {"emg": "EMG", "imu": "IMU", "force": "Force"}
#: Units as XDF's description of EMG has them, and how many of them are one of ours.
_SPOKEN = {"V": ("microvolts", 1e6)}
#: Whole numbers up to 16 bits keep their value in a single float times a scale; wider ones need the double.
_SINGLE = frozenset({"<i2", "<f4"})
_BUFFER_S = 360


class LslOutlets:
    """Outlets of a rig's streams.

    Parameters
    ----------
    descriptors
        Of the streams.
    rig
        Its id; outlets are called ``<rig> <topic>``.
    session
        Session id: with the topic it is the outlet's ``source_id``.
    simulated
        Whether any part of the rig is; each outlet's name and description say so.
    lsl_minus_host_s
        What LSL's clock reads more than this host's monotonic one; measured if None.

    Attributes
    ----------
    names
        Of the outlets, by topic; ``event`` is the one of markers.
    samples, missing
        Sent, by topic; and of those that the source counted in between, how many never came here.

    Raises
    ------
    SourceError
        If pylsl is not installed.
    """

    def __init__(
        self,
        descriptors: Sequence[SampleDescriptor],
        *,
        rig: str,
        session: str,
        simulated: bool,
        lsl_minus_host_s: float | None = None,
    ) -> None:
        self._pylsl = load_pylsl()
        self._ahead_s = _clock_ahead_s(self._pylsl) if lsl_minus_host_s is None else lsl_minus_host_s
        stamp = " (SIMULATED)" if simulated else ""
        self._descriptors = {each.topic: each for each in descriptors}
        self._outlets: dict[str, Any] = {}
        self.samples: dict[str, int] = {}
        self.missing: dict[str, int] = {}
        self._next: dict[tuple[str, int], int] = {}
        self.names: dict[str, str] = {}
        for each in descriptors:
            self.names[each.topic] = f"{rig} {each.topic}{stamp}"
            info = self._info(each, self.names[each.topic], f"{session}/{each.topic}", simulated)
            self._outlets[each.topic] = self._pylsl.StreamOutlet(info, 0, _BUFFER_S)
        self.names["event"] = f"{rig} events{stamp}"
        marks = self._pylsl.StreamInfo(
            self.names["event"], "Markers", 1, 0.0, self._pylsl.cf_string, f"{session}/event"
        )
        marks.desc().append_child_value("simulated", "true" if simulated else "false")
        self._marks = self._pylsl.StreamOutlet(marks, 0, _BUFFER_S)

    def push(self, received: Received) -> None:
        """Send on a message, if it is a block of samples of one of the streams, or an event."""
        message = received.message
        if isinstance(message, Event):
            self._marks.push_sample([f"{message.kind}: {message.why}".rstrip(": ")], self._stamp_s(message.t_ns))
        elif isinstance(message, Samples) and received.array is not None and received.topic in self._outlets:
            if len(received.array) == 0:
                return
            key = (received.topic, received.epoch)
            missing = message.first_sample - self._next.get(key, message.first_sample)
            self.missing[received.topic] = self.missing.get(received.topic, 0) + max(0, missing)
            self._next[key] = message.first_sample + len(received.array)
            values = spoken_values(self._descriptors[received.topic], received.array)
            self._outlets[received.topic].push_chunk(values, self._stamp_s(message.t_ns))
            self.samples[received.topic] = self.samples.get(received.topic, 0) + len(values)

    def close(self) -> None:
        """Take the outlets away."""
        self._outlets.clear()
        self._marks = None

    def _stamp_s(self, t_ns: int) -> float:
        return t_ns * 1e-9 + self._ahead_s

    def _info(self, descriptor: SampleDescriptor, name: str, source_id: str, simulated: bool) -> Any:
        pylsl = self._pylsl
        kind = descriptor.topic.partition("/")[0]
        value = pylsl.cf_float32 if descriptor.dtype in _SINGLE else pylsl.cf_double64
        info = pylsl.StreamInfo(name, _TYPES[kind], len(descriptor.channels), descriptor.rate_hz, value, source_id)
        about = info.desc()
        about.append_child_value("manufacturer", descriptor.device)
        about.append_child_value("simulated", "true" if simulated else "false")
        about.append_child_value("mains_hz", f"{descriptor.mains_hz:g}")
        channels = about.append_child("channels")
        for label, unit in zip(descriptor.channels, descriptor.units, strict=True):
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("unit", _SPOKEN.get(unit, (unit, 1.0))[0])
            channel.append_child_value("type", "Trigger" if label == descriptor.sync_channel else _TYPES[kind])
        return info


def spoken_values(descriptor: SampleDescriptor, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Physical values in the units that the outlet tells, (n_samples, n_channels), rounded once."""
    factors = np.array([_SPOKEN.get(unit, (unit, 1.0))[1] for unit in descriptor.units])
    scale, offset = np.array(descriptor.scale) * factors, np.array(descriptor.offset) * factors
    values: npt.NDArray[np.float64] = array.astype(np.float64) * scale + offset
    return values.astype(np.float32) if descriptor.dtype in _SINGLE else values


def _clock_ahead_s(pylsl: Any) -> float:
    """What LSL's clock reads more than the host's: the reading with the least time between."""
    best: tuple[float, float] = (float("inf"), 0.0)
    for _ in range(20):
        before = time.monotonic_ns()
        there_s = pylsl.local_clock()
        after = time.monotonic_ns()
        best = min(best, ((after - before) * 1e-9, there_s - (before + after) * 0.5e-9))
    return best[1]

"""A stream of the Lab Streaming Layer: how most laboratories' amplifiers arrive. Needs the extra ``lsl``.

Samples keep the outlet's own format and its stamps. LSL itself loses nothing on the way (TCP, and buffers of minutes
on both sides), but would reconnect behind our back to an outlet that comes again and leave a hole nobody hears of:
that is switched off, and a lost outlet is an error. What was lost before LSL shows where the stream has a counter
channel.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from myoloop.acquisition.blocks import BlockMaker
from myoloop.acquisition.counter import CounterRule
from myoloop.acquisition.source import Block, Foreseen, Reading, SourceError, SourceMistake
from myoloop.acquisition.units import to_si
from myoloop.platform.clock import Clock, MonotonicClock
from myoloop.platform.messages import SampleDescriptor

_BUFFER_S = 360
_CHUNK_SAMPLES = 4096
#: LSL's channel format -> what it is read as, what it travels as. int64 is checked sample by sample.
_FORMATS = {
    1: ("<f4", "<f4"),
    2: ("<f8", "<f8"),
    4: ("<i4", "<i4"),
    5: ("<i2", "<i2"),
    6: ("<i1", "<i2"),
    7: ("<i8", "<f8"),
}
_EXACT_IN_DOUBLE = 1 << 53


@dataclass(frozen=True, slots=True)
class LslSettings:
    """Which stream, and what it carries.

    Attributes
    ----------
    name, type, source_id
        What the outlet calls itself; at least one, and together they must fit one stream only.
    kind
        What its `channels` are.
    channels
        Labels (``ch1``, ``ch2``, … where it gives none); all but those named below if empty.
    imu_channels
        Labels of accelerometer and gyroscope channels in the same stream.
    unit
        Of `channels`, where the stream's description does not say it.
    imu_unit
        The same of `imu_channels`.
    rate_hz
        Where the stream says that it has no regular one.
    counter_channel
        Label of a channel that counts samples; it travels with the others.
    counter_wrap, counter_step
        How it counts; a wrap of 0 means that it never begins anew.
    rail_low, rail_high
        Raw values at which the amplifier saturates.
    mains_hz
        Mains frequency here.
    block_ms
        Length of a block.
    timeout_s
        How long to look for the stream.
    silent_s
        The outlet is gone when nothing has come for so long.
    """

    name: str = ""
    type: str = ""
    source_id: str = ""
    kind: Literal["emg", "imu", "force"] = "emg"
    channels: tuple[str, ...] = ()
    imu_channels: tuple[str, ...] = ()
    unit: str = ""
    imu_unit: str = ""
    rate_hz: float | None = None
    counter_channel: str = ""
    counter_wrap: int = 0
    counter_step: int = 1
    rail_low: float | None = None
    rail_high: float | None = None
    mains_hz: float = 50.0
    block_ms: float = 10.0
    timeout_s: float = 10.0
    silent_s: float = 2.0


@dataclass(frozen=True, slots=True)
class _Channel:
    label: str
    unit: str


@dataclass(slots=True)
class _Stream:
    columns: list[int]
    descriptor: SampleDescriptor
    maker: BlockMaker


class LslSource:
    """An LSL inlet, as a source.

    Parameters
    ----------
    settings
        Which stream.
    name
        Of the node; its topics are ``<kind>/<name>`` and ``imu/<name>``.
    clock
        What blocks are stamped with.
    """

    Settings = LslSettings

    def __init__(self, settings: LslSettings, *, name: str, clock: Clock | None = None) -> None:
        self._settings = settings
        self._name = name
        self._clock = clock or MonotonicClock()
        self._inlet: Any = None
        self._streams: list[_Stream] = []
        self._buffer: npt.NDArray[Any] = np.zeros((0, 0))
        self._travels = ""
        self._block_samples = 1
        self._counter_column: int | None = None
        self._stamps = np.zeros(0)
        self._filled = 0
        self._heard = 0.0
        self._lost = False
        self._begun = False

    def open(self) -> tuple[SampleDescriptor, ...]:
        """Find the stream, connect to it and describe it."""
        pylsl = load_pylsl()
        found = self._resolve(pylsl)
        inlet = pylsl.StreamInlet(found, max_buflen=_BUFFER_S, recover=False)
        try:
            info = inlet.info(self._settings.timeout_s)
            descriptors = self.describe(info)
            inlet.open_stream(self._settings.timeout_s)
        except RuntimeError as error:  # of pylsl's lost and time-out errors
            raise self._error(f"found, but does not answer: {error}") from None
        self._inlet = inlet
        self._lost = self._begun = False
        return descriptors

    def foresee(self) -> Foreseen:
        """Whether it is said which stream; what that carries is known once it is found."""
        self._predicate()
        return Foreseen()

    def read(self, wait_s: float) -> list[Reading]:
        """A whole block as soon as there is one, and all that came with it; part of one only if its rest is overdue.

        The first reading begins: what the outlet has sent before is left out.
        """
        if self._inlet is None:
            raise self._error("not open")
        if self._lost:
            raise self._error("the outlet is gone")
        if not self._begun:
            self._begun = True
            self._inlet.flush()
            self._heard = time.monotonic()
        readings: list[Reading] = []
        wanted, timeout = self._block_samples - self._filled, max(0.0, wait_s)
        try:
            while self._pull(wanted, timeout) == wanted:
                if self._filled == len(self._buffer):
                    readings += self._blocks()
                wanted, timeout = len(self._buffer) - self._filled, 0.0
        except RuntimeError:
            # what was read before is handed over first
            self._lost = True
        silent_s = time.monotonic() - self._heard
        overdue = self._lost or silent_s > 2e-3 * self._settings.block_ms
        if self._filled >= self._block_samples or (self._filled and overdue):
            readings += self._blocks()
        if readings:
            self._heard = time.monotonic()
        elif self._lost:
            raise self._error("the outlet is gone")
        elif silent_s > self._settings.silent_s:
            raise self._error(f"nothing has come for {self._settings.silent_s:g} s")
        return readings

    def close(self) -> None:
        """Close the inlet."""
        inlet, self._inlet = self._inlet, None
        if inlet is not None:
            inlet.close_stream()
            del inlet

    def _predicate(self) -> str:
        """Which stream, as LSL wants to be asked."""
        wanted = {key: value for key in ("name", "type", "source_id") if (value := getattr(self._settings, key))}
        if not wanted:
            why = "none of name, type and source_id is set; which stream?"
            raise SourceMistake(str(self._error(why)), setting="name")
        for key, value in wanted.items():
            if "'" in value or '"' in value:
                why = f"{key}: found {value!r}, allowed is text without quotes"
                raise SourceMistake(str(self._error(why)), setting=key)
        return " and ".join(f"{key}='{value}'" for key, value in wanted.items())

    def _resolve(self, pylsl: Any) -> Any:
        settings = self._settings
        predicate = self._predicate()
        # for a second at first, so that a second stream that fits has time to answer too
        found = pylsl.resolve_bypred(predicate, 2, min(1.0, settings.timeout_s))
        if not found and settings.timeout_s > 1.0:
            found = pylsl.resolve_bypred(predicate, 1, settings.timeout_s - 1.0)
        if not found:
            others = sorted(f"{s.name()} ({s.type()})" for s in pylsl.resolve_streams(0.5))
            raise self._error(f"not found in {settings.timeout_s:g} s; there are: {', '.join(others) or 'none'}")
        if len({stream.uid() for stream in found}) > 1:
            names = ", ".join(sorted(f"{s.name()} (source_id {s.source_id()!r}, {s.hostname()})" for s in found))
            raise self._error(f"{len(found)} streams fit: {names}; say more")
        return found[0]

    def describe(self, info: Any) -> tuple[SampleDescriptor, ...]:
        """Make descriptors of what pylsl calls a StreamInfo, with its description.

        Raises
        ------
        SourceError
            If the stream and the settings do not fit.
        """
        settings = self._settings
        if info.channel_format() not in _FORMATS:
            raise self._error("carries text, numbers are needed")
        native, self._travels = _FORMATS[info.channel_format()]
        rate_hz = settings.rate_hz or info.nominal_srate()
        if not rate_hz > 0:
            raise self._error("says no regular rate; set rate_hz")
        channels = _channels(info)
        labels = [channel.label for channel in channels]
        rule = self._counter_rule(labels)
        chosen = settings.channels or [
            label for label in labels if label not in (*settings.imu_channels, settings.counter_channel)
        ]
        device = f"LSL {info.name()} ({info.type()}, source_id {info.source_id()!r}, {info.hostname()})"

        def stream(kind: str, wanted: Sequence[str], unit: str, setting: str, rails: bool) -> _Stream:
            columns = [self._column(labels, label) for label in wanted]
            si = [self._si(channels[column], unit, setting) for column in columns]
            if self._counter_column is not None:
                columns, si = [*columns, self._counter_column], [*si, ("1", 1.0)]
            descriptor = SampleDescriptor(
                topic=f"{kind}/{self._name}",
                rate_hz=rate_hz,
                dtype=self._travels,
                channels=tuple(labels[column] for column in columns),
                units=tuple(unit for unit, _ in si),
                scale=tuple(factor for _, factor in si),
                offset=(0.0,) * len(si),
                rail_low=settings.rail_low if rails else None,
                rail_high=settings.rail_high if rails else None,
                mains_hz=settings.mains_hz,
                device=device,
            )
            return _Stream(columns, descriptor, BlockMaker(descriptor.topic, rule))

        self._streams = [stream(settings.kind, chosen, settings.unit, "unit", rails=True)]
        if settings.imu_channels:
            if settings.kind == "imu":
                raise self._error("imu_channels: found beside kind imu; name all of them in channels")
            self._streams.append(stream("imu", settings.imu_channels, settings.imu_unit, "imu_unit", rails=False))
        self._block_samples = min(_CHUNK_SAMPLES, max(1, int(rate_hz * settings.block_ms / 1e3 + 1e-9)))
        self._buffer = np.zeros((_CHUNK_SAMPLES, len(labels)), native)
        self._stamps, self._filled = np.zeros(_CHUNK_SAMPLES), 0
        return tuple(stream.descriptor for stream in self._streams)

    def _counter_rule(self, labels: Sequence[str]) -> CounterRule | None:
        settings = self._settings
        self._counter_column = None
        if not settings.counter_channel:
            return None
        self._counter_column = self._column(labels, settings.counter_channel)
        try:
            return CounterRule(settings.counter_wrap or settings.counter_step << 40, settings.counter_step)
        except ValueError as error:
            raise self._error(str(error)) from None

    def _column(self, labels: Sequence[str], label: str) -> int:
        if labels.count(label) != 1:
            how = "twice" if label in labels else "not"
            raise self._error(f"channel {label!r} is {how} in the stream, which has: {', '.join(labels)}")
        return labels.index(label)

    def _si(self, channel: _Channel, given: str, setting: str) -> tuple[str, float]:
        unit = given or channel.unit
        if not unit:
            raise self._error(f"channel {channel.label!r} has no unit in the stream's description; set {setting}")
        try:
            return to_si(unit)
        except ValueError as error:
            raise self._error(f"channel {channel.label!r}: {error}; or set {setting}") from None

    def _pull(self, wanted: int, timeout_s: float) -> int:
        """Fetch at most so many samples behind those that are held already."""
        room = self._buffer[self._filled :]
        _, stamps = self._inlet.pull_chunk(timeout_s, wanted, dest_obj=room)
        self._stamps[self._filled : self._filled + len(stamps)] = stamps
        self._filled += len(stamps)
        return len(stamps)

    def _blocks(self) -> list[Block]:
        """Make blocks of what is held."""
        t_ns = self._clock.now_ns()
        rows, stamps = self._buffer[: self._filled], self._stamps[: self._filled].copy()
        self._filled = 0
        if rows.dtype == np.int64 and np.abs(rows).max(initial=0) > _EXACT_IN_DOUBLE:
            raise self._error("a 64-bit count beyond 2^53 cannot be carried exactly")
        counts = None if self._counter_column is None else rows[:, self._counter_column].astype(np.float64)
        blocks: list[Block] = []
        for stream in self._streams:
            # a copy: the buffer is written again by the next pull
            array = np.array(rows[:, stream.columns], dtype=self._travels, order="C")
            blocks += stream.maker.make(array, t_ns, stamps, counts)
        return blocks

    def _error(self, why: str) -> SourceError:
        settings = self._settings
        what = settings.name or settings.source_id or settings.type
        return SourceError(f"lsl stream {what!r}: {why}")


def load_pylsl() -> Any:
    """The library.

    Raises
    ------
    SourceError
        If it is not installed, or cannot be loaded.
    """
    try:
        import pylsl
    except ImportError:
        raise SourceError("lsl: pylsl is not installed; pip install 'myoloop[lsl]'") from None
    except RuntimeError as error:
        raise SourceError(f"lsl: its native library cannot be loaded: {str(error).splitlines()[0]}") from None
    return pylsl


def _channels(info: Any) -> list[_Channel]:
    """Labels and units from the stream's description, as far as it gives them."""
    channels = []
    node = info.desc().child("channels").child("channel")
    for number in range(1, info.channel_count() + 1):
        label = node.child_value("label") if not node.empty() else ""
        unit = node.child_value("unit") if not node.empty() else ""
        channels.append(_Channel(label or f"ch{number}", unit))
        node = node.next_sibling("channel")
    return channels

"""A recording played as if it were live.

The samples are those of the file, in a dtype of their own where it travels. The pace is the file's nominal rate on
the clock that is given: the host's, with absolute deadlines, or a virtual one in lockstep, where each reading hands
over what is due at the virtual time. A block is stamped with the time at which its newest sample was due, so that a
reader who comes late sees its age; nothing is skipped, however late.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from myoloop.acquisition.formats import FormatError
from myoloop.acquisition.mapping import load_mapping
from myoloop.acquisition.recorded import RecordedStream, read_recording
from myoloop.acquisition.source import Block, Ended, Foreseen, Reading, SourceError, SourceMistake
from myoloop.platform.clock import Clock, MonotonicClock
from myoloop.platform.messages import SampleDescriptor
from myoloop.platform.yamlfile import FileError

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PlaybackSettings:
    """What is played.

    Attributes
    ----------
    file
        The recording.
    mapping
        Its mapping file; empty for a file that says itself what its EMG is.
    block_ms
        Length of a block.
    """

    file: str
    mapping: str = ""
    block_ms: float = 10.0

    def __post_init__(self) -> None:
        if not 1.0 <= self.block_ms <= 1000.0:
            raise ValueError(f"block_ms: found {self.block_ms}, allowed 1 to 1000")


class PlaybackSource:
    """A recording, as a source.

    Time begins with the first reading; the first block is due one block later.

    Parameters
    ----------
    settings
        What is played.
    name
        Of the node; its topics are ``emg/<name>``, ``imu/<name>``, ``force/<name>``.
    clock
        What it is played by.
    """

    Settings = PlaybackSettings

    def __init__(self, settings: PlaybackSettings, *, name: str, clock: Clock | None = None) -> None:
        self._settings = settings
        self._name = name
        self._clock = clock or MonotonicClock()
        self._block_ns = round(settings.block_ms * 1e6)
        self._tracks: list[_Track] = []
        self._begin_ns: int | None = None
        self._blocks = 0

    def open(self) -> tuple[SampleDescriptor, ...]:
        """Read the file and describe its streams."""
        streams = self._streams()
        self._tracks = [_Track(stream) for stream in streams]
        self._begin_ns, self._blocks = None, 0
        return tuple(stream.descriptor for stream in streams)

    def foresee(self) -> Foreseen:
        """Read the file, play nothing."""
        descriptors = tuple(stream.descriptor for stream in self._streams())
        made_up = bool(self._settings.mapping) and load_mapping(self._settings.mapping).simulated
        return Foreseen("simulated" if made_up else "recorded", descriptors)

    def read(self, wait_s: float) -> list[Reading]:
        """The blocks that are due, waiting for the next one at most `wait_s`; `Ended` with the last and ever after."""
        if not self._tracks:
            raise SourceError(f"{self._settings.file}: not open")
        now_ns = self._clock.now_ns()
        if self._begin_ns is None:
            self._begin_ns = now_ns
        due_ns = self._begin_ns + (self._blocks + 1) * self._block_ns
        pause_ns = min(due_ns - now_ns, round(wait_s * 1e9))
        if pause_ns > 0 and any(track.left for track in self._tracks):
            time.sleep(pause_ns / 1e9)
            now_ns = self._clock.now_ns()
        readings: list[Reading] = []
        while due_ns <= now_ns and any(track.left for track in self._tracks):
            self._blocks += 1
            for track in self._tracks:
                readings += track.until(self._blocks * self._block_ns, self._begin_ns)
            due_ns += self._block_ns
        if not any(track.left for track in self._tracks):
            readings.append(Ended(f"{self._settings.file}: at its end"))
        return readings

    def close(self) -> None:
        """Let go of the recording."""
        self._tracks = []

    def _streams(self) -> tuple[RecordedStream, ...]:
        settings = self._settings
        if not settings.file:
            raise SourceMistake("found '', a file is needed", setting="file")
        for setting, path in (("file", settings.file), ("mapping", settings.mapping)):
            if path and not Path(path).exists():
                raise SourceMistake(f"{path}: no such file", setting=setting)
        try:
            return read_recording(settings.file, settings.mapping or None, name=self._name)
        except FileError as error:
            raise SourceMistake(*error.problems) from None
        except FormatError as error:
            raise SourceMistake(str(error)) from None


class _Track:
    """Where one stream stands."""

    def __init__(self, stream: RecordedStream) -> None:
        self._stream = stream
        self._rate = Fraction(stream.descriptor.rate_hz)
        self._at = 0

    @property
    def left(self) -> bool:
        return self._at < len(self._stream.array)

    def until(self, elapsed_ns: int, begin_ns: int) -> list[Block]:
        """The block of the samples up to a time since the beginning, if there is any; sample k is due at (k+1)/rate."""
        begin = self._at
        end = min(len(self._stream.array), int(self._rate * elapsed_ns / _SECOND_NS))
        if end <= begin:
            return []
        self._at = end
        t_ns = begin_ns + round(end * _SECOND_NS / self._rate)
        stamp_s = float(end / self._rate)
        return [Block(self._stream.descriptor.topic, begin, t_ns, self._stream.array[begin:end], stamp_s)]

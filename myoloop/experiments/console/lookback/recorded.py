"""A recorded attempt, opened to be looked at: bins of any stretch at any zoom, and what was decided at a moment.

A stretch of some seconds is read from the recording itself, so that it shows every sample, and shows at once what no
overview has been made of yet; anything longer comes from the overview.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache, partial
from threading import Lock
from typing import Any, Final

import msgspec
import numpy as np

from myoloop.experiments.analysis.reading import Recording
from myoloop.experiments.console.lookback.overview import Lane, Overview, read_overview
from myoloop.experiments.console.lookback.pyramid import Bins, Column, bin_values, look
from myoloop.experiments.index.cache import Look, look_at
from myoloop.experiments.index.study import attempt_folder
from myoloop.experiments.studies.blindness import was_blinded
from myoloop.platform import wire
from myoloop.platform.errors import UserError
from myoloop.platform.messages import Estimate, Message, Phase, StimReport, StimRequest
from myoloop.platform.recording.folder import AttemptPlace
from myoloop.platform.recording.seek import SeekableRecording

#: The longest stretch that is read from the recording itself.
DIRECT_S: Final = 10.0
#: As many bins as any screen has columns of pixels, and more.
MOST_BINS: Final = 4096
#: What is told of a moment, each the newest by then.
DECIDED: Final[dict[str, type[Message]]] = {
    "estimate": Estimate, "request": StimRequest, "report": StimReport, "phase": Phase,
}  # fmt: skip
_VOLT_AS_UV = 1e6


class NotMadeYet(UserError):
    """So long a stretch needs an overview, and there is none yet."""


class Recorded:
    """One attempt.

    Parameters
    ----------
    opened
        Of a blinded session: whether who looks may see what tells the arm.

    Raises
    ------
    RecordingError
        If there is no recording, or it is damaged.
    """

    def __init__(self, place: AttemptPlace, looks: tuple[Look, ...], *, opened: bool = False) -> None:
        self.place, self.attempt = place, attempt_folder(place)
        self._file = SeekableRecording.open(self.attempt)
        self._recording = Recording(self._file)
        self.blinded = was_blinded(self._file.metadata, place.study)
        #: Whether everything that was recorded may be shown.
        self.whole = opened or not self.blinded
        self._looks, self._opened = looks, opened and self.blinded
        self._overview: Overview | None = None
        # The file's pieces are kept unpacked in one place; pages ask in several threads.
        self._lock = Lock()

    @property
    def end_s(self) -> float:
        """When its last message was recorded."""
        pieces = self._file.pieces
        return (max(each.last_ns for each in pieces) - self._recording.zero_ns) * 1e-9 if pieces else 0.0

    @property
    def overview(self) -> Overview | None:
        """What was made of it, once it was made."""
        if self._overview is None:
            self._overview = read_overview(self.place, self._looks, opened=self._opened)
        return self._overview

    def lanes(self) -> tuple[Lane, ...]:
        """What can be drawn now: without an overview the sample streams alone, and of a blinded session nothing."""
        if not self.whole:
            return ()
        if self.overview is not None:
            return self.overview.facts.lanes
        return tuple(
            Lane(name=topic, columns=each.channels, units=each.units, begin_s=0.0, widths_s=())
            for topic, each in self._file.descriptors.items()
        )

    def bins(self, name: str, from_s: float, to_s: float, n: int) -> tuple[Bins, np.ndarray[Any, np.dtype[np.bool_]]]:
        """Bins of a lane from one time to another, volts as µV; and which of them hold samples that are not valid.

        Raises
        ------
        NotMadeYet
            If so long a stretch needs an overview.
        UserError
            If there is no such lane, or the stretch is none.
        """
        lane = next((each for each in self.lanes() if each.name == name), None)
        if lane is None:
            raise UserError(f"lane: found {name[:64]!r}, there is: {', '.join(x.name for x in self.lanes()) or 'none'}")
        if not (np.isfinite([from_s, to_s]).all() and from_s < to_s <= from_s + 86_400.0 and 0 < n <= MOST_BINS):
            raise UserError(f"stretch: found {from_s} to {to_s} s in {n}, allowed are times in order, {MOST_BINS} bins")
        levels = self.overview.levels[name] if self.overview is not None else ()
        is_stream = name in self._file.descriptors
        if is_stream and to_s - from_s <= DIRECT_S and (not levels or (to_s - from_s) / n < levels[0].width_s):
            found, invalid = self._read(name, from_s, to_s, n)
        elif not levels:
            raise NotMadeYet(f"{name}: {to_s - from_s:.0f} s need an overview, which is not made yet")
        else:
            found = look(levels, from_s, to_s, n)
            invalid = np.zeros(found.low.shape, np.bool_)
        factor = np.array([_VOLT_AS_UV if unit == "V" else 1.0 for unit in lane.units], np.float32)
        return Bins(found.begin_s, found.width_s, found.low * factor, found.high * factor), invalid

    def decided_at(self, t_s: float, names: Collection[str] = tuple(DECIDED)) -> dict[str, dict[str, Any]]:
        """The newest estimate, request, verdict and phase at a moment, as they were recorded; those that there are.

        Raises
        ------
        UserError
            If the session is blinded: what was estimated and asked for follows what the muscle did.
        """
        if not self.whole:
            raise UserError("blinded: what was decided at a moment is not shown")
        t_ns = self._recording.zero_ns + round(t_s * 1e9)
        told = {}
        with self._lock:
            for name in names:
                message = self._newest(name, t_ns)
                if message is not None:
                    told[name] = msgspec.to_builtins(message)
                    told[name]["t_s"] = (told[name]["t_ns"] - self._recording.zero_ns) * 1e-9
        return told

    # -- inside ------------------------------------------------------------------------------------------------

    def _read(self, name: str, from_s: float, to_s: float, n: int) -> tuple[Bins, np.ndarray[Any, np.dtype[np.bool_]]]:
        with self._lock:
            stretch = self._recording.streams[name].seconds(from_s, to_s)
        width_s = (to_s - from_s) / n

        def binned(values: Any) -> Bins:
            columns: list[Column] = [partial(np.take, values, at, axis=1) for at in range(values.shape[1])]
            return bin_values(stretch.t_s, columns, from_s, width_s, n)

        found = binned(stretch.values)
        bad = ~stretch.valid
        invalid = binned(bad.astype(np.float32)).high > 0 if bad.any() else np.zeros(found.low.shape, np.bool_)
        return found, invalid

    def _newest(self, topic: str, t_ns: int) -> Message | None:
        pieces = self._file.pieces
        for number in reversed(self._file.pieces_with(topic)):
            if pieces[number].first_ns > t_ns:
                continue
            newest = None
            for found in self._file.in_piece(number, (topic,)):
                if found.log_time_ns <= t_ns and (newest is None or found.log_time_ns >= newest.log_time_ns):
                    newest = found
            if newest is not None:
                _, message, _ = wire.read_record(newest.topic, newest.record)
                return message if isinstance(message, DECIDED[topic]) else None
        return None


def recorded(place: AttemptPlace, *, opened: bool = False) -> Recorded:
    """Open an attempt; the last few stay open as long as their files are the same.

    Raises
    ------
    RecordingError
        If there is no recording, or it is damaged.
    UserError
        If there is no such attempt.
    """
    attempt = attempt_folder(place)
    if not attempt.is_dir():
        raise UserError(f"{attempt.relative_to(place.study)}: there is no such session")
    return _kept(place, look_at(attempt), opened)


@lru_cache(maxsize=4)
def _kept(place: AttemptPlace, looks: tuple[Look, ...], opened: bool) -> Recorded:
    return Recorded(place, looks, opened=opened)

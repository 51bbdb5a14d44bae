"""Open a recording for analysis: what is in it is read when it is asked for.

>>> recording = load("study/sub-P017/ses-03/att-1")                                         # doctest: +SKIP
>>> recording.streams["emg"].seconds(60.0, 61.0).values                                     # doctest: +SKIP
>>> recording.events[["t_s", "kind", "why"]]                                                # doctest: +SKIP

Time is seconds since the first phase message (without one: since the first sample), on the recording host's monotonic
clock. What an estimator called not valid has no value in any table, and the reason beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myoloop.experiments.analysis import frames, gather
from myoloop.experiments.analysis.lazy import Stream
from myoloop.experiments.analysis.session import Session, was_recovered
from myoloop.experiments.analysis.session import load as load_whole
from myoloop.experiments.origins import Origins, origins_in
from myoloop.platform.messages import Phase
from myoloop.platform.recording.folder import place_of
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.seek import SeekableRecording

if TYPE_CHECKING:
    import mne
    import pandas as pd


class Streams(Mapping[str, Stream]):
    """The sample streams of a recording, by topic (``emg/amplifier``), or by kind (``emg``) where there is one such."""

    def __init__(self, streams: Mapping[str, Stream]) -> None:
        self._streams = dict(streams)

    def __getitem__(self, name: str) -> Stream:
        found = [stream for topic, stream in self._streams.items() if name in (topic, topic.partition("/")[0])]
        if len(found) == 1:
            return found[0]
        if found:
            raise KeyError(f"{name!r} is any of {', '.join(stream.topic for stream in found)}")
        raise KeyError(f"no stream {name!r}; there are: {', '.join(self._streams) or 'none'}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._streams)

    def __len__(self) -> int:
        return len(self._streams)


class Recording:
    """One session attempt; made by :func:`load`.

    Attributes
    ----------
    path
        The session file.
    metadata
        What the session says of itself.
    streams
        Its sample streams: ``streams["emg"]`` is read where it is sliced.
    """

    def __init__(self, opened: SeekableRecording) -> None:
        self._opened = opened
        self.path = opened.path
        self.metadata = opened.metadata
        self.streams = Streams(
            {topic: Stream(opened, each, lambda: self.zero_ns) for topic, each in opened.descriptors.items()}
        )

    def __repr__(self) -> str:
        simulated = {True: "simulated", False: "of a person", None: "simulated or not: unknown"}[self.simulated]
        return f"<session {self.session_id} of {self.person or 'nobody named'}, {simulated}, {self.status}>"

    # -- what it is -------------------------------------------------------------------------------------------------

    @property
    def session_id(self) -> str:
        """As in the heads of all messages."""
        return self._opened.session

    @property
    def person(self) -> str:
        """The pseudonym; empty where nothing says it."""
        place = place_of(self.path)
        return self.metadata.get("subject") or (place.subject if place else "")

    @property
    def simulated(self) -> bool | None:
        """Whether any part of it was; None where a cut file does not say."""
        return self._opened.simulated

    @property
    def origins(self) -> Origins | None:
        """Which parts were simulated; None where the record does not say so part by part."""
        return origins_in(self.metadata)

    @cached_property
    def status(self) -> str:
        """How its file ends.

        ``complete``: the session went to its end; ``interrupted``: the file has its end, the session was stopped,
        aborted or ended by a fault; ``incomplete``: the file was cut, and there is what had been written by then;
        ``recovered``: it was cut and made whole by `recover`. As in the index of a study, which also checks it.
        """
        if not self._opened.complete:
            return "incomplete"
        if was_recovered(self.path.parent):
            return "recovered"
        return "complete" if self._opened.outcome == "complete" else "interrupted"

    @property
    def outcome(self) -> str:
        """``complete``, ``stopped``, ``aborted``, ``fault`` or ``interrupted``; empty where nothing says it."""
        return self._opened.outcome or self._last_phase_said("outcome")

    @property
    def reason(self) -> str:
        """Why it ended; empty where nothing says it."""
        return self._opened.reason or self._last_phase_said("reason")

    @cached_property
    def zero_ns(self) -> int:
        """Host monotonic time of the session's 0 s."""
        for received, _ in self._opened.messages({"phase"}):
            if isinstance(received.message, Phase):
                return received.message.t_ns
        firsts = [first_ns for stream in self.streams.values() if (first_ns := stream.first_ns) is not None]
        return min(firsts) if firsts else self._whole.zero_ns

    # -- tables -----------------------------------------------------------------------------------------------------

    @cached_property
    def events(self) -> pd.DataFrame:
        """What happened once: ``t_s``, ``kind``, ``who``, ``why``, ``values`` (a dict)."""
        return frames.events(self._some("event"))

    @cached_property
    def forms(self) -> pd.DataFrame:
        """Answers, one row each: ``t_s``, ``form``, ``who``, ``field``, ``value``."""
        return frames.forms(self._some("event"))

    @cached_property
    def estimates(self) -> pd.DataFrame:
        """What the controller believed, one row per estimate and muscle.

        ``t_s``, ``step``, ``muscle``, ``level_uv``, and of each measure (``fatigue``, ``spasm``, ``effort``, …) the
        value where it was valid, ``<measure>_low`` and ``_high`` of its interval, and ``<measure>_why_not``.
        """
        return frames.estimates(self._some("estimate"))

    @cached_property
    def motion(self) -> pd.DataFrame:
        """The same of the joint with the IMU."""
        return frames.motion(self._some("estimate"))

    @cached_property
    def decisions(self) -> pd.DataFrame:
        """What the controller asked for, one row per request and channel; one without channels where it asked for none.

        ``t_s``, ``step``, ``channel``, ``current_ma``, ``phase_us``, ``rate_hz``, ``lease_ms``, ``reason``.
        """
        return frames.decisions(self._opened, self.zero_ns)

    @cached_property
    def reports(self) -> pd.DataFrame:
        """The gate's verdicts and what the stimulator acknowledged, one row per report and channel.

        ``t_s``, ``step``, ``state``, ``channel``, ``asked_ma``, ``allowed_ma``, ``acknowledged_ma``, ``phase_us``,
        ``rate_hz``, ``rule``, ``latched``, ``session_charge_mc``.
        """
        return frames.reports(self._some("report"))

    @cached_property
    def device(self) -> pd.DataFrame:
        """What the stimulator said of itself: ``t_s``, ``connected``, ``identity``, ``faults``."""
        return frames.device(self._opened, self.zero_ns)

    @cached_property
    def pulses(self) -> pd.DataFrame:
        """Delivered pulses by the best account there is.

        ``channel``, ``t_s``, ``current_ma``, ``phase_us``, ``charge_uc``, ``known_by``, ``uncertainty_ms``. Of a
        blinded session they are the nominal ones.
        """
        return frames.pulses(self._some("pulse", "truth"))

    @cached_property
    def phases(self) -> pd.DataFrame:
        """Phases of the protocol: ``number``, ``name``, ``kind``, ``begin_s``, ``end_s``."""
        return frames.phases(self._some("phase"))

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial: ``kind``, ``name``, ``block``, ``trial``, ``outcome``, times, and what each has told."""
        return frames.trials(self._some("trial"))

    @cached_property
    def truth(self) -> pd.DataFrame:
        """What a virtual subject knew of itself: ``t_s``, ``what``, ``name``, ``value``; empty where a person was."""
        return frames.truth(self._some("truth"))

    # -- other programs ---------------------------------------------------------------------------------------------

    def to_mne(self, stream: str = "emg", *, segment: int | None = None, pulses: bool = True) -> mne.io.BaseRaw:
        """A stream as ``mne.io.Raw`` with annotations; see :func:`myoloop.experiments.analysis.mne_raw.raw_of`.

        Channels of EMG are of type ``emg``: say ``picks="emg"`` to MNE, which picks none of them by default.

        Parameters
        ----------
        segment
            Which stretch, from 1, of a stream whose clock jumped or whose source restarted.
        pulses
            Annotate every delivered pulse, its parameters as extras.

        Raises
        ------
        RecordingError
            If the stream has several stretches and none is named, or it is empty.
        """
        from myoloop.experiments.analysis.mne_raw import raw_of

        return raw_of(self._whole, [self._stretch(stream, segment)], pulses=pulses)

    def mne_epochs(
        self,
        stream: str = "emg",
        *,
        channel: str | None = None,
        segment: int | None = None,
        tmin_s: float = -0.005,
        tmax_s: float = 0.05,
    ) -> mne.Epochs:
        """``mne.Epochs`` around delivered pulses, for M-waves; see :mod:`myoloop.experiments.analysis.mne_epochs`.

        Raises
        ------
        RecordingError
            If there is no pulse, or as :meth:`to_mne`.
        """
        from myoloop.experiments.analysis.mne_epochs import epochs_around_pulses

        track = self._stretch(stream, segment)
        return epochs_around_pulses(self._whole, track, channel=channel, tmin_s=tmin_s, tmax_s=tmax_s)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _stretch(self, stream: str, segment: int | None) -> Any:
        from myoloop.experiments.exports.opened import cut

        topic = self.streams[stream].topic
        parts = cut(self._whole.samples[topic])
        if not parts:
            raise RecordingError(f"{self.path}: {topic} has no samples")
        if segment is None and len(parts) > 1:
            why = ", ".join(
                f"{part.number}: {part.segment.length_s:.1f} s, begins by {part.segment.cause}" for part in parts
            )
            raise RecordingError(f"{self.path}: {topic} is in {len(parts)} stretches, name one by segment= ({why})")
        number = 1 if segment is None else segment
        if not 1 <= number <= len(parts):
            raise RecordingError(f"{self.path}: {topic}: segment: found {number}, allowed is 1 to {len(parts)}")
        return parts[number - 1].track

    @cached_property
    def _whole(self) -> Session:
        return load_whole(self.path)

    def _some(self, *names: str) -> gather.Gathered:
        got = gather.gather(self._opened, names)
        got.zero_ns = self.zero_ns
        return got

    def _last_phase_said(self, what: str) -> str:
        phases = self._some("phase").phases
        return str(getattr(phases[-1], what)) if phases else ""


def load(path: Path | str) -> Recording:
    """Open a recording; a cut or interrupted one too, and :attr:`Recording.status` says which it is.

    Parameters
    ----------
    path
        Session file or the folder of its attempt.

    Raises
    ------
    RecordingError
        If there is none, it is damaged, or it stops before it says which session it is.
    """
    return Recording(SeekableRecording.open(path))

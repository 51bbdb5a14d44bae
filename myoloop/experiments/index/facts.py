"""What one recording says of itself and what was measured of it: everything of the index that its content determines.

Nothing here depends on whose folder it stands in, on other sessions, or on when it was read; so it can be kept as long
as the content is the same. No field holds, or follows from, what a blinded session really gave.
"""

from __future__ import annotations

from typing import Literal

import msgspec

#: Of an attempt; see docs/index_of_a_study.md.
Status = Literal["complete", "interrupted", "incomplete", "recovered", "refused"]
#: Whose data it is.
Population = Literal["person", "simulated", "neither", "unknown"]


class SegmentFact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stretch of a stream with one clock; seconds from the session's 0 s, see :mod:`.segments`."""

    begin_s: float
    end_s: float
    samples: int
    cause: str
    step_s: float | None


class StreamFact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sample stream.

    Attributes
    ----------
    rate_hz, measured_hz, rate_error_percent
        Nominal; by the host's clock, within segments; None where less than 2 s are there.
    jitter_p99_ms
        99th percentile of how far a block's stamp lies from an even clock of the measured rate.
    lost_samples, gaps, longest_gap_s
        Missing by the source's own count.
    lost_messages
        Missing by their numbers.
    invalid_percent
        Of the values; None in a blinded session, where artifacts of stimulation would tell the arm.
    segments
        See :mod:`.segments`.
    """

    topic: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    rate_hz: float
    samples: int
    measured_hz: float | None
    rate_error_percent: float | None
    jitter_p99_ms: float | None
    lost_samples: int
    lost_percent: float
    gaps: int
    longest_gap_s: float
    lost_messages: int
    invalid_percent: float | None
    segments: tuple[SegmentFact, ...]


class Exclusion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a session, or one stream of it, is not to be used without a person's decision.

    Attributes
    ----------
    code
        One word, such as ``wrong_unit``.
    what
        ``session``, or the stream's topic.
    reason
        One line.
    """

    code: str
    what: str
    reason: str


class SessionFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One attempt.

    Attributes
    ----------
    status, reason
        See docs/index_of_a_study.md; why it was refused, else how it ended.
    outcome
        As the end record says; empty without one.
    subject
        The pseudonym it was recorded under.
    wall_start
        UTC; None where it is not known, as under a virtual clock.
    population, origin
        Whose data it is; which parts were simulated, in words.
    blinded
        Whether what was given is sealed.
    virtual_clock
        Whether it ran in lockstep, where no latency is measured.
    verified, head
        As `verify` finds it (``good``, ``incomplete``, ``damaged``, empty where it could not be looked at); head of its
        chain.
    unverified_bytes
        Tail of a file without an end that nothing vouches for.
    salvaged
        Of a damaged file that was recovered stream by stream: per topic what was kept and lost, in words.
    lost_messages
        By topic, of all streams that miss any.
    latency_ms
        As :func:`myoloop.experiments.analysis.latency.percentiles` tells them, by leg.
    exclusions
        What its content alone excludes.
    """

    status: Status
    reason: str = ""
    outcome: str = ""
    session: str = ""
    subject: str = ""
    protocol: str = ""
    wall_start: str | None = None
    duration_s: float = 0.0
    population: Population = "unknown"
    origin: str = ""
    blinded: bool = False
    virtual_clock: bool = False
    verified: str = ""
    head: str = ""
    unverified_bytes: int = 0
    salvaged: dict[str, str] = {}
    streams: tuple[StreamFact, ...] = ()
    lost_messages: dict[str, int] = {}
    latency_ms: dict[str, dict[str, float | int | None]] = {}
    exclusions: tuple[Exclusion, ...] = ()


def refused(
    reason: str, *, session: str = "", subject: str = "", protocol: str = "", verified: str = ""
) -> SessionFacts:
    """Facts of an attempt that cannot be used at all."""
    return SessionFacts(
        status="refused",
        reason=" ".join(reason.split()),
        session=session,
        subject=subject,
        protocol=protocol,
        verified=verified,
    )

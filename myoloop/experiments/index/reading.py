"""The facts of one attempt, read from its files; whatever is wrong with it becomes its facts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from myoloop.experiments.index.exclusions import of_content
from myoloop.experiments.index.facts import Exclusion, Population, SessionFacts, Status, refused
from myoloop.experiments.index.heard import Heard
from myoloop.experiments.origins import origins_in
from myoloop.platform.recording.layout import SESSION_FILE, RecordingError
from myoloop.platform.recording.manifest import MANIFEST_FILE, read_manifest
from myoloop.platform.recording.verify import Verification, verify


def read_facts(attempt: Path) -> SessionFacts:
    """Read a recording once, from its first byte to its last.

    Raises
    ------
    RecordingError
        If there is no recording in it, or it cannot be read at all.
    """
    if not (attempt / SESSION_FILE).is_file():
        raise RecordingError(f"no {SESSION_FILE} in it: nothing was recorded, or it was taken away")
    heard = Heard()
    found = verify(attempt, heard.take)
    metadata = heard.metadata
    session, subject, protocol = (metadata.get(key, "") for key in ("session", "subject", "protocol"))
    if metadata.get("origin") == "imported" and "sha256.protocol.yaml" not in metadata:
        protocol = ""  # what stands there says that it was imported
    problem = _problem(found, heard)
    if problem:
        return refused(problem, session=session, subject=subject, protocol=protocol, verified=found.status)
    population, origin, unusable = _origin(metadata)
    unusable = (*unusable, *_cut_since(attempt, found))
    blinded = metadata.get("blinded") == "true"
    zero_ns, lost = heard.zero_ns, heard.lost_messages()
    streams = tuple(
        tally.facts(zero_ns, lost.get(topic, 0), blinded=blinded) for topic, tally in sorted(heard.tallies.items())
    )
    return SessionFacts(
        status=_status(found),
        reason=found.reason,
        outcome=found.outcome,
        session=session,
        subject=subject,
        protocol=protocol,
        wall_start=_wall_start(metadata.get("wall_start_ns", "")),
        duration_s=round(heard.duration_s, 3),
        population=population,
        origin=origin,
        blinded=blinded,
        virtual_clock=heard.virtual_clock,
        verified=found.status,
        head=found.head,
        unverified_bytes=found.unverified_tail_bytes,
        salvaged=dict(heard.salvaged),
        streams=streams,
        lost_messages=lost,
        latency_ms=heard.latency_ms(blinded=blinded),
        exclusions=(*unusable, *of_content(streams, heard.tallies, heard.clock, zero_ns)),
    )


def _problem(found: Verification, heard: Heard) -> str:
    """Why nothing of it is used; empty where something is."""
    if found.status == "damaged":
        first = found.problems[0]
        more = f" (and {len(found.problems) - 1} more)" if len(found.problems) > 1 else ""
        return f"damaged: byte {first.offset}: {first.what}{more}"
    if heard.problem:
        return f"cannot be read: {heard.problem}"
    if "session" not in heard.metadata:
        return "stops before it says which session it is" if found.bytes else "is empty"
    return ""


def _cut_since(attempt: Path, found: Verification) -> tuple[Exclusion, ...]:
    """A file that stops, and of which the manifest proves that it once had its end: part of it was lost since."""
    manifest = read_manifest(attempt) if found.status == "incomplete" else None
    if manifest is None:
        return ()
    there = found.records + found.unverified_tail_records
    lost = 100.0 * (1.0 - there / manifest.records) if manifest.records > there else 0.0
    # A file that lost its end alone is told as such, not as 0 %.
    said = f"lost {lost:.2g} % of the records" if lost >= 0.1 else "lost the end of the file"
    reason = f"{said} that its {MANIFEST_FILE} names: {there} of {manifest.records} are there"
    return (Exclusion(code="cut", what="session", reason=reason),)


def _status(found: Verification) -> Status:
    if found.status == "incomplete":
        return "incomplete"
    if found.recovered:
        return "recovered"
    return "complete" if found.outcome == "complete" else "interrupted"


def _origin(metadata: Mapping[str, str]) -> tuple[Population, str, tuple[Exclusion, ...]]:
    """Whose data it is, in words, and what of that excludes it."""
    origins = origins_in(metadata)
    if origins is None:
        said = metadata.get("simulated")
        if said is None:
            why = "the record does not say whether it was simulated"
            return "unknown", "", (Exclusion(code="origin", what="session", reason=why),)
        return ("simulated", "simulated", ()) if said == "true" else ("person", "", ())
    words = origins.in_words().rstrip(".")
    if origins.everything and origins.body != "none":
        return "simulated", words, ()
    if origins.body == "person" and not origins.simulated:
        return "person", words, ()
    why = f"neither wholly of a person nor wholly simulated: {words or 'no body was on the electrodes'}"
    return "neither", words, (Exclusion(code="origin", what="session", reason=why),)


def _wall_start(wall_ns: str) -> str | None:
    if not wall_ns.isdecimal() or int(wall_ns) == 0:
        return None
    return datetime.fromtimestamp(int(wall_ns) / 1e9, UTC).isoformat(timespec="milliseconds")

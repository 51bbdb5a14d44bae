"""A session that was cut off: what it had used up, and how it is closed or gone on with.

Forward only: a trial that began is never given again, whatever became of it; the dose it gave is in the person's
ledger, which all attempts at a session share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from myoloop.experiments.protocols.planned import Continuation, FoundThresholds, UsedTrials
from myoloop.experiments.sessions.asking import PAIN_NOW
from myoloop.experiments.sessions.settling import settle
from myoloop.experiments.sessions.still_up import is_up
from myoloop.experiments.sessions.thresholds import Thresholds
from myoloop.experiments.studies.audit import AUDIT_FILE, record_act
from myoloop.experiments.studies.chained import ChainedLog, check_chained
from myoloop.platform.errors import UserError
from myoloop.platform.messages import Event, Phase, Trial
from myoloop.platform.recording.layout import SESSION_FILE, RecordingError
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.recover import recover
from myoloop.stimulators.dose_ledger import LEDGER_FILE, is_held

#: Acts that settle what becomes of a cut attempt.
CLOSED, CONTINUED = "close interrupted session", "continue interrupted session"


class ContinueError(UserError, ValueError):
    """A session that cannot be closed or gone on with; one line for the operator."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an attempt stands.

    Attributes
    ----------
    state
        ``empty`` (killed before anything was recorded), ``running``, ``cut`` (no end, and nobody has settled it),
        ``ended`` (as `outcome`).
    simulated
        Whether it says of itself that nobody was on the rig; False where it cannot be read.
    """

    folder: Path
    state: str
    outcome: str = ""
    reason: str = ""
    simulated: bool = False


@dataclass(slots=True)
class _Read:
    """What one recording says."""

    used: dict[tuple[int, int], int] = field(default_factory=dict)
    spans_s: dict[int, float] = field(default_factory=dict)
    found: dict[tuple[int, str], tuple[Thresholds, int]] = field(default_factory=dict)
    checked: set[str] = field(default_factory=set)
    pain: float | None = None


def attempts_of(session: Path) -> list[Path]:
    """Folders of the attempts at a session, in order."""
    numbered = [
        (int(path.name.removeprefix("att-")), path) for path in session.glob("att-[1-9]*") if path.name[4:].isdigit()
    ]
    return [path for _, path in sorted(numbered)]


def standing(attempt: Path) -> Standing:
    """How an attempt stands."""
    if not (attempt / SESSION_FILE).is_file():
        return Standing(attempt, "empty")
    if is_held(attempt.parent.parent / LEDGER_FILE) and attempt == attempts_of(attempt.parent)[-1]:
        return Standing(attempt, "running")
    found = _without_a_rig(attempt)
    if found.state == "cut":
        # What it has of its end may have been written since it was read.
        return Standing(attempt, "running") if is_up(attempt) else _without_a_rig(attempt)
    return found


def _without_a_rig(attempt: Path) -> Standing:
    """How one stands whose device nobody holds."""
    settled = _settled(attempt)
    try:
        recording = Recording.open(attempt, check=False)
    except RecordingError as error:
        return Standing(attempt, "ended" if settled else "cut", "interrupted" if settled else "", str(error))
    simulated = recording.metadata.get("simulated") == "true"
    if recording.complete or settled:
        return Standing(attempt, "ended", recording.outcome or "interrupted", recording.reason, simulated)
    return Standing(attempt, "cut", simulated=simulated)


def cut_attempt(person: Path) -> Path | None:
    """The newest attempt of a person's that was cut off and that nobody has settled; None where all is settled."""
    for session in sorted(person.glob("ses-*"), reverse=True):
        for attempt in reversed(attempts_of(session)):
            if standing(attempt).state == "cut":
                return attempt
    return None


def close(attempt: Path, *, who: str, role: str, why: str, wall: datetime, act: str = CLOSED) -> Standing:
    """Make a cut recording whole, and record who has settled it and why.

    Raises
    ------
    ContinueError
        If it is not cut, or no reason is given.
    """
    found = standing(attempt)
    if found.state != "cut":
        how = f"ended as {found.outcome}: {found.reason}".rstrip(": ") if found.state == "ended" else found.state
        raise ContinueError(f"{attempt}: is not cut off, it is {how}")
    if not why.strip():
        raise ContinueError("--why: a reason is needed")
    lost = ""
    try:
        recover(attempt, reason=f"{who}: {why}")
    except RecordingError as error:
        # Cut before it said which session it is: there is nothing to keep, and this is what says so.
        lost = str(error)
    else:
        settle(attempt, "interrupted")
    new = "interrupted" if not lost else f"interrupted, {lost}"
    record_act(
        ChainedLog(attempt / AUDIT_FILE), wall, who, role, act, "/".join(attempt.parts[-3:]), "cut off", new, why
    )
    return standing(attempt)


def continuation(session: Path, now: datetime, *, new_electrodes: bool = False) -> Continuation:
    """What the attempts at a session so far have used up and found.

    Parameters
    ----------
    session
        Its folder, ``ses-NN``.
    now
        When it goes on; thresholds are as old as this says.

    Raises
    ------
    ContinueError
        If no attempt was recorded, one is complete, or a recording cannot be read: then nobody knows what was given.
    """
    used: dict[tuple[int, int], int] = {}
    spans_s: dict[int, float] = {}
    checked: set[str] = set()
    found: dict[tuple[int, str], FoundThresholds] = {}
    pains: list[float] = []
    last = ""
    for attempt in attempts_of(session):
        if not (attempt / SESSION_FILE).is_file():
            continue
        try:
            recording = Recording.open(attempt)
            if recording.outcome == "complete":
                raise ContinueError(f"{attempt}: is complete, there is nothing to go on with")
            read = _read(recording)
        except RecordingError as error:
            raise ContinueError(f"{attempt}: nobody knows what it has given: {error}") from None
        for place, trials in read.used.items():
            used[place] = max(trials, used.get(place, 0))
        pains += [] if read.pain is None else [read.pain]
        checked |= set() if new_electrodes else read.checked
        for phase, span_s in read.spans_s.items():
            spans_s[phase] = spans_s.get(phase, 0.0) + span_s
        began_ns, first_ns = int(recording.metadata.get("wall_start_ns", 0)), recording.first_ns or 0
        for (phase, channel), (thresholds, t_ns) in read.found.items():
            age_s = now.timestamp() - (began_ns + t_ns - first_ns) * 1e-9
            # From the future it is of no known age: too old for anything.
            age_s = age_s if age_s >= 0 and began_ns else float(10**9)
            found[phase, channel] = FoundThresholds(phase, channel, thresholds, age_s)
        last = attempt.name
    if not last:
        raise ContinueError(f"{session}: no attempt was recorded, there is nothing to go on with")
    rows = tuple(
        UsedTrials(phase, repeat, trials, spans_s.get(phase, 0.0)) for (phase, repeat), trials in sorted(used.items())
    )
    all_found = tuple(found[key] for key in sorted(found))
    return Continuation(
        last,
        rows,
        all_found,
        checked=tuple(sorted(checked)),
        new_electrodes=new_electrodes,
        pain_baseline=min(pains, default=None),
    )


def record_continued(attempt: Path, *, who: str, role: str, why: str, wall: datetime, after: str) -> None:
    """Record in a new attempt's audit that it goes on where another was cut off."""
    log = ChainedLog(attempt / AUDIT_FILE)
    record_act(log, wall, who, role, CONTINUED, "/".join(attempt.parts[-3:]), after, attempt.name, why)


def now_utc() -> datetime:
    """Wall time."""
    return datetime.now(UTC)


def _read(recording: Recording) -> _Read:
    """Trials that began, how long each block has run, thresholds that were found, the first pain score."""
    read = _Read()
    index, since_ns = -1, 0
    for each in recording.messages({"phase", "trial", "event"}):
        message = each.received.message
        if isinstance(message, Phase):
            if message.index != index:
                index, since_ns = message.index, 0
            if message.kind == "block" and message.trial:
                place = (message.index, message.block)
                read.used[place] = max(message.trial, read.used.get(place, 0))
                since_ns = since_ns or message.t_ns
                read.spans_s[index] = (message.t_ns - since_ns) * 1e-9
        elif isinstance(message, Event) and message.kind == "check" and message.values.get("ok"):
            read.checked.add(str(message.values.get("check")))
        elif isinstance(message, Event) and message.kind in ("score", "form"):
            read.pain = _pain(message) if read.pain is None else read.pain
        elif isinstance(message, Trial) and message.kind == "threshold" and index >= 0:
            read.found[index, str(message.values.get("channel"))] = (_thresholds(message.values), message.t_ns)
        elif isinstance(message, Trial) and message.kind == "block":
            place = (index, message.block)
            read.used[place] = max(message.trial, read.used.get(place, 0))
    return read


def _pain(event: Event) -> float | None:
    """The pain score that an event tells, as the director counts it."""
    form = str(event.values.get("form", "")).partition(".")[0]
    score = event.values.get("score" if event.kind == "score" else PAIN_NOW.get(form, ""))
    if isinstance(score, bool) or not isinstance(score, int | float):
        return None
    return float(score) if 0 <= score <= 10 else None


def _thresholds(values: Mapping[str, float | str | None]) -> Thresholds:
    def current(name: str) -> float | None:
        value = values.get(name)
        return float(value) if isinstance(value, int | float) else None

    return Thresholds(
        current("sensory_ma"), current("motor_ma"), current("tolerance_ma"), current("highest_ma") or 0.0,
        current("phase_us") or 0.0,
    )  # fmt: skip


def _settled(attempt: Path) -> bool:
    log = attempt / AUDIT_FILE
    return log.is_file() and any(row.get("act") == CLOSED for row in check_chained(log).entries)

"""The tables of a session's report: text, ready to print, every number with its unit in the head of its column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from myoloop.experiments.analysis.bursts import SpasmScore
from myoloop.experiments.analysis.latency import percentiles
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.analysis.tracks import EventRow, Floats
from myoloop.experiments.reports.eventwords import event_words
from myoloop.experiments.reports.figures import LEGS
from myoloop.platform.messages import Trial

#: Longer tables go on in their CSV.
MOST_ROWS = 200
#: What other tables have: what came of the person's answers while thresholds were sought, and forms.
_ROUTINE = {"felt": "answers of the person in calibration", "form": "forms"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `caption` says what its columns mean and how many rows there are."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str


def trials(session: Session) -> Table | None:
    """One row per trial of a block."""
    rows = [(each, times) for each, times in _timed(session) if each.kind == "block"]
    if not rows:
        return None
    channels = sorted({key.removeprefix("peak_ma_") for each, _ in rows for key in each.values if "peak_ma_" in key})
    muscles = sorted({key.removeprefix("fatigue_") for each, _ in rows for key in each.values if "fatigue_" in key})
    columns = ["block", "trial", "outcome", "begin (s)", "effort after (s)", "length (s)", "charge (mC)"]
    columns += [f"{channel}: peak of target (mA)" for channel in channels]
    columns += [f"fatigue {muscle} (0 to 1)" for muscle in muscles]
    cells = []
    for each, (begin_s, _, end_s) in rows[:MOST_ROWS]:
        values = each.values
        effort_ms = values.get("effort_after_ms")
        effort_s = effort_ms / 1e3 if isinstance(effort_ms, int | float) else None
        row = [str(each.block), str(each.trial), each.outcome, f"{begin_s:.1f}"]
        row += [number_words(effort_s, 2), f"{end_s - begin_s:.1f}"]
        row.append(number_words(values.get("charge_mc"), 2))
        for channel in channels:
            peak, target = values.get(f"peak_ma_{channel}"), values.get(f"target_ma_{channel}")
            row.append(f"{number_words(peak, 1)} of {number_words(target, 1)}")
        row += [number_words(values.get(f"fatigue_{muscle}"), 2) for muscle in muscles]
        cells.append(tuple(row))
    left = len(rows) - len(cells)
    caption = (
        f"n = {len(rows)} trials. Outcome: effort (the protocol's train answered the person's effort), assisted (it "
        f"came without one), yoked (it came when another person's effort started theirs), done (it came by the clock), "
        f"skipped (no effort, no train), else what cut it. A train may carry no current where a reflex or the gate "
        f"held it back. Charge: one phase, summed over pulses, by the gate's account. Fatigue: the last valid estimate "
        f"at the trial's end."
    )
    if left > 0:
        caption += f" {left} more rows stand in trials.csv."
    return Table(tuple(columns), tuple(cells), caption)


def dose(session: Session) -> Table | None:
    """What was delivered, channel by channel, and the gate's own account of it."""
    tracks = session.delivered()
    names = list(dict.fromkeys([*session.currents, *tracks]))
    if not names:
        return None
    columns = (
        "channel", "pulses", "trains", "on-time (s)", "peak current (mA)", "phase (µs)", "most charge per phase (µC)",
        "charge (mC)",
    )  # fmt: skip
    rows = []
    for name in names:
        track = tracks.get(name)
        if track is None or not len(track):
            rows.append((name, "0", "0", "0.0", "0.0", "–", "–", "0.00"))
            continue
        trains = track.trains()
        on_s = sum(train.until(session.end_s) - train.begin_s for train in trains)
        widths = sorted({f"{width:g}" for width in track.phase_us})
        rows.append(
            (
                name, str(len(track)), str(len(trains)), f"{on_s:.1f}", f"{track.current_ma.max():.1f}",
                ", ".join(widths[:3]), f"{track.charge_uc.max():.2f}", f"{track.charge_uc.sum() * 1e-3:.2f}",
            )
        )  # fmt: skip
    told, limits = session.dose, session.gate.envelope
    on, most = _limit(limits, "session_on_s_max", "s"), _limit(limits, "session_charge_mc_max", "mC")
    per_phase = _limit(limits, "charge_per_phase_uc", "µC")
    rows.append(
        (
            "gate's account", str(told.session_pulses), "–", f"{told.session_on_s:.1f}{on}", "–", "–", f"–{per_phase}",
            f"{told.session_charge_mc:.2f}{most}",
        )
    )  # fmt: skip
    basis = {
        "ledger": "the body's own ledger of delivered pulses",
        "acknowledged": "pulses that the device acknowledged",
        "predicted": "pulses as a device that times itself predicts them",
        "sent": "pulses as they were sent",
    }[session.delivered_basis]
    if session.metadata.get("blinded") == "true":
        basis = "pulses as an active arm would have had them, in every arm; what was given is sealed"
    caption = (
        f"By {basis}. Charge: one phase of each biphasic pulse, summed. On-time: first to last pulse of each train. "
        f"The gate's account is its own reckoning from what it allowed over time; its limits stand "
        f"beside it. Day: {told.day_charge_mc:.2f} mC, course: {told.course_charge_mc:.2f} mC."
    )
    return Table(columns, tuple(rows), caption)


def gate(session: Session) -> Table | None:
    """What limited the current, how often and why."""
    tally = session.gate
    if not tally.reports:
        return None
    rows = tuple(
        (rule, str(count), f"{100 * count / tally.reports:.1f}", reason or "rounded down to what the device can give")
        for rule, (count, reason) in tally.rules.items()
    )
    states = ", ".join(f"{state} {seconds:.1f} s" for state, seconds in tally.states.items())
    caption = (
        f"n = {tally.reports} reports of the gate; in {tally.limited} of them a rule allowed less current than was "
        f"asked for, in {tally.rounded} only the device's step did. Reports with more than one rule count for the "
        f"first. Time in each state: {states}."
    )
    return Table(("rule", "reports", "share (%)", "first time, in the gate's words"), rows, caption)


def latches(session: Session) -> Table | None:
    """Every time the gate latched."""
    rows = tuple((f"{t_s:.2f}", cause) for t_s, cause in session.gate.latches)
    return Table(("time (s)", "cause"), rows, f"n = {len(rows)} stops and faults that latched.") if rows else None


def spasms(session: Session, score: SpasmScore | None) -> Table | None:
    """Detected against true, muscle by muscle."""
    if score is None or not score.by_muscle:
        return None
    rows = tuple(
        (
            muscle, str(each.matched + each.missed), str(each.matched + each.false), str(each.matched),
            str(each.missed), str(each.false), f"{each.f1:.2f}",
            number_words(each.latency_s * 1e3 if each.latency_s is not None else None, 0),
        )
        for muscle, each in score.by_muscle.items()
    )  # fmt: skip
    total = (
        "all", str(score.matched + score.missed), str(score.matched + score.false), str(score.matched),
        str(score.missed), str(score.false), f"{score.f1:.2f}", "–",
    )  # fmt: skip
    caption = (
        "Onsets matched one to one; a detected onset belongs to a true one from 0.1 s before to 0.5 s after it. "
        "F1 = 2 TP / (2 TP + FP + FN). Latency: median of detected minus true onset."
    )
    columns = ("muscle", "true", "detected", "matched", "missed", "false", "F1", "latency (ms)")
    return Table(columns, (*rows, total), caption)


def timing(session: Session) -> Table:
    """Latencies and cycle times."""
    rows = [_quantiles(LEGS[leg], values) for leg, values in session.latencies_ms.items()]
    if not session.lockstep:
        for node, beat in session.beats.items():
            row = list(_quantiles(f"cycle of {node}", beat.cycle_ms))
            # A node remembers its worst cycle; its heartbeats show one in a few.
            if len(beat.worst_ms):
                row[-1] = f"{max(float(beat.worst_ms.max()), float(beat.cycle_ms.max())):.2f}"
            rows.append(tuple(row))
    caption = (
        "This session ran under a virtual clock: latencies are the delays it was given, not measured ones, and no "
        "cycle took time."
        if session.lockstep
        else "Differences of the host's monotonic stamps. The cycle time's worst is the node's own; its percentiles "
        "are over the cycles that its heartbeats told of."
    )
    return Table(("what", "n", "p50 (ms)", "p99 (ms)", "worst (ms)"), tuple(rows), caption)


def events(session: Session) -> Table | None:
    """What happened once; the same thing again and again is one row."""
    told = [each for each in session.events if each.kind not in _ROUTINE]
    if not told:
        return None
    folded: list[tuple[EventRow, EventRow, int]] = []
    for each in told:
        if folded and folded[-1][0][1:] == each[1:]:
            first, _, times = folded[-1]
            folded[-1] = (first, each, times + 1)
        else:
            folded.append((each, each, 1))
    rows = tuple(
        (
            f"{first.t_s:.2f}" + (f" … {last.t_s:.2f}, {times} times" if times > 1 else ""), first.kind, first.who,
            first.why, event_words(first.kind, first.values),
        )
        for first, last, times in folded[:MOST_ROWS]
    )  # fmt: skip
    left = len(folded) - len(rows)
    quiet = Counter(each.kind for each in session.events if each.kind in _ROUTINE)
    beside = " and ".join(f"{quiet[kind]} {_ROUTINE[kind]}" for kind in sorted(quiet))
    caption = f"n = {len(told)} events" + (f", without {beside}." if beside else ".")
    caption += f" {left} more rows are in the record." if left else ""
    return Table(("time (s)", "what", "who", "why", "with"), rows, caption)


def streams(session: Session) -> Table:
    """What was recorded."""
    rows = []
    for topic, count in session.counts.items():
        track = session.samples.get(topic)
        samples = str(len(track.record.counts)) if track is not None else "–"
        invalid = f"{100 * float(track.record.invalid.mean()):.2f}" if track is not None and len(track.t_s) else "–"
        rows.append((topic, str(count), samples, invalid, str(session.missing_messages.get(topic, 0))))
    caption = (
        "Missing: messages absent by their numbers, of the streams that this report reads. Invalid: share of samples, "
        "over channels, that were marked as not to be used."
    )
    return Table(("stream", "messages", "samples per channel", "invalid (%)", "missing"), tuple(rows), caption)


def gaps(session: Session) -> Table | None:
    """What is missing, and where."""
    if not session.gaps:
        return None
    rows = tuple(
        (
            f"{gap.begin_s:.3f}", f"{(gap.end_s - gap.begin_s) * 1e3:.1f}", gap.topic, gap.kind,
            "unknown" if gap.missing is None else str(gap.missing), gap.who,
        )
        for gap in session.gaps[:MOST_ROWS]
    )  # fmt: skip
    caption = (
        f"n = {len(session.gaps)} gaps. lost: the source's own count jumped; restart: the source was opened anew; "
        f"message: the subscriber named at the end never got it, though the record may have it."
    )
    return Table(("time (s)", "length (ms)", "stream", "kind", "missing", "subscriber"), rows, caption)


def _timed(session: Session) -> Sequence[tuple[Trial, tuple[float, float | None, float]]]:
    return list(zip(session.trials, session.trial_times_s, strict=True))


def _quantiles(what: str, values_ms: Floats) -> tuple[str, ...]:
    told = percentiles(np.asarray(values_ms))
    return (what, str(told["n"]), *(number_words(told[name], 2) for name in ("p50_ms", "p99_ms", "worst_ms")))


def _limit(envelope: Any, name: str, unit: str) -> str:
    value = envelope.get(name)
    return f" (at most {value:g} {unit})" if isinstance(value, int | float) else ""


def number_words(value: object, digits: int) -> str:
    """A number; a dash where there is none."""
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "–"

"""What was measured of the person before the trials, and what envelope followed: thresholds, MVC, own limits."""

from __future__ import annotations

from myoloop.experiments.analysis.session import Session
from myoloop.experiments.reports.tables import Table, number_words

#: What effort is normed to, in words.
_NORMS = {"mvc": "the strongest contraction", "rest_noise": "the noise at rest", "max_evoked": "the evoked EMG"}


def thresholds(session: Session) -> Table | None:
    """One row per channel whose thresholds were looked for."""
    rows = [each for each in session.trials if each.kind == "threshold"]
    if not rows:
        return None
    columns = (
        "channel", "sensory (mA)", "motor (mA)", "tolerance (mA)", "highest given (mA)", "phase (µs)",
        "answers to steps without current", "outcome",
    )  # fmt: skip
    cells = []
    for each in rows:
        values = each.values
        found = [number_words(values.get(f"{name}_ma"), 1) for name in ("sensory", "motor", "tolerance", "highest")]
        caught = number_words(values.get("false_alarms"), 0) if "false_alarms" in values else "no such steps"
        phase_us = number_words(values.get("phase_us"), 0)
        cells.append((str(values.get("channel")), *found, phase_us, caught, each.outcome))
    caption = (
        f"n = {len(rows)}, one row per channel; rising steps until the person said so. Where steps without current lie "
        f"among the others and one is answered, the ascent is not believed and begins anew."
    )
    return Table(columns, tuple(cells), caption)


def personal_envelope(session: Session) -> Table | None:
    """The most that this person was allowed on each channel, as it followed from the thresholds last."""
    made = [each for each in session.events if each.kind == "envelope"]
    if not made:
        return None
    tolerance_ma = {
        str(each.values.get("channel")): each.values.get("tolerance_ma")
        for each in session.trials
        if each.kind == "threshold"
    }
    approved = [each for each in session.events if each.kind == "approved" and each.t_s >= made[-1].t_s]
    rows = tuple(
        (channel, number_words(tolerance_ma.get(channel), 1), number_words(limit_ma, 1))
        for channel, limit_ma in made[-1].values.items()
    )
    by = f"approved at {approved[0].t_s:.1f} s by {approved[0].why}" if approved else "not approved by anybody"
    caption = (
        f"Made at {made[-1].t_s:.1f} s, {by}; {len(made)} in this session. It holds for 24 h and until an electrode is "
        f"changed; the gate lets nothing pass above it."
    )
    return Table(("channel", "tolerance (mA)", "at most (mA)"), rows, caption)


def maximal(session: Session) -> Table | None:
    """What effort was normed to, muscle by muscle."""
    rows = tuple(
        (
            str(each.values.get("muscle")), _norm(str(each.values.get("norm"))),
            number_words(each.values.get("value_uv"), 1), each.why,
        )
        for each in session.events
        if each.kind == "mvc"
    )  # fmt: skip
    if not rows:
        return None
    caption = "Effort is told as a share of this. Who makes no maximal contraction is normed to what the protocol says."
    return Table(("muscle", "effort is normed to", "value (µV)", "why"), rows, caption)


def _norm(name: str) -> str:
    return _NORMS.get(name, name.replace("_", " "))

"""Adverse events summed up: how many, how bad, how related, how many serious and due to the device, per 100 sessions.

A count of nothing is only worth something where somebody asked; how often that was stands beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: How an event is related to the stimulation, from the form; from here on it counts as related.
RELATED = frozenset({"possible", "probable", "definite"})
#: What may be due to the device or its pads.
OF_DEVICE = frozenset({"yes", "unsure"})
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class AdverseSummary:
    """Of some sessions of some people.

    Attributes
    ----------
    events, sessions
        How many; sessions in which somebody was stimulated.
    by_grade, by_ctcae, by_relation
        Events by the words of the form, by CTCAE grade, by relation to the stimulation.
    related, serious, serious_device
        Related to the stimulation; serious; serious and possibly due to the device (ISO 14155: SADE).
    open
        Not yet over.
    per_100_sessions
        Events per 100 sessions with their exact Poisson interval; None without a session.
    """

    events: int
    sessions: int
    by_grade: Mapping[str, int]
    by_ctcae: Mapping[int, int]
    by_relation: Mapping[str, int]
    related: int
    serious: int
    serious_device: int
    open: int
    per_100_sessions: tuple[float, float, float] | None

    def as_data(self) -> dict[str, Any]:
        """JSON-ready."""
        rate = self.per_100_sessions
        return {
            "events": self.events, "sessions": self.sessions, "by_grade": dict(self.by_grade),
            "by_ctcae": {str(grade): count for grade, count in self.by_ctcae.items()},
            "by_relation": dict(self.by_relation), "related": self.related, "serious": self.serious,
            "serious_device": self.serious_device, "open": self.open,
            "per_100_sessions": None if rate is None else {"value": rate[0], "low": rate[1], "high": rate[2]},
        }  # fmt: skip


def summarise_adverse(forms: Iterable[Mapping[str, Any]], sessions: int) -> AdverseSummary:
    """Sum up events.

    Parameters
    ----------
    forms
        The form ``adverse_event`` of each event as it holds now.
    sessions
        In which they could have been seen.

    Raises
    ------
    ValueError
        If there are fewer than no sessions.
    """
    if sessions < 0:
        raise ValueError(f"sessions: found {sessions}, allowed is 0 or more")
    told = list(forms)
    serious = [form for form in told if form.get("serious") == "yes"]
    return AdverseSummary(
        events=len(told),
        sessions=sessions,
        by_grade=Counter(str(form.get("grade")) for form in told),
        by_ctcae=Counter(int(form["ctcae"]) for form in told if isinstance(form.get("ctcae"), int)),
        by_relation=Counter(str(form.get("related")) for form in told),
        related=sum(form.get("related") in RELATED for form in told),
        serious=len(serious),
        serious_device=sum(form.get("device_related") in OF_DEVICE for form in serious),
        open=sum(form.get("resolved") != "yes" for form in told),
        per_100_sessions=poisson_per_100(len(told), sessions),
    )


def poisson_per_100(events: int, sessions: int) -> tuple[float, float, float] | None:
    """Events per 100 sessions with the exact interval (Garwood, Biometrika 1936;28:437); None without a session."""
    if sessions == 0:
        return None
    from scipy.stats import chi2

    tail = (1.0 - CONFIDENCE) / 2.0
    low = 0.5 * chi2.ppf(tail, 2 * events) if events else 0.0
    high = 0.5 * chi2.ppf(1.0 - tail, 2 * events + 2)
    return 100.0 * events / sessions, 100.0 * float(low) / sessions, 100.0 * float(high) / sessions

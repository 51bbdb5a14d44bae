"""What of a blinded session may be looked back at.

Allowed one by one, as in the blinded report: the course of phases and trials, the word of the gate's state, pain and
what people noted, without amounts. What a muscle did and what was given is not even made: it is in no file of the
console.
"""

from __future__ import annotations

import msgspec

from myoloop.experiments.analysis.session import Session
from myoloop.experiments.console.lookback.overview import Facts, GateSpan
from myoloop.experiments.reports.blinded import quiet, withheld

#: What the session says of itself that no arm changes.
_ABOUT = frozenset({
    "session", "subject", "outcome", "end_s", "complete", "stamp", "blinded", "of_protocol", "of_protocol_version",
    "of_wall_start_ns", "of_rig_class",
})  # fmt: skip


def withhold(facts: Facts, session: Session) -> Facts:
    """Leave of the facts of a blinded session what the blinded may know."""
    events = quiet(session).events
    about = {key: value for key, value in facts.about.items() if key in _ABOUT}
    return msgspec.structs.replace(
        facts,
        about={**about, "reason": withheld(session.reason)},
        lanes=(),
        trials=tuple({**each, "values": {}, "trigger_s": None} for each in facts.trials if each["kind"] == "block"),
        events=tuple({**each._asdict(), "values": dict(each.values)} for each in events),
        gate=_states(facts.gate),
        gaps=(),
        detected=(),
    )


def _states(spans: tuple[GateSpan, ...]) -> tuple[GateSpan, ...]:
    """The words of the gate's states alone, those that follow one another and are the same as one."""
    told: list[GateSpan] = []
    for span in spans:
        if told and told[-1].state == span.state:
            told[-1] = GateSpan(told[-1].begin_s, span.end_s, span.state)
        else:
            told.append(GateSpan(span.begin_s, span.end_s, span.state))
    return tuple(told)

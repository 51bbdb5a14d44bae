"""What each view of a session may contain: what is named here, and nothing else.

Three views of one truth, filtered on the server. ``open`` is everything. ``subject`` is what the person who is treated
looks at. ``blinded`` is what an operator sees of a session whose arm nobody may guess, so it has nothing that follows
from what the body answers: the muscle answers in one arm and not in the other. What is left there is told at moments
and in steps that are the same whatever the arm: see :data:`BLINDED`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: What is let through of a value: a function of it, of every item of a list, or of named entries.
Rule = Callable[[Any], Any] | list[Any] | dict[str, Any]


def _as_it_is(value: Any) -> Any:
    return value


def _tenths(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _tenths_of_t_ns(value: int | None) -> int | None:
    return None if value is None else value // 100_000_000 * 100_000_000


def _seconds_of_t_ns(value: int | None) -> int | None:
    return None if value is None else value // 1_000_000_000 * 1_000_000_000


def _twentieths(value: float | None) -> float | None:
    return None if value is None else round(value * 20) / 20


def _latched(value: str) -> str:
    """A stop and a fault are told to everybody, at once; what was found is not, as only a current may find it."""
    return "" if not value else "stop" if value.startswith("stop") else "fault"


def _stopped(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if value is None else {"who": ""}


def _armed(value: str) -> str:
    """Whether a request makes current at this moment follows from what the controller hears."""
    return "ARMED" if value == "STIMULATING" else value


K: Final = _as_it_is


def _named(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, _as_it_is)


_MEASURE = _named("value", "low", "high", "valid", "reason")
_LINK = _named("kind", "view", "rig", "running", "simulated", "stop_ports")
_SESSION = {**_LINK, **_named("session", "title", "subject", "rig_class", "blinded")}

OPEN: Final[dict[str, Any]] = {
    **_SESSION,
    "t_ns": K,
    "phase": _named(
        "index", "count", "name", "kind", "state", "waiting_for", "machine", "block", "trial", "trials",
        "trial_state", "state_left_s", "state_s", "session_s", "seconds_left", "baseline", "prompt", "outcome",
        "reason", "forms", "attention_left_s", "muscle", "level", "armed", "wrong",
    ),
    "muscles": [
        {
            **_named("name", "level_uv", "activity_uv", "threshold_uv", "quality", "valid_share", "spasm_kind"),
            "fatigue": _MEASURE, "spasm": _MEASURE, "effort": _MEASURE,
        }
    ],
    "motion": {"angle_deg": _MEASURE, "inclination_deg": _MEASURE, "tremor_hz": _MEASURE},
    "channels": [_named("name", "target_ma", "asked_ma", "allowed_ma", "delivered_ma", "cap_ma", "level")],
    "gate": _named("state", "rule", "reason", "latched", "alive"),
    "controller": _named("reflex", "bad_signal", "trigger", "alive"),
    "dose": _named("charge_mc", "on_s", "pulses", "day_charge_mc", "course_charge_mc"),
    "pain": [_named("score", "t_ns")],
    "recording": _named("alive", "growing", "bytes", "messages", "missing"),
    "nodes": [_named("name", "alive", "cycle_ms", "cycle_mean_ms", "cycle_worst_ms")],
    "events": [_named("number", "t_ns", "kind", "who", "why", "values")],
    "stopped": K,
    "missed": K,
}  # fmt: skip

#: Times are cut to tenths of a second, and levels to twentieths, so that no moment says what a controller has heard
#: and no digit what it wants; ARMED and STIMULATING are one word; of a latch only the word; of an event only its kind.
#: Until the first treatment every arm is the same, so till then the signal check has its words. Nothing is said of how
#: much was recorded or how long a cycle took: compressed bytes and cycles betray a muscle that answers.
BLINDED: Final[dict[str, Any]] = {
    **_SESSION,
    "t_ns": _tenths_of_t_ns,
    "phase": {
        **_named(
            "index", "count", "name", "kind", "state", "waiting_for", "machine", "block", "trial", "trials",
            "trial_state", "baseline", "prompt", "outcome", "forms", "muscle", "level", "armed", "wrong",
        ),
        "state_left_s": _tenths, "state_s": _tenths, "session_s": _tenths, "seconds_left": _tenths,
        "attention_left_s": _tenths,
    },
    "muscles": [_named("name", "quality")],
    "channels": [{"name": K, "level": _twentieths, "cap_ma": K}],
    "gate": {"state": _armed, "latched": _latched, "alive": K},
    "pain": [{"score": K, "t_ns": _seconds_of_t_ns}],
    "recording": _named("alive", "growing"),
    "nodes": [_named("name", "alive")],
    "events": [{**_named("number", "kind", "why", "values"), "t_ns": _seconds_of_t_ns}],
    "stopped": _stopped,
}  # fmt: skip

#: The person sees what to do, for how long, and how hard they try; no current, no name of anybody.
SUBJECT: Final[dict[str, Any]] = {
    **_LINK,
    "t_ns": _tenths_of_t_ns,
    "phase": {
        **_named(
            "name", "kind", "state", "waiting_for", "block", "trial", "trials", "trial_state", "prompt", "muscle",
            "armed",
        ),
        "state_left_s": _tenths, "state_s": _tenths, "seconds_left": _tenths,
    },
    "muscles": [{**_named("name", "activity_uv", "threshold_uv"), "effort": _named("value", "valid")}],
    "gate": {"state": _armed, "latched": _latched, "alive": K},
    "pain": [{"score": K, "t_ns": _seconds_of_t_ns}],
    "stopped": _stopped,
}  # fmt: skip

#: Of a blinded session the person's own effort is not shown either: it is heard in the same EMG.
SUBJECT_BLINDED: Final[dict[str, Any]] = {name: rule for name, rule in SUBJECT.items() if name != "muscles"}

#: Events that say what people did, in the words of the protocol; what nodes have found is not among them.
ACTS: Final = frozenset(
    {"approved", "electrode_changed", "end", "form", "held", "mark", "override", "paused", "resumed", "score",
     "screening", "skipped", "stop"}
)  # fmt: skip

#: Told in words, as long as nothing has been given that differs between arms.
EARLY: Final = frozenset({"check", "mvc", "tolerance"})

#: Acts that a stimulator may refuse, and how refusals of theirs begin that say nothing of what flows.
_BY_STIMULATOR: Final = frozenset({"serve", "raise"})
_SAME_IN_EVERY_ARM: Final = (
    "nothing that can be served", "meant for ", "the last one is under way", "a script serves", "the session ",
    "nothing is there to be raised", "raise.channel", "steps are at least", "step.", "a step is", "arm names",
    "not answered", "who: ", "role: ", "serve: was asked", "raise: was asked",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class View:
    """One view.

    Attributes
    ----------
    topics
        First parts of the topics that are listened to for it: what is not heard cannot be told.
    rules
        What of the state is let through.
    events
        Kinds of events that are told, without words; None for all, in their words.
    early
        Kinds that are told in their words until the first treatment.
    scope
        Whether signals are drawn.
    steady
        Told at equal intervals only, never at the moment of a change.
    """

    name: str
    topics: frozenset[str]
    rules: Mapping[str, Any]
    events: frozenset[str] | None = None
    early: frozenset[str] = frozenset()
    scope: bool = False
    steady: bool = True


_EVERYBODY = frozenset({"phase", "report", "event"})
VIEWS: Final[dict[tuple[str, bool], View]] = {
    ("operator", False): View(
        "open",
        _EVERYBODY | {"emg", "imu", "estimate", "pulse", "heartbeat", "vital", "gap"},
        OPEN,
        scope=True,
        steady=False,
    ),
    ("operator", True): View("blinded", _EVERYBODY | {"heartbeat", "vital"}, BLINDED, ACTS, EARLY),
    ("subject", False): View("subject", _EVERYBODY | {"estimate"}, SUBJECT, frozenset()),
    ("subject", True): View("subject", _EVERYBODY, SUBJECT_BLINDED, frozenset()),
}


def view_of(screen: str, *, blinded: bool) -> View:
    """The one view that a screen has of a session.

    Parameters
    ----------
    screen
        ``operator`` (everybody's but the person's) or ``subject``.

    Raises
    ------
    KeyError
        If there is no such screen.
    """
    return VIEWS[(screen, blinded)]


def shown(rules: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """What the rules let through."""
    return {name: _through(rule, said[name]) for name, rule in rules.items() if name in said}


def shown_reason(view: View, kind: str, reason: str) -> str:
    """What of a refusal may be shown: in a blinded session nothing that only a stimulator can know.

    It says that a device still gives current, or has found an electrode off, in the arm that gives current alone. All
    acts but these are refused by the session's desk or its director.
    """
    if view.rules is OPEN or kind not in _BY_STIMULATOR or not reason or reason.startswith(_SAME_IN_EVERY_ARM):
        return reason
    return "refused by the stimulator"


def _through(rule: Rule, value: Any) -> Any:
    if isinstance(rule, dict):
        return shown(rule, value) if isinstance(value, Mapping) else None
    if isinstance(rule, list):
        return [_through(rule[0], each) for each in value] if isinstance(value, Sequence) else []
    return rule(value)

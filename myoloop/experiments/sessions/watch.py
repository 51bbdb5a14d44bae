"""What ends a session without anybody's act: a peer that is gone, a latched gate, a stop rule of the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from myoloop.experiments.protocols.plan import StopRules
from myoloop.platform.messages import Estimate, Event, StimReport

#: A required peer may be silent for this long.
PEER_SILENT_NS = 300_000_000
#: Rules of the gate that limit how much, as :mod:`myoloop.stimulators.gate.limits` names them.
CAP_RULES = frozenset(
    {"current", "current ceiling", "device current", "charge per phase", "r.m.s. current", "current density",
     "power density"}
)  # fmt: skip
#: Verdicts of liveness that mean gone; one that is merely slow or has lost a message is the gate's to judge.
GONE = frozenset({"never", "silent"})


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ends: ``complete``, ``stopped``, ``aborted`` or ``fault``, and why."""

    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class Peers:
    """What is known of the required peers.

    Attributes
    ----------
    heard
        Those that have been alive at least once.
    gone_since_ns
        Those that are not alive now, and since when.
    """

    heard: frozenset[str] = frozenset()
    gone_since_ns: Mapping[str, int] = field(default_factory=dict)


def watch_peers(peers: Peers, required: tuple[str, ...], not_alive: Mapping[str, str], now_ns: int) -> Peers:
    """Take note of who is alive now."""
    gone = {topic for topic in required if _verdict(not_alive.get(topic, "")) in GONE}
    since_ns = {topic: peers.gone_since_ns.get(topic, now_ns) for topic in required if topic in gone}
    return Peers(peers.heard | (set(required) - gone), since_ns)


def lost_peer(peers: Peers, now_ns: int) -> Ending | None:
    """The first peer that was there and has been gone for too long."""
    for topic, since_ns in peers.gone_since_ns.items():
        silent_ns = now_ns - since_ns
        if topic in peers.heard and silent_ns > PEER_SILENT_NS:
            return Ending("fault", f"{topic}: silent for more than {PEER_SILENT_NS // 1_000_000} ms")
    return None


def missing_peers(peers: Peers, required: tuple[str, ...]) -> tuple[str, ...]:
    """Who has never been heard."""
    return tuple(topic for topic in required if topic not in peers.heard)


def latched(report: StimReport) -> Ending | None:
    """Whether the gate has latched, and why."""
    if report.state != "STOPPED" and report.state != "FAULT" and not report.latched:
        return None
    reason = report.latched or "; ".join(report.reasons) or report.rule or report.state
    return Ending("stopped" if report.state == "STOPPED" else "fault", f"stimulator {report.state}: {reason}")


def is_stop(event: Event) -> bool:
    """Whether a person has pressed their own button for stop."""
    pressed = event.kind == "felt" and event.values.get("what") == "stop"
    return pressed or (event.kind == "stop" and event.who == "subject")


@dataclass(frozen=True, slots=True)
class Tally:
    """What the stop rules count.

    Attributes
    ----------
    pain_baseline, scored
        The person's own first score of the session; whether one was given in this attempt.
    onsets_ns
        Per muscle, when its last counted spasm began.
    spasms_ns
        When spasms were counted, those within the rule's window.
    timeouts
        Efforts in a row that did not come.
    cap_hits
        Trains that the gate had to hold at a limit.
    """

    pain_baseline: float | None = None
    scored: bool = False
    onsets_ns: Mapping[str, int] = field(default_factory=dict)
    spasms_ns: tuple[int, ...] = ()
    timeouts: int = 0
    cap_hits: int = 0


def scored(tally: Tally, rules: StopRules, score: float) -> tuple[Tally, Ending | None]:
    """A pain score of 0 to 10 has been given; the first is the person's own baseline."""
    if not tally.scored:
        # What a session began with holds on when it is gone on with: pain that has risen since is no new beginning.
        first = score if tally.pain_baseline is None else min(score, tally.pain_baseline)
        tally = replace(tally, pain_baseline=first, scored=True)
    if rules.pain_ceiling is not None and score >= rules.pain_ceiling:
        return tally, Ending("stopped", f"pain score {score:g}, the protocol ends at {rules.pain_ceiling:g}")
    rise = score - (tally.pain_baseline or 0.0)
    if rules.pain_rise is not None and rise >= rules.pain_rise:
        why = f"pain score {score:g} is {rise:g} above the person's own {tally.pain_baseline:g}"
        return tally, Ending("stopped", f"{why}, the protocol ends at {rules.pain_rise:g}")
    return tally, None


def estimated(tally: Tally, rules: StopRules, estimate: Estimate) -> tuple[Tally, Ending | None]:
    """Count the spasms that an estimate tells of, each onset once."""
    onsets_ns, spasms_ns = dict(tally.onsets_ns), tally.spasms_ns
    for muscle in estimate.muscles:
        spasm = muscle.spasm
        if not spasm.valid or not spasm.value or spasm.value < 0.5 or muscle.spasm_onset_ns is None:
            continue
        if muscle.spasm_onset_ns > onsets_ns.get(muscle.muscle, -1):
            onsets_ns[muscle.muscle] = muscle.spasm_onset_ns
            spasms_ns = (*spasms_ns, estimate.t_ns)
    if rules.spasm_count is None:
        return replace(tally, onsets_ns=onsets_ns), None
    within_ns = round(rules.spasm_within_s * 1e9)
    spasms_ns = tuple(t_ns for t_ns in spasms_ns if estimate.t_ns - t_ns <= within_ns)
    tally = replace(tally, onsets_ns=onsets_ns, spasms_ns=spasms_ns)
    if len(spasms_ns) >= rules.spasm_count:
        return tally, Ending("stopped", f"{len(spasms_ns)} spasms within {rules.spasm_within_s:g} s")
    return tally, None


def tried(tally: Tally, rules: StopRules, effort_came: bool) -> tuple[Tally, Ending | None]:
    """An effort was awaited, and came or did not."""
    tally = replace(tally, timeouts=0 if effort_came else tally.timeouts + 1)
    if rules.timeouts is not None and tally.timeouts >= rules.timeouts:
        return tally, Ending("stopped", f"no effort in {tally.timeouts} trials in a row")
    return tally, None


def at_cap(report: StimReport) -> bool:
    """Whether the gate holds current at a limit of amount, not merely at one of its rise."""
    return report.rule in CAP_RULES or any(reason.rpartition(", ")[2] in CAP_RULES for reason in report.reasons)


def capped(tally: Tally, rules: StopRules) -> tuple[Tally, Ending | None]:
    """Another train has been held at a limit."""
    tally = replace(tally, cap_hits=tally.cap_hits + 1)
    if rules.cap_hits is not None and tally.cap_hits >= rules.cap_hits:
        return tally, Ending("stopped", f"{tally.cap_hits} trains were held at a limit of the envelope")
    return tally, None


def inattention(rules: StopRules, attended_ns: int, now_ns: int) -> str:
    """Why the operator is taken to be absent; empty while they are not."""
    if rules.attention_s is None or now_ns - attended_ns < round(rules.attention_s * 1e9):
        return ""
    return f"no act of the operator for {rules.attention_s:g} s"


def overtime(rules: StopRules, begin_ns: int, now_ns: int) -> Ending | None:
    """Whether the session has lasted as long as it may."""
    if rules.session_max_s is None or now_ns - begin_ns < round(rules.session_max_s * 1e9):
        return None
    return Ending("stopped", f"the session has lasted {rules.session_max_s:g} s, the most the protocol allows")


def _verdict(text: str) -> str:
    # Liveness may add a detail after the word.
    return text.partition(" ")[0].partition(":")[0]

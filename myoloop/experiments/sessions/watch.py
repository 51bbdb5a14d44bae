"""What ends a session without anybody's act: a peer that is gone, a latched gate, a stop rule of the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from myoloop.experiments.protocols.plan import StopRules
from myoloop.platform.messages import Estimate, StimReport

#: A required peer may be silent for this long.
PEER_SILENT_NS = 300_000_000
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


@dataclass(frozen=True, slots=True)
class Tally:
    """What the stop rules count.

    Attributes
    ----------
    pain_baseline
        The person's own first score.
    onsets_ns
        Per muscle, when its last counted spasm began.
    spasms_ns
        When spasms were counted, those within the rule's window.
    timeouts
        Efforts in a row that did not come.
    """

    pain_baseline: float | None = None
    onsets_ns: Mapping[str, int] = field(default_factory=dict)
    spasms_ns: tuple[int, ...] = ()
    timeouts: int = 0


def scored(tally: Tally, rules: StopRules, score: float) -> tuple[Tally, Ending | None]:
    """A pain score of 0 to 10 has been given; the first is the person's own baseline."""
    if tally.pain_baseline is None:
        tally = replace(tally, pain_baseline=score)
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


def overtime(rules: StopRules, begin_ns: int, now_ns: int) -> Ending | None:
    """Whether the session has lasted as long as it may."""
    if rules.session_max_s is None or now_ns - begin_ns < round(rules.session_max_s * 1e9):
        return None
    return Ending("stopped", f"the session has lasted {rules.session_max_s:g} s, the most the protocol allows")


def _verdict(text: str) -> str:
    # Liveness may add a detail after the word.
    return text.partition(" ")[0].partition(":")[0]

"""Where the session is, and whether its record grows, in the words and numbers of a page."""

from __future__ import annotations

from typing import Any, Final

from myoloop.platform.messages import Heartbeat, Phase

#: A record that has not grown for so long does not grow.
GROWS_WITHIN_NS: Final = 2_000_000_000
_ALIVE_NS: Final = 500_000_000


class Recording:
    """What the recorder's heartbeats say."""

    def __init__(self) -> None:
        self._beat: Heartbeat | None = None
        self._grown_ns: int | None = None

    def see(self, beat: Heartbeat) -> None:
        """Take in a heartbeat of the recorder."""
        before, self._beat = self._beat, beat
        if before is not None and beat.counters.get("bytes_written", 0.0) > before.counters.get("bytes_written", 0.0):
            self._grown_ns = beat.t_ns

    def state(self, now_ns: int) -> dict[str, Any]:
        """Whether it lives and grows, and how much there is."""
        beat = self._beat
        counters = beat.counters if beat is not None else {}
        return {
            "alive": beat is not None and now_ns - beat.t_ns < _ALIVE_NS,
            "growing": self._grown_ns is not None and now_ns - self._grown_ns < GROWS_WITHIN_NS,
            "bytes": counters.get("bytes_written"),
            "messages": counters.get("messages"),
            "missing": counters.get("missing"),
        }


def phase_state(phase: Phase, count: int, now_ns: int, *, words: bool) -> dict[str, Any]:
    """The place in the protocol, as a page is told it.

    What is left of a state is reckoned from when it began, as the message comes ten times a second only.

    Parameters
    ----------
    count
        How many phases the protocol has.
    words
        Whether it may be told what is wrong with a signal; what people answered may be told always.
    """
    left_s = None
    if phase.state == "running" and phase.state_s > 0 and phase.t_state_ns:
        left_s = max(0.0, phase.state_s - (now_ns - phase.t_state_ns) * 1e-9)
    return {
        "index": phase.index,
        "count": count,
        "name": phase.name,
        "kind": phase.kind,
        "state": phase.state,
        "waiting_for": phase.waiting_for,
        "machine": phase.machine,
        "block": phase.block,
        "trial": phase.trial,
        "trials": phase.trials,
        "trial_state": phase.trial_state,
        "state_left_s": left_s,
        "state_s": phase.state_s,
        "session_s": phase.session_s,
        "seconds_left": phase.seconds_left,
        "baseline": phase.baseline,
        "prompt": phase.prompt,
        "outcome": phase.outcome,
        "reason": phase.reason,
        "forms": list(phase.forms),
        "attention_left_s": phase.attention_left_s,
        "muscle": phase.muscle,
        "wrong": dict(phase.wrong) if words or phase.waiting_for == "override" else dict.fromkeys(phase.wrong, ""),
        "level": phase.level,
        "armed": bool(phase.arm_id),
    }

"""In which state the supervisor is, and which may follow which."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """What becomes of the policy's wish.

    IDLE: nothing is wanted. RAMP: current rises or falls. HOLD: the trial holds, all that was wanted is let through.
    REDUCE: less is let through, or aimed at, for fatigue or because the task was planned anew. REST: zero for a time,
    after a spasm, for fatigue, or as part of a new plan. STOP: zero until what is wrong is over.
    """

    IDLE = "IDLE"
    RAMP = "RAMP"
    HOLD = "HOLD"
    REDUCE = "REDUCE"
    REST = "REST"
    STOP = "STOP"


_ANY = frozenset(State)
#: After zero current the way back leads through IDLE or RAMP.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.IDLE: _ANY,
    State.RAMP: _ANY,
    State.HOLD: _ANY,
    State.REDUCE: _ANY,
    State.REST: frozenset({State.REST, State.IDLE, State.RAMP, State.STOP}),
    State.STOP: frozenset({State.STOP, State.IDLE, State.RAMP, State.REST}),
}


def follow(before: State, wanted: State) -> State:
    """The state that follows: the wanted one where it may, else RAMP on the way to it."""
    return wanted if wanted in TRANSITIONS[before] else State.RAMP

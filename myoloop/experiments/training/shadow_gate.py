"""What a session's own gate would have done with other requests: its recorded steps again, with a second gate beside.

The second gate begins as the first, hears the same evidence, acts and stops in every step, and another request. Its
dose, ground and time on are its own; that the device obeyed it is taken for granted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from myoloop.experiments.replay import stepped_again
from myoloop.platform.messages import Start, StimRequest
from myoloop.platform.recording.reader import Recording
from myoloop.platform.steps import Outgoing, StepInput
from myoloop.stimulators import blinded, gate
from myoloop.stimulators.stimulator import Stimulator, StimulatorSettings

#: By the number of the controller's step, the current of each channel that is to be asked for instead.
Instead = Mapping[int, Mapping[str, float]]


@dataclass(slots=True)
class Gated:
    """What a gate did.

    Attributes
    ----------
    requests
        Steps in which current was asked for.
    limited
        Of them by the rule that let less through, or none.
    charge_mc
        Charge per phase of all pulses that were let through.
    most_ma
        The most that was.
    """

    requests: int = 0
    limited: Counter[str] = field(default_factory=Counter)
    charge_mc: float = 0.0
    most_ma: float = 0.0

    @property
    def interventions(self) -> int:
        """Steps in which less was let through than was asked for."""
        return self.limited.total()

    def note(self, state: gate.GateState, verdict: gate.Verdict) -> None:
        """Note a step."""
        self.charge_mc = state.dose.charge_mc
        self.most_ma = max([self.most_ma, *(each.current_ma for each in verdict.allowed)])
        if verdict.requested:
            self.requests += 1
            if verdict.rule:
                self.limited[verdict.rule] += 1


def through_its_gate(recording: Recording, instead: Instead) -> tuple[Gated, Gated]:
    """What the gate of a session did, and what it would have done with other requests, both in a replay.

    Parameters
    ----------
    instead
        Of the steps that it names, the requests are for these currents.

    Raises
    ------
    ReplayError
        If the session has no stimulator.
    """
    gates: list[_TwoGates] = []

    def build(start: Start) -> Stimulator:
        gates.append(_TwoGates(msgspec.json.decode(start.settings, type=StimulatorSettings), instead))
        return gates[0]

    for _ in stepped_again(recording, "stimulator", build, []):
        pass
    return gates[0].did, gates[0].would


class _TwoGates(Stimulator):
    def __init__(self, settings: StimulatorSettings, instead: Instead) -> None:
        super().__init__(settings)
        self._instead = instead
        self._other: gate.Request | None = None
        self._beside = gate.GateState()
        self.did, self.would = Gated(), Gated()

    def step(self, given: StepInput) -> list[Outgoing]:
        requests = [each.message for each in given.received if isinstance(each.message, StimRequest)]
        # As the first gate, only the newest counts.
        self._other = self._changed(requests[-1]) if requests else None
        return super().step(given)

    def _decide(
        self, request: gate.Request | None, acts: Sequence[gate.Act], stops: Sequence[str], now_ns: int
    ) -> blinded.Verdicts:
        evidence = self._hearing.evidence()
        self._beside, verdict = gate.step(
            self._beside, self._gate_settings, evidence, self._other, acts, stops, now_ns
        )  # fmt: skip
        self.would.note(self._beside, verdict)
        said = super()._decide(request, acts, stops, now_ns)
        self.did.note(self.gate_state, said.true)
        return said

    def _changed(self, message: StimRequest) -> gate.Request:
        other = self._instead.get(message.step, {})
        settings = tuple(
            gate.Setting(each.channel, other.get(each.channel, each.current_ma), each.phase_us, each.rate_hz)
            for each in message.channels
        )
        return gate.Request(message.t_ns, message.arm_id, message.lease_ms, settings)

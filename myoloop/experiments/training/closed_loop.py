"""Many people at once in closed loop on the fast tier, each with a policy and the real gate.

A step is 10 ms, in the order of a lockstep session: the phase, the gate with the request of some steps ago, the policy
with the samples until now, then the body with the pulses that the gate let through. Nothing of one person hangs on who
else is in the loop, so that the numbers are the same however people are grouped.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.controllers.parts import Faults
from myoloop.controllers.policies.guarded import GuardedPolicy
from myoloop.controllers.policies.policy import Decision, Policy, PolicyInput
from myoloop.controllers.reflex import Reflex, ReflexSettings, Wish
from myoloop.experiments.training.bodies import MUSCLE, Bodies, FastBodies, Lived
from myoloop.experiments.training.cases import Case
from myoloop.experiments.training.course import Course, Tally
from myoloop.experiments.training.heard import Heard, strikes
from myoloop.experiments.training.judge import Judge
from myoloop.experiments.training.reward import Cost
from myoloop.experiments.training.stimulated import CHANNEL, STEP_NS, Armed, Device, healthy
from myoloop.experiments.training.task import STEP_S, Task
from myoloop.experiments.training.trials import Trials
from myoloop.platform.messages import ChannelSetting, Dose, StimReport
from myoloop.stimulators.emulators.ledger import Pulse
from myoloop.stimulators.gate import Request, Setting, Verdict

#: Rest before the first trial: activity at rest is learnt, the gate is armed.
SETTLE_STEPS = 100
_AT_LIMIT = 0.999
MakeBodies = Callable[[Sequence[Case], int], Bodies]


class ClosedLoop:
    """A closed loop.

    Parameters
    ----------
    cases
        Who.
    task
        What.
    policies
        Of each person; None where whoever holds the loop gives currents to :meth:`step`. Policies that are there beside
        given currents are asked all the same, and not obeyed.
    seed
        Makes days of the same cases differ: added to each case's own.
    bodies
        On which tier they live.

    Attributes
    ----------
    now_ns
        Lived to.
    cases
        With the seeds of that day.
    set_points_n
        Of each person.

    Raises
    ------
    ValueError
        If there is nobody, or it is not one policy per person.
    EnvelopeTooWide
        If the gate refuses the task's limits.
    """

    def __init__(
        self, cases: Sequence[Case], task: Task, policies: Sequence[Policy] | None, seed: int = 0,
        *, bodies: MakeBodies = FastBodies,
    ) -> None:  # fmt: skip
        if not cases:
            raise ValueError("nobody is in the loop, at least one case is needed")
        if policies is not None and len(policies) != len(cases):
            raise ValueError(f"{len(policies)} policies for {len(cases)} cases: one each")
        self.task = task
        self.cases = tuple(_on_day(case, seed) for case in cases)
        self.set_points_n = [case.set_point_n(task.target_share) for case in self.cases]
        self.people = [
            _Person(case, task, None if policies is None else policies[n]) for n, case in enumerate(self.cases)
        ]
        self._bodies = bodies(self.cases, 0)
        self._tally = Tally(task, self.set_points_n)
        self._late = task.delays.sample_to_request_ms // 10
        self._heard_late_ns = task.delays.request_to_pulse_ms * 1_000_000
        self._steps_left = round(task.trial.seconds / STEP_S)
        self.now_ns = 0
        self._begin_ns = SETTLE_STEPS * STEP_NS
        self._lived = self._settle()

    @property
    def done(self) -> bool:
        """Whether all trials are over."""
        return self._steps_left <= 0

    @property
    def in_train(self) -> npt.NDArray[np.bool_]:
        """Who is in a train at the end of the last step, (people,)."""
        return self._tally.in_train

    def step(self, current_ma: Sequence[float] | None = None) -> None:
        """Live for 10 ms.

        Parameters
        ----------
        current_ma
            What is asked for instead of what the policies ask for, by person: any number, the gate has to do with it.

        Raises
        ------
        ValueError
            If all trials are over, or there are neither policies nor currents.
        """
        if self.done:
            raise ValueError("all trials are over")
        self._steps_left -= 1
        now_ns, lived = self.now_ns, self._lived
        end_ns = now_ns + STEP_NS
        at_s = (now_ns - self._begin_ns) * 1e-9
        evidence = healthy(now_ns)
        pulses = []
        for number, person in enumerate(self.people):
            if person.trials.step(now_ns, person.triggered):
                self._bodies.see(number, person.trials.phase, now_ns)
            verdict = person.gate(evidence, now_ns, self._late)
            person.ask(lived.cell_n[number], lived.level_uv[number], lived.spasm[number], at_s, now_ns)
            person.request(None if current_ma is None else current_ma[number], now_ns)
            delivered = person.device.step(verdict.allowed, now_ns + self._heard_late_ns, end_ns)
            pulses.append(person.reached(delivered, at_s, now_ns, end_ns))
        self._lived = self._live(pulses, end_ns)
        people = self.people
        self._tally.step(
            np.array([person.trials.number for person in people]),
            np.array([(end_ns - person.trials.train_ns) * 1e-9 for person in people]),
            self._lived.force_n,
            self._lived.fatigue,
            np.array([person.charge_mc for person in people]),
            np.array([person.saturated for person in people]),
        )
        self._cost()

    def costs(self) -> list[Cost]:
        """What each person's last decision cost: everything since this was last asked."""
        return [
            person.cost.take(fatigue) for person, fatigue in zip(self.people, self._lived.fatigue.tolist(), strict=True)
        ]

    def course(self) -> Course:
        """What has come of it so far."""
        people = self.people
        return self._tally.course(
            [person.judge.peak_ma for person in people],
            [person.interventions for person in people],
            [person.judge.violations for person in people],
            [person.trials.assisted for person in people],
        )

    def run(self) -> Course:
        """All that is left of it."""
        while not self.done:
            self.step()
        return self.course()

    def _settle(self) -> Lived:
        """A second of rest."""
        nothing: list[list[Pulse]] = [[] for _ in self.people]
        for number, person in enumerate(self.people):
            self._bodies.see(number, person.trials.phase, 0)
        for step in range(SETTLE_STEPS):
            lived = self._live(nothing, (step + 1) * STEP_NS)
            for person, level_uv in zip(self.people, lived.level_uv, strict=True):
                person.heard.rest(level_uv)
        for person, fatigue in zip(self.people, lived.fatigue.tolist(), strict=True):
            person.heard.rested()
            person.cost.begin(fatigue)
        return lived

    def _live(self, pulses: Sequence[Sequence[Pulse]], end_ns: int) -> Lived:
        lived = self._bodies.step(pulses)
        self.now_ns = end_ns
        return lived

    def _cost(self) -> None:
        squares, in_train = np.square(self._tally.error).tolist(), self._tally.in_train.tolist()
        for person, square, counts in zip(self.people, squares, in_train, strict=True):
            person.cost.add(square, counts, person)


class _Person:
    """One person's controller, gate, stimulator and director."""

    def __init__(self, case: Case, task: Task, policy: Policy | None) -> None:
        begin_ns = SETTLE_STEPS * STEP_NS
        self.armed = Armed(case, task, begin_ns - STEP_NS)
        most_ma = self.armed.envelope.channels[0].current_max_ma
        self.trials = Trials(task, most_ma, self.armed.arm_id, begin_ns)
        self.judge = Judge(self.armed.envelope)
        self.device = Device()
        (self.striking,) = strikes(task, [case.seed])
        self.heard = Heard(self.striking)
        self.faults = Faults()
        self._policy = None if policy is None else GuardedPolicy(policy, type(policy).__name__, (CHANNEL,), self.faults)
        self._reflex = Reflex(ReflexSettings(), {CHANNEL: MUSCLE}) if task.supervisor else None
        self.interventions: Counter[str] = Counter()
        self.triggered = self.saturated = self.limited = False
        self._wanted_ma = self.delivered_ma = self.charge_mc = 0.0
        self.cost = _Costs(case, task, most_ma)
        self._most_ma = most_ma
        self._lag_ns = round(case.delay_s * 1e9) if task.delays.electromechanical else 0
        self._requests: deque[Request] = deque()
        self._under_way: deque[Pulse] = deque()
        self._report: StimReport | None = None
        self._steps = 0

    def gate(self, evidence: Any, now_ns: int, late: int) -> Verdict:
        """What may flow from now on, by the request made `late` steps ago."""
        request = self._requests.popleft() if len(self._requests) >= late else None
        verdict = self.armed.step(request, evidence, now_ns)
        self.limited = bool(verdict.rule)
        if self.limited:
            self.interventions[verdict.rule] += 1
        self.delivered_ma = verdict.allowed[0].current_ma if verdict.allowed else 0.0
        self._steps += 1
        dose, allowed = self.armed.state.dose, _told(verdict.allowed)
        self._report = StimReport(
            step=self._steps, t_ns=now_ns, state=self.armed.state.name, request=("controller", 1, self._steps),
            requested=_told(verdict.requested), allowed=allowed, acknowledged=allowed, rule=verdict.rule,
            reasons=verdict.reasons,
            dose=Dose(session_charge_mc=dose.charge_mc, session_on_s=dose.on_s, session_pulses=round(dose.pulses)),
        )  # fmt: skip
        return verdict

    def ask(self, cell_n: float, level_uv: float, spasm: bool, at_s: float, now_ns: int) -> None:
        """Ask the policy, as the controller does, and let the reflexes judge."""
        policy, reflex, phase = self._policy, self._reflex, self.trials.phase
        if policy is None:
            return
        given = PolicyInput(
            now_ns, phase, self.heard.estimates(level_uv, spasm), self.heard.activity(level_uv), self._report, None,
            self.heard.force_n(cell_n, at_s), 1.0 if reflex is None else reflex.set_point_share,
            1.0 if reflex is None else reflex.let_through,
        )  # fmt: skip
        decision: Decision = policy.decide(given)
        self.triggered, self.saturated = decision.trigger, decision.saturated
        current_ma = decision.current_ma
        if reflex is not None:
            wish = Wish(
                now_ns, dict(current_ma), given.estimates, "", phase.index, True, phase.trial_state,
                (phase.block, phase.trial), decision.saturated, decision.held, self.limited,
            )  # fmt: skip
            current_ma, _ = reflex.apply(wish)
        self._wanted_ma = current_ma.get(CHANNEL, 0.0)

    def request(self, instead_ma: float | None, now_ns: int) -> None:
        """Ask the gate for what the policy wants, or for this instead, whatever number it is."""
        if instead_ma is not None:
            self.saturated = instead_ma >= _AT_LIMIT * self._most_ma
        elif self._policy is None:
            raise ValueError("there are no policies: the currents to ask for are needed")
        wanted_ma = self._wanted_ma if instead_ma is None else instead_ma
        self._requests.append(self.armed.request(now_ns, wanted_ma))

    def reached(self, delivered: list[Pulse], at_s: float, begin_ns: int, end_ns: int) -> list[Pulse]:
        """Pulses as the nerve gets them in a step: of a lead that is open none; weaker where thresholds are higher."""
        self.charge_mc = 0.0
        if delivered:
            for pulse in delivered:
                self.judge.feel(pulse)
            if not self.striking.open(at_s):
                self.charge_mc = sum(pulse.current_ma * pulse.phase_us for pulse in delivered) * 1e-6
                self._under_way.extend(delivered)
        waiting, lag_ns = self._under_way, self._lag_ns
        felt: list[Pulse] = []
        while waiting and waiting[0].t_ns + lag_ns < end_ns:
            pulse = waiting.popleft()
            strength = pulse.current_ma / self.striking.threshold(at_s)
            felt.append(pulse._replace(t_ns=max(begin_ns, pulse.t_ns + lag_ns), current_ma=strength))
        return felt


class _Costs:
    """Adds up what a decision costs."""

    def __init__(self, case: Case, task: Task, most_ma: float) -> None:
        stim = task.stimulation
        needed_ma = case.known.current_ma(case.set_point_n(task.target_share) / case.full_response, stim.phase_us)
        self._step_mc = needed_ma * stim.phase_us * 1e-6 * stim.rate_hz * STEP_S
        self._pain_of = task.reward.pain_of
        self._most_ma = most_ma
        self._fatigue = 0.0
        self._clear()

    def begin(self, fatigue: float) -> None:
        """The first decision is made with so much fatigue."""
        self._fatigue = fatigue

    def add(self, square: float, in_train: bool, person: _Person) -> None:
        """A step is over, with this square of the error; the time of a rest does not thin the mean out."""
        self._steps += in_train
        self._square += square
        self._charge_mc += person.charge_mc
        self._gated += person.limited
        self._pain += self._pain_of(person.delivered_ma / self._most_ma) if self._most_ma > 0.0 else 0.0

    def take(self, fatigue: float) -> Cost:
        """What it has come to; the next decision begins."""
        steps = max(1, self._steps)
        cost = Cost(
            tracking=(self._square / steps) ** 0.5,
            fatigue=fatigue - self._fatigue,
            charge=self._charge_mc / (steps * self._step_mc),
            gate=self._gated / steps,
            pain=self._pain / steps,
        )
        self._fatigue = fatigue
        self._clear()
        return cost

    def _clear(self) -> None:
        self._steps = self._gated = 0
        self._square = self._charge_mc = self._pain = 0.0


def _told(settings: tuple[Setting, ...]) -> tuple[ChannelSetting, ...]:
    return tuple(
        ChannelSetting(channel=s.channel, current_ma=s.current_ma, phase_us=s.phase_us, rate_hz=s.rate_hz)
        for s in settings
    )


def _on_day(case: Case, seed: int) -> Case:
    """The same knowledge of the person, another day's randomness."""
    if seed == 0:
        return case
    mixed = np.random.SeedSequence((0x64617973, case.seed, seed)).generate_state(1, np.uint32)
    return replace(case, seed=int(mixed[0]))

"""Pages and the director: whatever is pressed and whenever, what is asked for rises step by step, and while held."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myoloop.experiments.sessions.byhand import ByHand, HandOperator
from myoloop.experiments.sessions.desk import LEASE_NS, Desk
from myoloop.experiments.sessions.injected import felt
from myoloop.experiments.sessions.operator import OperatorSettings
from myoloop.platform.messages import Command

MS = 1_000_000
TICK_NS = 10 * MS
INTERVAL_S, STEP_MA = 0.5, 3.0


class Page:
    """Somebody at a console: presses, and keeps what was answered and what was held when."""

    def __init__(self, world):
        self.world, self.pressed = world, 0
        self.desk = Desk()
        inner = HandOperator(OperatorSettings(name="operator"), [self.desk])
        world.operator = ByHand(inner, [self.desk], "director", self.desk)
        self.served_ns, self.held_ns = [], []

    def press(self, kind, *, who="operator AB", why="it is so", age_ns=0, **arguments):
        world, phase = self.world, self.world.phase
        self.pressed += 1
        command = Command(
            t_ns=world.now_ns - age_ns, id=f"p-{self.pressed}", kind=kind, target="supervisor", who=who, why=why,
            arguments=arguments, role="operator",
        )  # fmt: skip
        if kind == "serve":
            self.served_ns.append(world.now_ns)
        elif kind == "raise":
            self.held_ns.append((world.now_ns, world.now_ns - age_ns + LEASE_NS))
        self.desk.take(command, b"page", phase, world.now_ns)

    def answers(self):
        return [told.answer for told in self.desk.take_told()]

    def serve_until(self, reached):
        """Press once for each wait, until it is there."""
        while not reached(self.world.phase):
            wait = self.world.phase.waiting_for
            if wait:
                self.press("serve", waiting_for=wait)
            self.world.until(lambda phase, wait=wait: phase.waiting_for != wait or reached(phase), within_s=2.0)


@pytest.fixture
def plan(make_visit_plan):
    """One channel's thresholds, quickly, and a block after them."""
    whole = make_visit_plan()
    calibrating = whole.phases[3]
    brief = replace(calibrating.calibration, interval_s=INTERVAL_S, burst_s=0.3, catch_trials=0)
    brief = replace(brief, pulses=brief.pulses[:1])
    assert brief.ascent.level_ma(0) == STEP_MA
    block = replace(whole.phases[5].block, prompts=(), repeat=1, pulses=whole.phases[5].block.pulses[:1])
    conditions = tuple(replace(each, pulses=each.pulses[:1]) for each in block.conditions)
    block = replace(whole.phases[5], block=replace(block, conditions=conditions))
    return replace(whole, phases=(replace(calibrating, calibration=brief), block))


def steps_of(world):
    return [(each.t_ns, each.arguments["current_ma"]) for each in world.to_gate if each.kind == "step"]


ACTS = st.tuples(
    st.sampled_from(["raise", "raise", "raise", "serve", "serve", "serve_wrong", "raise_wrong", "pause", "resume",
                     "hold", "level", "score", "mark", "attend", "sensory", "tolerance", "retry", "skip_mvc"]),
    # How late it comes, and how long until the next.
    st.sampled_from([0, 0, 0, 50, 150, 250]),
    st.sampled_from([0, 1, 2, 5, 10, 30]),
)  # fmt: skip


def mash(page, act, age_ms):
    age_ns = age_ms * MS
    if act in ("sensory", "tolerance"):
        page.press("felt", who="subject", what=act, age_ns=age_ns)
    elif act.startswith("raise"):
        page.press("raise", channel="flex" if act == "raise_wrong" else "ext", age_ns=age_ns)
    elif act == "serve_wrong":
        page.press("serve", waiting_for="confirm", age_ns=age_ns)
    else:
        values = {"level": {"level": 1.0}, "score": {"score": 2}}
        page.press(act, age_ns=age_ns, **values.get(act, {}))


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(presses=st.lists(ACTS, max_size=60))
def test_whatever_is_pressed_current_rises_one_step_an_interval_and_only_while_held_or_served(
    make_visit, plan, presses
):
    world = make_visit(plan=plan)
    page = Page(world)
    world.tick()
    page.serve_until(lambda phase: phase.waiting_for == "step")
    before = len(page.served_ns)
    for act, age_ms, ticks in presses:
        mash(page, act, age_ms)
        for _ in range(ticks):
            world.tick()
    world.run(0.3)
    steps = steps_of(world)
    served_ns = page.served_ns[before:]
    for number, (t_ns, level_ma) in enumerate(steps):
        was_ns, was_ma = steps[number - 1] if number else (None, 0.0)
        assert level_ma <= was_ma + STEP_MA
        if was_ns is not None and level_ma > was_ma:
            assert t_ns - was_ns >= INTERVAL_S * 1e9
        # Somebody has served since the last one, or holds now.
        pressed = any((was_ns or 0) - 2 * TICK_NS <= at_ns <= t_ns for at_ns in served_ns)
        held = any(from_ns <= t_ns < until_ns for from_ns, until_ns in page.held_ns)
        assert pressed or held
    reached = [target.current_ma for phase in world.phases if phase.kind == "calibration"
               and phase.trial_state == "hold" for target in phase.targets]  # fmt: skip
    assert max(reached, default=0.0) <= max((level_ma for _, level_ma in steps), default=0.0)


def test_a_held_button_climbs_to_the_persons_thresholds(make_visit, make_visit_person, plan):
    world = make_visit(plan=plan, person=make_visit_person(sensory_ma=5.0, motor_ma=8.0, tolerance_ma=14.0))
    page = Page(world)
    world.tick()
    page.serve_until(lambda phase: phase.waiting_for == "step")
    while world.phase.kind == "calibration" and world.phase.waiting_for != "approve_envelope":
        page.press("raise", channel="ext")
        world.run(0.1)
    steps = steps_of(world)
    assert [level_ma for _, level_ma in steps][:3] == [3.0, 6.0, 9.0]
    assert all(after - before >= INTERVAL_S * 1e9 for (before, _), (after, _) in pairwise(steps))
    page.answers()
    page.serve_until(lambda phase: phase.kind == "block" and phase.state == "running")
    assert [answer.reason for answer in page.answers() if not answer.ok] == []
    assert {command.who for command in world.to_gate if command.kind in ("confirm", "arm", "step")} == {"operator AB"}


def test_let_go_of_it_climbs_no_further(make_visit, plan):
    world = make_visit(plan=plan)
    page = Page(world)
    world.tick()
    page.serve_until(lambda phase: phase.waiting_for == "step")
    before = len(steps_of(world))
    page.press("raise", channel="ext")
    world.run(5.0)
    assert len(steps_of(world)) == before + 1


def test_the_persons_own_word_counts_as_in_any_session(make_visit, make_visit_person, plan):
    world = make_visit(plan=plan, person=make_visit_person(sensory_ma=99.0, motor_ma=99.0, tolerance_ma=99.0))
    page = Page(world)
    world.tick()
    page.serve_until(lambda phase: phase.waiting_for == "step")
    for what, level_ma in (("sensory", 3.0), ("motor", 6.0), ("tolerance", 9.0)):
        world.until(lambda phase: phase.waiting_for == "step")
        page.press("serve", waiting_for="step")
        world.until(lambda phase: phase.trial_state == "hold")
        assert world.phase.targets[0].current_ma == level_ma
        # What comes at once is taken for an answer to the step before.
        world.run(0.2)
        page.press("felt", who="subject", what=what)
        for said in page.desk.take_said():
            world.receive("event", felt(said, world.now_ns), "supervisor")
        world.run(0.1)
    found = world.director.state()["thresholds"]["ext"]
    assert (found["sensory_ma"], found["motor_ma"], found["tolerance_ma"]) == (3.0, 6.0, 9.0)


def test_a_missed_attention_prompt_pauses_and_an_act_at_the_desk_is_attention(make_visit, plan):
    world = make_visit(plan=replace(plan, stop=replace(plan.stop, attention_s=3.0)))
    page = Page(world)
    world.tick()
    page.serve_until(lambda phase: phase.waiting_for == "step")
    for _ in range(5):
        world.run(1.0)
        page.press("attend")
    world.run(0.1)
    assert [answer.reason for answer in page.answers() if not answer.ok] == []
    assert world.phase.state != "paused"
    world.until(lambda phase: phase.state == "paused", within_s=4.0)
    assert "no act of the operator" in world.events_of("paused")[-1].why
    assert world.gate.state == "READY"
    page.press("resume", why="back again")
    world.run(0.1)
    assert page.answers()[-1].ok
    assert world.phase.waiting_for == "arm_calibration"

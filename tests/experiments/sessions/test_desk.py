"""What a console asks of a running session: who may, what is passed on, and what is answered."""

from __future__ import annotations

import msgspec
import pytest

from myoloop.experiments.sessions.byhand import AtTheKeys, ByHand, HandOperator
from myoloop.experiments.sessions.desk import ACTS, ANSWER_NS, LEASE_NS, REFUSED_NS, ROLES, STALE_NS, Desk
from myoloop.experiments.sessions.keyboard import ENTER, Keyboard
from myoloop.experiments.sessions.operator import OperatorSettings
from myoloop.experiments.sessions.scripted_acts import Press, Say
from myoloop.platform.messages import Answer, Command, Dose, Phase, StimReport, Target

MS = 1_000_000
NOW_NS = 10_000 * MS
TARGET = Target(channel="ext", current_ma=4.0, phase_us=250.0, rate_hz=35.0, ramp_up_s=0.1, ramp_down_s=0.1)
RUNNING = Phase(t_ns=NOW_NS, session="s-1", state="running", level=0.5)
REPORT = StimReport(
    step=1, t_ns=NOW_NS, state="CONNECTED", request=None, requested=(), allowed=(), acknowledged=(), rule="",
    reasons=(), dose=Dose(), envelope_sha256="abc",
)  # fmt: skip
NEEDED = {
    "score": {"score": 3},
    "level": {"level": 0.5},
    "form": {"form": "nrs_now", "values": {"current": 3}},
    "override": {"item": "skin", "name": "A. Smith", "role": "clinician", "reason": "seen", "date": "2026-11-21"},
    "felt": {"what": "motor"},
    "raise": {"channel": "ext"},
}


def phase(wait="", **changes):
    return msgspec.structs.replace(RUNNING, state="waiting" if wait else "running", waiting_for=wait, **changes)


def stepping(wait="step", **changes):
    return phase(wait, kind="calibration", targets=(TARGET,), arm_id="a1", **changes)


class Session:
    """A desk with a person behind it, and somebody who answers: what a live session is to both."""

    def __init__(self, here=RUNNING, *, keyboard=None):
        self.desk = Desk()
        hands = [self.desk] if keyboard is None else [AtTheKeys(keyboard, "operator"), self.desk]
        self.operator = ByHand(HandOperator(OperatorSettings(name="operator"), hands), hands, "director", self.desk)
        self.phase, self.now_ns, self.asked = here, NOW_NS, 0

    def ask(self, kind, who="operator AB", *, why="it is so", role="operator", age_ns=0, **arguments):
        self.asked += 1
        command = Command(
            t_ns=self.now_ns - age_ns, id=f"p-{self.asked}", kind=kind, target="supervisor", who=who, why=why,
            arguments=arguments or NEEDED.get(kind, {}), role=role,
        )  # fmt: skip
        return self.desk.take(command, b"page", self.phase, self.now_ns)

    def step(self, for_ns=20 * MS):
        self.now_ns += for_ns
        return self.operator.step(self.phase, REPORT, self.now_ns)

    def answer(self, command, reason="", **values):
        self.operator.answered(Answer(t_ns=self.now_ns, id=command.id, ok=not reason, reason=reason, values=values))

    def told(self):
        """What pages have been told: nothing where it was done, else why not."""
        found = self.desk.take_told()
        assert all(each.back == b"page" for each in found)
        return [each.answer.reason for each in found]


@pytest.fixture
def session():
    return Session()


class TestWhoMay:
    @pytest.mark.parametrize("act", sorted(ACTS - {"stop"}))
    @pytest.mark.parametrize("role", sorted(ROLES))
    def test_a_role_may_what_it_may_and_nothing_else(self, role, act):
        session = Session(stepping())
        assert session.ask(act, f"{role} AB") is None
        refused = [reason for reason in session.told() if "may not" in reason]
        assert bool(refused) is (act not in ROLES[role])
        if refused:
            assert refused[0].startswith(f"a {role} may not {act}, may ")
            assert session.step() == []

    def test_the_table_is_as_it_was_agreed(self):
        assert ROLES["supervisor"] == {"pause", "end", "stop", "mark"}
        assert ROLES["subject"] == {"felt", "score", "stop"}
        assert ROLES["clinician"] - ROLES["operator"] == {"override"}
        assert ROLES["clinician"] == ACTS

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"role": "observer"}, "role: found 'observer'"),
            ({"role": ""}, "role: found ''"),
            ({"who": "script"}, "who: found 'script'"),
            ({"who": ""}, "who: found ''"),
            ({"who": "operator A\nB"}, "who: allowed is a name"),
            ({"who": "operator " + "x" * 65}, "who: allowed is a name"),
            ({"age_ns": STALE_NS}, "mark: was asked 2.0 s ago"),
        ],
    )
    def test_whoever_is_nobody_or_comes_too_late_is_told_so(self, session, changed, told):
        session.ask("mark", **changed)
        (reason,) = session.told()
        assert reason.startswith(told)
        assert session.step() == []

    @pytest.mark.parametrize("act", ["pause", "hold", "end"])
    def test_what_lowers_current_is_never_too_late(self, session, act):
        session.ask(act, age_ns=100 * STALE_NS)
        assert [command.kind for command in session.step()] == [act]

    def test_what_is_no_act_is_named(self, session):
        session.ask("arm")
        assert session.told()[0].startswith("unknown act 'arm', known are attend, electrode_changed,")

    @pytest.mark.parametrize(
        ("here", "told"),
        [(None, "the session has not begun"), (phase(outcome="complete"), "the session has ended as complete")],
    )
    def test_there_must_be_a_session(self, here, told):
        session = Session(None if here is None else msgspec.structs.replace(here, state="ended"))
        session.ask("mark")
        assert session.told() == [told]


class TestStop:
    @pytest.mark.parametrize("who", ["operator AB", "supervisor X", "nobody", ""])
    @pytest.mark.parametrize("here", [None, RUNNING, msgspec.structs.replace(RUNNING, state="ended")])
    def test_a_stop_stops_at_once_whoever_and_however_old(self, who, here):
        session = Session(here)
        pressed = session.ask("stop", who, why="it hurts", age_ns=100 * STALE_NS, role="observer")
        assert pressed == Press(who or "console", "it hurts")
        assert session.told() == [""]

    @pytest.mark.parametrize(("act", "arguments"), [("stop", {}), ("felt", {"what": "stop"})])
    def test_the_persons_own_button_is_the_persons(self, session, act, arguments):
        assert session.ask(act, "subject", **arguments) == Press("subject", "subject's own button")
        assert session.told() == [""]
        assert session.desk.take_said() == []


class TestPassedOn:
    @pytest.mark.parametrize(
        "act", sorted(ACTS - {"serve", "raise", "felt", "stop"})
    )  # fmt: skip
    def test_an_act_reaches_the_director_under_the_name_of_who_asked_and_its_answer_comes_back(self, act):
        for reason in ("", "not now"):
            session = Session()
            session.ask(act, "clinician CD", why="seen")
            (command,) = session.step()
            assert (command.kind, command.target, command.who, command.why) == (act, "director", "clinician CD", "seen")
            assert (command.role, command.arguments) == ("clinician", NEEDED.get(act, {}))
            assert session.told() == []
            session.answer(command, reason)
            assert session.told() == [reason]
            assert session.step() == []

    @pytest.mark.parametrize("act", ["resume", "end", "skip_mvc", "skip_optimise", "electrode_changed"])
    def test_what_its_key_asks_a_reason_for_needs_one(self, session, act):
        session.ask(act, why="  ")
        assert session.told() == [f"{act}: a reason is needed"]
        assert session.step() == []

    def test_other_arguments_than_its_own_are_refused(self, session):
        session.ask("mark", current_ma=40.0)
        session.ask("score", score=3, item="skin")
        assert session.told() == ["mark: found 'current_ma', allowed: nothing", "score: found 'item', allowed: score"]
        assert session.step() == []

    @pytest.mark.parametrize(
        ("level", "told"),
        [
            (0.55, None), (0.0, None), ("high", None), (0.56, "at most 0.55 now"), (1e9, "at most 0.55 now"),
        ],
    )  # fmt: skip
    def test_the_level_rises_one_step_at_a_time(self, session, level, told):
        session.ask("level", level=level)
        refused = session.told()
        assert refused == [] if told is None else told in refused[0]
        assert len(session.step()) == (told is None)

    def test_what_is_never_answered_is_told_after_a_while(self, session):
        session.ask("mark")
        (command,) = session.step()
        session.step(ANSWER_NS)
        assert session.told() == ["not answered"]
        session.answer(command)
        assert session.told() == []

    def test_what_is_open_when_the_session_ends_is_answered(self):
        session = Session(phase("arm"))
        session.ask("mark")
        session.step()
        for act in ("serve", "pause", "felt"):
            session.ask(act)
        session.desk.end("the session is over")
        assert session.told() == ["the session is over"] * 4
        assert session.step() == []

    def test_what_the_person_feels_is_told_as_theirs(self, session):
        session.ask("felt", "subject", what="motor")
        session.ask("felt", "operator AB", what="tolerance")
        session.ask("felt", "subject", what="pain")
        assert session.desk.take_said() == [Say("motor"), Say("tolerance", "operator AB")]
        assert session.told() == ["felt.what: found 'pain', allowed: sensory, motor, tolerance, stop", "", ""]


class TestServe:
    def test_one_press_arms_and_tells_the_director(self):
        session = Session(phase("arm"))
        session.ask("serve", waiting_for="arm")
        (arm,) = session.step()
        assert (arm.kind, arm.target, arm.who, arm.role) == ("arm", "stimulator", "operator AB", "operator")
        session.answer(arm, arm_id="a7")
        assert session.told() == []
        (armed,) = session.step()
        assert (armed.kind, armed.arguments, armed.who) == ("armed", {"arm_id": "a7"}, "operator AB")
        session.answer(armed)
        assert session.told() == [""]
        assert session.step() == []

    def test_who_serves_is_no_script(self):
        session = Session(phase("approve_envelope"))
        session.ask("serve", "clinician CD")
        (approve,) = session.step()
        assert not approve.who.startswith("script")
        assert (approve.who, approve.why) == ("clinician CD", "")

    def test_the_stimulators_own_reason_comes_back_and_the_next_press_tries_again(self):
        session = Session(phase("confirm"))
        for _ in range(2):
            session.ask("serve")
            (confirm,) = session.step()
            session.answer(confirm, "confirm names another envelope")
            assert session.told() == ["confirm names another envelope"]
            assert session.step(10_000 * MS) == []

    def test_a_press_for_nothing_is_not_kept_for_later(self, session):
        session.ask("serve")
        assert session.step() == []
        assert session.told() == ["nothing that can be served; the session waits for nothing"]
        session.phase = phase("arm")
        assert session.step() == []

    @pytest.mark.parametrize("wait", ["form", "override", "retry", "resume"])
    def test_what_has_an_act_of_its_own_is_not_served(self, wait):
        session = Session(phase(wait))
        session.ask("serve")
        assert session.step() == []
        assert session.told() == [f"nothing that can be served; the session waits for {wait}"]

    def test_a_press_that_was_meant_for_something_else_does_nothing(self):
        session = Session(phase("arm"))
        session.ask("serve", waiting_for="confirm")
        assert session.told() == ["meant for confirm, the session waits for arm"]
        assert session.step() == []

    def test_pressing_twice_arms_once(self):
        session = Session(phase("arm"))
        session.ask("serve")
        session.ask("serve")
        (arm,) = session.step()
        session.ask("serve")
        assert session.step() == []
        assert session.told() == ["the last one is under way"] * 2
        session.answer(arm, "arming is from READY")
        assert session.told() == ["arming is from READY"]

    def test_where_the_session_has_gone_on_meanwhile_it_is_told(self):
        session = Session(phase("arm"))
        session.ask("serve")
        (arm,) = session.step()
        session.phase = phase()
        assert session.step() == []
        session.answer(arm, arm_id="a7")
        assert session.step() == []
        assert session.told() == ["the session waits for something else by now"]

    def test_a_stimulator_that_does_not_answer_keeps_nobody_waiting(self):
        session = Session(phase("arm"))
        session.ask("serve")
        session.step()
        session.step(ANSWER_NS)
        assert session.told() == ["not answered"]

    def test_the_keys_work_beside(self):
        keyboard = Keyboard()
        session = Session(phase("arm"), keyboard=keyboard)
        keyboard.feed([ENTER, "m"], session.phase)
        arm, mark = session.step()
        assert [(each.kind, each.who, each.role) for each in (arm, mark)] == [
            ("arm", "operator", ""), ("mark", "operator", ""),
        ]  # fmt: skip
        session.answer(arm, "arming is from READY")
        assert "refused: arming is from READY" in keyboard.line
        assert session.told() == []

    def test_enter_that_was_pressed_too_soon_is_not_kept_either(self):
        keyboard = Keyboard()
        session = Session(keyboard=keyboard)
        keyboard.feed([ENTER], session.phase)
        assert session.step() == []
        session.phase = stepping()
        assert session.step() == []

    @pytest.mark.parametrize("act", ["serve", "raise"])
    def test_where_a_script_serves_nobody_else_does(self, act):
        desk = Desk(serves=False)
        command = Command(
            t_ns=NOW_NS, id="p", kind=act, target="supervisor", who="operator AB", arguments=NEEDED.get(act, {}),
            role="operator",
        )  # fmt: skip
        desk.take(command, b"page", stepping(), NOW_NS)
        (told,) = desk.take_told()
        assert told.answer.reason == "a script serves this session"
        assert desk.wants("step", "ext") is None


class TestRaise:
    """Hold-to-raise: a lease that the page renews."""

    def raised(self, session, command):
        """One whole step."""
        assert (command.kind, command.target) == ("step", "stimulator")
        session.answer(command)
        (stepped,) = session.step(0)
        assert (stepped.kind, stepped.arguments) == ("stepped", {"current_ma": 4.0})
        session.answer(stepped)

    def test_a_step_that_is_waited_for_is_served_while_it_is_held(self):
        session = Session(stepping())
        session.ask("raise")
        assert session.told() == [""]
        (step,) = session.step()
        self.raised(session, step)
        assert session.step() == []

    def test_one_hold_serves_step_after_step_each_when_it_is_waited_for(self):
        session = Session(stepping())
        for trial in range(3):
            session.phase = stepping(trial=trial)
            session.ask("raise")
            (step,) = session.step()
            self.raised(session, step)
            session.phase = stepping("", trial=trial)
            session.ask("raise")
            assert session.step(100 * MS) == []

    def test_it_lapses_when_it_is_not_renewed(self):
        session = Session(stepping(""))
        session.ask("raise")
        session.now_ns += LEASE_NS
        session.phase = stepping()
        assert session.step(0) == []

    def test_how_long_it_is_held_goes_by_when_the_page_said_so(self):
        session = Session(stepping())
        session.ask("raise", age_ns=LEASE_NS)
        assert session.step(0) == []

    def test_a_page_with_a_fast_clock_holds_no_longer(self):
        session = Session(stepping(""))
        session.ask("raise", age_ns=-10 * LEASE_NS)
        session.now_ns += LEASE_NS
        session.phase = stepping()
        assert session.step(0) == []

    def test_it_does_nothing_but_steps(self):
        session = Session(stepping("approve_envelope"))
        session.ask("raise")
        assert session.step() == []

    @pytest.mark.parametrize(
        ("here", "channel", "told"),
        [
            (stepping(), "flex", "raise.channel: found 'flex', raised now is ext"),
            (stepping(), None, "raise.channel: found 'None', raised now is ext"),
            (phase("arm"), "ext", "nothing is there to be raised: no calibration is armed"),
            (
                msgspec.structs.replace(stepping(), arm_id=""), "ext",
                "nothing is there to be raised: no calibration is armed",
            ),
        ],
    )  # fmt: skip
    def test_only_the_channel_that_is_calibrated_is_raised(self, here, channel, told):
        session = Session(here)
        session.ask("raise", channel=channel)
        assert session.told() == [told]
        assert session.step() == []

    def test_a_lease_does_not_go_over_to_the_next_channel(self):
        session = Session(stepping())
        session.ask("raise")
        other = msgspec.structs.replace(TARGET, channel="flex")
        session.phase = msgspec.structs.replace(session.phase, targets=(other,))
        assert session.step() == []

    def test_a_refused_step_is_told_with_the_next_renewal_and_tried_again_after_a_rest(self):
        session = Session(stepping())
        session.ask("raise")
        (step,) = session.step()
        session.answer(step, "above the cap")
        session.told()
        tried_ns, refused_ns = [], session.now_ns
        for number in range(12):
            session.ask("raise")
            assert session.told() == (["above the cap"] if number == 0 else [""])
            tried_ns += [session.now_ns - refused_ns for _ in session.step(50 * MS)]
        assert tried_ns == [REFUSED_NS]

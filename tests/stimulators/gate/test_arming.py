"""Rule 4: what leads from state to state, who may, and that no way leads to current without an operator."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import product

import pytest

from myoloop.stimulators.gate import LATCHED, LIVE, TRANSITIONS
from myoloop.stimulators.gate.states import follow

LETTERS = {
    "D": "DISCONNECTED",
    "C": "CONNECTED",
    "R": "READY",
    "K": "CALIBRATING",
    "A": "ARMED",
    "S": "STIMULATING",
    "F": "FAULT",
    "X": "STOPPED",
}
#: Where each cause leads from each state, written down apart from the code; a dot is no way at all.
CAUSES = """
                     D C R K A S F X
device found         C . . . . . . .
device lost          . D D . . . . .
set_envelope         . C C . . . . .
confirm              . R . . . . . .
arm                  . . A . . . . .
arm for calibration  . . K . . . . .
pause                . . . R R R . .
current              . . . . S . . .
zero                 . . . . . A . .
acknowledge          . . . . . . C C
fault                . F F F F F . .
stop                 X X X X X X X X
"""
#: Where one step with each event ends, for a gate that was brought to the state: what acts and evidence really do.
EVENTS = """
                 D C R K A S F X
nothing          D C R K A A F X
found            C C R K A A F X
lost             D D D F F F F X
set_envelope     D C C K A S F X
confirm          D R R K A S F X
arm              D C A K A S F X
calibrate        D C K K A S F X
step             D C R K A S F X
pause            D C R R R R F X
early ack        D C R K A S F X
acknowledge      D C R K A S C C
unknown act      D C R K A S F X
device fault     D F F F F F F X
node fault       D C F F F F F X
unheard          D F F F F F F X
slept            D C F F F F F X
jump             D C F F F F F X
back             D C F F F F F X
dead peer        D C R F F F F X
stale            D C R K A A F X
not running      D C R K A A F X
asks zero        D C R K A A F X
asks current     D C R K S S F X
asks badly       D C R K A A F X
asks too late    D C R K A A F X
stop             X X X X X X X X
stop and arm     X X X X X X X X
stop and ack     X X X X X X X X
"""


def table(text):
    head, *rows = text.strip("\n").splitlines()
    letters = head.split()
    assert letters == list(LETTERS)
    for row in rows:
        *cause, a, b, c, d, e, f, g, h = row.split()
        for letter, to in zip(letters, (a, b, c, d, e, f, g, h), strict=True):
            yield " ".join(cause), LETTERS[letter], LETTERS.get(to)


def bring(bench, state):
    """A gate that has come to `state` the way it is meant to, with an envelope wherever it can have one."""
    if state == "DISCONNECTED":
        bench.to_ready()
        bench.connected = False
        bench.step()
    elif state == "CALIBRATING":
        bench.to_calibrating()
    else:
        getattr(bench, f"to_{state.lower()}")()
    if state in ("FAULT", "STOPPED"):
        bench.wait(11.0)
    assert bench.name == state
    return bench


@pytest.mark.parametrize(("cause", "state", "to"), list(table(CAUSES)))
def test_a_cause_leads_where_the_table_says_and_nowhere_else(cause, state, to):
    assert follow(state, cause) == (to or state)
    assert TRANSITIONS.get((state, cause)) == to


def test_there_is_no_other_way():
    assert set(TRANSITIONS) == {(state, cause) for cause, state, to in table(CAUSES) if to}


def test_which_states_are_live_and_which_latched():
    assert {"CALIBRATING", "ARMED", "STIMULATING"} == LIVE
    assert {"FAULT", "STOPPED"} == LATCHED


def envelope_act(bench):
    return bench.act("set_envelope", "director", **asdict(bench.envelope))


def arm_act(bench, mode="normal", **more):
    sha256 = bench.envelope.sha256
    return bench.act("arm", mode=mode, session="ses-01", envelope_sha256=sha256, **more)


@pytest.mark.parametrize(("event", "state", "to"), list(table(EVENTS)))
def test_every_event_in_every_state(new_gate, wish, event, state, to):
    bench = new_gate()
    if event == "early ack" and state in ("FAULT", "STOPPED"):
        getattr(bench, f"to_{state.lower()}")().wait(9.0)
    else:
        bring(bench, state)
    request, acts, stops, after_ms = None, [], [], 10.0
    match event:
        case "nothing":
            after_ms = 99.0
            bench.hold(None, 200)
        case "found":
            bench.hold(None, 200)
            bench.connected = True
        case "lost":
            bench.connected = False
        case "set_envelope":
            acts = [envelope_act(bench)]
        case "confirm":
            acts = [bench.act("confirm", envelope_sha256=bench.envelope.sha256)]
        case "arm":
            acts = [arm_act(bench)]
        case "calibrate":
            acts = [arm_act(bench, "calibration", channel="left")]
        case "step":
            acts = [bench.act("step", channel="left", current_ma=1.0)]
        case "pause":
            acts = [bench.act("pause")]
        case "early ack" | "acknowledge":
            acts = [bench.act("acknowledge")]
        case "unknown act":
            acts = [bench.act("resume")]
        case "device fault":
            bench.device_faults = ("lead open",)
        case "node fault":
            bench.node_faults = ("ledger",)
        case "unheard":
            bench.unacknowledged_ns = bench.now_ns - 300_000_000
        case "slept":
            bench.slept_ns = 10**9
        case "jump":
            after_ms = 5000.0
        case "back":
            after_ms = -5000.0
        case "dead peer":
            bench.missing = {"director"}
        case "stale":
            bench.missing = {"vital/emg"}
        case "not running":
            bench.phase_running = False
        case "asks zero":
            request = wish(0.0)
        case "asks current":
            request = wish(5.0)
        case "asks badly":
            request = wish(float("nan"))
        case "asks too late":
            request = wish(5.0, age_ms=51.0)
        case "stop":
            stops = ["pedal"]
        case "stop and arm":
            acts, stops = [arm_act(bench)], ["pedal"]
        case "stop and ack":
            acts, stops = [bench.act("acknowledge")], ["pedal"]
        case _:
            raise AssertionError(event)
    verdict = bench.step(request, acts=acts, stops=stops, after_ms=after_ms)
    assert bench.name == to
    assert not verdict.allowed or bench.name == "STIMULATING" or event == "pause"
    assert verdict.stop == (bench.name in LATCHED and (state not in LATCHED or event.startswith("stop")))


class TestArming:
    def test_gives_a_name_that_every_request_must_carry(self, bench, wish):
        bench.to_ready()
        reply = bench.arm()
        assert reply.values == {"arm_id": f"nonce-{bench.nonces}"}
        assert reply.id == f"id-{bench.nonces}"
        assert reply.reason == ""
        verdict = bench.step(wish(0.0, arm_id="guess"))
        assert (verdict.rule, verdict.reasons) == ("arm id", ("arm id: not the one in force",))
        assert not bench.state.arming.zero_seen

    def test_asks_for_zero_first(self, bench, wish):
        bench.to_ready().arm()
        verdict = bench.step(wish(5.0))
        assert (verdict.rule, verdict.reasons) == ("first request", ("first request: must be zero after arming",))
        assert not bench.step(wish(5.0)).allowed, "asking again is no zero"
        assert bench.step(wish({"left": 0.0, "right": 0.0})).rule == ""
        assert bench.step(wish(5.0)).allowed

    def test_takes_nothing_above_zero_for_zero(self, bench, wish):
        bench.to_ready().arm()
        assert bench.step(wish(1e-300)).rule == "first request"

    def test_takes_a_request_for_nothing_as_zero(self, bench, wish):
        bench.to_ready().arm()
        bench.step(wish(settings=()))
        assert bench.step(wish(5.0)).allowed

    def test_a_zero_that_is_refused_does_not_count(self, bench, wish):
        bench.to_ready().arm()
        bench.step(wish(0.0, age_ms=60.0))
        assert not bench.step(wish(5.0)).allowed

    def test_in_the_same_step_a_request_can_be_no_more_than_the_zero(self, bench, wish):
        bench.to_ready()
        arm = arm_act(bench)
        assert not bench.step(wish(5.0, arm_id=arm.nonce), acts=[arm]).allowed
        assert bench.name == "ARMED"

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            ({"session": "ses-02"}, "arm names session 'ses-02'"),
            ({"session": None}, "arm names session None"),
            ({"envelope_sha256": "0" * 64}, "arm names another envelope than the one that is set"),
            ({"mode": "fast"}, "arm.mode: found 'fast', allowed are normal and calibration"),
            ({"mode": None}, "arm.mode: found None, allowed are normal and calibration"),
            ({"mode": "calibration"}, "arm.channel: found '', not in the envelope"),
            ({"mode": "calibration", "channel": "heart"}, "arm.channel: found 'heart', not in the envelope"),
        ],
    )
    def test_names_session_envelope_and_mode(self, bench, arguments, why):
        bench.to_ready()
        reply = bench.arm(**arguments)
        assert (reply.ok, reply.reason) == (False, why)
        assert bench.name == "READY"

    def test_needs_randomness(self, bench):
        bench.to_ready()
        act = replace(arm_act(bench), nonce="")
        (reply,) = bench.step(acts=[act]).replies
        assert (reply.ok, reply.reason) == (False, "arm came without the node's randomness")

    @pytest.mark.parametrize(
        ("wrong", "why"),
        [
            ({"acknowledged_zero": False}, "device: has not acknowledged zero"),
            ({"missing": {"recorder"}}, "recorder: never heard"),
            ({"missing": {"vital/emg"}}, "vital/emg: no good block yet"),
            ({"at_rate": False}, "vital/emg: not at its rate"),
            ({"missing": {"phase"}}, "no phase heard yet"),
        ],
    )
    def test_needs_a_healthy_loop(self, bench, wrong, why):
        bench.to_ready()
        for name, value in wrong.items():
            setattr(bench, name, value)
        reply = bench.arm()
        assert (reply.ok, reply.reason) == (False, why)
        assert bench.state.arming is None

    @pytest.mark.parametrize(
        ("wrong", "why"),
        [({"device_faults": ("hot",)}, "device: hot"), ({"node_faults": ("ledger",)}, "node: ledger")],
    )
    def test_needs_a_sound_device_and_node_in_the_very_step(self, bench, wrong, why):
        """All at once: a fault that comes with the acts that would arm."""
        bench.step()
        bench.set_envelope()
        bench.device_faults = wrong.get("device_faults", ())
        bench.node_faults = wrong.get("node_faults", ())
        acts = [bench.act("confirm", envelope_sha256=bench.envelope.sha256), arm_act(bench)]
        replies = bench.step(acts=acts).replies
        assert not replies[1].ok
        if bench.node_faults:
            assert replies[1].reason == why
        assert bench.state.arming is None

    def test_needs_the_device_in_the_very_step(self, bench):
        bench.to_ready()
        bench.connected = False
        reply = bench.arm()
        assert (reply.ok, reply.reason, bench.name) == (False, "device lost", "DISCONNECTED")
        assert bench.state.arming is None

    def test_is_refused_where_the_dose_is_used_up(self, bench, new_gate, envelope):
        from myoloop.stimulators.gate import PriorDose

        bench = new_gate(prior=PriorDose(day_charge_mc=2000.0, course_charge_mc=2000.0)).to_ready()
        assert bench.arm().reason == "charge of the day of 2000 mC is used up"

    def test_reason_tells_what_the_state_is(self, bench):
        bench.to_armed()
        assert bench.arm().reason == "arming is from READY at zero current, this is ARMED"

    def test_a_new_arming_ends_the_lease_of_the_old(self, bench, wish):
        bench.to_armed()
        bench.step(wish(0.0))
        bench.do("pause")
        bench.arm()
        assert bench.state.lease is None


class TestConfirming:
    def test_names_the_envelope(self, bench):
        bench.to_connected()
        reply = bench.do("confirm", envelope_sha256="0" * 64)
        assert (reply.ok, reply.reason) == (False, "confirm names another envelope than the one that is set")
        assert bench.name == "CONNECTED"

    def test_needs_an_envelope(self, bench):
        bench.step()
        reply = bench.do("confirm", envelope_sha256=bench.envelope.sha256)
        assert (reply.ok, reply.reason) == (False, "nothing to confirm in CONNECTED without an envelope")

    def test_is_done_once(self, bench):
        bench.to_ready()
        assert bench.confirm().reason == "nothing to confirm in READY with an envelope"


OPERATOR, DIRECTOR = {"operator"}, {"director"}
MAY = {
    "confirm": OPERATOR,
    "arm": OPERATOR,
    "step": OPERATOR,
    "acknowledge": OPERATOR,
    "set_envelope": DIRECTOR,
    "pause": OPERATOR | DIRECTOR,
}
#: A gate on which the act would be done if its sender may.
WAYS = {
    "confirm": "to_connected",
    "arm": "to_ready",
    "step": "to_calibrating",
    "acknowledge": "to_stopped",
    "set_envelope": "to_connected",
    "pause": "to_armed",
}


def possible(bench, kind):
    getattr(bench, WAYS[kind])()
    if kind == "acknowledge":
        bench.wait(11.0)
    arguments = {
        "confirm": {"envelope_sha256": bench.envelope.sha256},
        "arm": {"mode": "normal", "session": "ses-01", "envelope_sha256": bench.envelope.sha256},
        "step": {"channel": "left", "current_ma": 1.0},
        "set_envelope": asdict(bench.envelope),
    }.get(kind, {})
    bench.step()
    return arguments


@pytest.mark.parametrize("kind", list(MAY))
@pytest.mark.parametrize("role", ["operator", "director", "controller", "recorder", "", "Operator"])
def test_who_may_do_what(bench, kind, role):
    arguments = possible(bench, kind)
    before = bench.state
    reply = bench.do(kind, role, **arguments)
    assert reply.ok == (role in MAY[kind])
    if not reply.ok:
        assert reply.reason == f"{role or 'nobody'} may not {kind}"
        assert (bench.state.name, bench.state.arming, bench.state.envelope) == (
            before.name,
            before.arming,
            before.envelope,
        )


@pytest.mark.parametrize(("kind", "rig_class"), list(product(MAY, ["SIM", "BENCH", "HUMAN", "human", "", "sim"])))
def test_scripts_act_on_sim_and_bench_rigs_only(new_gate, kind, rig_class):
    bench = new_gate(rig_class=rig_class)
    arguments = possible(bench, kind)
    reply = bench.do(kind, next(iter(MAY[kind])), scripted=True, **arguments)
    assert reply.ok == (rig_class in ("SIM", "BENCH") or kind == "pause"), "to pause is never kept from anybody who may"
    if not reply.ok:
        assert reply.reason == f"a script may not {kind} on a {rig_class} rig"


def test_an_unknown_act_is_answered_with_those_there_are(bench):
    reply = bench.do("resume")
    known = "acknowledge, arm, confirm, pause, set_envelope, step"
    assert (reply.ok, reply.reason) == (False, f"unknown act 'resume', known are {known}")


def test_acts_are_done_in_order_and_each_is_answered(bench):
    bench.step()
    acts = [
        envelope_act(bench),
        bench.act("confirm", envelope_sha256=bench.envelope.sha256),
        bench.act("resume"),
        arm_act(bench),
        bench.act("pause"),
    ]
    replies = bench.step(acts=acts).replies
    assert [(reply.id, reply.ok) for reply in replies] == [(act.id, act.kind != "resume") for act in acts]
    assert bench.name == "READY"


class TestAfterALatch:
    def test_3_s_healthy_and_10_s_from_the_latch(self, bench):
        bench.to_stopped()
        latched_ns = bench.now_ns
        bench.wait(9.0)
        assert bench.do("acknowledge").reason == "stop: pedal: locked for another 1.0 s"
        bench.wait(0.9)
        acknowledge = [bench.act("acknowledge")]
        bench.step(after_ms=(latched_ns + 9_990_000_000 - bench.now_ns) / 1e6)
        assert not bench.step(acts=acknowledge, after_ms=9.999999).replies[0].ok
        assert bench.step(acts=acknowledge, after_ms=0.000001).replies[0].ok
        assert (bench.name, bench.state.latch) == ("CONNECTED", None)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"connected": False},
            {"device_faults": ("hot",)},
            {"node_faults": ("ledger",)},
            {"missing": {"director"}},
            {"slept_ns": 10**9},
        ],
    )
    @pytest.mark.parametrize("way", ["to_fault", "to_stopped"])
    def test_the_cause_must_be_gone_for_3_s(self, bench, way, wrong):
        getattr(bench, way)().wait(20.0)
        for name, value in wrong.items():
            setattr(bench, name, value)
        bench.step()
        cause = bench.state.latch.cause
        assert bench.do("acknowledge").reason == f"{cause}: not healthy for 3 s"
        bench.healthy()
        bench.step()
        healthy_ns = bench.now_ns
        bench.wait(2.95)
        bench.step(after_ms=(healthy_ns + 2_990_000_000 - bench.now_ns) / 1e6)
        acknowledge = [bench.act("acknowledge")]
        assert not bench.step(acts=acknowledge, after_ms=9.999999).replies[0].ok
        assert bench.step(acts=acknowledge, after_ms=0.000001).replies[0].ok

    @pytest.mark.parametrize("after_ms", [101.0, 60_000.0, -1.0, -60_000.0])
    def test_a_clock_that_jumps_is_not_healthy(self, bench, after_ms):
        bench.to_stopped().wait(80.0)
        bench.step(after_ms=after_ms)
        assert "not healthy" in bench.do("acknowledge").reason

    def test_health_counts_from_time_zero_too(self, new_gate):
        """A virtual clock may start at 0."""
        bench = new_gate(now_ns=-10_000_000)
        bench.step(stops=["pedal"])
        assert bench.now_ns == 0
        bench.wait(10.0)
        assert bench.state.latch.healthy_since_ns == 50_000_000

    def test_the_latch_itself_stays_what_it_was(self, bench):
        bench.to_fault()
        latch = bench.state.latch
        bench.node_faults = ("ledger",)
        bench.step()
        assert (bench.state.latch.cause, bench.state.latch.since_ns) == (latch.cause, latch.since_ns)

    def test_there_must_be_something_to_acknowledge(self, bench):
        bench.to_ready()
        assert bench.do("acknowledge").reason == "nothing to acknowledge in READY"

    @pytest.mark.parametrize("way", ["to_fault", "to_stopped"])
    def test_every_step_of_the_way_back_is_the_operators(self, bench, wish, way):
        getattr(bench, way)().wait(11.0)
        old = "nonce-3"
        assert bench.do("acknowledge").ok
        assert bench.step(wish(5.0, arm_id=old)).rule == "not armed"
        assert not bench.arm().ok
        assert bench.confirm().ok
        assert bench.step(wish(5.0, arm_id=old)).rule == "not armed"
        assert bench.arm().ok
        assert bench.step(wish(5.0, arm_id=old)).rule == "arm id"
        assert bench.step(wish(5.0)).rule == "first request"
        bench.step(wish(0.0))
        bench.step(wish(30.0))
        assert bench.ma() == 1.0, "from zero, one step"

    def test_a_request_is_told_why_it_gets_nothing(self, bench, wish):
        bench.to_stopped()
        verdict = bench.step(wish(5.0))
        assert (verdict.rule, verdict.reasons) == ("latched", ("latched: stop: pedal",))
        assert bench.step().reasons == ("stop: pedal",)

    def test_all_the_way_back_in_one_step_is_still_no_current(self, bench, wish):
        bench.to_stopped().wait(11.0)
        acts = [
            bench.act("acknowledge"),
            bench.act("confirm", envelope_sha256=bench.envelope.sha256),
            arm_act(bench),
        ]
        verdict = bench.step(wish(5.0, arm_id=acts[2].nonce), acts=acts)
        assert all(reply.ok for reply in verdict.replies)
        assert not verdict.allowed


class TestReconnecting:
    def test_leads_to_connected_at_best(self, bench, wish):
        bench.to_ready()
        bench.connected = False
        bench.step()
        bench.connected = True
        bench.step()
        assert bench.name == "CONNECTED"
        assert not bench.arm().ok
        assert bench.confirm().ok

    def test_forgets_the_known_ground(self, bench):
        bench.to_stimulating(5.0)
        bench.do("pause")
        bench.hold(None, 500)
        assert bench.state.ground
        bench.connected = False
        bench.step()
        assert not bench.state.ground

    def test_in_use_is_a_fault(self, bench, wish):
        bench.to_stimulating(5.0)
        bench.connected = False
        bench.step(wish(5.0))
        bench.connected = True
        assert not bench.step(wish(5.0)).allowed
        assert bench.name == "FAULT"


class TestAMemoryThatContradictsItself:
    """No history leads there; a saved state that was damaged might, and must give nothing."""

    def test_armed_by_name_only(self, bench, wish):
        bench.to_armed()
        bench.state = replace(bench.state, arming=None)
        verdict = bench.step(wish(5.0))
        assert (verdict.allowed, verdict.rule) == ((), "not armed")

    def test_a_lease_without_an_arming(self, bench, wish):
        bench.to_stimulating()
        bench.state = replace(bench.state, arming=None)
        verdict = bench.step()
        assert (verdict.allowed, verdict.rule, verdict.reasons) == ((), "not armed", ("not armed: STIMULATING",))

    @pytest.mark.parametrize("name", ["CONNECTED", "READY", "DISCONNECTED"])
    def test_armed_in_a_state_that_is_not_live(self, bench, wish, name):
        bench.to_armed()
        bench.state = replace(bench.state, name=name)
        assert not bench.step(wish(5.0)).allowed
        assert bench.state.lease is None

    def test_a_lease_in_a_state_that_is_not_live(self, bench, wish):
        bench.to_stimulating()
        bench.state = replace(bench.state, name="READY")
        verdict = bench.step()
        assert (verdict.allowed, verdict.reasons) == ((), ("not armed: READY",))

    def test_armed_without_an_envelope(self, bench, wish):
        bench.to_armed()
        bench.state = replace(bench.state, envelope=None)
        verdict = bench.step(wish(5.0))
        assert (verdict.allowed, verdict.rule) == ((), "not armed")

    @pytest.mark.parametrize("lost", ["arming", "envelope"])
    def test_calibrating_without_what_it_needs(self, bench, lost):
        bench.to_calibrating()
        bench.state = replace(bench.state, **{lost: None})
        reply = bench.do("step", channel="left", current_ma=1.0)
        assert (reply.ok, reply.reason) == (False, "a step is an act of calibration, this is CALIBRATING")

    def test_ready_without_an_envelope(self, bench):
        bench.to_ready()
        bench.state = replace(bench.state, envelope=None)
        assert not bench.arm().ok

    def test_ready_with_a_lease(self, bench, wish):
        bench.to_armed()
        lease = bench.state.lease
        bench.do("pause")
        bench.state = replace(bench.state, lease=lease)
        bench.arm()
        assert bench.state.lease is None


def test_current_and_zero_move_between_armed_and_stimulating(bench, wish):
    bench.to_armed()
    bench.step(wish(5.0))
    assert bench.name == "STIMULATING"
    bench.step(wish(0.0))
    assert bench.name == "ARMED"


def test_no_request_is_taken_before_arming(bench, wish):
    bench.to_ready()
    verdict = bench.step(wish(0.0))
    assert (verdict.rule, verdict.reasons) == ("not armed", ("not armed: READY",))
    assert bench.state.lease is None

"""What a page of an open session is told of each message."""

import math

import numpy as np
import pytest

from myoloop.experiments.console.card import Card, CardChannel, CardMuscle, CardPhase
from myoloop.experiments.console.feed import EVENTS, Feed
from myoloop.experiments.console.frames import BINS, LINE, PULSES, read_message
from myoloop.experiments.console.views import view_of
from myoloop.platform.messages import (
    ChannelSetting,
    Dose,
    Estimate,
    Event,
    Heartbeat,
    Measure,
    MotionEstimate,
    MuscleEstimate,
    Phase,
    Pulses,
    Samples,
    StimReport,
    Target,
    Vital,
)
from myoloop.platform.steps import Received

S = 1_000_000_000
CARD = Card(
    session="sub-P001/ses-01/att-1",
    title="Wrist",
    blinded=False,
    muscles=(
        CardMuscle("ext", "emg/amp", 1, 2000.0, 0.5, 1.0),
        CardMuscle("flex", "emg/amp", 0, 2000.0, 0.5),
    ),
    channels=(CardChannel("ext", 20.0),),
    phases=(CardPhase("rest", "rest"), CardPhase("trains", "block")),
    stop_port=4711,
)
KNOWN = Measure(value=0.25, low=0.125, high=0.5, valid=True, reason="")
UNKNOWN = Measure(reason="no contraction yet")


def setting(current_ma):
    return ChannelSetting(channel="ext", current_ma=current_ma, phase_us=250.0, rate_hz=35.0)


def a_report(t_ns, **more):
    said = {
        "step": 1, "t_ns": t_ns, "state": "STIMULATING", "request": None, "requested": (setting(14.0),),
        "allowed": (setting(12.0),), "acknowledged": (setting(11.0),), "rule": "slew", "reasons": ("ext: 12 of 14 mA",),
        "dose": Dose(session_charge_mc=1.5, session_on_s=2.5, session_pulses=70),
    }  # fmt: skip
    return StimReport(**{**said, **more})


def a_phase(t_ns, **more):
    said = {
        "t_ns": t_ns, "session": CARD.session, "state": "running", "index": 1, "name": "trains", "kind": "block",
        "trial": 2, "trials": 9, "trial_state": "hold", "t_state_ns": t_ns, "state_s": 4.0, "arm_id": "secret",
        "targets": (Target(channel="ext", current_ma=15.0, phase_us=250, rate_hz=35, ramp_up_s=1, ramp_down_s=1),),
    }  # fmt: skip
    return Phase(**{**said, **more})


class Told:
    """A feed that is told messages as if they came by the bus."""

    def __init__(self, card=CARD, screen="operator"):
        self.feed = Feed(card, view_of(screen, blinded=card.blinded))
        self.seq = {}

    def tell(self, topic, message, array=None, publisher="node", seq=None):
        self.seq[topic] = self.seq.get(topic, -1) + 1 if seq is None else seq
        self.feed.take(Received(topic, publisher, 1, self.seq[topic], message, array))

    def state(self, now_ns=S):
        return self.feed.state(now_ns)

    def sections(self):
        return [section for sections in read_message(self.feed.bins()) for section in sections]


@pytest.fixture
def told():
    return Told()


class TestScope:
    def test_has_the_muscles_of_the_card_in_their_order_and_in_microvolts(self, told):
        raw = np.zeros((20, 3), "<i4")
        raw[3, 1], raw[14, 0] = 100, -40
        told.tell("emg/amp", Samples(first_sample=0, t_ns=S), raw)
        (bins,) = told.sections()
        assert told.feed.layout()["streams"] == [
            {"topic": "emg/amp", "muscles": ["ext", "flex"], "bin_us": 5000.0, "unit": "µV"}
        ]
        assert bins.high.tolist() == [[51.0, 0.0], [1.0, 0.0]]
        assert bins.low.tolist() == [[1.0, 0.0], [1.0, -20.0]]

    def test_is_sent_only_what_is_new(self, told):
        told.tell("emg/amp", Samples(first_sample=0, t_ns=S), np.zeros((20, 2), "<i4"))
        assert [each.kind for each in told.sections()] == [BINS]
        assert told.feed.bins() == b""

    def test_has_the_envelope_of_each_step_and_the_angle(self, told):
        muscles = tuple(
            MuscleEstimate(muscle=name, level_uv=level, fatigue=KNOWN, spasm=KNOWN, effort=KNOWN, response=KNOWN)
            for name, level in (("flex", None), ("ext", 12.5))
        )
        motion = MotionEstimate(angle_rad=Measure(value=math.pi / 4, valid=True, reason=""))
        told.tell("estimate", Estimate(step=1, t_ns=S, muscles=muscles, motion=motion))
        envelope, angle = told.sections()
        assert (envelope.kind, list(envelope.t_us)) == (LINE, [1e6])
        assert envelope.low[0, 0] == 12.5
        assert np.isnan(envelope.low[0, 1])
        assert angle.low[0, 0] == pytest.approx(45.0)

    def test_marks_every_pulse(self, told):
        told.tell(
            "pulse", Pulses(channel="ext", t_ns=(S, S + 1000), uncertainty_ns=0, kind="sent", current_ma=1, phase_us=1)
        )
        (marks,) = told.sections()
        assert (marks.kind, marks.source, list(marks.t_us)) == (PULSES, 0, [1e6, 1e6 + 1])

    def test_an_angle_that_is_not_valid_is_not_drawn(self, told):
        motion = MotionEstimate(angle_rad=Measure(value=1.0, reason="moving"))
        told.tell("estimate", Estimate(step=1, t_ns=S, muscles=(), motion=motion))
        assert np.isnan(told.sections()[1].low[0, 0])


class TestState:
    def test_of_a_controller_that_has_fallen_silent_no_estimate_stays(self, told):
        muscle = MuscleEstimate(
            muscle="ext", level_uv=7.0, fatigue=KNOWN, spasm=KNOWN, effort=KNOWN, response=KNOWN, spasm_kind="clonus"
        )
        motion = MotionEstimate(angle_rad=Measure(value=1.0, valid=True, reason=""))
        told.tell("estimate", Estimate(step=1, t_ns=S, muscles=(muscle,), motion=motion))
        alive, silent = told.state(S + S // 4), told.state(2 * S)
        assert alive["motion"]["angle_deg"]["valid"]
        assert alive["muscles"][0]["fatigue"]["valid"]
        for measure in (silent["motion"]["angle_deg"], *(silent["muscles"][0][name] for name in ("fatigue", "effort"))):
            assert (measure["value"], measure["valid"], measure["reason"]) == (None, False, "controller silent")
        assert (silent["muscles"][0]["level_uv"], silent["muscles"][0]["spasm_kind"]) == (None, "")

    def test_tells_asked_allowed_and_delivered_against_target_and_cap(self, told):
        told.tell("phase", a_phase(S))
        told.tell("report", a_report(S))
        state = told.state()
        assert state["channels"] == [
            {"name": "ext", "target_ma": 15.0, "asked_ma": 14.0, "allowed_ma": 12.0, "delivered_ma": 11.0,
             "cap_ma": 20.0, "level": 0.75}
        ]  # fmt: skip
        assert state["gate"] == {
            "state": "STIMULATING", "rule": "slew", "reason": "ext: 12 of 14 mA", "latched": "", "alive": True,
        }  # fmt: skip
        assert state["dose"]["charge_mc"] == 1.5
        assert state["stop_ports"] == [4711]

    def test_tells_who_has_stopped(self, told):
        told.tell("report", a_report(S, state="STOPPED", latched="stop: stop key (operator)"))
        assert told.state()["stopped"] == {"who": "stop key (operator)"}

    def test_counts_down_by_the_time_it_is_given(self, told):
        told.tell("phase", a_phase(S))
        assert told.state(S + S // 2)["phase"]["state_left_s"] == pytest.approx(3.5)
        assert told.state(9 * S)["phase"]["state_left_s"] == 0.0

    def test_says_that_it_is_armed_but_not_by_which_secret(self, told):
        told.tell("phase", a_phase(S))
        assert told.state()["phase"]["armed"] is True
        assert "secret" not in str(told.state())

    def test_tells_each_estimate_with_interval_or_with_the_reason_why_there_is_none(self, told):
        estimate = MuscleEstimate(
            muscle="ext", level_uv=7.0, fatigue=UNKNOWN, spasm=KNOWN, effort=KNOWN, response=KNOWN, spasm_kind="clonus"
        )
        told.tell("estimate", Estimate(step=1, t_ns=S, muscles=(estimate,)))
        ext, flex = told.state()["muscles"]
        assert ext["spasm"] == {"value": 0.25, "low": 0.125, "high": 0.5, "valid": True, "reason": ""}
        assert (ext["fatigue"]["valid"], ext["fatigue"]["reason"]) == (False, "no contraction yet")
        assert (flex["level_uv"], flex["fatigue"]["valid"]) == (None, False)

    def test_tells_the_quality_of_each_muscles_own_column(self, told):
        vital = Vital(topic="emg/amp", samples_seq=0, t_ns=S, rate_hz=2000, valid_share=(1.0, 0.5), flags=("", "rail"))
        told.tell("vital/amp", vital)
        assert [each["quality"] for each in told.state()["muscles"]] == ["rail", ""]

    def test_a_gate_that_is_silent_is_not_alive(self, told):
        told.tell("report", a_report(S))
        assert told.state(2 * S)["gate"]["alive"] is False

    def test_a_record_that_stands_still_does_not_grow(self, told):
        for beat, written in enumerate((10.0, 20.0, 20.0)):
            told.tell("heartbeat/rec", a_beat((1 + beat) * S, bytes_written=written))
        assert told.state(3 * S)["recording"] == {
            "alive": True, "growing": True, "bytes": 20.0, "messages": None, "missing": None,
        }  # fmt: skip
        assert told.state(4 * S + 1)["recording"]["growing"] is False

    def test_keeps_the_newest_events_and_scores(self, told):
        for number in range(EVENTS + 5):
            told.tell("event", Event(t_ns=number, kind="score", who="director", values={"score": number % 10}))
        state = told.state()
        assert [each["number"] for each in state["events"]] == list(range(6, EVENTS + 6))
        assert state["pain"][-1] == {"score": (EVENTS + 4) % 10, "t_ns": EVENTS + 4}

    def test_counts_what_it_has_missed_itself(self, told):
        told.tell("phase", a_phase(S), seq=1)
        told.tell("phase", a_phase(S), seq=5)
        assert told.state()["missed"] == 3

    def test_what_nobody_has_said_is_told_as_not_known(self, told):
        state = told.state()
        assert state["phase"] is None
        assert state["gate"]["alive"] is False
        assert state["dose"] is None
        assert state["channels"][0]["level"] is None


class TestChange:
    def test_is_noticed_for_what_a_page_shows_at_once(self, told):
        told.tell("phase", a_phase(S))
        told.tell("report", a_report(S))
        before = told.feed.changes
        told.tell("phase", a_phase(2 * S, session_s=1.0))
        told.tell("report", a_report(2 * S))
        assert told.feed.changes == before
        told.tell("phase", a_phase(3 * S, trial_state="rest"))
        told.tell("report", a_report(3 * S, state="FAULT", latched="device lost"))
        assert told.feed.changes == before + 2


def a_beat(t_ns, role="recorder", **counters):
    return Heartbeat(
        t_ns=t_ns,
        node="rec",
        role=role,
        state="running",
        cycle_ms=1,
        cycle_mean_ms=1,
        cycle_worst_ms=2,
        counters=counters,
    )

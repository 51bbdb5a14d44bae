"""A view shows what it names and nothing else; a blinded one is the same whatever the body answers."""

import importlib.util
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.console.card import Card
from myoloop.experiments.console.views import BLINDED, OPEN, SUBJECT, VIEWS, shown, shown_reason, view_of
from myoloop.platform.messages import (
    Dose,
    Estimate,
    Event,
    Measure,
    MotionEstimate,
    MuscleEstimate,
    Pulses,
    Samples,
    Vital,
)


def _neighbour(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


feed_tests = _neighbour("test_feed")
S, Told, a_phase, a_report, a_beat, setting = (
    getattr(feed_tests, name) for name in ("S", "Told", "a_phase", "a_report", "a_beat", "setting")
)
BLIND = msgspec.structs.replace(feed_tests.CARD, blinded=True)
TICKS = 12


@st.composite
def bodies(draw):
    """Everything that may differ between two arms, or between two bodies, tick by tick."""
    number = st.floats(0, 30)
    ticks = []
    for _ in range(TICKS):
        ticks.append(
            {
                "ma": draw(number), "charge": draw(number), "rule": draw(st.sampled_from(["", "slew", "device"])),
                "state": draw(st.sampled_from(["ARMED", "STIMULATING"])), "angle": draw(number), "level": draw(number),
                "bytes": draw(st.floats(1, 1000)), "cycle": draw(number), "pulses": draw(st.integers(0, 3)),
                "raw": draw(st.integers(-999, 999)), "flag": draw(st.sampled_from(["", "rail", "mains"])),
                "found": draw(st.sampled_from([None, "gate", "fault", "silent", "chosen", "mvc", "check"])),
            }
        )  # fmt: skip
    return ticks


def played(told, body, cause):
    """What a console's pages are sent of one session."""
    sent = []
    written = 0.0
    for number, tick in enumerate(body):
        now_ns = (1 + number) * S
        told.tell("phase", a_phase(now_ns, targets=a_phase(0).targets))
        told.tell("emg/amp", Samples(first_sample=20 * number, t_ns=now_ns), np.full((20, 2), tick["raw"], "<i4"))
        vital = Vital(
            topic="emg/amp", samples_seq=0, t_ns=now_ns, rate_hz=2000, valid_share=(1.0, 1.0), flags=(tick["flag"],) * 2
        )
        told.tell("vital/amp", vital)
        measure = Measure(value=tick["level"], valid=True, reason="")
        muscle = MuscleEstimate(
            muscle="ext", level_uv=tick["level"], fatigue=measure, spasm=measure, effort=measure, response=measure
        )
        motion = MotionEstimate(angle_rad=Measure(value=tick["angle"], valid=True, reason=""))
        told.tell("estimate", Estimate(step=number, t_ns=now_ns, muscles=(muscle,), motion=motion))
        given_ma = (setting(tick["ma"]),)
        latched = cause if number > TICKS // 2 else ""
        report = a_report(
            now_ns, state="FAULT" if latched else tick["state"], requested=given_ma, allowed=given_ma,
            acknowledged=given_ma, rule=tick["rule"], reasons=(tick["rule"],), latched=latched,
            dose=Dose(session_charge_mc=tick["charge"]),
        )  # fmt: skip
        told.tell("report", report)
        stamps = tuple(range(tick["pulses"]))
        told.tell("pulse", Pulses(channel="ext", t_ns=stamps, uncertainty_ns=0, kind="sent", current_ma=1, phase_us=1))
        written += tick["bytes"]
        beat = a_beat(now_ns, bytes_written=written)
        told.tell("heartbeat/rec", msgspec.structs.replace(beat, cycle_ms=tick["cycle"], cycle_mean_ms=tick["cycle"]))
        if tick["found"]:
            told.tell("event", Event(t_ns=now_ns, kind=tick["found"], who="stim", why=tick["rule"]))
        told.tell("event", Event(t_ns=now_ns, kind="score", who="director", values={"score": 3.0}))
        sent.append(json.dumps(told.state(now_ns + round(1e5 * tick["cycle"]))))
        sent.append(told.feed.bins())
    return sent


class TestBlinded:
    @settings(max_examples=25)
    @given(bodies(), bodies(), st.sampled_from(["operator", "subject"]))
    def test_pages_get_the_same_whatever_the_body_answers_and_the_gate_finds(self, one, other, screen):
        first = played(Told(BLIND, screen), one, "ext: lead off")
        second = played(Told(BLIND, screen), other, "device: compliance, 14.2 mA of 15 mA")
        assert first == second
        assert set(first[1::2]) == {b""}

    def test_shows_level_phase_countdown_pain_and_that_the_record_grows(self):
        told = Told(BLIND)
        told.tell("phase", a_phase(S))
        told.tell("report", a_report(S, state="STOPPED", latched="stop: stop key (operator)"))
        for beat, written in enumerate((10.0, 20.0)):
            told.tell("heartbeat/rec", a_beat(S + beat, bytes_written=written))
        told.tell("event", Event(t_ns=S, kind="score", who="director", values={"score": 6.0}))
        state = told.state(S + 123_456_789)
        assert state["channels"] == [{"name": "ext", "level": 0.75, "cap_ma": 20.0}]
        assert (state["phase"]["state_left_s"], state["t_ns"]) == (3.9, 1_100_000_000)
        assert state["pain"] == [{"score": 6.0, "t_ns": S}]
        assert state["recording"] == {"alive": True, "growing": True}
        assert state["gate"] == {"state": "STOPPED", "latched": "stop", "alive": True}
        assert state["stopped"] == {"who": ""}

    def test_has_the_words_of_the_signal_check_until_the_first_treatment(self):
        told = Told(BLIND)
        vital = Vital(topic="emg/amp", samples_seq=0, t_ns=S, rate_hz=2000, valid_share=(1.0, 1.0), flags=("", "mains"))
        check = Event(t_ns=S, kind="check", who="director", why="mains 30 µV", values={"check": "noise", "ok": False})
        told.tell("phase", a_phase(S, kind="checks", waiting_for="retry", wrong={"noise": "mains 30 µV"}))
        told.tell("vital/amp", vital)
        told.tell("event", check)
        before = told.state()
        assert before["muscles"] == [{"name": "ext", "quality": "mains"}, {"name": "flex", "quality": ""}]
        assert before["events"][-1]["why"] == "mains 30 µV"
        assert before["phase"]["wrong"] == {"noise": "mains 30 µV"}
        told.tell("phase", a_phase(S, kind="block"))
        told.tell("phase", a_phase(S, kind="checks", waiting_for="retry", wrong={"noise": "mains 30 µV"}))
        told.tell("event", check)
        after = told.state()
        assert after["muscles"][0]["quality"] is None
        assert after["phase"]["wrong"] == {"noise": ""}
        assert len(after["events"]) == len(before["events"])

    def test_has_no_level_where_settings_are_chosen_by_what_the_body_answers(self):
        card = msgspec.structs.replace(BLIND, phases=(*BLIND.phases, type(BLIND.phases[0])("best", "optimise")))
        told = Told(card)
        told.tell("phase", a_phase(S))
        assert told.state()["channels"][0]["level"] is None

    def test_listens_to_no_signal_and_to_no_estimate(self):
        for screen in ("operator", "subject"):
            topics = Told(BLIND, screen).feed.topics({"amp": "acquisition", "rec": "recorder"})
            assert not {each.partition("/")[0] for each in topics} & {
                "emg",
                "imu",
                "force",
                "estimate",
                "pulse",
                "request",
            }

    def test_is_what_a_card_gets_that_does_not_say(self):
        assert Card("sub-P001/ses-01/att-1").blinded

    @pytest.mark.parametrize(
        ("kind", "reason", "told"),
        [
            ("serve", "device: has not acknowledged zero", "refused by the stimulator"),
            ("raise", "ext: lead off", "refused by the stimulator"),
            ("raise", "steps are at least 300 ms apart", "steps are at least 300 ms apart"),
            ("serve", "meant for arm, the session waits for nothing", "meant for arm, the session waits for nothing"),
            ("resume", "a reason is needed", "a reason is needed"),
            ("serve", "", ""),
        ],
    )
    def test_has_the_same_refusals_in_every_arm(self, kind, reason, told):
        assert shown_reason(view_of("operator", blinded=True), kind, reason) == told
        assert shown_reason(view_of("operator", blinded=False), kind, reason) == reason


class TestRules:
    def test_what_is_not_named_is_not_shown(self):
        said = {
            "t_ns": 1,
            "arm": "sham",
            "gate": {"state": "READY", "secret": 1},
            "channels": [{"name": "a", "arm": 1}],
        }
        for rules in (OPEN, BLINDED, SUBJECT):
            found = json.dumps(shown(rules, said))
            assert "arm" not in found
            assert "secret" not in found

    @pytest.mark.parametrize("view", VIEWS.values(), ids=lambda view: view.name)
    def test_every_view_has_what_stop_needs(self, view):
        assert {"running", "stop_ports", "stopped"} <= set(view.rules)
        assert {"state", "latched"} <= set(view.rules["gate"])

    def test_the_person_sees_no_current_and_no_name(self):
        told = Told(screen="subject")
        told.tell("phase", a_phase(S, prompt="Now try to move."))
        told.tell("report", a_report(S))
        state = told.state()
        assert state["phase"]["prompt"] == "Now try to move."
        assert not {"channels", "dose", "events", "subject", "session", "nodes"} & set(state)

"""A script: read strictly, played when its moment has come, each act once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.acting import check_script, script_answers
from myoloop.experiments.sessions.script import Script, load_script
from myoloop.experiments.sessions.scripted_acts import Ask, Break, Heed, Press, Say, ScriptedActs
from myoloop.experiments.sessions.simulated_rig import simulated_rig
from myoloop.platform.messages import Phase
from myoloop.platform.yamlfile import FileError, explain, parse_yaml


def read(text: str) -> Script:
    data, lines = parse_yaml(text)
    try:
        return Script.model_validate(data)
    except ValidationError as error:
        raise FileError(explain(error, "s.yaml", data, lines, Script)) from None


def at(session_s: float = 0.0, **more) -> Phase:
    return Phase(t_ns=0, session="s", state="running", session_s=session_s, **more)


def deeds(text: str, phases) -> list:
    acts = ScriptedActs(read(text).acts, "A")
    return [acts.due(phase, t_ns) for phase, t_ns in phases]


class TestReading:
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("date: 2026-13-01", "s.yaml:1: date: found '2026-13-01'"),
            ("acts:\n  - {at: 3, do: stop}", "s.yaml:2: acts[0].at: found 3: no unit"),
            ("acts:\n  - {do: stop}", "allowed is either at (protocol time) or when"),
            ("acts:\n  - {at: 1 s, when: {phase: x}, do: stop}", "allowed is either at"),
            ("acts:\n  - {at: 1 s, do: jump}", "s.yaml:2: acts[0].do: found 'jump': allowed is stop, subject_stop"),
            ("acts:\n  - {at: 1 s, do: {score: 11}}", "allowed is a number from 0 to 10"),
            ("acts:\n  - {at: 1 s, do: resume}", "text that is not empty"),
            ("acts:\n  - {at: 1 s, do: {fault: {kind: emg_lead_off}}}", "emg_lead_off needs channel"),
            ("acts:\n  - {at: 1 s, do: {fault: {kind: power_loss, for: 1 s}}}", "power_loss takes no for"),
            ("acts:\n  - {at: 1 s, do: {stop: a, mark: b}}", "exactly one of"),
            ("others: everything", "allowed: 'clear'"),
            ("form: {}", "s.yaml:1: form: unknown key (did you mean forms?)"),
        ],
    )
    def test_every_mistake_is_named_with_its_line(self, text, line):
        with pytest.raises(FileError) as caught:
            read(text)
        assert line in str(caught.value)

    def test_a_day_begins_at_noon_a_moment_when_it_says(self, tmp_path):
        path = tmp_path / "s.yaml"
        path.write_text("date: 2026-11-21\n")
        assert load_script(path).moment == datetime(2026, 11, 21, 12, tzinfo=UTC)
        assert read("date: 2026-11-21T08:30").moment == datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
        assert read("others: clear").moment is None


class TestActs:
    def test_protocol_time_is_waited_for_and_an_act_happens_once(self):
        found = deeds("acts: [{at: 2 s, do: mark}]", [(at(1.9), 0), (at(2.0), 1), (at(3.0), 2)])
        assert found == [[], [Ask("mark")], []]

    def test_a_place_must_hold_for_so_long(self):
        here, away = at(name="train", trial=2, trial_state="hold"), at(name="train", trial=2, trial_state="rest")
        text = "acts: [{when: {phase: train, trial: 2, state: hold, after: 1 s}, do: stop}]"
        found = deeds(text, [(here, 0), (here, 900_000_000), (away, 10**9), (here, 2 * 10**9), (here, 3 * 10**9)])
        assert found == [[], [], [], [], [Press("A", "stop")]]

    @pytest.mark.parametrize(
        ("do", "deed"),
        [
            ("subject_stop", Press("subject", "subject's own button")),
            ("evacuate", Press("A", "evacuation")),
            ("{pause: tea}", Ask("pause", "tea")),
            ("{score: 4}", Ask("score", arguments={"score": 4.0})),
            ("{felt: motor}", Say("motor")),
            ("{attend: off}", Heed("attend", served=False)),
            ("{serve: arm}", Heed("arm", served=True)),
            ("{form: {id: nrs, values: {pain: 3}}}", Ask("form", arguments={"form": "nrs", "values": {"pain": 3}})),
        ],
    )
    def test_each_act_is_what_a_person_would_do(self, do, deed):
        assert deeds(f"acts: [{{at: 0 s, do: {do}}}]", [(at(), 0)]) == [[deed]]

    def test_a_fault_is_handed_on(self):
        ((found,),) = deeds("acts: [{at: 0 s, do: {fault: {kind: usb_unplug, for: 1 s}}}]", [(at(), 0)])
        assert isinstance(found, Break)
        assert (found.fault.kind, found.fault.for_s) == ("usb_unplug", 1.0)


class TestAnswers:
    NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def test_what_the_script_tells_comes_first(self):
        answers = script_answers(read("others: clear\nforms: {nrs: {current: 7}, skin.ext: {a: 1}}"), "SIM", self.NOW)
        assert answers("nrs") == ("nrs", {"current": 7})
        assert answers("skin.ext") == ("skin.ext", {"a": 1})
        assert answers("contraindications")[1]["pregnancy"] == "no"

    def test_without_others_nothing_is_made_up_and_never_for_people(self):
        assert script_answers(read("acts: []"), "SIM", self.NOW)("contraindications") is None
        assert script_answers(None, "SIM", self.NOW)("contraindications") is None
        assert script_answers(read("others: clear"), "HUMAN", self.NOW)("contraindications") is None

    def test_a_form_is_the_virtual_persons_to_answer_where_it_says_so(self):
        asked = script_answers(read("forms: {nrs_now: person}"), "SIM", self.NOW, lambda form: {"asked": form})
        assert asked("nrs_now") == ("nrs_now", {"asked": "nrs_now"})
        assert asked("nrs") is None
        assert script_answers(read("others: clear\nforms: {nrs_now: person}"), "SIM", self.NOW)("nrs_now") is None

    @pytest.mark.parametrize(
        ("forms", "speed", "line"),
        [
            ("{skin: person}", "max", "script: forms.skin: found person, allowed for blinding_guess, comfort, doms"),
            ("{nrs: person}", "real", "script: forms.nrs: a virtual person is asked with --speed max"),
        ],
    )
    def test_nobody_is_asked_what_is_not_theirs_or_where_nobody_is(self, forms, speed, line):
        protocol = load_protocol("demo")
        with pytest.raises(FileError) as caught:
            check_script(read(f"forms: {forms}"), protocol, simulated_rig(protocol), speed)
        assert line in str(caught.value)

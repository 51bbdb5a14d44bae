import pytest

from myoloop.experiments.reports.eventwords import event_words


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("act", {"ok": True, "act": "set_envelope"}, "set the envelope: done"),
        ("act", {"ok": False, "act": "arm"}, "arm: refused"),
        ("gate", {"from": "READY", "to": "ARMED"}, "from READY to ARMED"),
        ("envelope", {"ext": 23.0, "flex": 7.5}, "ext at most 23 mA, flex at most 7.5 mA"),
        ("score", {"score": 3.0, "who": "operator"}, "pain 3 of 10, said by operator"),
        ("felt", {"what": "motor", "channel": "ext", "current_ma": 12.0}, "what motor, channel ext, current 12 mA"),
        ("mark", {"urgent": False, "on_s": 2.5, "level": None}, "not urgent, on 2.5 s, level not known"),
        ("end", {"outcome": "complete"}, "outcome complete"),
        ("stop", {}, ""),
    ],
)
def test_what_an_event_carries_is_said_in_words_with_units(kind, values, words):
    assert event_words(kind, values) == words

"""A blinded session in processes of its own: as well hidden as in lockstep, and replayed as well."""

from __future__ import annotations

import pytest

from myoloop.experiments.objects import builders
from myoloop.experiments.replay import replay
from myoloop.experiments.sessions.run import run_live
from myoloop.platform import sealed
from myoloop.platform.recording.reader import Recording
from myoloop.stimulators.sealing import REPORT, Seals

pytestmark = pytest.mark.processes
SHAM = "numbatscheinarm"
WORDS = ("quokkaverum", SHAM, "placebo", "zero_current", "transient", "treatment")


def test_a_blinded_session_in_processes_hides_its_arm_and_is_replayed(plan, found_in):
    setup, place = plan(SHAM)
    assert run_live(setup).outcome == "complete"
    key = place / "keys" / "study.key"
    recording = Recording.open(setup.folder)
    said = [each.received.message for each in recording.messages({REPORT})]
    seals = Seals(sealed.read_key(key), "s1", 2)
    most_ma = [max((each[1] for each in seals.report(message).allowed), default=0.0) for message in said]
    shown_ma = [
        max((each.current_ma for each in one.received.message.allowed), default=0.0)
        for one in recording.messages({"report"})
    ]
    assert max(most_ma) == max(shown_ma) == 12.0
    assert 0 < sum(most_ma) < 0.8 * sum(shown_ma)
    assert all(real <= nominal for real, nominal in zip(most_ma, shown_ma, strict=True))
    assert replay(setup.folder, builders(key)).equal
    assert not (setup.folder / "body-ledger.jsonl").exists()
    # A compacted recording is compressed: its messages are searched one by one.
    assert found_in(place / "study", WORDS) == []
    assert not any(word in repr(recording.metadata).lower() for word in WORDS)
    for each in recording.messages(recording.topics()):
        held = repr(each.received.message).lower()
        assert not any(word in held for word in WORDS), each.received.topic

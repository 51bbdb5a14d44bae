"""Alive, at rate, without gaps: what can be said of each subscribed stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoloop.platform.liveness import Liveness, Sequences
from myoloop.platform.messages import Event
from myoloop.platform.steps import Received

MS = 1_000_000


def message(seq: int, *, epoch: int = 1, topic: str = "event", publisher: str = "amp") -> Received:
    return Received(topic, publisher, epoch, seq, Event(t_ns=0, kind="mark", who=publisher))


class TestSequences:
    def test_what_comes_in_order_has_no_gap(self):
        sequences = Sequences()
        assert [sequences.see(message(seq), 0) for seq in range(7, 20)] == [None] * 13

    def test_a_gap_names_what_is_missing_and_of_whom(self):
        sequences = Sequences()
        sequences.see(message(4), 0)
        gap = sequences.see(message(9), 55)
        assert (gap.topic, gap.publisher, gap.epoch) == ("event", "amp", 1)
        assert (gap.first_missing, gap.last_missing, gap.t_ns) == (5, 8, 55)
        assert sequences.see(message(10), 60) is None

    def test_a_publisher_that_begins_again_has_lost_nothing(self):
        sequences = Sequences()
        sequences.see(message(9), 0)
        assert sequences.see(message(0, epoch=2), 0) is None
        assert sequences.see(message(3, epoch=2), 0).first_missing == 1

    def test_publishers_and_topics_are_counted_apart(self):
        sequences = Sequences()
        for publisher, topic in (("amp", "event"), ("ctl", "event"), ("amp", "clock")):
            assert sequences.see(message(50, publisher=publisher, topic=topic), 0) is None

    def test_one_that_comes_again_makes_no_gap_of_what_was_there(self):
        sequences = Sequences()
        for seq in (0, 1, 2, 1):
            assert sequences.see(message(seq), 0) is None
        assert sequences.see(message(3), 0) is None

    @given(st.sets(st.integers(0, 200), min_size=1))
    def test_gaps_and_arrivals_together_are_everything(self, arrived):
        sequences = Sequences()
        counted = set()
        for seq in sorted(arrived):
            gap = sequences.see(message(seq), 0)
            counted.add(seq)
            if gap is not None:
                counted.update(range(gap.first_missing, gap.last_missing + 1))
        assert counted == set(range(min(arrived), max(arrived) + 1))


class Heard:
    """A stream that comes every so often."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.liveness = Liveness([topic])
        self.now_ns = 10_000 * MS

    def comes(self, every_ms: int, for_ms: int) -> dict[str, str]:
        for _ in range(for_ms // every_ms):
            self.now_ns += every_ms * MS
            self.liveness.see(self.topic, self.now_ns)
        return self.verdict()

    def silent(self, for_ms: int) -> dict[str, str]:
        self.now_ns += for_ms * MS
        return self.verdict()

    def verdict(self) -> dict[str, str]:
        return self.liveness.not_alive(self.now_ns)


def test_what_was_never_heard_is_not_alive():
    assert Heard("request").verdict() == {"request": "never"}


def test_at_its_rate_it_is_alive():
    heard = Heard("request")
    assert heard.comes(10, 50) == {}
    assert heard.comes(10, 3000) == {}


@pytest.mark.parametrize(("topic", "dead_after_ms"), [("request", 150), ("phase", 300), ("emg/amp", 100)])
def test_silence_for_longer_than_the_table_allows_is_told_until_it_comes_again(topic, dead_after_ms):
    heard = Heard(topic)
    heard.comes(10, 50)
    assert heard.silent(dead_after_ms) == {}
    assert heard.silent(1) == {topic: "silent"}
    assert heard.silent(5000) == {topic: "silent"}
    # There again, and not at its rate before a second has passed.
    assert heard.comes(10, 20) == {topic: "slow"}
    assert heard.comes(10, 1000) == {}


def test_slow_is_told_once_there_is_a_second_to_judge_by():
    heard = Heard("request")
    assert heard.comes(20, 900) == {}
    assert heard.comes(20, 1000) == {"request": "slow"}
    assert heard.comes(10, 1500) == {}


def test_a_gap_is_told_once():
    heard = Heard("request")
    heard.comes(10, 50)
    heard.liveness.see("request", heard.now_ns, gap=True)
    assert heard.verdict() == {"request": "gap"}
    assert heard.verdict() == {}


def test_silence_means_nothing_where_the_table_says_so():
    assert Heard("event").silent(60_000) == {}


def test_what_nobody_asked_about_is_no_matter():
    liveness = Liveness(["phase"])
    liveness.see("request", 1)
    assert liveness.not_alive(2) == {"phase": "never"}

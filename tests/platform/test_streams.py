"""The table of streams: names match exactly, and say who may publish."""

import pytest

from myoloop.platform.streams import ROLES, STREAMS, UnknownStream, stream_of


@pytest.mark.parametrize("topic", ["phase", "emg/forearm", "vital/forearm-imu", "heartbeat/stimulator", "truth/pulse"])
def test_a_topic_finds_its_row(topic):
    assert stream_of(topic).name == topic.split("/")[0]


@pytest.mark.parametrize(
    "topic", ["phases", "phase/x", "emg", "emg/", "emg/a/b", "emg/A", "emg/-a", "", "emg/" + "a" * 64, "emg/ä"]
)
def test_anything_else_is_no_topic(topic):
    with pytest.raises(UnknownStream):
        stream_of(topic)


def test_no_name_stands_twice_and_every_publisher_is_a_role():
    names = [row.name for row in STREAMS]
    assert len(set(names)) == len(names)
    assert all(row.publishers <= set(ROLES) and row.publishers for row in STREAMS)


def test_no_controller_may_publish_truth_and_truth_is_recorded():
    truth = stream_of("truth/fatigue")
    assert truth.recorded
    assert "controller" not in truth.publishers


def test_a_periodic_stream_says_when_it_is_dead():
    assert all(row.rate_hz for row in STREAMS if row.dead_after_ms)

"""Pace of a replay: when a step is taken, never what it says."""

from __future__ import annotations

import pytest

from myoloop.experiments.pace import BadSpeed, paced, parse_speed
from myoloop.platform.messages import Start
from myoloop.platform.steps import StepInput


class Echo:
    name = "echo"
    subscriptions = ("phase",)

    def step(self, given):
        return [given.number]

    def state(self):
        return {"kept": 1}


class Watch:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.t_s = 100.0

    def now(self):
        return self.t_s

    def sleep(self, seconds):
        self.t_s += seconds


def walked(speed, on_step=None):
    watch = Watch()
    built = paced({"echo": lambda _: Echo()}, speed, on_step, now=watch.now, sleep=watch.sleep)["echo"]
    stepped = built(Start(object="echo", kind="echo", settings="{}", state="{}"))
    taken = []
    for number, now_ns in ((1, 5_000_000_000), (2, 6_000_000_000), (3, 9_000_000_000)):
        assert stepped.step(StepInput(number, now_ns, ())) == [number]
        taken.append(watch.t_s - 100.0)
    assert (stepped.name, stepped.subscriptions, stepped.state()) == ("echo", ("phase",), {"kept": 1})
    return taken


def test_steps_keep_their_distance_divided_by_the_speed():
    assert walked(1.0) == pytest.approx([0.0, 1.0, 4.0])
    assert walked(4.0) == pytest.approx([0.0, 0.25, 1.0])


def test_at_full_speed_nothing_waits():
    assert walked(None) == [0.0, 0.0, 0.0]


def test_each_step_is_told_with_its_recorded_time():
    told = []
    walked(None, lambda name, passed_s: told.append((name, passed_s)))
    assert told == [("echo", 0.0), ("echo", pytest.approx(1.0)), ("echo", pytest.approx(4.0))]


@pytest.mark.parametrize(("text", "speed"), [("max", None), ("real", 1.0), ("4", 4.0), ("0.5", 0.5)])
def test_a_speed_is_max_real_or_a_factor(text, speed):
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "fast", ""])
def test_any_other_speed_is_refused_with_what_was_found(text):
    with pytest.raises(BadSpeed, match=f"found '{text}', allowed are max, real"):
        parse_speed(text)

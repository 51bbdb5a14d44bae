"""Loud behind pulses is not loud between them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from myoloop.controllers.estimators.estimator import Evoked, make_estimator
from myoloop.controllers.estimators.pulse_gaps import PulseGaps
from myoloop.platform.plugins import PluginError

RATE = 2000.0
HOP_NS = 10_000_000
PERIOD_NS = 30_000_000


class _Train:
    """One muscle at rest of RMS 4 uV under a 33 Hz train of which each answer leaves 60 uV for 10 ms."""

    def __init__(self, left_uv: float = 60.0, channels: tuple[str, ...] = ("ch1",)) -> None:
        self.rng, self.t_ns, self.left_uv = np.random.default_rng(1), 1_000_000_000, left_uv
        self.channels = channels
        self.recent = 4.0 * self.rng.standard_normal((2020, 1))
        self.gaps = PulseGaps(1, RATE)

    def live(self, seconds: float, level_uv: float = 4.0) -> tuple[float, bool]:
        level, known = 0.0, False
        for _ in range(round(seconds * 100)):
            self.t_ns += HOP_NS
            rows_ns = self.t_ns - np.arange(19, -1, -1) * 500_000
            behind = rows_ns % PERIOD_NS < 10_000_000
            rows = self.rng.standard_normal(20) * np.where(behind, np.hypot(level_uv, self.left_uv), level_uv)
            self.recent = np.concatenate([self.recent[20:], rows[:, None]])
            # The answer to a pulse is complete, and heard of, 30 ms after it.
            evoked = []
            if self.t_ns % PERIOD_NS == 0:
                pulse_ns = self.t_ns - PERIOD_NS
                rows_of = np.zeros(1), np.zeros((1, 1)), np.ones((1, 1), dtype=bool)
                evoked = [Evoked(pulse_ns, channel, *rows_of) for channel in self.channels]
            heard: Any = SimpleNamespace(
                t_ns=self.t_ns, evoked=evoked, recent=self.recent, recent_good=np.ones((2020, 1), dtype=bool)
            )
            self.gaps.hear(heard)
            told, count = self.gaps.level(heard) if self.gaps.goes_on(self.t_ns) else (np.zeros(1), np.zeros(1))
            level, known = float(np.exp(told[0])), bool(count[0])
        return level, known


def test_what_is_left_behind_pulses_is_not_heard_and_what_is_between_them_is() -> None:
    train = _Train()
    assert train.live(0.5) == (pytest.approx(4.0, rel=0.3), True)
    assert train.live(0.1, 30.0) == (pytest.approx(30.0, rel=0.3), True)


def test_it_does_not_matter_how_much_is_left() -> None:
    quiet, loud = _Train(0.0), _Train(2000.0)
    assert quiet.live(0.5)[0] == loud.live(0.5)[0]


def test_channels_that_are_pulsed_at_once_are_one_train() -> None:
    one, two = _Train(), _Train(channels=("ch1", "ch2"))
    assert two.live(0.5) == one.live(0.5)
    assert [two.live(0.01) for _ in range(6)] == [one.live(0.01) for _ in range(6)]


def test_a_train_is_over_soon_after_its_last_pulse() -> None:
    train = _Train()
    train.live(0.5)
    assert train.gaps.goes_on(train.t_ns)
    assert not train.gaps.goes_on(train.t_ns + 400_000_000)


def test_rest_between_pulses_is_learned_anew_after_a_pause() -> None:
    train = _Train()
    train.live(0.3)
    train.gaps.learn(np.array([1.0]), np.array([True]), True)
    assert train.gaps.rest.count[0] == 1
    train.t_ns += 5_000_000_000 // PERIOD_NS * PERIOD_NS
    train.live(0.1)
    assert train.gaps.rest.count[0] == 0


def test_its_state_goes_through_json_bit_for_bit() -> None:
    one, other = _Train(), _Train()
    one.live(0.35)
    other.gaps.restore(json.loads(json.dumps(one.gaps.state())))
    other.t_ns, other.recent, other.rng = one.t_ns, one.recent, np.random.default_rng(3)
    one.rng = np.random.default_rng(3)
    assert one.live(0.2) == other.live(0.2)
    assert one.gaps.state() == other.gaps.state()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sigmas": 0.0}, "sigmas is 0, allowed is 1 to 20"),
        ({"ratio": float("nan")}, "ratio is nan"),
        ({"keep_share": 1.5}, "keep_share is 1.5, allowed is 0 to 1"),
        ({"minimum_ms": 300.0}, "minimum_ms is 300, allowed is below merge_ms"),
        ({"longest_s": 60.0}, "longest_s is 60, allowed is 5 to 30"),
    ],
)
def test_a_detector_that_cannot_work_is_refused(settings: dict[str, Any], says: str) -> None:
    from myoloop.controllers.choice import Choice
    from myoloop.controllers.estimators.estimator import Setup

    setup = Setup(("m",), RATE, 20, True, np.zeros(1, dtype=bool))
    with pytest.raises(PluginError, match=says):
        make_estimator(Choice(name="adaptive_burst", settings=settings), setup)


@pytest.mark.parametrize(("period_ms", "dense"), [(30.0, False), (20.0, False), (12.5, True), (10.0, True)])
def test_a_train_whose_pulses_leave_no_gap_is_known_to_be_one(period_ms: float, dense: bool) -> None:
    gaps = PulseGaps(1, RATE, 14.0)
    assert not gaps.dense()
    nothing = np.zeros(1), np.zeros((1, 1)), np.ones((1, 1), dtype=bool)
    for number in range(12):
        pulse = Evoked(1_000_000_000 + round(number * period_ms * 1e6), "ch1", *nothing)
        gaps.hear(SimpleNamespace(t_ns=pulse.t_ns, evoked=[pulse]))  # type: ignore[arg-type]
    assert gaps.dense() is dense

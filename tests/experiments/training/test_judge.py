"""The judge of delivered pulses finds what an envelope does not allow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from myoloop.experiments.training.cases import task_cases
from myoloop.experiments.training.judge import Judge
from myoloop.experiments.training.stimulated import envelope_of
from myoloop.experiments.training.task import load_task
from myoloop.stimulators.emulators.ledger import Pulse

TASK = load_task("isometric_hold")
ENVELOPE = envelope_of(task_cases(TASK, [1])[0], TASK)
MOST_MA = ENVELOPE.channels[0].current_max_ma
PERIOD_NS = 30_030_030


def _judged(*pulses: Pulse, **limits: float) -> dict[str, int]:
    judge = Judge(replace(ENVELOPE, **limits))  # type: ignore[arg-type]
    for pulse in pulses:
        judge.feel(pulse)
    assert judge.count == sum(judge.violations.values())
    return dict(judge.violations)


def _train(count: int, current_ma: float = 10.0, period_ns: int = PERIOD_NS, begin_ns: int = 0) -> list[Pulse]:
    return [Pulse(begin_ns + n * period_ns, 0, current_ma, 250.0) for n in range(count)]


def test_a_train_within_everything_is_no_violation() -> None:
    trains = [pulse for n in range(20) for pulse in _train(166, MOST_MA, begin_ns=n * 10_000_000_000)]
    assert _judged(*trains) == {}


@pytest.mark.parametrize(
    ("pulse", "limit"),
    [
        (Pulse(0, 0, MOST_MA + 0.5, 250.0), "current"),
        (Pulse(0, 0, float("nan"), 250.0), "a number"),
        (Pulse(0, 0, float("inf"), 250.0), "a number"),
        (Pulse(0, 0, -1.0, 250.0), "a number"),
        (Pulse(0, 0, 10.0, 450.0), "phase width"),
        (Pulse(0, 0, 10.0, 250.0, (), 3.0), "balance"),
    ],
)
def test_a_pulse_beyond_a_limit_is_found(pulse: Pulse, limit: str) -> None:
    assert _judged(pulse) == {limit: 1}


def test_limits_that_hang_on_many_pulses_are_found() -> None:
    assert "charge per phase" in _judged(*_train(1), charge_per_phase_uc=2.4)
    assert "rate" in _judged(*_train(5, period_ns=11_000_000))
    assert "r.m.s. current" in _judged(*_train(40), rms_ma=1.0)
    assert "r.m.s. current" in _judged(*_train(40), rms_density_ma_cm2=0.05)
    assert "r.m.s. current" in _judged(*_train(40), power_density_w_cm2=1e-5)
    assert "session charge" in _judged(*_train(200), session_charge_mc_max=0.4)


def test_the_pulse_that_reaches_the_charge_of_the_session_is_the_last() -> None:
    # 2.5 uC each.
    assert _judged(*_train(200), session_charge_mc_max=0.4976) == {}
    assert _judged(*_train(200), session_charge_mc_max=0.4951) == {"session charge": 1}


def test_time_on_is_used_up_by_trains_and_paid_back_by_rests() -> None:
    def judged(*spans_s: float, every_ns: int = 40_000_000) -> dict[str, int]:
        judge = Judge(replace(ENVELOPE, session_on_s_max=100.0))
        begin_ns = 0
        for number, span_s in enumerate(spans_s):
            if number % 2 == 0:
                for pulse in _train(round(span_s * 1e9 / every_ns) + 1, period_ns=every_ns, begin_ns=begin_ns):
                    judge.feel(pulse)
            begin_ns += round(span_s * 1e9)
        return dict(judge.violations)

    assert judged(8.0, 8.0, 8.0) == {}
    assert judged(8.08) == {"time on and duty": 2}
    assert "time on and duty" in judged(6.0, 2.0, 6.0)
    assert judged(*[5.0] * 39) == {}
    assert "session time" in judged(*[5.0] * 42)
    # Whatever the rate: closer together than 12 a second they are a train, and no rest.
    assert judged(8.1, every_ns=81_000_000) == {"time on and duty": 2}
    assert judged(60.0, every_ns=84_000_000) == {}
    # 12 a second in whole nanoseconds are single twitches, as they are to the gate.
    assert judged(60.0, every_ns=83_333_333) == {}

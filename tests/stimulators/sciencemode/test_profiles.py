"""What P24 and RehaMove3 can do, and how much at once."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.sciencemode.commands import Point
from myoloop.stimulators.sciencemode.profiles import P24, REHAMOVE3, load_problem

GOLDEN = Path(__file__).resolve().parents[2] / "data" / "golden"
ROWS = json.loads((GOLDEN / "sm4_ml_validity_vendor_c.json").read_text())["rows"]


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r['channels']}x{r['phase_us']}us/{r['period_ms']}ms")
def test_the_rule_of_total_time_is_the_vendors(row):
    half_ma = round(row["current_mA"] * 2)
    points = (Point(row["phase_us"], half_ma), Point(100, 0), Point(row["phase_us"], -half_ma))
    trains = [(round(row["period_ms"] * 1000), points)] * row["channels"]
    assert (load_problem(trains) == "") == row["valid"]


def test_why_not_is_said():
    pulse = (Point(500, 20), Point(500, -20))
    assert "1177.8 ms of each second" in load_problem([(9000, pulse)] * 10)
    assert "of 0 ms" in load_problem([(0, pulse)])
    assert "16384 ms" in load_problem([(16_384_000, pulse)])
    assert "0 points" in load_problem([(9000, ())])
    assert "17 points" in load_problem([(9000, pulse * 8 + pulse[:1])])
    assert "130.5 mA" in load_problem([(9000, (Point(500, 261),))])
    assert "4096 us" in load_problem([(9000, (Point(4096, 1),))])
    assert load_problem([]) == ""


@given(st.integers(1, 32766))
def test_a_p24_says_every_quarter_millisecond_up_to_8191_ms(quarters):
    period_us = quarters * 250
    code, quarter_ms = P24.period_code(period_us)
    assert code * (250 if quarter_ms else 500) == period_us
    assert quarter_ms == (quarters % 2 == 1)
    assert 1 <= code <= 32767


@given(st.integers(1, 32766))
def test_both_say_every_half_millisecond_up_to_16383_ms(halves):
    for profile in (P24, REHAMOVE3):
        assert profile.period_code(halves * 500) == (halves, False)


@pytest.mark.parametrize(
    ("profile", "period_us"),
    [(P24, 0), (P24, -500), (P24, 100), (P24, 28_571), (P24, 16_383_500), (P24, 8_191_750), (P24, -250),
     (REHAMOVE3, 250), (REHAMOVE3, 33_250), (REHAMOVE3, 16_384_000)],
)  # fmt: skip
def test_other_periods_are_refused(profile, period_us):
    with pytest.raises(DriverError, match=r"period of .* allowed are whole multiples"):
        profile.period_code(period_us)


def test_the_steps_of_period_and_the_lowest_rate():
    assert (P24.period_step_us, REHAMOVE3.period_step_us) == (250, 500)
    assert P24.rate_min_hz == pytest.approx(1 / 8.1915)
    assert REHAMOVE3.rate_min_hz == pytest.approx(1 / 16.383)


@pytest.mark.parametrize(
    ("current_ma", "load_ohm", "code"),
    [(30, 1000, 2), (30.5, 1000, 3), (60, 1000, 3), (60.5, 1000, 4), (90, 1000, 4), (120, 1000, 5), (130, 1000, 6),
     (40, 500, 2), (40, 2000, 4), (75, 2000, 6)],
)  # fmt: skip
def test_a_rehamove3_gets_the_lowest_voltage_that_drives_the_current(current_ma, load_ohm, code):
    assert REHAMOVE3.high_voltage(current_ma, load_ohm) == code


def test_a_p24_has_one_voltage():
    assert P24.high_voltage(10, 1000) == P24.high_voltage(130, 1000) == 0


def test_what_no_voltage_drives_is_refused():
    for profile in (P24, REHAMOVE3):
        with pytest.raises(DriverError, match=r"75\.5 mA through 2000 ohm needs 151 V, the device has 150"):
            profile.high_voltage(75.5, 2000)

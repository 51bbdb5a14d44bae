"""What makes a virtual person: every parameter within its range, with a distribution and a source."""

import math
from dataclasses import fields

import pytest

from myoloop.experiments.subjects.parameters import SubjectParameters


@pytest.mark.parametrize("declared", fields(SubjectParameters), ids=lambda declared: declared.name)
def test_every_parameter_says_how_it_differs_between_people_and_where_that_is_from(declared):
    known = declared.metadata
    assert known["low"] <= declared.default <= known["high"]
    assert hasattr(known["varies"], "draw")
    assert len(known["source"]) > 8


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e9, True, "4"])
def test_a_parameter_out_of_its_range_is_refused_with_the_range(value):
    with pytest.raises(ValueError, match=r"emg_mvc_uv: found .*, allowed is .*20 to 2000"):
        SubjectParameters(emg_mvc_uv=value)


def test_thresholds_out_of_order_are_refused():
    with pytest.raises(ValueError, match="must rise"):
        SubjectParameters(motor_uc=20.0)


def test_a_spectrum_whose_corners_cross_is_refused():
    with pytest.raises(ValueError, match="emg_low_hz"):
        SubjectParameters(emg_low_hz=90.0, emg_high_hz=80.0)

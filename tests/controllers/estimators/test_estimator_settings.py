"""Settings of rest, effort and response that cannot work are refused in one line."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from myoloop.controllers.estimators.baseline import BaselineSettings
from myoloop.controllers.estimators.effort import EffortSettings
from myoloop.controllers.estimators.response import ResponseSettings


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
@pytest.mark.parametrize("name", BaselineSettings.__struct_fields__)
def test_no_setting_of_rest_may_be_negative_or_not_finite(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"baseline.{name} is {value:g}, allowed is"):
        BaselineSettings(**{name: value})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"memory_s": 0.0}, "baseline.memory_s is 0, allowed is above 0"),
        ({"first_s": 0.0}, "baseline.first_s is 0, allowed is above 0"),
        ({"firm_s": 0.5}, r"baseline.firm_s is 0.5, allowed is first_s \(0.6\) and above"),
        ({"active_ratio": 1.0}, "baseline.active_ratio is 1, allowed is above 1"),
        ({"fall_sigmas": 0.0}, "baseline.fall_sigmas is 0, allowed is above 0"),
        ({"watchdog_s": 0.0}, "baseline.watchdog_s is 0, allowed is above 0"),
        ({"contraction_of_reference": 1.1}, "baseline.contraction_of_reference is 1.1, allowed is above 0, up to 1"),
    ],
)
def test_rest(given: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        BaselineSettings(**given)
    with pytest.raises(msgspec.ValidationError, match=says):
        msgspec.convert(given, BaselineSettings)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"contractions": 0}, "effort.contractions is 0, allowed is 1 and above"),
        ({"share_min": 1.1}, "effort.share_min is 1.1, allowed is 0 to 1"),
        ({"share_min": math.nan}, "effort.share_min is nan, allowed is 0 to 1"),
        ({"shortest_s": -1.0}, "effort.shortest_s is -1, allowed is 0 and above"),
        ({"silent_ms": math.inf}, "effort.silent_ms is inf, allowed is 0 and above"),
        ({"reference_uv": {"arm": 0.0}}, "effort.reference_uv of arm is 0, allowed is above 0"),
    ],
)
def test_effort(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        EffortSettings(**given)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"settle_s": -0.1}, "settle_s is -0.1, allowed is 0 and above"),
        ({"exponent": math.nan}, "exponent is nan, allowed is a finite number"),
        ({"stale_s": 0.0}, "stale_s is 0, allowed is above 0"),
        ({"angle_min_rad": math.inf}, "angle_min_rad is inf, allowed is 0 and above"),
    ],
)
def test_response(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ResponseSettings(**given)

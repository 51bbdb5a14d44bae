"""What a protocol writes with units becomes the parts' own fields, or one line that says what is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest

from myoloop.controllers.estimators import estimator
from myoloop.controllers.policies import policy
from myoloop.controllers.reflex import ReflexSettings
from myoloop.experiments.sessions.tuning import TuningError, tune
from myoloop.platform.plugins import find_plugin


class Below(msgspec.Struct, frozen=True):
    hold_off_s: float = 1.0
    enabled: bool = True


@dataclass(frozen=True)
class Part:
    muscle: str = "ext"
    sustain_ms: float = 100.0
    slope_ma_per_s: float = 1.0
    change_per_s: float = 0.1
    cutoff_hz: float = 20.0
    least_ma: float | None = None
    reference_uv: dict[str, float] | None = None
    edges_hz: tuple[float, ...] = ()
    below: Below = Below()
    maybe: Below | None = None


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ({"muscle": "flex"}, {"muscle": "flex"}),
        ({"sustain": "0.2 s"}, {"sustain_ms": 200.0}),
        ({"sustain_ms": "0.2 s"}, {"sustain_ms": 200.0}),
        ({"cutoff": "0.45 kHz"}, {"cutoff_hz": 450.0}),
        ({"slope": "500 uA/s"}, {"slope_ma_per_s": 0.5}),
        ({"change_per_s": 0.5}, {"change_per_s": 0.5}),
        ({"least": "500 uA"}, {"least_ma": 0.5}),
        ({"least": None}, {"least_ma": None}),
        ({"reference": {"ext": "0.2 mV", "flex": "90 uV"}}, {"reference_uv": {"ext": 200.0, "flex": 90.0}}),
        ({"edges": ["20 Hz", "0.4 kHz"]}, {"edges_hz": [20.0, 400.0]}),
        ({"below": {"hold_off": "2 min", "enabled": False}}, {"below": {"hold_off_s": 120.0, "enabled": False}}),
        ({"maybe": {"hold_off": "1 s"}}, {"maybe": {"hold_off_s": 1.0}}),
        ({}, {}),
    ],
)
def test_a_quantity_becomes_a_number_of_the_fields_own_unit(said, means):
    assert tune("controller.settings", said, Part) == means


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"sustian": "1 s"}, r"controller\.settings\.sustian: unknown key \(did you mean sustain\?\), allowed: below"),
        ({"sustain": 0.2}, r"controller\.settings\.sustain: found 0\.2: no unit; allowed is .*ms"),
        ({"sustain": "200"}, r"controller\.settings\.sustain: found '200'"),
        ({"sustain": "200 mA"}, r"controller\.settings\.sustain: found '200 mA'"),
        ({"sustain": True}, r"controller\.settings\.sustain: found True"),
        ({"sustain": "nan ms"}, r"controller\.settings\.sustain: found 'nan ms'"),
        ({"below": {"hold": "1 s"}}, r"controller\.settings\.below\.hold: unknown key"),
        ({"below": {"hold_off": 1}}, r"controller\.settings\.below\.hold_off: found 1"),
        ({"reference": {"ext": 200}}, r"controller\.settings\.reference: found 200: no unit"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_line_with_its_key(said, line):
    with pytest.raises(TuningError, match=f"^{line}") as caught:
        tune("controller.settings", said, Part)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


PARTS = [
    *(find_plugin(policy.GROUP, policy.BUILT_IN, name).Settings for name in policy.BUILT_IN),
    *(find_plugin(estimator.GROUP, estimator.BUILT_IN, name).Settings for name in estimator.BUILT_IN),
    ReflexSettings,
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_no_part_of_ours_has_two_fields_that_are_written_alike(part):
    with pytest.raises(TuningError) as caught:
        tune("part", {"no such key": 1}, part)
    allowed = str(caught.value).partition("allowed: ")[2]
    spoken = allowed.split(", ") if allowed else []
    assert len(set(spoken)) == len(spoken)


def test_a_reflex_as_a_protocol_writes_it_is_one_the_controller_takes():
    plain = tune(
        "reflex", {"spasm": {"enabled": True, "hold_off": "2 s"}, "signal": {"silent": "80 ms"}}, ReflexSettings
    )
    made = msgspec.convert(plain, ReflexSettings)
    assert (made.spasm.hold_off_s, made.signal.silent_ms) == (2.0, 80.0)

"""A protocol file becomes a protocol, in named units, and knows its lines."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from myoloop.experiments.protocols.phases import Intensity
from myoloop.experiments.protocols.schema import Protocol, StopRule, load_protocol, presets
from myoloop.platform.yamlfile import FileError


def test_quantities_become_floats_in_the_unit_of_their_name():
    protocol = load_protocol("demo")
    assert protocol.stimulation["ext"].phase_us == 250.0
    assert protocol.sites["ext"].pad_area_cm2 == 25.0
    assert protocol.envelope.duty_max == 0.5
    assert protocol.envelope.total_on_s == 120.0
    assert protocol.devices.emg.min_rate_hz == 1000.0
    assert protocol.phases[1].calibration.burst_s == 1.0


def test_a_value_knows_its_place_and_how_it_was_written():
    protocol = load_protocol("demo")
    keys = ("phases", 1, "calibration", "step")
    place = protocol.place(keys)
    path, line, key = place.rsplit(":", 2)
    assert path.endswith("demo.yaml")
    assert "step: 3 mA" in presets()["demo"].read_text().splitlines()[int(line) - 1]
    assert key == " phases[1].calibration.step"
    assert protocol.written(keys) == "3 mA"
    assert protocol.has("phases[3].block.intensity.ref")
    assert not protocol.has("phases[9]")


def test_a_preset_is_found_by_name_and_a_file_by_path(tmp_path):
    copy = tmp_path / "demo"
    copy.write_text(presets()["demo"].read_text().replace("id: demo", "id: copy"))
    assert load_protocol("demo").protocol.id == "demo"
    assert load_protocol(copy).protocol.id == "copy"


def test_a_protocol_never_changes():
    protocol = load_protocol("demo")
    with pytest.raises(ValidationError):
        protocol.envelope.current_max_ma = 99.0


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"ref": "motor"},
        {"x": 1.2},
        {"ref": "motor", "x": 1.2, "share": 0.5},
        {"ref": "motor", "fixed": "100 uA"},
        {"ref": "motor", "x": "1.2"},
        {"ref": "motor", "x": True},
        {"ref": "motor", "x": float("nan")},
        {"ref": "motor", "x": -1.0},
        {"ref": "motor", "share": 1.5},
        {"ref": "tolerance", "share": 0.5},
        {"ref": "pain", "x": 1.0},
        {"fixed": "100 us"},
    ],
)
def test_intensity_is_said_in_one_of_its_ways(values):
    with pytest.raises(ValidationError):
        Intensity.model_validate(values)


@pytest.mark.parametrize("values", [{}, {"pain_rise": 2, "timeouts": 3}, {"pain_rise": 0}, {"session_max": 20}])
def test_a_stop_rule_is_one_rule(values):
    with pytest.raises(ValidationError):
        StopRule.model_validate(values)


scraps = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["40 mA", "40", "1 s", "ext", "motor", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["block", "rest", "x", "ref"]), inner),
    max_leaves=8,
)
KEYS = ["protocol", "devices", "sites", "envelope", "stimulation", "phases", "controller", "stop_rules", "outcomes"]


@given(data=st.dictionaries(st.sampled_from(KEYS), scraps))
@settings(deadline=None, max_examples=150)
def test_whatever_stands_in_a_file_is_refused_in_order(data):
    with pytest.raises(ValidationError):
        Protocol.model_validate(data)


def test_a_file_that_is_no_protocol_is_refused_line_by_line(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("protocol: 3\nphases: {}\nsurprise: 1\n")
    with pytest.raises(FileError) as caught:
        load_protocol(path)
    assert f"{path}:3: surprise: unknown key" in "\n".join(caught.value.problems)
    assert len(caught.value.problems) >= 8

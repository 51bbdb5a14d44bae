"""The rig file: each mistake is one line with file, line and key."""

from __future__ import annotations

import pytest

from myoloop.platform.rig import load_rig
from myoloop.platform.yamlfile import FileError

GOOD = """\
rig: {id: bench, class: SIM}
nodes:
  body: {role: subject}
  amp: {role: acquisition, source: simulated}
  controller: {role: controller}
  stimulator: {role: stimulator, driver: simulated}
  director: {role: director}
  recorder: {role: recorder}
emg:
  ext: {source: amp, channel: ext}
imu: {source: amp}
stimulation:
  ext: {output: 0, pad: 5x9 cm}
  flex: {output: 1, pad: 25 cm2}
stop: {port: 8300, pedal: /dev/ttyUSB0}
"""


@pytest.fixture
def rig(tmp_path):
    """Read the rig with one change."""

    def changed(old: str = "", new: str = ""):
        assert old in GOOD
        path = tmp_path / "rig.yaml"
        path.write_text(GOOD.replace(old, new, 1))
        return load_rig(path)

    return changed


def test_a_rig_says_who_does_what_with_which_device(rig):
    good = rig()
    assert (good.rig.id, good.rig.rig_class) == ("bench", "SIM")
    assert good.node_of("stimulator") == "stimulator"
    assert good.sources() == ["amp"]
    assert good.stimulation["ext"].pad_area_cm2 == pytest.approx(45.0)
    assert (good.stop.port, good.stop.pedal) == (8300, "/dev/ttyUSB0")
    assert good.stimulated_person


def test_files_are_named_relative_to_the_rig(tmp_path, rig):
    good = rig(
        "source: simulated}", "source: playback, settings: {file: data/emg.h5, mapping: /etc/m.yaml, block_ms: 5}}"
    )
    assert good.nodes["amp"].settings == {
        "file": str(tmp_path / "data/emg.h5"), "mapping": "/etc/m.yaml", "block_ms": 5
    }  # fmt: skip


def test_a_rig_without_stimulation_needs_only_its_sources(tmp_path):
    path = tmp_path / "rig.yaml"
    path.write_text(
        "rig: {id: ears, class: HUMAN}\nnodes: {amp: {role: acquisition, source: lsl}}\n"
        "emg: {ext: {source: amp, channel: CH1}}\n"
    )
    assert load_rig(path).node_of("stimulator") is None


def test_a_rig_knows_the_place_of_each_of_its_values(tmp_path, rig):
    good, path = rig(), tmp_path / "rig.yaml"
    assert good.place(("emg", "ext", "channel")) == f"{path}:10: emg.ext.channel"
    # A key that the file leaves out is missed where it should stand; what cannot be a path is shown as it is written.
    assert good.place(("nodes", "amp", "settings", "file")) == f"{path}:4: nodes.amp.settings.file"
    assert good.place(("nodes", "amp"), "nodes.amp[...]") == f"{path}:4: nodes.amp[...]"
    assert good.model_copy(update={"stop": None}).place(("stop",)) == f"{path}:15: stop"
    # Most sessions on a virtual subject have a rig that never was a file.
    made = type(good).model_validate(good.model_dump(by_alias=True))
    assert made.place(("emg", "ext")) == "emg.ext"
    assert made.place(("emg", "ext"), "emg[...]") == "emg[...]"


MISTAKES = [
    ("class: SIM", "class: ROBOT", 1, "rig.class", "'ROBOT'"),
    ("class: SIM", "class: HUMAN", 3, "nodes.body.role", "a virtual subject belongs on a SIM or BENCH rig"),
    ("id: bench", "id: Bench 1", 1, "rig.id", "'Bench 1'"),
    ("nodes:", "node:", 2, "node: unknown key", "did you mean nodes?"),
    ("role: controller}", "role: pilot}", 5, "nodes.controller.role", "'pilot'"),
    (", source: simulated}", "}", 4, "nodes.amp", "an acquisition node names its source"),
    (", driver: simulated}", "}", 6, "nodes.stimulator", "a stimulator node names its driver"),
    ("driver: simulated", "diver: simulated", 6, "diver: unknown key", "driver"),
    ("  director: {role: director}\n", "", 2, "nodes", "no node of role director"),
    ("body: {role: subject}", "body: {role: controller}", 5, "nodes.controller.role", "body is of this role already"),
    ("{role: recorder}", "{role: recorder, host: lab2}", 8, "nodes.recorder.host", "'lab2'"),
    ("source: amp, channel", "source: amplifier, channel", 10, "emg.ext.source", "'amplifier'"),
    ("imu: {source: amp}", "imu: {source: body}", 11, "imu.source", "'body'"),
    ("imu: {source: amp}", "imu: {source: amp}\nforce: {source: body}", 12, "force.source", "'body'"),
    ("output: 1,", "output: 0,", 14, "stimulation.flex.output", "ext has this output already"),
    ("output: 1,", "output: -1,", 14, "stimulation.flex.output", "-1"),
    ("pad: 25 cm2", "pad: 25", 14, "stimulation.flex.pad", "found 25: no unit"),
    ("pad: 25 cm2", "pad: -3 cm2", 14, "stimulation.flex.pad", "found '-3 cm2': allowed is an area greater than 0"),
    ("pad: 25 cm2", "pad: 0 cm2", 14, "stimulation.flex.pad", "allowed is an area greater than 0 cm2"),
    (
        "channel: ext}",
        "channel: ext}\n  flex: {source: amp, channel: ext}",
        11,
        "emg.flex.channel",
        "ext has this channel of amp already",
    ),
    ("pad: 5x9 cm", "pad: 5 mA", 13, "stimulation.ext.pad", "5 mA"),
    ("port: 8300", "port: 80", 15, "stop.port", "80"),
    ("  amp: {role", "  Amp 1: {role", 4, "nodes.Amp 1", "allowed is a name"),
    ("  amp: {role", "  ../amp: {role", 4, "nodes.../amp", "allowed is a name"),
    ("  amp: {role", "  supervisor: {role", 4, "nodes.supervisor", "call the node something else"),
    ("  amp: {role", "  operator: {role", 4, "nodes.operator", "call the node something else"),
]


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "found"), MISTAKES, ids=[new.strip()[:30] for _, new, *_ in MISTAKES]
)
def test_each_mistake_is_one_line(rig, tmp_path, old, new, line, key, found):
    with pytest.raises(FileError) as caught:
        rig(old, new)
    (problem, *_) = [each for each in caught.value.problems if found in each]
    assert problem.startswith(f"{tmp_path / 'rig.yaml'}:{line}: "), problem
    assert key in problem
    assert "\n" not in problem
    assert caught.value.exit_code == 2


def test_every_mistake_is_told_at_once(rig):
    with pytest.raises(FileError) as caught:
        rig("class: SIM}\nnodes:\n  body: {role: subject}", "class: ROBOT}\nnodes:\n  body: {role: pilot}")
    assert len(caught.value.problems) == 2
    with pytest.raises(FileError) as caught:
        rig("ext: {source: amp, channel: ext}\nimu: {source: amp}", "ext: {source: a, channel: b}\nimu: {source: c}")
    assert [each.split(": ")[1] for each in caught.value.problems] == ["emg.ext.source", "imu.source"]


@pytest.mark.parametrize("text", ["", "- a list\n", "rig: [\n", "just text\n", "nodes: {}\n"])
def test_what_is_no_rig_at_all_is_said_so(tmp_path, text):
    path = tmp_path / "rig.yaml"
    path.write_text(text)
    with pytest.raises(FileError) as caught:
        load_rig(path)
    assert all(each.startswith(f"{path}:") for each in caught.value.problems)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match=r"nowhere\.yaml.*no such file"):
        load_rig(tmp_path / "nowhere.yaml")


def test_a_protocol_given_as_a_rig_is_told_once(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("protocol: {id: p}\nphases: []\ncontroller: {}\n", encoding="utf-8")
    with pytest.raises(FileError) as caught:
        load_rig(path)
    assert caught.value.problems == (f"{path}:1: is a protocol file, a rig file is needed",)

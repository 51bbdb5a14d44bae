"""Which running rig a node that is started by hand belongs to."""

from __future__ import annotations

import pytest

from myoloop.platform.attach import NoSuchRig, check_runtime, runtime_of
from myoloop.platform.process import RIG_FILE, write_rig_file
from myoloop.platform.runtime import OwnedRuntimeFolder

NODES = {"amp": "acquisition", "rec": "recorder"}
RIG_YAML = """\
rig: {id: bench, class: BENCH}
nodes:
  amp: {role: acquisition, source: brainflow}
  rec: {role: recorder}
emg: {ext: {source: amp, channel: ext}}
"""


@pytest.fixture
def rigs(short_folder):
    made = []

    def run(name):
        made.append(OwnedRuntimeFolder())
        write_rig_file(made[-1].path, "s1", NODES, name)
        return made[-1].path

    yield run
    for each in made:
        each.remove()


@pytest.fixture
def rig_file(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(RIG_YAML, encoding="utf-8")
    return str(path)


def test_a_rig_is_found_by_its_name_and_by_its_file(rigs, rig_file):
    rigs("other")
    bench = rigs("bench")
    assert runtime_of("bench") == runtime_of(rig_file) == bench


def test_a_rig_that_does_not_run_is_named_with_those_that_do(rigs, rig_file):
    with pytest.raises(NoSuchRig, match="no rig called 'bench' runs on this host; none does"):
        runtime_of(rig_file)
    rigs("other")
    with pytest.raises(NoSuchRig, match="no rig called 'bench' runs on this host; there runs other"):
        runtime_of("bench")


def test_two_rigs_of_one_name_are_not_chosen_between(rigs):
    folders = {rigs("bench"), rigs("bench")}
    with pytest.raises(NoSuchRig, match="2 rigs called 'bench'") as caught:
        runtime_of("bench")
    assert all(str(folder) in str(caught.value) for folder in folders)


def test_a_runtime_folder_that_cannot_be_read_hides_no_other(rigs):
    (rigs("broken") / RIG_FILE).write_text("{", encoding="utf-8")
    (rigs("odd") / RIG_FILE).write_text("[]", encoding="utf-8")
    (rigs("bare") / RIG_FILE).unlink()
    bench = rigs("bench")
    assert runtime_of("bench") == bench


def test_a_runtime_folder_must_be_of_the_rig(rigs, rig_file, tmp_path):
    check_runtime(rigs("bench"), rig_file)
    with pytest.raises(NoSuchRig, match="which is of the rig 'other', not of 'bench'"):
        check_runtime(rigs("other"), "bench")
    with pytest.raises(NoSuchRig, match="which is no runtime folder"):
        check_runtime(tmp_path, "bench")

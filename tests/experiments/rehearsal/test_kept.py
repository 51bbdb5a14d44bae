"""Rehearsals that are kept: found again, of the same wiring, and evidence for the device they told the number of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.rehearsal.findings import Findings
from myoloop.experiments.rehearsal.kept import (
    FILE,
    FOLDER,
    LOAD,
    Rehearsal,
    keep,
    rehearsals_in,
    rehearsed,
    say_last,
    wiring_sha256,
)
from myoloop.experiments.screening.equipment import Device
from myoloop.experiments.sessions.emulated_rig import emulated_rig_data
from myoloop.experiments.sessions.records_before import dummy_load_of
from myoloop.platform.rig import Rig

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
IDENTITY = "P24 12345, firmware 1.2.3, ScienceMode 4.0.0"
DEVICE = Device("12345", "P24", "IEC 60601-1", NOW.date() + timedelta(days=100), None, False)


def findings(*problems):
    return Findings(IDENTITY, (), None, None, None, 1.0, 2.0, 3.0, 4.0, problems)


@pytest.fixture
def rig(request):
    return Rig.model_validate(
        emulated_rig_data(load_protocol(request.config.rootpath / "tests/data/device_train.yaml"), "p24")
    )


@pytest.fixture
def kept(tmp_path, rig):
    """Keep a rehearsal in the study."""
    count = 0

    def one(at=NOW, *problems, **more):
        nonlocal count
        count += 1
        folder = tmp_path / FOLDER / f"sub-{LOAD}" / f"ses-{count:02}" / "att-1"
        folder.mkdir(parents=True)
        made = Rehearsal(
            at=at.isoformat(), rig="bench", rig_class="BENCH", wiring_sha256=wiring_sha256(rig), device=IDENTITY,
            simulated=False, passed=not problems, protocol="rehearsal 1.0.0", findings=findings(*problems),
        )  # fmt: skip
        keep(folder, msgspec.structs.replace(made, **more))
        return folder

    return one


def test_what_was_kept_is_read_again_the_newest_last(tmp_path, kept):
    kept(NOW)
    kept(NOW - timedelta(hours=1), "the device answers late")
    found = rehearsals_in(tmp_path)
    assert [one.passed for one in found] == [False, True]
    assert found[0].findings == findings("the device answers late")


def test_a_damaged_file_is_no_evidence(tmp_path, kept):
    (kept() / FILE).write_bytes(b"{")
    assert rehearsals_in(tmp_path) == []
    assert rehearsed([DEVICE], tmp_path) == (DEVICE,)


def test_a_bench_copy_has_the_same_wiring_and_other_settings_have_not(rig):
    copy = rig.model_copy(update={"rig": rig.rig.model_copy(update={"rig_class": "BENCH", "id": "copy"})})
    assert wiring_sha256(copy) == wiring_sha256(rig)
    node = rig.nodes["stimulator"]
    other = node.model_copy(update={"settings": {**node.settings, "level": "mid"}})
    assert wiring_sha256(rig.model_copy(update={"nodes": {**rig.nodes, "stimulator": other}})) != wiring_sha256(rig)


def test_a_driver_that_says_the_class_again_says_another_in_the_copy(rig):
    def of_class(name):
        node = rig.nodes["stimulator"]
        said = node.model_copy(update={"settings": {**node.settings, "rig_class": name}})
        rig_of = rig.model_copy(update={"rig": rig.rig.model_copy(update={"rig_class": name})})
        return rig_of.model_copy(update={"nodes": {**rig.nodes, "stimulator": said}})

    assert wiring_sha256(of_class("BENCH")) == wiring_sha256(of_class("HUMAN"))


def test_a_rehearsal_is_the_self_test_of_the_device_that_told_its_number(tmp_path, kept):
    kept(NOW - timedelta(minutes=5))
    (device,) = rehearsed([DEVICE], tmp_path)
    assert (device.self_test_at, device.self_test_passed) == (NOW - timedelta(minutes=5), True)
    assert dummy_load_of((DEVICE,), NOW) == ""
    assert dummy_load_of((device,), NOW).startswith("12345: self-test of 2026-11-21T13:55")
    assert dummy_load_of((device,), NOW + timedelta(hours=9)) == ""


def test_a_later_rehearsal_that_failed_takes_a_passed_self_test_back(tmp_path, kept):
    kept(NOW - timedelta(minutes=5), "ext: 3 of 3 trains gave no pulse")
    (device,) = rehearsed([replace(DEVICE, self_test_at=NOW - timedelta(hours=1), self_test_passed=True)], tmp_path)
    assert not device.self_test_passed
    assert dummy_load_of((device,), NOW) == ""


def test_an_earlier_rehearsal_changes_nothing(tmp_path, kept):
    kept(NOW - timedelta(hours=2), "late")
    tested = replace(DEVICE, self_test_at=NOW - timedelta(hours=1), self_test_passed=True)
    assert rehearsed([tested], tmp_path) == (tested,)


@pytest.mark.parametrize(
    "more", [{"simulated": True}, {"rig_class": "SIM"}, {"device": "P24 123456, firmware"}, {"device": ""}]
)
def test_one_of_a_simulated_or_another_device_is_no_evidence(tmp_path, kept, more):
    kept(NOW, **more)
    assert rehearsed([DEVICE], tmp_path) == (DEVICE,)


def test_the_operator_is_told_of_the_last_rehearsal_of_this_rig(tmp_path, kept, rig):
    assert say_last(rig, tmp_path) == (
        False, f"rig {rig.rig.id}: no rehearsal on a dummy load is kept in {tmp_path}: myoloop rehearse"
    )  # fmt: skip
    kept(NOW - timedelta(days=2), wiring_sha256="0" * 64)
    good, line = say_last(rig, tmp_path)
    assert not good
    assert f"never rehearsed as it is wired now; the last rehearsal, 2026-11-19 14:00 UTC with {IDENTITY}" in line
    kept(NOW - timedelta(days=1), "the device was lost")
    assert say_last(rig, tmp_path)[1].endswith("failed: the device was lost")
    kept(NOW)
    assert say_last(rig, tmp_path) == (
        True, f"rig {rig.rig.id}: last rehearsed 2026-11-21 14:00 UTC with {IDENTITY}: passed"
    )  # fmt: skip

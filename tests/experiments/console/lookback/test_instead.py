"""What another controller would have asked for, kept beside what was asked; and a job that really makes something."""

from __future__ import annotations

import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from myoloop.experiments.console.lookback.choice import controllers_here
from myoloop.experiments.console.lookback.instead import Steps, default_folder, instead_folder, names_of, read_instead
from myoloop.experiments.console.security import Role
from myoloop.experiments.replaying import NOT_CAUSAL
from myoloop.platform.errors import UserError
from myoloop.platform.messages import ChannelSetting, StimRequest
from myoloop.platform.recording.folder import AttemptPlace

MS = 1_000_000
ZERO_MS = 5_000


def request(current_ma: float) -> StimRequest:
    settings = (ChannelSetting(channel="c1", current_ma=current_ma, phase_us=250.0, rate_hz=20.0),)
    return StimRequest(step=1, t_ns=0, arm_id="a", lease_ms=100, channels=settings if current_ma else ())


@pytest.fixture(scope="module")
def compared(study, tmp_path_factory):
    """4 s in which 10 mA were asked for, and 4 mA, from 2 s on none, would have been."""
    steps = Steps()
    for tick in range(400):
        steps.see((ZERO_MS + 10 * tick) * MS, request(10.0), request(4.0 if tick < 200 else 0.0))
    controller = tmp_path_factory.mktemp("c") / "gentle one.yaml"
    controller.write_text("controller: {policy: manual}\n")
    place = AttemptPlace(study.root, "P017", 3, 1)
    file = steps.write(study.attempt, controller, instead_folder(place), {"steps": 400, "differing": 400})
    return place, file


def test_it_says_of_which_session_and_controller_it_is_and_that_the_emg_would_have_differed(compared, study):
    place, file = compared
    assert default_folder(study.attempt) == file.parent == instead_folder(place)
    said = pq.read_schema(file).metadata[b"myoloop"].decode()
    for word in ('"gentle one.yaml"', '"session": "s1"', NOT_CAUSAL):
        assert word in said
    table = pq.read_table(file)
    assert table.column_names == ["t_s", "c1.asked_ma", "c1.instead_ma"]
    assert table["t_s"].to_pylist()[:2] == pytest.approx([0.0, 0.01])


def test_it_is_read_back_in_bins(compared):
    place, file = compared
    assert names_of(place) == [file.stem]
    found = read_instead(place, file.stem)
    assert (found.controller, found.channels, found.summary["steps"]) == ("gentle one.yaml", ("c1",), 400)
    bins = found.bins["c1"]
    at = (np.array([1.0, 3.0]) - bins.begin_s) / bins.width_s
    assert bins.high[at.astype(int)].tolist() == [[10.0, 4.0], [10.0, 0.0]]


def test_the_page_gets_it_as_a_lane_of_its_own(compared, study, visit):
    _, file = compared
    visitor = visit(study.root, Role.SUPERVISOR)
    facts = visitor.get(f"{study.api}/facts").json()
    assert [each["controller"] for each in facts["comparisons"]] == ["gentle one.yaml"]
    lane = f"instead/{file.stem}/c1"
    assert lane in [each["name"] for each in facts["lanes"]]
    assert visitor.get(f"{study.api}/bins", from_s=0, to_s=4, n=10, lane=lane).status_code == 200


@pytest.mark.parametrize("name", ["../../other", "nothing", ""])
def test_what_is_not_there_says_what_is(compared, name):
    place, file = compared
    with pytest.raises(UserError, match=f"there is: {file.stem}"):
        read_instead(place, name)


def test_a_file_that_is_none_of_ours_is_refused_in_one_line(compared):
    place, _ = compared
    other = instead_folder(place) / "other.parquet"
    other.write_bytes(b"PAR1 no")
    try:
        with pytest.raises(UserError, match=r"other\.parquet: is not a comparison of ours"):
            read_instead(place, "other")
    finally:
        other.unlink()


def test_controllers_are_those_of_the_presets_and_of_the_study(tmp_path):
    (tmp_path / "controllers").mkdir()
    (tmp_path / "controllers" / "mine.yaml").write_text("controller: {policy: manual}\n")
    (tmp_path / "protocol.yaml").write_text("protocol: {}\ncontroller: {policy: manual}\n")
    (tmp_path / "study.yaml").write_text("study: {}\n")
    found = controllers_here(tmp_path)
    assert {"study/controllers/mine", "study/protocol", "demo"} <= set(found)
    assert "study/study" not in found


@pytest.mark.processes
def test_a_page_has_an_overview_made_by_a_job_that_it_can_follow(known, tmp_path, visit):
    known.write(tmp_path / "sub-P017" / "ses-03" / "att-1")
    visitor = visit(tmp_path, Role.OPERATOR)
    api = "/api/sessions/P017/3/1"
    assert not visitor.get(f"{api}/facts").json()["made"]
    name = visitor.post(f"{api}/work", {"work": "overview"}).json()["job"]
    until = time.monotonic() + 100.0
    while (job := visitor.get(f"/api/jobs/{name}").json())["state"] == "running":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert job["state"] == "done", job
    assert visitor.get(f"{api}/facts").json()["made"]

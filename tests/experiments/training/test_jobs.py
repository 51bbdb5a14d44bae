"""Work on many items: the same results wherever it is done, and none of it twice."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from myoloop.experiments.training.jobs import ClusterError, Jobs, item_key, progress_line, read_result, write_result
from myoloop.platform.errors import UserError

ITEMS = [{"seed": seed, "name": f"person {seed}"} for seed in range(6)]


def drawn(item: dict[str, Any]) -> dict[str, Any]:
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(item["seed"])))
    return {"name": item["name"], "force_n": rng.standard_normal(4), "mean": float(rng.standard_normal())}


class Interrupted(Exception):
    """Somebody pulled the plug."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    from distributed import LocalCluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50)
    with made:
        yield made.scheduler_address


def test_results_come_in_the_order_of_the_items() -> None:
    assert [one["name"] for one in Jobs().run("people", drawn, ITEMS)] == [item["name"] for item in ITEMS]


def test_processes_and_a_cluster_of_two_workers_give_what_one_process_gives(cluster: str) -> None:
    here = Jobs().run("people", dict, ITEMS)
    assert Jobs(workers=2).run("people", dict, ITEMS) == here
    assert Jobs(cluster=cluster).run("people", dict, ITEMS) == here


def test_interrupted_work_goes_on_where_it_was(tmp_path: Path) -> None:
    done: list[int] = []
    plugs = ["the only one"]

    def until_the_fourth(item: dict[str, Any]) -> dict[str, Any]:
        if item["seed"] == 3 and plugs:
            plugs.pop()
            raise Interrupted
        done.append(item["seed"])
        return drawn(item)

    with pytest.raises(Interrupted):
        Jobs(folder=tmp_path).run("people", until_the_fourth, ITEMS)
    heard: list[str] = []
    results = Jobs(folder=tmp_path, say=heard.append).run("people", until_the_fourth, ITEMS)
    assert done == [0, 1, 2, 3, 4, 5]
    assert heard[0] == "people: 3 of 6 kept from before"
    for result, item in zip(results, ITEMS, strict=True):
        np.testing.assert_array_equal(result["force_n"], drawn(item)["force_n"])
        assert result["mean"] == drawn(item)["mean"]


def test_another_item_is_not_taken_for_one_that_was_done(tmp_path: Path) -> None:
    jobs = Jobs(folder=tmp_path)
    jobs.run("people", drawn, ITEMS)
    others = [{**item, "seed": item["seed"] + 100} for item in ITEMS]
    fresh = [drawn(item)["mean"] for item in others]
    assert [one["mean"] for one in jobs.run("people", drawn, others)] == fresh


def test_a_torn_file_is_work_to_be_done_again(tmp_path: Path) -> None:
    jobs = Jobs(folder=tmp_path)
    first = jobs.run("people", drawn, ITEMS[:1])
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    np.testing.assert_array_equal(jobs.run("people", drawn, ITEMS[:1])[0]["force_n"], first[0]["force_n"])


def test_each_result_is_told_with_what_is_left() -> None:
    heard: list[str] = []
    Jobs(say=heard.append).run("people", drawn, ITEMS[:2])
    assert [line.split(",")[0] for line in heard] == ["people: 1 of 2", "people: 2 of 2"]
    assert "left" in heard[0]
    assert "left" not in heard[1]


@pytest.mark.parametrize(
    ("spent_s", "left_s", "told"),
    [(12.2, 36.6, "runs: 3 of 12, 12 s, 37 s left"), (100.0, 3700.0, "runs: 3 of 12, 1 min 40 s, 61 min 40 s left")],
)
def test_progress_in_words(spent_s: float, left_s: float, told: str) -> None:
    assert progress_line("runs", 3, 12, spent_s, left_s) == told


def test_a_cluster_that_is_not_there_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("myoloop.experiments.training.jobs._CONNECT_S", 0.5)
    with pytest.raises(ClusterError, match=r"^--cluster: no Dask scheduler at tcp://127\.0\.0\.1:9 ") as found:
        Jobs(cluster="tcp://127.0.0.1:9").run("people", dict, ITEMS)
    assert "\n" not in str(found.value)


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"^--cluster needs Dask: install myoloop\[cluster\]$"):
        Jobs(cluster="tcp://127.0.0.1:9").run("people", dict, ITEMS)


def test_the_order_of_an_items_keys_does_not_matter_its_values_do() -> None:
    one = item_key(drawn, {"a": 1, "b": 2.0})
    assert one == item_key(drawn, {"b": 2.0, "a": 1})
    assert one != item_key(drawn, {"a": 1, "b": 2.5})
    assert one != item_key(dict, {"a": 1, "b": 2.0})


@given(
    hnp.arrays(st.sampled_from([np.float64, np.int32, np.bool_]), hnp.array_shapes(min_dims=1, max_dims=3)),
    st.dictionaries(st.text(max_size=5).map("x".__add__), st.integers() | st.text() | st.none(), max_size=3),
)
def test_a_result_is_read_as_it_was_written(array: Any, rest: dict[str, Any]) -> None:
    written = write_result({**rest, "array": array})
    read = read_result(written)
    np.testing.assert_array_equal(read.pop("array"), array)
    assert read == rest
    assert write_result({**rest, "array": array}) == written


def test_objects_are_neither_written_nor_read() -> None:
    with pytest.raises(ValueError, match="none of objects"):
        write_result({"array": np.array([object()])})
    with pytest.raises(ValueError, match="not a result"):
        read_result(b"\x80\x04N.")

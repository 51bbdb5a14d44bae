"""``bench loop``: our whole loop beside baselines, as one object and as a table."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from myoloop.acquisition.source import Block
from myoloop.controllers.policies.policy import PolicyInput
from myoloop.controllers.settings import DEFAULT_ESTIMATORS
from myoloop.experiments.benchmarks import loop, ours, parts
from myoloop.experiments.benchmarks.rivals import NotMeasured
from myoloop.experiments.benchmarks.statistics import Round
from myoloop.experiments.benchmarks.yardstick.work import Shape
from myoloop.experiments.objects import BUILDERS
from myoloop.experiments.replay import replay
from myoloop.platform.messages import ChannelSetting, Phase
from myoloop.stimulators.driver import Driver
from myoloop.stimulators.gate import check_envelope
from myoloop.stimulators.gate.envelope import DeviceLimits

FIGURES = {"p50_ms", "p99_ms", "p999_ms", "max_ms", "lost", "cpu_s"}


def _round(p50_ms: float, p99_ms: float, lost: int = 0) -> Round:
    return Round(p50_ms, p99_ms, p99_ms, p99_ms, 300, lost, 0, 0, 0.3, 3.0)


class Scripted:
    """A rival that takes as long as it is told to."""

    def __init__(self, *rounds: Round, fails: str = "") -> None:
        self._rounds = list(rounds)
        self._fails = fails
        self.closed = 0

    def start(self) -> None:
        if self._fails == "start":
            raise NotMeasured("it is not here")

    def run(self, warm_s: float, seconds: float) -> Round:
        if self._fails == "run":
            raise NotMeasured("it broke")
        return self._rounds.pop(0)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> dict[str, Scripted]:
    rivals = {
        "pipe": Scripted(_round(0.5, 3.0)),
        "pipe_c": Scripted(fails="start"),
        "zmq": Scripted(_round(1.0, 3.0), _round(1.2, 5.0)),
        "zmq_matrix": Scripted(),
        "myoloop": Scripted(_round(1.32, 4.4)),
        "myoloop_all_estimators": Scripted(_round(2.2, 6.6, lost=1)),
    }
    monkeypatch.setattr(loop, "own_rivals", lambda: dict(rivals))
    return rivals


def test_the_result_compares_medians_of_the_same_run(scripted: dict[str, Scripted]) -> None:
    result = loop.measure_quick(lambda _: None)

    for name in ("pipe", "zmq", "myoloop", "myoloop_all_estimators"):
        assert set(result[name]) >= FIGURES
    assert result["ratio_p50_to_zmq"] == pytest.approx(1.32 / 1.1)
    assert result["ratio_p99_to_zmq"] == pytest.approx(4.4 / 4.0)
    assert result["ratio_p50_to_pipe"] == pytest.approx(1.32 / 0.5)
    assert result["myoloop_all_estimators"]["ratio_p50_to_zmq"] == pytest.approx(2.0)
    assert result["machine"]["cores"] == os.cpu_count()
    json.dumps(result, allow_nan=False)


def test_targets_say_what_was_found_against_what_was_wanted(scripted: dict[str, Scripted]) -> None:
    targets = loop.measure_quick(lambda _: None)["targets"]

    assert [(target["met"], target["limit"]) for target in targets] == [
        (True, 1.3),
        (True, 5.0),
        (False, 1.8),
        (False, 0.0),
    ]


def test_what_cannot_be_measured_is_listed_with_the_reason(scripted: dict[str, Scripted]) -> None:
    result = loop.measure_quick(lambda _: None)

    assert result["not_measured"] == {"pipe_c": "it is not here"}
    assert "pipe_c" not in result["order"]
    assert "pipe, C                   not measured: it is not here" in loop.table(result)


def test_ours_that_cannot_be_measured_is_an_error(
    scripted: dict[str, Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    rivals = {**scripted, "myoloop": Scripted(fails="run")}
    monkeypatch.setattr(loop, "own_rivals", lambda: dict(rivals))

    with pytest.raises(NotMeasured, match="it broke"):
        loop.measure_quick(lambda _: None)

    assert all(rival.closed for name, rival in rivals.items() if name != "zmq_matrix")


def test_the_table_shows_every_system_and_every_target(scripted: dict[str, Scripted]) -> None:
    result = loop.measure_quick(lambda _: None)

    shown = loop.table(result)

    for name in result["order"]:
        assert loop.LABELS[name] in shown
    assert shown.count("NOT met") == 2


def test_json_is_one_object_on_standard_output(
    scripted: dict[str, Scripted], capsys: pytest.CaptureFixture[str]
) -> None:
    assert loop.bench_loop(as_json=True) == 0

    printed = capsys.readouterr()
    assert json.loads(printed.out)["benchmark"] == "loop"
    assert printed.err == ""


def test_the_plug_ins_are_announced_only_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    with ours.announced(tmp_path):
        path = os.environ["PYTHONPATH"]
        monkeypatch.syspath_prepend(path.split(os.pathsep)[0])
        for group, cls in (
            ("myoloop.sources", parts.StampedSource),
            ("myoloop.policies", parts.EveryBlock),
            ("myoloop.drivers", parts.StampedDriver),
        ):
            (found,) = entry_points(group=group, name="yardstick")
            assert found.load() is cls
    assert os.environ["PYTHONPATH"] == "elsewhere"


def test_the_yardsticks_work_is_the_controllers_without_estimators() -> None:
    descriptor = parts.StampedSource(parts.StampedSourceSettings(), "amplifier").open()[0]

    reduced = ours.controller_settings(descriptor, estimators=False)
    whole = ours.controller_settings(descriptor, estimators=True)

    assert (reduced.estimators, reduced.conditioning.notch) == ((), "off")
    assert whole.estimators == DEFAULT_ESTIMATORS
    assert whole.conditioning.notch == "mains"
    assert len(reduced.muscles) == 16


def test_the_envelope_of_the_run_is_one_the_gate_takes() -> None:
    driver = parts.StampedDriver(parts.StampedDriverSettings({"stim": 0}, "unused"))
    can = driver.capabilities
    device = DeviceLimits(
        can.outputs,
        can.current_max_ma,
        can.current_step_ma,
        (can.phase_min_us, can.phase_max_us),
        (can.rate_min_hz, can.rate_max_hz),
    )

    check_envelope(ours.director_settings().plan.envelope, device)


def test_current_differs_with_every_block_and_is_whole_in_steps_of_the_device() -> None:
    policy = parts.EveryBlock(parts.EveryBlockSettings(), ("stim",))
    given = PolicyInput(0, Phase(t_ns=0, session="s", state="running"), {})

    asked = [policy.decide(given).current_ma["stim"] for _ in range(3 * parts.PLACES)]

    assert all(one != other for one, other in pairwise(asked))
    codes = np.array(asked) / parts.CURRENT_STEP_MA
    np.testing.assert_allclose(codes, np.round(codes), atol=1e-6)


def test_the_driver_notes_each_write_by_the_step_that_ordered_it(tmp_path: Path) -> None:
    notes = tmp_path / "writes.npy"
    driver = parts.StampedDriver(parts.StampedDriverSettings({"stim": 0}, str(notes)))
    assert isinstance(driver, Driver)
    driver.open()
    for step_ns in (11, 22):
        setting = ChannelSetting(channel="stim", current_ma=step_ns * 0.1, phase_us=200.0, rate_hz=10.0)
        driver.write(driver.encode([setting]), step_ns)
    driver.close()

    written = np.load(notes)
    assert written[:, 0].tolist() == [11, 22]
    assert (np.diff(written[:, 1]) >= 0).all()


def test_the_source_hands_over_whole_blocks_stamped_in_order() -> None:
    source = parts.StampedSource(parts.StampedSourceSettings(channels=2, block=20, rate_hz=20_000.0), "amplifier")
    source.open()
    fd = source.fileno()
    blocks: list[Block] = []
    while len(blocks) < 5:
        os.set_blocking(fd, True)
        blocks += [each for each in source.read(0.0) if isinstance(each, Block)]
    source.close()

    assert [each.first_sample for each in blocks[:5]] == [0, 20, 40, 60, 80]
    assert all(one.t_ns <= other.t_ns for one, other in pairwise(blocks))


@pytest.fixture
def short_tmp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files of one's own, short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="b") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name)


@pytest.mark.processes
@pytest.mark.parametrize("wait_s", [0.0, 4.0])
def test_a_run_that_is_terminated_leaves_nothing_behind(short_tmp: Path, wait_s: float) -> None:
    script = (
        "from myoloop.experiments.benchmarks import loop, ours\n"
        "from myoloop.experiments.benchmarks.yardstick.work import Shape\n"
        "loop.own_rivals = lambda: {'zmq_matrix': None, 'myoloop': ours.Loop(Shape(channels=4))}\n"
        "loop.QUICK = None\n"
        "plan = loop.Schedule(0.1, 60.0, ('myoloop',))\n"
        "loop.measure_quick = lambda say, measure=loop.measure_quick: measure(say, plan)\n"
        "loop.bench_loop()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as run:
        deadline = time.monotonic() + 20.0
        while not list(short_tmp.glob("myb-*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(wait_s)
        run.terminate()
        code = run.wait(15.0)

    assert code == 128 + signal.SIGTERM
    assert list(short_tmp.iterdir()) == []


@pytest.mark.processes
def test_our_whole_loop_answers_every_block_and_its_session_replays(
    short_tmp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rival = ours.Loop(Shape(channels=8), estimators=True, keep=tmp_path)

    judged = rival.run(0.1, 1.0)

    assert judged.lost == 0
    assert 90 <= judged.blocks <= 110
    assert 0.0 < judged.p50_ms <= judged.p99_ms
    assert judged.cpu_s > 0.0
    assert list(short_tmp.iterdir()) == []
    # What was measured is a whole session: it can be replayed, given the policy that it was run with.
    with ours.announced(tmp_path):
        monkeypatch.syspath_prepend(os.environ["PYTHONPATH"].split(os.pathsep)[0])
        replayed = replay(tmp_path / "round-1", BUILDERS)
    assert {each.name for each in replayed.objects} == {"controller", "stimulator", "director"}
    assert replayed.equal, [each.first_difference for each in replayed.objects]

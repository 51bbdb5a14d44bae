"""Baselines run, lose nothing, and leave no process and no folder behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from myoloop.experiments.benchmarks import peers
from myoloop.experiments.benchmarks.rivals import Chain, CompiledPipe, Interpreter, NotMeasured, Rival, Whole
from myoloop.experiments.benchmarks.yardstick.work import Shape

SHAPE = Shape(channels=4)


@pytest.fixture
def own_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of one's own, short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="b") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


def _gone(pid: int, patience_s: float = 5.0) -> bool:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if _state(pid) == "Z":
            return True
        time.sleep(0.02)
    return False


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


@pytest.mark.processes
@pytest.mark.parametrize("make", [lambda: Chain("pipe", SHAPE), lambda: Chain("zmq", SHAPE, matrix=True)])
def test_a_chain_answers_every_block_in_each_round(own_tmp: Path, make: object) -> None:
    rival: Rival = make()  # type: ignore[operator]
    rival.start()
    try:
        rounds = [rival.run(0.1, 0.4), rival.run(0.1, 0.4)]
    finally:
        rival.close()

    for judged in rounds:
        assert (judged.blocks, judged.lost, judged.out_of_order) == (40, 0, 0)
        assert 0.0 < judged.p50_ms <= judged.p99_ms <= judged.max_ms
        assert judged.cpu_s > 0.0
    assert list(own_tmp.iterdir()) == []


@pytest.mark.processes
def test_the_pipe_in_c_answers_every_block(own_tmp: Path) -> None:
    rival = CompiledPipe(SHAPE)
    try:
        rival.start()
    except NotMeasured as why:
        pytest.skip(str(why))
    judged = rival.run(0.1, 0.4)
    rival.close()

    assert (judged.blocks, judged.lost) == (40, 0)
    assert list(own_tmp.iterdir()) == []


def test_without_a_compiler_the_pipe_in_c_says_so(own_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(own_tmp))

    with pytest.raises(NotMeasured, match="no C compiler"):
        CompiledPipe(SHAPE).start()


def test_a_server_that_is_not_there_is_a_reason(own_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(own_tmp))
    redis = next(peer for peer in peers.PEERS if peer.name == "redis")

    with pytest.raises(NotMeasured, match="no redis-server"):
        redis.make(SHAPE, Interpreter())  # type: ignore[misc]


@pytest.mark.processes
def test_a_stage_that_fails_is_told_with_its_own_words(own_tmp: Path) -> None:
    rival = Chain("carrier pigeon", SHAPE)

    with pytest.raises(NotMeasured, match="there is no link of kind 'carrier pigeon'"):
        rival.start()

    assert list(own_tmp.iterdir()) == []


@pytest.mark.processes
def test_a_peer_that_ends_early_is_told_with_its_last_words(own_tmp: Path) -> None:
    rival = Whole("no_such_peer", SHAPE, Interpreter(), start_s=0.1)

    with pytest.raises(NotMeasured, match="no_such_peer"):
        rival.run(0.1, 0.1)

    assert list(own_tmp.iterdir()) == []


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_stages_end_with_a_run_that_was_killed(own_tmp: Path) -> None:
    script = (
        "import sys, time\n"
        "from myoloop.experiments.benchmarks.rivals import Chain\n"
        "from myoloop.experiments.benchmarks.yardstick.work import Shape\n"
        "rival = Chain('zmq', Shape(channels=4))\n"
        "rival.start()\n"
        "print(*(stage.pid for stage in rival._stages.values()), flush=True)\n"
        "rival.run(0.1, 60.0)\n"
    )
    environment = {**os.environ, "TMPDIR": str(own_tmp)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as run:
        assert run.stdout is not None
        pids = [int(word) for word in run.stdout.readline().split()]
        run.send_signal(signal.SIGKILL)

    assert len(pids) == 3
    assert all(_gone(pid) for pid in pids)


@pytest.mark.processes
def test_a_guarded_command_ends_with_everything_it_started(own_tmp: Path) -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    guarded = Interpreter().guarded([sys.executable, "-c", script], own_tmp)
    started: list[int] = []
    deadline = time.monotonic() + 10.0
    while len(started) < 3 and time.monotonic() < deadline:
        started = _session(guarded.pid)
        time.sleep(0.02)
    assert guarded.stdin is not None
    guarded.stdin.close()
    guarded.wait(5.0)

    assert len(started) == 3
    assert all(_gone(pid) for pid in started)


def _session(leader: int) -> list[int]:
    """Processes of a session."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader:
            found.append(int(entry.name))
    return found

"""A session in real processes, watched from outside: its nodes by process id, its pulses by the body's own ledger."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

DRILL = Path(__file__).parents[2] / "data" / "drill.yaml"
PATIENCE_S = 60.0


class RigProcess:
    """``myoloop run`` in a process of its own."""

    def __init__(self, out: Path, *arguments: str, protocol: Path | str = DRILL) -> None:
        self.out = out
        self.stderr = out.parent / "stderr.txt"
        command = [sys.executable, "-P", "-m", "myoloop", "run", str(protocol), "--subject", "SIM1"]
        with self.stderr.open("wb") as errors:
            self.process = subprocess.Popen(
                [*command, "--out", str(out), "--json", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )

    @property
    def folder(self) -> Path:
        return self.out / "sub-SIM1" / "ses-01" / "att-1"

    def nodes(self) -> dict[str, int]:
        """Process ids of the nodes of this very rig: its children, and theirs once they are orphans."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                environment = (entry / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if "node" in words and "--runtime" in words and f"MYOLOOP_TEST={self.out}" in environment:
                found[words[words.index("node") + 2]] = int(entry.name)
        return found

    def pulses(self) -> list[dict[str, float]]:
        path = self.folder / "body-ledger.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]

    def wait_for(self, condition, what: str, patience_s: float = PATIENCE_S):
        """Poll until a condition holds; its value."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.02)
        raise AssertionError(f"{what} did not come within {patience_s} s; stderr: {self.stderr.read_text()[-2000:]}")

    def wait_for_current(self, least_ma: float) -> None:
        """Wait for a train of at least this current that has lasted for some pulses."""

        def flowing() -> bool:
            assert self.process.poll() is None, self.stderr.read_text()
            recent = self.pulses()[-5:]
            return len(recent) == 5 and all(pulse["current_ma"] >= least_ma for pulse in recent)

        self.wait_for(flowing, f"a train of {least_ma} mA")

    def strike(self, node: str, number: int) -> int:
        """Send a signal to a node (or to the supervisor); monotonic time at which it was sent."""
        pid = self.process.pid if node == "supervisor" else self.nodes()[node]
        t_ns = time.monotonic_ns()
        os.kill(pid, number)
        return t_ns

    def end(self) -> None:
        """Leave nothing behind, whatever the test found."""
        for pid in [self.process.pid, *self.nodes().values()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture
def start_rig(tmp_path, monkeypatch) -> Iterator:
    """Start rigs whose sockets are in a folder of the test's own, so that leftovers show; ends them all."""
    sockets = Path("/tmp") / f"t{os.getpid()}-{abs(hash(str(tmp_path))) % 10**6}"
    sockets.mkdir()
    out = tmp_path / "study"
    monkeypatch.setenv("TMPDIR", str(sockets))
    monkeypatch.setenv("MYOLOOP_TEST", str(out))
    started = []

    def start(*arguments: str, protocol: Path | str = DRILL) -> RigProcess:
        started.append(RigProcess(out, *arguments, protocol=protocol))
        return started[-1]

    yield start
    for rig in started:
        rig.end()
    shutil.rmtree(sockets)

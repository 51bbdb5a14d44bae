"""Baselines and peers, each a handful of processes that run one round after another and are gone at the end."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from myoloop.experiments.benchmarks.statistics import Round, judge_round
from myoloop.experiments.benchmarks.yardstick.work import Shape
from myoloop.platform.errors import UserError

YARDSTICK = Path(__file__).with_name("yardstick")
ROLES = ("source", "processor", "sink")
READY_S = 30.0
#: Between the order and the first block.
LEAD_NS = 100_000_000
#: More than any stage waits after its last block.
PATIENCE_S = 8.0


class NotMeasured(UserError):
    """It cannot be measured on this machine; the text says why."""

    exit_code = 3


class Rival(Protocol):
    """A system that can be measured."""

    def start(self) -> None:
        """Bring it up.

        Raises
        ------
        NotMeasured
            If it cannot be brought up here.
        """
        ...

    def run(self, warm_s: float, seconds: float) -> Round:
        """Run one round.

        Raises
        ------
        NotMeasured
            If it fails.
        """
        ...

    def close(self) -> None:
        """End everything that was started; may be called twice."""
        ...


@dataclass(slots=True)
class Interpreter:
    """How stages are started: with which Python, and from which package.

    Attributes
    ----------
    package
        Where the yardstick is for that Python.
    path
        Folder to look for it in; empty where it is installed.
    """

    python: str = sys.executable
    package: str = "myoloop.experiments.benchmarks.yardstick"
    path: str = ""

    def command(self, module: str, *arguments: str) -> list[str]:
        """Command line of a module of the yardstick."""
        return [self.python, "-P", "-m", f"{self.package}.{module}", *arguments]

    def guarded(self, command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
        """Start a command that starts processes of its own; closing its standard input ends all of them."""
        with (folder / "log").open("wb") as log:
            return subprocess.Popen(
                self.command("guard", *command),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                start_new_session=True,
                cwd=folder,
            )

    def environment(self, **more: str) -> dict[str, str]:
        """Its environment: one thread for linear algebra, as for our own nodes."""
        env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **more}
        if self.path:
            env["PYTHONPATH"] = self.path
        return env


@dataclass(slots=True)
class Chain:
    """Source, processor and sink over one kind of link.

    Attributes
    ----------
    kind
        Of the link, see :func:`yardstick.link.open_link`.
    settings
        What the link needs beside the folder of the run.
    matrix
        Filter by a matrix product.
    beside
        Starts, guarded, what must run beside the stages (a server); None where nothing must.
    """

    kind: str
    shape: Shape
    interpreter: Interpreter = field(default_factory=Interpreter)
    matrix: bool = False
    beside: Callable[[Interpreter, Path], subprocess.Popen[bytes]] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    _stages: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _server: subprocess.Popen[bytes] | None = None
    _folder: Path | None = None
    _segments: int = 0

    def start(self) -> None:
        """Start the three stages; each is ready before the next begins to look for it."""
        self._folder = Path(tempfile.mkdtemp(prefix="myb-"))
        settings: dict[str, Any] = {"shape": asdict(self.shape), "matrix": self.matrix}
        fds: list[int] = []
        try:
            if self.beside is not None:
                self._server = self.beside(self.interpreter, self._folder)
            if self.kind == "pipe":
                for what in ("samples", "commands"):
                    settings[f"{what}_receive"], settings[f"{what}_send"] = os.pipe()
                    fds += [settings[f"{what}_receive"], settings[f"{what}_send"]]
            settings |= {what: f"ipc://{self._folder / what}" for what in ("samples", "commands") if self.kind == "zmq"}
            settings |= {"prefix": f"yardstick-{os.getpid()}-", "socket": str(self._folder / "redis.sock")}
            for role in ROLES:
                self._stages[role] = self._stage(role, json.dumps(settings), fds)
            for role in ROLES:
                self._hear(role, "ready", READY_S)
        except BaseException:
            self.close()
            raise
        finally:
            for fd in fds:
                os.close(fd)

    def run(self, warm_s: float, seconds: float) -> Round:
        """Run one round over the stages as they stand."""
        if self._folder is None:
            raise NotMeasured("not started")
        warm, blocks = counts(self.shape, warm_s, seconds)
        start_ns = time.monotonic_ns() + LEAD_NS
        base = self._segments * 1_000_000
        self._segments += 1
        segment = {"start_ns": start_ns, "blocks": blocks, "warm": warm, "base": base, "folder": str(self._folder)}
        for stage in reversed(self._stages.values()):
            if stage.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    stage.stdin.write(json.dumps(segment).encode() + b"\n")
                    stage.stdin.flush()
        for role in ROLES:
            self._hear(role, "done", warm_s + seconds + PATIENCE_S)
        return read_notes(self._folder, self.shape, warm)

    def close(self) -> None:
        """Close the stages' standard input, which ends them; kill what does not end."""
        for stage in self._stages.values():
            if stage.stdin is not None:
                with contextlib.suppress(OSError):
                    stage.stdin.close()
        for stage in self._stages.values():
            end_process(stage, 1.0)
            if stage.stdout is not None:
                stage.stdout.close()
        self._stages.clear()
        if self._server is not None:
            end_guarded(self._server)
            self._server = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _stage(self, role: str, settings: str, fds: Sequence[int]) -> subprocess.Popen[bytes]:
        if self._folder is None:
            raise NotMeasured("not started")
        with (self._folder / f"{role}.log").open("wb") as log:
            return subprocess.Popen(
                self.interpreter.command("stage", role, self.kind, settings),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=fds,
                env=self.interpreter.environment(**self.environment),
                start_new_session=True,
            )

    def _hear(self, role: str, word: str, patience_s: float) -> None:
        """Wait for a stage to say a word."""
        stage = self._stages[role]
        stdout = stage.stdout
        if stdout is None or not select.select([stdout], [], [], patience_s)[0]:
            raise NotMeasured(f"{self.kind}: the {role} was not {word} within {patience_s:g} s")
        line = stdout.readline()
        if not line or json.loads(line).get(word) != role:
            raise NotMeasured(f"{self.kind}: {self._last_words(role) or f'the {role} ended'}")

    def _last_words(self, role: str) -> str:
        if self._folder is None:
            return ""
        lines = (self._folder / f"{role}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


@dataclass(slots=True)
class CompiledPipe:
    """The same over plain pipes in C."""

    shape: Shape
    _folder: Path | None = None

    def start(self) -> None:
        """Compile it."""
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise NotMeasured("there is no C compiler (gcc) here")
        source = YARDSTICK / "pipe.c"
        if not source.exists():
            raise NotMeasured("pipe.c was not installed with the package")
        self._folder = Path(tempfile.mkdtemp(prefix="myb-"))
        done = subprocess.run(
            [compiler, "-O2", "-o", str(self._folder / "pipe"), str(source), "-lm"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            words = done.stderr.strip().splitlines()
            self.close()
            raise NotMeasured(f"pipe.c does not compile: {words[0] if words else done.returncode}")

    def run(self, warm_s: float, seconds: float) -> Round:
        """Run one round."""
        from scipy.signal import butter

        if self._folder is None:
            raise NotMeasured("not compiled")
        warm, blocks = counts(self.shape, warm_s, seconds)
        sos = butter(4, (20.0, 450.0), btype="bandpass", fs=self.shape.rate_hz, output="sos")
        out = self._folder / "stamps"
        numbers: list[object] = [time.monotonic_ns() + LEAD_NS, self.shape.period_ns, blocks, warm]
        numbers += [self.shape.channels, self.shape.block, len(sos), out]
        numbers += [repr(float(value)) for value in sos[:, [0, 1, 2, 4, 5]].ravel()]
        patience_s = warm_s + seconds + PATIENCE_S
        try:
            done = subprocess.run([str(self._folder / "pipe"), *map(str, numbers)], timeout=patience_s, check=False)
        except subprocess.TimeoutExpired:
            raise NotMeasured(f"pipe.c did not end within {patience_s:g} s") from None
        if done.returncode:
            raise NotMeasured(f"pipe.c ended with {done.returncode}")
        data = out.read_bytes()
        stamps = np.frombuffer(data, dtype=np.int64, count=2 * blocks).reshape(blocks, 2)[warm:]
        cpu_s = float(np.frombuffer(data, dtype=np.float64, offset=16 * blocks).sum())
        return judge_round(stamps[:, 0], stamps[:, 1], period_ns=self.shape.period_ns, cpu_s=cpu_s)

    def close(self) -> None:
        """Remove what was compiled."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


@dataclass(slots=True)
class Whole:
    """A peer with a runtime of its own: one command runs source, processor and sink for one round.

    Attributes
    ----------
    module
        Of the yardstick, given a JSON plan; it writes the notes of source and sink into the plan's folder.
    start_s
        How long its runtime takes until everything is connected.
    """

    module: str
    shape: Shape
    interpreter: Interpreter
    start_s: float = 4.0

    def start(self) -> None:
        """Nothing: each round is a start of its own."""

    def run(self, warm_s: float, seconds: float) -> Round:
        """Run one round."""
        warm, blocks = counts(self.shape, warm_s, seconds)
        with tempfile.TemporaryDirectory(prefix="myb-") as name:
            folder = Path(name)
            plan = {"shape": asdict(self.shape), "blocks": blocks, "warm": warm, "folder": name}
            plan |= {"base": 0, "start_ns": time.monotonic_ns() + round(self.start_s * 1e9)}
            command = self.interpreter.command(self.module, json.dumps(plan))
            process = self.interpreter.guarded(command, folder)
            try:
                deadline = time.monotonic() + self.start_s + warm_s + seconds + PATIENCE_S
                wanted = [folder / f"{role}.npz" for role in ROLES]
                while time.monotonic() < deadline and not all(path.exists() for path in wanted):
                    if process.poll() is not None:
                        break
                    time.sleep(0.2)
            finally:
                end_guarded(process)
            if not all(path.exists() for path in wanted):
                lines = (folder / "log").read_text(errors="replace").strip().splitlines()
                raise NotMeasured(f"{self.module}: {lines[-1][:200] if lines else 'nothing arrived'}")
            return read_notes(folder, self.shape, warm)

    def close(self) -> None:
        """Nothing is left of a round."""


class Closing:
    """Closes rivals at the end of a with block, whatever happens in it."""

    def __init__(self, rivals: Sequence[Rival]) -> None:
        self._rivals = rivals

    def __enter__(self) -> Closing:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for rival in self._rivals:
            rival.close()


def counts(shape: Shape, warm_s: float, seconds: float) -> tuple[int, int]:
    """How many blocks are warm-up, and how many there are in all."""
    warm = round(warm_s * 1e9 / shape.period_ns)
    return warm, warm + round(seconds * 1e9 / shape.period_ns)


def read_notes(folder: Path, shape: Shape, warm: int) -> Round:
    """Judge what the stages wrote down.

    Raises
    ------
    NotMeasured
        If nothing arrived.
    """
    notes: dict[str, Any] = {}
    for role in ROLES:
        path = folder / f"{role}.npz"
        with np.load(path) as found:
            notes[role] = {name: found[name] for name in found.files}
        path.unlink()
    try:
        return judge_round(
            notes["source"]["t_ns"][warm:],
            notes["sink"]["t_ns"][warm:],
            period_ns=shape.period_ns,
            cpu_s=float(sum(notes[role]["cpu_s"] for role in ROLES)),
            out_of_order=int(notes["sink"]["out_of_order"]),
        )
    except ValueError as error:
        raise NotMeasured(str(error)) from None


def end_process(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Wait for a process of ours to end, kill it if it does not."""
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_guarded(process: subprocess.Popen[bytes]) -> None:
    """End a guarded command with everything it has started."""
    if process.stdin is not None:
        process.stdin.close()
    end_process(process, 5.0)

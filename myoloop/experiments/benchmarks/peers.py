"""Peers: other people's platforms and transports, each installed into a throw-away environment if it can be.

Nothing of it touches the environment that myoloop runs in, and all of it is removed at the end.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from myoloop.experiments.benchmarks.rivals import (
    YARDSTICK,
    Chain,
    Interpreter,
    NotMeasured,
    Rival,
    Whole,
    end_guarded,
)
from myoloop.experiments.benchmarks.yardstick.work import Shape

INSTALL_S = 420.0
REDIS_S = 5.0
#: LSL looks for streams on this machine only. (Its outlets listen on every address; it has no setting against that.)
LSL_SETTINGS = "[multicast]\nResolveScope = machine\n[ports]\nIPv6 = disable\n[log]\nlevel = -2\n"


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer: what pip installs for it, and how its rival is made once that is there.

    Attributes
    ----------
    make
        None where nobody has written the yardstick for it: then it is only tried to install.
    """

    name: str
    packages: tuple[str, ...]
    make: Callable[[Shape, Interpreter], Rival] | None


def _lsl(shape: Shape, interpreter: Interpreter) -> Rival:
    settings = Path(interpreter.path) / "lsl_api.cfg"
    settings.write_text(LSL_SETTINGS, encoding="ascii")
    return Chain("lsl", shape, interpreter, environment={"LSLAPICFG": str(settings)})


def _redis(shape: Shape, interpreter: Interpreter) -> Rival:
    if shutil.which("redis-server") is None:
        raise NotMeasured("there is no redis-server here")
    return Chain("redis", shape, interpreter, beside=start_redis)


def _ezmsg(shape: Shape, interpreter: Interpreter) -> Rival:
    return Whole("ezmsg_units", shape, interpreter)


def _timeflux(shape: Shape, interpreter: Interpreter) -> Rival:
    return Whole("timeflux_nodes", shape, interpreter, start_s=8.0)


PEERS = (
    Peer("lsl", ("pylsl",), _lsl),
    Peer("redis", ("redis",), _redis),
    Peer("ezmsg", ("ezmsg",), _ezmsg),
    Peer("timeflux", ("timeflux",), _timeflux),
    Peer("improv", ("improv",), None),
    Peer("labgraph", ("labgraph",), None),
)


@contextlib.contextmanager
def installed(shape: Shape, say: Callable[[str], None]) -> Iterator[tuple[dict[str, Rival], dict[str, str]]]:
    """Install every peer that can be, give rivals by name and, for the others, why not; remove all of it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="myb-"))
    rivals: dict[str, Rival] = {}
    reasons: dict[str, str] = {}
    try:
        for peer in PEERS:
            say(f"installing {peer.name}")
            try:
                rivals[peer.name] = _install(peer, shape, folder / peer.name)
            except NotMeasured as why:
                reasons[peer.name] = str(why)
        yield rivals, reasons
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start_redis(interpreter: Interpreter, folder: Path) -> subprocess.Popen[bytes]:
    """Start a Redis server on a unix socket in a folder, keeping nothing on disk.

    Raises
    ------
    NotMeasured
        If it does not come up.
    """
    socket = folder / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
    process = interpreter.guarded([*command, "--dir", str(folder)], folder)
    deadline = time.monotonic() + REDIS_S
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            end_guarded(process)
            raise NotMeasured("redis-server does not come up")
        time.sleep(0.05)
    return process


def _install(peer: Peer, shape: Shape, folder: Path) -> Rival:
    """Make an environment with the peer in it, and a copy of the yardstick beside it."""
    python = folder / "bin" / "python"
    _do([sys.executable, "-m", "venv", str(folder)], "no environment can be made")
    _do([str(python), "-m", "pip", "install", "--quiet", "numpy", "scipy", *peer.packages], "pip cannot install it")
    if peer.make is None:
        raise NotMeasured("it can be installed here, but nobody has written the yardstick for it")
    copy = folder / "copy"
    shutil.copytree(YARDSTICK, copy / "yardstick", ignore=shutil.ignore_patterns("__pycache__"))
    return peer.make(shape, Interpreter(str(python), "yardstick", str(copy)))


def _do(command: list[str], otherwise: str) -> None:
    """Run a command of the installation, within its time.

    Raises
    ------
    NotMeasured
        If it fails; its last word that says why is in the text.
    """
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    env.pop("PYTHONPATH", None)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False, env=env)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotMeasured(f"{otherwise}: {type(error).__name__}") from None
    if done.returncode:
        raise NotMeasured(f"{otherwise}: {_reason(done.stderr)}")


def _reason(said: str) -> str:
    """The line of pip's output that says what went wrong."""
    lines = [line.strip(" │╰─>×") for line in said.splitlines() if line.strip(" │╰─>×")]
    named = [line for line in lines if re.match(r"\w+(Error|Exception): ", line)]
    plain = [line for line in lines if line.startswith(("ERROR:", "error:"))]
    return (named or plain or lines or ["no word"])[0].removeprefix("ERROR: ")[:160]

"""One drill: bring a session up, let the train flow, let one thing fail, and read what the device's ledger says."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML

from myoloop.experiments.drills.devices import Device, drill_rig
from myoloop.experiments.drills.faults import Drill
from myoloop.experiments.drills.findings import Finding, LedgerPulse, judge
from myoloop.experiments.drills.rig import UP, Up
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.platform.bus import send_stop
from myoloop.platform.errors import UserError
from myoloop.platform.messages import DeviceReport, StimReport
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.reader import Recording
from myoloop.platform.runtime import RuntimeFolder

PROTOCOL = Path(__file__).parent / "drill.yaml"
#: The fault comes when the last so many pulses had at least this current.
LEAST_MA, LEAST_PULSES = 10.0, 10
UP_WITHIN_S = 60.0
#: For so long beyond the limit the session is left to itself.
LEFT_ALONE_S = 0.75
END_WITHIN_S = 15.0
#: Between a fault that shows only at a stop, and the stop.
THEN_STOP_S = 0.2
_LOOK_S = 0.01


class DrillError(UserError):
    """The session of a drill did not come as far as its fault."""

    exit_code = 3


class DrillSession:
    """A session in processes of its own.

    Parameters
    ----------
    folder
        A new folder for everything of it.
    """

    def __init__(self, device: Device, drill: Drill, folder: Path) -> None:
        self.device, self.drill = device, drill
        folder.mkdir(parents=True)
        self._stop_port = _free_port()
        data = drill_rig(load_protocol(PROTOCOL), device, self._stop_port)
        with (folder / "rig.yaml").open("w", encoding="utf-8") as file:
            YAML().dump(data, file)
        self._errors = folder / "stderr.txt"
        self._up_file = folder / UP
        self._keys, terminal = pty.openpty()
        command = [sys.executable, "-P", "-m", "myoloop.experiments.drills.rig", str(PROTOCOL)]
        command += [str(folder / "rig.yaml"), str(folder / "study"), device.name, drill.name]
        try:
            with self._errors.open("wb") as errors:
                self._process = subprocess.Popen(
                    command, stdin=terminal, stdout=errors, stderr=errors, start_new_session=True
                )
        finally:
            os.close(terminal)
        self._up: Up | None = None

    @property
    def up(self) -> Up:
        """Who is who.

        Raises
        ------
        DrillError
            If the session has not come so far.
        """
        if self._up is None:
            raise DrillError(f"{self.drill.name}: the session has not come up")
        return self._up

    def come_up(self) -> None:
        """Wait until the train flows.

        Raises
        ------
        DrillError
            If it does not.
        """
        self._wait(self._up_file.exists, "come up", UP_WITHIN_S)
        self._up = msgspec.json.decode(self._up_file.read_bytes(), type=Up)

        def flows() -> bool:
            recent = self.pulses()[-LEAST_PULSES:]
            return len(recent) == LEAST_PULSES and all(pulse.current_ma >= LEAST_MA for pulse in recent)

        self._wait(flows, f"give {LEAST_MA:g} mA", UP_WITHIN_S)

    def strike(self) -> int:
        """Let it fail; monotonic time just before, in ns."""
        drill = self.drill
        if drill.how in ("kill", "freeze", "inject"):
            number = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "inject": signal.SIGUSR1}[drill.how]
            pid = self._process.pid if drill.part == "supervisor" else self.up.pids[drill.part]
            struck_ns = time.monotonic_ns()
            os.kill(pid, number)
            if drill.then_stop:
                time.sleep(THEN_STOP_S)
                struck_ns = self._send_stop()
            return struck_ns
        if drill.how == "stop socket":
            return self._send_stop()
        struck_ns = time.monotonic_ns()
        if drill.how == "key":
            os.write(self._keys, drill.keys.encode())
        else:
            request = urllib.request.Request(f"http://127.0.0.1:{self._stop_port}/", data=b"", method="POST")
            with urllib.request.urlopen(request, timeout=5.0):  # noqa: S310
                pass
        return struck_ns

    def leave_alone(self, until_ns: int) -> None:
        """Let it do what it does by itself until then, or until it has ended."""
        while time.monotonic_ns() < until_ns and (self._process.poll() is None or self._nodes()):
            time.sleep(_LOOK_S)

    def end(self) -> None:
        """End what is left: as a person would, then by force; may be called twice."""
        if self._process.poll() is None:
            for number in (signal.SIGCONT, signal.SIGINT):
                self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_WITHIN_S if self.drill.name != "hang-supervisor" else LEFT_ALONE_S)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        # Without their supervisor they end by themselves.
        deadline = time.monotonic() + END_WITHIN_S
        while self._nodes() and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        for pid in self._nodes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.close(self._keys)

    def pulses(self) -> list[LedgerPulse]:
        """What the device has given, from its emulator's own ledger."""
        path = Path(self.up.folder) / "body-ledger.jsonl"
        if not path.exists():
            return []
        whole = path.read_bytes().rpartition(b"\n")[0]
        return [msgspec.json.decode(line, type=LedgerPulse) for line in whole.splitlines()]

    def envelope(self) -> dict[str, Any]:
        """What the gate was held to."""
        found: dict[str, Any] = json.loads((Path(self.up.folder) / "envelope.json").read_text(encoding="utf-8"))
        return found

    def told(self, since_ns: int) -> str:
        """Why current ended, as the recording says: the gate's first verdict without current, then what it latched.

        Where the gate did not live to say it, how the session ended.
        """
        first = latched = complaint = ended = outcome = ""
        with contextlib.suppress(RecordingError):
            recording = Recording.open(self.up.folder, check=False)
            ended, outcome = recording.reason, recording.outcome
            for recorded in recording.messages({"report", "device"}):
                message = recorded.received.message
                if recorded.log_time_ns < since_ns:
                    continue
                if isinstance(message, DeviceReport):
                    complaint = complaint or "; ".join(message.faults)
                elif isinstance(message, StimReport) and not message.allowed:
                    latched = latched or message.latched
                    first = first or _verdict(message)
        if self.drill.expects == "told":
            # That there was a stop is known; what counts is what is said of the device, at the latest by the ending.
            return complaint or (ended if outcome == "fault" else "")
        why = list(dict.fromkeys(filter(None, (first, latched))))
        return "; then ".join(why) or ended or self._last_line()

    def _last_line(self) -> str:
        lines = (Path(self.up.folder) / "log.jsonl").read_text(encoding="utf-8").splitlines()
        return str(json.loads(lines[-1])["text"]) if lines else ""

    # -- inside ------------------------------------------------------------------------------------------------

    def _send_stop(self) -> int:
        struck_ns = time.monotonic_ns()
        send_stop(RuntimeFolder(Path(self.up.runtime)), "stimulator", "drill", "stop socket")
        return struck_ns

    def _nodes(self) -> list[int]:
        """Processes of its nodes that live."""
        if self._up is None:
            return []
        return [pid for pid in self._up.pids.values() if self._up.runtime.encode() in _command_line(pid)]

    def _wait(self, done: Callable[[], bool], what: str, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not done():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
                said += [self._last_line()] if self._up is not None else []
                raise DrillError(f"{self.device.name} {self.drill.name}: did not {what}: {' '.join(said)}")
            time.sleep(_LOOK_S)


def run_drill(device: Device, drill: Drill, folder: Path) -> Finding:
    """Do it.

    Parameters
    ----------
    folder
        Where the session goes; must not exist.
    """
    with _session(device, drill, folder) as session:
        try:
            session.come_up()
        except DrillError as error:
            return Finding.broken(device, drill, str(error))
        struck_ns = session.strike()
        session.leave_alone(struck_ns + round((250.0 + device.bound_ms) * 1e6) + round(LEFT_ALONE_S * 1e9))
        watched_ns = time.monotonic_ns()
        session.end()
        return judge(
            device, drill, session.pulses(), session.envelope(), session.told(struck_ns), struck_ns, watched_ns
        )


@contextmanager
def _session(device: Device, drill: Drill, folder: Path) -> Iterator[DrillSession]:
    session = DrillSession(device, drill, folder)
    try:
        yield session
    finally:
        session.end()


def _verdict(report: StimReport) -> str:
    """Why nothing was allowed, where that is not the latch."""
    if report.rule in ("", "latched"):
        return ""
    reasons = "; ".join(report.reasons).removeprefix(f"{report.rule}: ")
    return f"{report.rule}: {reasons}"


def remove(folder: Path) -> None:
    """Remove a drill's folder."""
    shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""

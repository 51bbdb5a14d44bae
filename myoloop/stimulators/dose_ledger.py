"""The person's dose ledger on disk: read before arming, appended while current flows, one session at a time.

Whoever gives current holds the file locked from before it is read until the last line is on the disk; the lock goes
with the process, however that ends. A disk may take its time: lines are written and synced by a thread beside, so
that the gate never waits for it.

Of a blinded session a line says in the open what an active arm would have had, and sealed what was really given. The
open numbers are never less: whoever reckons with them gives later too little rather than too much.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from myoloop.platform.node import NodeFault
from myoloop.platform.recording.folder import sync_folder
from myoloop.platform.sealed import SealedError
from myoloop.stimulators import gate
from myoloop.stimulators.sealing import SealedDose

if sys.platform != "win32":
    import fcntl

LEDGER_FILE = "dose.jsonl"
#: Field of a line that holds what a blinded session has really given.
SEALED = "sealed"
LEDGER_NS = 1_000_000_000
#: A line that has not reached the disk for so long is as good as lost.
LEDGER_LATE_NS = 10_000_000_000
#: Why a ledger cannot be had.
HELD = "held by another session of this person that is running; end that one first"


class Ledger:
    """The dose ledger of a person while a session of theirs runs; made by :meth:`open`.

    Attributes
    ----------
    prior
        What it held when it was opened; of blinded sessions what an active arm would have had.
    seal
        Closes what this session has really given, where it is blinded.
    """

    def __init__(
        self,
        path: Path,
        descriptor: int,
        subject: str,
        session: str,
        prior: gate.PriorDose,
        seal: SealedDose | None = None,
    ) -> None:
        self._path = path
        self._descriptor = descriptor
        self._subject, self._session = subject, session
        self.prior = prior
        self._seal = seal
        self._kept_ns = 0
        self._booked: gate.DoseTotals | None = prior.session
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._lines: deque[tuple[int, Future[None]]] = deque()

    @classmethod
    def open(cls, path: Path | str, subject: str, session: str, seal: SealedDose | None = None) -> Ledger:
        """Lock it, and read what this session and others have given.

        Parameters
        ----------
        path
            ``dose.jsonl`` in the person's folder; made if it is not there.
        session
            Which session of the person, the same for all attempts at it.
        seal
            Of a blinded session: closes what was really given.

        Raises
        ------
        NodeFault
            If another session of the person holds it, or it is unreadable or another person's: then nobody is armed.
        """
        file = Path(path)
        try:
            descriptor = _hold(file)
        except BlockingIOError:
            raise NodeFault(f"dose ledger {file}: {HELD}") from None
        except OSError as error:
            raise NodeFault(f"dose ledger {file}: {error.strerror}") from None
        try:
            return cls(file, descriptor, subject, session, read_prior(file, subject, session), seal)
        except BaseException:
            os.close(descriptor)
            raise

    @contextmanager
    def let_go_if_refused(self) -> Iterator[None]:
        """Let go of the file where what follows its opening cannot be done."""
        try:
            yield
        except BaseException:
            self.close(gate.DoseTotals(), 0)
            raise

    def keep(
        self, dose: gate.DoseTotals, now_ns: int, *, force: bool = False, real: gate.DoseTotals | None = None
    ) -> None:
        """Book a session's totals, once a second or when forced, if there is anything new.

        Parameters
        ----------
        dose
            What is booked in the open.
        real
            Of a blinded session, what was really given.

        Raises
        ------
        NodeFault
            If an earlier line could not be written or synced, or has been under way for too long.
        """
        while self._lines and self._lines[0][1].done():
            self._check(self._lines.popleft()[1])
        if self._lines and now_ns - self._lines[0][0] > LEDGER_LATE_NS:
            raise NodeFault(
                f"dose ledger {self._path}: a line has not reached the disk for {LEDGER_LATE_NS // 10**9} s"
            )
        if force or now_ns - self._kept_ns >= LEDGER_NS:
            self._book(dose, now_ns, real)

    def close(self, dose: gate.DoseTotals, now_ns: int, real: gate.DoseTotals | None = None) -> None:
        """Book what is left, wait until everything is on the disk, and let go of the file; may be called twice.

        Raises
        ------
        NodeFault
            If it cannot be written or synced.
        """
        if self._descriptor < 0:
            return
        try:
            try:
                self._settle()
            finally:
                # Totals so far: they hold what a lost line held.
                self._book(dose, now_ns, real)
                self._settle()
        finally:
            self._writing.shutdown()
            os.close(self._descriptor)
            self._descriptor = -1

    # -- inside ------------------------------------------------------------------------------------------------

    def _book(self, dose: gate.DoseTotals, now_ns: int, real: gate.DoseTotals | None) -> None:
        if dose in (self._booked, gate.DoseTotals()):
            return
        wall_ns = time.time_ns()
        text = gate.ledger_line(self._subject, self._session, wall_ns, dose)
        if self._seal is not None:
            closed = self._seal.close(wall_ns, dose if real is None else real)
            text = json.dumps({**json.loads(text), SEALED: closed}, sort_keys=True, allow_nan=False) + "\n"
        line = text.encode()
        self._lines.append((now_ns, self._writing.submit(self._append, line)))
        self._kept_ns, self._booked = now_ns, dose

    def _append(self, line: bytes) -> None:
        """Write a line and sync it, in the thread."""
        held, found = os.fstat(self._descriptor), self._path.stat()
        if (held.st_dev, held.st_ino) != (found.st_dev, found.st_ino):
            raise OSError(errno.ESTALE, "another file has taken its place")
        if os.write(self._descriptor, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._descriptor)

    def _settle(self) -> None:
        while self._lines:
            self._check(self._lines.popleft()[1])

    def _check(self, line: Future[None]) -> None:
        try:
            line.result()
        except OSError as error:
            self._booked = None
            raise NodeFault(f"dose ledger {self._path}: cannot be written: {error.strerror}") from None


def read_prior(path: Path, subject: str, session: str) -> gate.PriorDose:
    """What this session and others have given until now, without holding the ledger.

    Raises
    ------
    NodeFault
        If the ledger is unreadable or another person's.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return gate.read_ledger(text, subject, session, time.time_ns())
    except (OSError, UnicodeDecodeError, gate.LedgerError) as error:
        raise NodeFault(f"dose ledger {path}: {error}") from None


def read_real(path: Path, subject: str, session: str, seal: SealedDose) -> gate.DoseTotals:
    """What attempts at one session have really given until now; what is not sealed is what it says.

    Raises
    ------
    NodeFault
        If the ledger is unreadable, or what is sealed in it does not open.
    """
    read_prior(path, subject, session)
    totals = gate.DoseTotals()
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for entry in map(json.loads, lines):
            if entry["session"] != session:
                continue
            if SEALED in entry:
                found = seal.open(entry["wall_ns"], entry[SEALED])
            else:
                found = gate.DoseTotals(entry["charge_mc"], entry["on_s"], entry["pulses"])
            # As for what is open: totals only grow.
            totals = gate.DoseTotals(
                max(totals.charge_mc, found.charge_mc),
                max(totals.on_s, found.on_s),
                max(totals.pulses, found.pulses),
            )
    except (OSError, SealedError) as error:
        raise NodeFault(f"dose ledger {path}: {error}") from None
    return totals


def is_held(path: Path) -> bool:
    """Whether a running session holds a ledger; never where the system has no such locks."""
    if sys.platform == "win32":
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        # Shared: two who look at once do not take one another for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _hold(path: Path) -> int:
    new = not path.exists()
    binary: int = getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | binary, 0o666)
    try:
        if sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if new:
            # Its name must outlast a power cut, too.
            sync_folder(path.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor

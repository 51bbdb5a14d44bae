"""Run an emulator on this host's clock until it is told to end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Any

from myoloop.platform.clock import Clock, MonotonicClock
from myoloop.stimulators.emulators.fault_words import read_fault
from myoloop.stimulators.emulators.ledger import Pulse, ledger_line
from myoloop.stimulators.emulators.lines import make_line
from myoloop.stimulators.emulators.registry import emulator_kind
from myoloop.stimulators.emulators.running import RunningEmulator

#: Between two turns; with the turn itself less than 1 ms.
_PAUSE_S = 0.0005


def emulate(
    name: str,
    address: str,
    on_here: Callable[[str, str], None],
    *,
    ledger: Path | None = None,
    faults: Iterable[str] = (),
    length_s: float | None = None,
    on_pulse: Callable[[Pulse], None] | None = None,
    clock: Clock | None = None,
) -> dict[str, Any]:
    """Be a device for `length_s`, or until Ctrl-C or a signal to terminate.

    Parameters
    ----------
    name
        Of an emulator of :mod:`~myoloop.stimulators.emulators.registry`.
    address
        As :func:`~myoloop.stimulators.emulators.lines.make_line` reads it.
    on_here
        Told, when a host can connect, at which port, and what the driver calls that setting; again when the port has
        come back under another name.
    ledger
        File to which each delivered pulse is added, without a buffer.
    faults
        In words, as :mod:`~myoloop.stimulators.emulators.fault_words` reads them.
    on_pulse
        Told of each delivered pulse.

    Returns
    -------
    dict
        What was delivered, by output.

    Raises
    ------
    EmulatorError, EndpointError
        If there is no such emulator, fault or line.
    OSError
        If the ledger cannot be written.
    """
    clock = clock or MonotonicClock()
    kind = emulator_kind(name)
    start_ns = clock.now_ns()
    device = kind.make(start_ns)
    asked = [read_fault(text, device.faults) for text in faults]
    line = make_line(address)
    written = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if ledger is not None else None

    def keep(pulses: list[Pulse]) -> None:
        if written is not None:
            os.write(written, b"".join(ledger_line(pulse) for pulse in pulses))
        if on_pulse is not None:
            for pulse in pulses:
                on_pulse(pulse)

    running = RunningEmulator(device, line, start_ns, resets_on_open=kind.resets_on_open, faults=asked, on_pulses=keep)
    ends_ns = None if length_s is None else start_ns + round(length_s * 1e9)
    port = ""
    try:
        line.listen()
        with _asked_to_end() as asked_to_end:
            while not asked_to_end.is_set() and (ends_ns is None or clock.now_ns() < ends_ns):
                if line.port != port and line.port:
                    # Also when it has come back as another terminal.
                    port = line.port
                    on_here(port.replace("socket://", "tcp:") if kind.setting == "address" else port, kind.setting)
                running.turn(clock.now_ns())
                time.sleep(_PAUSE_S)
        running.turn(clock.now_ns())
    finally:
        line.close()
        if written is not None:
            os.close(written)
    return running.summary()


@contextmanager
def _asked_to_end() -> Iterator[Event]:
    """An event that Ctrl-C and a signal to terminate set: they end no turn half way, so the ledger has every pulse."""
    asked = Event()
    signals = (signal.SIGINT, signal.SIGTERM) if current_thread() is main_thread() else ()
    before = [signal.signal(each, lambda number, frame: asked.set()) for each in signals]
    try:
        yield asked
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)

"""The body on two lines: an amplifier to read and a stimulator to command, as hardware would be.

The server never waits: whoever runs it calls :meth:`BodyServer.serve` every few milliseconds. The body lives in
blocks that end at absolute times, so that a late call shortens nothing; after a stall it catches up a few blocks
per call.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from myoloop.acquisition.simulated import encode_block, encode_descriptors, encode_end
from myoloop.experiments.subjects.body import VirtualBody
from myoloop.platform import endpoint
from myoloop.platform.clock import Clock
from myoloop.platform.messages import Event, Phase
from myoloop.platform.steps import Outgoing
from myoloop.stimulators.emulators.ledger import Pulse, ledger_line
from myoloop.stimulators.emulators.lines import SocketLine, make_line

#: Two blocks take less than 1 ms to live through.
_BLOCKS_PER_CALL = 2
#: About a second of eight channels: what a frozen reader may be behind before whole blocks are dropped.
_BACKLOG_BYTES = 1 << 16


class BodyServer:
    """A virtual body behind two lines.

    One source and one driver may be attached at a time; another is turned away, until the first has gone.

    Parameters
    ----------
    source_address
        ``unix:PATH`` or ``tcp:HOST:PORT``.
    device_address
        The same, or ``pty`` or ``pty:LINK`` for a pseudo terminal.
    ledger_path
        File that gets one JSON line per delivered pulse (``t_ns``, ``output``, ``current_ma``, ``width_us``), written
        without a buffer; None for no file.
    resets_on_open
        The device restarts when a driver opens its port.
    clock
        Read when something has come, so that nothing is heard before it was said however long this process stood
        still in between; None takes the time of the call.
    """

    def __init__(
        self,
        body: VirtualBody,
        source_address: str,
        device_address: str,
        ledger_path: Path | str | None = None,
        *,
        resets_on_open: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.body = body
        self.dropped_blocks = 0
        self._source = SocketLine(source_address)
        self._device = make_line(device_address)
        self._ledger_path = ledger_path
        self._resets_on_open = resets_on_open
        self._clock = clock
        self._ledger: int | None = None

    def open(self) -> None:
        """Begin to listen.

        Raises
        ------
        myoloop.platform.endpoint.EndpointError
            If an address cannot be listened at.
        OSError
            If the ledger cannot be written.
        """
        if self._ledger_path is not None:
            self._ledger = os.open(self._ledger_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._source.listen()
            self._device.listen()
        except endpoint.EndpointError:
            self.close()
            raise

    def serve(self, now_ns: int) -> tuple[list[Event], list[Outgoing]]:
        """Do what is due by `now_ns`, without waiting.

        Returns
        -------
        events
            The person's answers, for ``event``.
        truths
            On ``truth/<what>``.
        """
        commands = self._device.receive()
        heard_ns = now_ns if self._clock is None else max(now_ns, self._clock.now_ns())
        if self._device.accept() and self._resets_on_open:
            self.body.device.restart(heard_ns)
        if commands and not self.body.device.faults.vanished:
            self.body.feed(commands, heard_ns)
        lived = self.body.step_to(now_ns, _BLOCKS_PER_CALL)
        self.keep(lived.pulses)
        if self.body.device.faults.vanished:
            self._device.vanish()
        else:
            with contextlib.suppress(endpoint.EndpointError):  # its place is taken: once more at the next call
                self._device.listen()
            self._device.send(self.body.take(heard_ns))
        self._source.receive()
        if self._source.accept():
            self._source.send(encode_descriptors(self.body.descriptors))
        self._send_blocks()
        return lived.events, lived.truths

    def see(self, phase: Phase, now_ns: int | None = None) -> None:
        """What the screen shows; from `now_ns` on, or from the time the body has reached."""
        self.body.see(phase, self.body.now_ns if now_ns is None else now_ns)

    def keep(self, pulses: list[Pulse]) -> None:
        """Write pulses that were delivered into the ledger, if there is one; :meth:`serve` does so by itself."""
        if self._ledger is not None and pulses:
            os.write(self._ledger, b"".join(ledger_line(pulse) for pulse in pulses))

    def close(self) -> None:
        """End the samples, hang up, remove the sockets; may be called twice."""
        self._source.send(encode_end("the virtual subject has left"))
        self._source.close()
        self._device.close()
        if self._ledger is not None:
            os.close(self._ledger)
            self._ledger = None

    def _send_blocks(self) -> None:
        descriptors = self.body.descriptors
        self._source.send(b"")
        for block in self.body.take_blocks():
            if not self._source.attached:
                continue
            if self._source.backlog > _BACKLOG_BYTES:
                self.dropped_blocks += 1
                continue
            stream = next(i for i, one in enumerate(descriptors) if one.topic == block.topic)
            self._source.send(encode_block(stream, descriptors[stream], block))

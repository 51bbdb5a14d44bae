"""The stop node: a process that can do one thing. Standard library alone.

It turns any POST on a loopback port, and any byte from a pedal (a serial line or a HID device's file), into a datagram
on the stimulator's stop socket. It needs no login, no ZeroMQ and no other node, so that a blocked console stops nothing
from stopping. Run as ``python -P -m myoloop.stimulators.stop SOCKET [--port N] [--pedal PATH]``; it says ``ready`` and
its port once port and pedal are open, and ends when its standard input does. A page may post from any address: whoever
can reach this host may stop, and reads in the answer that a stop was sent.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: Of what is posted, so much is read and thrown away.
BODY_MAX_BYTES = 1 << 16
#: A page is served from another port than this one; its browser asks whether it may post and read the answer.
TO_ANY_PAGE = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "*",
}


def send(path: str, who: str, why: str) -> None:
    """Send a stop to the stimulator's stop socket.

    Raises
    ------
    OSError
        If the stimulator is not there.
    """
    data = json.dumps({"who": who, "why": why}).encode()
    # A socket that takes no more is full of stops.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made, contextlib.suppress(BlockingIOError):
        made.setblocking(False)
        made.sendto(data, path)


class StopServer(ThreadingHTTPServer):
    """Listens on loopback only.

    Parameters
    ----------
    path
        The stimulator's stop socket.
    port
        0 takes a free one.
    """

    daemon_threads = True
    # Else nothing could listen here for a minute after the last answer. (On Windows it would let two listen.)
    allow_reuse_address = os.name == "posix"

    def __init__(self, path: str, port: int) -> None:
        self.path = path
        super().__init__(("127.0.0.1", port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: StopServer
    #: Seconds that a client may be silent.
    timeout = 5.0

    def do_POST(self) -> None:
        """Whatever is posted, wherever to, stops."""
        try:
            send(self.server.path, "stop node", "POST")
            answer: tuple[int, dict[str, object]] = (200, {"sent": True})
        except OSError as error:
            answer = (503, {"sent": False, "reason": error.strerror or str(error)})
        self._forget_body()
        self._say(*answer)

    def do_GET(self) -> None:
        """Say that it is there."""
        self._say(200, {"stop": "POST here"})

    def do_OPTIONS(self) -> None:
        """Let a page post here, whatever it asks."""
        self._say(200, {"stop": "POST here"})

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent; the stimulator records every stop."""

    def _forget_body(self) -> None:
        """Take in what was posted: closing on unread bytes would take the answer with it."""
        length = self.headers.get("Content-Length", "")
        if length.isascii() and length.isdigit():
            with contextlib.suppress(OSError):
                self.rfile.read(min(int(length), BODY_MAX_BYTES))

    def _say(self, status: int, what: dict[str, object]) -> None:
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in TO_ANY_PAGE.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def open_pedal(pedal: str) -> int:
    """Open a pedal's device file; a serial line is set to give each byte as it comes.

    Raises
    ------
    OSError
        If there is no such device.
    """
    # Not to wait for a carrier that a pedal does not send.
    descriptor = os.open(pedal, os.O_RDONLY | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_NONBLOCK", 0))
    if os.isatty(descriptor):
        import termios
        import tty

        tty.setraw(descriptor)
        settings = termios.tcgetattr(descriptor)
        settings[2] |= termios.CLOCAL
        termios.tcsetattr(descriptor, termios.TCSANOW, settings)
    os.set_blocking(descriptor, True)
    return descriptor


def watch_pedal(path: str, descriptor: int) -> None:
    """Turn every report of a pedal into a stop, until it is unplugged; unplugging is a stop as well."""
    with contextlib.suppress(OSError):
        while os.read(descriptor, 64):
            # A stimulator that is not there now may be there at the next press.
            with contextlib.suppress(OSError):
                send(path, "pedal", "pressed")
    with contextlib.suppress(OSError):
        send(path, "pedal", "lost")


def main(arguments: list[str] | None = None) -> int:
    """Run until standard input ends; 2 if port or pedal cannot be had."""
    parser = argparse.ArgumentParser(description="turn a POST on loopback or a pedal into a stop")
    parser.add_argument("socket", help="the stimulator's stop socket")
    parser.add_argument("--port", type=int, help="loopback port on which any POST stops; 0 takes a free one")
    parser.add_argument("--pedal", help="device file of which any byte stops")
    given = parser.parse_args(arguments)
    what = at = ""
    try:
        if given.port is not None:
            what = f"port {given.port}"
            server = StopServer(given.socket, given.port)
            at = f" {server.server_address[1]}"
            threading.Thread(target=server.serve_forever, daemon=True).start()
        if given.pedal is not None:
            what = f"pedal {given.pedal}"
            descriptor = open_pedal(given.pedal)
            threading.Thread(target=watch_pedal, args=(given.socket, descriptor), daemon=True).start()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        print(f"stop node: {what}: {reason.lower()}", file=sys.stderr)  # noqa: T201
        return 2
    print(f"ready{at}", flush=True)  # noqa: T201
    while os.read(sys.stdin.fileno(), 1):
        continue
    return 0


if __name__ == "__main__":
    sys.exit(main())

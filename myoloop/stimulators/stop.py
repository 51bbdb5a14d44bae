"""The stop node: a process that can do one thing. Standard library alone.

It turns any POST on a loopback port, and any byte from a pedal (a serial line or a HID device's file), into a datagram
on the stimulator's stop socket. It needs no login, no ZeroMQ and no other node, so that a blocked console stops nothing
from stopping. Run as ``python -P -m myoloop.stimulators.stop SOCKET [--port N] [--pedal PATH]``; it ends when its
standard input does.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def send(path: str, who: str, why: str) -> None:
    """Send a stop to the stimulator's stop socket.

    Raises
    ------
    OSError
        If the stimulator is not there.
    """
    data = json.dumps({"who": who, "why": why}).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
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
    allow_reuse_address = False

    def __init__(self, path: str, port: int) -> None:
        self.path = path
        super().__init__(("127.0.0.1", port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: StopServer

    def do_POST(self) -> None:
        """Whatever is posted, wherever to, stops."""
        try:
            send(self.server.path, "stop node", "POST")
        except OSError as error:
            self._say(503, {"sent": False, "reason": error.strerror or str(error)})
        else:
            self._say(200, {"sent": True})

    def do_GET(self) -> None:
        """Say that it is there."""
        self._say(200, {"stop": "POST here"})

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent; the stimulator records every stop."""

    def _say(self, status: int, what: dict[str, object]) -> None:
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def watch_pedal(path: str, pedal: str) -> None:
    """Turn every report of a pedal into a stop, until it is unplugged; unplugging is a stop as well."""
    try:
        descriptor = os.open(pedal, os.O_RDONLY | getattr(os, "O_NOCTTY", 0))
        while os.read(descriptor, 64):
            send(path, "pedal", "pressed")
    except OSError as error:
        print(f"pedal {pedal}: {error.strerror}", file=sys.stderr, flush=True)  # noqa: T201
    try:
        send(path, "pedal", "lost")
    except OSError:
        return


def main(arguments: list[str] | None = None) -> int:
    """Run until standard input ends."""
    parser = argparse.ArgumentParser(description="turn a POST on loopback or a pedal into a stop")
    parser.add_argument("socket", help="the stimulator's stop socket")
    parser.add_argument("--port", type=int, help="loopback port on which any POST stops")
    parser.add_argument("--pedal", help="device file of which any byte stops")
    given = parser.parse_args(arguments)
    if given.port is not None:
        try:
            server = StopServer(given.socket, given.port)
        except OSError as error:
            print(f"stop node: port {given.port}: {error.strerror}", file=sys.stderr)  # noqa: T201
            return 2
        threading.Thread(target=server.serve_forever, daemon=True).start()
    if given.pedal is not None:
        threading.Thread(target=watch_pedal, args=(given.socket, given.pedal), daemon=True).start()
    while os.read(sys.stdin.fileno(), 1):
        continue
    return 0


if __name__ == "__main__":
    sys.exit(main())

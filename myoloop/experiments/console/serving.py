"""Serve the console on loopback until it is ended."""

from __future__ import annotations

import logging
import logging.handlers
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from myoloop.experiments.console.app import make_app
from myoloop.experiments.console.jobs import JOBS_FOLDER
from myoloop.experiments.console.page import Settings
from myoloop.experiments.console.security import Role, Tokens, log
from myoloop.platform.errors import UserError

#: Always the same, so that a page that is still open finds the console again when it is reopened.
PORT = 8723
LOG_FILE = "console.log"
_LOG_MAX_BYTES = 1_000_000
_LOG_KEPT = 2
#: What one message of a page may have before the socket is closed without a look at it; the feed allows less.
_MESSAGE_MAX_BYTES = 64 * 1024
_END_S = 1
_NAME_MAX = 64
#: Whoever acts under a name; the person is named by pseudonym alone.
STAFF_AND_SUPERVISOR = tuple(role for role in Role if role is not Role.SUBJECT)


class ConsoleError(UserError):
    """The console cannot be served; one line for the operator."""


def listen_on(port: int) -> socket.socket:
    """Bind the console's port on loopback; 0 is any free one.

    Raises
    ------
    ConsoleError
        If it is taken.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
        # Also while nobody listens yet the port would be free to another.
        bound.listen(64)
    except OSError as error:
        bound.close()
        reason = (error.strerror or str(error)).lower()
        raise ConsoleError(f"--port {port}: {reason}; is another console open? allowed is another port, or 0") from None
    return bound


def serve(
    study: Path,
    *,
    port: int = PORT,
    rig: Path | None = None,
    key: Path | None = None,
    identity: Path | None = None,
    who: str = "",
    names: Sequence[str] = (),
    on_start: Callable[[Settings], None],
) -> None:
    """Serve until Ctrl-C.

    Parameters
    ----------
    names
        Who has a role's address, such as ``clinician=C. Roth``.
    on_start
        Called once pages are served.

    Raises
    ------
    ConsoleError
        If there is no such study or file, or the port is taken.
    """
    if not study.is_dir():
        raise ConsoleError(f"{study}: no such folder; allowed is the folder of a study")
    with listen_on(port) as bound:
        settings = Settings(
            study=study.resolve(),
            rig=_there(rig, "--rig"),
            key=_there(key, "--key"),
            identity=_there(identity, "--identity"),
            port=bound.getsockname()[1],
            tokens=Tokens(),
            temporary=Path(tempfile.gettempdir()),
            who=who,
            names=named(names),
        )
        _log_to(settings.study / JOBS_FOLDER)
        try:
            _Server(_config(settings), lambda: on_start(settings)).run(sockets=[bound])
        except KeyboardInterrupt:
            # The server has ended already, and hands on what ended it.
            return


def named(names: Sequence[str]) -> dict[Role, str]:
    """Who has which role's address, for the record.

    Raises
    ------
    ConsoleError
        If it is no ``ROLE=NAME``, or one role has two.
    """
    found: dict[Role, str] = {}
    for each in names:
        role, _, name = (part.strip() for part in each.partition("="))
        if role not in STAFF_AND_SUPERVISOR or not name or len(name) > _NAME_MAX or not name.isprintable():
            allowed = ", ".join(STAFF_AND_SUPERVISOR)
            raise ConsoleError(f"--who {each[:80]!r}: allowed is ROLE=NAME, ROLE one of {allowed}")
        if Role(role) in found:
            raise ConsoleError(f"--who {each[:80]!r}: {role} has a name already; allowed is one")
        found[Role(role)] = name
    return found


def _there(file: Path | None, option: str) -> Path | None:
    if file is not None and not file.is_file():
        raise ConsoleError(f"{option} {file}: no such file")
    return file.resolve() if file is not None else None


def _config(settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        make_app(settings),
        ws="websockets-sansio",
        ws_max_size=_MESSAGE_MAX_BYTES,
        # On loopback it only costs; and the size of what is compressed tells something of what it says.
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        # Whoever stands between says nothing that is believed: there is nobody between on loopback.
        proxy_headers=False,
        timeout_graceful_shutdown=_END_S,
    )


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._on_start()


def _log_to(folder: Path) -> None:
    """Keep what was refused, one line each."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = logging.handlers.RotatingFileHandler(
        folder / LOG_FILE, maxBytes=_LOG_MAX_BYTES, backupCount=_LOG_KEPT, encoding="utf-8"
    )
    lines = logging.Formatter("%(asctime)sZ %(message)s", "%Y-%m-%dT%H:%M:%S")
    lines.converter = time.gmtime
    kept.setFormatter(lines)
    log.addHandler(kept)
    log.setLevel(logging.INFO)
    log.propagate = False

"""Redis streams over a unix socket: XADD, and XREAD that blocks."""

from __future__ import annotations

import redis

from .link import ByteLink
from .work import Shape

#: Entries that a stream keeps.
KEPT = 1000


class RedisLink(ByteLink):
    """One stream."""

    def __init__(self, shape: Shape, socket: str, what: str, end: str) -> None:
        super().__init__(shape)
        self._client = redis.Redis(unix_socket_path=socket)
        self._client.ping()
        self._stream = what
        self._last: bytes | str = "0-0"
        self._waiting: list[tuple[bytes, dict[bytes, bytes]]] = []

    def send(self, data: bytes) -> None:
        """Append."""
        self._client.xadd(self._stream, {"d": data}, maxlen=KEPT, approximate=True)

    def receive(self, wait_s: float, size: int) -> bytes | None:
        """The next entry."""
        if not self._waiting:
            answer = self._client.xread({self._stream: self._last}, block=max(1, round(wait_s * 1e3)))
            if not answer:
                return None
            entries = answer[0][1] if isinstance(answer, list) else next(iter(answer.values()))[0]
            self._waiting = list(entries)
            self._last = self._waiting[-1][0]
        return self._waiting.pop(0)[1][b"d"]

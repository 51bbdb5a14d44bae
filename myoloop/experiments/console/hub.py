"""What one view's pages are handed: each its own short queue, filled by one thread and emptied by the server's loop.

The work of a frame is done once, for all pages. A page that is slow loses old frames, not new ones, and is told how
many; nobody waits for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Final

#: Frames that a page may be behind, a second of them; more and the oldest go.
QUEUE: Final = 30
#: Frames that a page which is opened, or opened again, is given at once: half a minute to scroll back in.
RECENT: Final = 900


class Page:
    """One open page.

    Made by :meth:`Hub.open` in the server's event loop.
    """

    def __init__(self, screen: str) -> None:
        self.screen = screen
        #: Frames that this page could not take.
        self.dropped = 0
        self._loop = asyncio.get_running_loop()
        self._filled = asyncio.Event()
        self._lock = threading.Lock()
        self._texts: deque[bytes] = deque(maxlen=QUEUE)
        self._state: bytes | None = None
        self._frames: deque[bytes] = deque()
        self._told_dropped = 0

    async def take(self) -> list[str | bytes]:
        """What is to be sent now, in order; waits until there is anything. A text is a message of its own."""
        await self._filled.wait()
        self._filled.clear()
        with self._lock:
            said: list[str | bytes] = [text.decode() for text in self._texts]
            self._texts.clear()
            if self._state is not None:
                said.append(self._state.decode())
                self._state = None
            if self.dropped != self._told_dropped:
                self._told_dropped = self.dropped
                said.append(f'{{"kind":"dropped","frames":{self.dropped}}}')
            # Frames may stand one after the other in a message.
            frames = b"".join(self._frames)
            self._frames.clear()
        if frames:
            said.append(frames)
        return said

    # -- called by the thread that fills -------------------------------------------------------------------------

    def say(self, text: bytes) -> None:
        """Hand over something that is not to be lost."""
        with self._lock:
            self._texts.append(text)

    def offer(self, state: bytes | None, frame: bytes) -> None:
        """Hand over the newest state, which takes the place of one that waits, and a frame."""
        with self._lock:
            self._state = state if state is not None else self._state
            if frame:
                self._frames.append(frame)
                if len(self._frames) > QUEUE:
                    self._frames.popleft()
                    self.dropped += 1

    def begin(self, frames: bytes) -> None:
        """Forget what waits; these frames come first."""
        with self._lock:
            self._frames.clear()
            self._state = None
            if frames:
                self._frames.append(frames)

    def wake(self) -> bool:
        """Let the server send; False if its loop has ended."""
        try:
            self._loop.call_soon_threadsafe(self._filled.set)
        except RuntimeError:
            return False
        return True


class Hub:
    """All open pages of one screen."""

    def __init__(self, screen: str) -> None:
        self.screen = screen
        self._lock = threading.Lock()
        self._pages: list[Page] = []
        self._recent: deque[bytes] = deque(maxlen=RECENT)
        self._layout = b""
        self._state = b""

    def __len__(self) -> int:
        return len(self._pages)

    @property
    def state(self) -> bytes:
        """The newest state, as JSON; empty before the first."""
        return self._state

    def open(self) -> Page:
        """Open a page: it gets layout, state and the last half minute, then what is new."""
        page = Page(self.screen)
        with self._lock:
            if self._layout:
                page.say(self._layout)
            page.begin(b"".join(self._recent))
            page.offer(self._state or None, b"")
            self._pages.append(page)
        page.wake()
        return page

    def close(self, page: Page) -> None:
        """The page is gone."""
        with self._lock:
            if page in self._pages:
                self._pages.remove(page)

    def begin(self, layout: bytes) -> None:
        """Another session, or none: nothing of the one before is kept."""
        with self._lock:
            self._layout, self._state = layout, b""
            self._recent.clear()
            for page in self._pages:
                page.begin(b"")
                page.say(layout)

    def offer(self, state: bytes | None, frame: bytes) -> None:
        """Hand out a state, a frame, or both."""
        with self._lock:
            self._state = state if state is not None else self._state
            if frame:
                self._recent.append(frame)
            for page in self._pages:
                page.offer(state, frame)
            self._pages = [page for page in self._pages if page.wake()]

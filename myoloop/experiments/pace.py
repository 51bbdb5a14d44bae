"""The pace of a replay: as fast as it goes, or so many times as fast as the session went.

Objects are replayed one after another, each at that pace. What they decide does not depend on it.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress as RichProgress
from rich.progress import TaskID

from myoloop.experiments.replay import Builder
from myoloop.platform.errors import UserError
from myoloop.platform.messages import Start
from myoloop.platform.recording.reader import Recording
from myoloop.platform.steps import Outgoing, StepInput, Stepped

FRAME_S = 0.1

#: Told of each step: the object, and the recorded time since its first step, in s.
OnStep = Callable[[str, float], None]


class BadSpeed(UserError):
    """A speed that is none."""


def parse_speed(text: str) -> float | None:
    """Read ``max`` (None), ``real`` (1) or a factor on real time such as ``4``.

    Raises
    ------
    BadSpeed
        If it is none of them.
    """
    if text in ("max", "real"):
        return None if text == "max" else 1.0
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not (math.isfinite(factor) and factor > 0):
        raise BadSpeed(f"--speed: found {text!r}, allowed are max, real or how many times as fast, such as 4")
    return factor


def paced(
    builders: Mapping[str, Builder],
    speed: float | None,
    on_step: OnStep | None = None,
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Builder]:
    """Builders whose objects wait before each step until its time has come.

    Parameters
    ----------
    speed
        How many times as fast as recorded; None waits for nothing.
    now, sleep
        The clock, in s, and how it is waited for.
    """

    def wrapped(builder: Builder) -> Builder:
        def build(start: Start) -> Stepped:
            return _Paced(builder(start), speed, on_step, now, sleep)

        return build

    return {kind: wrapped(builder) for kind, builder in builders.items()}


class ReplayProgress:
    """How far a replay has come, drawn where somebody looks.

    Parameters
    ----------
    session
        The recording.
    quiet
        Draw nothing.
    """

    def __init__(self, session: Path | str, *, quiet: bool = False) -> None:
        self._session = session
        self._quiet = quiet or not sys.stderr.isatty()
        self._bar: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._length_s = 0.0
        self._drawn_s = 0.0

    @contextmanager
    def shown(self) -> Iterator[ReplayProgress]:
        """Draw while it lasts."""
        if self._quiet:
            yield self
            return
        recording = Recording.open(self._session)
        self._length_s = ((recording.last_ns or 0) - (recording.first_ns or 0)) * 1e-9
        with RichProgress(console=Console(stderr=True), transient=True) as self._bar:
            yield self

    def step(self, name: str, passed_s: float) -> None:
        """Take note of a step, and draw if it is time."""
        now_s = time.monotonic()
        if self._bar is None or now_s - self._drawn_s < FRAME_S:
            return
        self._drawn_s = now_s
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(name, total=self._length_s)
        self._bar.update(self._tasks[name], completed=passed_s)


class _Paced:
    """An object that takes each step when its time has come."""

    def __init__(
        self,
        stepped: Stepped,
        speed: float | None,
        on_step: OnStep | None,
        now: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._stepped = stepped
        self._speed = speed
        self._on_step = on_step
        self._now = now
        self._sleep = sleep
        self._began: tuple[int, float] | None = None

    @property
    def name(self) -> str:
        """As the object's."""
        return self._stepped.name

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """As the object's."""
        return self._stepped.subscriptions

    def state(self) -> dict[str, Any]:
        """As the object's."""
        return self._stepped.state()

    def step(self, given: StepInput) -> list[Outgoing]:
        """Wait, then step."""
        if self._began is None:
            self._began = (given.now_ns, self._now())
        first_ns, began_s = self._began
        passed_s = (given.now_ns - first_ns) * 1e-9
        if self._speed is not None:
            wait_s = began_s + passed_s / self._speed - self._now()
            if wait_s > 0:
                self._sleep(wait_s)
        if self._on_step is not None:
            self._on_step(self.name, passed_s)
        return self._stepped.step(given)

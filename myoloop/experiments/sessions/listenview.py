"""The live view of a recording without stimulation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from myoloop.experiments.sessions.keyboard import STOP_KEYS
from myoloop.experiments.sessions.listen import Heard
from myoloop.experiments.sessions.terminal import pressed, single_keys
from myoloop.experiments.sessions.view import FRAME_S


class ListenView:
    """Levels and health of every channel; space or s ends.

    Parameters
    ----------
    quiet
        Draw nothing (a machine reads the output).
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live: Live | None = None
        self._drawn = 0.0
        self._keys = False

    @contextmanager
    def shown(self) -> Iterator[ListenView]:
        """Draw while it lasts."""
        if self._quiet:
            yield self
            return
        console = Console()
        with single_keys() as self._keys, Live(console=console, auto_refresh=False) as self._live:
            yield self
        if not console.is_terminal:
            console.print()

    def turn(self, heard: Heard) -> str:
        """Draw if it is time; a reason to end if a stop key was pressed."""
        if self._keys and pressed() & STOP_KEYS:
            return "ended by the operator"
        now = time.monotonic()
        if self._live is not None and now - self._drawn >= FRAME_S:
            self._drawn = now
            self._live.update(self.draw(heard), refresh=True)
        return ""

    def draw(self, heard: Heard) -> Group:
        """One frame."""
        table = Table("stream", "channel", "r.m.s.", "valid", "flags", "rate (Hz)")
        for topic, descriptor in heard.descriptors.items():
            vital = heard.vital.get(topic)
            level = heard.level.get(topic, [])
            for i, channel in enumerate(descriptor.channels):
                shown = f"{level[i]:.3g} {descriptor.units[i]}" if i < len(level) else "-"
                share = f"{vital.valid_share[i]:.0%}" if vital is not None else "-"
                rate = f"{vital.rate_hz:.1f}" if vital is not None and vital.rate_hz is not None else "-"
                table.add_row(topic, channel, shown, share, vital.flags[i] if vital is not None else "", rate)
        written = f"{heard.bytes_written / 1e6:.2f} MB written, {heard.missing:g} messages missing"
        return Group(table, Text(written), Text("space or s ends" if self._keys else "Ctrl-C ends", style="dim"))

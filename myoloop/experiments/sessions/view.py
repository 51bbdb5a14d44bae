"""The live view in a terminal: where the session is, what is asked and delivered, and a key for every act."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import Progress as RichProgress
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from myoloop.experiments.sessions.keyboard import Keyboard
from myoloop.experiments.sessions.live import Seen
from myoloop.experiments.sessions.setup import SessionSetup
from myoloop.experiments.sessions.terminal import named, single_keys, typed
from myoloop.platform.messages import Measure, MuscleEstimate, Phase

#: Frames a second: enough for an eye, little for a processor that also stimulates.
FRAME_S = 0.25


class LiveView:
    """What the operator sees; also listens for the operator's keys.

    Parameters
    ----------
    setup
        The session, for its caps and names.
    console
        Where it is drawn.
    quiet
        Draw nothing (a machine reads the output).
    keyboard
        What the keys do; only where standard input is a terminal.
    """

    def __init__(
        self,
        setup: SessionSetup,
        console: Console | None = None,
        *,
        quiet: bool = False,
        keyboard: Keyboard | None = None,
    ) -> None:
        self._quiet = quiet
        self._keyboard = keyboard or Keyboard(serves=False)
        self._caps = {limits.channel: limits.current_max_ma for limits in setup.plan.envelope.channels}
        self._title = f"{setup.protocol.protocol.title} · {setup.session} · {setup.rig.rig.rig_class}"
        self._console = console or Console()
        self._live: Live | None = None
        self._drawn = 0.0
        self._keys = False

    @contextmanager
    def shown(self) -> Iterator[LiveView]:
        """Draw while the session lasts; a terminal's keys are read one by one meanwhile."""
        if self._quiet:
            yield self
            return
        with (
            single_keys() as self._keys,
            Live(console=self._console, auto_refresh=False, transient=False) as self._live,
        ):
            yield self
        if not self._console.is_terminal:
            # Into a file or a pipe only the last frame goes, without the end of its line.
            self._console.print()

    @property
    def keys(self) -> bool:
        """Whether anybody can press one."""
        return self._keys

    def turn(self, seen: Seen) -> str:
        """Take the keys, draw if it is time; a reason to stop if a stop key was pressed."""
        if self._keys:
            stop = self._keyboard.feed(named(typed()), seen.phase)
            if stop is not None:
                return stop.why
        now = time.monotonic()
        if self._live is not None and now - self._drawn >= FRAME_S:
            self._drawn = now
            self._live.update(self.draw(seen), refresh=True)
        return ""

    def draw(self, seen: Seen) -> Panel:
        """One frame."""
        parts = [self._phase(seen), self._muscles(seen), self._currents(seen), self._gate(seen), self._nodes(seen)]
        if seen.device:
            parts.append(Text(f"device: {seen.device}", style="dim"))
        hint = Text(self._keyboard.line) if self._keys else "Ctrl-C stops"
        return Panel(Group(*parts), title=self._title, subtitle=hint, border_style=_border(seen))

    def _phase(self, seen: Seen) -> Any:
        phase = seen.phase
        if phase is None:
            return Text("bringing the rig up …")
        words = [phase.name or "-", phase.state, phase.waiting_for and f"waits for {phase.waiting_for}"]
        if phase.trials:
            words.append(f"trial {phase.trial}/{phase.trials}: {phase.trial_state.replace('_', ' ')}")
        words.append(f"{phase.seconds_left:.0f} s left")
        line = Text("  ".join(word for word in words if word), style="bold")
        return Group(line, Text(phase.prompt, style="italic"))

    def _muscles(self, seen: Seen) -> Any:
        table = Table("muscle", "EMG (uV r.m.s.)", "fatigue", "spasm", "effort", expand=True)
        for muscle in seen.estimate.muscles if seen.estimate is not None else ():
            level = "-" if muscle.level_uv is None else f"{muscle.level_uv:.0f}"
            spasm = (
                Text(f"SPASM {muscle.spasm_kind}".rstrip(), style="bold reverse")
                if muscle.spasm.valid and muscle.spasm.value
                else _measure(muscle.spasm)
            )
            table.add_row(muscle.muscle, level, _fatigue(muscle), spasm, _measure(muscle.effort))
        return table

    def _currents(self, seen: Seen) -> Any:
        table = Table("channel", "asked", "allowed", "delivered", "cap", "", expand=True)
        report = seen.report
        if report is None:
            return table
        rows = [
            {s.channel: s.current_ma for s in group}
            for group in (report.requested, report.allowed, report.acknowledged)
        ]
        for channel, cap_ma in self._caps.items():
            asked, allowed, delivered = (row.get(channel, 0.0) for row in rows)
            bar = ProgressBar(total=cap_ma, completed=min(delivered, cap_ma), width=24)
            cells = [f"{value:.1f} mA" for value in (asked, allowed, delivered, cap_ma)]
            table.add_row(channel, *cells, bar)
        return table

    def _gate(self, seen: Seen) -> Any:
        report = seen.report
        if report is None:
            return Text("gate: not heard yet")
        reason = report.latched or "; ".join(report.reasons)
        style = "bold reverse" if report.latched else ""
        return Text(f"gate {report.state}  {report.rule}  {reason}".rstrip(), style=style)

    def _nodes(self, seen: Seen) -> Any:
        cells = []
        for name, beat in sorted(seen.beats.items()):
            written = beat.counters.get("bytes_written")
            extra = f" {written / 1e6:.1f} MB" if written is not None else ""
            cells.append(f"{name} {beat.cycle_mean_ms:.1f}/{beat.cycle_worst_ms:.0f} ms{extra}")
        return Text("cycle mean/worst: " + "   ".join(cells), style="dim")


class Progress:
    """How far a session in lockstep has come.

    Parameters
    ----------
    quiet
        Draw nothing.
    """

    def __init__(self, setup: SessionSetup, *, quiet: bool = False) -> None:
        self._phases = len(setup.plan.phases)
        self._quiet = quiet
        self._bar: RichProgress | None = None
        self._drawn = 0.0

    @contextmanager
    def shown(self) -> Iterator[Progress]:
        """Draw while it lasts."""
        if self._quiet:
            yield self
            return
        with RichProgress(transient=True) as self._bar:
            self._task = self._bar.add_task("session", total=1.0)
            yield self

    def tick(self, phase: Phase | None) -> None:
        """Draw if it is time."""
        now = time.monotonic()
        if self._bar is None or phase is None or now - self._drawn < FRAME_S:
            return
        self._drawn = now
        done = (phase.index + (phase.trial / phase.trials if phase.trials else 0.0)) / max(1, self._phases)
        words = f"{phase.name or phase.state} {phase.session_s:.0f} s"
        self._bar.update(self._task, completed=min(done, 1.0), description=words)


def _measure(measure: Measure) -> Any:
    if not measure.valid or measure.value is None:
        return Text(f"- ({measure.reason})" if measure.reason else "-", style="dim")
    interval = (
        f" [{measure.low:.2f}, {measure.high:.2f}]" if measure.low is not None and measure.high is not None else ""
    )
    return f"{measure.value:.2f}{interval}"


def _fatigue(muscle: MuscleEstimate) -> Any:
    """The fused index, and what each source says alone."""
    terms = (
        ("EMG", muscle.fatigue_emg), ("M-wave", muscle.fatigue_mwave), ("movement", muscle.fatigue_mechanical),
    )  # fmt: skip
    known = [f"{name} {term.value:.2f}" for name, term in terms if term.valid and term.value is not None]
    told = _measure(muscle.fatigue)
    return f"{told} ({', '.join(known)})" if known and isinstance(told, str) else told


def _border(seen: Seen) -> str:
    if seen.report is not None and seen.report.latched:
        return "red"
    return "yellow" if seen.report is not None and seen.report.allowed else "green"

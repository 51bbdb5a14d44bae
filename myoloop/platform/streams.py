"""The one table: every stream, its message, its rate, when it counts as dead, who may publish it.

Sockets, liveness, the recorder, ``myoloop top`` and the documentation derive from it. A topic is the stream's name,
or ``<name>/<instance>`` where the table says what the instance is. Topics match exactly, never by prefix.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from myoloop.platform import messages as m

Road = Literal["publish", "command", "stop", "file"]
Role = Literal["acquisition", "controller", "stimulator", "director", "recorder", "supervisor", "operator", "subject"]

ROLES: tuple[Role, ...] = (
    "acquisition", "controller", "stimulator", "director", "recorder", "supervisor", "operator", "subject",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stream:
    """One row of the table.

    Attributes
    ----------
    name
        First part of the topic.
    instance
        What stands after the slash (``source``, ``object``, ``what``), or None where the name is the whole topic.
    message
        The struct it carries.
    publishers
        Roles that may publish it.
    rate_hz
        Expected rate; None where it happens once in a while.
    dead_after_ms
        Silence after which it is not alive; None where silence means nothing.
    recorded
        Whether the recorder keeps it.
    road
        ``publish`` (PUB/SUB, bound by the publisher), ``command`` and ``stop`` (bound by the receiver), ``file``
        (made by the recorder itself).
    says
        One line for the documentation.
    urgent
        Of what a node says in one turn, this goes out first: somebody waits for it.
    """

    name: str
    instance: str | None
    message: type[m.Message]
    publishers: frozenset[Role]
    rate_hz: float | None
    dead_after_ms: int | None
    recorded: bool
    road: Road
    says: str
    urgent: bool = False


def _row(
    name: str,
    message: type[m.Message],
    publishers: str,
    says: str,
    *,
    rate_hz: float | None = None,
    dead_after_ms: int | None = None,
    recorded: bool = True,
    road: Road = "publish",
    urgent: bool = False,
) -> Stream:
    plain, _, instance = name.partition("/")
    named: dict[str, Role] = {role: role for role in ROLES}
    roles = frozenset(ROLES) if publishers == "any" else frozenset(named[role] for role in publishers.split())
    return Stream(plain, instance or None, message, roles, rate_hz, dead_after_ms, recorded, road, says, urgent)


STREAMS: tuple[Stream, ...] = (
    _row("emg/source", m.Samples, "acquisition", "a block of EMG samples in the source's own counts",
         rate_hz=100, dead_after_ms=100),
    _row("imu/source", m.Samples, "acquisition", "a block of accelerometer and gyroscope samples",
         rate_hz=100, dead_after_ms=100),
    _row("force/source", m.Samples, "acquisition", "a block of force or torque samples",
         rate_hz=100, dead_after_ms=100),
    _row("vital/source", m.Vital, "acquisition", "with each block, small: what the gate listens to",
         rate_hz=100, dead_after_ms=100),
    _row("start/object", m.Start, "controller stimulator director",
         "settings and state of an object before its first step"),
    _row("step/object", m.Step, "controller stimulator director",
         "one per step: time, everything consumed in order, what was not alive"),
    _row("overrun/object", m.Overrun, "controller", "a step that took too long; the object hears it with its next one"),
    _row("estimate", m.Estimate, "controller", "fatigue, spasm, effort, response per muscle, each with validity",
         rate_hz=100, dead_after_ms=150),
    _row("request", m.StimRequest, "controller", "current, width and rate per channel, good for its lease only",
         rate_hz=100, dead_after_ms=150, urgent=True),
    _row("shadow", m.Shadow, "controller", "what a learned policy that does not act would have asked for"),
    _row("report", m.StimReport, "stimulator", "requested, allowed, acknowledged, and the rule that limited",
         rate_hz=50, dead_after_ms=200),
    _row("device", m.DeviceReport, "stimulator", "what the device said: acknowledgements and faults"),
    _row("pulse", m.Pulses, "stimulator", "when current flowed, and how well that is known"),
    _row("sealed/what", m.Sealed, "stimulator", "what a blinded session really gave; opens with the study's key"),
    _row("phase", m.Phase, "director", "the whole state of the protocol", rate_hz=10, dead_after_ms=300),
    _row("trial", m.Trial, "director", "one row at the end of every trial"),
    _row("event", m.Event, "any", "stop, pain score, mark, fault, adverse event, operator act"),
    _row("gap", m.Gap, "any", "messages a subscriber never got"),
    _row("command", m.Command, "any", "an act addressed to one node", road="command"),
    _row("answer", m.Answer, "any", "the answer to a command", road="command"),
    _row("stop", m.Stop, "any", "zero, now; its own socket at the stimulator", road="stop"),
    _row("heartbeat/node", m.Heartbeat, "any", "every 40 ms from the loop itself", rate_hz=25, dead_after_ms=150),
    _row("clock", m.ClockSample, "any", "stamps of the host's clocks", rate_hz=1),
    _row("truth/what", m.Truth, "subject acquisition", "what the virtual subject knows of itself"),
    _row("chain", m.Chain, "recorder", "running hash over the file", road="file"),
)  # fmt: skip

_BY_NAME = {row.name: row for row in STREAMS}
_INSTANCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class UnknownStream(ValueError):
    """A topic that is not in the table."""


@lru_cache(maxsize=1024)
def stream_of(topic: str) -> Stream:
    """Find the row of a topic.

    Raises
    ------
    UnknownStream
        If the name is not in the table, or its instance is missing, superfluous or not a plain name.
    """
    name, slash, instance = topic.partition("/")
    row = _BY_NAME.get(name)
    if row is None:
        raise UnknownStream(f"no stream is called {name[:64]!r}")
    if (row.instance is None) == bool(slash) or (slash and not _INSTANCE.fullmatch(instance)):
        shape = row.name if row.instance is None else f"{row.name}/<{row.instance}>"
        raise UnknownStream(f"topic {topic[:96]!r} is not of the form {shape}")
    return row

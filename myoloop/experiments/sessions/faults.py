"""What is to go wrong on purpose in a live session: ``kill:controller@20s``, ``freeze:recorder@30s``, ``stop@10s``."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from myoloop.platform.errors import UserError

_SPEC = re.compile(r"(?:(kill|freeze):([a-z0-9][a-z0-9_-]*)|(stop))@(\d+(?:\.\d+)?)s")


class FaultError(UserError, ValueError):
    """A fault that cannot be read; the text says what is allowed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes
    ----------
    act
        ``kill`` (SIGKILL), ``freeze`` (SIGSTOP) or ``stop`` (an operator's stop).
    node
        Whose process; empty for a stop.
    at_s
        Protocol time at which it happens.
    """

    act: str
    node: str
    at_s: float


def parse_fault(text: str) -> Fault:
    """Read a fault.

    Raises
    ------
    FaultError
        If it is not one.
    """
    match = _SPEC.fullmatch(text)
    if match is None:
        raise FaultError(
            f"--fault: found {text!r}, allowed is kill:NODE@20s, freeze:NODE@20s or stop@20s, after how long you like"
        )
    return Fault(match[1] or match[3], match[2] or "", float(match[4]))


def check_faults(faults: Iterable[Fault], nodes: Collection[str]) -> None:
    """Refuse a fault that would strike nobody.

    Raises
    ------
    FaultError
        If there is no such node.
    """
    for fault in faults:
        if fault.node and fault.node not in nodes:
            raise FaultError(f"--fault: no node {fault.node!r}; the rig has {', '.join(sorted(nodes))}")


def strike(fault: Fault, pids: Mapping[str, int]) -> None:
    """Do it to a node's process, if it still lives.

    Parameters
    ----------
    pids
        Of the nodes that live.
    """
    if fault.node in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pids[fault.node], signal.SIGKILL if fault.act == "kill" else signal.SIGSTOP)

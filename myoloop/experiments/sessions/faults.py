"""What is to go wrong on purpose in a live session: ``kill:controller@20s``, ``freeze:recorder@30s``, ``stop@10s``."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from myoloop.experiments.sessions.script import FaultSpec
from myoloop.platform.errors import UserError

#: What a script may break in separate processes: the role whose process is struck, and how.
LIVE_FAULTS: dict[str, tuple[str, str]] = {
    "stream_stops": ("acquisition", "freeze"),
    "controller_late": ("controller", "freeze"),
    "controller_exception": ("controller", "kill"),
    "usb_unplug": ("subject", "kill"),
    "disk_full": ("recorder", "kill"),
    "disk_slow": ("recorder", "freeze"),
    "power_loss": ("supervisor", "kill"),
    "operator_absent": ("", ""),
}

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


class Struck:
    """Processes that a script has struck, and when those that were frozen go on.

    Parameters
    ----------
    roles
        Role of each node.
    """

    def __init__(self, roles: Mapping[str, str]) -> None:
        self._roles = dict(roles)
        self._frozen: list[tuple[int, int]] = []

    def strike(self, fault: FaultSpec, pids: Mapping[str, int], now_ns: int) -> None:
        """Let a script's fault happen to the processes of the role that it strikes."""
        role, act = LIVE_FAULTS[fault.kind]
        if role == "supervisor":
            # Everything goes at once, as the power does: the nodes first, then this process itself.
            for pid in [*pids.values(), os.getpid()]:
                os.kill(pid, signal.SIGKILL)
        for name, pid in pids.items():
            if self._roles.get(name) == role:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if act == "kill" else signal.SIGSTOP)
                if act == "freeze" and fault.for_s is not None:
                    self._frozen.append((now_ns + round(fault.for_s * 1e9), pid))

    def thaw(self, now_ns: int) -> None:
        """Let those go on whose time is over."""
        for due in [each for each in self._frozen if each[0] <= now_ns]:
            self._frozen.remove(due)
            with contextlib.suppress(ProcessLookupError):
                os.kill(due[1], signal.SIGCONT)

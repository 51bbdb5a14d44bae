"""What can fail in a drill, how it is made to fail, and what must follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from myoloop.experiments.drills.devices import DEVICES, Device, NoSuchDrill, device_of

#: ``kill`` and ``freeze`` strike a process with SIGKILL and SIGSTOP. ``inject`` tells it by SIGUSR1 to do what the
#: fault's name says (:mod:`myoloop.experiments.drills.injected`). The rest stop: a key, the stop node, the stop socket.
How = Literal["kill", "freeze", "inject", "key", "stop node", "stop socket"]
Expects = Literal["zero", "goes on", "either", "told"]

STRUCK = ("controller", "amplifier", "recorder", "director", "supervisor", "stimulator")


@dataclass(frozen=True, slots=True)
class Drill:
    """One fault.

    Attributes
    ----------
    says
        What happens, in words.
    part
        Whose process is struck; empty for stops.
    keys
        What is typed.
    breaks
        What breaks on the device, in its emulator's words.
    expects
        ``zero``: current ends within the limit. ``goes on``: it must not end. ``either``: both are right. ``told``:
        software cannot end it, and must say so. Under each of them no pulse may be over the envelope.
    then_stop
        The fault shows only at a stop, so one follows; the time is counted from that.
    """

    name: str
    group: str
    says: str
    how: How
    part: str = ""
    keys: str = ""
    breaks: str = ""
    expects: Expects = "zero"
    then_stop: bool = False

    def as_row(self) -> dict[str, str]:
        """For a list."""
        return {"fault": self.name, "group": self.group, "says": self.says, "expects": self.expects}


def _processes() -> Iterator[Drill]:
    for part in STRUCK:
        yield Drill(f"kill-{part}", "process", f"SIGKILL of the {part}", "kill", part)
        yield Drill(f"freeze-{part}", "process", f"SIGSTOP of the {part}", "freeze", part)
        yield Drill(f"hang-{part}", "process", f"the {part} loops without end", "inject", part)


_SAMPLES = {
    "samples-stale": ("no samples come any more", "zero"),
    "samples-repeated": ("the same block comes again and again", "zero"),
    "samples-railed": ("all samples at the upper rail", "zero"),
    "samples-flat": ("all samples the same", "zero"),
    "samples-half-rate": ("half as many samples as there should be", "zero"),
    "samples-double-rate": ("twice as many samples as there should be", "zero"),
    "samples-late": ("samples are stamped 1 s too early", "zero"),
    "samples-future": ("samples are stamped 1 s too late", "zero"),
}
_REQUESTS = {
    "request-nan": ("requests for NaN mA", "zero"),
    "request-negative": ("requests for less than nothing", "zero"),
    "request-over-width": ("requests for 5 ms wide pulses", "zero"),
    "request-over-current": ("requests for 1000 mA: held at the envelope", "goes on"),
    "request-unknown-channel": ("requests for a channel that the rig does not have", "zero"),
    "request-flood": ("each request comes ten times", "goes on"),
    "request-stops": ("no request comes, the lease lapses; the heart beats on", "zero"),
    "request-long-lease": ("requests with a lease of 10 s", "zero"),
    "request-old": ("requests that are 100 ms old", "zero"),
    "request-wrong-arm": ("requests with another arm id", "zero"),
}
_HEARTBEATS = {
    "heartbeat-ended": ("the controller's heart says that it has ended, and it works on", "zero"),
    "heartbeat-future": ("the controller's heart beats 1 s ahead", "zero"),
    "heartbeat-stops": ("the controller works on without a heartbeat", "zero"),
}
_CLOCKS = {
    "clock-forward": ("the stimulator's clock jumps 1 s ahead", "zero"),
    "clock-back": ("the stimulator's clock jumps 1 s back", "zero"),
    "clock-slept": ("boot time gains 5 s on monotonic time: the host has slept", "zero"),
}


def _injected() -> Iterator[Drill]:
    for group, part, table in (
        ("samples", "amplifier", _SAMPLES),
        ("request", "controller", _REQUESTS),
        ("heartbeat", "controller", _HEARTBEATS),
        ("clock", "stimulator", _CLOCKS),
    ):
        for name, (says, expects) in table.items():
            yield Drill(name, group, says, "inject", part, expects=_expects(expects))
    yield Drill("clock-controller", "clock", "the controller's clock jumps 1 s ahead", "inject", "controller")


_STOPS = (
    Drill("stop-key", "stop", "the stop key in the operator's terminal", "key", keys=" "),
    Drill("stop-node", "stop", "a POST to the stop node", "stop node"),
    Drill("stop-api", "stop", "a stop on the stop socket, as myoloop stop sends it", "stop socket"),
    Drill("stop-pain", "stop", "a pain score of 9, above the protocol's ceiling of 7", "key", keys="n9"),
)


def _of_device(device: Device) -> Iterator[Drill]:
    for words, expects in device.breaks.items():
        # What goes wrong with a stop shows only when there is one.
        of_stops = words == "stuck-on" or words.startswith("stop-")
        says = f"the device: {words}" + (", then a stop" if of_stops else "")
        yield Drill(
            f"device-{words}",
            "device",
            says,
            "inject",
            "body",
            breaks=words,
            expects=_expects(expects),
            then_stop=of_stops,
        )


def _expects(text: str) -> Expects:
    known: dict[str, Expects] = {"zero": "zero", "goes on": "goes on", "either": "either", "told": "told"}
    return known[text]


def drills_of(device: Device) -> list[Drill]:
    """All drills on a device."""
    return [*_processes(), *_injected(), *_STOPS, *_of_device(device)]


def chosen(devices: Sequence[str], faults: Sequence[str]) -> list[tuple[Device, Drill]]:
    """Drills by the names of devices and faults; none named means all.

    Raises
    ------
    NoSuchDrill
        If no chosen device has a fault of that name.
    """
    wired = [device_of(name) for name in devices or DEVICES]
    pairs = [(device, drill) for device in wired for drill in drills_of(device)]
    known = {drill.name for _, drill in pairs}
    groups = {drill.group for _, drill in pairs}
    for fault in faults:
        if fault not in known | groups:
            raise NoSuchDrill(
                f"--fault: found {fault!r}, allowed are the groups {', '.join(sorted(groups))}, "
                "and the names that myoloop drill --list shows"
            )
    return [pair for pair in pairs if not faults or pair[1].name in faults or pair[1].group in faults]


def drill_of(device: Device, name: str) -> Drill:
    """Find one by name.

    Raises
    ------
    NoSuchDrill
        If there is none.
    """
    for drill in drills_of(device):
        if drill.name == name:
            return drill
    raise NoSuchDrill(f"{device.name}: found fault {name!r}, which it does not have")


def say_list(pairs: Sequence[tuple[Device, Drill]]) -> str:
    """Drills as lines."""
    return "\n".join(f"{device.name:10} {drill.name:32} {drill.expects:8} {drill.says}" for device, drill in pairs)

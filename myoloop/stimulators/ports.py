"""Serial ports of this host: what is likely there, who has them, what answers.

What a device is asked is its identity or version only, by the function ``identify(port) -> str`` in the module of a
built-in driver. It opens the port, asks, and closes it; where nothing that it knows answers it raises DriverError or
returns None.

Who only listens comes first, then who asks boards that take plain text, then who asks in frames with a checksum:
noise in another line speed can mean something to boards that take plain text only.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from serial.tools import list_ports

from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.port_holders import Holder, holders, say_holders
from myoloop.stimulators.registry import BUILT_IN

Identify = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Likely:
    """What a USB identity may stand for.

    Attributes
    ----------
    what
        In words.
    drivers
        Whose protocols are worth asking in, in this order.
    resets
        Opening the port may reset what is behind it.
    """

    what: str
    drivers: tuple[str, ...]
    resets: bool


_BOARDS = ("openemsstim", "ttl_trigger")
_ORDER = ("sciencemode2", *_BOARDS, "sciencemode34")
#: By vendor, then product; None for any of the vendor's.
_LIKELY: Mapping[int, Mapping[int | None, Likely]] = {
    0x0483: {0x5740: Likely("STM32 USB serial: Hasomed P24 or I24 (ScienceMode 4)", ("sciencemode34",), False)},
    # The makers of older Arduino boards use the same adapter as Hasomed.
    0x0403: {
        0x6001: Likely(
            "FTDI adapter: Hasomed RehaMove3 or RehaStim2, or an older Arduino",
            _ORDER, True,
        ),
        None: Likely("FTDI adapter", ("sciencemode2", "sciencemode34"), True),
    },
    0x2341: {None: Likely("Arduino: openEMSstim or a TTL trigger", _BOARDS, True)},
    0x2A03: {None: Likely("Arduino: openEMSstim or a TTL trigger", _BOARDS, True)},
    0x1A86: {None: Likely("CH340 adapter, as on copies of Arduino boards", _BOARDS, True)},
    0x10C4: {0xEA60: Likely("CP210x adapter, as on some boards", _BOARDS, True)},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PortFound:
    """A serial port.

    Attributes
    ----------
    port
        Its path.
    usb
        ``VID:PID``, four hexadecimal digits each; "" where it is none.
    serial_number, product
        As the USB device says; "" where it does not.
    likely
        What it may be.
    held_by
        Processes that have it open, in words; "" for none that can be seen.
    answers
        Driver and identity of what answered; empty where nothing did, or nothing was asked.
    asked
        Drivers in whose protocols it was asked.
    note
        Why it was not asked, or what came of it.
    """

    port: str
    usb: str
    serial_number: str
    product: str
    likely: str
    held_by: str
    answers: Mapping[str, str]
    asked: tuple[str, ...]
    note: str


def look(
    *,
    probe: bool = False,
    only: Iterable[str] = (),
    listed: Callable[[], Iterable[Any]] = list_ports.comports,
    holding: Callable[[str], list[Holder]] = holders,
    identifiers: Mapping[str, Identify] | None = None,
) -> list[PortFound]:
    """Look at all ports, and ask where it is known to be harmless.

    Parameters
    ----------
    probe
        Ask also where opening the port may reset what is behind it.
    only
        Ask at these ports, in every protocol, and look at no other.
    listed, holding, identifiers
        Where ports, who has them, and who asks come from.
    """
    asking = found_identifiers() if identifiers is None else identifiers
    named = tuple(only)
    if named:
        return [_ask(_Port(name), tuple(asking), asking, True, holding) for name in named]
    found = []
    for each in sorted(listed(), key=lambda one: str(one.device)):
        port = _Port(
            str(each.device),
            f"{each.vid:04x}:{each.pid:04x}" if each.vid is not None and each.pid is not None else "",
            str(each.serial_number or ""),
            str(each.product or ""),
            likely(each.vid, each.pid),
        )
        drivers = port.likely.drivers if port.likely is not None else ()
        found.append(_ask(port, drivers, asking, probe, holding))
    return found


def likely(vid: int | None, pid: int | None) -> Likely | None:
    """What a USB identity may stand for; None where it is not known."""
    products = _LIKELY.get(vid, {}) if vid is not None else {}
    return products.get(pid) or products.get(None)


def found_identifiers() -> dict[str, Identify]:
    """Who can ask, of the built-in drivers, in the order in which to ask at a port that nothing is known of."""
    found = {}
    for name in sorted(BUILT_IN, key=lambda each: _ORDER.index(each) if each in _ORDER else len(_ORDER)):
        with contextlib.suppress(ModuleNotFoundError):  # of an extra that is not installed
            identify = getattr(importlib.import_module(BUILT_IN[name].partition(":")[0]), "identify", None)
            if identify is not None:
                found[name] = identify
    return found


def say_ports(found: Iterable[PortFound]) -> str:
    """The ports in words, one a line, with what answers below."""
    lines = []
    for each in found:
        parts = [each.port, *(part for part in (each.usb, each.product, each.serial_number, each.likely) if part)]
        lines.append("  ".join(parts))
        lines += [f"  taken by {each.held_by}"] if each.held_by else []
        lines += [f"  {driver}: {identity}" for driver, identity in each.answers.items()]
        lines += [f"  {each.note}"] if each.note else []
    return "\n".join(lines) or "no serial port found"


@dataclass(frozen=True, slots=True)
class _Port:
    name: str
    usb: str = ""
    serial_number: str = ""
    product: str = ""
    likely: Likely | None = None


def _ask(
    port: _Port,
    drivers: tuple[str, ...],
    asking: Mapping[str, Identify],
    probe: bool,
    holding: Callable[[str], list[Holder]],
) -> PortFound:
    by = holding(port.name)
    answers: dict[str, str] = {}
    asked: list[str] = []
    said: list[str] = []
    note = ""
    drivers = tuple(driver for driver in drivers if driver in asking)
    if by:
        note = "not asked: it is taken"
    elif not drivers:
        note = "not asked: no driver is likely to know it; --port asks in every protocol"
    elif port.likely is not None and port.likely.resets and not probe:
        note = "not asked: opening it may reset what is behind it, as it does an Arduino; --probe asks"
    else:
        for driver in drivers:
            asked.append(driver)
            try:
                identity = asking[driver](port.name)
            except DriverError as error:
                said.append(str(error))
                continue
            if identity:
                answers[driver] = identity
                break
        if not answers:
            note = "nothing known answers" + "".join(f"; {each}" for each in dict.fromkeys(said))
    return PortFound(
        port=port.name,
        usb=port.usb,
        serial_number=port.serial_number,
        product=port.product,
        likely=port.likely.what if port.likely is not None else "",
        held_by=say_holders(by),
        answers=answers,
        asked=tuple(asked),
        note=note,
    )

"""Pads and devices: what is known of them, and why they may not be used today."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from myoloop.experiments.screening.fields import parsed_date

#: How long a self-test on the dummy load counts (users.md 4a, PROP).
SELF_TEST_H = 8.0


@dataclass(frozen=True, slots=True)
class PadUse:
    """How often this person's pads of a lot have been used at a site, and what was written of them before.

    Attributes
    ----------
    uses
        Sessions in which they were on the skin.
    uses_max, expires_on
        The strictest that any session wrote down.
    """

    lot: str
    site: str
    uses: int
    uses_max: int
    expires_on: date


@dataclass(frozen=True, slots=True)
class Device:
    """A stimulator in the station's register.

    Attributes
    ----------
    serial, model, standard
        What it is, and the standard that it was tested against.
    safety_test_until
        The last day on which its safety test is in force; None where there was none.
    self_test_at, self_test_passed
        The last self-test on the dummy load, with its zone; None where there was none.
    """

    serial: str
    model: str
    standard: str
    safety_test_until: date | None
    self_test_at: datetime | None
    self_test_passed: bool


def pads_worn(values: Mapping[str, Any], site: str, known: Iterable[PadUse], today: date) -> str:
    """Why the pads of a site may not be used again; "" if they may.

    Of what today's form says and what is known of the lot at this site, the stricter counts.

    Parameters
    ----------
    values
        A form ``pads`` without a mistake.
    """
    uses, uses_max, expires_on = _pads(values, site, known)
    if today > expires_on:
        return f"lot {values['lot']}: expired, was good until {expires_on}"
    if uses >= uses_max:
        return f"lot {values['lot']}: used {uses} times, allowed {uses_max}"
    return ""


def _pads(values: Mapping[str, Any], site: str, known: Iterable[PadUse]) -> tuple[int, int, date]:
    """Uses before today, uses allowed, last day."""
    uses, uses_max, expires_on = values["uses"], values["uses_max"], parsed_date(values["expires_on"]) or date.min
    for pad in known:
        if pad.lot.strip().casefold() == values["lot"].strip().casefold() and pad.site == site:
            uses, uses_max = max(uses, pad.uses), min(uses_max, pad.uses_max)
            expires_on = min(expires_on, pad.expires_on)
    return uses, uses_max, expires_on


def device_problems(serial: str, known: Iterable[Device], now: datetime) -> Iterator[tuple[str, str]]:
    """Why a device may not be used on a person: id of the item, and what was found.

    Parameters
    ----------
    known
        The register; one serial number twice is taken for unknown.
    now
        With its zone.
    """
    mine = [device for device in known if device.serial == serial]
    if len(mine) != 1:
        count = "not in the register" if not mine else f"in the register {len(mine)} times"
        yield "device_unknown", f"serial {serial}: {count}"
        return
    device = mine[0]
    if device.safety_test_until is None:
        yield "safety_test_expired", f"serial {serial}: no safety test"
    elif now.date() > device.safety_test_until:
        yield "safety_test_expired", f"serial {serial}: the safety test was in force until {device.safety_test_until}"
    tested_at = device.self_test_at
    if tested_at is None or not device.self_test_passed:
        found = "no self-test" if tested_at is None else "the self-test failed"
        yield "self_test_old", f"serial {serial}: {found}"
    elif not timedelta(0) <= now - tested_at <= timedelta(hours=SELF_TEST_H):
        found = tested_at.isoformat(timespec="minutes")
        yield "self_test_old", f"serial {serial}: self-test of {found}, allowed: within the last {SELF_TEST_H:g} h"

"""Where makers and standards forbid electrodes, by device."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from pydantic import Field, model_validator

from myoloop.experiments.protocols.fields import Strict, Text
from myoloop.experiments.sites.schema import Region, SiteFile, SiteName
from myoloop.experiments.sites.zones import ZONES
from myoloop.platform.yamlfile import load_model

TABLE = Path(__file__).parent / "makers.yaml"


class MakersRule(Strict):
    """One row: which devices, which places, why, and who says so.

    Attributes
    ----------
    devices
        Names of drivers, models or makers; a row holds for every device whose name has one of them in it, letters and
        digits alone counting. ``any`` holds for all, an unnamed one too.
    zones, regions
        Any of which a site may not lie in.
    """

    devices: tuple[Text, ...] = Field(min_length=1)
    zones: tuple[SiteName, ...] = ()
    regions: tuple[Region, ...] = ()
    why: Text
    source: Text

    @model_validator(mode="after")
    def _says_where(self) -> MakersRule:
        unknown = [zone for zone in self.zones if zone not in ZONES]
        if unknown:
            raise ValueError(f"zones: found {unknown[0]!r}, allowed: {', '.join(ZONES)}")
        if not self.zones and not self.regions:
            raise ValueError("allowed is at least one zone or region")
        return self

    def holds_for(self, device: str | None) -> bool:
        """Whether it is about this device."""
        name = _letters(device or "")
        return any(each == "any" or (bool(name) and _letters(each) in name) for each in self.devices)

    def forbids(self, site: SiteFile) -> bool:
        """Whether it is about this place."""
        return site.region in self.regions or any(zone in self.zones for zone in site.lies_in)


class MakersTable(Strict):
    """The whole table."""

    rules: tuple[MakersRule, ...] = Field(min_length=1)


@cache
def makers_rules() -> tuple[MakersRule, ...]:
    """Every row of the table that ships."""
    return load_model(TABLE, MakersTable).rules


def forbidden(site: SiteFile, device: str | None, rules: tuple[MakersRule, ...] | None = None) -> str | None:
    """Why a device may not be used at a site, with the source; None where nobody forbids it.

    Parameters
    ----------
    device
        Name of its driver, model or maker, or all of them in one text; None where it is not known yet, for which the
        rows for all devices hold.
    rules
        Another table than the one that ships.
    """
    for rule in makers_rules() if rules is None else rules:
        if rule.holds_for(device) and rule.forbids(site):
            return f"{rule.why} [{rule.source}]"
    return None


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())

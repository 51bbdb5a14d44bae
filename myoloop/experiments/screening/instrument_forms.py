"""Forms of the instruments that are scored: items by number, each may be left out, the version of the text is asked.

Who fills one in has the instrument's own text beside it, under its licence; none stands here.
"""

from __future__ import annotations

from myoloop.experiments.outcomes.instrument import VERSION, Instrument, Item
from myoloop.experiments.outcomes.scoring import INSTRUMENTS
from myoloop.experiments.screening.fields import Field
from myoloop.experiments.screening.form import Form


def instrument_forms() -> tuple[Form, ...]:
    """One for each instrument that has none yet."""
    return tuple(_form(each) for each in INSTRUMENTS.values() if not each.asked)


def _form(instrument: Instrument) -> Form:
    version = Field(VERSION, "Which version is filled in?", "choice", instrument.versions)
    title = f"{instrument.title}: answers by item number, from your own copy"
    return Form(instrument.form_id, title, (version, *map(_field, instrument.items)), instrument.per)


def _field(item: Item) -> Field:
    if item.codes:
        return Field(item.id, f"{item.label}?", "choice", item.codes, optional=True)
    # Whether a number is the item's own is the score's affair too: the form keeps a slip from getting so far.
    unit = f" {item.unit}" if item.unit else ""
    return Field(
        item.id, f"{item.label} ({item.low:g} to {item.high:g}{unit})", "number", unit=item.unit, low=item.low,
        high=item.high, whole=item.whole, optional=True,
    )  # fmt: skip

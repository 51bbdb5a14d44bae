"""Kinds of value that a protocol file holds: quantities with their unit, names, counts."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from myoloop.platform.quantities import QuantityError, format_quantity, parse


class Strict(BaseModel):
    """A part of a protocol: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def quantity(
    unit: str,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
) -> BeforeValidator:
    """Validator that reads a text with a unit into a float of `unit`, within bounds given in `unit`."""

    def read(value: Any) -> float:
        try:
            number = parse(value, unit)
        except QuantityError as error:
            raise ValueError(error.why) from None
        if above is not None and not number > above:
            raise ValueError(f"allowed is more than {format_quantity(above, unit)}")
        if least is not None and not number >= least:
            raise ValueError(f"allowed is at least {format_quantity(least, unit)}")
        if most is not None and not number <= most:
            raise ValueError(f"allowed is at most {format_quantity(most, unit)}")
        return number

    return BeforeValidator(read)


def _plain_number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("allowed is a plain number")
    return float(value)


#: Longest that any part of a session may be planned for.
_DAY_S = 86400.0

Seconds = Annotated[float, quantity("s", above=0, most=_DAY_S)]
SecondsOrZero = Annotated[float, quantity("s", least=0, most=_DAY_S)]
#: Of a course: hours, days, weeks.
Duration = Annotated[float, quantity("s", above=0, most=10 * 365 * _DAY_S)]
Milliseconds = Annotated[float, quantity("ms", above=0, most=10_000)]
Current = Annotated[float, quantity("mA", above=0, most=1000)]
PulseWidth = Annotated[float, quantity("us", above=0, most=1_000_000)]
Rate = Annotated[float, quantity("Hz", above=0, most=100_000)]
Charge = Annotated[float, quantity("uC", above=0)]
DoseCharge = Annotated[float, quantity("mC", above=0)]
RmsCurrent = Annotated[float, quantity("mA", above=0)]
Density = Annotated[float, quantity("mA_rms/cm2", above=0)]
PowerDensity = Annotated[float, quantity("W/cm2", above=0)]
Slope = Annotated[float, quantity("mA/s", above=0)]
Voltage = Annotated[float, quantity("uV", above=0, most=1_000_000)]
Resistance = Annotated[float, quantity("Ohm", above=0, most=10_000_000)]
Area = Annotated[float, quantity("cm2", above=0)]
Share = Annotated[float, quantity("1", above=0, most=1)]
Factor = Annotated[float, BeforeValidator(_plain_number), Field(gt=0, le=10)]
PartOfTheWay = Annotated[float, BeforeValidator(_plain_number), Field(gt=0, le=1)]
Score = Annotated[float, BeforeValidator(_plain_number), Field(gt=0, le=10)]
Number = Annotated[float, BeforeValidator(_plain_number)]
CountOrZero = Annotated[int, Field(strict=True, ge=0, le=100)]
Count = Annotated[int, Field(strict=True, ge=1, le=10_000)]
Text = Annotated[str, Field(strict=True, min_length=1, max_length=2000)]
#: A name that is also a key of a rig, a topic's instance and part of a file name.
Name = Annotated[str, Field(strict=True, pattern=r"^[a-z0-9][a-z0-9_-]{0,30}$")]

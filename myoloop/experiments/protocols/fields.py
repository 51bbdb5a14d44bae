"""Kinds of value that a protocol file holds: quantities with their unit, names, counts."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from myoloop.platform.quantities import EXAMPLES, UNITS, QuantityError, format_quantity, parse


class Strict(BaseModel):
    """A part of a protocol: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Quantity:
    """Validator that reads a text with a unit into a float of `unit`, within bounds given in `unit`."""

    def __init__(
        self, unit: str, *, above: float | None = None, least: float | None = None, most: float | None = None
    ) -> None:
        self._unit = unit
        self._above, self._least, self._most = above, least, most

    def read(self, value: Any) -> float:
        """The value in `unit`.

        Raises
        ------
        ValueError
            If it is not the quantity asked for, or out of its bounds.
        """
        try:
            number = parse(value, self._unit)
        except QuantityError as error:
            raise ValueError(error.why) from None
        if self._above is not None and not number > self._above:
            raise ValueError(f"allowed is more than {format_quantity(self._above, self._unit)}")
        if self._least is not None and not number >= self._least:
            raise ValueError(f"allowed is at least {format_quantity(self._least, self._unit)}")
        if self._most is not None and not number <= self._most:
            raise ValueError(f"allowed is at most {format_quantity(self._most, self._unit)}")
        return number

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Read before the float is checked."""
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """For editors: a text with one of the units of its dimension."""
        dimension = UNITS[self._unit].dimension
        units = [name for name, unit in UNITS.items() if unit.dimension == dimension and name != "1"]
        example = EXAMPLES.get(dimension, "")
        return {"type": "string", "examples": [example], "description": f"{dimension}: {', '.join(units)}"}


def _plain_number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("allowed is a plain number")
    return float(value)


#: Longest that any part of a session may be planned for.
_DAY_S = 86400.0

Seconds = Annotated[float, Quantity("s", above=0, most=_DAY_S)]
SecondsOrZero = Annotated[float, Quantity("s", least=0, most=_DAY_S)]
#: Of a course: hours, days, weeks.
Duration = Annotated[float, Quantity("s", above=0, most=10 * 365 * _DAY_S)]
Milliseconds = Annotated[float, Quantity("ms", above=0, most=10_000)]
Current = Annotated[float, Quantity("mA", above=0, most=1000)]
PulseWidth = Annotated[float, Quantity("us", above=0, most=1_000_000)]
Rate = Annotated[float, Quantity("Hz", above=0, most=100_000)]
Charge = Annotated[float, Quantity("uC", above=0)]
DoseCharge = Annotated[float, Quantity("mC", above=0)]
RmsCurrent = Annotated[float, Quantity("mA", above=0)]
Density = Annotated[float, Quantity("mA_rms/cm2", above=0)]
PowerDensity = Annotated[float, Quantity("W/cm2", above=0)]
Slope = Annotated[float, Quantity("mA/s", above=0)]
Voltage = Annotated[float, Quantity("uV", above=0, most=1_000_000)]
Resistance = Annotated[float, Quantity("Ohm", above=0, most=10_000_000)]
Area = Annotated[float, Quantity("cm2", above=0)]
Share = Annotated[float, Quantity("1", above=0, most=1)]
Factor = Annotated[float, BeforeValidator(_plain_number), Field(gt=0, le=10)]
PartOfTheWay = Annotated[float, BeforeValidator(_plain_number), Field(gt=0, le=1)]
Score = Annotated[float, BeforeValidator(_plain_number), Field(gt=0, le=10)]
Number = Annotated[float, BeforeValidator(_plain_number)]
CountOrZero = Annotated[int, Field(strict=True, ge=0, le=100)]
Count = Annotated[int, Field(strict=True, ge=1, le=10_000)]
Text = Annotated[str, Field(strict=True, min_length=1, max_length=2000)]
#: A name that is also a key of a rig, a topic's instance and part of a file name.
Name = Annotated[str, Field(strict=True, pattern=r"^[a-z0-9][a-z0-9_-]{0,30}$")]

"""What the commands of ScienceMode 2 ask of a RehaStim2, as the device reads it; shares nothing with the driver."""

from __future__ import annotations

from dataclasses import dataclass

OUTPUTS = 8
SLOT_NS = 1_500_000
OK, TRANSFER, PARAMETER, WRONG_MODE, BUSY = 0, -1, -2, -3, -8
_LEAST_NS = 8_000_000


class RefusedError(Exception):
    """A command is not obeyed, and answered with `result`."""

    def __init__(self, result: int) -> None:
        super().__init__(result)
        self.result = result


@dataclass(frozen=True, slots=True)
class Shape:
    """Pulses of one output: how many in a group, how wide, how strong."""

    group: int
    width_us: int
    current_ma: int


@dataclass(frozen=True, slots=True)
class ChannelList:
    """What InitChannelListMode said."""

    slow_factor: int
    outputs: tuple[int, ...]
    slow: frozenset[int]
    inter_pulse_ns: int
    #: None for one round only.
    main_ns: int | None
    fixed_slots: bool


def read_list(fields: bytes) -> ChannelList:
    """Read InitChannelListMode.

    Raises
    ------
    RefusedError
        If it is none, or cannot be given.
    """
    if len(fields) != 7:
        raise RefusedError(TRANSFER)
    factor, mask, slow, inter_pulse, high, low, execution = fields
    outputs = tuple(output for output in range(OUTPUTS) if mask >> output & 1)
    inter_pulse_ns = inter_pulse * 500_000 + 1_500_000
    code = high << 8 | low
    main_ns = None if code == 0 else code * 500_000 + 1_000_000
    # assumption: a list without channels, a slow channel outside it, and slots that do not fit are parameters
    # that are not taken.
    if (
        factor > 7
        or not outputs
        or slow & ~mask
        or execution > 1
        or code > 2048
        or inter_pulse_ns < _LEAST_NS
        or (main_ns is not None and main_ns < _LEAST_NS)
        or (execution == 0 and len(outputs) * SLOT_NS > (inter_pulse_ns if main_ns is None else main_ns))
    ):
        raise RefusedError(PARAMETER)
    slow_outputs = frozenset(output for output in outputs if slow >> output & 1)
    return ChannelList(factor, outputs, slow_outputs, inter_pulse_ns, main_ns, execution == 0)


def read_shapes(fields: bytes, wanted: ChannelList) -> dict[int, Shape]:
    """Read StartChannelListMode: the pulses of each output of the list.

    Raises
    ------
    RefusedError
        If it is none, or the pulses cannot be given.
    """
    if len(fields) != 4 * len(wanted.outputs):
        raise RefusedError(TRANSFER)
    shapes = {}
    for place, output in enumerate(wanted.outputs):
        kind, high, low, current_ma = fields[4 * place : 4 * place + 4]
        shapes[output] = _shape(kind, high << 8 | low, current_ma)
    group = max(shape.group for shape in shapes.values())
    if (wanted.main_ns is not None and wanted.main_ns < group * wanted.inter_pulse_ns) or (
        group > 1 and wanted.fixed_slots and len(shapes) * SLOT_NS > wanted.inter_pulse_ns
    ):
        raise RefusedError(PARAMETER)
    return shapes


def read_single(fields: bytes) -> tuple[int, Shape]:
    """Read SinglePulse: the output and its pulse.

    Raises
    ------
    RefusedError
        If it is none, or the pulse cannot be given.
    """
    if len(fields) != 4:
        raise RefusedError(TRANSFER)
    if fields[0] >= OUTPUTS:
        raise RefusedError(PARAMETER)
    return fields[0], _shape(0, fields[1] << 8 | fields[2], fields[3])


def _shape(kind: int, width_us: int, current_ma: int) -> Shape:
    if kind > 2 or width_us > 500 or current_ma > 130:
        raise RefusedError(PARAMETER)
    # What is shorter than 20 us acts as 20.
    return Shape(kind + 1, max(20, width_us) if width_us else 0, current_ma)

"""What the lines to an openEMSstim board say, in mA: the firmware's own reading of them, and of its potentiometer.

Shares nothing with the encoder, :mod:`myoloop.stimulators.openemsstim_lines`, but the settings.
"""

from __future__ import annotations

import re

from myoloop.stimulators.driver import DecodedOutput, DriverError
from myoloop.stimulators.openemsstim_lines import OpenEmsStimDriverSettings


def decoded(s: OpenEmsStimDriverSettings, data: bytes) -> tuple[DecodedOutput, ...]:
    """Read two lines character by character; every output that lets current through.

    Raises
    ------
    DriverError
        If they are anything but one command for each output.
    """
    found = []
    rows = data.split(b"\n")
    if len(rows) != 3 or rows[-1]:
        raise DriverError(f"{len(data)} bytes that are not one line for each output")
    for output, row in enumerate(rows[:-1]):
        text = row
        if s.framing == "wv":
            notice = re.fullmatch(rb"WV,[0-9]{4},((?:[0-9]{2})+)\.", row)
            if notice is None:
                raise DriverError(f"a line for output {output} that is not framed as WV")
            text = bytes.fromhex(notice[1].decode())
        fields = re.fullmatch(rb"C([01])(?:I([1-9][0-9]?|100)T([1-9][0-9]{0,2})|T0)G", text)
        if fields is None or int(fields[1]) != output:
            raise DriverError(f"a line for output {output} that is not one of its commands")
        if fields[2] is None:
            continue
        if int(fields[3]) > 300:
            raise DriverError(f"a line for output {output} that lasts {int(fields[3])} ms")
        # The firmware: 1.6 codes of the potentiometer for each percent above 1, rounded; 55 at 1 %, 213 at 100 %.
        parts = 55 + (16 * (int(fields[2]) - 1) + 5) // 10
        found.append(
            DecodedOutput(
                output=output,
                current_ma=s.unit_current_ma_at_full * parts / 213,
                phase_us=s.unit_phase_us,
                rate_hz=s.unit_rate_hz,
                net_charge_wire=0,
            )
        )
    return tuple(found)

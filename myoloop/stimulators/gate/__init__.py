"""The safety gate: small, pure, standard library only. It alone decides what a device is sent.

:func:`step` takes what is known and gives what may flow. It imports nothing else of myoloop, reads no clock and no
file, and keeps nothing between calls but the state it returns.
"""

from myoloop.stimulators.gate.acts import Act, Reply
from myoloop.stimulators.gate.decision import Request, Verdict, step
from myoloop.stimulators.gate.decoded import WireOutput, disagreement
from myoloop.stimulators.gate.dose import DoseTotals, LedgerError, PriorDose, ledger_line, read_ledger
from myoloop.stimulators.gate.envelope import (
    ChannelLimits,
    DeviceLimits,
    Envelope,
    EnvelopeError,
    check_envelope,
    parse_envelope,
)
from myoloop.stimulators.gate.evidence import DeviceEvidence, Evidence, VitalSign
from myoloop.stimulators.gate.limits import Setting
from myoloop.stimulators.gate.states import LATCHED, LIVE, TRANSITIONS, GateSettings, GateState

__all__ = [
    "LATCHED",
    "LIVE",
    "TRANSITIONS",
    "Act",
    "ChannelLimits",
    "DeviceEvidence",
    "DeviceLimits",
    "DoseTotals",
    "Envelope",
    "EnvelopeError",
    "Evidence",
    "GateSettings",
    "GateState",
    "LedgerError",
    "PriorDose",
    "Reply",
    "Request",
    "Setting",
    "Verdict",
    "VitalSign",
    "WireOutput",
    "check_envelope",
    "disagreement",
    "ledger_line",
    "parse_envelope",
    "read_ledger",
    "step",
]

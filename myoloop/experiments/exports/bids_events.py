"""``events.tsv`` of a recording: what its annotations say, with the parameters of the stimulation in columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from myoloop.experiments.analysis.mne_raw import Mark
from myoloop.experiments.exports.bidsfiles import write_table

COLUMNS = (
    "onset", "duration", "trial_type", "name", "channel", "current_ma", "pulse_width_us", "rate_hz", "pulses",
    "charge_uc", "known_by",
)  # fmt: skip
#: What an annotation calls a parameter, and what its column is called.
_CALLED = {"phase_us": "pulse_width_us"}


def write_events(path: Path, marks: Sequence[Mark]) -> Path:
    """Write a recording's events.

    Parameters
    ----------
    marks
        In seconds from the recording's first sample.
    """
    return write_table(path, COLUMNS, [_row(mark) for mark in marks])


def describe(*, blinded: bool, unsealed: bool) -> dict[str, Any]:
    """Describe the columns, for the JSON file beside.

    Parameters
    ----------
    blinded, unsealed
        Whether sessions are blinded, and whether their pulses are nonetheless those that were really given.
    """
    stimulation = "Stimulation as delivered."
    if blinded:
        stimulation = (
            "Stimulation as really given, opened with the study's key."
            if unsealed
            else "Stimulation is nominal: what the active arm would have had. What was really given is sealed."
        )
    return {
        "onset": {"Description": "Time from the first sample of the recording.", "Units": "s"},
        "duration": {"Description": "How long it lasted; 0 of a moment.", "Units": "s"},
        "trial_type": {
            "LongName": "What happened",
            "Description": stimulation,
            "Levels": {
                "phase": "A phase of the protocol; its name beside.",
                "trial": "A state of a trial; its name beside.",
                "stimulation": "A train of pulses, from its first to its last; the stimulation channel beside.",
                "spasm_detected": "An involuntary burst that the detector found; the muscle beside.",
                "spasm_true": "A spasm that a virtual subject had; the muscle beside.",
                "event": "Something that happened once; its kind beside.",
                "BAD_gap": "Samples are missing here; the signal holds zeros.",
                "BAD_invalid": "Samples that must not be used, on the channels beside; 0 where there was no number.",
                "BAD_padding": "Nothing was recorded here; the signal holds zeros up to the end of the file.",
            },
        },
        "name": {"Description": "Which phase, state, stimulation channel, muscle or kind of event."},
        "channel": {"Description": "Channels of the recording that it is about; n/a: all."},
        "current_ma": {"Description": "Of a train: mean amplitude of each phase of its pulses.", "Units": "mA"},
        "pulse_width_us": {"Description": "Of a train: mean width of each phase of its pulses.", "Units": "us"},
        "rate_hz": {"Description": "Of a train: pulses per second, from their median distance.", "Units": "Hz"},
        "pulses": {"Description": "Of a train: how many pulses."},
        "charge_uc": {"Description": "Of a train: sum of the charges of one phase of each pulse.", "Units": "uC"},
        "known_by": {
            "Description": "How the pulses are known.",
            "Levels": {
                "ledger": "By the virtual body's own account.",
                "acknowledged": "By the stimulator's acknowledgement.",
                "predicted": "By the stimulator's own timing, told beforehand.",
                "sent": "By the command alone.",
            },
        },
    }


def _row(mark: Mark) -> dict[str, Any]:
    kind, _, name = mark.what.partition("/")
    row: dict[str, Any] = {
        "onset": mark.onset_s,
        "duration": mark.length_s,
        "trial_type": kind,
        "name": name,
        "channel": ",".join(mark.channels),
    }
    return row | {
        _CALLED.get(key, key): value for key, value in mark.extras.items() if _CALLED.get(key, key) in COLUMNS
    }

"""What was simulated is told part by part, and never of what was not."""

from __future__ import annotations

import pytest

from myoloop.experiments.origins import Origins, origins_in

EVERYTHING = "No person was on the electrodes: everything here was simulated."


@pytest.mark.parametrize(
    ("origins", "simulated", "stamp", "words"),
    [
        (("simulated", "simulated", "simulated"), True, "SIMULATED", EVERYTHING),
        (("simulated", "none", "simulated"), True, "SIMULATED", EVERYTHING),
        (("simulated", "none", "none"), True, "SIMULATED", EVERYTHING),
        (
            ("recorded", "simulated", "simulated"), True,
            "PARTLY SIMULATED: stimulation simulated, EMG recorded from a file",
            "Stimulation simulated, EMG recorded from a file.",
        ),
        (
            ("live", "simulated", "simulated"), True,
            "PARTLY SIMULATED: stimulation simulated, EMG measured live",
            "Stimulation simulated, EMG measured live.",
        ),
        (
            ("simulated", "device", "none"), True,
            "PARTLY SIMULATED: stimulation by a device, EMG simulated",
            "Stimulation by a device, EMG simulated.",
        ),
        (
            ("live+simulated", "none", "person"), True,
            "PARTLY SIMULATED: no stimulation, EMG measured live and simulated",
            "No stimulation, EMG measured live and simulated.",
        ),
        (("recorded", "none", "none"), False, "", "No stimulation, EMG recorded from a file."),
        (("live", "device", "person"), False, "", ""),
        (("live", "none", "person"), False, "", ""),
    ],
)  # fmt: skip
def test_it_is_said_in_words(origins, simulated, stamp, words):
    said = Origins(*origins)
    assert (said.simulated, said.stamp_in_full(), said.in_words()) == (simulated, stamp, words)
    assert said.stamp() == stamp.split(":")[0]


def test_the_record_keeps_it():
    origins = Origins("recorded", "simulated", "simulated")
    metadata = origins.metadata()
    assert metadata == {
        "simulated": "true", "origin.emg": "recorded", "origin.stimulation": "simulated", "origin.body": "simulated",
    }  # fmt: skip
    assert origins_in(metadata) == origins
    assert Origins("live", "device", "person").metadata()["simulated"] == "false"


def test_a_record_that_says_less_is_not_guessed_at():
    assert origins_in({"simulated": "true"}) is None
    assert origins_in({"origin.emg": "live", "origin.stimulation": "none"}) is None

"""An artefact is for the channels and the envelope of a protocol."""

from __future__ import annotations

import pytest

from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.setup import stim_outputs
from myoloop.experiments.training.artefact import channels_of, envelope_of
from myoloop.experiments.training.purpose import purpose_of, within
from myoloop.experiments.training.task import load_task
from myoloop.platform.errors import UserError


def test_it_is_what_a_session_of_the_protocol_is_checked_against() -> None:
    protocol, task = load_protocol("demo"), load_task("isometric_hold")
    use = next(iter(channels_of(stim_outputs(protocol)).values()))
    fitting = task.changed(stimulation={"phase_us": use.phase_us, "rate_hz": use.rate_hz})
    found = purpose_of("demo", fitting)
    assert found.channels == channels_of(stim_outputs(protocol))
    assert found.envelope == envelope_of(protocol.envelope)


def test_other_pulses_than_the_trained_ones_are_refused() -> None:
    task = load_task("isometric_hold").changed(stimulation={"phase_us": 123.0, "rate_hz": 44.0})
    with pytest.raises(UserError, match=r"is trained with 123 us at 44 Hz: set stimulation in the task file$"):
        purpose_of("demo", task)


def test_it_is_trained_within_the_envelope_of_the_protocol() -> None:
    task, envelope = load_task("isometric_hold"), load_protocol("demo").envelope
    found = within(task, "demo").envelope
    assert (found.current_max_ma, found.charge_per_phase_uc) == (envelope.current_max_ma, envelope.charge_max_uc)
    assert (found.on_s_max, found.duty_max) == (envelope.on_max_s, envelope.duty_max)
    assert (found.session_s, found.new_ground_ma_per_s) == (envelope.total_on_s, envelope.slew_ma_per_s)
    assert found.pad_area_cm2 == task.envelope.pad_area_cm2
    assert within(task, None) is task


def test_trials_that_do_not_fit_into_it_are_refused() -> None:
    long = load_task("isometric_hold").changed(trial={"ramp_s": 1.0, "hold_s": 5.5, "rest_s": 8.0})
    with pytest.raises(UserError, match=r"demo: the task isometric_hold does not fit into its envelope: .*a train of"):
        within(long, "demo")

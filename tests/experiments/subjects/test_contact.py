"""Electrodes that lift, fall off, rail, are swapped, wander."""

import numpy as np
import pytest

from myoloop.experiments.subjects.contact import Contact, ContactParameters, ElectrodeEvent

SECOND_NS = 1_000_000_000


def contact(events=(), channels=2, seed=1, **parameters):
    return Contact([ContactParameters(**parameters)] * channels, events, np.random.default_rng(seed))


def state(made):
    return [x.copy() for x in (made.gain, made.noise_v, made.mains_v, made.contact)]


def test_electrodes_that_lie_well_have_the_persons_noise_and_hum():
    made = contact(emg_noise_uv=4.0, mains_uv=2.0)
    assert not made.step(3600 * SECOND_NS)
    gain, noise_v, mains_v, truth = state(made)
    assert gain.tolist() == truth.tolist() == [1.0, 1.0]
    assert noise_v == pytest.approx([4e-6] * 2)
    assert mains_v == pytest.approx([np.sqrt(2) * 2e-6] * 2)


def test_a_lifted_electrode_is_noisier_hums_and_loses_signal_until_it_is_back():
    made = contact([ElectrodeEvent(2.0, 1, "lift"), ElectrodeEvent(3.0, 1, "back")])
    before = state(made)
    assert not made.step(2 * SECOND_NS - 1)
    assert made.step(2 * SECOND_NS)
    gain, noise_v, mains_v, truth = state(made)
    assert gain[1] == pytest.approx(1.01 / 1.3)
    assert noise_v[1] / before[1][1] == pytest.approx(np.sqrt(30.0))
    assert mains_v[1] / before[2][1] == pytest.approx(30.0)
    assert truth[1] == pytest.approx(1 / np.sqrt(30.0))
    assert (gain[0], truth[0]) == (1.0, 1.0)
    made.step(3 * SECOND_NS)
    assert all(np.array_equal(a, b) for a, b in zip(state(made), before, strict=True))


@pytest.mark.parametrize(
    ("event", "hum_v", "railed"),
    [
        (ElectrodeEvent(0.0, 0, "off"), np.sqrt(2) * 1e-3, False),
        (ElectrodeEvent(0.0, 0, "off", floats="flat"), 0.0, False),
        (ElectrodeEvent(0.0, 0, "rail"), 0.0, True),
    ],
)
def test_a_lead_that_is_off_has_no_signal(event, hum_v, railed):
    made = contact([event])
    made.step(0)
    assert made.gain[0] == made.contact[0] == 0.0
    assert made.mains_v[0] == pytest.approx(hum_v)
    assert made.railed.tolist() == [railed, False]


def test_leads_are_swapped_and_put_right():
    made = contact([ElectrodeEvent(1.0, 0, "swap", other=2), ElectrodeEvent(2.0, 2, "back")], channels=3)
    assert made.order is None
    made.step(SECOND_NS)
    assert made.order.tolist() == [2, 1, 0]
    made.step(2 * SECOND_NS)
    assert made.order is None


def test_impedance_wanders_as_fast_as_the_person_has_it():
    made = contact(channels=400, electrode_drift=0.1)
    made.step(60 * SECOND_NS)
    assert made._wandered.std() == pytest.approx(0.1, rel=0.15)
    made.step(1800 * SECOND_NS)
    # In the long run: 0.1 per root minute, forgotten over ten minutes.
    assert made._wandered.std() == pytest.approx(0.1 * np.sqrt(10 / 2), rel=0.15)


def test_edges_lift_and_leads_fall_at_the_rates_they_do():
    made = contact(channels=400, electrode_lifts_per_h=60.0, electrode_lift_s=3.0)
    lifted, begun = 0.0, 0
    before = made._lifted.copy()
    for t_ns in range(0, 300 * SECOND_NS, SECOND_NS // 10):
        made.step(t_ns)
        lifted += made._lifted.mean() / 3000
        begun += int((made._lifted & ~before).sum())
        before = made._lifted.copy()
    # Five minutes of 400 channels; each lasts 3 s, and none begins while one is on.
    assert begun == pytest.approx(2000 / 1.05, rel=0.1)
    assert lifted == pytest.approx(3 / 63, rel=0.15)
    fallen = contact(channels=2000, lead_falls_per_h=10.0)
    fallen.step(180 * SECOND_NS)
    assert (fallen.contact == 0).mean() == pytest.approx(1 - np.exp(-0.5), rel=0.1)


def test_the_same_generator_gives_the_same_contact_however_often_it_is_asked():
    often, seldom = (contact(electrode_drift=0.3, electrode_lifts_per_h=100.0) for _ in range(2))
    for t_ns in range(0, 20 * SECOND_NS, SECOND_NS // 100):
        often.step(t_ns)
    seldom.step(20 * SECOND_NS - SECOND_NS // 100)
    assert all(np.array_equal(a, b) for a, b in zip(state(often), state(seldom), strict=True))


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"kind": "melt"}, "kind: found 'melt', allowed are lift, off, rail, swap, back"),
        ({"kind": "off", "floats": "air"}, "floats: found 'air'"),
        ({"kind": "off", "t_s": -1.0}, "t_s: found -1.0"),
        ({"kind": "off", "t_s": float("nan")}, "t_s: found nan"),
        ({"kind": "swap"}, "other: found None"),
        ({"kind": "swap", "other": 0}, "other: found 0"),
        ({"kind": "lift", "other": 1}, "other: found 1"),
    ],
)
def test_an_event_that_cannot_be_is_refused(event, says):
    with pytest.raises(ValueError, match=says):
        ElectrodeEvent(**{"t_s": 1.0, "channel": 0, **event})


@pytest.mark.parametrize("channel", [-1, 2])
def test_an_event_on_a_channel_that_is_none_is_refused(channel):
    with pytest.raises(ValueError, match=f"channel of an electrode event: found {channel}, allowed is 0 to 1"):
        contact([ElectrodeEvent(1.0, channel, "off")])

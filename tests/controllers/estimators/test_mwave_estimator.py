"""M-waves are averaged, told, and compared with the first ones at the same charge."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from myoloop.controllers.estimators.electrodes import ElectrodeWatch
from myoloop.controllers.estimators.estimator import Evoked, Setup, Situation
from myoloop.controllers.estimators.fused import FusedFatigue
from myoloop.controllers.estimators.mwave import MWaves, MWaveSettings, fatigue_of_mwaves
from myoloop.controllers.signals.conditioning import Conditioner
from myoloop.controllers.signals.conditioning_settings import ConditioningSettings
from myoloop.platform.messages import (
    ChannelSetting,
    Dose,
    Measure,
    MWave,
    Pulses,
    SampleDescriptor,
    Samples,
    StimReport,
)

INTERVAL_NS = 30_000_000


def _setup() -> Setup:
    return Setup(
        muscles=("agonist", "antagonist"), rate_hz=2000.0, hop_samples=20, stimulated=True,
        effort_muscles=np.zeros(2, dtype=bool), channels=(("ch1",), ()),
    )  # fmt: skip


def _report(current_ma: float) -> StimReport:
    allowed = (ChannelSetting(channel="ch1", current_ma=current_ma, phase_us=250.0, rate_hz=33.0),)
    return StimReport(
        step=1, t_ns=1, state="STIMULATING", request=None, requested=allowed, allowed=allowed, acknowledged=allowed,
        rule="", reasons=(), dose=Dose(),
    )  # fmt: skip


def _heard(
    t_ns: int, evoked: Any = (), spasm: bool = False, dead: bool = False, spoilt: bool = False, lost_hops: int = 0
) -> Any:
    return SimpleNamespace(
        t_ns=t_ns, evoked=evoked, spasm=np.array([spasm, False]), lost_hops=lost_hops,
        share_hop=np.array([0.0 if dead or spoilt else 1.0, 1.0]), invalid_share=np.array([float(dead), 0.0]),
    )  # fmt: skip


class Train:
    """Pulses of one channel, straight into the estimator."""

    def __init__(self, settings: MWaveSettings | None = None) -> None:
        self.estimator = MWaves(settings or MWaveSettings(), _setup())
        self.rng = np.random.default_rng(4)
        self.t_ns = 10**9

    def give(
        self, pulses: int, *, peak_uv: float = 2000.0, width_ms: float = 1.4, current_ma: float = 20.0,
        clipped: bool = False, channel: str = "ch1", lasts_ms: float = 28.0, spasm: bool = False,
        interval_ns: int = INTERVAL_NS,
    ) -> Train:  # fmt: skip
        for _ in range(pulses):
            self.t_ns += interval_ns
            since_ms = np.arange(-0.5, lasts_ms, 0.5) + self.rng.uniform(0.0, 0.5)
            z = (since_ms - 8.0) / width_ms
            wave = -peak_uv * z * np.exp(0.5 - 0.5 * z * z)
            frame = wave[:, None] * np.array([1.0, 0.1]) + self.rng.normal(0, 20.0, (len(since_ms), 2))
            good = np.ones(frame.shape, dtype=bool)
            good[(since_ms > 6) & (since_ms < 8), 0] = not clipped
            evoked = [Evoked(self.t_ns, channel, since_ms, frame, good)]
            self.estimator.hear(_heard(self.t_ns, evoked, spasm), Situation(self.t_ns, report=_report(current_ma)))
        return self

    def rest(self, seconds: float, *, dead: bool = False, spoilt: bool = False, lost_hops: int = 0) -> Train:
        """EMG without a pulse: of the agonist nothing valid where its channel is dead."""
        for _ in range(round(seconds * 100)):
            self.t_ns += 10_000_000
            heard = _heard(self.t_ns, dead=dead, spoilt=spoilt, lost_hops=lost_hops)
            self.estimator.hear(heard, Situation(self.t_ns))
            lost_hops = 0
        return self

    def said(self, later_s: float = 0.0) -> tuple[MWave | None, Measure]:
        if later_s:
            self.estimator.hear(_heard(self.t_ns + round(later_s * 1e9)), Situation(self.t_ns))
        fields = self.estimator.fields(self.t_ns + round(later_s * 1e9))
        assert fields["mwave"][1] is None
        assert fields["fatigue_mwave"][1].reason == "no stimulation channel drives this muscle"
        return fields["mwave"][0], fields["fatigue_mwave"][0]


def test_ten_pulses_make_an_average_that_is_described() -> None:
    train = Train()
    assert train.give(9).said() == (None, Measure(reason="no pulse yet"))
    wave, fatigue = train.give(1).said()
    assert wave is not None
    assert (wave.pulses, wave.channel, wave.t_ns, wave.clipped) == (10, "ch1", train.t_ns, False)
    assert wave.peak_to_peak_uv == pytest.approx(4000, rel=0.02)
    assert wave.duration_ms == pytest.approx(2.8, abs=0.1)
    assert wave.latency_ms == pytest.approx(6.6, abs=0.1)
    assert wave.first_phase_uv_ms == pytest.approx(wave.second_phase_uv_ms, rel=0.03)
    assert fatigue.reason.startswith("not enough evidence: M-waves still grow in the first 8 s")


def _fresh() -> Train:
    return Train().give(270).give(80)


def test_waves_that_stay_as_they_are_say_no_fatigue_with_an_interval_that_says_how_little_that_is() -> None:
    _, fatigue = _fresh().said()
    assert fatigue.valid
    assert fatigue.value == pytest.approx(0.0, abs=0.03)
    assert fatigue.low is not None
    assert fatigue.high is not None
    assert fatigue.low < -0.08
    assert fatigue.high > 0.08


@pytest.mark.parametrize("size", [1.15, 1.0, 0.8])
def test_waves_that_grow_wider_say_fatigue_whatever_becomes_of_their_size(size: float) -> None:
    # A velocity of 0.8 is a fatigue of 0.4.
    _, fatigue = _fresh().give(200, width_ms=1.4 / 0.8, peak_uv=2000.0 * size).said()
    assert fatigue.value is not None
    assert fatigue.low is not None
    assert fatigue.high is not None
    assert fatigue.low < 0.4 < fatigue.high
    assert fatigue.high - fatigue.low > 0.3
    assert fatigue.value == pytest.approx(0.4, abs=0.1)


def test_size_alone_says_little() -> None:
    _, fatigue = _fresh().give(200, peak_uv=1500.0).said()
    assert fatigue.value is not None
    assert fatigue.value < 0.1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"current_ma": 25.0}, "the current is not comparable with that of the first M-waves"),
        ({"current_ma": 0.0}, "the current of the pulses is not known"),
        ({"clipped": True}, "the amplifier was at its rail within the M-wave"),
        ({"peak_uv": 5.0}, "no M-wave stands out of the EMG"),
        ({"lasts_ms": 15.0}, "the next pulse comes 14.9 ms later, within the M-wave's 20 ms"),
    ],
)
def test_what_cannot_be_compared_is_said(change: dict[str, Any], why: str) -> None:
    _, fatigue = _fresh().give(20, **change).said()
    assert not fatigue.valid
    assert fatigue.value is None
    assert fatigue.reason[:30] == why[:30]


def test_a_clipped_wave_is_told_as_such() -> None:
    wave, _ = Train().give(10, clipped=True).said()
    assert wave is not None
    assert wave.clipped


def test_after_a_long_silence_nothing_is_known_of_now() -> None:
    train = _fresh()
    assert train.said(later_s=89.0)[1].valid
    assert train.said(later_s=91.0)[1].reason == "no M-wave for 90 s"


def test_of_a_muscle_whose_electrode_is_off_nothing_is_known_and_the_index_does_not_rest_on_it() -> None:
    fused = FusedFatigue(2)
    train = _fresh().rest(0.9, dead=True)
    assert train.said()[1].valid
    assert fused.step(train.t_ns, train.estimator.fields(train.t_ns))[0].valid
    train.rest(0.1, dead=True)
    assert train.said()[1] == Measure(reason="electrode off for 1 s")
    index = fused.step(train.t_ns, train.estimator.fields(train.t_ns))[0]
    assert (index.valid, index.reason) == (False, "electrode off for 1 s")


def test_after_an_electrode_was_off_the_term_goes_on_from_what_it_was_and_may_have_recovered() -> None:
    train = _fresh().give(200, width_ms=1.4 / 0.8)
    before = train.said()[1]
    train.rest(1.0, dead=True).rest(0.1)
    assert train.said()[1].reason == "not enough evidence: no averages of M-waves since electrode off for 1 s"
    train.give(60, width_ms=1.4 / 0.8)
    assert train.said()[1].reason == "not enough evidence: 6 of 7 averages of M-waves since electrode off for 1 s"
    after = train.give(20, width_ms=1.4 / 0.8).said()[1]
    assert before.value is not None
    assert after.value == pytest.approx(before.value, abs=0.05)
    assert after.low is not None
    assert after.low < 0.0


def test_after_a_long_gap_too_waves_are_not_compared_with_those_before() -> None:
    assert _fresh().rest(0.01, lost_hops=999).said()[1].valid
    why = _fresh().rest(0.01, lost_hops=1000).said()[1].reason
    assert why == "not enough evidence: no averages of M-waves since a gap of 10 s in the EMG"


def test_what_pulses_alone_spoil_is_no_dead_electrode() -> None:
    assert _fresh().rest(3.0, spoilt=True).said()[1].valid
    # But what is dead and now and then spoilt by a pulse is.
    train = _fresh()
    for _ in range(60):
        train.rest(0.02, dead=True).rest(0.01, spoilt=True)
    assert train.said()[1].reason == "electrode off for 1 s"


def test_without_emg_nothing_is_known() -> None:
    train = _fresh()
    assert train.estimator.fields(train.t_ns + 150_000_000)["fatigue_mwave"][0].valid
    silent = train.estimator.fields(train.t_ns + 151_000_000)["fatigue_mwave"]
    assert silent[0] == Measure(reason="no EMG")
    assert silent[1].reason == "no stimulation channel drives this muscle"
    assert train.rest(0.3).said()[1].valid


@pytest.mark.parametrize("phase_rows", [0.0, 0.1, 0.3, 0.5, 0.9])
def test_at_fifty_pulses_a_second_there_are_m_waves(phase_rows: float) -> None:
    emg = SampleDescriptor(
        topic="emg/s", rate_hz=2000.0, dtype="<f8", channels=("a", "b"), units=("V",) * 2, scale=(1e-6,) * 2,
        offset=(0.0,) * 2,
    )  # fmt: skip
    conditioner = Conditioner(ConditioningSettings(notch="off"), emg, (0, 1), stimulated=True)
    rows, rng = np.arange(4000), np.random.default_rng(2)
    z = ((rows - phase_rows) % 40 - 16.0) / 3.0
    raw = (-2000.0 * z * np.exp(0.5 - 0.5 * z * z))[:, None] * [1.0, 0.1] + rng.normal(0.0, 10.0, (4000, 2))
    estimator, frames, reasons = MWaves(MWaveSettings(), _setup()), 0, set()
    for hop in range(200):
        now_ns = 10**9 + (20 * hop + 19) * 500_000
        if hop > 20 and hop % 2 == 0:
            pulse_ns = 10**9 + round((20 * hop + phase_rows) * 500_000)
            conditioner.hear(
                Pulses(channel="ch1", t_ns=(pulse_ns,), uncertainty_ns=0, kind="sent", current_ma=20.0, phase_us=250.0)
            )
        hops = conditioner.add(Samples(first_sample=20 * hop, t_ns=now_ns), raw[20 * hop : 20 * hop + 20], 1)
        for each in hops + conditioner.release(now_ns, True):
            frames += len(each.evoked)
            estimator.hear(_heard(each.t_ns, each.evoked), Situation(each.t_ns, report=_report(20.0)))
            reasons.add(estimator.fields(each.t_ns)["fatigue_mwave"][0].reason)
    assert frames > 60
    assert estimator.fields(10**9)["mwave"][0] is not None
    assert not any("the next pulse" in reason for reason in reasons)


def test_a_channel_that_dies_while_pulses_flow_is_noticed_and_the_other_is_not() -> None:
    emg = SampleDescriptor(
        topic="emg/s", rate_hz=2000.0, dtype="<f8", channels=("a", "b"), units=("V",) * 2, scale=(1e-6,) * 2,
        offset=(0.0,) * 2,
    )  # fmt: skip
    conditioner = Conditioner(ConditioningSettings(notch="off"), emg, (0, 1), stimulated=True)
    raw = np.random.default_rng(2).normal(0.0, 10.0, (8000, 2))
    raw[4000:, 0] = np.nan
    watch, off_at = ElectrodeWatch(2, 0.01), []
    for hop in range(400):
        now_ns = 10**9 + (20 * hop + 19) * 500_000
        if hop > 20 and hop % 3 == 0:
            pulse = Pulses(
                channel="ch1",
                t_ns=(10**9 + 20 * hop * 500_000,),
                uncertainty_ns=0,
                kind="sent",
                current_ma=20.0,
                phase_us=250.0,
            )
            conditioner.hear(pulse)
        hops = conditioner.add(Samples(first_sample=20 * hop, t_ns=now_ns), raw[20 * hop : 20 * hop + 20], 1)
        for each in hops + conditioner.release(now_ns, True):
            heard = _heard(each.t_ns, each.evoked)
            heard.share_hop, heard.invalid_share = each.good.mean(axis=0), each.invalid / 20
            if watch.hear(heard).size:
                off_at.append((each.t_ns - 10**9) * 1e-9)
    assert watch.off == [True, False]
    assert off_at == [pytest.approx(3.0, abs=0.1)]


def test_pulses_too_far_apart_for_averages_are_said_to_be_so() -> None:
    train = Train()
    assert train.give(2, interval_ns=300_000_000).said()[1].reason == "no pulse yet"
    assert train.give(20, interval_ns=300_000_000).said()[1].reason == ("fewer than 4 pulses/s: too few for an average")
    assert train.give(12).said()[1].reason.startswith("not enough evidence: M-waves still grow")
    # What was known before stays until it is old.
    assert _fresh().give(20, interval_ns=300_000_000).said()[1].valid


def test_frames_in_a_spasm_and_of_other_channels_do_not_count() -> None:
    train = Train().give(30, spasm=True).give(30, channel="ch7")
    assert train.said() == (None, Measure(reason="no pulse yet"))
    assert train.give(10, channel="").said()[0] is not None  # there is but one channel it can be of


def test_a_current_that_changes_from_pulse_to_pulse_gives_no_average() -> None:
    train = Train()
    for n in range(40):
        train.give(1, current_ma=5.0 * 1.06**n)
    assert train.said() == (None, Measure(reason="not enough evidence: the current changes from pulse to pulse"))


@pytest.mark.parametrize("cut", [3, 27, 283, 341])
def test_saved_and_restored_it_goes_on_bit_for_bit(cut: int) -> None:
    one, other = Train().give(cut), Train().give(cut)
    other.estimator = MWaves(MWaveSettings(), _setup())
    other.estimator.restore(json.loads(json.dumps(one.estimator.state())))
    assert one.give(77, width_ms=1.5).said() == other.give(77, width_ms=1.5).said()
    assert one.estimator.state() == other.estimator.state()


def test_the_term_is_wide_where_width_and_size_disagree() -> None:
    first = np.zeros((5, 2)) + np.array([[0.0, 0.0]]) * 0
    agree = fatigue_of_mwaves(first, np.tile([0.1, -0.06], (6, 1)))
    apart = fatigue_of_mwaves(first, np.tile([0.1, 0.6], (6, 1)))
    assert apart[1] > agree[1]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"pulses": 0}, "mwave.pulses is 0, allowed is 1 to 1000"),
        ({"begin_ms": 20.0}, "mwave.begin_ms to end_ms is 20 to 20, allowed is 0 <= begin < end <= 100"),
        ({"begin_ms": -1.0}, "mwave.begin_ms to end_ms is -1 to 20"),
        ({"begin_ms": 19.0}, "allowed is at least 5 samples, 2.5 ms"),
        ({"first": 1}, "mwave.first is 1, allowed is 2 to 100"),
        ({"skip_s": -1.0}, "mwave.skip_s is -1.0, allowed is 0 and above"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        MWaves(MWaveSettings(**given), _setup())

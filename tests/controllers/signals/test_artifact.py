"""What a pulse leaves is taken out, what cannot be is left out, and nothing else is."""

from __future__ import annotations

import json
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.settings import StimOutput
from myoloop.controllers.signals.artifact import ArtifactSettings, Bridge, Clipping
from myoloop.controllers.signals.conditioning import Conditioner, Hop
from myoloop.controllers.signals.conditioning_settings import ConditioningSettings
from myoloop.platform.messages import Pulses, Samples

TICK_NS = 10_000_000
BEGIN_NS = 1_000_000_000


def test_a_long_gap_is_bridged_by_one_straight_line_per_channel_and_nothing_else_is_changed() -> None:
    signal = np.stack([np.arange(60.0) ** 2, np.arange(60.0)], axis=1)
    filled, missing = signal.copy(), np.zeros((60, 2), dtype=bool)
    missing[5:31, 0] = missing[58:, 1] = True
    Bridge(2000.0).fill(filled, missing, np.zeros((Bridge.REACH, 2)))
    assert np.allclose(np.diff(filled[4:32, 0]), (31.0**2 - 4.0**2) / 27)
    assert filled[58:, 1].tolist() == [57.0, 57.0]  # its end is not in hand
    assert np.array_equal(filled[~missing], signal[~missing])


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(0, 40), st.floats(-1e4, 1e4))
def test_over_a_short_gap_a_level_stays_and_emg_is_partly_found_again(gap: int, at: int, level: float) -> None:
    from scipy.signal import butter, sosfilt

    white = np.random.default_rng(2).standard_normal((4000, 400))
    emg = sosfilt(butter(2, (40, 160), btype="bandpass", fs=2000, output="sos"), white, axis=0)[-60:]
    filled, missing = emg + level, np.zeros(emg.shape, dtype=bool)
    missing[at : at + gap] = True
    before = np.zeros((Bridge.REACH, 400)) + level if at >= 8 else emg[: Bridge.REACH] * 0 + level
    Bridge(2000.0).fill(filled, missing, before)
    if at >= 8 and 5 <= gap <= 10:
        off = filled[at : at + gap] - level - emg[at : at + gap]
        line = np.linspace(emg[at - 1], emg[at + gap], gap + 2)[1:-1] - emg[at : at + gap]
        assert np.mean(off**2) < 0.9 * np.mean(line**2)
    flat = np.full((60, 1), level)
    empty = np.zeros((60, 1), dtype=bool)
    empty[at : at + gap] = True
    flat[empty] = 7.0
    Bridge(2000.0).fill(flat, empty, np.full((Bridge.REACH, 1), level))
    assert np.allclose(flat, level, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(st.lists(st.integers(-60, 60), min_size=30, max_size=80), st.lists(st.integers(1, 30), min_size=1, max_size=9))
def test_the_rail_and_what_follows_it_is_marked_however_the_stream_is_cut(values: list[int], cuts: list[int]) -> None:
    stream = np.array(values, dtype=float)[:, None]
    clipping = Clipping(np.array([-50.0]), np.array([50.0]), 1, 4, 0.97)
    marked, at = [], 0
    for cut in [*cuts, len(values)]:
        block = stream[at : at + cut]
        if len(block):
            bad = np.zeros(block.shape, dtype=bool)
            clipping.mark(block, bad)
            marked.append(bad)
        at += cut
    clipped = np.abs(stream) >= 50
    expected = clipped.copy()
    for back in range(1, 5):
        expected[back:] |= clipped[:-back]
    assert np.array_equal(np.concatenate(marked), expected)


def test_flat_tops_are_found_where_nobody_tells_of_the_rail() -> None:
    t = np.arange(4000) / 2000.0
    wave = np.stack([np.clip(3000 * np.sin(2 * np.pi * 31 * t), -2000, 2000), 900 * np.sin(2 * np.pi * 31 * t)], axis=1)
    wave += np.random.default_rng(1).normal(0, 3.0, wave.shape)
    clipping = Clipping(None, None, 2, 0, 0.97)
    bad = np.zeros(wave.shape, dtype=bool)
    for at in range(0, 4000, 20):
        clipping.mark(wave[at : at + 20], bad[at : at + 20])
    flat = np.abs(3000 * np.sin(2 * np.pi * 31 * t)) > 2100
    assert bad[flat, 0].mean() > 0.95
    assert bad[np.abs(wave[:, 0]) < 1900, 0].mean() == 0


def _stimulated_emg(pulse_ms: list[float], seconds: float = 4.0) -> np.ndarray:
    rng = np.random.default_rng(3)
    emg = 20 * rng.standard_normal((round(seconds * 2000), 1)) + 900
    k = np.arange(36)
    wave = 3000 * np.exp(-k / 2.0) + 1500 * np.sin(k / 3.0) * np.exp(-(((k - 12) / 6) ** 2)) * (k < 34)
    for pulse in pulse_ms:
        row = round(pulse * 2)
        emg[row : row + 36, 0] += wave[: len(emg) - row]
    return np.round(emg).astype("<i2")


PULSES_MS = [500 + 28.6 * i for i in range(110)]


def _pulse(ms: float, current_ma: float = 20.0, uncertainty_ns: int = 0) -> Pulses:
    # Row i is half a millisecond later than i / 2 ms: a block's time is that of its newest row.
    return Pulses(
        channel="ch1", t_ns=(BEGIN_NS + 500_000 + round(ms * 1e6),), uncertainty_ns=uncertainty_ns, kind="sent",
        current_ma=current_ma, phase_us=250.0,
    )  # fmt: skip


def _listen(
    conditioner: Conditioner, raw: np.ndarray, pulse_ms: list[float], told_after_ms: float = 15.0, begin: int = 0
) -> list[Hop]:
    hops = []
    told = sum((ms + told_after_ms) <= begin * 10 for ms in pulse_ms)
    for n in range(begin, len(raw) // 20):
        now_ns = BEGIN_NS + (n + 1) * TICK_NS
        while told < len(pulse_ms) and BEGIN_NS + (pulse_ms[told] + told_after_ms) * 1e6 <= now_ns:
            conditioner.hear(_pulse(pulse_ms[told]))
            told += 1
        hops += conditioner.add(Samples(first_sample=20 * n, t_ns=now_ns), raw[20 * n : 20 * n + 20], 1)
        hops += conditioner.release(now_ns, True)
    return hops


def _sync(kit: SimpleNamespace, raw: np.ndarray, pulse_ms: list[float]) -> tuple[Conditioner, np.ndarray]:
    line = np.zeros((len(raw), 1), dtype="<i2")
    for pulse in pulse_ms:
        line[int(np.ceil(pulse * 2)) : int(np.ceil(pulse * 2)) + 2] = 1
    descriptor = kit.descriptor(channels=2, units=("V", "1"), scale=(1e-6, 1.0), sync_channel="e1")
    return Conditioner(ConditioningSettings(), descriptor, (0,), True), np.concatenate([raw, line], axis=1)


def _host(kit: SimpleNamespace, **more: object) -> Conditioner:
    given = ConditioningSettings(artifact=ArtifactSettings(**more))  # type: ignore[arg-type]
    return Conditioner(given, kit.descriptor(channels=1), (0,), True)


def _rms(hops: list[Hop]) -> float:
    samples = np.concatenate([hop.samples for hop in hops])
    good = np.concatenate([hop.good for hop in hops])
    return float(np.sqrt(np.mean(samples[good] ** 2)))


def _between(hops: list[Hop], begin_ms: float, end_ms: float) -> list[Hop]:
    return [hop for hop in hops if begin_ms * 1e6 < hop.t_ns - BEGIN_NS <= end_ms * 1e6]


@pytest.mark.parametrize("way", ["host", "sync", "artifact"])
def test_under_stimulation_most_of_the_emg_is_heard_and_its_level_is_its_own(kit: SimpleNamespace, way: str) -> None:
    clean, spoilt = _stimulated_emg([]), _stimulated_emg(PULSES_MS)
    expected = _rms(_listen(Conditioner(ConditioningSettings(), kit.descriptor(channels=1), (0,), False), clean, []))
    conditioner, told = _host(kit, pulses_from=way) if way != "sync" else None, PULSES_MS if way == "host" else []
    if conditioner is None:
        conditioner, spoilt = _sync(kit, spoilt, PULSES_MS)
    hops = _listen(conditioner, spoilt, told)
    assert conditioner.late_pulses == 0
    steady = _between(hops, 1500, 3500)
    assert np.mean([hop.good.mean() for hop in steady]) > 0.7
    assert all(hop.invalid.max() == 0 for hop in steady)
    assert _rms(steady) == pytest.approx(expected, rel=0.12)
    untreated = Conditioner(ConditioningSettings(), kit.descriptor(channels=1), (0,), False)
    assert _rms(_listen(untreated, spoilt[:, :1], [])) > 10 * expected


@pytest.mark.parametrize("way", ["host", "sync"])
def test_while_a_template_is_learned_the_blank_is_as_long_as_an_mwave(kit: SimpleNamespace, way: str) -> None:
    spoilt = _stimulated_emg(PULSES_MS)
    conditioner, told = _host(kit), PULSES_MS
    if way == "sync":
        (conditioner, spoilt), told = _sync(kit, spoilt, PULSES_MS), []
    hops = _listen(conditioner, spoilt, told)
    good = np.concatenate([hop.good[:, 0] for hop in hops])
    ms = np.arange(len(good)) / 2.0
    for pulse in PULSES_MS[:4]:
        assert not good[(ms > pulse - 0.4) & (ms < pulse + 17.9)].any()
    for pulse in PULSES_MS[:-2]:
        assert not good[(ms > pulse - 0.4) & (ms < pulse + 2.9)].any()
    assert good[(ms > PULSES_MS[0] + 19) & (ms < PULSES_MS[1] - 1)].all()


def test_with_a_trigger_channel_hardly_anything_waits(kit: SimpleNamespace) -> None:
    conditioner, raw = _sync(kit, _stimulated_emg(PULSES_MS), PULSES_MS)
    waited = []
    for n in range(len(raw) // 20):
        now_ns = BEGIN_NS + (n + 1) * TICK_NS
        conditioner.add(Samples(first_sample=20 * n, t_ns=now_ns), raw[20 * n : 20 * n + 20], 1)
        conditioner.release(now_ns, True)
        waited.append((now_ns - (conditioner.released_ns or now_ns)) * 1e-6)
    assert max(waited) <= 10
    assert np.median(waited[60:]) == 0


def test_news_from_the_host_is_waited_for_only_until_the_train_is_known(kit: SimpleNamespace) -> None:
    conditioner, raw = _host(kit), _stimulated_emg(PULSES_MS)
    waited, told = [], 0
    for n in range(len(raw) // 20):
        now_ns = BEGIN_NS + (n + 1) * TICK_NS
        while told < len(PULSES_MS) and PULSES_MS[told] + 22 <= (n + 1) * 10:
            conditioner.hear(_pulse(PULSES_MS[told]))
            told += 1
        conditioner.add(Samples(first_sample=20 * n, t_ns=now_ns), raw[20 * n : 20 * n + 20], 1)
        conditioner.release(now_ns, True)
        waited.append((now_ns - (conditioner.released_ns or now_ns)) * 1e-6)
    assert set(waited[5:50]) == {30.0}
    assert max(waited[70:350]) <= 10
    assert conditioner.late_pulses == 0


def test_an_evoked_frame_is_the_emg_as_it_was_before_anything_was_subtracted(kit: SimpleNamespace) -> None:
    raw = _stimulated_emg(PULSES_MS)
    hops = _listen(_host(kit), raw, PULSES_MS)
    frames = [each for hop in hops for each in hop.evoked]
    assert len(frames) >= 105
    for frame, pulse in zip(frames[20:60], PULSES_MS[20:60], strict=True):
        assert frame.channel == "ch1"
        assert abs((frame.t_ns - BEGIN_NS) * 1e-6 - 0.5 - pulse) < 0.1
        rows = np.round((frame.t_ns - BEGIN_NS) * 2e-6 - 1 + frame.since_ms * 2).astype(int)
        level = raw[rows[0] - 14 : rows[0], 0].mean()
        assert np.allclose(frame.frame_uv[:, 0], raw[rows, 0] - level)
        assert frame.good.all()
        assert frame.since_ms[-1] > 27


def test_a_spasm_under_stimulation_is_left_in_the_emg_and_out_of_the_template(kit: SimpleNamespace) -> None:
    raw = _stimulated_emg(PULSES_MS).astype(float)
    burst = 200 * np.random.default_rng(9).standard_normal(1600)
    raw[4000:5600, 0] += burst
    conditioner = _host(kit)
    hops = []
    for n in range(len(raw) // 20):
        conditioner.freeze(np.array([2000 <= n * 10 < 2800]))
        hops += _listen(conditioner, np.round(raw[: 20 * n + 20]).astype("<i2"), PULSES_MS, begin=n)
    # White noise of 200 and of 20 uV, of which the band keeps 43 % of the power.
    assert _rms(_between(hops, 2050, 2800)) == pytest.approx(131, rel=0.15)
    assert _rms(_between(hops, 2950, 3500)) == pytest.approx(13.1, rel=0.25)


@pytest.mark.parametrize("cut", [5, 52, 55, 83, 120, 333])
@pytest.mark.parametrize("way", ["host", "sync", "artifact"])
def test_saved_and_restored_in_mid_train_it_goes_on_bit_for_bit(kit: SimpleNamespace, way: str, cut: int) -> None:
    raw, told = _stimulated_emg(PULSES_MS), PULSES_MS if way == "host" else []

    def made() -> tuple[Conditioner, np.ndarray]:
        return _sync(kit, raw, PULSES_MS) if way == "sync" else (_host(kit, pulses_from=way), raw)

    (one, rows), (other, _) = made(), made()
    _listen(one, rows[: 20 * cut], told)
    other.restore(json.loads(json.dumps(one.state())))

    def rest(conditioner: Conditioner) -> list[tuple[bytes, bytes, list[bytes]]]:
        return [
            (hop.samples.tobytes(), hop.good.tobytes(), [each.frame_uv.tobytes() for each in hop.evoked])
            for hop in _listen(conditioner, rows, told, begin=cut)
        ]

    assert rest(one) == rest(other)


def test_after_a_step_of_the_current_what_the_template_leaves_is_blanked_until_it_is_known_again(
    kit: SimpleNamespace,
) -> None:
    before, after = PULSES_MS[:50], PULSES_MS[50:]
    raw = _stimulated_emg(before).astype(float) + 1.4 * (_stimulated_emg(after) - _stimulated_emg([]).astype(float))
    conditioner = _host(kit)
    hops = []
    for n in range(len(raw) // 20):
        now_ns = BEGIN_NS + (n + 1) * TICK_NS
        for ms in PULSES_MS:
            if n * 10 < ms + 15 <= (n + 1) * 10:
                conditioner.hear(_pulse(ms, 20.0 if ms in before else 28.0))
        hops += conditioner.add(
            Samples(first_sample=20 * n, t_ns=now_ns), raw[20 * n : 20 * n + 20].round().astype("<i2"), 1
        )
        conditioner.hear_currents({"ch1": 20.0 if (n + 1) * 10 < before[-1] + 14 else 28.0})
        hops += conditioner.release(now_ns, True)
    assert _rms(_between(hops, after[0], after[8])) < 30
    assert _rms(_between(hops, after[20], after[50])) == pytest.approx(13.1, rel=0.2)


def test_a_recording_of_somebody_else_is_not_touched(kit: SimpleNamespace) -> None:
    raw = _stimulated_emg([])
    hops = _listen(Conditioner(ConditioningSettings(), kit.descriptor(channels=1), (0,), False), raw, PULSES_MS)
    assert not any(hop.blanked for hop in hops)
    # Nor does it wait: the newest hop is there at once.
    assert hops[-1].t_ns == BEGIN_NS + len(raw) // 20 * TICK_NS


def test_news_of_a_pulse_that_comes_too_late_is_counted_and_the_filter_settles(kit: SimpleNamespace) -> None:
    conditioner = _host(kit)
    hops = _listen(conditioner, _stimulated_emg([500.0], 1.0), [500.0], told_after_ms=80.0)
    assert conditioner.late_pulses == 1
    assert not any(hop.good.any() for hop in _between(hops, 580, 640))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"after_ms": -1.0}, r"after_ms is -1.0, allowed is 0 to 1000"),
        ({"before_ms": float("nan")}, "before_ms is nan, allowed"),
        ({"after_ms": 19.0}, "after_ms is 19, allowed is at most mwave_ms, 18 ms"),
        ({"template_ms": 10.0}, "mwave_ms is 18, allowed is at most template_ms, 10 ms"),
        ({"open_ms": 40.0}, "open_ms is 40, allowed is at most wait_ms, 30 ms"),
        ({"template_pulses": 1}, "template_pulses is 1, allowed is 2 to 1000"),
        ({"left_ratio": 0.5}, "left_ratio is 0.5, allowed is 1 and above"),
        ({"flat_top": 0.0}, "flat_top is 0.0"),
        ({"onset_threshold": 0.5}, "onset_threshold is 0.5"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(given: dict[str, float], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ArtifactSettings(**given)  # type: ignore[arg-type]


def test_a_pulse_rate_that_leaves_nothing_to_hear_is_refused(kit: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match=r"after_ms is 3.5, allowed is less than the pulse interval of ch1, 3.333 ms"):
        ArtifactSettings().check_rate("ch1", 300.0)
    with pytest.raises(ValueError, match=r"gap_ms is 500, allowed is more than the pulse interval of ch1, 1000 ms"):
        ArtifactSettings().check_rate("ch1", 1.0)
    ArtifactSettings().check_rate("ch1", 50.0)
    with pytest.raises(ValueError, match="pulses_from is 'sync', allowed only where a sync channel is declared"):
        _host(kit, pulses_from="sync")


def test_a_controller_whose_channels_leave_nothing_to_hear_is_refused(kit: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match=r"allowed is less than the pulse interval of ch1, 2\.5 ms"):
        kit.settings(stim=(StimOutput(channel="ch1", phase_us=250.0, rate_hz=400.0),))


@pytest.mark.parametrize("way", ["host", "sync"])
def test_channels_that_are_pulsed_together_have_one_template_and_each_its_frames(
    kit: SimpleNamespace, way: str
) -> None:
    raw = _stimulated_emg(PULSES_MS)
    conditioner, rows = _sync(kit, raw, PULSES_MS) if way == "sync" else (_host(kit), raw)
    hops = []
    for n in range(len(raw) // 20):
        now_ns = BEGIN_NS + (n + 1) * TICK_NS
        for ms in PULSES_MS:
            if n * 10 < ms + 12 <= (n + 1) * 10:
                for channel in ("left", "right"):
                    conditioner.hear(msgspec.structs.replace(_pulse(ms), channel=channel))
        hops += conditioner.add(Samples(first_sample=20 * n, t_ns=now_ns), rows[20 * n : 20 * n + 20], 1)
        hops += conditioner.release(now_ns, True)
    steady = _between(hops, 1500, 3500)
    assert np.mean([hop.good.mean() for hop in steady]) > 0.7
    assert _rms(steady) == pytest.approx(13.1, rel=0.15)
    names = [each.channel for hop in _between(hops, 1000, 3500) for each in hop.evoked]
    assert names.count("left") == names.count("right") == len(names) / 2 > 80


def test_an_onset_that_fits_no_train_is_blanked_though_it_is_not_believed(kit: SimpleNamespace) -> None:
    raw = _stimulated_emg([*PULSES_MS[:60], PULSES_MS[60] + 10.0])
    conditioner = _host(kit, pulses_from="artifact")
    hops = _listen(conditioner, raw, [])
    good = np.concatenate([hop.good[:, 0] for hop in hops])
    odd = round((PULSES_MS[60] + 10.0) * 2)
    assert not good[odd : odd + 34].any()

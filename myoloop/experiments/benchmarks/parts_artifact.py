"""Stimulation artifact and M-wave: what is left of them, and what of the EMG is lost, by the controller's front end.

Three kinds of EMG: one with an artifact added by others to a real recording, of which the clean half is known; scenes
of our own, of which all is known; and two real recordings under stimulation, of which nothing is, so that they are
judged by what a clean recording must be like. Every figure is taken after the learning time; where there is a truth,
both it and what is compared with it have gone through the same filter. The waveform's signal-to-noise ratio counts the
samples that the controller holds to be good; level and spectrum of a cleaned waveform are those of the waveform as it
is given, gaps filled, unless "good samples" is said. The simplest known methods are told all pulses exactly and see the
whole recording at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.artifact import ArtifactSettings
from myoloop.controllers.signals.mwave import describe, on_grid, without_tail
from myoloop.experiments.benchmarks.artifact_baselines import blank, comb, mean_template
from myoloop.experiments.benchmarks.artifact_scenes import RATE_HZ, Heard, Scene, draw_scene, listen
from myoloop.experiments.benchmarks.findings import LEFT_OUT, Finding, mean_over_subjects
from myoloop.experiments.benchmarks.recordings import folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "artifact"
RECORDINGS = "fes_emg_artifact"
SECONDS = 30.0
#: Learning time of the pair, of a scene, and of a spinal frame (which is 5 s long), s.
PAIR_LEARNS_S, SCENE_LEARNS_S, FRAME_LEARNS_S = 1.0, 10.0, 1.0
#: Frames of the spinal recording in which the artifact is clearly above the background, and their fundamentals.
SPINAL_FRAMES = (5, 6, 7)
_FUNDAMENTAL_HZ = (15.0477425, 15.051505, 15.0462375)
#: The FES record: amplifiers clip here; channels are pulsed in groups of some 15 ms; volitional channels.
RAIL_UV, GROUP_MS, TRAPEZIUS = 5450.0, 22.0, ("EMG10", "EMG14")
_WINDOW_S = 0.25

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Say = Callable[[str], None]


def measure(subjects: int, seeds: int, first_seed: int, say: Say) -> tuple[list[Finding], dict[str, Any]]:
    """Clean scenes of `subjects` people `seeds` times, and the real recordings where they are."""
    say(f"artifact: {subjects} people x {seeds} of {SECONDS:g} s")
    findings, curves = _scenes(subjects, seeds, first_seed)
    where = folder(RECORDINGS)
    if where is None:
        say(f"{LEFT_OUT}artifact: no recordings {RECORDINGS!r}: the pair, the spinal frames and the FES record")
        return findings, curves
    say("artifact: real recordings")
    with np.load(where / "semisynthetic_pair_2000Hz.npz") as pair:
        # Arbitrary units; about those of surface EMG if one is a millivolt.
        clean, seen = (1e3 * pair[name].astype(np.float64)[:, None] for name in ("clean", "contaminated"))
    found, curves["pair"] = _pair(clean, seen)
    findings += found
    with np.load(where / "tscs_9frames_2ch.npz") as spinal:
        frames, rate_hz = 1e6 * spinal["emg_V"].astype(np.float64), float(spinal["fs"])
    findings += _spinal(frames, rate_hz)
    with np.load(where / "fes_handcycling_16ch_2000Hz.npz") as record:
        emg, names = 1e6 * record["emg_V"].astype(np.float64).T, [str(name) for name in record["channels"]]
    found, curves["record"] = _record(emg, names)
    return findings + found, curves


def wave_snr_db(clean: Array, cleaned: Array, good: Mask) -> Array:
    """10 log10 of the energy of what is clean over that of the error, over good samples: (channels,)."""
    n = min(len(clean), len(cleaned))
    wanted, error = clean[:n] * good[:n], (cleaned[:n] - clean[:n]) * good[:n]
    ratio: Array = 10 * np.log10((wanted**2).sum(axis=0) / (error**2).sum(axis=0))
    return ratio


def levels(samples: Array, good: Mask, rate_hz: float, window_s: float = _WINDOW_S) -> Array:
    """RMS over good samples, window by window; NaN where fewer than a tenth are."""
    size = round(window_s * rate_hz)
    n = len(samples) // size * size
    shape = (n // size, size, samples.shape[1])
    squares = (samples[:n] ** 2 * good[:n]).reshape(shape).sum(axis=1)
    count = good[:n].reshape(shape).sum(axis=1)
    made: Array = np.sqrt(np.where(count >= 0.1 * size, squares / np.maximum(count, 1), np.nan))
    return made


def correlation(a: Array, b: Array) -> Array:
    """Pearson's, column by column, over the rows where both are known."""
    made = []
    for one, other in zip(a.T, b.T, strict=True):
        known = np.isfinite(one) & np.isfinite(other)
        made.append(np.corrcoef(one[known], other[known])[0, 1])
    return np.array(made)


def _scenes(subjects: int, seeds: int, first_seed: int) -> tuple[list[Finding], dict[str, Any]]:
    learns = round(SCENE_LEARNS_S * RATE_HZ)
    ways = ("trigger", "host", "mean", "blank", "comb")
    table = {way: np.zeros((5, subjects, seeds)) for way in ways}
    mwave, mwave_plain = np.zeros((subjects, seeds)), np.zeros((subjects, seeds))
    curves: dict[str, Any] = {}
    for seed in range(seeds):
        scene = draw_scene(subjects, first_seed, first_seed + seed, SECONDS)
        truth = listen(scene.emg, ArtifactSettings(), stimulated=False)
        heard = {
            "trigger": listen(scene.seen, ArtifactSettings(), trigger_rows=scene.pulse_rows),
            "host": listen(scene.seen, ArtifactSettings(), told_rows=scene.planned_rows),
            **_simple(scene.seen, scene.pulse_rows, RATE_HZ, 1),
        }
        for way, each in heard.items():
            n = min(len(each.samples), len(truth.samples))
            part = slice(learns, n)
            clean, cleaned, good = truth.samples[part], each.samples[part], each.good[part]
            table[way][0, :, seed] = wave_snr_db(clean, cleaned, good)
            every = np.ones_like(good)
            true = levels(clean, every, RATE_HZ)
            table[way][1, :, seed] = correlation(true, levels(cleaned, every, RATE_HZ))
            table[way][2, :, seed] = np.abs(_mdf(cleaned) - _mdf(clean))
            table[way][3, :, seed] = good.mean(axis=0)
            table[way][4, :, seed] = correlation(true, levels(cleaned, good, RATE_HZ))
        mwave[:, seed], mwave_plain[:, seed] = _mwave_errors(scene, heard["trigger"])
        if seed == 0:
            part = slice(learns, learns + round(0.3 * RATE_HZ))
            own = heard["trigger"]
            curves["scene"] = {
                "t_s": (np.arange(part.start, part.stop) / RATE_HZ).tolist(),
                "seen_uv": scene.seen[part, 0].tolist(),
                "clean_uv": truth.samples[part, 0].tolist(),
                "cleaned_uv": _told(own.samples[part, 0], own.good[part, 0]),
            }
    return _scene_findings(table, mwave, mwave_plain), curves


def _scene_findings(table: dict[str, Array], mwave: Array, mwave_plain: Array) -> list[Finding]:
    findings = []
    names = {"trigger": "trigger channel", "host": "host's news, 20 ms late"}
    best = max(("blank", "comb", "mean"), key=lambda way: float(table[way][0].mean()))
    says = {"mean": "mean of 20 frames", "blank": "blank of 15 ms", "comb": "comb"}
    for way, name in names.items():
        value, low, high = mean_over_subjects(table[way][0])
        findings.append(
            Finding(
                part=NAME, what=f"waveform SNR, scenes, {name}", value=value, low=low, high=high, unit="dB",
                target=10.0 if way == "trigger" else None, baseline=says[best],
                baseline_value=float(table[best][0].mean()), n=table[way][0].size,
            )
        )  # fmt: skip
    rows: tuple[tuple[int, str, str, float | None, Literal["at least", "at most"], str], ...] = (
        (1, "correlation of level", "", 0.99, "at least", "blank"),
        (4, "correlation of level, good samples", "", None, "at least", "blank"),
        (2, "error of median frequency", "Hz", 6.0, "at most", "blank"),
    )
    for row, what, unit, target, sense, other in rows:
        value, low, high = mean_over_subjects(table["trigger"][row])
        findings.append(
            Finding(
                part=NAME, what=f"{what}, scenes, trigger channel", value=value, low=low, high=high, unit=unit,
                target=target, sense=sense, baseline=says[other], baseline_value=float(table[other][row].mean()),
                n=table["trigger"][row].size,
            )
        )  # fmt: skip
    value, low, high = mean_over_subjects(100 * table["trigger"][3])
    findings.append(
        Finding(
            part=NAME, what="share of samples that can be used, scenes", value=value, low=low, high=high, unit="%",
            baseline=says["blank"], baseline_value=100 * float(table["blank"][3].mean()), n=mwave.size,
        )
    )  # fmt: skip
    value, low, high = mean_over_subjects(100 * mwave)
    findings.append(
        Finding(
            part=NAME, what="error of M-wave peak to peak, scenes", value=value, low=low, high=high, unit="%",
            target=5.0, sense="at most", baseline="amplifier's recovery left in",
            baseline_value=100 * float(mwave_plain.mean()), n=mwave.size,
        )
    )  # fmt: skip
    return findings


def _simple(seen: Array, pulses: Array, rate_hz: float, every: int) -> dict[str, Heard]:
    """The simplest methods, through the same filter."""
    period = round(float(np.median(np.diff(pulses)))) * every
    blanked, blank_good = blank(seen, pulses, rate_hz)
    templated, template_good = mean_template(seen, pulses, rate_hz, every=every)
    every_row = np.ones(len(seen), dtype=np.bool_)
    made = {}
    for way, array, good in (
        ("blank", blanked, blank_good),
        ("comb", comb(seen, period), every_row),
        ("mean", templated, template_good),
    ):
        heard = listen(array, ArtifactSettings(), rate_hz=rate_hz, stimulated=False)
        mask = np.repeat(good[: len(heard.samples), None], seen.shape[1], axis=1)
        made[way] = Heard(heard.samples, mask, heard.invalid, (), heard.waited_ms)
    return made


def _mwave_errors(scene: Scene, heard: Heard) -> tuple[Array, Array]:
    """Mean relative error of the peak to peak of averages of ten: as the controller takes it, and as it is seen."""
    step_ms, begin, rows = 1e3 / RATE_HZ, 6, 41
    errors = []
    learned = [frame for frame in heard.evoked if frame.t_ns - 10**9 > SCENE_LEARNS_S * 1e9]
    for at in range(0, len(learned) - 10, 10):
        seen, true = [], []
        for frame in learned[at : at + 10]:
            seen.append(on_grid(frame.frame_uv, frame.since_ms, step_ms, rows))
            first = (frame.t_ns - 10**9) * 1e-9 * RATE_HZ + frame.since_ms / step_ms
            true.append(on_grid(scene.mwave[np.round(first).astype(int)], frame.since_ms, step_ms, rows))
        wave, truth = np.mean(seen, axis=0)[begin:], np.mean(true, axis=0)[begin:]
        errors.append([_sizes(without_tail(wave, step_ms)), np.ptp(wave, axis=0), np.ptp(truth, axis=0)])
    table = np.array(errors)
    made = np.abs(table[:, :2] / table[:, 2:] - 1.0).mean(axis=0)
    return made[0], made[1]


def _sizes(waves: Array) -> Array:
    return np.array([describe(wave, 3.0, 1e3 / RATE_HZ).peak_to_peak_uv for wave in waves.T])


def _told(samples: Array, good: npt.NDArray[np.bool_]) -> list[Any]:
    """For a figure: numbers, and None where a sample is not good."""
    told: list[Any] = np.where(good, samples, np.array(None)).tolist()
    return told


def _mdf(samples: Array, rate_hz: float = RATE_HZ) -> Array:
    """Median frequency, 10 to 500 Hz: (channels,)."""
    from scipy.signal import welch

    f, power = welch(samples, rate_hz, nperseg=round(0.5 * rate_hz), axis=0)
    band = (f >= 10) & (f <= 500)
    share = np.cumsum(power[band], axis=0) / power[band].sum(axis=0)
    return np.array([np.interp(0.5, column, f[band]) for column in share.T])


def _pair(clean: Array, seen: Array) -> tuple[list[Finding], dict[str, Any]]:
    """50 pulses/s whose polarity alternates, on a real contraction."""
    settings = ArtifactSettings(pulses_from="artifact")
    truth = listen(clean, settings, stimulated=False)
    own = listen(seen, settings, rail_uv=None)
    ways = {"own": own, **_simple(seen, np.arange(0.5, len(seen) - 40, 40), RATE_HZ, 2)}
    learns = round(PAIR_LEARNS_S * RATE_HZ)
    figures = {}
    for way, each in ways.items():
        part = slice(learns, min(len(each.samples), len(truth.samples)))
        good, every = each.good[part], np.ones_like(each.good[part])
        true = levels(truth.samples[part], every, RATE_HZ)
        figures[way] = (
            float(wave_snr_db(truth.samples[part], each.samples[part], good)[0]),
            float(correlation(true, levels(each.samples[part], every, RATE_HZ))[0]),
            float(abs(_mdf(each.samples[part]) - _mdf(truth.samples[part]))[0]),
            float(correlation(true, levels(each.samples[part], good, RATE_HZ))[0]),
        )
    findings = [
        Finding(part=NAME, what="waveform SNR, pair of alternating polarity", value=figures["own"][0], unit="dB",
                target=10.0, baseline="mean of 20 frames of two pulses", baseline_value=figures["mean"][0]),
        Finding(part=NAME, what="correlation of level, pair", value=figures["own"][1], target=0.99,
                baseline="comb", baseline_value=figures["comb"][1]),
        Finding(part=NAME, what="correlation of level, good samples, pair", value=figures["own"][3],
                baseline="blank of 15 ms", baseline_value=figures["blank"][3]),
        Finding(part=NAME, what="error of median frequency, pair", value=figures["own"][2], unit="Hz", target=6.0,
                sense="at most", baseline="blank of 15 ms", baseline_value=figures["blank"][2]),
        Finding(part=NAME, what="share of samples that can be used, pair", value=100 * float(own.good[learns:].mean()),
                unit="%"),
    ]  # fmt: skip
    part = slice(round(2.5 * RATE_HZ), round(2.7 * RATE_HZ))
    return findings, {
        "t_s": (np.arange(part.start, part.stop) / RATE_HZ).tolist(),
        "seen_uv": seen[part, 0].tolist(),
        "clean_uv": truth.samples[part, 0].tolist(),
        "cleaned_uv": _told(own.samples[part, 0], own.good[part, 0]),
    }


def harmonic_power(samples: Array, rate_hz: float, fundamental_hz: float) -> tuple[float, float]:
    """Mean power within 0.5 Hz of the harmonics and elsewhere, 14 to 450 Hz, by one Hann periodogram."""
    from scipy.signal import periodogram

    f, power = periodogram(samples - samples.mean(), rate_hz, window="hann")
    order = np.round(f / fundamental_hz)
    near = (np.abs(f - order * fundamental_hz) <= 0.5) & (order >= 1)
    band = (f >= 14) & (f <= 450)
    return float(power[near & band].mean()), float(power[~near & band].mean())


def _spinal(frames: Array, rate_hz: float) -> list[Finding]:
    """30 pulses/s of alternating size over the spine: harmonics must go, what lies between them must stay."""
    learns = round(FRAME_LEARNS_S * rate_hz)
    attenuation, background, gaps = [], [], []
    for number, fundamental in zip(SPINAL_FRAMES, _FUNDAMENTAL_HZ, strict=True):
        seen = frames[number].T
        settings = ArtifactSettings(pulses_from="artifact")
        untreated = listen(seen, settings, rate_hz=rate_hz, stimulated=False)
        own = listen(seen, settings, rate_hz=rate_hz, rail_uv=None)
        n = min(len(own.samples), len(untreated.samples))
        since_ms = _since_ms(own, n, rate_hz)
        late = (since_ms > 18) & (np.arange(n) >= learns)
        for channel in range(seen.shape[1]):
            before = harmonic_power(untreated.samples[learns:n, channel], rate_hz, fundamental)
            after = harmonic_power(own.samples[learns:n, channel], rate_hz, fundamental)
            attenuation.append(10 * np.log10(before[0] / after[0]))
            background.append(10 * np.log10(after[1] / before[1]))
            both = late & own.good[:n, channel]
            power = [np.mean(each.samples[:n][both, channel] ** 2) for each in (own, untreated)]
            gaps.append(10 * np.log10(power[0] / power[1]))
    return [
        Finding(part=NAME, what="attenuation of harmonics, spinal frames 5 to 7, least of six", unit="dB",
                value=float(np.min(attenuation)), target=10.0, n=len(attenuation)),
        Finding(part=NAME, what="attenuation of harmonics, spinal frames 5 to 7, mean", unit="dB",
                value=float(np.mean(attenuation)), n=len(attenuation)),
        Finding(part=NAME, what="change of background between harmonics, spinal frames 5 to 7, mean of absolute",
                value=float(np.mean(np.abs(background))), unit="dB", target=0.5, sense="at most", n=len(background)),
        Finding(part=NAME, what="change of EMG from 18 ms after a pulse on, spinal frames 5 to 7, largest",
                value=float(np.max(np.abs(gaps))), unit="dB", target=0.5, sense="at most", n=len(gaps)),
    ]  # fmt: skip


def _record(emg: Array, names: Sequence[str]) -> tuple[list[Finding], dict[str, Any]]:
    """FES cycling: groups of muscles in turn, channels of a group one behind the other; neighbours at their rails.

    The trapezii are not stimulated. What their EMG is, is known where no artifact reaches: from 18 ms after a group's
    pulses on, and between trains. There the untreated EMG is the reference; how
    well two halves of it agree with one another is the most that can be asked for.
    """
    settings = ArtifactSettings(pulses_from="artifact", refractory_ms=GROUP_MS)
    untreated = listen(emg, settings, stimulated=False)
    told, found = listen(emg, settings, rail_uv=RAIL_UV), listen(emg, settings, rail_uv=None)
    n = min(len(told.samples), len(untreated.samples))
    clipped = np.abs(emg[:n]) >= RAIL_UV
    clipped[: round(0.3 * RATE_HZ)] = False
    masked = [float((clipped & ~each.good[:n]).sum() / clipped.sum()) for each in (told, found)]
    free = _since_ms(told, n, RATE_HZ) > 18
    columns = [at for at, name in enumerate(names) if name.split()[-1] in TRAPEZIUS]
    reference = levels(untreated.samples[:n, columns], np.repeat(free[:, None], len(columns), axis=1), RATE_HZ)
    kept = levels(told.samples[:n, columns], told.good[:n, columns], RATE_HZ)
    same = correlation(reference, kept)
    odd = (np.arange(n) // round(0.01 * RATE_HZ)) % 2 == 1
    halves = [
        levels(untreated.samples[:n, columns], np.repeat((free & half)[:, None], len(columns), axis=1), RATE_HZ)
        for half in (odd, ~odd)
    ]
    ratio_db = 20 * np.log10(np.nanmean(kept, axis=0) / np.nanmean(reference, axis=0))
    findings = [
        Finding(part=NAME, what="clipped samples that are masked, FES record, rails known", value=100 * masked[0],
                unit="%", target=99.0, n=int(clipped.sum())),
        Finding(part=NAME, what="clipped samples that are masked, FES record, rails not known", value=100 * masked[1],
                unit="%", target=95.0, n=int(clipped.sum())),
        Finding(part=NAME, what="correlation of trapezius level with that between pulses, FES record, least of two",
                value=float(same.min()), target=0.9, baseline="two halves of the latter",
                baseline_value=float(correlation(*halves).min()), n=len(columns)),
        Finding(part=NAME, what="change of trapezius level against that between pulses, FES record, largest",
                value=float(np.abs(ratio_db).max()), unit="dB", target=1.0, sense="at most", n=len(columns)),
        Finding(part=NAME, what="share of trapezius samples that can be used, FES record",
                value=100 * float(told.good[:n, columns].mean()), unit="%"),
    ]  # fmt: skip
    shown = [names.index(name) for name in names if name.split()[-1] in ("EMG5", "EMG10")]
    part = slice(round(2.6 * RATE_HZ), round(3.6 * RATE_HZ))
    good = told.good[:n, shown]
    return findings, {
        "t_s": (np.arange(part.start, part.stop) / RATE_HZ).tolist(),
        "names": [names[at].split(".")[0] for at in shown],
        "seen_uv": emg[part][:, shown].T.tolist(),
        "cleaned_uv": _told(told.samples[:n, shown][part].T, good[part].T),
    }


def _since_ms(heard: Heard, n: int, rate_hz: float) -> Array:
    """Time since the newest pulse of each row; a long time before the first."""
    rows = np.sort(np.array([(frame.t_ns - 10**9) * 1e-9 * rate_hz for frame in heard.evoked]))
    at = np.arange(n, dtype=np.float64)
    place = np.searchsorted(rows, at + 1.0, side="right") - 1
    made: Array = np.where(place >= 0, (at - rows[np.maximum(place, 0)]) * 1e3 / rate_hz, 1e6)
    return made


def draw(curves: dict[str, Any], figure: Figure) -> None:
    """Before and after: a scene, the pair, and two channels of the real FES record."""
    panels = [("scene", "simulated"), ("pair", "pair: real EMG, artifact added")]
    panels = [(name, title) for name, title in panels if name in curves]
    record = curves.get("record")
    rows = len(panels) + (len(record["names"]) if record else 0)
    axes = np.atleast_1d(figure.subplots(rows, 1))
    for axis, (name, title) in zip(axes, panels, strict=False):
        own = curves[name]
        axis.plot(own["t_s"], own["seen_uv"], color="0.75", linewidth=0.8, label="as seen")
        axis.plot(own["t_s"], own["clean_uv"], color="tab:green", linewidth=0.8, label="truth")
        axis.plot(own["t_s"], own["cleaned_uv"], color="tab:blue", linewidth=0.8, label="cleaned, good samples")
        limit = 4 * float(np.std(own["clean_uv"]))
        axis.set(title=title, ylabel="EMG (µV)", ylim=(-limit, limit))
        axis.legend(loc="upper right", fontsize="x-small")
    for number in range(len(record["names"]) if record else 0):
        assert record is not None
        axis = axes[len(panels) + number]
        axis.plot(record["t_s"], record["seen_uv"][number], color="0.75", linewidth=0.8, label="as seen")
        axis.plot(
            record["t_s"], record["cleaned_uv"][number], color="tab:blue", linewidth=0.8, label="cleaned, good samples"
        )
        axis.set(title=f"FES cycling, {record['names'][number]}", ylabel="EMG (µV)")
        axis.legend(loc="upper right", fontsize="x-small")
    axes[-1].set_xlabel("time (s)")

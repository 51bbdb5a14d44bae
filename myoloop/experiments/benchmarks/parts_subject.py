"""How right and how fast the virtual subject is.

Right: the muscle against Ding's published model, against what was measured in three groups of people, and against the
trap that the obvious model of little recruitment falls into; the fast tier against the full one. Fast: both tiers on
one core, in CPU time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.experiments.benchmarks import ding_reference as golden
from myoloop.experiments.benchmarks.contractions import (
    DING,
    Scene,
    bickel,
    euler_n,
    every,
    forces_n,
    peaks,
    pulses,
)
from myoloop.experiments.benchmarks.findings import Finding, mean_over_subjects
from myoloop.experiments.benchmarks.tiers import Agreement, agreement, fast_steps_per_s, full_real_time
from myoloop.experiments.subjects.muscle import MuscleParameters
from myoloop.experiments.subjects.population import population, typical

NAME = "subject"
#: Force kept after 180 contractions, in per cent (Bickel and others 2004).
KEPT = {"able_bodied": 56.0, "acute_sci": 44.0, "chronic_sci": 33.0}
LEVELS = (0.1, 0.25, 0.5, 1.0)
TRAINS = 90
#: Muscles are potentiated in the first trains: a rise within so many of them is no rise of what follows.
POTENTIATED_TRAINS = 6
RUNS = 5

Array = npt.NDArray[np.float64]
Say = Callable[[str], None]


def measure(subjects: int, seeds: int, first_seed: int, say: Say) -> tuple[list[Finding], dict[str, Any]]:
    """Findings and curves; only the two figures about speed differ from run to run."""
    findings: list[Finding] = []
    curves: dict[str, Any] = {}
    say("subject: Ding's values")
    findings += _golden(curves)
    say("subject: 180 contractions of three groups")
    findings += _groups(subjects, first_seed, curves)
    say("subject: constant stimulation at four recruitments")
    findings += _levels(subjects, first_seed, curves)
    say(f"subject: fast tier beside the full one, {subjects} people x {seeds}")
    findings += _tiers(subjects, seeds, first_seed, curves)
    say("subject: timing")
    findings += _speed(first_seed)
    return findings, curves


def draw(curves: dict[str, Any], figure: Any) -> None:
    """Force by group, force by recruitment, force by frequency, and one person in both tiers."""
    top, bottom = figure.subplots(2, 2)
    _draw_groups(curves["groups"], top[0])
    _draw_levels(curves["levels"], top[1])
    _draw_frequencies(curves["frequencies"], bottom[0])
    _draw_tiers(curves["tiers"], bottom[1])


def _golden(curves: dict[str, Any]) -> list[Finding]:
    ninety, sixty = every(TRAINS), every(60)
    fresh = MuscleParameters(**{**DING, "fatigue_rate": 0.0})
    own = MuscleParameters(**DING)
    rests = list(golden.RECOVERY_N)
    scenes = [Scene(fresh, (0,))]
    scenes += [Scene(fresh, pulses(rate, [(0, 1)])) for rate in golden.FORCE_FREQUENCY_N]
    scenes += [Scene(own, pulses(rate, sixty)) for rate in golden.SIXTY_TRAINS_N]
    scenes += [Scene(own, pulses(33.0, [(0, 61)]))]
    scenes += [Scene(own, pulses(33.0, [*ninety, (180 + rest, 181 + rest)])) for rest in rests]
    until_s = 182 + max(rests)
    ours, euler = (_read(made(scenes, until_s)) for made in (forces_n, euler_n))
    published = np.array(
        [
            golden.TWITCH_PEAK_N,
            *golden.FORCE_FREQUENCY_N.values(),
            *(value for pair in golden.SIXTY_TRAINS_N.values() for value in pair),
            *golden.SUSTAINED_N.values(),
            *golden.NINETY_TRAINS_N.values(),
            *golden.RECOVERY_N.values(),
        ]
    )
    frequencies = list(golden.FORCE_FREQUENCY_N)
    curves["frequencies"] = {
        "rate_hz": frequencies,
        "published_n": list(golden.FORCE_FREQUENCY_N.values()),
        "force_n": ours[1 : 1 + len(frequencies)].round(3).tolist(),
    }
    return [
        Finding(
            part=NAME,
            what="Ding 2003, largest relative error of force: twitch, 10 rates, 90 and 60 trains, 60 s, recovery",
            value=float(np.abs(ours / published - 1).max()),
            target=1e-3,
            sense="at most",
            baseline="Euler's method, 1 ms",
            baseline_value=float(np.abs(euler / published - 1).max()),
            n=len(published),
        )
    ]


def _read(forces: Array) -> Array:
    """The values of the reference, in its order."""
    rates, sixty = len(golden.FORCE_FREQUENCY_N), len(golden.SIXTY_TRAINS_N)
    values = [forces[:, 0].max(), *forces[800:1000, 1 : 1 + rates].mean(axis=0)]
    at = 1 + rates
    of_sixty = peaks(forces[:, at : at + sixty], every(60), 120)
    values += [value for number in range(sixty) for value in (of_sixty[0, number], of_sixty[-1, number])]
    at += sixty
    values += [forces[second * 1000 - 500 : second * 1000 + 500, at].mean() for second in golden.SUSTAINED_N]
    of_ninety = peaks(forces[:180_000, at + 1], every(TRAINS), 180)
    values += [of_ninety[number - 1] for number in golden.NINETY_TRAINS_N]
    for number, rest in enumerate(golden.RECOVERY_N):
        values.append(forces[(180 + rest) * 1000 : (182 + rest) * 1000, at + 1 + number].max())
    return np.array(values)


def _groups(subjects: int, first_seed: int, curves: dict[str, Any]) -> list[Finding]:
    middle = [replace(typical(preset), recovery_s=127.0) for preset in KEPT]
    drawn = [person for preset in KEPT for person in population(first_seed, subjects, preset)]
    made = bickel([*middle, *drawn, MuscleParameters(**DING)])
    kept = 100.0 * made[-1] / made[0]
    findings = []
    curves["groups"] = {}
    for number, (preset, target) in enumerate(KEPT.items()):
        begin = len(KEPT) + number * subjects
        people = slice(begin, begin + subjects)
        mean, low, high = mean_over_subjects(kept[people, None])
        findings += [
            Finding(
                part=NAME,
                what=f"{preset}: force kept after 180 contractions, distance from the measured {target:g} %",
                value=round(abs(kept[number] - target), 3),
                unit="points",
                target=1.0,
                sense="at most",
                baseline="Ding's own coefficients for everybody",
                baseline_value=round(abs(kept[-1] - target), 3),
            ),
            Finding(
                part=NAME, what=f"{preset}: force kept by drawn people", value=mean, unit="%",
                low=low, high=high, n=subjects,
            ),
        ]  # fmt: skip
        relative = made[:, people] / made[0, people]
        curves["groups"][preset] = {
            "typical": (made[:, number] / made[0, number]).round(4).tolist(),
            "low": np.percentile(relative, 10, axis=1).round(4).tolist(),
            "high": np.percentile(relative, 90, axis=1).round(4).tolist(),
            "measured": target / 100.0,
        }
    return findings


def _levels(subjects: int, first_seed: int, curves: dict[str, Any]) -> list[Finding]:
    """Every drawn person at every recruitment, and the same driven by absolute force: fatigue times recruitment."""
    people = population(first_seed, subjects, "able_bodied")
    trains = every(TRAINS)
    times = pulses(33.0, trains)
    own = [Scene(person, times, share) for person in people for share in LEVELS]
    absolute = [
        Scene(replace(person, fatigue_rate=person.fatigue_rate * share), times, share)
        for person in people
        for share in LEVELS
    ]
    found = peaks(forces_n([*own, *absolute], 2.0 * TRAINS), trains, 2.0 * TRAINS)
    relative = (found / found[0]).reshape(TRAINS, 2, subjects, len(LEVELS))
    rises = np.diff(relative[POTENTIATED_TRAINS - 1 :], axis=0).max(axis=(0, 3))
    kept = relative[-1]
    spread = 100.0 * (kept.max(axis=2) - kept.min(axis=2))
    mean, low, high = mean_over_subjects(spread[0][:, None])
    potentiated = 100.0 * (relative[:, 0].max(axis=0).max() - 1.0)
    curves["levels"] = {
        "share": list(LEVELS),
        "own": relative[:, 0].mean(axis=1).T.round(4).tolist(),
        "absolute": relative[:, 1].mean(axis=1).T.round(4).tolist(),
    }
    where = "33 Hz, 1 s on, 1 s off, recruitment " + ", ".join(f"{share:g}" for share in LEVELS)
    return [
        Finding(
            part=NAME,
            what=f"largest rise of force from one of {TRAINS} trains to the next, after the first "
            f"{POTENTIATED_TRAINS} (potentiation); {where}",
            value=float(100.0 * rises[0].max()),
            unit="% of fresh",
            target=0.0,
            sense="at most",
            baseline="fatigue driven by absolute force",
            baseline_value=float(100.0 * rises[1].max()),
            n=subjects * len(LEVELS),
        ),
        Finding(
            part=NAME,
            what="difference between these recruitments in the force kept",
            value=mean,
            unit="points",
            low=low,
            high=high,
            target=1.0,
            sense="at most",
            baseline="fatigue driven by absolute force",
            baseline_value=round(float(spread[1].mean()), 1),
            n=subjects,
        ),
        Finding(
            part=NAME, what="largest potentiation within the first trains", value=round(float(potentiated), 2),
            unit="% of fresh", n=subjects * len(LEVELS),
        ),
    ]  # fmt: skip


def _tiers(subjects: int, seeds: int, first_seed: int, curves: dict[str, Any]) -> list[Finding]:
    found: list[list[Agreement]] = []
    for number, person in enumerate(population(first_seed, subjects, "chronic_sci")):
        found.append([agreement(person, first_seed + 100 * number + seed) for seed in range(seeds)])
    curves["tiers"] = found[0][0].curves

    def of(what: str) -> Array:
        return np.array([[getattr(one, what) for one in each] for each in found])

    def told(what: str, values: Array, target: float | None) -> Finding:
        mean, low, high = mean_over_subjects(values)
        bound = max(abs(low), abs(high)) if target is not None else mean
        return Finding(
            part=NAME, what=what, value=round(bound, 3), unit="%", target=target, sense="at most", n=values.size,
        )  # fmt: skip

    return [
        Finding(
            part=NAME,
            what="fast tier, largest difference of force from the full tier's highest",
            value=float(of("force").max()),
            unit="%",
            target=2.0,
            sense="at most",
            n=subjects * seeds,
        ),
        told(
            "fast tier, mean difference of RMS from the full tier's samples (farther end of its interval)",
            of("rms"),
            2.0,
        ),
        told("fast tier, the same of mean frequency", of("mnf"), 2.0),
        told("fast tier, spread of windows of 250 ms that is told, of that found, RMS", of("rms_spread"), None),
        told("fast tier, the same of mean frequency", of("mnf_spread"), None),
    ]


def _speed(first_seed: int) -> list[Finding]:
    findings = []
    for muscles, channels in ((8, 1), (4, 2)):
        times = [full_real_time(first_seed, muscles, channels) for _ in range(RUNS)]
        findings.append(
            Finding(
                part=NAME,
                what=f"full tier, {muscles} stimulated muscles x {channels} channel(s) at 2 kHz, times real time",
                value=round(float(np.median(times)), 1),
                unit="x",
                target=20.0,
                baseline="real time",
                baseline_value=1.0,
                n=RUNS,
            )
        )
    steps = [fast_steps_per_s(first_seed, 1) for _ in range(RUNS)]
    together = [fast_steps_per_s(first_seed, 50) for _ in range(RUNS)]
    findings += [
        Finding(
            part=NAME,
            what="fast tier, one person with two stimulated muscles, control steps",
            value=round(float(np.median(steps))),
            unit="per s",
            target=2000.0,
            baseline="full tier, 4 x 2 channels",
            baseline_value=round(100.0 * findings[-1].value),
            n=RUNS,
        ),
        Finding(
            part=NAME, what="fast tier, 50 people at once, control steps of all",
            value=round(float(np.median(together))), unit="per s", n=RUNS,
        ),
    ]  # fmt: skip
    return findings


_COLOURS = {"able_bodied": "tab:green", "acute_sci": "tab:orange", "chronic_sci": "tab:red"}


def _draw_groups(groups: dict[str, Any], axes: Any) -> None:
    for preset, group in groups.items():
        contraction = np.arange(1, len(group["typical"]) + 1)
        axes.fill_between(contraction, group["low"], group["high"], color=_COLOURS[preset], alpha=0.15, lw=0)
        axes.plot(contraction, group["typical"], color=_COLOURS[preset], label=preset.replace("_", " "))
        axes.plot(len(contraction), group["measured"], "o", color=_COLOURS[preset])
    axes.set(xlabel="contraction", ylabel="peak force / first", ylim=(0, 1.1), title="by group (dot: measured)")
    axes.legend(loc="lower left", fontsize="small")


def _draw_levels(levels: dict[str, Any], axes: Any) -> None:
    for number, share in enumerate(levels["share"]):
        colour = f"C{number}"
        train = np.arange(1, len(levels["own"][number]) + 1)
        axes.plot(train, levels["own"][number], color=colour, label=f"recruitment {share:g}")
        axes.plot(train, levels["absolute"][number], "--", color=colour)
    axes.set(xlabel="train", ylabel="peak force / first", ylim=(0, 1.2), title="dashed: driven by absolute force")
    axes.legend(loc="lower left", fontsize="small")


def _draw_frequencies(found: dict[str, Any], axes: Any) -> None:
    axes.plot(found["rate_hz"], found["published_n"], "o", mfc="none", label="Ding 2003")
    axes.plot(found["rate_hz"], found["force_n"], label="virtual muscle")
    axes.set(xlabel="pulse rate (Hz)", ylabel="force (N)", ylim=(0, None), title="fresh, fully recruited")
    axes.legend(loc="lower right", fontsize="small")


def _draw_tiers(tiers: dict[str, Any], axes: Any) -> None:
    axes.plot(tiers["t_s"], tiers["full_uv"], ".", ms=3, label="full tier, from samples")
    axes.plot(tiers["t_s"], tiers["fast_uv"], lw=1, label="fast tier, exact")
    axes.set(xlabel="time (s)", ylabel="RMS, 250 ms (uV)", ylim=(0, None), title="one person in both tiers")
    axes.legend(loc="lower right", fontsize="small")

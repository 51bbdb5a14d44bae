"""The figures of a session's report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from myoloop.experiments.analysis import bins
from myoloop.experiments.analysis.envelope import BAND_HZ, PULSE_S, WINDOW_S, emg_envelope
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.analysis.tracks import Floats, MuscleSite
from myoloop.experiments.reports.drawing import (
    BINS,
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    VERMILLION,
    WIDTH_IN,
    Drawn,
    Source,
    closed,
    lane,
    panels,
    put_stamp,
    runs,
    said_simulated,
    shade,
    style,
    to_svg,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: More muscles or channels than this are not drawn; the caption says how many are left out.
MOST_PANELS = 8
#: What happened once and is worth a mark on the timeline.
MARKED_EVENTS = frozenset({"stop", "fault", "mark", "score", "adverse", "paused", "end"})
_TRIAL_COLOURS = {
    "cue": ("cue", PALE),
    "await_effort": ("effort awaited", "#F0E442"),
    "ramp_up": ("train of the protocol", BLUE),
    "hold": ("train of the protocol", BLUE),
    "ramp_down": ("train of the protocol", BLUE),
}
#: What the fatigue is made of: colour and dashes.
_TERMS: dict[str, tuple[str, Any]] = {
    "voluntary EMG": (GREEN, (0, (1, 1))),
    "M-wave": (PURPLE, (0, (3, 1, 1, 1))),
    "mechanical": (ORANGE, (0, (4, 1))),
}
LEGS = {
    "emg_to_request": "newest EMG sample to request",
    "request_to_report": "request to the gate's report on it",
    "verdict_to_pulse": "verdict to a train's first pulse",
}


def draw_all(session: Session, stamp: str) -> list[Drawn]:
    """Every figure that the session has something for."""
    with style():
        drawn = [
            _timeline(session, stamp),
            _fatigue(session, stamp),
            _currents(session, stamp),
            _timing(session, stamp),
        ]
    return [each for each in drawn if each is not None]


def _timeline(session: Session, stamp: str) -> Drawn | None:
    sites = session.sites[:MOST_PANELS]
    if not sites and not session.phases:
        return None
    figure, axes = panels([0.62, *[1.25] * len(sites)], stamp)
    source = Source(said_simulated(session))
    _course(axes[0], session, source)
    pulses_s = np.concatenate([track.t_s for track in session.delivered().values()] or [np.empty(0)])
    trains = {name: closed(track.trains(), session.end_s) for name, track in session.delivered().items()}
    for name, intervals in trains.items():
        source.spans("stimulation", name, intervals)
    for axis, site in zip(axes[1:], sites, strict=True):
        _emg(axis, session, site, pulses_s, source)
        for intervals in trains.values():
            shade(axis, intervals, facecolor=SKY, alpha=0.28, zorder=0)
    gaps = [(gap.begin_s, max(gap.end_s, gap.begin_s + 0.002 * session.end_s)) for gap in session.gaps]
    source.spans("gap", "", gaps)
    for axis in axes:
        shade(axis, gaps, facecolor="none", edgecolor=INK, hatch="xxxx", linewidth=0.4, zorder=3)
    axes[-1].set_xlim(min(0.0, _first_s(session)), max(session.end_s, 1e-3))
    axes[-1].set_xlabel("time since the first phase message (s)")
    _timeline_legend(axes[0], session, bool(gaps))
    return Drawn("timeline", "Timeline", _timeline_caption(session), to_svg(figure), source.csv())


def _course(axis: Axes, session: Session, source: Source) -> None:
    axis.set_ylim(0, 1)
    axis.set_yticks([])
    axis.tick_params(bottom=False)
    axis.grid(visible=False)
    for spine in axis.spines.values():
        spine.set_visible(False)
    for number, phase in enumerate(session.phases):
        length_s = phase.end_s - phase.begin_s
        axis.broken_barh(
            [(phase.begin_s, length_s)], (0.42, 0.56), facecolor=("#e8ecf0", "#d5dbe1")[number % 2], linewidth=0
        )
        # 8 pt letters are some 0.068 in wide; a name that would not fit is left to the CSV.
        room = int(length_s / max(session.end_s, 1e-9) * (WIDTH_IN - 0.8) / 0.068)
        if room >= 4:
            label = phase.name if len(phase.name) <= room else phase.name[: room - 1] + "…"
            axis.text(phase.begin_s + 0.5 * length_s, 0.7, label, ha="center", va="center", fontsize=8, color=INK)
        source.spans("phase", phase.name, [(phase.begin_s, phase.end_s)], phase.kind)
    for span in session.trial_spans:
        source.spans("trial state", span.state, [(span.begin_s, span.end_s)], f"{span.kind} {span.block}.{span.trial}")
    for state, (_, colour) in _TRIAL_COLOURS.items():
        spans = [(s.begin_s, s.end_s) for s in session.trial_spans if s.state == state]
        lane(axis, spans, 0.06, 0.28, facecolor=colour, linewidth=0)
    for event in session.events:
        if event.kind in MARKED_EVENTS:
            colour = VERMILLION if event.kind in ("stop", "fault", "adverse") else INK
            axis.plot([event.t_s], [0.99], marker="v", markersize=5, color=colour, clip_on=False, linestyle="none")
            source.rows.append(("event", event.kind, event.t_s, None, event.why, ""))


def _emg(axis: Axes, session: Session, site: MuscleSite, pulses_s: Floats, source: Source) -> None:
    t_s, rms_uv = emg_envelope(session.samples[site.topic], site.channel, pulses_s)
    t_s, rms_uv = bins.line(t_s, rms_uv, BINS)
    axis.plot(t_s, rms_uv, color=INK, linewidth=0.8)
    source.line("EMG envelope", site.muscle, t_s, rms_uv, "uV RMS")
    known = rms_uv[np.isfinite(rms_uv)]
    # The two lanes of spasms stand above the line.
    top = 1.35 * float(np.percentile(known, 99.8)) if len(known) else 1.0
    axis.set_ylim(0, max(top, 1e-3))
    axis.set_ylabel("EMG (µV RMS)")
    stimulated = f", stimulated by {', '.join(site.stimulated_by)}" if site.stimulated_by else ""
    axis.set_title(f"{site.muscle}{stimulated}", pad=3)
    if session.truth.told_spasms:
        true = closed(session.truth.spasms.get(site.muscle, ()), session.end_s)
        lane(axis, true, 0.90, 0.09, facecolor="#fbe3b3", edgecolor=ORANGE, hatch="/////", linewidth=0.8, zorder=4)
        source.spans("spasm, true", site.muscle, true)
    track = session.muscles.get(site.muscle)
    if track is not None:
        found = closed(track.spasms, session.end_s)
        lane(axis, found, 0.80, 0.09, facecolor=PURPLE, edgecolor="#7d3a60", linewidth=0.8, zorder=4)
        source.spans("spasm, detected", site.muscle, found)


def _timeline_legend(axis: Axes, session: Session, gaps: bool) -> None:
    from matplotlib.patches import Patch

    states = {span.state for span in session.trial_spans}
    shown = dict(_TRIAL_COLOURS[state] for state in _TRIAL_COLOURS if state in states)
    handles = [Patch(facecolor=colour, label=label) for label, colour in shown.items()]
    if any(len(track) for track in session.delivered().values()):
        handles.append(Patch(facecolor=SKY, alpha=0.4, label="pulses delivered"))
    if session.truth.told_spasms:
        handles.append(Patch(facecolor="#fbe3b3", edgecolor=ORANGE, hatch="/////", label="spasm, true"))
    if session.muscles:
        handles.append(Patch(facecolor=PURPLE, edgecolor="#7d3a60", label="spasm, detected"))
    if gaps:
        handles.append(Patch(facecolor="none", edgecolor=INK, hatch="xxxx", label="gap"))
    if handles:
        axis.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.02), ncols=len(handles), borderaxespad=0.0,
            handlelength=1.4, columnspacing=1.2,
        )  # fmt: skip


def _timeline_caption(session: Session) -> str:
    trains = sum(len(track.trains()) for track in session.delivered().values())
    text = (
        f"Upper bar: phases of the protocol, below it the states of trials; triangles: stops, faults, marks, scores. "
        f"EMG envelope: RMS over {WINDOW_S * 1e3:.0f} ms of the EMG band-passed from {BAND_HZ[0]:.0f} Hz to "
        f"{BAND_HZ[1]:.0f} Hz (at most 0.45 of the rate), without invalid samples and without "
        f"{PULSE_S[0] * 1e3:.0f} ms before to {PULSE_S[1] * 1e3:.0f} ms after each pulse; the line breaks where less "
        f"than a tenth of a window is left. n = {len(session.sites)} muscles, {trains} trains, "
        f"{len(session.gaps)} gaps."
    )
    detected = sum(len(track.spasms) for track in session.muscles.values())
    text += (
        f" Detected spasms (n = {detected}): from the onset the estimator named to the first estimate that denied it."
    )
    if session.truth.told_spasms:
        true = sum(len(each) for each in session.truth.spasms.values())
        text += f" True spasms (n = {true}): as the virtual subject made them."
    left_out = len(session.sites) - MOST_PANELS
    return text + (f" {left_out} more muscles are not drawn." if left_out > 0 else "")


def _fatigue(session: Session, stamp: str) -> Drawn | None:
    names = [site.muscle for site in session.sites if site.muscle in session.muscles]
    names += [name for name in session.muscles if name not in names]
    first = session.stimulated_muscle
    names = sorted(names, key=lambda name: name != first)[:MOST_PANELS]
    if not names:
        return None
    figure, axes = panels([1.75, *[1.35] * (len(names) - 1)], stamp)
    source = Source(said_simulated(session))
    for axis, name in zip(axes, names, strict=True):
        _fatigue_of(axis, session, name, source)
    axes[-1].set_xlim(min(0.0, _first_s(session)), max(session.end_s, 1e-3))
    axes[-1].set_xlabel("time since the first phase message (s)")
    _fatigue_legend(axes[0], bool(session.truth.fatigue))
    return Drawn("fatigue", "Fatigue", _fatigue_caption(session, names), to_svg(figure), source.csv())


def _fatigue_of(axis: Axes, session: Session, name: str, source: Source) -> None:
    track = session.muscles[name]
    t_s, fatigue = track.t_s, track.fatigue
    value = np.where(fatigue.valid, fatigue.value, np.nan)
    unknown = runs(t_s, ~fatigue.valid)
    shade(axis, unknown, facecolor="#eef1f4", edgecolor="#c3cbd3", hatch="....", zorder=0)
    source.spans("not valid", name, unknown)
    low, high = (np.where(fatigue.valid, bound, np.nan) for bound in (fatigue.low, fatigue.high))
    if np.isfinite(low).any() and np.isfinite(high).any():
        changes = np.concatenate([np.searchsorted(t_s, bins.steps(t_s, bound)[0]) for bound in (low, high)])
        # With the last point before each change: a band has to be closed where it breaks off.
        both = np.unique(np.concatenate([changes, np.maximum(changes - 1, 0)]))
        at_s, least, most = t_s[both], low[both], high[both]
        axis.fill_between(at_s, least, most, step="post", color=BLUE, alpha=0.2, linewidth=0)
        source.line("low (95 %)", name, at_s, least, "1")
        source.line("high (95 %)", name, at_s, most, "1")
    for term, (colour, dashes) in _TERMS.items():
        told = track.terms[term]
        at_s, alone = bins.steps(t_s, np.where(told.valid, told.value, np.nan))
        axis.plot(at_s, alone, color=colour, linewidth=0.9, linestyle=dashes, drawstyle="steps-post")
        source.line(f"by {term}", name, at_s, alone, "1")
    at_s, value = bins.steps(t_s, value)
    axis.plot(at_s, value, color=BLUE, linewidth=1.6, drawstyle="steps-post")
    source.line("estimate", name, at_s, value, "1")
    true = session.truth.fatigue.get(name)
    if true is not None:
        at_s, value = bins.line(*true, BINS)
        axis.plot(at_s, value, color=INK, linewidth=1.1, linestyle=(0, (5, 2)))
        source.line("truth", name, at_s, value, "1")
    axis.set_ylim(0, 1)
    axis.set_ylabel("fatigue (0 to 1)")
    axis.set_title(name, pad=3)
    if not fatigue.valid.any() and fatigue.reasons:
        why = max(fatigue.reasons, key=lambda reason: fatigue.reasons[reason])
        axis.text(
            0.5, 0.55, f"never valid: {why}"[:110], transform=axis.transAxes, ha="center", va="center", fontsize=8,
            color=INK, bbox={"facecolor": "white", "edgecolor": PALE, "boxstyle": "round,pad=0.4"},
        )  # fmt: skip


def _fatigue_legend(axis: Axes, truth: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Line2D([], [], color=BLUE, linewidth=1.6, label="estimate"),
        Patch(facecolor=BLUE, alpha=0.2, label="95 % interval"),
        Patch(facecolor="#eef1f4", edgecolor="#c3cbd3", hatch="....", label="not valid"),
        *(
            Line2D([], [], color=colour, linewidth=0.9, linestyle=dashes, label=term)
            for term, (colour, dashes) in _TERMS.items()
        ),
    ]
    if truth:
        handles.append(Line2D([], [], color=INK, linewidth=1.1, linestyle=(0, (5, 2)), label="truth"))
    axis.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(0.9, 1.0), ncols=len(handles), borderaxespad=0.0,
        handlelength=1.8, columnspacing=1.2,
    )  # fmt: skip


def _fatigue_caption(session: Session, names: list[str]) -> str:
    parts = []
    for name in names:
        valid = session.muscles[name].fatigue.valid
        share = 100.0 * float(valid.mean()) if len(valid) else 0.0
        parts.append(f"{name}: n = {len(valid)} estimates, {share:.0f} % valid")
    text = f"Fatigue from 0 (fresh) to 1 (no force left), as estimated while the session ran. {'; '.join(parts)}. "
    text += "Thin lines: what each source says alone, where it says anything. "
    text += "Dotted ground: the estimator said that it cannot know; no value of it was to be acted on."
    if session.truth.fatigue:
        text += " Truth: the virtual subject's own share of force lost; no controller could see it."
    return text


def _currents(session: Session, stamp: str) -> Drawn | None:
    names = list(session.currents)[:MOST_PANELS]
    if not names:
        return None
    figure, axes = panels([1.9] * len(names), stamp)
    source = Source(said_simulated(session))
    delivered = session.delivered()
    for axis, name in zip(axes, names, strict=True):
        track = session.currents[name]
        lines: tuple[tuple[str, Floats, dict[str, Any]], ...] = (
            ("cap", track.cap_ma, {"color": INK, "linewidth": 1.0, "linestyle": (0, (6, 2, 1, 2))}),
            ("asked", track.asked_ma, {"color": ORANGE, "linewidth": 2.2}),
            ("allowed", track.allowed_ma, {"color": BLUE, "linewidth": 1.2}),
            ("acknowledged", track.acknowledged_ma, {"color": GREEN, "linewidth": 0.9, "linestyle": (0, (2, 1.5))}),
        )
        for label, values, how in lines:
            at_s, kept = bins.steps(track.t_s, values)
            if len(at_s) > 4 * BINS:
                at_s, kept = bins.line(at_s, kept, 2 * BINS)
            if np.isfinite(kept).any():
                axis.plot(at_s, kept, drawstyle="steps-post", label=label, **how)
            source.line(label, name, at_s, kept, "mA")
        pulses = delivered.get(name)
        if pulses is not None and len(pulses):
            at_s, low, high = bins.min_max(pulses.t_s, pulses.current_ma, BINS)
            axis.plot(
                np.concatenate([at_s, at_s]), np.concatenate([low, high]), linestyle="none", marker=".", markersize=4.5,
                markeredgewidth=0, color=VERMILLION, alpha=0.55, zorder=1.5, label="pulses delivered",
            )  # fmt: skip
            source.line("pulses delivered, least", name, at_s, low, "mA")
            source.line("pulses delivered, greatest", name, at_s, high, "mA")
        highest = np.nanmax([np.nanmax(v, initial=0.0) for _, v, _ in lines])
        axis.set_ylim(0, max(1.12 * highest, 1e-3))
        axis.set_ylabel("current (mA)")
        axis.set_title(f"channel {name}", pad=3)
    axes[-1].set_xlim(min(0.0, _first_s(session)), max(session.end_s, 1e-3))
    axes[-1].set_xlabel("time since the first phase message (s)")
    labels = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))
    if labels:
        axes[0].legend(
            labels.values(), labels.keys(), loc="lower right", bbox_to_anchor=(0.9, 1.0), ncols=len(labels),
            borderaxespad=0.0, handlelength=1.8, columnspacing=1.2,
        )  # fmt: skip
    return Drawn("current", "Stimulation current", _current_caption(session, names), to_svg(figure), source.csv())


def _current_caption(session: Session, names: list[str]) -> str:
    basis = {"ledger": "the body's own ledger"}.get(session.delivered_basis, f"{session.delivered_basis} pulses")
    pulses = sum(len(track) for track in session.delivered().values())
    text = (
        f"Amplitude of each phase of symmetric biphasic pulses. Asked: what the controller wanted; allowed: what the "
        f"gate let through; acknowledged: what the device confirmed; delivered: {basis} (n = {pulses} pulses). "
        f"Cap: the most that the envelope in force, the class ceiling and the device let flow at the channel's pulse "
        f"width and rate; none is drawn while there was no envelope. n = {session.gate.reports} reports of the gate."
    )
    left_out = len(session.currents) - len(names)
    return text + (f" {left_out} more channels are not drawn." if left_out > 0 else "")


def _timing(session: Session, stamp: str) -> Drawn | None:
    if session.lockstep:
        return None
    cycles = {f"{node}: cycle": beat.cycle_ms for node, beat in session.beats.items()}
    legs = {LEGS[leg]: values for leg, values in session.latencies_ms.items()}
    if not any(len(values) for values in (*cycles.values(), *legs.values())):
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, 2.7), layout="constrained")
    source = Source(said_simulated(session))
    for place, (title, series) in enumerate((("Latency of each leg", legs), ("Cycle time of each node", cycles)), 1):
        axis = figure.add_subplot(1, 2, place)
        for number, (label, values) in enumerate(series.items()):
            _exceeding(axis, label, values, number, source)
        axis.set_title(title, pad=3)
        axis.set_xlabel("milliseconds")
        axis.set_ylabel("share at least that long")
        axis.set_yscale("log")
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.xaxis.set_minor_formatter(lambda value, _: "")
        axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="lower left", fontsize=7)
        else:
            axis.text(0.5, 0.5, "none in this session", transform=axis.transAxes, ha="center", va="center", color=INK)
    put_stamp(figure, stamp)
    beats = sum(len(beat.t_s) for beat in session.beats.values())
    counts = ", ".join(f"{label}: n = {len(values)}" for label, values in legs.items())
    caption = (
        f"Share of all values that are at least x. Latencies are differences of the host's monotonic stamps "
        f"({counts}); cycle times are those that each node told of itself, one in each heartbeat (n = {beats})."
    )
    return Drawn("timing", "Timing", caption, to_svg(figure), source.csv())


def _exceeding(axis: Axes, label: str, values: Floats, number: int, source: Source) -> None:
    values = np.sort(values[values > 0])
    if not len(values):
        return
    share = 1.0 - np.arange(len(values)) / len(values)
    # Sorted: thinning evenly keeps the shape, and the last points are the ones that matter.
    keep = np.unique(
        np.append(np.linspace(0, len(values) - 1, 300).astype(int), np.arange(max(0, len(values) - 40), len(values)))
    )
    colours = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, INK, GREY)
    styles = ("-", "--", ":", "-.")
    axis.plot(
        values[keep], share[keep], color=colours[number % len(colours)], linestyle=styles[number % len(styles)],
        linewidth=1.3, label=label,
    )  # fmt: skip
    source.line("share at least x ms", label, values[keep], share[keep], "1")


def _first_s(session: Session) -> float:
    return min((float(track.t_s[0]) for track in session.samples.values() if len(track.t_s)), default=0.0)

"""What the session's report shows besides its first figures and tables: each part is one file, and named here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from myoloop.experiments.analysis.loopwalk import LoopWalk
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.reports import (
    control,
    density,
    figure_contractions,
    figure_course,
    figure_recruitment,
    figure_thresholds,
    figure_trigger,
    integrity,
    pre_post,
    provenance,
    reviewed,
    settings_tried,
)
from myoloop.experiments.reports.beside import Beside
from myoloop.experiments.reports.drawing import Drawn, said_simulated, style


def draw_more(session: Session, beside: Beside, walked: LoopWalk, stamp: str) -> list[Drawn]:
    """Every further figure that the session has something for."""
    protocol = beside.measured.protocol
    with style():
        drawn = [
            figure_course.course(session, stamp),
            figure_trigger.trigger(session, stamp),
            figure_recruitment.recruitment(session, walked, stamp),
            figure_thresholds.thresholds(beside.sensitivity, stamp, said_simulated(session)),
            figure_contractions.contractions(session, protocol, walked, stamp),
            control.control(session, stamp),
        ]
    return [each for each in drawn if each is not None]


def more_values(session: Session, beside: Beside, walked: LoopWalk, figures: Sequence[Drawn]) -> dict[str, Any]:
    """What the template takes of the further tables."""
    labels, not_believed = reviewed.reviewed(session)
    return {
        "reviewed": labels,
        "review_problem": not_believed,
        "pre_post": pre_post.pre_post(beside.sensitivity),
        "density": density.density(session, beside.measured),
        "control_panel": control.panel(session, walked),
        "settings_tried": settings_tried.settings_tried(session),
        "kept": integrity.streams_kept(session),
        "provenance": provenance.facts(session),
        "parameters_used": provenance.parameters(beside.measured, figures),
    }

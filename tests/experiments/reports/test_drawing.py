"""A figure's stamp can neither be lost nor hide anything."""

from __future__ import annotations

from myoloop.experiments.reports.drawing import panels


def test_the_stamp_has_a_line_of_its_own():
    figure, axes = panels([1.9, 1.2], "PARTLY SIMULATED: stimulation simulated, EMG recorded from a file")
    axes[0].set_title("channel ext", loc="left")
    axes[0].plot([0, 1], [0, 1], label="asked")
    axes[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0))
    figure.draw_without_rendering()
    (stamp,) = figure.texts
    below = stamp.get_window_extent().y0
    assert all(axis.get_tightbbox().y1 <= below for axis in axes)


def test_without_a_stamp_the_figure_has_all_the_room():
    figure, _ = panels([1.9], "")
    assert figure.texts == []

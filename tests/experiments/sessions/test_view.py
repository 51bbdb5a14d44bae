"""The live view: every stop key counts, and a frame says where the session is and what flows."""

from __future__ import annotations

import io
import os
import pty
import sys

import pytest
from rich.console import Console

from myoloop.experiments.sessions.live import Seen
from myoloop.experiments.sessions.run import prepare
from myoloop.experiments.sessions.terminal import pressed, single_keys
from myoloop.experiments.sessions.view import LiveView, Progress
from myoloop.platform.messages import (
    ChannelSetting,
    Dose,
    Estimate,
    Heartbeat,
    Measure,
    MuscleEstimate,
    Phase,
    StimReport,
)


@pytest.fixture
def terminal(monkeypatch):
    """A terminal as standard input, and the keyboard's end of it."""
    keyboard, screen = pty.openpty()
    with os.fdopen(screen, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield keyboard
    os.close(keyboard)


@pytest.fixture
def setup(root, tmp_path):
    return prepare(str(root / "tests" / "data" / "drill.yaml"), subject="P001", rig=None, study=tmp_path, seed=1)


class TestKeys:
    def test_keys_count_without_enter(self, terminal, eventually):
        with single_keys() as there:
            assert there
            os.write(terminal, b"s")
            assert eventually(pressed, "the key") == {"s"}
            assert pressed() == set()

    def test_a_stop_key_behind_another_is_not_overlooked(self, terminal, eventually):
        with single_keys():
            os.write(terminal, b"xyz s")
            assert " " in eventually(pressed, "the keys")

    def test_where_there_is_no_terminal_there_are_no_keys(self, monkeypatch):
        with open(os.devnull) as nothing:  # noqa: PTH123
            monkeypatch.setattr(sys, "stdin", nothing)
            with single_keys() as there:
                assert not there

    @pytest.mark.parametrize("key", [b" ", b"s", b"S"])
    def test_a_stop_key_is_a_reason_to_stop(self, terminal, eventually, setup, key):
        view = LiveView(setup, Console(file=io.StringIO()))
        with view.shown():
            assert view.turn(Seen()) == ""
            os.write(terminal, b"q")
            os.write(terminal, key)
            assert eventually(lambda: view.turn(Seen()), "the stop") == "stop key"

    def test_the_terminal_is_left_as_it_was(self, terminal):
        import termios

        before = termios.tcgetattr(sys.stdin)
        with single_keys():
            assert termios.tcgetattr(sys.stdin) != before
        assert termios.tcgetattr(sys.stdin) == before


def seen(**report) -> Seen:
    setting = ChannelSetting(channel="ext", current_ma=12.0, phase_us=250.0, rate_hz=35.0)
    muscle = MuscleEstimate(
        muscle="ext", level_uv=123.4, fatigue=Measure(value=0.25, low=0.1, high=0.4, valid=True, reason=""),
        spasm=Measure(value=1.0, valid=True, reason=""), effort=Measure(reason="no reference"), response=Measure(),
        fatigue_emg=Measure(value=0.31, valid=True, reason=""), spasm_kind="clonus",
    )  # fmt: skip
    phase = Phase(
        t_ns=1, session="s1", state="waiting", waiting_for="arm", name="train", trial=2, trials=6,
        trial_state="ramp_up", seconds_left=42.4, prompt="lift your hand",
    )  # fmt: skip
    plain = {"state": "STIMULATING", "rule": "rise", "reasons": ("ext: 12 of 14 mA, rise",), "latched": ""}
    told = StimReport(
        step=1, t_ns=1, request=None,
        requested=(setting.__class__(channel="ext", current_ma=14.0, phase_us=250.0, rate_hz=35.0),),
        allowed=(setting,), acknowledged=(setting,), dose=Dose(), **{**plain, **report},
    )  # fmt: skip
    beat = Heartbeat(
        t_ns=1, node="recorder", role="recorder", state="running", cycle_ms=1.0, cycle_mean_ms=0.5, cycle_worst_ms=3.0,
        counters={"bytes_written": 2_500_000.0},
    )  # fmt: skip
    estimate = Estimate(step=1, t_ns=1, muscles=(muscle,))
    return Seen(phase=phase, report=told, estimate=estimate, beats={"recorder": beat})


def drawn(setup, what: Seen) -> str:
    console = Console(width=140, file=io.StringIO())
    console.print(LiveView(setup, console).draw(what))
    return console.file.getvalue()


def test_a_frame_says_where_the_session_is_what_is_known_and_what_flows(setup):
    text = drawn(setup, seen())
    for word in (
        setup.session, "SIM", "train", "waits for arm", "trial 2/6: ramp up", "42 s left", "lift your hand",
        "123", "0.25 [0.10, 0.40]", "EMG 0.31", "SPASM clonus", "no reference", "14.0 mA", "12.0 mA", "20.0 mA",
        "STIMULATING", "ext: 12 of 14 mA, rise", "0.5/3 ms", "2.5 MB", "Ctrl-C stops",
    ):  # fmt: skip
        assert word in text, word


def test_a_latched_gate_says_why(setup):
    assert "stop: pressed (pedal)" in drawn(setup, seen(state="STOPPED", latched="stop: pressed (pedal)"))


def test_who_the_device_is_and_what_is_wrong_with_its_port_is_seen(setup):
    assert "device:" not in drawn(setup, seen())
    state = seen()
    state.device = "P24 1234; answers come up to 16 ms late"
    assert "device: P24 1234; answers come up to 16 ms late" in drawn(setup, state)


def test_before_anything_was_heard_it_says_so(setup):
    text = drawn(setup, Seen())
    assert "bringing the rig up" in text
    assert "gate: not heard yet" in text


def test_where_a_machine_reads_nothing_is_drawn(setup, capfd):
    view = LiveView(setup, quiet=True)
    with view.shown():
        assert view.turn(seen()) == ""
    with Progress(setup, quiet=True).shown() as progress:
        progress.tick(seen().phase)
    assert capfd.readouterr().out == ""

"""A rig as far as an onlooker can tell: sockets, keys, card, and streams at their rates; nothing stimulates anybody.

For measuring what a console costs, and for looking at its pages: the signals are noise with bursts, everything else is
plausible and made up. It says so: the rig's class is SIM.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from myoloop.platform.bus import Bus
from myoloop.platform.keyring import make_keys
from myoloop.platform.messages import (
    ChannelSetting,
    Dose,
    Estimate,
    Event,
    Heartbeat,
    Measure,
    Message,
    MotionEstimate,
    MuscleEstimate,
    Phase,
    Pulses,
    Samples,
    StimReport,
    Target,
    Vital,
)
from myoloop.platform.process import write_rig_file
from myoloop.platform.runtime import OwnedRuntimeFolder
from myoloop.platform.steps import Outgoing

SESSION: Final = "sub-SIM01/ses-01/att-1"
NODES: Final[dict[str, str]] = {
    "amp": "acquisition",
    "controller": "controller",
    "stim": "stimulator",
    "director": "director",
    "recorder": "recorder",
}
VISITORS: Final = {"supervisor": "supervisor", "console": "operator", "observer": "observer"}
BLOCK_S: Final = 0.01
SCALE_UV: Final = 0.1
#: Of the first muscle, whose effort is waited for.
THRESHOLD_UV: Final = 40.0
_HEARTBEAT_TURNS, _PHASE_TURNS = 4, 10
#: A trial: so many seconds, of which the middle ones are stimulated.
_TRIAL_S, _ON_S, _OFF_S = 8.0, 3.0, 6.0


class PretendStreams:
    """What the nodes of a session say that nobody plays, 10 ms by 10 ms.

    Parameters
    ----------
    muscles, rate_hz
        How many, and how often each is sampled.
    """

    def __init__(self, muscles: int = 8, rate_hz: float = 2000.0) -> None:
        self.names = [f"muscle_{number + 1}" for number in range(muscles)]
        self.rate_hz = rate_hz
        self._samples = round(rate_hz * BLOCK_S)
        self._random = np.random.default_rng(1)
        self._turn = 0
        self._said: list[tuple[str, Outgoing]] = []

    def turn(self, now_ns: int) -> list[tuple[str, Outgoing]]:
        """What is said in the next 10 ms, and by which node."""
        self._said = []
        turn, self._turn = self._turn, self._turn + 1
        in_trial_s = turn * BLOCK_S % _TRIAL_S
        on = _ON_S <= in_trial_s < _OFF_S
        effort = math.exp(-(((in_trial_s - _ON_S) / 0.8) ** 2)) if in_trial_s < _OFF_S else 0.0
        self._say_signals(turn, now_ns, effort, on)
        self._say_decisions(turn, now_ns, effort, on, in_trial_s)
        if turn % _HEARTBEAT_TURNS == 0:
            for name, role in [*NODES.items(), ("supervisor", "supervisor")]:
                counters = {"bytes_written": 4e4 * turn, "messages": 8.0 * turn, "missing": 0.0}
                beat = Heartbeat(
                    t_ns=now_ns, node=name, role=role, state="running", cycle_ms=1.2, cycle_mean_ms=1.1,
                    cycle_worst_ms=4.0, counters=counters if role == "recorder" else {},
                )  # fmt: skip
                self._say(name, f"heartbeat/{name}", beat)
        return self._said

    def card(self, *, blinded: bool = False) -> dict[str, Any]:
        """What such a session would say of itself."""
        return {
            "session": SESSION, "study": "", "subject": "SIM01", "protocol": "pretend", "title": "A pretended session",
            "rig_class": "SIM", "simulated": True, "blinded": blinded,
            "muscles": [
                {"name": name, "topic": "emg/amp", "column": column, "rate_hz": self.rate_hz, "scale_uv": SCALE_UV,
                 "offset": 0.0}
                for column, name in enumerate(self.names)
            ],
            "imu": None, "channels": [{"name": "ext", "cap_ma": 25.0, "site": "ext"}],
            "phases": [{"name": "trains", "kind": "block"}], "stop_port": None, "stimulator": "stim",
            "director": "director", "sites": [],
        }  # fmt: skip

    def _say(self, node: str, topic: str, message: Message, array: Any = None) -> None:
        self._said.append((node, Outgoing(topic, message, array)))

    def _say_signals(self, turn: int, now_ns: int, effort: float, on: bool) -> None:
        spread = 60.0 + 1500.0 * effort * np.linspace(1.0, 0.2, len(self.names))
        block = self._random.normal(0.0, spread, (self._samples, len(self.names)))
        if on and turn % 3 == 0:
            # An artefact every 30 ms, on all muscles.
            block[2, :] += 20_000.0
            block[3, :] -= 14_000.0
            self._say("stim", "pulse", _pulse(now_ns - round(1e9 * BLOCK_S) + 1_000_000))
        raw = block.astype("<i4")
        self._say("amp", "emg/amp", Samples(first_sample=turn * self._samples, t_ns=now_ns), raw)
        count = len(self.names)
        vital = Vital(
            topic="emg/amp", samples_seq=turn, t_ns=now_ns, rate_hz=self.rate_hz, valid_share=(1.0,) * count,
            flags=("",) * count,
        )  # fmt: skip
        self._say("amp", "vital/amp", vital)

    def _say_decisions(self, turn: int, now_ns: int, effort: float, on: bool, in_trial_s: float) -> None:
        known = Measure(value=0.2, low=0.1, high=0.3, valid=True, reason="")
        none = Measure(value=0.0, valid=True, reason="")
        trying = Measure(value=effort, valid=True, reason="")
        muscles = tuple(
            MuscleEstimate(
                muscle=name, level_uv=6.0 + 150.0 * effort, fatigue=known, spasm=none, effort=trying,
                response=Measure(reason="no train yet"),
                activity_uv=6.0 + 150.0 * effort if name == self.names[0] else None,
                threshold_uv=THRESHOLD_UV if name == self.names[0] else None,
            )
            for name in self.names
        )  # fmt: skip
        angle = Measure(value=0.3 * math.sin(turn / 100.0), valid=True, reason="")
        motion = MotionEstimate(angle_rad=angle)
        self._say("controller", "estimate", Estimate(step=turn, t_ns=now_ns, muscles=muscles, motion=motion))
        asked = ChannelSetting(channel="ext", current_ma=14.0 if on else 0.0, phase_us=250.0, rate_hz=35.0)
        dose = Dose(session_charge_mc=0.01 * turn, session_on_s=0.004 * turn, session_pulses=turn // 3)
        report = StimReport(
            step=turn, t_ns=now_ns, state="STIMULATING" if on else "ARMED", request=None, requested=(asked,),
            allowed=(asked,), acknowledged=(asked,), rule="", reasons=(), dose=dose,
        )  # fmt: skip
        self._say("stim", "report", report)
        if turn % _PHASE_TURNS == 0:
            trial = int(turn * BLOCK_S / _TRIAL_S) + 1
            word, since_s, lasts_s = _trial_state(in_trial_s)
            phase = Phase(
                t_ns=now_ns, session=SESSION, state="running", name="trains", kind="block", machine="effort", block=1,
                trial=trial, trials=20, trial_state=word, t_state_ns=now_ns - round(since_s * 1e9), state_s=lasts_s,
                session_s=turn * BLOCK_S, seconds_left=max(0.0, 160.0 - turn * BLOCK_S), arm_id="pretended",
                targets=(Target(channel="ext", current_ma=14.0, phase_us=250.0, rate_hz=35.0, ramp_up_s=0.3,
                                ramp_down_s=0.3),),
                prompt="Now try to move." if word == "await_effort" else "Relax.",
            )  # fmt: skip
            self._say("director", "phase", phase)
        if turn % round(_TRIAL_S / BLOCK_S) == round(_OFF_S / BLOCK_S):
            self._say("director", "event", Event(t_ns=now_ns, kind="score", who="director", values={"score": 3.0}))


class PretendRig:
    """Sockets, keys and card of a session that nobody plays.

    Parameters
    ----------
    muscles
        How many are heard, at 2 kHz.
    blinded
        What the card says.
    """

    def __init__(self, muscles: int = 8, *, blinded: bool = False) -> None:
        self.streams = PretendStreams(muscles)
        self.runtime = OwnedRuntimeFolder()
        self._blinded = blinded
        make_keys(self.runtime.path, {**NODES, **VISITORS})
        write_rig_file(self.runtime.path, SESSION, dict(NODES), "pretend")
        self.buses = {name: Bus(self.runtime, name, session=SESSION) for name in [*NODES, "supervisor"]}

    def tell_card(self) -> None:
        """Let consoles find it."""
        part = self.runtime.path / "console.json.part"
        part.write_text(json.dumps(self.streams.card(blinded=self._blinded)), encoding="utf-8")
        part.replace(self.runtime.path / "console.json")

    def turn(self, now_ns: int) -> None:
        """Say what a rig says in 10 ms."""
        for node, outgoing in self.streams.turn(now_ns):
            self.buses[node].publish(outgoing)

    def close(self) -> None:
        """End all of it."""
        for bus in self.buses.values():
            bus.close()
        self.runtime.remove()


def _pulse(t_ns: int) -> Pulses:
    return Pulses(channel="ext", t_ns=(t_ns,), uncertainty_ns=100_000, kind="sent", current_ma=14.0, phase_us=250.0)


def _trial_state(in_trial_s: float) -> tuple[str, float, float]:
    """Its word, since how long, and how long it lasts."""
    for word, begin_s, end_s in (
        ("cue", 0.0, 1.0), ("await_effort", 1.0, _ON_S), ("hold", _ON_S, _OFF_S), ("rest", _OFF_S, _TRIAL_S),
    ):  # fmt: skip
        if in_trial_s < end_s:
            return word, in_trial_s - begin_s, end_s - begin_s
    return "rest", 0.0, 0.0


def pretend(settings: Mapping[str, Any]) -> None:
    """Be such a rig at real time until standard input ends."""
    rig = PretendRig(int(settings.get("muscles", 8)), blinded=bool(settings.get("blinded", False)))
    try:
        rig.tell_card()
        sys.stdout.write("up\n")
        sys.stdout.flush()
        _play(rig, float(settings.get("seconds", 3600.0)))
    finally:
        rig.close()


def _play(rig: PretendRig, seconds: float) -> None:
    began_ns = next_ns = time.monotonic_ns()
    while next_ns - began_ns < seconds * 1e9:
        next_ns += round(BLOCK_S * 1e9)
        time.sleep(max(0.0, (next_ns - time.monotonic_ns()) * 1e-9))
        rig.turn(next_ns)


if __name__ == "__main__":
    pretend(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {})

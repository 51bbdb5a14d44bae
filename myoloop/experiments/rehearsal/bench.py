"""What is rehearsed: rising steps on each channel, many starts, and a stop, as a protocol for the rig itself."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, sqrt
from typing import Any

from myoloop.experiments.protocols.envelope import TOLERANCE_SHARE
from myoloop.experiments.sessions.script import Script
from myoloop.platform.errors import UserError
from myoloop.platform.rig import Rig
from myoloop.stimulators.driver import Capabilities
from myoloop.stimulators.gate.ceilings import CEILINGS, CONTACT_FRACTION

#: Steps on each channel, as parts of the largest current.
PARTS = (0.25, 0.5, 0.75, 1.0)
#: More than 75 mA shows a doubled load on a device of 150 V; the devices drive 130 mA through 1 kilo-ohm.
_CURRENT_MAX_MA = 100.0
_PHASE_US = 100.0
_RATE_HZ = 25.0
#: Slower than the gate lets new ground be taken, so that all that is asked is allowed.
_RISE_MA_PER_S = 16.0
_HOLD_S = 1.0
_RAMP_S = 0.2
#: A start: ramp, hold, ramp, and a little more rest than that, for the duty.
_START_S = (0.1, 0.3, 0.1, 0.6)
#: The largest current whose r.m.s. value the envelope's default allows over half a pad; a tenth less.
_DENSITY_MA_CM2 = 0.9
_STOP = "stop"
_PRESSED = "rehearsed"
_MICROCURRENT_MA = CEILINGS["microcurrent"].current_ma


class RehearsalError(UserError, ValueError):
    """A rig that cannot be rehearsed; one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What is asked of one channel.

    Attributes
    ----------
    currents_ma
        One after the other, each from zero.
    start_ma, starts
        Current of the short trains of which the latency is measured, and how many.
    """

    channel: str
    output: int
    currents_ma: tuple[float, ...]
    start_ma: float
    starts: int


@dataclass(frozen=True, slots=True)
class Bench:
    """A rehearsal, decided.

    Attributes
    ----------
    phase_us, rate_hz
        Of all pulses.
    heard
        The muscle whose source must live.
    stop_after_s
        How long the last train has lasted when it is stopped by key.
    """

    rig_class: str
    steps: tuple[Steps, ...]
    phase_us: float
    rate_hz: float
    step_ma: float
    pads_cm2: dict[str, float]
    heard: str
    stop_after_s: float = 1.0

    @property
    def seconds(self) -> float:
        """How long it takes, without bringing the rig up."""
        rising = sum(_train_s(ma) + _rest_s(ma) for one in self.steps for ma in one.currents_ma)
        return rising + sum(one.starts for one in self.steps) * sum(_START_S) + self.stop_after_s + _RAMP_S + 1.0

    def protocol(self) -> dict[str, Any]:
        """The protocol, as its file holds it."""
        top_ma = max(one.currents_ma[-1] for one in self.steps)
        at_once_ma = CEILINGS["nmes"].step_ma
        sites: dict[str, Any] = {
            one.channel: {"muscle": "dummy load", "side": "left", "pad": f"{self.pads_cm2[one.channel]:g} cm2"}
            for one in self.steps
        }
        sites.setdefault(self.heard, {"muscle": "source of the rig", "side": "left"})["emg"] = "monitor"
        return {
            "protocol": {
                "id": "rehearsal", "version": "1.0.0", "schema": 1, "title": "Rehearsal on a dummy load",
                "rigs": ["SIM", "BENCH"], "evidence": {"grade": "none", "note": "Nobody is stimulated."},
            },
            "devices": {
                "emg": {"min_rate": "50 Hz", "channels": [self.heard]},
                "stim": {"class": "mA", "min_step": f"{max(self.step_ma, 0.1):g} mA"},
            },
            "sites": sites,
            "envelope": {
                "waveform_class": "nmes", "current_max": f"{top_ma:g} mA", "on_max": "20 s", "duty_max": "50 %",
                "total_on": f"{ceil(self.seconds)} s", "step": f"{at_once_ma:g} mA", "slew": "20 mA/s",
                "ramp_min": "0.1 s",
            },
            "stimulation": {
                one.channel: {"site": one.channel, "phase": f"{self.phase_us:g} us", "rate": f"{self.rate_hz:g} Hz"}
                for one in self.steps
            },
            # No more than a share of the tolerance is ever given.
            "thresholds": {"motor": f"{top_ma:g} mA", "tolerance": f"{top_ma / TOLERANCE_SHARE + 0.01:.4g} mA"},
            "phases": [{"rest": {"name": "begin", "duration": "0.5 s"}}, *self._blocks(top_ma)],
            "controller": {"policy": "open_loop", "reflex": {"spasm": {"enabled": False}}},
            "stop_rules": [{"session_max": f"{ceil(self.seconds / 60) + 1} min"}],
            "outcomes": {"primary": "trials_done"},
        }  # fmt: skip

    def script(self) -> Script:
        """Who acts: arms, approves, and presses stop in the middle of the last train."""
        act = {"when": {"phase": _STOP, "state": "hold", "after": f"{self.stop_after_s:g} s"}, "do": {"stop": _PRESSED}}
        return Script.model_validate({"others": "clear", "acts": [act]})

    @property
    def ended(self) -> tuple[str, str]:
        """Outcome and reason of a session that went as it should: stopped by that key."""
        return "stopped", _PRESSED

    def _blocks(self, top_ma: float) -> list[dict[str, Any]]:
        blocks = []
        for one in self.steps:
            for number, ma in enumerate(one.currents_ma, 1):
                blocks.append(
                    _block(
                        f"{one.channel} step {number}", one.channel, ma / top_ma, 1, _rise_s(ma), _HOLD_S, _rest_s(ma)
                    )
                )
        up_s, hold_s, _, rest_s = _START_S
        for one in self.steps:
            if one.starts:
                x = one.start_ma / top_ma
                blocks.append(_block(f"{one.channel} starts", one.channel, x, one.starts, up_s, hold_s, rest_s, up_s))
        first = self.steps[0]
        blocks.append(_block(_STOP, first.channel, first.start_ma / top_ma, 1, _RAMP_S, self.stop_after_s + 4.0, 0.0))
        return [{"block": block} for block in blocks]


def bench_of(rig: Rig, device: Capabilities, seconds: float = 60.0) -> Bench:
    """Decide a rehearsal of a rig.

    Parameters
    ----------
    device
        What its stimulator can do.
    seconds
        How long short trains are given, of which the latency is measured; over all channels.

    Raises
    ------
    RehearsalError
        If the rig is for people, has nothing to stimulate with, or cannot give so much as one step.
    """
    refuse_people(rig)
    if not rig.stimulation or not rig.emg:
        what = "stimulation" if not rig.stimulation else "emg"
        raise RehearsalError(f"rig {rig.rig.id}: has no {what}; a rehearsal needs a channel of each kind")
    if device.current_max_ma <= _MICROCURRENT_MA:
        raise RehearsalError(
            f"rig {rig.rig.id}: its device gives at most {device.current_max_ma:g} mA; "
            "rehearse microcurrent with a protocol of its own: --protocol"
        )
    step_max_ma = CEILINGS["nmes"].step_ma
    if device.current_step_ma > step_max_ma:
        raise RehearsalError(
            f"rig {rig.rig.id}: its device's least step is {device.current_step_ma:g} mA, the gate lets current rise "
            f"by at most {step_max_ma:g} mA at once: no current can be rehearsed"
        )
    low_us, high_us = max(device.phase_min_us, 100.0), min(device.phase_max_us, 400.0)
    rate_hz = min(max(_RATE_HZ, device.rate_min_hz), device.rate_max_hz)
    if low_us > high_us or not 2.0 <= rate_hz <= 80.0:
        raise RehearsalError(
            f"rig {rig.rig.id}: its device gives {device.phase_min_us:g} to {device.phase_max_us:g} us at "
            f"{device.rate_min_hz:g} to {device.rate_max_hz:g} Hz, a rehearsal needs some of 100 to 400 us at "
            "2 to 80 Hz; use --protocol"
        )
    phase_us = min(max(_PHASE_US, low_us), high_us)
    starts = ceil(seconds / sum(_START_S) / len(rig.stimulation))
    rms_share = sqrt(2e-6 * phase_us * rate_hz)
    steps = []
    for channel, place in rig.stimulation.items():
        over_pad_ma = _DENSITY_MA_CM2 * CONTACT_FRACTION * place.pad_area_cm2 / rms_share
        top_ma = min(device.current_max_ma, _CURRENT_MAX_MA, over_pad_ma, 9.0 / rms_share, 11_000.0 / phase_us)
        currents_ma = _steps(top_ma, device.current_step_ma)
        if not currents_ma:
            raise RehearsalError(
                f"rig {rig.rig.id}: channel {channel}: the device's step is {device.current_step_ma:g} mA, "
                f"at most {top_ma:.3g} mA can be rehearsed on this pad; use --protocol"
            )
        middle_ma = currents_ma[(len(currents_ma) - 1) // 2]
        steps.append(Steps(channel, place.output, currents_ma, middle_ma, starts))
    pads = {channel: place.pad_area_cm2 for channel, place in rig.stimulation.items()}
    return Bench(rig.rig.rig_class, tuple(steps), phase_us, rate_hz, device.current_step_ma, pads, next(iter(rig.emg)))


def refuse_people(rig: Rig) -> None:
    """Refuse a rig of class HUMAN.

    Raises
    ------
    RehearsalError
        That says how to rehearse it.
    """
    if rig.rig.rig_class == "HUMAN":
        raise RehearsalError(
            f"{rig.place(('rig', 'class'))}: found HUMAN; a rehearsal is on a dummy load: put all leads on 1 kilo-ohm, "
            "copy the rig file, write class: BENCH in the copy, change nothing else, and rehearse the copy"
        )


def say_bench(bench: Bench) -> str:
    """What will be done, in words."""
    lines = [
        f"{one.channel} (output {one.output}): {', '.join(f'{ma:g}' for ma in one.currents_ma)} mA, "
        f"then {one.starts} starts at {one.start_ma:g} mA"
        for one in bench.steps
    ]
    lines.append(f"then a train on {bench.steps[0].channel} that is stopped by key")
    lines.append(f"pulses of {bench.phase_us:g} us per phase at {bench.rate_hz:g} Hz, {bench.seconds:.0f} s in all")
    return "\n".join(lines)


def _steps(top_ma: float, step_ma: float) -> tuple[float, ...]:
    """Whole multiples of the device's step, rising."""
    codes = dict.fromkeys(floor(round(top_ma * part / step_ma, 9)) for part in PARTS)
    return tuple(round(code * step_ma, 9) for code in codes if code > 0)


def _rise_s(ma: float) -> float:
    return max(_RAMP_S, round(ma / _RISE_MA_PER_S, 1))


def _train_s(ma: float) -> float:
    return _rise_s(ma) + _HOLD_S + _RAMP_S


def _rest_s(ma: float) -> float:
    """As long as the train and a little more, for the duty."""
    return round(_train_s(ma) * 1.05 + 0.1, 2)


def _block(
    name: str, channel: str, x: float, trials: int, up_s: float, hold_s: float, rest_s: float, down_s: float = _RAMP_S
) -> dict[str, Any]:
    return {
        "name": name, "machine": "cyclic", "trials": trials, "channels": [channel], "ramp_up": f"{up_s:g} s",
        "hold": f"{hold_s:g} s", "ramp_down": f"{down_s:g} s", "rest": f"{rest_s:g} s",
        "intensity": {"ref": "motor", "x": x},
    }  # fmt: skip

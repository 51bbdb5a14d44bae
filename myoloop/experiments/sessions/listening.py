"""What the estimates tell while nothing flows, and while calibration steps do: noise at rest, and who answers."""

from __future__ import annotations

from math import isfinite, sqrt

from myoloop.experiments.protocols.plan import Plan
from myoloop.experiments.sessions.place import Place
from myoloop.platform.messages import Estimate, Event


def heard(plan: Plan, place: Place, estimate: Estimate) -> None:
    """Take note of an estimate, if there is anything to learn from it now."""
    phase = place.phase(plan)
    if place.stage != "phase" or phase is None:
        return
    checking = place.checking is not None and place.checking.state == "listen"
    if checking or (phase.rest is not None and phase.rest.baseline):
        for muscle in estimate.muscles:
            if muscle.level_uv is not None and isfinite(muscle.level_uv):
                count, squares = place.heard.get(muscle.muscle, (0, 0.0))
                place.heard[muscle.muscle] = (count + 1, squares + muscle.level_uv * muscle.level_uv)
    elif phase.calibration is not None and place.calibrating is not None and place.arm_id:
        channel = place.kept(phase.calibration.pulses)[place.calibrating.channel].channel
        _answered(place, channel, estimate)


def known_fatigue(estimate: Estimate) -> dict[str, float]:
    """The valid estimates of fatigue, per muscle."""
    return {
        muscle.muscle: muscle.fatigue.value
        for muscle in estimate.muscles
        if muscle.fatigue.valid and muscle.fatigue.value is not None
    }


def rest_noise(place: Place) -> None:
    """The RMS of what was heard becomes each muscle's noise at rest."""
    for muscle, (count, squares) in place.heard.items():
        if count:
            place.noise_uv[muscle] = sqrt(squares / count)
    place.heard = {}


def impedance(place: Place, event: Event) -> None:
    """A device has told impedances by channel, in ohm."""
    for channel, value in event.values.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value >= 0:
            place.impedance_ohm[channel] = float(value)


def _answered(place: Place, channel: str, estimate: Estimate) -> None:
    """Keep the largest answer of every muscle to steps on a channel, and how far the joint has moved."""
    waves = place.evoked_uv.setdefault(channel, {})
    levels = place.evoked_level_uv.setdefault(channel, {})
    for muscle in estimate.muscles:
        wave = muscle.mwave
        if wave is not None and wave.channel in ("", channel) and wave.t_ns >= place.armed_ns:
            waves[muscle.muscle] = max(waves.get(muscle.muscle, 0.0), wave.peak_to_peak_uv)
        if muscle.level_uv is not None and isfinite(muscle.level_uv):
            levels[muscle.muscle] = max(levels.get(muscle.muscle, 0.0), muscle.level_uv)
    angle = estimate.motion.angle_rad if estimate.motion is not None else None
    if angle is not None and angle.valid and angle.value is not None:
        furthest = place.moved_rad.get(channel, 0.0)
        place.moved_rad[channel] = angle.value if abs(angle.value) > abs(furthest) else furthest

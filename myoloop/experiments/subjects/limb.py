"""One joint: ``J a = M_muscles + M_other - B w - K (theta - theta0) - W sin(theta) - end-stops``.

The segment hangs at theta = 0, so that the joint angle is the segment's inclination from the vertical as well. Steps
are 1 ms. The passive joint is integrated half-implicitly (velocity first, damping at the step's end), which is stable
for ``sqrt((K + W) / J) < 2000 / s`` and so for everything that is allowed; the end-stops are far stiffer and are solved
with their force at the step's end (backward Euler), which takes energy away whatever their stiffness is. A stop only
pushes, and damps only what moves into it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from myoloop.experiments.subjects.distributions import Parameters, parameter

_STEP_S = 0.001
#: Share of the largest moment arm that is left at any angle.
_ARM_LEFT = 0.2

#: Angle (rad), velocity (rad/s) and acceleration (rad/s^2) of the joint at the end of a millisecond.
State = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class LimbParameters(Parameters):
    """A joint and the segment on it.

    Attributes
    ----------
    inertia_kg_m2, damping_n_m_s, stiffness_n_m, weight_n_m
        The limb about its joint: inertia, damping and stiffness per radian, largest torque of its weight.
    joint_rest_rad
        Where the passive joint's spring is slack.
    joint_fixed
        1: a dynamometer holds the joint at `joint_rest_rad`; 0: it moves.
    stop_low_rad, stop_high_rad
        Ends of the range of motion.
    stop_stiffness_n_m, stop_damping_n_m_s
        Of the end-stops, per radian beyond them.
    moment_arm_m
        Of the muscles about the joint, where it is largest.
    moment_arm_best_rad, moment_arm_fall
        The angle of the largest arm, and the share of it lost one radian away; it falls with the square of that
        distance, to a fifth at least.
    """

    inertia_kg_m2: float = parameter(0.05, 0.001, 5.0, source="our choice: a forearm and hand about the elbow")
    damping_n_m_s: float = parameter(1.0, 0.001, 50.0, source="our choice: passive joint, nearly critical")
    stiffness_n_m: float = parameter(12.0, 0.0, 200.0, source="our choice: some tens of degrees at moderate force")
    weight_n_m: float = parameter(3.0, 0.0, 100.0, source="our choice: 2 kg at 15 cm")
    joint_rest_rad: float = parameter(0.0, -1.5, 1.5, source="our choice: slack where the segment hangs")
    joint_fixed: float = parameter(0.0, 0.0, 1.0, source="a matter of the experiment, not of the person")
    stop_low_rad: float = parameter(-1.6, -3.1, -0.1, source="our choice: a right angle")
    stop_high_rad: float = parameter(1.6, 0.1, 3.1, source="our choice: a right angle")
    stop_stiffness_n_m: float = parameter(
        2000.0, 100.0, 20000.0, source="our choice: half a degree at the torque of a strong muscle"
    )
    stop_damping_n_m_s: float = parameter(20.0, 0.0, 200.0, source="our choice: no rebound worth seeing")
    moment_arm_m: float = parameter(0.04, 0.001, 0.2, source="our choice: a flexor about the elbow")
    moment_arm_best_rad: float = parameter(0.0, -1.5, 1.5, source="our choice: at rest")
    moment_arm_fall: float = parameter(0.0, 0.0, 0.8, source="our choice: an arm that does not change")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.joint_fixed not in (0.0, 1.0):
            raise ValueError(f"joint_fixed: found {self.joint_fixed:g}, allowed is 0 (it moves) or 1 (it is held)")
        if not self.stop_low_rad < self.joint_rest_rad < self.stop_high_rad:
            raise ValueError(
                f"joint_rest_rad: found {self.joint_rest_rad:g}, allowed is between stop_low_rad "
                f"{self.stop_low_rad:g} and stop_high_rad {self.stop_high_rad:g}"
            )


class Limb:
    """The joint; begins at rest where its passive torques balance.

    Attributes
    ----------
    angle_rad, velocity_rad_s, acceleration_rad_s2
        Now.
    torques_n_m
        What was exerted about the joint in each millisecond of the last advance, by the muscles and otherwise: what a
        force cell measures.
    """

    def __init__(self, parameters: LimbParameters) -> None:
        self._p = parameters
        self._fixed = parameters.joint_fixed == 1.0
        self.angle_rad = parameters.joint_rest_rad if self._fixed else _balance_rad(parameters)
        self.velocity_rad_s = 0.0
        self.acceleration_rad_s2 = 0.0
        self.torques_n_m: list[float] = []

    @property
    def inclination_rad(self) -> float:
        """Angle between the segment's long axis and the vertical, from 0 where it hangs."""
        return abs(self.angle_rad)

    def truth(self) -> dict[str, float | int | str | None]:
        """For ``truth/joint``."""
        return {
            "angle_rad": self.angle_rad,
            "velocity_rad_s": self.velocity_rad_s,
            "inclination_rad": self.inclination_rad,
        }

    def moment_arm_m(self, angle_rad: float) -> float:
        """Moment arm of the muscles at an angle."""
        p = self._p
        away_rad = angle_rad - p.moment_arm_best_rad
        return p.moment_arm_m * max(_ARM_LEFT, 1.0 - p.moment_arm_fall * away_rad * away_rad)

    def advance(self, forces_n: Sequence[float], torques_n_m: Sequence[float] | None = None) -> list[State]:
        """Move through one millisecond per net force of the muscles.

        Parameters
        ----------
        torques_n_m
            Other ones about the joint, one per force: a tremor, a hand that moves the limb, a load.

        Returns
        -------
        list
            The state after each millisecond.
        """
        # The arm is that of the block's beginning: nobody moves far in 10 ms.
        arm_m = self.moment_arm_m(self.angle_rad)
        active = [arm_m * force_n for force_n in forces_n]
        if torques_n_m is not None:
            active = [own + other for own, other in zip(active, torques_n_m, strict=True)]
        self.torques_n_m = active
        if self._fixed:
            return [(self.angle_rad, 0.0, 0.0)] * len(active)
        p = self._p
        angle, velocity, acceleration = self.angle_rad, self.velocity_rad_s, self.acceleration_rad_s2
        stiffness, weight, rest = p.stiffness_n_m, p.weight_n_m, p.joint_rest_rad
        low, high = p.stop_low_rad, p.stop_high_rad
        per_inertia = _STEP_S / p.inertia_kg_m2
        damped = 1.0 / (1.0 + p.damping_n_m_s * per_inertia)
        sin = math.sin
        states = []
        for torque in active:
            before = velocity
            pushed = before + (torque - stiffness * (angle - rest) - weight * sin(angle)) * per_inertia
            velocity = pushed * damped
            beyond = angle + velocity * _STEP_S
            if beyond > high:
                velocity = self._stopped(pushed, angle - high, 1.0)
            elif beyond < low:
                velocity = self._stopped(pushed, angle - low, -1.0)
            angle += velocity * _STEP_S
            acceleration = (velocity - before) / _STEP_S
            states.append((angle, velocity, acceleration))
        self.angle_rad, self.velocity_rad_s, self.acceleration_rad_s2 = angle, velocity, acceleration
        return states

    def _stopped(self, pushed_rad_s: float, beyond_rad: float, way: float) -> float:
        """Velocity after a millisecond against a stop: spring and damper taken at the step's end."""
        p = self._p
        per_inertia = _STEP_S / p.inertia_kg_m2
        spring = p.stop_stiffness_n_m * per_inertia
        numerator = pushed_rad_s - spring * beyond_rad
        damping = p.damping_n_m_s + (p.stop_damping_n_m_s if way * numerator > 0 else 0.0)
        return numerator / (1.0 + damping * per_inertia + spring * _STEP_S)


def _balance_rad(p: LimbParameters) -> float:
    """Where stiffness and weight balance, between hanging and slack (by bisection), or the stop before that."""
    hanging, slack = 0.0, p.joint_rest_rad
    for _ in range(60):
        middle = 0.5 * (hanging + slack)
        torque = p.stiffness_n_m * (p.joint_rest_rad - middle) - p.weight_n_m * math.sin(middle)
        if torque * p.joint_rest_rad > 0:
            hanging = middle
        else:
            slack = middle
    return min(p.stop_high_rad, max(p.stop_low_rad, 0.5 * (hanging + slack)))

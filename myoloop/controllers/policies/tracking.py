"""Tracking through the inverse of the recruitment curve: what the policies with a model of the muscle have in common.

The muscle is taken for a static recruitment curve, then a gain, then a lag of first order with a delay::

    response = full_response * gain * lag(delay(share));   share = Phi(ln(current / median) / spread)

The share that the set point's course r(t) needs is its inverse, foreseen by the delay::

    feed = (r(t + delay) + lag * dr/dt(t + delay)) / full_response
    share = (feed + learned(t)) * (1 + correction) * (1 + residual) / gain

limited to what the target's current recruits, in its slew, and to nothing below the motor threshold. The correction is
proportional and integral in the relative error (:class:`~myoloop.controllers.policies.correction.Correction`); the
integral moves only while the trial holds, and not up while the residual takes something away. `gain`, `learned` and
`residual` are what the policies differ in; a residual of 0 is the classic policy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from myoloop.controllers.policies.controlled import HELD_BACK, Quantity, Sight, check_quantity, measured
from myoloop.controllers.policies.correction import Correction
from myoloop.controllers.policies.course import Place, due
from myoloop.controllers.policies.gain import FixedGain, GainEstimate
from myoloop.controllers.policies.learned import Learned, NothingLearned
from myoloop.controllers.policies.observation import Seen
from myoloop.controllers.policies.policy import HOLE_S, Decision, PolicyInput, trapezoid
from myoloop.controllers.policies.recruitment import RecruitmentCurve
from myoloop.controllers.policies.residual import NoResidual
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Target

#: Over which the slope of the course is taken.
_SLOPE_S = 0.02
#: This share of what the target recruits is all of it.
_AT_LIMIT = 0.999
#: No error relative to less than this share of the set point.
_DUE_LEAST = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingSettings:
    """Set point, model of the muscle, gains and limits.

    The target's current is the most that is ever asked for.

    Attributes
    ----------
    quantity, setpoint, muscle
        What is kept, where, and of which muscle (not needed for ``force`` and ``angle``). The set point holds in the
        trial's hold; its ramps lead there and back.
    channel
        Which channel is steered; empty: the one that the trial has a target for. Others follow their trapezoid. With
        several targets and none named nothing is asked for: the model is that of one channel.
    full_response
        Response to full recruitment of the fresh muscle, in the unit of the set point.
    recruitment_median_ma, recruitment_spread
        Current that recruits half of the muscle, and standard deviation of the logarithm of the thresholds.
    threshold_ma
        Motor threshold: less current recruits nothing, and is not asked for.
    recruitment_phase_us, chronaxie_us
        Phase width that these currents were found at (0: that of the target), and the chronaxie that carries them to
        another.
    lag_s, delay_s
        Of the response to a change of recruitment.
    proportional, integral_per_s
        Correction (share of the feed-forward) per relative error, and the same per second.
    correction_max
        The correction stays within -1 and this.
    tracking_s
        How fast the integral gives way to a limit.
    rise_per_s, fall_per_s
        The share of the muscle that is recruited moves at most this fast.
    recovery_s
        Between trains the muscle recovers: what was added for its fatigue fades with this time constant.
    lost_s
        What has not been known for so long within a train is lost; until then the correction is kept.
    when_lost
        ``feed_forward``: what was added for fatigue is taken back, what is left is what the fresh muscle would need;
        ``zero``: no current until it is known again.
    """

    quantity: Quantity
    setpoint: float
    full_response: float
    recruitment_median_ma: float
    recruitment_spread: float = 0.35
    muscle: str = ""
    channel: str = ""
    threshold_ma: float = 0.0
    recruitment_phase_us: float = 0.0
    chronaxie_us: float = 300.0
    lag_s: float = 0.11
    delay_s: float = 0.045
    proportional: float = 0.6
    integral_per_s: float = 2.0
    correction_max: float = 3.0
    tracking_s: float = 0.3
    rise_per_s: float = 2.0
    fall_per_s: float = 10.0
    recovery_s: float = 127.0
    lost_s: float = 0.3
    when_lost: str = "feed_forward"

    def __post_init__(self) -> None:
        check_tracking(self, "tracking")


def check_tracking(settings: Any, policy: str) -> None:
    """Refuse settings that make no sense.

    Raises
    ------
    ValueError
        Naming the setting, what was found and what is allowed.
    """
    check_quantity(policy, settings.quantity, settings.muscle, settings.setpoint)
    above = ("full_response", "recruitment_median_ma", "recruitment_spread", "chronaxie_us", "tracking_s",
             "rise_per_s", "fall_per_s", "recovery_s", "lost_s")  # fmt: skip
    for name in above:
        value = getattr(settings, name)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{policy}.{name} is {value:g}, it must be above 0")
    for name, most in (("lag_s", 1.0), ("delay_s", 0.5), ("proportional", 5.0), ("integral_per_s", 20.0),
                       ("correction_max", 10.0), ("recruitment_phase_us", 1000.0)):  # fmt: skip
        value = getattr(settings, name)
        if not 0 <= value <= most:
            raise ValueError(f"{policy}.{name} is {value:g}, allowed is 0 to {most:g}")
    if not 0 <= settings.threshold_ma < settings.recruitment_median_ma:
        raise ValueError(
            f"{policy}.threshold_ma is {settings.threshold_ma:g}, allowed is 0 to below recruitment_median_ma "
            f"({settings.recruitment_median_ma:g})"
        )
    if settings.setpoint > settings.full_response:
        raise ValueError(
            f"{policy}.setpoint is {settings.setpoint:g}, allowed is up to full_response ({settings.full_response:g})"
        )
    if settings.when_lost not in ("feed_forward", "zero"):
        raise ValueError(f"{policy}.when_lost is {settings.when_lost!r}, allowed: feed_forward, zero")


def check_channel(policy: str, channel: str, channels: tuple[str, ...]) -> None:
    """Refuse a channel that does not exist.

    Raises
    ------
    ValueError
        Naming it.
    """
    if channel and channel not in channels:
        raise ValueError(f"{policy}.channel is {channel!r}, allowed: {', '.join(channels)}")


class Tracking(Restorable):
    """Keeps a quantity on the course of the trial by way of the recruitment curve.

    Parameters
    ----------
    name
        Of the policy, for its reasons.
    gain, learned
        What it knows of the gain, and what it has learnt of the course.
    residual
        Who multiplies what it asks for; a policy that has one keeps it in its state.
    """

    _kept: ClassVar[tuple[str, ...]] = (
        "_correction", "_sight", "_place", "_gain", "_learned", "_share", "_block", "_phase_us", "_hole",
    )  # fmt: skip

    def __init__(
        self, name: str, settings: Any, gain: FixedGain | GainEstimate, learned: NothingLearned | Learned,
        residual: NoResidual | None = None,
    ) -> None:  # fmt: skip
        self._name = name
        self._settings = s = settings
        self._curve = RecruitmentCurve(
            median_ma=s.recruitment_median_ma,
            spread=s.recruitment_spread,
            threshold_ma=s.threshold_ma,
            phase_us=s.recruitment_phase_us,
            chronaxie_us=s.chronaxie_us,
        )
        self._correction = Correction(s.proportional, s.integral_per_s, -1.0, s.correction_max, s.tracking_s)
        self._sight = Sight(s.lost_s)
        self._place = Place()
        self._gain = gain
        self._learned = learned
        self._residual = residual or NoResidual()
        self._share = 0.0
        self._block: list[int] = []
        self._phase_us = 0.0
        #: Whether it was not asked for a while within this trial.
        self._hole = False
        self._most: tuple[tuple[float, float], float] = ((-1.0, -1.0), 0.0)

    def decide(self, given: PolicyInput) -> Decision:
        """Ask for the current that the course needs now."""
        settings, phase, place = self._settings, given.phase, self._place
        seconds = place.go_on(given)
        if place.new or place.at_s is None:
            self._learned.end_trial()
            self._residual.end_trial()
        if place.trial[:2] != self._block:
            # Another block may be another task, after another rest.
            self._block = place.trial[:2]
            self._learned.reset()
            self._residual.new_block()
        if seconds > HOLE_S + 1e-9:
            # Not asked meanwhile, so nothing flowed: the muscle rested, and neither gain nor course is to be learnt of
            # the way back. The share rises from nothing.
            self._stop(seconds)
            self._gain.drive(0.0, 0.0)
            self._correction.keep()
            self._hole = True
        if place.new or place.at_s is None:
            self._hole = False
        if self._share <= 0.0 and seconds > 0.0:
            left = math.exp(-seconds / settings.recovery_s)
            self._gain.recover(left)
            if place.at_s is None or place.new:
                self._correction.settle(left)
        through = self._through(given)
        self._gain.drive(self._got(self._delivered(given), phase.targets), seconds)
        steered = [t for t in phase.targets if not settings.channel or t.channel == settings.channel]
        if not steered or place.at_s is None:
            self._stop(seconds)
            what = phase.trial_state if steered else f"no target on {settings.channel or 'any channel'}"
            return self._asked(given, steered, f"{self._name}: {what}")
        if len(steered) > 1:
            self._stop(seconds)
            names = ", ".join(target.channel for target in steered)
            return Decision(
                dict.fromkeys((target.channel for target in steered), 0.0),
                f"{self._name}: zero, targets on {names} and no channel is named to steer",
            )
        first = steered[0]
        self._phase_us = first.phase_us
        most = min(self._recruits(target) for target in steered)
        goal = settings.setpoint * given.set_point_share / settings.full_response
        value = measured(given, settings.quantity, settings.muscle)
        lost = self._sight.see(value is not None, seconds)
        # From here on it is for slews and integrals, which do not move while nothing is asked.
        seconds = min(seconds, HOLE_S)
        if lost and settings.when_lost == "zero":
            self._stop(seconds)
            self._correction.keep()
            return self._asked(given, steered, f"{self._name}: {settings.quantity} lost, zero")
        due_now = due(phase, first, given.now_ns, 0.0)
        ahead = due(phase, first, given.now_ns, settings.delay_s)
        slope = (due(phase, first, given.now_ns, settings.delay_s + _SLOPE_S) - ahead) / _SLOPE_S
        feed = goal * (ahead + settings.lag_s * slope)
        gain, learned, residual = self._gain.value, self._learned.at(place.at_s), self._residual.value
        if lost:
            # Nothing that adds current outlives the measurement that it was found by.
            gain, learned, residual = max(gain, 1.0), min(learned, 0.0), min(residual, 0.0)
        feed += learned
        feed = max(0.0, feed) / gain
        response = None if value is None else value / settings.full_response
        correction = self._correct(
            given, response, lost, goal, due_now, most / (feed * (1.0 + residual)) - 1.0 if feed else None, through,
            seconds, residual,
        )  # fmt: skip
        classic = feed * (1.0 + correction)
        wanted = classic * (1.0 + residual)
        self._share = self._residual.within(
            self._slewed(self._share, wanted, most, seconds),
            self._slewed(self._residual.classic, classic, most, seconds),
            self._curve, first, seconds,
        )  # fmt: skip
        # The correction is held at the limit, so that what is wanted does not pass it.
        saturated = wanted >= _AT_LIMIT * most
        held = None
        if response is not None:
            if phase.trial_state == "hold":
                self._gain.hear(response, seconds)
                held = response / goal
            error = goal * due_now - response
            self._learned.note(place.at_s, min(error, 0.0) if saturated or self._hole or through < HELD_BACK else error)
        if self._residual.looks:
            self._residual.see(Seen(
                place.at_s, phase.trial_state, due_now, ahead, slope, response, goal, gain, feed, correction, residual,
                self._share, most, through, seconds,
            ))  # fmt: skip
        return self._asked(
            given, steered, self._reason(value, lost, goal * due_now, feed, correction, saturated), saturated, held
        )

    def reset(self) -> None:
        """Forget correction, gain, and what was learnt."""
        self._correction.reset()
        self._sight.reset()
        self._place.reset()
        self._gain.reset()
        self._learned.reset()
        self._residual.reset()
        self._share = 0.0
        self._block = []
        self._phase_us = 0.0
        self._hole = False

    def _stop(self, seconds: float) -> None:
        self._share = 0.0
        self._residual.stop(seconds)

    def _slewed(self, share: float, wanted: float, most: float, seconds: float) -> float:
        rise: float = self._settings.rise_per_s * seconds
        fall: float = self._settings.fall_per_s * seconds
        return max(min(wanted, most, share + rise), share - fall, 0.0)

    def _through(self, given: PolicyInput) -> float:
        """Share of the current that was asked for which reflexes and gate left.

        Less without a rule is what the device's step left: nothing is held back, and the error shows it.
        """
        return self._delivered(given) if given.report is not None and given.report.rule else given.let_through

    def _delivered(self, given: PolicyInput) -> float:
        """Share of the current that was asked for which the muscle got, rounded to the device's step as it was."""
        report = given.report
        if report is None:
            return given.let_through
        asked = sum(item.current_ma for item in report.requested)
        allowed = sum(item.current_ma for item in report.allowed)
        return given.let_through * (min(1.0, allowed / asked) if asked > 0 else 1.0)

    def _got(self, delivered: float, targets: tuple[Target, ...]) -> float:
        """Share of the muscle that was recruited: at low recruitment a hundredth less current is several less of it."""
        if delivered >= 1.0 or self._share <= 0.0:
            return self._share
        phase_us = next((t.phase_us for t in targets if t.channel == self._settings.channel), self._phase_us)
        return self._curve.share(delivered * self._curve.current_ma(self._share, phase_us), phase_us)

    def _correct(
        self, given: PolicyInput, response: float | None, lost: bool, goal: float, due_now: float,
        room: float | None, through: float, seconds: float, residual: float,
    ) -> float:  # fmt: skip
        correction, settings = self._correction, self._settings
        if response is None:
            return correction.fall(seconds, settings.tracking_s) if lost else correction.keep()
        error = (goal * due_now - response) / (goal * max(due_now, _DUE_LEAST))
        holding = given.phase.trial_state == "hold"
        return correction.go_on(
            error,
            seconds,
            # What was added is taken back; the feed-forward stays, so that a slow rise costs nothing.
            max(correction.cut(given.report, self._share_cut), -max(correction.value, 0.0)),
            # What is held back, or taken away on purpose, is not to be made up for later.
            integrate=holding and (error < 0.0 or (through >= HELD_BACK and residual >= 0.0)),
            high=room,
        )

    def _share_cut(self, requested_ma: float, allowed_ma: float) -> float:
        asked = self._curve.share(requested_ma, self._phase_us)
        if asked <= 0.0:
            return 0.0
        return (self._curve.share(allowed_ma, self._phase_us) - asked) / asked * (1.0 + self._correction.value)

    def _recruits(self, target: Target) -> float:
        key = (target.current_ma, target.phase_us)
        if self._most[0] != key:
            self._most = (key, self._curve.share(target.current_ma, target.phase_us))
        return self._most[1]

    def _asked(
        self, given: PolicyInput, steered: list[Target], reason: str, saturated: bool = False,
        held: float | None = None,
    ) -> Decision:  # fmt: skip
        current_ma = {}
        for target in given.phase.targets:
            if target in steered:
                wanted_ma = self._curve.current_ma(self._share, target.phase_us) if self._share > 0.0 else 0.0
                # A target that is no number gives none either.
                current_ma[target.channel] = wanted_ma if wanted_ma < target.current_ma else target.current_ma
            else:
                current_ma[target.channel] = target.current_ma * trapezoid(given.phase, target, given.now_ns)
        return Decision(current_ma, reason, saturated=saturated, held=held)

    def _reason(
        self, value: float | None, lost: bool, goal: float, feed: float, correction: float, saturated: bool
    ) -> str:
        settings = self._settings
        due_value = goal * settings.full_response
        if lost:
            seen = f"{settings.quantity} lost, feed-forward of the fresh muscle"
        elif value is None:
            seen = f"{settings.quantity} not known, correction kept"
        else:
            seen = f"{settings.quantity} {value:.3g} of {due_value:.3g}"
        at_limit = ", at the target's current" if saturated else ""
        return (
            f"{self._name}: {seen}, gain {self._gain.value:.2f}, feed {feed:.3f}, correction {correction:+.3f}, "
            f"recruits {self._share:.3f}{at_limit}"
        )

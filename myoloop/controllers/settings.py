"""What a controller is told before it starts: JSON, kept in the record, from which it can be made again."""

from __future__ import annotations

from typing import Literal

import msgspec

from myoloop.controllers.choice import Choice
from myoloop.controllers.estimators.baseline import BaselineSettings
from myoloop.controllers.estimators.estimator import BUILT_IN
from myoloop.controllers.motion import MotionSettings
from myoloop.controllers.reflex import ReflexSettings
from myoloop.controllers.signals.conditioning_settings import ConditioningSettings
from myoloop.platform.messages import SampleDescriptor

#: The gate takes no longer lease.
LEASE_MAX_MS = 120
#: The built-in estimator that tells spasms.
SPASM_ESTIMATOR = "adaptive_burst"


class EmgSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An EMG stream.

    Attributes
    ----------
    descriptor
        What the source says of itself.
    stimulated
        Whether it sits on the person who is stimulated. A recording of somebody else that is played back does not:
        no sample of it is spoilt by our pulses.
    """

    descriptor: SampleDescriptor
    stimulated: bool = True


class MuscleInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a muscle is heard: column `column` of the stream `topic`."""

    muscle: str
    topic: str
    column: int


class StimOutput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stimulation channel.

    Attributes
    ----------
    channel
        The protocol's name of it.
    phase_us, rate_hz
        What is asked for where the phase names no target for it.
    muscle
        Which muscle it drives; empty where that is not one that is heard.
    """

    channel: str
    phase_us: float
    rate_hz: float
    muscle: str = ""


class ImuSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The IMU on the segment that moves; columns of its three axes."""

    descriptor: SampleDescriptor
    accelerometer: tuple[int, int, int] = (0, 1, 2)
    gyroscope: tuple[int, int, int] | None = None


class ForceSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The force or torque cell; the first channel of its stream counts."""

    descriptor: SampleDescriptor


DEFAULT_ESTIMATORS = (
    Choice(name="adaptive_burst"),
    Choice(name="spasm_kind"),
    Choice(name="effort"),
    Choice(name="mwave"),
    Choice(name="contraction_spectrum"),
    Choice(name="mechanical_response"),
)


class ControllerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a controller is made from.

    Attributes
    ----------
    emg, muscles
        Streams, and which muscle is where in them.
    stim
        Stimulation channels; every request names all of them.
    policy
        What asks for current.
    effort_muscles
        Muscles of which the protocol's trials ask voluntary effort; empty where the person stays passive.
    effort_from, reaction_ms
        From when in a trial activity of those muscles is taken for effort: from so long after the cue, or after the
        person is asked for it. Nobody reacts sooner, so what comes earlier is a spasm; between cue and prompt it may
        be haste.
    imu
        The segment that moves, where there is one.
    force
        The force or torque cell, where there is one.
    motion
        How the IMU sits on the segment, and what counts as a tremor.
    estimators
        In this order for every hop; a later one may use what an earlier one found.
    conditioning, baseline, reflex
        Filters and artifact; rest and contractions; overriding rules.
    lease_ms
        How long a request holds.
    shadow
        A learned policy that computes beside the one that acts, and is recorded; None where there is none.
    """

    emg: tuple[EmgSource, ...]
    muscles: tuple[MuscleInput, ...]
    stim: tuple[StimOutput, ...]
    policy: Choice
    effort_muscles: tuple[str, ...] = ()
    effort_from: Literal["cue", "prompt"] = "cue"
    reaction_ms: float = 120.0
    imu: ImuSource | None = None
    force: ForceSource | None = None
    motion: MotionSettings = MotionSettings()
    estimators: tuple[Choice, ...] = DEFAULT_ESTIMATORS
    conditioning: ConditioningSettings = ConditioningSettings()
    baseline: BaselineSettings = BaselineSettings()
    reflex: ReflexSettings = ReflexSettings()
    lease_ms: int = 100
    shadow: Choice | None = None

    def __post_init__(self) -> None:
        if not self.muscles or not self.stim:
            raise ValueError("a controller needs at least one muscle to hear and one channel to stimulate")
        if not 0 < self.lease_ms <= LEASE_MAX_MS:
            raise ValueError(f"lease_ms is {self.lease_ms}, allowed is 1 to {LEASE_MAX_MS}")
        names = [item.muscle for item in self.muscles]
        _once("muscle", names)
        _once("stimulation channel", [item.channel for item in self.stim])
        topics = [source.descriptor.topic for source in self.emg]
        _once("EMG topic", topics)
        for item in self.muscles:
            if item.topic not in topics:
                raise ValueError(f"muscle {item.muscle} is heard on {item.topic}, which is not an EMG source here")
        for muscle in self.effort_muscles:
            if muscle not in names:
                raise ValueError(f"effort is asked of {muscle}, which is not heard; heard are {', '.join(names)}")
        for output in self.stim:
            self.conditioning.artifact.check_rate(output.channel, output.rate_hz)
            if output.muscle and output.muscle not in names:
                raise ValueError(
                    f"channel {output.channel} drives {output.muscle}, which is not heard; heard are {', '.join(names)}"
                )
        self._check_spasm_reflex(names)

    def _check_spasm_reflex(self, names: list[str]) -> None:
        """Refuse a spasm reflex that could never act: it would be off, and nobody would be told."""
        spasm = self.reflex.spasm
        for muscle in spasm.muscles:
            if muscle not in names:
                raise ValueError(f"reflex.spasm.muscles names {muscle}, not heard; heard are {', '.join(names)}")
        estimators = [choice.name for choice in self.estimators]
        # An estimator of another package may tell spasms too.
        if spasm.enabled and SPASM_ESTIMATOR not in estimators and all(name in BUILT_IN for name in estimators):
            raise ValueError(
                f"reflex.spasm.enabled is true and none of the estimators ({', '.join(estimators) or 'none'}) tells "
                f"spasm; allowed is with {SPASM_ESTIMATOR} among them, or false"
            )

    def to_json(self) -> str:
        """JSON, for the record."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> ControllerSettings:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        ValueError
            If a key is unknown or missing, or a value is not allowed; the text names it.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError as error:
            raise ValueError(f"controller settings: {error}") from None


def _once(what: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what} named more than once: {', '.join(twice)}")

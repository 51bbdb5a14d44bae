"""From protocol, rig and subject to what each node is told: everything is decided here, before anything starts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from myoloop.controllers.choice import Choice
from myoloop.controllers.estimators import estimator
from myoloop.controllers.policies import policy
from myoloop.controllers.policies.adaptive_gain import AdaptiveGainSettings
from myoloop.controllers.policies.fitted_q import FittedQSettings
from myoloop.controllers.reflex import ReflexSettings
from myoloop.controllers.settings import (
    DEFAULT_ESTIMATORS,
    ControllerSettings,
    EmgSource,
    ForceSource,
    ImuSource,
    MuscleInput,
    StimOutput,
)
from myoloop.controllers.shadowed import ACTING
from myoloop.experiments.origins import Origins
from myoloop.experiments.protocols.plan import Plan, make_plan
from myoloop.experiments.protocols.rigsummary import InputChannel, OutputChannel, RigSummary
from myoloop.experiments.protocols.schema import ControllerChoice, Protocol
from myoloop.experiments.replay import processor
from myoloop.experiments.sessions.blinding import check_blinded
from myoloop.experiments.sessions.director import DirectorSettings
from myoloop.experiments.sessions.learned import shadow_choice
from myoloop.experiments.sessions.survey import Survey, origins_of, survey
from myoloop.experiments.sessions.tuning import TuningError, tune
from myoloop.experiments.sessions.virtual_body import virtual_body
from myoloop.experiments.studies.blindness import BLINDED_KEY
from myoloop.experiments.subjects.fingerprint import fingerprint
from myoloop.experiments.subjects.node import BodySettings
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.training.artefact import Artefact, artefact_of, channels_of, envelope_of
from myoloop.platform.errors import UserError
from myoloop.platform.messages import SampleDescriptor
from myoloop.platform.plugins import find_plugin, plugin_sha256
from myoloop.platform.recording.versions import version_metadata
from myoloop.platform.rig import Rig
from myoloop.stimulators.assignment import Allocated
from myoloop.stimulators.dose_ledger import LEDGER_FILE


class SetupError(UserError, ValueError):
    """Protocol and rig do not fit together; one line for the operator."""


@dataclass(frozen=True, slots=True)
class SessionSetup:
    """One session, decided.

    Attributes
    ----------
    session
        Id, as in the heads of all messages.
    folder
        The attempt's folder.
    ledger
        The person's dose ledger.
    parameters, seed
        Of the virtual subject; not used without one.
    copies
        Names and hashes of the files kept beside the recording.
    known
        What could be known of the rig beforehand.
    allocated
        Where the stimulator's node finds the person's arm; None where the session is not blinded.
    group
        Of virtual people that this one was drawn from by name; empty where they were not.
    artefact
        What the controller has learnt; None for a policy that has not.
    shadow
        What computes beside the controller and does not act; None for nothing.
    """

    protocol: Protocol
    rig: Rig
    subject: str
    session: str
    folder: Path
    ledger: Path
    plan: Plan
    parameters: SubjectParameters
    seed: int
    copies: dict[str, str]
    known: Survey
    allocated: Allocated | None = None
    group: str = ""
    artefact: Artefact | None = None
    shadow: Artefact | None = None

    @property
    def simulated(self) -> bool:
        """Whether any part of it is."""
        return self.origins.simulated

    @property
    def origins(self) -> Origins:
        """Which parts of it are simulated."""
        return origins_of(self.rig, self.known)

    @property
    def dose_session(self) -> str:
        """By what name its dose is booked: the session's, so that a new attempt goes on with what the last one gave."""
        return self.folder.parent.name

    def roles(self) -> dict[str, str]:
        """Role of each node."""
        return {name: node.role for name, node in self.rig.nodes.items()}

    def channels(self) -> dict[str, int]:
        """Output of each stimulation channel."""
        return {name: place.output for name, place in self.rig.stimulation.items()}


def make_setup(
    protocol: Protocol,
    rig: Rig,
    *,
    subject: str,
    session: str,
    folder: Path,
    parameters: SubjectParameters,
    seed: int,
    known: Survey | None = None,
    allocated: Allocated | None = None,
    shadow: Artefact | None = None,
    **planning: Any,
) -> SessionSetup:
    """Decide a session.

    Parameters
    ----------
    known
        What a survey of the rig has found; None makes one.
    allocated
        Where the stimulator's node finds the person's arm; None for a session that is not blinded.
    shadow
        What is to compute beside the controller, and not to act.
    **planning
        What of person and session goes into the plan, as :func:`~myoloop.experiments.protocols.plan.make_plan` takes
        it: ``personal``, ``caps``, ``screening``, ``go_on``.

    Raises
    ------
    FileError
        With every mistake in the rig that can be seen before anything is started.
    SetupError, VirtualBodyError, ArtefactError
        If the rig cannot serve the protocol, its virtual subject cannot be made, or what the controller has learnt is
        not for this session.
    """
    known = known or survey(rig)
    check_blinded(protocol, rig.rig.rig_class, allocated)
    try:
        plan = make_plan(protocol, summarise(rig, known), session, subject, **planning)
    except ValueError as error:
        raise SetupError(str(error)) from None
    artefact = artefact_of(protocol.controller.policy, protocol.controller.settings, Path(protocol.path).parent)
    for each in (artefact, shadow):
        if each is not None:
            each.check(channels_of(stim_outputs(protocol)), envelope_of(protocol.envelope))
    if artefact is not None:
        artefact.settle(tune("controller.settings", protocol.controller.settings, FittedQSettings))
    if shadow is not None:
        _check_shadow(protocol, shadow)
    setup = SessionSetup(
        protocol=protocol,
        rig=rig,
        subject=subject,
        session=session,
        folder=folder,
        ledger=folder.parent.parent / LEDGER_FILE,
        plan=plan,
        parameters=parameters,
        seed=seed,
        copies={},
        known=known,
        allocated=allocated,
        artefact=artefact,
        shadow=shadow,
    )
    if rig.node_of("subject") is not None:
        body_settings(setup)
    return setup


def body_settings(setup: SessionSetup) -> BodySettings:
    """What the virtual body of a session is made of.

    Raises
    ------
    VirtualBodyError
        If the rig's settings of it do not fit.
    """
    settings = virtual_body(setup.rig, setup.parameters, setup.seed)
    return settings if setup.allocated is None else msgspec.structs.replace(settings, tells_truth=False)


def summarise(rig: Rig, known: Survey | None = None) -> RigSummary:
    """What a protocol needs to know of a rig.

    Parameters
    ----------
    known
        What a survey of it has found; None makes one.

    Raises
    ------
    FileError
        With every mistake in the rig that can be seen before anything is started.
    """
    known = known or survey(rig)
    rates = {each.topic: each.rate_hz for source in known.sources.values() for each in source.descriptors or ()}
    inputs = [
        InputChannel(muscle, "emg", rates.get(f"emg/{place.source}"), place.source) for muscle, place in rig.emg.items()
    ]
    if rig.imu is not None:
        inputs.append(InputChannel("imu", "imu", rates.get(f"imu/{rig.imu.source}"), rig.imu.source))
    if rig.force is not None:
        source = rig.force.source
        inputs.append(InputChannel("force", "force", rates.get(f"force/{source}"), source))
    stimulator = next((node for node in rig.nodes.values() if node.role == "stimulator"), None)
    driver = (stimulator.driver or "") if stimulator is not None else ""
    if stimulator is not None and isinstance(model := stimulator.settings.get("device"), str):
        driver = f"{driver} ({model})"
    outputs = [OutputChannel(name, place.output, place.pad_area_cm2) for name, place in rig.stimulation.items()]
    return RigSummary(rig.rig.id, rig.rig.rig_class, tuple(inputs), tuple(outputs), known.device, driver, known.refuses)


def controller_settings(setup: SessionSetup, descriptors: Sequence[SampleDescriptor]) -> ControllerSettings:
    """What the controller is made from, once the sources have said what they are.

    Raises
    ------
    SetupError
        If a source lacks a channel that the rig names, or the protocol's settings do not fit the policy.
    """
    protocol, rig = setup.protocol, setup.rig
    by_topic = {each.topic: each for each in descriptors}
    muscles = []
    for muscle in protocol.devices.emg.channels:
        place = rig.emg[muscle]
        topic = f"emg/{place.source}"
        found = by_topic.get(topic)
        if found is None or place.channel not in found.channels:
            there = ", ".join(found.channels) if found is not None else "no EMG at all"
            where = rig.place(("emg", muscle, "channel"))
            raise SetupError(f"{where}: found {place.channel!r}, source {place.source} has {there}")
        muscles.append(MuscleInput(muscle=muscle, topic=topic, column=found.channels.index(place.channel)))
    heard = [item.muscle for item in muscles]
    pulled = {item.mvc.muscle for item in protocol.phases if item.mvc is not None}
    tried = {name for name in heard if protocol.sites[name].emg == "agonist"} if _asks_effort(protocol) else set()
    effort = tuple(name for name in heard if name in tried | pulled)
    topics = dict.fromkeys(item.topic for item in muscles)
    try:
        chosen = apply_choice(
            ControllerSettings(
                emg=tuple(EmgSource(descriptor=by_topic[t], stimulated=rig.stimulated_person) for t in topics),
                muscles=tuple(muscles),
                stim=stim_outputs(protocol),
                policy=Choice(name="open_loop"),
                effort_muscles=effort,
                imu=_imu(rig, by_topic),
                force=_force(rig, by_topic),
            ),
            protocol.controller,
            setup.artefact,
        )
        if setup.shadow is None:
            return chosen
        return msgspec.structs.replace(chosen, shadow=shadow_choice(chosen.policy, setup.shadow))
    except ValueError as error:
        raise SetupError(str(error)) from None


def apply_choice(
    settings: ControllerSettings, choice: ControllerChoice, artefact: Artefact | None = None
) -> ControllerSettings:
    """The same controller with a protocol's policy, reflexes and estimators.

    Parameters
    ----------
    artefact
        What the policy has learnt, where it has.

    Raises
    ------
    ValueError
        If a name or a setting does not fit.
    """
    found = find_plugin(policy.GROUP, policy.BUILT_IN, choice.policy)
    values = tune("controller.settings", choice.settings, found.Settings)
    named = set(found.Settings.__struct_fields__ if hasattr(found.Settings, "__struct_fields__") else ())
    named |= set(getattr(found.Settings, "__dataclass_fields__", ()))
    if "muscle" in named and "muscle" not in values:
        # The muscle that is trained, unless the protocol says another.
        values["muscle"] = (settings.effort_muscles or (settings.muscles[0].muscle,))[0]
    if artefact is not None:
        values = artefact.settle(values)
    try:
        reflex = msgspec.convert(tune("controller.reflex", choice.reflex, ReflexSettings), ReflexSettings)
    except msgspec.ValidationError as error:
        raise TuningError(f"controller.reflex: {error}") from None
    return msgspec.structs.replace(
        settings,
        policy=Choice(name=choice.policy, settings=values),
        reflex=reflex,
        estimators=_estimators(choice.estimators),
    )


def director_settings(setup: SessionSetup) -> DirectorSettings:
    """What the director follows."""
    stimulator = setup.rig.node_of("stimulator") or "stimulator"
    peers = [name for name, node in setup.rig.nodes.items() if node.role not in ("director", "subject")]
    topics = tuple(f"heartbeat/{name}" for name in [*peers, "supervisor"])
    return DirectorSettings(session=setup.session, plan=setup.plan, peers=topics, stimulator=stimulator)


def stimulator_node_settings(setup: SessionSetup, descriptors: Sequence[SampleDescriptor]) -> dict[str, Any]:
    """What the stimulator's node is told; the device's own limits it adds itself."""
    name = setup.rig.node_of("stimulator") or ""
    node = setup.rig.nodes[name]
    watched = [other for other, entry in setup.rig.nodes.items() if entry.role not in ("stimulator", "subject")]
    return {
        "driver": node.driver,
        "driver_settings": dict(node.settings),
        "outputs": setup.channels(),
        "ledger": str(setup.ledger),
        "subject": setup.subject,
        "session": setup.session,
        "dose_session": setup.dose_session,
        "rig_class": setup.rig.rig.rig_class,
        "watched": [*watched, "supervisor"],
        "vitals": vitals(setup, descriptors),
        "blinding": None if setup.allocated is None else setup.allocated.settings(),
    }


def vitals(setup: SessionSetup, descriptors: Sequence[SampleDescriptor]) -> list[dict[str, Any]]:
    """Vital streams that the envelope requires: their rate, and the channels that are somebody's muscle."""
    required = []
    for topic in setup.plan.envelope.required_vitals:
        source = topic.removeprefix("vital/")
        descriptor = next((each for each in descriptors if each.topic == f"emg/{source}"), None)
        if descriptor is None:
            descriptor = next(each for each in descriptors if each.topic.endswith(f"/{source}"))
        used = [place.channel for place in setup.rig.emg.values() if place.source == source]
        columns = [i for i, channel in enumerate(descriptor.channels) if channel in used]
        required.append(
            {
                "topic": topic,
                "rate_hz": descriptor.rate_hz,
                "channels": columns or list(range(len(descriptor.channels))),
            }
        )
    return required


def recording_metadata(setup: SessionSetup, wall_start_ns: int) -> dict[str, str]:
    """What the record says of itself: subject, protocol, versions, hashes."""
    header = setup.protocol.protocol
    found = find_plugin(policy.GROUP, policy.BUILT_IN, setup.protocol.controller.policy)
    virtual = setup.rig.node_of("subject") is not None
    return {
        **setup.origins.metadata(),
        "subject": setup.subject,
        # Said in either case: what says nothing is not taken for an open session.
        BLINDED_KEY: "false" if setup.allocated is None else "true",
        "protocol": header.id,
        "protocol_version": header.version,
        "evidence": header.evidence.grade,
        "rig": setup.rig.rig.id,
        "rig_class": setup.rig.rig.rig_class,
        "seed": str(setup.seed) if virtual else "",
        **({"person_sha256": fingerprint(setup.parameters)} if virtual else {}),
        **({"group": setup.group} if setup.group else {}),
        "wall_start_ns": str(wall_start_ns),
        "processor": processor(),
        **version_metadata(),
        "policy": setup.protocol.controller.policy,
        "policy_sha256": plugin_sha256(found),
        **({"artefact": setup.artefact.identity} if setup.artefact is not None else {}),
        **({"shadow": setup.shadow.identity} if setup.shadow is not None else {}),
        **setup.copies,
    }


def rig_json(rig: Rig) -> str:
    """The rig as it was used."""
    return json.dumps(rig.model_dump(mode="json", by_alias=True), indent=2)


def _check_shadow(protocol: Protocol, shadow: Artefact) -> None:
    """Refuse before anything starts what cannot be followed."""
    choice = protocol.controller
    if choice.policy != ACTING:
        where = protocol.place(("controller", "policy"))
        raise SetupError(f"{where}: found {choice.policy}; allowed with --shadow is {ACTING}")
    values = tune("controller.settings", choice.settings, AdaptiveGainSettings)
    shadow_choice(Choice(name=ACTING, settings={"muscle": protocol.devices.emg.channels[0], **values}), shadow)


def stim_outputs(protocol: Protocol) -> tuple[StimOutput, ...]:
    """Stimulation channels of a protocol, as a controller is told them."""
    heard = protocol.devices.emg.channels
    return tuple(
        StimOutput(
            channel=name,
            phase_us=channel.phase_us,
            rate_hz=channel.rate_hz,
            muscle=channel.site if channel.site in heard else "",
        )
        for name, channel in protocol.stimulation.items()
    )


def _asks_effort(protocol: Protocol) -> bool:
    return any(item.block is not None and item.block.machine == "effort" for item in protocol.phases)


def _imu(rig: Rig, by_topic: Mapping[str, SampleDescriptor]) -> ImuSource | None:
    return imu_source(by_topic.get(f"imu/{rig.imu.source}") if rig.imu is not None else None)


def imu_source(descriptor: SampleDescriptor | None) -> ImuSource | None:
    """An IMU as a controller is told it, its axes by their units; None where it has not three of acceleration."""
    if descriptor is None:
        return None
    columns = {unit: [i for i, each in enumerate(descriptor.units) if each == unit] for unit in ("m/s^2", "rad/s")}
    accelerometer, gyroscope = columns["m/s^2"][:3], columns["rad/s"][:3]
    if len(accelerometer) < 3:
        return None
    x, y, z = accelerometer
    return ImuSource(
        descriptor=descriptor,
        accelerometer=(x, y, z),
        gyroscope=(gyroscope[0], gyroscope[1], gyroscope[2]) if len(gyroscope) == 3 else None,
    )


def _force(rig: Rig, by_topic: Mapping[str, SampleDescriptor]) -> ForceSource | None:
    if rig.force is None:
        return None
    descriptor = by_topic.get(f"force/{rig.force.source}")
    if descriptor is None:
        where = rig.place(("force", "source"))
        raise SetupError(f"{where}: found {rig.force.source!r}, a source without a force cell")
    return ForceSource(descriptor=descriptor)


def _estimators(chosen: Mapping[str, Any]) -> tuple[Choice, ...]:
    """The default estimators with a protocol's settings, and whatever others it names."""
    names = [choice.name for choice in DEFAULT_ESTIMATORS]
    names += [name for name in chosen if name not in names]
    result = []
    for name in names:
        found = find_plugin(estimator.GROUP, estimator.BUILT_IN, name)
        result.append(
            Choice(name=name, settings=tune(f"controller.estimators.{name}", chosen.get(name) or {}, found.Settings))
        )
    return tuple(result)

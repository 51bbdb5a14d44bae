"""Which learned controller a session gets: what the study has deployed, or on SIM and BENCH rigs what a folder holds.

A protocol says ``controller: {policy: fitted_q, settings: {artefact: deployed}}``. Where the study's last one was
rolled back, adaptive gain acts, with the person's own settings.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

from myoloop.controllers.choice import Choice
from myoloop.controllers.policies.adaptive_gain import AdaptiveGain, AdaptiveGainSettings
from myoloop.controllers.policies.fitted_q import FittedQSettings
from myoloop.controllers.shadowed import ACTING, LEARNED
from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.sessions.tuning import tune
from myoloop.experiments.training.artefact import Artefact, load_artefact
from myoloop.experiments.training.deployment import ARTEFACT, NONE, deployed, deployed_artefact, kept_in
from myoloop.platform.errors import UserError
from myoloop.platform.plugins import plugin_settings

#: What a protocol writes instead of a folder.
DEPLOYED = "deployed"
_KEY = ("controller", "settings", "artefact")


class LearnedError(UserError, ValueError):
    """A learned controller that this session does not get; one line."""


def with_learned(protocol: Protocol, study: Path, rig_class: str) -> Protocol:
    """The protocol with the artefact that its controller is to have; adaptive gain where the last was rolled back.

    Raises
    ------
    LearnedError
        If a HUMAN rig is to have another artefact than the deployed one, or none was ever deployed.
    DeploymentError, ArtefactError, DamagedLog
        If what was deployed is not there as it was.
    """
    chosen = protocol.controller
    if chosen.policy != LEARNED:
        return protocol
    named = chosen.settings.get("artefact")
    place = protocol.place(_KEY)
    if named != DEPLOYED:
        if rig_class == "HUMAN":
            raise LearnedError(
                f"{place}: found {named!r}; allowed on a HUMAN rig is {DEPLOYED}: what the study has approved"
            )
        return protocol
    found = deployed(study)
    if not found.acts:
        raise LearnedError(f"{place}: found {DEPLOYED}; nothing was deployed in {study} (myoloop deploy)")
    if found.identity == NONE:
        return _changed(protocol, ACTING, _without_model(protocol))
    artefact = deployed_artefact(study, found.identity, rig_class)
    folder = (kept_in(study, found.identity) / ARTEFACT).resolve()
    return _changed(protocol, LEARNED, {**chosen.settings, "artefact": f"{folder} sha256 {artefact.sha256}"})


def shadow_artefact(named: str, study: Path) -> Artefact:
    """The artefact that is to compute in the shadow: a folder, or ``deployed``.

    Raises
    ------
    LearnedError, ArtefactError
        If there is none, or it is refused.
    """
    if named != DEPLOYED:
        return load_artefact(named)
    found = deployed(study)
    if found.identity == NONE:
        raise LearnedError(f"--shadow: found {DEPLOYED}; nothing is deployed in {study}")
    return deployed_artefact(study, found.identity, "SIM")


def shadow_choice(acting: Choice, artefact: Artefact) -> Choice:
    """The learned policy with the person's own settings, as the adaptive gain that acts has them.

    Raises
    ------
    LearnedError
        If another policy acts.
    ArtefactError
        If adaptive gain is set otherwise than the one that the model was trained on.
    """
    if acting.name != ACTING:
        raise LearnedError(f"policy {acting.name}; a shadow follows {ACTING} and no other")
    settings: AdaptiveGainSettings = plugin_settings(f"policy {ACTING!r}", AdaptiveGain, dict(acting.settings))
    return Choice(name=LEARNED, settings=artefact.settle(asdict(settings)))


def _without_model(protocol: Protocol) -> dict[str, object]:
    """What adaptive gain has of the settings; keys as the protocol spells them."""
    own = {field.name for field in fields(AdaptiveGainSettings)}
    settings = protocol.controller.settings
    kept = {}
    for key, value in settings.items():
        (name,) = tune("controller.settings", {key: value}, FittedQSettings)
        if name in own:
            kept[key] = value
    return kept


def _changed(protocol: Protocol, policy: str, settings: dict[str, object]) -> Protocol:
    controller = protocol.controller.model_copy(update={"policy": policy, "settings": settings})
    return protocol.model_copy(update={"controller": controller})

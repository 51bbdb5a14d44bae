"""How the pure objects are made again from what a recording says of their beginning."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
from pydantic import BaseModel

from myoloop.controllers.controller import Controller
from myoloop.controllers.settings import ControllerSettings
from myoloop.controllers.shadowed import make_controller
from myoloop.experiments.protocols.rules.consistency import choice_fits
from myoloop.experiments.protocols.schema import ControllerChoice
from myoloop.experiments.replay import Builder
from myoloop.experiments.sessions.director import director_from
from myoloop.experiments.sessions.setup import apply_choice
from myoloop.experiments.training.artefact import artefact_of, channels_of
from myoloop.platform.errors import UserError
from myoloop.platform.messages import Start
from myoloop.platform.sealed import StudyKey, read_key
from myoloop.platform.steps import Stepped
from myoloop.platform.yamlfile import FileError, at, load_model, load_yaml
from myoloop.stimulators.stimulator import Stimulator, StimulatorSettings


def _controller(start: Start) -> Stepped:
    return make_controller(ControllerSettings.from_json(start.settings), json.loads(start.state))


def _stimulator(start: Start, key: StudyKey | None = None) -> Stepped:
    return Stimulator(msgspec.json.decode(start.settings, type=StimulatorSettings), key)


def _director(start: Start) -> Stepped:
    return director_from(start.settings, start.state)


BUILDERS: dict[str, Builder] = {"controller": _controller, "stimulator": _stimulator, "director": _director}


def builders(key: Path | str | None = None) -> dict[str, Builder]:
    """How each object is made again.

    Parameters
    ----------
    key
        The study's key file: without it the stimulator of a blinded session is refused (`SealedError`).

    Raises
    ------
    SealedError
        If the key file cannot be read.
    """
    if key is None:
        return BUILDERS
    opened = read_key(key)
    return {**BUILDERS, "stimulator": lambda start: _stimulator(start, opened)}


def other_controller(path: Path | str) -> Builder:
    """Make controllers with the policy, reflexes and estimators of a file instead of the recorded ones.

    The file is a protocol, or has its ``controller`` part alone.

    Raises
    ------
    FileError
        If it cannot be read or has no such part; as a controller is made, with every mistake in that part.
    """
    choice = load_model(path, _HasController).controller
    _, lines = load_yaml(path)

    def build(start: Start) -> Stepped:
        recorded = ControllerSettings.from_json(start.settings)
        found = choice_fits(choice, [heard.muscle for heard in recorded.muscles])
        problems = [f"{at(path, lines, keys)}: {text}" for keys, text, severity in found if severity == "error"]
        if problems:
            raise FileError(problems)
        try:
            artefact = artefact_of(choice.policy, choice.settings, Path(path).parent)
            if artefact is not None:
                # Whose envelope it was trained within does not matter where nothing flows.
                artefact.check(channels_of(recorded.stim), None)
            return Controller(apply_choice(recorded, choice, artefact))
        except UserError as error:
            raise FileError([f"{at(path, lines, ('controller',))}: {error}"]) from None

    return build


class _HasController(BaseModel):
    """A protocol, of which nothing else is looked at."""

    controller: ControllerChoice

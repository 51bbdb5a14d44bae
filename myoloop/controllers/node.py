"""The controller's process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from myoloop.controllers.controller import ControllerSettings
from myoloop.controllers.shadowed import make_controller
from myoloop.platform.stepping import SteppedBody
from myoloop.platform.steps import Stepped

#: It takes a step at each EMG block; without any, this often, so that its lease is seen to end.
IDLE_NS = 20_000_000
#: A step that takes longer makes the requests of the next two blocks late.
STEP_NS = 20_000_000


def controller_body() -> SteppedBody:
    """Work of role ``controller``."""
    return SteppedBody("controller", _build, _emg_topics, IDLE_NS, step_ns=STEP_NS)


def _build(settings: Mapping[str, Any]) -> tuple[Stepped, str]:
    chosen = msgspec.convert(settings["controller"], ControllerSettings)
    return make_controller(chosen), msgspec.json.encode(chosen).decode()


def _emg_topics(stepped: Stepped) -> tuple[str, ...]:
    return tuple(topic for topic in stepped.subscriptions if topic.startswith("emg/"))

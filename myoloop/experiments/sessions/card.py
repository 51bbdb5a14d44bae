"""What a running session tells a console of itself: one file in its runtime folder, without anything of the arm."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from myoloop.experiments.sessions.setup import SessionSetup, controller_settings
from myoloop.experiments.sessions.still_up import CARD_FILE
from myoloop.platform.messages import SampleDescriptor


def card_of(setup: SessionSetup, descriptors: Sequence[SampleDescriptor], stop_port: int | None) -> dict[str, Any]:
    """Names, places and units that a page needs to show the session; JSON-ready.

    Nothing in it depends on the arm, which only the stimulator's node knows.

    Parameters
    ----------
    descriptors
        What the rig's sources have said of themselves.
    stop_port
        Of the stop node; None where the rig has no stimulator.
    """
    header, plan = setup.protocol.protocol, setup.plan
    by_topic = {each.topic: each for each in descriptors}
    caps_ma = {limits.channel: limits.current_max_ma for limits in plan.envelope.channels}
    return {
        "session": setup.session,
        "study": str(setup.folder.parents[2].resolve()),
        "subject": setup.subject,
        "protocol": header.id,
        "title": header.title,
        "rig_class": setup.rig.rig.rig_class,
        "simulated": setup.simulated,
        "blinded": setup.allocated is not None,
        "muscles": _muscles(setup, by_topic),
        "imu": _imu(setup, by_topic),
        "channels": [
            {"name": name, "cap_ma": caps_ma.get(name, 0.0), "site": channel.site}
            for name, channel in setup.protocol.stimulation.items()
        ],
        "phases": [{"name": phase.name, "kind": phase.kind} for phase in plan.phases],
        "stop_port": stop_port,
        "stimulator": setup.rig.node_of("stimulator"),
        "director": setup.rig.node_of("director"),
        "sites": [msgspec.to_builtins(site) for site in plan.sites],
    }


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Leave it in the rig's runtime folder: whole, or not there."""
    part = folder / f"{CARD_FILE}.part"
    part.write_text(json.dumps(card), encoding="utf-8")
    part.replace(folder / CARD_FILE)


def _muscles(setup: SessionSetup, by_topic: dict[str, SampleDescriptor]) -> list[dict[str, Any]]:
    """Where each muscle's EMG stands in its stream: microvolts are ``raw * scale_uv + offset``."""
    if setup.rig.node_of("controller") is None:
        return []
    found = []
    for muscle in controller_settings(setup, tuple(by_topic.values())).muscles:
        stream, column = by_topic[muscle.topic], muscle.column
        found.append(
            {
                "name": muscle.muscle,
                "topic": muscle.topic,
                "column": column,
                "rate_hz": stream.rate_hz,
                "scale_uv": stream.scale[column] * 1e6,
                "offset": stream.offset[column] * 1e6,
            }
        )
    return found


def _imu(setup: SessionSetup, by_topic: dict[str, SampleDescriptor]) -> dict[str, Any] | None:
    stream = by_topic.get(f"imu/{setup.rig.imu.source}") if setup.rig.imu is not None else None
    if stream is None:
        return None
    kept = ("topic", "rate_hz", "channels", "units", "scale", "offset")
    return {name: getattr(stream, name) for name in kept}

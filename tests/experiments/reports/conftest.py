"""A whole visit on the virtual subject, as a study keeps it: every kind of phase, with all that stands beside it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from myoloop.experiments.protocols.plan import PlaceOnBody, ScreeningPlan
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.screening.clear import clear_history
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.script import Script
from myoloop.experiments.sessions.setup import make_setup
from myoloop.experiments.sessions.simulated_rig import simulated_rig
from myoloop.experiments.subjects.population import draw
from myoloop.platform.recording.folder import create_attempt, keep_copy
from myoloop.platform.yamlfile import parse_yaml

DATA = Path(__file__).parents[2] / "data"
WALL = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
SCRIPT = """
date: 2026-11-21T09:30
operator: {name: A. Smith, role: operator, reaction: 0.2 s}
others: clear
forms:
  nrs_now: {current: 3}
  medication: {medication_changed: "yes", change: "<script>alert(1)</script> & pregabalin",
               botulinum: "no", antispastic_changed: "no", anticoagulant: "no"}
  skin_after.ext: {redness: mild, blister: "no", burn: "no", hurts: "no"}
"""


@pytest.fixture(scope="session")
def visit_attempt(tmp_path_factory) -> Path:
    """The folder of a visit in a study, read only."""
    study = tmp_path_factory.mktemp("visit") / "study"
    protocol = load_protocol(DATA / "visit.yaml")
    folder = create_attempt(study, "P017", 2)
    places = {"ext": PlaceOnBody("arm"), "flex": PlaceOnBody("arm")}
    history = msgspec.to_builtins(clear_history("SIM", WALL))
    setup = make_setup(
        protocol, simulated_rig(protocol), subject="P017", session="/".join(folder.parts[-3:]), folder=folder,
        parameters=draw(1), seed=1,
        screening=ScreeningPlan(wall=WALL.isoformat(), history=history, places=places),
    )  # fmt: skip
    copied = dict([keep_copy(folder, "protocol.yaml", Path(protocol.path).read_bytes())])
    script = Script.model_validate(parse_yaml(SCRIPT)[0])
    wall_ns = round(WALL.timestamp()) * 10**9
    assert Lockstep(replace(setup, copies=copied), wall_start_ns=wall_ns, script=script).run().outcome == "complete"
    return folder

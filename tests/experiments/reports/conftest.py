"""A whole visit on the virtual subject, as a study keeps it: every kind of phase, with all that stands beside it."""

from __future__ import annotations

import fcntl
import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest

from myoloop.experiments.protocols.plan import PlaceOnBody, ScreeningPlan
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.screening.clear import clear_history
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.script import Script
from myoloop.experiments.sessions.setup import make_setup
from myoloop.experiments.sessions.simulated_rig import simulated_rig
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.training.composite import interval
from myoloop.experiments.training.contenders import contenders
from myoloop.experiments.training.plan import Plan
from myoloop.experiments.training.set_up import Proof, SetUp
from myoloop.experiments.training.task import load_task
from myoloop.experiments.training.trained_files import EVALUATION_FORMAT, TRAINING_FORMAT
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


#: Elements that have no end tag.
_VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Checks that tags close as they opened, and keeps what a browser would fetch, and ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.ids: list[str] = []
        self.sections: list[str] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "section":
            self.sections.append("")
        if tag not in _VOID:
            self.open.append(tag)
        self._look(tag, values)

    def handle_startendtag(self, tag, attrs):
        self._look(tag, dict(attrs))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "section" in self.open:
            self.sections[-1] += data

    def _look(self, tag, values):
        assert tag != "script"
        assert not any(name.startswith("on") for name in values)
        for name in ("src", "href", "xlink:href", "data", "srcset"):
            if values.get(name, "#")[:1] != "#":
                self.fetched.append(values[name])
        if "id" in values:
            self.ids.append(values["id"])


@pytest.fixture(scope="session")
def page_of() -> type[Page]:
    """Reads a page as a browser would, and refuses one that is not well formed."""
    return Page


ARTEFACT, CODE = "cd" * 32, "ab" * 32
HELD_OUT = [f"acute_sci-{number}" for number in range(30, 42)]


class KnownTraining:
    """What ``train``, ``evaluate`` and others write, with numbers that are known."""

    ARTEFACT, CODE, HELD_OUT = ARTEFACT, CODE, HELD_OUT

    @staticmethod
    def training() -> dict:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(1)))
        curves = []
        for number in (1, 2):
            for seed in range(5):
                each = 1.02 - 0.02 * number + 0.01 * rng.standard_normal(4)
                curves.append(
                    {"seed": seed, "round": number, "transitions": 900 * number, "change": [0.1],
                     "distilled": {"agreement": 0.91, "kept": 0.77, "leaves": 120},
                     "composite": asdict(interval(each, seed)), "composite_by_person": each.tolist(),
                     "relative": {}, "fell_back": 0}
                )  # fmt: skip
        return {
            "format": TRAINING_FORMAT, "myoloop": "0.1.0", "code_sha256": CODE, "seed": 0,
            "task": load_task("isometric_hold").model_dump(mode="json"), "plan": asdict(Plan()),
            "people": {"fitted": [f"acute_sci-{n}" for n in range(26)],
                       "validated": [f"acute_sci-{n}" for n in range(26, 30)], "held_out": HELD_OUT},
            "logged": None, "observation": ["at_s", "due"], "actions": [-0.2, 0.0, 0.2], "curves": curves,
            "chosen": {"seed": 3, "round": 2, "composite_validated": asdict(interval([0.9, 1.0], 0)),
            "by": "the least"},
            "budget_uc": 812.5, "limits": ["virtual people only"], "artefact_sha256": ARTEFACT,
        }  # fmt: skip

    @staticmethod
    def evaluation(learned: float = 0.95, worst: float | None = None) -> dict:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(2)))
        medians = dict(zip(contenders(), (2.6, 2.4, 1.4, 1.1, 1.0, learned), strict=True))
        composites = {
            name: np.ones(12) if name == "adaptive_gain" else median * np.exp(0.02 * rng.standard_normal(12))
            for name, median in medians.items()
        }
        if worst is not None:
            composites["fitted_q"][4] = worst
        controllers = {}
        for name, each in composites.items():
            figures = {
                "rmse": 0.07 * each, "fatigue": 0.3 * each, "charge_mc": 100.0 * each, "settling_s": 1.2 * each,
                "pain": 0.02 * each, "gated": 0.003 * each, "saturated": 0.1 * each, "peak_ma": 40.0 * each,
            }  # fmt: skip
            controllers[name] = {
                "composite": asdict(interval(each, 0)), "composite_by_person": each.tolist(),
                "figures": {key: asdict(interval(values, 0)) for key, values in figures.items()},
                "figures_by_person": {key: values.tolist() for key, values in figures.items()},
                "interventions": {"rise onto new ground": 31}, "violations": {},
                "fell_back": {HELD_OUT[4]: "an input <outside> its range"} if name == "fitted_q" else {},
                "trial_rmse_by_person": np.outer(0.07 * each, np.linspace(1.0, 1.5, 6)).tolist(),
            }  # fmt: skip
        robust = []
        for fault in ("force_lost", "non_responders"):
            for name, median in (("adaptive_gain", 1.0), ("iterative_learning", 1.2), ("fitted_q", 1.15)):
                each = median * np.linspace(1.0, 1.0 if median == 1.0 else 1.05, 4)
                robust.append(
                    {"fault": fault, "controller": name, "people": HELD_OUT[:4],
                     "composite": asdict(interval(each, 0)), "composite_by_person": each.tolist(), "rmse": 0.1,
                     "peak_ma": 50.0, "violations": {}, "fell_back": 3}
                )  # fmt: skip
        ours = composites["fitted_q"]
        return {
            "format": EVALUATION_FORMAT, "myoloop": "0.1.0", "code_sha256": CODE, "artefact_sha256": ARTEFACT,
            "people": HELD_OUT,
            "composite": {"reference": "adaptive_gain"}, "controllers": controllers,
            "learned_less": {
                name: asdict(interval(ours - each, 0)) for name, each in composites.items() if name != "fitted_q"
            },
            "robustness": robust,
            "off_policy": {"people": 4, "log": {"decisions": 400, "explored": 0.5}, "discount": 0.8,
                           "estimated_gain": 0.02, "closed_loop_gain": 0.0125, "caveat": "It decides nothing."},
            "sim_to_real": None,
            "passed": learned < 1.0 and worst is None, "why": [] if worst is None else ["somebody"],
            "limits": ["virtual people; nothing here is a statement about patients"],
        }  # fmt: skip

    @staticmethod
    def percentiles() -> dict:
        return {"p50": 0.05, "p99": 0.1, "p999": 0.4, "max": 3.0}

    @staticmethod
    def estimators() -> dict:
        row = {"what": "F1", "unit": "", "better": "more", "rules": 0.9, "learned": 0.92, "difference": 0.02,
               "low": -0.01, "high": 0.05, "margin": 0.02, "people": 2, "worst": 6001,
               "at_least_equal": True}  # fmt: skip
        spasm = [{"number": 6000 + n, "rules": {"f1": 0.9, "false_per_min": 0.1},
                  "learned": {"f1": None if n else 0.92, "false_per_min": 0.0}} for n in range(2)]  # fmt: skip
        fatigue = [{"number": 6000 + n, "rules": {"rms_error": 0.1}, "learned": {"rms_error": 0.12}} for n in range(2)]
        return {
            "size": {"people": 6, "held_out": 2, "seconds": 80.0},
            "spasm": {"compared": [row], "at_least_equal": True, "by_person": spasm},
            "fatigue": {"compared": [{**row, "at_least_equal": False}], "at_least_equal": False, "by_person": fatigue},
        }

    @staticmethod
    def set_up() -> dict:
        each = SetUp(seed=60_000, preset="able_bodied", grid=100, trials=24, reached=0.97, reached_comfortable=0.97,
                     reached_at_random=0.8, over_tolerance=0, worst=8.5, chosen="near", best="near")  # fmt: skip
        return Proof((each,)).to_json()

    @staticmethod
    def put(folder: Path, **files: dict) -> Path:
        folder.mkdir(exist_ok=True)
        for name, data in files.items():
            (folder / f"{name}.json").write_text(json.dumps(data), encoding="utf-8")
        return folder


@pytest.fixture(scope="session")
def known_training() -> type[KnownTraining]:
    """Makes the files of a training that is known."""
    return KnownTraining


@pytest.fixture(scope="session")
def visit_attempt(tmp_path_factory, worker_id) -> Path:
    """The folder of a visit in a study, read only; workers that run side by side share it."""
    base = tmp_path_factory.getbasetemp()
    if worker_id == "master":
        return _record_visit(base / "visit" / "study")
    with (base.parent / "visit.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        study = base.parent / "visit" / "study"
        done = study.with_name("done")
        if not done.exists():
            done.write_text(str(_record_visit(study)), encoding="utf-8")
        return Path(done.read_text(encoding="utf-8"))


def _record_visit(study: Path) -> Path:
    study.mkdir(parents=True)
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

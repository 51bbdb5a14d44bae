"""Presets made shorter, and played to their end on a virtual subject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from myoloop.experiments.analysis.session import Session, load
from myoloop.experiments.outcomes.compute import compute
from myoloop.experiments.outcomes.view import Value
from myoloop.experiments.protocols.schema import Protocol, load_protocol, presets
from myoloop.experiments.sessions.run import SessionEnd, prepare, run_lockstep
from myoloop.experiments.sessions.script import load_script
from myoloop.experiments.studies.allocation import ALL, import_list, parse_list, take
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.subject_file import write_subject
from myoloop.platform.messages import Event, StimReport, Truth
from myoloop.platform.quantities import parse
from myoloop.platform.recording.reader import Recording

SCRIPT = Path(__file__).parents[4] / "examples" / "scripts" / "presets.yaml"
#: Nothing is made shorter than this.
LEAST_S = {"hold": 8.0, "between": 2.0, "rest": 2.0, "duration": 4.0}
#: Blocks of a longer hold are one train, and are cut in its length; others in the number of their trials.
ONE_TRAIN_S = 30.0


@dataclass(frozen=True)
class Played:
    """A session that is over, and what was measured in it."""

    end: SessionEnd
    protocol: Protocol
    diary: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @cached_property
    def session(self) -> Session:
        return load(self.end.folder)

    @cached_property
    def outcomes(self) -> dict[str, Value]:
        return compute(self.session, self.protocol, self.diary)

    @property
    def primary(self) -> Value:
        return self.outcomes[self.protocol.outcomes.primary.measure]

    def messages(self, topic: str) -> list[Any]:
        return [each.received.message for each in Recording.open(self.end.folder).messages({topic})]

    def truths(self, what: str) -> list[dict[str, Any]]:
        return [dict(each.values) for each in self.messages(f"truth/{what}") if isinstance(each, Truth)]

    def forms(self) -> dict[str, dict[str, Any]]:
        """The newest answers, by form."""
        told = [each for each in self.messages("event") if isinstance(each, Event) and each.kind == "form"]
        return {str(each.values["form"]): dict(each.values) for each in told}

    def reports(self) -> list[StimReport]:
        return [each for each in self.messages("report") if isinstance(each, StimReport)]


@pytest.fixture
def shortened(tmp_path) -> Callable[..., Path]:
    """A preset as a file in which long holds, numbers of trials, rests and pauses are divided by a factor.

    Ascents end at the share `ascent` of the highest level that the preset allows. An MVC is made once. Rules that count
    more trials than are left count those; progression and its marks are dropped, its bounds are of the whole protocol.
    """

    def made(name: str, factor: float, ascent: float = 1.0, **controller: Any) -> Path:
        yaml = YAML()
        yaml.width = 4096
        data = yaml.load(presets()[name].read_text(encoding="utf-8"))
        trials = 0
        for item in data["phases"]:
            for kind, phase in item.items():
                if kind == "block":
                    trials += _shorter_block(phase, factor)
                elif kind == "rest":
                    _divide(phase, "duration", factor)
                elif kind == "mvc":
                    phase["repeats"] = 1
                elif kind == "calibration":
                    highest, unit = phase["stop_at"].split()
                    phase["stop_at"] = f"{round(float(highest) * ascent):g} {unit}"
        for rule in data["stop_rules"]:
            if "timeouts" in rule:
                rule["timeouts"] = min(rule["timeouts"], trials)
        data.pop("progression", None)
        marks = data["protocol"]["evidence"].get("marks", {})
        for path in [each for each in marks if each.startswith("progression")]:
            del marks[path]
        data["controller"].update(controller)
        path = tmp_path / f"{name}.yaml"
        with path.open("w", encoding="utf-8") as file:
            yaml.dump(data, file)
        return path

    return made


@pytest.fixture
def write_sham() -> Callable[[Path, Path, str], tuple[Path, Path]]:
    """The same protocol with two arms, in a study whose sealed list gives the person SIM1 one; with the study's key."""

    def written(path: Path, study: Path, arm: str) -> tuple[Path, Path]:
        key = study.with_suffix(".key")
        sha256 = import_list(study, parse_list(f"number,arm\n1,{arm}\n", "list"), key)
        take(study, "SIM1", ALL)
        yaml = YAML()
        yaml.width = 4096
        data = yaml.load(path.read_text(encoding="utf-8"))
        data["arms"] = {"active": {"treatment": "active"}, "sham": {"treatment": "sham"}}
        data["allocation"] = {"method": "simple", "list": sha256, "emergency_unblinding": {"roles": ["pi"]}}
        data["sham"] = {"type": "zero_current", "check": {"during": True, "after": True}}
        blinded = path.with_name(f"blinded_{study.name}.yaml")
        with blinded.open("w", encoding="utf-8") as file:
            yaml.dump(data, file)
        return blinded, key

    return written


@pytest.fixture
def play(tmp_path, write_sham) -> Callable[..., Played]:
    """Play a protocol with the script that ships, each time as the first session of a study of its own.

    The person is drawn from a group, or given. With an arm the session is blinded.
    """
    studies: list[Path] = []

    def played(
        path: str | Path, person: str | SubjectParameters = "SIM:able_bodied", seed: int = 1, arm: str | None = None
    ) -> Played:
        studies.append(tmp_path / f"study{len(studies) + 1}")
        study, script = studies[-1], load_script(SCRIPT)
        if isinstance(person, SubjectParameters):
            write_subject(tmp_path / "person.yaml", "SIM1", person)
            person = str(tmp_path / "person.yaml")
        key = None
        if arm is not None:
            path, key = write_sham(Path(path), study, arm)
        setup = prepare(str(path), subject=person, rig=None, study=study, seed=seed, script=script, key=key)
        return Played(run_lockstep(setup, script=script), load_protocol(str(path)))

    return played


def _shorter_block(block: dict[str, Any], factor: float) -> int:
    """Cut it; how many trials are left."""
    if _seconds(block["hold"]) > ONE_TRAIN_S:
        _divide(block, "hold", factor)
        _divide(block, "rest", factor)
    else:
        block["trials"] = max(2, round(block.get("trials", 1) / factor))
    _divide(block, "between", factor)
    return int(block.get("trials", 1)) * int(block.get("repeat", 1))


def _divide(phase: dict[str, Any], key: str, factor: float) -> None:
    if key in phase:
        phase[key] = f"{max(LEAST_S[key], _seconds(phase[key]) / factor):g} s"


def _seconds(text: str) -> float:
    return parse(text, "s")

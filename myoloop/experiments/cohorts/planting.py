"""A whole study made of virtual people in one go: sessions as they are recorded, and its truth beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from myoloop.experiments.cohorts import planted, spoiling
from myoloop.experiments.cohorts.planted import ACTIVE, SHAM, Effects, PlantedPerson
from myoloop.experiments.cohorts.playing import TRAINS, Wanted, cut_off, play
from myoloop.experiments.studies.adverse import report_line
from myoloop.experiments.studies.allocation import ALL, import_list, parse_list, take
from myoloop.experiments.studies.participants import register
from myoloop.experiments.studies.personrecord import append_record
from myoloop.experiments.training.jobs import Jobs
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import replace_file
from myoloop.platform.sealed import read_key
from myoloop.stimulators.dose_ledger import LEDGER_FILE, read_real
from myoloop.stimulators.sealing import SealedDose

STUDY, KEY_FILE, TRUTH_FILE, ANALYSIS_FILE = "study", "study.key", "truth.json", "analysis.yaml"
_PROTOCOL = Path(__file__).with_name("planted_protocol.yaml")
_ANALYSIS = Path(__file__).with_name("planted_analysis.yaml")
#: Everybody begins in the same two weeks; sessions are two days apart.
FIRST_DAY = date(2026, 3, 2)
_APART_DAYS = (0, 2, 4, 7, 9, 11)
#: Seconds that a cut-off session got to.
_CUT_S = 6.0


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """What is to be planted.

    Attributes
    ----------
    people, sessions
        How many; people are even, half of them in each arm.
    trials, rest_s
        Trains of a session, and the rest in which spasms come: less is quicker, and tells less.
    short
        Sessions of seconds, with one contraction and one train: only strength and dose can be looked at.
    faults
        Whether recordings are spoiled, sessions interrupted and one missed.
    """

    people: int = 20
    sessions: int = 6
    seed: int = 1
    trials: int = 7
    rest_s: float = 20.0
    short: bool = False
    faults: bool = True
    effects: Effects = field(default_factory=Effects)

    def __post_init__(self) -> None:
        if self.people < 4 or self.people % 2:
            raise UserError(
                f"--people: found {self.people}, allowed is an even number from 4: two arms of the same size"
            )
        if not 2 <= self.sessions <= len(_APART_DAYS):
            raise UserError(f"--sessions: found {self.sessions}, allowed are 2 to {len(_APART_DAYS)}")
        if not 1 <= self.trials <= 30:
            raise UserError(f"--trials: found {self.trials}, allowed are 1 to 30")
        if not 4.0 <= self.rest_s <= 120.0:
            raise UserError(f"--rest: found {self.rest_s:g} s, allowed are 4 to 120 s")


@dataclass(frozen=True, slots=True)
class Made:
    """What was made.

    Attributes
    ----------
    study, key, truth, analysis
        Where each is; the truth is for the proof alone.
    sessions
        That were recorded, spoiled ones among them.
    """

    study: Path
    key: Path
    truth: Path
    analysis: Path
    sessions: int
    faults: tuple[str, ...]


def plant(out: Path | str, cohort: Cohort, jobs: Jobs | None = None) -> Made:
    """Make a study folder, its key, its analysis file and the truth about it.

    Raises
    ------
    UserError
        If the folder is there already, or what is asked for cannot be planted.
    """
    out = Path(out)
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out}: is there already and not empty; a planted study is made anew")
    study, key = out / STUDY, out / KEY_FILE
    study.mkdir(parents=True)
    replace_file(study / "study.yaml", b"zone: Europe/Berlin\noverride_roles: [pi]\n")
    arms = _arms(cohort)
    listed = "number,arm\n" + "".join(f"{number},{arm}\n" for number, arm in enumerate(arms, 1))
    sha256 = import_list(study, parse_list(listed, "list", (ACTIVE, SHAM)), key)
    _write_protocol(out / "protocol.yaml", cohort, sha256)
    people = [planted.person(cohort.effects, number, arm, cohort.seed) for number, arm in enumerate(arms, 1)]
    for who in people:
        register(study, who.name, FIRST_DAY)
        take(study, who.name, ALL)
    faults = spoiling.plan(people, cohort.sessions, short=cohort.short) if cohort.faults else {}
    items = [
        {
            "out": str(out.resolve()),
            "cohort": asdict(cohort),
            "number": number,
            "arm": who.arm,
            "faults": _of(faults, who),
        }
        for number, who in enumerate(people, 1)
    ]
    told = (jobs or Jobs()).run("people", play_person, items)
    _adverse_events(study, people, cohort)
    damage = spoiling.spoil(study, faults)
    truth = {
        "what": "planted by myoloop; an analysis must not read this",
        "cohort": asdict(cohort),
        "people": {who.name: {**planted.as_truth(who), "sessions": each["sessions"]}
                   for who, each in zip(people, told, strict=True)},
        "faults": [{"person": who, "session": session, "fault": faults[who, session]}
                   for who, session in sorted(faults)],
    }  # fmt: skip
    replace_file(out / TRUTH_FILE, (json.dumps(truth, indent=1, sort_keys=True) + "\n").encode())
    _write_analysis(out / ANALYSIS_FILE, cohort)
    return Made(
        study, key, out / TRUTH_FILE, out / ANALYSIS_FILE, sum(len(each["sessions"]) for each in told), tuple(damage)
    )


def play_person(item: Mapping[str, Any]) -> dict[str, Any]:
    """All sessions of one person, one after the other: a dose that was given moves what comes next."""
    out, cohort = Path(item["out"]), cohort_of(item["cohort"])
    study, key = out / STUDY, out / KEY_FILE
    who = planted.person(cohort.effects, item["number"], item["arm"], cohort.seed)
    seal, had_mc, told = SealedDose(read_key(key)), 0.0, {}
    for session in range(1, cohort.sessions + 1):
        fault = item["faults"].get(str(session), "")
        if fault == spoiling.MISSED:
            continue
        today = planted.on_day(cohort.effects, who, session, had_mc)
        wanted = Wanted(
            protocol=out / "protocol.yaml", study=study, key=key, person=who.name, parameters=today.parameters,
            right=who.right, seed=100 * who.seed + session, begin=_when(item["number"], session),
            time_jump=fault == spoiling.CLOCK_JUMP,
        )  # fmt: skip
        loss = None
        if fault == spoiling.INTERRUPTED:
            cut_off(wanted, _CUT_S)
        else:
            loss = play(wanted).evoked_loss
        before_mc = had_mc
        ledger = study / f"sub-{who.name}" / LEDGER_FILE
        had_mc += read_real(ledger, who.name, f"ses-{session:02d}", seal).charge_mc
        told[str(session)] = {
            "log_gain": today.log_gain,
            "spasms_per_min": today.spasms_per_min,
            "fatigue_rate": today.fatigue_rate,
            "evoked_loss": loss if who.arm == ACTIVE else None,
            "dose_mc": had_mc - before_mc,
            "dose_before_mc": before_mc,
            "fault": fault,
        }
    return {"sessions": told}


def cohort_of(data: Mapping[str, Any]) -> Cohort:
    """Read a cohort back from plain data."""
    return Cohort(**{**data, "effects": Effects(**data["effects"])})


def _arms(cohort: Cohort) -> list[str]:
    """Blocks of two in an order that the seed draws."""
    import numpy as np

    rng = np.random.Generator(np.random.PCG64(cohort.seed))
    return [
        arm for _ in range(cohort.people // 2) for arm in ((ACTIVE, SHAM) if rng.random() < 0.5 else (SHAM, ACTIVE))
    ]


def _of(faults: Mapping[tuple[str, int], str], who: PlantedPerson) -> dict[str, str]:
    return {str(session): fault for (name, session), fault in faults.items() if name == who.name}


def _when(number: int, session: int) -> datetime:
    day = FIRST_DAY + timedelta(days=_APART_DAYS[session - 1])
    return datetime(day.year, day.month, day.day, 8, 0, tzinfo=UTC) + timedelta(minutes=10 * number)


def _write_protocol(path: Path, cohort: Cohort, sha256: str) -> None:
    yaml = YAML()
    yaml.width = 4096
    data = yaml.load(_PROTOCOL.read_text(encoding="utf-8"))
    data["allocation"]["list"] = sha256
    data["course"]["max_sessions"] = cohort.sessions
    for item in data["phases"]:
        if item.get("block", {}).get("name") == TRAINS:
            item["block"]["trials"] = cohort.trials
        if item.get("rest", {}).get("name") == "at rest":
            item["rest"]["duration"] = f"{cohort.rest_s:g} s"
    if cohort.short:
        _shorten(data)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(data, file)


def _write_analysis(path: Path, cohort: Cohort) -> None:
    yaml = YAML()
    data = yaml.load(_ANALYSIS.read_text(encoding="utf-8"))
    data["sessions"] = cohort.sessions
    if cohort.short:
        data["secondary"], data["random"] = [], "intercept"
        # One contraction is no strongest one, and three would be half of the session.
        data["doubtful"] = "use"
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(data, file)


def _shorten(data: dict[str, Any]) -> None:
    """One contraction, one train at thresholds that are given: virtual people need not be asked."""
    rest, mvc, *_ = data["phases"]
    block = next(item for item in data["phases"] if item.get("block", {}).get("name") == TRAINS)
    rest["rest"]["duration"] = "0.3 s"
    mvc["mvc"].update({"repeats": 1, "hold": "1.2 s", "rest": "0.2 s"})
    block["block"].update({"trials": 1, "rest": "0.5 s"})
    data["phases"] = [rest, mvc, block]
    data["thresholds"] = {"motor": "12 mA", "tolerance": "18 mA"}
    data["sham"]["check"] = {"during": False, "after": False}
    data["outcomes"] = {"primary": "mvc_force", "secondary": ["torque_time_integral"]}


def _adverse_events(study: Path, people: list[PlantedPerson], cohort: Cohort) -> None:
    """Two mild ones, so that a report has something to count; they are told by nobody's recording."""
    for who, kind in zip(people[:2], ("skin_reaction", "soreness"), strict=True):
        at = _when(1, 2)
        values = {
            "kind": kind, "what": "planted", "place": "left_arm", "site": "left", "began": at.date().isoformat(),
            "grade": "mild", "ctcae": 1, "serious": "no", "related": "probable", "device_related": "yes",
            "action": ["none"], "resolved": "yes", "resolved_on": at.date().isoformat(),
        }  # fmt: skip
        line = report_line(values, at=at, who="A. Smith", session=2)
        append_record(study, who.name, "adverse_events", line)

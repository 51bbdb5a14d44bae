"""What gets into a study by ``deploy`` and out by ``rollback``, what stands in the audit, and everything refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.controllers.policies.distilled_model import DistilledModel
from myoloop.controllers.policies.fitted_q import FittedQSettings
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.learned import LearnedError, with_learned
from myoloop.experiments.studies.audit import read_audit
from myoloop.experiments.studies.chained import DamagedLog
from myoloop.experiments.training.approval import FAULTS, digest_of_training
from myoloop.experiments.training.artefact import Artefact, ArtefactError, ChannelUse, envelope_of, write_artefact
from myoloop.experiments.training.composite import composite, interval
from myoloop.experiments.training.deployment import (
    NONE,
    Approver,
    Change,
    DeploymentError,
    deploy,
    deployed,
    deployed_artefact,
    kept_in,
    rollback,
)
from myoloop.experiments.training.jobs import code_sha256
from myoloop.experiments.training.trained_files import EVALUATION_FORMAT, TRAINING_FORMAT
from myoloop.platform.recording.reader import Recording

WHO = Approver("C. Roth", "physician", datetime(2026, 11, 21, 12, 0, tzinfo=UTC), "better on all")
SETTINGS = FittedQSettings(quantity="force", setpoint=1.0, full_response=1.0, recruitment_median_ma=20.0, budget_uc=9.0)
Change_ = Callable[[dict[str, Any]], None]


def _write(path: Path, plain: Any) -> None:
    path.write_text(json.dumps(plain), encoding="utf-8")


def trained(folder: Path, name: str = "wrist-1", residual: float = -0.15, people: int = 24, **more: Any) -> Artefact:
    """A training's folder: artefact, training and an evaluation that passed, as `train` and `evaluate` write them."""
    folder.mkdir(parents=True)
    held_out = [f"acute_sci-{number}" for number in range(100, 100 + people)]
    training = {
        "format": TRAINING_FORMAT,
        "seed": 3,
        "people": {"fitted": ["acute_sci-1", "acute_sci-2"], "validated": ["acute_sci-3"], "held_out": held_out},
        "task": {"decide_every_s": SETTINGS.decide_every_s},
        "budget_uc": SETTINGS.budget_uc,
        "learned": {"model": msgspec.to_builtins(DistilledModel.always(residual))},
    }
    artefact = write_artefact(
        folder / "artefact",
        **{
            "name": name,
            "model": DistilledModel.always(residual),
            "settings": SETTINGS,
            "channels": {"ext": ChannelUse(muscle="ext", phase_us=250.0, rate_hz=35.0)},
            "envelope": {"waveform_class": "nmes"},
            "dataset_sha256": "d" * 64,
            "about": {"training_sha256": digest_of_training(training)},
            **more,
        },
    )
    _write(folder / "training.json", {**training, "artefact_sha256": artefact.sha256})
    rng = np.random.default_rng(1)
    theirs = {key: (1.0 + rng.random(people)).tolist() for key in ("rmse", "fatigue", "charge_mc")}
    ours = {key: [0.9 * value for value in values] for key, values in theirs.items()}
    evaluation = {
        "format": EVALUATION_FORMAT,
        "code_sha256": code_sha256(),
        "artefact_sha256": artefact.sha256,
        "people": held_out,
        "controllers": {"adaptive_gain": _row(theirs, theirs), "fitted_q": _row(ours, theirs)},
        "task": training["task"],
        "robustness": [
            {"fault": f"fault {number}", "controller": name, "violations": {}}
            for number in range(FAULTS)
            for name in ("adaptive_gain", "fitted_q")
        ],
        "passed": True,
        "why": [],
    }
    _write(folder / "evaluation.json", evaluation)
    _write(folder / "timing.json", {"artefact_sha256": artefact.sha256, "thread_ms": {"p999": 0.1}})
    return artefact


def _row(ours: dict[str, list[float]], theirs: dict[str, list[float]]) -> dict[str, Any]:
    each = composite({k: np.array(v) for k, v in ours.items()}, {k: np.array(v) for k, v in theirs.items()})
    found = interval(each, 3)
    told = {"mean": found.mean, "low": found.low, "high": found.high}
    gated = [0.01] * len(ours["rmse"])
    return {"composite": told, "figures_by_person": {**ours, "gated": gated}, "violations": {}}


@pytest.fixture
def place(tmp_path: Path) -> SimpleNamespace:
    """A study, and a training whose evaluation passed."""
    artefact = trained(tmp_path / "trained")
    study = tmp_path / "study"
    study.mkdir()
    return SimpleNamespace(
        study=study, folder=tmp_path / "trained", artefact=artefact, evaluation=tmp_path / "trained/evaluation.json"
    )


def deploy_it(place: SimpleNamespace, folder: Path | None = None, **more: Any) -> Change:
    at = folder or place.folder
    return deploy(at / "artefact", place.study, at / "evaluation.json", more.pop("who", WHO), **more)[0]


def altered(place: SimpleNamespace, change: Change_, name: str = "evaluation.json") -> None:
    path = place.folder / name
    plain = json.loads(path.read_bytes())
    change(plain)
    _write(path, plain)


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_reads_what_training_and_evaluation_write() -> None:
    from myoloop.experiments.training import train

    told = {"format": TRAINING_FORMAT, "curves": [0.1, {"a": (1, 2)}], "artefact_sha256": "a" * 64}
    written = json.loads(train._json(told))
    before = {key: value for key, value in told.items() if key != "artefact_sha256"}
    assert digest_of_training(written) == train._sha256(before)


# -- deploy and roll back ------------------------------------------------------------------------------------------


def test_a_deployed_controller_is_kept_in_the_study_and_at_work_until_it_is_rolled_back(place: SimpleNamespace) -> None:
    assert deployed(place.study).identity == NONE
    change = deploy_it(place)
    assert (change.old, change.new) == (NONE, place.artefact.identity)
    shutil.rmtree(place.folder)  # what the study has is its own
    found = deployed_artefact(place.study, deployed(place.study).identity, "HUMAN")
    assert found.model == place.artefact.model
    back = rollback(place.study, WHO)
    assert (back.old, back.new) == (place.artefact.identity, NONE)
    assert deployed(place.study).identity == NONE
    with pytest.raises(DeploymentError, match="no learned controller is at work; there is nothing to roll back"):
        rollback(place.study, WHO)


def test_two_rollbacks_go_back_two_deployments_and_a_third_finds_nothing(
    place: SimpleNamespace, tmp_path: Path
) -> None:
    second = trained(tmp_path / "second", "wrist-2", 0.05)
    deploy_it(place)
    assert deploy_it(place, tmp_path / "second").old == place.artefact.identity
    assert rollback(place.study, WHO).new == place.artefact.identity
    assert deployed(place.study).identity == place.artefact.identity
    assert rollback(place.study, WHO).new == NONE
    with pytest.raises(DeploymentError, match="nothing to roll back"):
        rollback(place.study, WHO)
    # And again from the start: what was there before does not come back.
    deploy_it(place, tmp_path / "second")
    assert rollback(place.study, WHO).new == NONE
    assert deployed(place.study).acts == 6
    assert second.identity.startswith("wrist-2 sha256 ")


def test_back_to_the_classic_at_once(place: SimpleNamespace, tmp_path: Path) -> None:
    trained(tmp_path / "second", "wrist-2", 0.05)
    deploy_it(place)
    deploy_it(place, tmp_path / "second")
    assert rollback(place.study, WHO, classic=True).new == NONE
    assert deployed(place.study).standing == ()


def test_a_dry_run_checks_all_and_writes_nothing(place: SimpleNamespace) -> None:
    assert deploy_it(place, dry_run=True).new == place.artefact.identity
    assert everything(place.study) == {}
    deploy_it(place)
    before = everything(place.study)
    assert rollback(place.study, WHO, dry_run=True).new == NONE
    assert everything(place.study) == before


def test_the_same_is_not_deployed_twice(place: SimpleNamespace) -> None:
    deploy_it(place)
    with pytest.raises(DeploymentError, match="is at work already"):
        deploy_it(place)


# -- the audit -----------------------------------------------------------------------------------------------------


def test_who_deployed_what_on_which_evaluation_and_why_stands_in_the_audit_that_the_verb_prints(
    place: SimpleNamespace,
) -> None:
    deploy_it(place)
    rollback(place.study, Approver("A. Berg", "operator", WHO.wall, "uneven force"))
    done = CliRunner().invoke(app, ["audit", str(place.study)])
    assert done.exit_code == 0, done.output
    first, second, last = done.output.splitlines()
    assert first.startswith(
        "2026-11-21T12:00:00.000Z C. Roth (physician) deploy learned controller, evaluation sha256 "
    )
    assert first.endswith(f": none -> {place.artefact.identity} (better on all)")
    assert second.endswith(
        f"A. Berg (operator) rollback learned controller: {place.artefact.identity} -> none (uneven force)"
    )
    assert last == "1 chained log: whole"


def test_an_edited_audit_is_believed_in_nothing(place: SimpleNamespace) -> None:
    deploy_it(place)
    log = place.study / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b"C. Roth", b"C. Wolf"))
    for act in (lambda: deployed(place.study), lambda: rollback(place.study, WHO), lambda: deploy_it(place)):
        with pytest.raises(DamagedLog, match="edited: its content does not give its sha256"):
            act()


def test_a_rollback_cut_off_the_audit_s_end_shows(place: SimpleNamespace) -> None:
    deploy_it(place)
    rollback(place.study, WHO)
    log = place.study / "audit.jsonl"
    log.write_bytes(log.read_bytes().splitlines(keepends=True)[0])
    assert not read_audit(place.study).problems  # the chain alone does not show it
    with pytest.raises(DeploymentError, match=r"cut: an act that .*last.json names is gone from it"):
        deployed(place.study)
    (place.study / "models" / "last.json").write_text("{}")
    with pytest.raises(DeploymentError, match=r"last.json: cannot be read"):
        deployed(place.study)


def test_without_the_note_of_the_last_act_several_are_not_believed(place: SimpleNamespace) -> None:
    deploy_it(place)
    rollback(place.study, WHO)
    (place.study / "models" / "last.json").unlink()
    with pytest.raises(DeploymentError, match="is missing; what was deployed last is not known"):
        deployed(place.study)


def test_a_kill_between_audit_and_note_loses_nothing(place: SimpleNamespace) -> None:
    deploy_it(place)
    note = place.study / "models" / "last.json"
    before = note.read_bytes()
    rollback(place.study, WHO)
    note.write_bytes(before)
    assert deployed(place.study).identity == NONE


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "said"),
    [
        (Approver(" ", "physician", WHO.wall, "x"), "--approver: empty; a deployment has a name"),
        (Approver("C. Roth", "student", WHO.wall, "x"), "--role: found 'student', allowed to deploy: pi, clinician"),
        (Approver("C. Roth", "pi", WHO.wall, ""), "--why: empty; a deployment has a reason"),
    ],
)
def test_nobody_the_wrong_one_or_no_reason_deploys_nothing(place: SimpleNamespace, who: Approver, said: str) -> None:
    with pytest.raises(DeploymentError, match=said):
        deploy_it(place, who=who)
    assert everything(place.study) == {}


def test_a_rollback_has_a_name_and_a_reason_too(place: SimpleNamespace) -> None:
    deploy_it(place)
    with pytest.raises(ValueError, match="--why: empty"):
        rollback(place.study, Approver("A", "operator", WHO.wall, " "))
    from myoloop.platform.errors import UserError

    with pytest.raises(UserError, match="who is empty"):
        rollback(place.study, Approver("", "operator", WHO.wall, "x"))


def _set(*keys: Any, to: Any) -> Change_:
    def change(plain: Any) -> None:
        for key in keys[:-1]:
            plain = plain[key]
        plain[keys[-1]] = to

    return change


def _worse_for_one(plain: dict[str, Any]) -> None:
    """One person is much worse off, and all sums are made to fit."""
    ours, theirs = (plain["controllers"][name] for name in ("fitted_q", "adaptive_gain"))
    ours["figures_by_person"]["rmse"][4] *= 1.6
    plain["controllers"]["fitted_q"] = _row(ours["figures_by_person"], theirs["figures_by_person"])


def _no_better(plain: dict[str, Any]) -> None:
    theirs = plain["controllers"]["adaptive_gain"]["figures_by_person"]
    plain["controllers"]["fitted_q"] = _row(theirs, theirs)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("artefact_sha256", to="e" * 64), "is of artefact eeeeeeeeeeee..., this one is"),
        (_set("code_sha256", to="e" * 64), "was made by other code than this; evaluate again"),
        (_set("passed", to=False), "did not pass: no reason given"),
        (_set("controllers", "fitted_q", "composite", "mean", to=0.5), "the people's own figures give 0.9"),
        (_set("controllers", "fitted_q", "composite", "high", to=0.2), "the people's own figures give 0.9"),
        (_set("controllers", "fitted_q", "figures_by_person", "rmse", 0, to=0.01), "the people's own figures give"),
        (_set("controllers", "fitted_q", "figures_by_person", "rmse", 0, to="low"), "figures:"),
        (_set("controllers", "fitted_q", "figures_by_person", "rmse", to=[0.1]), "figures of each of the people"),
        (_set("controllers", "fitted_q", to=None), "controllers.fitted_q: figures of each of the people are missing"),
        (_set("controllers", "fitted_q", "violations", to={"current": 1}), "violations: found {'current': 1}, allowed"),
        (_set("robustness", 1, "violations", to={"rate": 2}), "violations: found {'rate': 2}, allowed is none"),
        (_set("controllers", "fitted_q", "violations", to=None), "violations: found None, allowed is none"),
        (_set("robustness", to=[]), "robustness: found 0 faults tried with fitted_q, allowed are 7"),
        (_set("controllers", "fitted_q", "figures_by_person", "gated", to=[0.3] * 24), "lives on the gate: held"),
        (_set("controllers", "fitted_q", "figures_by_person", "gated", to=None), "lives on the gate: held back in nan"),
        (_set("task", to={"decide_every_s": 9.0}), "task: is not that of the training"),
        (_set("people", 0, to=["acute_sci-1"]), "people: allowed are names"),
        (_set("people", 0, to=None), "people: allowed are names"),
        (_set("people", 0, to="acute_sci-1"), "acute_sci-1: evaluated on who was trained on"),
        (_set("people", 0, to="acute_sci-3"), "acute_sci-3: evaluated on who was trained on"),
        (_set("people", 0, to="acute_sci-99"), "acute_sci-99: not of those who were held out of this training"),
        (_set("people", 0, to="acute_sci-101"), "names somebody twice"),
        (_set("format", to="myoloop-evaluation-0"), "format: found 'myoloop-evaluation-0'"),
        (_set("passed", to="yes"), "passed: missing, or not what it must be"),
        (_worse_for_one, "acute_sci-104: worse than adaptive gain by more than 10 %"),
        (_no_better, "composite: its interval reaches 1.000, allowed is below 1"),
    ],
)  # fmt: skip
def test_an_evaluation_that_did_not_pass_or_was_tampered_with_deploys_nothing(
    place: SimpleNamespace, change: Change_, said: str
) -> None:
    altered(place, change)
    done = run(place)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.output
    assert everything(place.study) == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("thread_ms", "p999", to=2.5), "timing.json: thread_ms.p999: found 2.5, allowed are up to 2 ms"),
        (_set("thread_ms", to=None), "timing.json: thread_ms.p999: found None, allowed are up to 2 ms"),
        (_set("artefact_sha256", to="e" * 64), "timing.json: is not of this artefact; evaluate this one"),
    ],
)  # fmt: skip
def test_one_that_decides_too_slowly_is_not_deployed(place: SimpleNamespace, change: Change_, said: str) -> None:
    altered(place, change, "timing.json")
    with pytest.raises(DeploymentError) as refused:
        deploy_it(place)
    assert said in str(refused.value)


def test_one_of_which_nobody_knows_how_long_it_takes_is_not_deployed(place: SimpleNamespace) -> None:
    (place.folder / "timing.json").unlink()
    with pytest.raises(DeploymentError, match=r"timing.json: is not there: how long a decision takes is not known"):
        deploy_it(place)


def test_another_model_or_budget_than_the_one_that_was_trained_is_not_deployed(
    place: SimpleNamespace, tmp_path: Path
) -> None:
    # The training is as it was; the artefact is another one that names it, and the evaluation is edited to fit.
    training = json.loads((place.folder / "training.json").read_bytes())
    forged = write_artefact(
        tmp_path / "forged", name="wrist-1", model=DistilledModel.always(0.3),
        settings=dataclasses.replace(SETTINGS, budget_uc=100_000.0),
        channels={"ext": ChannelUse(muscle="ext", phase_us=250.0, rate_hz=35.0)}, envelope={"waveform_class": "nmes"},
        dataset_sha256="d" * 64, about={"training_sha256": digest_of_training(training)},
    )  # fmt: skip
    altered(place, _set("artefact_sha256", to=forged.sha256))
    altered(place, _set("artefact_sha256", to=forged.sha256), "timing.json")
    with pytest.raises(DeploymentError) as refused:
        deploy(forged.folder, place.study, place.evaluation, WHO)
    assert "learned.model: is not the model of the artefact" in str(refused.value)
    assert "budget_uc 9.0 with decisions every 0.1 s, the artefact has 100000.0" in str(refused.value)


def test_people_who_were_left_out_of_the_evaluation_are_counted(place: SimpleNamespace) -> None:
    def fewer(plain: dict[str, Any]) -> None:
        plain["people"] = plain["people"][:5]
        figures = {
            name: {key: values[:5] for key, values in plain["controllers"][name]["figures_by_person"].items()}
            for name in ("fitted_q", "adaptive_gain")
        }
        for name in figures:
            plain["controllers"][name] = _row(figures[name], figures["adaptive_gain"])

    altered(place, fewer)
    with pytest.raises(DeploymentError, match="19 of the 24 held out were not evaluated; allowed is everybody"):
        deploy_it(place)


def test_a_changed_or_foreign_training_is_told(place: SimpleNamespace, tmp_path: Path) -> None:
    altered(place, _set("people", "fitted", to=["acute_sci-7"]), "training.json")
    with pytest.raises(
        DeploymentError, match=r"training.json: is not the training of artefact wrist-1, or was changed"
    ):
        deploy_it(place)
    (place.folder / "training.json").unlink()
    with pytest.raises(ValueError, match=r"training.json: cannot be read: no such file"):
        deploy_it(place)


def test_another_artefact_s_evaluation_is_none(place: SimpleNamespace, tmp_path: Path) -> None:
    trained(tmp_path / "other", "wrist-2", 0.3)
    with pytest.raises(DeploymentError, match="evaluate this one"):
        deploy(tmp_path / "other" / "artefact", place.study, place.evaluation, WHO)


def test_an_artefact_of_another_dataset_or_envelope_is_another_artefact(place: SimpleNamespace, tmp_path: Path) -> None:
    """Its hash covers both, so that no evaluation outlives either."""
    for number, more in enumerate(({"dataset_sha256": "e" * 64}, {"envelope": {"waveform_class": "tens"}})):
        other = trained(tmp_path / f"other-{number}", **more)
        assert other.sha256 != place.artefact.sha256
        with pytest.raises(DeploymentError, match="evaluate this one"):
            deploy(tmp_path / f"other-{number}" / "artefact", place.study, place.evaluation, WHO)


def test_a_tampered_artefact_is_not_deployed(place: SimpleNamespace) -> None:
    card = place.folder / "artefact" / "card.json"
    card.write_text(card.read_text().replace('"budget_uc": 9.0', '"budget_uc": 90000.0'))
    with pytest.raises(ArtefactError, match="the card has been changed"):
        deploy_it(place)
    assert everything(place.study) == {}


def test_what_was_changed_in_the_study_after_deployment_is_not_used(place: SimpleNamespace, tmp_path: Path) -> None:
    deploy_it(place)
    identity = deployed(place.study).identity
    kept = kept_in(place.study, identity)
    (evaluation,) = kept.glob("evaluation-*.json")
    evaluation.write_bytes(evaluation.read_bytes() + b" ")
    with pytest.raises(DeploymentError, match=r"is not the evaluation that wrist-1 sha256 .* was deployed on"):
        deployed_artefact(place.study, identity, "SIM")
    shutil.rmtree(kept / "artefact")
    trained(tmp_path / "other", "wrist-2", 0.3)
    shutil.copytree(tmp_path / "other" / "artefact", kept / "artefact")
    with pytest.raises(ArtefactError, match=r"is wrist-2 sha256 .*, deployed was wrist-1"):
        deployed_artefact(place.study, identity, "SIM")


def test_a_rollback_to_what_was_damaged_meanwhile_names_the_way_out(place: SimpleNamespace, tmp_path: Path) -> None:
    trained(tmp_path / "second", "wrist-2", 0.05)
    deploy_it(place)
    first = deployed(place.study).identity
    deploy_it(place, tmp_path / "second")
    (kept_in(place.study, first) / "artefact" / "model.npz").write_bytes(b"")
    with pytest.raises(DeploymentError, match="back to adaptive gain: myoloop rollback --classic"):
        rollback(place.study, WHO)
    assert rollback(place.study, WHO, classic=True).new == NONE


def test_a_study_that_is_not_there_is_not_made(place: SimpleNamespace, tmp_path: Path) -> None:
    place.study = tmp_path / "none"
    with pytest.raises(DeploymentError, match="no such folder; a study folder is needed"):
        deploy_it(place)
    with pytest.raises(DeploymentError, match="no such folder"):
        rollback(place.study, WHO)
    assert not place.study.exists()


# -- from the command line -----------------------------------------------------------------------------------------


def run(place: SimpleNamespace, *more: str) -> Any:
    return CliRunner().invoke(
        app,
        [
            "deploy", str(place.folder / "artefact"), "--study", str(place.study), "--evaluation",
            str(place.evaluation), "--approver", "C. Roth", "--role", "physician", "--why", "better", *more,
        ],
    )  # fmt: skip


def test_the_verbs_answer_in_words_and_in_json(place: SimpleNamespace) -> None:
    done = run(place, "--dry-run")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"would deploy {place.artefact.identity}, before it none\nevaluated on 24 people")
    done = run(place, "--json")
    told = json.loads(done.stdout)
    assert told["deployed"] == place.artefact.identity
    assert told["people"] == 24
    (entry,) = read_audit(place.study).acts
    assert told["audit_sha256"] == entry["sha256"]
    arguments = ["rollback", "--study", str(place.study), "--who", "A. Berg", "--why", "uneven force"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"rolled back {place.artefact.identity}; at work is adaptive gain\n"
    again = CliRunner().invoke(app, [*arguments, "--json"])
    assert again.exit_code == 2
    assert again.stderr.count("\n") == 1
    assert "nothing to roll back" in again.stderr


# -- what a session gets -------------------------------------------------------------------------------------------

PROTOCOL = """
protocol: {id: short, version: 1.0.0, schema: 1, title: One train, rigs: [SIM], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [ext]}
  stim: {class: mA, min_step: 1 mA}
  force: {}
sites:
  ext: {muscle: wrist extensors, side: left, pad: 5x5 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 20 mA, step: 2 mA, slew: 20 mA/s}
stimulation:
  ext: {site: ext, phase: 250 us, rate: 35 Hz}
thresholds: {motor: 6 mA, tolerance: 20 mA}
phases:
  - block: {name: train, trials: 1, machine: cyclic, ramp_up: 0.3 s, hold: 0.5 s, ramp_down: 0.1 s, rest: 1 s,
            intensity: {ref: motor, x: 1.0}}
controller:
  policy: fitted_q
  settings: {artefact: deployed, quantity: force, setpoint: 5, full_response: 80, recruitment_median: 18 mA,
             budget: 4 uC, lost: 0.4 s}
stop_rules: [{session_max: 1 min}]
outcomes: {primary: trials_done}
"""


@pytest.fixture
def protocol(tmp_path: Path) -> Any:
    file = tmp_path / "short.yaml"
    file.write_text(PROTOCOL, encoding="utf-8")
    return load_protocol(file)


def test_deployed_is_what_the_study_has_at_work(place: SimpleNamespace, protocol: Any) -> None:
    with pytest.raises(LearnedError, match=r"short.yaml:18: .*nothing was deployed in .*myoloop deploy"):
        with_learned(protocol, place.study, "SIM")
    deploy_it(place)
    for rig_class in ("SIM", "HUMAN"):
        given = with_learned(protocol, place.study, rig_class).controller
        folder, _, sha256 = given.settings["artefact"].partition(" sha256 ")
        assert sha256 == place.artefact.sha256
        assert Path(folder).is_relative_to(place.study.resolve())
        assert given.settings["setpoint"] == 5


def test_after_a_rollback_to_none_adaptive_gain_acts_with_the_person_s_settings(
    place: SimpleNamespace, protocol: Any
) -> None:
    deploy_it(place)
    rollback(place.study, WHO)
    given = with_learned(protocol, place.study, "HUMAN").controller
    assert given.policy == "adaptive_gain"
    assert given.settings == {
        "quantity": "force", "setpoint": 5, "full_response": 80, "recruitment_median": "18 mA", "lost": "0.4 s",
    }  # fmt: skip


def test_a_human_rig_takes_nothing_but_what_was_deployed(place: SimpleNamespace, protocol: Any, tmp_path: Path) -> None:
    deploy_it(place)
    file = tmp_path / "folder.yaml"
    file.write_text(PROTOCOL.replace("artefact: deployed", f"artefact: {place.folder / 'artefact'}"))
    named = load_protocol(file)
    assert with_learned(named, place.study, "SIM") is named
    assert with_learned(named, place.study, "BENCH") is named
    with pytest.raises(LearnedError, match=r"folder.yaml:18: .*; allowed on a HUMAN rig is deployed"):
        with_learned(named, place.study, "HUMAN")


def test_what_was_evaluated_on_few_works_on_no_person(place: SimpleNamespace, protocol: Any, tmp_path: Path) -> None:
    trained(tmp_path / "few", people=6)
    deploy_it(place, tmp_path / "few")
    assert with_learned(protocol, place.study, "SIM").controller.policy == "fitted_q"
    with pytest.raises(DeploymentError, match="evaluated on 6 people; allowed on a HUMAN rig is at least 20"):
        with_learned(protocol, place.study, "HUMAN")


def test_any_other_policy_is_left_as_it_is(place: SimpleNamespace, tmp_path: Path) -> None:
    file = tmp_path / "open.yaml"
    file.write_text(PROTOCOL[: PROTOCOL.index("  policy: fitted_q")] + "  policy: open_loop\nstop_rules: []\n"
                    "outcomes: {primary: trials_done}\n")  # fmt: skip
    plain = load_protocol(file)
    assert with_learned(plain, place.study, "HUMAN") is plain


def test_a_session_gets_it_the_next_after_a_rollback_does_not_and_both_records_say_so(
    place: SimpleNamespace, tmp_path: Path
) -> None:
    file = tmp_path / "played.yaml"
    file.write_text(PROTOCOL.replace("motor: 6 mA", "motor: 18 mA").replace("lost: 0.4 s", "lost: 0.3 s"))
    artefact = trained(tmp_path / "fits", envelope=envelope_of(load_protocol(file).envelope))
    arguments = ["run", str(file), "--subject", "V001", "--speed", "max", "--out", str(place.study)]
    deploy_it(place, tmp_path / "fits")
    first = CliRunner().invoke(app, arguments)
    rollback(place.study, WHO)
    second = CliRunner().invoke(app, arguments)
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    told = [Recording.open(attempt).metadata for attempt in sorted(place.study.glob("sub-V001/ses-*/att-1"))]
    assert [each["policy"] for each in told] == ["fitted_q", "adaptive_gain"]
    assert [each.get("artefact") for each in told] == [artefact.identity, None]

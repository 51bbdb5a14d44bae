"""What stands against putting a trained controller to work, by its evaluation and its training.

``evaluation.json`` says whether it passed; that is not taken for granted: the composite, its interval and who is worse
off are computed again from the figures of each person. What cannot be seen here is whether those figures are true: the
same training, evaluated again, gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from myoloop.controllers.shadowed import ACTING, LEARNED
from myoloop.experiments.training.artefact import Artefact
from myoloop.experiments.training.composite import GATED_MORE, WEIGHTS, WORSE, composite, interval
from myoloop.experiments.training.jobs import code_sha256
from myoloop.experiments.training.trained_files import BUDGET_MS, EVALUATION_FORMAT, TIMING, TRAINING, TRAINING_FORMAT
from myoloop.platform.errors import UserError

#: So many things that go wrong are tried in a whole evaluation, people who do not respond among them.
FAULTS = 7
#: Told and computed figures may differ by the rounding of other versions.
_SAME = 1e-6


class ApprovalError(UserError, ValueError):
    """An evaluation or a training that cannot be read; one line."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evaluation and training of an artefact, as read.

    Attributes
    ----------
    path, training_path
        Of the files.
    content, training_content
        Their bytes.
    evaluation, training
        What they say.
    timing
        How long a step took where it was evaluated, read from beside the evaluation; None where that is not there.
    """

    path: Path
    training_path: Path
    content: bytes
    training_content: bytes
    evaluation: Mapping[str, Any]
    training: Mapping[str, Any]
    timing: Mapping[str, Any] | None

    @property
    def sha256(self) -> str:
        """Of the evaluation's file."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def people(self) -> int:
        """How many it was evaluated on."""
        return len(self.evaluation["people"])

    @property
    def composite(self) -> Mapping[str, float]:
        """Mean and interval, as told."""
        told: Mapping[str, float] = self.evaluation["controllers"][LEARNED]["composite"]
        return told


def read_evidence(evaluation: Path, training: Path | None = None) -> Evidence:
    """Read an evaluation, and the training that it is of.

    Parameters
    ----------
    training
        Its file; None: ``training.json`` beside the evaluation.

    Raises
    ------
    ApprovalError
        If one is not there, is not of this version, or lacks what is needed.
    """
    training = evaluation.parent / TRAINING if training is None else training
    content, told = _read(evaluation, EVALUATION_FORMAT)
    training_content, trained = _read(training, TRAINING_FORMAT)
    for path, plain, keys in ((evaluation, told, _OF_EVALUATION), (training, trained, _OF_TRAINING)):
        for key, kind in keys.items():
            if not isinstance(plain.get(key), kind):
                raise ApprovalError(f"{path}: {key}: missing, or not what it must be")
    if not all(isinstance(name, str) for name in told["people"]):
        raise ApprovalError(f"{evaluation}: people: allowed are names")
    for name in (LEARNED, ACTING):
        if not _complete(told["controllers"].get(name), len(told["people"])):
            raise ApprovalError(f"{evaluation}: controllers.{name}: figures of each of the people are missing")
    beside = evaluation.parent / TIMING
    timing = _read_json(beside)[1] if beside.exists() else None
    return Evidence(evaluation, training, content, training_content, told, trained, timing)


def against(evidence: Evidence, artefact: Artefact) -> list[str]:
    """What stands against deploying an artefact, one line each; empty where nothing does."""
    return [f"{where}: {why}" for where, why in _against(evidence, artefact)]


def _against(evidence: Evidence, artefact: Artefact) -> Iterator[tuple[Path, str]]:
    told, trained, path = evidence.evaluation, evidence.training, evidence.path
    if told["artefact_sha256"] != artefact.sha256:
        # Its hash covers model, dataset, envelope and channels: an evaluation of what was there before is none of it.
        yield (
            path,
            (
                f"is of artefact {told['artefact_sha256'][:12]}..., this one is {artefact.sha256[:12]}...; "
                "evaluate this one"
            ),
        )
        return
    if told["code_sha256"] != code_sha256():
        yield path, "was made by other code than this; evaluate again"
    if digest_of_training(trained) != artefact.card.about.get("training_sha256"):
        yield evidence.training_path, f"is not the training of artefact {artefact.card.id}, or was changed"
        return
    yield from ((evidence.training_path, why) for why in _another(trained, artefact))
    if told["task"] != trained["task"]:
        yield path, "task: is not that of the training"
    yield from ((path, why) for why in _people(told["people"], trained["people"]))
    yield from ((path, why) for why in _figures(told, int(trained["seed"])))
    yield from ((path.parent / TIMING, why) for why in _too_slow(evidence.timing, artefact))
    if told["passed"] is not True:
        yield path, f"did not pass: {'; '.join(map(str, told['why'])) or 'no reason given'}"


def _people(evaluated: list[str], people: Mapping[str, Any]) -> Iterator[str]:
    trained = {*people.get("fitted", ()), *people.get("validated", ())}
    held_out = set(people.get("held_out", ()))
    if len(set(evaluated)) != len(evaluated):
        yield "names somebody twice"
    both = sorted({*evaluated} & trained)
    if both:
        yield f"{', '.join(both[:3])}: evaluated on who was trained on"
    odd = sorted({*evaluated} - held_out - trained)
    if odd:
        yield f"{', '.join(odd[:3])}: not of those who were held out of this training"
    left = len(held_out - {*evaluated})
    if left:
        yield f"{left} of the {len(held_out)} held out were not evaluated; allowed is everybody"


def _figures(told: Mapping[str, Any], seed: int) -> Iterator[str]:
    ours, theirs = (told["controllers"][name] for name in (LEARNED, ACTING))
    try:
        figures = [{name: np.array(row["figures_by_person"][name]) for name in WEIGHTS} for row in (ours, theirs)]
        each = composite(*figures)
    except (ValueError, TypeError) as error:
        yield f"figures: {error}"
        return
    found = interval(each, seed)
    said = ours["composite"]
    if not (_near(found.mean, said.get("mean")) and _near(found.high, said.get("high"))):
        yield (
            f"composite: found {said.get('mean')} up to {said.get('high')}, the people's own figures give "
            f"{found.mean:.6f} up to {found.high:.6f}"
        )
    if not found.high < 1.0:
        yield f"composite: its interval reaches {found.high:.3f}, allowed is below 1 (adaptive gain)"
    worse = [name for name, value in zip(told["people"], each.tolist(), strict=True) if value > WORSE]
    if worse:
        yield f"{', '.join(worse[:5])}: worse than adaptive gain by more than 10 %"
    tried = [row for row in told["robustness"] if isinstance(row, dict) and row.get("controller") == LEARNED]
    if len({row.get("fault") for row in tried}) < FAULTS:
        yield f"robustness: found {len(tried)} faults tried with {LEARNED}, allowed are {FAULTS}"
    for row in (ours, *tried):
        if row.get("violations") != {}:
            yield f"violations: found {row.get('violations')!r}, allowed is none: the envelope was broken"
            break
    gated, usual = (_mean(row.get("figures_by_person", {}).get("gated")) for row in (ours, theirs))
    if not gated <= usual + GATED_MORE:
        yield f"lives on the gate: held back in {gated:.1%} of its steps, {ACTING} in {usual:.1%}"


def _too_slow(timing: Mapping[str, Any] | None, artefact: Artefact) -> Iterator[str]:
    if timing is None:
        yield "is not there: how long a decision takes is not known; evaluate again"
        return
    if timing.get("artefact_sha256") != artefact.sha256:
        yield "is not of this artefact; evaluate this one"
    # Of the step's own time: how long others held the processor says nothing of the controller.
    took = timing.get("thread_ms")
    p999_ms = took.get("p999") if isinstance(took, dict) else None
    if not isinstance(p999_ms, int | float) or isinstance(p999_ms, bool) or not 0.0 < p999_ms <= BUDGET_MS:
        yield f"thread_ms.p999: found {p999_ms}, allowed are up to {BUDGET_MS:g} ms: 99.9 % of the steps in time"


def _another(trained: Mapping[str, Any], artefact: Artefact) -> Iterator[str]:
    """Whether the artefact is what the training chose."""
    from myoloop.experiments.training.contenders import read_model

    learned, settings = trained["learned"], artefact.card.settings
    try:
        same = artefact.model == read_model(learned["model"])
    except (KeyError, TypeError, ValueError):
        same = False
    if not same:
        yield "learned.model: is not the model of the artefact"
    decides = trained["task"].get("decide_every_s")
    if (settings.get("budget_uc"), settings.get("decide_every_s")) != (trained.get("budget_uc"), decides):
        yield (
            f"budget_uc {trained.get('budget_uc')} with decisions every {decides} s, the artefact has "
            f"{settings.get('budget_uc')} and {settings.get('decide_every_s')} s"
        )


def _mean(values: Any) -> float:
    """Of finite numbers; without any, nothing that is below a limit."""
    numbers = isinstance(values, list) and values and all(type(value) in (int, float) for value in values)
    return float(np.mean(values)) if numbers else math.nan


def digest_of_training(training: Mapping[str, Any]) -> str:
    """Hash of a training as its artefact's card has it: of all but the artefact's own hash."""
    plain = {key: value for key, value in training.items() if key != "artefact_sha256"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, allow_nan=False).encode()).hexdigest()


_OF_EVALUATION = {
    "artefact_sha256": str, "code_sha256": str, "people": list, "controllers": dict, "passed": bool, "why": list,
    "robustness": list, "task": dict,
}  # fmt: skip
_OF_TRAINING = {"people": dict, "seed": int, "task": dict, "learned": dict}


def _complete(row: Any, people: int) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("composite"), dict) or not people:
        return False
    figures = row.get("figures_by_person")
    if not isinstance(figures, dict):
        return False
    return all(isinstance(figures.get(name), list) and len(figures[name]) == people for name in WEIGHTS)


def _near(computed: float, told: Any) -> bool:
    return isinstance(told, int | float) and math.isclose(computed, told, rel_tol=_SAME, abs_tol=_SAME)


def _read(path: Path, wanted: str) -> tuple[bytes, Mapping[str, Any]]:
    content, told = _read_json(path)
    found = told.get("format")
    if found != wanted:
        raise ApprovalError(f"{path}: format: found {found!r}, allowed is {wanted}")
    return content, told


def _read_json(path: Path) -> tuple[bytes, Mapping[str, Any]]:
    try:
        content = path.read_bytes()
        told = json.loads(content, parse_constant=_no_number)
    except OSError as error:
        raise ApprovalError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, RecursionError) as error:
        raise ApprovalError(f"{path}: is no JSON: {error}") from None
    if not isinstance(told, dict):
        raise ApprovalError(f"{path}: is no object")
    return content, told


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no finite number")

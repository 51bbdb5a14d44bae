"""``myoloop train-estimators``: learned estimators of spasm and fatigue, held against the rules on people unseen.

People are numbered; the last of them are held out and take no part in anything but the last comparison. There the
learned estimators run as the loop would run them, on the same samples as the rules. What "at least equal" means is laid
down in :data:`MARGINS` before: the whole 95 % interval of the paired difference may be worse by no more than that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import myoloop
from myoloop.controllers.estimators.boosted import Boosted, read_model
from myoloop.controllers.estimators.burst_evidence import EVIDENCE
from myoloop.experiments.training.estimators import fatigue, spasm
from myoloop.experiments.training.estimators.scores import Compared, compare, reliability, rms, score_bursts
from myoloop.experiments.training.estimators.sessions import GROUPS
from myoloop.experiments.training.estimators.stored import pack
from myoloop.experiments.training.estimators.table import Person, hear_again, listen, person_of
from myoloop.experiments.training.jobs import Jobs
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import replace_file

#: By how much the interval of a difference may be worse, and still count as at least equal.
MARGINS = {"f1": 0.02, "false_per_min": 0.2, "latency_ms": 20.0, "rms_error": 0.01}
#: The 95 % interval of fatigue must hold the truth for this share of the time.
COVERAGE_MIN = 0.90
#: Groups come in turn, and every second able-bodied person has no spasms: so many make a round.
ROUND = 2 * len(GROUPS)
FILES = ("spasm.skops", "spasm.json", "fatigue.skops", "fatigue_error.skops", "fatigue.json", "estimators.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """On whom, and for how long.

    Attributes
    ----------
    people, held_out
        To learn from, and to compare on.
    seconds
        Of each session.
    first
        Number of the first person.
    """

    people: int = 18
    held_out: int = 12
    seconds: float = 120.0
    first: int = 6000

    def __post_init__(self) -> None:
        if self.people < ROUND or self.people % ROUND or self.held_out < ROUND or self.held_out % ROUND:
            raise UserError(
                f"--people {self.people} and --held-out {self.held_out}: allowed are multiples of {ROUND}, so that "
                "groups are equal"
            )
        if not 80.0 <= self.seconds <= 3600.0:
            raise UserError(f"--seconds {self.seconds:g}: allowed is 80 to 3600")
        if self.first < 0 or self.first % ROUND:
            raise UserError(f"--first {self.first}: allowed is a multiple of {ROUND} from 0")


QUICK = Size(people=6, held_out=6, seconds=80.0)


def learn(size: Size, seed: int, out: Path, jobs: Jobs) -> dict[str, Any]:
    """Train, compare, and write :data:`FILES` into a folder; gives what stands in ``estimators.json``.

    The same size and seed give the same files.

    Raises
    ------
    UserError
        If there is already something in the folder.
    """
    if out.exists() and any((out / name).exists() for name in FILES):
        raise UserError(f"{out}: holds learned estimators already; name another folder with --out")
    numbers = range(size.first, size.first + size.people + size.held_out)
    items = [{"number": number, "seconds": size.seconds} for number in numbers]
    everybody = [person_of(result) for result in jobs.run("people", listen, items)]
    known, held = everybody[: size.people], everybody[size.people :]
    jobs.say(f"spasm: learning from {len(known)} people")
    of_spasm = spasm.fit(known, seed)
    jobs.say(f"fatigue: learning from {len(known)} people")
    of_fatigue = fatigue.fit(known, seed)
    settings = {"learned_burst": of_spasm.settings, "learned_fatigue": of_fatigue.settings}
    again = jobs.run("held out people", hear_again, [{**item, **settings} for item in items[size.people :]])
    found = {
        "version": myoloop.__version__,
        "seed": seed,
        "size": {"people": len(known), "held_out": len(held), "seconds": size.seconds, "first": size.first},
        "held_out": [{"number": one.number, "group": one.group, "spasms": len(one.events)} for one in held],
        "margins": {**MARGINS, "coverage": COVERAGE_MIN},
        "spasm": _spasm(held, again, of_spasm),
        "fatigue": _fatigue(held, again, of_fatigue),
    }
    out.mkdir(parents=True, exist_ok=True)
    contents = {
        "spasm.skops": pack(of_spasm.model),
        "spasm.json": _json(of_spasm.settings),
        "fatigue.skops": pack(of_fatigue.model),
        "fatigue_error.skops": pack(of_fatigue.error_model),
        "fatigue.json": _json(of_fatigue.settings),
        "estimators.json": _json(found),
    }
    for name in FILES:
        replace_file(out / name, contents[name])
    return found


def words(found: dict[str, Any]) -> str:
    """What was found, for a person at the terminal."""
    size = found["size"]
    lines = [
        f"trained on {size['people']} virtual people, compared on {size['held_out']} others ({size['seconds']:g} s)"
    ]
    for what in ("spasm", "fatigue"):
        for row in found[what]["compared"]:
            verdict = "at least equal" if row["at_least_equal"] else "not shown to be equal"
            away = f"{row['difference']:+.3g} [{row['low']:+.3g}, {row['high']:+.3g}]"
            lines.append(
                f"  {what}: {row['what']}: learned {row['learned']:.3g}, rules {row['rules']:.3g} {row['unit']}; "
                f"difference {away}, n {row['people']}: {verdict}"
            )
        equal = "at least equal" if found[what]["at_least_equal"] else "not shown to be equal"
        lines.append(f"{what}: the learned estimator is {equal} to the rules")
    return "\n".join(lines)


def _spasm(held: Sequence[Person], again: Sequence[dict[str, Any]], fitted: spasm.Fitted) -> dict[str, Any]:
    numbers = [one.number for one in held]
    rules = spasm.scores_of_rules(held)
    learned = [
        score_bursts(one.events, told["onsets_s"].tolist(), told["told_s"], one.seconds)
        for one, told in zip(held, again, strict=True)
    ]

    def of(name: str) -> tuple[list[float], list[float]]:
        return [getattr(score, name) for score in rules], [getattr(score, name) for score in learned]

    rows = [
        compare("F1 of onsets, one to one", "", "more", MARGINS["f1"], numbers, *of("f1")),
        compare("false onsets", "per min", "less", MARGINS["false_per_min"], numbers, *of("false_per_min")),
        compare("median latency", "ms", "less", MARGINS["latency_ms"], numbers, *of("latency_ms")),
    ]
    model = Boosted(read_model(fitted.settings["model"], EVIDENCE))
    chance = np.concatenate([model.probability(one.evidence[one.may]) for one in held])
    true = np.concatenate([one.in_spasm[one.may] for one in held])
    rules_on = np.concatenate([one.rules_on[one.may] for one in held])
    return {
        "compared": [row.as_dict() for row in rows],
        "at_least_equal": all(row.at_least_equal for row in rows),
        "late_ms": {"rules": spasm.mean_of(rules, "late_ms"), "learned": spasm.mean_of(learned, "late_ms")},
        "events": sum(score.events for score in rules),
        "matched": {"rules": sum(one.matched for one in rules), "learned": sum(one.matched for one in learned)},
        "reliability": reliability(chance, true),
        "brier_of_rules": float(np.mean(rules_on != true)),
        "by_person": [
            {"number": number, "rules": _plain(a), "learned": _plain(b)}
            for number, a, b in zip(numbers, rules, learned, strict=True)
        ],
        "settings": {name: value for name, value in fitted.settings.items() if name != "model"},
        "chosen": fitted.chosen,
    }


def _fatigue(held: Sequence[Person], again: Sequence[dict[str, Any]], fitted: fatigue.Fitted) -> dict[str, Any]:
    numbers = [one.number for one in held]
    errors: dict[str, list[float]] = {"rules": [], "learned": []}
    covered: dict[str, list[float]] = {"rules": [], "learned": []}
    widths: dict[str, list[float]] = {"rules": [], "learned": []}
    for one, heard in zip(held, again, strict=True):
        both = np.isfinite(one.fused[:, 0]) & np.isfinite(heard["fatigue"][:, 0])
        for who, told in (("rules", one.fused), ("learned", heard["fatigue"])):
            value, low, high = np.where(both[:, None], told, np.nan).T
            errors[who].append(rms(value - one.lost))
            inside = (low <= one.lost) & (one.lost <= high)
            covered[who].append(float(inside[both].mean()) if both.any() else np.nan)
            widths[who].append(float(np.nanmedian(high - low)) if both.any() else np.nan)
    row: Compared = compare(
        "RMS error of the share of force lost", "", "less", MARGINS["rms_error"], numbers, errors["rules"],
        errors["learned"],
    )  # fmt: skip
    coverage = {who: float(np.nanmean(values)) for who, values in covered.items()}
    return {
        "compared": [row.as_dict()],
        "at_least_equal": row.at_least_equal and coverage["learned"] >= COVERAGE_MIN,
        "coverage": coverage,
        "width": {who: float(np.nanmean(values)) for who, values in widths.items()},
        "by_person": [
            {
                "number": number,
                "rules": {"rms_error": _number(a), "coverage": _number(c)},
                "learned": {"rms_error": _number(b), "coverage": _number(d)},
            }
            for number, a, b, c, d in zip(numbers, *errors.values(), *covered.values(), strict=True)
        ],
        "widen": fitted.settings["widen"],
        "chosen": fitted.chosen,
    }


def _plain(score: Any) -> dict[str, float | None]:
    return {name: _number(getattr(score, name)) for name in score.__dataclass_fields__}


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()

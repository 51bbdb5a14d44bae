"""``myoloop bench estimators|policies|subject|training``: how good estimates, control and the virtual subject are.

A suite is made of parts. Each part is a module beside this one that measures something against a known truth, with the
simplest known method beside it in the same run, and draws what a person would look at. Parts that measure times run
alone, one after another; the others share the cores.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

from myoloop.experiments.benchmarks.findings import FIRST_SEED, LEFT_OUT, SEEDS, SUBJECTS, Finding, all_reached
from myoloop.experiments.benchmarks.machine import machine
from myoloop.platform.errors import UserError

SUITES: dict[str, tuple[str, ...]] = {
    "estimators": ("artifact", "fatigue", "evoked", "spasm", "motion", "features", "step"),
    "policies": ("policies",),
    "subject": ("subject",),
    "training": ("training",),
}
#: What measures times wants the machine for itself.
TIMED = frozenset({"features", "step", "subject", "training"})

Say = Callable[[str], None]


class Part(Protocol):
    """A module ``parts_<name>``."""

    NAME: str

    def measure(self, subjects: int, seeds: int, first_seed: int, say: Say) -> tuple[list[Finding], dict[str, Any]]:
        """Findings in the order a reader wants them, and the curves of its figure."""
        ...

    def draw(self, curves: dict[str, Any], figure: Any) -> None:
        """What a person would look at, on a matplotlib figure."""
        ...


class SuiteError(UserError, ValueError):
    """A benchmark that cannot be run as asked; one line for the person at the terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """On whom it is measured.

    Attributes
    ----------
    subjects, seeds
        Drawn people, and repetitions for each.
    first_seed
        People and repetitions are numbered from here.
    """

    subjects: int = SUBJECTS
    seeds: int = SEEDS
    first_seed: int = FIRST_SEED

    def __post_init__(self) -> None:
        if self.subjects < 2 or self.seeds < 1 or self.first_seed < 0:
            raise SuiteError(
                f"{self.subjects} subjects, {self.seeds} seeds from {self.first_seed}: at least 2, 1 and 0 are needed"
            )


@dataclass(frozen=True, slots=True)
class PartResult:
    """What one part found, in how many seconds, and what it could not measure."""

    name: str
    findings: list[Finding]
    curves: dict[str, Any]
    seconds: float
    left_out: list[str]


def bench_suite(
    name: str, size: Size, *, parts: Sequence[str] = (), out: Path | None = None, as_json: bool = False
) -> int:
    """Measure and print; returns 0 where every target was reached, else 1.

    Parameters
    ----------
    parts
        Only these of the suite; all where none is named.
    out
        A folder for the findings as JSON and the figures as SVG; None: neither is written.

    Raises
    ------
    SuiteError
        If a part is not one of the suite.
    """
    chosen = parts or SUITES[name]
    for part in chosen:
        if part not in SUITES[name]:
            raise SuiteError(f"found part {part!r}, allowed for {name}: {', '.join(SUITES[name])}")
    say = _silent if as_json or not sys.stderr.isatty() else _progress
    results = sorted(_run(chosen, size, say), key=lambda result: chosen.index(result.name))
    findings = [finding for result in results for finding in result.findings]
    left_out = [line for result in results for line in result.left_out]
    reached = all_reached(findings)
    whole = {
        "suite": name,
        "subjects": size.subjects,
        "seeds": size.seeds,
        "first_seed": size.first_seed,
        "seconds": {result.name: round(result.seconds, 1) for result in results},
        "machine": machine(),
        "findings": [finding.as_dict() for finding in findings],
        "left_out": left_out,
        "reached": reached,
    }
    if out is not None:
        write(whole, results, out)
    sys.stdout.write((json.dumps(whole) if as_json else table(findings, size, left_out)) + "\n")
    return 0 if reached else 1


def run_part(name: str, size: Size, say: Say) -> PartResult:
    """Measure one part in this process."""
    began = time.perf_counter()
    left_out: list[str] = []

    def hear(line: str) -> None:
        if line.startswith(LEFT_OUT):
            left_out.append(line.removeprefix(LEFT_OUT))
        say(line)

    findings, curves = load(name).measure(size.subjects, size.seeds, size.first_seed, hear)
    return PartResult(name, findings, curves, time.perf_counter() - began, left_out)


def load(name: str) -> Part:
    """The module of a part."""
    part: Part = import_module(f"myoloop.experiments.benchmarks.parts_{name}")
    return part


def table(findings: Sequence[Finding], size: Size, left_out: Sequence[str] = ()) -> str:
    """The findings for a person."""
    lines = [f"{size.subjects} subjects, {size.seeds} seeds each, from seed {size.first_seed}; mean [95 % interval]"]
    part = ""
    for finding in findings:
        if finding.part != part:
            part = finding.part
            lines.append(f"\n{part}")
        value = f"{finding.value:.4g}"
        if finding.low is not None and finding.high is not None:
            value += f" [{finding.low:.3g}, {finding.high:.3g}]"
        lines.append(f"  {finding.what:66} {value} {finding.unit}".rstrip() + f"   {verdict(finding)}{beside(finding)}")
    missed = [finding for finding in findings if finding.reached is False]
    aimed = sum(finding.target is not None for finding in findings)
    lines.append(f"\n{aimed - len(missed)} of {aimed} targets reached")
    lines += [f"{LEFT_OUT}{line}" for line in left_out]
    return "\n".join(lines)


def verdict(finding: Finding) -> str:
    """What was asked, and whether it is so; empty where nothing was asked."""
    if finding.target is None:
        return ""
    word = "reached" if finding.reached else "NOT reached"
    return f"({finding.sense} {finding.target:g}: {word})"


def beside(finding: Finding) -> str:
    """The simplest known method in the same run; empty where there is none."""
    if not finding.baseline or finding.baseline_value is None:
        return ""
    return f"   {finding.baseline}: {finding.baseline_value:.4g}"


def write(whole: dict[str, Any], results: Sequence[PartResult], out: Path) -> None:
    """Findings as ``<suite>.json``, and a figure for each part as ``<part>.svg``."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    out.mkdir(parents=True, exist_ok=True)
    told = {key: value for key, value in whole.items() if key != "machine"}
    path = out / f"{whole['suite']}.json"
    if path.exists():
        told = _beside(told, json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    for result in results:
        if not result.curves:
            continue
        # The same curves give the same file, byte for byte.
        with mpl.rc_context({"svg.hashsalt": result.name, "svg.fonttype": "none", "font.size": 9}):
            figure = Figure(figsize=(7.2, 4.2), layout="constrained")
            load(result.name).draw(result.curves, figure)
            figure.savefig(out / f"{result.name}.svg", metadata={"Date": None})


def _beside(told: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """The parts of an earlier run on the same people stay where this run did not measure them anew."""
    if any(before.get(key) != told[key] for key in ("suite", "subjects", "seeds", "first_seed")):
        return told
    kept = [finding for finding in before["findings"] if finding["part"] not in told["seconds"]]
    order = SUITES[told["suite"]]
    findings = sorted(kept + told["findings"], key=lambda finding: order.index(finding["part"]))
    return {
        **told,
        "seconds": {**before["seconds"], **told["seconds"]},
        "findings": findings,
        "reached": all(finding["reached"] is not False for finding in findings),
    }


def _run(chosen: Sequence[str], size: Size, say: Say) -> Iterator[PartResult]:
    together = [name for name in chosen if name not in TIMED]
    done, began = 0, time.perf_counter()

    def tell(result: PartResult) -> PartResult:
        nonlocal done
        done += 1
        say(f"{done} of {len(chosen)} parts, {time.perf_counter() - began:.0f} s: {result.name} measured")
        return result

    if len(together) > 1 and (os.cpu_count() or 1) > 1:
        # A process of its own for each: nothing that one part imports or leaves behind reaches another.
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
            for future in as_completed([pool.submit(run_part, name, size, _silent) for name in together]):
                yield tell(future.result())
    else:
        for name in together:
            yield tell(run_part(name, size, say))
    for name in chosen:
        if name in TIMED:
            yield tell(run_part(name, size, say))


def _silent(line: str) -> None:
    """Where nobody looks."""


def _progress(line: str) -> None:
    sys.stderr.write(f"\r\x1b[K{line}")
    sys.stderr.flush()

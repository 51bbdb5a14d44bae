"""Would the gate's tests notice? Change the gate in one place at a time and see whether they fail.

``python tests/mutation/gate_mutants.py`` tries every mutant, ``--part 1/2`` every second of them, ``--sample 15 --seed
1`` some, ``--list`` names them. A mutant is one change of one node of a module's syntax tree: a comparison, a boundary,
an arithmetic or logical operator, a constant, a negation, a dropped statement. It is written into a copy of the package
that comes first on the path of a pytest run over the gate's tests. A mutant that no test notices is a survivor: a test
is missing, or the code says something twice. Those that change nothing that can be seen are listed in `EQUIVALENT`,
each with its reason.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GATE = Path("myoloop") / "stimulators" / "gate"
TESTS = ROOT / "tests" / "stimulators" / "gate"
#: Which tests are asked first, for speed; a mutant that they miss is shown to all.
FIRST = {
    "acts.py": ("test_envelope_acts.py", "test_arming.py"),
    "ceilings.py": ("test_envelope_acts.py",),
    "decision.py": ("test_endings.py", "test_leases.py", "test_stop_wins.py", "test_limits_of_current.py"),
    "decoded.py": ("test_decoded_bytes.py",),
    "dose.py": ("test_pulses.py", "test_dose_and_ledger.py", "test_on_time.py"),
    "envelope.py": ("test_envelope_acts.py",),
    "evidence.py": ("test_evidence_of_life.py", "test_endings.py"),
    "limits.py": ("test_limits_of_current.py",),
    "ontime.py": ("test_on_time.py",),
    "rise.py": ("test_rise.py",),
}
#: A mutant that hangs has been noticed: so much longer than without a change, and not less than so many seconds.
LONGER, LEAST_S = 6, 60
#: What the tests may take without a change.
UNCHANGED_S = 900

#: Mutants that change nothing anybody could see, by module, line of source and change; with the reason.
EQUIVALENT: dict[tuple[str, str, str], str] = {
    ("decision.py", "return replace(", "ramp kept"): "latched, nothing is allowed, and where nothing flows a ramp ends",
    (
        "decision.py",
        "if off_ns is None or state.now_ns is None:",
        "without operand 2",
    ): "a step knows what time it is before it limits anything; said for the types",
    ("decision.py", "_NO_LEASE = Lease((), 0)", "0 -> 1"): "a lease for nothing is never asked when it lapses",
    (
        "decision.py",
        "current_ma = min(setting.current_ma * left, flowing.get(setting.channel, 0.0))",
        "0.0 -> 0.1",
    ): "what has come to zero on a ramp is below a step for the rest of it",
    (
        "rise.py",
        'return most_ma + envelope.step_ma * (1.0 + 1e-9), "rise onto new ground"',
        "1e-09 -> 1.1e-09",
    ): "how large a rounding error may be taken to be",
    (
        "rise.py",
        "served = served_ma * (1.0 + 1e-9) >= taken_ma",
        "1e-09 -> 1.1e-09",
    ): "how large a rounding error may be taken to be",
    ("rise.py", "served = served_ma * (1.0 + 1e-9) >= taken_ma", "GtE -> Gt"): "the very edge of a rounding error",
    (
        "limits.py",
        "exact = abs(per_ma * step_ma - 1.0) < 1e-9",
        "1e-09 -> 1.1e-09",
    ): "how large a rounding error may be",
    (
        "limits.py",
        "steps = floor(current_ma / step_ma) + 1",
        "floor -> round",
    ): "the loop after it comes down from either",
    ("limits.py", "steps = floor(current_ma / step_ma) + 1", "1 -> 2"): "the loop after it comes down from either",
    (
        "limits.py",
        "while steps > 0 and (steps / per_ma if exact else steps * step_ma) > current_ma:",
        "without operand 1",
    ): "no current is negative: at no steps the loop ends by itself, and what is below them is zero",
    (
        "limits.py",
        "while steps > 0 and (steps / per_ma if exact else steps * step_ma) > current_ma:",
        "Gt -> GtE",
    ): "of the steps: no current is negative, so that at no steps the loop ends by itself",
    (
        "limits.py",
        "steps = ceil(1e6 / rate_hz / period_step_us * (1.0 - 1e-12))",
        "1e-12 -> 1.1e-12",
    ): "how large a rounding error may be taken to be",
    ("limits.py", "if steps <= 0:", "LtE -> Lt"): "no steps are 0.0 mA by the next line too",
    ("limits.py", "exact = abs(per_ma * step_ma - 1.0) < 1e-9", "Lt -> LtE"): "the very edge of a rounding error",
    ("dose.py", "newest_ns = 0.0", "0.0 -> 0.1"): "no clock tells a tenth of a nanosecond after 1970 from none",
    ("decoded.py", "if not abs(value - right) <= _SAME * right:", "LtE -> Lt"): "the very edge of a rounding error",
    (
        "decoded.py",
        "if not wire.current_ma <= most_ma * (1.0 + _SAME):",
        "LtE -> Lt",
    ): "the very edge of a rounding error",
}

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.Pow: ast.Mult,
}
CALLS = {"min": "max", "max": "min", "floor": "round", "any": "all", "all": "any"}


def changed(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Every change of one node: what it is called, and the new node."""
    match node:
        case ast.Compare(ops=ops):
            for at, op in enumerate(ops):
                for other in COMPARISONS[type(op)]:
                    new = copy.deepcopy(node)
                    new.ops[at] = other()
                    yield f"{type(op).__name__} -> {other.__name__}", new
        case ast.BinOp(op=op) if type(op) in ARITHMETIC:
            new = copy.deepcopy(node)
            new.op = ARITHMETIC[type(op)]()
            yield f"{type(op).__name__} -> {type(new.op).__name__}", new
        case ast.BoolOp(op=op):
            new = copy.deepcopy(node)
            new.op = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield f"{type(op).__name__} -> {type(new.op).__name__}", new
            for at in range(len(node.values)):
                rest = [copy.deepcopy(value) for index, value in enumerate(node.values) if index != at]
                left = rest[0] if len(rest) == 1 else ast.BoolOp(op=copy.deepcopy(op), values=rest)
                yield f"without operand {at + 1}", left
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "without not", copy.deepcopy(operand)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield "without minus", copy.deepcopy(operand)
        case ast.IfExp():
            new = copy.deepcopy(node)
            new.body, new.orelse = new.orelse, new.body
            yield "branches swapped", new
        case ast.If(test=ast.Name() | ast.Attribute() | ast.Call() | ast.BoolOp()):
            new = copy.deepcopy(node)
            new.test = ast.UnaryOp(op=ast.Not(), operand=new.test)
            yield "if not", new
        case ast.Call(func=ast.Name(id="replace"), keywords=keywords):
            for at, keyword in enumerate(keywords):
                new = copy.deepcopy(node)
                del new.keywords[at]
                yield f"{keyword.arg} kept", new
        case ast.Call(func=ast.Name(id=name)) if name in CALLS and len(node.args) >= 1:
            new = copy.deepcopy(node)
            assert isinstance(new.func, ast.Name)
            new.func.id = CALLS[name]
            yield f"{name} -> {CALLS[name]}", new
        case ast.Constant(value=bool() as value):
            yield f"{value} -> {not value}", ast.Constant(value=not value)
        case ast.Constant(value=int() as value):
            yield f"{value} -> {value + 1}", ast.Constant(value=value + 1)
        case ast.Constant(value=float() as value):
            other = float(f"{value * 1.1:.12g}") or 0.1
            yield f"{value} -> {other}", ast.Constant(value=other)
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Continue():
            yield "statement dropped", ast.Pass()


class _Put(ast.NodeTransformer):
    def __init__(self, target: ast.AST, new: ast.AST) -> None:
        self.target, self.new = target, new

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self.target:
            return ast.copy_location(self.new, node)
        return self.generic_visit(node)


@dataclass(frozen=True)
class Mutant:
    """One change of one node: `node` and `change` count what :func:`ast.walk` and :func:`changed` give."""

    module: str
    node: int
    number: int
    line: int
    before: str
    change: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.change:36s} | {self.before}"

    @property
    def reason(self) -> str:
        """Why it changes nothing that can be seen; empty where it should be noticed."""
        return EQUIVALENT.get((self.module, self.before, self.change), "")

    def source(self, text: str) -> str:
        """The module with this one change."""
        tree = ast.parse(text)
        target = list(ast.walk(tree))[self.node]
        new = [node for _, node in changed(target)][self.number]
        return ast.unparse(ast.fix_missing_locations(_Put(target, new).visit(tree)))


def mutants() -> list[Mutant]:
    """All mutants of the gate, in the order of modules and lines."""
    found = []
    for path in sorted((ROOT / GATE).glob("*.py")):
        text = path.read_text(encoding="utf-8")
        tree, lines = ast.parse(text), text.splitlines()
        silent = _silent(tree)
        seen: dict[tuple[int, str], int] = {}
        for at, node in enumerate(ast.walk(tree)):
            if node in silent:
                continue
            for number, (change, _) in enumerate(changed(node)):
                line = node.lineno
                # The same change at another place of the line is another mutant.
                there = seen[line, change] = seen.get((line, change), 0) + 1
                name = change if there == 1 else f"{change} ({there})"
                found.append(Mutant(path.name, at, number, line, lines[line - 1].strip(), name))
    return sorted(found, key=lambda mutant: (mutant.module, mutant.line, mutant.node, mutant.number))


def _silent(tree: ast.Module) -> set[ast.AST]:
    """Nodes that do nothing: type hints, options of dataclasses, numbers inside texts."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.arg(annotation=ast.AST() as part) | ast.AnnAssign(annotation=part):
                found.update(ast.walk(part))
            case ast.FunctionDef(returns=ast.AST() as part):
                found.update(ast.walk(part))
            case ast.JoinedStr() | ast.Call(func=ast.Name(id="dataclass" | "EnvelopeError")):
                found.update(ast.walk(node))
    return found


def survives(mutant: Mutant | None, timeout_s: float = UNCHANGED_S) -> bool:
    """Run the gate's tests against a mutant, or against an unchanged copy; true where they all pass in time.

    The run is a fork of this process, which has imported pytest already and nothing of myoloop.
    """
    with tempfile.TemporaryDirectory(prefix="gate-mutant-") as folder:
        shutil.copytree(ROOT / GATE, Path(folder) / GATE, ignore=shutil.ignore_patterns("__pycache__"))
        for package in (GATE.parent, GATE.parent.parent):
            shutil.copy(ROOT / package / "__init__.py", Path(folder) / package)
        if mutant is not None:
            path = Path(folder) / GATE / mutant.module
            path.write_text(mutant.source(path.read_text(encoding="utf-8")), encoding="utf-8")
        first = FIRST.get(mutant.module, ()) if mutant is not None else ()
        return (not first or _pass(folder, [TESTS / name for name in first], timeout_s)) and _pass(
            folder, [TESTS], timeout_s
        )


def _pass(folder: str, chosen: Sequence[Path], timeout_s: float) -> bool:
    child = os.fork()
    if child == 0:
        os._exit(_tests(folder, chosen, timeout_s))
    return os.waitpid(child, 0)[1] == 0


def _tests(folder: str, chosen: Sequence[Path], timeout_s: float) -> int:
    import pytest

    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.chdir(ROOT)
    # Compiled mutants of one second would be taken for one another.
    sys.dont_write_bytecode = True
    sys.path.insert(0, folder)
    os.environ["MYOLOOP_MUTANT"] = folder
    # Without a limit of its own to each test: that would take the timer away.
    options = ["-x", "-q", "-m", "not prove", "-p", "no:cacheprovider", "-p", "no:xdist", "--timeout=0"]
    # Hypothesis was imported before the fork, on purpose.
    options += ["-W", "ignore:Module already imported"]
    return int(pytest.main([*options, *map(str, chosen)]))


def main() -> int:
    """Try mutants; the exit code is 1 if one survives that should not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, help="try only so many")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--module", help="only of this module, such as rise.py")
    parser.add_argument("--like", default="", help="only those whose line in the list holds this text")
    parser.add_argument("--part", default="1/1", help="only every Nth, from the Kth on: K/N")
    parser.add_argument("--list", action="store_true", help="name them and try none")
    parser.add_argument("--all", action="store_true", help="also those listed as equivalent")
    given = parser.parse_args()
    # What every fork needs, once.
    import hypothesis.strategies  # noqa: F401
    import pytest  # noqa: F401

    every = mutants()
    unknown = set(EQUIVALENT) - {(mutant.module, mutant.before, mutant.change) for mutant in every}
    if unknown:
        print(f"listed as equivalent and not there: {sorted(unknown)}")
        return 1
    tried = [mutant for mutant in every if (given.all or not mutant.reason) and given.module in (None, mutant.module)]
    tried = [mutant for mutant in tried if given.like in str(mutant)]
    if given.sample is not None:
        tried = random.Random(given.seed).sample(tried, min(given.sample, len(tried)))
    part, parts = map(int, given.part.split("/"))
    tried = tried[part - 1 :: parts]
    if given.list:
        print(*tried, sep="\n")
        return 0
    began, survivors = time.monotonic(), []
    if not survives(None):
        print("the tests fail without any change")
        return 1
    timeout_s = max(LEAST_S, LONGER * (time.monotonic() - began))
    for number, mutant in enumerate(tried, start=1):
        if survives(mutant, timeout_s):
            survivors.append(mutant)
            print(f"SURVIVED {mutant}", flush=True)
        if number % 25 == 0:
            print(f"{number} of {len(tried)}, {time.monotonic() - began:.0f} s", flush=True)
    share = 100 * (1 - len(survivors) / max(1, len(tried)))
    print(f"{len(tried)} mutants ({len(every)} there are, {sum(bool(m.reason) for m in every)} equivalent), "
          f"{len(survivors)} survived, {share:.1f} % noticed, {time.monotonic() - began:.0f} s")  # fmt: skip
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())

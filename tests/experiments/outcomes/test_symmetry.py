"""The symmetry of two muscles: a weakness that was planted is found, and where there is none nothing is.

By force strength is found; by EMG how strongly a muscle is driven, which is another thing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from types import SimpleNamespace
from typing import Any

import pytest

from myoloop.experiments.analysis.session import load
from myoloop.experiments.outcomes.compute import compute
from myoloop.experiments.outcomes.pairs import Pair, mvc_pair
from myoloop.experiments.outcomes.symmetry import EMG_ALONE, index_pct, symmetry
from myoloop.experiments.outcomes.view import Value, View
from myoloop.experiments.protocols.lint import lint
from myoloop.experiments.protocols.schema import Protocol, load_protocol
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.setup import make_setup
from myoloop.experiments.sessions.simulated_rig import simulated_rig_data
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.platform.messages import Trial
from myoloop.platform.rig import Rig

PROTOCOL = """
protocol: {id: sides, version: 1.0.0, schema: 1, title: Both sides, rigs: [SIM], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [left, right]}
  stim: {class: mA, min_step: 1 mA}
  force: {}
sites:
  left: {muscle: Wrist  extensors, side: left, pad: 5x5 cm, emg: agonist}
  right: {muscle: wrist extensors, side: right, emg: agonist}
envelope: {waveform_class: nmes, current_max: 20 mA, step: 2 mA, slew: 20 mA/s}
stimulation:
  left: {site: left, phase: 250 us, rate: 35 Hz}
thresholds: {motor: 18 mA, tolerance: 20 mA}
phases:
  - rest: {name: begin, duration: 0.3 s}
  - mvc: {name: left, muscle: left, repeats: 3, hold: 1.5 s, rest: 1 s, skip: rest_noise}
  - mvc: {name: right, muscle: right, repeats: 3, hold: 1.5 s, rest: 1 s, skip: rest_noise}
  - block: {name: train, trials: 1, machine: cyclic, ramp_up: 0.3 s, hold: 0.3 s, ramp_down: 0.1 s, rest: 0.5 s,
            intensity: {ref: motor, x: 1.0}}
controller: {policy: open_loop, reflex: {spasm: {enabled: false}}}
stop_rules: [{session_max: 2 min}]
outcomes: {primary: symmetry}
"""
#: Two muscles that are the same but for what is planted; the joint is held, as on a dynamometer.
PERSON = SubjectParameters(first_spasm_s=600.0, joint_fixed=1.0, muscle_spread=0.0)
#: What may be planted in the right muscle: it is a fifth smaller, or a fifth of it cannot be driven.
SMALLER, UNDRIVEN = {"strength": 0.8}, {"activation_max": 0.8}
#: Of Student's t, 95 % between both sides, of eight sessions.
SESSIONS, T_975 = 8, 2.365

Play = Callable[..., Value]


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Play:
    """A session of a person whose right muscle is as it is planted."""
    done: dict[str, Value] = {}

    def played(seed: int = 1, **right: float) -> Value:
        key = f"{seed}{right}"
        if key not in done:
            done[key] = _session(seed, right, tmp_path_factory.mktemp("sides"))
        return done[key]

    return played


def _session(seed: int, right: dict[str, float], place: Path) -> Value:
    (place / "protocol.yaml").write_text(PROTOCOL, encoding="utf-8")
    protocol = load_protocol(place / "protocol.yaml")
    data = simulated_rig_data(protocol)
    data["nodes"]["body"]["settings"]["muscles"]["right"].update(right)
    folder = place / "sub-V001" / "ses-01" / "att-1"
    folder.mkdir(parents=True)
    setup = make_setup(
        protocol, Rig.model_validate(data), subject="V001", session="s", folder=folder, parameters=PERSON, seed=seed
    )
    assert Lockstep(setup).run().outcome == "complete"
    return compute(load(folder), protocol)["symmetry"]


def by(found: Value, name: str) -> float:
    return (found.parts or {})[name]


def scatter(found: Value, name: str) -> float:
    return by(found, f"{name}, scatter of single contractions")


@pytest.mark.parametrize(("right", "planted_pct"), [({}, 0.0), (SMALLER, 20.0), (UNDRIVEN, 20.0)])
def test_what_is_planted_is_found_by_force_within_its_scatter(play: Play, right: Any, planted_pct: float) -> None:
    found = play(**right)
    assert found.value == by(found, "force")
    assert found.n == 6
    assert found.value == pytest.approx(planted_pct, abs=1.0)
    assert 0 < scatter(found, "force") < 2.0


@pytest.mark.parametrize(("right", "planted_pct"), [({}, 0.0), (SMALLER, 0.0), (UNDRIVEN, 20.0)])
def test_emg_tells_how_a_muscle_is_driven_and_not_how_strong_it_is(play: Play, right: Any, planted_pct: float) -> None:
    found = play(**right)
    assert by(found, "EMG") == pytest.approx(planted_pct, abs=8.0)
    assert by(found, "EMG") == pytest.approx(planted_pct, abs=2.5 * scatter(found, "EMG") + 1.0)


@pytest.mark.prove
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("right", "force_pct", "emg_pct"), [({}, 0, 0), (SMALLER, 20, 0), (UNDRIVEN, 20, 20)])
def test_over_sessions_the_interval_holds_what_is_planted(
    play: Play, right: Any, force_pct: float, emg_pct: float
) -> None:
    found = [play(seed, **right) for seed in range(1, SESSIONS + 1)]
    for name, planted_pct in (("force", force_pct), ("EMG", emg_pct)):
        values = [by(each, name) for each in found]
        assert abs(mean(values) - planted_pct) <= T_975 * stdev(values) / SESSIONS**0.5 + 1.0


def test_the_index_is_what_the_weaker_lacks_of_the_stronger_and_its_sign_is_of_the_first() -> None:
    assert index_pct(100.0, 80.0) == pytest.approx(20.0)
    assert index_pct(80.0, 100.0) == pytest.approx(-20.0)
    assert index_pct(50.0, 0.0) == 100.0
    assert index_pct(0.0, 0.0) is None
    assert index_pct(10.0, -1.0) is None


def protocol_of(tmp_path: Path, *changes: tuple[str, str]) -> Protocol:
    text = PROTOCOL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "changed.yaml"
    path.write_text(text, encoding="utf-8")
    return load_protocol(path)


def test_left_and_right_of_one_muscle_are_a_pair_whatever_the_spelling(tmp_path: Path) -> None:
    assert mvc_pair(protocol_of(tmp_path)) == Pair("left", "right", "left and right")


def test_agonist_and_antagonist_are_a_pair_where_no_sides_are(tmp_path: Path) -> None:
    flexors = ("right: {muscle: wrist extensors, side: right, emg: agonist}",
               "right: {muscle: wrist flexors, side: left, emg: antagonist}")  # fmt: skip
    assert mvc_pair(protocol_of(tmp_path, flexors)) == Pair("left", "right", "agonist and antagonist")


@pytest.mark.parametrize(
    "change",
    [
        ("  - mvc: {name: right, muscle: right", "  - mvc: {name: right, muscle: left"),
        ("right: {muscle: wrist extensors, side: right", "right: {muscle: wrist flexors, side: right"),
        ("right: {muscle: wrist extensors, side: right", "right: {muscle: wrist extensors, side: left"),
    ],
    ids=["one muscle alone", "another muscle", "the same side"],
)
def test_what_is_no_pair_cannot_be_measured_and_lint_says_so(tmp_path: Path, change: tuple[str, str]) -> None:
    protocol = protocol_of(tmp_path, change)
    assert mvc_pair(protocol) is None
    said = [each.text for each in lint(protocol) if "symmetry" in each.text]
    assert len(said) == 1
    assert "cannot be measured without MVC phases of one pair: left and right of one muscle" in said[0]


def test_a_pair_can_be_measured(tmp_path: Path) -> None:
    assert not [each for each in lint(protocol_of(tmp_path)) if "symmetry" in each.text]


def row(muscle: str, number: int, peak_uv: float | None, outcome: str = "done") -> Trial:
    return Trial(
        t_ns=0, kind="mvc", name=muscle, block=1, trial=number, outcome=outcome, begin_ns=0,
        values={"muscle": muscle, "peak_uv": peak_uv},
    )  # fmt: skip


def value_of(protocol: Protocol, *rows: Trial) -> Value:
    session: Any = SimpleNamespace(trials=rows, trial_times_s=[(0.0, None, 1.0)] * len(rows), samples={})
    return symmetry(View(session, protocol))


def test_without_a_cell_it_is_told_by_emg_and_what_that_is_worth(tmp_path: Path) -> None:
    rows = (row("left", 1, 300.0), row("left", 2, 400.0), row("right", 1, 320.0), row("right", 2, 900.0, "paused"))
    found = value_of(protocol_of(tmp_path), *rows)
    assert found.value == pytest.approx(20.0)
    assert list(found.parts or {}) == ["EMG"], "of one contraction nothing scatters"
    assert found.why == EMG_ALONE


def test_a_muscle_that_made_none_is_named(tmp_path: Path) -> None:
    found = value_of(protocol_of(tmp_path), row("left", 1, 300.0), row("right", 1, None, "skipped"))
    assert found.value is None
    assert found.why == "no maximal contraction of right"

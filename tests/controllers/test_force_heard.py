"""A force cell reaches estimators and policy: in SI units, without bad samples, and only while it is fresh."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from myoloop.controllers.controller import Controller
from myoloop.controllers.policies.policy import Decision, PolicyInput
from myoloop.controllers.settings import ControllerSettings, ForceSource
from myoloop.controllers.signals.snapshot import StateError
from myoloop.platform.messages import SampleDescriptor, Samples
from myoloop.platform.steps import StepInput

CELL = SampleDescriptor(
    topic="force/sim", rate_hz=100.0, dtype="<i2", channels=("force",), units=("N",), scale=(0.1,), offset=(-5.0,)
)


class Witness:
    """Keeps what the policy was told, and what an estimator saw of the situation."""

    def __init__(self, kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, cell: Any = CELL) -> None:
        self.kit, self.n = kit, 0
        force = None if cell is None else ForceSource(descriptor=cell)
        self.controller = Controller(kit.settings(force=force))
        self.force_n: list[float | None] = []
        self.seen: list[Any] = []
        witness = self

        class Policy:
            def decide(self, given: PolicyInput) -> Decision:
                witness.force_n.append(given.force_n)
                return Decision({})

            def reset(self) -> None:
                """Nothing is kept."""

            def state(self) -> dict[str, Any]:
                return {}

            def restore(self, state: Any) -> None:
                """Nothing was kept."""

        monkeypatch.setattr(self.controller._policy, "_policy", Policy())
        guard = self.controller._groups["emg/sim"]._estimators[0]
        estimator, step = guard._estimator, guard._estimator.step

        def watched(situation: Any) -> None:
            witness.seen.append(situation.force)
            step(situation)

        monkeypatch.setattr(estimator, "step", watched)

    def step(self, *force: Any, age_ms: float = 0.0, invalid: bytes = b"") -> float | None:
        """One step with a phase that lets the policy decide; blocks of the cell that many ms old."""
        self.n += 1
        now_ns = self.kit.start_ns + self.n * self.kit.tick_ns
        raw = np.zeros((20, 2), dtype="<i2")
        emg = Samples(first_sample=20 * (self.n - 1), t_ns=now_ns)
        inbox = [
            self.kit.received("phase", self.kit.phase(now_ns, t_state_ns=self.kit.start_ns), self.n),
            self.kit.received("emg/sim", emg, self.n, raw),
        ]
        for block in force:
            message = Samples(first_sample=self.n, t_ns=now_ns - round(age_ms * 1e6), invalid=invalid)
            inbox.append(self.kit.received("force/sim", message, self.n, np.asarray(block)))
        self.controller.step(StepInput(self.n, now_ns, inbox, {}))
        return self.force_n[-1]


@pytest.fixture
def witness(kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Witness:
    return Witness(kit, monkeypatch)


def counts(*values: int) -> np.ndarray:
    return np.array(values, dtype="<i2")[:, None]


def test_its_stream_is_subscribed_to_and_survives_the_record(kit: SimpleNamespace) -> None:
    settings = kit.settings(force=ForceSource(descriptor=CELL))
    assert Controller(settings).subscriptions[-1] == "force/sim"
    assert ControllerSettings.from_json(settings.to_json()) == settings


def test_settings_recorded_before_there_were_force_cells_are_still_read(kit: SimpleNamespace) -> None:
    old = json.loads(kit.settings().to_json())
    del old["force"]
    assert ControllerSettings.from_json(json.dumps(old)) == kit.settings()


def test_blocks_reach_the_estimators_in_newton(witness: Witness) -> None:
    witness.step(counts(50, 150), counts(250))
    (first_ns, first), (_, second) = witness.seen[-1]
    assert first == pytest.approx(np.array([[0.0], [10.0]]))
    assert second == pytest.approx(np.array([[20.0]]))
    assert first_ns == witness.kit.start_ns + witness.kit.tick_ns
    witness.step()
    assert list(witness.seen[-1]) == []


def test_the_policy_gets_the_newest_value(witness: Witness) -> None:
    assert witness.step() is None
    assert witness.step(counts(50, 150)) == pytest.approx(10.0)
    assert witness.step() == pytest.approx(10.0)


def test_a_value_that_is_not_fresh_is_not_told(witness: Witness) -> None:
    witness.step(counts(150))
    told = [witness.step() for _ in range(12)]
    assert told[:10] == [pytest.approx(10.0)] * 10
    assert told[10:] == [None, None]
    assert witness.step(counts(150), age_ms=101.0) is None
    assert witness.step(counts(150)) == pytest.approx(10.0)


def test_a_slow_cell_is_fresh_for_three_of_its_periods(kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SampleDescriptor(
        topic="force/sim", rate_hz=10.0, dtype="<i2", channels=("f",), units=("N",), scale=(1.0,), offset=(0.0,)
    )
    witness = Witness(kit, monkeypatch, slow)
    witness.step(counts(7))
    told = [witness.step() for _ in range(32)]
    assert told[:30] == [7.0] * 30
    assert told[30:] == [None, None]


def test_samples_that_are_marked_bad_are_left_out(witness: Witness) -> None:
    marked = np.packbits(np.array([False, True])).tobytes()
    assert witness.step(counts(50, 150), invalid=marked) == pytest.approx(0.0)
    all_bad = np.packbits(np.array([True])).tobytes()
    assert witness.step(counts(150), invalid=all_bad) == pytest.approx(0.0)
    assert list(witness.seen[-1]) == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_not_told(kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    floats = SampleDescriptor(
        topic="force/sim", rate_hz=100.0, dtype="<f4", channels=("f",), units=("N",), scale=(1.0,), offset=(0.0,)
    )
    witness = Witness(kit, monkeypatch, floats)
    assert witness.step(np.array([[3.0]], dtype="<f4")) == 3.0
    assert witness.step(np.array([[value]], dtype="<f4")) is None


def test_a_block_of_another_shape_is_not_used(witness: Witness) -> None:
    assert witness.step(np.zeros((2, 3), dtype="<i2")) is None
    assert witness.step(np.zeros(2, dtype="<i2")) is None


def test_without_a_cell_a_block_of_one_is_nobodys(kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = Witness(kit, monkeypatch, None)
    assert witness.step(counts(150)) is None
    assert list(witness.seen[-1]) == []
    assert "force/sim" not in witness.controller.subscriptions


def test_the_imus_block_is_not_taken_for_the_cells(witness: Witness) -> None:
    witness.step(counts(150))
    now_ns = witness.kit.start_ns + 2 * witness.kit.tick_ns
    block = witness.kit.received("imu/sim", Samples(first_sample=0, t_ns=now_ns), 2, np.ones((1, 6), dtype="<f4"))
    witness.controller.step(StepInput(2, now_ns, [block], {}))
    assert list(witness.seen[-1]) == []


def test_a_restored_controller_knows_the_newest_force(witness: Witness, kit: SimpleNamespace) -> None:
    witness.step(counts(150))
    saved = json.loads(json.dumps(witness.controller.state()))
    restored = Controller(kit.settings(force=ForceSource(descriptor=CELL)))
    restored.restore(saved)
    assert json.loads(json.dumps(restored.state())) == saved
    assert (saved["force_n"], saved["force_ns"]) == (pytest.approx(10.0), kit.start_ns + kit.tick_ns)
    del saved["force_n"]
    with pytest.raises(StateError):
        Controller(kit.settings(force=ForceSource(descriptor=CELL)), saved)

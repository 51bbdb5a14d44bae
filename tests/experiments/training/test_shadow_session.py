"""A trained controller in the shadow of a session: recorded, live under the virtual clock, and what is refused."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.controllers.policies.distilled_model import DistilledModel
from myoloop.controllers.policies.fitted_q import FittedQSettings
from myoloop.experiments.objects import BUILDERS
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.replay import replay
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.run import prepare, run_live
from myoloop.experiments.sessions.setup import SetupError, make_setup
from myoloop.experiments.sessions.simulated_rig import simulated_rig
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.training.artefact import Artefact, ArtefactError, ChannelUse, envelope_of, write_artefact
from myoloop.experiments.training.from_sessions import read_session
from myoloop.experiments.training.shadow import ShadowError, ShadowFound, shadow_session
from myoloop.experiments.training.shadow_words import NOT_ACTED, as_data, say_shadow
from myoloop.platform.messages import Message, Shadow, StimReport, StimRequest
from myoloop.platform.recording.reader import Recording

#: As adaptive gain is by default: the shadow follows no other.
SETTINGS = FittedQSettings(
    quantity="force", setpoint=4.0, full_response=40.0, recruitment_median_ma=18.0, budget_uc=500.0
)


def made(folder: Path, protocol: Path, model: DistilledModel | float = -0.15, **more: Any) -> Artefact:
    chosen = model if isinstance(model, DistilledModel) else DistilledModel.always(model)
    return write_artefact(
        folder,
        **{
            "name": "wrist-1",
            "model": chosen,
            "settings": SETTINGS,
            "channels": {"ext": ChannelUse(muscle="ext", phase_us=250.0, rate_hz=35.0)},
            "envelope": envelope_of(load_protocol(protocol).envelope),
            "dataset_sha256": "d" * 64,
            **more,
        },
    )


@pytest.fixture
def tracked(tmp_path: Path, sessions: SimpleNamespace) -> Path:
    """The protocol of the recorded sessions."""
    file = tmp_path / "tracked.yaml"
    file.write_text(sessions.TRACKED, encoding="utf-8")
    return file


@pytest.fixture
def attempt(recorded_study: Path) -> Path:
    return recorded_study / "sub-P001" / "ses-01" / "att-1"


def said(attempt: Path, topic: str, kind: type[Message]) -> list[Any]:
    return [
        each.received.message
        for each in Recording.open(attempt).messages({topic})
        if isinstance(each.received.message, kind)
    ]


def ticking(step_ns: int = 1_500_000) -> Any:
    """A clock that goes on by so much at each look."""
    counter = itertools.count(0, step_ns)
    return lambda: next(counter)


def shadowed(attempt: Path, tmp_path: Path, tracked: Path, model: DistilledModel | float) -> ShadowFound:
    return shadow_session(attempt, made(tmp_path / "artefact", tracked, model), clock=ticking())


# -- beside a recorded session -------------------------------------------------------------------------------------


def test_one_that_says_nothing_agrees_with_all_and_its_gate_does_what_was_recorded(
    attempt: Path, tmp_path: Path, tracked: Path
) -> None:
    found = as_data(shadowed(attempt, tmp_path, tracked, 0.0))
    assert found["replayed"] == "whole"
    assert found["steps"]["asked"] == found["steps"]["followed"] > found["steps"]["in_train"] > 100
    assert found["decisions"]["agree_share"] == 1.0
    assert found["requests"]["differ_share"] == found["requests"]["added_mc"] == found["requests"]["taken_mc"] == 0.0
    assert found["gate"]["did"] == found["gate"]["would"]
    reports = said(attempt, "report", StimReport)
    limited = [each for each in reports if each.requested and each.rule]
    assert found["gate"]["did"]["interventions"] == len(limited)
    assert found["gate"]["did"]["requests"] == sum(bool(each.requested) for each in reports)
    assert found["gate"]["did"]["charge_mc"] == pytest.approx(reports[-1].dose.session_charge_mc, rel=1e-12)
    assert found["fallbacks"] == {"by_reason": {}, "share_of_train": 0.0}
    assert found["shift"] == {"share_of_train": 0.0, "by_observation": {}}


@pytest.mark.parametrize("residual", [-0.3, 0.3])
def test_what_would_have_been_asked_is_counted_as_decisions_charge_and_gate(
    attempt: Path, tmp_path: Path, tracked: Path, residual: float
) -> None:
    found = as_data(shadowed(attempt, tmp_path, tracked, residual))
    decisions, requests, gate = found["decisions"], found["requests"], found["gate"]
    assert decisions["residuals"] == {f"{residual:+.2f}": decisions["count"]}
    assert decisions["count"] >= 18  # two trains of 1 s, ten a second
    assert decisions["differ_share"] == 1.0
    assert requests["differ_share"] > 0.5
    more, less = requests["added_mc"], requests["taken_mc"]
    assert (more > 0.0) == (residual > 0.0)
    assert (less > 0.0) == (residual < 0.0)
    assert requests["budget_spent_uc"] == pytest.approx(1e3 * more, rel=0.15, abs=0.1)
    assert (gate["would"]["charge_mc"] > gate["did"]["charge_mc"]) == (residual > 0.0)
    text = say_shadow(found)
    assert "wrist-1 sha256" in text
    assert text.endswith(NOT_ACTED)


def test_the_budget_bounds_what_would_be_added(attempt: Path, tmp_path: Path, tracked: Path) -> None:
    small = dataclasses.replace(SETTINGS, budget_uc=2.0)
    found = shadow_session(attempt, made(tmp_path / "artefact", tracked, 0.3, settings=small), clock=ticking())
    assert 0.0 < found.added_mc <= 2e-3 + 1e-9


def test_what_was_never_seen_in_training_is_told_with_where_it_falls_back(
    attempt: Path, tmp_path: Path, tracked: Path
) -> None:
    plain = DistilledModel.always(-0.15)
    at = plain.observation.index("trials")
    low, high = list(plain.low), list(plain.high)
    low[at], high[at] = -0.01, 0.01  # only the first trial was trained on
    model = dataclasses.replace(plain, low=tuple(low), high=tuple(high))
    found = as_data(shadowed(attempt, tmp_path, tracked, model))
    assert list(found["shift"]["by_observation"]) == ["trials"]
    assert found["shift"]["share_of_train"] == pytest.approx(0.5, abs=0.02)
    ((reason, count),) = found["fallbacks"]["by_reason"].items()
    assert reason.startswith("falls back to adaptive gain: shifted input, trials")
    assert count == 1
    assert 0.2 < found["fallbacks"]["share_of_train"] < 0.5  # not before the fifth decision


def test_its_time_is_measured_by_the_clock_that_is_handed_in(attempt: Path, tmp_path: Path, tracked: Path) -> None:
    times = as_data(shadowed(attempt, tmp_path, tracked, 0.0))["inference_ms"]
    assert times["p999"] == times["max"] == times["p50"] == pytest.approx(1.5)
    assert times["count"] > 100


def test_the_verb_tells_it_in_words_and_in_json(attempt: Path, tmp_path: Path, tracked: Path) -> None:
    made(tmp_path / "artefact", tracked)
    arguments = ["shadow", str(attempt), "--artefact", str(tmp_path / "artefact")]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["decisions"]["differ_share"] == 1.0
    assert told["note"] == NOT_ACTED


# -- what is refused -----------------------------------------------------------------------------------------------


def test_a_session_without_a_shadow_needs_an_artefact(attempt: Path) -> None:
    done = CliRunner().invoke(app, ["shadow", str(attempt)])
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "was recorded without a shadow; needed is --artefact" in done.stderr


def test_only_adaptive_gain_is_followed(recorded_study: Path, tmp_path: Path, tracked: Path) -> None:
    with pytest.raises(ShadowError, match="policy open_loop; a shadow follows adaptive_gain and no other"):
        shadow_session(recorded_study / "sub-P003/ses-01/att-1", made(tmp_path / "artefact", tracked))


def test_a_blinded_session_is_not_opened(
    study_copy: Path, tmp_path: Path, tracked: Path, sessions: SimpleNamespace
) -> None:
    attempt = study_copy / "sub-P001" / "ses-01" / "att-1"
    sessions.rewrite(attempt, metadata={"blinded": "true"})
    with pytest.raises(ShadowError, match="blinded; what was given is sealed"):
        shadow_session(attempt, made(tmp_path / "artefact", tracked))


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"channels": {"flex": ChannelUse(muscle="ext", phase_us=250.0, rate_hz=35.0)}}, "channels: trained for flex"),
        ({"settings": dataclasses.replace(SETTINGS, proportional=0.1)}, "controller.settings.proportional: found 0.6"),
    ],
)
def test_an_artefact_for_another_session_is_refused(
    attempt: Path, tmp_path: Path, tracked: Path, more: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(ArtefactError, match=wrong):
        shadow_session(attempt, made(tmp_path / "artefact", tracked, **more))


def test_a_record_that_does_not_follow_from_its_inputs_is_compared_no_further(
    study_copy: Path, tmp_path: Path, tracked: Path, sessions: SimpleNamespace
) -> None:
    attempt = study_copy / "sub-P001" / "ses-01" / "att-1"
    flowing = [each.step for each in said(attempt, "request", StimRequest) if each.channels[0].current_ma]
    forged = flowing[60]

    def change(message: Any) -> Any:
        if not isinstance(message, StimRequest) or message.step != forged:
            return message
        more = msgspec.structs.replace(message.channels[0], current_ma=message.channels[0].current_ma + 1.0)
        return msgspec.structs.replace(message, channels=(more,))

    sessions.rewrite(attempt, change=change)
    found = shadow_session(attempt, made(tmp_path / "artefact", tracked), clock=ticking())
    assert found.replayed == f"up to step {forged - 1}: from there the record has another request"
    assert 40 <= found.in_train <= 70


# -- live ----------------------------------------------------------------------------------------------------------


def lockstep(tmp_path: Path, protocol: Path, artefact: Artefact | None, name: str) -> Path:
    folder = tmp_path / name / "sub-P001" / "ses-01" / "att-1"
    folder.mkdir(parents=True)
    loaded = load_protocol(protocol)
    setup = make_setup(
        loaded, simulated_rig(loaded), subject="P001", session="sub-P001/ses-01/att-1", folder=folder,
        parameters=draw(3), seed=3, shadow=artefact,
    )  # fmt: skip
    assert Lockstep(setup).run().outcome == "complete"
    return folder


@pytest.fixture(scope="module")
def live_shadow(tmp_path_factory: pytest.TempPathFactory, sessions: SimpleNamespace) -> tuple[Path, Artefact]:
    """The folder of a session that was recorded with a shadow, and what was in the shadow; read only."""
    place = tmp_path_factory.mktemp("live")
    file = place / "tracked.yaml"
    file.write_text(sessions.TRACKED, encoding="utf-8")
    artefact = made(place / "artefact", file, 0.15)
    return lockstep(place, file, artefact, "live"), artefact


def test_a_live_shadow_is_recorded_changes_nothing_and_comes_out_again_bit_for_bit(
    attempt: Path, live_shadow: tuple[Path, Artefact]
) -> None:
    live, artefact = live_shadow
    assert Recording.open(live).metadata["shadow"] == artefact.identity
    # What was asked and what was given is that of the same session without a shadow.
    for topic, kind in (("request", StimRequest), ("report", StimReport)):
        assert said(live, topic, kind) == said(attempt, topic, kind)
    told = said(live, "shadow", Shadow)
    assert sum(each.would_ma["ext"] > each.asked_ma["ext"] for each in told) > 50
    assert all(each.same for each in told)
    assert replay(live, BUILDERS).equal
    # The same artefact over the session without one finds the same.
    first, second = shadow_session(live, clock=ticking()), shadow_session(attempt, artefact, clock=ticking())
    assert dataclasses.replace(first, session="") == dataclasses.replace(second, session="")
    # And the session is as good to learn from as any.
    assert len(read_session(live, 0.1).decisions) == len(read_session(attempt, 0.1).decisions) > 0


def test_a_shadow_that_was_changed_in_the_record_is_found(
    live_shadow: tuple[Path, Artefact], tmp_path: Path, sessions: SimpleNamespace
) -> None:
    live = Path(shutil.copytree(live_shadow[0], tmp_path / "sub-P001" / "ses-01" / "att-1"))
    last = said(live, "shadow", Shadow)[-1].step

    def change(message: Any) -> Any:
        hit = isinstance(message, Shadow) and message.step == last
        return msgspec.structs.replace(message, residual=0.05) if hit else message

    sessions.rewrite(live, change=change)
    found = replay(live, BUILDERS)
    controller = next(each for each in found.objects if each.name == "controller")
    assert controller.first_difference.startswith(f"step {last}: shadow.residual: ")


def test_run_takes_a_shadow_from_the_command_line(tmp_path: Path, tracked: Path) -> None:
    tracked.write_text(tracked.read_text().replace("trials: 2", "trials: 1"))
    made(tmp_path / "artefact", tracked)
    arguments = ["run", str(tracked), "--subject", "P001", "--speed", "max", "--out", str(tmp_path / "study")]
    wrong = CliRunner().invoke(app, [*arguments, "--shadow", "deployed"])
    assert wrong.exit_code == 2
    assert "--shadow: found deployed; nothing is deployed in" in wrong.stderr
    done = CliRunner().invoke(app, [*arguments, "--shadow", str(tmp_path / "artefact"), "--json"])
    assert done.exit_code == 0, done.output
    (folder,) = (tmp_path / "study").glob("sub-P001/ses-*/att-*")
    assert said(folder, "shadow", Shadow)


def test_live_an_adaptive_gain_that_is_set_otherwise_is_refused_before_anything_starts(
    tmp_path: Path, tracked: Path
) -> None:
    artefact = made(tmp_path / "artefact", tracked, settings=dataclasses.replace(SETTINGS, integral_per_s=0.1))
    with pytest.raises(ArtefactError, match=r"settings.integral_per_s: found 0.5, artefact wrist-1 was trained with"):
        lockstep(tmp_path, tracked, artefact, "live")
    assert not list((tmp_path / "live").rglob("*.mcap"))


def test_live_only_adaptive_gain_is_followed(tmp_path: Path, tracked: Path, sessions: SimpleNamespace) -> None:
    artefact = made(tmp_path / "artefact", tracked)
    tracked.write_text(sessions.OPEN)
    with pytest.raises(SetupError, match=r"found open_loop; allowed with --shadow is adaptive_gain"):
        lockstep(tmp_path, tracked, artefact, "live")


@pytest.mark.processes
@pytest.mark.prove
@pytest.mark.timeout(300)
def test_a_shadow_in_processes_of_its_own_computes_at_real_time_and_comes_out_again(
    tmp_path: Path, tracked: Path, short_folder: Path
) -> None:
    artefact = made(tmp_path / "artefact", tracked)
    setup = prepare(
        str(tracked), subject="P001", rig=None, study=tmp_path / "study", seed=3, speed="real",
        shadow=str(artefact.folder),
    )  # fmt: skip
    end = run_live(setup)
    assert (end.outcome, end.reason) == ("complete", "")
    assert len(said(end.folder, "shadow", Shadow)) > 500
    assert replay(end.folder, BUILDERS).equal

"""A recording through the live code again: equal to the last bit, or the first step that is not is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.objects import BUILDERS, other_controller
from myoloop.experiments.replay import ReplayError, asked_instead, processor, replay
from myoloop.experiments.replaying import NOT_CAUSAL, compare_controllers, say_replay
from myoloop.experiments.sessions.run import prepare, run_lockstep
from myoloop.platform import wire
from myoloop.platform.messages import Estimate, Start, Step, StimRequest
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.verify import verify
from myoloop.platform.recording.writer import RecordingWriter
from myoloop.platform.yamlfile import FileError

#: A message of a recording as it is rewritten: topic, frames; what a change gives back is written.
Change = Callable[[str, list[bytes]], Iterable[list[bytes]]]


#: Half a second of current, and what comes before and after.
PROTOCOL = """
protocol: {id: short, version: 1.0.0, schema: 1, title: One train, rigs: [SIM], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [ext]}
  stim: {class: mA, min_step: 1 mA}
sites:
  ext: {muscle: wrist extensors, side: left, pad: 5x5 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 20 mA, step: 2 mA, slew: 20 mA/s}
stimulation:
  ext: {site: ext, phase: 250 us, rate: 35 Hz}
thresholds: {motor: 6 mA, tolerance: 20 mA}
phases:
  - rest: {name: begin, duration: 0.3 s}
  - block: {name: train, trials: 1, machine: cyclic, ramp_up: 0.3 s, hold: 0.5 s, ramp_down: 0.1 s, rest: 1 s,
            intensity: {ref: motor, x: 1.0}}
controller: {policy: open_loop}
stop_rules: [{session_max: 1 min}]
outcomes: {primary: trials_done}
"""


@pytest.fixture(scope="module")
def attempt(tmp_path_factory) -> Path:
    """The folder of a short session on the virtual subject."""
    folder = tmp_path_factory.mktemp("replayed")
    (folder / "short.yaml").write_text(PROTOCOL)
    setup = prepare(str(folder / "short.yaml"), subject="V001", rig=None, study=folder, seed=3)
    assert run_lockstep(setup).outcome == "complete"
    return setup.folder


@pytest.fixture
def rewrite(attempt, tmp_path):
    """The recording of a real session again, with a change; a forger's work, so that its chain holds."""

    def changed(
        change: Change = lambda topic, frames: [frames],
        metadata: dict[str, str] | None = None,
        outcome: str | None = "complete",
    ) -> Path:
        """`outcome` None leaves it without an end."""
        old = Recording.open(attempt)
        folder = tmp_path / f"changed-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        with RecordingWriter(
            folder,
            session=old.session,
            descriptors=list(old.descriptors.values()),
            metadata={**old.metadata, **(metadata or {})},
            live=False,
        ) as writer:
            for topic, frames, log_time_ns in old.frames():
                if topic == "chain":
                    continue
                for each in change(topic, frames):
                    writer.write(each, log_time_ns, wire.decode(each)[0].seq)
            if outcome is not None:
                writer.end(outcome, old.reason, old.last_ns)
        return folder

    return changed


def altered(frames: list[bytes], **changes) -> list[bytes]:
    """A message with other fields."""
    head, received = wire.decode(frames)
    return wire.encode(
        received.topic,
        msgspec.structs.replace(received.message, **changes),
        session=head.session,
        publisher=head.publisher,
        epoch=head.epoch,
        seq=head.seq,
        array=received.array,
    )


def messages(recording: Path, kind: type) -> list:
    return [m for received, _ in Recording.open(recording).messages() if isinstance(m := received.message, kind)]


def step_that_consumed(recording: Path, reference: tuple) -> int:
    steps = Recording.open(recording).messages({"step/controller"})
    return next(each.received.message.number for each in steps if reference in each.received.message.inputs)


def of(result, name: str):
    return next(each for each in result.objects if each.name == name)


class TestEqual:
    def test_what_was_said_is_said_again_bit_for_bit(self, attempt):
        result = replay(attempt, BUILDERS)
        assert (result.equal, result.exact) == (True, True)
        for each in result.objects:
            steps = len(messages(attempt, Step))
            assert 0 < each.steps < steps
            assert (each.first_difference, each.not_replayable, each.outputs_lost) == ("", [], 0)
        said = of(result, "controller")
        assert said.outputs == len(messages(attempt, Estimate)) + len(messages(attempt, StimRequest))

    def test_a_copy_is_equal_too(self, rewrite):
        assert replay(rewrite(), BUILDERS).equal

    def test_inputs_may_stand_after_the_step_that_consumed_them(self, rewrite):
        # Each node hands over at its own pace: here the amplifier is late.
        late: list[list[bytes]] = []

        def change(topic, frames):
            if topic == "emg/amplifier":
                late.append(frames)
                return [late.pop(0)] if len(late) > 30 else []
            return [*late, frames] if topic == "phase" and wire.decode(frames)[1].message.state == "ended" else [frames]

        assert replay(rewrite(change), BUILDERS).equal


class TestNotEqual:
    def test_one_sample_changed_by_one_count_names_its_step(self, rewrite, attempt):
        blocks = [each.received for each in Recording.open(attempt).messages({"emg/amplifier"})]
        chosen = blocks[len(blocks) // 2]

        def change(topic, frames):
            if topic == "emg/amplifier" and wire.decode(frames)[1].seq == chosen.seq:
                counts = np.frombuffer(frames[3], dtype="<i2").copy()
                counts[7] += 1
                frames = [*frames[:3], counts.tobytes()]
            return [frames]

        forged = rewrite(change)
        # Whoever rewrites a whole file makes a chain that holds.
        assert verify(forged).status == "good"
        result = replay(forged, BUILDERS)
        assert not result.equal
        step = step_that_consumed(attempt, chosen.reference)
        assert of(result, "controller").first_difference == f"step {step}: an input is not what the object was given"
        assert of(result, "stimulator").first_difference == ""

    @pytest.mark.parametrize(
        ("topic", "field", "value", "names"),
        [
            ("request", "channels", (), "controller"),
            ("estimate", "reflex", "spasm", "controller"),
            ("report", "rule", "none", "stimulator"),
            ("phase", "seconds_left", 1e6, "director"),
        ],
    )
    def test_a_changed_decision_names_step_and_field(self, rewrite, topic, field, value, names):
        count = iter(range(10**9))

        def change(found, frames):
            hit = found == topic and next(count) == 20
            return [altered(frames, **{field: value})] if hit else [frames]

        result = replay(rewrite(change), BUILDERS)
        difference = of(result, names).first_difference
        assert difference.startswith("step ")
        assert f"{topic}.{field}" in difference
        assert f"{value!r}".strip("()") in difference or "recording" in difference

    def test_the_smallest_difference_of_a_float_is_one(self, rewrite):
        def change(topic, frames):
            if topic == "estimate":
                estimate = wire.decode(frames)[1].message
                muscle = estimate.muscles[0]
                if muscle.level_uv is not None:
                    other = msgspec.structs.replace(muscle, level_uv=np.nextafter(muscle.level_uv, np.inf).item())
                    return [altered(frames, muscles=(other, *estimate.muscles[1:]))]
            return [frames]

        assert "level_uv" in of(replay(rewrite(change), BUILDERS), "controller").first_difference

    def test_a_decision_taken_out_of_the_middle(self, rewrite):
        count = iter(range(10**9))
        result = replay(
            rewrite(lambda topic, frames: [] if topic == "request" and next(count) == 100 else [frames]), BUILDERS
        )
        assert of(result, "controller").first_difference.startswith("step 101: request")

    def test_every_decision_of_a_kind_taken_out(self, rewrite):
        result = replay(rewrite(lambda topic, frames: [] if topic == "estimate" else [frames]), BUILDERS)
        assert of(result, "controller").first_difference == "step 1: estimate: said now, not in the recording"

    def test_a_decision_that_nobody_took(self, rewrite):
        def change(topic, frames):
            ended = topic == "phase" and wire.decode(frames)[1].message.state == "ended"
            return [frames, altered(frames, reason="and another")] if ended else [frames]

        result = replay(rewrite(change), BUILDERS)
        assert not result.equal
        assert of(result, "director").first_difference.endswith("phase: in the recording, not said now")

    def test_another_state_at_the_start(self, rewrite):
        def change(topic, frames):
            if topic == "start/controller":
                start = wire.decode(frames)[1].message
                settings = msgspec.json.decode(start.settings)
                settings["stim"][0]["phase_us"] += 1.0
                return [altered(frames, settings=msgspec.json.encode(settings).decode())]
            return [frames]

        assert "request.channels[0].phase_us" in of(replay(rewrite(change), BUILDERS), "controller").first_difference

    def test_steps_of_an_object_that_nobody_can_build(self, rewrite):
        def kind(topic, frames):
            return [altered(frames, kind="recorder")] if topic == "start/director" else [frames]

        def settings(topic, frames):
            return [altered(frames, settings='{"no": 1}')] if topic == "start/controller" else [frames]

        for change, says in ((kind, "kind 'recorder' is not known here"), (settings, "cannot be used")):
            with pytest.raises(ReplayError, match=says) as caught:
                replay(rewrite(change), BUILDERS)
            assert "\n" not in str(caught.value)

    def test_a_recording_of_nobody(self, rewrite):
        with pytest.raises(ReplayError, match="no object has left a start record"):
            replay(rewrite(lambda topic, frames: [] if topic.startswith("start/") else [frames]), BUILDERS)


class TestLost:
    def cut(self, last_ns: int) -> Change:
        """What a kill of the amplifier's road leaves: nothing of it after a time."""
        return lambda topic, frames: (
            [] if topic == "emg/amplifier" and wire.decode(frames)[1].message.t_ns > last_ns else [frames]
        )

    def test_inputs_that_are_lost_are_listed_as_not_replayable(self, rewrite, attempt):
        blocks = [each.received for each in Recording.open(attempt).messages({"emg/amplifier"})]
        last = blocks[-20]
        result = replay(rewrite(self.cut(last.message.t_ns), outcome="fault"), BUILDERS)
        first = step_that_consumed(attempt, blocks[-19].reference)
        steps = [each.received.message.number for each in Recording.open(attempt).messages({"step/controller"})]
        controller = of(result, "controller")
        assert controller.not_replayable == list(range(first, steps[-1] + 1))
        assert controller.steps == first - 1
        # What could be compared was equal.
        assert (result.equal, result.whole) == (True, False)
        data, text = say_replay(result)
        (row,) = [row for row in data["objects"] if row["object"] == "controller"]
        assert (row["equal"], row["equal_up_to_step"]) == (True, first - 1)
        assert f"EQUAL up to step {first - 1}; not replayable from step {first} on, inputs lost" in text
        assert "EQUAL as far as it goes (ended as fault)" in text

    def test_the_last_words_of_an_object_may_be_lost(self, rewrite, attempt):
        last = messages(attempt, StimRequest)[-1].step

        def change(topic, frames):
            lost = topic in ("request", "estimate") and wire.decode(frames)[1].message.step == last
            return [] if lost else [frames]

        for outcome, ended in (("fault", "ended as fault"), ("aborted", "ended as aborted"), (None, "has no end")):
            result = replay(rewrite(change, outcome=outcome), BUILDERS)
            assert result.equal
            assert of(result, "controller").outputs_lost == 2
            text = say_replay(result)[1]
            assert f"EQUAL up to step {last - 1}; what the last step said is not in the file (2)" in text
            assert f"EQUAL as far as it goes ({ended})" in text

    def test_where_nothing_could_be_compared_nothing_is_equal(self, rewrite):
        inputs = ("emg/", "imu/", "vital/", "heartbeat/")
        result = replay(rewrite(lambda topic, frames: [] if topic.startswith(inputs) else [frames]), BUILDERS)
        assert [each.outputs for each in result.objects] == [0, 0, 0]
        assert not result.equal


def without(*topics: str) -> Change:
    return lambda topic, frames: [] if topic in topics else [frames]


def without_the_first(name: str) -> Change:
    """Without the first message on the topics that begin so."""
    count = iter(range(10**9))
    return lambda topic, frames: [] if topic.startswith(name) and next(count) == 0 else [frames]


CONTROLLERS = ("start/controller", "step/controller", "request", "estimate")
STIMULATORS = ("start/stimulator", "step/stimulator", "report")
DIRECTORS = ("start/director", "step/director", "phase", "trial")
ORDERLY = ("complete", "stopped")


class TestMissing:
    """Where nothing can have been lost, whatever is missing is a difference; elsewhere, what has not been compared."""

    @pytest.mark.parametrize("outcome", ORDERLY)
    def test_an_input_of_a_session_that_ended_in_order(self, rewrite, outcome):
        result = replay(rewrite(without_the_first("emg/"), outcome=outcome), BUILDERS)
        controller = of(result, "controller")
        assert not result.equal
        assert controller.first_difference == f"step {controller.not_replayable[0]}: an input is not in the recording"
        assert controller.first_difference in say_replay(result)[1]

    @pytest.mark.parametrize("outcome", ORDERLY)
    def test_the_last_words_of_a_session_that_ended_in_order(self, rewrite, attempt, outcome):
        last = messages(attempt, StimRequest)[-1].step

        def change(topic, frames):
            return [] if topic == "request" and wire.decode(frames)[1].message.step == last else [frames]

        result = replay(rewrite(change, outcome=outcome), BUILDERS)
        assert not result.equal
        assert of(result, "controller").first_difference == f"step {last}: said now, not in the recording"

    @pytest.mark.parametrize("kind", ["controller", "stimulator", "director"])
    @pytest.mark.parametrize("outcome", ORDERLY)
    def test_an_object_with_all_that_it_said(self, rewrite, kind, outcome):
        """Nothing tells of it, but that no session is without one."""
        topics = {"controller": CONTROLLERS, "stimulator": STIMULATORS, "director": DIRECTORS}[kind]
        result = replay(rewrite(without(*topics), outcome=outcome), BUILDERS)
        assert not result.equal
        assert of(result, kind).first_difference == "it has no start record"
        assert f"{kind} " in say_replay(result)[1]

    @pytest.mark.parametrize("outcome", ["fault", None])
    @pytest.mark.parametrize("left", ["step/controller", "request", "estimate"])
    def test_an_objects_start_of_which_anything_else_is_left(self, rewrite, outcome, left):
        topics = [topic for topic in CONTROLLERS if topic != left]
        result = replay(rewrite(without(*topics), outcome=outcome), BUILDERS)
        assert not result.equal
        assert of(result, "controller").first_difference == "it has no start record"

    @pytest.mark.parametrize("outcome", ["complete", "fault", None])
    def test_all_that_an_object_was_given(self, rewrite, outcome):
        """From the first step on nothing can be replayed: that is not equal, it is unknown."""
        result = replay(rewrite(without_the_first("emg/"), outcome=outcome), BUILDERS)
        controller = of(result, "controller")
        assert (controller.steps, controller.outputs, controller.not_replayable[0]) == (0, 0, 1)
        assert not result.equal
        assert controller.first_difference == (
            "step 1: an input is not in the recording"
            if outcome == "complete"
            else "nothing that it said could be compared"
        )

    @pytest.mark.parametrize("outcome", ["complete", "fault", None])
    def test_all_that_an_object_said_and_its_steps(self, rewrite, outcome):
        """In a file that breaks off it may not have come to a step."""
        result = replay(rewrite(without("step/director", "phase", "trial"), outcome=outcome), BUILDERS)
        director = of(result, "director")
        assert director.first_difference == (
            "nothing that it said could be compared" if outcome == "complete" else ""
        )  # fmt: skip

    @pytest.mark.parametrize("outcome", ["complete", "fault", None])
    def test_a_step_out_of_the_middle(self, rewrite, outcome):
        def change(topic, frames):
            return [] if topic == "step/director" and wire.decode(frames)[1].message.number == 20 else [frames]

        result = replay(rewrite(change, outcome=outcome), BUILDERS)
        assert not result.equal
        director = of(result, "director")
        assert (director.first_difference, director.equal_up_to_step) == ("step 20: not in the recording", 19)

    def test_what_is_there_is_equal_up_to_its_last_step(self, attempt):
        result = replay(attempt, BUILDERS)
        data, text = say_replay(result)
        assert (data["outcome"], data["whole"]) == ("complete", True)
        assert [row["equal_up_to_step"] for row in data["objects"]] == [row["steps"] for row in data["objects"]]
        assert "EQUAL, compared" in text


class TestElsewhere:
    """Another processor or other versions: numbers are compared, not bits, and it is said so."""

    def scaled(self, factor: float) -> Change:
        def change(topic, frames):
            if topic != "estimate":
                return [frames]
            estimate = wire.decode(frames)[1].message
            muscles = tuple(
                m if m.level_uv is None else msgspec.structs.replace(m, level_uv=m.level_uv * factor)
                for m in estimate.muscles
            )
            return [altered(frames, muscles=muscles)]

        return change

    def test_a_rounding_error_is_none(self, rewrite):
        result = replay(rewrite(self.scaled(1 + 1e-7), {"processor": "another"}), BUILDERS)
        # The director, whose input it was, still sees that it is not the very same.
        assert (of(result, "controller").first_difference, result.exact) == ("", False)
        assert "an input is not what" in of(result, "director").first_difference
        assert "within 1e-6" in say_replay(result)[1]

    def test_more_than_that_is_a_difference(self, rewrite):
        result = replay(rewrite(self.scaled(1 + 1e-5), {"processor": "another"}), BUILDERS)
        assert "level_uv" in of(result, "controller").first_difference

    def test_the_record_says_what_floats_depend_on(self, attempt):
        assert Recording.open(attempt).metadata["processor"] == processor()
        for word in ("numpy", "scipy", "python"):
            assert word in processor()


class TestAnotherController:
    @pytest.fixture
    def policy(self, tmp_path):
        def file(text: str) -> Path:
            path = tmp_path / "other.yaml"
            path.write_text(text)
            return path

        return file

    def test_it_asks_for_something_else_and_the_note_says_what_that_is_not(self, attempt, policy):
        file = policy("controller:\n  policy: manual\n")
        data, text = compare_controllers(attempt, other_controller(file))
        assert data["steps"] == len(messages(attempt, StimRequest))
        assert 20 < data["differing"] < data["steps"]
        assert data["channels"]["ext"]["mean_asked_ma"] > data["channels"]["ext"]["mean_instead_ma"] == 0.0
        assert data["note"] == NOT_CAUSAL
        assert "would have differed" in text

    def test_the_same_controller_asks_for_the_same(self, attempt, policy):
        data, _ = compare_controllers(attempt, other_controller(policy("controller: {policy: open_loop}\n")))
        assert (data["differing"], data["not_replayable"]) == (0, [])

    def test_a_whole_protocol_will_do(self, attempt, root):
        build = other_controller(root / "tests" / "data" / "drill.yaml")
        assert compare_controllers(attempt, build)[0]["steps"]

    def test_one_that_listens_to_less_gets_every_step_all_the_same(self, attempt):
        class Deaf:
            name, subscriptions = "controller", ()

            def step(self, given):
                return []

            def state(self):
                return {}

        lost: list[int] = []
        assert list(asked_instead(attempt, lambda start: Deaf(), lost)) == []
        assert lost == []

    def test_what_is_lost_is_told(self, rewrite, policy):
        blocks = iter(range(10**9))
        cut = rewrite(lambda topic, frames: [] if topic == "emg/amplifier" and next(blocks) > 150 else [frames])
        data, text = compare_controllers(cut, other_controller(policy("controller: {policy: manual}\n")))
        assert data["not_replayable"]
        assert f"not replayable from step {data['not_replayable'][0]} on" in text

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("policy: manual\n", "other.yaml:1: controller: missing, but needed"),
            ("controller:\n  policy: manuel\n", "other.yaml:2: controller.policy: there is no policy 'manuel'"),
            ("controller:\n  policy: manual\n  setings: {}\n", "other.yaml:3: controller.setings: unknown key"),
            ("controller:\n  settings: {}\n", "controller.policy: missing"),
            (
                "controller:\n  policy: manual\n  settings: {full_turn: 3}\n",
                "other.yaml:3: controller.settings.full_turn: found 3",
            ),
            (
                "controller:\n  policy: manual\n  reflex:\n    spam: {}\n",
                "other.yaml:4: controller.reflex.spam: unknown key",
            ),
            (
                "controller:\n  policy: emg_trigger\n  settings:\n    muscle: toe\n",
                "other.yaml:4: controller.settings.muscle",
            ),
            ("- a list\n", "other.yaml:1"),
            ("controller: [\n", "other.yaml:"),
        ],
    )
    def test_a_file_that_will_not_do_is_one_line(self, attempt, policy, text, says):
        with pytest.raises(FileError) as caught:
            compare_controllers(attempt, other_controller(policy(text)))
        (problem,) = caught.value.problems
        assert "other.yaml" in problem
        assert says in problem

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(FileError, match="no such file"):
            other_controller(tmp_path / "nowhere.yaml")

    def test_a_session_without_a_controller(self, rewrite, policy):
        folder = rewrite(lambda topic, frames: [] if topic == "start/controller" else [frames])
        with pytest.raises(ReplayError, match="no controller was recorded"):
            compare_controllers(folder, other_controller(policy("controller: {policy: manual}\n")))


class TestCommandLine:
    def run(self, *arguments: str):
        return CliRunner().invoke(app, ["replay", *arguments])

    def test_check_fails_where_a_step_is_not_equal_and_names_it(self, rewrite, attempt):
        assert self.run(str(attempt), "--check").exit_code == 0
        count = iter(range(10**9))

        def change(topic, frames):
            hit = topic == "request" and next(count) == 100
            return [altered(frames, reason="forged")] if hit else [frames]

        forged = rewrite(change)
        done = self.run(str(forged), "--check")
        assert done.exit_code == 1
        assert "NOT EQUAL" in done.stdout
        assert "step 101: request.reason" in done.stdout
        assert self.run(str(forged)).exit_code == 0

    def test_a_file_of_which_the_last_is_lost_is_equal_up_to_there(self, rewrite, attempt):
        blocks = [each.received for each in Recording.open(attempt).messages({"emg/amplifier"})]
        cut = TestLost().cut(blocks[-20].message.t_ns)
        for outcome, code in (("complete", 1), ("fault", 0)):
            folder = str(rewrite(cut, outcome=outcome))
            assert self.run(folder, "--check").exit_code == code
            said = json.loads(self.run(folder, "--check", "--json").stdout)
            assert (said["equal"], said["outcome"], said["whole"]) == (code == 0, outcome, code == 1)

    def test_a_controller_that_is_gone_is_not_equal(self, rewrite):
        done = self.run(str(rewrite(without(*CONTROLLERS))), "--check")
        assert done.exit_code == 1
        assert "controller" in done.stdout

    def test_a_recording_in_which_nothing_was_decided_is_one_line(self, rewrite):
        decided = ("start/", "step/")
        folder = rewrite(
            lambda topic, frames: [] if topic.startswith(decided) or topic in (*CONTROLLERS, *STIMULATORS, *DIRECTORS)
            else [frames]
        )  # fmt: skip
        done = self.run(str(folder), "--check")
        assert done.exit_code == 2
        assert "nothing was decided in it" in done.stderr
        assert len(done.stderr.splitlines()) == 1

    def test_what_is_no_recording_is_one_line(self, tmp_path):
        done = self.run(str(tmp_path), "--check")
        assert done.exit_code == 2
        assert len(done.stderr.splitlines()) == 1


def test_start_records_name_what_they_are_of(attempt):
    assert {start.kind for start in messages(attempt, Start)} == set(BUILDERS)

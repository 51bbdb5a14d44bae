"""From protocol, rig and subject to what each node is told; and one clear line where that cannot be."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.origins import Origins
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.acting import scripted_operator
from myoloop.experiments.sessions.run import check, prepare, run_lockstep
from myoloop.experiments.sessions.setup import (
    SetupError,
    body_settings,
    controller_settings,
    director_settings,
    make_setup,
    recording_metadata,
    stimulator_node_settings,
    summarise,
)
from myoloop.experiments.sessions.simulated_rig import simulated_rig, simulated_rig_data
from myoloop.experiments.sessions.survey import origins_of, survey
from myoloop.experiments.sessions.virtual_body import VirtualBodyError, group_of
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.platform.errors import UserError
from myoloop.platform.messages import SampleDescriptor
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.rig import Rig, StopPaths, load_rig
from myoloop.platform.yamlfile import FileError
from myoloop.stimulators.dose_ledger import Ledger
from myoloop.stimulators.gate import DoseTotals

EMG = SampleDescriptor(
    topic="emg/amplifier", rate_hz=2000.0, dtype="<i2", channels=("spare", "ext"), units=("V", "V"),
    scale=(1e-6, 1e-6), offset=(0.0, 0.0),
)  # fmt: skip
IMU = SampleDescriptor(
    topic="imu/amplifier", rate_hz=100.0, dtype="<f4",
    channels=("gx", "ax", "ay", "az", "gy", "gz"),
    units=("rad/s", "m/s^2", "m/s^2", "m/s^2", "rad/s", "rad/s"), scale=(1.0,) * 6, offset=(0.0,) * 6,
)  # fmt: skip


@pytest.fixture
def drill(root) -> Path:
    return root / "tests" / "data" / "drill.yaml"


@pytest.fixture
def protocol(drill):
    return load_protocol(drill)


@pytest.fixture
def rig(protocol):
    """The protocol's simulated rig with a change to its plain data."""

    def changed(change=lambda data: None) -> Rig:
        data = simulated_rig_data(protocol)
        change(data)
        return Rig.model_validate(data)

    return changed


@pytest.fixture
def setup(protocol, rig, tmp_path):
    """A session, decided."""

    def made(change=lambda data: None, text: tuple[str, str] | None = None):
        chosen = protocol
        if text is not None:
            path = tmp_path / "changed.yaml"
            before = Path(protocol.path).read_text()
            assert text[0] in before
            path.write_text(before.replace(*text))
            chosen = load_protocol(path)
        folder = tmp_path / "sub-P001" / "ses-01" / "att-1"
        return make_setup(
            chosen, rig(change), subject="P001", session="s1", folder=folder, parameters=SubjectParameters(), seed=3
        )

    return made


def one_line(error: UserError) -> str:
    text = str(error)
    assert "\n" not in text
    assert error.exit_code == 2
    return text


class TestSession:
    def test_it_knows_who_is_what_and_where_the_dose_is_kept(self, setup, tmp_path):
        made = setup()
        assert made.roles() == {
            "body": "subject", "amplifier": "acquisition", "controller": "controller", "stimulator": "stimulator",
            "director": "director", "recorder": "recorder",
        }  # fmt: skip
        assert made.channels() == {"ext": 0}
        assert made.simulated
        # Beside the sessions, in the person's own folder.
        assert made.ledger == tmp_path / "sub-P001" / "dose.jsonl"

    def test_the_record_says_what_it_is(self, setup):
        metadata = recording_metadata(replace(setup(), copies={"sha256.rig.yaml": "ab"}), 12)
        assert metadata["simulated"] == "true"
        assert metadata["seed"] == "3"
        assert (metadata["subject"], metadata["protocol"], metadata["rig_class"]) == ("P001", "drill", "SIM")
        assert metadata["sha256.rig.yaml"] == "ab"
        assert len(metadata["policy_sha256"]) == 64
        assert all(isinstance(value, str) for value in metadata.values())

    @pytest.mark.parametrize("rig_class", ["SIM", "BENCH"])
    def test_what_was_simulated_is_told_by_the_parts_and_not_by_the_class(self, setup, rig, rig_class):
        def of_class(data):
            data["rig"]["class"] = rig_class

        metadata = recording_metadata(replace(setup(), rig=rig(of_class)), 12)
        assert (metadata["simulated"], metadata["seed"]) == ("true", "3")
        assert [metadata[f"origin.{part}"] for part in ("emg", "stimulation", "body")] == ["simulated"] * 3

    def test_real_emg_from_a_file_is_not_said_to_be_simulated(self, setup, tmp_path):
        (tmp_path / "emg.csv").write_text("\n".join(f"{k},0" for k in range(3000)) + "\n")
        (tmp_path / "map.yaml").write_text("rate: 1000 Hz\nchannels: [{from: 1, name: ext, unit: uV}]\n")

        def played(data):
            settings = {"file": str(tmp_path / "emg.csv"), "mapping": str(tmp_path / "map.yaml")}
            data["nodes"]["amplifier"] = {"role": "acquisition", "source": "playback", "settings": settings}
            data["nodes"]["body"] = {"role": "subject"}
            del data["imu"]

        made = setup(played)
        assert made.simulated
        assert made.origins == Origins("recorded", "simulated", "simulated")

    def test_what_was_not_simulated_is_not_said_to_be(self, setup, rig):
        def live(data):
            data["rig"]["class"] = "HUMAN"
            data["nodes"]["amplifier"] = {"role": "acquisition", "source": "lsl", "settings": {"name": "x"}}
            data["nodes"]["stimulator"]["settings"]["address"] = "unix:/nowhere"
            del data["nodes"]["body"]

        known = survey(rig(live))
        metadata = recording_metadata(replace(setup(), rig=rig(live), known=known), 12)
        # The stimulator alone is: nobody gets its current.
        assert (metadata["simulated"], metadata["seed"]) == ("true", "")
        assert [metadata[f"origin.{part}"] for part in ("emg", "stimulation", "body")] == [
            "live", "simulated", "person"
        ]  # fmt: skip
        assert origins_of(rig(live), known, stimulates=False) == Origins("live", "none", "person")

    def test_a_script_acts_on_no_person(self, setup):
        made = setup()
        scripted_operator(made)
        person = made.rig.model_copy(update={"rig": made.rig.rig.model_copy(update={"rig_class": "HUMAN"})})
        with pytest.raises(SetupError, match="HUMAN") as caught:
            scripted_operator(replace(made, rig=person))
        one_line(caught.value)


class TestController:
    def test_a_muscle_is_a_column_of_its_source(self, setup):
        settings = controller_settings(setup(), [EMG, IMU])
        (muscle,) = settings.muscles
        assert (muscle.muscle, muscle.topic, muscle.column) == ("ext", "emg/amplifier", 1)
        assert settings.emg[0].stimulated
        (stim,) = settings.stim
        assert (stim.channel, stim.phase_us, stim.rate_hz, stim.muscle) == ("ext", 250.0, 35.0, "ext")

    def test_the_inertial_sensors_axes_are_found_by_their_unit(self, setup):
        imu = controller_settings(setup(), [EMG, IMU]).imu
        assert (imu.accelerometer, imu.gyroscope) == ((1, 2, 3), (0, 4, 5))
        assert controller_settings(setup(), [EMG]).imu is None

    @pytest.mark.parametrize(("descriptors", "there"), [([IMU], "no EMG at all"), ([EMG], "spare, ext")])
    def test_a_channel_that_the_source_does_not_have(self, setup, rig, descriptors, there):
        def elsewhere(data):
            data["emg"]["ext"]["channel"] = "CH9"

        with pytest.raises(SetupError) as caught:
            controller_settings(replace(setup(), rig=rig(elsewhere)), descriptors)
        assert one_line(caught.value) == f"emg.ext.channel: found 'CH9', source amplifier has {there}"

    def test_settings_come_with_units_and_the_trained_muscle_is_meant_unless_another_is_said(self, setup):
        made = setup(text=("policy: open_loop", "policy: emg_trigger\n  settings: {sustain: 0.3 s}"))
        policy = controller_settings(made, [EMG]).policy
        assert (policy.name, policy.settings) == ("emg_trigger", {"sustain_ms": 300.0, "muscle": "ext"})

    @pytest.mark.parametrize(
        ("new", "says"),
        [
            ("policy: emg_trigger\n  settings: {sustian: 0.3 s}", "controller.settings.sustian: unknown key"),
            ("policy: emg_triger", "there is no policy 'emg_triger'"),
            ("policy: open_loop\n  estimators: {effrt: {}}", "there is no estimator 'effrt'"),
            ("policy: open_loop\n  estimators: {effort: {shortest: 3}}", "estimators.effort.shortest: found 3"),
        ],
    )  # fmt: skip
    def test_a_choice_that_does_not_fit_is_one_line(self, setup, new, says):
        with pytest.raises(UserError) as caught:
            controller_settings(setup(text=("policy: open_loop", new)), [EMG])
        assert says in one_line(caught.value)

    def test_a_reflex_of_the_wrong_kind_is_one_line(self, setup):
        made = setup(text=("reflex: {spasm: {enabled: false}}", "reflex: {spasm: {enabled: perhaps}}"))
        with pytest.raises(UserError, match=r"controller\.reflex: .*bool") as caught:
            controller_settings(made, [EMG])
        one_line(caught.value)


class TestOtherNodes:
    def test_the_gate_watches_everybody_but_itself_the_body_and_the_console(self, setup):
        told = stimulator_node_settings(setup(), [EMG, IMU])
        assert sorted(told["watched"]) == ["amplifier", "controller", "director", "recorder", "supervisor"]
        assert (told["subject"], told["session"], told["rig_class"]) == ("P001", "s1", "SIM")

    def test_it_listens_to_the_muscles_channels_alone(self, setup):
        (vital,) = stimulator_node_settings(setup(), [EMG, IMU])["vitals"]
        assert vital == {"topic": "vital/amplifier", "rate_hz": 2000.0, "channels": [1]}

    def test_the_director_waits_for_everybody_whom_the_session_needs(self, setup):
        settings = director_settings(setup())
        assert sorted(settings.peers) == [
            f"heartbeat/{name}" for name in ("amplifier", "controller", "recorder", "stimulator", "supervisor")
        ]
        assert settings.stimulator == "stimulator"

    def test_the_body_has_the_protocols_muscles_under_its_electrodes(self, setup):
        body = body_settings(setup())
        (muscle,) = body.muscles
        assert (muscle.name, muscle.emg_channels, muscle.outputs) == ("ext", ("ext",), ((0, "ext"),))
        assert (body.source, body.heard, body.seed) == ("amplifier", True, 3)
        assert body.device.current_max_ma == survey(setup().rig).device.current_max_ma

    def test_a_body_that_only_lends_its_stimulator_is_heard_by_nobody(self, setup):
        def bare(data):
            data["nodes"]["body"] = {"role": "subject"}
            data["nodes"]["amplifier"] = {"role": "acquisition", "source": "lsl", "settings": {"name": "x"}}

        body = body_settings(setup(bare))
        assert not body.heard
        assert [muscle.name for muscle in body.muscles] == ["ext"]

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ({"muscles": ["ext"]}, "nodes.body.settings.muscles: expected `object"),
            ({"muscles": {"ext": {"emg": "ext"}}}, "nodes.body.settings.muscles[...].emg: expected `array`"),
            ({"muscles": {"ext": {"egm": []}}}, "egm"),
            ({"muscles": {}}, "at least one muscle"),
            ({"muscles": {"ext": {"emg": ["ext", "ext"]}}}, "ext comes twice"),
            ({"sauce": "amplifier"}, "sauce"),
        ],
    )
    def test_a_body_that_cannot_be_made_is_one_line(self, setup, settings, says):
        def change(data):
            data["nodes"]["body"]["settings"] = settings

        with pytest.raises(FileError) as caught:
            setup(change)
        assert one_line(caught.value).startswith("nodes.body.settings")
        assert says in str(caught.value)


class TestRigAndProtocol:
    def test_a_rig_is_summed_up_for_lint(self, protocol, rig):
        summary = summarise(rig())
        assert summary.rig_class == "SIM"
        assert [(each.name, each.kind, each.rate_hz) for each in summary.inputs] == [
            ("ext", "emg", 2000.0), ("imu", "imu", 100.0)
        ]  # fmt: skip
        assert [(each.name, each.output) for each in summary.outputs] == [("ext", 0)]

    @pytest.mark.parametrize(
        ("stimulator", "says"),
        [
            ({"driver": "simulatd"}, "stimulator.driver: there is no driver 'simulatd' (did you mean simulated?)"),
            ({"driver": "simulated", "settings": {"outptus": 2}}, "settings.outptus: unknown key (did you mean"),
            ({"driver": "simulated", "settings": {"outputs": "two"}}, "settings.outputs: expected `int`"),
            ({"driver": "simulated", "settings": {"current_step_ma": 0.3}}, "current_step_ma: found 0.3: must be 1 mA"),
            ({"driver": "simulated", "settings": {"outputs": -2}}, "settings.outputs: found -2: must be 1 to 64"),
        ],
    )  # fmt: skip
    def test_a_driver_that_cannot_be_made_is_one_line(self, rig, stimulator, says):
        def change(data):
            data["nodes"]["stimulator"] = {"role": "stimulator", **stimulator}

        with pytest.raises(FileError) as caught:
            summarise(rig(change))
        assert says in one_line(caught.value)

    def test_a_rig_without_a_stimulator_can_do_nothing_to_anybody(self, rig):
        def ears(data):
            del data["nodes"]["stimulator"]

        assert survey(rig(ears)).device is None

    def test_a_protocol_that_the_rig_cannot_serve_is_refused(self, protocol, rig):
        def other(data):
            data["emg"] = {"flex": {"source": "amplifier", "channel": "flex"}}

        with pytest.raises(FileError, match="ext"):
            check(protocol, rig(other))

    def test_a_port_in_use_and_a_pedal_that_is_not_there(self, protocol, rig):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(SetupError, match=f"stop.port: found {port}.*in use") as caught:
                check(protocol, rig().model_copy(update={"stop": StopPaths(port=port)}))
            one_line(caught.value)
        with pytest.raises(SetupError, match=r"stop\.pedal: found '/dev/nowhere', there is no such device"):
            check(protocol, rig().model_copy(update={"stop": StopPaths(pedal="/dev/nowhere")}))

    def test_a_port_that_a_session_has_just_left_is_free(self, protocol, rig):
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            port = listening.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)):
                # Who closes first keeps the address for a minute.
                listening.accept()[0].close()
        check(protocol, rig().model_copy(update={"stop": StopPaths(port=port)}))


class TestPreparing:
    def prepare(self, drill, study, **more):
        return prepare(str(drill), **{"subject": "P001", "rig": None, "study": study, "seed": 1, **more})

    def test_copies_of_what_was_decided_are_in_the_attempt_with_their_hashes(self, drill, tmp_path):
        made = self.prepare(drill, tmp_path)
        assert made.folder == tmp_path / "sub-P001" / "ses-01" / "att-1"
        assert made.session == "sub-P001/ses-01/att-1"
        assert sorted(path.name for path in made.folder.iterdir()) == ["envelope.json", "protocol.yaml", "rig.yaml"]
        assert (made.folder / "protocol.yaml").read_bytes() == drill.read_bytes()
        assert json.loads((made.folder / "envelope.json").read_text())["session"] == made.session
        assert set(made.copies) == {"sha256.protocol.yaml", "sha256.rig.yaml", "sha256.envelope.json"}

    def test_nothing_is_overwritten(self, drill, tmp_path):
        first, second = self.prepare(drill, tmp_path), self.prepare(drill, tmp_path)
        again = self.prepare(drill, tmp_path, session=1)
        assert [made.folder.relative_to(tmp_path / "sub-P001").as_posix() for made in (first, second, again)] == [
            "ses-01/att-1", "ses-02/att-1", "ses-01/att-2"
        ]  # fmt: skip

    def test_two_attempts_at_a_session_book_their_dose_as_one_and_two_sessions_as_two(self, drill, tmp_path):
        first, again = (self.prepare(drill, tmp_path, session=1) for _ in range(2))
        other = self.prepare(drill, tmp_path)
        assert first.session != again.session
        assert [made.dose_session for made in (first, again, other)] == ["ses-01", "ses-01", "ses-02"]
        for made in (first, again):
            told = stimulator_node_settings(made, [EMG, IMU])
            assert (told["dose_session"], told["session"]) == ("ses-01", made.session)

    def test_a_person_has_one_session_at_a_time(self, drill, tmp_path):
        made = self.prepare(drill, tmp_path)
        running = Ledger.open(made.ledger, made.subject, made.dose_session)
        try:
            with pytest.raises(SetupError, match="held by another session of this person that is running") as caught:
                self.prepare(drill, tmp_path)
            assert str(made.ledger) in one_line(caught.value)
            self.prepare(drill, tmp_path, subject="P002")
        finally:
            running.close(DoseTotals(), 0)
        # Nothing of the one that was refused is left.
        assert self.prepare(drill, tmp_path).folder.parent.name == "ses-02"

    @pytest.mark.parametrize("session", [0, -1, 10_000])
    def test_a_session_that_cannot_be_is_one_line(self, drill, tmp_path, session):
        with pytest.raises(RecordingError, match=f"session {session}: 1 to 9999 is allowed") as caught:
            self.prepare(drill, tmp_path, session=session)
        one_line(caught.value)

    @pytest.mark.parametrize("study", ["file", "file/below", "/proc/nowhere"])
    def test_a_folder_that_cannot_be_made_is_one_line(self, drill, tmp_path, study):
        (tmp_path / "file").write_text("mine")
        # A file system without any room is refused for that.
        with pytest.raises((RecordingError, SetupError)) as caught:
            self.prepare(drill, tmp_path / study)
        assert study.split("/")[0] in one_line(caught.value) or "/proc" in str(caught.value)
        assert (tmp_path / "file").read_text() == "mine"

    @pytest.mark.parametrize("subject", ["", "Jane Doe", "a/b", "..", "x" * 33, "é"])
    def test_only_a_pseudonym_goes_into_a_path(self, drill, tmp_path, subject):
        with pytest.raises(UserError) as caught:
            self.prepare(drill, tmp_path, subject=subject)
        assert "pseudonym" in one_line(caught.value)
        assert list(tmp_path.iterdir()) == []

    def test_the_command_line_goes_on_with_a_session(self, drill, tmp_path, monkeypatch):
        class Fault(UserError):
            exit_code = 3

        def fails(setup, on_tick, script):
            raise Fault("the rig did not come up")

        monkeypatch.setattr("myoloop.experiments.sessions.run.run_lockstep", fails)
        for session in (["--session", "1"], ["--session", "1"], []):
            done = CliRunner().invoke(
                app, ["run", str(drill), "--subject", "P001", "--out", str(tmp_path), "--speed", "max", *session]
            )  # fmt: skip
            # Made, and then kept from running by no fault of the user's.
            assert done.exit_code == 3, done.stderr
        attempts = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.glob("sub-P001/*/*"))]
        assert attempts == ["sub-P001/ses-01/att-1", "sub-P001/ses-01/att-2", "sub-P001/ses-02/att-1"]

    def test_a_subject_may_be_a_file_of_a_virtual_one(self, drill, tmp_path):
        with pytest.raises(FileError, match="no such file"):
            self.prepare(drill, tmp_path / "study", subject=str(tmp_path / "nobody.yaml"))
        assert not (tmp_path / "study").exists()


RIG = """\
rig: {id: r, class: SIM}
nodes:
  body: {role: subject, settings: {source: amp, muscles: {ext: {emg: [ext], outputs: {ext: 0}}}}}
  amp: {role: acquisition, source: simulated}
  controller: {role: controller}
  stimulator: {role: stimulator, driver: simulated}
  director: {role: director}
  recorder: {role: recorder}
emg:
  ext: {source: amp, channel: ext}
stimulation:
  ext: {output: 0, pad: 5x5 cm}
"""


class TestRefused:
    """What is wrong with a rig is told before anything is made of it."""

    @pytest.fixture
    def refused(self, drill, tmp_path, monkeypatch):
        """Prepare and run in lockstep with a rig that has changed; the text of what refuses it."""
        monkeypatch.chdir(tmp_path)

        def run(*changes: tuple[str, str]) -> str:
            text = RIG
            for old, new in changes:
                assert old in text
                text = text.replace(old, new, 1)
            Path("rig.yaml").write_text(text)
            with pytest.raises(UserError) as caught:
                run_lockstep(prepare(str(drill), subject="P001", rig="rig.yaml", study=tmp_path / "study", seed=1))
            # No attempt, and no number used up.
            assert not list(tmp_path.glob("study/*"))
            return one_line(caught.value)

        return run

    PLAYED = ("source: simulated}", "source: playback, settings: {file: emg.csv, mapping: map.yaml}}")

    @pytest.fixture
    def recording(self, tmp_path):
        (tmp_path / "emg.csv").write_text("\n".join(f"{k},0" for k in range(3000)) + "\n")
        mapping = tmp_path / "map.yaml"
        mapping.write_text("rate: 1000 Hz\nchannels: [{from: 1, name: ext, unit: uV}]\n")
        return mapping

    def test_a_source_that_only_goes_at_real_time(self, refused, recording):
        settings = "source: lsl, settings: {name: x}}"
        said = refused(("source: simulated}", settings))
        assert said.startswith("nodes.amp.source: found 'lsl'")
        assert "--speed real" in said

    def test_a_rig_without_a_body(self, refused, recording):
        body = RIG.splitlines(keepends=True)[2]
        elsewhere = ("driver: simulated", "driver: simulated, settings: {address: unix:/x}")
        assert "role subject" in refused((body, ""), self.PLAYED, elsewhere)

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ([("source: simulated", "source: nosuch")], "rig.yaml:4: nodes.amp.source: there is no source 'nosuch'"),
            ([PLAYED, ("file:", "fille:")], "rig.yaml:4: nodes.amp.settings.fille: unknown key (did you mean file?)"),
            ([PLAYED, ("{file: emg.csv, ", "{")], "rig.yaml:4: nodes.amp.settings: object missing required field"),
            ([PLAYED, ("map.yaml", "3")], "rig.yaml:4: nodes.amp.settings.mapping: expected `str`, got `int`"),
            ([PLAYED, ("map.yaml", "map.yaml, block_ms: 0")], "rig.yaml:4: nodes.amp.settings: block_ms: found 0.0"),
            ([PLAYED, ("emg.csv", "none.csv")], "rig.yaml:4: nodes.amp.settings.file: {here}/none.csv: no such file"),
            ([PLAYED, ("map.yaml", "no.yaml")], "rig.yaml:4: nodes.amp.settings.mapping: {here}/no.yaml: no such file"),
            ([PLAYED, ("channel: ext", "channel: CH9")], "rig.yaml:10: emg.ext.channel: found 'CH9', source amp has e"),
            ([("channel: ext", "channel: CH9")], "rig.yaml:10: emg.ext.channel: found 'CH9', source amp has ext, sy"),
            ([("driver: simulated", "driver: nosuch")], "rig.yaml:6: nodes.stimulator.driver: there is no driver"),
            ([("driver: simulated", "driver: simulated, settings: {outptus: 2}")], "rig.yaml:6: nodes.stimulator.sett"),
            ([("source: amp, muscles", "sauce: amp, muscles")], "rig.yaml:3: nodes.body.settings: "),
            ([("{emg: [ext]", "{emg: [1]")], "rig.yaml:3: nodes.body.settings.muscles[...].emg"),
            ([("stimulation:", "stop: {pedal: /dev/nowhere}\nstimulation:")], "rig.yaml:11: stop.pedal: found "),
            ([PLAYED, ("ext: {source: amp, channel: ext}", "ext: {source: amp, channel: ext}\nimu: {source: amp}")],
             "rig.yaml:11: imu.source: found 'amp', a source without accelerometer and gyroscope"),
        ],
    )  # fmt: skip
    def test_a_mistake_in_the_rig_file_names_line_and_key(self, refused, recording, tmp_path, changes, says):
        assert says.format(here=tmp_path) in refused(*changes)

    @pytest.mark.parametrize("what", ["amp.source", "stimulator.driver"])
    def test_what_is_simulated_needs_a_body(self, drill, tmp_path, what):
        path = tmp_path / "rig.yaml"
        path.write_text("".join(line for line in RIG.splitlines(keepends=True) if "role: subject" not in line))
        with pytest.raises(FileError) as caught:
            summarise(load_rig(path))
        line = 3 if what == "amp.source" else 5
        says = f"{path}:{line}: nodes.{what}: found 'simulated', which needs a node of role subject on this rig"
        assert any(problem.startswith(says) for problem in caught.value.problems)
        # Or one that listens somewhere else.
        path.write_text(path.read_text().replace("simulated}", "simulated, settings: {address: unix:/x}}"))
        assert summarise(load_rig(path)).device is not None

    def test_a_mistake_in_the_recording_names_its_line_and_cell(self, refused, recording, tmp_path):
        (tmp_path / "emg.csv").write_text("1,2\n3,4\n5,six\n")
        assert refused(self.PLAYED) == f"{tmp_path}/emg.csv:3: column 2: found 'six', a number is needed"

    def test_a_mistake_in_the_mapping_names_its_line_and_key(self, refused, recording, tmp_path):
        recording.write_text("rate: 1000\nchannels: [{from: 1, name: ext, unit: uV}]\n")
        assert refused(self.PLAYED).startswith(f"{tmp_path}/map.yaml:1: rate: found 1000")

    def test_a_recording_too_slow_for_the_protocol(self, refused, recording):
        recording.write_text("rate: 500 Hz\nchannels: [{from: 1, name: ext, unit: uV}]\n")
        assert "min_rate: found 1000 Hz, the rig r acquires ext at 500 Hz" in refused(self.PLAYED)

    def test_every_mistake_is_told_at_once(self, drill, tmp_path):
        path = tmp_path / "rig.yaml"
        path.write_text(RIG.replace("source: simulated", "source: nosuch").replace("driver: simulated", "driver: none"))
        with pytest.raises(FileError) as caught:
            prepare(str(drill), subject="P001", rig=str(path), study=tmp_path / "study", seed=1)
        assert len(caught.value.problems) == 2


def test_a_simulated_rig_has_what_any_preset_needs(root):
    from myoloop.experiments.protocols.schema import presets

    for path in presets().values():
        chosen = load_protocol(path)
        if "SIM" in chosen.protocol.rigs:
            check(chosen, simulated_rig(chosen))


def test_who_is_named_by_a_pseudonym_alone_is_drawn_from_the_group_of_the_rig():
    data = simulated_rig_data(load_protocol("demo"))
    assert group_of(Rig.model_validate(data)) == "demo"
    data["nodes"]["body"]["settings"]["group"] = "able_bodied"
    assert group_of(Rig.model_validate(data)) == "able_bodied"
    data["nodes"]["body"]["settings"]["group"] = "nobody"
    with pytest.raises(VirtualBodyError, match=r"nodes\.body\.settings\.group: found 'nobody', allowed: demo, able"):
        group_of(Rig.model_validate(data))

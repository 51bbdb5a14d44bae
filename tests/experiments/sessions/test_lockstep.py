"""A whole session under a virtual clock: the same every time, and whole however it ends."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from myoloop.experiments.objects import BUILDERS
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.replay import replay
from myoloop.experiments.sessions.lockstep import TICK_NS, Lockstep, LockstepBus
from myoloop.experiments.sessions.run import prepare
from myoloop.experiments.sessions.setup import make_setup
from myoloop.experiments.sessions.simulated_rig import simulated_rig
from myoloop.experiments.subjects.population import draw
from myoloop.platform.clock import VirtualClock
from myoloop.platform.messages import DeviceReport, Event, Phase, Pulses, StimReport, StimRequest
from myoloop.platform.node import NodeFault
from myoloop.platform.recording.folder import create_attempt
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.verify import verify
from myoloop.platform.steps import Outgoing

#: A train of a second, and what comes before and after.
TEXT = """
protocol: {id: short, version: 1.0.0, schema: 1, title: One train, rigs: [SIM], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [ext]}
  stim: {class: mA, min_step: 1 mA}
sites:
  ext: {muscle: wrist extensors, side: left, pad: 5x5 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 20 mA, step: 2 mA, slew: 20 mA/s}
stimulation:
  ext: {site: ext, phase: 250 us, rate: 35 Hz}
thresholds: {motor: 12 mA, tolerance: 20 mA}
phases:
  - rest: {name: begin, duration: 0.3 s}
  - block: {name: train, trials: 1, machine: cyclic, ramp_up: 0.5 s, hold: 1.5 s, ramp_down: 0.2 s, rest: 2.3 s,
            intensity: {ref: motor, x: 1.0}}
controller: {policy: open_loop}
stop_rules: [{session_max: 1 min}]
outcomes: {primary: trials_done}
"""
DECISIONS = ("step/", "start/", "estimate", "request", "report", "phase", "trial", "pulse", "emg/")


@pytest.fixture(scope="module")
def protocol(tmp_path_factory):
    path = tmp_path_factory.mktemp("protocol") / "short.yaml"
    path.write_text(TEXT)
    return load_protocol(path)


@pytest.fixture(scope="module")
def make(protocol):
    """A session of that protocol, in a study of its own."""

    def made(study: Path, seed: int = 1, protocol=protocol, **more) -> Lockstep:
        folder = create_attempt(study, "P001", 1)
        setup = make_setup(
            protocol, simulated_rig(protocol), subject="P001", session="s1", folder=folder, parameters=draw(seed),
            seed=seed,
        )  # fmt: skip
        return Lockstep(setup, **more)

    return made


@pytest.fixture(scope="module")
def make_at(make, tmp_path_factory):
    """The same, at another pulse rate."""

    def made(study: Path, rate: str) -> Lockstep:
        path = tmp_path_factory.mktemp("protocol") / "other.yaml"
        path.write_text(TEXT.replace("rate: 35 Hz", f"rate: {rate}"))
        return make(study, protocol=load_protocol(path))

    return made


@pytest.fixture(scope="module")
def played(make, tmp_path_factory):
    """That session once, to its end."""
    session = make(tmp_path_factory.mktemp("study"))
    return session, session.run()


def decisions(folder: Path) -> dict[str, list[tuple]]:
    """Bytes of everything that was measured and decided, by topic, with the time it was recorded."""
    found: dict[str, list[tuple]] = {}
    for topic, frames, log_time_ns in Recording.open(folder).frames():
        if topic.startswith(DECISIONS):
            found.setdefault(topic, []).append((log_time_ns, *frames))
    return found


class TestRepeatable:
    def test_one_seed_twice_gives_the_same_bytes(self, played, make, tmp_path):
        session, result = played
        again = make(tmp_path)
        assert again.run() == result
        first, second = decisions(session.setup.folder), decisions(again.setup.folder)
        assert {"step/controller", "estimate", "request", "report", "phase", "pulse"} <= set(first)
        assert first == second

    def test_another_seed_does_not(self, played, make, tmp_path):
        other = make(tmp_path, seed=2)
        other.run()
        first, second = decisions(played[0].setup.folder), decisions(other.setup.folder)
        for topic in ("step/controller", "estimate", "emg/amplifier"):
            assert first[topic] != second[topic]

    def test_it_replays_equal(self, played):
        result = replay(played[0].setup.folder, BUILDERS)
        assert result.equal
        assert result.exact
        assert {each.name for each in result.objects} == {"controller", "stimulator", "director"}
        assert all(each.outputs and not each.not_replayable for each in result.objects)


class TestSession:
    def test_it_goes_to_its_end_and_the_train_was_given(self, played):
        session, result = played
        assert (result.outcome, result.reason) == ("complete", "")
        recording = Recording.open(session.setup.folder)
        assert (recording.outcome, recording.complete, recording.simulated) == ("complete", True, True)
        assert verify(session.setup.folder).status == "good"
        reports = [each.received.message for each in recording.messages({"report"})]
        most_ma = max(setting.current_ma for report in reports for setting in report.acknowledged)
        assert most_ma == pytest.approx(12.0)

    def test_a_request_reaches_the_gate_one_cycle_after_the_samples_it_was_made_from(self, played):
        recording = Recording.open(played[0].setup.folder)
        requests = {each.received.reference[1:]: each.received.message.t_ns for each in recording.messages({"request"})}
        delays = [
            each.received.message.t_ns - requests[each.received.message.request]
            for each in recording.messages({"report"})
            if each.received.message.request is not None
        ]
        assert len(delays) > 300
        assert set(delays) == {TICK_NS}

    def test_pulses_come_after_the_verdict_that_allowed_them(self, played):
        recording = Recording.open(played[0].setup.folder)
        first = next(m for m in messages(recording, StimReport) if m.allowed)
        pulses = [t_ns for m in messages(recording, Pulses) for t_ns in m.t_ns]
        assert min(pulses) >= first.t_ns
        assert len(pulses) == pytest.approx(2.2 * 35, abs=8)

    def reports_of(self, protocol: Path, study: Path, session: int) -> list[StimReport]:
        setup = prepare(str(protocol), subject="P001", rig=None, study=study, seed=1, session=session)
        Lockstep(setup).run()
        return messages(Recording.open(setup.folder), StimReport)

    def test_the_dose_is_booked_once_it_is_over(self, played):
        session, _ = played
        (entry,) = [json.loads(line) for line in session.setup.ledger.read_text().splitlines()]
        assert (entry["subject"], entry["session"]) == ("P001", "ses-01")
        last = messages(Recording.open(session.setup.folder), StimReport)[-1]
        assert entry["charge_mc"] == last.dose.session_charge_mc > 0

    def test_a_session_that_is_tried_again_goes_on_with_its_dose_up_to_the_limit(self, tmp_path):
        path = tmp_path / "short.yaml"
        path.write_text(TEXT.replace("slew: 20 mA/s", "slew: 20 mA/s, total_on: 3 s"))
        first, again, other = (self.reports_of(path, tmp_path, session) for session in (1, 1, 2))
        had = first[-1].dose
        assert 2.0 < had.session_on_s < 3.0
        assert (again[0].dose.session_on_s, again[0].dose.session_charge_mc) == (
            had.session_on_s, had.session_charge_mc
        )  # fmt: skip
        used_up = [report for report in again if report.reasons == ("session on-time of 3 s is used up",)]
        assert used_up
        assert again[-1].dose.session_on_s == pytest.approx(3.0, abs=0.05)
        # Another session begins at zero; for its day and its course the others count.
        assert other[0].dose.session_on_s == 0.0

    def test_another_persons_ledger_lets_nothing_begin(self, make, tmp_path):
        study = tmp_path / "study"
        create_attempt(study, "P001", 1)
        (study / "sub-P001" / "dose.jsonl").write_text('{"subject": "P002"}\n')
        with pytest.raises(NodeFault, match=r"dose\.jsonl"):
            make(study)

    def test_every_message_of_every_step_is_numbered_without_a_gap(self, played):
        seen: dict[tuple[str, str], int] = {}
        for received, _ in Recording.open(played[0].setup.folder).messages():
            if received.topic in ("chain", "command"):
                continue
            key = (received.topic, received.publisher)
            assert received.seq == seen.get(key, -1) + 1, key
            seen[key] = received.seq


def test_an_arming_whose_first_requests_are_lost_stimulates_all_the_same(make, tmp_path):
    session = make(tmp_path)
    gate = next(stepping for stepping in session._steppings.values() if stepping.stepped.name == "stimulator")
    takers = session.bus._subscribers["request"]
    lost = []

    def lossy(received):
        if received.message.arm_id and len(lost) < 3:
            lost.append(received.message.channels[0].current_ma)
        else:
            gate.receive(received)

    takers[takers.index(gate.receive)] = lossy
    assert session.run().outcome == "complete"
    assert lost == [0.0] * 3
    reports = messages(Recording.open(session.setup.folder), StimReport)
    assert {report.rule for report in reports if report.requested} <= {
        "",
        "rise on known ground",
        "rise onto new ground",
    }
    assert max(setting.current_ma for report in reports for setting in report.acknowledged) == pytest.approx(12.0)
    assert replay(session.setup.folder, BUILDERS).equal


class TestEndings:
    def test_a_stop_stops_and_is_told(self, make, tmp_path):
        session = make(tmp_path)
        flowing = []
        session.bus.subscribe("pulse", lambda received: flowing or flowing.append(session.stop("operator", "it hurts")))
        result = session.run()
        assert result.outcome == "stopped"
        assert "it hurts" in result.reason
        recording = Recording.open(session.setup.folder)
        stop_ns = next(each for each in recording.messages({"stop"})).log_time_ns
        pulses = [t_ns for m in messages(recording, Pulses) for t_ns in m.t_ns]
        assert pulses
        assert max(pulses) <= stop_ns
        assert replay(session.setup.folder, BUILDERS).equal

    def test_a_stop_in_mid_train_loses_no_pulse_from_the_record(self, make_at, tmp_path):
        # At 80 Hz there is a pulse between nearly every two answers of the device.
        session = make_at(tmp_path, "80 Hz")
        given = 0

        def stop_in_the_hold(received):
            nonlocal given
            given += len(received.message.t_ns)
            if given > 45:
                session.stop("operator", "it hurts")

        session.bus.subscribe("pulse", stop_in_the_hold)
        assert session.run().outcome == "stopped"
        recording = Recording.open(session.setup.folder)
        recorded = sum(len(m.t_ns) for m in messages(recording, Pulses))
        delivered = sum(len(each.received.message.pulses_ns) for each in recording.messages({"truth/pulse"}))
        assert recorded == delivered > 45
        assert [m.faults for m in messages(recording, DeviceReport) if m.faults] == []

    def test_ctrl_c_is_a_stop_and_the_recording_is_whole(self, make, tmp_path):
        session = make(tmp_path, on_tick=after(1.0, KeyboardInterrupt()))
        result = session.run()
        assert (result.outcome, result.reason) == ("stopped", "interrupted (SIGINT)")
        assert verify(session.setup.folder).status == "good"
        assert Recording.open(session.setup.folder).outcome == "stopped"

    def test_ctrl_c_breaks_into_no_step(self, make, tmp_path):
        session = make(tmp_path)
        before = signal.getsignal(signal.SIGINT)
        steps = iter(range(10**9))
        # As a step is written down, and before it has said anything.
        session.bus.subscribe("step/controller", lambda _: next(steps) == 50 and signal.raise_signal(signal.SIGINT))
        result = session.run()
        assert (result.outcome, result.reason) == ("stopped", "interrupted (SIGINT)")
        assert signal.getsignal(signal.SIGINT) is before
        replayed = replay(session.setup.folder, BUILDERS)
        assert replayed.equal
        assert {each.name: each.steps for each in replayed.objects}["controller"] == 51

    def test_a_mistake_of_ours_is_a_fault_and_the_recording_is_whole(self, make, tmp_path):
        session = make(tmp_path, on_tick=after(2.0, ZeroDivisionError("by a muscle")))
        with pytest.raises(ZeroDivisionError):
            session.run()
        recording = Recording.open(session.setup.folder)
        assert (recording.outcome, recording.reason) == ("fault", "ZeroDivisionError: by a muscle")
        assert verify(session.setup.folder).status == "good"
        # What had flowed by then is booked.
        assert session.setup.ledger.exists()

    def test_without_a_recording_nothing_is_written(self, make, tmp_path):
        session = make(tmp_path, record=False, on_tick=after(1.5, KeyboardInterrupt()))
        session.run()
        assert list(session.setup.folder.iterdir()) == []
        assert not session.setup.ledger.exists()


#: A policy and an estimator of a laboratory's own, wrong in every way but one; they do it with time.
LAB = """
from dataclasses import dataclass
import numpy
from myoloop.controllers.policies.policy import Decision
from myoloop.platform.messages import Measure

@dataclass(frozen=True)
class Nothing:
    pass

class Part:
    Settings = Nothing

    def __init__(self, settings, given):
        self.steps = 0

    def state(self):
        return {"steps": self.steps, "array": numpy.zeros(2)}

    def restore(self, state):
        raise RuntimeError("is never asked to")

class Policy(Part):
    def decide(self, given):
        self.steps += 1
        answers = [
            Decision({"ext": numpy.float64(8.0)}, "as numpy has it"), Decision({"ext": True}),
            Decision({"ext": object()}), Decision({"ext": numpy.float32(8.0)}, "x" * 2_000_000),
            Decision({"ext": 8}, 3),
        ]
        if self.steps % 6 == 5:
            raise ZeroDivisionError("by nought")
        return answers[self.steps % 6 % 5]

    def reset(self):
        if self.steps > 5:
            raise RuntimeError("stuck")

class Estimator(Part):
    def hear(self, heard, situation):
        if self.steps == 250:
            raise KeyError("lost")

    def step(self, situation):
        self.steps += 1

    def fields(self, now_ns):
        value = numpy.float64("nan" if self.steps % 10 == 0 else 0.5)
        return {"response": [Measure(value=value, valid=True, reason="")]}
"""


@pytest.fixture
def laboratory(tmp_path, monkeypatch):
    """A package of that laboratory, as if it were installed."""
    path = tmp_path / "site"
    info = path / "wrong_lab-1.0.dist-info"
    info.mkdir(parents=True)
    (path / "wrong_lab.py").write_text(LAB)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wrong-lab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[myoloop.policies]\nwrong = wrong_lab:Policy\n[myoloop.estimators]\nwrong_too = wrong_lab:Estimator\n"
    )
    monkeypatch.syspath_prepend(str(path))
    return path


def test_parts_that_are_wrong_in_every_way_end_no_session_and_replay_equal(laboratory, make, tmp_path):
    path = tmp_path / "wrong.yaml"
    chosen = "controller: {policy: wrong, estimators: {wrong_too: {}}}"
    path.write_text(TEXT.replace("controller: {policy: open_loop}", chosen))
    session = make(tmp_path / "study", protocol=load_protocol(path))
    assert session.run().outcome == "complete"
    recording = Recording.open(session.setup.folder)
    asked = [m.channels[0].current_ma for m in messages(recording, StimRequest)]
    assert set(asked) == {0.0, 8.0}
    told = [m for m in messages(recording, Event) if m.who == "controller"]
    assert {m.kind for m in told} == {"fault"}
    whys = [m.why for m in told]
    assert sorted(why[: len("policy 'wrong' refused")] for why in whys if why.startswith("policy")) == [
        "policy 'wrong' failed:", "policy 'wrong' failed:", "policy 'wrong' failed:", "policy 'wrong' refused"
    ]  # fmt: skip
    assert [why for why in whys if "fields" in why] == [
        "estimator 'wrong_too' failed: fields: response holds np.float64(nan), not a finite number"
    ]
    assert [why for why in whys if "hear" in why] == ["estimator 'wrong_too' failed: hear: KeyError: 'lost'"]
    result = replay(session.setup.folder, BUILDERS)
    assert result.equal
    assert result.exact


class TestBus:
    def test_it_numbers_by_publisher_and_topic_and_hands_on_to_who_asked(self):
        bus = LockstepBus("s1", VirtualClock(), None)
        heard = []
        bus.subscribe("event", heard.append)
        mark = Outgoing("event", Event(t_ns=1, kind="mark", who="x"))
        said = [bus.publish("a", mark), bus.publish("b", mark), bus.publish("a", mark)]
        assert [(each.publisher, each.seq) for each in said] == [("a", 0), ("b", 0), ("a", 1)]
        assert heard == said

    def test_what_arrives_has_been_through_the_wire(self):
        bus = LockstepBus("s1", VirtualClock(), None)
        request = StimRequest(step=1, t_ns=1, arm_id="a", lease_ms=100, channels=())
        received = bus.publish("controller", Outgoing("request", request))
        assert received.message == request
        assert received.message is not request
        assert received.crc


def messages(recording: Recording, kind: type) -> list:
    return [m for received, _ in recording.messages() if isinstance(m := received.message, kind)]


def after(seconds: float, error: BaseException):
    """Raise it once the protocol has run so long."""

    def tick(phase: Phase | None) -> None:
        if phase is not None and phase.session_s >= seconds:
            raise error

    return tick


def test_the_setups_own_seed_decides(make, tmp_path):
    session = make(tmp_path, record=False)
    other = Lockstep(replace(session.setup, seed=9), record=False)
    blocks = []
    for each in (session, other):
        each.bus.subscribe("emg/amplifier", lambda received, kept=(kept := []): kept.append(received.array.tobytes()))
        for tick in range(20):
            each.tick(tick)
        blocks.append(kept)
    assert len(blocks[0]) == len(blocks[1]) > 10
    assert blocks[0] != blocks[1]

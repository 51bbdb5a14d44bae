"""What the file says is what the device is sent, what the body gets, and what the record and the report say of it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from myoloop.experiments.analysis.session import load
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.reports import tables
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.run import prepare
from myoloop.platform.messages import Pulses, StimReport, Truth
from myoloop.platform.recording.reader import Recording
from myoloop.stimulators.simulated import SimulatedDriver, SimulatedDriverSettings

TEXT = """
protocol: {id: short, version: 1.0.0, schema: 1, title: One train, rigs: [SIM], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [ext]}
  stim: {class: mA, min_step: 1 mA}
sites:
  ext: {muscle: wrist extensors, side: left, pad: 5x9 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 20 mA, step: 2 mA, slew: 20 mA/s}
stimulation:
  ext: {site: ext, phase: PHASE, rate: RATE}
thresholds: {motor: MOTOR, tolerance: 20 mA}
phases:
  - rest: {duration: 0.3 s}
  - block: {trials: 1, machine: cyclic, ramp_up: 0.5 s, hold: 1.5 s, ramp_down: 0.2 s, rest: 5 s,
            intensity: {ref: motor, x: 1.0}}
controller: {policy: open_loop}
stop_rules: [{session_max: 1 min}]
outcomes: {primary: trials_done}
"""


class Given:
    """A session in which one train was given as the file has it."""

    def __init__(self, folder, phase: str, rate: str, motor: str) -> None:
        path = folder / "p.yaml"
        text = TEXT.replace("PHASE", phase).replace("RATE", rate).replace("MOTOR", motor)
        path.write_text(text, encoding="utf-8")
        self.protocol = load_protocol(path)
        setup = prepare(str(path), subject="P001", rig=None, study=folder / "study", seed=1)
        assert Lockstep(setup).run().outcome == "complete"
        self.folder = setup.folder

    def told(self, topic: str) -> list:
        return [each.received.message for each in Recording.open(self.folder).messages({topic})]


# The same three values, in the units that people write.
@pytest.fixture(scope="module", params=[("250 us", "35 Hz", "12 mA"), ("0.2 ms", "50 Hz", "9000 uA")])
def given(request, tmp_path_factory):
    return Given(tmp_path_factory.mktemp("given"), *request.param)


def test_width_rate_and_current_are_the_files_at_every_station(given):
    channel, motor_ma = given.protocol.stimulation["ext"], given.protocol.thresholds.motor_ma
    assert (channel.phase_us, channel.rate_hz, motor_ma) in {(250.0, 35.0, 12.0), (200.0, 50.0, 9.0)}
    reports: list[StimReport] = given.told("report")
    sent = {(one.phase_us, one.rate_hz) for report in reports for one in report.allowed}
    assert sent == {(channel.phase_us, channel.rate_hz)}
    assert max(one.current_ma for report in reports for one in report.allowed) == motor_ma
    # The bytes that the device is sent say exactly that, and it acknowledges exactly that.
    driver = SimulatedDriver(SimulatedDriverSettings(channels={"ext": 0}))
    for report in reports:
        decoded = driver.decode(driver.encode(report.allowed))
        said = [(one.current_ma, one.phase_us, one.rate_hz) for one in decoded]
        assert said == [(one.current_ma, one.phase_us, one.rate_hz) for one in report.allowed if one.current_ma]
    acknowledged = {(one.phase_us, one.rate_hz) for report in reports for one in report.acknowledged}
    assert acknowledged == sent
    pulses: list[Pulses] = given.told("pulse")
    assert {each.phase_us for each in pulses} == {channel.phase_us}
    assert max(each.current_ma for each in pulses) == motor_ma
    body: list[Truth] = given.told("truth/pulse")
    assert {each.values["phase_us"] for each in body} == {channel.phase_us}
    assert max(each.values["current_ma"] for each in body) == motor_ma
    times_ns = sorted(t_ns for each in pulses for t_ns in each.t_ns)
    gaps_s = np.diff(times_ns) * 1e-9
    assert np.median(gaps_s) == pytest.approx(1.0 / channel.rate_hz, rel=0.02)


def test_the_report_tells_what_the_raw_pulses_add_up_to(given):
    rows = [
        (t_ns, each.values["current_ma"], each.values["phase_us"])
        for each in given.told("truth/pulse")
        for t_ns in each.pulses_ns
    ]
    charge_mc = sum(current_ma * phase_us for _, current_ma, phase_us in rows) * 1e-6
    table = tables.dose(load(given.folder))
    (row,) = (row for row in table.rows if row[0] == "ext")
    told = dict(zip(table.columns, row, strict=True))
    assert told["pulses"] == str(len(rows))
    # In hundredths; a sum on the border between two may be told as either.
    assert float(told["charge (mC)"]) == pytest.approx(charge_mc, abs=0.005 + 1e-9)
    assert told["peak current (mA)"] == f"{max(current for _, current, _ in rows):.1f}"
    times_ns = sorted(t_ns for t_ns, _, _ in rows)
    assert all(later > earlier for earlier, later in pairwise(times_ns))
    period_s = 1.0 / given.protocol.stimulation["ext"].rate_hz
    on_s = (times_ns[-1] - times_ns[0]) * 1e-9 + period_s
    assert float(told["on-time (s)"]) == pytest.approx(on_s, abs=2 * period_s + 0.05)


def test_the_gates_own_account_is_never_less_than_the_raw_pulses(given):
    charge_mc = sum(
        each.values["current_ma"] * each.values["phase_us"] * len(each.pulses_ns) for each in given.told("truth/pulse")
    ) * 1e-6  # fmt: skip
    dose = given.told("report")[-1].dose
    assert charge_mc * 0.999 <= dose.session_charge_mc <= charge_mc * 1.2

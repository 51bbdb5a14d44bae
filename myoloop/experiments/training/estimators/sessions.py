"""Sessions of virtual people for estimators to learn from: the full tier's samples, and what was true.

Each person is stimulated in trains of a length, pause, rate and charge of their own, so that nothing can be learned by
heart from the schedule, and has spasms in trains and in pauses. Nobody is asked for effort: during effort the rules
hold, whoever else has learned what. Half of the able-bodied have none: what is told there is false.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.muscle import equivalent_charge_uc
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.person import MuscleSite
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.subjects.subject import VirtualSubject
from myoloop.platform.messages import ChannelSetting, Dose, Phase, SampleDescriptor, StimReport, Truth
from myoloop.stimulators.emulators.ledger import Pulse

Floats = npt.NDArray[np.float64]

GROUPS = ("chronic_sci", "acute_sci", "able_bodied")
#: The person is at rest for so long before the first train; no spasm comes in this time.
REST_S = 12.0
PHASE_US = 250.0
CHANNEL, MUSCLE, OUTPUT = "ch1", "agonist", 0
#: How finely the person is lived, and how often the truth of fatigue is noted.
_BLOCK_NS = 50_000_000
_NOTE_NS = 1_000_000_000
_RAMP_S = 0.5
#: Spread of the charge from train to train (logarithm).
_CHARGE_SPREAD = 0.08
_SPASM_RATE_PER_MIN = (3.0, 10.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """How one person is stimulated.

    Attributes
    ----------
    on_s, off_s
        Length of a train with its ramps, and of the pause after it.
    rate_hz
        Pulses.
    charge_share
        Charge over the one that recruits half of the muscle.
    """

    on_s: float
    off_s: float
    rate_hz: float
    charge_share: float


@dataclass(frozen=True, slots=True)
class Event:
    """A spasm that was there."""

    kind: str
    onset_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Session:
    """What one person's sensors gave, and what was true.

    Attributes
    ----------
    number, group
        Who: ``draw(number, group)``.
    emg, imu
        Counts (n, 2), the trigger last; SI units (m, 6).
    emg_stream, imu_stream
        What a reader must know of them.
    trains
        Begin of each train in s and its current in mA, (t, 2).
    events
        Spasms, in order of time.
    force_lost
        True share of the force lost that the usual charge recruits, once a second, (s,).
    """

    number: int
    group: str
    plan: Plan
    seconds: float
    emg: npt.NDArray[np.int16]
    imu: npt.NDArray[np.float32]
    emg_stream: SampleDescriptor
    imu_stream: SampleDescriptor
    trains: Floats
    events: tuple[Event, ...]
    force_lost: Floats


def group_of(number: int) -> str:
    """The group that a person of this number is drawn from."""
    return GROUPS[number % len(GROUPS)]


def live(number: int, seconds: float) -> Session:
    """Let person `number` live through a session; the same number and length give the same session.

    Raises
    ------
    ValueError
        If the session ends before the first train.
    """
    if not seconds >= REST_S + 10.0:
        raise ValueError(f"a session of {seconds:g} s, allowed is {REST_S + 10.0:g} s and more")
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x6C726E65, number))))
    plan = Plan(
        on_s=float(rng.uniform(4.0, 8.0)), off_s=float(rng.uniform(3.0, 8.0)), rate_hz=float(rng.uniform(20.0, 40.0)),
        charge_share=float(rng.uniform(0.85, 1.15)),
    )  # fmt: skip
    person = _restless(draw(number, group_of(number)), number, rng)
    subject = VirtualSubject(person, number, muscles=[MuscleSite(MUSCLE, (MUSCLE,), ((OUTPUT, CHANNEL),))])
    (muscle,) = subject.person.muscles
    usual_uc = plan.charge_share * muscle.recruitment_median_uc
    usual_ma = usual_uc / equivalent_charge_uc(1.0, PHASE_US, muscle.chronaxie_us)
    trains = _trains(plan, usual_ma, seconds, rng)
    emg_stream, imu_stream = subject.descriptors("amplifier")
    emg, imu, lost = [], [], []
    spasms: dict[int, Event] = {}
    next_ns = 0.0
    for end_ns in range(_BLOCK_NS, round(seconds * 1e9) + 1, _BLOCK_NS):
        begin_ns = end_ns - _BLOCK_NS
        pulses = []
        while next_ns < end_ns:
            current_ma = _current_ma(trains, plan, next_ns * 1e-9)
            if current_ma > 0.0:
                pulses.append(Pulse(int(next_ns), OUTPUT, current_ma, PHASE_US))
            next_ns += 1e9 / plan.rate_hz
        subject.see(phase_at(trains, plan, begin_ns), begin_ns)
        lived = subject.step(begin_ns, end_ns, pulses)
        emg.append(lived.emg)
        imu.append(lived.imu)
        for out in lived.truths:
            if out.topic == "truth/spasm" and isinstance(out.message, Truth):
                _note(spasms, out.message, seconds)
        if end_ns % _NOTE_NS == 0:
            lost.append(subject.force_lost(usual_uc)[MUSCLE])
    events = tuple(spasms[onset_ns] for onset_ns in sorted(spasms))
    return Session(
        number, group_of(number), plan, seconds, np.concatenate(emg), np.concatenate(imu), emg_stream, imu_stream,
        trains, events, np.array(lost),
    )  # fmt: skip


def phase_at(trains: Floats, plan: Plan, t_ns: int) -> Phase:
    """What the director says at a time."""
    begun = np.flatnonzero(trains[:, 0] <= t_ns * 1e-9 + 1e-9)
    if not begun.size:
        return Phase(t_ns=t_ns, session="learn", state="running", kind="rest", index=0, t_state_ns=0, baseline=True)
    trial = int(begun[-1])
    begin_s = float(trains[trial, 0])
    spans = (
        ("ramp_up", 0.0), ("hold", _RAMP_S), ("ramp_down", plan.on_s - _RAMP_S), ("rest", plan.on_s),
    )  # fmt: skip
    name, since_s = max((one for one in spans if begin_s + one[1] <= t_ns * 1e-9 + 1e-9), key=lambda one: one[1])
    return Phase(
        t_ns=t_ns, session="learn", state="running", kind="block", machine="cyclic", index=1, block=1, trial=trial + 1,
        trials=len(trains), trial_state=name, t_state_ns=round((begin_s + since_s) * 1e9),
    )  # fmt: skip


def report_at(trains: Floats, plan: Plan, t_ns: int) -> StimReport:
    """What the stimulator says at a time."""
    current_ma = _current_ma(trains, plan, t_ns * 1e-9)
    flowing: tuple[ChannelSetting, ...] = ()
    if current_ma > 0.0:
        flowing = (ChannelSetting(channel=CHANNEL, current_ma=current_ma, phase_us=PHASE_US, rate_hz=plan.rate_hz),)
    return StimReport(
        step=0, t_ns=t_ns, state="STIMULATING" if flowing else "ARMED", request=None, requested=flowing,
        allowed=flowing, acknowledged=flowing, rule="", reasons=(), dose=Dose(),
    )  # fmt: skip


def _restless(person: SubjectParameters, number: int, rng: np.random.Generator) -> SubjectParameters:
    """The same person with spasms often enough to be counted; of the able-bodied every second has none."""
    rate = float(rng.uniform(*_SPASM_RATE_PER_MIN))
    if group_of(number) == "able_bodied" and (number // len(GROUPS)) % 2:
        rate = 0.0
    return replace(person, spasm_rate_per_min=rate, first_spasm_s=REST_S)


def _trains(plan: Plan, usual_ma: float, seconds: float, rng: np.random.Generator) -> Floats:
    begins_s = np.arange(REST_S, seconds, plan.on_s + plan.off_s)
    spread = np.clip(rng.standard_normal(len(begins_s)), -2.5, 2.5)
    return np.column_stack([begins_s, usual_ma * np.exp(_CHARGE_SPREAD * spread)])


def _current_ma(trains: Floats, plan: Plan, t_s: float) -> float:
    begun = np.flatnonzero(trains[:, 0] <= t_s)
    if not begun.size:
        return 0.0
    since_s = t_s - trains[begun[-1], 0]
    share = min(since_s / _RAMP_S, (plan.on_s - since_s) / _RAMP_S, 1.0)
    return float(max(0.0, share) * trains[begun[-1], 1])


def _note(spasms: dict[int, Event], truth: Truth, seconds: float) -> None:
    onset_ns = truth.values["onset_ns"]
    if isinstance(onset_ns, int):
        end_ns = truth.values["end_ns"]
        end_s = end_ns * 1e-9 if isinstance(end_ns, int) else seconds
        spasms[onset_ns] = Event(str(truth.values["kind"]), onset_ns * 1e-9, end_s)

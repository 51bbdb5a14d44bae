"""How fast a spasm takes the current away: a virtual subject, the whole controller, pulses that answer its requests.

No gate and no device are in between: a request's current flows from the next 10 ms on. Latency counts from the true
onset of the involuntary drive, so it holds the detection as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from myoloop.controllers.choice import Choice
from myoloop.controllers.controller import Controller
from myoloop.controllers.settings import ControllerSettings, EmgSource, MuscleInput, StimOutput
from myoloop.experiments.subjects.muscle import equivalent_charge_uc
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.person import MuscleSite
from myoloop.experiments.subjects.subject import VirtualSubject
from myoloop.platform.messages import (
    ChannelSetting,
    Dose,
    Phase,
    Pulses,
    Samples,
    StimReport,
    StimRequest,
    Target,
    Truth,
)
from myoloop.platform.steps import Received, StepInput
from myoloop.stimulators.emulators.ledger import Pulse

BLOCK_NS = 10_000_000
RATE_HZ, PHASE_US = 33.0, 250.0
BASELINE_S, ON_S, OFF_S = 6.0, 10.0, 1.0
#: Many onsets in little time; kinds, levels and rises are the person's.
FREQUENT = {"spasm_rate_per_min": 15.0, "spasm_shortest_s": 0.3, "spasm_longest_s": 1.0, "spasm_ebb_s": 0.5,
            "spasm_chained": 0.0}  # fmt: skip
#: A spasm counts if at least this share of the target flowed when it began, and it lasted so long.
FLOWING, LASTING_S = 0.5, 0.25
#: After a spasm: what its end needs to be seen, the hold-off, and the way back.
AFTER_S = 2.0
#: Down to this share of the current.
ANSWERED = 0.1


@dataclass(frozen=True, slots=True)
class Answers:
    """What one session showed.

    Attributes
    ----------
    latency_ms
        Of each spasm that began under current; infinite where the current was never taken away while it lasted.
    lost_share
        Of the hold's time in which there was no spasm, and none had been for a while, the share without current.
    """

    latency_ms: tuple[float, ...]
    lost_share: float


def answer(person: SubjectParameters, seed: int, seconds: float) -> Answers:
    """Stimulate a person with frequent spasms in trains of 10 s, open loop, with the reflexes of the default."""
    person = replace(person, first_spasm_s=BASELINE_S + 1.0, **FREQUENT)
    subject = VirtualSubject(person, seed, muscles=[MuscleSite("agonist", ("agonist",), ((0, "ch1"),))])
    emg = subject.descriptors("amplifier")[0]
    controller = Controller(
        ControllerSettings(
            emg=(EmgSource(descriptor=emg),),
            muscles=(MuscleInput(muscle="agonist", topic=emg.topic, column=0),),
            stim=(StimOutput(channel="ch1", phase_us=PHASE_US, rate_hz=RATE_HZ, muscle="agonist"),),
            policy=Choice(name="open_loop"),
        )
    )
    per_ma = equivalent_charge_uc(1.0, PHASE_US, person.chronaxie_us)
    target = Target(
        channel="ch1", current_ma=0.5 * (person.motor_uc + person.recruitment_median_uc) / per_ma, phase_us=PHASE_US,
        rate_hz=RATE_HZ, ramp_up_s=0.5, ramp_down_s=0.5,
    )  # fmt: skip
    current_ma, next_ns, made = 0.0, 0.0, 0
    pending: list[Received] = []
    asked: list[tuple[int, float]] = []
    spasms: dict[int, int] = {}
    for number in range(1, round(seconds * 1e9 / BLOCK_NS) + 1):
        begin_ns, now_ns = (number - 1) * BLOCK_NS, number * BLOCK_NS
        pulses: list[Pulse] = []
        next_ns = max(next_ns, float(begin_ns) + 1.0)
        while current_ma > 0 and next_ns < now_ns:
            pulses.append(Pulse(int(next_ns), 0, current_ma, PHASE_US))
            next_ns += 1e9 / RATE_HZ
        lived = subject.step(begin_ns, now_ns, pulses)
        for out in lived.truths:
            if out.topic == "truth/spasm" and isinstance(out.message, Truth):
                onset_ns, end_ns = out.message.values["onset_ns"], out.message.values["end_ns"]
                if onset_ns is not None:
                    spasms[int(onset_ns)] = int(end_ns or 0)
        inbox = [
            *pending,
            Received(emg.topic, "amplifier", 1, number, Samples(first_sample=made, t_ns=now_ns), lived.emg),
        ]
        made += len(lived.emg)
        if pulses:
            sent = Pulses(
                channel="ch1", t_ns=tuple(pulse.t_ns for pulse in pulses), uncertainty_ns=300_000, kind="sent",
                current_ma=current_ma, phase_us=PHASE_US,
            )  # fmt: skip
            inbox.append(Received("pulse", "pulse", 1, number, sent))
        inbox.append(Received("phase", "phase", 1, number, _phase(now_ns, target)))
        request = next(
            out.message
            for out in controller.step(StepInput(number, now_ns, inbox))
            if isinstance(out.message, StimRequest)
        )
        current_ma = request.channels[0].current_ma
        asked.append((now_ns, current_ma))
        pending = [Received("report", "report", 1, number, _report(request, now_ns))]
    return Answers(tuple(_latencies(asked, spasms, target.current_ma)), _lost(asked, spasms))


def _lost(asked: list[tuple[int, float]], spasms: dict[int, int]) -> float:
    """Share of the hold without current though no spasm accounts for it."""
    last_ns = asked[-1][0]
    near = [(onset_ns, (end_ns or last_ns) + round(AFTER_S * 1e9)) for onset_ns, end_ns in spasms.items()]
    free = [
        current_ma
        for now_ns, current_ma in asked
        if now_ns * 1e-9 > BASELINE_S
        and 1.0 < (now_ns * 1e-9 - BASELINE_S) % (ON_S + OFF_S) < ON_S - 0.5
        and not any(begin_ns <= now_ns <= end_ns for begin_ns, end_ns in near)
    ]
    return sum(current_ma == 0.0 for current_ma in free) / max(1, len(free))


def _latencies(asked: list[tuple[int, float]], spasms: dict[int, int], target_ma: float) -> list[float]:
    found = []
    for onset_ns, end_ns in sorted(spasms.items()):
        before = onset_ns // BLOCK_NS - 1
        if not end_ns or end_ns - onset_ns < LASTING_S * 1e9 or before < 0 or before + 1 >= len(asked):
            continue
        flowing_ma = asked[before][1]
        if flowing_ma < FLOWING * target_ma:
            continue
        down_ns = next(
            (
                now_ns
                for now_ns, ma in asked[before + 1 :]
                if onset_ns <= now_ns <= end_ns and ma <= ANSWERED * flowing_ma
            ),
            None,
        )
        found.append(float("inf") if down_ns is None else (down_ns - onset_ns) / 1e6)
    return found


def _phase(now_ns: int, target: Target) -> Phase:
    since_s = now_ns * 1e-9 - BASELINE_S
    if since_s < 0:
        return Phase(
            t_ns=now_ns, session="bench", state="running", kind="rest", index=0, t_state_ns=0, arm_id="arm",
            targets=(target,), baseline=True,
        )  # fmt: skip
    trial, at_s = divmod(since_s, ON_S + OFF_S)
    begin_ns = round((BASELINE_S + trial * (ON_S + OFF_S)) * 1e9)
    spans = (("ramp_up", 0.0, 0.5), ("hold", 0.5, ON_S - 1.0), ("ramp_down", ON_S - 0.5, 0.5), ("rest", ON_S, OFF_S))
    state, offset_s, length_s = next(span for span in reversed(spans) if at_s >= span[1])
    return Phase(
        t_ns=now_ns, session="bench", state="running", kind="block", machine="cyclic", index=1, block=1,
        trial=int(trial) + 1, trials=1000, trial_state=state, t_state_ns=begin_ns + round(offset_s * 1e9),
        state_s=length_s, arm_id="arm", targets=(target,),
    )  # fmt: skip


def _report(request: StimRequest, now_ns: int) -> StimReport:
    flowing = tuple(item for item in request.channels if item.current_ma > 0)
    allowed: tuple[ChannelSetting, ...] = flowing
    return StimReport(
        step=request.step, t_ns=now_ns, state="STIMULATING" if flowing else "ARMED",
        request=("controller", 1, request.step), requested=flowing, allowed=allowed, acknowledged=allowed, rule="",
        reasons=(), dose=Dose(),
    )  # fmt: skip

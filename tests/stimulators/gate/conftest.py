"""A gate on the bench: everything healthy unless a test says otherwise, driven in cycles of 10 ms."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pytest

from myoloop.stimulators import gate

# A mutation run must test the mutant, not the package beside it.
assert str(gate.__file__).startswith(os.environ.get("MYOLOOP_MUTANT", ""))

MS = 1_000_000
WATCHED = ("controller", "emg", "recorder", "director", "supervisor")

ENVELOPE = gate.Envelope(
    session="ses-01",
    subject="P001",
    waveform_class="nmes",
    channels=(gate.ChannelLimits("left", 0, 25.0, 40.0), gate.ChannelLimits("right", 1, 25.0, 30.0)),
    phase_us=(100.0, 400.0),
    rate_hz=(2.0, 80.0),
    charge_per_phase_uc=12.0,
    rms_ma=10.0,
    rms_density_ma_cm2=1.0,
    power_density_w_cm2=0.1,
    channels_max=2,
    on_s_max=6.0,
    duty_max=0.4,
    session_on_s_max=400.0,
    session_charge_mc_max=1000.0,
    day_charge_mc_max=2000.0,
    course_charge_mc_max=20000.0,
    step_ma=1.0,
    new_ground_ma_per_s=5.0,
    known_ground_ramp_s_min=0.1,
    current_ma_calibrating=60.0,
    required_vitals=("vital/emg",),
    sensor_age_ms=100.0,
    ramp_down_s=0.5,
)
SETTINGS = gate.GateSettings(
    session="ses-01",
    subject="P001",
    rig_class="SIM",
    watched=WATCHED,
    device=gate.DeviceLimits(4, 100.0, 0.5, (20.0, 1000.0), (0.5, 200.0)),
)
#: A request still to be stamped: it gets the time of the cycle that it arrives in.
Wish = Callable[[int, str], gate.Request]


def wish(
    current_ma: float | Mapping[str, float] = 0.0,
    *,
    phase_us: float = 300.0,
    rate_hz: float = 40.0,
    age_ms: float = 2.0,
    lease_ms: int = 120,
    arm_id: str | None = None,
    settings: Sequence[gate.Setting] | None = None,
) -> Wish:
    """A request for a current on channel `left`, or on the channels named."""
    by_channel = current_ma if isinstance(current_ma, Mapping) else {"left": current_ma}
    if settings is None:
        settings = [gate.Setting(channel, ma, phase_us, rate_hz) for channel, ma in by_channel.items()]
    asked = tuple(settings)

    def stamped(now_ns: int, armed: str) -> gate.Request:
        return gate.Request(now_ns - round(age_ms * MS), armed if arm_id is None else arm_id, lease_ms, asked)

    return stamped


class Output:
    """Pulses of one output of a device, reckoned by itself.

    Parameters
    ----------
    kind
        ``minding`` gives its first pulse as it comes on, but none sooner than a period after its last one, and a new
        rate holds from the next pulse on. ``following`` has a new rate hold from the last pulse on. ``free`` is a unit
        that never stops, of which pulses go through while the output is on.
    phase
        Part of a period that the first pulse comes later.
    """

    def __init__(self, kind: str = "minding", phase: float = 0.0) -> None:
        self.kind, self.phase = kind, phase
        self.now_ns = 0.0
        self.flow: tuple[float, float] | None = None
        self.last_ns: float | None = None
        self.due_ns: float | None = None
        self.rate_hz = 0.0
        self.charge_mc = 0.0
        self.charges_uc: list[float] = []

    def set(self, flow: tuple[float, float] | None) -> None:
        """(charge per phase in uC, rate in Hz) from now on, or None."""
        if flow is not None:
            period_ns, was = 1e9 / flow[1], self.flow
            if self.due_ns is None:
                self.due_ns = self.now_ns + self.phase * period_ns
            elif self.kind == "free" and self.last_ns is None:
                pass
            elif was is None and self.kind != "free":
                self.due_ns = self.now_ns if self.last_ns is None else max(self.now_ns, self.last_ns + period_ns)
            elif was is not None and was[1] != flow[1] and self.kind == "following" and self.last_ns is not None:
                self.due_ns = max(self.now_ns, self.last_ns + period_ns)
            self.rate_hz = flow[1]
        self.flow = flow

    def run(self, elapsed_ns: int) -> None:
        """Give what is due before then."""
        until_ns = self.now_ns + elapsed_ns
        while self.due_ns is not None and self.due_ns < until_ns and (self.flow or self.kind == "free"):
            if self.flow is not None:
                self.charges_uc.append(self.flow[0])
                self.charge_mc += self.flow[0] * 1e-3
            self.last_ns, self.due_ns = self.due_ns, self.due_ns + 1e9 / self.rate_hz
        self.now_ns = until_ns


class Bench:
    """A gate, its world and its time.

    What the world says is set by attributes: `frozen` holds when a peer, a vital topic or ``phase`` was last heard,
    `missing` who was never heard, the rest is evidence by its own name.
    """

    def __init__(self, envelope: gate.Envelope = ENVELOPE, now_ns: int = 1_000 * MS, **settings: Any) -> None:
        self.envelope = envelope
        self.settings = replace(SETTINGS, **settings)
        self.state = gate.GateState()
        self.now_ns = now_ns
        self.verdict = gate.Verdict((), (), "", (), (), False, False)
        self.nonces = 0
        self.healthy()

    def healthy(self) -> None:
        self.frozen: dict[str, int] = {}
        self.missing: set[str] = set()
        self.ended: set[str] = set()
        self.phase_running = True
        self.at_rate = True
        self.connected = True
        self.acknowledged_zero = True
        self.unacknowledged_ns: int | None = None
        self.device_faults: tuple[str, ...] = ()
        self.node_faults: tuple[str, ...] = ()
        self.slept_ns = 0

    def heard(self, name: str) -> int | None:
        return None if name in self.missing else self.frozen.get(name, self.now_ns)

    def evidence(self) -> gate.Evidence:
        return gate.Evidence(
            vitals={topic: gate.VitalSign(self.heard(topic), self.at_rate) for topic in self.envelope.required_vitals},
            peers={peer: heard for peer in self.settings.watched if (heard := self.heard(peer)) is not None},
            ended_peers=frozenset(self.ended),
            phase_ns=self.heard("phase"),
            phase_running=self.phase_running,
            device=gate.DeviceEvidence(
                self.connected, self.acknowledged_zero, self.unacknowledged_ns, self.device_faults
            ),
            slept_ns=self.slept_ns,
            faults=self.node_faults,
        )

    wish = staticmethod(wish)
    output = Output

    @property
    def name(self) -> str:
        return self.state.name

    @property
    def arm_id(self) -> str:
        return self.state.arming.arm_id if self.state.arming is not None else "none"

    def ma(self, channel: str = "left") -> float:
        """What is in force on a channel."""
        return sum(setting.current_ma for setting in self.verdict.allowed if setting.channel == channel)

    def step(
        self,
        request: Wish | gate.Request | None = None,
        *,
        acts: Sequence[gate.Act] = (),
        stops: Sequence[str] = (),
        after_ms: float = 10.0,
    ) -> gate.Verdict:
        self.now_ns += round(after_ms * MS)
        asked = request if request is None or isinstance(request, gate.Request) else request(self.now_ns, self.arm_id)
        self.state, self.verdict = gate.step(
            self.state, self.settings, self.evidence(), asked, acts, stops, self.now_ns
        )
        return self.verdict

    def hold(self, request: Wish | None, ms: float, every_ms: float = 10.0) -> list[gate.Verdict]:
        """The same wish in every cycle for a while."""
        return [self.step(request, after_ms=every_ms) for _ in range(round(ms / every_ms))]

    # -- acts ------------------------------------------------------------------------------------------------------

    def act(self, kind: str, role: str = "operator", *, scripted: bool = False, **arguments: Any) -> gate.Act:
        self.nonces += 1
        return gate.Act(f"id-{self.nonces}", kind, role, arguments, scripted, f"nonce-{self.nonces}")

    def do(self, kind: str, role: str = "operator", *, scripted: bool = False, **arguments: Any) -> gate.Reply:
        """One cycle with one act, and its answer."""
        (reply,) = self.step(acts=[self.act(kind, role, scripted=scripted, **arguments)]).replies
        return reply

    def set_envelope(self, envelope: gate.Envelope | None = None, **changes: Any) -> gate.Reply:
        self.envelope = replace(envelope or self.envelope, **changes)
        return self.do("set_envelope", "director", **asdict(self.envelope))

    def confirm(self) -> gate.Reply:
        return self.do("confirm", envelope_sha256=self.envelope.sha256)

    def arm(self, mode: str = "normal", **changes: Any) -> gate.Reply:
        arguments = {"mode": mode, "session": "ses-01", "envelope_sha256": self.envelope.sha256, **changes}
        return self.do("arm", **arguments)

    # -- ways to a state -------------------------------------------------------------------------------------------

    def to_connected(self) -> Bench:
        self.step()
        assert self.set_envelope().ok
        assert self.name == "CONNECTED"
        return self

    def to_ready(self) -> Bench:
        assert self.to_connected().confirm().ok
        assert self.name == "READY"
        return self

    def to_armed(self) -> Bench:
        """Armed, and the zero request heard."""
        assert self.to_ready().arm().ok
        self.step(wish(0.0))
        assert self.name == "ARMED"
        return self

    def to_calibrating(self, channel: str = "left") -> Bench:
        assert self.to_ready().arm("calibration", channel=channel).ok
        self.step(wish(0.0))
        assert self.name == "CALIBRATING"
        return self

    def to_stimulating(self, current_ma: float = 5.0, **kind: Any) -> Bench:
        """At a current that is known ground."""
        self.to_armed().rise(current_ma, **kind)
        return self

    def rise(self, current_ma: float, phase_us: float = 300.0, **kind: Any) -> Bench:
        """Ask until it flows and is known ground."""
        for _ in range(5000):
            ground = self.state.ground.get("left")
            if self.ma() >= current_ma and ground is not None and (current_ma, phase_us) in ground.had:
                return self
            self.step(wish(current_ma, phase_us=phase_us, **kind))
        raise AssertionError(f"{current_ma} mA was never reached: {self.verdict}")

    def to_fault(self) -> Bench:
        self.to_ready()
        self.device_faults = ("lead open",)
        self.step()
        self.device_faults = ()
        assert self.name == "FAULT"
        return self

    def to_stopped(self) -> Bench:
        self.to_ready()
        self.step(stops=["pedal"])
        assert self.name == "STOPPED"
        return self

    def wait(self, s: float) -> Bench:
        """Let healthy time pass."""
        for _ in range(round(s / 0.05)):
            self.step(after_ms=50.0)
        return self


@pytest.fixture(scope="session")
def new_output() -> type[Output]:
    """Make an output of a device: `new_output(kind, phase)`."""
    return Output


@pytest.fixture(scope="session")
def new_gate() -> type[Bench]:
    """Make a gate on the bench: `new_gate(envelope, rig_class="HUMAN", ...)`."""
    return Bench


@pytest.fixture
def bench() -> Bench:
    """A gate on the bench, not yet stepped."""
    return Bench()


@pytest.fixture(scope="session", name="wish")
def wish_fixture() -> Callable[..., Wish]:
    """Make a request, stamped when it arrives."""
    return wish


@pytest.fixture(scope="session")
def envelope() -> gate.Envelope:
    """The envelope of the bench."""
    return ENVELOPE

"""Of two gates the one that is shown is the same in every arm, and the one that is obeyed never gives more."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators import blinded, gate
from myoloop.stimulators.blinded import Blind, Pair
from myoloop.stimulators.gate import DeviceEvidence, Evidence, VitalSign
from myoloop.stimulators.gate.states import Latch
from myoloop.stimulators.sham import Treatment

MS, S = 1_000_000, 1_000_000_000
DEVICE = gate.DeviceLimits(2, 100.0, 0.5, (20.0, 1000.0), (1.0, 200.0))
PLACE = gate.GateSettings(session="s1", subject="P001", rig_class="SIM", watched=("controller",), device=DEVICE)
ENVELOPE = gate.Envelope(
    session="s1", subject="P001", waveform_class="nmes",
    channels=(gate.ChannelLimits("left", 0, 25.0, 40.0), gate.ChannelLimits("right", 1, 25.0, 30.0)),
    phase_us=(100.0, 400.0), rate_hz=(2.0, 80.0), charge_per_phase_uc=12.0, rms_ma=10.0, rms_density_ma_cm2=1.0,
    power_density_w_cm2=0.1, channels_max=2, on_s_max=6.0, duty_max=0.4, session_on_s_max=20.0,
    session_charge_mc_max=60.0, day_charge_mc_max=2000.0, course_charge_mc_max=20000.0, step_ma=1.0,
    new_ground_ma_per_s=20.0, known_ground_ramp_s_min=0.1, current_ma_calibrating=60.0,
    required_vitals=("vital/amp",), sensor_age_ms=100.0, ramp_down_s=0.5,
)  # fmt: skip
ACTIVE, ZERO = Treatment(), Treatment("zero_current")
TRANSIENT = Treatment("transient", on_s=1.0, fade_s=0.5)
NORMAL = {"mode": "normal", "session": "s1", "envelope_sha256": ENVELOPE.sha256}


class World:
    """Two gates in a world in which all is well unless a test says otherwise."""

    def __init__(self, treatment: Treatment) -> None:
        self.blind = Blind(treatment, PLACE, PLACE)
        self.pair = Pair()
        self.now_ns = S
        self.heard_ns = S
        self.faults: tuple[str, ...] = ()
        self.acts = 0
        self.shown: list[object] = []

    def step(self, wish=None, act=None, stops=(), after_ms: int = 10, silent: bool = False):
        self.now_ns += after_ms * MS
        self.heard_ns = self.heard_ns if silent else self.now_ns
        evidence = Evidence(
            vitals={"vital/amp": VitalSign(self.now_ns, True)}, peers={"controller": self.heard_ns},
            ended_peers=frozenset(), phase_ns=self.now_ns, phase_running=True,
            device=DeviceEvidence(True, True, None, self.faults), slept_ns=0,
        )  # fmt: skip
        acts = [] if act is None else [self._act(*act)]
        request = None
        if wish is not None:
            asked = tuple(gate.Setting(name, ma, 300.0, 40.0) for name, ma in wish.items())
            request = gate.Request(self.now_ns, self.arm_id, 100, asked)
        self.pair, said = blinded.step(self.pair, self.blind, evidence, request, acts, stops, self.now_ns)
        self.shown.append((self.pair.nominal, said.nominal))
        return said

    def _act(self, kind: str, arguments) -> gate.Act:
        self.acts += 1
        role = "director" if kind == "set_envelope" else "operator"
        return gate.Act(f"a{self.acts}", kind, role, arguments, True, f"n{self.acts}")

    @property
    def arm_id(self) -> str:
        return self.pair.nominal.arming.arm_id if self.pair.nominal.arming is not None else ""

    def armed(self, arguments=NORMAL) -> World:
        self.step()
        for kind, given_arguments in (
            ("set_envelope", asdict(ENVELOPE)),
            ("confirm", {"envelope_sha256": ENVELOPE.sha256}),
            ("arm", arguments),
        ):
            (reply,) = self.step(act=(kind, given_arguments)).nominal.replies
            assert reply.ok, reply.reason
        self.step({"left": 0.0, "right": 0.0})
        return self

    def train(self, current_ma: float, for_s: float) -> list[tuple[float, float]]:
        """Shown and given current on ``left``."""
        found = []
        for _ in range(round(for_s * 100)):
            said = self.step({"left": current_ma})
            found.append((ma(said.nominal), ma(said.true)))
        return found


def ma(verdict: gate.Verdict, channel: str = "left") -> float:
    return sum(each.current_ma for each in verdict.allowed if each.channel == channel)


def never_more(said) -> bool:
    nominal = {each.channel: each for each in said.nominal.allowed}
    return all(
        each.channel in nominal
        and each.current_ma <= nominal[each.channel].current_ma
        and (each.phase_us, each.rate_hz) == (nominal[each.channel].phase_us, nominal[each.channel].rate_hz)
        for each in said.true.allowed
    )


WISHES = st.one_of(
    st.none(),
    st.fixed_dictionaries({"left": st.sampled_from([0.0, 4.0, 12.0, 55.0, float("nan"), -1.0])}),
    st.fixed_dictionaries({"left": st.sampled_from([8.0, 30.0]), "right": st.sampled_from([0.0, 9.5, 25.0])}),
    st.just({"nobody": 3.0}),
)
ACTS = st.one_of(
    *[st.none()] * 6,
    st.sampled_from(
        [
            ("pause", {}),
            ("arm", NORMAL),
            ("acknowledge", {}),
            ("set_envelope", asdict(ENVELOPE)),
            ("confirm", {"envelope_sha256": ENVELOPE.sha256}),
            ("arm", {**NORMAL, "mode": "calibration", "channel": "left"}),
            ("step", {"channel": "left", "current_ma": 1.0}),
        ]
    ),
)
CYCLES = st.lists(
    st.tuples(
        WISHES, ACTS, st.sampled_from([()] * 30 + [("stop",)]), st.sampled_from([3, 10, 10, 10, 40, 90]),
        st.sampled_from([False] * 8 + [True] * 3), st.integers(1, 60),
    ),
    max_size=25,
)  # fmt: skip
TREATMENTS = st.sampled_from([ZERO, TRANSIENT, Treatment("transient", 0.2, 3.0), Treatment("transient", 0.0, 0.0)])


@settings(deadline=None, max_examples=60)
@given(TREATMENTS, CYCLES)
def test_whatever_happens_what_is_shown_is_the_same_and_what_is_given_is_never_more(treatment, cycles) -> None:
    active, other = World(ACTIVE).armed(), World(treatment).armed()
    for wish, act, stops, after_ms, silent, times in cycles:
        for repeat in range(times):
            once = (act, stops) if repeat == 0 else (None, ())
            for world in (active, other):
                said = world.step(wish, *once, after_ms=after_ms, silent=silent)
                assert never_more(said)
                assert (world.pair.nominal.latch is None) == (world.pair.true.latch is None)
            assert active.pair.true == active.pair.nominal
    assert active.shown == other.shown
    assert other.pair.true.dose.charge_mc <= other.pair.nominal.dose.charge_mc
    assert other.pair.true.dose.on_s <= other.pair.nominal.dose.on_s


def test_a_transient_is_felt_as_the_active_one_and_then_fades() -> None:
    track = World(TRANSIENT).armed().train(10.0, 2.0)
    shown, given_ma = zip(*track, strict=True)
    assert shown[:100] == given_ma[:100]
    assert given_ma[-40:] == (0.0,) * 40
    assert shown[-1] == 10.0
    fading = list(given_ma[100:152])
    assert fading == sorted(fading, reverse=True)
    assert len(set(fading)) > 10


def test_nothing_at_all_flows_where_the_treatment_is_zero() -> None:
    world = World(ZERO).armed()
    assert {given_ma for _, given_ma in world.train(10.0, 3.0)} == {0.0}
    assert world.pair.true.dose == gate.DoseTotals()
    assert world.pair.nominal.dose.on_s == pytest.approx(2.9, abs=0.2)


def test_a_fade_goes_on_while_no_request_comes() -> None:
    world = World(TRANSIENT).armed()
    world.train(10.0, 1.2)
    before = ma(world.step({"left": 10.0}).true)
    after = [ma(world.step().true) for _ in range(4)]
    assert after == sorted(after, reverse=True)
    assert after[-1] < before


@pytest.mark.parametrize("treatment", [ACTIVE, ZERO, TRANSIENT])
def test_thresholds_are_the_persons_in_every_arm(treatment) -> None:
    world = World(treatment).armed({**NORMAL, "mode": "calibration", "channel": "left"})
    assert world.step(act=("step", {"channel": "left", "current_ma": 1.0})).nominal.replies[0].ok
    assert world.train(1.0, 2.0)[-1] == (1.0, 1.0)


@pytest.mark.parametrize("treatment", [ACTIVE, ZERO, TRANSIENT])
def test_a_stop_and_a_fault_are_the_same_in_every_arm(treatment) -> None:
    world = World(treatment).armed()
    world.train(10.0, 1.5)
    said = world.step({"left": 10.0}, stops=("stop (operator)",))
    assert (said.true.stop, said.true.allowed, world.pair.true.name) == (True, (), "STOPPED")
    world = World(treatment).armed()
    world.train(10.0, 1.5)
    world.faults = ("electrode open: left",)
    said = world.step({"left": 10.0})
    assert (said.true.stop, said.true.allowed) == (True, ())
    assert world.pair.nominal.latch.cause == world.pair.true.latch.cause == "device: electrode open: left"


@pytest.mark.parametrize("treatment", [ACTIVE, ZERO])
def test_a_peer_lost_in_the_ramp_of_a_pause_latches_both_though_only_one_has_a_ramp(treatment) -> None:
    world = World(treatment).armed()
    world.train(10.0, 1.5)
    assert world.step(act=("pause", {})).nominal.replies[0].ok
    for _ in range(20):
        world.step(silent=True)
    assert world.pair.nominal.name == "FAULT"
    assert world.pair.true.latch is not None
    for _ in range(1020):
        world.step()
    assert world.step(act=("acknowledge", {})).nominal.replies[0].ok
    assert world.pair.true.latch is None


def test_a_session_begun_again_goes_on_with_what_was_really_given() -> None:
    had = gate.PriorDose(5.0, 50.0, gate.DoseTotals(40.0, 12.0, 400.0))
    world = World(ZERO)
    world.blind = replace(world.blind, nominal=replace(PLACE, prior=had))
    world.step()
    assert (world.pair.nominal.dose.charge_mc, world.pair.true.dose.charge_mc) == (40.0, 0.0)


def test_a_latch_of_the_gate_that_is_obeyed_is_shown() -> None:
    """Nothing that is known leads there; should anything ever, nobody is told that all is well."""
    world = World(ZERO).armed()
    latched = replace(world.pair.true, name="FAULT", latch=Latch("device: gone", world.now_ns))
    world.pair = replace(world.pair, true=latched)
    said = world.step({"left": 10.0})
    assert (world.pair.nominal.name, said.nominal.allowed, said.true.allowed) == ("STOPPED", (), ())
    assert world.pair.nominal.latch.cause == "stop: device: gone"


def test_what_the_gate_that_is_obeyed_refuses_is_refused() -> None:
    world = World(ZERO).armed()
    assert world.step(act=("pause", {})).nominal.replies[0].ok
    world.pair = replace(world.pair, true=replace(world.pair.true, name="CONNECTED"))
    (reply,) = world.step(act=("arm", NORMAL)).nominal.replies
    assert (reply.ok, reply.reason) == (False, "arming is from READY at zero current, this is CONNECTED")

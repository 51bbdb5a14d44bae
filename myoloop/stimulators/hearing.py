"""What the stimulator's node hears becomes the gate's evidence."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isclose

from myoloop.platform.messages import (
    ChannelSetting,
    ClockSample,
    DeviceReport,
    Heartbeat,
    Phase,
    Vital,
)
from myoloop.platform.steps import Received
from myoloop.stimulators import gate

#: A vital stream is at its rate within this share of it.
RATE_TOLERANCE = 0.1
#: Commands still waiting for an acknowledgement that are remembered, to compare it with.
REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class VitalSource:
    """A vital stream the gate listens to: which channels of it matter, and its nominal rate."""

    topic: str
    rate_hz: float
    channels: tuple[int, ...]


@dataclass(slots=True)
class _Heard:
    """Evidence as it accumulates from messages."""

    vitals: dict[str, gate.VitalSign] = field(default_factory=dict)
    peers: dict[str, int] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    phase_ns: int | None = None
    phase_running: bool = False
    connected: bool = False
    oldest_unacknowledged_ns: int | None = None
    device_faults: tuple[str, ...] = ()
    acknowledged: tuple[ChannelSetting, ...] = ()
    boot_minus_monotonic_ns: int | None = None
    slept_ns: int = 0


class Hearing:
    """Collects evidence.

    Parameters
    ----------
    vitals
        Vital streams that are listened to; others say nothing.
    blinded
        Whether what is told of a disagreement must leave out by how much: numbers would tell the arm.
    """

    def __init__(self, vitals: Sequence[VitalSource], blinded: bool) -> None:
        self._vital_sources = {source.topic: source for source in vitals}
        self._blinded = blinded
        self._heard = _Heard()
        self._written = 0
        self._commanded: deque[tuple[int, tuple[ChannelSetting, ...]]] = deque(maxlen=REMEMBERED)
        self._disagreement = ""

    @property
    def connected(self) -> bool:
        """Whether the device is there."""
        return self._heard.connected

    @property
    def acknowledged(self) -> tuple[ChannelSetting, ...]:
        """What the device said last that it gives."""
        return self._heard.acknowledged

    def commanded(self, settings: tuple[ChannelSetting, ...]) -> None:
        """Remember an order, to hold the device's answer against it."""
        self._written += 1
        self._commanded.append((self._written, settings))

    def take(self, received: Received) -> None:
        """Hear a message; one that is no evidence changes nothing."""
        heard, message = self._heard, received.message
        if isinstance(message, Vital):
            self._take_vital(message, received.topic)
        elif isinstance(message, Heartbeat):
            heard.peers[received.publisher] = message.t_ns
            if message.state == "ended":
                heard.ended.add(received.publisher)
            else:
                heard.ended.discard(received.publisher)
        elif isinstance(message, Phase):
            heard.phase_ns, heard.phase_running = message.t_ns, message.state == "running"
        elif isinstance(message, DeviceReport):
            self.take_device(message)
        elif isinstance(message, ClockSample):
            difference_ns = message.boottime_ns - message.t_ns
            if heard.boot_minus_monotonic_ns is None:
                heard.boot_minus_monotonic_ns = difference_ns
            heard.slept_ns = difference_ns - heard.boot_minus_monotonic_ns

    def take_device(self, report: DeviceReport) -> None:
        """Hear what the device said."""
        heard = self._heard
        heard.connected = report.connected
        heard.oldest_unacknowledged_ns = report.oldest_unacknowledged_ns
        heard.acknowledged = report.acknowledged
        heard.device_faults = report.faults
        if not report.connected:
            self._commanded.clear()
            return
        commanded = dict(self._commanded).get(report.ack_of)
        if commanded is not None:
            self._disagreement = disagreement(commanded, report.acknowledged)
        elif report.ack_of == 0 and not any(setting.current_ma > 0 for setting in report.acknowledged):
            # This answers no order of the gate's but the stop that came of the disagreement: nothing flows now.
            self._disagreement = ""

    def evidence(self) -> gate.Evidence:
        """Everything heard until now."""
        heard = self._heard
        faults = heard.device_faults
        if self._disagreement:
            channel = self._disagreement.partition(":")[0]
            told = f"{channel}: acknowledged is not what was sent" if self._blinded else self._disagreement
            faults = (*faults, told)
        return gate.Evidence(
            vitals=heard.vitals,
            peers=heard.peers,
            ended_peers=frozenset(heard.ended),
            phase_ns=heard.phase_ns,
            phase_running=heard.phase_running,
            device=gate.DeviceEvidence(
                connected=heard.connected,
                acknowledged_zero=not any(setting.current_ma > 0 for setting in heard.acknowledged),
                oldest_unacknowledged_ns=heard.oldest_unacknowledged_ns,
                faults=faults,
            ),
            slept_ns=heard.slept_ns,
        )

    def _take_vital(self, vital: Vital, topic: str) -> None:
        source = self._vital_sources.get(topic)
        if source is None:
            return
        previous = self._heard.vitals.get(topic)
        shares = [vital.valid_share[index] for index in source.channels if index < len(vital.valid_share)]
        good = len(shares) == len(source.channels) and all(share >= 0.5 for share in shares)
        good_ns = vital.t_ns if good else previous.good_ns if previous is not None else None
        at_rate = vital.rate_hz is not None and abs(vital.rate_hz - source.rate_hz) <= RATE_TOLERANCE * source.rate_hz
        self._heard.vitals[topic] = gate.VitalSign(good_ns, at_rate)


def disagreement(commanded: Sequence[ChannelSetting], acknowledged: Sequence[ChannelSetting]) -> str:
    """How what the device acknowledged differs from what it was sent; empty where it does not."""
    sent = {setting.channel: setting for setting in commanded if setting.current_ma > 0}
    said = {setting.channel: setting for setting in acknowledged if setting.current_ma > 0}
    for channel in sorted(sent.keys() | said.keys()):
        one, other = sent.get(channel), said.get(channel)
        if one is None or other is None or not _same(one, other):
            ma = [f"{each.current_ma:g}" if each is not None else "0" for each in (one, other)]
            return f"{channel}: sent {ma[0]} mA, acknowledged {ma[1]} mA"
    return ""


def _same(one: ChannelSetting, other: ChannelSetting) -> bool:
    # A device speaks in codes; two numbers this close are the same code.
    pairs = ((one.current_ma, other.current_ma), (one.phase_us, other.phase_us), (one.rate_hz, other.rate_hz))
    return all(isclose(a, b, rel_tol=1e-9) for a, b in pairs)

"""What the gate itself has heard, and whether it is enough for current to flow.

Evidence is collected by the stimulator's own node: the vital signs of each source and the heartbeats of each peer.
What a controller claims of itself is no evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from myoloop.stimulators.gate.ceilings import ACK_TIMEOUT_NS, PEER_DEAD_NS, PHASE_STALE_NS
from myoloop.stimulators.gate.envelope import Envelope


@dataclass(frozen=True, slots=True)
class VitalSign:
    """One source, as its vital stream shows it.

    Attributes
    ----------
    good_ns
        Stamp of the last block with at least half of its samples valid; None before the first.
    at_rate
        Whether blocks come at the source's rate.
    """

    good_ns: int | None
    at_rate: bool


@dataclass(frozen=True, slots=True)
class DeviceEvidence:
    """The device, as its driver shows it.

    Attributes
    ----------
    connected
        Open, identified and not lost.
    acknowledged_zero
        Its last acknowledgement names no current on any output.
    oldest_unacknowledged_ns
        When the oldest command without an answer was written; None where all are answered.
    faults
        What it complains of, or what was found wrong with it (an acknowledgement that disagrees).
    """

    connected: bool
    acknowledged_zero: bool
    oldest_unacknowledged_ns: int | None
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything heard, at one moment.

    Attributes
    ----------
    vitals
        By topic.
    peers
        Time of the last heartbeat of every watched peer; a peer never heard is missing.
    ended_peers
        Peers whose last heartbeat said that they have ended.
    phase_ns, phase_running
        Stamp of the newest phase message, and whether it says that the protocol runs.
    device
        The device.
    slept_ns
        How much boot time has gained on monotonic time since the start.
    faults
        What the node found wrong in itself (bytes that decode to something else, a ledger that cannot be written).
    """

    vitals: Mapping[str, VitalSign]
    peers: Mapping[str, int]
    ended_peers: frozenset[str]
    phase_ns: int | None
    phase_running: bool
    device: DeviceEvidence
    slept_ns: int
    faults: tuple[str, ...] = ()


def dead_peer(evidence: Evidence, watched: tuple[str, ...], now_ns: int) -> str:
    """Name the first watched peer that is dead, and why; empty while all live."""
    for peer in watched:
        heard_ns = evidence.peers.get(peer)
        if heard_ns is None:
            return f"{peer}: never heard"
        if peer in evidence.ended_peers:
            return f"{peer}: has ended"
        if not -PEER_DEAD_NS <= now_ns - heard_ns <= PEER_DEAD_NS:
            return f"{peer}: silent for {(now_ns - heard_ns) / 1e6:.0f} ms"
    return ""


def stale_input(evidence: Evidence, envelope: Envelope, now_ns: int) -> tuple[str, str]:
    """Rule and reason why current may not flow now, though nobody is dead; two empty texts where it may."""
    age_max_ns = envelope.sensor_age_ms * 1e6
    for topic in envelope.required_vitals:
        vital = evidence.vitals.get(topic)
        if vital is None or vital.good_ns is None:
            return "stale samples", f"{topic}: no good block yet"
        if not -age_max_ns <= now_ns - vital.good_ns <= age_max_ns:
            return "stale samples", f"{topic}: last good block {(now_ns - vital.good_ns) / 1e6:.0f} ms ago"
        if not vital.at_rate:
            return "stale samples", f"{topic}: not at its rate"
    if evidence.phase_ns is None:
        return "stale phase", "no phase heard yet"
    if not -PHASE_STALE_NS <= now_ns - evidence.phase_ns <= PHASE_STALE_NS:
        return "stale phase", f"phase is {(now_ns - evidence.phase_ns) / 1e6:.0f} ms old"
    return "", ""


def node_fault(evidence: Evidence) -> str:
    """What the node has found wrong in itself; empty while nothing is."""
    return f"node: {'; '.join(evidence.faults)}" if evidence.faults else ""


def device_fault(device: DeviceEvidence, now_ns: int) -> str:
    """What is wrong with the device; empty while nothing is."""
    if not device.connected:
        return "device lost"
    if device.faults:
        return f"device: {'; '.join(device.faults)}"
    since_ns = device.oldest_unacknowledged_ns
    if since_ns is not None and now_ns - since_ns > ACK_TIMEOUT_NS:
        return f"device: no acknowledgement for {(now_ns - since_ns) / 1e6:.0f} ms"
    return ""

"""How ``myoloop top`` shows a snapshot."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table

from myoloop.experiments.top import Snapshot


def snapshot_json(snapshot: Snapshot) -> dict[str, Any]:
    """For machines."""
    return {
        "session": snapshot.session,
        "nodes": {
            name: {
                "role": beat.role,
                "state": beat.state,
                "cycle_mean_ms": beat.cycle_mean_ms,
                "cycle_worst_ms": beat.cycle_worst_ms,
                **beat.counters,
            }
            for name, beat in sorted(snapshot.nodes.items())
        },
        "streams": [
            {"topic": each.topic, "publisher": each.publisher, "rate_hz": each.rate_hz, "missing": each.missing}
            for each in snapshot.streams
        ],
    }


def snapshot_table(snapshot: Snapshot) -> Group:
    """For people."""
    nodes = Table("node", "role", "state", "cycle mean / worst (ms)", "counters", title=snapshot.session)
    for name, beat in sorted(snapshot.nodes.items()):
        counters = ", ".join(f"{key} {value:g}" for key, value in beat.counters.items())
        nodes.add_row(name, beat.role, beat.state, f"{beat.cycle_mean_ms:.2f} / {beat.cycle_worst_ms:.1f}", counters)
    streams = Table("stream", "from", "rate (Hz)", "missing")
    for each in snapshot.streams:
        streams.add_row(each.topic, each.publisher, f"{each.rate_hz:.1f}", str(each.missing))
    return Group(nodes, streams)

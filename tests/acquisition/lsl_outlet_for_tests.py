"""An LSL outlet in a process of its own: counters as samples, at rate, until standard input closes."""

from __future__ import annotations

import json
import select
import sys
import time

import numpy as np
import pylsl

FORMATS = {"<f4": pylsl.cf_float32, "<f8": pylsl.cf_double64, "<i4": pylsl.cf_int32, "<i2": pylsl.cf_int16,
           "<i8": pylsl.cf_int64, "<i1": pylsl.cf_int8, "text": pylsl.cf_string}  # fmt: skip


def main() -> None:
    given = json.loads(sys.argv[1])
    labels, units, rate_hz = given["labels"], given["units"], given["rate_hz"]
    info = pylsl.StreamInfo(
        given["name"], given["type"], len(labels), given.get("said_rate_hz", rate_hz), FORMATS[given["dtype"]],
        given["source_id"],
    )  # fmt: skip
    if units:
        channels = info.desc().append_child("channels")
        for label, unit in zip(labels, units, strict=True):
            channels.append_child("channel").append_child_value("label", label).append_child_value("unit", unit)
    outlet = pylsl.StreamOutlet(info, 20, 360)
    sys.stdout.write("up\n")
    sys.stdout.flush()
    lost = set(given.get("lost", []))
    seconds = given.get("seconds")
    sent, begun = 0, None
    while not select.select([sys.stdin], [], [], 0.002)[0]:
        if begun is None:
            begun = time.monotonic() if outlet.have_consumers() else None
            continue
        due = int((time.monotonic() - begun) * rate_hz)
        if seconds is not None:
            due = min(due, int(seconds * rate_hz))
        counts = [k for k in range(sent, due) if k not in lost]
        sent = max(sent, due)
        if counts and given["dtype"] != "text":
            chunk = np.array(counts)[:, None] * 10 + np.arange(len(labels))
            outlet.push_chunk(np.ascontiguousarray(chunk.astype(given["dtype"])))


if __name__ == "__main__":
    main()

"""A recorder that dies at any moment has lost nothing that it had taken."""

import os
import random
import signal
import subprocess
import sys

import pytest

from myoloop.platform.messages import Samples
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.recover import recover
from myoloop.platform.recording.verify import verify

pytestmark = pytest.mark.processes

# Writes block after block as fast as it can, and says after each `write` that has returned how many there are.
WRITER = """
import os, sys
import numpy as np
from myoloop.platform import wire
from myoloop.platform.messages import SampleDescriptor, Samples
from myoloop.platform.recording.writer import RecordingWriter

emg = SampleDescriptor(topic="emg/sim", rate_hz=2000, dtype="<i2", channels=("a", "b"), units=("V", "V"),
                       scale=(1e-6, 1e-6), offset=(0, 0))
writer = RecordingWriter(sys.argv[1], session="s1", descriptors=[emg], metadata={"simulated": "true"},
                         sync_every_s=0.01)
i = 0
while True:
    array = np.arange(40 * i, 40 * (i + 1)).astype("<i2").reshape(20, 2)
    frames = wire.encode("emg/sim", Samples(first_sample=20 * i, t_ns=i), session="s1", publisher="a", epoch=1,
                         seq=i, array=array)
    writer.write(frames, i * 10_000_000, i)
    i += 1
    os.write(1, i.to_bytes(4, "little"))
"""


def kill_one(folder, after):
    """Start a writer, kill it once it has reported `after` blocks, and return how many it had reported by then."""
    folder.mkdir()
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE)
    try:
        data = b""
        while len(data) < 4 * after:
            more = os.read(process.stdout.fileno(), 65536)
            assert more, "the writer ended by itself"
            data += more
        process.send_signal(signal.SIGKILL)
        data += process.stdout.read()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return len(data) // 4


def check(folder, reported):
    kept = 0
    for received, log_time_ns in Recording.open(folder).messages({"emg/sim"}):
        assert (received.seq, log_time_ns) == (kept, kept * 10_000_000)
        assert isinstance(received.message, Samples)
        assert int(received.array[-1, -1]) & 0xFFFF == (40 * kept + 39) & 0xFFFF
        kept += 1
    # One more may have been written than was reported: it was killed in between.
    assert reported <= kept <= reported + 1


def kill_many(tmp_path, times, seed):
    rng = random.Random(seed)
    for i in range(times):
        folder = tmp_path / f"att-{i}"
        reported = kill_one(folder, rng.randrange(1, 4000))
        found = verify(folder)
        assert found.status == "incomplete", found.problems
        check(folder, reported)
        recover(folder)
        assert verify(folder).status == "good"
        check(folder, reported)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_recorder_loses_nothing_that_it_had_taken(tmp_path):
    kill_many(tmp_path, 3, seed=1)


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_fifty_killed_recorders_lose_nothing_that_they_had_taken(tmp_path):
    kill_many(tmp_path, 50, seed=2)

"""The page on the record format can be followed by someone without myoloop."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from myoloop.platform import wire
from myoloop.platform.messages import SampleDescriptor, Samples
from myoloop.platform.recording import layout
from myoloop.platform.recording.writer import RecordingWriter

PAGE = Path(__file__).resolve().parents[2] / "docs" / "record_format.md"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    descriptor = SampleDescriptor(
        topic="emg/arm",
        rate_hz=2000.0,
        dtype="<i2",
        channels=("biceps", "triceps"),
        units=("V", "V"),
        scale=(1e-6, 1e-6),
        offset=(0.0, 0.0),
    )
    samples = np.arange(40, dtype="<i2").reshape(20, 2)
    block = Samples(first_sample=60, t_ns=1_000)
    frames = wire.encode("emg/arm", block, session="s", publisher="arm", epoch=1, seq=3, array=samples)
    with RecordingWriter(tmp_path, session="s", descriptors=[descriptor], metadata={"simulated": "true"}) as writer:
        writer.write(frames, log_time_ns=2_000)
        writer.end("complete", "", log_time_ns=3_000)
    return tmp_path


def test_the_pages_program_reads_a_block(recording: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert "myoloop" not in program
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=recording, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("emg/arm 60 (20, 2)\n", "")


def test_the_page_names_what_the_file_names() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in (layout.PROFILE, layout.MESSAGE_ENCODING, layout.SESSION, layout.FORMAT_NAME, layout.END):
        assert f"`{name}`" in text
    for field in SampleDescriptor.__struct_fields__[1:]:
        assert f"`{field}`" in text, f"the descriptor's {field} is not on the page"
    for dtype in wire.DTYPES:
        assert f"`{dtype}`" in text

"""The draft of a mapping: what the file says, and a hole that must be filled for everything it does not."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.imports.guess import draft, keep_draft
from myoloop.experiments.imports.mapping import FILL_IN, load_import_mapping
from myoloop.experiments.imports.write import import_file
from myoloop.platform.errors import UserError
from myoloop.platform.recording.reader import Recording
from myoloop.platform.yamlfile import FileError


def drafted(folder: Path, name: str, text: str):
    (folder / name).write_text(text, encoding="utf-8")
    return draft(folder / name)


def keys(found) -> list[str]:
    return [each.split(": ")[1] for each in found.missing]


def test_a_bare_table_says_nothing_and_everything_is_to_be_filled_in(tmp_path):
    found = drafted(tmp_path, "x.csv", "1,2\n3,4\n")
    assert keys(found) == ["rate", "mains", "kind", "unit", "kind", "unit"]
    keep_draft(found, tmp_path / "map.yaml")
    with pytest.raises(FileError) as caught:
        load_import_mapping(tmp_path / "map.yaml")
    # Every hole is named, at its line, at once.
    lines = sorted({int(problem.split(":")[1]) for problem in caught.value.problems})
    assert lines == sorted({int(each.split(":")[0]) for each in found.missing})
    assert all(FILL_IN in problem for problem in caught.value.problems)


def test_names_units_times_marks_and_counters_are_taken_from_the_header(tmp_path):
    text = "time_ms,nSeq,EMG biceps (mV),acc_x [g],grip,class\n" + "".join(
        f"{k},{k},0.{k:03d},1,{k % 3},0\n" for k in range(30)
    )
    found = drafted(tmp_path, "x.csv", text)
    assert keys(found) == ["mains", "kind", "unit"]
    filled = found.text.replace("mains: FILL_IN", "mains: 50 Hz").replace("kind: FILL_IN", "kind: force")
    (tmp_path / "map.yaml").write_text(filled.replace("unit: FILL_IN", "unit: N"), encoding="utf-8")
    done = import_file(tmp_path / "x.csv", tmp_path / "map.yaml", study=tmp_path / "study", subject="P1")
    recording = Recording.open(done.folder)
    assert {topic: each.channels for topic, each in recording.descriptors.items()} == {
        "emg/imported": ("EMG_biceps",), "imu/imported": ("acc_x",), "force/imported": ("grip",),
    }  # fmt: skip
    assert recording.descriptors["emg/imported"].units == ("V",)
    assert recording.descriptors["emg/imported"].rate_hz == pytest.approx(1000.0)
    assert done.marks == 1
    assert done.left_out == ("nSeq",)


def test_the_header_of_opensignals_gives_rate_device_and_scale(tmp_path):
    device = {
        "00:07:80:4D:2E:AD": {
            "sensor": ["EMG", "XYZ"], "column": ["nSeq", "DI", "CH1", "CH2"], "device": "biosignalsplux",
            "sampling rate": 500, "label": ["CH1", "CH2"], "resolution": [16, 12],
        }
    }  # fmt: skip
    head = f"# OpenSignals Text File Format\n# {json.dumps(device)}\n# EndOfHeader\n"
    found = drafted(tmp_path, "x.txt", head + "0\t1\t32768\t2000\t\n1\t1\t65535\t2001\t\n")
    assert "rate: 500 Hz" in found.text
    assert "scale: 4.57763671875e-05, offset: -1.5, rails: [0, 65535]" in found.text
    assert keys(found) == ["mains", "unit"]
    filled = found.text.replace("mains: FILL_IN", "mains: 50 Hz").replace("unit: FILL_IN", "unit: g")
    (tmp_path / "map.yaml").write_text(filled, encoding="utf-8")
    done = import_file(tmp_path / "x.txt", tmp_path / "map.yaml", study=tmp_path / "study", subject="P1")
    record = Recording.open(done.folder).samples("emg/imported")
    assert record.physical()[:, 0] == pytest.approx([0.0, 1.5e-3 * (1 - 2**-15)], abs=1e-9)


def test_lines_before_the_table_are_left_out(tmp_path):
    found = drafted(tmp_path, "x.txt", "File Name: a.log\nChannel 1: 'RF', mV\n\n0.1\t2\n0.2\t3\n")
    assert "skip_lines: 3" in found.text


def test_arrays_say_their_rate_in_an_attribute_or_not_at_all(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["arm/emg"] = np.zeros((50, 2))
        file["arm"].attrs["sampling rate"] = 1000
        file["grip/force"] = np.zeros(50)
        file["note"] = "words"
    found = draft(tmp_path / "x.h5")
    assert found.text.count("rate: 1000 Hz") == 2
    assert keys(found) == ["mains", "unit", "unit", "unit", "rate"]
    np.savez(tmp_path / "x.npz", emg=np.zeros((3, 60)), t=np.arange(60) / 10)
    found = draft(tmp_path / "x.npz")
    assert 'time: {from: "t", unit: FILL_IN}' in found.text
    assert keys(found) == ["unit", "mains", "unit", "unit", "unit"]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("x.csv", b"", "is empty"),
        ("x.csv", b"words\nand more words\n", "no table of numbers"),
        ("x.txt", b"\x00\x01\x02\x03", "holds bytes that are no text"),
        ("x.h5", b"words", "not a readable hdf5 file"),
        ("x.npz", b"PK\x03\x04words", "not a readable npz file"),
        ("x.edf", b"words", "not a readable edf file"),
        ("x.xdf", b"words", "not an XDF file"),
        ("x.what", b"words", "not a readable mne file"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=said) as caught:
        draft(tmp_path / name)
    assert "\n" not in str(caught.value)


class TestVerb:
    def run(self, *words: str):
        return CliRunner().invoke(app, ["import", *words])

    def test_a_draft_is_printed_or_written_and_never_over_a_file(self, tmp_path):
        (tmp_path / "x.csv").write_text("1\n2\n", encoding="utf-8")
        source, mapping = str(tmp_path / "x.csv"), str(tmp_path / "map.yaml")
        shown = self.run(source, "--guess")
        assert shown.exit_code == 0
        assert "unit: FILL_IN" in shown.stdout
        written = self.run(source, "--guess", "--map", mapping, "--json")
        assert json.loads(written.stdout)["written"] == mapping
        assert Path(mapping).read_text(encoding="utf-8") == shown.stdout
        again = self.run(source, "--guess", "--map", mapping)
        assert (again.exit_code, again.stderr.count("\n")) == (2, 1)
        assert "is already there, nothing is overwritten" in again.stderr

    def test_an_import_says_what_it_made(self, tmp_path):
        (tmp_path / "x.csv").write_text("1\n2\n", encoding="utf-8")
        (tmp_path / "map.yaml").write_text("rate: 1 Hz\nchannels: [{from: 1, name: a, unit: mV}]", encoding="utf-8")
        words = [str(tmp_path / "x.csv"), "--map", str(tmp_path / "map.yaml"), "--out", str(tmp_path / "study")]
        dry = json.loads(self.run(*words, "--dry-run", "--json").stdout)
        assert (dry["session"], dry["outcome"]) == (None, "complete")
        assert not (tmp_path / "study").exists()
        first = json.loads(self.run(*words, "--subject", "P7", "--json").stdout)
        assert first["streams"]["emg/imported"]["samples"] == 2
        second = self.run(*words, "--subject", "P7")
        assert "sub-P7/ses-02/att-1: complete" in second.stdout
        assert self.run(str(tmp_path / "x.csv")).exit_code == 2
        assert self.run(str(tmp_path / "none.csv"), "--map", str(tmp_path / "map.yaml")).exit_code == 2
        assert self.run(*words, "--subject", "Jane Doe").exit_code == 2

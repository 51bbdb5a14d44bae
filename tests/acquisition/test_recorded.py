"""Recordings in the formats of the field, read without altering a value."""

from __future__ import annotations

import edfio
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from myoloop.acquisition.formats import FormatError
from myoloop.acquisition.mapping import Mapping
from myoloop.acquisition.recorded import read_recording, travelling


def mapped(*channels, **more):
    return Mapping.model_validate({"channels": list(channels), **more})


def read(path, mapping=None):
    return read_recording(path, mapping, name="a")


def physical(stream):
    return stream.array * np.array(stream.descriptor.scale) + np.array(stream.descriptor.offset)


# text


def test_a_csv_with_a_header(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("t, emg ,acc,trig\n0.000,2048,0.5,0\n0.001,-2050,0.25,1\n0.002,2047,0.125,0\n")
    emg, imu = read(
        path,
        mapped(
            {"from": "emg", "name": "biceps", "unit": "mV", "scale": 0.5, "offset": 1, "rails": [-2048, 2047]},
            {"from": "acc", "kind": "imu", "unit": "g"},
            {"from": "trig", "kind": "trigger"},
            {"from": "t", "kind": "ignored"},
            header=True, rate="1000 Hz", mains="60 Hz", device="bench",
        ),
    )  # fmt: skip
    assert emg.descriptor.topic == "emg/a"
    assert emg.descriptor.channels == ("biceps", "trig")
    assert emg.descriptor.dtype == "<i2"
    assert emg.array.tolist() == [[2048, 0], [-2050, 1], [2047, 0]]
    assert emg.descriptor.units == ("V", "1")
    assert emg.descriptor.scale == (0.5e-3, 1.0)
    assert emg.descriptor.offset == (1e-3, 0.0)
    assert (emg.descriptor.rail_low, emg.descriptor.rail_high) == (-2048, 2047)
    assert emg.descriptor.sync_channel == "trig"
    assert (emg.descriptor.mains_hz, emg.descriptor.rate_hz, emg.descriptor.device) == (60.0, 1000.0, "bench")
    assert imu.descriptor.topic == "imu/a"
    assert imu.array[:, 0].tolist() == [0.5, 0.25, 0.125]
    assert imu.descriptor.units == ("m/s^2",)


def test_text_with_other_separators_comments_and_lines_before(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("Made by X\n\n% c\n1 2.5\n  3   4.5\n")
    (emg,) = read(
        path,
        mapped({"from": 2, "name": "b", "unit": "V"}, delimiter="space", skip_lines=1, comment="%", rate="10 Hz"),
    )
    assert emg.array[:, 0].tolist() == [2.5, 4.5]
    assert emg.descriptor.dtype == "<f8"


@pytest.mark.parametrize(
    ("text", "channel", "more", "said"),
    [
        ("1,2\n3\n", {"from": 1}, {}, r":2: found 1 columns, 2 before"),
        ("1,2\n3,x\n", {"from": 1}, {}, r":2: column 2: found 'x', a number is needed"),
        ("a,b\n1,2\n3\n", {"from": "a"}, {"header": True}, r":3: found 1 columns, 2 before"),
        ("1,2\n", {"from": 3}, {}, r"has no 3; it has: 1, 2"),
        ("a,b\n1,2\n", {"from": "c"}, {"header": True}, r"has no 'c'; it has: a, b"),
        ("a,a\n1,2\n", {"from": "a"}, {"header": True}, r"a: stands twice in the file; use its number"),
        ("a\n1,2\n", {"from": 1}, {"header": True}, r"1 names for 2 columns"),
        ("# only\n", {"from": 1}, {}, r"holds no numbers"),
        ("", {"from": 1}, {}, r"holds no numbers"),
        ("1,2\n", {"from": 1}, {"rate": None}, r"does not say its rate; set rate in the mapping file"),
        ("1,2\n", {"from": 1, "unit": ""}, {}, r"1: the file does not say its unit; set unit"),
    ],
)
def test_a_wrong_text_file_is_said_in_one_line(tmp_path, text, channel, more, said):
    path = tmp_path / "a.csv"
    path.write_text(text)
    given = {"rate": "100 Hz"} | more
    mapping = mapped({"unit": "V"} | channel, **{key: value for key, value in given.items() if value is not None})
    with pytest.raises(FormatError, match=said) as caught:
        read(path, mapping)
    assert "\n" not in str(caught.value)


def test_a_text_file_needs_a_mapping(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,2\n")
    with pytest.raises(FormatError, match="a mapping file is needed"):
        read(path)


# arrays


def test_npz_arrays_are_indexed_around_time(tmp_path):
    path = tmp_path / "a.npz"
    emg = np.random.default_rng(0).standard_normal((3, 200)).astype("f4")
    frames = np.random.default_rng(0).integers(0, 4096, (2, 200, 3)).astype("u2")
    np.savez(path, emg=emg, frames=frames, t=np.arange(200.0)[:, None], fs=2000.0)
    (stream,) = read(
        path, mapped({"from": "emg[2]", "name": "c", "unit": "V"}, {"from": "emg[0]", "name": "a", "unit": "V"},
                     rate="2000 Hz"),
    )  # fmt: skip
    assert np.array_equal(stream.array, emg[[2, 0]].T)
    assert stream.descriptor.dtype == "<f4"
    (stream,) = read(path, mapped({"from": "frames[1,2]", "unit": "uV"}, rate="2000 Hz"))
    assert np.array_equal(stream.array[:, 0], frames[1, :, 2])
    assert stream.descriptor.dtype == "<i4"
    assert stream.descriptor.channels == ("frames[1,2]",)
    (stream,) = read(path, mapped({"from": "t", "unit": "V"}, rate="2000 Hz"))
    assert np.array_equal(stream.array[:, 0], np.arange(200.0))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("emg", r"emg: has the shape \(3, 20\); say which channel, as in emg\[0\]"),
        ("emg[3]", r"emg\[3\]: has the shape \(3, 20\): 3 is beyond it"),
        ("emg[1,1]", r"has the shape \(3, 20\): 1 numbers are needed in the brackets"),
        ("text", "text: holds <U1, numbers are needed"),
        ("none", "has no 'none'; it has: emg, text, empty"),
        ("empty", "empty: is empty"),
        ("emg[-1]", r"has no 'emg\[-1\]'"),
    ],
)
def test_a_wrong_array_is_said_in_one_line(tmp_path, source, said):
    path = tmp_path / "a.npz"
    np.savez(path, emg=np.zeros((3, 20)), text=np.array(["a"]), empty=np.zeros(0))
    with pytest.raises(FormatError, match=said):
        read(path, mapped({"from": source, "unit": "V"}, rate="1 Hz"))


def test_a_pickle_in_an_npz_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, emg=np.array([{"a": 1}], dtype=object))
    with pytest.raises(FormatError, match="allow_pickle"):
        read(path, mapped({"from": "emg", "unit": "V"}, rate="1 Hz"))


def test_hdf5_by_path(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["lab/emg"] = np.arange(60, dtype="<i2").reshape(20, 3)
        file["lab/force"] = np.linspace(0, 1, 5)
    emg, force = read(
        path,
        mapped({"from": "/lab/emg[1]", "name": "b", "unit": "uV", "rate": "100 Hz"},
               {"from": "lab/force", "kind": "force", "unit": "N", "rate": "25 Hz"}),
    )  # fmt: skip
    assert np.array_equal(emg.array[:, 0], np.arange(1, 60, 3))
    assert (emg.descriptor.rate_hz, force.descriptor.rate_hz) == (100.0, 25.0)
    assert (force.descriptor.topic, force.descriptor.channels, force.descriptor.units) == (
        "force/a", ("force",), ("N",),
    )  # fmt: skip
    with pytest.raises(FormatError, match="no EMG of a known device in it; a mapping file is needed"):
        read(path)


@pytest.mark.realdata
def test_opensignals_hdf5_says_itself_what_its_emg_is(data_dir):
    path = data_dir / "emg_fatigue_plux" / "emg_fatigue.h5"
    (stream,) = read(path)
    with h5py.File(path) as file:
        counts = file["00:07:80:4C:01:B1/raw/channel_2"][:, 0]
    assert np.array_equal(stream.array[:, 0], counts)
    assert (stream.descriptor.rate_hz, stream.descriptor.dtype) == (1000.0, "<i4")
    assert (stream.descriptor.rail_low, stream.descriptor.rail_high) == (0.0, 4095.0)
    assert "bioplux" in stream.descriptor.device
    volts = (counts / 2**12 - 0.5) * 3.0e-3
    assert np.allclose(physical(stream)[:, 0], volts, rtol=1e-7, atol=1e-12)


@pytest.mark.realdata
def test_opensignals_of_another_sensor_needs_a_mapping(data_dir):
    path = data_dir / "emg_fatigue_plux" / "gonio_arm_flex.h5"
    with pytest.raises(FormatError, match="no EMG of a known device"):
        read(path)
    source = "00:07:80:79:6F:DB/raw/channel_1"
    with pytest.raises(FormatError, match="does not say its unit"):
        read(path, mapped({"from": source, "kind": "force"}))
    (stream,) = read(path, mapped({"from": source, "kind": "force", "unit": "deg", "scale": 0.01}))
    assert stream.descriptor.rate_hz == 1000.0
    assert stream.array.shape == (18750, 1)


@pytest.mark.realdata
def test_opensignals_text(data_dir):
    path = data_dir / "emg_acc_plux_gestures" / "1_1.txt"
    (stream,) = read(path, mapped({"from": 3, "name": "flexor", "unit": "mV", "scale": 3 / 65536, "offset": -1.5},
                                  {"from": 4, "name": "adductor", "unit": "mV", "scale": 3 / 65536, "offset": -1.5},
                                  rate="1000 Hz"))  # fmt: skip
    counts = np.loadtxt(path)[:, 2:4]
    assert np.array_equal(stream.array, counts)
    assert np.allclose(physical(stream), (counts / 65536 - 0.5) * 3e-3, rtol=1e-7, atol=1e-12)


@pytest.mark.realdata
def test_text_of_a_datalogger(data_dir):
    path = data_dir / "uci_emg" / "uci_lower_limb" / "5Npie.txt"
    (stream,) = read(path, mapped({"from": 1, "name": "rf", "unit": "mV"}, skip_lines=7, rate="1000 Hz"))
    assert stream.descriptor.dtype == "<f8"
    assert len(stream.array) > 10000


# EDF and BDF


def edf(path, labels=("EMG flexor", "ACC"), dimensions=("uV", "g"), rates=(200, 200), bdf=False):
    rng = np.random.default_rng(3)
    wide = (bdf and {"digital_range": (-8388608, 8388607)}) or {}
    made = [
        (edfio.BdfSignal if bdf else edfio.EdfSignal)(
            rng.uniform(-900, 900, 2 * rate), rate, label=label, physical_dimension=dimension,
            physical_range=(-1000, 1000), **wide,
        )
        for label, dimension, rate in zip(labels, dimensions, rates, strict=True)
    ]  # fmt: skip
    (edfio.Bdf if bdf else edfio.Edf)(made).write(path)
    return made


@pytest.mark.parametrize("bdf", [False, True])
def test_edf_and_bdf_counts_are_kept_as_stored(tmp_path, bdf):
    path = tmp_path / ("a.bdf" if bdf else "a.edf")
    signals = edf(path, bdf=bdf)
    (stream,) = read(path)
    assert stream.descriptor.channels == ("EMG flexor",)
    assert stream.descriptor.dtype == ("<i4" if bdf else "<i2")
    assert np.array_equal(stream.array[:, 0], signals[0].digital)
    assert np.allclose(physical(stream)[:, 0], signals[0].data * 1e-6, rtol=1e-6, atol=1e-12)
    assert (stream.descriptor.rail_low, stream.descriptor.rail_high) == signals[0].digital_range


def test_edf_with_a_mapping(tmp_path):
    path = tmp_path / "a.edf"
    signals = edf(path, rates=(200, 100))
    emg, imu = read(path, mapped({"from": 1, "name": "flexor"}, {"from": "ACC", "name": "acc_z", "kind": "imu"}))
    assert emg.descriptor.channels == ("flexor",)
    assert (imu.descriptor.rate_hz, imu.descriptor.units) == (100.0, ("m/s^2",))
    assert np.allclose(physical(imu)[:, 0], signals[1].data * 9.80665, rtol=1e-6)


def test_edf_that_does_not_fit_is_said_in_one_line(tmp_path):
    path = tmp_path / "a.edf"
    edf(path, labels=("Fz", "Cz"), dimensions=("uV", "uV"))
    with pytest.raises(FormatError, match="no signal is labelled EMG; a mapping file is needed, it has: Fz, Cz"):
        read(path)
    edf(path, labels=("EMG1", "EMG2"), dimensions=("uV", "uV"), rates=(200, 100))
    with pytest.raises(FormatError, match="emg channels at different rates: 100 Hz, 200 Hz"):
        read(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(FormatError, match=r"a\.edf: not a readable edf file"):
        read(path)


# what MNE reads


def test_a_fif_of_mne(tmp_path):
    import mne

    data = np.random.default_rng(0).standard_normal((2, 500)) * 1e-4
    raw = mne.io.RawArray(data, mne.create_info(["biceps", "Cz"], 500.0, ["emg", "eeg"]), verbose="error")
    path = tmp_path / "a_raw.fif"
    raw.save(path, fmt="double", verbose="error")
    (stream,) = read(path)
    assert stream.descriptor.channels == ("biceps",)
    assert (stream.descriptor.dtype, stream.descriptor.units, stream.descriptor.rate_hz) == ("<f8", ("V",), 500.0)
    assert np.array_equal(stream.array[:, 0], data[0])
    (stream,) = read(path, mapped({"from": "Cz", "name": "c"}))
    assert np.array_equal(stream.array[:, 0], data[1])


# any


@pytest.mark.parametrize(
    ("name", "said"),
    [("none.h5", "no such file"), ("folder.npz", "is a folder, a file is needed"), ("odd.h5", "not a readable hdf5"),
     ("odd.npz", "not a readable npz"), ("odd.xyz", "not a readable mne file"), ("odd.csv", "not UTF-8")],
)  # fmt: skip
def test_what_is_no_recording_is_said_in_one_line(tmp_path, name, said):
    (tmp_path / "folder.npz").mkdir()
    for odd in ("odd.h5", "odd.npz", "odd.xyz", "odd.csv"):
        (tmp_path / odd).write_bytes(b"\xff\xfe\x00 nothing of the kind")
    with pytest.raises(FormatError, match=said) as caught:
        read(tmp_path / name, mapped({"from": "x", "unit": "V"}, rate="1 Hz"))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))


def test_channels_of_one_stream_must_be_of_one_length_and_rail(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.zeros(10), b=np.zeros(9))
    with pytest.raises(FormatError, match="emg channels of different lengths: 9, 10"):
        read(path, mapped({"from": "a", "unit": "V"}, {"from": "b", "unit": "V"}, rate="1 Hz"))
    np.savez(path, a=np.zeros(10), b=np.zeros(10))
    with pytest.raises(FormatError, match="different rails"):
        read(path, mapped({"from": "a", "unit": "V", "rails": [0, 1]}, {"from": "b", "unit": "V", "rails": [0, 2]},
                          rate="1 Hz"))  # fmt: skip


@given(
    hnp.arrays(
        st.sampled_from(["?", "i1", "u1", "<i2", ">i2", "<u2", "<i4", ">i4", "<u4", "<i8", "<u8", "f2", "<f4", ">f8"]),
        st.integers(0, 20),
    )
)
@settings(deadline=None)
def test_what_travels_is_the_same_or_refused(values):
    try:
        carried = travelling(values)
    except ValueError:
        assert values.dtype.itemsize == 8
        assert max(abs(int(value)) for value in values) > 2**53
        return
    assert carried.dtype.str in {"<i2", "<i4", "<f4", "<f8"}
    assert all(one == two or one != one for one, two in zip(values.tolist(), carried.tolist(), strict=True))

"""The simulated source: what the body sent is what comes out, and damage is an error."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.acquisition.simulated import (
    FrameReader,
    SimulatedSource,
    SimulatedSourceSettings,
    encode_block,
    encode_descriptors,
    encode_end,
)
from myoloop.acquisition.source import Block, Ended, Source, SourceError
from myoloop.platform import endpoint
from myoloop.platform.messages import SampleDescriptor

EMG = SampleDescriptor(
    topic="emg/body", rate_hz=2000.0, dtype="<i2", channels=("e1", "sync"), units=("V", "1"), scale=(1e-6, 1.0),
    offset=(0.0, 0.0), sync_channel="sync",
)  # fmt: skip
IMU = SampleDescriptor(
    topic="imu/body", rate_hz=100.0, dtype="<f4", channels=("x",), units=("m/s^2",), scale=(1.0,), offset=(0.0,)
)
DESCRIPTORS = (EMG, IMU)


def blocks(first=1000, count=3):
    rng = np.random.default_rng(1)
    made = []
    for k in range(count):
        emg = rng.integers(-32767, 32767, (20, 2), dtype=np.int16)
        made.append(Block("emg/body", first + 20 * k, 5_000 + k, emg))
        made.append(Block("imu/body", 7 + k, 5_000 + k, rng.standard_normal((1, 1)).astype(np.float32)))
    return made


def frames(made):
    data = encode_descriptors(DESCRIPTORS)
    for block in made:
        stream = 0 if block.topic == "emg/body" else 1
        data += encode_block(stream, DESCRIPTORS[stream], block)
    return data


def same(a, b):
    return (
        (a.topic, a.first_sample, a.t_ns) == (b.topic, b.first_sample, b.t_ns)
        and a.array.dtype == b.array.dtype
        and np.array_equal(a.array, b.array)
    )


@settings(deadline=None)
@given(st.integers(1, 97))
def test_blocks_come_through_however_the_bytes_are_cut(cut):
    made, data, reader, got = blocks(), frames(blocks()), FrameReader(), []
    for at in range(0, len(data), cut):
        got += reader.read(data[at : at + cut])
    assert reader.descriptors == DESCRIPTORS
    assert all(same(a, b) for a, b in zip(made, got, strict=True))


@settings(deadline=None)
@given(st.data())
def test_a_changed_byte_never_comes_through_as_samples(data):
    made = blocks(count=1)
    good = frames(made)
    bad = bytearray(good)
    bad[data.draw(st.integers(0, len(bad) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        got = FrameReader().read(bytes(bad))
    except SourceError:
        return
    assert len(got) < len(made)
    assert all(same(a, b) for a, b in zip(made, got, strict=False))


@settings(deadline=None)
@given(st.binary(min_size=9, max_size=200))
def test_garbage_is_an_error(garbage):
    if garbage.startswith(b"MYOS"):
        garbage = b"X" + garbage
    with pytest.raises(SourceError, match="not a frame"):
        FrameReader().read(garbage)


@pytest.mark.parametrize(
    "payload",
    [
        encode_block(0, EMG, blocks()[0]),
        encode_descriptors(DESCRIPTORS) * 2,
        encode_descriptors(DESCRIPTORS) + encode_block(5, EMG, blocks()[0]),
        encode_descriptors((IMU, EMG)) + encode_block(0, EMG, Block("x", 0, 0, np.zeros((3, 3), np.int16))),
    ],
)
def test_frames_that_make_no_sense_are_an_error(payload):
    with pytest.raises(SourceError):
        FrameReader().read(payload)


class MemoryBody:
    descriptors = DESCRIPTORS

    def __init__(self):
        self.ready = blocks(first=0)

    def take_blocks(self):
        ready, self.ready = self.ready, []
        return ready


def test_in_memory_it_hands_over_the_bodys_blocks_from_opening_on():
    body = MemoryBody()
    source = SimulatedSource(SimulatedSourceSettings(), body=body)
    assert isinstance(source, Source)
    assert source.open() == DESCRIPTORS
    body.ready = blocks(first=60)
    readings = source.read(0.0)
    assert [reading.first_sample for reading in readings if reading.topic == "emg/body"] == [0, 20, 40]
    assert readings[0].device_t == 79.0
    assert source.read(0.0) == []


@pytest.fixture
def listener(tmp_path):
    address = f"unix:{tmp_path}/source"
    listening = endpoint.listen(address)
    listening.setblocking(True)
    yield address, listening
    listening.close()


def attached(listener, data):
    address, listening = listener
    source = SimulatedSource(SimulatedSourceSettings(address=address))
    served = []

    def serve():
        link, _ = listening.accept()
        link.sendall(data)
        served.append(link)

    thread = threading.Thread(target=serve)
    thread.start()
    source.open()
    thread.join()
    return source, served[0]


def test_over_a_socket_no_sample_is_lost_or_repeated(listener):
    early, made = blocks(first=300), blocks(first=500)
    source, link = attached(listener, frames(early))
    assert source.read(0.0) == [], "what came before the first reading belongs to no session"
    link.sendall(frames(made)[len(encode_descriptors(DESCRIPTORS)) :])
    link.sendall(encode_end("over"))
    link.close()
    readings = []
    while not (readings and isinstance(readings[-1], Ended)):
        readings += source.read(1.0)
    assert readings.pop() == Ended("over")
    emg = [reading for reading in readings if reading.topic == "emg/body"]
    assert [block.first_sample for block in emg] == [0, 20, 40]
    expected = np.vstack([block.array for block in made if block.topic == "emg/body"])
    assert np.array_equal(np.vstack([block.array for block in emg]), expected)
    source.close()
    source.close()


def test_a_body_that_dies_is_an_error_not_an_end(listener):
    source, link = attached(listener, encode_descriptors(DESCRIPTORS))
    link.close()
    with pytest.raises(SourceError, match="closed the connection"):
        source.read(1.0)
    source.close()
    with pytest.raises(SourceError, match="not open"):
        source.read(0.0)


def test_no_body_at_the_address_is_said(tmp_path):
    with pytest.raises(SourceError, match="cannot connect"):
        SimulatedSource(SimulatedSourceSettings(address=f"unix:{tmp_path}/none")).open()

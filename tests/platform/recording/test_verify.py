import random
import shutil
import struct

import msgspec
import pytest
from mcap.records import Channel, Metadata

from myoloop.platform import wire
from myoloop.platform.recording.compact import compact
from myoloop.platform.recording.folder import keep_copy
from myoloop.platform.recording.layout import END, MAGIC, SESSION, RecordingError
from myoloop.platform.recording.manifest import read_manifest
from myoloop.platform.recording.scan import HEAD_BYTES, MESSAGE_HEAD, RawRecord, parse
from myoloop.platform.recording.verify import verify

MESSAGE = 5
CHANNEL = 4
METADATA = 12


def emg_records(records):
    return [r for r in records if r.opcode == MESSAGE and b"first_sample" in r.data]


def encoded(record):
    from mcap.data_stream import RecordBuilder

    builder = RecordBuilder()
    record.write(builder)
    return builder.end()


def test_a_recording_as_it_was_written_is_good(recorded):
    found = verify(recorded)
    assert (found.status, found.problems, found.missing) == ("good", (), ())
    assert (found.outcome, found.simulated, found.compacted, found.recovered) == ("complete", True, False, False)
    manifest = read_manifest(recorded)
    assert (found.head, found.records) == (manifest.chain_sha256, manifest.records)
    assert found.unverified_tail_bytes == 0
    assert verify(recorded / "session.mcap") == found


def test_two_recordings_of_the_same_have_the_same_head_and_of_others_not(tmp_path, example):
    example.write(tmp_path / "a")
    example.write(tmp_path / "b")
    example.write(tmp_path / "c", metadata={**example.METADATA, "version.myoloop": "0.2"})
    heads = [verify(tmp_path / name).head for name in "abc"]
    assert heads[0] == heads[1] != heads[2]


def check_flips(folder, example, offsets, rng):
    path = folder / "session.mcap"
    whole = path.read_bytes()
    for offset in offsets:
        example.flip(path, offset, rng.choice([1 << rng.randrange(8), rng.randrange(1, 256)]))
        found = verify(folder)
        assert found.status == "damaged", f"byte {offset} of {len(whole)}"
        assert found.problems
        path.write_bytes(whole)
    assert verify(folder).status == "good"


@pytest.fixture(params=["live", "compacted"])
def small(request, tmp_path, example):
    example.write(tmp_path, 12)
    if request.param == "compacted":
        compact(tmp_path)
    return tmp_path


@pytest.mark.parametrize("manifest", [True, False], ids=["with manifest", "without manifest"])
def test_a_flipped_byte_shows(small, example, manifest):
    if not manifest:
        (small / "manifest.json").unlink()
    size = (small / "session.mcap").stat().st_size
    rng = random.Random(size)
    ends = [*range(60), *range(size - 160, size)]
    check_flips(small, example, sorted({*ends, *rng.sample(range(size), 250)}), rng)


def test_a_record_that_swallows_half_of_the_closing_bytes_shows(tmp_path, example):
    example.write(tmp_path, 12)
    compact(tmp_path)
    (tmp_path / "manifest.json").unlink()
    path = tmp_path / "session.mcap"
    whole = path.read_bytes()
    footer = len(whole) - len(MAGIC) - HEAD_BYTES - 20
    (at,) = struct.unpack_from("<Q", whole, footer + HEAD_BYTES)
    while (end := at + HEAD_BYTES + struct.unpack_from("<Q", whole, at + 1)[0]) < footer:
        at = end
    for more in range(len(MAGIC) + 1):
        longer = struct.pack("<Q", len(whole) - len(MAGIC) - at - HEAD_BYTES + more)
        path.write_bytes(whole[: at + 1] + longer + whole[at + HEAD_BYTES :])
        assert verify(tmp_path).status == "damaged", more


@pytest.mark.prove
@pytest.mark.timeout(900)
@pytest.mark.parametrize("manifest", [True, False], ids=["with manifest", "without manifest"])
def test_a_flipped_byte_shows_wherever_it_is(small, example, manifest):
    if not manifest:
        (small / "manifest.json").unlink()
    check_flips(small, example, range((small / "session.mcap").stat().st_size), random.Random(1))


def test_every_flipped_byte_of_the_manifest_shows(recorded, example):
    path = recorded / "manifest.json"
    whole = path.read_bytes()
    for offset in range(len(whole)):
        example.flip(path, offset, 1 << (offset % 7))
        assert verify(recorded).status == "damaged", f"byte {offset}"
        path.write_bytes(whole)


def test_an_edited_manifest_shows(recorded):
    path = recorded / "manifest.json"
    edited = path.read_text().replace('"complete"', '"stopped"', 1)
    path.write_text(edited)
    assert "was edited since it was written" in verify(recorded).problems[0].what


def test_a_manifest_that_was_made_anew_must_still_fit_the_file(recorded):
    from myoloop.platform.recording.manifest import write_manifest

    manifest = read_manifest(recorded)
    for change in ({"simulated": False}, {"outcome": "fault"}, {"records": 3}, {"versions": {}}, {"session": "s2"}):
        write_manifest(recorded, msgspec.structs.replace(manifest, **change))
        found = verify(recorded)
        assert found.status == "damaged"
        assert f"manifest.json says {next(iter(change))}" in found.problems[0].what
    write_manifest(recorded, manifest)
    assert verify(recorded).status == "good"


def test_without_its_manifest_a_file_is_judged_by_itself(recorded):
    (recorded / "manifest.json").unlink()
    found = verify(recorded)
    assert (found.status, found.missing) == ("good", ("manifest.json",))


@pytest.mark.parametrize("more", [b"\0", b"x" * 100, MAGIC])
def test_appended_bytes_show(recorded, more):
    with (recorded / "session.mcap").open("ab") as file:
        file.write(more)
    assert f"{len(more)} bytes after the end" in verify(recorded).problems[0].what


def test_a_removed_record_shows(recorded, example):
    records = example.raw_records(recorded / "session.mcap")
    target = emg_records(records)[7]
    example.forge(recorded, lambda rest: [r for r in rest if r.data != target.data])
    found = verify(recorded)
    assert found.status == "damaged"
    assert "a chain message does not fit what stands before it" in found.problems[0].what


def test_every_single_record_is_missed(tmp_path, example):
    example.write(tmp_path / "whole", 12)
    count = len(example.raw_records(tmp_path / "whole" / "session.mcap"))
    forged = 0
    for i in range(count - 1):
        shutil.copytree(tmp_path / "whole", tmp_path / "less")
        try:
            example.forge(tmp_path / "less", lambda rest, i=i: rest[:i] + rest[i + 1 :])
        except (RecordingError, KeyError):
            pass  # a schema or channel that others need: such a file cannot even be made
        else:
            forged += 1
            assert verify(tmp_path / "less").status == "damaged", f"record {i} of {count}"
        shutil.rmtree(tmp_path / "less")
    assert forged >= count - 10


def test_two_swapped_records_show(recorded, example):
    def swap(rest):
        one, other = (rest.index(r) for r in emg_records(rest)[3:5])
        rest[one], rest[other] = rest[other], rest[one]
        return rest

    example.forge(recorded, swap)
    assert verify(recorded).status == "damaged"


@pytest.mark.parametrize(
    ("field", "value"), [("scale", "[1.5e-7,2.6e-7]"), ("units", '["V","mV"]'), ("offset", "[0.0,0.002]")]
)
def test_a_changed_scale_or_unit_shows(recorded, example, field, value):
    def change(rest):
        for record in rest:
            if record.opcode == CHANNEL and b"emg/sim" in record.data:
                channel = parse(record)
                assert isinstance(channel, Channel)
                assert channel.metadata[field] != value
                channel.metadata[field] = value
                record = RawRecord(record.offset, record.opcode, encoded(channel))
            yield record

    example.forge(recorded, change)
    found = verify(recorded)
    assert found.status == "damaged"
    assert "a chain message does not fit" in found.problems[0].what


@pytest.mark.parametrize(("name", "key", "value"), [(SESSION, "simulated", "false"), (END, "outcome", "stopped")])
def test_changed_session_metadata_and_a_changed_outcome_show(recorded, example, name, key, value):
    def change(rest):
        for record in rest:
            parsed = parse(record) if record.opcode == METADATA else None
            if isinstance(parsed, Metadata) and parsed.name == name:
                assert parsed.metadata[key] != value
                parsed.metadata[key] = value
                record = RawRecord(record.offset, METADATA, encoded(parsed))
            yield record

    before = verify(recorded).head
    example.forge(recorded, change)
    found = verify(recorded)
    assert found.status == "damaged"
    assert found.head != before


def test_one_sample_changed_by_one_count_shows(recorded, example):
    def change(rest):
        target = emg_records(rest)[5]
        for record in rest:
            if record is target:
                head, body, array = wire.unpack("emg/sim", record.data[HEAD_BYTES + MESSAGE_HEAD.size :])[1:]
                counts = list(struct.unpack("<40h", array))
                counts[11] += 1
                packed = wire.pack([b"emg/sim", head, body, struct.pack("<40h", *counts)])
                record = RawRecord(record.offset, MESSAGE, record.data[: HEAD_BYTES + MESSAGE_HEAD.size] + packed)
            yield record

    example.forge(recorded, change)
    assert verify(recorded).status == "damaged"


def test_a_summary_that_tells_another_story_shows(recorded):
    """Stray tools believe the summary: its copy of a channel must be the data's own, even if its CRC fits."""
    import zlib

    path = recorded / "session.mcap"
    content = path.read_bytes()
    begin = struct.unpack_from("<Q", content, len(content) - 28)[0]
    assert content.count(b"[1.5e-7,2.5e-7]") == 2
    edited = content[:begin] + content[begin:].replace(b"[1.5e-7,2.5e-7]", b"[1.5e-7,9.5e-7]")
    edited = edited[:-12] + struct.pack("<I", zlib.crc32(edited[begin:-12])) + MAGIC
    path.write_bytes(edited)
    (recorded / "manifest.json").unlink()
    assert "summary are not those of the data" in verify(recorded).problems[0].what


def test_copies_are_checked_against_the_hashes_in_the_record(tmp_path, example):
    key, sha256 = keep_copy(tmp_path, "protocol.yaml", b"name: relief\n")
    example.write(tmp_path, metadata={**example.METADATA, key: sha256})
    assert verify(tmp_path).status == "good"
    (tmp_path / "protocol.yaml").write_bytes(b"name: reliev\n")
    assert "protocol.yaml is not the one of this recording" in verify(tmp_path).problems[0].what
    (tmp_path / "protocol.yaml").unlink()
    found = verify(tmp_path)
    assert (found.status, found.missing) == ("good", ("protocol.yaml",))


def cut(folder, size):
    path = folder / "session.mcap"
    path.write_bytes(path.read_bytes()[:size])


def test_a_cut_file_is_incomplete_and_its_unverified_tail_is_named(tmp_path, example):
    example.write(tmp_path, 40, end=False)
    path = tmp_path / "session.mcap"
    chains = [r for r in example.raw_records(path) if b"\xa6sha256\xd9\x40" in r.data]
    last = chains[-1].offset + len(chains[-1].data)
    found = verify(tmp_path)
    assert (found.status, found.problems, found.outcome) == ("incomplete", (), "")
    assert (found.verified_bytes, found.unverified_tail_bytes) == (last, path.stat().st_size - last)
    assert (found.bytes, found.cut_at) == (path.stat().st_size, path.stat().st_size)
    assert 0 < found.unverified_tail_records < 10


def cut_everywhere(folder, example, sizes):
    path = folder / "session.mcap"
    whole = path.read_bytes()
    for size in sizes:
        path.write_bytes(whole[:size])
        found = verify(folder)
        assert found.status == "incomplete", f"cut at {size} of {len(whole)}: {found.problems}"
        assert found.verified_bytes + found.unverified_tail_bytes == size
    path.write_bytes(whole)


@pytest.mark.parametrize("manifest", [True, False], ids=["with manifest", "without manifest"])
def test_a_file_cut_at_any_byte_is_incomplete(small, example, manifest):
    if not manifest:
        (small / "manifest.json").unlink()
    size = (small / "session.mcap").stat().st_size
    rng = random.Random(2)
    cut_everywhere(small, example, [*range(70), *rng.sample(range(size), 200), *range(size - 170, size)])


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_a_file_cut_at_every_byte_is_incomplete(small, example):
    cut_everywhere(small, example, range((small / "session.mcap").stat().st_size))


def test_a_flipped_byte_in_a_cut_file_shows_as_far_as_the_chain_goes(tmp_path, example):
    example.write(tmp_path, 40, end=False)
    path = tmp_path / "session.mcap"
    whole = path.read_bytes()
    vouched = verify(tmp_path).verified_bytes
    lengths = [r.offset + i for r in example.raw_records(path) for i in range(1, 9) if r.offset < vouched]
    rng = random.Random(4)
    for offset in {*rng.sample(range(vouched), 150), *rng.sample(lengths, 200)}:
        example.flip(path, offset, 1 << rng.randrange(8))
        found = verify(tmp_path)
        assert found.status == "damaged", f"byte {offset}, vouched for up to {vouched}"
        path.write_bytes(whole)


def test_a_head_that_is_no_text_any_more_is_damage(recorded, example):
    path = recorded / "session.mcap"
    chain = next(r for r in example.raw_records(path) if b"\xa6sha256\xd9\x40" in r.data)
    example.flip(path, chain.offset + chain.data.index(b"\xa2s1") + 1, 0x80 ^ 0x20)
    assert verify(recorded).problems[0].offset == chain.offset


def test_zeros_left_by_a_power_cut_are_a_cut(tmp_path, example):
    example.write(tmp_path, 20, end=False)
    path = tmp_path / "session.mcap"
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(bytes(5000))
    found = verify(tmp_path)
    assert (found.status, found.cut_at, found.bytes) == ("incomplete", size, size + 5000)


def test_a_record_of_absurd_length_is_damage_not_a_cut(tmp_path, example):
    example.write(tmp_path, 20, end=False)
    with (tmp_path / "session.mcap").open("ab") as file:
        file.write(struct.pack("<BQ", 5, 1 << 40))
    assert "a MESSAGE record of 1099511627776 bytes" in verify(tmp_path).problems[0].what


def test_a_message_in_the_tail_that_is_none_is_damage(tmp_path, example):
    example.write(tmp_path, 20, end=False)
    path = tmp_path / "session.mcap"
    last = example.raw_records(path)[-1]
    assert b"\xa6sha256" not in last.data
    at = last.offset + HEAD_BYTES + MESSAGE_HEAD.size
    content = path.read_bytes()
    path.write_bytes(content[:at] + bytes(len(content) - at))
    assert verify(tmp_path).problems[0].offset == last.offset


def test_a_chunk_that_announces_more_than_it_holds_is_refused_before_it_is_unpacked(recorded, example):
    compact(recorded)
    path = recorded / "session.mcap"
    frame = path.read_bytes().index(b"\x28\xb5\x2f\xfd")
    content = bytearray(path.read_bytes())
    assert content[frame + 4] >> 6, "the frame states its size in two bytes or more"
    content[frame + 5 : frame + 7] = b"\xff\xff"
    path.write_bytes(content)
    assert "announces another size" in verify(recorded).problems[0].what


def test_any_other_file_is_damaged_or_incomplete_never_good(tmp_path):
    for name, content in {"text": b"hello, world, this is no recording", "empty": b"", "magic": MAGIC}.items():
        (tmp_path / name).write_bytes(content)
    assert verify(tmp_path / "text").status == "damaged"
    assert verify(tmp_path / "empty").status == "incomplete"
    assert verify(tmp_path / "magic").status == "incomplete"


def test_a_missing_recording_is_an_error_not_a_finding(tmp_path):
    with pytest.raises(RecordingError, match=r"without session\.mcap"):
        verify(tmp_path)


def test_a_file_of_another_profile_is_not_ours_however_well_it_is_made(tmp_path):
    from mcap.writer import Writer

    path = tmp_path / "session.mcap"
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start("ros2", "somebody")
        writer.finish()
    assert "profile 'ros2', this reads 'myoloop-1'" in verify(path).problems[0].what

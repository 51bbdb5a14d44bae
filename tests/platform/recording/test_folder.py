from concurrent.futures import ThreadPoolExecutor

import pytest

from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import (
    append_log,
    create_attempt,
    find_recording,
    keep_copy,
    next_session,
    no_attempt_if_refused,
    place_of,
)
from myoloop.platform.recording.layout import RecordingError


def test_attempts_are_numbered_and_never_reused(tmp_path):
    first = create_attempt(tmp_path / "study", "P017", 5)
    assert first == tmp_path / "study" / "sub-P017" / "ses-05" / "att-1"
    assert create_attempt(tmp_path / "study", "P017", 5).name == "att-2"
    first.rmdir()
    assert create_attempt(tmp_path / "study", "P017", 5).name == "att-3"


def test_two_processes_never_get_the_same_attempt(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: create_attempt(tmp_path, "S1", 1), range(40)))
    assert len(set(made)) == 40


@pytest.mark.parametrize("subject", ["", "Anna Muster", "a" * 33, "../x", "P-1", "Zoë", "P17\n"])
def test_a_subject_is_a_pseudonym_of_letters_and_digits(tmp_path, subject):
    with pytest.raises(RecordingError, match="pseudonym of 1 to 32 letters and digits"):
        create_attempt(tmp_path, subject, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("session", [0, -1, 10000])
def test_a_session_number_out_of_range_is_refused(tmp_path, session):
    with pytest.raises(RecordingError, match="1 to 9999"):
        create_attempt(tmp_path, "S1", session)


def test_a_study_that_is_a_file_is_named(tmp_path):
    study = tmp_path / "study"
    study.write_text("not a folder")
    with pytest.raises(RecordingError, match=r"study: is a file, a folder is needed"):
        create_attempt(study, "S1", 1)


def test_the_next_session_follows_the_highest(tmp_path):
    assert next_session(tmp_path, "S1") == 1
    create_attempt(tmp_path, "S1", 3)
    create_attempt(tmp_path, "S2", 7)
    assert next_session(tmp_path, "S1") == 4


class Mistake(UserError):
    pass


class Fault(UserError):
    exit_code = 3


class TestRefused:
    def refuse(self, folder, error):
        (folder / "nodes").mkdir()
        (folder / "nodes" / "a.log").write_text("what is wrong")
        with pytest.raises(type(error)), no_attempt_if_refused(folder):
            raise error

    def test_a_users_mistake_uses_up_no_number(self, tmp_path):
        self.refuse(create_attempt(tmp_path, "S1", 1), Mistake("no such file"))
        assert list(tmp_path.iterdir()) == []
        assert next_session(tmp_path, "S1") == 1

    def test_what_others_have_left_stays(self, tmp_path):
        kept = create_attempt(tmp_path, "S1", 1)
        self.refuse(create_attempt(tmp_path, "S1", 1), Mistake("no such file"))
        self.refuse(create_attempt(tmp_path, "S1", 2), Mistake("no such file"))
        assert [each.name for each in (tmp_path / "sub-S1").iterdir()] == ["ses-01"]
        assert [each.name for each in kept.parent.iterdir()] == ["att-1"]

    def test_what_was_recorded_stays(self, tmp_path):
        folder = create_attempt(tmp_path, "S1", 1)
        (folder / "session.mcap").write_bytes(b"\x89MCAP0")
        self.refuse(folder, Mistake("no such channel"))
        assert (folder / "session.mcap").read_bytes() == b"\x89MCAP0"
        assert (folder / "nodes" / "a.log").exists()

    @pytest.mark.parametrize("error", [Fault("the board is gone"), OSError("disk")])
    def test_a_fault_leaves_its_traces(self, tmp_path, error):
        folder = create_attempt(tmp_path, "S1", 1)
        self.refuse(folder, error)
        assert (folder / "nodes" / "a.log").exists()

    def test_no_other_folder_is_ever_removed(self, tmp_path):
        self.refuse(tmp_path, Mistake("no such file"))
        assert (tmp_path / "nodes" / "a.log").exists()


def test_a_place_is_read_back_from_its_path(tmp_path):
    folder = create_attempt(tmp_path, "P017", 12)
    place = place_of(folder)
    assert (place.study, place.subject, place.session, place.attempt) == (tmp_path, "P017", 12, 1)
    assert place_of(folder / "session.mcap") == place
    assert place_of(tmp_path) is None


def test_a_recording_is_found_from_its_folder_or_itself(recorded):
    assert find_recording(recorded) == recorded / "session.mcap"
    assert find_recording(str(recorded / "session.mcap")) == recorded / "session.mcap"


def test_what_is_no_recording_is_said_in_one_line(tmp_path, example):
    with pytest.raises(RecordingError, match="nowhere: no such file or folder"):
        find_recording(tmp_path / "nowhere")
    with pytest.raises(RecordingError, match=r"a folder without session\.mcap"):
        find_recording(tmp_path)
    example.write(create_attempt(tmp_path, "S1", 1), 1)
    with pytest.raises(RecordingError, match=r"name one of those in it: sub-S1/ses-01/att-1"):
        find_recording(tmp_path)


def test_a_copy_is_kept_once_and_its_hash_told(tmp_path):
    key, sha256 = keep_copy(tmp_path, "protocol.yaml", b"name: x\n")
    assert key == "sha256.protocol.yaml"
    assert sha256 == "a2a79ea37edb1963efaae29281523ab441a8a99df048d204f22f3f413e325afc"
    with pytest.raises(RecordingError, match="nothing is overwritten"):
        keep_copy(tmp_path, "protocol.yaml", b"other")
    with pytest.raises(RecordingError, match="copies are called"):
        keep_copy(tmp_path, "../protocol.yaml", b"other")
    assert (tmp_path / "protocol.yaml").read_bytes() == b"name: x\n"


def test_the_log_only_grows(tmp_path):
    append_log(tmp_path, 1, 2, "operator", "first\nline")
    append_log(tmp_path, 3, 4, "director", "second")
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert lines == [
        '{"t_ns":1,"wall_ns":2,"who":"operator","text":"first\\nline"}',
        '{"t_ns":3,"wall_ns":4,"who":"director","text":"second"}',
    ]

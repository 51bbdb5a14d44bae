"""The runtime folder: private, locked, short enough, and gone with the last who used it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from myoloop.platform.runtime import (
    LOCK,
    MAX_SOCKET_PATH,
    OwnedRuntimeFolder,
    RuntimeFolder,
    RuntimeFolderError,
    read_told,
    running,
    sweep,
)


def listen_at(path: Path) -> socket.socket:
    """What a node's PUB is to the file system: a unix socket that listens."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    made.listen()
    return made


def abandoned(base: Path, name: str = "myo-old") -> Path:
    """The folder of a supervisor that was killed."""
    path = base / name
    path.mkdir(0o700)
    (path / LOCK).touch()
    (path / "keys.json").write_text("[]")
    return path


def test_it_is_for_this_user_alone(short_folder):
    owned = OwnedRuntimeFolder()
    assert owned.path.parent == short_folder
    assert stat.S_IMODE(owned.path.stat().st_mode) == 0o700
    owned.remove()


def test_the_longest_name_of_a_node_fits_a_socket(short_folder):
    owned = OwnedRuntimeFolder()
    with listen_at(owned.socket_path(f"{'n' * 31}.source")):
        pass
    assert owned.endpoint("amp", "pub") == f"ipc://{owned.path}/amp.pub"
    owned.remove()


def test_it_is_locked_as_long_as_its_supervisor_has_it(short_folder):
    owned = OwnedRuntimeFolder()
    assert running(short_folder) == [owned.path]
    owned.remove()
    assert running(short_folder) == []


def test_looking_on_takes_no_lock_from_anybody(short_folder):
    path = abandoned(short_folder)
    with (path / LOCK).open() as held:
        if sys.platform != "win32":
            import fcntl

            # Another who looks at the same moment.
            fcntl.flock(held, fcntl.LOCK_SH)
        assert running(short_folder) == []


@pytest.fixture
def lived_in(short_folder):
    """The folder of a rig that runs, with what it tells of itself."""
    path = abandoned(short_folder, "myo-lived")
    (path / "rig.json").write_text("{}")
    with (path / LOCK).open("r+") as held:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(held, fcntl.LOCK_EX)
        yield path


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes")
class TestWhatOthersPlant:
    """Whoever may write where runtime folders are keeps nobody from finding, reading or stopping theirs."""

    @pytest.mark.parametrize("mode", [0o777, 0o710, 0o701, 0o740])
    def test_a_folder_that_others_may_look_into_is_none_of_ours(self, lived_in, mode):
        assert running(lived_in.parent) == [lived_in]
        assert read_told(lived_in, "rig.json") == b"{}"
        lived_in.chmod(mode)
        assert running(lived_in.parent) == []
        with pytest.raises(PermissionError):
            read_told(lived_in, "rig.json")

    @pytest.mark.skipif(sys.platform == "win32" or os.getuid() != 0, reason="needs another user to be")
    def test_a_folder_of_another_user_is_none_of_ours_and_is_left_alone(self, lived_in):
        os.chown(lived_in, 65534, -1)
        old = abandoned(lived_in.parent, "myo-old")
        os.chown(old, 65534, -1)
        assert running(lived_in.parent) == []
        sweep(lived_in.parent)
        assert old.exists()
        with pytest.raises(PermissionError):
            read_told(lived_in, "rig.json")

    def test_a_link_to_a_folder_is_none_of_ours(self, lived_in):
        link = lived_in.parent / "myo-link"
        link.symlink_to(lived_in)
        assert running(lived_in.parent) == [lived_in]
        with pytest.raises(OSError):
            read_told(link, "rig.json")

    def test_nobody_waits_for_a_file_that_is_none(self, lived_in):
        (lived_in / "rig.json").unlink()
        os.mkfifo(lived_in / "rig.json")
        with pytest.raises(OSError, match="no file"):
            read_told(lived_in, "rig.json")
        (lived_in / "other.json").symlink_to(lived_in / "keys.json")
        with pytest.raises(OSError):
            read_told(lived_in, "other.json")

    def test_a_file_without_end_is_not_read(self, lived_in):
        with (lived_in / "rig.json").open("r+b") as file:
            file.truncate((1 << 20) + 1)
        with pytest.raises(OSError, match="more than"):
            read_told(lived_in, "rig.json")


def test_removing_leaves_nothing_and_may_be_done_twice(short_folder):
    owned = OwnedRuntimeFolder()
    owned.socket_path("amp.pub").touch()
    owned.remove()
    # What has the descriptor's number now is somebody else's.
    with (short_folder / "other").open("w") as other:
        owned.remove()
        other.write("still open")
    assert [path.name for path in short_folder.iterdir()] == ["other"]


def test_too_long_a_path_is_refused_in_one_line_and_leaves_nothing(short_folder, monkeypatch):
    deep = short_folder / ("d" * (MAX_SOCKET_PATH - 40))
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with pytest.raises(RuntimeFolderError, match="TMPDIR") as caught:
        OwnedRuntimeFolder()
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert list(deep.iterdir()) == []


def test_the_next_one_sweeps_what_a_killed_one_left(short_folder):
    old = abandoned(short_folder)
    OwnedRuntimeFolder().remove()
    assert not old.exists()


def test_a_dead_nodes_socket_keeps_no_folder_from_being_swept(short_folder):
    old = abandoned(short_folder)
    listen_at(old / "controller.pub").close()
    assert (old / "controller.pub").exists()
    sweep(short_folder)
    assert not old.exists()


def test_a_folder_whose_node_still_lives_is_not_swept(short_folder):
    old = abandoned(short_folder)
    with listen_at(old / "stimulator.pub"):
        sweep(short_folder)
        assert old.exists()


@pytest.mark.parametrize("name", ["supervisor", "operator", "observer"])
def test_who_is_no_node_keeps_no_folder(short_folder, name):
    old = abandoned(short_folder)
    with listen_at(old / f"{name}.pub"):
        sweep(short_folder)
    assert not old.exists()


def test_what_is_not_a_runtime_folder_is_not_touched(short_folder):
    (short_folder / "myo-notes").mkdir()
    (short_folder / "myo-file").write_text("mine")
    owned = OwnedRuntimeFolder()
    sweep(short_folder)
    assert owned.path.exists()
    assert (short_folder / "myo-notes").exists()
    assert (short_folder / "myo-file").read_text() == "mine"
    owned.remove()


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="needs another user to be")
def test_another_users_rig_is_none_of_ours(short_folder):
    short_folder.chmod(0o755)
    owned = OwnedRuntimeFolder()
    source = Path(sys.modules["myoloop.platform.runtime"].__file__).parents[2]
    code = (
        "import sys, pathlib; from myoloop.platform import runtime; base = pathlib.Path(sys.argv[1]); import os; "
        "os.setuid(65534); runtime.sweep(base); print(runtime.running(base))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(short_folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    assert done.stdout.strip() == "[]", done.stderr
    assert owned.path.exists()
    owned.remove()


def test_a_node_removes_its_own_sockets_and_the_last_one_the_folder(short_folder):
    path = abandoned(short_folder)
    folder = RuntimeFolder(path)
    first, second = listen_at(path / "amp.pub"), listen_at(path / "controller.pub")
    (path / "amp.cmd").touch()
    first.close()
    folder.remove_sockets("amp")
    assert sorted(each.name for each in path.iterdir()) == ["controller.pub", "keys.json", LOCK]
    second.close()
    folder.remove_sockets("controller")
    assert not path.exists()


def test_while_the_supervisor_lives_the_folder_stays(short_folder):
    owned = OwnedRuntimeFolder()
    listen_at(owned.path / "amp.pub").close()
    RuntimeFolder(owned.path).remove_sockets("amp")
    assert [path.name for path in owned.path.iterdir()] == [LOCK]
    owned.remove()

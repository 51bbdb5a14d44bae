import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np

import myoloop
from myoloop.platform.recording import versions
from myoloop.platform.recording.manifest import read_manifest
from myoloop.platform.recording.versions import version_metadata
from myoloop.platform.recording.writer import RecordingWriter


def test_versions_of_what_the_numbers_depend_on_are_told():
    found = version_metadata()
    assert found["version.myoloop"] == myoloop.__version__
    assert found["version.python"] == platform.python_version()
    assert platform.machine() in found["version.platform"]
    assert found["version.numpy"] == np.__version__
    for library in ("scipy", "msgspec", "pyzmq", "mcap", "brainflow"):
        assert found[f"version.{library}"] == version(library)


def test_what_is_not_installed_is_left_out(monkeypatch):
    def absent(name):
        if name == "brainflow":
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(versions, "version", absent)
    assert "version.brainflow" not in version_metadata()


def test_they_stand_in_the_manifest(tmp_path):
    metadata = {"simulated": "true", **version_metadata()}
    with RecordingWriter(tmp_path, session="s1", descriptors=[], metadata=metadata, live=False) as writer:
        writer.end("complete", "", 0)
    manifest = read_manifest(tmp_path)
    assert {f"version.{what}": text for what, text in manifest.versions.items()} == version_metadata()

"""What all tests share: the real recordings, and which tests are left out unless asked for."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]
# How long an example takes says how busy the machine is, not whether it holds. Who says nothing of the number of
# examples gets some in every run, and many in the proofs.
hypothesis.settings.register_profile("myoloop", deadline=None, max_examples=30)
hypothesis.settings.register_profile("mutants", deadline=None, max_examples=100)
hypothesis.settings.register_profile("prove", deadline=None, max_examples=300)


def _data_dir() -> Path:
    return Path(os.environ.get("MYOLOOP_DATA") or ROOT.parent / "shared" / "data")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--prove", action="store_true", help="run the long proofs too (or MYOLOOP_PROVE=1)")


def pytest_configure(config: pytest.Config) -> None:
    # Before any test module is read: what a test's own settings leave open is taken from here as it is decorated.
    mutant = "mutants" if "MYOLOOP_MUTANT" in os.environ else "myoloop"
    hypothesis.settings.load_profile("prove" if _proving(config) else mutant)


def _proving(config: pytest.Config) -> bool:
    return bool(config.getoption("--prove")) or os.environ.get("MYOLOOP_PROVE") == "1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    proving = _proving(config)
    data = _data_dir()
    for item in items:
        if item.get_closest_marker("prove") and not proving:
            item.add_marker(pytest.mark.skip(reason="a long proof: pytest --prove, or make prove"))
        if item.get_closest_marker("realdata") and not data.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"no recordings at {data}; MYOLOOP_DATA says where they are"))


@pytest.fixture(scope="session", autouse=True)
def _place_of_temporary_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Choose it before any test has a temporary folder of its own: pytest would put all later ones into that."""
    tmp_path_factory.getbasetemp()


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real recordings; for tests marked `realdata`, which are skipped where there are none."""
    data = _data_dir()
    if not data.is_dir():
        pytest.skip(f"no recordings at {data}; MYOLOOP_DATA says where they are")
    return data


@pytest.fixture
def short_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A private folder for sockets, whose path is short enough for them; also where runtime folders are made."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as name:
        monkeypatch.setenv("TMPDIR", name)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """Poll until something holds, and give it back; fail once the patience is over."""

    def wait(condition: Callable[[], Any], what: str = "it", patience_s: float = 10.0) -> Any:
        deadline = time.monotonic() + patience_s
        while not (value := condition()):
            assert time.monotonic() < deadline, f"{what} did not come within {patience_s:g} s"
            time.sleep(0.002)
        return value

    return wait

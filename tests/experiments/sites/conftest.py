"""A study's own site, with one change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from myoloop.experiments.sites.library import LIBRARY


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., Path]:
    """Folder with a copy of the wrist extensors called `mine`, in which texts are replaced."""

    def changed(*changes: tuple[str, str], name: str = "mine") -> Path:
        text = (LIBRARY / "wrist_extensors.yaml").read_text(encoding="utf-8")
        for old, new in (("name: wrist_extensors\n", f"name: {name}\n"), *changes):
            assert old in text
            text = text.replace(old, new, 1)
        folder = tmp_path / "own"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return folder

    return changed

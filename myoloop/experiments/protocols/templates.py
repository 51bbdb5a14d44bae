"""What ``myoloop new`` writes: a protocol to edit, a controller package to change."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

from myoloop.controllers.policies.policy import BUILT_IN
from myoloop.experiments.protocols.schema import presets
from myoloop.platform.errors import UserError

_NAME = re.compile(r"[a-z][a-z0-9_]{1,29}")
_CONTROLLER_FILES = {
    "pyproject.toml.template": "pyproject.toml",
    "README.md.template": "README.md",
    "policy.py.template": "$module.py",
    "test_policy.py.template": "test_$module.py",
}


class NewFileError(UserError, ValueError):
    """Nothing was written; the text says why."""


def new_protocol(name: str, folder: Path | str = ".") -> Path:
    """Write a commented protocol that lints clean.

    Returns
    -------
    Path
        The file, ``NAME.yaml`` in `folder`.

    Raises
    ------
    NewFileError
        If the name will not do, the file exists, or it cannot be written.
    """
    _check(name, taken=tuple(presets()), what="a preset")
    path = Path(folder) / f"{name}.yaml"
    title = name.replace("_", " ").capitalize()
    write_new({path: _filled("protocol.yaml.template", {"name": name, "title": title})}, refuse=path)
    return path


def new_controller(name: str, folder: Path | str = ".") -> Path:
    """Write an installable package with one policy, its entry point, and a test that passes.

    Returns
    -------
    Path
        The package's folder, ``NAME`` in `folder`.

    Raises
    ------
    NewFileError
        If the name will not do, the folder exists, or it cannot be written.
    """
    _check(name, taken=tuple(BUILT_IN), what="a policy of myoloop's own")
    root = Path(folder) / name
    words = {
        "name": name,
        "dashed": name.replace("_", "-"),
        # Not the bare name: a folder of that name beside it would hide an installed module.
        "module": f"myoloop_{name}",
        "class_name": "".join(part.capitalize() for part in name.split("_") if part),
    }
    contents = {
        root / Template(target).substitute(words): _filled(f"controller/{source}", words)
        for source, target in _CONTROLLER_FILES.items()
    }
    write_new(contents, refuse=root)
    return root


def _check(name: str, *, taken: tuple[str, ...], what: str) -> None:
    if keyword.iskeyword(name):
        raise NewFileError(f"found {name!r}, a keyword of Python; allowed is a name that is none")
    if not _NAME.fullmatch(name) or name.endswith("_"):
        raise NewFileError(f"found {name!r}, allowed is a name of 2 to 30 of a-z, 0-9 and _, like wrist_assist")
    if name in taken:
        raise NewFileError(f"{name} is {what}; taken are {', '.join(sorted(taken))}")


def _filled(source: str, words: dict[str, str]) -> str:
    text = (files("myoloop.experiments.protocols") / "template_files" / source).read_text(encoding="utf-8")
    return Template(text).substitute(words)


def write_new(contents: dict[Path, str], *, refuse: Path) -> None:
    """Write files, folders to them too; nothing at all if `refuse` is there.

    Raises
    ------
    NewFileError
        If it is, or one cannot be written.
    """
    if refuse.exists() or refuse.is_symlink():
        raise NewFileError(f"{refuse}: exists already; nothing was written")
    try:
        for path, text in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
    except OSError as error:
        raise NewFileError(f"{error.filename or refuse}: {(error.strerror or str(error)).lower()}") from None

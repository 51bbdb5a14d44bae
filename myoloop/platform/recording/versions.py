"""Versions of everything that a recording's numbers, or its reading, may depend on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import myoloop

#: Libraries between a sample and the file: signal work, wire, file, devices. What is not installed is left out.
LIBRARIES = ("numpy", "scipy", "msgspec", "pyzmq", "mcap", "zstandard", "brainflow", "pylsl")


def version_metadata() -> dict[str, str]:
    """Versions as session metadata, ``version.<what>``; looked up without importing anything."""
    found = {
        "myoloop": myoloop.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return {f"version.{what}": text for what, text in found.items()}

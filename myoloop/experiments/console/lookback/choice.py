"""Controllers that can be tried on a recording: those of the presets, and of the files that stand in a study."""

from __future__ import annotations

from pathlib import Path

from myoloop.experiments import protocols

PRESETS = Path(protocols.__file__).parent / "presets"
#: Where a study keeps files that are a controller and nothing else.
CONTROLLERS_FOLDER = "controllers"


def controllers_here(study: Path) -> dict[str, Path]:
    """Files with a controller in them, by the name under which they are chosen.

    Of a study: YAML files in its ``controllers`` folder, and protocols at its top. The name of one of a study begins
    with ``study/``, so that none hides a preset.
    """
    found = {f"study/{path.stem}": path for path in sorted(study.glob("*.yaml")) if _has_controller(path)}
    found |= {
        f"study/{CONTROLLERS_FOLDER}/{path.stem}": path for path in sorted((study / CONTROLLERS_FOLDER).glob("*.yaml"))
    }
    return found | {path.stem: path for path in sorted(PRESETS.glob("*.yaml"))}


def _has_controller(path: Path) -> bool:
    try:
        return any(line.startswith("controller:") for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return False

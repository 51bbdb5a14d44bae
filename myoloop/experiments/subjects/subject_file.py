"""The subject file: one virtual person as YAML."""

from __future__ import annotations

import re
from dataclasses import asdict, fields, replace
from pathlib import Path

from ruamel.yaml import YAML

from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.population import draw, typical
from myoloop.experiments.subjects.presets import PRESETS
from myoloop.platform.yamlfile import FileError, at, load_yaml

#: It becomes part of a path.
_PSEUDONYM = re.compile(r"[A-Za-z0-9]{1,32}")
_KEYS = ("subject", "name", "preset", "seed", "parameters")
_ALLOWED = ", ".join(_KEYS)


def load_subject(path: Path | str, seed: int | None = None) -> tuple[str, SubjectParameters]:
    """Read a subject file: a name, the group and the seed that draw the person, and what differs from the draw.

    ::

        subject: simulated
        name: VS007
        preset: chronic_sci
        seed: 7
        parameters:
          spasm_rate_per_min: 5

    Parameters
    ----------
    seed
        Draws the person where the file names no seed. Without either it is the one who is typical of the preset, or,
        where none is named, has the default parameters.

    Returns
    -------
    name
        The file's `name`.
    parameters
        The person.

    Raises
    ------
    myoloop.platform.yamlfile.FileError
        With every mistake in the file.
    """
    data, lines = load_yaml(path)
    if not isinstance(data, dict):
        raise FileError([f"{path}:1: found {data!r}, allowed is a map with {_ALLOWED}"])
    problems = [f"{at(path, lines, (key,))}: unknown key, allowed: {_ALLOWED}" for key in data if key not in _KEYS]
    if data.get("subject") != "simulated":
        problems.append(f"{at(path, lines, ('subject',))}: found {data.get('subject')!r}, allowed: simulated")
    name = data.get("name")
    if not isinstance(name, str) or not _PSEUDONYM.fullmatch(name):
        problems.append(
            f"{at(path, lines, ('name',))}: found {name!r}, allowed is a pseudonym of 1 to 32 letters and digits"
        )
    drawn = data.get("seed", seed)
    if drawn is not None and (isinstance(drawn, bool) or not isinstance(drawn, int) or drawn < 0):
        problems.append(f"{at(path, lines, ('seed',))}: found {drawn!r}, allowed is a whole number from 0")
        drawn = None
    preset = data.get("preset")
    if preset is not None and preset not in PRESETS:
        problems.append(f"{at(path, lines, ('preset',))}: found {preset!r}, allowed: {', '.join(PRESETS)}")
        preset = None
    person = _person(preset, drawn)
    changes = data.get("parameters") or {}
    if not isinstance(changes, dict):
        problems.append(f"{at(path, lines, ('parameters',))}: found {changes!r}, allowed is a map of parameters")
        changes = {}
    known = {parameter.name for parameter in fields(SubjectParameters)}
    for key in changes:
        if key not in known:
            problems.append(f"{at(path, lines, ('parameters', key))}: unknown parameter")
    try:
        person = replace(person, **{key: value for key, value in changes.items() if key in known})
    except ValueError as error:
        key = str(error).split(":", 1)[0]
        where = ("parameters", key) if key in changes else ("parameters",)
        problems.append(f"{at(path, lines, where)}: {str(error).removeprefix(key + ': ')}")
    if problems:
        raise FileError(problems)
    return str(name), person


def write_subject(path: Path | str, name: str, parameters: SubjectParameters) -> None:
    """Write a person as a file that :func:`load_subject` makes the same person of.

    Parameters
    ----------
    name
        A pseudonym of 1 to 32 letters and digits.

    Raises
    ------
    ValueError
        If `name` is no pseudonym.
    OSError
        If the file cannot be written.
    """
    if not _PSEUDONYM.fullmatch(name):
        raise ValueError(f"name: found {name!r}, allowed is a pseudonym of 1 to 32 letters and digits")
    written = {parameter: float(value) for parameter, value in asdict(parameters).items()}
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # ruamel.yaml says: only None
    with Path(path).open("w", encoding="utf-8") as file:
        yaml.dump({"subject": "simulated", "name": name, "parameters": written}, file)


def _person(preset: str | None, seed: int | None) -> SubjectParameters:
    if seed is not None:
        return draw(seed, preset or "demo")
    return typical(preset) if preset is not None else SubjectParameters()

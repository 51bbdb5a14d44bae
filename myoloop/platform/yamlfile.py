"""YAML files that people write: read strictly, every mistake named with its file, line and key.

`load_model` reads a file into a pydantic model, `load_yaml` into plain data with the line of every key.
YAML 1.2 is read (a muscle called NO is text, 12:30 is text), and only its plain kinds: maps with text keys,
lists, text, numbers, true, false, null. A date stays text; any other tag, a key twice, or a file of
unreasonable size is refused.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from myoloop.platform.errors import UserError

MAX_BYTES = 1 << 20
MAX_NODES = 100_000
MAX_DEPTH = 32

#: The way to a value from the top: keys and list positions.
KeyPath = tuple[str | int, ...]
#: The line, from 1, on which each key or list item stands; ``()`` is the document.
Lines = dict[KeyPath, int]

ModelT = TypeVar("ModelT", bound=BaseModel)

_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str")}
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class Mark(int):
    """A line, from 1, that knows its column too, from 1."""

    column: int

    def __new__(cls, line: int, column: int) -> Mark:
        """Line and column of where a key or list item begins."""
        mark = super().__new__(cls, line)
        mark.column = column
        return mark


class Mistake(str):
    """One line about a mistake, that knows its place in the file.

    Attributes
    ----------
    line, column
        From 1.
    """

    line: int
    column: int

    def __new__(cls, text: str, line: int) -> Mistake:
        """A text about what stands on a line; its column is the line's, where that knows it."""
        mistake = super().__new__(cls, text)
        mistake.line, mistake.column = int(line), getattr(line, "column", 1)
        return mistake


class FileError(UserError, ValueError):
    """A file that cannot be used: `problems` has one clear line per mistake, all of them at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class UnreadableFile(FileError):
    """A file that is not there, or whose text cannot be had."""


def load_model(path: Path | str, model: type[ModelT]) -> ModelT:
    """Read a file into a model.

    Raises
    ------
    FileError
        With every mistake in the file, each as ``file:line: key: found X, allowed Y``.
    """
    data, lines = load_yaml(path)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise FileError(explain(error, path, data, lines, model)) from None


def load_yaml(path: Path | str) -> tuple[Any, Lines]:
    """Read a file into plain data.

    Returns
    -------
    data
        Of dict, list, str, int, float, bool and None only.
    lines
        Line of each key path.

    Raises
    ------
    UnreadableFile
        If there is no such file, or it is no text.
    FileError
        If it is not the YAML that is read here.
    """
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise UnreadableFile([f"{path}: is a folder, a file is needed"]) from None
    except OSError as error:
        raise UnreadableFile([f"{path}: {(error.strerror or str(error)).lower()}"]) from None
    if len(raw) > MAX_BYTES:
        raise UnreadableFile([f"{path}: found more than {MAX_BYTES} bytes, allowed at most that"])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UnreadableFile([f"{path}:{line}: found bytes that are not UTF-8 text"]) from None
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path | str = "<text>") -> tuple[Any, Lines]:
    """The same for text in hand; `path` is only named in messages.

    Raises
    ------
    FileError
        As `load_yaml`.
    """
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        raise FileError([f"{where}: not valid YAML: {error.problem or error.context}"]) from None
    except (YAMLError, ValueError) as error:
        raise FileError([f"{path}: not valid YAML: {str(error).splitlines()[0]}"]) from None
    except RecursionError:
        raise FileError([f"{path}: nested more than {MAX_DEPTH} deep"]) from None
    if node is None:
        raise FileError([f"{path}: is empty"])
    reading = _Reading(yaml, path)
    return reading.plain(node, (), _mark(node)), reading.lines


def explain(
    error: ValidationError,
    path: Path | str,
    data: Any,
    lines: Mapping[KeyPath, int],
    model: type[BaseModel] | None = None,
) -> list[str]:
    """Say each mistake in one line, ``file:line: key: found X, allowed Y``, in the order of the lines.

    Parameters
    ----------
    model
        Where given, an unknown key is answered with the keys that are allowed there.
    """
    found = [_problem(details, path, data, lines, model) for details in error.errors(include_url=False)]
    return [Mistake(text, line) for line, text in sorted(found, key=lambda pair: pair[0])]


def at(path: Path | str, lines: Mapping[KeyPath, int], keys: KeyPath) -> str:
    """``file:line: key`` of a key path, or of the nearest one above it that has a line."""
    return f"{path}:{_line(lines, keys)}: {dotted(keys)}"


def dotted(keys: Sequence[str | int]) -> str:
    """Write a key path as a person would: ``channels[2].name``."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


class _Reading:
    """Composed nodes into plain data, keeping lines."""

    def __init__(self, yaml: YAML, path: Path | str) -> None:
        self._yaml = yaml
        self._path = path
        self._nodes = 0
        self.lines: Lines = {}

    def plain(self, node: Node, keys: KeyPath, line: Mark) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES or len(keys) > MAX_DEPTH:
            raise self._refused(node, f"found more than {MAX_NODES} values or {MAX_DEPTH} levels, allowed at most that")
        self.lines[keys] = line
        if isinstance(node, MappingNode):
            return self._mapping(node, keys)
        if isinstance(node, SequenceNode):
            return [self.plain(item, (*keys, i), _mark(item)) for i, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: MappingNode, keys: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node) if isinstance(key_node, ScalarNode) else None
            if not isinstance(key, str):
                shown = key_node.value if isinstance(key_node, ScalarNode) else "a list or map"
                raise self._refused(key_node, f"found {shown} as a key, allowed is text (put it in quotes)")
            if key in data:
                first = self.lines[(*keys, key)]
                raise self._refused(key_node, f"{dotted((*keys, key))}: found twice, first on line {first}")
            data[key] = self.plain(value_node, (*keys, key), _mark(key_node))
        return data

    def _scalar(self, node: Node) -> Any:
        tag = str(node.tag)
        if tag == _TIMESTAMP:
            return node.value
        if tag not in _SCALARS or not isinstance(node, ScalarNode):
            raise self._refused(node, f"found the tag {tag}, allowed are plain values only")
        try:
            return self._yaml.constructor.construct_object(node)
        except (ValueError, YAMLError):
            raise self._refused(node, f"found {node.value!r}, which cannot be read as a value") from None

    def _refused(self, node: Node, why: str) -> FileError:
        return FileError([f"{self._path}:{node.start_mark.line + 1}: {why}"])


def _mark(node: Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


def _problem(
    details: ErrorDetails,
    path: Path | str,
    data: Any,
    lines: Mapping[KeyPath, int],
    model: type[BaseModel] | None,
) -> tuple[int, str]:
    location = details["loc"]
    kind = details["type"]
    keys = _existing(data, location)
    if kind == "missing":
        keys = (*keys, location[-1])
    line = _line(lines, keys)
    where = f"{path}:{line}: {dotted(keys) or 'the file'}"
    if kind == "missing":
        return line, f"{where}: missing, but needed"
    if kind == "extra_forbidden":
        allowed = _allowed_keys(model, location[:-1]) if model is not None else ()
        return line, f"{where}: unknown key{_suggestion(str(location[-1]), allowed)}"
    context = details.get("ctx", {})
    if kind in {"value_error", "assertion_error"}:
        return line, f"{where}: found {_shown(details['input'])}: {context.get('error', details['msg'])}"
    return line, f"{where}: found {_shown(details['input'])}, allowed: {_allowed(details)}"


def _existing(data: Any, location: Sequence[str | int]) -> KeyPath:
    """The parts of pydantic's location that are keys of the file; the others name members of a union."""
    keys: KeyPath = ()
    for part in location:
        named = isinstance(data, dict) and isinstance(part, str) and part in data
        counted = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if named or counted:
            data = data[part]
            keys = (*keys, part)
    return keys


def _line(lines: Mapping[KeyPath, int], keys: KeyPath) -> int:
    while keys and keys not in lines:
        keys = keys[:-1]
    return lines.get(keys, 1)


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"a {'map' if isinstance(value, dict) else 'list'} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _allowed(details: ErrorDetails) -> str:
    """What is allowed, in the words of whoever writes the file, not of whoever wrote the program."""
    context = details.get("ctx", {})
    expected = context.get("expected") or context.get("expected_tags")
    if expected:
        return str(expected)
    kind = details["type"]
    if kind in ("too_short", "too_long"):
        bound = context.get("min_length") if kind == "too_short" else context.get("max_length")
        return f"{'at least' if kind == 'too_short' else 'at most'} {bound} {'item' if bound == 1 else 'items'}"
    if kind == "string_too_short":
        least = context.get("min_length")
        return "text that is not empty" if least == 1 else f"text of at least {least} letters"
    if kind == "string_too_long":
        return f"text of at most {context.get('max_length')} letters"
    if kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern"))
        return _PATTERNS.get(pattern, f"text that matches {pattern}")
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        limit = context.get(bound)
        return f"{words} {f'{limit:g}' if isinstance(limit, float) else limit}"
    return _KINDS.get(kind) or _lowered(details["msg"])


#: What the names that people give must be, by the pattern that checks them.
_PATTERNS = {
    r"^[a-z0-9][a-z0-9_-]{0,30}$": "a name of 1 to 31 of a-z, 0-9, _ and -",
    r"^\d+\.\d+\.\d+$": "three numbers such as 1.0.0",
}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_KINDS = {
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type", "mapping_type"), "a map (key: value)"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type"), "a list"),
    **dict.fromkeys(("string_type", "string_sub_type"), "text"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "finite_number": "a finite number",
}


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _suggestion(key: str, allowed: Sequence[str]) -> str:
    if not allowed:
        return ""
    near = difflib.get_close_matches(key, allowed, n=1)
    return (f" (did you mean {near[0]}?)" if near else "") + f", allowed: {', '.join(allowed)}"


def _allowed_keys(model: type[BaseModel], location: Sequence[str | int]) -> tuple[str, ...]:
    """Keys of the model that stands at a location of `model`; () where that cannot be told."""
    members: list[Any] = [model]
    for part in location:
        members = [below for member in members for below in _below(member, part)]
    models = [member for member in members if isinstance(member, type) and issubclass(member, BaseModel)]
    return tuple(field.alias or name for chosen in models[:1] for name, field in chosen.model_fields.items())


def _below(member: Any, part: str | int) -> list[Any]:
    """What may stand one step below: a field, an item, or the member of a union that `part` names."""
    if isinstance(member, type) and issubclass(member, BaseModel):
        for name, field in member.model_fields.items():
            if part in (name, field.alias):
                return _members(field.annotation)
        return [member] if member.__name__ == part or part in _tags(member) else []
    if get_origin(member) in (list, tuple, dict):
        return [found for argument in get_args(member)[-1:] for found in _members(argument)]
    return []


def _members(annotation: Any) -> list[Any]:
    """Take optional, annotated and union types apart."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [found for argument in get_args(annotation) for found in _members(argument)]
    return [annotation]


def _tags(model: type[BaseModel]) -> set[Any]:
    annotations = (field.annotation for field in model.model_fields.values())
    return {value for kind in annotations if get_origin(kind) is Literal for value in get_args(kind)}

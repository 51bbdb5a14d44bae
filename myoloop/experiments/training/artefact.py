"""A trained model as a folder: ``card.json`` and ``model.npz``, plain numbers and text, nothing that could be executed.

The card says what the model is, what it was trained for and with, and the SHA-256 of every file and of itself. Whatever
does not fit (a hash, a type, a version, an observation, the channels or the envelope of a session) is refused in one
line before anything starts. Hashes tell damage and mix-ups; who may put an artefact to work is for ``myoloop deploy``.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from myoloop import __version__
from myoloop.controllers.policies.distilled_model import NODES_MAX, DistilledModel
from myoloop.controllers.policies.fitted_q import FittedQSettings
from myoloop.controllers.policies.observation import OBSERVATION
from myoloop.controllers.settings import StimOutput
from myoloop.platform.errors import UserError

KIND = "myoloop fitted_q"
FORMAT = 1
POLICY = "fitted_q"
CARD, MODEL = "card.json", "model.npz"
#: Arrays of the model's file, in numpy's words: little endian, one dimension.
TYPES = {
    "mean": "<f8", "scale": "<f8", "low": "<f8", "high": "<f8",
    "feature": "<i4", "threshold": "<f8", "left": "<i4", "right": "<i4", "value": "<f8",
}  # fmt: skip
#: Settings that are the person's or the session's; all others are those that the model was trained with.
PERSONAL = frozenset({
    "artefact", "model", "setpoint", "full_response", "recruitment_median_ma", "recruitment_spread", "muscle",
    "channel", "threshold_ma", "recruitment_phase_us", "chronaxie_us",
})  # fmt: skip
TRAINED = tuple(field.name for field in fields(FittedQSettings) if field.name not in PERSONAL)
_BYTES_MAX = 1 << 22
_SOMEBODY = {"setpoint": 1.0, "full_response": 1.0, "recruitment_median_ma": 20.0, "muscle": "any"}


class ArtefactError(UserError, ValueError):
    """An artefact that is not used; one line for the operator."""


class ChannelUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stimulation channel as the model was trained with it: which muscle it drives, and its pulses."""

    muscle: str
    phase_us: float
    rate_hz: float


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an artefact says of itself.

    Attributes
    ----------
    kind, format, myoloop, policy
        What it is, in which form, of which version of myoloop, for which policy.
    id
        Its name.
    observation, actions
        What it sees and chooses from, in order.
    settings
        Of the policy, as in training.
    channels, envelope
        What it was trained for: stimulation channels, and the protocol's envelope.
    dataset_sha256
        Of what it was trained on.
    types, files
        numpy's type of each array; SHA-256 of each file beside the card.
    about
        For people: how it was trained and evaluated, what for and what not.
    sha256
        Of the card without this.
    """

    kind: str
    format: int
    id: str
    myoloop: str
    policy: str
    observation: tuple[str, ...]
    actions: tuple[float, ...]
    settings: dict[str, float | int | str]
    channels: dict[str, ChannelUse]
    envelope: dict[str, Any]
    envelope_sha256: str
    dataset_sha256: str
    types: dict[str, str]
    files: dict[str, str]
    about: dict[str, Any]
    sha256: str


@dataclass(frozen=True, slots=True)
class Artefact:
    """A model that is what its card says.

    Attributes
    ----------
    folder
        Where it was read from.
    sha256
        Of its card, which has those of all files.
    """

    folder: Path
    card: Card
    model: DistilledModel

    @property
    def sha256(self) -> str:
        """Of its card, and through it of everything."""
        return self.card.sha256

    @property
    def identity(self) -> str:
        """For the record: its id and hash."""
        return f"{self.card.id} sha256 {self.sha256}"

    def check(self, channels: Mapping[str, ChannelUse], envelope: Mapping[str, Any] | None) -> None:
        """Refuse a session that it was not trained for.

        Parameters
        ----------
        channels, envelope
            Of the session; None: the envelope is not known, as where a recording is replayed.

        Raises
        ------
        ArtefactError
            Naming what differs.
        """
        if dict(channels) != self.card.channels:
            there, here = (_channels(each) for each in (self.card.channels, channels))
            raise ArtefactError(f"artefact {self.card.id}: channels: trained for {there}; this session has {here}")
        if envelope is not None and digest_of(envelope) != self.card.envelope_sha256:
            keys = sorted({*envelope, *self.card.envelope})
            odd = next((key for key in keys if envelope.get(key) != self.card.envelope.get(key)), "envelope")
            trained, given = self.card.envelope.get(odd), envelope.get(odd)
            raise ArtefactError(f"artefact {self.card.id}: envelope.{odd}: trained within {trained}, here is {given}")

    def settle(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Plain settings of the policy: the person's as given, all others as in training.

        Raises
        ------
        ArtefactError
            If a setting that it was trained with is another; a smaller budget is allowed.
        """
        for name in TRAINED:
            trained = self.card.settings[name]
            given = values.get(name, trained)
            smaller = name == "budget_uc" and isinstance(given, int | float) and 0 <= given <= float(trained)
            if given != trained and not smaller:
                raise ArtefactError(
                    f"controller.settings.{name}: found {given}, artefact {self.card.id} was trained with {trained}"
                )
        model = {name: list(value) for name, value in asdict(self.model).items()}
        return {**self.card.settings, **values, "model": model, "artefact": self.identity}


def load_artefact(folder: Path | str) -> Artefact:
    """Read an artefact, and refuse what is not exactly what its card says.

    Raises
    ------
    ArtefactError
        Naming the file and what is wrong with it.
    """
    folder = Path(folder)
    card = _read_card(folder)
    where = folder / CARD
    there = {each.name for each in folder.iterdir()} - {CARD}
    for name in sorted(there ^ set(card.files)):
        what = "is not in the card" if name in there else "is missing"
        raise ArtefactError(f"{folder / name}: {what}; {CARD} has {', '.join(sorted(card.files)) or 'no file'}")
    contents = {}
    for name, known in card.files.items():
        if name != MODEL and not name.endswith(".json"):
            raise ArtefactError(f"{folder / name}: an artefact has {MODEL} and JSON, nothing else")
        contents[name] = _read(folder / name)
        found = hashlib.sha256(contents[name]).hexdigest()
        if found != known:
            raise ArtefactError(f"{folder / name}: sha256 is {found[:12]}..., the card has {known[:12]}...")
    if MODEL not in contents:
        raise ArtefactError(f"{where}: files: {MODEL} is missing")
    arrays = _arrays(folder / MODEL, contents[MODEL])
    try:
        model = DistilledModel(observation=card.observation, actions=card.actions, **arrays)
    except ValueError as error:
        raise ArtefactError(f"{folder / MODEL}: {error}") from None
    return Artefact(folder, card, model)


def write_artefact(
    folder: Path | str, *, name: str, model: DistilledModel, settings: FittedQSettings,
    channels: Mapping[str, ChannelUse], envelope: Mapping[str, Any], dataset_sha256: str,
    about: Mapping[str, Any] | None = None, beside: Mapping[str, bytes] | None = None,
) -> Artefact:  # fmt: skip
    """Write an artefact into a new folder, whole or not at all.

    Parameters
    ----------
    name
        Its id.
    settings
        As in training; of them the person's are left out.
    channels, envelope
        What it was trained for, as :func:`channels_of` and a protocol's ``envelope`` (:func:`envelope_of`) have it.
    about
        For people.
    beside
        Further JSON files, by name.

    Raises
    ------
    ArtefactError
        If the folder exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise ArtefactError(f"{folder}: exists; an artefact is never overwritten")
    data = io.BytesIO()
    np.savez(data, **{key: np.array(getattr(model, key), dtype=kind) for key, kind in TYPES.items()})  # type: ignore[arg-type]
    contents = {MODEL: data.getvalue(), **(beside or {})}
    plain = {
        "kind": KIND, "format": FORMAT, "id": name, "myoloop": __version__, "policy": POLICY,
        "observation": list(model.observation), "actions": list(model.actions),
        "settings": {key: getattr(settings, key) for key in TRAINED},
        "channels": msgspec.to_builtins(dict(channels)), "envelope": dict(envelope),
        "envelope_sha256": digest_of(envelope), "dataset_sha256": dataset_sha256, "types": TYPES,
        "files": {key: hashlib.sha256(value).hexdigest() for key, value in sorted(contents.items())},
        "about": dict(about or {}),
    }  # fmt: skip
    plain["sha256"] = digest_of(plain)
    contents[CARD] = (json.dumps(plain, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
    making = folder.with_name(f".{folder.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    for key, value in contents.items():
        (making / key).write_bytes(value)
    load_artefact(making)
    making.rename(folder)
    return load_artefact(folder)


def artefact_of(policy: str, settings: Mapping[str, Any], base: Path) -> Artefact | None:
    """The artefact that a protocol's controller names; None for a policy without one.

    Parameters
    ----------
    settings
        As the protocol writes them; ``artefact`` is a folder, and may say which: ``FOLDER sha256 HEX``.
    base
        Folder that the artefact's is relative to.

    Raises
    ------
    ArtefactError
        If none is named, or it is refused.
    """
    if policy != POLICY:
        return None
    text = settings.get("artefact")
    if "model" in settings or not isinstance(text, str) or not text:
        found = "a model" if "model" in settings else repr(text)
        raise ArtefactError(f"controller.settings.artefact: found {found}, allowed is the folder of a trained artefact")
    named, _, wanted = text.partition(" sha256 ")
    artefact = load_artefact(base / named)
    if wanted and artefact.sha256 != wanted:
        raise ArtefactError(
            f"controller.settings.artefact: {named} is sha256 {artefact.sha256[:12]}..., asked for is {wanted[:12]}..."
        )
    return artefact


def channels_of(outputs: Iterable[StimOutput]) -> dict[str, ChannelUse]:
    """Stimulation channels of a controller as an artefact describes them."""
    return {
        each.channel: ChannelUse(muscle=each.muscle, phase_us=each.phase_us, rate_hz=each.rate_hz) for each in outputs
    }


def envelope_of(limits: Any) -> dict[str, Any]:
    """A protocol's ``envelope`` as an artefact describes it: what it says, in the units of its fields."""
    plain: dict[str, Any] = limits.model_dump(mode="json", exclude_none=True)
    return plain


def digest_of(plain: Mapping[str, Any]) -> str:
    """SHA-256 of plain values, whatever their order and layout."""
    return hashlib.sha256(
        json.dumps(plain, sort_keys=True, allow_nan=False, separators=(",", ":")).encode()
    ).hexdigest()


def _read_card(folder: Path) -> Card:
    where = folder / CARD
    if not folder.is_dir():
        raise ArtefactError(f"{folder}: is not the folder of an artefact")
    try:
        plain = json.loads(_read(where), parse_constant=_no_number)
        card = msgspec.convert(plain, Card)
    except (ValueError, RecursionError) as error:
        if isinstance(error, ArtefactError):
            raise
        raise ArtefactError(f"{where}: {' '.join(str(error).split())}") from None
    told = {"kind": (card.kind, KIND), "format": (card.format, FORMAT), "policy": (card.policy, POLICY),
            "types": (card.types, TYPES), "observation": (card.observation, OBSERVATION)}  # fmt: skip
    for key, (found, allowed) in told.items():
        if found != allowed:
            raise ArtefactError(f"{where}: {key}: found {_short(found)}, allowed is {_short(allowed)}")
    if card.myoloop.split(".")[:2] != __version__.split(".")[:2]:
        raise ArtefactError(
            f"{where}: myoloop: made by {card.myoloop}, this is {__version__}; evaluate and make it anew"
        )
    if not all(map(_is_sha256, (card.dataset_sha256, card.sha256, card.envelope_sha256, *card.files.values()))):
        raise ArtefactError(f"{where}: a hash is not of 64 hexadecimal digits")
    if digest_of(card.envelope) != card.envelope_sha256:
        raise ArtefactError(f"{where}: envelope: its sha256 is not envelope_sha256")
    _check_settings(where, card.settings)
    if digest_of({key: value for key, value in plain.items() if key != "sha256"}) != card.sha256:
        raise ArtefactError(f"{where}: sha256: the card has been changed since it was written")
    return card


def _check_settings(where: Path, settings: Mapping[str, Any]) -> None:
    odd = sorted(set(settings) ^ set(TRAINED))
    if odd:
        raise ArtefactError(f"{where}: settings: missing or unknown: {', '.join(odd)}")
    try:
        msgspec.convert({**_SOMEBODY, **settings}, FittedQSettings)
    except ValueError as error:
        raise ArtefactError(f"{where}: settings: {error}") from None


def _arrays(path: Path, data: bytes) -> dict[str, tuple[Any, ...]]:
    """Arrays of an npz, of these names and types; objects in it, which would have to be unpickled, are refused."""
    wanted = {f"{name}.npy" for name in TYPES}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            inside = packed.infolist()
        if sorted(each.filename for each in inside) != sorted(wanted):
            raise ArtefactError(
                f"{path}: has {_short([each.filename for each in inside])}, allowed is {_short(wanted)}"
            )
        if max(each.file_size for each in inside) > 8 * NODES_MAX + 1024:
            raise ArtefactError(f"{path}: an array has more than {NODES_MAX} entries")
        with np.load(io.BytesIO(data), allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in TYPES}
    except ArtefactError:
        raise
    except Exception as error:  # noqa: BLE001 - what is anything else makes numpy and zipfile raise anything
        raise ArtefactError(f"{path}: cannot be read as plain arrays: {' '.join(str(error).split())[:120]}") from None
    for name, array in arrays.items():
        # What is no array numpy hands out as its bytes.
        if not isinstance(array, np.ndarray):
            raise ArtefactError(f"{path}: {name}: cannot be read as plain arrays")
        if array.dtype.str != TYPES[name] or array.ndim != 1:
            found = f"{array.dtype.str} of {array.ndim} dimensions"
            raise ArtefactError(f"{path}: {name}: found {found}, allowed is {TYPES[name]} of 1")
    return {name: tuple(array.tolist()) for name, array in arrays.items()}


def _read(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise ArtefactError(f"{path}: is not a plain file")
    if path.stat().st_size > _BYTES_MAX:
        raise ArtefactError(f"{path}: has more than {_BYTES_MAX} bytes")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror}") from None


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no finite number")


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _channels(uses: Mapping[str, ChannelUse]) -> str:
    return ", ".join(f"{name} ({each.muscle or 'not heard'}, {each.phase_us:g} us, {each.rate_hz:g} Hz)"
                     for name, each in sorted(uses.items()))  # fmt: skip


def _short(value: Any) -> str:
    text = ", ".join(map(str, sorted(value))) if isinstance(value, list | tuple | set) else str(value)
    return text if len(text) <= 90 else f"{text[:60]}... ({len(text)} characters)"

"""A trained model as a folder: read as it was written; whatever has been changed is refused in one line."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from myoloop.controllers.policies.distilled_model import DistilledModel
from myoloop.controllers.policies.fitted_q import FittedQSettings
from myoloop.experiments.training.artefact import (
    TRAINED,
    TYPES,
    Artefact,
    ArtefactError,
    ChannelUse,
    artefact_of,
    digest_of,
    load_artefact,
    write_artefact,
)

CHANNELS = {"ext": ChannelUse(muscle="ext", phase_us=250.0, rate_hz=35.0)}
ENVELOPE = {"waveform_class": "nmes", "current_max_ma": 20.0, "rate_hz": [20.0, 50.0]}
SETTINGS = FittedQSettings(
    quantity="force", setpoint=25.0, full_response=100.0, recruitment_median_ma=20.0, proportional=0.4, budget_uc=500.0
)


@pytest.fixture
def artefact(tmp_path: Path) -> Artefact:
    return write_artefact(
        tmp_path / "wrist-1", name="wrist-1", model=DistilledModel.always(0.05), settings=SETTINGS, channels=CHANNELS,
        envelope=ENVELOPE, dataset_sha256="d" * 64, about={"intended use": "tests"},
        beside={"evaluation.json": b'{"composite": 0.97}'},
    )  # fmt: skip


def _refused(folder: Path, *named: str) -> None:
    with pytest.raises(ArtefactError) as caught:
        load_artefact(folder)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400
    for each in named:
        assert each in text


def _changed(folder: Path, change: Callable[[dict[str, Any]], None], *, sealed_anew: bool) -> None:
    """Change the card; with its hash made anew, as somebody who means it would."""
    card = json.loads((folder / "card.json").read_text())
    change(card)
    if sealed_anew:
        card["sha256"] = digest_of({key: value for key, value in card.items() if key != "sha256"})
    (folder / "card.json").write_text(json.dumps(card))


def _with_model(folder: Path, data: bytes) -> None:
    """Another file as the model, with all hashes made to fit."""
    (folder / "model.npz").write_bytes(data)
    _changed(folder, lambda card: card["files"].update({"model.npz": hashlib.sha256(data).hexdigest()}),
             sealed_anew=True)  # fmt: skip


def _arrays(**changes: Any) -> dict[str, Any]:
    model = DistilledModel.always(0.05)
    return {**{name: np.array(getattr(model, name), dtype=kind) for name, kind in TYPES.items()}, **changes}


def _npz(**arrays: Any) -> bytes:
    data = io.BytesIO()
    np.savez(data, **arrays)
    return data.getvalue()


def test_what_is_written_is_read_and_the_same_again_is_the_same_to_the_byte(artefact: Artefact, tmp_path: Path) -> None:
    assert artefact.model == DistilledModel.always(0.05)
    assert artefact.card.settings["proportional"] == 0.4
    again = write_artefact(
        tmp_path / "again", name="wrist-1", model=artefact.model, settings=SETTINGS, channels=CHANNELS,
        envelope=ENVELOPE, dataset_sha256="d" * 64, about={"intended use": "tests"},
        beside={"evaluation.json": b'{"composite": 0.97}'},
    )  # fmt: skip
    assert again.sha256 == artefact.sha256
    for name in ("card.json", "model.npz"):
        assert (again.folder / name).read_bytes() == (artefact.folder / name).read_bytes()
    with pytest.raises(ArtefactError, match="never overwritten"):
        write_artefact(
            tmp_path / "again", name="x", model=artefact.model, settings=SETTINGS, channels=CHANNELS, envelope=ENVELOPE,
            dataset_sha256="d" * 64,
        )  # fmt: skip


# -- tampered, re-typed, foreign ---------------------------------------------------------------------------------------

_OTHER: dict[str, Any] = {
    "kind": "skops model", "format": 2, "id": "elbow", "myoloop": "9.9.9", "policy": "pi", "observation": ["error"],
    "actions": [0.0], "settings": {}, "channels": {}, "envelope": {"current_max_ma": 90.0},
    "envelope_sha256": "e" * 64, "dataset_sha256": "f" * 64, "types": {"mean": "<f4"}, "files": {}, "about": {},
    "sha256": "0" * 64,
}  # fmt: skip


@pytest.mark.parametrize("key", _OTHER)
def test_any_field_of_the_card_that_was_changed_is_refused(artefact: Artefact, key: str) -> None:
    _changed(artefact.folder, lambda card: card.update({key: _OTHER[key]}), sealed_anew=False)
    _refused(artefact.folder)


@pytest.mark.parametrize("key", _OTHER)
def test_any_field_of_another_type_or_missing_is_refused_also_where_the_hash_was_made_anew(
    artefact: Artefact, key: str
) -> None:
    whole = (artefact.folder / "card.json").read_bytes()
    for wrong in (None, True, 3.5, ["x"], {"x": "y"}, "x"):
        if key == "about" and wrong == {"x": "y"}:
            continue
        _changed(artefact.folder, lambda card, wrong=wrong: card.update({key: wrong}), sealed_anew=key != "sha256")
        if key == "id" and wrong == "x":
            # A name is a name; that it is another is for who asked for this one by its hash.
            assert load_artefact(artefact.folder).sha256 != artefact.sha256
        else:
            _refused(artefact.folder, "json")
        (artefact.folder / "card.json").write_bytes(whole)
    _changed(artefact.folder, lambda card: card.pop(key), sealed_anew=key != "sha256")
    _refused(artefact.folder, "card.json", key)


FOREIGN = {
    "another format": ({"format": 2}, "format: found 2, allowed is 1"),
    "another kind": ({"kind": "skops model"}, "kind"),
    "another version": ({"myoloop": "7.0.0"}, "myoloop: made by 7.0.0"),
    "another policy": ({"policy": "pi"}, "policy: found pi, allowed is fitted_q"),
    "other observations": ({"observation": ["error", "gain"]}, "observation"),
    "other actions": ({"actions": [0.0, 0.01]}, "model.value of node 0"),
    "other array types": ({"types": {**TYPES, "mean": "<f4"}}, "types"),
    "no such key": ({"loader": "os.system"}, "loader"),
    "an envelope that is not its hash": ({"envelope": {"current_max_ma": 90.0}}, "envelope"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_not_of_this_format_and_version_is_refused_by_name(artefact: Artefact, what: str) -> None:
    change, named = FOREIGN[what]
    _changed(artefact.folder, lambda card: card.update(change), sealed_anew=True)
    _refused(artefact.folder, named)


@pytest.mark.parametrize("name", TRAINED)
def test_settings_of_another_type_or_missing_are_refused(artefact: Artefact, name: str) -> None:
    for wrong in ("x", -7777.0, True):
        _changed(artefact.folder, lambda card, wrong=wrong: card["settings"].update({name: wrong}), sealed_anew=True)
        _refused(artefact.folder, "settings")
    _changed(artefact.folder, lambda card: card["settings"].pop(name), sealed_anew=True)
    _refused(artefact.folder, "settings: missing or unknown", name)


# -- files -------------------------------------------------------------------------------------------------------------


class _Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_malicious_pickle_is_not_loaded_wherever_it_stands(artefact: Artefact, tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    bomb = pickle.dumps(_Bomb(mark))
    pickle.loads(bomb)
    assert mark.is_dir(), "the bomb is one"
    mark.rmdir()
    as_object = _npz(**_arrays(value=np.array([_Bomb(mark)], dtype=object)))
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as packed:
        for name in TYPES:
            packed.writestr(f"{name}.npy", bomb)
    for data in (bomb, as_object, raw.getvalue()):
        _with_model(artefact.folder, data)
        _refused(artefact.folder, "model.npz", "cannot be read as plain arrays")
        assert not mark.exists()
    _with_model(artefact.folder, _npz(**_arrays()))
    (artefact.folder / "model.pkl").write_bytes(bomb)
    _refused(artefact.folder, "model.pkl: is not in the card")
    _changed(artefact.folder, lambda card: card["files"].update({"model.pkl": hashlib.sha256(bomb).hexdigest()}),
             sealed_anew=True)  # fmt: skip
    _refused(artefact.folder, "model.pkl", "nothing else")
    assert not mark.exists()


@pytest.mark.parametrize("name", TYPES)
def test_an_array_of_another_type_or_shape_or_missing_is_refused(artefact: Artefact, name: str) -> None:
    whole = _arrays()
    other = np.float32 if TYPES[name] == "<f8" else np.int64
    for wrong in (
        whole[name].astype(other),
        whole[name].reshape(1, -1),
        whole[name].astype(TYPES[name].replace("<", ">")),
    ):
        _with_model(artefact.folder, _npz(**{**whole, name: wrong}))
        _refused(artefact.folder, "model.npz", name)
    without = {key: value for key, value in whole.items() if key != name}
    _with_model(artefact.folder, _npz(**without))
    _refused(artefact.folder, "model.npz")


def test_arrays_that_are_no_tree_and_archives_that_burst_are_refused(artefact: Artefact) -> None:
    _with_model(artefact.folder, _npz(**_arrays(left=np.array([0], "<i4"), right=np.array([0], "<i4"))))
    _refused(artefact.folder, "model.npz", "node 0 has no child")
    data = io.BytesIO()
    np.savez_compressed(data, **_arrays(value=np.zeros(10**6)))
    _with_model(artefact.folder, data.getvalue())
    _refused(artefact.folder, "more than 4095 entries")


def test_a_file_that_was_changed_is_missing_or_is_a_link_is_refused(artefact: Artefact, tmp_path: Path) -> None:
    beside = artefact.folder / "evaluation.json"
    beside.write_bytes(b'{"composite": 0.50}')
    _refused(artefact.folder, "evaluation.json: sha256 is", "the card has")
    beside.unlink()
    _refused(artefact.folder, "evaluation.json: is missing")
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_bytes(b'{"composite": 0.97}')
    beside.symlink_to(elsewhere)
    _refused(artefact.folder, "is not a plain file")
    beside.unlink()
    beside.write_bytes(b'{"composite": 0.97}')
    data = bytearray((artefact.folder / "model.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (artefact.folder / "model.npz").write_bytes(bytes(data))
    _refused(artefact.folder, "model.npz: sha256 is")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": NaN}', "[" * 100_000])
def test_a_card_that_is_none_is_refused(artefact: Artefact, text: str) -> None:
    (artefact.folder / "card.json").write_text(text)
    _refused(artefact.folder, "card.json")


def test_no_folder_or_an_empty_one_is_refused(tmp_path: Path) -> None:
    _refused(tmp_path / "nowhere", "is not the folder of an artefact")
    (tmp_path / "empty").mkdir()
    _refused(tmp_path / "empty", "card.json: is not a plain file")


# -- for whom ----------------------------------------------------------------------------------------------------------


def test_it_fits_the_session_that_it_was_trained_for_alone(artefact: Artefact) -> None:
    artefact.check(CHANNELS, ENVELOPE)
    artefact.check(CHANNELS, None)
    for change in ({"muscle": "flex"}, {"phase_us": 300.0}, {"rate_hz": 50.0}):
        with pytest.raises(ArtefactError, match="channels: trained for ext"):
            artefact.check({"ext": msgspec.structs.replace(CHANNELS["ext"], **change)}, ENVELOPE)
    for channels in ({}, {"other": CHANNELS["ext"]}, {**CHANNELS, "other": CHANNELS["ext"]}):
        with pytest.raises(ArtefactError, match="channels"):
            artefact.check(channels, ENVELOPE)
    with pytest.raises(ArtefactError, match=r"envelope\.current_max_ma: trained within 20\.0, here is 25\.0"):
        artefact.check(CHANNELS, {**ENVELOPE, "current_max_ma": 25.0})
    with pytest.raises(ArtefactError, match=r"envelope\.slew_ma_per_s: trained within None"):
        artefact.check(CHANNELS, {**ENVELOPE, "slew_ma_per_s": 5.0})


def test_the_persons_settings_are_the_protocols_all_others_those_of_the_training(artefact: Artefact) -> None:
    given = {"artefact": "wrist-1", "quantity": "force", "setpoint": 30.0, "full_response": 90.0,
             "recruitment_median_ma": 17.0}  # fmt: skip
    settled = msgspec.convert(artefact.settle(given), FittedQSettings)
    assert settled == dataclasses.replace(
        SETTINGS, setpoint=30.0, full_response=90.0, recruitment_median_ma=17.0, artefact=artefact.identity,
        model=artefact.model,
    )  # fmt: skip
    assert artefact.settle({**given, "budget_uc": 100.0})["budget_uc"] == 100.0
    for wrong in ({"budget_uc": 501.0}, {"proportional": 0.6}, {"quantity": "angle"}, {"when_lost": "zero"}):
        (name,) = wrong
        with pytest.raises(ArtefactError, match=rf"controller\.settings\.{name}: found .* was trained with"):
            artefact.settle({**given, **wrong})


def test_a_protocol_names_the_folder_and_may_name_the_hash(artefact: Artefact) -> None:
    base = artefact.folder.parent
    assert artefact_of("pi", {}, base) is None
    assert artefact_of("fitted_q", {"artefact": "wrist-1"}, base) == artefact
    assert artefact_of("fitted_q", {"artefact": f"wrist-1 sha256 {artefact.sha256}"}, base) == artefact
    for settings, named in (
        ({}, "found None"), ({"artefact": 7}, "found 7"), ({"artefact": "wrist-1", "model": {}}, "found a model"),
        ({"artefact": "wrist-2"}, "is not the folder"),
        ({"artefact": f"wrist-1 sha256 {'0' * 64}"}, "asked for is 0000"),
    ):  # fmt: skip
        with pytest.raises(ArtefactError, match=named):
            artefact_of("fitted_q", settings, base)

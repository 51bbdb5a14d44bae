"""Fitted pipelines as files: the same bytes for the same model, and nothing foreign is ever made."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LinearRegression

from myoloop.experiments.training.estimators import fatigue
from myoloop.experiments.training.estimators.stored import StoredError, pack, read, unpack


def _fitted(seed: int = 0):
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(120, 4))
    model = fatigue.candidates(seed)["boosted"].set_params(gradientboostingregressor__n_estimators=4)
    return model.fit(inputs, inputs[:, 0]), inputs


class _Evil:
    """What it would do if it were unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return Path.touch, (self.victim,)


def _changed(content: bytes, old: bytes, new: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as file, zipfile.ZipFile(out, "w") as changed:
        for name in file.namelist():
            changed.writestr(name, file.read(name).replace(old, new))
    return out.getvalue()


def test_what_is_read_tells_the_same(tmp_path):
    model, inputs = _fitted()
    path = tmp_path / "fatigue.skops"
    path.write_bytes(pack(model))
    assert read(path).predict(inputs).tolist() == model.predict(inputs).tolist()


def test_the_same_fit_gives_the_same_bytes_and_another_seed_others():
    assert pack(_fitted()[0]) == pack(_fitted()[0])
    assert pack(_fitted()[0]) != pack(_fitted(1)[0])


def test_a_malicious_pickle_is_refused_and_does_nothing(tmp_path):
    victim = tmp_path / "owned"
    evil = tmp_path / "spasm.skops"
    evil.write_bytes(pickle.dumps(_Evil(victim)))
    with pytest.raises(StoredError, match=r"spasm\.skops: not a skops file; pickles are never loaded$"):
        read(evil)
    assert not victim.exists()


def test_a_foreign_type_is_refused_though_skops_would_trust_it():
    content = skops.io.dumps(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]))
    with pytest.raises(StoredError, match=r"x: holds the type sklearn\.linear_model\._base\.LinearRegression"):
        unpack(content, "x")
    with pytest.raises(StoredError, match="not on the fixed list"):
        pack(LinearRegression())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"sklearn.pipeline"', b'"os"'),
        (b'"__class__": "Pipeline"', b'"__class__": "system"'),
        (b'"__loader__": "ObjectNode"', b'"__loader__": "FunctionNode", "more": {"__class__": "exec"}'),
        (b"sklearn.preprocessing._data", b"posix"),
    ],
)
def test_a_file_whose_types_were_changed_is_refused_in_one_line(old, new):
    with pytest.raises(StoredError, match="not on the fixed list") as caught:
        unpack(_changed(pack(_fitted()[0]), old, new), "x")
    assert "\n" not in str(caught.value)


def test_a_torn_file_is_refused():
    content = pack(_fitted()[0])
    for torn in (b"", content[:100], content[: len(content) // 2], content[:-30]):
        with pytest.raises(StoredError, match="not a skops file"):
            unpack(torn, "x")


def test_a_file_that_lacks_an_array_is_refused_in_one_line():
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(pack(_fitted()[0]))) as file, zipfile.ZipFile(out, "w") as less:
        less.writestr("schema.json", file.read("schema.json"))
    with pytest.raises(StoredError, match="x: cannot be loaded") as caught:
        unpack(out.getvalue(), "x")
    assert "\n" not in str(caught.value)

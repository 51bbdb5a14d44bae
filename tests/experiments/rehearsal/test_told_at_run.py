"""`run` on a HUMAN rig says when it was last rehearsed, before anything is started."""

import pytest

from myoloop import session_verbs
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.emulated_rig import emulated_rig_data
from myoloop.platform.rig import Rig


class NotRun(Exception):
    """As far as it is of interest."""


class Setup:
    def __init__(self, rig, folder):
        self.rig, self.folder = rig, folder


@pytest.mark.parametrize(("rig_class", "told"), [("HUMAN", True), ("BENCH", False)])
def test_the_last_rehearsal_is_told_before_the_session(request, tmp_path, monkeypatch, capsys, rig_class, told):
    data = emulated_rig_data(load_protocol(request.config.rootpath / "tests/data/device_train.yaml"), "p24")
    data["rig"]["class"] = rig_class
    del data["nodes"]["body"]

    def refuse(*_, **__):
        raise NotRun

    monkeypatch.setattr("myoloop.experiments.sessions.view.Progress.__init__", refuse)
    setup = Setup(Rig.model_validate(data), tmp_path / "study" / "sub-P1" / "ses-01" / "att-1")
    with pytest.raises(NotRun):
        session_verbs._play(lambda: setup, "max", [], None, False)
    said = capsys.readouterr().err
    assert (f"no rehearsal on a dummy load is kept in {tmp_path}/study: myoloop rehearse" in said) == told

"""An attempt whose device is let go of is not cut off while its rig is still up."""

import json

from myoloop.experiments.sessions.continuing import standing
from myoloop.experiments.sessions.still_up import CARD_FILE, is_up
from myoloop.platform.recording.layout import SESSION_FILE
from myoloop.platform.runtime import OwnedRuntimeFolder

SESSION = "sub-P1/ses-01/att-1"


def test_it_runs_until_its_supervisor_has_let_go(short_folder, tmp_path, lockstep_attempt):
    attempt = tmp_path / SESSION
    attempt.mkdir(parents=True)
    # Cut in the middle, as one looks whose recorder has not written the end.
    whole = (lockstep_attempt / SESSION_FILE).read_bytes()
    (attempt / SESSION_FILE).write_bytes(whole[: len(whole) // 2])
    rig = OwnedRuntimeFolder()
    try:
        assert not is_up(attempt), "it has not said whose it is"
        assert standing(attempt).state == "cut"
        (rig.path / CARD_FILE).write_text(json.dumps({"study": str(tmp_path), "session": SESSION}))
        assert standing(attempt).state == "running"
        assert not is_up(tmp_path / "sub-P1/ses-01/att-2")
    finally:
        rig.remove()
    assert standing(attempt).state == "cut"

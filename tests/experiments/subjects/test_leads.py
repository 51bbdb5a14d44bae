"""A lead that is to fall off a virtual subject in a certain trial."""

import pytest

from myoloop.experiments.subjects.leads import LeadFall, Leads
from myoloop.platform.messages import Phase

S = 1_000_000_000


def screen(trial, state, name="train"):
    return Phase(t_ns=0, session="s", state="running", kind="block", name=name, trial=trial, trial_state=state)


def test_it_falls_once_in_the_hold_of_its_trial_and_is_put_back():
    leads = Leads([LeadFall(channel="flex", phase="train", trial=2, for_s=3.0)], ("ext", "flex"))
    for early in (screen(2, "ramp_up"), screen(1, "hold"), screen(2, "hold", "another")):
        assert leads.see(early, 0) == []
    (off,) = leads.see(screen(2, "hold"), 10 * S)
    assert (off.channel, off.kind) == (1, "off")
    assert leads.see(screen(2, "hold"), 11 * S) == []
    assert leads.put_back(13 * S - 1) == []
    (back,) = leads.put_back(13 * S)
    assert (back.channel, back.kind) == (1, "back")
    assert leads.put_back(14 * S) == []


@pytest.mark.parametrize(
    ("fall", "wrong"),
    [
        (LeadFall(channel="nose", phase="train", trial=1, for_s=1.0), r"leads_off\[0\].channel: found 'nose'"),
        (LeadFall(channel="ext", phase="train", trial=0, for_s=1.0), r"trial: found 0"),
        (LeadFall(channel="ext", phase="train", trial=1, for_s=0.0), r"for_s: found 0"),
    ],
)
def test_one_that_cannot_fall_is_refused(fall, wrong):
    with pytest.raises(ValueError, match=wrong):
        Leads([fall], ("ext", "flex"))

"""The node finds the arm, or says what is wrong without naming it; what is really given is booked closed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from myoloop.platform import sealed
from myoloop.platform.node import NodeFault
from myoloop.platform.sealed import SealedError, StudyKey
from myoloop.stimulators import gate
from myoloop.stimulators.assignment import Allocated, Blinding, allocated_from, blinding_of
from myoloop.stimulators.dose_ledger import Ledger, read_prior, read_real
from myoloop.stimulators.sealing import Assignment, SealedDose, open_assignment
from myoloop.stimulators.sham import Treatment

KEY = StudyKey(bytes(range(32)))
TREATMENTS = {"verum": Treatment(), "quiet": Treatment("transient", 45.0, 15.0)}
SHOWN, REAL = gate.DoseTotals(9.5, 4.0, 160.0), gate.DoseTotals(1.25, 0.5, 20.0)


@pytest.fixture
def given(tmp_path) -> Allocated:
    study = tmp_path / "study"
    study.mkdir()
    sealed.write_key(tmp_path / "study.key", KEY)
    content = sealed.seal_list(KEY.public, [(1, "", "", "verum"), (2, "", "", "quiet"), (3, "", "", "other")])
    path = study / sealed.LIST_FILE
    path.write_bytes(content)
    return Allocated(path, 2, tmp_path / "study.key", hashlib.sha256(content).hexdigest(), TREATMENTS)


def blinding(given: Allocated) -> Blinding:
    return Blinding(given, "s1", "P001", "ses-01")


def ledger(given: Allocated) -> Path:
    return given.sealed_list.parent / "dose.jsonl"


def test_the_arm_of_an_entry_is_found_and_told_closed(given):
    for entry, treatment in ((1, TREATMENTS["verum"]), (2, TREATMENTS["quiet"])):
        closed = blinding(replace(given, entry=entry)).assign(ledger(given))
        assert open_assignment(KEY, "s1", closed) == Assignment(treatment=treatment)


def test_a_configuration_carries_it_and_no_search_finds_an_arm_there(given):
    assert allocated_from(given.settings()) == given
    assert not any(word in given.settings() for word in ("verum", "quiet", "transient", "allocation"))
    settings = {"blinding": given.settings(), "session": "s1", "subject": "P001", "dose_session": "ses-01"}
    assert blinding_of(settings).key == KEY
    assert blinding_of({**settings, "blinding": None}) is None


def test_an_arm_that_the_protocol_does_not_have_is_refused_unnamed(given):
    with pytest.raises(SealedError, match="entry 3 is of no arm of the protocol") as refused:
        blinding(replace(given, entry=3)).assign(ledger(given))
    assert "other" not in str(refused.value)


def test_an_entry_that_is_not_there_is_refused(given):
    with pytest.raises(SealedError, match="there is no entry 4"):
        blinding(replace(given, entry=4)).assign(ledger(given))


def test_a_list_that_is_not_the_protocols_is_refused(given):
    given.sealed_list.write_bytes(sealed.seal_list(KEY.public, [(2, "", "", "verum")]))
    with pytest.raises(SealedError, match="the protocol names"):
        blinding(given).assign(ledger(given))


def test_without_list_or_key_there_is_no_arm(given):
    given.sealed_list.unlink()
    with pytest.raises(SealedError, match="No such file"):
        blinding(given).assign(ledger(given))
    given.key.unlink()
    with pytest.raises(SealedError, match="study key"):
        blinding(given)


class TestLedger:
    def test_a_line_says_what_is_shown_and_holds_closed_what_was_given(self, given):
        box = SealedDose(KEY)
        booked = Ledger.open(ledger(given), "P001", "ses-01", box)
        booked.keep(SHOWN, 10**10, real=REAL)
        booked.close(SHOWN, 2 * 10**10, REAL)
        (line,) = (json.loads(text) for text in ledger(given).read_text().splitlines())
        assert (line["charge_mc"], line["on_s"], line["pulses"]) == (9.5, 4.0, 160)
        assert box.open(line["wall_ns"], line["sealed"]) == REAL

    def test_whoever_has_no_key_reckons_with_what_is_shown(self, given):
        Ledger.open(ledger(given), "P001", "ses-01", SealedDose(KEY)).close(SHOWN, 0, REAL)
        assert read_prior(ledger(given), "P001", "ses-02").day_charge_mc == 9.5
        assert read_prior(ledger(given), "P001", "ses-01").session == SHOWN

    def test_the_next_attempt_goes_on_with_what_was_given(self, given):
        Ledger.open(ledger(given), "P001", "ses-01", SealedDose(KEY)).close(SHOWN, 0, REAL)
        closed = blinding(given).assign(ledger(given))
        assert open_assignment(KEY, "s1", closed).session_dose == (1.25, 0.5, 20.0)
        assert read_real(ledger(given), "P001", "ses-02", SealedDose(KEY)) == gate.DoseTotals()

    def test_what_is_not_closed_counts_as_it_says(self, given):
        Ledger.open(ledger(given), "P001", "ses-01").close(SHOWN, 0)
        Ledger.open(ledger(given), "P001", "ses-01", SealedDose(KEY)).close(gate.DoseTotals(20.0, 8.0, 300.0), 0, REAL)
        assert read_real(ledger(given), "P001", "ses-01", SealedDose(KEY)) == SHOWN

    def test_lines_of_every_arm_have_one_length(self, given):
        box = SealedDose(KEY)
        assert len({len(box.close(10**18, dose)) for dose in (gate.DoseTotals(), SHOWN, REAL)}) == 1

    def test_with_another_key_nobody_is_armed(self, given):
        Ledger.open(ledger(given), "P001", "ses-01", SealedDose(sealed.new_key())).close(SHOWN, 0, REAL)
        with pytest.raises(NodeFault, match="does not open with this key"):
            blinding(given).assign(ledger(given))

    def test_a_ledger_is_let_go_of_where_the_arm_is_not_found(self, given):
        held = Ledger.open(ledger(given), "P001", "ses-01")
        with pytest.raises(SealedError, match="no entry 4"), held.let_go_if_refused():
            blinding(replace(given, entry=4)).assign(ledger(given))
        Ledger.open(ledger(given), "P001", "ses-01").close(gate.DoseTotals(), 0)

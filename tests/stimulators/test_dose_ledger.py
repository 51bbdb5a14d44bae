"""The dose ledger on disk: it can be believed or nobody is armed; one session holds it, and the gate never waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from myoloop.platform.node import NodeFault
from myoloop.stimulators import gate
from myoloop.stimulators.dose_ledger import LEDGER_LATE_NS, LEDGER_NS, Ledger, is_held, read_prior

MS = 1_000_000
DOSE = gate.DoseTotals(1.25, 4.0, 160.0)
MORE = replace(DOSE, on_s=9.0)
HOUR_NS = 3600 * 10**9


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "dose.jsonl"


@pytest.fixture
def ledger(path):
    """Open the ledger of a person; it is let go of with the test."""
    opened = []

    def open_(text: str | bytes | None = None, subject: str = "P001", session: str = "s2"):
        if text is not None:
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        opened.append(Ledger.open(str(path), subject, session))
        return opened[-1]

    yield open_
    for each in opened:
        each.close(gate.DoseTotals(), 0)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def is_of(descriptor, path: Path) -> bool:
    """Whether a file descriptor is that of a file."""
    return isinstance(descriptor, int) and Path(f"/proc/self/fd/{descriptor}").readlink() == path


def line(subject="P001", session="s1", hours_ago=30.0, dose=DOSE) -> str:
    return gate.ledger_line(subject, session, time.time_ns() - round(hours_ago * HOUR_NS), dose)


class TestReading:
    def test_who_has_none_has_had_nothing(self, ledger):
        assert ledger().prior == gate.PriorDose()

    def test_others_count_for_the_course_those_of_a_day_for_the_day_and_this_one_for_itself(self, ledger):
        text = line() + line(session="s0", hours_ago=1.0) + line(session="s2", hours_ago=0.5)
        assert ledger(text).prior == gate.PriorDose(1.25, 2.5, DOSE)

    def test_it_can_be_read_without_holding_it(self, ledger, path):
        assert read_prior(path, "P001", "s2") == gate.PriorDose()
        assert not path.exists()
        kept = ledger(line(hours_ago=1.0))
        assert read_prior(path, "P001", "s2") == kept.prior == gate.PriorDose(1.25, 1.25)

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            (line(subject="P002"), "line 1: belongs to 'P002', this is 'P001'"),
            (line() + line()[:-5], "line 2: cut off"),
            (line() + "\n", "line 2"),
            ("not a ledger\n", "line 1"),
            (b"\xff\xfe\n", "dose ledger"),
            (line().replace("1.25", "-1.25"), "line 1: charge_mc"),
            (line().replace("1.25", "NaN"), "line 1: charge_mc"),
        ],
        ids=["another person's", "cut", "empty line", "garbage", "not text", "negative", "nan"],
    )
    def test_one_that_cannot_be_believed_arms_nobody_and_is_let_go_of(self, ledger, path, text, why):
        with pytest.raises(NodeFault, match=why) as caught:
            ledger(text)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not is_held(path)

    def test_one_that_cannot_be_read_arms_nobody(self, ledger, path):
        path.mkdir()
        with pytest.raises(NodeFault, match="directory"):
            ledger()


class TestHolding:
    def test_one_session_at_a_time(self, ledger, path):
        assert not is_held(path)
        kept = ledger()
        assert is_held(path)
        with pytest.raises(NodeFault, match="held by another session of this person") as caught:
            ledger(session="s3")
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        kept.close(DOSE, LEDGER_NS)
        assert not is_held(path)
        assert ledger(session="s3").prior.course_charge_mc == 1.25

    def test_another_persons_is_another(self, ledger, tmp_path):
        ledger()
        (tmp_path / "other").mkdir()
        other = Ledger.open(tmp_path / "other" / "dose.jsonl", "P002", "s1")
        other.close(gate.DoseTotals(), 0)

    def test_it_goes_with_the_process_that_had_it(self, ledger, path):
        code = (
            "import sys; from myoloop.stimulators.dose_ledger import Ledger;"
            "kept = Ledger.open(sys.argv[1], 'P001', 's1'); print('held', flush=True); sys.stdin.read()"
        )
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with other:
            assert other.stdout.readline() == "held\n"
            with pytest.raises(NodeFault, match="held by another session"):
                ledger()
            other.kill()
        assert ledger().prior == gate.PriorDose()


class TestKeeping:
    def test_it_is_appended_once_a_second_while_there_is_anything_new(self, ledger, path):
        kept = ledger(line())
        for tick in range(300):
            kept.keep(replace(DOSE, on_s=4.0 + tick), tick * 10 * MS + LEDGER_NS)
        kept.close(replace(DOSE, on_s=303.0), 4 * LEDGER_NS)
        entries = lines(path)
        assert entries[0]["session"] == "s1"
        assert [entry["on_s"] for entry in entries[1:]] == [4.0, 104.0, 204.0, 303.0]
        assert {entry["session"] for entry in entries[1:]} == {"s2"}

    def test_a_line_says_when(self, ledger, path):
        before = time.time_ns()
        kept = ledger()
        kept.close(DOSE, LEDGER_NS)
        assert before <= lines(path)[0]["wall_ns"] <= time.time_ns()

    def test_nothing_new_and_nothing_at_all_are_not_written(self, ledger, path):
        kept = ledger()
        kept.keep(gate.DoseTotals(), 10 * LEDGER_NS, force=True)
        for second in range(1, 5):
            kept.keep(DOSE, second * LEDGER_NS, force=True)
        kept.close(DOSE, 5 * LEDGER_NS)
        assert len(lines(path)) == 1

    def test_a_session_begun_again_books_only_what_it_adds(self, ledger, path):
        ledger(line(session="s2")).close(DOSE, LEDGER_NS)
        assert len(lines(path)) == 1
        again = ledger(session="s2")
        assert again.prior.session == DOSE
        again.close(MORE, LEDGER_NS)
        assert [entry["on_s"] for entry in lines(path)] == [4.0, 9.0]

    def test_a_stop_is_written_at_once(self, ledger, path, eventually):
        kept = ledger()
        kept.keep(DOSE, LEDGER_NS)
        kept.keep(replace(DOSE, on_s=4.01), LEDGER_NS + 10 * MS)
        kept.keep(replace(DOSE, on_s=4.02), LEDGER_NS + 20 * MS, force=True)
        eventually(lambda: path.read_text().count("\n") == 2)
        assert [entry["on_s"] for entry in lines(path)] == [4.0, 4.02]

    def test_what_was_kept_is_what_the_next_session_reads(self, ledger):
        kept = ledger()
        kept.keep(DOSE, LEDGER_NS)
        kept.close(MORE, LEDGER_NS + 1)
        other = ledger(session="s3")
        assert other.prior == gate.PriorDose(1.25, 1.25)
        other.close(gate.DoseTotals(), 0)
        assert ledger(session="s2").prior.session == MORE

    def test_every_line_is_synced_and_closing_waits_for_it(self, ledger, path, monkeypatch):
        synced = []
        fsync = os.fsync

        def watch(descriptor):
            synced.append(path if is_of(descriptor, path) else path.parent if is_of(descriptor, path.parent) else None)
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", watch)
        kept = ledger()
        kept.keep(DOSE, LEDGER_NS)
        kept.close(MORE, LEDGER_NS)
        # The new file's name first.
        assert synced == [path.parent, path, path]

    def test_it_may_be_closed_twice(self, ledger, path):
        kept = ledger()
        kept.close(DOSE, LEDGER_NS)
        kept.close(MORE, LEDGER_NS)
        assert len(lines(path)) == 1


class TestSlowDisk:
    @pytest.mark.parametrize("call", ["fsync", "write", "fstat", "stat"])
    def test_it_keeps_the_gate_from_nothing(self, ledger, path, monkeypatch, call):
        """Nothing of a disk is asked for on the gate's own thread."""
        gates_thread = threading.current_thread()
        released = threading.Event()
        real = getattr(os, call)

        def slow(what, *more, **named):
            if what == path or is_of(what, path):
                assert threading.current_thread() is not gates_thread
                released.wait(10)
            return real(what, *more, **named)

        kept = ledger()
        monkeypatch.setattr(os, call, slow)
        try:
            kept.keep(DOSE, LEDGER_NS)
            kept.keep(MORE, 2 * LEDGER_NS)
        finally:
            released.set()
        kept.close(replace(DOSE, on_s=10.0), 3 * LEDGER_NS)
        assert [entry["on_s"] for entry in lines(path)] == [4.0, 9.0, 10.0]

    def test_one_that_takes_too_long_is_a_fault(self, ledger, monkeypatch):
        released = threading.Event()
        kept = ledger()
        monkeypatch.setattr(os, "fsync", lambda _: released.wait(10))
        kept.keep(DOSE, LEDGER_NS)
        kept.keep(MORE, LEDGER_NS + LEDGER_LATE_NS)
        try:
            with pytest.raises(NodeFault, match=r"dose\.jsonl: a line has not reached the disk for 10 s"):
                kept.keep(MORE, LEDGER_NS + LEDGER_LATE_NS + 1)
        finally:
            released.set()


class TestBadDisk:
    def told(self, kept: Ledger, eventually) -> str:
        def fault():
            try:
                kept.keep(DOSE, 2 * LEDGER_NS)
            except NodeFault as told:
                return str(told)
            return ""

        return eventually(fault, "the fault")

    @pytest.fixture
    def refusing(self, path, monkeypatch):
        """Let calls on the ledger's file fail."""

        @contextmanager
        def refusing(call: str):
            refused, real = threading.Event(), getattr(os, call)

            def refuse(descriptor, *more):
                if not is_of(descriptor, path):
                    return real(descriptor, *more)
                refused.set()
                raise OSError(5, "Input/output error")

            with monkeypatch.context() as disk:
                disk.setattr(os, call, refuse)
                yield refused

        return refusing

    @pytest.mark.parametrize("call", ["write", "fsync"])
    def test_one_that_refuses_is_a_fault_at_the_next_turn(self, ledger, path, refusing, eventually, call):
        kept = ledger()
        with refusing(call):
            kept.keep(DOSE, LEDGER_NS)
            said = self.told(kept, eventually)
        assert said == f"dose ledger {path}: cannot be written: Input/output error"

    def test_a_full_one_that_takes_half_a_line_is_a_fault(self, ledger, path, monkeypatch, eventually):
        write = os.write
        monkeypatch.setattr(
            os, "write", lambda fd, data: write(fd, data[: len(data) // 2] if is_of(fd, path) else data)
        )
        kept = ledger()
        kept.keep(DOSE, LEDGER_NS)
        assert "No space left" in self.told(kept, eventually)
        with pytest.raises(NodeFault, match="No space left"):
            kept.close(DOSE, LEDGER_NS)
        # Nobody is armed before a person has looked at it.
        with pytest.raises(NodeFault, match="line 1"):
            ledger()

    @pytest.mark.parametrize("now", ["gone", "another"])
    def test_a_file_that_was_put_in_its_place_is_a_fault(self, ledger, path, eventually, now):
        """Or the dose would go into a file without a name."""
        kept = ledger()
        path.unlink()
        if now == "another":
            path.write_text("")
        kept.keep(DOSE, LEDGER_NS)
        assert str(path) in self.told(kept, eventually)

    def test_closing_tells_and_lets_go(self, ledger, path, refusing):
        kept = ledger()
        with refusing("fsync"), pytest.raises(NodeFault, match="Input/output error"):
            kept.close(DOSE, LEDGER_NS)
        assert not is_held(path)

    def test_what_a_lost_line_held_is_booked_at_the_end(self, ledger, path, refusing):
        kept = ledger()
        with refusing("write") as refused:
            kept.keep(DOSE, LEDGER_NS)
            assert refused.wait(10)
        with pytest.raises(NodeFault, match="Input/output error"):
            kept.close(DOSE, LEDGER_NS)
        assert [entry["charge_mc"] for entry in lines(path)] == [1.25]

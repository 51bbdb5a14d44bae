"""Sessions come and go while pages stay open; pages ask, and somebody answers or it is said why not."""

import asyncio
import json
import os
import threading
import time

import pytest

from myoloop.experiments.benchmarks.pretend_rig import SESSION, PretendRig
from myoloop.experiments.console.feed import Feed
from myoloop.experiments.console.frames import BINS, read_message
from myoloop.experiments.console.rig_watch import NoSessionError, NotAskableError, RigWatch
from myoloop.platform.messages import Answer

OF_ANOTHER = "this session is of another study: this console only looks on"


class Room:
    """A console's link and a rig that may be there; a rig says something each time somebody looks."""

    def __init__(self, base):
        self.base, self.rig, self.watch = base, None, None
        self.answers = True
        self.asked = []

    def begin(self, **more):
        self.rig = PretendRig(2, **more)
        self.rig.tell_card()

    def begin_of(self, study):
        """A rig whose card says of which study it is."""
        self.begin()
        card = self.rig.streams.card() | {"study": str(study)}
        (self.rig.runtime.path / "console.json").write_text(json.dumps(card))

    def end(self):
        if self.rig is not None:
            self.rig.close()
            self.rig = None

    def turn(self):
        if self.rig is None:
            return
        self.rig.turn(time.monotonic_ns())
        supervisor = self.rig.buses["supervisor"]
        for each in supervisor.asked():
            command = each.received.message
            self.asked.append(command)
            if self.answers:
                said = Answer(t_ns=1, id=command.id, ok=command.kind != "arm", reason=f"{command.kind}: done")
                supervisor.answer(each.route, said)

    async def see(self, page, wanted, limit_s=20.0):
        """Everything that the page got until what is wanted was among it."""
        got, until = [], time.monotonic() + limit_s
        while not any(wanted(each) for each in got):
            assert time.monotonic() < until, got[-2:]
            self.turn()
            try:
                new = await asyncio.wait_for(page.take(), 0.01)
            except TimeoutError:
                continue
            got += [json.loads(each) if isinstance(each, str) else each for each in new]
        return got

    async def with_turns(self, waiting):
        task = asyncio.ensure_future(waiting)
        while not task.done():
            self.turn()
            await asyncio.wait([task], timeout=0.005)
        return await task


@pytest.fixture
def room(place_of_rigs):
    made = Room(place_of_rigs)
    made.watch = RigWatch(place_of_rigs)
    made.watch.start()
    yield made
    made.watch.close()
    made.end()


def is_state(**values):
    def check(each):
        return isinstance(each, dict) and each["kind"] == "state" and all(each[k] == v for k, v in values.items())

    return check


def is_frame(each):
    return isinstance(each, bytes)


def has_bins(each):
    return is_frame(each) and any(section.kind == BINS for frame in read_message(each) for section in frame)


class TestWatching:
    def test_a_page_sees_sessions_come_and_go(self, room):
        async def body():
            page = room.watch.open("operator")
            await room.see(page, is_state(rig="none", running=False))
            for _ in range(2):
                room.begin()
                got = await room.see(page, is_state(session=SESSION, view="open"))
                assert [each["kind"] for each in got if isinstance(each, dict) and each["kind"] == "layout"]
                await room.see(page, has_bins)
                room.end()
                await room.see(page, is_state(rig="none", running=False))
            assert room.watch.card is None

        asyncio.run(body())

    def test_a_rig_that_has_no_card_yet_is_starting(self, room):
        async def body():
            room.rig = PretendRig(2)
            page = room.watch.open("operator")
            await room.see(page, is_state(rig="starting", running=False))

        asyncio.run(body())

    def test_of_a_blinded_session_no_page_gets_a_signal(self, room):
        async def body():
            room.begin(blinded=True)
            pages = room.watch.open("operator"), room.watch.open("subject")
            got = []
            for page, view in zip(pages, ("blinded", "subject"), strict=True):
                for number in range(5):
                    got += await room.see(
                        page,
                        is_state(view=view, session=SESSION)
                        if number == 0 and view == "blinded"
                        else is_state(view=view),
                    )
            assert not any(map(is_frame, got))
            states = [each for each in got if each["kind"] == "state" and each["running"]]
            assert not any({"dose", "controller", "motion"} & set(each) for each in states)
            # At equal moments, whatever happens.
            stamps = [each["t_ns"] for each in states if each["view"] == "blinded"]
            assert all(stamp % 100_000_000 == 0 for stamp in stamps)
            assert len(set(stamps)) == len(stamps)

        asyncio.run(body())

    def test_a_fault_of_its_own_is_logged_and_the_view_begins_anew(self, room, caplog, monkeypatch):
        def fails(*_):
            monkeypatch.undo()
            raise ZeroDivisionError

        async def body():
            room.begin()
            page = room.watch.open("operator")
            await room.see(page, is_state(running=True))
            room.answers = False
            asked = asyncio.ensure_future(room.watch.ask("mark", who="operator"))
            while not room.asked:
                room.turn()
                await asyncio.wait([asked], timeout=0.005)
            monkeypatch.setattr(Feed, "take", fails)
            got = await room.see(page, lambda each: isinstance(each, dict) and each.get("view") == "")
            # Nobody has seen the session end, and nobody says so.
            assert (await asked).reason == "the link to the session begins anew; ask again"
            got += await room.see(page, is_state(running=True))
            assert all(each["running"] for each in got if isinstance(each, dict) and each["kind"] == "state")

        asyncio.run(body())
        assert [record.getMessage() for record in caplog.records] == ["the live view failed; it begins anew"]


class TestAsking:
    def test_the_session_gets_the_act_and_the_page_its_answer(self, room):
        async def body():
            room.begin()
            page = room.watch.open("operator")
            await room.see(page, is_state(running=True))
            answer = await room.with_turns(room.watch.ask("pause", who="operator jo", why="a call", arguments={"a": 1}))
            assert (answer.ok, answer.reason) == (True, "pause: done")
            (command,) = room.asked
            assert (command.kind, command.who, command.why, command.role) == (
                "pause",
                "operator jo",
                "a call",
                "operator",
            )

        asyncio.run(body())

    def test_nobody_to_ask_no_answer_and_an_end_are_told(self, room):
        async def body():
            with pytest.raises(NoSessionError, match="no session runs"):
                await room.watch.ask("pause", who="operator")
            room.begin()
            room.answers = False
            page = room.watch.open("operator")
            await room.see(page, is_state(running=True))
            with pytest.raises(NoSessionError, match="has not answered pause within"):
                await room.with_turns(room.watch.ask("pause", who="operator", timeout_s=0.05))
            asked = asyncio.ensure_future(room.watch.ask("resume", who="operator"))
            while not any(command.kind == "resume" for command in room.asked):
                room.turn()
                await asyncio.wait([asked], timeout=0.005)
            room.end()
            answer = await asyncio.wait_for(asked, 10)
            assert (answer.ok, answer.reason) == (False, "the session has ended")

        asyncio.run(body())

    @pytest.mark.parametrize("wrong", [{"why": "\ud800"}, {"arguments": {"score": 10**26}}])
    def test_what_no_message_can_be_made_of_is_refused_alone(self, room, caplog, wrong):
        async def body():
            room.begin()
            page = room.watch.open("operator")
            await room.see(page, is_state(running=True))
            with pytest.raises(NotAskableError, match="score: cannot be asked"):
                await room.watch.ask("score", who="operator", **wrong)
            assert (await room.with_turns(room.watch.ask("pause", who="operator"))).ok
            assert [command.kind for command in room.asked] == ["pause"]

        asyncio.run(body())
        assert caplog.records == []

    def test_what_nobody_waits_for_any_more_is_not_sent_later_and_blocks_nothing(self, room, monkeypatch):
        blocked, go = threading.Event(), threading.Event()

        def stuck(*_):
            blocked.set()
            go.wait(30)

        async def body():
            room.begin()
            page = room.watch.open("operator")
            await room.see(page, is_state(running=True))
            monkeypatch.setattr(room.watch, "_turn", stuck)
            assert await asyncio.to_thread(blocked.wait, 10)
            try:
                asks = (room.watch.ask("resume", who="operator", timeout_s=0.05) for _ in range(100))
                refused = await asyncio.gather(*asks, return_exceptions=True)
                assert all(isinstance(each, NoSessionError) for each in refused)
                # What lowers current has its place all the same.
                pause = asyncio.ensure_future(room.watch.ask("pause", who="operator", timeout_s=20))
                await asyncio.sleep(0)
            finally:
                monkeypatch.undo()
                go.set()
            assert (await room.with_turns(pause)).ok
            assert (await room.with_turns(room.watch.ask("mark", who="operator"))).ok
            assert [command.kind for command in room.asked] == ["pause", "mark"]

        asyncio.run(body())

    def test_a_session_of_another_study_is_looked_at_alone_until_one_of_its_own_comes(self, room, tmp_path):
        async def body():
            room.watch.close()
            room.begin_of(tmp_path / "theirs")
            theirs = room.rig
            watch = RigWatch(room.base, study=tmp_path / "ours")
            watch.start()
            try:
                page = watch.open("operator")
                await room.see(page, is_state(running=True, looks_on=OF_ANOTHER))
                with pytest.raises(NoSessionError, match=OF_ANOTHER):
                    await watch.ask("pause", who="operator")
                room.begin_of((tmp_path / "ours").resolve())
                await room.see(page, is_state(running=True, looks_on=""))
                assert (await room.with_turns(watch.ask("pause", who="operator"))).ok
            finally:
                watch.close()
                theirs.close()

        asyncio.run(body())

    def test_a_second_console_looks_on_and_acts_when_the_first_is_gone(self, room):
        async def body():
            room.begin()
            page = room.watch.open("operator")
            await room.see(page, is_state(running=True))
            other = RigWatch(room.base)
            other.start()
            try:
                looks = other.open("operator")
                await room.see(looks, is_state(running=True))
                with pytest.raises(
                    NoSessionError,
                    match=rf"another console \(process {os.getpid()}\) acts; .* \(kill -KILL {os.getpid()}\)",
                ):
                    await other.ask("pause", who="operator")
                room.watch.close()
                await room.see(looks, lambda each: not is_frame(each) and each["kind"] == "layout" and each["streams"])
                assert (await room.with_turns(other.ask("pause", who="operator"))).ok
            finally:
                other.close()

        asyncio.run(body())

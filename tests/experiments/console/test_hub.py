"""One work for all pages, and a page that is slow keeps nobody waiting."""

import asyncio
import json

import pytest

from myoloop.experiments.console.hub import QUEUE, RECENT, Hub


def in_a_loop(body):
    return asyncio.run(asyncio.wait_for(body(), 10))


def test_every_page_gets_the_same_frames_and_the_newest_state():
    async def body():
        hub = Hub("operator")
        hub.begin(b'{"kind":"layout"}')
        pages = [hub.open(), hub.open()]
        hub.offer(b'{"kind":"state","n":1}', b"one")
        hub.offer(b'{"kind":"state","n":2}', b"two")
        return [await page.take() for page in pages]

    first, second = in_a_loop(body)
    assert first == second == ['{"kind":"layout"}', '{"kind":"state","n":2}', b"onetwo"]


def test_a_slow_page_loses_the_oldest_and_is_told_how_many():
    async def body():
        hub = Hub("operator")
        slow, quick = hub.open(), hub.open()
        got = []
        for number in range(QUEUE + 7):
            hub.offer(None, b"%02d" % number)
            got += await quick.take()
        return await slow.take(), slow.dropped, b"".join(got), quick.dropped

    (told, frames), dropped, got, none = in_a_loop(body)
    assert json.loads(told) == {"kind": "dropped", "frames": 7}
    assert (dropped, none) == (7, 0)
    assert frames == b"".join(b"%02d" % number for number in range(7, QUEUE + 7))
    assert got == b"".join(b"%02d" % number for number in range(QUEUE + 7))


def test_a_page_that_is_opened_late_gets_the_last_half_minute():
    async def body():
        hub = Hub("operator")
        for number in range(RECENT + 3):
            hub.offer(b"{}", b"%04d" % number)
        return await hub.open().take()

    state, frames = in_a_loop(body)
    assert state == "{}"
    assert frames[:4] == b"0003"
    assert len(frames) == 4 * RECENT


def test_nothing_of_a_session_is_left_for_the_next():
    async def body():
        hub = Hub("operator")
        page = hub.open()
        hub.offer(b'{"session":"a"}', b"frame")
        hub.begin(b'{"kind":"layout"}')
        return await page.take(), await hub.open().take(), hub.state

    before, after, state = in_a_loop(body)
    assert b"frame" not in before
    assert after == ['{"kind":"layout"}']
    assert state == b""


def test_pages_that_are_gone_are_forgotten():
    hub = Hub("operator")

    async def body():
        closed = hub.open()
        hub.close(closed)
        hub.open()
        return len(hub)

    assert in_a_loop(body) == 1
    # The server's loop has ended with the page open.
    hub.offer(b"{}", b"")
    assert len(hub) == 0


@pytest.mark.parametrize("texts", [1, 3])
def test_what_is_said_comes_before_what_is_shown(texts):
    async def body():
        hub = Hub("operator")
        page = hub.open()
        for number in range(texts):
            page.say(b"%d" % number)
        hub.offer(b"state", b"frame")
        return await page.take()

    assert in_a_loop(body) == [*map(str, range(texts)), "state", b"frame"]

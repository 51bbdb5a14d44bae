"""What the console's live view costs: of the server's processor, and how often a browser draws it.

Two questions. What does it take of a core to turn what a rig says into states and frames, beside merely decoding the
same messages (no socket, no browser: steady, a ratio of one run)? And what does a whole server take with one page open
in a headless browser, beside a process that hears the same streams and does nothing with them?
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import msgspec

from myoloop.experiments.benchmarks.pretend_rig import BLOCK_S, SESSION, PretendStreams
from myoloop.experiments.console.card import Card
from myoloop.experiments.console.feed import Feed
from myoloop.experiments.console.rig_watch import FRAME_NS, STATE_NS
from myoloop.experiments.console.views import view_of
from myoloop.platform import wire

#: What the issue asks for: of one core, with 8 channels at 2 kHz and one page; pictures a second.
SHARE_MAX: Final = 0.10
PICTURES_MIN_HZ: Final = 29.0
CHROMIUM: Final = "/usr/bin/chromium"
_COME_UP_S: Final = 30.0
_WARM_PICTURES: Final = 60


@dataclass(frozen=True, slots=True)
class Work:
    """Processor seconds for so many seconds of signal.

    Attributes
    ----------
    share, decode_share
        Of a core: for decoding, states and frames together; for decoding alone.
    ratio
        The one by the other.
    frame_bytes_per_s, state_bytes_per_s
        What each page is sent.
    """

    share: float
    decode_share: float
    ratio: float
    frame_bytes_per_s: float
    state_bytes_per_s: float


def measure_work(seconds: float = 10.0, muscles: int = 8) -> Work:
    """Feed and frames alone."""
    wired = list(_wired(seconds, muscles))
    card = msgspec.convert(PretendStreams(muscles).card(), Card)
    began_s = time.process_time()
    for _, frames in wired:
        wire.decode(frames)
    decode_s = time.process_time() - began_s
    feed = Feed(card, view_of("operator", blinded=False))
    sent = [0, 0]
    frame_ns = state_ns = wired[0][0]
    began_s = time.process_time()
    for now_ns, frames in wired:
        feed.take(wire.decode(frames)[1])
        if now_ns - frame_ns >= FRAME_NS:
            frame_ns += FRAME_NS
            sent[0] += len(feed.bins())
        if now_ns - state_ns >= STATE_NS:
            state_ns += STATE_NS
            sent[1] += len(msgspec.json.encode(feed.state(now_ns)))
    took_s = time.process_time() - began_s
    return Work(took_s / seconds, decode_s / seconds, took_s / decode_s, sent[0] / seconds, sent[1] / seconds)


def measure_server(seconds: float = 20.0, muscles: int = 8) -> dict[str, Any]:
    """A whole server, with and without a page, beside one that only hears; needs the browser.

    Raises
    ------
    ImportError
        If there is no playwright.
    """
    from playwright.sync_api import sync_playwright

    found: dict[str, Any] = {"muscles": muscles, "rate_hz": 2000, "seconds": seconds}
    with _place() as place, _rig(place, muscles):
        with _child(_only_hear, place) as hearing:
            hearing.recv()
            found["hear_share"] = _share(hearing, seconds)
        with _child(_serve, place) as server, sync_playwright() as playwright:
            url = server.recv()
            found["server_share_without_a_page"] = _share(server, seconds / 2)
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1024, "height": 768})
            page.goto(url)
            page.goto(url.partition("/enter")[0] + "/live")
            _until(lambda: page.evaluate(_PICTURES) > _WARM_PICTURES)
            drawn, began_s = page.evaluate(_PICTURES), time.monotonic()
            found["server_share"] = _share(server, seconds)
            found["pictures_hz"] = (page.evaluate(_PICTURES) - drawn) / (time.monotonic() - began_s)
            browser.close()
    found["ratio_to_hearing"] = found["server_share"] / max(found["hear_share"], 1e-6)
    return found


def bench_console(*, quick: bool, as_json: bool) -> int:
    """Measure and print; 1 where it is dearer or slower than it may be."""
    work = measure_work()
    result: dict[str, Any] = {"work": {name: getattr(work, name) for name in Work.__slots__}}
    passed = work.share <= SHARE_MAX
    if not quick:
        server = measure_server()
        result["server"] = server
        passed = passed and server["server_share"] <= SHARE_MAX and server["pictures_hz"] >= PICTURES_MIN_HZ
    result["passed"] = passed
    sys.stdout.write((json.dumps(result) if as_json else table(result)) + "\n")
    return 0 if passed else 1


def table(result: dict[str, Any]) -> str:
    """The result in words."""
    work = result["work"]
    lines = [
        "8 channels at 2 kHz, one page",
        f"  decoding alone           {100 * work['decode_share']:6.2f} % of a core",
        f"  states and frames too    {100 * work['share']:6.2f} %, {work['ratio']:.1f} times decoding",
        f"  a page is sent           {work['frame_bytes_per_s'] / 1e3:6.1f} kB/s of frames,"
        f" {work['state_bytes_per_s'] / 1e3:.1f} kB/s of states",
    ]
    server = result.get("server")
    if server is not None:
        lines += [
            f"  hearing alone            {100 * server['hear_share']:6.2f} % of a core",
            f"  server without a page    {100 * server['server_share_without_a_page']:6.2f} %",
            f"  server with a page       {100 * server['server_share']:6.2f} % (at most {100 * SHARE_MAX:.0f}),"
            f" {server['ratio_to_hearing']:.1f} times hearing",
            f"  browser                  {server['pictures_hz']:6.1f} pictures/s (at least {PICTURES_MIN_HZ:.0f})",
        ]
    return "\n".join([*lines, "passed" if result["passed"] else "NOT passed"])


# -- inside --------------------------------------------------------------------------------------------------------

_PICTURES = "document.getElementById('live-view').scope.frames"


def _wired(seconds: float, muscles: int) -> Iterator[tuple[int, list[bytes]]]:
    """Messages as they would come by the bus, with the time of each."""
    streams, seq = PretendStreams(muscles), 0
    for turn in range(round(seconds / BLOCK_S)):
        now_ns = 10_000_000_000 + turn * round(BLOCK_S * 1e9)
        for node, said in streams.turn(now_ns):
            seq += 1
            yield (
                now_ns,
                wire.encode(
                    said.topic, said.message, session=SESSION, publisher=node, epoch=1, seq=seq, array=said.array
                ),
            )


@contextmanager
def _place() -> Iterator[Path]:
    """A folder for runtime folders that no other rig uses."""
    with tempfile.TemporaryDirectory(prefix="mb", dir=tempfile.gettempdir()) as name:
        yield Path(name)


@contextmanager
def _rig(place: Path, muscles: int) -> Iterator[None]:
    command = [sys.executable, "-m", "myoloop.experiments.benchmarks.pretend_rig", json.dumps({"muscles": muscles})]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(place)})
    try:
        if process.stdout is None or process.stdout.readline() != b"up\n":
            raise RuntimeError("the pretended rig did not come up")
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _child(target: Any, place: Path) -> Iterator[Connection]:
    """A process of its own, which answers with its processor time whenever it is asked."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=target, args=(str(place), there), daemon=True)
    process.start()
    try:
        yield here
    finally:
        process.terminate()
        process.join()


def _until(done: Callable[[], bool]) -> None:
    """Wait for it.

    Raises
    ------
    TimeoutError
        If it does not come.
    """
    until_s = time.monotonic() + _COME_UP_S
    while not done():
        if time.monotonic() > until_s:
            raise TimeoutError("the page draws nothing")
        time.sleep(0.1)


def _share(child: Connection, seconds: float) -> float:
    """Of a core, over so many seconds."""
    began_s, used_s = time.monotonic(), _used(child)
    time.sleep(seconds)
    return (_used(child) - used_s) / (time.monotonic() - began_s)


def _used(child: Connection) -> float:
    child.send(None)
    used_s: float = child.recv()
    return used_s


def _answer(there: Connection) -> None:
    while True:
        there.recv()
        there.send(time.process_time())


def _only_hear(place: str, there: Connection) -> None:
    """Subscribe to what the console subscribes to, and throw it away."""
    import threading

    from myoloop.experiments.console.card import read_card
    from myoloop.experiments.console.rig_watch import Attached
    from myoloop.platform.runtime import running

    folder = running(Path(place))[0]
    card = read_card(folder)
    if card is None:
        raise RuntimeError("the pretended rig has no card")
    attached = Attached(folder, card)
    there.send("up")
    threading.Thread(target=_answer, args=(there,), daemon=True).start()
    while True:
        while attached.bus.heard():
            pass
        time.sleep(FRAME_NS * 1e-9)


def _serve(place: str, there: Connection) -> None:
    """The console itself."""
    import threading

    from myoloop.experiments.console import serving
    from myoloop.experiments.console.page import Settings
    from myoloop.experiments.console.security import Role

    tempfile.tempdir = place
    study = Path(place) / "study"
    study.mkdir()

    def up(settings: Settings) -> None:
        there.send(f"http://127.0.0.1:{settings.port}/enter?token={settings.tokens.to_enter(Role.OPERATOR)}")
        threading.Thread(target=_answer, args=(there,), daemon=True).start()

    serving.serve(study, port=0, on_start=up)

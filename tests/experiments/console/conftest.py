"""A console whose pages are asked for without a browser, and a rig as far as a console can tell."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from myoloop.experiments.console.app import make_app
from myoloop.experiments.console.page import Settings
from myoloop.experiments.console.security import Origin, Role, Tokens, addresses, log
from myoloop.experiments.console.serving import listen_on
from myoloop.platform.bus import stop_socket
from myoloop.platform.keyring import make_keys
from myoloop.platform.process import write_rig_file
from myoloop.platform.runtime import OwnedRuntimeFolder

PORT = 8723
CSRF = re.compile(r'<meta name="csrf" content="([^"]+)">')


class Browser:
    """One browser that has entered as a role, or as nobody."""

    def __init__(self, client: TestClient, origin: Origin, token: str = "") -> None:
        self.client, self.origin = client, origin
        self.headers = {"origin": origin.url}
        if token:
            self.get(f"/enter?token={token}")
            self.headers["x-myoloop-csrf"] = CSRF.search(self.get("/").text)[1]

    def get(self, path: str, **more: Any) -> Any:
        return self.client.get(path, **more)

    def post(self, path: str, body: Any = None, headers: dict[str, str | None] | None = None) -> Any:
        """As a page of the console does it; `headers` with None are left out."""
        sent = {name: value for name, value in {**self.headers, **(headers or {})}.items() if value is not None}
        return self.client.post(path, json=body if body is not None else {}, headers=sent)

    def feed(self, origin: str | None = "") -> Any:
        headers = {} if origin is None else {"origin": origin or self.origin.url}
        return self.client.websocket_connect(f"ws://127.0.0.1:{self.origin.port}/feed", headers=headers)


class Console:
    """A console that runs, and what it has logged."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.tokens = settings, settings.tokens
        self.app = make_app(settings)
        self.origin = Origin(settings.port)
        self.url = self.origin.url
        self.client = TestClient(self.app, base_url=self.url)

    def browser(self, role: Role | None = None) -> Browser:
        client = TestClient(self.app, base_url=self.url)
        # Of the server that runs already: one watch for all browsers.
        client.portal = self.client.portal
        return Browser(client, self.origin, self.tokens.to_enter(role) if role is not None else "")


class Served:
    """A console on a port of this host, for a real browser."""

    def __init__(self, study: Path, temporary: Path) -> None:
        bound = listen_on(0)
        self.settings = Settings(
            study=study, port=bound.getsockname()[1], tokens=Tokens(), temporary=temporary, who="jo"
        )
        self.app = make_app(self.settings)
        self.origin = Origin(self.settings.port)
        config = uvicorn.Config(self.app, ws="websockets-sansio", log_config=None, timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([bound],))
        self._bound = bound
        self._thread.start()

    def address(self, role: Role) -> str:
        return addresses(self.origin, self.settings.tokens)[role]

    def end(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._bound.close()


class Rig:
    """A rig that runs, as far as STOP can tell."""

    def __init__(self, session: str = "sub-P001/ses-01/att-1") -> None:
        self.session = session
        self.folder = OwnedRuntimeFolder()
        make_keys(self.folder.path, {"stim": "stimulator", "supervisor": "supervisor", "observer": "observer"})
        write_rig_file(self.folder.path, session, {"stim": "stimulator"})
        self.stops: socket.socket = stop_socket(self.folder, "stim")
        self.stops.settimeout(10)

    def heard_stop(self) -> bytes:
        return self.stops.recv(4096)

    def heard_nothing(self) -> bool:
        self.stops.setblocking(False)
        try:
            return not self.stops.recv(4096)
        except BlockingIOError:
            return True
        finally:
            self.stops.settimeout(10)

    def end(self) -> None:
        self.stops.close()
        self.folder.remove()


class FrozenConsole:
    """``myoloop console`` as a process that can be frozen."""

    def __init__(self, study: Path) -> None:
        self.study = study
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "myoloop", "console", str(study), "--port=0", "--no-open", "--json"],
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        self.addresses = json.loads(self.process.stdout.readline())["addresses"]

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> int:
        self.thaw()
        self.process.send_signal(signal.SIGINT)
        self.process.stdout.close()
        return self.process.wait(20)


@pytest.fixture(scope="module")
def place_of_rigs() -> Iterator[Path]:
    """Where runtime folders are made in this module: no rig of anybody else is seen there, or stopped."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as name:
        patch.setenv("TMPDIR", name)
        patch.setattr(tempfile, "tempdir", name)
        yield Path(name)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, place_of_rigs: Path) -> Settings:
    study = tmp_path_factory.mktemp("study")
    return Settings(study=study, port=PORT, tokens=Tokens(), temporary=place_of_rigs, who="jo")


@pytest.fixture(scope="module")
def console(settings: Settings) -> Iterator[Console]:
    made = Console(settings)
    with made.client:
        yield made


@pytest.fixture
def operator(console: Console) -> Browser:
    return console.browser(Role.OPERATOR)


@pytest.fixture
def refused(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The lines that were logged since last asked."""
    caplog.set_level(logging.INFO, logger=log.name)

    def lines() -> list[str]:
        found = [record.getMessage() for record in caplog.records if record.name == log.name]
        caplog.clear()
        return found

    return lines


@pytest.fixture
def rig(place_of_rigs: Path) -> Iterator[Rig]:
    made = Rig()
    yield made
    made.end()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, place_of_rigs: Path) -> Iterator[Served]:
    """A console that a real browser can reach."""
    made = Served(tmp_path_factory.mktemp("study"), place_of_rigs)
    yield made
    made.end()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, once for all tests."""
    from playwright.sync_api import sync_playwright

    where = shutil.which("chromium")
    assert where is not None, "no chromium here: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=where, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A tab of a browser that nobody has used yet; what its scripts complain of fails the test."""
    context = chromium.new_context(viewport={"width": 1024, "height": 768})
    context.set_default_timeout(15_000)
    made = context.new_page()
    complaints: list[str] = []
    made.on("pageerror", lambda error: complaints.append(str(error)))
    yield made
    context.close()
    assert not complaints


@pytest.fixture
def axe() -> Callable[[Any], list[str]]:
    """What axe-core finds that is serious or worse, one line each."""
    from axe_playwright_python.sync_playwright import Axe

    def found(page: Any) -> list[str]:
        said = Axe().run(page).response["violations"]
        return [
            f"{each['id']}: {each['nodes'][0]['html']}" for each in said if each["impact"] in ("serious", "critical")
        ]

    return found


#: A screen of 1024 x 768, and a tablet held upright.
SIZES = ({"width": 1024, "height": 768}, {"width": 820, "height": 1180})
_FIT = """() => {
  if (!document.getElementById("stop")) {
    return [`no STOP: ${document.body.innerText.slice(0, 200)}`];
  }
  scrollTo(0, document.documentElement.scrollHeight);
  const stop = document.getElementById("stop").getBoundingClientRect();
  const there = document.elementFromPoint(stop.left + stop.width / 2, stop.top + stop.height / 2);
  const told = [];
  if (document.documentElement.scrollWidth > innerWidth) {
    const widest = [...document.querySelectorAll("main *")].reduce((a, b) =>
      b.getBoundingClientRect().right > a.getBoundingClientRect().right ? b : a);
    told.push(`${document.documentElement.scrollWidth} wide: ${widest.outerHTML.slice(0, 120)}`);
  }
  if (stop.top < 0 || stop.bottom > innerHeight || stop.left < 0 || stop.right > innerWidth) {
    told.push("STOP is out of sight");
  } else if (!there || !there.closest("#stop")) {
    told.push("something lies over STOP");
  }
  scrollTo(0, 0);
  return told;
}"""


@pytest.fixture
def misfits() -> Callable[[Any], list[str]]:
    """What of a page does not fit a screen, one line each: it scrolls sideways, or STOP is out of sight."""

    def found(page: Any) -> list[str]:
        before = page.viewport_size
        told = []
        for size in SIZES:
            page.set_viewport_size(size)
            told += [f"{size['width']} x {size['height']}: {each}" for each in page.evaluate(_FIT)]
        page.set_viewport_size(before)
        return told

    return found


@pytest.fixture
def frozen(tmp_path: Path, place_of_rigs: Path) -> Iterator[FrozenConsole]:
    made = FrozenConsole(tmp_path)
    yield made
    assert made.end() == 0

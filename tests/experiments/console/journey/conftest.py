"""Somebody at the console's pages, in a real browser: what they see is on the page, what they do a click or a key."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from myoloop.experiments.objects import builders
from myoloop.experiments.protocols.evidence import safety_parameters
from myoloop.experiments.protocols.schema import load_protocol, presets
from myoloop.experiments.replay import replay
from myoloop.experiments.screening.clear import clear_answers
from myoloop.experiments.screening.forms import form_of
from myoloop.experiments.sessions.simulated_rig import simulated_rig_data
from myoloop.experiments.studies.audit import AUDIT_FILE
from myoloop.experiments.studies.chained import read_chained, verify_chained
from myoloop.experiments.studies.signatures import sha256_of, sign
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.verify import verify

#: What is pressed on the page while it shows this; screens that are looked at only are not here.
LOOKED_AT = ("starting", "busy", "checks", "mvc", "run", "none")
DEVICE = {"serial": "REHEARSAL-1", "model": "virtual", "standard": "none", "self_test_passed": True}
#: Where pictures of the screens are left, for the page that shows them; nowhere unless it is said.
PICTURES = os.environ.get("MYOLOOP_PICTURES", "")
_STAGE = "document.querySelector('[data-stage]:not([hidden])')?.dataset.stage || ''"
_FORM = "document.querySelector('#form form')?.dataset.form || ''"
_WORDS = "(document.querySelector('[data-stage]:not([hidden])') || document.getElementById('main'))?.innerText || ''"


class ConsoleProcess:
    """``myoloop console`` as a process of its own."""

    def __init__(self, study: Path, *options: str) -> None:
        command = [sys.executable, "-P", "-m", "myoloop", "console", str(study), "--port=0", "--no-open", "--json"]
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE)
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(60.0), "no console came up"
        self.addresses = json.loads(self.process.stdout.readline())["addresses"]
        self.url = self.addresses["operator"].partition("/enter")[0]

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def end(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGINT)
            self.process.stdout.close()
            self.process.wait(20)


class Somebody:
    """A person at a page: serves what the session waits for, and remembers what they did.

    Attributes
    ----------
    did
        How often each act of the record was done here.
    seen
        The screens of the session that were shown, in order.
    on_screen
        Called with the name of each new one.
    """

    def __init__(self, page: Any, console: ConsoleProcess, role: str = "operator") -> None:
        self.page, self.console = page, console
        self.did: Counter[str] = Counter()
        self.seen: list[str] = []
        self.on_screen: Callable[[str], None] = lambda screen: None
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(console.addresses[role])

    def open(self, path: str) -> None:
        self.page.goto(f"{self.console.url}{path}")

    @property
    def screen(self) -> str:
        return self.read(_STAGE)

    def read(self, expression: str) -> str:
        """Something of the page; nothing while it gives way to another."""
        from playwright.sync_api import Error

        try:
            return str(self.page.evaluate(expression))
        except Error as error:
            if "context was destroyed" not in str(error):
                raise
            return ""

    def until(self, reached: Callable[[], Any], what: str, patience_s: float = 60.0) -> Any:
        """Wait for something on the page; the page's own policy forbids playwright's way."""
        deadline_s = time.monotonic() + patience_s
        while not (found := reached()):
            assert not self.complaints
            assert time.monotonic() < deadline_s, f"{what}; the page shows {self.screen}: {self.read(_WORDS)}"
            self.page.wait_for_timeout(40)
        return found

    def says(self, text: str) -> bool:
        return text in self.read("document.body?.innerText || ''")

    def press(self, selector: str) -> None:
        """Click what may yet come, once the page's scripts are there."""
        self.until(lambda: self.page.locator(selector).is_visible(), selector)
        self.page.wait_for_load_state()
        self.page.click(selector)

    # -- before and after --------------------------------------------------------------------------------------

    def begin(self, person: str, look: Callable[[str], None] = lambda name: None) -> None:
        """From today's list to a session's first screen."""
        self.open("/day")
        look("day")
        self.page.fill("#person", person)
        self.page.press("#person", "Enter")
        self.page.wait_for_url(f"**/day/{person}")
        look("person")
        self.page.click("#start button[type=submit]")
        self.until(lambda: self.page.url.endswith("/session") or self.page.locator("#refused").is_visible(), "a rig")
        assert self.page.url.endswith("/session"), self.read(_WORDS)
        self.follow(1)

    def follow(self, attempt: int) -> None:
        """Wait for an attempt, on a page that was made for it: one that was made sooner shows itself anew."""
        made_for = "document.body?.dataset.session || ''"
        self.until(lambda: self.read(made_for).endswith(f"/att-{attempt}") and self.screen != "", "the session")

    def answer(self, form: Any, form_id: str, answers: dict[str, Any]) -> None:
        """Fill a form in as it lies there; what it does not ask is left."""
        for field in form_of(form_id)[0].fields:
            asked = form.locator(f'[data-question="{field.id}"]')
            if field.id not in answers or asked.is_hidden():
                continue
            given = answers[field.id]
            for each in given if isinstance(given, list) else [given]:
                choice = asked.locator(f'input:is([type=radio], [type=checkbox])[value="{each}"]')
                if choice.count():
                    # What is touched is the label: a score's own circle is not to be seen.
                    choice.locator("xpath=ancestor::label").click()
                elif asked.locator("select").count():
                    asked.locator("select").select_option(str(each))
                else:
                    asked.locator("input").fill(_typed(asked.locator("input").get_attribute("type"), each))

    def go_on(self, why: str = "", *, same_electrodes: bool = False) -> None:
        """A reason, a switch that is held, a confirmation."""
        dialog = self.page.locator("#go-on")
        dialog.wait_for()
        if why:
            self.page.fill("#go-on-other", why)
        else:
            dialog.locator("input[name=go-on-why]").first.check()
        if same_electrodes:
            self.page.check("#go-on-same")
        self.page.hover("#go-on-hold")
        self.page.mouse.down()
        self.until(lambda: self.page.is_enabled("#go-on-confirm"), "the switch was held")
        self.page.mouse.up()
        self.page.click("#go-on-confirm")

    # -- the session -------------------------------------------------------------------------------------------

    def serve_until(self, reached: Callable[[str], Any], patience_s: float = 120.0) -> str:
        """Do whatever the page asks for until it shows what is waited for."""
        deadline_s = time.monotonic() + patience_s
        while True:
            screen = self.screen
            if screen and (not self.seen or self.seen[-1] != screen):
                self.seen.append(screen)
                self.on_screen(screen)
            if reached(screen):
                return screen
            words = self.read(_WORDS)
            assert not self.complaints
            assert time.monotonic() < deadline_s, f"{screen}: {words}; {self.page.inner_text('#said')}"
            if screen in ("form", "confirm", "arm", "threshold", "approve"):
                getattr(self, f"_{screen}")()
            else:
                assert screen in (*LOOKED_AT, ""), f"{screen}: {words}"
                self._retry()
            self.page.wait_for_timeout(40)

    def _form(self) -> None:
        form_id = self.read(_FORM)
        if not form_id:
            return
        form = self.page.locator("#form form")
        for tick in form.locator(".ticks label").all():
            tick.click()
        if form.locator(".ticks").count():
            self.did["mark"] += 1
            self.on_screen("placement")
        self.answer(form, form_id, clear_answers(form_id, "SIM", datetime.now(UTC)))
        form.locator("button[type=submit]").click()
        self.did["form"] += 1
        self.until(
            lambda: (
                self.screen != "form" or self.read(_FORM) != form_id or self.page.locator("#form .mistaken").count()
            ),
            f"the form {form_id} is taken",
        )
        wrong = self.page.locator("#form .wrong:not(:empty)")
        assert self.screen != "form" or not wrong.count(), f"{form_id}: {wrong.all_inner_texts()}"

    def _retry(self) -> None:
        """A check that is red, as a spasm of the person's makes it, is made again; not for ever."""
        again = self.page.locator("[data-when=retry] [data-act=retry]")
        if again.is_visible():
            assert self.did["retry"] < 8, self.read(_WORDS)
            again.click()
            self.did["retry"] += 1
            self.until(lambda: not again.is_visible(), "it is checked again")

    def _confirm(self) -> None:
        self._serve("confirm")

    def _approve(self) -> None:
        self._serve("approve")

    def _arm(self) -> None:
        self.page.click("[data-stage=arm] [data-arm-first]")
        self._serve("arm")

    def _serve(self, screen: str) -> None:
        self.page.click(f"[data-stage={screen}] [data-serve]")
        self.did[screen] += 1
        self.until(lambda: self.screen != screen, f"{screen} is done")

    def _threshold(self) -> None:
        """Hold until it is over, or the session has stopped asking for it."""
        from playwright.sync_api import Error

        def over() -> bool:
            if self.screen == "threshold" and self.page.get_attribute("#raise", "aria-pressed") == "false":
                # A page that heard nothing for a second has let go by itself: this host had other work.
                self.page.mouse.up()
                with contextlib.suppress(Error):
                    self.page.hover("#raise", timeout=1000)
                    self.page.mouse.down()
            return self.screen != "threshold"

        try:
            self.until(over, "the thresholds are found", 240.0)
        finally:
            self.page.mouse.up()

    def trial(self) -> tuple[str, str]:
        """What the page says of the trial, and of what is to be done in it."""
        run = self.page.locator("[data-stage=run]")
        return run.locator("[data-trial]").inner_text(), run.locator("[data-cue]").inner_text()

    def in_trial(self, number: int, cue: str) -> Callable[[str], bool]:
        return lambda screen: (
            screen == "run" and self.trial()[0].startswith(f"Trial {number} ") and self.trial()[1].startswith(cue)
        )


def _typed(kind: str | None, value: Any) -> str:
    return str(value)[:16] if kind == "datetime-local" else str(value)


@pytest.fixture
def consoles(short_folder) -> Iterator[Callable[..., ConsoleProcess]]:
    """Consoles that are ended with the test, whatever becomes of it; sessions that they began, too."""
    del short_folder  # Where the rigs come up.
    made: list[ConsoleProcess] = []
    studies: set[Path] = set()

    def start(study: Path, *options: str) -> ConsoleProcess:
        studies.add(study)
        made.append(ConsoleProcess(study, *options))
        return made[-1]

    yield start
    for each in made:
        each.end()
    for study in studies:
        _end_sessions(study)


def _end_sessions(study: Path) -> None:
    """What a test that failed has left running: processes whose command names this study of its own."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(study) in (folder / "cmdline").read_bytes() and int(folder.name) != os.getpid():
                os.kill(int(folder.name), signal.SIGTERM)


@pytest.fixture
def somebody(page) -> Callable[..., Somebody]:
    """Opens the console's page as somebody."""

    def come(console: ConsoleProcess, role: str = "operator") -> Somebody:
        return Somebody(page, console, role)

    return come


@pytest.fixture
def make_study(tmp_path) -> Callable[..., tuple[Path, Path]]:
    """A study of one protocol that a physician has signed, a station with one device, and its rig file."""

    def made(protocol: dict[str, Any], leads_off: tuple[dict[str, Any], ...] = ()) -> tuple[Path, Path]:
        study, yaml, now = tmp_path / "study", YAML(), datetime.now(UTC)
        yaml.width = 4096
        study.mkdir()
        file = study / "protocol.yaml"
        with file.open("w", encoding="utf-8") as written:
            yaml.dump(protocol, written)
        device = {**DEVICE, "safety_test_until": (now + timedelta(days=90)).date(),
                  "self_test_at": (now - timedelta(hours=1)).isoformat()}  # fmt: skip
        with (study / "study.yaml").open("w", encoding="utf-8") as written:
            yaml.dump({"devices": [device]}, written)
        loaded = load_protocol(file)
        sign(study, sha256_of(file), safety_parameters(loaded), name="C. Roth", role="physician", day=now.date(),
             wall=now)  # fmt: skip
        rig = simulated_rig_data(loaded)
        # Nobody with spasms: five in a minute would end it by rule.
        rig["nodes"]["body"]["settings"] |= {"leads_off": list(leads_off), "group": "able_bodied"}
        with (tmp_path / "rig.yaml").open("w", encoding="utf-8") as written:
            yaml.dump(rig, written)
        return study, tmp_path / "rig.yaml"

    return made


@pytest.fixture
def preset() -> Callable[[str], dict[str, Any]]:
    """A shipped protocol as plain data, to be made shorter."""

    def read(name: str) -> dict[str, Any]:
        return dict(YAML(typ="safe").load(presets()[name].read_text(encoding="utf-8")))

    return read


@pytest.fixture
def whole() -> Callable[[Path], str]:
    """Looks at an attempt's record: nothing is missing or altered, and it plays again bit for bit; how it ended."""

    def look(attempt: Path) -> str:
        assert verify(attempt).status == "good"
        assert verify_chained(attempt / AUDIT_FILE) == []
        assert replay(attempt, builders()).equal
        recording = Recording.open(attempt)
        assert recording.complete
        missed = [each.received for each in recording.messages({"gap"}) if each.received.publisher == "recorder"]
        assert missed == [], "the recorder got all of it"
        return recording.outcome

    return look


@pytest.fixture
def audited() -> Callable[..., Counter[str]]:
    """How often each act stands in the audits of a session, of those who act at pages."""

    def count(*attempts: Path, role: str = "operator") -> Counter[str]:
        rows = [row for attempt in attempts for row in read_chained(attempt / AUDIT_FILE)]
        return Counter(row["act"] for row in rows if row["who"].partition(" ")[0] == role)

    return count


class Look:
    """Looks at pages as they come by: what is wrong with them, and how they look.

    Attributes
    ----------
    faults
        By the name of the screen.
    """

    def __init__(self, page: Any, axe: Callable[[Any], list[str]], misfits: Callable[[Any], list[str]]) -> None:
        self._page, self._axe, self._misfits = page, axe, misfits
        self._seen: set[str] = set()
        self.faults: dict[str, list[str]] = {}

    def __call__(self, name: str) -> None:
        if name in self._seen:
            return
        from playwright.sync_api import Error

        try:
            found = self._axe(self._page) + self._misfits(self._page)
        except Error as error:
            if "context was destroyed" not in str(error):
                raise
            # It gives way to another page; the next one of its kind is looked at.
            return
        self._seen.add(name)
        if found:
            self.faults[name] = found
        if PICTURES:
            self._keep(Path(PICTURES) / f"{name}.png")

    at = __call__

    def _keep(self, path: Path) -> None:
        """A picture of few colours: small enough to be kept beside the text."""
        from io import BytesIO

        from PIL import Image

        taken = Image.open(BytesIO(self._page.screenshot()))
        path.parent.mkdir(parents=True, exist_ok=True)
        taken.convert("RGB").quantize(32, dither=Image.Dither.NONE).save(path, optimize=True)


@pytest.fixture
def look(page, axe, misfits) -> Look:
    return Look(page, axe, misfits)

"""How a screen is made: a template with what every page shows, and a route that only some roles may take."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from myoloop.experiments.console.jobs import SESSION, newest
from myoloop.experiments.console.rigs import RunningRig, running_rigs
from myoloop.experiments.console.security import EVERYBODY, STAFF, Role, Tokens, TooLarge, log, say_refused
from myoloop.platform.errors import UserError

if TYPE_CHECKING:
    from myoloop.experiments.console.screens import Screen

HERE = Path(__file__).parent
#: Why a session goes on after a stop or a pause: to be touched, not typed.
GO_ON_REASONS = (
    "stopped by mistake",
    "the person is well and wants to go on",
    "electrode put back, skin looked at",
    "the cause was found and put right",
    "the alarm is over",
)
PAGES, STATIC = HERE / "pages", HERE / "static"

_templates = Environment(
    loader=FileSystemLoader(PAGES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a console was started with.

    Attributes
    ----------
    study
        Folder of the study that it shows.
    rig
        Rig file that sessions are started with; None for a simulated one.
    port
        Own port on loopback.
    key
        The study's key file, where arms come from its sealed list.
    identity
        The encrypted key file that people are checked against.
    who
        Login name; it stands behind the role in the record where nobody is named.
    names
        Who has a role's address, by role.
    temporary
        Where the runtime folders of rigs are.
    """

    study: Path
    port: int
    tokens: Tokens
    temporary: Path
    rig: Path | None = None
    key: Path | None = None
    identity: Path | None = None
    who: str = ""
    names: Mapping[Role, str] = field(default_factory=dict)


#: What every page shows, where nothing is known. STOP goes by the console's own server then.
_BARE: Final[Mapping[str, Any]] = {
    "role": "nobody", "may_run": False, "csrf": "", "path": "", "links": (), "session": "", "subject": "",
    "blinded": False, "simulated": False, "stopped": "", "stop_ports": (), "running": (),
}  # fmt: skip
#: Where what was refused and what failed is kept, in the study.
FAILED_IN: Final = "derivatives/jobs/console.log"
Endpoint = Callable[[Request], Awaitable[Response] | Response]


def role_of(request: Request) -> Role:
    """Who asks; the guard has put it there."""
    role: Role = request.state.role
    return role


def settings_of(request: Request) -> Settings:
    """What this console was started with."""
    settings: Settings = request.app.state.settings
    return settings


def rig_of(request: Request) -> RunningRig | None:
    """The rig that runs on this host now; of several that of this study, or the first."""
    rigs = running_rigs(settings_of(request).temporary, settings_of(request).study)
    return rigs[0] if rigs else None


def name_for(role: Role, settings: Settings) -> str:
    """Who acts, for the record: role and name."""
    if role is Role.SUBJECT:
        return str(role)
    # Who has another role's address need not be who has logged in.
    login = settings.who if role is Role.OPERATOR or not settings.who else f"login {settings.who}"
    return f"{role} {settings.names.get(role, login)}".strip()


def name_of(request: Request) -> str:
    """Who acts with this request, for the record."""
    return name_for(role_of(request), settings_of(request))


def screen(
    path: str, endpoint: Endpoint, *, roles: Collection[Role] = EVERYBODY, methods: Collection[str] = ("GET",)
) -> Route:
    """Make a route that only these roles may take; a mistake of the user (UserError) is a page or an answer of its own.

    Parameters
    ----------
    endpoint
        A plain function runs in a thread, an `async` one in the loop; the latter must never wait on a file.
    """
    from inspect import iscoroutinefunction

    waits = iscoroutinefunction(endpoint)

    async def guarded(request: Request) -> Response:
        role = role_of(request)
        if role not in roles:
            say_refused(request.scope, role, "not for this role")
            return message(request, "Not for this role", f"This page is not for {role}.", status=403)
        try:
            if waits:
                return await endpoint(request)  # type: ignore[misc,no-any-return]
            made: Response = await run_in_threadpool(endpoint, request)  # type: ignore[arg-type]
            return made
        except UserError as error:
            text = "; ".join(getattr(error, "problems", None) or [str(error)])
            return message(request, "That cannot be done", text, status=409)
        except TooLarge:
            raise
        except Exception as error:  # noqa: BLE001  # a page without STOP is worse than whatever this is
            return await run_in_threadpool(_failed, request, error)

    return Route(path, guarded, methods=list(methods))


def render(request: Request, template: str, /, status: int = 200, **more: Any) -> HTMLResponse:
    """Fill a template of ``pages/``.

    What ``base.html.jinja`` shows is there in each: `role`, `csrf`, `path`, `links`, `study`, `running` (rigs), `card`
    (of the first, or None), `session`, `subject`, `blinded`, `simulated`, `stop_ports`, `stopped` (the session
    whose last attempt was stopped, if that was the last of all).
    """
    return HTMLResponse(_templates.get_template(template).render({**_common(request), **more}), status_code=status)


def message(request: Request, heading: str, text: str, *, status: int = 200) -> Response:
    """One thing to say: a page for a GET, an object ``{ok, reason}`` for anything else."""
    if request.method != "GET":
        return JSONResponse({"ok": status < 400, "reason": text}, status_code=status)
    return render(request, "message.html.jinja", status=status, heading=heading, text=text)


def _failed(request: Request, error: Exception) -> Response:
    """What to show when the console itself is wrong: STOP, and where the mistake stands; nothing of its text."""
    *_, last = traceback.extract_tb(error.__traceback__)
    where = f"{Path(last.filename).name}:{last.lineno}"
    path = repr(request.url.path[:80])
    log.error("failed: %s %s by %s: %s at %s", request.method, path, role_of(request), type(error).__name__, where)
    heading, text = "The console has failed here", f"A session goes on without it, and STOP works. See {FAILED_IN}."
    try:
        return message(request, heading, text, status=500)
    except Exception:  # noqa: BLE001  # what every page shows may be what failed
        page = _templates.get_template("message.html.jinja").render(heading=heading, text=text, **_BARE)
        return HTMLResponse(page, status_code=500)


def entrance(settings: Settings) -> str:
    """The page of who has not entered, or entered with another run of the console: STOP, and how to enter."""
    rigs = running_rigs(settings.temporary, settings.study)
    return _templates.get_template("entrance.html.jinja").render(
        **{**_BARE, "stop_ports": _stop_ports(rigs), "running": rigs}
    )


def _stop_ports(rigs: list[RunningRig]) -> list[int]:
    return [each.card.stop_port for each in rigs if each.card.stop_port is not None]


def _common(request: Request) -> dict[str, Any]:
    role, settings = role_of(request), settings_of(request)
    rigs = running_rigs(settings.temporary, settings.study)
    card = rigs[0].card if rigs else None
    screens: tuple[Screen, ...] = request.app.state.screens
    return {
        "role": role,
        "may_run": role in STAFF,
        "go_on_reasons": GO_ON_REASONS,
        "asks_second": settings.identity is not None,
        "csrf": settings.tokens.csrf(role),
        "path": request.url.path,
        "links": [each for each in screens if each.title and role in each.roles],
        "study": settings.study,
        "running": rigs,
        "card": card,
        "session": rigs[0].session if rigs else "",
        "subject": card.subject if card else "",
        "blinded": card is not None and card.blinded,
        "simulated": card is not None and card.simulated,
        "stopped": "" if rigs else stopped_session(settings.study),
        "stop_ports": _stop_ports(rigs),
    }


def stopped_session(study: Path) -> str:
    """The session that was stopped last and may be gone on with, as ``sub-X/ses-NN``; empty where none was."""
    last = newest(study, SESSION)
    answer = last.answer if last is not None and last.answer is not None else {}
    if answer.get("outcome") != "stopped":
        return ""
    return "/".join(str(answer.get("session_id", "")).split("/")[:2])

"""Who may ask what of the console: roles, tokens, own origin; the guard that stands before every page but STOP."""

from __future__ import annotations

import hmac
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("myoloop.console")

#: The one address that needs no login, no token and no origin: whoever asks for a stop gets it.
STOP_PATH: Final = "/stop"
ENTER_PATH: Final = "/enter"
STATIC_PATH: Final = "/static/"
#: Header in which a page sends the token of its own with everything that changes something.
CSRF_HEADER: Final = "x-myoloop-csrf"
#: Largest body of a request.
BODY_MAX_BYTES: Final = 64 * 1024
#: How long an address that was opened by this program itself may be used; it stands in the list of processes.
ONCE_S: Final = 60.0
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
#: What a browser says of where a request comes from, if it says so: typed or opened, or of a page of ours.
_OWN_SITES: Final = frozenset({"", "none", "same-origin"})


class Role(StrEnum):
    """Who looks at a page."""

    OPERATOR = "operator"
    CLINICIAN = "clinician"
    SUPERVISOR = "supervisor"
    SUBJECT = "subject"


#: Who may run a session.
STAFF: Final = frozenset({Role.OPERATOR, Role.CLINICIAN})
#: Who may see what is not the subject's.
WATCHERS: Final = STAFF | {Role.SUPERVISOR}
EVERYBODY: Final = frozenset(Role)


@dataclass(slots=True)
class Tokens:
    """Secrets of one run of the console: one to enter with and one cookie for each role, gone when it ends.

    Parameters
    ----------
    make
        Gives randomness as text.
    """

    make: Callable[[], str] = lambda: secrets.token_urlsafe(32)
    _enter: dict[Role, str] = field(init=False)
    _cookie: dict[Role, str] = field(init=False)
    _csrf: dict[Role, str] = field(init=False)
    _once: dict[str, tuple[Role, float]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._enter, self._cookie, self._csrf = ({role: self.make() for role in Role} for _ in range(3))

    def to_enter(self, role: Role) -> str:
        """The token in the address that is printed for a role; it holds until the console ends."""
        return self._enter[role]

    def to_enter_once(self, role: Role, now_s: float) -> str:
        """A token that is good for one use within a minute, for an address that others on this host may see."""
        token = self.make()
        self._once[token] = (role, now_s + ONCE_S)
        return token

    def cookie(self, role: Role) -> str:
        """What a browser that has entered keeps."""
        return self._cookie[role]

    def csrf(self, role: Role) -> str:
        """What a page of ours sends with each POST, and no other page can know."""
        return self._csrf[role]

    def page_of(self, csrf: str) -> Role | None:
        """Whose page sends this."""
        return _whose(csrf, self._csrf)

    def entered_as(self, token: str, now_s: float) -> Role | None:
        """Whose token this is; one that is good for one use is used up."""
        role, until_s = self._once.pop(token, (None, 0.0))
        if role is not None:
            return role if now_s <= until_s else None
        return _whose(token, self._enter)

    def role_of(self, cookie: str) -> Role | None:
        """Whose cookie this is."""
        return _whose(cookie, self._cookie)


def _whose(token: str, kept: Mapping[Role, str]) -> Role | None:
    """Compared in a time that says nothing of how much of it is right."""
    given = token.encode()
    found = [role for role, right in kept.items() if hmac.compare_digest(given, right.encode())]
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the console is served: this host's loopback, one port."""

    port: int

    @property
    def url(self) -> str:
        """Address that is printed."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def cookie_name(self) -> str:
        """A browser keeps cookies by host, not by port: two consoles of one host keep theirs apart by name."""
        return f"myoloop_{self.port}"

    @property
    def hosts(self) -> frozenset[str]:
        """What a request may name as its host; a name that a stranger's DNS leads here is none of them."""
        return frozenset({f"127.0.0.1:{self.port}", f"localhost:{self.port}"})

    def policy(self) -> str:
        """Content security policy of every page: own files only, no script in the page, in nobody's frame."""
        # The stop node's port is another one in each session.
        links = " ".join(("'self'", "http://127.0.0.1:*", *(f"ws://{host}" for host in sorted(self.hosts))))
        return (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
            f"connect-src {links}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not served: the answer's status and one line."""

    status: int
    why: str


def judge(
    *, method: str | None, path: str, headers: Headers, origin: Origin, tokens: Tokens
) -> tuple[Role | None, Refusal | None]:
    """Who asks, and why it is refused, if it is. Pure.

    Parameters
    ----------
    method
        None for a websocket.
    """
    host = headers.get("host", "")
    if host not in origin.hosts:
        return None, Refusal(421, f"host {host!r} is not this console's own")
    from_page = headers.get("origin")
    changes = method not in _SAFE_METHODS
    if from_page is None and changes:
        return None, Refusal(403, "no origin is named")
    if from_page is not None and from_page != f"http://{host}":
        return None, Refusal(403, f"origin {from_page!r} is not this console's own")
    if headers.get("sec-fetch-site", "") not in _OWN_SITES:
        return None, Refusal(403, f"sent by a page of another site ({headers['sec-fetch-site']!r})")
    if path == ENTER_PATH or path.startswith(STATIC_PATH):
        return None, None if not changes else Refusal(405, "it is only to be read")
    role = tokens.role_of(cookie_parser(headers.get("cookie", "")).get(origin.cookie_name, ""))
    if role is None:
        return None, Refusal(401, "nobody has entered here, or with another run of the console")
    if changes and method is not None:
        found = headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(found.encode(), tokens.csrf(role).encode()):
            page = tokens.page_of(found)
            if page is not None:
                why = f"this page is of the {page}, and the browser has been entered as {role} since"
                return role, Refusal(403, f"{why}: each role needs a browser, or a profile, of its own")
            return role, Refusal(403, f"the page's own token ({CSRF_HEADER}) is missing or wrong")
        if _said_length(headers) > BODY_MAX_BYTES:
            return role, Refusal(413, f"a body of more than {BODY_MAX_BYTES} bytes")
    return role, None


def _said_length(headers: Headers) -> int:
    said = headers.get("content-length", "0")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 16 else BODY_MAX_BYTES + 1


class TooLarge(Exception):
    """A body went on beyond what is allowed."""


class Guard:
    """Stands before the application: what is refused here reaches nothing behind it, and is one line in the log.

    STOP passes whatever else is wrong with it.

    Parameters
    ----------
    entrance
        Makes the page for who has not entered; a line of text if not given.
    """

    def __init__(self, app: ASGIApp, origin: Origin, tokens: Tokens, entrance: Callable[[], str] | None = None) -> None:
        self._app = app
        self._origin = origin
        self._tokens = tokens
        self._entrance = entrance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request or websocket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        is_request = scope["type"] == "http"
        send = self._with_headers(send) if is_request else send
        if is_request and path == STOP_PATH and scope["method"] == "POST":
            await self._app(scope, receive, send)
            return
        role, refusal = judge(
            method=scope["method"] if is_request else None,
            path=path,
            headers=Headers(scope=scope),
            origin=self._origin,
            tokens=self._tokens,
        )
        if refusal is not None:
            say_refused(scope, role, refusal.why)
            page = self._entrance() if self._entrance and refusal.status == 401 and scope.get("method") == "GET" else ""
            await _refuse(scope, receive, send, refusal, page)
            return
        scope.setdefault("state", {})["role"] = role
        if not is_request:
            await self._app(scope, receive, send)
            return
        began = False

        async def watched(message: Message) -> None:
            nonlocal began
            began = began or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, _limited(receive), watched)
        except TooLarge:
            say_refused(scope, role, f"a body of more than {BODY_MAX_BYTES} bytes")
            if not began:
                await _refuse(scope, receive, send, Refusal(413, f"a body of more than {BODY_MAX_BYTES} bytes"))

    def _with_headers(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["cache-control"] = "no-store"
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "no-referrer"
                headers["cross-origin-opener-policy"] = "same-origin"
                headers["cross-origin-resource-policy"] = "same-origin"
                # A page that needs a stricter or another one of its own (a finished report) brings it.
                headers.setdefault("content-security-policy", self._origin.policy())
            await send(message)

        return sent


def say_refused(scope: Scope, role: Role | None, why: str) -> None:
    """One line in the log; what was sent stands in it quoted and cut short, so that it can write no lines."""
    who = "nobody" if role is None else str(role)
    what = scope.get("method", "WEBSOCKET")
    log.warning("refused: %s %s by %s: %s", what, repr(scope["path"][:80]), who, why[:200])


def _limited(receive: Receive) -> Receive:
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > BODY_MAX_BYTES:
            raise TooLarge
        return message

    return limited


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: Refusal, page: str = "") -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
        return
    made = HTMLResponse(page, refusal.status) if page else PlainTextResponse(f"{refusal.why}\n", refusal.status)
    await made(scope, receive, send)


def now_s() -> float:
    """Seconds of the clock that only goes forward."""
    return time.monotonic()


def addresses(origin: Origin, tokens: Tokens, roles: Iterable[Role] = tuple(Role)) -> dict[str, str]:
    """One address to enter by for each role."""
    return {str(role): f"{origin.url}{ENTER_PATH}?token={tokens.to_enter(role)}" for role in roles}

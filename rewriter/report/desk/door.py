"""Who may talk to the desk: the browser that was given the token, from a page of the desk's own, on this machine.

Against DNS rebinding the Host has to be a name of this machine; against other sites (and other ports of this machine)
the Origin has to be that very Host; against whoever else is on this machine there is a token. It is in the printed
address once; the answer puts a cookie in its place that scripts cannot read and other sites cannot send.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from hmac import compare_digest
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
# A passage that somebody edits is a few kilobytes; whatever is larger than this is no edit.
LARGEST_BODY = 4_000_000

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
# A redirect by the page, not by status 303: the cookie is then sent also where the address was clicked in another page.
_ENTER = '<!doctype html><html lang="en"><meta http-equiv="refresh" content="0;url=/"><title>Review</title></html>'
_SHUT = "This page needs the address that `rewriter review` printed, token included. Open that one."


@dataclass
class Keys:
    """The secrets of one desk: `token` for the printed address, `once` for the browser that the desk opens itself.

    A browser's command line can be read by everybody on the machine, so that token opens the door only once.
    """

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    once: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def opens(self, given: str) -> bool:
        """Whether a token opens the door."""
        if self.once and compare_digest(given.encode(), self.once.encode()):
            self.once = ""
            return True
        return compare_digest(given.encode(), self.token.encode())


class Door:
    """Middleware that lets nobody else in, and gives every answer the headers of a page that runs its own script only.

    `cookie` is the cookie's name: ports share cookies, so each desk needs its own.
    """

    def __init__(self, app: ASGIApp, keys: Keys, cookie: str) -> None:
        self._app, self._keys, self._cookie = app, keys, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = self._answer(Request(scope))
        await (answer or self._app)(scope, receive, guarded)

    def _answer(self, request: Request) -> Response | None:
        """What the door itself says; None where the request may pass."""
        entering = request.method == "GET" and request.url.path == "/" and "token" in request.query_params
        if refusal := _refused(request, entering):
            return PlainTextResponse(refusal, status_code=403)
        if entering:
            return self._enter(request.query_params["token"])
        given = request.cookies.get(self._cookie, "")
        if not compare_digest(given.encode(), self._keys.session.encode()):
            return PlainTextResponse(_SHUT, status_code=403)
        if _size(request) > LARGEST_BODY:
            return PlainTextResponse("That is too much.", status_code=413)
        return None

    def _enter(self, token: str) -> Response:
        if not self._keys.opens(token):
            return PlainTextResponse(_SHUT, status_code=403)
        answer = HTMLResponse(_ENTER)
        answer.set_cookie(self._cookie, self._keys.session, httponly=True, samesite="strict", path="/")
        return answer


def _refused(request: Request, entering: bool) -> str:
    """Why a request is none of the desk's own pages'; empty where it may be."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    if _hostname(host) not in _HOSTS:
        return "Not here: the desk answers under the name of this machine only."
    if request.method not in {"GET", "HEAD", "POST"}:
        return "Not so."
    if origin is None and request.method == "POST":
        return "Not from there: the page that sends this does not say who it is."
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        return "Not from there: another page may not speak for you."
    if not entering and request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        return "Not from there: another page may not speak for you."
    return ""


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _size(request: Request) -> int:
    """Bytes announced; without an announcement (chunked) a body is too large: browsers always announce it."""
    if request.method != "POST":
        return 0
    try:
        return int(request.headers.get("content-length", LARGEST_BODY + 1))
    except ValueError:
        return LARGEST_BODY + 1

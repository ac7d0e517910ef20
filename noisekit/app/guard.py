"""What reaches the app: requests of its own pages, and of nobody else's.

    GET   /, /config, /theme.css, /assets/…, /static/…     the page and what it is made of, which come with gradio
    GET   /gradio_api/queue/data, …/heartbeat/…            what it is told while something runs
    POST  /gradio_api/queue/join, …/run/predict, …         what it asks for, of what the pages offer, in `MOST_BYTES`
    GET   /handed/…, /report/…                             noise files, reports and their images, by the app's own routes

Everything else that gradio would answer is not there: it serves files by their paths, fetches addresses, takes uploads and
calls. Other sites' requests are refused. Over a network a link with a token lets a browser in, which then has it as a cookie
that no script reads and no other site sends.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from noisekit.web.access import is_foreign, is_here, is_token
from noisekit.web.throttle import Throttle

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Bytes of a request's body: a page of prompts and settings.
MOST_BYTES = 256 * 1024
COOKIE = "noisekit"
WRONG = "the link is not right; ask for it again"
_GET = re.compile(
    r"/(|config|theme\.css|favicon\.ico|manifest\.json|assets/[\w./-]+|static/[\w./-]+"
    r"|gradio_api/(queue/data|heartbeat/\w+|startup-events|info|theme\.css|app_id)"
    r"|handed/[0-9a-f]{32}/[\w.]+|report/[\w-]+/(images/[\w.-]+)?)"
)
_POST = re.compile(r"/gradio_api/(queue/join|run/predict|cancel|reset)/?")
#: Gradio's page has scripts within it, and makes functions of templates; all of it is its own, and nothing is fetched.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; frame-src 'self'; frame-ancestors 'self'; "
    "object-src 'none'; base-uri 'self'; form-action 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_OURS = {name for name, _ in _HEADERS} | {b"access-control-allow-origin", b"access-control-allow-credentials"}


class Guard:
    """Lets the right requests through to an app. token: what a browser brings; None where only this machine can ask."""

    def __init__(self, app: App, token: str | None = None, throttle: Throttle | None = None) -> None:
        self.app, self.token = app, token
        self._throttle = throttle or Throttle(burst=2000, rate=200)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":  # no page of the app opens a socket
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        status, sentence = self._refusal(scope, headers)
        if status is not None:
            await _answer(send, status, sentence)
        elif given := parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=16).get("token"):
            await self._let_in(send, given[-1])
        elif not self._knows(headers.get("cookie", "")):
            await _answer(send, HTTPStatus.FORBIDDEN, WRONG)
        else:
            await self.app(scope, _limited(receive), _headed(send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[HTTPStatus | None, str]:
        """The status and the sentence of what is refused whoever asks."""
        method, path = scope["method"], scope["path"]
        client = scope.get("client") or ("", 0)
        if not self._throttle.allows(str(client[0])):
            return HTTPStatus.TOO_MANY_REQUESTS, "too many requests; wait a moment"
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.token is None and not is_here(host):
            return HTTPStatus.FORBIDDEN, "this page is for this machine alone"
        followed = method == "GET" and path == "/"  # a link to the page may be followed from anywhere
        if is_foreign(host, origin, headers.get("sec-fetch-site", "none")) and not followed:
            return HTTPStatus.FORBIDDEN, "requests of other sites are refused"
        known = {"GET": _GET, "HEAD": _GET, "POST": _POST}.get(method)
        if known is None:
            return HTTPStatus.METHOD_NOT_ALLOWED, "this is not done here"
        if known.fullmatch(path) is None or ".." in path:
            return HTTPStatus.NOT_FOUND, "there is nothing here"
        if method == "POST":
            length = headers.get("content-length", "")
            if not length.isdecimal():
                return HTTPStatus.LENGTH_REQUIRED, "the request does not say how long it is"
            if int(length) > MOST_BYTES:
                return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MOST_BYTES} bytes are not taken"
            if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "only JSON is taken"
        return None, ""

    async def _let_in(self, send: Send, given: str) -> None:
        """Make the token of a link a cookie, and take it out of the address."""
        if not is_token(given, self.token):
            await _answer(send, HTTPStatus.FORBIDDEN, WRONG)
            return
        cookie = f"{COOKIE}={self.token or ''}; Path=/; HttpOnly; SameSite=Strict"
        # A redirect of a link from another site would come without the cookie; the page itself asks again.
        page = b'<!doctype html><meta http-equiv="refresh" content="0; url=./"><title>noisekit</title>'
        own = [(b"set-cookie", cookie.encode()), (b"content-type", b"text/html; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": [*own, *_HEADERS]})
        await send({"type": "http.response.body", "body": page})

    def _knows(self, cookies: str) -> bool:
        try:
            found = SimpleCookie(cookies).get(COOKIE)
        except CookieError:
            found = None
        return is_token("" if found is None else found.value, self.token)


async def _answer(send: Send, status: HTTPStatus, sentence: str) -> None:
    own = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status.value, "headers": [*own, *_HEADERS]})
    await send({"type": "http.response.body", "body": sentence.encode()})


def _limited(receive: Receive) -> Receive:
    """No more bytes than were announced and are taken, whatever comes."""
    left = MOST_BYTES

    async def limited() -> MutableMapping[str, Any]:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        return message if left >= 0 else {"type": "http.disconnect"}

    return limited


def _headed(send: Send) -> Send:
    """Answers say what a page may do, and allow no other site to read them."""

    async def headed(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message.get("headers", []) if name.lower() not in _OURS]
            message["headers"] = [*kept, *_HEADERS]
        await send(message)

    return headed

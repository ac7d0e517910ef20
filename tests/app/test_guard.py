"""What a browser, another site or a program may ask of the app: all that is not its own pages' is refused."""

from __future__ import annotations

import asyncio
import json
import socket
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from noisekit.app.guard import COOKIE, MOST_BYTES, Guard
from noisekit.app.serving import Serving
from noisekit.web.throttle import Throttle

TOKEN = "a-token-that-nobody-guesses"
JOIN = "/gradio_api/queue/join"


def ask(
    served: Serving, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    """What the app answers to one request."""
    asked = HTTPConnection("127.0.0.1", served.port, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    asked.request(method, path, body, named)
    answer = asked.getresponse()
    return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}


def test_the_page_says_what_it_may_do(served: Serving) -> None:
    status, page, headers = ask(served, "/")
    assert status == 200 and b"noisekit" in page
    assert "connect-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../../etc/passwd",
        "/file=/etc/passwd",
        "/gradio_api/file=http://127.0.0.1/",
        "/gradio_api/proxy=http://127.0.0.1/",
        "/static/../config",
        "/static/%2e%2e/%2e%2e/routes.py",
        "/assets/..%2f..%2froutes.py",
        "/report/../../etc/passwd",
        "/report/first/images/..%2f..%2fmanifest.json",
        "/report/first/images/%2e%2e%2fmanifest.json",
        "/report/first/manifest.json",
        "/report/%2e%2e/",
        "/handed/00000000000000000000000000000000/noise.safetensors",
        "/gradio_api/upload",
        "/gradio_api/openapi.json",
        "/gradio_api/runs",
        "/monitoring",
        "/docs",
        "/login",
        "/custom_component/0/server/x/y.py",
        "/gradio_api/custom_component/0/server/x/y.py",
    ],
)
def test_no_path_of_the_machine_is_read(served: Serving, path: str) -> None:
    status, body, _ = ask(served, path)
    assert status == 404
    assert b"root:" not in body and len(body) < 100


@pytest.mark.parametrize(
    "path", ["/gradio_api/upload", "/gradio_api/call/predict", "/gradio_api/component_server", "/", "/config"]
)
def test_nothing_else_is_taken(served: Serving, path: str) -> None:
    assert ask(served, path, "POST", b"{}", Content_Type="application/json")[0] in (404, 405)
    assert ask(served, path, "DELETE")[0] == 405


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
    ],
    ids=str,
)
def test_other_sites_are_refused(served: Serving, headers: dict[str, str]) -> None:
    for method, path, body in (("POST", JOIN, b"{}"), ("GET", "/config", None)):
        assert ask(served, path, method, body, Content_Type="application/json", **headers)[0] == 403


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b" " * (MOST_BYTES + 1), {"Content_Type": "application/json"}, 413),
        (b"{}", {"Content_Type": "text/plain"}, 415),
        (b"{}", {"Content_Type": "multipart/form-data; boundary=x"}, 415),
        (b"a=b", {"Content_Type": "application/x-www-form-urlencoded"}, 415),
        (b"{}", {"Content_Type": "application/json", "Transfer_Encoding": "chunked"}, 411),
    ],
    ids=["oversized", "plain", "upload", "form", "endless"],
)
def test_bodies_are_json_of_a_known_size(
    served: Serving, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert ask(served, JOIN, "POST", body, **headers)[0] == status


def test_a_body_longer_than_it_says_is_cut_off(served: Serving) -> None:
    """What follows the announced bytes is read as another request, and is none."""
    head = f"POST {JOIN} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", served.port), 30) as line:
        line.sendall(head.encode() + b"Content-Length: 2\r\n\r\n{}" + b"x" * 70_000)
        answered = line.recv(1000)
    assert answered.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))


def test_what_is_queued_cannot_be_run_past_the_queue(served: Serving) -> None:
    """A replayed or made-up call of a search, straight at the function: only what needs no queue runs so."""
    config = json.loads(ask(served, "/config")[1])
    queued = [one["id"] for one in config["dependencies"] if one["queue"] is not False]
    assert queued
    body = json.dumps({"data": [], "fn_index": queued[0], "session_hash": "x"}).encode()
    status, answer, _ = ask(served, "/gradio_api/run/predict", "POST", body, Content_Type="application/json")
    assert status >= 400 and b"Traceback" not in answer


def test_nothing_of_the_machine_is_in_what_a_page_is_told(served: Serving) -> None:
    for path in ("/", "/config"):
        body = ask(served, path)[1]
        for private in (Path(__file__).parents[2], served.desk.offer.runs, served._folder.name, Path.home()):
            assert str(private).encode() not in body


# --- over a network ---------------------------------------------------------------------------------------------------


async def _inner(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})


def guarded(
    guard: Guard, path: str = "/", query: str = "", method: str = "GET", **headers: str
) -> tuple[int, dict[str, str]]:
    """The status and headers that a guard answers with."""
    sent: list[Any] = []
    named = {"host": "votes.example"} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "client": ("10.0.0.1", 1),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def test_a_link_lets_a_browser_in_and_its_cookie_keeps_it_there() -> None:
    guard = Guard(_inner, TOKEN)
    assert guarded(guard)[0] == 403
    status, headers = guarded(guard, query=f"token={TOKEN}", sec_fetch_site="cross-site")
    assert status == 200
    cookie, *facts = headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict"} <= set(facts)
    assert guarded(guard, cookie=cookie)[0] == 200
    assert guarded(guard, "/config", cookie=f"other=1; {cookie}")[0] == 200


@pytest.mark.parametrize("given", ["", "wrong", TOKEN[:-1], TOKEN + "x", "é", '"', "\\"])
def test_wrong_tokens_and_cookies_are_refused(given: str) -> None:
    guard = Guard(_inner, TOKEN)
    assert guarded(guard, query=f"token={given}")[0] == 403
    assert guarded(guard, cookie=f"{COOKIE}={given}")[0] == 403
    assert guarded(guard, JOIN, method="POST", content_length="2", content_type="application/json")[0] == 403


def test_who_asks_too_often_waits() -> None:
    now = [0.0]
    guard = Guard(_inner, TOKEN, Throttle(burst=3, rate=1, clock=lambda: now[0]))
    assert [guarded(guard)[0] for _ in range(4)] == [403, 403, 403, 429]
    now[0] = 1.0
    assert guarded(guard)[0] == 403


def test_a_body_that_grows_beyond_what_it_said_is_not_read_on() -> None:
    read: list[Any] = []

    async def reads(_scope: Any, receive: Any, send: Any) -> None:
        for _ in range(3):
            read.append(await receive())
        await _inner(_scope, receive, send)

    async def endless() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * MOST_BYTES, "more_body": True}

    async def send(_message: Any) -> None:
        pass

    headers = {"host": "127.0.0.1", "content-length": "2", "content-type": "application/json"}
    scope = {
        "type": "http",
        "method": "POST",
        "path": JOIN,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(Guard(reads)(scope, endless, send))
    assert [message["type"] for message in read] == ["http.request", "http.disconnect", "http.disconnect"]

"""The page as the network sees it: what is served, and that everything else is refused and nothing else is written."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from noisekit.errors import BadValue
from noisekit.results import Run
from noisekit.store.store import Store
from noisekit.vote import questions
from noisekit.vote.pairs import pairs
from noisekit.vote.server import MOST_BYTES, VotingPage
from noisekit.vote.serving import Serving
from noisekit.vote.study import Rules, Study
from noisekit.web.access import is_loopback, kept_token
from noisekit.web.throttle import Throttle
from tests.vote.conftest import HOSTILE, METHODS

ASKED = questions.chosen(["alignment", "overall"])
TOKEN = "a token that nobody guesses"


@pytest.fixture
def study(run: Run) -> Iterator[Study]:
    with Store.prepare(run.folder, "per_prompt") as store:
        yield Study(store, pairs(run.frame()), list(ASKED), Rules(0, 0), Random(0))


@pytest.fixture
def page(run: Run, study: Study) -> VotingPage:
    return VotingPage(study, ASKED, run.folder)


@pytest.fixture
def guarded(run: Run, study: Study) -> VotingPage:
    return VotingPage(study, ASKED, run.folder, TOKEN)


def ask(page: VotingPage, path: str, content: Any = None, raw: bytes | None = None, **environ: str):
    """Status, headers and body; content is posted as JSON."""
    body = raw if raw is not None else b"" if content is None else json.dumps(content).encode()
    path, _, query = path.partition("?")
    about: dict[str, Any] = {
        "REQUEST_METHOD": "GET" if content is None and raw is None else "POST",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "HTTP_HOST": "127.0.0.1:8765",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    said: list[Any] = []
    found = b"".join(page(about | environ, lambda status, headers: said.extend((status, dict(headers)))))
    return int(said[0][:3]), said[1], found


def voted(page: VotingPage, voter: str = "ann", **environ: str) -> dict[str, Any]:
    shown = json.loads(ask(page, "/next", {"voter": voter}, **environ)[2])["ballot"]
    return {"voter": voter, "ballot": shown["id"], "answers": dict.fromkeys(ASKED, "left"), "seconds": 1.0}


def written(run: Run) -> dict[str, int]:
    """Every file of the run with its size."""
    return {str(p.relative_to(run.folder)): p.stat().st_size for p in run.folder.rglob("*") if p.is_file()}


def test_a_ballot_is_served_voted_on_and_followed_by_the_next(page: VotingPage, run: Run) -> None:
    status, _, body = ask(page, "/")
    assert status == 200 and b"<main>" in body
    first = voted(page)
    for side in ("left", "right"):
        status, headers, picture = ask(page, f"/picture/{first['ballot']}/{side}")
        assert (status, headers["Content-Type"]) == (200, "image/png")
        assert Image.open(io.BytesIO(picture)).size == (24, 24)
    status, _, body = ask(page, "/vote", first)
    found = json.loads(body)
    assert status == 200 and found["done"] == 1 and found["ballot"]["id"] != first["ballot"]
    assert len(Store.read(run.folder).lines("votes")) == 2


def test_nothing_that_a_browser_gets_tells_of_methods_or_files(page: VotingPage, run: Run) -> None:
    files = {Path(name).stem for name in run.frame()["image"]}
    got = [ask(page, path)[2] for path in ("/", "/page.css", "/page.js", "/served.js")]
    for _turn in range(24):
        vote = voted(page)
        got += [ask(page, f"/picture/{vote['ballot']}/{side}")[2] for side in ("left", "right")]
        _, headers, body = ask(page, "/vote", vote)
        got += [body, json.dumps(headers).encode()]
    for content in got:
        for secret in (*METHODS, "standard", "cosine", "reno", "purpose", *files, str(run.folder)):
            assert secret.encode() not in content
    stored = (run.folder / run.frame()["image"][0]).read_bytes()
    assert b"standard" in stored  # so that looking for it means something


def test_a_prompt_that_would_like_to_be_a_script_is_data(page: VotingPage) -> None:
    shown = []
    for _turn in range(24):
        vote = voted(page)
        _, headers, body = ask(page, "/vote", vote)
        assert headers["Content-Type"].startswith("application/json")
        assert headers["X-Content-Type-Options"] == "nosniff"
        ballot = json.loads(body)["ballot"]
        shown += [ballot["prompt"]] if ballot else []
    assert HOSTILE in shown
    assert "script-src 'self'" in ask(page, "/")[1]["Content-Security-Policy"]
    assert b"owned" not in ask(page, "/")[2]


TRAVERSALS = [
    *(
        "/../manifest.json",
        "/%2e%2e/manifest.json",
        "/manifest.json",
        "/images/",
        "/.vote-token",
        "//etc/passwd",
    ),
    *(
        "/picture/../../manifest.json/left",
        "/picture/" + 32 * "0" + "/left",
        "/picture/" + 32 * "g" + "/left",
    ),
    *(
        "/picture/images/left",
        "/page.html",
        "/server.py",
        "/votes/",
        "/picture/{}/middle",
        "/picture/{}/left/",
    ),
    *(
        "/picture/{}/left\n",
        "/picture/{}/left%00.png",
        "/page.css/../page.html",
        "/picture/{}/../../manifest.json",
    ),
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leads_to_a_file(page: VotingPage, path: str) -> None:
    ballot = voted(page)["ballot"]
    status, _, body = ask(page, path.replace("{}", ballot))
    assert status == 404
    assert list(json.loads(body)) == ["error"]


FOREIGN = {
    "an origin": {"HTTP_ORIGIN": "https://evil.example"},
    "no origin": {"HTTP_ORIGIN": "null"},
    "another port": {"HTTP_ORIGIN": "http://127.0.0.1:9999"},
    "a site": {"HTTP_SEC_FETCH_SITE": "cross-site"},
    "a neighbour": {"HTTP_SEC_FETCH_SITE": "same-site"},
    "a name that was turned on us": {
        "HTTP_HOST": "evil.example:8765",
        "HTTP_ORIGIN": "http://evil.example:8765",
    },
    "no name": {"HTTP_HOST": ""},
    "a form": {"CONTENT_TYPE": "application/x-www-form-urlencoded"},
    "plain text": {"CONTENT_TYPE": "text/plain"},
    "no type": {"CONTENT_TYPE": ""},
}


@pytest.mark.parametrize("environ", FOREIGN.values(), ids=FOREIGN)
def test_other_sites_cannot_vote(page: VotingPage, run: Run, environ: dict[str, str]) -> None:
    vote = voted(page)
    before = written(run)
    for path, content in (("/vote", vote), ("/next", {"voter": "eve"})):
        assert ask(page, path, content, **environ)[0] in (403, 415)
    assert written(run) == before
    assert ask(page, "/vote", vote, HTTP_ORIGIN="http://127.0.0.1:8765")[0] == 200


@pytest.mark.parametrize("given", ["", "wrong", TOKEN[:-1], TOKEN + "x", "ä"])
def test_without_the_token_of_the_link_nothing_is_shown_or_kept(
    guarded: VotingPage, run: Run, given: str
) -> None:
    vote = voted(guarded, HTTP_X_TOKEN=TOKEN)
    before = written(run)
    assert ask(guarded, f"/?token={given}")[0] == 403
    for path, content in (("/vote", vote), ("/next", {"voter": "eve"})):
        assert ask(guarded, path, content, HTTP_X_TOKEN=given)[0] == 403
    assert written(run) == before
    assert ask(guarded, "/?token=" + TOKEN.replace(" ", "%20"), HTTP_HOST="votes.example")[0] == 200
    assert ask(guarded, "/vote", vote, HTTP_X_TOKEN=TOKEN, HTTP_HOST="votes.example")[0] == 200


BODIES: dict[str, bytes] = {
    "none": b"",
    "no JSON": b"voter=ann",
    "a list": b"[]",
    "no voter": b"{}",
    "nested": b'{"voter": ' + 2000 * b"[" + 2000 * b"]" + b"}",
    "no UTF-8": b'{"voter": "\xff"}',
    "more fields": b'{"voter": "ann", "path": "/etc/passwd"}',
    "a name": b'{"voter": "Ann Smith"}',
    "a path": b'{"voter": "../ann"}',
    "a script": b'{"voter": "<script>"}',
    "a long code": b'{"voter": "' + 33 * b"a" + b'"}',
    "an empty code": b'{"voter": ""}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("path", ["/next", "/vote"])
def test_bodies_that_are_none_are_refused(page: VotingPage, run: Run, body: bytes, path: str) -> None:
    before = written(run)
    status, _, said = ask(page, path, raw=body)
    assert status == 400 and "error" in json.loads(said)
    assert written(run) == before


@pytest.mark.parametrize("length", ["", "-1", "many", str(MOST_BYTES + 1), str(10**12)])
def test_bodies_too_long_or_of_no_length_are_not_read(page: VotingPage, length: str) -> None:
    class Unread(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise AssertionError("it was read")

    environ = {"CONTENT_LENGTH": length, "wsgi.input": Unread()}
    assert ask(page, "/vote", raw=b"x", **environ)[0] in (411, 413)  # type: ignore[arg-type]


def test_a_vote_that_is_sent_again_counts_once(page: VotingPage, run: Run) -> None:
    vote = voted(page)
    first = ask(page, "/vote", vote)
    for answer in ("left", "right", "tie"):
        again = ask(page, "/vote", vote | {"answers": dict.fromkeys(ASKED, answer)})
        assert again[0] == 200 and again[2] == first[2]
    assert [line["answer"] for line in Store.read(run.folder).lines("votes")] == ["left", "left"]


@pytest.mark.parametrize(
    "changed",
    [
        {"voter": "eve"},
        {"ballot": "0" * 32},
        {"ballot": "../x"},
        {"answers": {}},
        {"answers": {"overall": "left", "alignment": "up"}},
        {"seconds": -1.0},
    ],
    ids=str,
)
def test_votes_that_are_none_are_refused(page: VotingPage, run: Run, changed: dict[str, Any]) -> None:
    vote = voted(page)
    before = written(run)
    assert ask(page, "/vote", vote | changed)[0] == 400
    assert written(run) == before


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "post"])
def test_other_methods_do_nothing(page: VotingPage, run: Run, method: str) -> None:
    before = written(run)
    for path in ("/", "/vote", "/next", "/page.css"):
        assert ask(page, path, REQUEST_METHOD=method)[0] == 405
    assert written(run) == before


def test_who_asks_too_often_waits_and_others_do_not(run: Run, study: Study) -> None:
    now = [0.0]
    page = VotingPage(study, ASKED, run.folder, None, Throttle(burst=5, rate=1, clock=lambda: now[0]))
    statuses = [ask(page, "/", REMOTE_ADDR="10.0.0.1")[0] for _turn in range(8)]
    assert statuses == [200] * 5 + [429] * 3
    assert ask(page, "/", REMOTE_ADDR="10.0.0.1")[1]["Retry-After"] == "1"
    assert ask(page, "/", REMOTE_ADDR="10.0.0.2")[0] == 200
    now[0] = 2.0
    assert [ask(page, "/", REMOTE_ADDR="10.0.0.1")[0] for _turn in range(3)] == [200, 200, 429]


def test_the_throttle_forgets_rather_than_grow() -> None:
    from noisekit.web import throttle

    one = Throttle(burst=1, rate=0.0)
    for number in range(throttle.MOST + 50):
        assert one.allows(str(number))
    assert len(one._left) == throttle.MOST


def test_two_voters_at_once_each_get_their_own(page: VotingPage, run: Run) -> None:
    def through(voter: str) -> int:
        turns = 0
        while True:
            ballot = json.loads(ask(page, "/next", {"voter": voter}, REMOTE_ADDR=voter)[2])["ballot"]
            if ballot is None:
                return turns
            vote = {"voter": voter, "ballot": ballot["id"], "answers": dict.fromkeys(ASKED, "tie")}
            assert ask(page, "/vote", vote, REMOTE_ADDR=voter + "v")[0] == 200
            turns += 1

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(through, ["ann", "ben"])) == [24, 24]
    assert len(Store.read(run.folder).lines("votes")) == 2 * 24 * len(ASKED)


# --- on a port --------------------------------------------------------------------------------------------------------


def test_only_this_machine_can_vote_unless_told_otherwise(study: Study, run: Run) -> None:
    with Serving(study, ASKED, run.folder) as served:
        assert served.link == f"http://127.0.0.1:{served.port}/"
        assert served._server.socket.getsockname()[0] == "127.0.0.1"
    assert not (run.folder / ".vote-token").exists()
    with Serving(study, ASKED, run.folder, "0.0.0.0") as served:
        token = kept_token(run.folder / ".vote-token")
        assert len(token) >= 30 and served.link.endswith(f"/?token={token}")
    assert (run.folder / ".vote-token").stat().st_mode & 0o077 == 0
    with Serving(study, ASKED, run.folder, "0.0.0.0") as served:
        assert served.link.endswith(token)  # the link lasts


def test_addresses_that_cannot_be_served_are_refused(study: Study, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(BadValue, match="--port"):
        Serving(study, ASKED, run.folder, "127.0.0.1", taken.getsockname()[1])
    with pytest.raises(BadValue, match="no address"):
        Serving(study, ASKED, run.folder, "no.such.host.invalid")
    (run.folder / ".vote-token").write_text("short\n")
    with pytest.raises(BadValue, match="no token"):
        kept_token(run.folder / ".vote-token")


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False)],
)
def test_loopback_is_told_from_a_network(host: str, alone: bool) -> None:
    assert is_loopback(host) == alone

"""The page that people vote on, as a WSGI application: what a browser may ask for, and all that is refused.

    GET  /                       the page; over a network only with the token of the link
    GET  /page.css, /*.js        what the page is made of
    POST /next   {voter}         the ballot that a voter is to answer
    POST /vote   {ballot, voter, answers, seconds}      keep the answers, and give the next ballot
    GET  /picture/BALLOT/SIDE    the left or right picture of a ballot, under a name of 128 random bits

There are no other paths, none of them is a file's, and nothing but ballots and votes is ever written. What is posted is JSON
of at most `MOST_BYTES`, from the page itself: a browser says where a request comes from, and other sites are refused, as
are, without a token, names of hosts other than this machine's, by which a foreign page could come in. Answers go by the
ballot, which counts once, however often it is sent. Who asks too often is told to wait.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec

from noisekit.errors import BadValue, NoisekitError
from noisekit.store.schema import Voter
from noisekit.vote.showing import picture, written
from noisekit.vote.study import Ballot, Study
from noisekit.web.access import is_foreign, is_here, is_token
from noisekit.web.throttle import Throttle

Respond = Callable[[str, list[tuple[str, str]]], object]

#: Bytes of a request's body.
MOST_BYTES = 4096
#: A page may show and run what comes from here, and nothing else; it may not be framed.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
]
_PARTS = {"/page.css": "text/css", "/page.js": "text/javascript", "/served.js": "text/javascript"}
_PICTURE = re.compile(r"/picture/([0-9a-f]{32})/(left|right)")


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    voter: Voter


class _Voted(_Asked, forbid_unknown_fields=True, kw_only=True):
    ballot: str
    answers: dict[str, str]
    seconds: float | None = None


class _Refused(Exception):
    """A request that gets a status and a sentence, and nothing else."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class VotingPage:
    """Serves a study. token: what has to stand in the link, None where only this machine can ask."""

    def __init__(
        self,
        study: Study,
        questions: Mapping[str, str],
        folder: Path,
        token: str | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        self.study, self.questions, self.folder, self.token = study, questions, folder, token
        self._throttle = throttle or Throttle()

    def __call__(self, environ: Mapping[str, Any], respond: Respond) -> Iterable[bytes]:
        """Answer one request."""
        try:
            kind, body = self._answer(environ)
            status = HTTPStatus.OK
        except _Refused as refused:
            kind, body, status = "application/json", _json({"error": str(refused)}), refused.status
        except NoisekitError as error:
            sentence = (
                str(error) if isinstance(error, BadValue) else "the vote could not be kept; try again later"
            )
            status = HTTPStatus.BAD_REQUEST if isinstance(error, BadValue) else HTTPStatus.SERVICE_UNAVAILABLE
            kind, body = "application/json", _json({"error": sentence})
        utf8 = "" if kind.startswith("image/") else "; charset=utf-8"
        headers = [("Content-Type", kind + utf8), ("Content-Length", str(len(body))), *_HEADERS]
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            headers.append(("Retry-After", "1"))
        respond(f"{status.value} {status.phrase}", headers)
        return [body]

    def _answer(self, environ: Mapping[str, Any]) -> tuple[str, bytes]:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if not self._throttle.allows(environ.get("REMOTE_ADDR", "")):
            raise _Refused(HTTPStatus.TOO_MANY_REQUESTS, "too many requests; wait a moment")
        self._check_origin(environ)
        if method == "POST" and path in ("/next", "/vote"):
            self._check_token(environ.get("HTTP_X_TOKEN", ""))
            return "application/json", self._posted(path, environ)
        if method != "GET":
            raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, "this is not done here")
        if path == "/":
            query = parse_qs(environ.get("QUERY_STRING", ""), max_num_fields=8)
            self._check_token(query.get("token", [""])[-1])
            return "text/html", written("served.js").encode()
        if path in _PARTS:
            return _PARTS[path], (files("noisekit.vote") / path[1:]).read_bytes()
        if found := _PICTURE.fullmatch(path):
            try:
                return "image/png", picture(self.folder, self.study.ballot(found[1]), found[2])
            except BadValue:
                raise _Refused(HTTPStatus.NOT_FOUND, "there is no such picture") from None
        raise _Refused(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _check_origin(self, environ: Mapping[str, Any]) -> None:
        """Refuse what another site's page sends, and, where there is no token, names that are not this machine's."""
        host = environ.get("HTTP_HOST", "")
        if self.token is None and not is_here(host):
            raise _Refused(HTTPStatus.FORBIDDEN, "this page is for this machine alone")
        origin, site = environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE", "none")
        # A link to the page may be followed from anywhere.
        followed = environ["REQUEST_METHOD"] == "GET" and environ.get("PATH_INFO") == "/"
        if is_foreign(host, origin, site) and not followed:
            raise _Refused(HTTPStatus.FORBIDDEN, "requests of other sites are refused")

    def _check_token(self, given: str) -> None:
        if not is_token(given, self.token):
            raise _Refused(HTTPStatus.FORBIDDEN, "the link is not right; ask for it again")

    def _posted(self, path: str, environ: Mapping[str, Any]) -> bytes:
        if environ.get("CONTENT_TYPE", "").partition(";")[0].strip() != "application/json":
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "only JSON is taken")
        length = environ.get("CONTENT_LENGTH") or ""
        if not length.isdecimal():
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "the request does not say how long it is")
        if int(length) > MOST_BYTES:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MOST_BYTES} bytes are not taken")
        body = environ["wsgi.input"].read(int(length))
        kind: type[_Asked] = _Asked if path == "/next" else _Voted
        try:
            request = msgspec.json.decode(body, type=kind)
        except (ValueError, RecursionError) as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"the request does not read: {error}") from None
        if isinstance(request, _Voted):
            self.study.vote(request.ballot, request.voter, request.answers, request.seconds)
        return _json(self._next(request.voter))

    def _next(self, voter: str) -> dict[str, Any]:
        ballot = self.study.next(voter)
        done, of = self.study.progress(voter)
        progress = {"done": done, "of": of}
        return progress | {"ballot": None if ballot is None else self._shown(ballot)}

    def _shown(self, ballot: Ballot) -> dict[str, Any]:
        """What a browser learns of a ballot: neither methods nor files, nor why it is shown."""
        pair = self.study.pair(ballot)
        return {
            "id": ballot.ballot,
            "prompt": "" if pair is None else pair.prompt,
            "questions": [{"name": name, "text": self.questions[name]} for name in ballot.questions],
            "left": f"picture/{ballot.ballot}/left",
            "right": f"picture/{ballot.ballot}/right",
        }


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace")

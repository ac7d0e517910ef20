"""The voting page on a port: to this machine alone, or, if that is asked for, to a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from waitress.server import create_server

from noisekit.errors import BadValue
from noisekit.vote.server import MOST_BYTES, VotingPage
from noisekit.vote.study import Study
from noisekit.web.access import check_port, is_loopback, kept_token

#: Keeps the token of the link, so that a study goes on for weeks under one link; a file that is removed ends the link.
TOKEN = ".vote-token"


class Serving:
    """A page that is being served from the moment it is made; `run` answers until it is interrupted, or `close`d."""

    def __init__(
        self, study: Study, questions: Mapping[str, str], folder: Path, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """Raises `BadValue` where nothing can be served at this address."""
        check_port(port)
        token = None if is_loopback(host) else kept_token(folder / TOKEN)
        page = VotingPage(study, questions, folder, token)
        try:
            self._server = create_server(
                page,
                map={},
                host=host,
                port=port,
                threads=8,
                connection_limit=200,
                channel_timeout=30,
                max_request_body_size=MOST_BYTES,
                max_request_header_size=16 * 1024,
                ident=None,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BadValue(
                f"nothing can be served at {host}:{port} ({reason}); give another --host or --port"
            ) from None
        self.port = int(self._server.effective_port)
        shown = f"[{host}]" if ":" in host else host
        self.link = f"http://{shown}:{self.port}/" + ("" if token is None else f"?token={token}")

    def run(self) -> None:
        """Answer until interrupted, by Ctrl-C or SIGTERM; both end it without an error."""
        self._server.run()

    def close(self) -> None:
        """Answer no more."""
        self._server.close()

    def __enter__(self) -> Serving:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

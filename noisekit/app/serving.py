"""The app on a port: to this machine alone, or, if that is asked for, to a network by a link with a token.

Nothing is sent anywhere: gradio's own telemetry is off before it is imported, its fonts are the system's, and it neither
shares the app nor looks for versions.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from noisekit.app.device import IDLE, Device
from noisekit.app.guard import Guard
from noisekit.app.offer import Offer
from noisekit.errors import BadValue, NotSupported
from noisekit.web.access import check_port, is_loopback, kept_token

#: Keeps the token of the link in the folder of runs; a file that is removed ends the link.
TOKEN = ".app-token"
_QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_RUN_HISTORY": "False", "GRADIO_MCP_SERVER": "False"}
#: Words of explanation in colours that stand out enough from the page to be read (WCAG AA).
_READABLE = {
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_300",
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_300",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_dark": "*primary_700",
    "link_text_color": "*primary_700",
    "link_text_color_dark": "*primary_300",
    "block_label_text_color": "*neutral_700",
    "block_label_text_color_dark": "*neutral_200",
}


class Serving:
    """The app from the moment it is made; `run` answers until it is interrupted, or `close`d."""

    def __init__(self, offer: Offer, host: str = "127.0.0.1", port: int = 7860, idle: float = IDLE) -> None:
        """Raises `BadValue` where nothing can be served at this address, `NotSupported` where gradio is not installed."""
        check_port(port)
        self._folder = TemporaryDirectory(prefix="noisekit-app-")
        offer.runs.mkdir(parents=True, exist_ok=True)
        token = None if is_loopback(host) else kept_token(offer.runs / TOKEN)
        self._socket = _bound(host, port)
        self.port = int(self._socket.getsockname()[1])
        shown = f"[{host}]" if ":" in host else host
        self.link = f"http://{shown}:{self.port}/" + ("" if token is None else f"?token={token}")
        os.environ.update(_QUIET, GRADIO_TEMP_DIR=self._folder.name)
        try:
            import uvicorn

            from noisekit.app.desk import Desk, Reports
            from noisekit.app.voting import Voting
        except ImportError as missing:
            raise _lacking(missing) from None
        self.desk = Desk(offer, Device(idle), Voting(host), Reports(offer, Path(self._folder.name)))
        guarded: Any = Guard(_application(self.desk), token)
        config = uvicorn.Config(
            guarded,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
            ws="none",
        )
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Answer until interrupted, by Ctrl-C or SIGTERM; both end it without an error."""
        with suppress(KeyboardInterrupt):  # which uvicorn raises again when it is done
            self._server.run(sockets=[self._socket])

    def close(self) -> None:
        """Answer no more, and leave nothing behind."""
        self._server.should_exit = True
        self.desk.voting.close()
        if not self._server.started:  # which closes it otherwise
            self._socket.close()
        self._folder.cleanup()

    def __enter__(self) -> Serving:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(128)
    except OSError as error:
        opened.close()
        raise BadValue(
            f"nothing can be served at {host}:{port} ({error.strerror or error}); give another --host or --port"
        ) from None
    return opened


def _lacking(missing: ImportError) -> NotSupported:
    return NotSupported(
        f"the app needs {missing.name or 'gradio'}; install it with `pip install 'noisekit[app]'`"
    )


def _application(desk: Any) -> Any:
    """The pages of the app, and the routes of its own files."""
    try:
        import gradio as gr
    except ImportError as missing:
        raise _lacking(missing) from None
    from fastapi import FastAPI
    from fastapi.responses import FileResponse, Response

    from noisekit.app.runs_page import runs_page
    from noisekit.app.try_page import try_page
    from noisekit.app.vote_page import vote_page
    from noisekit.paths import path_within

    routes = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @routes.get("/handed/{name}/{file}")
    def handed(name: str, file: str) -> Response:
        content = desk.noises.get(name)
        return Response(content, status_code=200 if content else 404, media_type="application/octet-stream")

    @routes.get("/report/{run}/")
    def report(run: str) -> Response:
        try:
            return FileResponse(desk.reports.page(run), media_type="text/html")
        except BadValue as wrong:
            return Response(str(wrong), status_code=404, media_type="text/plain")

    @routes.get("/report/{run}/images/{name}")
    def image(run: str, name: str) -> Response:
        try:
            path = path_within(desk.offer.folder(run) / "images", name)
        except BadValue as wrong:
            return Response(str(wrong), status_code=404, media_type="text/plain")
        kind = {".png": "image/png", ".webp": "image/webp"}.get(path.suffix)
        return FileResponse(path, media_type=kind) if kind and path.is_file() else Response(status_code=404)

    with gr.Blocks(title="noisekit", analytics_enabled=False, fill_width=True) as pages:
        gr.HTML("<h1>noisekit</h1>", elem_id="title")
        for title, page in (("Try", try_page), ("Runs", runs_page), ("Vote", vote_page)):
            with gr.Tab(title):
                page(desk)
    pages.queue(api_open=False, max_size=64)
    style = (files("noisekit.app") / "app.css").read_text(encoding="utf-8")
    theme = gr.themes.Default(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"], primary_hue="blue"
    ).set(**_READABLE)
    return gr.mount_gradio_app(
        routes,
        pages,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        theme=theme,
        css=style,
    )

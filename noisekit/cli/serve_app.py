"""`noisekit app`: the pages on which methods are tried, runs are opened, and people vote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisekit.cli.screen import quiet, say


def app(
    runs: Annotated[Path, typer.Option(help="The folder whose runs are shown, and new ones written.")] = Path(
        "runs"
    ),
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model to offer; give it again for more (default: those that are on this machine)."
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="A method with settings to offer beside all there are; give it again for more."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Who can ask: 127.0.0.1 is this machine alone; 0.0.0.0 a network, by a link with a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port of the app (0: any that is free).")] = 7860,
    idle: Annotated[
        float, typer.Option(help="Minutes after which a model that nobody uses leaves the memory.")
    ] = 10.0,
) -> None:
    """Serve an app for a browser: try methods and watch them search, open runs and begin small ones, let people vote.

    Needs `pip install 'noisekit[app]'`. Its users can choose what is offered here, and read no path of this machine.

    \b
    Examples:
      noisekit app
      noisekit app --runs runs --model tiny-turbo --model "sdxl-turbo(dtype='fp16')"
      noisekit app --method "npnet(artefact='runs/npnet')" --port 0
      noisekit app --host 0.0.0.0 --port 7860
    """
    from noisekit.app.offer import Offer
    from noisekit.app.serving import Serving

    offer = Offer.of(model or [], method or [], runs)
    quiet()
    with Serving(offer, host, port, idle * 60) as serving:
        say(f"the app is at {serving.link}\nstop with Ctrl-C; runs are kept in {offer.runs}")
        serving.run()
    say("stopped")

"""`noisekit compare-runs`: what changed between two runs, and whether it is real."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisekit.cli.screen import console, say
from noisekit.output import output_file


def compare_runs(
    first: Annotated[Path, typer.Argument(help="The folder of a run.")],
    second: Annotated[Path, typer.Argument(help="The folder of the run to compare it with.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write it as an HTML page.")
    ] = None,
) -> None:
    """Compare two runs on the images that both hold: what differs in how they were made, and is it more than chance?

    Images are paired by model, method, prompt and seed. Use it after an update of a library, on another machine, or with
    other weights.

    \b
    Examples:
      noisekit compare-runs runs/before runs/after
      noisekit compare-runs runs/before runs/after -o changes.html
    """
    from noisekit.report.page import ENDINGS, write_versus
    from noisekit.report.versus import show_versus, versus
    from noisekit.results import load_run

    if output is not None:
        output = output_file(output, ENDINGS, "report")
    found = versus(load_run(first), load_run(second))
    show_versus(found, console())
    if output is not None:
        say(write_versus(found, output))

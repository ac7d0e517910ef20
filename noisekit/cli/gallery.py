"""`noisekit gallery`: images of a run side by side, as a figure for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisekit import registry
from noisekit.cli.screen import say
from noisekit.output import output_file


def gallery(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .pdf, .svg or .png file to write.")],
    prompts: Annotated[
        int,
        typer.Option(
            help="How many prompts: in turn one with a large agreed gain, one with a loss, a typical one."
        ),
    ] = 3,
    prompt: Annotated[
        list[str] | None, typer.Option(help="A prompt to show instead; may be given several times.")
    ] = None,
    methods: Annotated[
        str | None, typer.Option(help="Methods, separated by commas, by label or bare name (default: all).")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model, where the run holds several.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="The seed (default: the one that shows what a prompt was chosen for).")
    ] = None,
) -> None:
    """Write images of a run as a figure: a row a prompt, a column a method, every row from the same noise.

    Prompts are chosen by the rule that the report states, and their names and reasons are printed.

    \b
    Examples:
      noisekit gallery runs/demo --prompts 3 --methods standard,reno -o figure.pdf
      noisekit gallery runs/demo --model tiny-turbo --prompt "a red circle" --seed 0 -o figure.png
    """
    from noisekit.report.sheet import FORMATS, sheet
    from noisekit.results import load_run

    output = output_file(output, FORMATS, "figure")
    found = sheet(load_run(run), prompt or prompts, registry.split(methods or ""), model, seed)
    path = found.write(output)
    for row in found.rows:
        say(f"{row.prompt}, seed {row.seed}{row.reason and f': {row.reason}'}")
    say(path)

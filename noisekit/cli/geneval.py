"""`noisekit geneval`: GenEval's own table of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisekit.cli.screen import console


def geneval(
    run: Annotated[Path, typer.Argument(help="The folder of a run that geneval has scored.")],
) -> None:
    """Show the share of right images in each task of GenEval and their mean, as the paper prints them.

    The paper takes four seeds. "overall" is the mean of the tasks, not of the images; "prompts" counts those with any image
    right.

    \b
    Example:
      noisekit geneval runs/geneval
    """
    from rich.table import Table
    from rich.text import Text

    from noisekit.results import load_run
    from noisekit.results.geneval import task_scores

    scores = task_scores(load_run(run))
    table = Table(box=None, pad_edge=False)
    for name in scores:
        table.add_column(str(name))
    for row in scores.itertuples(index=False):
        cells = (f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row)
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    console().print(table)

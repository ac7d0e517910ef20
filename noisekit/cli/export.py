"""`noisekit export`: a run as one table for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisekit.cli import options
from noisekit.cli.screen import say
from noisekit.paths import given_path


def export(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .parquet or .csv file to write.")],
    safe_csv: options.SafeCsv = False,
) -> None:
    """Write all images of a run as one table: what each is of, its scores and its cost.

    The columns are those of `Run.frame`; lists are written as JSON text. Prompts are written as they are, and to a
    spreadsheet one that begins like a formula is a formula: --safe-csv keeps it a text.

    \b
    Examples:
      noisekit export runs/demo -o demo.parquet
      noisekit export runs/demo -o demo.csv
    """
    from noisekit.results import load_run
    from noisekit.results.export import check_ending

    check_ending(given_path(output), safe_csv=safe_csv)
    say(load_run(run).export(output, safe_csv=safe_csv))

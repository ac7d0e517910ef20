"""`noisekit export`: a run for other programs, as one table, or as the folders that a benchmark's scripts read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisekit.cli import options
from noisekit.cli.screen import say
from noisekit.errors import BadValue


def export(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The .parquet or .csv file to write; a new folder with --layout."
        ),
    ],
    layout: Annotated[
        str | None,
        typer.Option(help="Images in the folders of a benchmark's own scripts: geneval, t2i_compbench."),
    ] = None,
    safe_csv: options.SafeCsv = False,
) -> None:
    """Write all images of a run as one table: what each is of, its scores and its cost.

    The columns are those of `Run.frame`; lists are written as JSON text. Prompts are written as they are, and to a
    spreadsheet one that begins like a formula is a formula: --safe-csv keeps it a text.

    With --layout it is the pictures that are written, a folder a model and method, named as the benchmark's own scripts
    want them. GenEval's folders hold results.jsonl too, for its summary, where the run was scored by geneval.

    \b
    Examples:
      noisekit export runs/demo -o demo.parquet
      noisekit export runs/demo -o demo.csv
      noisekit export runs/geneval --layout geneval -o geneval-images
    """
    from noisekit.results import load_run
    from noisekit.results.export import table_file

    if layout is not None:
        if safe_csv:
            raise BadValue("--safe-csv is about tables, and --layout writes pictures; leave one of them out")
        say(load_run(run).export_images(output, layout))
        return
    output = table_file(output, safe_csv=safe_csv)
    say(load_run(run).export(output, safe_csv=safe_csv))

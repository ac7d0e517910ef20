"""`noisekit score`: the evaluator alone, on images that are there already."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisekit import registry
from noisekit.cli import options
from noisekit.cli.interrupt import Interrupted
from noisekit.cli.screen import console, quiet, say
from noisekit.errors import BadValue
from noisekit.paths import given_path

if TYPE_CHECKING:
    import torch


def score(
    folder: Annotated[Path, typer.Argument(help="Folder of images.")],
    prompts: Annotated[Path, typer.Option(help="Prompt file, or a table with columns image and prompt.")],
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Metrics, separated by commas; see `noisekit list metrics` (default: all six, and truth where it applies)."
        ),
    ] = None,
    weights: Annotated[
        str, typer.Option(help="Weights of the metrics: published, tiny, or the path of a file or folder.")
    ] = "published",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A .csv, .parquet or .json to write (default: scores.csv in the folder)."
        ),
    ] = None,
    safe_csv: options.SafeCsv = False,
    low_memory: Annotated[
        bool, typer.Option("--low-memory", help="One metric's network in memory at a time.")
    ] = False,
    batch: Annotated[int, typer.Option(help="Images at once.", min=1)] = 16,
    device: Annotated[
        str | None, typer.Option(help="Where networks run (default: cuda where there is one).")
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="What networks compute in: float32, float16, bfloat16.")
    ] = "float32",
) -> None:
    """Score images that are there already, by the same evaluator as every comparison.

    A column "image" (or file_name, filename, image_path, path, file) of the prompt file says which image a prompt (prompt,
    text, caption) belongs to, by its path in the folder. Without one, prompts go line by line to the images in the order of
    their names, 2.png before 10.png. What is transparent is laid over white.

    What each metric is (version, weights, range, direction, tie) stands in the .json, or beside a table in a .metrics.json.
    Where a metric cannot read all of a prompt, the column "cut" says which, and how many tokens it left out. An interrupted
    call goes on where it was.

    \b
    Examples:
      noisekit score pictures --prompts prompts.txt
      noisekit score pictures --prompts prompts.txt --metrics hps,mps --low-memory --device cuda --dtype bfloat16
      noisekit score pictures --prompts pairs.csv --metrics clip_score,truth --weights tiny -o scores.json
    """
    import warnings

    import torch
    from rich.text import Text

    from noisekit.metrics import Evaluator
    from noisekit.metrics.info import MetricInfo, legend
    from noisekit.metrics.loading import applicable, check_metrics
    from noisekit.scoring.folder import match, name_in
    from noisekit.scoring.score_files import check_output, part_of, table, write_scores
    from noisekit.scoring.scored import CUT, score_images

    names = registry.checked_metrics(registry.DEFAULT_METRICS if metrics is None else registry.split(metrics))
    folder, prompts = given_path(folder), given_path(prompts)
    written = given_path(output or folder / "scores.csv")
    pairs = match(folder, prompts)
    if metrics is None:
        names = applicable(names, [prompt for _, prompt in pairs])
    check_output(written, [prompts, *(path for path, _ in pairs)], safe_csv=safe_csv)
    check_metrics(names, weights)
    chosen = _device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    quiet()
    kept = part_of(written)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "a reward reads only")  # the column says it, prompt by prompt
            scored = score_images(
                pairs,
                names,
                lambda some: Evaluator(some, weights, chosen, batch, dtype),  # type: ignore[arg-type]  # checked there
                names=[name_in(folder, path) for path, _ in pairs],
                kept=kept,
                write=lambda scored: write_scores(scored, written, safe_csv=safe_csv),
                low_memory=low_memory,
                progress=sys.stderr.isatty(),
            )
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; what was scored is kept in {kept}: the same command goes on from there"
        ) from None
    screen = console()
    screen.print(table(scored.frame))
    for line in legend(MetricInfo.read(about) for about in scored.metrics.values()):
        screen.print(Text(line, style="dim"))
    if CUT in scored.frame:
        count = int((scored.frame[CUT] != "").sum())
        screen.print(
            Text(f"{count} of {len(pairs)} prompts were cut by some metric: column {CUT!r} says which")
        )
    say(written)


def _device(name: str) -> torch.device:
    """A device that is there; raise `BadValue` otherwise."""
    import torch

    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0][:200]
        raise BadValue(
            f"device {name!r} is not on this machine ({reason}); use cpu, or leave it out"
        ) from None
    return device

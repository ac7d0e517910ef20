"""`noisekit distance`: how far the images of a run lie from a folder of reference pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisekit import registry
from noisekit.cli.screen import console, quiet


def distance(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    reference: Annotated[Path, typer.Option(help="A folder of pictures to measure from.")],
    metrics: Annotated[str, typer.Option(help="Distances, separated by commas: fid, cmmd.")] = "fid,cmmd",
    weights: Annotated[
        str,
        typer.Option(
            help="Weights: published, tiny (cmmd only), or the path of the Inception's file, of a CLIP's folder."
        ),
    ] = "published",
    resize: Annotated[
        str, typer.Option(help="How pictures are resized for the Inception: clean, tf, torch.")
    ] = "clean",
    limit: Annotated[
        bool, typer.Option("--limit", help="Extrapolate FID to endless images; takes many times as long.")
    ] = False,
    device: Annotated[str, typer.Option(help="Where networks run.")] = "cpu",
) -> None:
    """Measure FID and CMMD of each model and method from a folder of pictures; smaller is nearer.

    Prompts are not read. Both grow as images become fewer, so compare arms of one number only, and many thousands; FID also
    depends on how pictures are resized, which stands beside it.

    \b
    Examples:
      noisekit distance runs/demo --reference pictures --metrics cmmd --weights tiny
      noisekit distance runs/fish --reference fish --weights pt_inception-2015-12-05-6726825d.pth --metrics fid --limit
    """
    from rich.table import Table
    from rich.text import Text

    from noisekit.results import load_run
    from noisekit.results.distances import distances

    quiet()
    names = registry.split(metrics)
    found = distances(
        load_run(run),
        reference,
        names,
        weights,
        resize=resize,  # type: ignore[arg-type]  # checked there
        limit=limit,
        device=device,
    )
    screen = console()
    table = Table(box=None, pad_edge=False)
    for name in found.table:
        table.add_column(str(name))
    for row in found.table.itertuples(index=False):
        cells = (f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row)
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    screen.print(table)
    for line in [*(f"{name}: {network}" for name, network in found.networks.items()), *found.notes]:
        screen.print(Text(line, style="dim"))

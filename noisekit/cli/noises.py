"""`noisekit noises`: what became of the noises of a run that kept them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisekit.cli.screen import console, quiet, say

if TYPE_CHECKING:
    from noisekit.results import Run


def noises(
    run: Annotated[Path, typer.Argument(help="The folder of a run that kept its noises (--keep-noise).")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for pictures: initial noise, found noise, their difference.")
    ] = None,
    latents: Annotated[
        bool,
        typer.Option("--latents", help="Make the latents anew, and measure how far noises lie from them."),
    ] = False,
) -> None:
    """Say whether noises that methods found are still Gaussian, how far they moved, and draw them.

    Four tests of each noise against N(0, 1): its norm, its numbers, their third and fourth moments, neighbouring pixels. How
    many are below .05, and whether chance would do, after Holm over all methods and tests of a model.

    \b
    Examples:
      noisekit noises runs/reno
      noisekit noises runs/reno --latents --out runs/reno-noises
    """
    from noisekit.results import load_run
    from noisekit.results.noises import difference_images

    quiet()
    loaded = load_run(run)
    show_noises(loaded, latents)
    if out is not None:
        say(f"{out}: {len(difference_images(loaded, out))} pictures")


def show_noises(run: Run, latents: bool) -> None:
    """Print the tests of a run's kept noises, and their distances where `latents`."""
    from rich.table import Table
    from rich.text import Text

    from noisekit.report.claims import p_value
    from noisekit.results.noises import COLUMNS, gaussianity, latent_distances
    from noisekit.shown import shown

    tested = gaussianity(run)
    grid = Table("model", "method", "test", "noises", "below .05", "p", "p, Holm", box=None, pad_edge=False)
    for row in tested.to_dict("records"):
        cells = (row["model"], row["method"], row["test"], f"{row['noises']}", f"{100 * row['below']:.0f} %")
        texts = (*cells, p_value(row["p"]), p_value(row["p_holm"]))
        grid.add_row(*(Text(shown(text), overflow="fold") for text in texts))
    console().print(grid)
    if not latents:
        return
    grid = Table(*COLUMNS, box=None, pad_edge=False)
    for row in latent_distances(run).to_dict("records"):
        names = (row["model"], row["method"], str(row["noises"]))
        texts = (*names, *(f"{row[name]:.1f}" for name in COLUMNS[3:]))
        grid.add_row(*(Text(shown(text), overflow="fold") for text in texts))
    console().print(grid)

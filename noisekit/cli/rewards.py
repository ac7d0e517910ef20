"""`noisekit rewards`: the published checkpoints of metrics, downloaded ahead or converted from files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisekit.cli.screen import help_alone, quiet, say

app = typer.Typer(
    help="Fetch or convert the published checkpoints of metrics.",
    epilog="Example: noisekit rewards fetch hps image_reward",
    callback=help_alone,
    invoke_without_command=True,
)


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="Metrics; see `noisekit list rewards`.")],
) -> None:
    """Download published checkpoints, verify them, and make them ready, so that a run needs no network.

    Files of a hub go into its own cache, what is made of them under $NOISEKIT_CACHE (default: beside that cache).

    \b
    Examples:
      noisekit rewards fetch hps
      noisekit rewards fetch hps pick_score image_reward clip_score_h14
    """
    from noisekit.rewards import published
    from noisekit.rewards.cards import variant

    cards = [variant(name) for name in names]
    quiet()
    for card in cards:
        here = "on this machine" if not published.missing(card.checkpoint) else "to download"
        say(f"{card.name}: {card.checkpoint.gigabytes:g} GB, {card.checkpoint.licence}, {here}")
        say(f"  {published.fetch(card.name)}")


@app.command()
def convert(
    name: Annotated[str, typer.Argument(help="The metric that the checkpoint is of.")],
    source: Annotated[Path, typer.Argument(help="The official file, or a folder that holds it.")],
    target: Annotated[Path, typer.Argument(help="The folder to write; give it as --weights.")],
) -> None:
    """Make a folder of safetensors out of a published checkpoint; nothing that the file names is imported or run.

    What a checkpoint needs besides, such as a tokenizer, is taken from the file's own folder or from a hub's cache.

    \b
    Examples:
      noisekit rewards convert hps HPS_v2.1_compressed.pt ./hps
      noisekit rewards convert mps MPS_overall_checkpoint.pth ./mps
    """
    from noisekit.rewards import published
    from noisekit.rewards.cards import variant

    variant(name)
    quiet()
    published.convert(name, source, target)
    say(target)

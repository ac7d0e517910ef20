"""`noisekit models`: get published models ahead of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisekit.cli.screen import help_alone, say

app = typer.Typer(
    help="Get published models ahead of a run; `noisekit list models` shows which there are.",
    epilog="Example: noisekit models fetch sdxl-turbo",
    callback=help_alone,
    invoke_without_command=True,
)


@app.command()
def fetch(
    names: Annotated[
        list[str], typer.Argument(help="Cards or hub ids, with settings in brackets if need be.")
    ],
) -> None:
    """Download what models need, and no more, into the hub's cache; then compare it with the hub and read its headers.

    What is here already is only checked. HF_HOME moves the cache, HF_HUB_OFFLINE=1 keeps from the network, and
    `hf auth login` gives access to gated models.

    \b
    Examples:
      noisekit models fetch sdxl-turbo sd-turbo
      noisekit models fetch "sdxl(unet='mhdang/dpo-sdxl-text2image-v1:unet')"
    """
    from noisekit.models.hub import fetch as fetch_need
    from noisekit.models.loading import resolve
    from noisekit.models.places import about, explained, needs

    cards = [resolve(name, {})[0] for name in names]
    for card in cards:
        wanted = needs(card)
        if not wanted:
            say(f"{card.name}: on this machine; nothing to fetch")
            continue
        say(f"{card.name}: {about(card)}")
        for need in wanted:
            with explained(card):
                folder, got = fetch_need(need)
            checked = (
                "equal to the hub's" if got.compared else "whole; offline, so not compared with the hub's"
            )
            say(f"  {need.repo}: {got.files} files, {got.size / 1e9:.3g} GB, {checked}; in {folder}")


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help="A card that is published as one file, or that file.")],
    folder: Annotated[
        Path | None, typer.Argument(help="Where to write it (default for a card: where it is looked for).")
    ] = None,
) -> None:
    """Turn SV3D-U's published file into a folder in diffusers' format, which all of noisekit loads.

    Every tensor of the file has to be one that the networks have, and the other way round.

    \b
    Examples:
      noisekit models convert sv3d-u
      noisekit models convert sv3d_u.safetensors runs/sv3d-u
    """
    from noisekit.errors import BadValue
    from noisekit.models.cards import cards
    from noisekit.models.conversion import convert as convert_file
    from noisekit.models.places import checkpoint_file, converted_folder
    from noisekit.paths import given_path

    card = cards().get(source)
    if card is not None and card.checkpoint is None:
        raise BadValue(f"model {source!r} is published as a folder already; there is nothing to convert")
    if card is None and folder is None:
        raise BadValue(f"no folder was given for {source!r}; write `noisekit models convert {source} FOLDER`")
    file = given_path(source) if card is None else checkpoint_file(card)
    target = converted_folder(card) if folder is None and card is not None else given_path(folder or "")
    convert_file(file, target)
    say(f"{target}: converted from {file}; `--model {source if folder is None else target}` runs it")

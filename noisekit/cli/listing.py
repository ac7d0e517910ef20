"""`noisekit list`: what there is to choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import typer

from noisekit.cli.screen import console, help_alone, say

app = typer.Typer(
    help="Show what there is to choose from: models, methods, metrics, rewards, prompts.",
    epilog="Example: noisekit list methods",
    callback=help_alone,
    invoke_without_command=True,
)


@app.command()
def models() -> None:
    """Models that noisekit knows by name; folders and hub ids in diffusers' format work too.

    Weights that are not on this machine, or in part, are downloaded when they are asked for, or ahead by `noisekit models
    fetch`; gated models want their licence accepted on the hub first.

    \b
    Example:
      noisekit list models
    """
    from noisekit.models.cards import cards
    from noisekit.models.places import presence

    rows = []
    for card in cards().values():
        size = f"{card.gigabytes:g} GB" if card.gigabytes else "?"
        there = "bundled" if card.bundled else presence(card)
        weights = there if there in ("bundled", "here") else f"{size}, {there}"
        licence = f"{card.licence}, gated" if card.gated else card.licence
        run = f"{card.steps} × {card.guidance:g}"
        rows.append((card.name, run, "\n".join(card.abilities), weights, licence, card.note))
    _show(("model", "steps × guidance", "can do", "weights", "licence", "note"), rows)


@app.command()
def methods() -> None:
    """Methods with their settings; "paper" marks the published values. A model's card goes before both.

    \b
    Example:
      noisekit list methods
    """
    from noisekit.cli import catalogue

    rows = []
    for name, method in catalogue.methods().items():
        rows.append((name, "", method["summary"]))
        rows += [
            (f"  {setting}", about["value"], about["doc"]) for setting, about in method["settings"].items()
        ]
    _show(("method", "default", "meaning"), rows)


@app.command()
def metrics() -> None:
    """Everything that can judge images; higher is better for all. Rewards are those that methods can climb.

    Differences up to the tie count as none. Metrics of one backbone are no independent witnesses. Range, tie and backbone
    are those of the tiny weights; `noisekit list rewards` shows the published ones.

    \b
    Example:
      noisekit list metrics
    """
    from noisekit import registry
    from noisekit.cli import catalogue

    listed = catalogue.metrics()
    climbed = ["yes" if name in registry.REWARDS else "no" for name in listed]
    rows = [(*row, yes) for row, yes in zip(_rows(listed), climbed, strict=True)]
    _show(("metric", *_headings(listed), "methods can climb it"), rows)


@app.command()
def rewards() -> None:
    """The metrics that methods can climb, with their tiny weights and their published ones.

    `noisekit rewards fetch` downloads what is not here.

    \b
    Example:
      noisekit list rewards
    """
    from noisekit import registry
    from noisekit.cli import catalogue
    from noisekit.rewards.cards import variants
    from noisekit.rewards.published import absent as fetchable
    from noisekit.rewards.published import fetching, missing

    listed = {name: about for name, about in catalogue.metrics().items() if name in registry.REWARDS}
    _show(("reward", *_headings(listed)), _rows(listed))
    console().print()
    published, absent = [], fetchable(variants())
    for name, variant in variants().items():
        checkpoint, home = variant.checkpoint, variant.checkpoint.sources[0].home
        lacking = missing(checkpoint)
        here = "yes" if not lacking else "no" if checkpoint.main in lacking else "in part"
        size = f"{checkpoint.gigabytes:g} GB"
        settings = [f"{setting} {value}" for setting, value in variant.settings.items()]
        which = ", ".join([*([variant.version] if variant.version else []), *settings])
        published.append((name, which, size, here, checkpoint.licence, home))
    _show(("published", "which", "size", "here", "licence", "from"), published)
    if absent:
        total = sum(variants()[name].checkpoint.gigabytes for name in absent)
        say(f"\nfetch what is not here ({total:.3g} GB), or some of it, with: {fetching(absent)}")


def _headings(listed: Mapping[str, Mapping[str, str]]) -> list[str]:
    return list(next(iter(listed.values())))


def _rows(listed: Mapping[str, Mapping[str, str]]) -> list[tuple[str, ...]]:
    return [(name, *about.values()) for name, about in listed.items()]


@app.command()
def prompts() -> None:
    """Prompt suites, how many prompts each has, and whether they are on this machine.

    What is not here yet is downloaded when it is asked for. NAME:CATEGORY takes one category ("geneval:counting"),
    NAME=FILE reads a copy of your own, and any file (.txt, .csv, .tsv, .json, .jsonl) is a suite, too.

    \b
    Example:
      noisekit list prompts
    """
    from noisekit.prompts import BUNDLED
    from noisekit.prompts.cards import cards
    from noisekit.prompts.download import held

    rows = [
        (name, f"{suite.entries}", "bundled", "Apache-2.0", "noisekit", suite.about)
        for name, suite in BUNDLED.items()
    ]
    for card in cards().values():
        here = all(held(card, file) for file in card.files.values())
        where = "here" if here else "download"
        rows.append((card.name, f"{card.entries}", where, card.licence, card.home, card.about))
    _show(("suite", "prompts", "from", "licence", "home", "about"), rows)


def _show(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    name, *others = headings
    table = Table(box=None, pad_edge=False)
    table.add_column(name, no_wrap=True)  # it is what people type
    for heading in others:
        table.add_column(heading)
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    console().print(table)

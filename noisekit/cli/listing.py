"""`noisekit list`: what there is to choose from."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from noisekit.cli.screen import console, help_alone

app = typer.Typer(
    help="Show what there is to choose from: models, methods, rewards, prompts.",
    epilog="Example: noisekit list methods",
    callback=help_alone,
    invoke_without_command=True,
)


@app.command()
def models() -> None:
    """Models that noisekit knows by name; folders and hub ids in diffusers' format work too.

    \b
    Example:
      noisekit list models
    """
    from noisekit.models.cards import cards

    rows = [
        (card.name, f"{card.steps}", f"{card.guidance:g}", ", ".join(card.abilities), card.note)
        for card in cards().values()
    ]
    _show(("model", "steps", "guidance", "can do", "note"), rows)


@app.command()
def methods() -> None:
    """Methods with their settings; "paper" marks values that a model's card may replace.

    \b
    Example:
      noisekit list methods
    """
    from noisekit import registry
    from noisekit.methods.parameters import paper_values, settings

    rows = []
    for name in registry.METHODS:
        cls = registry.load("method", name, registry.METHODS)
        paper = paper_values(cls)
        summary = (cls.__doc__ or "").strip().splitlines()[0]
        rows.append((name, "", summary))
        for setting, field in settings(cls).items():
            value = f"{paper[setting]!r} (paper)" if setting in paper else repr(field.default)
            rows.append((f"  {setting}", value, field.metadata["doc"]))
    _show(("method", "default", "meaning"), rows)


@app.command()
def rewards() -> None:
    """Metrics, which methods can climb as rewards, and the ground truth of the tiny world.

    \b
    Example:
      noisekit list rewards
    """
    from noisekit import registry

    rows = []
    for name in registry.REWARDS:
        cls = registry.load("reward", name, registry.REWARDS)
        rows.append((name, cls.version, "yes" if cls.reads_prompt else "no"))
    rows.append(("truth", "1 where a scene of the tiny world is as the prompt says; no reward", "yes"))
    _show(("metric", "score", "reads the prompt"), rows)


@app.command()
def prompts() -> None:
    """Prompt suites; files (.txt, .csv, .tsv, .json, .jsonl) work too.

    \b
    Example:
      noisekit list prompts
    """
    from noisekit.prompts import SUITES, load_prompts

    _show(
        ("suite", "prompts", "about"), [(name, str(len(load_prompts(name))), SUITES[name]) for name in SUITES]
    )


def _show(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)

"""What votes say, as tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from noisekit.report.source import labels
from noisekit.report.votes import ends, two, within
from noisekit.shown import shown
from noisekit.types import Arm
from noisekit.vote.clusters import VOTERS
from noisekit.vote.votes import Votes

LEGEND = (
    "Rates count a tie, and both bad, as half. Intervals are 95 %, over prompts and voters; the second one holds however "
    f"often one looks while votes come in. Of fewer than {VOTERS} voters they are over prompts alone, and of these voters."
)


_RATES = "model|question|method|over|win/tie/loss|prompts|voters|rate|at any time".split("|")
_STRENGTHS = "model|question|method|rank|strength".split("|")
_METRICS = "question|metric|votes|foretells".split("|")
_AGREEMENT = "question|pairs|α of four answers|α of win, tie, loss".split("|")
_VOTERS = "voter|votes|same again|attentive|left|ties|seconds".split("|")

Rows = Iterator[tuple[str, ...]]


def show(votes: Votes, arms: Mapping[str, Arm], console: Console) -> None:
    """Print the tables of some votes: methods, strengths where there are three or more, metrics, and voters.

    arms: of the run, by the names that its tables have for them.
    """
    frame = votes.frame()
    named = labels(arms[name] for name in pd.concat([frame["method"], frame["other"]]).dropna().unique())
    tables: list[tuple[str, Sequence[str], Rows]] = [
        ("Who was preferred", _RATES, _rates(votes, named)),
        ("How well metrics foretell people", _METRICS, _metrics(votes)),
        ("Whether voters agree", _AGREEMENT, _agreement(votes)),
        ("Voters", _VOTERS, _voters(votes)),
    ]
    if len(named) > 2:
        tables.insert(1, ("Bradley–Terry with ties", _STRENGTHS, _strengths(votes, named)))
    for title, heads, rows in tables:
        _print(console, title, heads, rows)
    console.print(Text(LEGEND, style="dim"))


def _rates(votes: Votes, named: Mapping[str, str]) -> Rows:
    for row in votes.rates().to_dict("records"):
        yield (
            *(row["model"], row["question"], named[row["method"]], named[row["other"]]),
            *(f"{row['wins']}/{row['ties']}/{row['losses']}", f"{row['prompts']}", f"{row['voters']}"),
            within(row["rate"], row["low"], row["high"]),
            ends(row["always_low"], row["always_high"]),
        )


def _strengths(votes: Votes, named: Mapping[str, str]) -> Rows:
    for row in votes.strengths().to_dict("records"):
        strength = within(row["strength"], row["low"], row["high"])
        yield row["model"], row["question"], named[row["method"]], f"{row['rank']}", strength


def _metrics(votes: Votes) -> Rows:
    for row in votes.predictors().query("category == ''").to_dict("records"):
        yield (
            *(row["question"], row["metric"], f"{row['votes']}"),
            within(row["accuracy"], row["low"], row["high"]),
        )


def _agreement(votes: Votes) -> Rows:
    for row in votes.agreement().to_dict("records"):
        scales = (within(row[s], row[f"{s}_low"], row[f"{s}_high"]) for s in ("nominal", "ordinal"))
        yield row["question"], f"{row['units']}", *scales


def _voters(votes: Votes) -> Rows:
    for row in votes.voters().to_dict("records"):
        yield (
            *(row["voter"], f"{row['votes']}", _share(row["same"], row["repeats"])),
            *(_share(row["attentive"], row["attention"]), two(row["left"]), two(row["ties"])),
            "–" if math.isnan(row["seconds"]) else f"{row['seconds']:.1f}",
        )


def _share(value: float, of: int) -> str:
    return "–" if not of else f"{value:.2f} of {of}"


def _print(console: Console, title: str, heads: Sequence[str], rows: Rows) -> None:
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    console.print(table)

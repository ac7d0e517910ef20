"""What the papers report of the methods in a run, beside what this run found: read from published.yaml, never mixed.

The papers used other models, other prompts and metrics of other scales, so signs and orders of size are all that compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from noisekit.files import shipped_yaml
from noisekit.report.source import expression_of
from noisekit.report.tables import Line, signed


@dataclass(frozen=True)
class Figure:
    """A published pair of numbers as printed. suspect: why it is doubted, "" where it is not."""

    against: str
    method: str
    scale: str
    suspect: str

    @property
    def difference_text(self) -> str:
        places = max(len(number.partition(".")[2]) for number in (self.against, self.method))
        return signed(float(self.method) - float(self.against), places)

    @property
    def pair_text(self) -> str:
        return f"{self.against} → {self.method}".replace("-", "−")


@dataclass(frozen=True)
class Experiment:
    """One row of a paper: what was run, and its figures by metric."""

    paper: str
    place: str
    variant: str
    model: str
    prompts: str
    against: str
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Beside:
    """A method's published experiments and our lines of it. metrics: the columns, those that we have too first."""

    method: str
    metrics: Sequence[str]
    experiments: Sequence[Experiment]
    lines: Sequence[Line]


def beside(lines: Sequence[Line]) -> list[Beside]:
    """The methods of a run of which something is published, in the order of the run."""
    own: dict[str, list[Line]] = {}
    for line in lines:
        own.setdefault(expression_of(line.arm).name, []).append(line)
    result = []
    for method, of_method in own.items():
        experiments = experiments_of(method)
        if experiments:
            printed = list(dict.fromkeys(m for one in experiments for m in one.figures))
            here = of_method[0].comparisons
            metrics = sorted(printed, key=lambda metric: metric not in here)
            result.append(Beside(method, metrics, experiments, of_method))
    return result


def experiments_of(method: str) -> list[Experiment]:
    """The published experiments of a method, by its bare name."""
    return [_experiment(row) for row in _table()["rows"] if row["method"] == method]


def sources(methods: Sequence[Beside]) -> list[tuple[str, str]]:
    """The papers behind some rows: short name and full title."""
    named = {one.paper for method in methods for one in method.experiments}
    return [(s["short"], s["title"]) for s in _table()["sources"].values() if s["short"] in named]


def _experiment(row: Mapping[str, Any]) -> Experiment:
    scales, suspects = row.get("scale", {}), row.get("suspect", {})
    figures = {
        metric: Figure(against, method, scales.get(metric, ""), suspects.get(metric, ""))
        for metric, (against, method) in row["values"].items()
    }
    return Experiment(
        paper=_table()["sources"][row["paper"]]["short"],
        place=row["place"],
        variant=row.get("variant", ""),
        model=row["model"],
        prompts=row["prompts"],
        against=row["against"],
        figures=figures,
    )


@cache
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = shipped_yaml("report/published.yaml", as_text=True)
    return table

"""What can be claimed when everything is asked at once: win rates, p-values after Holm, and what was too small to see."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from noisekit.report.source import ReportedRun
from noisekit.report.tables import DASH, Line, Ranking, number, signed


@dataclass(frozen=True)
class Claim:
    """One method against standard on one metric, or one metric of a suite. Figures are NaN where nothing is known."""

    line: Line
    metric: str
    suite: str
    optimised: bool
    places: int
    figures: Mapping[str, float]

    @property
    def difference_text(self) -> str:
        return signed(self.figures["difference"], self.places)

    @property
    def detectable_text(self) -> str:
        return number(self.figures["detectable"], self.places)

    @property
    def rate_text(self) -> str:
        """The share of decided prompts that were won, in per cent with Wilson's interval."""
        rate, low, high = (self.figures[name] for name in ("rate", "rate_low", "rate_high"))
        if math.isnan(rate):
            return DASH
        return f"{100 * rate:.0f}" + ("" if math.isnan(low) else f" [{100 * low:.0f}, {100 * high:.0f}]")

    @property
    def outcomes_text(self) -> str:
        """Won / tied / lost prompts."""
        return " / ".join(f"{self.figures[name]:.0f}" for name in ("wins", "ties", "losses"))

    def p_text(self, test: str) -> str:
        return p_value(self.figures[test])

    @property
    def stands(self) -> bool:
        """Whether the difference of the mean survives Holm at 5 %."""
        return self.figures["p_holm"] <= 0.05

    @property
    def verdict(self) -> str:
        return "open" if not self.stands else "better" if self.figures["difference"] > 0 else "worse"


@dataclass(frozen=True)
class Claims:
    """The claims of one model, by method and metric. family: how many comparisons Holm adjusts for."""

    rows: Sequence[Claim]
    family: int
    suites: Sequence[str]

    @property
    def alone(self) -> int:
        """How many would be claimed if each were the only one asked about."""
        return sum(row.figures["p"] <= 0.05 for row in self.rows if not row.optimised)

    @property
    def after_holm(self) -> int:
        return sum(row.stands for row in self.rows)

    @property
    def finding(self) -> str:
        """The outcome in one sentence."""
        return (
            f"of {self.family} comparisons with standard, {self.alone} would be claimed one at a time, and "
            f"{self.after_holm} when all are asked at once (Holm, 5 %)."
        )

    @property
    def detectable(self) -> Sequence[tuple[str, str, int]]:
        """For each metric the middle of what its comparisons could have found, as a text, and the prompts behind it."""
        found = []
        for metric in dict.fromkeys(row.metric for row in self.rows):
            own = sorted(
                (row for row in self.rows if row.metric == metric and row.figures["detectable"] > 0),
                key=lambda row: row.figures["detectable"],
            )
            if own:
                middle = own[len(own) // 2]
                found.append((metric, middle.detectable_text, int(middle.figures["prompts"])))
        return found

    def cells(self, suite: str) -> dict[str, dict[str, Claim]]:
        """Label of a method → metric → claim, of one suite."""
        table: dict[str, dict[str, Claim]] = {}
        for row in self.rows:
            if row.suite == suite:
                table.setdefault(row.line.label, {})[row.metric] = row
        return table


@dataclass(frozen=True)
class Strength:
    """A method on the scale of Bradley and Terry. chance: to win a prompt against standard."""

    line: Line
    strength: float
    low: float
    high: float
    rank: float
    rank_low: float
    rank_high: float

    @property
    def strength_text(self) -> str:
        return signed(self.strength, 2)

    @property
    def interval_text(self) -> str:
        if self.line.is_standard or math.isnan(self.low):
            return ""
        return f"[{signed(self.low, 2)}, {signed(self.high, 2)}]"

    @property
    def chance_text(self) -> str:
        return f"{100 / (1 + math.exp(-self.strength)):.0f} %"

    @property
    def rank_text(self) -> str:
        reach = "" if math.isnan(self.rank_low) else f" [{self.rank_low:.0f}, {self.rank_high:.0f}]"
        return f"{self.rank:.0f}{reach}"


def claims(run: ReportedRun, ranked: Ranking) -> dict[str, Claims]:
    """By model; models with nothing to compare are left out."""
    lines = {(line.model, line.method): line for line in ranked.lines}
    found: dict[str, Claims] = {}
    tests = run.tests()
    for model, own in tests.groupby("model", sort=False):
        order = {line.method: place for place, line in enumerate(ranked.models[str(model)])}
        rows = [_claim(row, lines) for row in own.to_dict("records") if row["metric"] in ranked.metrics]
        rows.sort(key=lambda row: (order[row.line.method], ranked.metrics.index(row.metric)))
        if rows:
            suites = list(dict.fromkeys(row.suite for row in rows))
            found[str(model)] = Claims(rows, int(own["family"].iloc[0]), suites)
    return found


def strengths(run: ReportedRun, ranked: Ranking) -> dict[str, list[Strength]]:
    """By model the methods by strength on the metrics that no method on it optimised; models of two methods are left out."""
    lines = {(line.model, line.method): line for line in ranked.lines}
    found: dict[str, list[Strength]] = {}
    for row in run.bradley_terry().to_dict("records"):
        line = lines[row["model"], row["method"]]
        figures = {name: float(row[name]) for name in Strength.__annotations__ if name != "line"}
        found.setdefault(line.model, []).append(Strength(line, **figures))
    return found


def p_value(p: float) -> str:
    """A p-value to two figures, ".057", "< .001"."""
    if math.isnan(p):
        return DASH
    if p < 0.001:
        return "< .001"
    return f"{p:.3f}".removeprefix("0") if p < 0.9995 else "1"


def _claim(row: Mapping[Any, Any], lines: Mapping[tuple[str, str], Line]) -> Claim:
    line = lines[row["model"], row["method"]]
    names = [name for name in row if name not in ("model", "suite", "method", "metric", "optimised")]
    return Claim(
        line=line,
        metric=row["metric"],
        suite=row["suite"],
        optimised=bool(row["optimised"]),
        places=line.comparisons[row["metric"]].decimals,
        figures={name: float(row[name]) for name in names},
    )

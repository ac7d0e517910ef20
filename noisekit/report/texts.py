"""The tables of a run for a paper or a page of notes: LaTeX (booktabs) and Markdown, from the same numbers as the report.

Two tables a model: means with paired differences to standard and their 95 % intervals; win rates with p-values after Holm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from noisekit.errors import unknown
from noisekit.report.claims import Claim, Claims, claims
from noisekit.report.source import ReportedRun
from noisekit.report.tables import DAGGER, DASH, Comparison, Line, Ranking, ranking

Format = Literal["markdown", "latex"]


@dataclass(frozen=True)
class TextCell:
    """What stands in a cell; strong: set apart from its neighbours."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """A table with its caption; the first column is text, the others are numbers."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[TextCell]]


class Writer(Protocol):
    def __call__(self, table: Table) -> str: ...


def write_tables(run: ReportedRun, form: str) -> str:
    """The tables of a run as text in one of the forms; raises `BadValue` on an unknown one."""
    if form not in _WRITERS:
        raise unknown("format", form, get_args(Format))
    return "\n\n".join(map(_WRITERS[form], tables(run))) + "\n"


def tables(run: ReportedRun) -> Iterator[Table]:
    """The tables of a run, model by model."""
    ranked = ranking(run)
    found = claims(run, ranked)
    for model, lines in ranked.models.items():
        yield _means(model, lines, ranked)
        if model in found:
            yield from (_wins(model, suite, found[model], ranked) for suite in found[model].suites)


def markdown(table: Table) -> str:
    """A Markdown table under its caption."""
    lines = [
        [_plain(name) for name in table.header],
        ["---", *("---:" for _ in table.header[1:])],
        *([f"**{_plain(c.text)}**" if c.strong else _plain(c.text) for c in row] for row in table.rows),
    ]
    return "\n".join([_plain(table.caption), "", *(f"| {' | '.join(line)} |" for line in lines)])


def latex(table: Table) -> str:
    """A LaTeX table with booktabs' rules; every text is escaped."""
    columns = "l" + "r" * (len(table.header) - 1)
    rows = [
        [rf"\textbf{{{_escaped(c.text)}}}" if c.strong else _escaped(c.text) for c in row]
        for row in table.rows
    ]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{_escaped(table.caption)}}}",
            rf"  \begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            rf"    {' & '.join(map(_escaped, table.header))} \\",
            r"    \midrule",
            *(rf"    {' & '.join(row)} \\" for row in rows),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
        ]
    )


def _means(model: str, lines: Sequence[Line], ranked: Ranking) -> Table:
    caption = (
        f"{model}: {lines[0].prompts} prompts, {lines[0].images} images a method. Means; paired differences to standard "
        f"with 95 % intervals clustered by prompt, bold where they leave 0 out. {DAGGER} optimised by the method, itself or "
        "by its weights or backbone."
    )
    rows = [
        [
            TextCell(line.label),
            *(_mean(line, line.comparisons[metric]) for metric in ranked.metrics),
            TextCell(line.calls_text),
            TextCell(line.equivalents_text),
            TextCell(line.seconds_text),
        ]
        for line in lines
    ]
    return Table(caption, ["method", *ranked.metrics, "calls", "denoiser equivalents", "seconds"], rows)


def _mean(line: Line, one: Comparison) -> TextCell:
    mark = DAGGER if one.optimised else ""
    if line.is_standard:
        return TextCell(one.mean_text)
    beside = f"{one.difference_text} {one.interval_text}".strip()
    return TextCell(
        f"{one.mean_text}{mark} ({beside})", one.verdict in ("better", "worse") and not one.optimised
    )


def _wins(model: str, suite: str, found: Claims, ranked: Ranking) -> Table:
    of_suite = f" on {suite}" if suite and len(found.suites) > 1 else ""
    caption = (
        f"{model}{of_suite}: prompts won against standard in per cent of those that are no ties, Wilson's 95 % interval, "
        f"and p of the mean difference after Holm over {found.family} comparisons, bold where at most .05. {DAGGER} "
        "optimised by the method, itself or by its weights or backbone."
    )
    cells = found.cells(suite)
    rows = [
        [TextCell(label), *(_win(row.get(metric)) for metric in ranked.metrics)]
        for label, row in cells.items()
    ]
    return Table(caption, ["method", *ranked.metrics], rows)


def _win(claim: Claim | None) -> TextCell:
    if claim is None:
        return TextCell(DASH)
    if claim.optimised:
        return TextCell(f"{claim.rate_text}{DAGGER}")
    return TextCell(f"{claim.rate_text}, {claim.p_text('p_holm')}", claim.stands)


def _plain(text: str) -> str:
    """Text that Markdown takes as it is."""
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", text.replace("\n", " "))


_LATEX: Mapping[str, str] = {
    **{letter: rf"\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "−": "$-$",
    DAGGER: r"$^\dagger$",
    DASH: "--",
    "…": r"\ldots{}",
    "\n": " ",
}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


_WRITERS: Mapping[str, Writer] = {"markdown": markdown, "latex": latex}

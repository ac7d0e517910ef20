"""What each method changed, from a finished run: differences with intervals, stability, and rewards against truth.

    noisekit compare --model tiny --methods ... --prompts tiny --limit 200 --seeds 2 --store runs/effects
    python benchmarks/effects.py runs/effects

prints the tables of benchmarks/README.md as Markdown. All intervals are 95 % bootstrap intervals clustered by prompt, of
differences to the standard image (or, for a trace, to its first candidate) on the same prompt and seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

import noisekit as nk
from noisekit.evaluation.statistics import breakdown, interval


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", help="folder of a finished run")
    run = nk.load_run(parser.parse_args().store)
    print(f"{run.manifest['hardware']} · {run.manifest['versions']}\n")
    for title, table in (
        ("Differences to standard", effects(run)),
        ("Truth by kind", by_group(run, "kind")),
        ("Truth by seen and unseen word combinations", by_group(run, "unseen")),
        ("Inversion stability, first candidate → kept", gains(run, "stability")),
        ("Rewards, held-out metrics and truth along a search", checkpoints(run)),
    ):
        print(f"### {title}\n\n{table}\n")


def effects(run: nk.Run) -> str:
    """Mean and paired difference of every metric, with cost."""
    rows = []
    for _, row in run.summary().iterrows():
        cells = [
            row["model"],
            f"`{row['method']}`",
            f"{row['n_prompts']} × {row['n_images'] // row['n_prompts']}",
        ]
        for metric in run.metrics:
            mark = "†" if metric in run.optimised(row["method"]) else ""
            d = [row[f"{metric}_{end}"] for end in ("difference", "low", "high")]
            cells.append(f"{row[metric]:.3f}{mark}" + ("" if np.isnan(d[0]) else f" ({spread(*d)})"))
        rows.append([*cells, f"{row['calls']:.0f}", f"{row['seconds']:.3f}"])
    return markdown(["model", "method", "prompts × seeds", *run.metrics, "calls", "s / image"], rows)


def by_group(run: nk.Run, by: str) -> str:
    """Mean truth per group, methods as rows."""
    table = breakdown(run.frame(), "truth", by).pivot(index=["model", "method"], columns=by, values="truth")
    rows = [
        [model, f"`{method}`", *(f"{v:.3f}" for v in values)]
        for (model, method), values in zip(table.index, table.to_numpy(), strict=True)
    ]
    return markdown(["model", "method", *map(str, table.columns)], rows)


def gains(run: nk.Run, figure: str) -> str:
    """How the best value of a trace's figure differs from its first candidate's."""
    traces = run.traces()
    if figure not in traces:
        return "No method of this run traces it."
    rows = []
    for (model, method), group in traces.dropna(subset=[figure]).groupby(["model", "method"], sort=False):
        ends = group.sort_values("step").groupby(["prompt", "seed"])
        first, kept = ends.first(), ends.last()
        sign = np.sign(first["score"] * first[figure]).mode()[0]  # selection can pick the least stable one
        d = (sign * kept["best"] - first[figure]).unstack("seed").to_numpy()
        moved = ends["norm"].last().mean() if "norm" in group else np.nan
        rows.append(
            [
                model,
                f"`{method}`",
                f"{first[figure].mean():.3f}",
                f"{(sign * kept['best']).mean():.3f}",
                spread(d.mean(), *interval(d)),
                f"{moved:.2f}",
            ]
        )
    return markdown(["model", "method", "first", "kept", "difference", "final norm"], rows)


def checkpoints(run: nk.Run) -> str:
    """Metrics of the best image so far after 1, 2, 5, … candidates, as differences to the first."""
    traces = run.traces()
    metrics = [name for name in run.metrics if f"metric_{name}" in traces]
    rows = []
    for (model, method), group in traces.groupby(["model", "method"], sort=False):
        scored = group.dropna(subset=[f"metric_{name}" for name in metrics]) if metrics else group.iloc[:0]
        tables = {
            name: scored.pivot(index=["prompt", "seed"], columns="step", values=f"metric_{name}")
            for name in metrics
        }
        for step in sorted(scored["step"].unique()):
            cells = []
            for name, table in tables.items():
                d = (table[step] - table[0]).unstack("seed").to_numpy()
                mark = "†" if name in run.optimised(method) else ""
                cells.append(
                    f"{table[step].mean():.3f}{mark}"
                    + (f" ({spread(d.mean(), *interval(d))})" if step else "")
                )
            rows.append([model, f"`{method}`", str(int(step) + 1), *cells])
    return markdown(["model", "method", "candidates", *metrics], rows)


def spread(difference: float, low: float, high: float) -> str:
    """A difference with its interval."""
    return f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    table = pd.DataFrame(rows, columns=list(header))
    lines = [
        " | ".join(header),
        " | ".join("---" for _ in header),
        *(" | ".join(row) for row in table.to_numpy()),
    ]
    return "\n".join(f"| {line} |" for line in lines)


if __name__ == "__main__":
    main()

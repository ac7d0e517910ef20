"""What each method changed, from a finished run: differences with intervals, stability, and rewards against truth.

    noisekit compare --model tiny --methods ... --prompts tiny --limit 200 --seeds 2 --store runs/effects
    python benchmarks/effects.py runs/effects

prints the tables of benchmarks/README.md as Markdown. All intervals are 95 % bootstrap intervals clustered by prompt, of
differences to the standard image (or, for a trace, to its first candidate) on the same prompt and seed.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

import noisekit as nk
from noisekit.evaluation.statistics import breakdown, differences, interval, mean_of_prompts
from noisekit.types import COUNTED

CALLED = [f"calls_{network}" for network in COUNTED]
NOISE = ("norm", "kurtosis", "distance", "cosine")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", help="folder of a finished run")
    run = nk.load_run(parser.parse_args().store)
    print(f"{run.manifest['hardware']} · {run.manifest['versions']}\n")
    tables = {
        "Differences to standard": effects(run),
        "Differences to best_of on the same model": beside(run, "best_of"),
        "Cost per image": costs(run),
        "Most stable − least stable candidate": ends(run),
        "Truth by kind, and by seen and unseen word combinations": parts(run),
        "Inversion stability, first candidate → kept": gains(run, "stability"),
        "Metrics of the best image so far along a search": checkpoints(run),
        "Diversity across the seeds of a prompt": spreads(run),
        "What became of the noise": noises(run),
        "Rank correlation of the metrics within prompts": correlations(run),
    }
    for title, table in tables.items():
        if table:
            print(f"### {title}\n\n{table}\n")


def effects(run: nk.Run) -> str:
    """Mean and paired difference of every metric, with cost."""
    rows, equivalents = [], run.frame().groupby(["model", "method"])["equivalents"].mean()
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
        rows.append([*cells, f"{row['calls']:.0f}", f"{equivalents[row['model'], row['method']]:.1f}"])
    return markdown(
        ["model", "method", "prompts × seeds", *run.metrics, "calls per image", "equivalents"], rows
    )


def beside(run: nk.Run, reference: str) -> str:
    """Paired differences of every other method to the first that is called `reference`, where a run has one."""
    frame, rows = run.frame(), []
    for model, group in frame.groupby("model", sort=False):
        ours = [method for method in dict.fromkeys(group["method"]) if re.match(rf"{reference}\b", method)]
        named = group[group["method"].isin(ours[:1])]
        for method in dict.fromkeys(group["method"]):
            own = group[group["method"] == method]
            if named.empty or method in (named["method"].iloc[0], "standard"):
                continue
            pairs = [(metric, differences(own, named, metric)) for metric in run.metrics]
            cells = [spread(mean_of_prompts(d), *interval(d)) for _, d in pairs]
            rows.append([model, f"`{method}`", *cells])
    return markdown(["model", "method", *run.metrics], rows) if rows else ""


def costs(run: nk.Run) -> str:
    """Evaluations of each network that was called, a backward pass apart, and seconds."""
    frame = run.frame()
    spent = frame.groupby(["model", "method"], sort=False)[[*CALLED, "seconds"]].mean()
    used = [column for column in CALLED if spent[column].sum() > 0]
    rows = [
        [model, f"`{method}`", *(f"{row[column]:g}" for column in used), f"{row['seconds']:.3f}"]
        for (model, method), row in spent.iterrows()
    ]
    return markdown(
        ["model", "method", *(c.removeprefix("calls_").replace("_", " ") for c in used), "seconds"], rows
    )


def spreads(run: nk.Run) -> str:
    """Mean distance between the images of one prompt, and its paired difference to standard."""
    rows = []
    for _, row in run.diversity_summary().iterrows():
        d = [row[f"diversity_{end}"] for end in ("difference", "low", "high")]
        change = "" if np.isnan(d[0]) else spread(*d)
        rows.append([row["model"], f"`{row['method']}`", f"{row['diversity']:.4f}", change])
    return markdown(["model", "method", "diversity", "difference"], rows) if rows else ""


def noises(run: nk.Run) -> str:
    """Norm, kurtosis and way of the noises found, with coherence at the lowest and highest frequency of the latent."""
    frame, analysis = run.frame(), run.noise_analysis()
    keys = ["model", "method"]
    figures = frame.groupby(keys, sort=False)[[f"noise_{n}" for n in NOISE]].mean().dropna()
    rows = []
    for (model, method), row in figures.iterrows():
        rings = analysis.frequencies.query("model == @model and method == @method")["coherence"].tolist()
        vectors = analysis.vectors.query("model == @model and method == @method")["similarity"].tolist()
        ends = [rings[1], rings[-1], vectors[0], np.mean(vectors)]
        rows.append([model, f"`{method}`", *(f"{value:.3f}" for value in [*row, *ends])])
    header = ["coherence, lowest ring", "highest", "first singular vector", "all of them"]
    return markdown(["model", "method", *NOISE, *header], rows) if rows else ""


def correlations(run: nk.Run) -> str:
    """Spearman's correlation of every two metrics over all images, each less its mean of the prompt."""
    table = run.correlations()
    rows = [[name, *(f"{value:.2f}" for value in row)] for name, row in zip(table.index, table.to_numpy())]
    return markdown(["", *table.columns], rows)


def ends(run: nk.Run) -> str:
    """Stable minus unstable pick of each selection that was run both ways: the comparison of the paper's tables."""
    frame, rows = run.frame(), []
    for model, method in frame[["model", "method"]].drop_duplicates().itertuples(index=False):
        stable = method.replace(", pick='unstable'", "")
        groups = [frame[(frame["model"] == model) & (frame["method"] == name)] for name in (stable, method)]
        if stable == method or groups[0].empty:
            continue
        cells = []
        for metric in run.metrics:
            d = differences(groups[0], groups[1], metric)
            cells.append(spread(mean_of_prompts(d), *interval(d)))
        rows.append([model, f"`{stable}`", *cells])
    return markdown(["model", "method", *run.metrics], rows) if rows else ""


def parts(run: nk.Run) -> str:
    """Mean truth per kind of prompt, seen and unseen, methods as rows."""
    frame = run.frame()
    frame["words"] = frame["unseen"].map({False: "seen", True: "unseen"})
    columns = {name: list(dict.fromkeys(frame[name].dropna())) for name in ("kind", "words")}
    shares = {
        (row["model"], row["method"], row[by]): row["truth"]
        for by in columns
        for _, row in breakdown(frame, "truth", by).iterrows()
    }
    groups = [group for names in columns.values() for group in names]
    rows = [
        [model, f"`{method}`", *(f"{shares[model, method, group]:.3f}" for group in groups)]
        for model, method in frame[["model", "method"]].drop_duplicates().itertuples(index=False)
    ]
    return markdown(["model", "method", *groups], rows)


def gains(run: nk.Run, figure: str) -> str:
    """How the best value of a trace's figure differs from its first candidate's; empty if no method traces it."""
    traces = run.traces()
    if figure not in traces:
        return ""
    rows = []
    for (model, method), group in traces.dropna(subset=[figure]).groupby(["model", "method"], sort=False):
        ends = group.sort_values("step").groupby(["prompt", "seed"])
        first, kept = ends.first(), ends.last()
        sign = np.sign(first["score"] * first[figure]).mode()[0]  # selection can pick the least stable one
        d = (sign * kept["best"] - first[figure]).unstack("seed").to_numpy()
        norm = ends["norm"].last().mean() if "norm" in group else np.nan
        rows.append(
            [
                model,
                f"`{method}`",
                f"{first[figure].mean():.3f}",
                f"{(sign * kept['best']).mean():.3f}",
                spread(d.mean(), *interval(d)),
                "–" if np.isnan(norm) else f"{norm:.2f}",
            ]
        )
    return markdown(["model", "method", "first", "kept", "difference", "final norm"], rows)


def checkpoints(run: nk.Run) -> str:
    """Metrics of the best image so far after 1, 2, 5, … candidates, and differences to the first; empty without any.

    The last column is what truth gained or lost since the checkpoint before.
    """
    traces = run.traces()
    metrics = [name for name in run.metrics if f"metric_{name}" in traces]
    rows = []
    for (model, method), group in traces.groupby(["model", "method"], sort=False):
        scored = group.dropna(subset=[f"metric_{name}" for name in metrics]) if metrics else group.iloc[:0]
        tables = {
            name: scored.pivot(index=["prompt", "seed"], columns="step", values=f"metric_{name}")
            for name in metrics
        }
        steps = sorted(scored["step"].unique())
        for before, step in zip([None, *steps], steps):  # the first of a later stage is not candidate 0
            cells = []
            for name, table in tables.items():
                mark = "†" if name in run.optimised(method) else ""
                since = "" if before is None else f" ({change(table, steps[0], step)})"
                cells.append(f"{table[step].mean():.3f}{mark}{since}")
            told = before is not None and "truth" in tables
            cells.append(change(tables["truth"], before, step) if told else "–")
            rows.append([model, f"`{method}`", str(int(step) + 1), *cells])
    return (
        markdown(["model", "method", "candidates", *metrics, "truth since the row before"], rows)
        if rows
        else ""
    )


def change(table: pd.DataFrame, before: float, after: float) -> str:
    """Paired change of a metric between two checkpoints; `table` has (prompt, seed) rows and a column a step."""
    d = (table[after] - table[before]).unstack("seed").to_numpy()
    return spread(mean_of_prompts(d), *interval(d))


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

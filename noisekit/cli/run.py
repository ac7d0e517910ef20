"""`noisekit run`: do what a plan asks for, or show what there is to do."""

from __future__ import annotations

import shlex
import sys
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisekit.cli import options
from noisekit.cli.interrupt import kept_in
from noisekit.cli.report import tell
from noisekit.cli.screen import console, duration, quiet, say
from noisekit.errors import BadValue
from noisekit.shown import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from noisekit.comparison.search import SearchResult
    from noisekit.engine.forecast.overview import Absent, Overview

Executor = Annotated[
    str, typer.Option(help="Where the work is done: inprocess, or ray on this machine or a cluster.")
]


def run(
    plan: Annotated[Path, typer.Argument(help="A YAML file: models, methods, prompts, seeds, metrics, …")],
    store: Annotated[
        Path | None, typer.Option(help="Folder that keeps the run, instead of the plan's.")
    ] = None,
    executor: Executor = "inprocess",
    ray_address: Annotated[
        str | None,
        typer.Option(help="A Ray cluster that does the work, such as auto or 10.0.0.1:6379; implies ray."),
    ] = None,
    shard: Annotated[
        str | None, typer.Option(help="Only this part of the plan, such as 3/16: for job arrays.")
    ] = None,
    dry_run: options.DryRun = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again the images that failed in an earlier run.")
    ] = False,
    weights: options.Weights = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    offload: options.Offload = None,
    low_memory: options.LowMemory = False,
    no_report: options.NoReport = False,
) -> int:
    """Do what the store lacks of a plan, print a table and write report.html.

    The first Ctrl-C or SIGTERM finishes the batch under way; the same command goes on from there, on this machine or any
    other that sees the store. Exit code 1: done, but some images failed; `noisekit status` says why.

    \b
    Examples:
      noisekit run plan.yaml --store runs/mine --dry-run
      noisekit run plan.yaml --store runs/mine
      noisekit run plan.yaml --shard 3/16 --no-report
      noisekit run plan.yaml --ray-address 10.0.0.1:6379
      noisekit run plan.yaml --retry-failed
      noisekit run plan.yaml --device cuda --dtype bf16 --low-memory
    """
    from noisekit.comparison import run_plan, run_search
    from noisekit.engine.forecast.preview import preview
    from noisekit.plan import load_plan
    from noisekit.plan.shard import Shard

    executor = f"ray:{ray_address}" if ray_address else executor
    loaded = load_plan(plan).on_this_machine(
        weights=weights,
        low_memory=low_memory,
        settings={"device": device, "dtype": dtype, "offload": offload},
    )
    folder = loaded.folder(store)
    part = None if shard is None else Shard.parse(shard)
    if loaded.search and (part or retry_failed or no_report):
        raise BadValue(
            "a search takes one trial after another: it has no shards, nothing to try again and no report to leave out"
        )
    quiet()
    if dry_run:
        show(preview(loaded, store=folder, shard=part, retry_failed=retry_failed))
        return 0
    command = ["noisekit", "run", str(plan), *(["--store", str(store)] if store else [])]
    command += ["--executor", executor] if executor != "inprocess" else []
    command += ["--shard", str(part)] if part else []
    chosen = {"--weights": weights, "--device": device, "--dtype": dtype, "--offload": offload}
    command += [word for name, value in chosen.items() if value for word in (name, value)]
    command += ["--low-memory"] if low_memory else []
    command += ["--no-report"] if no_report else []
    progress = sys.stderr.isatty()
    with kept_in(folder, shlex.join(command)):
        if loaded.search:
            show_search(run_search(loaded, store=folder, executor=executor, progress=progress))
            return 0
        done = run_plan(
            loaded, store=folder, executor=executor, shard=part, retry_failed=retry_failed, progress=progress
        )
        return tell(done, report=not no_report)


def show_search(found: SearchResult) -> None:
    """The trials in order, and what the best of them is worth on other prompts."""
    from rich.table import Table
    from rich.text import Text

    costs = {"calls": "calls", "equivalents": "denoiser equivalents"}
    heads = ("trial", "method", f"{found.metric} over standard", *costs.values())
    table = Table(*heads, box=None, pad_edge=False)
    for number, trial in enumerate(found.trials.to_dict("records"), 1):
        spent = (f"{trial[name]:.4g}" for name in costs)
        cells = (f"{number}", trial["method"], f"{trial['value']:+.4g}", *spent)
        table.add_row(*(Text(shown(cell), overflow="fold") for cell in cells))
    console().print(table)
    judged, metric = found.judged, found.metric
    difference, low, high = (judged[f"{metric}_{name}"] for name in ("difference", "low", "high"))
    interval = "too few for an interval" if isnan(low) else f"95 % interval {low:+.4g} to {high:+.4g}"
    say(
        f"best: {found.best}\non the other {judged['n_prompts']} prompts: {metric} {difference:+.4g} over standard, "
        f"{interval}"
    )


def show(found: Overview) -> None:
    """A table of the states of a plan's cells, and what there is to do in all."""
    from rich.table import Table
    from rich.text import Text

    states = ("done", "to score", "missing", "failed")
    table = Table("model", "method", "calls", "suite", *states, "time", box=None, pad_edge=False)
    for line in found.lines:
        counts = (line.done, line.unscored, line.missing, line.failed)
        names = (line.model, line.method, f"{line.calls:g}", line.suite)
        cells = [*names, *map(str, counts), duration(line.seconds)]
        table.add_row(*(Text(shown(cell), overflow="fold") for cell in cells))
    screen = console()
    screen.print(table)
    for reason in dict.fromkeys(pair.reason for pair in found.incompatible):
        screen.print(Text(shown(f"incompatible: {reason}")))
    for reason in found.broken:
        screen.print(Text(shown(f"cannot be done: {reason}")))
    show_absent(found.absent)
    missing = sum(line.missing for line in found.lines)
    known = duration(found.seconds) if found.unknown < missing or not missing else "unknown"
    rest = f", and {found.unknown} images that nothing is known of" if 0 < found.unknown < missing else ""
    scoring = sum(line.unscored for line in found.lines)
    say(f"to do: {missing} images to make ({known}{rest}), {scoring} to score")
    if missing:
        say(f"calls: {found.calls:,.0f} evaluations of the denoiser in all, as the models' cards say")


def show_absent(absent: Sequence[Absent]) -> None:
    """What is not on this machine, a line each: its size and the command that downloads it."""
    from rich.table import Table
    from rich.text import Text

    if not absent:
        return
    known = sum(one.gigabytes or 0.0 for one in absent)
    more = " and more" if any(one.gigabytes is None for one in absent) else ""
    say(f"missing on this machine, {known:.3g} GB{more}:")
    table = Table("", "size", "downloaded by", box=None, pad_edge=False)
    for one in absent:
        size = "unknown" if one.gigabytes is None else f"{one.gigabytes:g} GB"
        table.add_row(*(Text(shown(cell), overflow="fold") for cell in (one.what, size, one.command)))
    console().print(table)

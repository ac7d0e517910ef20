"""`noisekit status`: what a run holds, what a plan still lacks there, and why."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisekit.cli.run import show
from noisekit.cli.screen import console, quiet, say
from noisekit.errors import BadValue
from noisekit.shown import shown

if TYPE_CHECKING:
    from noisekit.engine.forecast.overview import Overview
    from noisekit.results import Run

#: Failures that are shown one by one.
SHOWN = 20


def status(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    plan: Annotated[Path | None, typer.Option(help="The plan to compare it with.")] = None,
    why: Annotated[
        bool,
        typer.Option(
            "--why",
            help="Say what differs from what is stored, where images or scores of the plan are missing.",
        ),
    ] = False,
) -> None:
    """Count the images of a run, list what failed, and show what a plan still lacks.

    \b
    Examples:
      noisekit status runs/mine
      noisekit status runs/mine --plan plan.yaml
      noisekit status runs/mine --plan plan.yaml --why
    """
    from noisekit.results import load_run

    if why and plan is None:
        raise BadValue("--why compares a run with a plan; give --plan FILE as well")
    loaded = load_run(run)
    if plan is None:
        _show_images(loaded)
    else:
        from noisekit.engine.forecast.overview import overview
        from noisekit.plan import load_plan  # what a plan lacks depends on models and weights

        chosen = load_plan(plan)
        quiet()
        found = overview(chosen, store=run)
        show(found)
        if why:
            _show_reasons(found)
    _show_failures(loaded)


def _show_images(run: Run) -> None:
    """How many images there are of each model, method and suite, and how many of them lack some score."""
    from rich.table import Table
    from rich.text import Text

    frame = run.frame()
    frame["suite"] = frame["suite"].fillna("")
    scores = [info.raw for info in run.metric_info.values()]
    frame["whole"] = frame[scores].notna().all(axis="columns")
    table = Table(
        "model", "method", "suite", "images", "with all scores", "prompts", "seeds", box=None, pad_edge=False
    )
    for (model, method, suite), own in frame.groupby(["model", "method", "suite"], sort=False):
        counts = (len(own), own["whole"].sum(), own["prompt"].nunique(), own["seed"].nunique())
        table.add_row(*(Text(shown(str(cell)), overflow="fold") for cell in (model, method, suite, *counts)))
    console().print(table)
    say(f"{len(frame)} images, scored by {', '.join(run.metrics) or 'nothing'}")


def _show_reasons(found: Overview) -> None:
    from rich.text import Text

    from noisekit.engine.forecast.explain import explain, explain_score

    jobs = {cells.job.setting: cells.job for cells in found.cells if cells.missing}
    lacking = Counter(name for cells in found.cells for _, metrics in cells.unscored for name in metrics)
    reasons = [(f"{job.arm} on {job.model}", explain(job, found.store)) for job in jobs.values()]
    reasons += [
        (f"{name} of {count} images", explain_score(found.metrics[name], found.store))
        for name, count in lacking.items()
    ]
    screen = console()
    for what, (first, *others) in reasons:
        screen.print(Text(shown(f"{what}: {first}")))
        for line in others:
            screen.print(Text(shown(f"  {line}")))


def _show_failures(run: Run) -> None:
    from rich.text import Text

    failures = run.failures()
    if failures.empty:
        return
    screen = console()
    say(f"{len(failures)} failed; `noisekit run PLAN --retry-failed` tries them again:")
    for row in failures.head(SHOWN).to_dict("records"):
        tried = f" ({row['attempt']} attempts)" if row["attempt"] > 1 else ""
        which = f"{row['method']} on {row['model']}, seed {row['seed']}, {row['prompt']!r}"
        screen.print(Text(shown(f"  {which}: {row['reason']}{tried}")))
    if len(failures) > SHOWN:
        say(f"  and {len(failures) - SHOWN} more")

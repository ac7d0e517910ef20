"""`noisekit papers`: the papers' tables, what each costs and lacks here, and one run of one beside the printed numbers."""

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
from noisekit.cli.screen import console, quiet, say
from noisekit.errors import BadValue
from noisekit.paths import given_path
from noisekit.shown import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from noisekit.papers import Agreement

app = typer.Typer(
    help="The papers' tables, a ready plan each: list them, read one, run one beside the printed numbers.",
    epilog="Start with: noisekit papers run reno-iterations --model tiny --scale 0.05",
    invoke_without_command=True,
)
Name = Annotated[str, typer.Argument(help="A table, such as npnet-table-1; `noisekit papers` lists them.")]


@app.callback()
def listed(context: typer.Context) -> None:
    """Without a command: every table with its cost and what this machine lacks for it."""
    if context.invoked_subcommand is not None:
        return
    from rich.table import Table as Grid
    from rich.text import Text

    from noisekit.papers.missing import missing
    from noisekit.papers.tables import papers, tables

    grid = Grid("table", "shows", "costs", "missing here", box=None, pad_edge=False)
    for name, table in tables().items():
        lacking = [f"{kind} {', '.join(names)}" for kind, names in missing(table).items()]
        cells = (name, table.title, table.note("Cost"), "; ".join(lacking) or "nothing")
        grid.add_row(*(Text(shown(cell), overflow="fold") for cell in cells))
    console().print(grid)
    for about in papers().values():
        for what, why in about["left_out"].items():
            say(f"left out of {about['title'].partition(' (')[0]}: {what}, as {why}")
    say(
        "\nrun one with: noisekit papers run NAME; a part of it with --scale 0.1, or on the tiny world with --model tiny"
    )


@app.command()
def show(name: Name) -> None:
    """Print the plan of a table, with what the paper prints, what it costs and what is unknown.

    \b
    Example:
      noisekit papers show npnet-table-1 > plan.yaml
    """
    from noisekit.papers.tables import load_table

    say(load_table(name).text, end="")


@app.command()
def run(
    name: Name,
    store: Annotated[Path | None, typer.Option(help="Folder of the run (default: runs/papers/NAME).")] = None,
    scale: Annotated[float, typer.Option(help="Only this fraction of the prompts of each suite.")] = 1.0,
    model: Annotated[
        str | None,
        typer.Option(
            help="Another model instead of the printed ones; tiny brings its own prompts and metrics."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Load nothing: show what there is to do and what is missing here."),
    ] = False,
    device: options.Device = None,
    dtype: options.Dtype = None,
    offload: options.Offload = None,
    low_memory: options.LowMemory = False,
) -> int:
    """Do what the store lacks of a table's plan, write report.html, and set the printed numbers beside ours.

    "agrees": the printed difference lies in our interval, and 0 does not. "differs": it does not. The intervals hold
    together for all that the table compares. The same command goes on after an interruption.

    \b
    Examples:
      noisekit papers run npnet-table-1 --dry-run
      noisekit papers run selection-selection --scale 0.1
      noisekit papers run reno-iterations --model tiny --scale 0.05 --store runs/try
    """
    from noisekit.cli.noises import show_noises
    from noisekit.cli.run import show as show_preview
    from noisekit.comparison import run_plan
    from noisekit.engine.forecast.preview import preview
    from noisekit.papers import agreements, load_table
    from noisekit.papers.tables import tried_on
    from noisekit.plan import load_plan

    quiet()
    table = load_table(name)
    given, models = table.scaled(scale), dict[str, str]()
    if model is None and (absent := [path for path in table.folders if not given_path(path).is_dir()]):
        raise BadValue(
            f"table {name!r} is read from the folder {absent[0]!r}, which is not here; {table.needs}"
        )
    if model is not None:
        given, models = tried_on(given, model)
    plan = load_plan(given).on_this_machine(
        low_memory=low_memory, settings={"device": device, "dtype": dtype, "offload": offload}
    )
    folder = plan.folder(store or Path("runs", "papers", name))
    if dry_run:
        show_preview(preview(plan, store=folder))
        return 0
    with kept_in(folder):
        done = run_plan(plan, store=folder, progress=sys.stderr.isatty())
        code = tell(done, report=True)
    beside(agreements(table, done, models), models)
    if plan.keep_noise:
        show_noises(done, latents=True)
    if model is None and (then := table.note("Then")):
        say(f"then: {then.replace('RUN', shlex.quote(str(folder)))}")
    return code


@app.command()
def claims() -> None:
    """Print what became of the papers' claims on the tiny world: confirmed, refuted or not told, at which setting.

    What is asked was written down before the runs, and p is Holm's over all of it. The words are about two models of 32
    pixels, and about nothing else.

    \b
    Example:
      noisekit papers claims
    """
    from rich.table import Table as Grid
    from rich.text import Text

    from noisekit.papers.claims import HEADS, cells, legend, results

    grid = Grid(*HEADS, box=None, pad_edge=False)
    for claim, answer in results():
        grid.add_row(*(Text(shown(cell), overflow="fold") for cell in cells(claim, answer)))
    console().print(grid)
    say(f"{legend()}\nmake the runs anew with: python -m benchmarks.verdicts")


def beside(found: Sequence[Agreement], models: Mapping[str, str]) -> None:
    """The printed numbers and ours, a line each, and the verdict."""
    from rich.table import Table as Grid
    from rich.text import Text

    if not found:
        say("the paper prints no number of this table that is at hand and that this run has a metric for")
        return
    heads = (
        "model",
        "prompts",
        "method",
        "metric",
        "printed",
        "here",
        "difference, printed",
        "here",
        "verdict",
        "won, printed",
        "here",
        "verdict",
    )
    grid = Grid(*heads, box=None, pad_edge=False)
    for one in found:
        about = one.printed
        interval = f"{one.difference:+.3g}{'' if isnan(one.low) else f' ({one.low:+.3g} to {one.high:+.3g})'}"
        won, least, most = (100 * part for part in one.rate)
        cells = (
            *(about.model, about.suite, about.method.name, about.metric),
            *("{:.4g} → {:.4g}".format(*values) for values in (about.values, one.values)),
            *(f"{about.difference:+.3g}", interval, one.verdict),
            "" if about.rate is None else f"{100 * about.rate:.0f} %",
            "" if isnan(won) else f"{won:.0f} %{'' if isnan(least) else f' ({least:.0f} to {most:.0f})'}",
            one.rate_verdict or "",
        )
        grid.add_row(*(Text(shown(cell), overflow="fold") for cell in cells))
    console().print(grid)
    if models:
        stood_in = ", ".join(f"{own} stood in for {printed}" for printed, own in models.items())
        say(
            f"{stood_in}: the verdicts are about another model than the paper's, and show only how a table reads"
        )

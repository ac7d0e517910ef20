"""`noisekit report`: the page of a run, or its tables as Markdown or LaTeX."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisekit.cli.screen import console, say
from noisekit.errors import unknown
from noisekit.files import write_whole
from noisekit.output import output_file

if TYPE_CHECKING:
    from noisekit.results import Run

#: What each is written to.
FORMATS = {"html": (".html", ".htm"), "markdown": (".md", ".markdown"), "latex": (".tex",)}


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    form: Annotated[str, typer.Option("--format", help="html, markdown or latex.")] = "html",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file to write (default: report.html in the run; tables to the screen).",
        ),
    ] = None,
) -> None:
    """Write the page of a run anew and print its table; or give its tables as Markdown or LaTeX.

    \b
    Examples:
      noisekit report runs/demo
      noisekit report runs/demo -o demo.html
      noisekit report runs/demo --format latex -o tables.tex
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    if output is not None:
        output = output_file(output, FORMATS[form], "report")
    from noisekit.report import show, write_report, write_tables
    from noisekit.results import load_run

    loaded = load_run(run)
    if form == "html":
        page = write_report(loaded, output or loaded.folder / "report.html")
        show(loaded, console())
        say(page)
        return
    text = write_tables(loaded, form)
    if output is None:
        say(text, end="")
    else:
        write_whole(output, text.encode())
        say(output)


def tell(run: Run, *, report: bool) -> int:
    """Write the page of a run and print its table, or say no more than where it is.

    Returns:
        The exit code: 1 where images failed.
    """
    if report:
        from noisekit.report import show, write_report

        page = write_report(run, run.folder / "report.html")
        show(run, console())
        say(page)
    else:
        command = shlex.join(["noisekit", "report", str(run.folder)])
        say(f"{run.folder}: {len(run)} images; `{command}` shows what came out")
    return int(len(run.failures()) > 0)

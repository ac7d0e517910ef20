"""`noisekit method`: begin a method of one's own, as a package with its test and its entry point."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from noisekit.cli.screen import help_alone, say
from noisekit.errors import BadValue
from noisekit.paths import given_path

app = typer.Typer(
    help="Write a noise method of your own.",
    epilog="Start with: noisekit method new my_search",
    callback=help_alone,
    invoke_without_command=True,
)

#: What `new` writes, by the template that it is made from.
FILES = {"method.txt": "noisekit_{}.py", "test.txt": "test_noisekit_{}.py", "pyproject.txt": "pyproject.toml"}


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The method's name: small letters, digits, underscores.")],
    out: Annotated[Path | None, typer.Option(help="A folder that is not there yet (default: NAME).")] = None,
) -> None:
    """Write a package with a method that runs, its test and its entry point, to be changed into yours.

    \b
    Example:
      noisekit method new my_search
      pip install -e ./my_search[test] && python -m pytest my_search
      noisekit compare --model tiny-turbo --methods my_search --limit 5 --store runs/mine
    """
    from noisekit.registry import METHODS

    if not (name.isascii() and name.isidentifier() and name == name.lower()):
        raise BadValue(
            f"{name!r} is no name of a method; use small letters, digits and underscores, as in my_search"
        )
    if name in METHODS:
        raise BadValue(f"there is a method {name!r} already ({METHODS[name]}); choose another name")
    folder = given_path(out or name)
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise BadValue(f"{str(folder)!r} is there already; give another folder with --out") from None
    words = [word for word in name.split("_") if word]
    given = {"name": name, "class": "".join(map(str.capitalize, words)), "dashed": "-".join(words)}
    for template, file in FILES.items():
        text = files("noisekit.cli").joinpath("templates", "method", template).read_text(encoding="utf-8")
        (folder / file.format(name)).write_text(Template(text).substitute(given), encoding="utf-8")
    say(f"{folder}: pip install -e {folder}[test], then python -m pytest {folder}")

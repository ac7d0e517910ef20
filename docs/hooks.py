"""How the site is put together: pages of the repository's own files, and `{{ part }}` lines that the code fills.

    {{ settings }}    on the page of a method, and `{{ costs }}`, `{{ measured }}`, `{{ source }}`; see `generate.py`
    $x$ and $$x$$     LaTeX, written as MathML, so that a browser draws it without a script

What is not documented stops the build.
"""

from __future__ import annotations

import html
import posixpath
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latex2mathml.converter import convert

sys.path.insert(0, str(Path(__file__).parent))
import generate

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

#: Pages that are files of the repository.
OF_FILES = {
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "benchmarks.md": "benchmarks/README.md",
    "tiny-world.md": "noisekit/tiny/weights/README.md",
}

#: What the page of every method has to show.
OF_METHODS = ("settings", "costs", "measured", "source")

PARTS: dict[str, Callable[[], str]] = {
    "methods": generate.methods,
    "models": generate.models,
    "few_steps": generate.few_steps,
    "metrics": generate.metrics,
    "checkpoints": generate.checkpoints,
    "scorers": generate.scorers,
    "suites": generate.suites,
    "claims": generate.claims,
    "commands": generate.commands,
    "colourfulness": lambda: generate.folded(
        generate.ROOT / "docs" / "examples" / "colourfulness" / "noisekit_colourfulness.py"
    ),
    "dno": lambda: generate.folded(generate.ROOT / "docs" / "examples" / "dno" / "noisekit_dno.py"),
    "readme": lambda: from_repository("README.md", "index.md"),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of files, and stop where a method or a public name has no page."""
    from mkdocs.structure.files import File

    for page, path in OF_FILES.items():
        files.append(File.generated(config, page, content=from_repository(path, page)))
    check_methods(Path(config.docs_dir) / "methods")
    check_public(Path(config.docs_dir) / "api")
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Fill the `{{ part }}` lines of a page."""

    def filled(match: re.Match[str]) -> str:
        name = match[1]
        if name in OF_METHODS:
            return of_method(name, Path(page.file.src_uri).stem, page.meta)
        if name not in PARTS:
            raise generate.Undocumented(
                f"{page.file.src_uri}: there is no part {name!r} ({', '.join(PARTS)})"
            )
        return PARTS[name]()

    return re.sub(r"^\{\{ (\w+) \}\}$", filled, markdown, flags=re.MULTILINE)


def on_page_content(content: str, **_: Any) -> str:
    """LaTeX between the marks of Arithmatex becomes MathML."""
    inline = r'<span class="arithmatex">\\\((.*?)\\\)</span>'
    block = r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>'
    content = re.sub(inline, lambda found: mathml(found[1], "inline"), content, flags=re.DOTALL)
    return re.sub(
        block,
        lambda found: f'<div class="arithmatex">{mathml(found[1], "block")}</div>',
        content,
        flags=re.DOTALL,
    )


def mathml(latex: str, display: str) -> str:
    """A formula as MathML; raises `Undocumented` where it does not read."""
    text = html.unescape(latex).strip()
    try:
        drawn = str(convert(text, display=display))
    except Exception as error:  # the converter raises many kinds
        raise generate.Undocumented(
            f"formula {text!r} does not read: {error or type(error).__name__}"
        ) from error
    if unknown := re.search(r"\\\w+", drawn):
        raise generate.Undocumented(f"formula {text!r} has a command that is not known: {unknown[0]}")
    return re.sub(r"<mo>(&#x02016;|&#x02225;|‖|∥)</mo>", r'<mo stretchy="false">\1</mo>', drawn)


def of_method(part: str, name: str, meta: dict[str, Any]) -> str:
    """A part of a method's page.

    The page's head gives `example`, the expression whose costs are shown (the bare name by default, None where costs depend
    on what is wrapped), and `measured`, headings of `benchmarks/README.md`.
    """
    cls = generate.method_classes()[name]
    if part == "settings":
        return generate.settings_table(cls)
    if part == "costs":
        example = meta.get("example", name)
        shown = f"`{example}`, counted evaluations an image, the final image included:"
        return f"{shown}\n\n{generate.costs_table(example)}" if example else ""
    if part == "measured":
        return generate.measured(name, meta["measured"])
    return generate.source(cls)


def check_methods(folder: Path) -> None:
    """Raise unless every method has a page with an equation and all the parts."""
    for name in generate.method_classes():
        page = folder / f"{name}.md"
        if not page.is_file():
            raise generate.Undocumented(f"method {name!r} has no page; write docs/methods/{name}.md")
        text = page.read_text(encoding="utf-8")
        wanted = ["$$", *(f"{{{{ {part} }}}}" for part in OF_METHODS)]
        if missing := [mark for mark in wanted if mark not in text]:
            raise generate.Undocumented(f"docs/methods/{name}.md lacks {', '.join(missing)}")


def check_public(folder: Path) -> None:
    """Raise unless every public name stands on a page of the API."""
    import noisekit

    text = "\n".join(page.read_text(encoding="utf-8") for page in folder.glob("*.md"))
    shown = set(re.findall(r"^::: noisekit\.(\w+)$", text, re.MULTILINE))
    if missing := set(noisekit.__all__) - shown - {"__version__"}:
        raise generate.Undocumented(f"public names on no page of docs/api: {', '.join(sorted(missing))}")


def from_repository(path: str, page: str) -> str:
    """A Markdown file of the repository as a page: links lead to pages where there are some, else they are code."""
    text = (generate.ROOT / path).read_text(encoding="utf-8")
    pages = {file: other for other, file in OF_FILES.items()} | {"README.md": "index.md"}

    def led(match: re.Match[str]) -> str:
        mark, words, target = match.groups()
        if "://" in target or target.startswith("#"):
            return match[0]
        place, hash_sign, anchor = target.partition("#")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(path), place))
        picture = place.removeprefix("docs/") if mark else None
        there = pages.get(place, picture)
        if there is None:
            return f"`{place}`" if words.strip("`") in place else f"{words} (`{place}`)"
        here = posixpath.dirname(page) or "."
        return f"{mark}[{words}]({posixpath.relpath(there, here)}{hash_sign}{anchor})"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", led, text)

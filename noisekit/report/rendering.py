"""Templates to HTML: everything that enters a page is escaped, and what steers the reading of text shows as an escape.

The page's script is written into it, and its policy (CSP) names that script by its hash: no other runs, whatever a prompt
holds, and nothing is fetched but pictures of the run's own folder.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from noisekit.report.tables import DAGGER
from noisekit.shown import shown

STYLES = ("colours.css", "first.css", "page.css")
#: Of these a part of a page that stands elsewhere takes the first two.
OF_A_PART = STYLES[:2]


def rendered(template: str, content: dict[str, Any]) -> str:
    """A template of `noisekit/report/templates` with this content."""
    return shown(_environment().get_template(template).render(**content), lines=True)


def styles(names: tuple[str, ...] = STYLES) -> Markup:
    """Style sheets as one text."""
    return Markup("\n".join(_text(name) for name in names))


def script() -> Markup:
    """What answers to the pointer and the keyboard."""
    return Markup(_text("page.js"))


def policy() -> str:
    """What the page may do: run its own script, and show pictures of its own place."""
    digest = base64.b64encode(hashlib.sha256(_text("page.js").encode()).digest()).decode()
    return f"default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("noisekit.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals["dagger"] = DAGGER  # pyrefly: ignore[unsupported-operation]  (macros see globals, too)
    return environment


@cache
def _text(name: str) -> str:
    return (files("noisekit.report") / name).read_text(encoding="utf-8")

"""The page as text: one page, served or static, which differ in where ballots come from and votes go."""

from __future__ import annotations

from importlib.resources import files


def written(*scripts: str) -> str:
    """The page with the scripts that it takes its ballots from, before its own."""
    page = (files("noisekit.vote") / "page.html").read_text(encoding="utf-8")
    tags = "".join(f'<script src="{script}" defer></script>\n' for script in (*scripts, "page.js"))
    return page.replace("<!-- scripts -->\n", tags)

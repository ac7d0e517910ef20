"""The page as text: self-contained, escaped, and whole even where a run lacks most things."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pytest

from noisekit.errors import BadValue
from noisekit.report import write_report
from noisekit.report.first.gallery import gallery
from noisekit.report.first.screen import first_screen
from noisekit.report.page import render
from noisekit.report.provenance import facts
from noisekit.report.tables import ranking
from tests.report.conftest import METHODS


def test_it_asks_for_nothing_but_the_images_of_its_run(page: str, shown_run: Any) -> None:
    sources = re.findall(r"""(?:src|href)="([^"#][^"]{0,60})""", page)
    assert sources
    images = set(shown_run.rows["image"])
    assert [
        source for source in sources if not source.startswith(("data:", "#")) and source not in images
    ] == []
    assert "@import" not in page
    assert [target for target in re.findall(r"url\(([^)]*)\)", page) if not target.startswith("#")] == []


def test_no_script_runs_but_its_own(page: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert page.count("<script") == 1
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in page and "default-src &#39;none&#39;" in page


def test_whoever_cannot_see_it_gets_names(page: str) -> None:
    assert re.findall(r"<th(?![^>]*scope=)[^>]*>", page.replace("<thead>", "")) == []
    assert re.findall(r'<img(?! data-side)(?![^>]*alt="[^"]+")[^>]*>', page) == []
    figures = re.sub(r'<svg viewBox="-7 -7 14 14" aria-hidden="true">', "", page)
    named = re.findall(r'role="img" aria-label="[^"]+"(?:>\s*<svg|[^>]*><[^>]*>)?', figures)
    assert len(named) == figures.count('role="img"') == figures.count("<svg")
    for target in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{target}"' in page


def test_a_prompt_full_of_html_is_text(page: str) -> None:
    assert "&lt;b&gt;bold&lt;/b&gt;&lt;script&gt;" in page
    assert "<b>bold" not in page
    assert "<img src=x" not in page


class Attributes(HTMLParser):
    """The names of all attributes in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {name for name, _ in attrs}


def test_what_steers_the_reading_of_text_is_escaped_everywhere(make_run: Callable[..., Any]) -> None:
    """Control characters, marks that turn the direction of writing, and markup: in prompts, kinds, models and methods."""
    evil = '\x1b[2J\u202eevil\x07</title><script>alert(1)</script>" onload="alert(2)'
    run = make_run({evil: evil, "a": "b", "c": "d", "e": "f", "g": "h"}, seeds=1)
    run.rows = run.rows[run.rows["model"] == "tiny"].assign(model=evil)
    run.points = pd.DataFrame()
    for page in (render(run), first_screen(run)):
        assert not set("\x1b\x07\u202e") & set(page)
        assert "\\x1b[2J\\u202eevil\\x07&lt;/title&gt;&lt;script&gt;" in page
        assert page.count("<script") == ("</body>" in page)
        assert not [name for name in Attributes(page).names if name.startswith("on")]


def test_it_is_the_same_for_the_same_run(shown_run: Any, page: str) -> None:
    assert render(shown_run) == page


def test_every_figure_is_there_with_its_text(page: str) -> None:
    of_both = ["differences", "search", "kinds of prompts", "noise"]
    of_turbo = ["reward against truth", "metrics of the short reno", "metrics of the long reno"]
    assert page.count('aria-hidden="true" style="--width') == 2 * len(of_both) + len(of_turbo)
    assert (
        page.count('<figure class="chart"') == 6 + 4
    )  # truth and the metrics held out, by seconds and by calls
    assert page.count("<svg") == page.count("</svg>")
    for text in (
        "difference to standard",
        "denoiser calls per image",
        "seconds per image",
        "truth (held out)",
        "best reward so far",
        "clip_score † (optimised)",
        "coherence with the initial noise",
        "by chance",
    ):
        assert re.search(rf"<text[^>]*>\s*{re.escape(text)}", page), text


def test_every_section_but_the_first_two_is_folded_and_says_what_is_in_it(page: str) -> None:
    sections = re.findall(r'<section id="([a-z]+)">\s*(<details class="folds">)?', page)
    assert [name for name, folded in sections if not folded] == ["first", "cost"]
    for name, _ in sections[2:]:
        own = page[page.index(f'<section id="{name}">') :]
        plain = re.search(r'<summary><h2>[^<]+</h2> <span class="plain">([^<]+)</span></summary>', own)
        assert plain and plain[1].endswith("."), name


def test_a_run_of_standard_alone_without_truth_or_traces(make_run: Callable[..., Any]) -> None:
    run = make_run({"a photo of a cat": None}, {"tiny": ["standard"]}, seeds=1)
    run.points = pd.DataFrame()
    page = render(run)
    for absent in (
        "changed in these images",
        "Ground truth by",
        "How the searches went",
        "What the papers",
    ):
        assert absent not in page
    assert "a photo of a cat" in page


def test_pictures_stand_in_the_order_of_the_table(page: str, shown_run: Any) -> None:
    order = [line.label for line in ranking(shown_run).models["tiny-turbo"]]
    turbo = re.findall(r'<article class="scene" data-model="tiny-turbo".*?</article>', page, re.DOTALL)
    assert len(turbo) == 5 * 3
    assert all(re.findall(r'<figure class="cell" data-method="([^"]+)"', scene) == order for scene in turbo)


def test_a_missing_image_leaves_a_gap(make_run: Callable[..., Any]) -> None:
    run = make_run({"a red circle": "single"}, {"tiny": METHODS["tiny"]})
    first = run.rows.iloc[0]
    (run.folder / first["image"]).unlink()
    assert render(run).count('class="missing">no image') == 1


def test_a_page_elsewhere_finds_the_images_of_its_run(make_run: Callable[..., Any], tmp_path: Path) -> None:
    run = make_run({"a red circle": None}, {"tiny": ["standard"]}, seeds=1)
    (tmp_path / "pages here").mkdir()
    page = write_report(run, tmp_path / "pages here" / "it.html").read_text(encoding="utf-8")
    (name,) = re.findall(r'<a class="picture" href="([^"]+)"', page)
    assert (tmp_path / "pages here" / unquote(name)).resolve() == (tmp_path / run.rows["image"][0]).resolve()
    served = write_report(run, tmp_path / "pages here" / "it.html", place=run.folder).read_text(
        encoding="utf-8"
    )
    assert f'<a class="picture" href="{run.rows["image"][0]}"' in served


def test_the_first_screen_alone_is_text_and_thumbnails(shown_run: Any) -> None:
    part = first_screen(shown_run)
    assert part.strip().startswith('<div class="noisekit part">') and part.strip().endswith("</div>")
    assert not re.findall(r"<script|<a |href=|<dialog|<form", part)
    assert part.count('<article class="scene"') == len(gallery(shown_run, ranking(shown_run)).telling)
    assert part.count('class="verdict') == 2
    style = re.sub(r"/\*.*?\*/|@media[^{]*\{", "", part[part.index("<style>") + 7 : part.index("</style>")])
    rules = [one for head in re.findall(r"([^{}]+)\{", style) for one in head.split(",")]
    assert rules and all(rule.strip().startswith(".noisekit") for rule in rules)


def test_a_manifest_is_flattened() -> None:
    manifest = {
        "created": "now",
        "versions": {"torch": "2"},
        "hardware": {"gpu": None, "cores": 2},
        "seeds": [0, 1],
    }
    expected = [("created", "now"), ("versions torch", "2"), ("hardware cores", "2"), ("seeds", "0, 1")]
    assert facts(manifest) == expected


def test_where_it_cannot_be_written_one_sentence_says_so(
    make_run: Callable[..., Any], tmp_path: Path
) -> None:
    run = make_run({"a red circle": None}, {"tiny": ["standard"]}, seeds=1)
    with pytest.raises(BadValue, match="cannot be written"):
        write_report(run, tmp_path / "nowhere" / "report.html")

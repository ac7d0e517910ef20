"""The page as text: self-contained, escaped, and whole even where a run lacks most things."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from noisekit.errors import BadValue
from noisekit.report import write_report
from noisekit.report.page import render
from noisekit.report.pictures import AMPLIFIED, difference, grid
from noisekit.report.provenance import facts
from noisekit.report.tables import ranking
from tests.report.conftest import METHODS


def test_it_asks_for_nothing_from_outside(page: str) -> None:
    sources = re.findall(r"""(?:src|href)="([^"#][^"]{0,30})""", page)
    assert sources
    assert [source for source in sources if not source.startswith(("data:", "#"))] == []
    assert "@import" not in page
    assert [target for target in re.findall(r"url\(([^)]*)\)", page) if not target.startswith("#")] == []
    assert "<script" not in page


def test_whoever_cannot_see_it_gets_names(page: str) -> None:
    assert re.findall(r"<th(?![^>]*scope=)[^>]*>", page.replace("<thead>", "")) == []
    assert re.findall(r'<img(?![^>]*alt="[^"]+")[^>]*>', page) == []
    assert page.count('role="img"') == page.count("<svg")
    assert len(re.findall(r'aria-label="[^"]+">\s*<svg', page)) == page.count("<svg")
    for target in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{target}"' in page


def test_a_prompt_full_of_html_is_text(page: str) -> None:
    assert "&lt;b&gt;bold&lt;/b&gt;&lt;script&gt;" in page
    assert "<b>bold" not in page
    assert "<img src=x" not in page


def test_it_is_the_same_for_the_same_run(shown_run: Any, page: str) -> None:
    assert render(shown_run) == page


def test_every_figure_is_there_with_its_text(page: str) -> None:
    of_both = ["differences", "cost", "search", "kinds of prompts", "noise"]
    of_turbo = ["reward against truth", "metrics of the short reno", "metrics of the long reno"]
    assert page.count("<svg") == page.count("</svg>") == 2 * len(of_both) + len(of_turbo)
    for text in (
        "difference to standard",
        "denoiser calls per image",
        "seconds per image",
        "Pareto front",
        "truth (held out)",
        "best reward so far",
        "clip_score † (optimised)",
        "coherence with the initial noise",
        "by chance",
    ):
        assert re.search(rf"<text[^>]*>\s*{re.escape(text)}", page), text


def test_a_run_of_standard_alone_without_truth_or_traces(make_run: Callable[..., Any]) -> None:
    run = make_run({"a photo of a cat": None}, {"tiny": ["standard"]}, seeds=1)
    run.points = pd.DataFrame()
    page = render(run)
    for absent in (
        "Most aesthetic",
        "Ground truth by",
        "How the searches went",
        "What the papers",
        "changed in these",
    ):
        assert absent not in page
    assert "a photo of a cat" in page


def test_pictures_stand_in_the_order_of_the_table_and_are_not_chosen(run: Any) -> None:
    lines = ranking(run).models["tiny-turbo"]
    rows = grid(run.frame(), lines, run.folder, "truth")
    assert [row.kind for row in rows] == ["single", "single", "count", "pair", "relation"]
    assert {row.seed for row in rows} == {0}
    for row in rows:
        assert [picture.alternative for picture in row.pictures] == [
            f"{line.label}: {row.prompt}" for line in lines
        ]


def test_a_missing_image_leaves_a_gap(make_run: Callable[..., Any]) -> None:
    run = make_run({"a red circle": "single"}, {"tiny": METHODS["tiny"]})
    first = run.rows.iloc[0]
    (run.folder / first["image"]).unlink()
    page = render(run)
    assert page.count('class="missing">no image') == 1 + 1  # of standard, and what selection changed in it


def test_large_images_are_shrunk_and_small_ones_are_not_smoothed(make_run: Callable[..., Any]) -> None:
    for side, small in [(32, True), (600, False)]:
        run = make_run({"a red circle": "single"}, {"tiny": ["standard"]}, side=side, seeds=1)
        (row,) = grid(run.frame(), ranking(run).models["tiny"], run.folder, "truth")
        (picture,) = row.pictures
        assert picture.small is small
        assert len(picture.source) < 300_000


def test_what_changed_is_dark_on_white_and_amplified_by_what_the_page_says(run: Any, page: str) -> None:
    standard = Image.new("RGB", (4, 1), (100, 100, 100))
    image = standard.copy()
    for x, pixel in enumerate([(100, 100, 100), (100, 110, 95), (80, 100, 100), (255, 0, 100)]):
        image.putpixel((x, 0), pixel)
    expected = [255, 255 - AMPLIFIED * 10, 255 - AMPLIFIED * 20, 0]
    assert list(difference(image, standard).get_flattened_data()) == expected
    assert re.search(rf"drawn\s+{AMPLIFIED} times as strong", page)
    rows = grid(run.frame(), ranking(run).models["tiny-turbo"], run.folder, "truth")
    assert all([bool(picture.change) for picture in row.pictures] == [False, True, True] for row in rows)


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

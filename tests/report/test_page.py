"""The page as text: self-contained, escaped, and whole even where a run lacks most things."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from noisekit.errors import BadValue
from noisekit.report import write_report
from noisekit.report.page import facts, render
from noisekit.report.pictures import embedded, grid
from noisekit.report.tables import ranking


def test_it_asks_for_nothing_from_outside(run: Any) -> None:
    page = render(run)
    sources = re.findall(r"""(?:src|href)="([^"#][^"]{0,30})""", page)
    assert sources
    assert [source for source in sources if not source.startswith(("data:", "#"))] == []
    assert "@import" not in page
    assert [target for target in re.findall(r"url\(([^)]*)\)", page) if not target.startswith("#")] == []
    assert "<script" not in page


def test_a_prompt_full_of_html_is_text(run: Any) -> None:
    page = render(run)
    assert "&lt;b&gt;bold&lt;/b&gt;&lt;script&gt;" in page
    assert "<b>bold" not in page
    assert "<img src=x" not in page


def test_it_is_the_same_for_the_same_run(run: Any) -> None:
    assert render(run) == render(run)


def test_every_figure_is_there_with_its_text(run: Any) -> None:
    page = render(run)
    assert page.count("<svg") == page.count("</svg>") == 2 + 2 + 2 + 2
    for text in (
        "difference to standard",
        "denoiser calls per image",
        "best reward so far",
        "clip_score † (optimised)",
    ):
        assert re.search(rf"<text[^>]*>\s*{re.escape(text)}", page), text


def test_a_run_of_standard_alone_without_truth_or_traces(make_run: Callable[..., Any]) -> None:
    run = make_run({"a photo of a cat": None}, {"tiny": ["standard"]}, seeds=1)
    run.points = pd.DataFrame()
    page = render(run)
    assert "In short" not in page
    assert "Ground truth" not in page
    assert "a photo of a cat" in page


def test_pictures_stand_in_the_order_of_the_table_and_are_not_chosen(run: Any) -> None:
    lines = ranking(run).models["tiny-turbo"]
    rows = grid(run.frame(), lines, run.folder)
    assert [row.kind for row in rows] == ["single", "single", "count", "pair", "relation"]
    assert {row.seed for row in rows} == {0}
    for row in rows:
        assert [picture.alternative for picture in row.pictures] == [
            f"{line.label}: {row.prompt}" for line in lines
        ]


def test_a_missing_image_leaves_a_gap(run: Any) -> None:
    first = run.rows.iloc[0]
    (run.folder / first["image"]).unlink()
    assert embedded(run.folder / first["image"]) == ("", False)
    assert render(run).count("no image") == 1


def test_large_images_are_shrunk_and_small_ones_are_not_smoothed(make_run: Callable[..., Any]) -> None:
    for side, small in [(32, True), (600, False)]:
        run = make_run({"a red circle": "single"}, {"tiny": ["standard"]}, side=side, seeds=1)
        source, is_small = embedded(run.folder / run.rows["image"][0])
        assert is_small is small
        assert len(source) < 300_000


def test_a_manifest_is_flattened() -> None:
    manifest = {
        "created": "now",
        "versions": {"torch": "2"},
        "hardware": {"gpu": None, "cores": 2},
        "seeds": [0, 1],
    }
    expected = [("created", "now"), ("versions torch", "2"), ("hardware cores", "2"), ("seeds", "0, 1")]
    assert facts(manifest) == expected


def test_where_it_cannot_be_written_one_sentence_says_so(run: Any, tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="cannot be written"):
        write_report(run, tmp_path / "nowhere" / "report.html")

"""The page of a real run, made by `compare` and read from its store, scored or not."""

from __future__ import annotations

import io
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from noisekit.cli import main
from noisekit.comparison import compare
from noisekit.report import show
from noisekit.runs import load_run
from tests.pipelines import stable_diffusion

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_run_is_shown_even_where_nothing_was_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images of 16 pixels are too small for the checker of the tiny world, so truth scores none of them."""
    store = tmp_path / "run"
    pipeline = stable_diffusion()
    selection = "selection(candidates=2, round_trip_steps=2)"
    prompts = ["a red circle", "<i>two</i> blue squares"]
    compare(pipeline, selection, prompts, seeds=2, metrics=["truth"], store=store, progress=False)
    page = load_run(store).report().read_text(encoding="utf-8")
    assert page.count("<img src=") == 2 * 2 * 2
    assert "no metric has scored it beside standard" in page
    assert page.count('<tr data-method="selection(') == page.count('<tr class="standard" data-method') == 1
    assert "&lt;i&gt;two&lt;/i&gt; blue squares" in page
    assert "inversion stability" in page
    console = Console(width=100, file=io.StringIO())
    show(load_run(store), console)
    assert "selection" in console.file.getvalue()  # type: ignore[attr-defined]
    in_a_notebook = load_run(store)._repr_html_()
    assert "no metric has scored it" in in_a_notebook and in_a_notebook.count("<img ") >= 2
    assert load_run(store).gallery(["a red circle"], ["standard"], seed=1, dots=50).width == 75
    figure = tmp_path / "figure.pdf"
    assert (
        main(["gallery", str(store), "--prompts", "2", "--methods", "standard,selection", "-o", str(figure)])
        == 0
    )
    told = capsys.readouterr().out.splitlines()
    assert figure.read_bytes().startswith(b"%PDF") and told[-1] == str(figure)
    assert sorted(told[:2]) == ["<i>two</i> blue squares, seed 0", "a red circle, seed 0: first"]
    assert main(["gallery", str(store), "--methods", "reno", "-o", str(figure)]) == 2
    assert "unknown method of the run: 'reno'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_picture_in_the_readme_can_be_taken_again_and_the_page_measured(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = runpy.run_path(str(ROOT / "benchmarks" / "report.py"))
    monkeypatch.setattr(sys, "argv", ["report.py", "--images", "15", "--side", "16", "--times", "1"])
    measured["main"]()
    assert re.match(
        r"15 images of 16 pixels: [\d.]+ s, [\d.]+ s of processors, 0\.\d MB", capsys.readouterr().out
    )
    measured["write_run"](10, 16, tmp_path / "run")
    runpy.run_path(str(ROOT / "docs" / "report_picture.py"))["draw"](
        browser, tmp_path / "run", tmp_path / "it.png"
    )
    with Image.open(tmp_path / "it.png") as taken, Image.open(ROOT / "docs" / "report.png") as shown:
        assert taken.size == shown.size
    assert (ROOT / "docs" / "report.png").stat().st_size < 500_000

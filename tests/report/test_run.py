"""The page of a real run, made by `compare` and read from its store, scored or not."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from noisekit.comparison import compare
from noisekit.report import show
from noisekit.runs import load_run
from tests.pipelines import stable_diffusion


def test_a_run_is_shown_even_where_nothing_was_scored(tmp_path: Path) -> None:
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

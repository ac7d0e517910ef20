"""Noise, metrics and their agreement: the numbers of the tables, and what stays away where nothing was recorded."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from noisekit.evaluation.noise_analysis import noise_analysis
from noisekit.report.correlation import correlation_table
from noisekit.report.figure import looks
from noisekit.report.noise import noise_table
from noisekit.report.plots.noise import noise
from noisekit.report.tables import ranking


def test_figures_of_the_noise_are_means_and_spreads_over_images(run: Any) -> None:
    own = run.rows["method"] == "standard"
    run.rows.loc[own, "noise_norm"] = np.where(np.arange(own.sum()) % 2, 15.0, 17.0)
    table = noise_table(run.rows[run.rows["seed"] < 2], ranking(run).lines)
    assert table is not None
    assert table.headings == ["norm", "distance to the initial noise"]
    texts = {(line.model, line.method): list(texts) for line, texts in table.rows}
    assert texts["tiny", "standard"] == ["16.00 ± 1.00", "0.00 ± 0.00"]
    assert {text[1] for (_, method), text in texts.items() if method != "standard"} == {"3.00 ± 0.00"}


def test_without_records_there_is_nothing_to_show(run: Any) -> None:
    lines = ranking(run).lines
    bare = run.rows.drop(columns=["noise_norm", "noise_distance"])
    assert noise_table(bare, lines) is None
    assert noise(noise_analysis([]), lines, looks([line.label for line in lines])) == ""


def test_curves_are_of_every_method_but_standard(run: Any) -> None:
    lines = ranking(run).models["tiny-turbo"]
    figure = noise(run.noise_analysis(), lines, looks([line.label for line in lines]))
    named = re.findall(r">(standard|reno\(steps=\d+\))</text>", figure)
    assert sorted(named) == ["reno(steps=10)", "reno(steps=20)"]


def test_correlations_stand_in_the_order_of_the_metrics() -> None:
    frame = pd.DataFrame({"a": [1, 0.5], "b": [0.5, np.nan]}, index=["a", "b"])
    rows = correlation_table(frame, ["b", "a"])
    assert [(name, [one.text for one in row]) for name, row in rows] == [
        ("b", ["–", "0.50"]),
        ("a", ["0.50", "1.00"]),
    ]
    assert correlation_table(frame, ["a"]) == []


def test_the_page_says_what_each_metric_is_and_which_are_kin(page: str) -> None:
    table = page[page.index('class="metrics"') :]
    rows = re.findall(r'<tr><th scope="row">(\w+)(&nbsp;†)?</th>', table[: table.index("</table>")])
    assert rows == [("truth", ""), ("aesthetic", ""), ("clip_score", "&nbsp;†")]
    assert "share the backbone CLIP ViT-3x96/4" in page
    assert "nobody: held out" in table

"""Published numbers: as the papers print them, of the methods in the run only, and never among our own."""

from __future__ import annotations

import re
from typing import Any

import pytest

from noisekit.registry import METHODS, METRICS
from noisekit.report.published import beside, experiments_of, sources
from noisekit.report.tables import ranking

PUBLISHED = ["selection", "cosine", "reno", "npnet", "inversion", "repaint"]


def test_only_methods_of_the_run_are_shown(run: Any, page: str) -> None:
    shown = beside(ranking(run).lines)
    assert [one.method for one in shown] == ["selection", "reno"]
    assert [len(one.lines) for one in shown] == [1, 2]
    assert [short for short, _ in sources(shown)] == ["Qi et al. 2024", "Eyring et al. 2024"]
    assert re.findall(r'class="published" data-method="(\w+)"', page) == ["selection", "reno"]
    assert "Zhou et al." not in page
    results = page[page.index('id="ranking"') : page.index('id="cost"')]
    assert "5.927" in page
    assert "5.927" not in results


def test_columns_that_we_have_come_first(run: Any) -> None:
    for one in beside(ranking(run).lines):
        ours = [metric in one.lines[0].comparisons for metric in one.metrics]
        assert ours == sorted(ours, reverse=True)


@pytest.mark.parametrize("method", PUBLISHED)
def test_every_row_is_whole(method: str) -> None:
    assert method in METHODS
    experiments = experiments_of(method)
    assert experiments
    for one in experiments:
        assert one.paper and one.place and one.model and one.prompts and one.against
        for metric in one.figures:
            assert metric in METRICS or metric.startswith(("GenEval", "T2I-CompBench")), metric
        assert any(figure.against != figure.method for figure in one.figures.values())


def test_figures_are_printed_as_published() -> None:
    first = experiments_of("npnet")[0]
    assert (first.model, first.prompts) == ("SDXL, 50 steps", "Pick-a-Pic 100")
    reward = first.figures["image_reward"]
    assert (reward.pair_text, reward.difference_text) == ("0.5801 → 0.6501", "+0.0700")
    assert experiments_of("selection")[1].figures["pick_score"].pair_text == "22.425 → 22.420"
    assert experiments_of("selection")[1].figures["pick_score"].difference_text == "−0.005"
    assert experiments_of("selection")[0].figures["hps"].scale == "HPSv2 × 100"


def test_what_is_doubted_says_why() -> None:
    doubted = [
        (one.model, one.prompts, metric, figure)
        for method in PUBLISHED
        for one in experiments_of(method)
        for metric, figure in one.figures.items()
        if figure.suspect
    ]
    ((model, prompts, metric, figure),) = doubted
    assert (model, prompts, metric) == ("DreamShaper-xl-v2-turbo", "HPD", "hps")
    gains = [
        float(one.figures["hps"].method) - float(one.figures["hps"].against)
        for one in experiments_of("npnet")
        if one.model == model and one.prompts != prompts
    ]
    assert float(figure.method) - float(figure.against) > 5 * max(gains)

"""What the halves of a search added, on traces whose changes are known."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from noisekit.metrics.truth import Truth
from noisekit.report.figure import looks
from noisekit.report.plots.search import against, by_candidate, climbs, curve
from noisekit.report.reward_hacking import halves
from noisekit.report.tables import Line, ranking
from tests.report.conftest import RENO_SHORT

CHECKPOINTS = {1: 0.2, 2: 0.4, 5: 0.6, 10: 0.9, 20: 0.9, 50: 0.5}


def traces(line: Line, prompts: int = 4) -> pd.DataFrame:
    """A reward that rises by about one a candidate and a truth that falls in the end; prompts lie far apart."""
    return pd.DataFrame(
        {
            "model": line.model,
            "method": line.method,
            "prompt": f"p{prompt}",
            "seed": 0,
            "step": candidate - 1,
            "best": candidate * (1 + prompt / 1000) + 10 * prompt,
            "metric_truth": CHECKPOINTS[candidate] * (1 + prompt / 1000)
            if candidate in CHECKPOINTS
            else None,
        }
        for prompt in range(prompts)
        for candidate in range(1, 51)
    )


@pytest.fixture
def line(run: Any) -> Line:
    return next(line for line in ranking(run).lines if line.method == RENO_SHORT)


def test_a_search_is_split_at_its_last_checkpoint_before_half_time(line: Line) -> None:
    first, second = halves(traces(line), [line], "truth", shared=False)
    assert (first.first, first.last, second.first, second.last) == (1, 20, 20, 50)
    assert first.climbed.difference == pytest.approx(19, rel=0.01)
    assert (first.judged.difference, first.judged.verdict) == (pytest.approx(0.7, rel=0.01), "better")
    assert second.climbed.difference == pytest.approx(30, rel=0.01)
    assert (second.judged.difference, second.judged.verdict) == (pytest.approx(-0.4, rel=0.01), "worse")


def test_changes_are_paired_so_that_prompts_apart_make_no_interval_wider(line: Line) -> None:
    first, _ = halves(traces(line), [line], "truth", shared=False)
    assert 0 < first.climbed.high - first.climbed.low < 0.5


def test_a_search_that_nobody_watched_has_no_path(line: Line) -> None:
    unwatched = traces(line).drop(columns="metric_truth")
    styles = looks([line.label])
    assert not climbs(unwatched, line, "truth")
    assert halves(unwatched, [line], "truth", shared=False) == []
    assert against(unwatched, [line], "truth", styles) == ""
    assert by_candidate(unwatched, line, [Truth.info], styles) == ""


def test_a_path_names_its_candidates(line: Line) -> None:
    figure = against(traces(line), [line], "truth", looks([line.label]))
    for candidate in CHECKPOINTS:
        assert f">{candidate}</text>" in figure


def test_samples_of_one_prompt_are_averaged_before_prompts() -> None:
    own = pd.DataFrame(
        {"step": 0, "prompt": ["a", "a", "a", "b"], "seed": [0, 1, 2, 0], "best": [0.0, 0.0, 0.0, 4.0]}
    )
    found = curve(own, "best")
    assert found.candidates.tolist() == [1.0]
    assert found.mean.tolist() == [2.0]
    assert found.reach == pytest.approx(1.96 * 8**0.5 / 2**0.5)

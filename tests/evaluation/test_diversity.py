"""Diversity: the textbook's distances, differences over the seeds that both have, and an interval over prompts."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from noisekit.evaluation.diversity import COLUMNS, diversity, summary
from noisekit.evaluation.embedding import distances, load_embedding


def record(method: str, seeds: list[int], values: list[float], prompt: str = "p") -> dict[str, Any]:
    return {"model": "m", "method": method, "prompt": prompt, "seeds": seeds, "distances": values}


def test_distances_are_cosine_distances_in_the_order_of_pairs() -> None:
    vectors = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(distances(unit), pdist(vectors.double(), "cosine"), atol=1e-6)
    torch.testing.assert_close(distances(torch.eye(3)), torch.ones(3, dtype=torch.float64))
    assert distances(unit[[0, 0]]).abs().item() < 1e-6
    assert distances(torch.stack([unit[0], -unit[0]])).item() == pytest.approx(2)


def test_equal_pictures_have_none_and_different_ones_some() -> None:
    tower = load_embedding()
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    same, other = distances(tower.embed(torch.stack([pictures[0], pictures[0], pictures[1]])))[:2]
    assert same.abs() < 1e-6
    assert other > 1e-4


def test_differences_are_over_the_seeds_that_both_have() -> None:
    table = diversity(
        [
            record("standard", [0, 1, 2], [0.1, 0.2, 0.6]),  # pairs 01, 02, 12
            record("x", [1, 2, 3], [0.5, 0.4, 0.9]),  # pairs 12, 13, 23
            record("y", [3, 4], [0.4]),
            record("x", [0, 1], [0.2], prompt="alone"),
        ]
    ).set_index(["method", "prompt"])
    assert table.loc[("standard", "p"), "diversity"] == pytest.approx(0.3)
    assert np.isnan(table.loc[("standard", "p"), "difference"])
    assert table.loc[("x", "p"), "diversity"] == pytest.approx(0.6)
    assert table.loc[("x", "p"), "difference"] == pytest.approx(0.5 - 0.6)
    assert np.isnan(table.loc[("y", "p"), "difference"])
    assert np.isnan(table.loc[("x", "alone"), "difference"])
    assert list(table["seeds"]) == [3, 3, 2, 2]


def test_a_number_of_seeds_does_not_bias_it() -> None:
    vectors = torch.nn.functional.normalize(
        torch.randn(400, 6, 16, generator=torch.Generator().manual_seed(1)), dim=-1
    )
    few = np.mean([distances(some[:2]).mean() for some in vectors])
    many = np.mean([distances(some).mean() for some in vectors])
    assert few == pytest.approx(1, abs=0.05)
    assert many == pytest.approx(1, abs=0.02)


def test_the_summary_finds_a_known_difference() -> None:
    rng = np.random.default_rng(0)
    records = []
    for i in range(60):
        base = rng.uniform(0.2, 0.4)
        records.append(record("standard", [0, 1], [base], f"p{i}"))
        records.append(record("narrow", [0, 1], [base - 0.1 + rng.normal(0, 0.05)], f"p{i}"))
    standard, narrow = summary(records).to_dict("records")
    assert (standard["method"], narrow["method"], narrow["n_prompts"], narrow["seeds"]) == (
        "standard",
        "narrow",
        60,
        2,
    )
    assert narrow["diversity_low"] < -0.1 < narrow["diversity_high"] < 0
    assert narrow["diversity"] - standard["diversity"] == pytest.approx(narrow["diversity_difference"])
    assert np.isnan([standard[f"diversity_{part}"] for part in ("difference", "low", "high")]).all()


def test_nothing_measured_is_an_empty_table() -> None:
    nothing = diversity([])
    assert list(nothing.columns) == COLUMNS
    assert summary([]).empty


def made(rng: np.random.Generator, prompts: int, seeds: int, luck: float) -> list[dict[str, Any]]:
    """Distances whose difference to standard is 0 on average, and which every seed moves on all prompts alike."""
    moved = luck * rng.normal(size=seeds)
    pairs = list(combinations(range(seeds), 2))
    own = [[moved[i] + moved[j] + rng.normal(0, 0.1) for i, j in pairs] for _ in range(prompts)]
    every = list(range(seeds))
    records = [record("standard", every, [0.0] * len(pairs), f"p{i}") for i in range(prompts)]
    return records + [record("x", every, values, f"p{i}") for i, values in enumerate(own)]


def test_under_shared_noise_the_interval_holds_over_seeds_too() -> None:
    inside = {True: 0, False: 0}
    for i in range(200):
        records = made(np.random.default_rng(i), 12, 6, 0.1)
        for shared in inside:
            row = summary(records, shared).iloc[1]
            inside[shared] += row["diversity_low"] <= 0 <= row["diversity_high"]
    assert inside[True] >= 184  # 95 % of 200, less three standard errors
    assert inside[False] < 120  # over prompts alone it claims what the seeds decide


def test_shared_noise_of_few_seeds_has_no_interval_and_the_mean_is_the_same() -> None:
    few, many = (made(np.random.default_rng(0), 12, seeds, 0.1) for seeds in (3, 5))
    assert np.isnan(summary(few, shared=True)["diversity_low"]).all()
    own, shared = (summary(many, known).iloc[1] for known in (False, True))
    assert own["diversity_difference"] == shared["diversity_difference"]
    assert shared["diversity_low"] < own["diversity_low"] < own["diversity_high"] < shared["diversity_high"]
    middle = (shared["diversity_low"] + shared["diversity_high"]) / 2
    assert middle == pytest.approx(shared["diversity_difference"], abs=0.03)

"""Batches cover exactly the missing cells; identities change with everything that they should and nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import noisekit as nk
from noisekit.engine.checkpoints import is_checkpoint
from noisekit.engine.units import batches
from noisekit.hashing import digest
from noisekit.metrics import Evaluator
from noisekit.models.analytic import AnalyticModel
from noisekit.prompts import Prompt
from noisekit.store.identity import generation_id, setting_fields


@given(
    prompts=st.integers(1, 6),
    seeds=st.integers(1, 5),
    done=st.sets(st.tuples(st.integers(0, 5), st.integers(0, 4))),
    size=st.integers(1, 8),
)
def test_batches_cover_the_missing_cells_once(
    prompts: int, seeds: int, done: set[tuple[int, int]], size: int
) -> None:
    records = [Prompt(f"prompt {i}") for i in range(prompts)]
    finished = {(Prompt(f"prompt {i}").id, seed) for i, seed in done}
    planned = list(batches(records, range(seeds), finished, size))
    cells = [(p.id, seed) for some, numbers in planned for p in some for seed in numbers]
    assert len(cells) == len(set(cells))
    assert set(cells) == {(p.id, seed) for p in records for seed in range(seeds)} - finished
    assert all(1 <= len(some) * len(numbers) <= size for some, numbers in planned)


def setting_id(*decided: Any) -> str:
    return digest(setting_fields(*decided))


def test_a_hash_is_of_values_and_not_of_how_they_are_written() -> None:
    assert digest({"a": 1, "b": {"c": None, "d": [1, 2]}}) == digest({"b": {"d": [1, 2], "c": None}, "a": 1})
    assert digest({"a": "ü"}) != digest({"a": "u"})
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e"  # the first digits of SHA-256 of {}
    with pytest.raises(ValueError):
        digest({"a": float("nan")})


def test_every_part_of_a_setting_counts() -> None:
    model = AnalyticModel()
    method = nk.load_method("selection(candidates=4)").resolved(model)
    usual = setting_id(model, method, nk.Budget(), "per_prompt")
    assert usual == setting_id(AnalyticModel(), nk.load_method(str(method)), nk.Budget(), "per_prompt")

    class Newer(type(method)):  # type: ignore[misc]
        version = 2

    newer = Newer(**{f.name: getattr(method, f.name) for f in dataclasses.fields(method)})
    others = {
        setting_id(AnalyticModel(width=0.4), method, nk.Budget(), "per_prompt"),
        setting_id(
            model, nk.load_method("selection(candidates=5)").resolved(model), nk.Budget(), "per_prompt"
        ),
        setting_id(model, newer, nk.Budget(), "per_prompt"),
        setting_id(model, method, nk.Budget(calls=100), "per_prompt"),
        setting_id(model, method, nk.Budget(), "shared"),
    }
    assert len(others | {usual}) == 6


def test_prompt_seed_and_metric_count() -> None:
    ids = {generation_id(s, p, n) for s in ("x", "y") for p in ("a", "b") for n in (0, 1)}
    assert len(ids) == 8
    evaluator = Evaluator(["color_red", "color_blue"])
    scores = {
        evaluator.score_id(g, name, Prompt("a", metadata={"n": 1})) for g in ids for name in evaluator.metrics
    }
    assert len(scores) == 16


def test_checkpoints_are_the_round_numbers() -> None:
    assert [n for n in range(1, 201) if is_checkpoint(n)] == [1, 2, 5, 10, 20, 50, 100, 200]

"""`benchmarks/frontier.py` runs the arms that a budget pays for, and writes table, chart and what `generate` chooses by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import noisekit as nk
from benchmarks import frontier

PLAN = """models: [tiny-turbo]
methods: [golden_seeds, best_of, reno]
budget: [{equivalents: 2}, {equivalents: 4}, {equivalents: 8}]
prompts: {suite: tiny, limit: 200}
seeds: 1
metrics: [truth, mps, aesthetic]
"""


def test_arms_are_what_a_budget_buys_beyond_the_one_before() -> None:
    model = nk.load_model("tiny-turbo", device="cpu")
    methods = ["golden_seeds", "hypernoise", "best_of", "reno"]
    found = frontier.arms(model, methods, [1, 2, 4, 8, 16, 32])
    assert found == {
        4: ["golden_seeds"],
        8: ["hypernoise", "best_of"],
        16: ["best_of"],
        32: ["best_of", "reno"],
    }


@pytest.mark.parametrize("name", frontier.names())
def test_every_plan_of_the_frontier_reads(name: str) -> None:
    plan = frontier.sized(frontier.given(name), 64, 25)
    assert len(plan.methods) > 1
    assert {budget.equivalents for budget in plan.budgets} == {64}


@pytest.mark.slow
def test_it_runs_and_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    (tmp_path / "short.yaml").write_text(PLAN)
    monkeypatch.chdir(tmp_path)
    for name, value in {"PLANS": tmp_path, "PICTURES": tmp_path, "TABLE": tmp_path / "table.json"}.items():
        monkeypatch.setattr(frontier, name, value)
    for arguments in (["--dry-run"], ["--limits", "2", "4"], ["--tell"]):
        monkeypatch.setattr("sys.argv", ["frontier.py", *arguments])
        frontier.main()
    said = capsys.readouterr().out
    assert "short, 25 prompts, 8 equivalents on tiny-turbo: 1 arms, 25 images" in said
    assert (
        "\n2 prompts, 4 equivalents, short: 4 images" in said
    )  # standard's and one arm's: the cheap come first
    assert "\n4 prompts, 8 equivalents, short: 12 images" in said
    assert "| tiny-turbo | `best_of` |" in said
    drawn = ElementTree.parse(tmp_path / "frontier-tiny-turbo.svg").getroot()
    words = "".join(drawn.itertext())
    assert "truth over standard on tiny-turbo" in words
    assert "best_of" in words
    assert "var(" not in (tmp_path / "frontier-tiny-turbo.svg").read_text()
    rows = json.loads((tmp_path / "table.json").read_text())["tiny-turbo"]
    assert [(row["budget"], row["prompts"]) for row in rows] == [(4, 4), (8, 4)]

"""GenEval's table of a run: by hand-made images that are right or wrong, task by task."""

from __future__ import annotations

from pathlib import Path

import pytest

from noisekit.cli import main
from noisekit.errors import BadValue
from noisekit.results import load_run
from noisekit.results.geneval import task_scores
from noisekit.store.store import Store
from tests.store import lines

PROMPTS = {
    "a photo of a bench": ("single_object", [1, 1]),
    "a photo of two clocks": ("counting", [1, 0]),
    "a photo of three cups": ("counting", [0, 0]),
    "a photo of four dogs": ("counting", [0, 0]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Store.prepare(tmp_path / "run", "per_prompt") as store:
        store.append("metrics", [lines.metric("geneval")])
        for prompt, (tag, scores) in PROMPTS.items():
            for seed, score in enumerate(scores):
                key = f"{prompt} {seed}"
                metadata = {"tag": tag, "include": [{"class": "x", "count": 1}]}
                about = {"prompt": prompt, "prompt_id": prompt, "seed": seed, "metadata": metadata}
                store.append("rows", [lines.image(key, **about)])
                store.append("scores", [lines.score(key, "geneval", geneval=float(score))])
    return tmp_path / "run"


def test_overall_is_the_mean_of_tasks(folder: Path) -> None:
    (row,) = task_scores(load_run(folder)).to_dict("records")
    assert row["single_object"] == 1
    assert row["counting"] == pytest.approx(1 / 6)
    assert row["overall"] == pytest.approx((1 + 1 / 6) / 2)
    assert row["images"] == pytest.approx(3 / 8)
    assert row["prompts"] == pytest.approx(2 / 4)


def test_the_command_prints_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["geneval", str(folder)]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("single_object", "counting", "overall", "0.583", "0.167"))


def test_a_run_without_scores_is_refused(tmp_path: Path) -> None:
    with Store.prepare(tmp_path / "run", "per_prompt") as store:
        store.append("rows", [lines.image("a")])
    with pytest.raises(BadValue, match="was not scored by geneval"):
        task_scores(load_run(tmp_path / "run"))

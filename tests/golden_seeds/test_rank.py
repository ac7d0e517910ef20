"""Ranking seeds: against scores computed one by one, and going on where a ranking was interrupted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from noisekit.cli import main
from noisekit.errors import BadValue
from noisekit.golden_seeds.rank import rank_seeds
from noisekit.golden_seeds.ranking import SeedRanking
from noisekit.methods import load_method
from noisekit.metrics import Evaluator
from noisekit.models.analytic import AnalyticModel
from noisekit.prompts import load_prompts
from tests.engine.toys import CountingModel

PROMPTS = load_prompts(["a red circle", "two blue squares", "a green triangle", "a cyan cross"])


@pytest.fixture
def evaluator(brightness):
    return Evaluator(["brightness"])


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "ranking"


def test_seeds_stand_in_the_order_of_their_mean_score(evaluator, folder):
    model = CountingModel(batch=5)
    ranking, scores = rank_seeds(model, PROMPTS, 7, evaluator, folder)
    for seed in range(7):
        noise = torch.randn(1, *model.noise_shape, generator=torch.Generator().manual_seed(seed))
        for row, prompt in zip(scores, PROMPTS, strict=True):
            image = model.decode(model.sample(noise, model.encode([prompt.text])))
            assert row[seed] == pytest.approx(
                evaluator.scores(image, [prompt.text])["brightness"][0], abs=1e-5
            )
    assert list(ranking.seeds) == np.argsort(-scores.mean(0)).tolist()
    assert ranking.scores == pytest.approx(np.sort(scores.mean(0))[::-1], abs=1e-5)
    assert ranking.calls == 28 * model.sample_cost().calls
    assert SeedRanking.read(folder) == ranking


def test_an_interrupted_ranking_goes_on_and_a_finished_one_is_not_done_again(evaluator, folder):
    with pytest.raises(KeyboardInterrupt):
        rank_seeds(CountingModel(batch=5, stop_at=4), PROMPTS, 7, evaluator, folder)
    assert not (folder / "seeds.json").exists()
    lines = folder / "scores.jsonl"
    assert len(lines.read_text().splitlines()) == 15
    lines.write_text(lines.read_text()[:-9])  # the writer died within its last line
    second = CountingModel(batch=5)
    ranking, _ = rank_seeds(second, PROMPTS, 7, evaluator, folder)
    assert sum(second.batches) == 28 - 14
    whole, _ = rank_seeds(CountingModel(batch=28), PROMPTS, 7, evaluator, folder.with_name("whole"))
    assert ranking == whole
    third = CountingModel(batch=5)
    more, _ = rank_seeds(third, PROMPTS, 9, evaluator, folder)
    assert sum(third.batches) == 8
    assert len(more.seeds) == 9


def test_a_ranking_serves_the_method(evaluator, folder):
    """A model whose images are as bright as their noise: the best seeds' images are brighter than chance's."""
    model = AnalyticModel(size=32, steps=2, guidance=1.0)
    rank_seeds(model, PROMPTS, 24, evaluator, folder)
    others = ["three yellow circles", "a red square", "a blue cross", "two green circles", "a cyan square"]
    golden = load_method(f"golden_seeds(artefact={str(folder)!r}, best=2)")
    bright = [
        np.mean(
            evaluator.scores(method(model, others, seeds=[0, 1]).images, [t for t in others for _ in (0, 1)])[
                "brightness"
            ]
        )
        for method in (golden, load_method("standard"))
    ]
    assert bright[0] > bright[1]


def test_what_cannot_be_ranked_is_refused(evaluator, tmp_path, brightness):
    model = CountingModel(batch=28)
    with pytest.raises(BadValue, match="too few to rank"):
        rank_seeds(model, PROMPTS, 2, evaluator, tmp_path / "few")
    with pytest.raises(BadValue, match="ranked by one metric, not by brightness, glow"):
        rank_seeds(model, PROMPTS, 5, Evaluator(["brightness", "glow"]), tmp_path / "few")
    with pytest.raises(BadValue, match="scores 20 of 20 images as nothing"):
        rank_seeds(CountingModel(size=30), PROMPTS, 5, Evaluator(["truth"]), tmp_path / "truth")
    rank_seeds(model, PROMPTS, 3, evaluator, tmp_path / "one")
    with pytest.raises(BadValue, match="on another model or with another metric"):
        rank_seeds(CountingModel(steps=3), PROMPTS, 3, evaluator, tmp_path / "one")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    with pytest.raises(BadValue, match="holds other files"):
        rank_seeds(model, PROMPTS, 3, evaluator, tmp_path / "full")


def test_the_command_says_what_it_found(tmp_path, capsys):
    out = tmp_path / "seeds"
    command = [
        "seeds",
        "rank",
        "--model",
        "tiny-turbo",
        "--metric",
        "aesthetic",
        "--limit",
        "3",
        "--pool",
        "4",
    ]
    assert main([*command, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "aesthetic of 4 seeds on 3 prompts" in said
    assert "split-half correlation" in said
    assert "cost 12 calls" in said
    assert f"golden_seeds(artefact={str(out)!r}, best=4)" in said
    assert main([*command, "--out", str(out), "--weights", "heavy"]) == 2

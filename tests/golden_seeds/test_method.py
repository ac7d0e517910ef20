"""Golden seeds: the noises that a ranking names, drawn for every sample, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from noisekit.errors import BadValue, CorruptWeights, NotSupported
from noisekit.golden_seeds.ranking import SeedRanking
from noisekit.methods import load_method
from noisekit.models.analytic import AnalyticModel
from noisekit.npnet.pairs import fingerprint
from noisekit.testing import MethodConformance
from noisekit.types import Budget

SEEDS = (30, 2, 17, 5, 11, 8)
PROMPTS = [f"prompt {i}" for i in range(12)]


@pytest.fixture
def model():
    return AnalyticModel(steps=1, batch=5)


def ranking(model):
    return SeedRanking(
        model=model.label,
        model_id=fingerprint(model.identity),
        noise_shape=tuple(model.noise_shape),
        metric="hps",
        metric_id="0",
        prompts={"name": "list", "hash": "0", "count": 2},
        seeds=SEEDS,
        scores=tuple(float(-i) for i in range(len(SEEDS))),
        reliability={"r": 0.5, "low": 0.1, "high": 0.9},
        calls=1000.0,
    )


@pytest.fixture
def artefact(model, tmp_path):
    ranking(model).write(tmp_path)
    return str(tmp_path)


def golden(artefact, best=3):
    return load_method(f"golden_seeds(artefact={artefact!r}, best={best})")


class TestLaws(MethodConformance):
    @pytest.fixture
    def method(self, artefact):
        return golden(artefact)

    @pytest.fixture
    def model(self):
        return AnalyticModel(steps=1, batch=5)


def scripts_noise(model, seed):
    """As a script draws it before a pipeline's call."""
    return torch.randn(1, *model.noise_shape, generator=torch.Generator("cpu").manual_seed(seed))[0]


def test_every_sample_starts_from_one_of_the_best_seeds(model, artefact):
    known = {seed: scripts_noise(model, seed) for seed in SEEDS}
    result = golden(artefact)(model, PROMPTS, seeds=[0, 1, 2])
    drawn = [next((s for s in SEEDS if torch.equal(known[s], noise)), None) for noise in result.noise]
    assert set(drawn) == {30, 2, 17}
    for start in range(0, len(drawn), 3):  # the seeds of one prompt do not share a noise
        assert len(set(drawn[start : start + 3])) == 3
    assert len(set(drawn[::3])) > 1  # and prompts do not all begin with the same one


def test_an_image_costs_what_a_standard_image_costs(model, artefact):
    result = golden(artefact)(model, PROMPTS[:2])
    assert result.cost.calls == load_method("standard")(model, PROMPTS[:2]).cost.calls
    assert golden(artefact).preparation == 1000
    assert load_method(f"best_of(golden_seeds(artefact={artefact!r}), n=2)").preparation == 1000
    tight = golden(artefact)(model, PROMPTS[:2], budget=Budget(calls=result.cost.calls))
    assert torch.equal(tight.noise, result.noise)


def test_shared_noise_is_the_same_for_all_prompts(model, artefact):
    result = golden(artefact)(model, PROMPTS, seeds=[4], convention="shared")
    assert len(result.noise.flatten(1).unique(dim=0)) == 1


def test_searches_within_a_search_draw_their_own(model, artefact, monkeypatch):
    monkeypatch.setattr(
        "noisekit.methods.rewarded.weighted_reward", lambda *_, **__: lambda images, _: images.mean((1, 2, 3))
    )
    inner = f"golden_seeds(artefact={artefact!r}, best=6)"
    method = load_method(f"best_of({inner}, n=8, rewards='hps:1', weights='tiny')")
    seen = []
    method(model, PROMPTS[:1], observe=lambda moment: seen.append(moment.best.score.item()))
    assert len(set(seen)) > 1


def test_the_metric_of_the_ranking_counts_as_optimised_and_the_order_as_identity(model, artefact, tmp_path):
    assert golden(artefact).optimised == {"hps"}
    cpu = torch.device("cpu")
    other = tmp_path / "other"
    other.mkdir()
    replace(ranking(model), seeds=SEEDS[::-1]).write(other)
    assert golden(artefact).dependencies(cpu) != golden(str(other)).dependencies(cpu)
    replace(ranking(model), reliability={"r": 0.1, "low": 0.0, "high": 0.2}).write(other)
    assert golden(artefact).dependencies(cpu) == golden(str(other)).dependencies(cpu)


def test_another_model_is_warned_of_and_another_shape_refused(artefact):
    with pytest.warns(UserWarning, match="was ranked on 'analytic"):
        golden(artefact)(AnalyticModel(steps=2), PROMPTS[:1])
    with pytest.raises(NotSupported, match="rank seeds for it"):
        golden(artefact)(AnalyticModel(size=32), PROMPTS[:1])


def test_what_is_no_ranking_is_refused(model, tmp_path, artefact):
    with pytest.raises(BadValue, match=r"no folder with seeds\.json"):
        golden(str(tmp_path / "nowhere"))(model, PROMPTS[:1])
    with pytest.raises(BadValue, match="more than the 6 seeds"):
        golden(artefact, best=7).check(model)
    with pytest.raises(NotSupported, match="noisekit seeds rank"):
        load_method("golden_seeds")(model, PROMPTS[:1])
    file = tmp_path / "seeds.json"
    content = json.loads(file.read_text())
    for broken in (
        "{",
        json.dumps(content | {"format": "else"}),
        json.dumps(content | {"seeds": ["a"]}),
        "[]",
    ):
        file.write_text(broken)
        with pytest.raises(CorruptWeights, match="does not read as a ranking"):
            golden(artefact)(model, PROMPTS[:1])

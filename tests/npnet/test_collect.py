"""Collecting and training: nothing is done twice, nothing is lost, and what can be learnt is learnt."""

import json
from dataclasses import replace

import pytest
import torch

from noisekit.errors import BadValue, NotSupported
from noisekit.models.cards import Card
from noisekit.models.stable_diffusion import StableDiffusion
from noisekit.noise import NoiseSource
from noisekit.npnet import collect as collecting
from noisekit.npnet.checkpoint import load_network, read_card
from noisekit.npnet.collect import Recipe, collect
from noisekit.npnet.network import TINY
from noisekit.npnet.pairs import Collection, fingerprint
from noisekit.npnet.stream import select, split
from noisekit.npnet.train import Training, train
from noisekit.rewards import load_reward
from noisekit.solvers.re_denoise import re_denoise
from tests.npnet.made import everything
from tests.pipelines import stable_diffusion

PROMPTS = ["a red circle", "two blue squares", "a green triangle", "three cyan circles", "a yellow square"]
CONFIG = replace(TINY, tokens=77, width=32, embed=8, depths=(1, 1), swin_heads=(1, 2))


@pytest.fixture(scope="module")
def model():
    return StableDiffusion(stable_diffusion(), Card("toy", steps=2, guidance=3.0, batch=4))


@pytest.fixture(scope="module")
def judge():
    return load_reward("clip_score")


def content(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_a_pair_is_a_noise_and_its_re_denoised_one_with_the_scores_of_both_images(model, judge, tmp_path):
    recipe = Recipe(guidance=5.5, inversion_guidance=1.5)
    collected = collect(model, PROMPTS, range(2), tmp_path, recipe=recipe, metrics=[judge], shard=4)
    shards = collected.shards()
    assert [len(shard.lines) for shard in shards] == [4, 4, 2]
    lines = [line for shard in shards for line in shard.lines]
    assert {(line["prompt"], line["seed"]) for line in lines} == {(p, s) for p in PROMPTS for s in (0, 1)}
    prompts = [line["prompt"] for line in lines]
    source = NoiseSource(model.noise_shape, prompts, [line["seed"] for line in lines])
    conditioning = model.encode(prompts)
    with torch.no_grad():
        golden = re_denoise(
            lambda x, t: model.predict(x, t, conditioning, 5.5),
            lambda x, t: model.predict(x, t, conditioning, 1.5),
            source.initial,
            model.grid(2),
        )
        images = [model.decode(model.sample(noise, conditioning)) for noise in (source.initial, golden)]
    stored = [torch.cat([shard.tensors()[name] for shard in shards]) for name in ("source", "target")]
    assert torch.equal(stored[0], source.initial)
    torch.testing.assert_close(stored[1], golden, atol=1e-5, rtol=1e-4)
    for end, pictures in zip(("source", "target"), images, strict=True):
        scores = [line["scores"]["clip_score"][end] for line in lines]
        assert scores == pytest.approx(judge.judge(pictures, prompts).tolist(), abs=0.05)


def test_an_interrupted_collection_loses_the_shard_at_work_and_no_other(model, judge, tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    collect(model, PROMPTS, range(2), whole, metrics=[judge], shard=3)
    decode, sample, samples = StableDiffusion.decode, StableDiffusion.sample, []

    def killed(*_):
        raise KeyboardInterrupt

    def interrupted(self, *arguments):
        samples.append(arguments)
        if len(samples) == 6:  # the second image of the third shard
            raise KeyboardInterrupt
        return sample(self, *arguments)

    monkeypatch.setattr(StableDiffusion, "sample", interrupted)
    part = tmp_path / "part"
    with pytest.raises(KeyboardInterrupt):
        collect(model, PROMPTS, range(2), part, metrics=[judge], shard=3)
    assert len(Collection.read(part)) == 6
    (part / ".00002.safetensors.0a1b2c3d.part").write_bytes(b"half")  # killed while writing
    monkeypatch.setattr(StableDiffusion, "decode", killed)
    with pytest.raises(KeyboardInterrupt):  # and again, while scoring
        collect(model, PROMPTS, range(2), part, metrics=[judge], shard=3)
    assert len(samples) == 6 + 2 * 2  # the third shard and the fourth
    monkeypatch.setattr(StableDiffusion, "decode", decode)
    assert len(collect(model, PROMPTS, range(2), part, metrics=[judge], shard=3)) == 10
    assert len(samples) == 6 + 2 * 2
    assert content(part) == content(whole)


def test_only_what_is_missing_is_computed(model, judge, tmp_path, monkeypatch):
    collect(model, PROMPTS[:2], [0], tmp_path)
    before = content(tmp_path)
    collect(model, PROMPTS[:3], [0, 1], tmp_path)
    after = content(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(Collection.read(tmp_path)) == 6
    monkeypatch.setattr(StableDiffusion, "sample", lambda *_: pytest.fail("sampled again"))
    collect(model, PROMPTS[:3], [0, 1], tmp_path, metrics=[judge])
    scored = content(tmp_path)
    assert all(
        "clip_score" in json.loads(line)["scores"] for line in scored["00001.jsonl"].decode().splitlines()
    )
    monkeypatch.setattr(StableDiffusion, "decode", lambda *_: pytest.fail("decoded again"))
    collect(model, PROMPTS[:3], [0, 1], tmp_path, metrics=[judge])
    assert content(tmp_path) == scored


def test_other_pairs_and_other_folders_are_refused(model, tmp_path):
    collect(model, PROMPTS[:2], [0], tmp_path / "pairs")
    with pytest.raises(BadValue, match="another variant; use another folder"):
        collect(model, PROMPTS[:2], [0], tmp_path / "pairs", recipe=Recipe("released"))
    with pytest.raises(BadValue, match="another guidance and inversion_guidance"):
        collect(
            model, PROMPTS[:2], [0], tmp_path / "pairs", recipe=Recipe(guidance=9.0, inversion_guidance=0.0)
        )
    with pytest.raises(BadValue, match="holds other files"):
        collect(model, PROMPTS[:2], [0], tmp_path)
    with pytest.raises(BadValue, match="noisekit npnet collect"):
        Collection.read(tmp_path)
    with pytest.raises(BadValue, match="variant='later'"):
        Recipe("later")
    turbo = StableDiffusion(
        stable_diffusion(), Card("toy", steps=1, guidance=0.0, markers=("differentiable",))
    )
    with pytest.raises(NotSupported, match="invertible"):
        collect(turbo, PROMPTS, [0], tmp_path / "none")


def made_up(model, folder, n, golden, seed=0):
    """A collection with known targets and gains: golden(noise, i) and i for pair i."""
    collection = Collection.prepare(folder, collecting._about(model, Recipe()))
    prompts = [f"{PROMPTS[i % 5]} number {i}" for i in range(n)]
    noise = torch.randn(n, *model.noise_shape, generator=torch.Generator().manual_seed(seed))
    lines = [
        {"prompt": text, "seed": 0, "scores": {"hps": {"weights": "", "source": 0.0, "target": i / n}}}
        for i, text in enumerate(prompts)
    ]
    target = golden(noise, model.encode(prompts).positive)
    latents = torch.zeros(2, *noise.shape)
    tensors = {
        "source": noise,
        "target": target,
        "source_latents": latents[0],
        "target_latents": latents[1].clone(),
    }
    collection.add(lines, tensors)
    return collection


def test_the_filter_keeps_what_gains_more_than_the_margin(model, tmp_path):
    collection = made_up(model, tmp_path, 20, lambda noise, text: noise + 1)
    assert len(select(collection)) == 20
    assert len(select(collection, "hps")) == 19
    kept = everything(collection, "hps", margin=0.5)
    assert [text.split()[-1] for text in kept.prompts] == [str(i) for i in range(11, 20)]
    torch.testing.assert_close(kept.target, kept.source + 1)
    assert select(collection, "hps", margin=0.5).collected == 20
    with pytest.raises(BadValue, match="lower the margin"):
        everything(collection, "hps", margin=2.0)
    with pytest.raises(BadValue, match=r"no score by 'truth' \(scored by: hps\)"):
        everything(collection, "truth")


@pytest.mark.slow
def test_a_learnable_shift_is_learnt_from_each_samples_own_prompt(model, tmp_path):
    """x′ = x + a shift a channel that the prompt decides: far below identity and below any one shift for all."""

    def golden(noise, text):
        wanted = text[:, 3, :4] / text[:, 3, :4].std()
        return noise + 0.3 * wanted[:, :, None, None]

    collection = made_up(model, tmp_path / "pairs", 200, golden)
    training = Training(epochs=20, batch=16, lr=3e-3, metric=None)
    card = train(collection, model, tmp_path / "out", training=training, config=CONFIG)
    losses = card["losses"]
    assert losses["epochs"][-1]["validation"] < 0.35 * losses["shift"] < losses["identity"]
    network = load_network(tmp_path / "out")
    pairs = everything(collection)
    text = model.encode(pairs.prompts).positive
    own = (network(pairs.source, text) - pairs.target).square().mean()
    first = (network(pairs.source, text[:1].expand_as(text)) - pairs.target).square().mean()
    assert own < 0.5 * first
    assert read_card(tmp_path / "out") == json.loads(json.dumps(card))


def test_an_interrupted_training_ends_as_the_whole_one(model, tmp_path, monkeypatch):
    collection = made_up(model, tmp_path / "pairs", 24, lambda noise, text: 1.1 * noise)
    training = Training(epochs=3, batch=8, lr=1e-3)
    whole = train(collection, model, tmp_path / "whole", training=training, config=CONFIG)
    from noisekit.npnet.train import _Loop

    epoch = _Loop._epoch

    def interrupted(self, pairs, number):
        if number == 2:
            raise KeyboardInterrupt
        return epoch(self, pairs, number)

    monkeypatch.setattr(_Loop, "_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(collection, model, tmp_path / "part", training=training, config=CONFIG)
    assert not (tmp_path / "part" / "card.json").exists()
    monkeypatch.setattr(_Loop, "_epoch", epoch)
    resumed = train(collection, model, tmp_path / "part", training=training, config=CONFIG)
    assert resumed["losses"] == whole["losses"]
    weights = [load_network(tmp_path / name).state_dict() for name in ("whole", "part")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    monkeypatch.setattr(_Loop, "_epoch", lambda *_: pytest.fail("trained again"))
    assert (
        train(collection, model, tmp_path / "part", training=training, config=CONFIG)["losses"]
        == whole["losses"]
    )
    with pytest.raises(BadValue, match="other settings"):
        train(collection, model, tmp_path / "part", training=replace(training, lr=1.0), config=CONFIG)


def test_validation_prompts_are_not_trained_on_and_other_models_are_refused(model, tmp_path):
    collection = made_up(model, tmp_path, 50, lambda noise, text: -noise)
    learnt, held_out = split(select(collection), seed=0)
    assert (len(learnt), len(held_out)) == (45, 5)
    assert not set(learnt.read(0).prompts) & set(held_out.read(0).prompts)
    other = StableDiffusion(stable_diffusion(seed=1), Card("toy", steps=2, guidance=3.0))
    assert fingerprint(other.identity) != fingerprint(model.identity)
    with pytest.raises(BadValue, match="is another or has other weights"):
        train(collection, other, tmp_path / "out")
    for wrong in ({"epochs": 0}, {"batch": 0}, {"lr": 0.0}, {"svd": False, "residual": False, "text": False}):
        with pytest.raises(BadValue, match=next(iter(wrong))):
            Training(**wrong)

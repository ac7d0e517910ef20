"""NPNet, inversion and repaint as methods: what they propose, what it costs, what they refuse, and who they are."""

import json
from dataclasses import replace

import pytest
import torch

from noisekit.errors import BadValue, NotSupported
from noisekit.methods import load_method
from noisekit.models.analytic import AnalyticModel
from noisekit.models.cards import Card
from noisekit.models.stable_diffusion import StableDiffusion
from noisekit.noise import NoiseSource
from noisekit.npnet import published
from noisekit.npnet.checkpoint import artefact_hash, load_network, save_artefact
from noisekit.npnet.hub import HubNPNet
from noisekit.npnet.network import TINY, NPNet, singular
from noisekit.solvers.re_denoise import re_denoise, repaint
from noisekit.types import COUNTED
from tests.npnet.made import published_file
from tests.pipelines import stable_diffusion

PROMPTS = ["a red circle", "two blue squares", "a green triangle above a cyan circle"]
CONFIG = replace(TINY, tokens=77, width=32, embed=8, depths=(1, 1), swin_heads=(1, 2))
ONE_SHOT = ["inversion", "inversion(guidance=4.0, times=3)", "inversion(variant='released')", "repaint"]


@pytest.fixture(scope="module")
def pipeline():
    return StableDiffusion(stable_diffusion(), Card("toy", steps=4, guidance=3.0, batch=2))


@pytest.fixture(scope="module")
def artefact(tmp_path_factory):
    """An untrained network for the toy pipeline, its scalars of order 1."""
    torch.manual_seed(0)
    network = NPNet(CONFIG)
    for scalar in (network.alpha, network.beta):
        torch.nn.init.constant_(scalar, 0.5)
    folder = tmp_path_factory.mktemp("npnet") / "toy"
    save_artefact(folder, network, {"metric": "hps"})
    return folder


def method(artefact, **settings):
    inside = "".join(f", {name}={value!r}" for name, value in settings.items())
    return load_method(f"npnet(artefact={str(artefact)!r}{inside})")


@pytest.mark.parametrize("spec", [*ONE_SHOT, "npnet"])
def test_one_candidate_at_the_announced_cost_and_a_batch_equals_its_singles(pipeline, artefact, spec):
    model = pipeline if spec == "npnet" else AnalyticModel(steps=4, guidance=3.0)
    chosen = method(artefact) if spec == "npnet" else load_method(spec)
    batch = chosen(model, PROMPTS, seeds=[0, 1])
    assert len(batch.trace) == 1
    assert batch.score is None
    assert (batch.noise - batch.initial).flatten(1).norm(dim=1).min() > 1e-2
    announced = chosen.cost(model)
    assert all(getattr(batch.cost, name) == getattr(announced, name) for name in COUNTED)
    singles = [chosen(model, [text], seeds=[seed]) for text in PROMPTS for seed in (0, 1)]
    torch.testing.assert_close(batch.noise, torch.cat([r.noise for r in singles]), atol=1e-4, rtol=0)
    torch.testing.assert_close(batch.images, torch.cat([r.images for r in singles]), atol=1e-4, rtol=0)


def test_inversion_and_repaint_take_the_samplers_own_first_interval():
    model = AnalyticModel(steps=4, guidance=3.0)
    conditioning = model.encode(PROMPTS)

    def u(scale):
        return lambda x, t: model.predict(x, t, conditioning, scale)

    result = load_method("inversion(times=2)")(model, PROMPTS)
    once = re_denoise(u(3.0), u(1.0), result.initial, model.grid(4))
    torch.testing.assert_close(result.noise, re_denoise(u(3.0), u(1.0), once, model.grid(4)))
    released = load_method("inversion(guidance=5.5, inversion_guidance=2.0, variant='released')")(
        model, PROMPTS
    )
    expected = re_denoise(u(5.5), u(2.0), released.initial, model.grid(4), "released")
    torch.testing.assert_close(released.noise, expected)
    first, other = (load_method("repaint")(model, PROMPTS, seeds=[seed]) for seed in (0, 1))
    fresh = first.noise - repaint(u(3.0), first.initial, torch.zeros_like(first.initial), model.grid(4))
    scale = fresh.std()
    assert 0.1 < scale < 1
    unlike = torch.cosine_similarity(fresh.flatten(1), first.initial.flatten(1))
    assert unlike.abs().max() < 0.9
    assert not torch.equal(first.noise, other.noise)
    assert torch.equal(first.noise, load_method("repaint")(model, PROMPTS).noise)


def test_repainted_noise_is_an_initial_noise_of_unit_variance():
    model = AnalyticModel(size=16, steps=10, spread=1.0, width=0.1)
    noise = load_method("repaint")(model, [f"prompt {i}" for i in range(100)]).noise
    assert noise.std().item() == pytest.approx(1, abs=0.05)
    assert noise.mean().item() == pytest.approx(0, abs=0.05)


def test_npnet_is_the_network_on_the_prompts_own_embedding(pipeline, artefact):
    result = method(artefact)(pipeline, PROMPTS)
    text = pipeline.encode(PROMPTS).positive
    torch.testing.assert_close(result.noise, load_network(artefact)(result.initial, text))
    swapped = load_network(artefact)(result.initial, text.roll(1, 0))
    assert (result.noise - swapped).abs().max() > 1e-3
    assert result.cost.predictor == 1
    assert result.cost.calls == pipeline.sample_cost().calls


def test_npnet_is_known_by_its_weights_and_marked_by_its_filter(pipeline, artefact, tmp_path):
    chosen = method(artefact)
    assert chosen.dependencies(torch.device("cpu")) == {"npnet": artefact_hash(artefact)}
    assert chosen.optimised == {"hps"}
    assert load_method("npnet").optimised == frozenset()
    network = load_network(artefact)
    save_artefact(tmp_path / "same", network, {"metric": None})
    assert artefact_hash(tmp_path / "same") == artefact_hash(artefact)
    assert method(tmp_path / "same").optimised == frozenset()
    before = method(tmp_path / "same")(pipeline, PROMPTS[:1]).noise
    network.beta.data += 1
    save_artefact(tmp_path / "same", network, {"metric": None})
    assert artefact_hash(tmp_path / "same") != artefact_hash(artefact)
    assert not torch.equal(method(tmp_path / "same")(pipeline, PROMPTS[:1]).noise, before)


def test_where_singular_vectors_are_found_is_part_of_who_it_is(pipeline, artefact, monkeypatch):
    assert "svd_device" not in str(method(artefact))  # the host, on every machine
    assert "svd_device='cuda'" in str(method(artefact, svd_device="cuda"))
    places = []

    def found(matrix, device):
        places.append(device)
        return singular(matrix, "cpu")

    monkeypatch.setattr("noisekit.npnet.network.singular", found)
    for device in ("cpu", "cuda"):
        method(artefact, svd_device=device)(pipeline, PROMPTS[:1])
    assert places == ["cpu", "cuda"]


def test_npnet_says_what_does_not_fit(pipeline, artefact, tmp_path):
    with pytest.raises(
        NotSupported, match=r"needs a network trained for the model.*the authors publish networks"
    ):
        load_method("npnet")(pipeline, PROMPTS)
    with pytest.raises(BadValue, match=r"'nowhere'.*noisekit npnet train"):
        load_method("npnet(artefact='nowhere')")(pipeline, PROMPTS)
    with pytest.raises(BadValue, match="svd_device='abacus'"):
        method(artefact, svd_device="abacus")
    with pytest.raises(
        NotSupported, match=r"noise of shape \(4, 8, 8\), and model 'analytic' has \(1, 4, 4\)"
    ):
        method(artefact)(AnalyticModel(), PROMPTS)
    save_artefact(tmp_path, NPNet(replace(CONFIG, width=48)), {})
    with pytest.raises(NotSupported, match=r"prompt embeddings of shape \(77, 48\).*\(77, 32\)"):
        method(tmp_path)(pipeline, PROMPTS)
    (tmp_path / "config.json").write_text(json.dumps({"size": 8}))
    with pytest.raises(OSError, match=r"config\.json' lacks 'tokens'"):
        method(tmp_path)(pipeline, PROMPTS)


@pytest.mark.parametrize("spec", ["inversion", "repaint"])
def test_a_model_that_cannot_be_inverted_is_refused(spec):
    model = AnalyticModel()
    model.markers = frozenset()
    with pytest.raises(NotSupported, match=f"{spec!r} needs a model that is invertible"):
        load_method(spec)(model, PROMPTS)


def test_a_published_file_is_an_artefact_like_others(pipeline, tmp_path):
    weights, _ = published_file(CONFIG)
    torch.save(weights, tmp_path / "golden.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published, "PUBLISHED", {"toy": CONFIG})
        chosen = method(tmp_path / "golden.pth")
        assert chosen.optimised == {"hps"}  # its authors chose their pairs by it
        result = chosen(pipeline, PROMPTS)
        HubNPNet.from_pretrained(tmp_path / "golden.pth").save_pretrained(tmp_path / "folder")
    assert torch.equal(result.noise, method(tmp_path / "folder")(pipeline, PROMPTS).noise)


def test_across_models_the_text_is_left_out_and_small_latents_lie_in_large_ones(pipeline, tmp_path):
    torch.manual_seed(0)
    network = NPNet(replace(CONFIG, size=16, tokens=9, width=5)).eval()
    for scalar in (network.alpha, network.beta):
        torch.nn.init.constant_(scalar, 0.5)
    save_artefact(tmp_path, network, {})
    with pytest.raises(NotSupported, match=r"npnet\(cross_model=True\)"):
        method(tmp_path)(pipeline, PROMPTS)
    chosen = method(tmp_path, cross_model=True)
    assert "cross_model=True" in str(chosen)
    result = chosen(pipeline, PROMPTS, seeds=[0, 1])
    source = NoiseSource(pipeline.noise_shape, result.prompts, result.seeds)
    large = torch.empty(6, 4, 16, 16)
    for place, noise in (
        ((0, 0), result.initial), ((0, 1), source.step(0)), ((1, 0), source.step(1)), ((1, 1), source.step(2))
    ):  # fmt: skip
        large[:, :, place[0] :: 2, place[1] :: 2] = noise
    network.text = network.alpha = None
    with torch.no_grad():
        torch.testing.assert_close(result.noise, network(large, None)[:, :, ::2, ::2])
    assert (result.noise - result.initial).abs().max() > 0.01
    alone = chosen(pipeline, PROMPTS[2], seeds=[1])
    torch.testing.assert_close(alone.noise, result.noise[-1:], atol=1e-4, rtol=0)
    with pytest.raises(NotSupported, match=r"cannot serve a model whose latents are \(1, 4, 4\)"):
        chosen(AnalyticModel(), PROMPTS)

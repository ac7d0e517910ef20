"""Hypernetworks on disk and as a method: what is written is what is read, the published layout loads, misfits are named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from noisekit.errors import BadValue, CorruptWeights, NotSupported
from noisekit.hypernoise.artefact import COPY, LORA, artefact_hash, load_predictor, save_artefact
from noisekit.hypernoise.predictor import untrained
from noisekit.methods import load_method
from noisekit.models import load_model
from noisekit.models.analytic import AnalyticModel
from noisekit.models.cards import Card
from noisekit.models.sana import SanaSprint
from noisekit.models.stable_diffusion import StableDiffusion
from noisekit.testing import MethodConformance
from tests.pipelines import sana, stable_diffusion

PROMPTS = ["a red circle", "two blue squares", "a green triangle above a cyan circle"]


@pytest.fixture(scope="module")
def turbo() -> Any:
    return load_model("tiny-turbo", device="cpu")


@pytest.fixture(scope="module")
def sprint() -> Any:
    card = Card(
        "sprint", steps=1, guidance=4.5, guidance_embedded=True, markers=("differentiable",), dtype="fp32"
    )
    return SanaSprint(sana(sprint=True), card)


def shaken(model: Any, kind: Any) -> Any:
    """A predictor with random weights where it would be trained."""
    predictor = untrained(model, kind, rank=4)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for own in predictor.parameters():
            if own.requires_grad:
                own.add_(0.02 * torch.randn(own.shape, generator=generator))
    return predictor


@pytest.fixture(scope="module", params=["lora", pytest.param("copy", marks=pytest.mark.slow)])
def artefact(request: pytest.FixtureRequest, turbo: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("hypernoise") / request.param
    save_artefact(folder, shaken(turbo, request.param), {"optimised": ["hps", "pick_score"]})
    return folder


def test_what_is_written_is_what_is_read(turbo: Any, artefact: Path, tmp_path: Path) -> None:
    noise = torch.randn(3, *turbo.noise_shape, generator=torch.Generator().manual_seed(0))
    conditioning = turbo.encode(PROMPTS)
    made, read = shaken(turbo, artefact.name), load_predictor(artefact, turbo)
    with torch.no_grad():
        torch.testing.assert_close(read(noise, conditioning), made(noise, conditioning), atol=0.02, rtol=0.02)
    config = json.loads((artefact / (COPY if artefact.name == "copy" else LORA)[0]).read_text())
    assert not [value for value in config.values() if isinstance(value, str) and "/" in value]
    save_artefact(tmp_path, read, {}, half=False)
    again = load_predictor(tmp_path, turbo)
    with torch.no_grad():
        assert torch.equal(again(noise, conditioning), read(noise, conditioning))


def test_as_a_method_a_batch_equals_its_singles_at_the_announced_cost(turbo: Any, artefact: Path) -> None:
    method = load_method(f"hypernoise(artefact={str(artefact)!r})")
    assert method.optimised == {"hps", "pick_score"}
    batch = method(turbo, PROMPTS, seeds=[0, 1])
    assert len(batch.trace) == 1
    assert batch.score is None
    assert (batch.noise - batch.initial).flatten(1).norm(dim=1).min() > 1e-2
    laws = MethodConformance()
    laws.test_the_announced_cost_is_the_cost(method, turbo, PROMPTS)
    laws.test_the_announced_operations_are_those_that_were_counted(method, turbo, PROMPTS)
    # A network as large as the denoiser, beside it and the decoder.
    assert batch.cost.equivalents == pytest.approx(
        2 + turbo.flops("decoder") / turbo.flops(), rel=0.02 if artefact.name == "copy" else 0.2
    )
    singles = [method(turbo, [text], seeds=[seed]) for text in PROMPTS for seed in (0, 1)]
    torch.testing.assert_close(batch.noise, torch.cat([one.noise for one in singles]), atol=1e-4, rtol=0)
    again = turbo.decode(turbo.sample(batch.noise, turbo.encode(list(batch.prompts))))
    torch.testing.assert_close(batch.images, again, atol=1e-4, rtol=0)
    ours = method.dependencies(torch.device("cpu"))
    assert ours == {"hypernoise": artefact_hash(artefact)}


def test_it_goes_before_and_around_other_methods(turbo: Any, artefact: Path) -> None:
    first = f"hypernoise(artefact={str(artefact)!r})"
    for spec in (f"then({first}, reno(steps=2, rewards='hps:1'))", f"best_of({first}, n=2, rewards='hps:1')"):
        result = load_method(spec)(turbo, PROMPTS[:2])
        assert result.score is not None
        assert result.cost.predictor == (1 if spec.startswith("then") else 2)


def test_other_steps_of_the_same_network_take_it_too(artefact: Path) -> None:
    two = load_model("tiny-turbo(steps=2)", device="cpu")
    result = load_method(f"hypernoise(artefact={str(artefact)!r})")(two, PROMPTS[:1])
    assert result.cost.predictor == 1
    assert result.cost.denoiser == 2


def test_an_adapter_as_peft_saves_it_loads_and_gives_what_the_authors_code_gives(
    sprint: Any, tmp_path: Path
) -> None:
    """The layout of the published one: all layers adapted, the last giving its low-rank part alone, told timestep 1."""
    from peft import LoraConfig, get_peft_model

    wrapped = copy.deepcopy(sprint.denoiser)
    layers = [
        name
        for name, layer in wrapped.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and getattr(layer, "groups", 1) == 1
    ]
    config = LoraConfig(r=4, lora_alpha=8, target_modules=layers, init_lora_weights=False)
    torch.manual_seed(0)
    adapted = get_peft_model(wrapped, config)
    adapted.save_pretrained(tmp_path)
    with torch.no_grad():
        for tensor in adapted.base_model.model.proj_out.base_layer.parameters():
            tensor.zero_()
        noise = torch.randn(3, *sprint.noise_shape, generator=torch.Generator().manual_seed(0))
        conditioning = sprint.encode(PROMPTS)
        expected = adapted(
            hidden_states=noise,
            encoder_hidden_states=conditioning.positive,
            encoder_attention_mask=conditioning.added["mask"][0],
            guidance=torch.full((3,), 4.5) * wrapped.config.guidance_embeds_scale,
            timestep=torch.ones(3),
            return_dict=False,
        )[0]
        found = load_predictor(tmp_path, sprint)(noise, conditioning)
    assert expected.abs().mean() > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    method = load_method(f"hypernoise(artefact={str(tmp_path)!r})")
    assert method.optimised == frozenset()
    torch.testing.assert_close(
        method(sprint, PROMPTS[:1]).noise,
        method(sprint, PROMPTS[:1]).initial + load_predictor(tmp_path, sprint)(
            method(sprint, PROMPTS[:1]).initial, sprint.encode(PROMPTS[:1])
        ),
        atol=1e-4,
        rtol=0,
    )  # fmt: skip


def test_the_card_of_the_published_model_names_the_published_adapter() -> None:
    from noisekit.methods.hypernoise import HyperNoise
    from noisekit.models.cards import cards
    from noisekit.models.outline import outline

    method = HyperNoise().resolved(outline("sana-sprint-0.6b"))
    assert method.artefact == "lucaeyring/HyperNoise_Sana_Sprint_0.6B"
    assert "hypernoise" not in cards()["sana-sprint"].methods  # which is larger


def test_it_is_refused_where_it_does_not_fit(turbo: Any, artefact: Path, tmp_path: Path) -> None:
    other = StableDiffusion(
        stable_diffusion(), Card("toy", steps=1, guidance=0.0, markers=("differentiable",))
    )
    method = load_method(f"hypernoise(artefact={str(artefact)!r})")
    with pytest.raises(NotSupported, match="does not fit the denoiser of model 'toy'"):
        method(other, PROMPTS[:1])
    with pytest.raises(NotSupported, match="no denoiser of diffusers"):
        method(AnalyticModel(steps=1), PROMPTS[:1])
    with pytest.raises(NotSupported, match="noisekit learn rewards"):
        load_method("hypernoise")(load_model("tiny", device="cpu"), PROMPTS[:1])
    with pytest.raises(BadValue, match=r"no folder with config\.json or adapter_config\.json"):
        load_method(f"hypernoise(artefact={str(tmp_path)!r})")(turbo, PROMPTS[:1])
    with pytest.raises(BadValue, match=r"artefact 'some/where' of hypernoise is no file or folder here"):
        load_method("hypernoise(artefact='some/where')")(turbo, PROMPTS[:1])


@pytest.mark.parametrize("harm", ["missing", "cut", "not finite", "no object", "card"])
def test_damage_is_named(turbo: Any, artefact: Path, harm: str, tmp_path: Path) -> None:
    files = COPY if artefact.name == "copy" else LORA
    for name in (*files, "card.json"):
        (tmp_path / name).write_bytes((artefact / name).read_bytes())
    weights = tmp_path / files[1]
    if harm == "missing":
        weights.unlink()
    elif harm == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif harm == "not finite":
        tensors = load_file(weights)
        next(iter(tensors.values()))[0] = torch.nan
        save_file(tensors, weights)
    else:
        (tmp_path / ("card.json" if harm == "card" else files[0])).write_text(json.dumps([1]))
    method = load_method(f"hypernoise(artefact={str(tmp_path)!r})")

    def used() -> None:
        assert method.optimised
        method(turbo, PROMPTS[:1])

    with pytest.raises(CorruptWeights, match=str(tmp_path)):
        used()

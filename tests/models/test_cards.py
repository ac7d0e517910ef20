"""Every card of a model around a UNet, run as it says on a toy pipeline of its family, and the papers' settings in cards."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from noisekit import registry
from noisekit.image_prompts import ControlledPrompt
from noisekit.methods import load_method
from noisekit.models import Marker
from noisekit.models.building import build
from noisekit.models.cards import Card, cards
from noisekit.models.loading import ADAPTERS, assemble
from noisekit.models.memory import Placement
from noisekit.models.outline import Outline
from noisekit.noise import NoiseSource
from tests.pipelines import controlled_sdxl, lcm_sdxl, sdxl, stable_diffusion

EDGES = Image.linear_gradient("L")
PROMPTS = [ControlledPrompt(text, EDGES) for text in ("a red circle", "two blue squares", "a")]

#: The toy that stands for a card's files.
TOYS = {
    "sd-turbo": stable_diffusion,
    "sd-1.4": stable_diffusion,
    "sd-1.5": stable_diffusion,
    "sd-2.1": lambda: stable_diffusion("v_prediction"),
    "sd-2.1-base": stable_diffusion,
    "sdxl": sdxl,
    "sdxl-turbo": sdxl,
    "sdxl-ays": sdxl,
    "sdxl-dpo": sdxl,
    "sdxl-lightning": sdxl,
    "sdxl-lcm": lcm_sdxl,
    "sdxl-canny": controlled_sdxl,
    "hyper-sdxl": sdxl,
    "dreamshaper-xl-v2-turbo": sdxl,
}

#: Cards of which each runs in a way of its own; the others where there is time.
DISTINCT = [
    pytest.param(name, marks=() if name in ("sd-turbo", "hyper-sdxl", "sdxl-canny") else pytest.mark.slow)
    for name in TOYS
]

#: The same of sampling, where classes, steps or schedules differ.
SAMPLED = [
    name
    if name in ("sd-turbo", "sd-2.1", "sdxl-ays", "sdxl-lightning", "sdxl-lcm", "sdxl-canny", "hyper-sdxl")
    else pytest.param(name, marks=pytest.mark.slow)
    for name in TOYS
]


def toy(card: Card, pipe: object, **settings: object) -> object:
    """The card's model on a toy's weights: all that it says but where the files are, and their size."""
    own = replace(card, repo="", unet=None, vae=None, controlnet=None, size=None, variant=None, **settings)
    return assemble(pipe, own, Placement("cpu"), move=True)


@pytest.fixture(scope="module", params=SAMPLED)
def model(request):
    card = cards()[request.param]
    return toy(card, TOYS[request.param](), steps=card.steps if card.timesteps else min(card.steps, 4))


def test_standard_sampling_is_the_pipelines_own_and_a_batch_its_singles(model):
    source = NoiseSource(model.noise_shape, PROMPTS, [0] * 3)
    result = load_method("standard")(model, PROMPTS)
    image = {"image": model.control_images(PROMPTS)} if hasattr(model, "control_images") else {}
    latents = model.pipe_latents(result.noise)
    draws = source.sampler_generators()
    texts = [str(prompt) for prompt in PROMPTS]
    theirs = model.pipe(texts, latents=latents, generator=draws, **image, **model.call_kwargs).images
    torch.testing.assert_close(result.images, theirs, atol=1e-4, rtol=0)
    for i, prompt in enumerate(PROMPTS):
        alone = load_method("standard")(model, [prompt])
        torch.testing.assert_close(alone.images[0], result.images[i], atol=2e-4, rtol=0)


def test_a_card_tells_what_the_loaded_model_costs_and_can_do(model):
    sketch = Outline(model.card)
    assert (sketch.label, sketch.markers) == (model.label, model.markers)
    assert sketch.sample_cost() == model.sample_cost()
    for guidance in (0.0, 1.0, 1.5, 7.5):
        assert sketch.predict_cost(guidance) == model.predict_cost(guidance)
    for name in ("standard", "selection", "cosine", "best_of(n=3)"):
        assert load_method(name).cost(sketch) == load_method(name).cost(model)


@pytest.mark.parametrize("model", DISTINCT, indirect=True)
def test_markers_hold(model):
    source = NoiseSource(model.noise_shape, PROMPTS[:1], [0])
    conditioning = model.encode(PROMPTS[:1])
    assert (Marker.ONE_STEP in model.markers) == (model.card.steps == 1)
    if Marker.INVERTIBLE in model.markers:
        found = load_method("cosine(steps=1)")(model, PROMPTS[:1])  # with the card's own round trip
        assert torch.isfinite(found.score).all()
        assert found.trace.points[-1].cost.denoiser > 0
    assert Marker.DIFFERENTIABLE in model.markers
    leaf = source.initial.requires_grad_()
    latents = model.sample(leaf, conditioning, source.sampler_generators(), min(model.card.steps, 2))
    (gradient,) = torch.autograd.grad(model.decode(latents / 10).sum(), leaf)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0


def test_the_papers_settings_resolve_for_every_method(model):
    for name in registry.METHODS:
        if name in ("then", "transfer"):
            continue
        method = load_method(name).resolved(model)
        assert method.name == name
    lr = load_method("cosine").resolved(model).lr_per_element
    assert lr == pytest.approx(
        {"sd-turbo": 100 / 128**2, "sdxl-turbo": 100 / 128**2}.get(model.name, 100 / 65536), rel=1e-2
    )


def test_turbo_models_are_inverted_on_their_trailing_timesteps():
    """Their own sampler draws noise on the way; the round trip is DDIM's, as the selection paper's four steps."""
    for name in ("sdxl-turbo", "sdxl-lightning"):
        model = toy(cards()[name], sdxl())
        assert load_method("selection").resolved(model).round_trip_steps == 4
        assert model.grid(4).timesteps.tolist() == [999, 749, 499, 249]
    hyper = toy(cards()["hyper-sdxl"], sdxl())
    assert hyper.schedule(1).timesteps.tolist() == [800]
    assert hyper.pipe.scheduler.config.timestep_spacing == "leading"
    assert load_method("reno").resolved(hyper).lr == 10


def test_parts_that_must_be_fp32_are(tmp_path):
    """Hyper-SDXL's autoencoder comes from plain files and stays fp32 beside a UNet in half precision."""
    sdxl().save_pretrained(tmp_path / "toy")
    card = replace(
        cards()["hyper-sdxl"], repo=str(tmp_path / "toy"), unet=None, vae=None, variant=None, size=None
    )
    pipe = build(card, torch.float16, tuple(ADAPTERS))
    assert pipe.vae.dtype == torch.float32
    assert pipe.unet.dtype == torch.float16
    model = assemble(pipe, card, Placement("cpu"), move=True)
    result = load_method("standard")(model, PROMPTS)
    texts = [str(prompt) for prompt in PROMPTS]
    theirs = pipe(texts, latents=model.pipe_latents(result.noise), **model.call_kwargs).images
    assert (result.images - theirs).abs().mean() < 0.02

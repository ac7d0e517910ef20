"""Every family around a UNet on random weights: diffusers' own image, what methods do with it, number types."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from PIL import Image

from noisekit.cost import Meter
from noisekit.errors import BadValue
from noisekit.image_prompts import ControlledPrompt
from noisekit.methods import load_method
from noisekit.models import Marker, load_model
from noisekit.models.precision import overflows
from noisekit.noise import NoiseSource
from tests.pipelines import controlled_sdxl, lcm_sdxl, sdxl, stable_diffusion

TEXTS = ["a red circle", "two blue squares", "a"]
TRAILING = {"timestep_spacing": "trailing"}


def edges(seed: int) -> Image.Image:
    """A control image, larger than the toy models' images and not square."""
    pixels = torch.rand(20, 24, 3, generator=torch.Generator().manual_seed(seed))
    return Image.fromarray((pixels * 255).byte().numpy())


CONTROLLED = [ControlledPrompt(text, edges(i)) for i, text in enumerate(TEXTS)]


@dataclass(frozen=True)
class Family:
    """How a family's toy pipeline is made and run. twice: whether guidance takes two evaluations."""

    make: Callable[[], Any]
    settings: Mapping[str, Any] = field(default_factory=lambda: {"steps": 4, "guidance": 3.0})
    prompts: list[str] = field(default_factory=lambda: TEXTS)
    twice: bool = True


FAMILIES = {
    "sd": Family(stable_diffusion),
    "sd-v": Family(lambda: stable_diffusion("v_prediction")),
    "sdxl": Family(sdxl),
    "sdxl-turbo": Family(
        lambda: sdxl(**TRAILING), {"steps": 1, "guidance": 0.0, "scheduler": "euler_a"}, twice=False
    ),
    "sdxl-lcm": Family(lcm_sdxl, {"steps": 4, "guidance": 8.0}, twice=False),
    "sdxl-canny": Family(
        controlled_sdxl, {"steps": 3, "guidance": 3.0, "control_scale": 0.7}, prompts=CONTROLLED
    ),
}

#: The family on which every law is tried; the rest of them where there is time.
USUAL = "sdxl-turbo"


def where_there_is_time(name: str, *values: Any) -> Any:
    return pytest.param(name, *values, marks=() if name == USUAL else pytest.mark.slow)


IN_SHORT = [where_there_is_time(name) for name in FAMILIES]

#: Methods at toy cost, by what they need of a model.
INVERTING = [
    "selection(candidates=3, round_trip_steps=2)",
    "cosine(steps=2, round_trip_steps=2, lr_per_element=0.05)",
    "inversion",
    "repaint",
]
CLIMBING = ["reno(steps=3, lr=1.0, weights='tiny', rewards='hps:1')"]
ANYWHERE = [
    "standard",
    "best_of(n=2, weights='tiny', rewards='hps:1')",
    "random_search(steps=2, weights='tiny', rewards='hps:1')",
    "zero_order(steps=1, weights='tiny', rewards='hps:1')",
]


def loaded(family: Family, **settings: Any) -> Any:
    pipe = family.make()
    if "control_scale" in family.settings:
        return controlled(pipe, **settings)
    return load_model(pipe, **(dict(family.settings) | settings))


def controlled(pipe: Any, **settings: Any) -> Any:
    return load_model(pipe, **({"steps": 3, "guidance": 3.0, "control_scale": 0.7} | settings))


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return FAMILIES[request.param]


@pytest.fixture(scope="module")
def model(family):
    return loaded(family)


def draws(model, prompts):
    return NoiseSource(model.noise_shape, prompts, [3] * len(prompts))


def own_call(model, prompts, noise, generators):
    """The images of the pipeline's own call."""
    image = {"image": model.control_images(prompts)} if hasattr(model, "control_images") else {}
    texts = [str(prompt) for prompt in prompts]
    latents = model.pipe_latents(noise)
    return model.pipe(texts, latents=latents, generator=generators, **image, **model.call_kwargs).images


@pytest.mark.parametrize(("guidance", "size"), [(0.0, None), (2.5, (24, 16))])
def test_the_pipelines_own_call_gives_the_same_image(family, guidance, size):
    model = loaded(family, guidance=guidance, size=size)
    source = draws(model, family.prompts)
    result = load_method("standard")(model, family.prompts, seeds=[3])
    theirs = own_call(model, family.prompts, result.noise, source.sampler_generators())
    assert result.images.shape[2:] == (size or (16, 16))
    torch.testing.assert_close(result.images, theirs, atol=1e-4, rtol=0)


def test_a_found_noise_gives_its_image_in_the_pipelines_own_call(family, model):
    result = load_method(INVERTING[1])(model, family.prompts)
    assert (result.noise - result.initial).abs().max() > 1e-2
    generators = NoiseSource(model.noise_shape, family.prompts, [0] * 3).sampler_generators()
    theirs = own_call(model, family.prompts, result.noise, generators)
    torch.testing.assert_close(result.images, theirs, atol=1e-4, rtol=0)


#: Every method on the usual family; on the one that is led by images, those that repeat, invert and climb.
METHODS = [
    where_there_is_time(name, spec) for name in FAMILIES for spec in INVERTING + CLIMBING + ANYWHERE
] + [("sdxl-canny", spec) for spec in (*INVERTING[:1], *CLIMBING)]


@pytest.mark.parametrize(("family", "spec"), METHODS, indirect=["family"])
def test_every_method_gives_a_batch_its_singles(family, model, spec):
    if spec in CLIMBING and Marker.ONE_STEP not in model.markers:
        spec = spec.replace(")", ", through_steps=2)")
    method, prompts = load_method(spec), family.prompts
    batch = method(model, prompts, seeds=[5])
    assert torch.isfinite(batch.images).all()
    for i, prompt in enumerate(prompts):
        alone = method(model, [prompt], seeds=[5])
        torch.testing.assert_close(alone.noise[0], batch.noise[i], atol=2e-4, rtol=0)
        torch.testing.assert_close(alone.images[0], batch.images[i], atol=2e-4, rtol=0)
        if batch.score is not None:
            torch.testing.assert_close(alone.score[0], batch.score[i], atol=1e-4, rtol=1e-4)
    moved = (batch.noise - batch.initial).abs().max()
    assert (moved > 1e-4) == (spec != "standard")


def test_the_gradient_to_the_noise_agrees_with_finite_differences(family):
    model = loaded(family)
    for network in model.networks.values():
        network.double()
    model._texts.forget()
    conditioning = model.encode(family.prompts[:1])
    source = draws(model, family.prompts[:1])
    noise, direction = source.initial.double(), source.step(1).double()
    weight = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)).double()

    def score(x):
        latents = model.sample(x, conditioning, source.sampler_generators())
        return (model.decode(latents / 10).double() * weight).sum()  # away from where images are clamped

    leaf = noise.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(score(leaf), leaf)
    with torch.no_grad():
        slope = (score(noise + 1e-3 * direction) - score(noise - 1e-3 * direction)) / 2e-3
    assert (gradient * direction).sum().item() == pytest.approx(slope.item(), rel=0.02, abs=5e-3)
    assert gradient.abs().max() > 1e-4


def test_evaluations_are_counted_as_they_are_announced(family, model):
    source = draws(model, family.prompts)
    with Meter(samples=3) as meter:
        model.decode(model.sample(source.initial, model.encode(family.prompts), source.sampler_generators()))
    assert meter.cost.denoiser == model.sample_cost().denoiser
    assert meter.cost.denoiser == model.card.steps * (1 + family.twice)
    assert meter.cost.decoder == 1
    flops = meter.priced(model.flops()).flops
    assert flops == pytest.approx(meter.cost.denoiser * model.flops() + model.flops("decoder"))
    assert model.flops() > 1e5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", IN_SHORT, indirect=True)
def test_half_precision_stays_near_and_keeps_the_noise_in_fp32(family, dtype):
    full, half = loaded(family), loaded(family)
    for network in half.networks.values():
        network.to(dtype)
    half._texts.forget()
    images = [load_method("standard")(m, family.prompts).images for m in (full, half)]
    assert (images[0] - images[1]).abs().mean() < 0.03
    found = load_method("cosine(steps=1, round_trip_steps=2, lr_per_element=0.05)")(half, family.prompts[:2])
    assert found.noise.dtype == torch.float32
    assert torch.isfinite(found.images).all()
    climbing = CLIMBING[0].replace(")", ", through_steps=1)")
    assert torch.isfinite(load_method(climbing)(half, family.prompts[:2]).noise).all()


def test_sdxls_autoencoder_is_widened_where_it_would_overflow():
    """In fp16 it is turned to fp32 for good, and the pipeline's own call works on."""
    pipe = sdxl().to(torch.float16)
    assert overflows(pipe.vae)
    model = load_model(pipe, steps=2, guidance=2.0)
    assert pipe.vae.dtype == torch.float32
    assert pipe.unet.dtype == torch.float16
    result = load_method("standard")(model, TEXTS)
    theirs = own_call(model, TEXTS, result.noise, None)
    torch.testing.assert_close(result.images, theirs, atol=2e-2, rtol=0)  # its state between steps is fp16
    brain = load_model(sdxl().to(torch.bfloat16))
    assert brain.pipe.vae.dtype == torch.bfloat16  # whose range is fp32's


def test_copies_of_a_batch_are_predicted_as_the_batch_is(family, model):
    """Everything that a prompt brings is copied in one order: sample i of copy k stands at k·B + i."""
    conditioning, x = model.encode(family.prompts), draws(model, family.prompts).initial
    t, guidance = torch.tensor(500), model.card.guidance
    once = model.predict(x, t, conditioning, guidance)
    twice = model.predict(torch.cat([x, x]), t, conditioning.repeat(2), guidance)
    torch.testing.assert_close(twice, torch.cat([once, once]), atol=1e-4, rtol=0)


class TestNoPrompt:
    """What stands for no prompt under guidance."""

    def test_sdxl_is_told_zeros_where_its_pipeline_says_so(self):
        zeros = load_model(sdxl()).encode(["a"])
        assert zeros.negative.abs().max() == 0
        assert zeros.added["pooled"][1].abs().max() == 0
        pipe = sdxl()
        pipe.register_to_config(force_zeros_for_empty_prompt=False)
        empty = load_model(pipe).encode(["", "a"])
        torch.testing.assert_close(empty.negative, empty.positive[:1])

    def test_a_model_that_is_told_the_scale_hears_it(self):
        weak, strong = (load_model(lcm_sdxl(), steps=1, guidance=scale) for scale in (2.0, 8.0))
        x, t = draws(weak, TEXTS).initial, torch.tensor(999)
        one, other = (m.predict(x, t, m.encode(TEXTS), m.card.guidance) for m in (weak, strong))
        assert (one - other).abs().max() > 1e-3


class TestControl:
    """A control image is part of the prompt."""

    def test_another_image_gives_another_image(self):
        model = controlled(controlled_sdxl())
        method = load_method("standard")
        one, other = (method(model, [ControlledPrompt("a circle", edges(seed))]).images for seed in (0, 1))
        assert (one - other).abs().max() > 1e-3
        without = controlled(controlled_sdxl(), control_scale=0.0)
        free = [method(without, [ControlledPrompt("a circle", edges(seed))]).images for seed in (0, 1)]
        assert torch.equal(*free)
        assert model.identity != without.identity

    def test_a_prompt_without_one_is_refused(self):
        model = controlled(controlled_sdxl())
        for spec in ("standard", INVERTING[0], CLIMBING[0].replace(")", ", through_steps=1)")):
            with pytest.raises(
                BadValue, match=r"prompt 'a circle' has none; give a prompt file with the col"
            ):
                load_method(spec)(model, ["a circle"])

    def test_other_models_read_its_text(self):
        model = load_model(sdxl(), steps=2)
        method = load_method("standard")
        shown, told = method(model, CONTROLLED), method(model, TEXTS)
        assert torch.equal(shown.noise, told.noise)
        torch.testing.assert_close(shown.images, told.images, rtol=0, atol=1e-5)  # each encodes its prompts

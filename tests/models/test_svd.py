"""Stable Video Diffusion and SV3D-U: as their pipeline's own call, invertible as the paper says, and true gradients."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from noisekit.errors import BadValue, NotSupported
from noisekit.image_prompts import ImagePrompt
from noisekit.methods import load_method
from noisekit.models import load_model
from noisekit.models.outline import outline
from noisekit.models.sv3d import guidance_by_frame
from noisekit.noise import NoiseSource
from noisekit.solvers import DDIM, Euler
from tests.pipelines import svd

KINDS = [False, True]
CLIMB = "reno(steps=2, lr=0.5, through_steps=1, rewards='clip_score:1', weights='tiny')"
#: The pipelines, which loading leaves as they are.
toy = cache(svd)
SETTINGS: dict[str, Any] = {"size": 16, "steps": 2}
#: An input that is larger than the frames, and one that is not square.
PROMPTS = [ImagePrompt("", Image.radial_gradient("L")), ImagePrompt("a shade", Image.linear_gradient("L"))]


def noises(model: Any, prompts: list[ImagePrompt] = PROMPTS) -> Tensor:
    return NoiseSource(model.noise_shape, prompts, [0] * len(prompts)).initial


def made(model: Any, noise: Tensor, prompts: list[ImagePrompt] = PROMPTS) -> Tensor:
    images: Tensor = model.decode(model.sample(noise, model.encode(prompts)))
    return images


def own_call(model: Any, noise: Tensor, prompts: list[ImagePrompt] = PROMPTS) -> Tensor:
    told = model.call_inputs(prompts) | model.call_kwargs
    frames: Tensor = model.pipe(latents=model.pipe_latents(noise), **told).frames
    return frames


class TestAsItsPipeline:
    @pytest.mark.parametrize("guidance", [1.0, 2.5])
    @pytest.mark.parametrize("orbit", KINDS)
    def test_the_frames_are_those_of_its_own_call(self, orbit: bool, guidance: float) -> None:
        model = load_model(toy(orbit=orbit), guidance=guidance, **SETTINGS)
        noise = noises(model)
        assert noise.shape == (2, 3, 4, 8, 8)
        frames = made(model, noise)
        assert frames.shape == (2, 3, 3, 16, 16)
        torch.testing.assert_close(frames, own_call(model, noise), atol=1e-4, rtol=0)
        assert (frames[:, 0] - frames[:, 1]).abs().max() > 1e-3
        one = made(model, noise[:1], PROMPTS[:1])
        assert torch.equal(one, own_call(model, noise[:1], PROMPTS[:1]))

    def test_svd_is_that_of_the_stock_pipeline(self) -> None:
        """Called by hand, with nothing of ours between."""
        pipe = toy()
        model = load_model(pipe, guidance=3.0, **SETTINGS)
        noise = noises(model)[:1]
        stock = pipe(
            PROMPTS[0].image,
            height=16,
            width=16,
            num_frames=3,
            num_inference_steps=2,
            latents=noise,
            generator=model.call_inputs(PROMPTS[:1])["generator"],
            output_type="pt",
        ).frames
        assert torch.equal(made(model, noise, PROMPTS[:1]), stock)

    def test_sv3d_by_hand(self) -> None:
        """Its sampler, guidance and decoder in a few lines: there is no call of its own to compare with."""
        pipe = toy(orbit=True)
        model = load_model(pipe, guidance=2.5, **SETTINGS)
        noise, conditioning = noises(model)[:1], model.encode(PROMPTS[:1])
        image, ids = conditioning.added["image"][0], torch.tensor([[1e-5]])
        weights = torch.tensor([1.0, 2.5, 1.0]).view(1, 3, 1, 1, 1)
        ramp = torch.linspace(0, 1, 2, dtype=torch.float64)
        sigmas = [*((700 ** (1 / 7) + ramp * (0.002 ** (1 / 7) - 700 ** (1 / 7))) ** 7).tolist(), 0.0]
        state = noise * math.hypot(sigmas[0], 1)
        for now, after in pairwise(sigmas):
            t, given = torch.tensor(math.log(now) / 4), state / math.hypot(now, 1)
            u = []
            for text, latent in ((conditioning.positive * 0, image * 0), (conditioning.positive, image)):
                x = torch.cat([given, latent[:, None].expand_as(given)], 2)
                u.append(pipe.unet(x, t, encoder_hidden_states=text, added_time_ids=ids).sample)
            guided = u[0] + weights * (u[1] - u[0])
            denoised = state / (now**2 + 1) - now / math.hypot(now, 1) * guided
            state = state + (after - now) / now * (state - denoised)
        frames = [pipe.vae.decode(frame / 0.18215).sample / 2 + 0.5 for frame in state[0].split(1)]
        expected = torch.cat(frames).clamp(0, 1)
        torch.testing.assert_close(made(model, noise, PROMPTS[:1])[0], expected, atol=1e-3, rtol=0)

    @pytest.mark.parametrize("orbit", KINDS)
    def test_a_batch_equals_its_singles(self, orbit: bool) -> None:
        model = load_model(toy(orbit=orbit), decode_chunk=2, **SETTINGS)
        noise = noises(model)
        singles = [made(model, noise[i : i + 1], PROMPTS[i : i + 1]) for i in (0, 1)]
        torch.testing.assert_close(made(model, noise), torch.cat(singles), atol=1e-4, rtol=0)

    def test_the_chunk_counts_where_frames_see_each_other(self) -> None:
        chunked = [load_model(toy(orbit=orbit), decode_chunk=1, **SETTINGS) for orbit in KINDS]
        whole = [load_model(toy(orbit=orbit), **SETTINGS) for orbit in KINDS]
        latents = noises(whole[0])
        pairs = zip(chunked, whole, strict=True)
        differ = [(a.decode(latents) - b.decode(latents)).abs().max() for a, b in pairs]
        assert differ[0] > 1e-3
        assert differ[1] < 1e-4
        assert chunked[0].identity != whole[0].identity
        assert chunked[1].identity == whole[1].identity


class TestThereAndBack:
    def test_guidance_by_frame(self) -> None:
        triangle = guidance_by_frame(2.5, 21, "triangle")
        torch.testing.assert_close(triangle[:11], 1 + 0.15 * torch.arange(11))
        torch.testing.assert_close(triangle, triangle.flip(0))
        torch.testing.assert_close(guidance_by_frame(3.0, 3, "linear"), torch.tensor([1.0, 2.0, 3.0]))

    @pytest.mark.parametrize("reading", ["target", "literal", "current"])
    def test_euler_is_equation_6(self, reading: Any) -> None:
        model = load_model(toy(orbit=True), guidance=2.5, **SETTINGS)
        noise, conditioning = noises(model), model.encode(PROMPTS)
        grid = model.grid(3)

        def u(x: Tensor, t: Tensor) -> Tensor:
            return model.predict(x, t, conditioning, 2.5)

        clean = Euler().denoise(u, noise, grid)
        torch.testing.assert_close(clean, DDIM().denoise(u, noise, grid), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(clean, model.sample(noise, conditioning, steps=3), atol=1e-4, rtol=1e-4)
        sigmas = [*torch.exp(4 * grid.timesteps.double()).tolist(), 0.0]
        x = clean
        for now, after in zip(sigmas[:0:-1], sigmas[-2::-1], strict=True):  # after: the noisier level, t + 1
            c_skip, c_out = 1 / (after**2 + 1), -after / math.sqrt(after**2 + 1)
            level, scale = {"target": (after, now), "literal": (after, after), "current": (now, now)}[reading]
            told = torch.tensor(math.log(max(level, 0.002)) / 4)
            prediction = u(x / math.sqrt(scale**2 + 1), told)
            x = (after * x + (now - after) * c_out * prediction) / ((now - after) * (1 - c_skip) + after)
        expected = x / math.sqrt(sigmas[0] ** 2 + 1)
        back = Euler(evaluate_at=reading).invert(u, clean, grid)
        torch.testing.assert_close(back, expected, atol=1e-4, rtol=1e-4)

    def test_the_literal_reading_is_eulers_alone(self) -> None:
        model = load_model(toy(orbit=True), **SETTINGS)
        for method in ("selection(evaluate_at='literal')", "cosine(evaluate_at='literal')"):
            with pytest.raises(BadValue, match="give solver='euler'"):
                load_method(method)(model, PROMPTS)

    @pytest.mark.parametrize(
        "method",
        [
            "selection(candidates=2, round_trip_steps=2)",
            "inversion",
            "pink",
            pytest.param(CLIMB, marks=pytest.mark.slow),
        ],
    )
    def test_methods_search_clips(self, method: str) -> None:
        model = load_model(toy(orbit=True), **SETTINGS)
        result = load_method(method)(model, PROMPTS)
        assert result.noise.shape == (2, *model.noise_shape)
        torch.testing.assert_close(result.images, made(model, result.noise), atol=1e-4, rtol=0)

    @pytest.mark.parametrize("checkpointing", [False, True])
    def test_the_gradient_is_the_difference(self, checkpointing: bool) -> None:
        model = load_model(
            svd(orbit=True), steps=2, size=16, checkpointing=checkpointing, device="cpu", decode_chunk=1
        )
        noise = noises(model)[:1]

        def value(x: Tensor) -> Tensor:
            return made(model, x, PROMPTS[:1]).double().square().sum()

        leaf = noise.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(value(leaf), leaf)
        along = gradient / gradient.norm()
        slope = (value(noise + 0.05 * along) - value(noise - 0.05 * along)) / 0.1
        torch.testing.assert_close(slope.float(), gradient.norm(), rtol=2e-2, atol=0)


@pytest.mark.parametrize(("card", "frames"), [("svd", 14), ("svd-xt", 25), ("sv3d-u", 21), ("sdxl", 1)])
def test_a_card_says_what_a_clip_costs_before_it_is_loaded(card: str, frames: int) -> None:
    """One call of a clip is one evaluation of the denoiser; every frame is one of each reward."""
    model = outline(card)
    cost = load_method("best_of(n=2, rewards='hps:1')").cost(model)
    assert cost.reward == 2 * frames
    assert cost.denoiser == 2 * 2 * model.card.steps


class TestPrompts:
    def test_another_image_is_another_noise_and_another_clip(self) -> None:
        model = load_model(toy(orbit=True), **SETTINGS)
        prompts = [ImagePrompt("a shade", Image.linear_gradient("L").rotate(90)), PROMPTS[1]]
        noise = noises(model, prompts)
        assert (noise[0] - noise[1]).abs().max() > 1
        images = made(model, noise[:1].expand(2, -1, -1, -1, -1), prompts)
        assert (images[0] - images[1]).abs().max() > 1e-4

    def test_a_text_is_refused(self) -> None:
        with pytest.raises(BadValue, match="makes frames of an image, and prompt 'a red circle' has none"):
            load_method("standard")(load_model(toy(), **SETTINGS), "a red circle")

    def test_what_has_no_meaning_is_refused(self) -> None:
        model = load_model(toy(), **SETTINGS)
        for method in ("npnet(artefact='npnet')", "golden_seeds(artefact='golden_seeds/tiny')", "initno"):
            with pytest.raises(NotSupported):
                load_method(method)(model, PROMPTS)
        for settings in ({"scheduler": "ddim"}, {"timesteps": [900, 400]}, {"tokens": 4}, {"frames": 0}):
            with pytest.raises((BadValue, NotSupported)) as said:
                load_model(toy(), **SETTINGS | settings)
            assert "\n" not in str(said.value)

    def test_frames_and_what_is_told_are_settings(self) -> None:
        model = load_model(toy(), frames=5, fps=12, motion_bucket=40, noise_aug=0.0, **SETTINGS)
        assert model.noise_shape[0] == 5
        assert model.numbers == [11, 40, 0.0]
        assert "frames=5" in model.label
        assert model.identity != load_model(toy(), frames=5, **SETTINGS).identity
        noise = noises(model)[:1]
        one = made(model, noise, PROMPTS[:1])
        assert torch.equal(one, own_call(model, noise, PROMPTS[:1]))

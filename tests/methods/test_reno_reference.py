"""ReNO against a plain loop on torch's own optimiser, one sample at a time, on the bundled one-step model and CLIP.

The loop shares nothing with noisekit but the weights and the initial noise: a diffusers pipeline and a transformers CLIP
give the image and its reward, the log-density of the norm is torch's, and torch clips and steps.
"""

import pytest
import torch
from transformers import AutoTokenizer, CLIPModel

from noisekit.methods import load_method
from noisekit.models import load_model
from noisekit.noise import NoiseSource
from noisekit.rewards import BUNDLED

PROMPTS = ["a red circle to the left of a blue square", "three green triangles"]
STEPS, CLIP, REGULARISATION, WEIGHT = 5, 0.1, 0.01, 0.1
LR = 1.0  # at 2, one sample runs over a cliff of the reward, and rounding grows to 2e-3 in both


@pytest.fixture(scope="module")
def turbo():
    return load_model("tiny-turbo", device="cpu")


@pytest.fixture(scope="module")
def clip():
    network = CLIPModel.from_pretrained(BUNDLED / "clip_score").float().eval().requires_grad_(False)
    return network, AutoTokenizer.from_pretrained(BUNDLED / "clip_score")


def image_of(pipe, noise, prompt):
    """One evaluation of the network and one scheduler step, decoded to (1, 3, 32, 32) in [0, 1]."""
    ids = pipe.tokenizer(prompt, padding="max_length", truncation=True, return_tensors="pt").input_ids
    pipe.scheduler.set_timesteps(1)
    (t,) = pipe.scheduler.timesteps
    velocity = pipe.unet(noise, t, pipe.text_encoder(ids)[0]).sample
    latents = pipe.scheduler.step(velocity, t, noise).prev_sample
    image = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    return (image / 2 + 0.5).clamp(0, 1)


def clip_reward(clip, image, prompt):
    """WEIGHT · 100 · cos; the image has CLIP's native size, so only colours are normalised."""
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    network, tokenizer = clip
    tokens = tokenizer(prompt, return_tensors="pt")
    output = network(tokens.input_ids, (image - mean) / std, tokens.attention_mask)
    return WEIGHT * 100 * torch.cosine_similarity(output.image_embeds, output.text_embeds).sum()


def chi_log_density(noise):
    """log p(‖ε‖) under the chi distribution, in fp64: ‖ε‖² has the chi-squared one, and dr² = 2·r·dr."""
    squared = noise.double().square().sum()
    chi2 = torch.distributions.Chi2(torch.tensor(noise.numel(), dtype=torch.float64))
    return chi2.log_prob(squared) + squared.log() / 2


@pytest.mark.parametrize("ball", ["nesterov", "heavy"])
def test_five_steps_of_a_batch_give_the_latents_of_a_plain_loop(turbo, clip, ball):
    spec = f"reno(steps={STEPS}, lr={LR}, rewards='clip_score:{WEIGHT}', weights='tiny', ball={ball!r})"
    source = NoiseSource(turbo.noise_shape, PROMPTS, [0, 1])
    search = list(load_method(spec).resolved(turbo).search(turbo, PROMPTS, source))
    clipped = 0
    for i, prompt in enumerate(PROMPTS):
        leaf = source.initial[i : i + 1].clone().requires_grad_()
        optimiser = torch.optim.SGD([leaf], lr=LR, momentum=0.9, nesterov=ball == "nesterov")
        for candidate in search:
            torch.testing.assert_close(candidate.noise[i], leaf.detach()[0], atol=1e-3, rtol=0)
            image = image_of(turbo.pipe, leaf, prompt)
            reward = clip_reward(clip, image, prompt)
            torch.testing.assert_close(candidate.score[i], reward.detach(), atol=3e-3, rtol=0)
            torch.testing.assert_close(candidate.images[i], image.detach()[0], atol=3e-3, rtol=0)
            optimiser.zero_grad()
            (-reward - REGULARISATION * chi_log_density(leaf)).backward()
            clipped += torch.nn.utils.clip_grad_norm_([leaf], CLIP).item() > CLIP
            optimiser.step()
    assert clipped  # otherwise this says nothing about clipping
    last = search[-1].noise
    assert (
        (last - source.initial).flatten(1).norm(dim=1) > 0.1
    ).all()  # nor, without movement, about the steps

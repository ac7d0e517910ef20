"""Fresh noise on the way of every family: next to none is the sampler as it is, and much of it replays from tensors."""

import pytest
import torch
from diffusers import DDIMScheduler

from noisekit.errors import NotSupported
from noisekit.models.base import Marker
from noisekit.noise import NoiseSource
from tests.models.families import FAMILIES, PROMPTS, loaded

#: Families whose pipelines bring a sampler of second order, or one of consistency models, and know no other.
REFUSED = ["sana", "sana-sprint"]


@pytest.fixture(scope="module", params=[name for name in FAMILIES if name not in REFUSED])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def pipe(name):
    """The family's pipeline; a diffusion's with DDIM, which folders of PixArt and Hunyuan-DiT do not bring."""
    pipe = FAMILIES[name].make()
    if "beta_start" in pipe.scheduler.config:
        pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    return pipe


def model_of(name, pipe, **settings):
    return loaded(FAMILIES[name], pipe, guidance=2.0, **settings)


@pytest.mark.parametrize("other", REFUSED)
def test_samplers_of_other_steps_are_refused(other):
    pipe = FAMILIES[other].make()
    says = f"{type(pipe.scheduler).__name__} takes other ones.*leave eta out"
    with pytest.raises(NotSupported, match=says):
        model_of(other, pipe, eta=0.5)


@torch.no_grad()
def test_next_to_no_fresh_noise_is_the_sampler_as_it_is(name, pipe):
    """So the walk of transitions reads every family's network and levels as its own scheduler does."""
    still, moving = (model_of(name, pipe, steps=4, **eta) for eta in ({}, {"eta": 1e-9}))
    source = NoiseSource(still.noise_shape, PROMPTS, [0, 1, 2])
    conditioning = still.encode(PROMPTS)
    expected = still.sample(source.initial, conditioning, source.sampler_generators())
    found = moving.sample(source.initial, conditioning, source.sampler_generators())
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert still.identity != moving.identity


@torch.no_grad()
def test_the_noises_that_are_drawn_replay_and_others_make_another_image(name, pipe):
    model = model_of(name, pipe, steps=3, eta=1.0)
    assert Marker.STOCHASTIC in model.markers
    source, conditioning = NoiseSource(model.noise_shape, PROMPTS, [0] * 3), model.encode(PROMPTS)
    steps = len(model.deviations())
    drawn = model.sample(source.initial, conditioning, source.sampler_generators())
    assert torch.equal(drawn, model.sample(source.initial, conditioning, injected=source.injected(steps)))
    other = model.sample(source.initial, conditioning, injected=source.particle(1).injected(steps))
    assert (other - drawn).abs().amax((1, 2, 3)).min() > 0.01
    again = NoiseSource(model.noise_shape, PROMPTS[1:2], [0])
    alone = model.sample(again.initial, model.encode(PROMPTS[1:2]), injected=again.injected(steps))
    torch.testing.assert_close(alone, drawn[1:2], atol=1e-4, rtol=0)

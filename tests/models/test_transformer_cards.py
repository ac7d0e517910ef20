"""Every card of a model around a transformer, run as it says on a toy pipeline of its family."""

from dataclasses import replace

import pytest
import torch

from noisekit.methods import load_method
from noisekit.models import Marker
from noisekit.models.cards import cards
from noisekit.models.loading import assemble
from noisekit.models.memory import Placement
from noisekit.solvers import DiffusionGrid, FlowGrid
from tests.models.families import PROMPTS, own_call
from tests.pipelines import (
    chroma,
    flux,
    flux2,
    flux2_dev,
    hunyuan,
    krea2,
    lumina2,
    pixart,
    qwen_image,
    sana,
    sd3,
    z_image,
)

#: The toy that stands for a card's files.
TOYS = {
    "flux-schnell": lambda: flux(distilled=False),
    "flux-dev": flux,
    "sd3-medium": sd3,
    "sana": sana,
    "sana-sprint": lambda: sana(sprint=True),
    "pixart": lambda: pixart(sample_size=128),
    "pixart-dmd": pixart,
    "hunyuan-dit": hunyuan,
    "z-image-turbo": z_image,
    "z-image": z_image,
    "flux2-klein": flux2,
    "flux2-klein-9b": flux2,
    "flux2-klein-base": lambda: flux2(distilled=False),
    "flux2-dev": flux2_dev,
    "qwen-image": qwen_image,
    "qwen-image-2512": qwen_image,
    "qwen-image-lightning": qwen_image,
    "sd3.5-medium": sd3,
    "sd3.5-large": sd3,
    "sd3.5-large-turbo": sd3,
    "krea2": krea2,
    "krea2-turbo": lambda: krea2(distilled=True),
    "chroma": chroma,
    "flux-krea-dev": flux,
    "lumina2": lumina2,
    "sana-1.5": sana,
    "sana-1.5-4.8b": sana,
    "sana-sprint-0.6b": lambda: sana(sprint=True),
    "pixart-sigma": lambda: pixart(sigma=True),
}

#: Cards that run as others do, where there is time.
ALIKE = {"flux2-klein-9b", "qwen-image-2512", "sd3.5-large", "flux-krea-dev", "sana-1.5", "sana-1.5-4.8b"}
ALIKE |= {"sana-sprint-0.6b", "sd3.5-medium", "z-image", "krea2"}


RUN = [pytest.param(name, marks=pytest.mark.slow if name in ALIKE else ()) for name in TOYS]

#: Cards whose few steps are those of their round trips, too.
ROUND_TRIPS = {
    **dict.fromkeys(("flux-schnell", "flux2-klein", "flux2-klein-9b", "sd3.5-large-turbo"), 4),
    **dict.fromkeys(("z-image-turbo", "qwen-image-lightning", "krea2-turbo"), 8),
}


@pytest.fixture(scope="module", params=RUN)
def model(request):
    """All that the card says but where the files are, and their size; of many steps the first three."""
    card = cards()[request.param]
    own = {"size": 32 if card.name.startswith(("sana", "hunyuan", "lumina")) else 16}
    own |= {"tokens": None if card.name == "hunyuan-dit" else 48}
    steps = card.steps if card.timesteps else min(card.steps, 3)
    own |= {"repo": "", "unet": None, "lora": None, "variant": None, "steps": steps}
    return assemble(TOYS[request.param](), replace(card, **own), Placement("cpu"), move=True)


def test_standard_sampling_is_the_pipelines_own(model):
    result = load_method("standard")(model, PROMPTS, seeds=[0])
    theirs = own_call(model, result.noise, PROMPTS, [0] * 3)
    torch.testing.assert_close(result.images, theirs, atol=1e-4, rtol=0)


def test_markers_hold(model):
    card = cards()[model.name]
    assert (Marker.ONE_STEP in model.markers) == (card.steps == 1)
    assert (Marker.INVERTIBLE in model.markers) == ("invertible" in card.markers)
    if Marker.INVERTIBLE in model.markers:
        method = load_method("selection(candidates=2)")
        few = min(method.resolved(model).round_trip_steps, 4)
        kind = DiffusionGrid if model.name in ("pixart", "pixart-sigma", "hunyuan-dit") else FlowGrid
        assert isinstance(model.grid(few), kind)
        assert torch.isfinite(replace(method, round_trip_steps=few)(model, PROMPTS[:1]).score).all()
    if Marker.ONE_STEP in model.markers:
        reno = load_method("reno(steps=2, weights='tiny', rewards='hps:1')")(model, PROMPTS[:1])
        assert torch.isfinite(reno.score).all()
        assert reno.trace.points[-1].cost.denoiser == 2
        assert reno.trace.points[-1].cost.denoiser_backward == 2


def test_the_papers_settings_resolve(model):
    reno, cosine = (load_method(name).resolved(model) for name in ("reno", "cosine"))
    assert (reno.steps, reno.lr) == (50, 5.0)
    assert cosine.lr_per_element == pytest.approx(100 / 65536)
    assert cosine.round_trip_steps == ROUND_TRIPS.get(model.name, 10)


def test_samplers_are_the_cards():
    dmd, dit = (
        assemble(TOYS[name](), replace(cards()[name], unet=None, size=None), Placement("cpu"), move=True)
        for name in ("pixart-dmd", "hunyuan-dit")
    )
    assert dmd.schedule(1).timesteps.tolist() == [400]
    assert not dmd.pipe.scheduler.config.clip_sample
    assert type(dit.pipe.scheduler).__name__ == "DPMSolverMultistepScheduler"
    assert dit.card.guidance == 5.0

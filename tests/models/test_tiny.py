"""The bundled models through the loader that published ones go through: diffusers' own image, and a batch's singles."""

import pytest
import torch

from noisekit.errors import NotSupported
from noisekit.methods import load_method
from noisekit.models import Marker, load_model
from noisekit.world import suite

PROMPTS = list(suite()[:8])
ORDER = [3, 0, 7, 1, 5, 2, 6, 4]


@pytest.fixture(scope="module", params=["tiny", "tiny-turbo"])
def model(request):
    return load_model(request.param)


def test_the_noise_found_gives_the_same_image_in_the_models_own_pipeline(model):
    spec = "cosine(steps=2)" if Marker.INVERTIBLE in model.markers else "reno(steps=3)"
    result = load_method(spec)(model, PROMPTS[:3])
    assert (result.noise - result.initial).abs().max() > 1e-2
    theirs = model.pipe(list(result.prompts), latents=result.noise, **model.call_kwargs).images
    torch.testing.assert_close(result.images, theirs, atol=1e-4, rtol=0)


def test_a_batch_of_eight_in_any_order_equals_its_singles(model):
    conditioning, shuffled = model.encode(PROMPTS), model.encode([PROMPTS[i] for i in ORDER])
    noise = torch.randn(8, *model.noise_shape, generator=torch.Generator().manual_seed(0))
    t, guidance = model.grid(5).timesteps[0], model.card.guidance
    together = model.predict(noise, t, conditioning, guidance)
    torch.testing.assert_close(
        model.predict(noise[ORDER], t, shuffled, guidance), together[ORDER], atol=1e-4, rtol=0
    )
    latents = model.sample(noise, conditioning, steps=2)
    for i, prompt in list(enumerate(PROMPTS))[::3]:
        alone = model.encode([prompt])
        torch.testing.assert_close(
            model.predict(noise[i : i + 1], t, alone, guidance), together[i : i + 1], atol=1e-4, rtol=0
        )
        torch.testing.assert_close(
            model.sample(noise[i : i + 1], alone, steps=2), latents[i : i + 1], atol=1e-4, rtol=0
        )
    assert (latents - noise).abs().max() > 0.1


@pytest.mark.slow
def test_selection_chooses_alike_in_a_batch_and_alone():
    """Candidates whose stability differs by less than the margin may change places; no others."""
    model, method, margin = (
        load_model("tiny"),
        load_method("selection(candidates=3, round_trip_steps=1)"),
        1e-4,
    )
    order = ORDER[:4]
    batch = method(model, [PROMPTS[i] for i in order])
    for place, i in enumerate(order):
        alone = method(model, [PROMPTS[i]])
        scores = torch.tensor([point.score[0] for point in alone.trace.points])
        first, second = scores.topk(2).values
        if first - second > margin:
            assert torch.equal(alone.noise[0], batch.noise[place])
        assert batch.score[place] == pytest.approx(alone.score[0].item(), abs=margin)
    changed = (batch.noise != batch.initial).flatten(1).any(1)
    assert changed.float().mean() > 0.5


def test_the_student_is_one_step_and_not_invertible():
    turbo = load_model("tiny-turbo")
    assert turbo.markers == {Marker.ONE_STEP, Marker.DIFFERENTIABLE}
    assert turbo.sample_cost().denoiser == 1
    with pytest.raises(NotSupported, match="'selection' needs a model that is invertible, but 'tiny-turbo'"):
        load_method("selection")(turbo, PROMPTS[:1])


def test_stability_and_reward_rise_on_the_bundled_models():
    fixed_point = load_method("cosine(update='fixed_point', steps=4, round_trip_steps=5)")(
        load_model("tiny"), PROMPTS[:2]
    )
    assert (fixed_point.score > torch.tensor(fixed_point.trace.points[0].score)).all()
    assert (fixed_point.score > 0.9).all()
    reno = load_method("reno(steps=3)")(load_model("tiny-turbo"), PROMPTS[:2])
    assert (reno.score > torch.tensor(reno.trace.points[0].score)).all()

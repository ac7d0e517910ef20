"""What is particular to the flows of 2026: levels, lengths of guided predictions, statistics in buffers, templates."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from noisekit.errors import BadValue, CorruptWeights, NotSupported
from noisekit.models import load_model, loading
from noisekit.models.packed import packed
from tests.models.families import FAMILIES, PROMPTS, loaded, noise_of
from tests.pipelines import flux2, flux2_dev, krea2, lumina2, qwen_image, sd3, z_image

#: Pixels of a toy's side at which it makes as many tokens as a published model does of 1024 pixels.
FULL = 256
LIGHTNING = {"base_shift": math.log(3), "max_shift": math.log(3), "shift_terminal": None}

LEVELS = {
    "z-image": (z_image, [1, 0.9545, 0.9, 0.8333, 0.75, 0.6429, 0.5, 0.3, 0]),
    "flux2-klein": (flux2, [1, 0.9674, 0.9081, 0.7672, 0]),
    "krea2-turbo": (
        lambda: krea2(distilled=True),
        [1, 0.9567, 0.9045, 0.8403, 0.7595, 0.6546, 0.5128, 0.3109, 0],
    ),
    "qwen-image, 4 steps": (lambda: qwen_image(**LIGHTNING), [1, 0.9, 0.75, 0.5, 0]),
    "qwen-image, 8 steps": (
        lambda: qwen_image(**LIGHTNING),
        [1, 0.9545, 0.9, 0.8333, 0.75, 0.6429, 0.5, 0.3, 0],
    ),
    "sd3.5-large-turbo": (sd3, [1, 0.8577, 0.6022, 0.0089, 0]),
}


@pytest.mark.parametrize("name", LEVELS)
def test_few_steps_walk_the_published_levels(name):
    make, levels = LEVELS[name]
    model = load_model(make(), size=FULL, steps=len(levels) - 1, guidance=0.0)
    sigmas = model.schedule(len(levels) - 1).sigmas
    torch.testing.assert_close(sigmas, torch.tensor(levels, dtype=sigmas.dtype), atol=6e-5, rtol=0)


@pytest.mark.parametrize(
    ("pipe", "steps", "shift"),
    [
        (lambda: qwen_image(base_image_seq_len=256, max_image_seq_len=8192), 50, 0.6935),
        (lambda: krea2(base_image_seq_len=256, max_image_seq_len=6400), 28, 0.9062),
        (flux2, 4, 2.2912),
        (flux2, 28, 2.1514),
        (flux2, 50, 2.0234),
    ],
)
def test_shifts_are_the_published_ones(pipe, steps, shift):
    model = load_model(pipe(), size=FULL, guidance=0.0)
    assert model.shift(model.pipe.scheduler.config, steps) == pytest.approx(shift, abs=6e-5)


def test_a_large_image_of_flux2_is_shifted_alike_at_any_number_of_steps():
    model = load_model(flux2(), size=(FULL, FULL + 32), guidance=0.0)
    assert model.image_tokens > 4300
    assert len({model.shift(model.pipe.scheduler.config, steps) for steps in (4, 28, 50)}) == 1


@pytest.mark.parametrize(
    ("name", "rows"), [("qwen-image", packed), ("lumina2", lambda u: u), ("z-image", None), ("krea2", None)]
)
@torch.no_grad()
def test_guided_predictions_keep_the_length_of_the_prompts_own_where_published(name, rows):
    model = loaded(FAMILIES[name], FAMILIES[name].make())
    noise, conditioning, t = noise_of(model), model.encode(PROMPTS), torch.tensor(600.0)
    own, guided, more = (model.predict(noise, t, conditioning, scale) for scale in (1.0, 3.0, 5.0))
    if rows is None:
        torch.testing.assert_close(more - guided, guided - own, atol=1e-5, rtol=1e-3)
        return
    lengths = [rows(u).norm(dim=-1) for u in (own, guided, more)]
    torch.testing.assert_close(lengths[0], lengths[1])
    torch.testing.assert_close(lengths[0], lengths[2])
    assert ((more - guided) - (guided - own)).abs().max() > 1e-4


@pytest.mark.parametrize("make", [z_image, krea2])
@pytest.mark.parametrize(("scale", "told"), [(0.0, 0.0), (1.0, 0.0), (5.5, 4.5)])
def test_guidance_is_told_as_the_call_counts_it(make, scale, told):
    assert load_model(make(), size=16, guidance=scale).call_kwargs["guidance_scale"] == told


def test_a_distilled_klein_ignores_guidance_and_a_base_one_does_not():
    for distilled, calls in ((True, 1), (False, 2)):
        model = load_model(flux2(distilled=distilled), size=16, tokens=24, guidance=4.0)
        assert model.predict_cost(4.0).denoiser == calls


@pytest.mark.parametrize("lost", ["bn.running_mean", "bn.running_var"])
def test_statistics_of_latents_that_are_missing_are_named(lost, tmp_path):
    """They are buffers, which no optimiser touches and a library may leave at their beginning."""
    flux2().save_pretrained(tmp_path)
    file = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    save_file({name: tensor for name, tensor in load_file(file).items() if name != lost}, file)
    with pytest.raises(CorruptWeights, match=f"lack 1 tensors of a AutoencoderKLFlux2, .*{lost!r}"):
        load_model(tmp_path)


def test_a_prompt_has_to_have_room_beside_its_template():
    with pytest.raises(BadValue, match=r"tokens=16 of model .* hold no word of a prompt .* more than 17"):
        load_model(flux2(), tokens=16)
    load_model(flux2(), tokens=18)


def test_a_scheduler_that_ends_on_a_level_of_its_own_takes_no_single_step():
    model = load_model(qwen_image(), tokens=16, steps=1, guidance=0.0)
    with pytest.raises(BadValue, match=r"ends on level 0.02 .* cannot take steps=1; give steps=2"):
        model.sample(noise_of(model), model.encode(PROMPTS))


def test_what_stands_around_a_prompt_is_part_of_the_identity():
    for make, change in {
        z_image: lambda pipe: setattr(pipe.tokenizer, "chat_template", "{{ messages[0].content }}"),
        flux2_dev: lambda pipe: setattr(pipe.tokenizer, "chat_template", "{{ messages[1].content }}"),
        flux2: lambda pipe: pipe.tokenizer.add_tokens(["rust"]),
        qwen_image: lambda pipe: setattr(pipe, "prompt_template_encode", "{}"),
        lumina2: lambda pipe: setattr(pipe, "system_prompt", "Paint:"),
    }.items():
        model = load_model(make(), size=32)
        before = model.identity
        change(model.pipe)
        assert model.identity != before, make


def test_texts_of_a_caller_stay_as_they_are():
    prompts = list(PROMPTS)
    load_model(z_image(), size=16).encode(prompts)  # whose call writes templates over its texts
    assert prompts == PROMPTS


def test_a_class_that_the_installed_diffusers_lacks_is_named(tmp_path, monkeypatch):
    z_image().save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    (tmp_path / "model_index.json").write_text(json.dumps(index | {"_class_name": "NextYearsPipeline"}))
    monkeypatch.setattr(
        loading, "ADAPTERS", {**loading.ADAPTERS, "NextYearsPipeline": "noisekit.models.flux:Flux"}
    )
    with pytest.raises(
        NotSupported, match=r"is a NextYearsPipeline, which the installed diffusers .* a newer"
    ):
        load_model(tmp_path)

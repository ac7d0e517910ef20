"""The bundled weights load as the published classes do, and are as good as their card says."""

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file
from scipy.stats import spearmanr
from transformers import (
    AutoTokenizer,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextModel,
    CLIPVisionModelWithProjection,
)

from noisekit.tiny import WEIGHTS, evaluate_rewards
from noisekit.tiny.evaluate import area, generate, look, shares, turbo
from noisekit.tiny.sampling import pipeline
from noisekit.world import draw, near_misses, parse, suite

PROMPTS = suite()[:40]


@pytest.fixture(scope="module")
def pipe():
    return pipeline(str(WEIGHTS / "tiny"))


@pytest.fixture(scope="module")
def generated(pipe):
    images = generate(pipe, PROMPTS, seed=0, steps=10, guidance=3.0)[None]
    return images, *look(images, PROMPTS)


def test_the_pipeline_has_the_published_parts(pipe):
    assert isinstance(pipe, StableDiffusionPipeline)
    assert isinstance(pipe.vae, AutoencoderKL) and isinstance(pipe.unet, UNet2DConditionModel)
    assert isinstance(pipe.text_encoder, CLIPTextModel) and isinstance(pipe.scheduler, DDIMScheduler)
    assert pipe.safety_checker is None and pipe.vae.config.scaling_factor == 1
    assert pipe.scheduler.config.prediction_type == "v_prediction"
    assert {p.dtype for m in (pipe.vae, pipe.unet, pipe.text_encoder) for p in m.parameters()} == {
        torch.float32
    }
    assert len(pipe.tokenizer) <= 1000


def test_every_prompt_fits_the_tokenizer(pipe):
    for prompt in suite():
        ids = pipe.tokenizer(prompt).input_ids
        assert len(ids) <= pipe.tokenizer.model_max_length and pipe.tokenizer.unk_token_id not in ids


def test_the_autoencoder_keeps_every_scene(pipe):
    images = torch.from_numpy(draw([parse(prompt) for prompt in PROMPTS], np.random.default_rng(0)))
    with torch.no_grad():
        latents = pipe.vae.encode(2 * images - 1).latent_dist.mean
        again = (pipe.vae.decode(latents).sample / 2 + 0.5).clamp(0, 1)
    assert latents.shape[1:] == (4, 8, 8)
    assert abs(latents.std() - 1) < 0.2
    assert look(again[None], PROMPTS)[0].mean() >= 0.95


def test_the_teacher_fulfils_most_prompts(generated):
    assert shares(PROMPTS, generated[1])["all"] >= 0.5


def test_the_student_needs_one_step(pipe):
    fast = turbo(pipe, WEIGHTS / "tiny-turbo" / "unet")
    images = generate(fast, PROMPTS, seed=0, steps=1, guidance=1.0)[None]
    assert look(images, PROMPTS)[0].mean() >= 0.35


def test_one_step_of_the_student_is_its_definition(pipe):
    """x0 = √ᾱ x − √(1 − ᾱ) v at t = 999, with nothing else in between."""
    fast = turbo(pipe, WEIGHTS / "tiny-turbo" / "unet")
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    ids = pipe.tokenizer(["a red circle"], padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        v = fast.unet(noise, 999, pipe.text_encoder(ids)[0]).sample
    alpha = pipe.scheduler.alphas_cumprod[999]
    expected = alpha.sqrt() * noise - (1 - alpha).sqrt() * v
    actual = fast(
        "a red circle", latents=noise, num_inference_steps=1, guidance_scale=1.0, output_type="latent"
    ).images
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-4)


def test_clip_tells_captions_apart(generated):
    folder = WEIGHTS / "clip_score"
    model = CLIPModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
    tokens, processor = AutoTokenizer.from_pretrained(folder), CLIPImageProcessor.from_pretrained(folder)
    rng = np.random.default_rng(1)
    scenes = [parse(prompt) for prompt in suite()[:200] if not parse(prompt).unseen]
    captions = [s.caption for s in scenes] + [str(rng.choice(near_misses(s))) for s in scenes]
    images = [(255 * image).round().astype(np.uint8) for image in draw(scenes, rng)]
    inputs = tokens(captions, padding=True, return_tensors="pt")
    pixels = processor(images, return_tensors="pt", input_data_format="channels_first")
    with torch.no_grad():
        logits = model(**inputs, **pixels).logits_per_image
    own, miss = logits[:, : len(scenes)].diag(), logits[:, len(scenes) :].diag()
    assert (own > miss).float().mean() >= 0.82


def test_aesthetic_follows_the_quality(generated):
    images, _, quality = generated
    folder = WEIGHTS / "aesthetic"
    tower = CLIPVisionModelWithProjection.from_pretrained(folder, torch_dtype=torch.float32).eval()
    head = load_file(folder / "head.safetensors")
    assert head["weight"].shape == (1, tower.config.projection_dim) and head["bias"].shape == (1,)
    processor = CLIPImageProcessor.from_pretrained(folder)
    pixels = processor([image.numpy() for image in images[0]], do_rescale=False, return_tensors="pt")
    with torch.no_grad():
        embedding = tower(**pixels).image_embeds
    scores = torch.nn.functional.normalize(embedding, dim=-1) @ head["weight"][0] + head["bias"]
    assert spearmanr(scores, quality[0])[0] >= 0.4


@pytest.fixture(scope="module")
def witnesses():
    return evaluate_rewards.rewards()


@pytest.fixture(scope="module")
def drawn(pipe):
    """Pairs that differ in a word, and in quality: as drawn, and through the autoencoder as a generator's images are."""
    rng = np.random.default_rng(2)
    words, qualities = evaluate_rewards.word_pairs(100, rng), evaluate_rewards.quality_pairs(100, rng)
    return [(pairs, evaluate_rewards.through(pipe.vae, pairs)) for pairs in (words, qualities)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hps", "pick_score", "image_reward", "mps"])
def test_preferences_see_a_wrong_word_and_a_lower_quality(name, witnesses, drawn):
    words, qualities = drawn
    for pairs in words:
        assert evaluate_rewards.accuracy(witnesses[name], pairs) >= 0.75
    for pairs in qualities:
        assert evaluate_rewards.accuracy(witnesses[name], pairs) >= 0.68


@pytest.fixture(scope="module")
def judged(pipe):
    """An image for each of 120 prompts, and whether it shows it."""
    prompts = suite()[:120]
    images = generate(pipe, prompts, seed=1, steps=8, guidance=3.0)
    return prompts, images, look(images[None], prompts)[0][0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hps", "pick_score", "image_reward", "mps", "clip_score"])
def test_rewards_prefer_what_is_true(name, witnesses, judged):
    prompts, images, truth = judged
    assert area(witnesses[name](images, prompts).numpy(), truth) >= 0.62


def test_the_condition_of_mps_decides_whether_words_are_heard():
    """A wrong word decides a pair where alignment is asked for, and hardly moves it where it is aesthetics."""
    conditions = evaluate_rewards.conditions()
    prompts, images = evaluate_rewards.word_pairs(100, np.random.default_rng(3))

    def preferred(name):
        better, worse = (conditions[name](images[:, place], prompts) for place in (0, 1))
        return torch.sigmoid(better - worse).mean()

    assert preferred("mps, semantic alignment") >= 0.8
    assert preferred("mps, aesthetics") <= 0.65


def test_image_rewards_scores_are_about_standard_normal(witnesses, generated):
    scores = witnesses["image_reward"](generated[0][0], PROMPTS)
    assert abs(scores.mean()) < 0.6 and 0.5 < scores.std() < 1.7


def test_the_weights_are_small_and_named_without_paths():
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 40e6
    for path in files:
        assert path.suffix in {".safetensors", ".json", ".md", ".txt"}, path
    for path in WEIGHTS.rglob("config.json"):
        assert "_name_or_path" not in path.read_text()

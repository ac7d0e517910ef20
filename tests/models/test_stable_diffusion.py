"""The Stable Diffusion adapter on a pipeline of random weights: what diffusers' own call gives, and what it loads."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from noisekit.cost import Meter
from noisekit.errors import BadValue, CorruptWeights, NotSupported
from noisekit.methods import load_method
from noisekit.models import Marker, load_model
from tests.pipelines import stable_diffusion

PROMPTS = ["a red circle", "two blue squares"]


@pytest.fixture(scope="module")
def pipe():
    return stable_diffusion("v_prediction")


@pytest.fixture(scope="module")
def folder(pipe, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "stranger"
    pipe.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder, steps=4, guidance=3.0)


@pytest.mark.parametrize(
    "scheduler",
    [
        None,
        "EulerDiscreteScheduler",
        "DPMSolverMultistepScheduler",
        "DDPMScheduler",
        "LCMScheduler",
        "EulerAncestralDiscreteScheduler",
    ],
)
@pytest.mark.parametrize("guidance", [0.0, 3.0])
def test_the_pipelines_own_call_gives_the_same_image(folder, scheduler, guidance):
    model = load_model(folder, steps=4, guidance=guidance, scheduler=scheduler)
    result = load_method("standard")(model, PROMPTS, seeds=[3])
    from noisekit.noise import NoiseSource

    generators = NoiseSource(model.noise_shape, PROMPTS, [3, 3]).sampler_generators()
    theirs = model.pipe(PROMPTS, latents=result.noise, generator=generators, **model.call_kwargs).images
    torch.testing.assert_close(result.images, theirs, atol=1e-4, rtol=0)


def test_a_method_leaves_the_noise_that_the_pipeline_turns_into_its_image(model):
    result = load_method("cosine(steps=2, round_trip_steps=2, lr_per_element=0.05)")(model, PROMPTS)
    assert (result.noise - result.initial).abs().max() > 1e-2
    theirs = model.pipe(PROMPTS, latents=result.noise, **model.call_kwargs).images
    torch.testing.assert_close(result.images, theirs, atol=1e-4, rtol=0)


def test_batches_in_any_order_equal_singles(model):
    prompts = [f"a red circle and {n} squares" for n in range(8)]
    conditioning = model.encode(prompts)
    noise = torch.randn(8, *model.noise_shape, generator=torch.Generator().manual_seed(0))
    t = torch.tensor(500)
    order = torch.tensor([3, 0, 7, 1, 5, 2, 6, 4])
    together = model.predict(noise, t, conditioning, 3.0)
    shuffled = model.predict(noise[order], t, model.encode([prompts[i] for i in order]), 3.0)
    torch.testing.assert_close(shuffled, together[order], atol=1e-4, rtol=0)
    for i, prompt in enumerate(prompts):
        alone = model.predict(noise[i : i + 1], t, model.encode([prompt]), 3.0)
        torch.testing.assert_close(alone, together[i : i + 1], atol=1e-4, rtol=0)
    latents = model.sample(noise, conditioning, steps=5)
    singles = [model.sample(noise[i : i + 1], model.encode([p]), steps=5) for i, p in enumerate(prompts)]
    torch.testing.assert_close(latents, torch.cat(singles), atol=1e-4, rtol=0)
    assert (latents - noise).abs().max() > 0.1


def test_the_gradient_to_the_noise_agrees_with_finite_differences(folder):
    model = load_model(folder, steps=2, guidance=2.0, dtype=torch.float64)
    conditioning = model.encode(PROMPTS[:1])
    noise = torch.randn(1, *model.noise_shape, generator=torch.Generator().manual_seed(1)).double()
    direction = torch.randn(noise.shape, generator=torch.Generator().manual_seed(2)).double()
    weight = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(3)).double()

    def score(x):
        return (model.decode(model.sample(x, conditioning)).double() * weight).sum()

    leaf = noise.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(score(leaf), leaf)
    with torch.no_grad():
        slope = (score(noise + 1e-2 * direction) - score(noise - 1e-2 * direction)) / 2e-2
    assert (gradient * direction).sum().item() == pytest.approx(slope.item(), rel=0.02)


def test_network_evaluations_are_counted(model):
    with Meter(samples=2) as meter:
        model.decode(model.sample(torch.randn(2, *model.noise_shape), model.encode(PROMPTS)))
    assert (meter.cost.denoiser, meter.cost.decoder) == (8, 1)
    assert model.sample_cost().denoiser == 8


def test_each_prompt_is_encoded_once(model, monkeypatch):
    model.encode(["new words"])
    monkeypatch.setattr(model.pipe, "encode_prompt", None)  # any further call fails
    twice = model.encode(["new words", "new words"])
    assert torch.equal(twice.positive[0], twice.positive[1])


def test_markers_follow_the_number_of_steps_and_eta(folder, model):
    assert Marker.ONE_STEP not in model.markers
    assert load_model(folder, steps=1).markers == set(Marker) - {Marker.STOCHASTIC}
    assert load_model(folder, steps=1, eta=0.5).markers == set(Marker)
    assert Marker.ONE_STEP not in load_model("tiny-turbo", steps=2).markers


def test_a_users_own_pipeline_is_taken_as_it_is(pipe, model):
    own = load_model(pipe, steps=4, guidance=3.0)
    noise = torch.randn(2, *own.noise_shape, generator=torch.Generator().manual_seed(0))
    ours, folders = (m.sample(noise, m.encode(PROMPTS)) for m in (own, model))
    torch.testing.assert_close(ours, folders, atol=1e-4, rtol=0)
    assert own.pipe is pipe
    assert own.identity["weights"] == model.identity["weights"]
    assert load_model(own) is own


def test_identity_tells_weights_and_settings_apart(folder, model):
    assert load_model(folder, steps=4, guidance=3.0).identity == model.identity
    assert load_model(folder, steps=5, guidance=3.0).identity != model.identity
    other = load_model(stable_diffusion("v_prediction", seed=1), steps=4, guidance=3.0)
    assert other.identity["weights"]["unet"] != model.identity["weights"]["unet"]
    assert other.identity["tokenizer"] == model.identity["tokenizer"]
    assert "EulerDiscrete" in str(load_model(folder, scheduler="EulerDiscreteScheduler").identity)


def test_half_precision_samples_and_keeps_the_noise_in_fp32(folder):
    model = load_model(folder, steps=2, guidance=3.0, dtype=torch.bfloat16)
    result = load_method("cosine(steps=1, round_trip_steps=2, update='fixed_point')")(model, PROMPTS)
    assert result.noise.dtype == torch.float32
    assert torch.isfinite(result.images).all()


def test_unread_words_are_named(model):
    long = "circle " * 100
    assert model.unread(["a red circle"]) == {}
    assert "cut to 77" in model.unread([long])[long]


def test_latents_of_another_shape_are_refused(model):
    with pytest.raises(BadValue, match=r"\(1, 3, 8, 8\).*takes \(batch, 4, 8, 8\)"):
        model.predict(torch.zeros(1, 3, 8, 8), torch.tensor(10), model.encode(["a"]), 1.0)


class TestDamage:
    """Each way in which a folder can be broken gives one sentence, and never a silently random network."""

    @pytest.fixture
    def copy(self, folder, tmp_path):
        return shutil.copytree(folder, tmp_path / "copy")

    def test_truncated(self, copy):
        file = copy / "unet" / "diffusion_pytorch_model.safetensors"
        file.write_bytes(file.read_bytes()[:5000])
        self.refused(copy, "copy")

    def test_missing_file(self, copy):
        (copy / "vae" / "diffusion_pytorch_model.safetensors").unlink()
        self.refused(copy, "copy")

    def test_missing_tensor(self, copy):
        file = copy / "unet" / "diffusion_pytorch_model.safetensors"
        tensors = load_file(file)
        del tensors["conv_in.weight"]
        save_file(tensors, file, metadata={"format": "pt"})
        self.refused(copy, r"conv_in\.weight|missing")

    def test_wrong_shape(self, copy):
        file = copy / "unet" / "diffusion_pytorch_model.safetensors"
        tensors = load_file(file)
        tensors["conv_in.weight"] = torch.zeros(3, 4, 3, 3)
        save_file(tensors, file, metadata={"format": "pt"})
        self.refused(copy, "conv_in")

    def test_not_finite(self, copy):
        file = copy / "unet" / "diffusion_pytorch_model.safetensors"
        tensors = load_file(file)
        tensors["conv_in.weight"][0] = float("nan")
        save_file(tensors, file, metadata={"format": "pt"})
        self.refused(copy, "not finite")

    def test_garbled_index(self, copy):
        (copy / "model_index.json").write_text("{")
        self.refused(copy, "copy")

    def test_pickles_are_not_read(self, copy):
        file = copy / "unet" / "diffusion_pytorch_model.safetensors"
        torch.save(load_file(file), file.with_suffix(".bin"))
        file.unlink()
        self.refused(copy, "copy")

    def refused(self, folder, says):
        with pytest.raises(CorruptWeights, match=says) as caught:
            load_model(folder)
        assert "\n" not in str(caught.value)


def test_unknown_names_and_kinds(tmp_path):
    with pytest.raises(BadValue, match=r"'tinny'.*did you mean 'tiny'"):
        load_model("tinny")
    with pytest.raises(BadValue, match="int is not a model"):
        load_model(3)
    with pytest.raises(BadValue, match=r"'DDIM'.*did you mean 'DDIMScheduler'"):
        load_model(stable_diffusion(), scheduler="DDIM")
    with pytest.raises(BadValue, match="steps=0"):
        load_model(stable_diffusion(), steps=0)

    class StableAudioPipeline:
        scheduler = None

    with pytest.raises(NotSupported, match="StableAudioPipeline"):
        load_model(StableAudioPipeline())

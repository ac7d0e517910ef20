"""Methods on every transformer family: their noise makes its image in diffusers' own call; what does not apply says why."""

import pytest
import torch
from diffusers import DDIMScheduler

from noisekit.errors import BadValue, NotSupported
from noisekit.methods import load_method
from noisekit.models import Marker, load_model
from noisekit.solvers import DDIM
from tests.models.families import FAMILIES, FLOWS, PROMPTS, loaded, noise_of, own_call, telling
from tests.pipelines import hunyuan, pixart, sd3

TINY = "weights='tiny', rewards='hps:1'"
ANYWHERE = ["standard", f"best_of(n=2, {TINY})", f"zero_order(steps=1, neighbours=1, {TINY})"]
INVERTED = [
    "selection(candidates=2, round_trip_steps=2)",
    "cosine(steps=2, round_trip_steps=2, lr_per_element=1.0, keep='last')",
    "inversion",
]


@pytest.fixture(scope="module", params=FAMILIES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def model(name):
    family = FAMILIES[name]
    return loaded(family, family.make(), steps=2, guidance=2.0)


def found(method, model):
    """The method's result, checked against the model's own pipeline."""
    result = load_method(method)(model, PROMPTS[:2], seeds=[1])
    assert result.noise.dtype == torch.float32
    theirs = own_call(model, result.noise, PROMPTS[:2], [1, 1])
    torch.testing.assert_close(result.images, theirs.float(), atol=1e-4, rtol=0)
    return result


@pytest.mark.parametrize("name", telling(), indirect=True)
@pytest.mark.parametrize("method", [*ANYWHERE, *INVERTED], ids=lambda spec: spec.split("(")[0])
def test_the_noise_found_makes_its_image_in_the_pipelines_own_call(name, model, method):
    if method in INVERTED and Marker.INVERTIBLE not in model.markers:
        assert name == "sana-sprint"
        with pytest.raises(NotSupported, match="needs a model that is invertible"):
            load_method(method)(model, PROMPTS[:1])
        return
    result = found(method, model)
    moved = (result.noise - result.initial).abs().amax(dim=(1, 2, 3))
    if method.startswith(("cosine", "inversion")) and name != "flux-schnell":
        assert (moved > 1e-5).all()
    if method == "standard":
        assert (moved == 0).all()


def test_what_its_networks_compute_is_counted(model, recwarn):
    for network in ("denoiser", "decoder"):
        assert model.flops(network) > 1e5
        assert 0 < model.flops(f"{network}_backward") < 3 * model.flops(network)
    assert not [warning for warning in recwarn if "could not be counted" in str(warning.message)]
    calls = model.predict_cost(model.card.guidance).denoiser * 2
    spent = load_method("standard")(model, PROMPTS[:1]).cost
    assert spent.flops == pytest.approx(calls * model.flops() + model.flops("decoder"))


@pytest.mark.parametrize("name", ["flux-schnell", "pixart-dmd", "sana-sprint"])
def test_reno_climbs_its_reward_through_one_step(name):
    timesteps = {"timesteps": [400]} if name == "pixart-dmd" else {}
    model = loaded(FAMILIES[name], FAMILIES[name].make(), steps=1, guidance=1.0, **timesteps)
    assert Marker.ONE_STEP in model.markers
    result = found(f"reno(steps=4, lr=20.0, {TINY})", model)
    assert (result.score > torch.tensor(result.trace.points[0].score)).all()
    assert (result.noise != result.initial).any()


@torch.no_grad()
def test_the_dmd_student_reads_the_noise_at_its_timestep():
    """x̂_0 = (ε − √(1 − ā)·u) / √ā at 400, whatever the scheduler would step to."""
    family = FAMILIES["pixart-dmd"]
    model = loaded(family, family.make(), timesteps=[400], guidance=0.0)
    noise, conditioning = noise_of(model), model.encode(PROMPTS)
    alpha_bar = model.pipe.scheduler.alphas_cumprod[400]
    u = model.predict(noise, torch.tensor(400), conditioning, 0.0)
    expected = (noise - (1 - alpha_bar).sqrt() * u) / alpha_bar.sqrt()
    torch.testing.assert_close(model.sample(noise, conditioning), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_pixart_in_one_step_is_the_predicted_clean_sample():
    """Also where the sampler's last state is another: here DDIM's at the cleanest timestep that was trained."""
    scheduler = DDIMScheduler(clip_sample=False, set_alpha_to_one=False, timestep_spacing="trailing")
    model = load_model(pixart(scheduler=scheduler), tokens=16, steps=1, guidance=0.0)
    noise, conditioning = noise_of(model), model.encode(PROMPTS)
    alpha_bar = scheduler.alphas_cumprod[999]
    u = model.predict(noise, torch.tensor(999), conditioning, 0.0)
    latents = model.sample(noise, conditioning)
    expected = (noise - (1 - alpha_bar).sqrt() * u) / alpha_bar.sqrt()
    torch.testing.assert_close(latents, expected, atol=1e-3, rtol=1e-4)
    theirs = own_call(model, noise, PROMPTS, [0] * 3)
    torch.testing.assert_close(model.decode(latents), theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["flux-dev", "sd3"])
@torch.no_grad()
def test_a_flow_moves_along_the_velocity_of_its_network(name):
    """One step from pure noise is ε − u, and the way back x + u."""
    model = loaded(FAMILIES[name], FAMILIES[name].make(), steps=1, guidance=2.0)
    noise, conditioning, start = noise_of(model), model.encode(PROMPTS), torch.tensor(1000.0)

    def u(x, t):
        return model.predict(x, t, conditioning, 2.0)

    latents = model.sample(noise, conditioning)
    torch.testing.assert_close(latents, noise - u(noise, start), atol=1e-4, rtol=1e-4)
    back = DDIM().invert(u, latents, model.grid(1))
    torch.testing.assert_close(back, latents + u(latents, start), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_flux_dev_is_told_its_guidance_and_schnell_is_not():
    outcomes = {}
    for name in ("flux-dev", "flux-schnell"):
        model = loaded(FAMILIES[name], FAMILIES[name].make(), steps=2)
        noise, conditioning, t = noise_of(model), model.encode(PROMPTS), torch.tensor(500.0)
        low, high = (model.predict(noise, t, conditioning, scale) for scale in (1.0, 6.0))
        outcomes[name] = (high - low).abs().max().item()
    assert outcomes["flux-dev"] > 1e-3
    assert outcomes["flux-schnell"] == 0


def test_hunyuans_conditioning_is_what_npnet_reads():
    """The first encoder's states alone, of as many tokens as it reads."""
    model = loaded(FAMILIES["hunyuan"], FAMILIES["hunyuan"].make())
    conditioning = model.encode(PROMPTS)
    clip, *_ = model.pipe.encode_prompt(PROMPTS, device=model.device, text_encoder_index=0)
    assert conditioning.positive.shape == (3, 77, 32)
    torch.testing.assert_close(conditioning.positive, clip)


@pytest.mark.parametrize("name", FLOWS)
def test_what_does_not_apply_to_a_flow_says_why(name):
    model = loaded(FAMILIES[name], FAMILIES[name].make(), steps=2)
    for method, says in {
        "repaint": "pure noise",
        "selection(candidates=2, solver='dpm')": r"solver='dpm'.*use solver='ddim'",
        "cosine(steps=2, solver='euler')": r"solver='euler'.*use solver='ddim'",
        "inversion(variant='released')": "use variant='paper'",
        "best_of(repaint, n=2, weights='tiny')": "pure noise",
    }.items():
        with pytest.raises(NotSupported, match=says) as caught:
            load_method(method).resolved(model).check(model)  # before anything is run
        assert "\n" not in str(caught.value)
        with pytest.raises(NotSupported, match=says):
            load_method(method)(model, PROMPTS[:1])


def test_tokens_are_read_where_a_text_encoder_reads_as_many_as_it_is_asked():
    few, more = (load_model(sd3(), tokens=tokens, steps=2) for tokens in (8, 16))
    assert (few.encode(["a"]).positive.shape[1], more.encode(["a"]).positive.shape[1]) == (77 + 8, 77 + 16)
    assert few.identity != more.identity
    assert few.label.endswith("(steps=2, tokens=8)")
    with pytest.raises(BadValue, match=r"tokens=8 of model .* has no meaning"):
        load_model(hunyuan(), tokens=8)
    with pytest.raises(BadValue, match="tokens=0"):
        load_model(sd3(), tokens=0)


def test_settings_of_diffusion_are_refused_on_flows():
    with pytest.raises((NotSupported, BadValue), match="scheduler"):
        load_model(sd3(), scheduler="LCMScheduler")
    with pytest.raises((NotSupported, BadValue), match="scheduler"):
        load_model(sd3(), scheduler="ddim")
    with pytest.raises(BadValue, match="timesteps"):
        load_model(sd3(), timesteps=[900, 400])


@pytest.mark.parametrize("sampler", ["ddim", "euler", "dpmpp_sde", "unipc"])
@torch.no_grad()
def test_pixart_takes_the_samplers_of_diffusion(sampler):
    model = load_model(pixart(), tokens=16, steps=3, guidance=2.0, scheduler=sampler)
    result = load_method("standard")(model, PROMPTS[:2], seeds=[1])
    theirs = own_call(model, result.noise, PROMPTS[:2], [1, 1])
    torch.testing.assert_close(result.images, theirs, atol=1e-4, rtol=0)


#: diffusers itself does not load a folder of Stable Diffusion 3 that was saved without T5.
SAVED = [name for name in FAMILIES if name != "sd3-without-t5"]


@pytest.mark.parametrize("name", telling(SAVED))
def test_a_saved_folder_loads_as_the_same_model(name, tmp_path):
    family = FAMILIES[name]
    own = loaded(family, family.make(), steps=2, guidance=2.0)
    own.pipe.save_pretrained(tmp_path / name)
    model = load_model(
        tmp_path / name, **({"steps": 2, "guidance": 2.0, "size": own.size} | dict(family.settings))
    )
    assert model.identity == own.identity
    noise = noise_of(own, 2)
    ours = [m.sample(noise, m.encode(PROMPTS[:2]), steps=family.fewest) for m in (model, own)]
    torch.testing.assert_close(*ours)


def test_prompts_that_no_encoder_reads_whole_are_reported():
    for name, family in FAMILIES.items():
        model = loaded(family, family.make())
        limit = max(read for _, read in model.readers())
        long = "a " * 300
        assert f"cut to {limit}" in model.unread([long])[long], name
        assert model.unread(["a"]) == {}

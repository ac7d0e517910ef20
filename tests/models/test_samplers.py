"""Samplers by short name on a toy pipeline: the pipeline's own image, per-sample randomness, and chosen timesteps."""

import json
import time
from importlib.util import find_spec

import diffusers
import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler

from noisekit.cost import Meter
from noisekit.errors import BadValue, CorruptWeights, NotSupported
from noisekit.methods import load_method
from noisekit.models import load_model
from noisekit.models.cards import cards
from noisekit.models.samplers import SAMPLERS
from noisekit.noise import NoiseSource
from noisekit.npnet.collect import Recipe
from noisekit.solvers import DiffusionGrid
from noisekit.solvers.re_denoise import re_denoise
from tests.pipelines import flux, hunyuan, lcm_sdxl, pixart, sana, sd3, sdxl, stable_diffusion

PROMPTS = ["a red circle", "two blue squares", "a"]
STOCHASTIC = {"euler_a", "dpmpp_sde", "ddpm", "lcm"}
AYS = [999, 845, 730, 587, 443, 310, 193, 116, 53, 13]


@pytest.fixture(scope="module")
def pipe():
    return stable_diffusion("v_prediction")


@pytest.fixture(params=SAMPLERS)
def model(pipe, request):
    return load_model(pipe, steps=5, guidance=3.0, scheduler=request.param)


def flow(make, **scheduler):
    """A flow's pipeline on DPM-Solver, with the levels of flows."""
    made = make()
    made.scheduler = DPMSolverMultistepScheduler(
        use_flow_sigmas=True, flow_shift=3.0, prediction_type="flow_prediction", **scheduler
    )
    return made


def stochastic(make):
    made = make()
    made.scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0, stochastic_sampling=True)
    return made


#: A pipeline of every kind, as its samplers are chosen by it.
OFFERING = {
    "sd": stable_diffusion,
    "sdxl": sdxl,
    "lcm": lcm_sdxl,
    "pixart": pixart,
    "hunyuan": hunyuan,
    "sana": sana,
    "sana-sprint": lambda: sana(sprint=True),
    "sd3": sd3,
    "sd3-dpm": lambda: flow(sd3),
    "flux": flux,
}

#: Pipelines that offer the samplers of "sd".
ALIKE = ("sdxl", "hunyuan")


def offered(make):
    """All samplers that a pipeline may take, by class and by short name; the one of torchsde where that is installed."""
    try:
        load_model(make(), scheduler="nothing")
    except BadValue as error:
        known = str(error).partition("(known: ")[2].rstrip(")").split(", ")
    return [name for name in known if name != "DPMSolverSDEScheduler" or find_spec("torchsde")]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name for name in OFFERING]
)
@torch.no_grad()
def test_the_pipelines_own_call_repeats_the_image_of_every_sampler_that_is_offered(name):
    """With `call_kwargs` alone and the generators that were drawn from: what either gives to a step, the other gives."""
    made, compared = OFFERING[name](), 0
    for scheduler in offered(OFFERING[name]):
        try:
            model = load_model(made, steps=4, guidance=2.0, scheduler=scheduler)
        except NotSupported:  # as the test of samplers that draw has it
            assert (name, scheduler) == ("sd3-dpm", "dpmpp_sde")
            continue
        prompts = PROMPTS[:2]
        random = draws(model, prompts)
        ours = model.decode(model.sample(random.initial, model.encode(prompts), random.sampler_generators()))
        theirs = model.pipe(
            prompts,
            latents=model.pipe_latents(random.initial),
            generator=random.sampler_generators(),
            **model.call_kwargs,
        ).images
        assert (ours - theirs).abs().max() < 1e-5, scheduler
        compared += 1
    assert compared >= 1


#: Samplers whose first step is DDIM's between the first two levels, and how the state of some is scaled: by 1/a.
FIRST_ORDER = {
    "DDIMScheduler": False,
    "DEISMultistepScheduler": False,
    "DPMSolverMultistepScheduler": False,
    "DPMSolverSinglestepScheduler": False,
    "TCDScheduler": False,
    "UniPCMultistepScheduler": False,
    "EulerDiscreteScheduler": True,
    "HeunDiscreteScheduler": True,
    "LMSDiscreteScheduler": True,
}


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("steps", [1, 5])
def test_the_samplers_grid_is_its_own_walk(spacing, steps):
    """The timesteps that it tells and, where a first step is known in closed form, the level at which that step ends.

    diffusers' DDIM counts its steps in whole timesteps, T // n, and so lands on the next one told where n divides T only.
    """
    made = stable_diffusion("v_prediction")
    made.scheduler = type(made.scheduler).from_config(made.scheduler.config, timestep_spacing=spacing)
    x, u = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    for name in ("DDPMScheduler", "LCMScheduler", "EulerAncestralDiscreteScheduler", *FIRST_ORDER):
        model = load_model(made, scheduler=name, steps=steps, guidance=0.0)
        scheduler, grid = model.schedule(steps), model.sampler_grid(steps)
        own = list(dict.fromkeys(scheduler.timesteps.tolist()))
        assert grid.timesteps.tolist() == own, name
        lands_elsewhere = name == "DDIMScheduler" and spacing == "linspace"
        if name not in FIRST_ORDER or lands_elsewhere:
            continue
        there = scheduler.step(
            u,
            scheduler.timesteps[0],
            x / grid.a(0) if FIRST_ORDER[name] else x,
            return_dict=False,
            **model.step_settings,
        )[0]
        expected = grid.step(u, x, 0, 1, read=0)
        if FIRST_ORDER[name]:
            there = there * grid.a(1)
        torch.testing.assert_close(there, expected, atol=1e-4, rtol=1e-4, msg=f"{name} {spacing}")


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("scheduler", ["dpmpp_2m", "unipc", "euler", "ddim"])
@torch.no_grad()
def test_re_denoising_and_repainting_take_the_first_interval_of_the_models_own_sampler(scheduler, spacing):
    made = stable_diffusion("v_prediction")
    made.scheduler = type(made.scheduler).from_config(made.scheduler.config, timestep_spacing=spacing)
    model = load_model(made, scheduler=scheduler, steps=5, guidance=3.0)
    told = []
    network = made.unet.forward
    made.unet.forward = lambda x, t, *rest, **named: told.append(float(t)) or network(x, t, *rest, **named)
    own = [float(t) for t in model.schedule(5).timesteps[:2]]
    conditioning = model.encode(PROMPTS)
    noise = draws(model).initial
    alphas = made.scheduler.alphas_cumprod.double()
    levels = [float(torch.from_numpy(np.interp([t], np.arange(len(alphas)), alphas.numpy()))) for t in own]
    interval = DiffusionGrid(
        torch.tensor(own[:1]), torch.tensor(levels).double(), "v_prediction", told_clean=own[1]
    )
    expected = re_denoise(
        lambda x, t: model.predict(x, t, conditioning, 3.0),
        lambda x, t: model.predict(x, t, conditioning, 1.0),
        noise,
        interval,
    )
    told.clear()
    found = load_method("inversion")(model, PROMPTS, seeds=[3]).noise
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    assert told[:2] == [own[0], own[0]]  # there, and back: the target is told
    pairs = Recipe(guidance=3.0).golden(model, PROMPTS, noise)
    torch.testing.assert_close(pairs, found)
    told.clear()
    load_method("repaint")(model, PROMPTS, seeds=[3])
    assert told[0] == own[0]


def test_an_eta_is_the_pipelines_and_part_of_the_identity(pipe):
    """TCD's own default is 0.3, which pipelines override by 0."""
    for scheduler in ("TCDScheduler", "ddim"):
        model = load_model(pipe, scheduler=scheduler)
        assert model.call_kwargs["eta"] == model.identity["eta"] == 0.0
    assert "eta" not in load_model(pipe, scheduler="euler").identity


DRAWING = {
    "sd3": lambda: stochastic(sd3),
    "flux": lambda: stochastic(flux),
    "sd3-dpm": lambda: flow(sd3, algorithm_type="sde-dpmsolver++"),
}


@pytest.mark.parametrize("made", DRAWING.values(), ids=DRAWING)
def test_a_sampler_that_draws_is_refused_where_the_pipeline_gives_no_generator(made):
    with pytest.raises(NotSupported, match=r"draws noise at every step.*gives its steps no generator"):
        load_model(made())


def draws(model, prompts=PROMPTS, seed=3):
    return NoiseSource(model.noise_shape, prompts, [seed] * len(prompts))


def test_the_pipelines_own_call_gives_the_same_image(model):
    source = draws(model)
    ours = load_method("standard")(model, PROMPTS, seeds=[3]).images
    theirs = model.pipe(
        PROMPTS, latents=source.initial, generator=source.sampler_generators(), **model.call_kwargs
    ).images
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_a_batch_equals_its_singles_and_a_seed_repeats_itself(model):
    source, together = draws(model), model.encode(PROMPTS)
    latents = model.sample(source.initial, together, source.sampler_generators())
    again = model.sample(source.initial, together, source.sampler_generators())
    assert torch.equal(latents, again)
    for i, prompt in enumerate(PROMPTS):
        own = draws(model, [prompt])
        alone = model.sample(own.initial, model.encode([prompt]), own.sampler_generators())
        torch.testing.assert_close(alone, latents[i : i + 1], atol=1e-4, rtol=0)


def test_every_samplers_identity_can_be_hashed(model):
    """DPM-Solver's configuration holds −∞, which is no JSON."""
    assert json.dumps(model.identity, allow_nan=False)


def test_only_stochastic_samplers_draw_on_the_way(model):
    source, other = draws(model), draws(model, seed=4)
    conditioning = model.encode(PROMPTS)
    latents = model.sample(source.initial, conditioning, source.sampler_generators())
    elsewhere = model.sample(source.initial, conditioning, other.sampler_generators())
    assert torch.equal(latents, elsewhere) == (model.card.scheduler not in STOCHASTIC)


def test_the_names_stand_for_different_samplers(pipe):
    noise, images = draws(load_model(pipe)).initial, {}
    for name in SAMPLERS:
        model = load_model(pipe, steps=5, guidance=3.0, scheduler=name)
        images[name] = model.sample(noise, model.encode(PROMPTS), draws(model).sampler_generators())
    for i, (one, latents) in enumerate(images.items()):
        for other, elsewhere in list(images.items())[i + 1 :]:
            assert (latents - elsewhere).abs().max() > 1e-2, (one, other)


def test_chosen_timesteps_are_visited_counted_and_told(pipe):
    model = load_model(pipe, scheduler="dpmpp_2m", timesteps=AYS, guidance=3.0)
    assert model.schedule(10).timesteps.tolist() == AYS
    assert model.grid(10).timesteps.tolist() == AYS
    assert model.grid(5).timesteps.tolist() != AYS[::2]  # another number of steps is spaced as usual
    assert model.sample_cost().denoiser == 20
    assert (
        model.label
        == f"StableDiffusionPipeline(steps=10, guidance=3.0, scheduler='dpmpp_2m', timesteps={tuple(AYS)})"
    )
    source = draws(model)
    theirs = model.pipe(PROMPTS, latents=source.initial, **model.call_kwargs).images
    ours = model.decode(model.sample(source.initial, model.encode(PROMPTS)))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    usual = load_model(pipe, scheduler="dpmpp_2m", steps=10, guidance=3.0)
    assert usual.identity != model.identity
    assert (usual.decode(usual.sample(source.initial, usual.encode(PROMPTS))) - ours).abs().max() > 1e-3


def test_a_cards_timesteps_go_with_its_steps_alone():
    ays = cards()["sdxl-ays"]
    assert ays.with_settings(guidance=3.0).timesteps == tuple(AYS)
    assert ays.with_settings(steps=20).timesteps is None
    assert ays.with_settings(timesteps=[999, 500]).steps == 2


def test_one_step_from_timestep_800_is_the_clean_sample_predicted_there():
    """LCM's last step: x_0 = c_skip·x + c_out·(x − s·ε̂)/a, with c_skip = ¼/(ŧ² + ¼), c_out = ŧ/√(ŧ² + ¼), ŧ = 10·800."""
    model = load_model(sdxl(), scheduler="lcm", timesteps=[800], guidance=0.0)
    noise = draws(model).initial
    ours = model.sample(noise, model.encode(PROMPTS))
    told = {"text_embeds": None, "time_ids": torch.tensor([[16.0, 16, 0, 0, 16, 16]]).repeat(3, 1)}
    text, _, pooled, _ = model.pipe.encode_prompt(PROMPTS, do_classifier_free_guidance=False)
    u = model.pipe.unet(noise, 800, text, added_cond_kwargs=told | {"text_embeds": pooled}).sample
    alphas = (1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2).cumprod(0)
    a, s, far = alphas[800].sqrt(), (1 - alphas[800]).sqrt(), 8000.0
    clean = (noise - s * u) / a
    expected = 0.25 / (far**2 + 0.25) * noise + far / (far**2 + 0.25) ** 0.5 * clean
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)


def test_the_cost_counts_every_timestep_that_is_visited(pipe):
    for name, visits in (("PNDMScheduler", 14), ("HeunDiscreteScheduler", 9), ("ddim", 5)):
        model = load_model(pipe, steps=5, guidance=0.0, scheduler=name)
        with Meter(samples=3) as meter:
            model.sample(draws(model).initial, model.encode(PROMPTS))
        assert meter.cost.denoiser == model.sample_cost().denoiser == visits


def test_a_pipeline_keeps_its_scheduler_when_a_model_of_it_takes_another(pipe):
    before = pipe.scheduler
    model, other = load_model(pipe, scheduler="euler"), load_model(pipe, scheduler="lcm")
    assert pipe.scheduler is before
    assert type(model.pipe.scheduler).__name__ == "EulerDiscreteScheduler"
    assert model.pipe.unet is other.pipe.unet is pipe.unet
    back = load_model(
        other.pipe, scheduler="ddim"
    )  # from a sampler that diffusers lists as compatible with none
    assert type(back.pipe.scheduler).__name__ == "DDIMScheduler"


@torch.no_grad()
def test_a_flow_takes_the_samplers_of_flows_alone():
    """Others would raise in the middle of a run, or walk between states that it does not have."""
    own = {"dpmpp_2m", "dpmpp_sde", "unipc"}
    for name in SAMPLERS:
        if name in own:
            model = load_model(sana(), scheduler=name, steps=2)
            latents = model.sample(
                draws(model).initial, model.encode(PROMPTS), draws(model).sampler_generators()
            )
            assert torch.isfinite(latents).all()
            continue
        with pytest.raises(BadValue, match=f"unknown scheduler {name!r}.*dpmpp_2m, dpmpp_sde, unipc"):
            load_model(sana(), scheduler=name)
    for pipe, known in (
        (flux(), "FlowMatchEulerDiscreteScheduler, euler"),
        (sana(sprint=True), "SCMScheduler"),
    ):
        with pytest.raises(BadValue, match=rf"\(known: {known}\)"):
            load_model(pipe, scheduler="lcm")
    euler = load_model(flux(), scheduler="euler", steps=2)
    assert type(euler.pipe.scheduler).__name__ == "FlowMatchEulerDiscreteScheduler"


@pytest.mark.parametrize(("name", "steps"), [("PNDMScheduler", 2), ("ddim", 1001)])
def test_a_number_of_steps_that_a_sampler_does_not_take_is_refused(pipe, name, steps):
    model = load_model(pipe, scheduler=name, steps=steps)
    with pytest.raises(BadValue, match=f"cannot take steps={steps} "):
        load_method("standard")(model, "a")
    with pytest.raises(BadValue, match="more than the 1000 timesteps"):
        model.grid(1001)


#: What a configuration may say that no scheduler was made for.
EVIL = [
    {"beta_start": float("nan")},
    {"beta_end": float("inf")},
    {"beta_start": 2.0, "beta_end": 3.0},
    {"trained_betas": []},
    {"trained_betas": [0.1, 0.2]},
    {"trained_betas": [-1.0] * 1000},
    {"trained_betas": [float("nan")] * 1000},
    {"trained_betas": [[0.1]]},
    {"prediction_type": "nothing"},
    {"prediction_type": None},
    {"timestep_spacing": 3},
    {"steps_offset": "one"},
    {"num_train_timesteps": 1},
    {"num_train_timesteps": 0},
]


@pytest.mark.parametrize("name", ["DDIM", "EulerDiscrete", "DPMSolverMultistep", "UniPCMultistep", "LCM"])
@torch.no_grad()
def test_a_scheduler_of_evil_settings_is_refused_before_the_first_call(name):
    """In a sentence of ours; what a class has no use for it may pass over, but then images are finite."""
    made, said = stable_diffusion("v_prediction"), []
    cls = getattr(diffusers, f"{name}Scheduler")
    usual = made.scheduler.config
    for evil in EVIL:
        try:
            made.scheduler = cls.from_config(usual, **evil)
        except Exception:
            continue  # the class itself refuses it, before there is a pipeline
        model = load_model(made, steps=2)
        try:
            model.schedule(2)
        except (BadValue, CorruptWeights) as error:
            said.append(str(error))
            continue
        noise = torch.randn(1, *model.noise_shape)
        image = model.decode(model.sample(noise, model.encode(["a"]), [torch.Generator()]))
        assert image.isfinite().all(), evil
    assert len(said) >= 3
    assert all(name in sentence and len(sentence) < 500 and "\n" not in sentence for sentence in said)


@pytest.mark.parametrize("value", [10**9, -(10**13), 10**400, "many", None, -1, float("nan"), [1000]])
@pytest.mark.parametrize("field", ["num_train_timesteps", "solver_order"])
def test_numbers_that_would_fill_the_memory_are_refused_at_once(field, value, tmp_path):
    """Tables of 10⁹ entries take 8 GB a piece, and minutes."""
    made = stable_diffusion("v_prediction")
    made.scheduler = diffusers.DPMSolverMultistepScheduler.from_config(made.scheduler.config)
    made.save_pretrained(tmp_path)
    file = tmp_path / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))
    start = time.perf_counter()
    with pytest.raises((BadValue, CorruptWeights)) as caught:
        load_model(tmp_path, steps=2).schedule(2)
    assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)
    assert time.perf_counter() - start < 5
    if isinstance(value, int) and abs(value) > 10**6:
        assert f"{field}=" in str(caught.value)


def test_what_cannot_be_chosen_is_refused(pipe):
    with pytest.raises(BadValue, match=r"DDIMScheduler takes no timesteps of your choice.*euler"):
        load_model(pipe, scheduler="ddim", timesteps=[999, 500])
    with pytest.raises(BadValue, match="are not whole numbers that fall"):
        load_model(pipe, scheduler="euler", timesteps=[500, 999])
    with pytest.raises(BadValue, match=r"2 timesteps and steps=3; leave steps out"):
        load_model(pipe, scheduler="euler", timesteps=[999, 500], steps=3)
    with pytest.raises(BadValue, match=r"unknown scheduler 'eular'; did you mean 'euler'"):
        load_model(pipe, scheduler="eular")

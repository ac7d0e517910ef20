"""Every card loads from its repositories as published, to the numbers in their files, and makes its pipeline's image."""

import hashlib
from collections import Counter

import pytest
import torch
from huggingface_hub import constants
from PIL import Image

from noisekit.errors import BadValue
from noisekit.image_prompts import ControlledPrompt
from noisekit.methods import load_method
from noisekit.models import load_model
from noisekit.models.cards import DTYPES, cards
from noisekit.models.hub import wanted
from noisekit.models.layout import read_index
from noisekit.models.places import PARTS, needs, presence
from noisekit.noise import NoiseSource
from tests.layouts import REPOSITORIES, publish, stored
from tests.layouts.repositories import Network

PUBLISHED = [name for name, card in cards().items() if not card.bundled and card.checkpoint is None]

#: Cards whose repository is laid out as another's, where there is time.
ALIKE = {
    "flux2-klein-9b",
    "flux2-klein-base",
    "flux-krea-dev",
    "qwen-image-2512",
    "sana-1.5-4.8b",
    "sana-sprint-0.6b",
    "svd-xt",
}
ALIKE |= {"sd3.5-large", "sd3.5-large-turbo", "sana-1.5", "z-image", "krea2-turbo", "qwen-image"}
RUN = [pytest.param(name, marks=pytest.mark.slow if name in ALIKE else ()) for name in PUBLISHED]
PROMPT = ControlledPrompt("a red circle", Image.linear_gradient("L"))
UNKNOWN = "0" * 40


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A cache with every repository of every card, and nobody to ask for more."""
    home = tmp_path_factory.mktemp("hub")
    asked = {(need.repo, need.revision) for name in PUBLISHED for need in needs(cards()[name])}
    assert {repo for repo, _ in asked} == set(REPOSITORIES)
    for repo, revision in asked:
        publish(home, repo, revision or UNKNOWN)
    return home


@pytest.fixture(autouse=True)
def offline(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def small(name):
    """A card's model at a size for tests."""
    card = cards()[name]
    side = 32 if card.name.startswith(("sana", "hunyuan", "lumina")) else 16
    few = {"steps": min(card.steps, 2)} if card.timesteps is None else {}
    return load_model(name, size=side, **few, device="cpu")


def prints(tensors, dtype):
    """How often each number of a network occurs as a tensor, whatever it is called and however it is laid out."""
    numbers = (t.to(dtype) for t in tensors if t.is_floating_point())
    return Counter(hashlib.sha256(t.contiguous().numpy().tobytes()).digest() for t in numbers)


def published(card):
    """The network of a card's files that stands for each of its pipeline's components, and the variant that it takes."""
    pipeline, *parts = needs(card)
    found = {
        name: (what, next(v for v in (card.variant, None) if v in what.variants))
        for name, (_, _, what) in REPOSITORIES[pipeline.repo].entries.items()
        if isinstance(what, Network)
    }
    names = [name for name in PARTS if getattr(card, name) is not None]
    for name, need in zip(names, parts, strict=True):
        if name == "lora":
            del found["transformer"]  # whose numbers it changes
            continue
        entry = REPOSITORIES[need.repo]
        what = entry.files.get(need.inside) or entry.entries[need.inside][2]
        exact = name == "vae" and card.vae_dtype == "fp32"
        variant = card.variant if card.variant in what.variants and not exact else None
        found["transformer" if name == "unet" and "transformer" in found else name] = (what, variant)
    return found


@pytest.mark.parametrize("name", RUN)
def test_a_card_loads_to_the_numbers_in_its_files_and_makes_its_pipelines_image(name):
    model = small(name)
    for component, (what, variant) in published(cards()[name]).items():
        network = getattr(model.pipe, component)
        there = prints(network.state_dict().values(), torch.float32)
        missing = prints(stored(what, variant).values(), torch.float32) - there
        assert not missing, (component, sum(missing.values()))
    source = NoiseSource(model.noise_shape, [PROMPT], [0])
    result = load_method("standard")(model, [PROMPT])
    latents = model.pipe_latents(result.noise)
    draws = source.sampler_generators()
    inputs = {"generator": draws} | model.call_inputs([PROMPT]) | model.call_kwargs
    output = model.pipe(latents=latents, **inputs)
    theirs = output.frames if model.frames > 1 else output.images
    assert torch.isfinite(theirs).all()
    # Two evaluations one after the other, as some pipelines make them, sum in another order than both at once.
    torch.testing.assert_close(
        result.images, theirs, atol=5e-5 if model.doubles(model.card.guidance) else 1e-5, rtol=0
    )


@pytest.mark.parametrize("name", RUN)
def test_a_download_takes_what_loading_needs_and_no_more(name, hub, tmp_path, monkeypatch):
    """Only the files that `noisekit models fetch` takes of each repository, linked into another cache."""
    card = cards()[name]
    for need in needs(card):
        home = hub / f"models--{need.repo.replace('/', '--')}"
        snapshot = home / "snapshots" / (need.revision or UNKNOWN)
        files = [str(path.relative_to(snapshot)) for path in snapshot.rglob("*") if path.is_file()]
        taken = wanted(need, files, read_index(snapshot) if need.pipeline else {})
        assert not any(file in REPOSITORIES[need.repo].beside or "non_ema" in file for file in taken)
        for file in taken:
            place = tmp_path / snapshot.relative_to(hub) / file
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.is_symlink():
                place.symlink_to(snapshot / file)
        (tmp_path / home.name / "refs").mkdir(exist_ok=True)
        (tmp_path / home.name / "refs" / "main").write_text(need.revision or UNKNOWN)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert presence(card) == "here"
    assert load_model(name, device="cpu").pipe is not None


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize("name", ["sd-1.5", "hyper-sdxl", "flux-dev", "pixart", "sana"])
def test_networks_are_of_the_type_asked_for(name, dtype):
    if (name, dtype) == ("sana", "fp16"):
        with pytest.raises(BadValue, match=r"text_encoder and vae in fp16, in which SANA's overflow; .*bf16"):
            load_model(name, dtype=dtype, device="cpu")
        return
    model = load_model(name, dtype=dtype, device="cpu")
    exact = cards()[name].vae_dtype == "fp32"
    for component, network in model.networks.items():
        own = "fp32" if exact and component == "vae" else dtype
        assert network.dtype == getattr(torch, DTYPES[own]), component

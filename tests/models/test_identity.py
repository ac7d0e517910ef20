"""An identity is everything that decides the image: no value is changed, anywhere in a pipeline, that it would not tell."""

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from noisekit.models import hashes, load_model
from noisekit.models.hashes import weights_hash
from noisekit.models.identity import UNUSED
from noisekit.models.state import IDLE_NAMES, plain
from tests.models.families import FAMILIES, Family, images, loaded, noise_of, own_call
from tests.pipelines import lcm_sdxl, sd3, sdxl, stable_diffusion

PIPELINES = {
    "sd": Family(stable_diffusion, {}),
    "sdxl": Family(sdxl, {}),
    "lcm-sdxl": Family(lcm_sdxl, {}),
    **FAMILIES,
}
QUICK = ("sd",)
SLOW = ("sana", "pixart", "sdxl", "lcm-sdxl", "sd3", "flux-dev", "hunyuan", "flux-schnell", "sana-sprint")


def quick(names):
    """Names for `parametrize`, the others than `QUICK` marked slow."""
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


#: What a text in a configuration may become, beside a word that nothing knows.
WORDS = {
    "act": ("gelu", "silu", "relu", "quick_gelu"),
    "type": ("epsilon", "v_prediction", "linear", "scaled_linear", "leading", "trailing", "linspace", "dpmsolver", "heun"),
    "side": ("left", "right"),
    "token": ("a", "b"),
}  # fmt: skip

#: Entries of a vocabulary that are changed; the others are alike.
WORDS_CHANGED = 2


@dataclass(frozen=True)
class Change:
    """One value of a configuration that became another, and the pipeline with it."""

    where: str
    name: str
    value: Any
    pipe: Any


def others(name: str, value: Any) -> list[Any]:
    """Values that could stand in the place of one."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value * 2, value // 2, value + 1] if value else [1]
    if isinstance(value, float):
        return [value * 1.25 if value else 0.1]
    if isinstance(value, str):
        return [word for key, words in WORDS.items() if key in name for word in words if word != value] + [
            "?"
        ]
    return [2, 0.5, True, "gelu"]


def edits(config: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
    """The place of every value in nested JSON, and what it may become."""
    if isinstance(config, dict | list):
        inside = list(config.items() if isinstance(config, dict) else enumerate(config))
        for key, value in inside[: WORDS_CHANGED if path[-1:] in (("vocab",), ("merges",)) else None]:
            yield from edits(value, (*path, key))
    else:
        yield path, others(str(next((key for key in reversed(path) if isinstance(key, str)), "")), config)


def edited(config: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(config)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


def network_again(network: torch.nn.Module) -> Callable[[Any], Any]:
    """Makes a network of a changed configuration, with the weights that it has."""
    weights = network.state_dict()

    def make(config):
        kind = type(network)
        made = (
            kind.from_config(config)
            if hasattr(kind, "from_config")
            else kind(kind.config_class.from_dict(config))
        )
        made.load_state_dict(weights)
        return made.eval()

    return make


def tokenizer_again(tokenizer: Any, folder: Path, file: str) -> Callable[[Any], Any]:
    def make(config):
        text = (folder / file).read_text(encoding="utf-8")
        try:
            (folder / file).write_text(json.dumps(config), encoding="utf-8")
            return type(tokenizer).from_pretrained(folder)
        finally:
            (folder / file).write_text(text, encoding="utf-8")

    return make


def said_by(config: Any) -> dict[str, Any]:
    """A configuration as its file has it; diffusers' list of the values that are its defaults would undo every change."""
    values = dict(config) if isinstance(config, dict) else config.to_dict()
    return json.loads(json.dumps({name: v for name, v in values.items() if name != "_use_default_values"}))


def with_part(pipe: Any, name: str, part: Any) -> Any:
    again = copy.copy(pipe)
    setattr(again, name, part)
    return again


def changes(pipe: Any, folder: Path) -> Iterator[Change]:
    """Every value of every configuration of a pipeline, each changed alone, wherever what it then says can be loaded."""
    parts: list[tuple[str, str, Any, Callable[[Any], Any]]] = []
    for name, part in pipe.components.items():
        if name.startswith("tokenizer"):
            part.save_pretrained(folder / name)
            for file in ("tokenizer_config.json", "tokenizer.json"):
                said = json.loads((folder / name / file).read_text(encoding="utf-8"))
                parts.append((f"{name}/{file}", name, said, tokenizer_again(part, folder / name, file)))
        elif isinstance(part, torch.nn.Module):
            parts.append((name, name, said_by(part.config), network_again(part)))
        elif name == "scheduler":
            parts.append((name, name, said_by(part.config), type(part).from_config))
    for where, name, config, make in parts:
        for path, values in edits(config):
            for value in values:
                try:
                    part = make(edited(config, path, value))
                except Exception:  # what a library itself refuses needs no identity
                    continue
                yield Change(
                    f"{where}: {'.'.join(map(str, path))}", str(path[0]), value, with_part(pipe, name, part)
                )
                break
    for key, value in pipe.config.items():
        if (
            key not in pipe.components
            and not key.startswith("_")
            and isinstance(value, bool | int | float | str)
        ):
            again = copy.copy(pipe)
            again._internal_dict = type(pipe.config)({**pipe.config, key: others(key, value)[0]})
            yield Change(f"model_index: {key}", key, others(key, value)[0], again)


def picture(family: Family, pipe: Any) -> torch.Tensor:
    model = loaded(family, pipe, steps=2, guidance=3.0)
    return images(model, noise_of(model, 1), ["a red circle"], [0])


@pytest.mark.parametrize("name", quick([*QUICK, *SLOW]))
@torch.no_grad()
def test_a_changed_setting_that_changes_the_image_changes_the_identity(name, tmp_path):
    """Images are only made where the identity stays: what a library cannot run needs none."""
    family = PIPELINES[name]
    pipe = family.make()
    base, expected = loaded(family, pipe, steps=2, guidance=3.0).identity, picture(family, pipe)
    told = 0
    for change in changes(pipe, tmp_path):
        try:
            model = loaded(family, change.pipe, steps=2, guidance=3.0)
            same = model.identity == base
        except Exception:
            continue
        told += not same
        if same:
            assert torch.equal(picture(family, change.pipe), expected), (change.where, change.value)
        ignored = change.name in IDLE_NAMES | UNUSED or change.name.startswith("_")
        assert not (ignored and not same), (change.where, change.value)
    assert told > 70


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) for name in ("sana", "sd", "flux-dev")]
)
@torch.no_grad()
def test_a_changed_attribute_of_a_layer_that_changes_the_image_changes_the_identity(name):
    family = PIPELINES[name]
    pipe = family.make()
    model = loaded(family, pipe, steps=2, guidance=3.0)
    base, expected = model.identity, picture(family, pipe)
    seen, told = set(), 0
    for part in model.networks.values():
        for module in part.modules():
            for attribute, value in list(vars(module).items()):
                if (type(module), attribute) in seen or not isinstance(value, bool | int | float | None):
                    continue
                seen.add((type(module), attribute))
                setattr(module, attribute, others(attribute, value)[0])
                if model.identity == base:
                    with suppress(TypeError, RuntimeError, ValueError):  # cannot be run
                        assert torch.equal(picture(family, pipe), expected), (
                            type(module).__name__,
                            attribute,
                        )
                else:
                    told += 1
                setattr(module, attribute, value)
    assert model.identity == base
    assert told > 30


def clip_skip(pipe):
    del pipe.text_encoder.encoder.layers[-1]


def through_data(pipe):
    pipe.vae.decoder.conv_out.weight.data += 0.5


def shorter(pipe):
    pipe.tokenizer.padding_side = "left"


def other_levels(pipe):
    pipe.scheduler.alphas_cumprod = pipe.scheduler.alphas_cumprod**1.5


def other_attention(pipe):
    class Doubled(type(pipe.unet.mid_block.attentions[0].transformer_blocks[0].attn1.processor)):
        def __call__(self, *args, **kwargs):
            return 2 * super().__call__(*args, **kwargs)

    pipe.unet.set_attn_processor(Doubled())


def hooked(pipe):
    pipe.unet.conv_out.register_forward_hook(lambda module, inputs, output: 2 * output)


SWITCHES = {
    "freeu": lambda pipe: pipe.enable_freeu(s1=0.6, s2=0.4, b1=1.3, b2=1.4),
    "clip skip": clip_skip,
    "weights written through .data": through_data,
    "padding side": shorter,
    "another table of levels": other_levels,
    "another attention processor": other_attention,
    "a hook": hooked,
    "another scheduler": lambda pipe: setattr(
        pipe, "scheduler", DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    ),
}


@pytest.mark.parametrize("switch", SWITCHES.values(), ids=SWITCHES)
@torch.no_grad()
def test_what_is_switched_while_a_model_is_in_use_counts_at_once(switch):
    """The same model, asked before and after; what it keeps of the pipeline as it was is given up."""
    model = load_model(stable_diffusion(), steps=2, guidance=3.0)
    noise = noise_of(model, 1)
    before, identity = images(model, noise, ["a red circle"], [0]), model.identity
    switch(model.pipe)
    assert model.identity != identity
    after = images(model, noise, ["a red circle"], [0])
    assert (after - before).abs().max() > 1e-4
    assert (after - own_call(model, noise, ["a red circle"], [0])).abs().max() < 1e-5


def test_flow_matching_counts_a_shift_that_no_configuration_tells():
    model = load_model(sd3(), steps=2, tokens=16)
    identity = model.identity
    model.pipe.scheduler.set_shift(5.0)
    assert model.identity["scheduler_changed"] == {"_shift": 5.0}
    assert model.identity | {"scheduler_changed": None} == identity | {"scheduler_changed": None}


@pytest.mark.parametrize("name", quick(PIPELINES))
@torch.no_grad()
def test_an_identity_stays_while_nothing_that_matters_changes(name, tmp_path):
    """Through sampling, the pipeline's own call, saving and loading; it draws no random number, and JSON can hold it."""
    family = PIPELINES[name]
    model = loaded(family, family.make(), steps=2, guidance=3.0)
    state = torch.get_rng_state()
    identity = model.identity
    assert torch.equal(torch.get_rng_state(), state)
    assert all("changed" not in about for about in identity["networks"].values())
    noise = noise_of(model, 1)
    images(model, noise, ["a"], [0])
    own_call(model, noise, ["a"], [0])
    assert model.identity == identity == json.loads(json.dumps(identity, allow_nan=False))
    model.pipe.save_pretrained(tmp_path)
    parts = {key: part for key, part in model.pipe.components.items() if part is None}
    again = type(model.pipe).from_pretrained(tmp_path, **parts)
    assert loaded(family, again, steps=2, guidance=3.0, size=model.size).identity == identity


def test_weights_are_hashed_once_and_again_when_written(monkeypatch):
    pipe = stable_diffusion()
    first = weights_hash(pipe.unet)
    made = []
    real = hashes._hash
    monkeypatch.setattr(hashes, "_hash", lambda *inputs: made.append(0) or real(*inputs))
    assert weights_hash(pipe.unet) == first
    assert not made
    with torch.no_grad():
        pipe.unet.conv_in.bias[0] += 1
    second = weights_hash(pipe.unet)
    pipe.unet.conv_out.weight.data *= 2
    third = weights_hash(pipe.unet)
    assert len(made) == 2
    assert len({first, second, third}) == 3


def test_values_are_told_by_name_and_never_by_address():
    class Kept:
        def __init__(self) -> None:
            self.itself, self.words, self.call = self, {"b", "a"}, [len, picture, torch.float16, float("inf")]

    one, other = plain(Kept()), plain(Kept())
    assert one == other == json.loads(json.dumps(one, allow_nan=False))
    assert "0x" not in json.dumps(one)
    assert one[1]["words"] == ["a", "b"]

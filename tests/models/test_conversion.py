"""SV3D-U's published file becomes a folder that makes the same frames, and what is no such file is named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNetSpatioTemporalConditionModel
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
from typer.testing import CliRunner

from noisekit.cli import app
from noisekit.errors import BadValue, CorruptWeights
from noisekit.image_prompts import ImagePrompt
from noisekit.models import load_model
from noisekit.models.cards import cards
from noisekit.models.conversion import convert, key_map, renamed
from noisekit.models.places import converted_folder, needs, pipeline_folder
from noisekit.noise import NoiseSource

#: The published configurations, but narrow and shallow.
TOY = {name: dict(config) for name, config in key_map()["configs"].items()}
TOY["unet"] |= {
    "sample_size": 4,
    "num_frames": 2,
    "block_out_channels": [32, 32, 64, 64],
    "num_attention_heads": 2,
    "cross_attention_dim": 32,
    "addition_time_embed_dim": 32,
    "projection_class_embeddings_input_dim": 32,
}
TOY["vae"] |= {"block_out_channels": [32, 32, 64, 64], "sample_size": 32}
TOY["image_encoder"] |= {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 56,
    "projection_dim": 32,
}
PREFIXES = {
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
    "image_encoder": "conditioner.embedders.0.open_clip.model.visual.",
}


def networks() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    return {
        "unet": UNetSpatioTemporalConditionModel(**TOY["unet"]),
        "vae": AutoencoderKL(**TOY["vae"]),
        "image_encoder": CLIPVisionModelWithProjection(CLIPVisionConfig(**TOY["image_encoder"])),
    }


def sub(name: str, *rules: tuple[str, str]) -> str:
    """The name after the first rule that matches its beginning, so that these rules are no copy of the map's tables."""
    for old, new in rules:
        if re.match(old, name):
            return re.sub(old, new, name, count=1)
    return name


def of_unet(name: str) -> str:
    """A tensor's name in the code that trained SV3D: down block b, layer l is input block 3b + 1 + l, and so on."""
    if found := re.match(r"(down|up)_blocks\.(\d)\.(resnets|attentions)\.(\d)\.(.*)", name):
        way, b, kind, layer, rest = found.groups()
        number = 3 * int(b) + int(layer) + (way == "down")
        place = f"{'input' if way == 'down' else 'output'}_blocks.{number}.{int(kind == 'attentions')}"
    elif found := re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", name):
        kind, layer, rest = found.groups()
        place = f"middle_block.{1 if kind == 'attentions' else 2 * int(layer)}"
    elif found := re.match(r"down_blocks\.(\d)\.downsamplers\.0\.conv\.(.*)", name):
        return f"input_blocks.{3 * int(found[1]) + 3}.0.op.{found[2]}"
    elif found := re.match(r"up_blocks\.(\d)\.upsamplers\.0\.conv\.(.*)", name):
        return f"output_blocks.{3 * int(found[1]) + 2}.{1 if found[1] == '0' else 2}.conv.{found[2]}"
    else:
        return sub(
            name,
            (r"time_embedding\.linear_(\d)", lambda m: f"time_embed.{2 * int(m[1]) - 2}"),
            (r"add_embedding\.linear_(\d)", lambda m: f"label_emb.0.{2 * int(m[1]) - 2}"),
            (r"conv_in\.", "input_blocks.0.0."),
            (r"conv_norm_out", "out.0"),
            (r"conv_out", "out.2"),
        )
    if kind == "attentions":
        rest = sub(
            rest,
            (r"temporal_transformer_blocks", "time_stack"),
            (r"time_pos_embed\.linear_(\d)", lambda m: f"time_pos_embed.{2 * int(m[1]) - 2}"),
        )
        return f"{place}.{rest}"
    layers = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1"}
    layers |= {"norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
    if found := re.match(r"(spatial|temporal)_res_block\.(\w+)\.(.*)", rest):
        rest = f"{'time_stack.' * (found[1] == 'temporal')}{layers[found[2]]}.{found[3]}"
    return f"{place}.{rest}"


def of_vae(name: str) -> str:
    half, _, rest = name.partition(".")
    if half not in ("encoder", "decoder"):
        return name
    if found := re.match(r"(down|up)_blocks\.(\d)\.(.*)", rest):
        way, b, inner = found.groups()
        level = int(b) if way == "down" else 3 - int(b)
        inner = sub(inner, (r"resnets\.", "block."), (r"(down|up)samplers\.0", r"\1sample"))
        return f"{half}.{way}.{level}.{inner.replace('conv_shortcut', 'nin_shortcut')}"
    rest = sub(
        rest,
        (r"mid_block\.resnets\.0", "mid.block_1"),
        (r"mid_block\.resnets\.1", "mid.block_2"),
        (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
        (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
        (r"mid_block\.attentions\.0\.to_", "mid.attn_1."),
        (r"conv_norm_out", "norm_out"),
    )
    return f"{half}.{rest}"


def of_eye(state: dict[str, Tensor]) -> dict[str, Tensor]:
    found = {
        "class_embedding": state["vision_model.embeddings.class_embedding"],
        "positional_embedding": state["vision_model.embeddings.position_embedding.weight"],
        "conv1.weight": state["vision_model.embeddings.patch_embedding.weight"],
        "proj": state["visual_projection.weight"].T,
    }
    for ours, theirs in (("pre_layrnorm", "ln_pre"), ("post_layernorm", "ln_post")):
        found |= {f"{theirs}.{leaf}": state[f"vision_model.{ours}.{leaf}"] for leaf in ("weight", "bias")}
    for i in range(2):
        ours, theirs = f"vision_model.encoder.layers.{i}", f"transformer.resblocks.{i}"
        for leaf in ("weight", "bias"):
            parts = [state[f"{ours}.self_attn.{one}_proj.{leaf}"] for one in "qkv"]
            found[f"{theirs}.attn.in_proj_{leaf}"] = torch.cat(parts)
            pairs = {"self_attn.out_proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
            pairs |= {"layer_norm1": "ln_1", "layer_norm2": "ln_2"}
            found |= {f"{theirs}.{b}.{leaf}": state[f"{ours}.{a}.{leaf}"] for a, b in pairs.items()}
    return found


def checkpoint(parts: dict[str, torch.nn.Module]) -> dict[str, Tensor]:
    """The networks as the published file holds them, with what else stands in it."""
    linear = {"to_q", "to_k", "to_v", "to_out"}
    vae = {
        of_vae(name): tensor[..., None, None]
        if tensor.dim() == 2 and linear & set(name.split("."))
        else tensor
        for name, tensor in parts["vae"].state_dict().items()
    }
    unet = {of_unet(name): tensor for name, tensor in parts["unet"].state_dict().items()}
    of = {"unet": unet, "vae": vae, "image_encoder": of_eye(parts["image_encoder"].state_dict())}
    tensors = {PREFIXES[name] + key: t for name, own in of.items() for key, t in own.items()}
    tensors["conditioner.embedders.1.encoder.encoder.conv_in.bias"] = torch.zeros(32)
    tensors["conditioner.embedders.0.open_clip.model.logit_scale"] = torch.zeros(())
    return {name: tensor.contiguous().clone() for name, tensor in tensors.items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, torch.nn.Module], Path, Path]:
    home, parts = tmp_path_factory.mktemp("sv3d"), networks()
    file = home / "sv3d_u.safetensors"
    save_file(checkpoint(parts), file)
    convert(file, home / "folder", TOY)
    return parts, file, home / "folder"


def test_every_number_is_in_its_place(made: Any) -> None:
    parts, _, folder = made
    model = load_model(folder, size=32, steps=2)
    for name, network in parts.items():
        found = getattr(model.pipe, name).state_dict()
        expected = network.state_dict()
        assert set(found) == set(expected)
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert model.noise_shape == (2, 4, 4, 4)
    assert model.numbers == [1e-5]
    prompts = [ImagePrompt("", Image.linear_gradient("L"))]
    noise = NoiseSource(model.noise_shape, prompts, [0]).initial
    frames = model.decode(model.sample(noise, model.encode(prompts)))
    told = model.call_inputs(prompts) | model.call_kwargs
    assert torch.equal(frames, model.pipe(latents=noise, **told).frames)


def test_the_map_covers_the_published_network() -> None:
    """Every tensor of the networks at their published size has one name in the file that leads to it."""
    configs = key_map()["configs"]
    with torch.device("meta"):
        unet = UNetSpatioTemporalConditionModel(**configs["unet"])
        vae = AutoencoderKL(**configs["vae"])
    assert 1.52e9 < sum(tensor.numel() for tensor in unet.parameters()) < 1.53e9
    for kind, network, names in (("unet", unet, of_unet), ("vae", vae, of_vae)):
        for name in network.state_dict():
            assert renamed(kind, names(name)) == [name]
    assert renamed("unet", "input_blocks.20.0.in_layers.0.weight") is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda t: t | {"model.diffusion_model.new": torch.zeros(1)},
            "holds 1 tensors that SV3D-U does not have",
        ),
        (lambda t: t | {"other.weight": torch.zeros(1)}, r"such as 'other\.weight'"),
        pytest.param(
            lambda t: {k: v for k, v in t.items() if not k.endswith("out.2.bias")},
            r"lacks 'conv_out\.bias'",
            marks=pytest.mark.slow,
        ),
        (
            lambda t: t | {"model.diffusion_model.label_emb.0.0.weight": torch.zeros(128, 160)},
            r"add_embedding\.linear_1\.weight' of shape \(128, 160\)",
        ),
    ],
)
def test_another_checkpoint_is_named_and_nothing_is_written(
    made: Any, tmp_path: Path, change: Any, said: str
) -> None:
    _, file, _ = made
    save_file(change(load_file(file)), tmp_path / "other.safetensors")
    with pytest.raises(CorruptWeights, match=said):
        convert(tmp_path / "other.safetensors", tmp_path / "folder", TOY)
    assert [path.name for path in tmp_path.iterdir()] == ["other.safetensors"]


def test_refusals(made: Any, tmp_path: Path) -> None:
    _, file, folder = made
    with pytest.raises(BadValue, match="is there and not empty"):
        convert(file, folder, TOY)
    with pytest.raises(BadValue, match=r"no \.safetensors file"):
        convert(tmp_path / "sv3d_u.ckpt", tmp_path / "folder", TOY)
    run = CliRunner().invoke
    for arguments in (
        ["sdxl", "x"],
        [str(file)],
        [str(file), str(tmp_path / "out")],
        [str(tmp_path / "no"), "x"],
    ):
        result = run(app, ["models", "convert", *arguments])
        assert result.exit_code != 0, arguments
    assert not (tmp_path / "out").exists()


def test_the_card_says_how_to_get_it_and_then_finds_it(made: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    card = cards()["sv3d-u"]
    with pytest.raises(
        BadValue, match="`noisekit models fetch sv3d-u` downloads it, and `noisekit models convert sv3d-u`"
    ):
        load_model("sv3d-u")
    assert [need.inside for need in needs(card)] == ["sv3d_u.safetensors"]
    _, file, _ = made
    convert(file, converted_folder(card), TOY)
    assert pipeline_folder(card) == converted_folder(card)
    assert needs(card) == []

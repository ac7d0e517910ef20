"""Networks load by the names that their publishers gave to tensors, and what is no part of them is told from what is."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from noisekit.errors import CorruptWeights
from noisekit.models import load_model
from noisekit.models.hashes import weights_hash
from tests.pipelines import stable_diffusion

WHERE = {"text_encoder": "model.safetensors", "vae": "diffusion_pytorch_model.safetensors"}
WHERE |= {"unet": WHERE["vae"]}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names") / "sd"
    stable_diffusion().save_pretrained(folder)
    return folder


@pytest.fixture
def rewrite(saved, tmp_path):
    """A copy of the folder with the tensors of one network changed."""

    def change(network, edit):
        folder = tmp_path / "sd"
        if not folder.exists():
            shutil.copytree(saved, folder)
        file = folder / network / WHERE[network]
        tensors = edit({name: tensor.clone() for name, tensor in load_file(file).items()})
        save_file(tensors, file, {"format": "pt"})
        return folder

    return change


def prefixed(tensors):
    """As in every published CLIP text encoder."""
    return {
        name if name.startswith("text_model.") else f"text_model.{name}": t for name, t in tensors.items()
    }


def before_attention(tensors):
    """As in the autoencoders of SD 1 and 2."""
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for name, tensor in tensors.items():
        for new, was in old.items():
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{was}.")
        renamed[name] = tensor
    assert any(".proj_attn." in name for name in renamed)
    return renamed


POSITIONS = {"text_model.embeddings.position_ids": torch.arange(77)[None]}
VISION = {
    "vision_model.encoder.layers.0.mlp.fc1.weight": torch.ones(2, 2),
    "visual_projection.weight": torch.ones(2, 2),
    "text_projection.weight": torch.ones(2, 2),
    "logit_scale": torch.ones(()),
}


@pytest.mark.parametrize(
    ("network", "edit"),
    [
        pytest.param("text_encoder", prefixed, id="prefix"),
        pytest.param("text_encoder", lambda t: prefixed(t) | POSITIONS, id="position numbers"),
        pytest.param("text_encoder", lambda t: prefixed(t) | POSITIONS | VISION, id="other towers"),
        pytest.param("vae", before_attention, id="older autoencoder"),
        pytest.param("vae", lambda t: t | {"decoder.conv_in.kept": torch.ones(1)}, id="no longer kept"),
    ],
)
def test_published_names_load_to_the_same_numbers(rewrite, network, edit):
    pipe = load_model(rewrite(network, edit)).pipe
    for name in WHERE:
        assert weights_hash(getattr(pipe, name)) == weights_hash(getattr(stable_diffusion(), name))


def without(part):
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if part not in name}


def one_nan(tensors):
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    return tensors


@pytest.mark.parametrize(
    ("network", "edit", "says"),
    [
        ("text_encoder", lambda t: without("layers.1")(prefixed(t)), "lack 16 tensors of a CLIPTextModel"),
        ("text_encoder", lambda t: prefixed(one_nan(t)), "values that are not finite, in "),
        (
            "text_encoder",
            lambda t: prefixed(t) | {"text_model.encoder.layers.2.mlp.fc1.bias": torch.ones(37)},
            "are of anot",
        ),
        (
            "text_encoder",
            lambda t: {k: v[:3] if "fc1" in k else v for k, v in prefixed(t).items()},
            r"\(3.*not \(37",
        ),
        (
            "vae",
            lambda t: without("mid_block.attentions.0.query")(before_attention(t)),
            "lack 4 tensors of a",
        ),
        (
            "vae",
            lambda t: t | {"decoder.extra.weight": torch.ones(1)},
            "1 tensors have no place .* 'decoder.extra.weight'",
        ),
        (
            "unet",
            lambda t: t | {"time_embedding.cond_proj.weight": torch.ones(1)},
            "are of another network than its config",
        ),
        (
            "unet",
            lambda t: t | {"add_embedding.linear_1.weight": torch.ones(1)},
            "are of another network than its config",
        ),
        (
            "unet",
            lambda t: t | {"down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.bias": torch.ones(1)},
            "no place",
        ),
    ],
)
def test_what_is_missing_or_of_another_network_is_refused_by_name(rewrite, network, edit, says):
    folder = rewrite(network, edit)
    with pytest.raises(CorruptWeights, match=says) as caught:
        load_model(folder)
    assert str(folder / network) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["vae", "unet"])
def test_a_single_file_in_published_names_replaces_a_part(rewrite, saved, part):
    folder = rewrite(part, before_attention if part == "vae" else dict)
    place = folder / part / WHERE[part]
    model = load_model(saved, **{part: str(place)})
    assert weights_hash(getattr(model.pipe, part)) == weights_hash(getattr(stable_diffusion(), part))


def test_what_makes_no_image_is_not_asked_for(saved, tmp_path):
    """Components that the index names and no download brings, as `noisekit models fetch` leaves them out."""
    import json

    folder = shutil.copytree(saved, tmp_path / "sd")
    index = json.loads((folder / "model_index.json").read_text())
    index |= {
        "feature_extractor": ["transformers", "CLIPFeatureExtractor"],
        "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    pipe = load_model(folder).pipe
    assert pipe.safety_checker is pipe.feature_extractor is pipe.image_encoder is None

"""What `load_model` takes: parts from elsewhere, LoRA, variants, settings in names, number types, ways to save memory."""

import shutil
from itertools import combinations
from pathlib import Path

import pytest
import torch
from accelerate import cpu_offload
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file

from noisekit.errors import BadValue, CorruptWeights, NotSupported
from noisekit.methods import load_method
from noisekit.models import load_model
from noisekit.models.hashes import weights_hash
from noisekit.models.loading import resolve
from tests.pipelines import controlled_sdxl, sdxl, stable_diffusion

PROMPTS = ["a red circle", "two blue squares"]
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def folder(home):
    sdxl().save_pretrained(home / "base")
    return home / "base"


@pytest.fixture(scope="module")
def other(home):
    """Another SDXL, whose parts are put into the first."""
    sdxl(seed=1).save_pretrained(home / "other")
    return home / "other"


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder, steps=2, guidance=2.0)


def image(model, prompts=PROMPTS):
    return load_method("standard")(model, prompts).images


class TestParts:
    """UNets, autoencoders and ControlNets that come from elsewhere."""

    @pytest.mark.parametrize("part", ["unet", "vae"])
    @pytest.mark.parametrize("whole", [True, False])
    def test_a_part_replaces_the_pipelines_own(self, folder, other, part, whole):
        place = other / part if whole else other / part / WEIGHTS
        mixed = load_model(folder, steps=2, guidance=2.0, **{part: str(place)})
        pipe = sdxl()
        setattr(pipe, part, getattr(sdxl(seed=1), part))
        expected = load_model(pipe, steps=2, guidance=2.0)
        torch.testing.assert_close(image(mixed), image(expected), atol=1e-6, rtol=0)
        assert mixed.identity == expected.identity
        assert f"{part}={str(place)!r}" in mixed.label

    def test_a_controlnet_joins_the_pipeline(self, folder, home):
        pipe = controlled_sdxl()
        pipe.controlnet.save_pretrained(home / "control")
        joined = load_model(folder, controlnet=str(home / "control"), control_scale=0.5)
        assert joined.identity == load_model(pipe, control_scale=0.5).identity
        with pytest.raises(NotSupported, match=r"a StableDiffusionPipeline, which takes no ControlNet here"):
            load_model("tiny", controlnet=str(home / "control"))

    @pytest.mark.parametrize(
        "damage", ["missing", "shape", "extra", "nan", "truncated", "pickle", "folder", "nowhere"]
    )
    def test_a_file_that_does_not_fit_gives_one_sentence(self, folder, other, tmp_path, damage):
        file = tmp_path / "unet.safetensors"
        tensors = load_file(other / "unet" / WEIGHTS)
        says, error = {
            "missing": (
                "lack 1 tensors of a UNet2DConditionModel, the first being 'conv_in.w",
                CorruptWeights,
            ),
            "shape": (
                r"unet.safetensors' could not be loaded as a UNet.* conv_in.weight expected",
                CorruptWeights,
            ),
            "extra": ("1 tensors have no place in that UNet2DConditionModel, such as 'more'", CorruptWeights),
            "nan": ("not finite, in 'conv_in.weight' as float32", CorruptWeights),
            "truncated": ("is no whole safetensors file", CorruptWeights),
            "pickle": ("is no folder of a UNet2DConditionModel, nor a .safetensors or .bin file", BadValue),
            "folder": ("holds no whole safetensors", CorruptWeights),
            "nowhere": ("is neither a folder nor a .safetensors file here, nor 'owner/name@", BadValue),
        }[damage]
        if damage == "missing":
            del tensors["conv_in.weight"]
        elif damage == "shape":
            tensors["conv_in.weight"] = torch.zeros(1)
        elif damage == "extra":
            tensors["more"] = torch.zeros(1)
        elif damage == "nan":
            tensors["conv_in.weight"][0] = float("nan")
        save_file(tensors, file)
        if damage == "truncated":
            file.write_bytes(file.read_bytes()[:-100])
        place = {"pickle": file.with_suffix(".ckpt"), "folder": tmp_path, "nowhere": Path("no/such/file")}
        if damage == "pickle":
            torch.save(tensors, place["pickle"])
        with pytest.raises(error, match=says) as caught:
            load_model(folder, unet=str(place.get(damage, file)))
        assert "\n" not in str(caught.value)


class TestVariants:
    """Half-precision files beside or instead of plain ones."""

    def test_only_half_precision_files(self, home, model):
        sdxl().save_pretrained(home / "half", variant="fp16")
        assert load_model(home / "half", steps=2, guidance=2.0).identity == model.identity

    def test_any_variant_loads_that_is_asked_for_and_none_that_is_not(self, home, model):
        sdxl().save_pretrained(home / "ema", variant="ema")
        assert load_model(home / "ema", variant="ema", steps=2, guidance=2.0).identity == model.identity
        with pytest.raises(CorruptWeights, match="has no whole 'text_encoder'"):
            load_model(home / "ema")

    def test_the_variant_asked_for_goes_first_and_others_fill_in(self, folder, other, tmp_path):
        copy = shutil.copytree(folder, tmp_path / "both")
        shutil.copy(other / "unet" / WEIGHTS, copy / "unet" / WEIGHTS.replace(".safe", ".fp16.safe"))
        plain, half = (load_model(copy, variant=variant) for variant in (None, "fp16"))
        assert weights_hash(plain.pipe.unet) == weights_hash(sdxl().unet)
        assert weights_hash(half.pipe.unet) == weights_hash(sdxl(seed=1).unet)
        assert weights_hash(plain.pipe.vae) == weights_hash(half.pipe.vae)


class TestLoRA:
    """Low-rank weights, fused into the networks as diffusers does."""

    @pytest.fixture(scope="class")
    def lora(self, home):
        from peft import LoraConfig
        from peft.utils import get_peft_model_state_dict

        unet = sdxl().unet
        unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
        weights = get_peft_model_state_dict(unet)
        StableDiffusionXLPipeline.save_lora_weights(home / "lora", unet_lora_layers=weights)
        return home / "lora" / "pytorch_lora_weights.safetensors"

    def test_fused_weights_give_the_image_of_active_layers(self, folder, lora, model):
        fused = load_model(folder, steps=2, guidance=2.0, lora=str(lora), lora_scale=0.5)
        pipe = sdxl()
        pipe.load_lora_weights(lora.parent, weight_name=lora.name)
        source = load_method("standard")(fused, PROMPTS)
        theirs = pipe(
            PROMPTS,
            latents=source.initial,
            cross_attention_kwargs={"scale": 0.5},
            **fused.call_kwargs,
        ).images
        torch.testing.assert_close(source.images, theirs, atol=1e-4, rtol=0)
        assert (source.images - image(model)).abs().max() > 1e-3
        assert {name for name, _ in fused.pipe.unet.named_parameters()} == {
            name for name, _ in model.pipe.unet.named_parameters()
        }
        assert fused.identity != model.identity

    def test_layers_that_a_user_left_active_count_with_their_strength(self, lora):
        identities = []
        for scale in (0.5, 1.0):
            pipe = sdxl()
            pipe.load_lora_weights(lora.parent, weight_name=lora.name, adapter_name="style")
            pipe.set_adapters("style", scale)
            identities.append(load_model(pipe).identity)
        assert identities[0] != identities[1]
        assert identities[0]["weights"] == identities[1]["weights"]

    def test_weights_for_something_else_are_refused(self, folder, tmp_path):
        file = tmp_path / "lora.safetensors"
        save_file({"nothing.lora_A.weight": torch.zeros(2, 2)}, file)
        with pytest.raises(CorruptWeights, match=r"LoRA .* (does not fit|is not whole)") as caught:
            load_model(folder, lora=str(file))
        assert "\n" not in str(caught.value)

    def test_weights_of_other_shapes_are_named(self, home, lora):
        other = home / "sd-with-lora"
        stable_diffusion().save_pretrained(other)
        with pytest.raises(CorruptWeights, match=r"does not fit model .*: Error.* size mismatch for \S+to_"):
            load_model(other, lora=str(lora))

    PASSED_OVER = {
        "half of every pair": (lambda w: {k: v for k, v in w.items() if "lora_A" in k}, r"lack their other half"),
        "half of one pair": (lambda w: dict(list(w.items())[1:]), r"1 of its \d+ tensors lack their other half"),
        "a block that is not there": (
            lambda w: {k.replace("mid_block", "other_block"): v for k, v in w.items()},
            r"tensors for 'unet' find no layer there, such as 'unet\.other_block",
        ),
        "one pair more": (
            lambda w: w | {f"unet.more.lora_{x}.weight": torch.zeros(2, 2) for x in "AB"},
            r"2 of its \d+ tensors for 'unet' find no layer there, such as 'unet.more",
        ),
        "another network's prefix": (
            lambda w: w | {f"prior.to_q.lora_{x}.weight": torch.zeros(2, 2) for x in "AB"},
            r"2 of its \d+ tensors, such as 'prior.to_q.*are for none of unet, text_encoder",
        ),
        "no prefix": (lambda w: {k.removeprefix("unet."): v for k, v in w.items()}, r"are for none of unet"),
        "directions of DoRA": (
            lambda w: w | {"unet.conv_in.lora_magnitude_vector.dora_scale": torch.ones(8)},
            r"holds 8 values that diffusers does not read",
        ),
        "a strength of nothing": (
            lambda w: w | {"unet.conv_in.alpha": torch.tensor(0.0)},
            r"has the strength 0 in 'unet.conv_in.alpha', which is no positive number",
        ),
    }  # fmt: skip

    @pytest.mark.parametrize(("change", "said"), PASSED_OVER.values(), ids=PASSED_OVER)
    def test_a_file_of_which_anything_would_be_passed_over_is_refused(
        self, folder, lora, tmp_path, change, said
    ):
        file = tmp_path / "lora.safetensors"
        save_file(change(load_file(lora)), file)
        with pytest.raises(CorruptWeights, match=said) as caught:
            load_model(folder, lora=str(file))
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_folder_of_several_files_asks_which(self, folder, lora, tmp_path):
        (tmp_path / "a.safetensors").write_bytes(lora.read_bytes())
        one = load_model(folder, lora=str(tmp_path))
        assert "changed" not in one.identity["networks"]["unet"]
        (tmp_path / "b.safetensors").write_bytes(lora.read_bytes())
        with pytest.raises(BadValue, match=r"holds 2 files \(a.safetensors, b.safetensors\); name one"):
            load_model(folder, lora=str(tmp_path))

    @torch.no_grad()
    def test_layers_that_are_off_or_of_another_strength_count_as_they_are_now(self, lora):
        """On, off, on at half, fused and taken out: wherever two images differ, so do the identities."""
        pipe = sdxl()
        model = load_model(pipe, steps=1, guidance=0.0)
        noise = torch.randn(1, *model.noise_shape, generator=torch.Generator().manual_seed(0))
        states = {
            "without": lambda: None,
            "on": lambda: pipe.load_lora_weights(lora.parent, weight_name=lora.name, adapter_name="style"),
            "off": pipe.disable_lora,
            "half": lambda: (pipe.enable_lora(), pipe.set_adapters("style", 0.5)),
            "fused": pipe.fuse_lora,
            "fused alone": pipe.unload_lora_weights,
        }
        seen = {}
        for name, bring in states.items():
            bring()
            seen[name] = model.decode(model.sample(noise, model.encode(PROMPTS[:1]))), model.identity
        assert (seen["on"][0] - seen["without"][0]).abs().max() > 1e-3
        for one, other in combinations(seen, 2):
            if not torch.equal(seen[one][0], seen[other][0]):
                assert seen[one][1] != seen[other][1], (one, other)


class TestSettings:
    """Settings mean the same in a name, as arguments, and in labels."""

    def test_a_name_with_settings(self, folder):
        written = load_model(f"{folder}(steps=3, guidance=1.5, size=(24, 16), scheduler='ddim')")
        given = load_model(folder, steps=3, guidance=1.5, size=(24, 16), scheduler="ddim")
        assert written.identity == given.identity
        assert written.label == "base(steps=3, guidance=1.5, scheduler='ddim', size=(24, 16))"
        assert load_model(f"{folder}(steps=3)", steps=5).card.steps == 5

    def test_a_folder_that_bears_a_cards_name_is_not_described_by_the_card(self, home):
        folder = home / "sdxl"
        sdxl().save_pretrained(folder)
        assert load_model(folder, steps=2).label == "sdxl(steps=2)"

    def test_a_label_loads_the_model_again(self):
        for settings in ({"steps": 3}, {"scheduler": "euler", "guidance": 2.0}, {"dtype": "bf16"}):
            model = load_model("tiny", device="cpu", **settings)
            assert load_model(model.label, device="cpu").identity == model.identity
            assert load_model(model.label, device="cpu").label == model.label

    @pytest.mark.parametrize(
        ("source", "settings", "says"),
        [
            ("tiny(step=3)", {}, r"unknown setting of a model 'step'; did you mean 'steps'"),
            ("tiny(steps=", {}, r"unknown model"),
            ("tiny(steps=open('x'))", {}, r"does not read as a name with literal settings"),
            ("tiny(3)", {}, r"does not read|without a setting's name"),
            ("tiny(selection)", {}, r"is given 'selection' without a setting's name"),
            ("tiny", {"steps": True}, r"steps=True .* is not a whole number"),
            ("tiny", {"guidance": "3"}, r"guidance='3' of model 'tiny' is not a number"),
            ("tiny", {"dtype": "int8"}, r"unknown dtype of model 'tiny' 'int8'"),
            ("tiny", {"size": 31}, r"size 31 × 31 of model 'tiny' is no multiple of 4 pixels"),
            ("tiny", {"size": (32, 32, 32)}, r"is neither a number of pixels nor \(height, width\)"),
            ("tiny", {"lora": "owner/name"}, r"names no file; write 'owner/name:FILE.safetensors'"),
            ("tiny", {"offload": "some"}, r"offload='some' is not one of none, model, sequential"),
            ("tiny", {"device": "cuda:99"}, r"device 'cuda:99' is not there"),
        ],
    )
    def test_what_is_not_understood_is_refused(self, source, settings, says):
        with pytest.raises(BadValue, match=says) as caught:
            load_model(source, **settings)
        assert "\n" not in str(caught.value)

    def test_a_pipeline_object_brings_its_own_weights(self):
        with pytest.raises(
            BadValue, match=r"taken as it is, and dtype, unet can only be chosen while loading"
        ):
            load_model(sdxl(), dtype="fp16", unet="owner/name")

    def test_number_types(self, folder, model):
        half = load_model(folder, steps=2, guidance=2.0, dtype="bf16")
        assert half.pipe.unet.dtype == torch.bfloat16
        assert half.identity["dtype"] == "torch.bfloat16"
        same = load_model(folder, steps=2, guidance=2.0, dtype=torch.bfloat16)
        assert same.identity == half.identity
        assert "bf16" in half.label
        assert (image(half) - image(model)).abs().mean() < 0.05

    def test_a_cards_number_type_is_for_accelerators_and_an_asked_one_for_all(self):
        usual, asked = (resolve("flux-schnell", more | {"device": "cpu"}) for more in ({}, {"dtype": "bf16"}))
        assert usual[0].dtype == asked[0].dtype == "bf16"
        assert (usual[2], asked[2]) == (torch.float32, torch.bfloat16)
        assert resolve("tiny", {"device": "meta"})[2] == torch.float32
        assert resolve("flux-schnell", {"device": "meta"})[2] == torch.bfloat16

    def test_sizes_reach_the_network_and_the_identity(self, folder, model):
        wide = load_model(folder, steps=2, guidance=2.0, size=(16, 32))
        assert image(wide).shape[2:] == (16, 32)
        assert wide.noise_shape == (4, 8, 16)
        assert wide.identity != model.identity
        assert load_model(folder, size=16).identity == load_model(folder).identity


class TestMemory:
    """Ways to save memory change no image, and leave gradients and identities as they are."""

    @pytest.mark.parametrize("offload", ["model", "sequential"])
    def test_networks_that_come_and_go(self, model, offload):
        """As a user's own pipeline, its accelerator being the host: what accelerate does there is the same."""
        pipe = sdxl()
        if offload == "model":
            pipe.enable_model_cpu_offload(device="cpu")
        else:
            for network in (pipe.unet, pipe.vae, pipe.text_encoder, pipe.text_encoder_2):
                cpu_offload(network, torch.device("cpu"), offload_buffers=bool(network._parameters))
            assert next(pipe.unet.parameters()).is_meta  # nothing is left where it runs
        away = load_model(pipe, steps=2, guidance=2.0)
        torch.testing.assert_close(image(away), image(model), atol=1e-6, rtol=0)
        assert away.identity["weights"] == model.identity["weights"]
        calls = []
        for network in (pipe.unet, pipe.vae.decoder):
            network.register_forward_pre_hook(lambda network, _: calls.append(type(network).__name__))
        torch.testing.assert_close(self.gradient(away), self.gradient(model), atol=1e-5, rtol=1e-4)
        # Whole networks are called again for the gradient, in the order in which it needs them.
        unet, decoder = "UNet2DConditionModel", "Decoder"
        assert calls == [unet, unet, decoder, decoder, unet, unet]

    @pytest.mark.gpu
    @pytest.mark.parametrize("offload", ["model", "sequential"])
    def test_offload_on_an_accelerator(self, folder, offload):
        away, there = (
            load_model(folder, steps=2, guidance=2.0, dtype="fp32", offload=way) for way in (offload, None)
        )
        assert next(away.pipe.unet.parameters()).device.type in ("cpu", "meta")
        torch.testing.assert_close(image(away), image(there), atol=1e-4, rtol=0)
        torch.testing.assert_close(self.gradient(away), self.gradient(there), atol=1e-4, rtol=1e-3)
        assert away.identity == there.identity

    def test_offload_without_an_accelerator_is_refused(self, folder):
        with pytest.raises(BadValue, match=r"offload='model' brings networks from the host to an acc"):
            load_model(folder, offload="model", device="cpu")

    def test_checkpointing_recomputes_blocks_instead_of_keeping_them(self, folder, model):
        saving = load_model(folder, steps=2, guidance=2.0, checkpointing=True)
        calls = {}
        for kind, m in (("plain", model), ("saving", saving)):
            watched = [m.pipe.unet.down_blocks[0].resnets[0], m.pipe.vae.decoder.mid_block.resnets[0]]
            counts = calls.setdefault(kind, [0, 0])
            handles = []
            for i, layer in enumerate(watched):

                def count(*_, i=i, counts=counts):
                    counts[i] += 1

                handles.append(layer.register_forward_pre_hook(count))
            gradient = self.gradient(m)
            for handle in handles:
                handle.remove()
            calls[f"{kind} gradient"] = gradient
        assert calls["plain"] == [2, 1]
        assert calls["saving"] == [4, 2]  # eval mode and frozen weights do not turn it off
        torch.testing.assert_close(calls["saving gradient"], calls["plain gradient"], atol=1e-5, rtol=1e-4)
        assert saving.identity == model.identity

    def test_a_network_that_waits_elsewhere_runs_where_its_hooks_say(self):
        """A device that computes nothing stands for an accelerator: the weights lie in the host's memory, and run there."""
        pipe = sdxl()
        model = load_model(pipe, steps=2, guidance=2.0)
        assert model.device == torch.device("cpu")
        for network in (pipe.unet, pipe.vae, pipe.text_encoder, pipe.text_encoder_2):
            add_hook_to_module(network, AlignDevicesHook(execution_device=torch.device("meta")))
        assert next(pipe.unet.parameters()).device == torch.device("cpu")
        assert model.device == torch.device("meta")

    def test_slicing_and_tiling(self, folder, model):
        sliced = load_model(folder, steps=2, guidance=2.0, slicing=True)
        assert sliced.pipe.vae.use_slicing
        assert sliced.identity == model.identity
        torch.testing.assert_close(image(sliced), image(model), atol=1e-4, rtol=0)
        tiled = load_model(folder, steps=1, guidance=2.0, tiling=True, size=64)
        whole = load_model(folder, steps=1, guidance=2.0, size=64)
        assert tiled.label == "base(steps=1, guidance=2.0, size=64, tiling=True)"
        networks = dict(tiled.identity["networks"])
        assert networks["vae"].pop("changed") == {"use_tiling": True}
        assert tiled.identity | {"networks": networks} == whole.identity
        difference = (image(tiled, PROMPTS[:1]) - image(whole, PROMPTS[:1])).abs()
        assert 0 < difference.mean() < 0.1  # seams move, the picture stays

    def gradient(self, model):
        noise = torch.randn(1, *model.noise_shape, generator=torch.Generator().manual_seed(0))
        leaf = noise.to(model.device).requires_grad_()
        (found,) = torch.autograd.grad(
            model.decode(model.sample(leaf, model.encode(PROMPTS[:1]))).square().sum(), leaf
        )
        return found


def test_a_models_texts_are_kept_off_the_device_and_encoded_once(model, monkeypatch):
    model.encode(["new words"])
    monkeypatch.setattr(model.pipe, "encode_prompt", None)
    assert torch.equal(*model.encode(["new words", "new words"]).positive)


def test_other_pipelines_are_refused_before_their_weights_are_read(folder, tmp_path):
    copy = tmp_path / "audio"
    copy.mkdir()
    (copy / "model_index.json").write_text('{"_class_name": "StableAudioPipeline"}')
    with pytest.raises(
        NotSupported, match=r"'audio' is a StableAudioPipeline; noisekit runs StableDiffusion"
    ):
        load_model(copy)


def test_stable_diffusion_with_a_safety_checker_in_its_index_loads_without(tmp_path):
    pipe = stable_diffusion()
    pipe.save_pretrained(tmp_path / "sd")
    index = tmp_path / "sd" / "model_index.json"
    text = index.read_text().replace(
        '"safety_checker": [\n    null,\n    null\n  ]',
        '"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]',
    )
    assert "StableDiffusionSafetyChecker" in text
    index.write_text(text)
    assert load_model(tmp_path / "sd").pipe.safety_checker is None

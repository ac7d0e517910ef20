"""The JSON Schema of plan files, by which editors complete and check them while they are written.

What pydantic knows of `Plan` comes from there: keys, descriptions, defaults, what is required. What people may write for
models, methods, prompts, seeds and budgets is added here, with the names that there are: names of cards, methods and suites
are proposed and not required, since a hub id or an installed package brings others.
"""

from __future__ import annotations

from typing import Any

from noisekit.models.cards import cards
from noisekit.plan.axes import Limits, Suite
from noisekit.plan.plan import Plan
from noisekit.prompts import suites
from noisekit.registry import METHODS, METRICS

Schema = dict[str, Any]

#: Settings of `load_model`, with what each is.
SETTINGS: dict[str, Schema] = {
    "steps": {
        "type": "integer",
        "minimum": 1,
        "description": "Steps of the sampler; 1 makes a one-step model.",
    },
    "guidance": {"type": "number", "description": "Scale of classifier-free guidance."},
    "eta": {"type": "number", "minimum": 0, "description": "How much of the noise each step draws afresh."},
    "scheduler": {"type": "string", "description": "ddim, euler, dpmpp_2m … or a diffusers class."},
    "timesteps": {"type": "array", "items": {"type": "integer"}, "description": "Instead of even spacing."},
    "size": {
        "anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}],
        "description": "Pixels: one number, or height and width.",
    },
    "tokens": {"type": "integer", "minimum": 1, "description": "How many a long text encoder reads."},
    "dtype": {"enum": ["fp16", "bf16", "fp32"], "description": "What networks compute in."},
    "device": {"type": "string", "examples": ["cuda", "cpu"], "description": "Where networks run."},
    "offload": {
        "enum": ["none", "model", "sequential"],
        "description": "Keep networks on the host meanwhile.",
    },
    "revision": {"type": "string", "description": "Of the repository."},
    "variant": {"type": "string", "description": "Of its files, such as fp16."},
    "unet": {
        "type": "string",
        "description": "A denoiser from elsewhere: owner/name@revision:path, or a path.",
    },
    "vae": {"type": "string", "description": "An autoencoder from elsewhere."},
    "controlnet": {"type": "string", "description": "A ControlNet, whose image every prompt then brings."},
    "control_scale": {"type": "number", "description": "The ControlNet's strength."},
    "lora": {"type": "string", "description": "An adapter, fused into the networks."},
    "lora_scale": {"type": "number", "description": "The adapter's strength."},
    "tiling": {"type": "boolean", "description": "Decode large images in overlapping tiles."},
    "frames": {"type": "integer", "minimum": 1, "description": "Of a sequence."},
    "frame_guidance": {"enum": ["linear", "triangle"], "description": "How guidance runs over the frames."},
    "fps": {"type": "integer", "minimum": 1, "description": "Frames a second that SVD is told."},
    "motion_bucket": {"type": "integer", "minimum": 0, "description": "How much motion SVD is told."},
    "noise_aug": {"type": "number", "minimum": 0, "description": "Noise in the image that becomes frames."},
    "decode_chunk": {"type": "integer", "minimum": 1, "description": "Frames that are decoded at once."},
    "slicing": {"type": "boolean", "description": "Decode image by image."},
    "checkpointing": {"type": "boolean", "description": "Recompute instead of keeping what gradients need."},
}


def plan_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of a plan file."""
    schema = Plan.model_json_schema()
    keys, definitions = schema["properties"], schema["$defs"]
    definitions |= {"Suite": Suite.model_json_schema(), "Limits": Limits.model_json_schema()}
    definitions["Suite"]["properties"] |= {
        "suite": _name([*suites.BUNDLED, *suites.cards()]),
        "category": {"type": ["string", "integer"]},
        "texts": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    }
    definitions["Suite"]["oneOf"] = [{"required": ["suite"]}, {"required": ["texts"]}]
    forms: dict[str, Schema] = {
        "settings": {"type": "object", "properties": SETTINGS, "additionalProperties": False},
        "models": _several(_grid(list(cards()), {name: _axis(one) for name, one in SETTINGS.items()})),
        "methods": _several(_grid(list(METHODS), None)),
        "prompts": _several(_name([*suites.BUNDLED, *suites.cards()]), {"$ref": "#/$defs/Suite"}),
        "seeds": {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^[\d\s,-]+$"},
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
            ],
            "examples": [4, "0-9,20", [0, 5, 7]],
        },
        "metrics": _several({"enum": list(METRICS)}),
        "weights": _name(["tiny", "published"]),
        "budget": _several({"$ref": "#/$defs/Limits"}),
        "store": {"type": "string", "examples": ["runs/mine"]},
    }
    for key, form in forms.items():
        keys[key] |= form
    keys["budget"]["default"] = {}
    for one in (*keys.values(), *(key for own in definitions.values() for key in own["properties"].values())):
        one.pop("title", None)
    about = {
        "title": "A plan of noisekit",
        "description": "What to compare: models, methods, prompts, seeds, metrics. `noisekit run` does what a store lacks.",
    }
    return (
        {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        | schema
        | about
        | {"oneOf": [{"required": ["methods"]}, {"required": ["search"]}]}
        | {"dependentSchemas": {"search": {"not": {"required": ["budget"]}}}}
    )


def _name(known: list[str]) -> Schema:
    """A text, of which an editor proposes some."""
    return {"anyOf": [{"enum": known}, {"type": "string", "minLength": 1}]}


def _axis(value: Schema) -> Schema:
    """A value, or a list of which each is taken in turn."""
    return {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}]}


def _grid(known: list[str], settings: dict[str, Schema] | None) -> Schema:
    """A name, or names with settings."""
    values = {"not": {"type": "array", "maxItems": 0}} if settings is None else False
    own = {"type": ["object", "null"], "properties": settings or {}, "additionalProperties": values}
    named = {"type": "object", "minProperties": 1, "additionalProperties": own}
    return {"anyOf": [_name(known), named | {"properties": dict.fromkeys(known, own)}]}


def _several(*forms: Schema) -> Schema:
    """One of these forms, or a list of them."""
    return {"anyOf": [*forms, {"type": "array", "items": {"anyOf": list(forms)}, "minItems": 1}]}

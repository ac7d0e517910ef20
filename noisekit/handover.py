"""Hand a found noise on to diffusers: the latents in a file, and a script that makes the image of them again.

    noise.safetensors     "latents", as the `latents` argument of the model's own pipeline takes them
    script                loads the pipeline, calls it as noisekit does, and writes the image

Where the model is one repository or folder in diffusers' format, the script needs noisekit no longer. Where parts come from
elsewhere noisekit loads the pipeline, and where a method chose the noises that the sampler injects, which no pipeline's call
takes, noisekit samples too: the file then holds "noise" and "injected".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from noisekit.errors import NotSupported
from noisekit.files import whole
from noisekit.models.base import Model
from noisekit.models.cards import cards, changed_settings
from noisekit.models.pipeline import DiffusersModel
from noisekit.models.samplers import sampler_class, walk
from noisekit.noise import Convention, NoiseSource
from noisekit.shown import shown
from noisekit.types import NoiseResult

#: What the script calls the file.
NOISE = "noise.safetensors"
_ALONE = """\
import torch
from diffusers import DiffusionPipeline{scheduler_class}
from safetensors.torch import load_file

pipe = DiffusionPipeline.from_pretrained({place})
{scheduler}pipe.to({device})
"""
_LOADED = """\
import torch
from safetensors.torch import load_file

import noisekit as nk

pipe = nk.load_model({place}).pipe  # the pipeline as diffusers has it
"""
_CALL = """
latents = load_file({file})["latents"]
image = pipe(
{arguments}
).images[0]
image.save("image.png")
"""
_SAMPLED = """\
from pathlib import Path

import torch
from safetensors.torch import load_file

import noisekit as nk
from noisekit.store.png import write_png

model = nk.load_model({place})
found = {{name: tensor.to(model.device) for name, tensor in load_file({file}).items()}}
generators = [torch.Generator().manual_seed({seed})]
latents = model.sample(
    found["noise"], model.encode({prompts}), generators, injected=found.get("injected")
)
write_png(Path("image.png"), model.decode(latents)[0], {{}})
"""


@dataclass(frozen=True)
class HandedOver:
    """A script, and the tensors that it reads from `NOISE` beside it."""

    script: str
    tensors: Mapping[str, Tensor]

    def save_noise(self, path: str | Path) -> Path:
        """Write the tensors as safetensors; raises `OSError`."""
        path = Path(path)
        with whole(path) as part:
            save_file(dict(self.tensors), part)
        return path


def hand_over(
    model: Model, result: NoiseResult, sample: int = 0, convention: Convention = "per_prompt"
) -> HandedOver:
    """What makes one image of a result again with diffusers.

    Args:
        model: that the noise was found for.
        result: of a method.
        sample: which of its images.
        convention: of the noise, as the method was given it.

    Returns:
        The script and its tensors.

    Raises:
        NotSupported: where the model came as a pipeline object, which no script can load, or takes more than texts.
    """
    if not isinstance(model, DiffusersModel) or not model.card.repo:
        raise NotSupported(
            f"model {model.name!r} was given as an object, which no script can load again; give its folder or hub id"
        )
    prompt, own = result.prompts[sample], slice(sample, sample + 1)
    source = NoiseSource(model.noise_shape, [prompt], [result.seeds[sample]], convention)
    seed = source.sampler_generators()[0].initial_seed()
    about = f"# {shown(result.method)} on {shown(model.name)}, seed {result.seeds[sample]}\n"
    try:
        if result.injected is not None:
            raise NotSupported("no pipeline's call takes the noises that its sampler injects")
        given = model.call_inputs([prompt]) | model.call_kwargs
    except NotSupported:
        tensors = {"noise": result.noise[own]}
        if result.injected is not None:
            tensors["injected"] = result.injected[own]
        loading = {"place": _arguments(*_by_noisekit(model)), "file": repr(NOISE)}
        script = _SAMPLED.format(**loading, seed=seed, prompts=repr([str(prompt)]))
        return HandedOver(about + script, _kept(tensors))
    called = {name: value for name, value in given.items() if name != "output_type"}
    if strange := [name for name, value in called.items() if not _is_literal(value)]:
        raise NotSupported(
            f"the call of model {model.name!r} takes more than can be written down: {', '.join(strange)}"
        )
    lines = [f"{name}={value!r}," for name, value in called.items()]
    lines.insert(len(model.call_inputs([prompt])), "latents=latents,")
    if _draws(model):
        lines.append(f"generator=torch.Generator().manual_seed({seed}),")
    call = _CALL.format(file=repr(NOISE), arguments="\n".join(f"    {line}" for line in lines))
    return HandedOver(
        about + _loading(model) + call, _kept({"latents": model.pipe_latents(result.noise[own])})
    )


def _loading(model: DiffusersModel) -> str:
    """The lines that make `pipe`: without noisekit where diffusers alone loads what the card says."""
    card = model.card
    elsewhere = (card.unet, card.vae, card.controlnet, card.lora, card.vae_dtype, card.tiling or None)
    if card.bundled or any(part is not None for part in elsewhere):
        return _LOADED.format(place=_arguments(*_by_noisekit(model)))
    chosen = {"revision": card.revision, "variant": card.variant}
    place = [repr(card.repo), *(f"{name}={value!r}" for name, value in chosen.items() if value is not None)]
    place.append(f"torch_dtype={model.denoiser.dtype}")
    name, line = "", ""
    if card.scheduler is not None:
        name, options = sampler_class(card.scheduler, card.scheduler_options, model.pipe.scheduler)
        given = "".join(f", {option}={value!r}" for option, value in options.items())
        line = f"pipe.scheduler = {name}.from_config(pipe.scheduler.config{given})\n"
    return _ALONE.format(
        scheduler_class=f", {name}" if name else "",
        place=", ".join(place),
        scheduler=line,
        device=repr(str(model.device)),
    )


def _by_noisekit(model: DiffusersModel) -> tuple[str, dict[str, Any]]:
    """What `load_model` is given to load this model again: its source, and where it differs from its card."""
    card = model.card
    shipped = cards().get(card.name)
    source = card.name if shipped is not None and shipped.repo == card.repo else card.repo
    where = {"device": str(model.device), "dtype": str(model.denoiser.dtype).removeprefix("torch.")}
    return source, changed_settings(card) | where


def _arguments(source: str, settings: Mapping[str, Any]) -> str:
    return ", ".join([repr(source), *(f"{name}={value!r}" for name, value in settings.items())])


def _is_literal(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_literal(item) for item in value)
    return value is None or isinstance(value, str | int | float)


def _draws(model: DiffusersModel) -> bool:
    """Whether the sampler draws fresh noise on its way: a generator is then no longer as it was."""
    scheduler, probe = model.schedule(model.card.steps), torch.Generator()
    before, zeros = probe.get_state(), torch.zeros(1, *model.noise_shape[:-2], 2, 2, device=model.device)
    walk(
        scheduler,
        lambda x, _: torch.zeros_like(x),
        zeros,
        [probe],
        visited=model.visited(scheduler),
        **model.step_settings,
    )
    return not torch.equal(before, probe.get_state())


def _kept(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

"""What a method may ask of a text-to-image model.

    latents = sample(ε, c)        from unit-variance noise ε (B, C, h, w) and prompts c to clean latents; of a model that
                                  makes F frames, here and below, noise is (B, F, C, h, w) and images (B, F, 3, H, W)
    images  = decode(latents)     to (B, 3, H, W) in [0, 1]
    u       = predict(x, t, c, ω) the network's raw prediction at state x and timestep t, with guidance
                                  u = u(∅) + ω·(u(c) − u(∅))

A stochastic model, one whose card says eta > 0, injects fresh noise at each of its n steps, and `sample` is the walk

    x_0 = ε        x_{k+1}, x̂_0 = transition(x_k, k, c, ξ_k)        k = 0…n−1        see `solvers.stochastic`

in which states are numbered as points of a grid, from the noise. The ξ are tensors that a caller may give.

ε always has unit variance: whatever scale a scheduler starts from is applied inside `sample`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from noisekit import registry
from noisekit.errors import BadValue, NotSupported
from noisekit.flops import SPECIMEN, Worker
from noisekit.models.cards import Card, changed_settings
from noisekit.solvers.base import Grid
from noisekit.solvers.stochastic import injected_deviation, noisy_step
from noisekit.types import Cost


class Marker(StrEnum):
    """What a model can do beyond sampling; methods name the markers that they need."""

    INVERTIBLE = "invertible"  # `grid` and `predict` allow a round trip noise → latents → noise
    DIFFERENTIABLE = "differentiable"  # `sample` and `decode` carry a gradient to the noise
    ONE_STEP = "one-step"  # `sample` evaluates the network once
    STOCHASTIC = "stochastic"  # `sample` is a walk of `transition`s, and takes the noises that they inject


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Encoded prompts: `positive` (B, L, D) and what stands for no prompt, `negative` (1, L, D).

    added: what a family's network takes besides, such as pooled embeddings or masks: by name, the prompts' (B, …) and that
    of no prompt (1, …), or None where no prompt is told the same as the prompt.
    """

    positive: Tensor
    negative: Tensor
    added: Mapping[str, tuple[Tensor, Tensor | None]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.positive)

    def repeat(self, times: int) -> Conditioning:
        """The whole batch `times` times over: sample i of copy k stands at k·B + i."""

        def copies(tensor: Tensor) -> Tensor:
            return tensor.repeat(times, *[1] * (tensor.dim() - 1))

        return Conditioning(
            copies(self.positive), self.negative, {k: (copies(p), n) for k, (p, n) in self.added.items()}
        )

    def take(self, samples: Tensor) -> Conditioning:
        """The samples of these numbers (n,), in this order."""
        added = {name: (p[samples], n) for name, (p, n) in self.added.items()}
        return Conditioning(self.positive[samples], self.negative, added)

    def split(self, size: int) -> Iterator[Conditioning]:
        """Consecutive batches of at most `size` samples."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            added = {name: (p[part], n) for name, (p, n) in self.added.items()}
            yield Conditioning(self.positive[part], self.negative, added)

    @property
    def with_prompt(self) -> dict[str, Tensor]:
        """What the network takes without guidance, (B, …) each; the prompts' embeddings are called "text"."""
        return {"text": self.positive} | {name: p for name, (p, _) in self.added.items()}

    @property
    def without_and_with(self) -> dict[str, Tensor]:
        """What the network takes under guidance, (2B, …) each: B times no prompt, then the prompts."""
        pairs = {"text": (self.positive, self.negative), **self.added}
        return {name: torch.cat([p if n is None else n.expand_as(p), p]) for name, (p, n) in pairs.items()}


class Model(Worker):
    """A text-to-image model behind one interface. `sample` is deterministic given noise and generators."""

    name: str
    card: Card
    noise_shape: tuple[int, ...]
    device: torch.device
    markers: frozenset[Marker]

    @abstractmethod
    def encode(self, prompts: Sequence[str]) -> Conditioning:
        """Encode prompts; each distinct prompt is encoded once and then kept."""

    @contextmanager
    def texts_within(self, most: int) -> Iterator[None]:
        """While it is entered, no more than so many bytes of encoded prompts are kept."""
        yield

    def unread(self, prompts: Sequence[str]) -> dict[str, str]:
        """The prompts that the text encoder does not read whole, with the reason."""
        return {}

    def attending(self) -> tuple[Any, Any]:
        """The UNet whose attention over pixels can be read (`attention.reading`), and the tokenizer of its text."""
        raise NotSupported(
            f"model {self.name!r} has no UNet whose attention could be read; take Stable Diffusion or SDXL"
        )

    @abstractmethod
    def grid(self, steps: int) -> Grid:
        """The time grid of `steps` steps of the model's own ODE, spaced as its scheduler's configuration says."""

    def sampler_grid(self, steps: int) -> Grid:
        """The time grid on which `sample` itself walks: its sampler's timesteps and levels."""
        return self.grid(steps)

    @abstractmethod
    def predict(self, x: Tensor, t: Tensor, conditioning: Conditioning, guidance: float) -> Tensor:
        """The raw network prediction u (B, C, h, w) at unit-variance state x and scalar timestep t."""

    @abstractmethod
    def sample(
        self,
        noise: Tensor,
        conditioning: Conditioning,
        generators: list[torch.Generator] | None = None,
        steps: int | None = None,
        injected: Tensor | None = None,
    ) -> Tensor:
        """Clean latents (B, C, h, w) from noise, by the model's own scheduler; `steps` defaults to the card's.

        A stochastic model injects the noises (B, n, C, h, w), one a step, or where none are given what the generators draw.
        """

    def transition(
        self, x: Tensor, k: int, conditioning: Conditioning, fresh: Tensor | None, steps: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """One step of a stochastic model: one guided prediction at the state x (B, C, h, w) of point k.

        Returns the state at point k + 1 and the clean latents x̂_0 seen from point k. Without `fresh` the state is the mean
        of the step, and `deviations[k]`·ξ is still to be added.
        """
        grid = self.sampler_grid(steps or self.card.steps)
        u = self.predict(x, grid.timestep(k), conditioning, self.card.guidance)
        return noisy_step(grid, u, x, k, fresh, injected_deviation(grid, k, self.card.eta))

    def deviations(self, steps: int | None = None) -> list[float]:
        """v_k of each step: the deviation of the noise that it injects, 0 where it injects none."""
        grid = self.sampler_grid(steps or self.card.steps)
        return [injected_deviation(grid, k, self.card.eta) for k in range(len(grid))]

    def stochastic_walk(
        self,
        noise: Tensor,
        conditioning: Conditioning,
        generators: list[torch.Generator] | None,
        steps: int | None,
        injected: Tensor | None,
    ) -> Tensor:
        """`sample` of a stochastic model."""
        number = len(self.sampler_grid(steps or self.card.steps))
        if injected is None and generators is None:
            raise BadValue(
                f"model {self.name!r} samples with eta={self.card.eta:g} and was given neither generators nor injected "
                "noises, so no seed would repeat an image; give NoiseSource.sampler_generators()"
            )
        if injected is not None and injected.shape[:2] != (len(noise), number):
            raise BadValue(
                f"{len(noise)} noises of model {self.name!r} at {number} steps take injected noises (B, n, …) = "
                f"({len(noise)}, {number}, …), not {tuple(injected.shape)}"
            )
        x = noise
        for k in range(number):
            fresh = sequential(generators or [], x) if injected is None else injected[:, k]
            x, _ = self.transition(x, k, conditioning, fresh, steps)
        return x

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1]."""

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Everything that decides the image besides prompt, noise and method: hashed into a generation's identity."""

    @property
    def parameters(self) -> int:
        """How many numbers the denoiser holds: what a thread's worth is judged by."""
        return 0

    @property
    def frames(self) -> int:
        """How many images a sample is: 1, or the frames of its sequence."""
        return self.noise_shape[0] if len(self.noise_shape) == 4 else 1

    @property
    def label(self) -> str:
        """The name with the settings that differ from the card's, as `load_model` reads it: "tiny(steps=20)"."""
        return registry.render(self.name, changed_settings(self.card))

    @property
    def call_kwargs(self) -> dict[str, Any]:
        """Keyword arguments with which the model's own pipeline repeats `decode(sample(noise))`."""
        return {}

    def call_inputs(self, prompts: Sequence[str]) -> dict[str, Any]:
        """What the same call is given for these prompts: their texts, and whatever goes with each of them."""
        return {"prompt": [str(prompt) for prompt in prompts]}

    def pipe_latents(self, noise: Tensor) -> Tensor:
        """Noise (B, C, h, w) in the layout and type that the `latents` argument of the model's own pipeline takes."""
        return noise

    def sample_cost(self, steps: int | None = None) -> Cost:
        """The cost of one image: `steps` guided predictions and one decoding."""
        return self.predict_cost(self.card.guidance) * (steps or self.card.steps) + Cost(decoder=1)

    def predict_cost(self, guidance: float) -> Cost:
        """One prediction: two evaluations under guidance, one without (guidance 0 or 1)."""
        return Cost(denoiser=2 if self.doubles(guidance) else 1)

    def doubles(self, guidance: float) -> bool:
        """Whether a prediction at this guidance takes two evaluations; not where the network itself is told the scale."""
        return guided(guidance)

    def specimen(self, network: str) -> tuple[Callable[[Tensor], Tensor], Tensor] | None:
        """The denoiser without guidance at the sampler's first timestep, or the decoder."""
        x = torch.zeros(1, *self.noise_shape, device=self.device)
        if network == "decoder":
            return self.decode, x
        if network != "denoiser":
            return None
        conditioning, t = self.specimen_conditioning(), self.first_timestep()
        return lambda state: self.predict(state, t, conditioning, 1.0), x

    def specimen_conditioning(self) -> Conditioning:
        """Of a prompt on which the denoiser's operations are counted."""
        return self.encode([SPECIMEN])

    def first_timestep(self) -> Tensor:
        """At which `sample` first evaluates the denoiser."""
        return self.sampler_grid(self.card.steps).timestep(0)

    def require(self, method: str, needs: Sequence[Marker]) -> None:
        """Raise `NotSupported` unless the model has every marker in `needs`."""
        missing = [marker.value for marker in needs if marker not in self.markers]
        if missing:
            has = ", ".join(sorted(marker.value for marker in self.markers)) or "none"
            where = "`noisekit list models` shows which models are"
            if missing == [Marker.STOCHASTIC]:
                where = f"give the model fresh noise on the way, as in '{self.name}(eta=1.0)'"
            raise NotSupported(
                f"method {method!r} needs a model that is {' and '.join(missing)}, but {self.name!r} is not (it is: "
                f"{has}); {where}"
            )


def sequential(generators: list[torch.Generator], like: Tensor) -> Tensor:
    """The next draw of each sample's generator, (B, C, h, w)."""
    draws = [torch.randn(like.shape[1:], generator=own, device=own.device) for own in generators]
    return torch.stack(draws).to(like.device)


def without_injected(model: str, injected: Tensor | None) -> None:
    """Raise `NotSupported` where a model whose sampler is not stochastic is handed noises to inject."""
    if injected is not None:
        raise NotSupported(
            f"model {model!r} is not stochastic, so its steps take no injected noises; load it with eta=1, as in "
            f"'{model}(eta=1.0)'"
        )


def guided(guidance: float) -> bool:
    """Whether classifier-free guidance is on: diffusers turns it off at 1 and below."""
    return guidance > 1

"""Seconds and memory of every method on every published model at full size, with random weights.

    python -m benchmarks.published                                     all of it, on the first accelerator
    python -m benchmarks.published --models sdxl,sd-turbo --methods standard,selection
    python -m benchmarks.published --size tiny                         the same code on toy networks, on any machine

prints the table of benchmarks/README.md as Markdown: one image of one prompt. What a network computes takes no longer for
trained weights than for random ones. Cards give number type, size, steps, guidance and how many candidates go through the
denoiser at once.

A long search is run for two such batches of candidates and priced whole: the first batch as it came, the other candidates at
what those of the second took, and the image at the end. Every method makes an unmeasured run before. Peak memory is that of
the measured run, weights included.
"""

from __future__ import annotations

import argparse
import gc
import platform
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import diffusers
import torch
import transformers

from benchmarks.random_weights import configurations, full_model, toy_model, write_rewards
from noisekit.errors import BadValue, NotSupported
from noisekit.methods import NoiseMethod, load_method
from noisekit.methods.parameters import settings
from noisekit.models.base import Model
from noisekit.npnet.checkpoint import save_artefact
from noisekit.npnet.network import NPNet, suited
from noisekit.rewards import release
from noisekit.types import Budget

METHODS = "standard,selection,cosine,reno,npnet,inversion,repaint,best_of"
PROMPT = "two red squares"


@dataclass(frozen=True)
class Row:
    """candidates: of the whole search. each: seconds of one of them. seconds: of an image. peak: bytes, where it is told."""

    model: str
    method: str
    candidates: int
    each: float
    seconds: float
    peak: int | None

    def __str__(self) -> str:
        peak = "–" if self.peak is None else f"{self.peak / 2**30:.1f}"
        search = f"{self.candidates} | {self.each:.3f}" if self.candidates else "– | –"
        return f"| {self.model} | `{self.method}` | {search} | {self.seconds:.2f} | {peak} |"


@dataclass(frozen=True)
class Bench:
    """Where it is measured, at which size, and a folder for what the methods read."""

    device: torch.device
    full: bool
    folder: Path

    def table(self, models: Sequence[str], methods: Sequence[str]) -> Iterator[Row | str]:
        """A row for every method that runs on a model, and a sentence for every one that does not."""
        for name in models:
            model = (full_model if self.full else toy_model)(name, self.device)
            for method in methods:
                try:
                    yield measured(model, self.prepared(load_method(method), model))
                except (NotSupported, torch.cuda.OutOfMemoryError) as error:
                    yield f"{name}, {method}: {str(error).partition(';')[0]}"
                release()
                gc.collect()
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
            del model

    def prepared(self, method: NoiseMethod, model: Model) -> NoiseMethod:
        """A method with rewards of the size; npnet with a network that suits the model."""
        given: dict[str, Any] = {}
        if method.name == "npnet":
            given["artefact"] = str(self.npnet(model))
        elif "weights" in settings(type(method)):
            if method.name != "reno":
                given["rewards"] = "hps:1"
            elif not self.full:
                given["rewards"] = "hps:5 + image_reward:1 + clip_score:0.01 + pick_score:0.05"
            given["weights"] = "published" if self.full else "tiny"
            if self.full and not (rewards := self.folder / "rewards").exists():
                write_rewards(rewards, self.device)
        return replace(method, **given)

    def npnet(self, model: Model) -> Path:
        """An untrained network for a model's latents and prompt embeddings."""
        channels, height, width = model.noise_shape
        _, tokens, features = model.encode([PROMPT]).positive.shape
        try:
            config = suited((channels, height, width), (tokens, features))
        except BadValue as error:
            raise NotSupported(str(error)) from None
        save_artefact(self.folder / "npnet" / model.name, NPNet(config), {})
        return self.folder / "npnet" / model.name


def measured(model: Model, method: NoiseMethod) -> Row:
    """Run two batches of candidates of a search, after a first run that is not timed, and price the whole search."""
    whole, batch = method.resolved(model).horizon, model.card.batch
    method(model, PROMPT, budget=Budget(candidates=1))
    result = method(model, PROMPT, budget=Budget(candidates=2 * batch))
    if result.broken:
        what = next(iter(result.broken.values()))
        raise NotSupported(f"with random weights, its {what} is not finite")
    seconds = [0.0, *(point.cost.seconds for point in result.trace.points)]
    run = len(seconds) - 1
    each = (seconds[run] - seconds[batch]) / batch if run == 2 * batch else seconds[run] / max(1, run)
    total = result.cost.seconds + each * (whole - run)
    return Row(model.name, method.name, whole, each, total, result.cost.peak_memory)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--models", default=",".join(configurations()["cards"]))
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--device", help="default: the first accelerator, else the CPU")
    given = parser.parse_args(argv)
    device, full = given.device or ("cuda" if torch.cuda.is_available() else "cpu"), given.size == "full"
    if full and device == "cpu" and given.device is None:
        parser.error(
            "the full size is for an accelerator, and there is none; give --size tiny, or --device cpu"
        )
    diffusers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    about = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.machine()
    print(f"{about}, torch {torch.__version__}, {given.size} size, random weights\n")
    print("| model | method | candidates | seconds a candidate | seconds an image | peak GiB |")
    print("| --- | --- | --- | --- | --- | --- |")
    left_out = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(torch.device(device), full, folder)
        # In the place of the published checkpoints, whose files need not be here.
        with mock.patch("noisekit.rewards.published.published", lambda reward: folder / "rewards" / reward):
            for row in bench.table(given.models.split(","), given.methods.split(",")):
                if isinstance(row, Row):
                    print(row, flush=True)
                else:
                    left_out.append(row)
    if left_out:
        print("\nDoes not run:\n" + "\n".join(f"- {sentence}" for sentence in left_out))


if __name__ == "__main__":
    main()

"""What became of the noises of a run that kept them (`keep_noise: true`): still Gaussian? how far from where they lead?

    moved       ‖ε* − ε‖      found and initial noise          drawn      ‖ε − ε′‖    two initial noises, √(2d) on average
    initial     ‖ε − z(ε)‖    to the clean latents it leads to  found      ‖ε* − z(ε*)‖
    unrelated   ‖ε − z(ε′)‖   to those of another noise

Eyring et al. 2024, "ReNO", arXiv 2406.04312, print all five for SD-Turbo: 27.0, 180.8, 123.3, 142.4 and 159.1. Latents are
made anew by the model, as they are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from noisekit.errors import BadValue
from noisekit.evaluation import gaussianity as tests
from noisekit.evaluation.statistics import STANDARD
from noisekit.models import Model, load_model
from noisekit.noise import NoiseSource
from noisekit.paths import given_path
from noisekit.results.run import Run
from noisekit.store.png import write_png

#: Columns of `latent_distances`.
COLUMNS = ["model", "method", "noises", "moved", "drawn", "initial", "found", "unrelated"]
#: Sides of a drawn noise are at least this many pixels.
SIDE = 128


def kept(run: Run) -> pd.DataFrame:
    """The rows of `frame` whose noises were kept, with them, and those that their searches began with, in two columns.

    What a search begins with is what standard keeps of the same prompt and seed. Raises `BadValue` where nothing was kept.
    """
    frame = run.frame()
    noises = [_noise(run, image) for image in frame["image"]]
    table = frame.assign(noise=pd.Series(noises, frame.index, dtype=object))
    table = table[table["noise"].notna()]
    if table.empty:
        raise BadValue(
            f"run {str(run.folder)!r} kept no noises; run it into another store with keep_noise: true, or --keep-noise"
        )
    cells = ["model", "prompt", "seed"]
    standard = table[table["method"] == STANDARD].set_index(cells)["noise"].rename("initial")
    return table.join(standard, on=cells).dropna(subset=["initial"])


def gaussianity(run: Run) -> pd.DataFrame:
    """One row per (model, method, test): how many of the kept noises stray from N(0, I), and whether chance would do.

    See `noisekit.evaluation.gaussianity`.
    """
    rows = kept(run)
    return tests.gaussianity(
        (row["model"], row["method"], row["noise"].numpy()) for row in rows.to_dict("records")
    )


def latent_distances(run: Run, model: Model | None = None) -> pd.DataFrame:
    """One row per (model, method): mean distances of the kept noises; see the module and `COLUMNS`.

    Args:
        run: whose noises were kept.
        model: that made them (None: the one that `load_model` finds by the name in the run).
    """
    rows = []
    for (label, method), own in kept(run).groupby(["model", "method"], sort=False):
        found = list(_distances(run, own, model or load_model(str(label))))
        means = pd.DataFrame(found).mean().to_dict()
        rows.append({"model": label, "method": method, "noises": len(own)} | means)
    return pd.DataFrame(rows, columns=COLUMNS)


def difference_images(run: Run, folder: str | Path) -> list[Path]:
    """Draw every kept noise: the initial one, the one found, and their difference.

    Each is the mean over channels, in units of its own deviation: black at −3, white at 3. The difference is in units of the
    initial noise's, so that it is grey where nothing moved.

    Args:
        run: whose noises were kept.
        folder: for the PNG files, which have the names of the images.

    Returns:
        The files.
    """
    target, written = given_path(folder), []
    target.mkdir(parents=True, exist_ok=True)
    for row in kept(run).to_dict("records"):
        noises = (row["initial"], row["noise"], row["noise"] - row["initial"])
        panels = [_drawn(noise, _flat(row["initial"]).std()) for noise in noises]
        path = target / f"{Path(row['image']).stem}.png"
        about = {name: row[name] for name in ("model", "method", "prompt", "seed")}
        write_png(path, torch.cat(panels, dim=2), about | {"panels": "initial, found, difference"})
        written.append(path)
    return written


def _noise(run: Run, image: str) -> Tensor | None:
    try:
        return run.noise(image).float()
    except BadValue:
        return None


@torch.no_grad()
def _distances(run: Run, own: pd.DataFrame, model: Model) -> Iterator[dict[str, float]]:
    """Of each noise of a method; the other one is the second candidate of its sample, `NoiseSource.draw(1)`."""
    rows = own.to_dict("records")
    prompts, seeds = [row["prompt"] for row in rows], [int(row["seed"]) for row in rows]
    source = NoiseSource(model.noise_shape, prompts, seeds, run.manifest["noise"], model.device)
    conditioning, other = model.encode(prompts), source.draw(1)
    initial, found = (
        torch.stack([row[name] for row in rows]).to(model.device) for name in ("initial", "noise")
    )
    injected = [run.injected(row["image"]) for row in rows]
    chosen = None if injected[0] is None else torch.stack([one for one in injected if one is not None])

    def latents(noise: Tensor, own: Tensor | None = None) -> Tensor:
        return model.sample(noise, conditioning, source.sampler_generators(), injected=own)

    figures = {
        "moved": found - initial,
        "drawn": initial - other,
        "initial": initial - latents(initial),
        "found": found - latents(found, None if chosen is None else chosen.to(model.device)),
        "unrelated": initial - latents(other),
    }
    lengths = {name: difference.flatten(1).norm(dim=1) for name, difference in figures.items()}
    for i in range(len(rows)):
        yield {name: float(length[i]) for name, length in lengths.items()}


def _flat(noise: Tensor) -> Tensor:
    """The mean (h, w) over channels, and frames if there are any."""
    return noise.flatten(0, -3).mean(0)


def _drawn(noise: Tensor, unit: Tensor) -> Tensor:
    """A noise (…, h, w) as a grey picture (3, H, W) in [0, 1]."""
    times = max(1, -(-SIDE // noise.shape[-1]))
    grey = (0.5 + _flat(noise) / (6 * unit)).clamp(0, 1)
    return grey.repeat_interleave(times, 0).repeat_interleave(times, 1).expand(3, -1, -1)

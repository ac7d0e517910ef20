"""Draw the site's pictures: `python docs/pictures.py runs/pictures` makes docs/turntable.png, the first things of that suite
with their true views, docs/orbit.png, some of them with those that tiny-orbit makes, and from runs docs/gallery-*.png.

The prompts are the first five of the suite `tiny`, one of each kind, and the seed is 0: nothing was chosen by its looks. A
frame is green where the checker says that the prompt is fulfilled, red where it is not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import noisekit as nk
from noisekit.world.turntable import suite, turn

DOCS = Path(__file__).parent

#: The methods shown, by model.
SHOWN = {
    "tiny": (
        *("standard", "selection", "cosine", "npnet", "golden_seeds"),
        *("inversion", "repaint", "best_of", "random_search", "zero_order"),
    ),
    "tiny-turbo": ("standard", "npnet", "golden_seeds", "best_of", "random_search", "zero_order", "reno"),
}


def gallery(model: str, folder: Path) -> None:
    """Run the methods of a model on five prompts, and draw a row a prompt and a column a method."""
    run = nk.compare(model, list(SHOWN[model]), "tiny", limit=5, metrics=["truth"], store=folder / model)
    rows = run.frame()
    prompts, methods = (list(dict.fromkeys(rows[column])) for column in ("prompt", "method"))
    _, axes = plt.subplots(
        len(prompts), len(methods), figsize=(1.25 * len(methods), 1.3 * len(prompts) + 0.4)
    )
    for line, prompt in zip(axes, prompts, strict=True):
        for axis, method in zip(line, methods, strict=True):
            row = rows[(rows["prompt"] == prompt) & (rows["method"] == method)].iloc[0]
            axis.imshow(run.image(row["image"]).permute(1, 2, 0), interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            for spine in axis.spines.values():
                spine.set(color="#2e7d32" if row["truth"] else "#c62828", linewidth=2.5)
        line[0].text(0, -0.06, prompt, transform=line[0].transAxes, fontsize=8, va="top")
    for axis, method in zip(axes[0], methods, strict=True):
        name = method.partition("(")[0]
        calls = rows[rows["method"] == method]["calls"].mean()
        axis.set_title(f"{name}\n{calls:g} calls", fontsize=8)
    plt.subplots_adjust(left=0.01, right=0.99, top=0.93, bottom=0.03, wspace=0.06, hspace=0.2)
    plt.savefig(DOCS / f"gallery-{model}.png", dpi=110)
    plt.close()


def turntable() -> None:
    """A row a thing, a column a view: the first is what a model is given, the others what its frames should show."""
    sheet([turn(thing, 8) for thing in suite()[:5]], "turntable.png")


def orbit() -> None:
    """Two rows a thing: its true views, and the frames of tiny-orbit from a random noise, each below the view it is of."""
    texts, rows = nk.load_prompts("turntable", 4).texts, []
    made = nk.load_method("standard")(nk.load_model("tiny-orbit"), texts, seeds=[0]).images
    for thing, frames in zip(suite(), made.roll(1, 1).numpy(), strict=False):
        rows += [turn(thing, 8), frames]
    sheet(rows, "orbit.png")


def sheet(rows: list[np.ndarray], name: str) -> None:
    """Write rows of pictures (F, 3, H, W) in [0, 1] as one picture in large pixels."""
    whole = np.concatenate([np.concatenate(list(row.transpose(0, 2, 3, 1)), 1) for row in rows])
    drawn = Image.fromarray((whole * 255).round().astype(np.uint8))
    large = drawn.resize((3 * drawn.width, 3 * drawn.height), Image.Resampling.NEAREST)
    large.save(DOCS / name, optimize=True)


if __name__ == "__main__":
    turntable()
    orbit()
    for shown in SHOWN:
        gallery(shown, Path(sys.argv[1]))

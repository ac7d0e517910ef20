"""`noisekit npnet`: collect pairs of noises, train a network on them, and convert a published one; parts of `learn`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import cleandoc
from pathlib import Path
from typing import Annotated

import typer

from noisekit import registry
from noisekit.cli import options
from noisekit.cli.interrupt import Interrupted
from noisekit.cli.screen import help_alone, quiet, say
from noisekit.errors import BadValue
from noisekit.paths import given_path

app = typer.Typer(
    help="Train a network that turns a random noise into a golden one.",
    epilog="The same commands are under `noisekit learn`, which also trains on rewards.",
    callback=help_alone,
    invoke_without_command=True,
)


def collect(
    out: Annotated[Path, typer.Option(help="Folder for the pairs; what it holds is not done again.")],
    model: Annotated[str, typer.Option(help="A card, a folder or a hub id.")] = "tiny",
    prompts: Annotated[
        str, typer.Option(help="A suite or a file, as for compare; tiny_train has scenes to train on.")
    ] = "tiny_train",
    limit: Annotated[int | None, typer.Option(help="Only the first so many prompts.")] = None,
    seeds: Annotated[int, typer.Option(help="Pairs per prompt: seeds 0, 1, …")] = 1,
    method: Annotated[
        str | None,
        typer.Option(
            help="A method whose noises are the better ones, such as 'reno(steps=20)' (default: re-denoising)."
        ),
    ] = None,
    variant: Annotated[
        str, typer.Option(help="Re-denoising as in the paper, or as in its released code: paper, released.")
    ] = "paper",
    strong: Annotated[
        float | None, typer.Option(help="Guidance while denoising (default: the model's).")
    ] = None,
    weak: Annotated[float, typer.Option(help="Guidance while inverting.")] = 1.0,
    metrics: Annotated[
        str, typer.Option(help="Metrics that score both images, separated by commas.")
    ] = "hps",
    weights: Annotated[
        str | None,
        typer.Option(
            help="Weights of the metrics: tiny, published or a path (default: tiny for bundled models, else published)."
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(help="Only the pairs of a part of the prompts: 3/16 is the third of sixteen."),
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Keep noises and latents in half precision: half the disk.")
    ] = False,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
) -> None:
    """Make pairs of a noise and a better one, re-denoised or found by a method, and score the images of both.

    Run it again with more prompts, seeds or metrics: only what is missing is computed. Several processes may add to one
    folder, each with a part of the prompts (--shard) or seeds of its own.

    \b
    Examples:
      noisekit learn collect --limit 500 --out build/pairs
      noisekit learn collect --seeds 3 --strong 5.5 --metrics hps,clip_score --out build/pairs
      noisekit learn collect --model tiny-turbo --method "reno(steps=20)" --out build/reno-pairs
      noisekit learn collect --model sdxl --prompts pick_a_pic --steps 10 --weights published --out build/sdxl
    """
    from noisekit.methods import load_method
    from noisekit.methods.by_method import ByMethod, warn_unless_learnable
    from noisekit.methods.rewarded import usual_weights
    from noisekit.npnet.collect import Pairing, Recipe, scored_by
    from noisekit.npnet.collect import collect as run
    from noisekit.plan.shard import Shard
    from noisekit.plan.sources import ModelSource
    from noisekit.prompts import load_prompts
    from noisekit.rewards import check_weights, load_reward

    if seeds < 1:
        raise BadValue(f"seeds={seeds!r} is not a whole number of 1 or more")
    part = Shard.parse(shard or "1/1")
    texts = load_prompts(prompts, limit).texts[part.index - 1 :: part.count]
    recipe: Pairing = Recipe(variant, strong, weak)  # type: ignore[arg-type]  # checked there
    if method is not None:
        recipe = ByMethod(load_method(method, weights=weights))
    quiet()
    source = ModelSource(model, {"steps": steps, "guidance": guidance})
    chosen, names = weights or usual_weights([source.outline().card]), registry.split(metrics)
    check_weights(names, chosen)
    loaded = source.load()
    judges = [load_reward(name, chosen, loaded.device) for name in names]
    with _kept(out):
        done = run(
            loaded,
            texts,
            range(seeds),
            out,
            recipe=recipe,
            metrics=judges,
            half=half,
            progress=sys.stderr.isatty(),
        )
    cosine = warn_unless_learnable(done)
    by = {name: scored_by(done, name) for name in names}
    scored = [f"{name} ({own} weights)" if own not in ("", "none") else name for name, own in by.items()]
    say(
        f"{out}: {len(done)} pairs{', scored by ' if scored else ''}{' and '.join(scored)}, mean cosine {cosine:.3f}"
    )


def train(
    folder: Annotated[Path, typer.Argument(help="Folder of pairs.")],
    out: Annotated[Path, typer.Option(help="Folder for the network; an unfinished training goes on.")],
    model: Annotated[str, typer.Option(help="The model whose pairs they are.")] = "tiny",
    epochs: Annotated[int, typer.Option(help="Passes over the pairs.")] = 30,
    batch: Annotated[int, typer.Option(help="Pairs in a step.")] = 64,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 1e-4,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Begin with a trained network: a folder, a .pth file, a hub repository."),
    ] = None,
    filter_metric: Annotated[
        str,
        typer.Option(
            help="Keep pairs whose image gains by this metric, or by all of several (hps,aesthetic) …"
        ),
    ] = "hps",
    margin: Annotated[float, typer.Option(help="… more than so much.")] = 0.0,
    no_filter: Annotated[bool, typer.Option("--no-filter", help="Keep all pairs.")] = False,
    no_svd: Annotated[bool, typer.Option("--no-svd", help="Leave the svd branch out.")] = False,
    no_residual: Annotated[
        bool, typer.Option("--no-residual", help="Leave the residual branch out.")
    ] = False,
    no_text: Annotated[bool, typer.Option("--no-text", help="Leave the text branch out.")] = False,
    seed: Annotated[int, typer.Option(help="Of weights, split and order.")] = 0,
) -> None:
    """Train an NPNet on pairs; its folder then goes to the method npnet.

    \b
    Examples:
      noisekit learn train build/pairs --out build/npnet
      noisekit learn train build/pairs --out build/picky --margin 0.01 --lr 0.001 --epochs 10
      noisekit learn train build/pairs --out build/tuned --from sdxl.pth --epochs 5
    """
    from noisekit.methods.by_method import warn_unless_learnable
    from noisekit.models import load_model
    from noisekit.npnet.pairs import Collection
    from noisekit.npnet.train import Training
    from noisekit.npnet.train import train as run

    training = Training(
        epochs=epochs,
        batch=batch,
        lr=lr,
        metric=None if no_filter else filter_metric,
        margin=margin,
        svd=not no_svd,
        residual=not no_residual,
        text=not no_text,
        seed=seed,
    )
    pairs = Collection.read(folder)
    warn_unless_learnable(pairs)
    quiet()
    settings = {"steps": pairs.said("steps"), "guidance": pairs.said("sampling_guidance")}
    loaded = load_model(model, **settings)
    try:
        card = run(pairs, loaded, out, training=training, start=start, progress=sys.stderr.isatty())
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; finished epochs are kept in {out}: the same command goes on from there"
        ) from None
    losses, kept = card["losses"], card["pairs"]
    say(
        f"{out}: {kept['kept']} of {kept['collected']} pairs kept, {card['parameters']} parameters, validation loss "
        f"{losses['epochs'][-1]['validation']:.6f} (identity {losses['identity']:.6f}, shift {losses['shift']:.6f})"
        + (f"; begun from {start}" if start else "")
        + (
            "; its text branch is new: the prompt embeddings differ"
            if start and card["start"]["anew"]
            else ""
        )
    )


def convert(
    source: Annotated[Path, typer.Argument(help="A published .pth file: SDXL, DreamShaper or Hunyuan-DiT.")],
    out: Annotated[Path, typer.Argument(help="Folder for the network; it must not be there yet.")],
) -> None:
    """Turn a published .pth file into a folder with safetensors. Nothing in the file is run.

    The method npnet takes either; a folder loads faster, is safe to hand on, and can be uploaded to a model hub.

    \b
    Example:
      noisekit learn convert sdxl.pth build/sdxl-npnet
    """
    from noisekit.files import whole_folder
    from noisekit.npnet.hub import HubNPNet
    from noisekit.npnet.published import load_published

    out = given_path(out)
    if out.exists():
        raise BadValue(f"{str(out)!r} is there already; give a folder that is not")
    network = load_published(source)
    with whole_folder(out) as part:
        HubNPNet.of(network).save_pretrained(part)
    config, count = network.config, sum(tensor.numel() for tensor in network.parameters())
    assert network.alpha is not None
    assert network.beta is not None
    say(
        f"{out}: NPNet for latents of {config.size} × {config.size} and prompt embeddings of {config.tokens} × "
        f"{config.width}, {count} parameters, alpha {network.alpha.item():.2g}, beta {network.beta.item():.3g}"
    )


def add_to(other: typer.Typer, name: str) -> None:
    """Make the three commands those of an app that is called `name`, in their examples too."""
    for command in (collect, train, convert):
        words = cleandoc(command.__doc__ or "").replace("noisekit learn", f"noisekit {name}")
        other.command(help=words)(command)


add_to(app, "npnet")


@contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Turn an interruption into one that counts the finished pairs."""
    from noisekit.npnet.pairs import Collection

    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; {len(Collection.read(folder))} pairs are kept in {folder}: the same command goes on from there"
        ) from None

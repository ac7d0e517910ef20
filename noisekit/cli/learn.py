"""`noisekit learn`: networks that give in one call what a search finds in many, trained on pairs of noises or on rewards."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from noisekit.cli import npnet, options
from noisekit.cli.interrupt import Interrupted
from noisekit.cli.screen import help_alone, quiet, say

app = typer.Typer(
    help="Train networks that propose noises: on pairs of noises, or on rewards.",
    epilog="Start with: noisekit learn rewards --model tiny-turbo --updates 200 --out build/hypernoise",
    callback=help_alone,
    invoke_without_command=True,
)
npnet.add_to(app, "learn")


@app.command()
def rewards(
    out: Annotated[Path, typer.Option(help="Folder for the network; an unfinished training goes on.")],
    model: Annotated[
        str, typer.Option(help="A one-step model that carries a gradient: a card, a folder or a hub id.")
    ] = "tiny-turbo",
    prompts: Annotated[
        str, typer.Option(help="A suite or a file to train on, as for compare.")
    ] = "tiny_train",
    limit: Annotated[int | None, typer.Option(help="Only the first so many prompts.")] = None,
    climb: Annotated[
        str | None, typer.Option(help="The weighted sum of rewards to climb (default: the paper's four).")
    ] = None,
    watch: Annotated[
        str | None,
        typer.Option(
            help="Rewards on held-out prompts that decide what is kept (default: those that are climbed)."
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Weights of the rewards: tiny, published or a path (default: tiny for bundled models)."
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="An artefact to train further: a folder or a bundled name."),
    ] = None,
    network: Annotated[
        str, typer.Option(help="lora: low-rank layers in the denoiser; copy: all of its weights.")
    ] = "lora",
    rank: Annotated[int, typer.Option(help="Of lora.")] = 128,
    regulariser: Annotated[
        str, typer.Option(help="mean, as the paper's code has it, or sum, as the paper prints it.")
    ] = "mean",
    strength: Annotated[float, typer.Option(help="Of the regulariser, λ.")] = 1.0,
    most: Annotated[
        float | None,
        typer.Option(help="Norm at which the gradient to one sample is clipped (default: it is not)."),
    ] = None,
    updates: Annotated[int, typer.Option(help="Of the weights.")] = 10_000,
    batch: Annotated[int, typer.Option(help="Samples of an update, over all processes.")] = 16,
    accumulate: Annotated[int, typer.Option(help="Parts of a batch, one after another, for memory.")] = 1,
    optimiser: Annotated[str, typer.Option(help="adamw or sgd.")] = "adamw",
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 5e-4,
    warm_up: Annotated[int, typer.Option(help="Updates over which the rate rises.")] = 100,
    decay: Annotated[int, typer.Option(help="Updates at the end over which it falls to 0.")] = 1_000,
    average: Annotated[
        float, typer.Option(help="How much of the averaged weights, which are kept, an update leaves.")
    ] = 0.998,
    every: Annotated[
        int, typer.Option(help="Updates between looks at the held-out prompts, and saves.")
    ] = 200,
    patience: Annotated[
        int | None, typer.Option(help="Looks without a better one after which it ends (default: it goes on).")
    ] = None,
    precision: Annotated[str, typer.Option(help="While training: no, bf16 or fp16.")] = "no",
    seed: Annotated[int, typer.Option(help="Of weights, split and batches.")] = 0,
    logs: Annotated[
        bool, typer.Option("--logs", help="Write events for TensorBoard into the folder.")
    ] = False,
    device: options.Device = None,
) -> None:
    """Train a noise hypernetwork on rewards, end to end through a one-step model; the method hypernoise takes its folder.

    Under `accelerate launch` or `torchrun` several processes share each batch. The same command goes on with what was
    interrupted.

    \b
    Examples:
      noisekit learn rewards --model tiny-turbo --network copy --updates 500 --out build/hypernoise
      noisekit learn rewards --climb "hps:5 + image_reward:1" --watch "aesthetic:1" --patience 5 --out build/watched
      noisekit learn rewards --model sd-turbo --prompts pick_a_pic --weights published --precision bf16 --out build/sd
    """
    from noisekit.hypernoise.settings import REWARDS, RewardTraining
    from noisekit.hypernoise.training import train_on_rewards
    from noisekit.methods.rewarded import usual_weights
    from noisekit.models import load_model
    from noisekit.prompts import load_prompts
    from noisekit.rewards import check_weights

    training = RewardTraining(
        network=network,  # type: ignore[arg-type]  # checked there
        rank=rank,
        rewards=climb or REWARDS,
        watched=watch,
        form=regulariser,  # type: ignore[arg-type]
        strength=strength,
        most=most,
        updates=updates,
        batch=batch,
        accumulate=accumulate,
        optimiser=optimiser,  # type: ignore[arg-type]
        lr=lr,
        warm_up=warm_up,
        decay=decay,
        average=average,
        every=every,
        patience=patience,
        precision=precision,  # type: ignore[arg-type]
        seed=seed,
    )
    texts = load_prompts(prompts, limit).texts
    quiet()
    loaded = load_model(model, device=device or _own_device())
    chosen = weights or usual_weights([loaded.card])
    check_weights(training.optimised, chosen)
    try:
        card = train_on_rewards(
            loaded,
            texts,
            out,
            training=training,
            weights=chosen,
            start=start,
            logs=logs,
            progress=sys.stderr.isatty(),
        )
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; what was saved last is kept in {out}: the same command goes on from there"
        ) from None
    kept, standard = card["held_out"]["kept"], card["held_out"]["standard"]
    say(
        f"{out}: {card['parameters']} parameters, on {card['prompts']['held_out']} held-out prompts a reward of "
        f"{kept['reward']:.4g} after {kept['update']:.0f} updates (standard {standard['reward']:.4g}), cosine "
        f"{kept['cosine']:.3f}"
    )


def _own_device() -> str | None:
    """The accelerator of this process where a launcher started several; None: the first there is."""
    from noisekit.models.memory import best_device

    rank = os.environ.get("LOCAL_RANK")
    return f"cuda:{rank}" if rank is not None and best_device() == "cuda" else None

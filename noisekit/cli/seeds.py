"""`noisekit seeds`: find the seeds whose noises make better images whatever the prompt."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from noisekit.cli import options
from noisekit.cli.interrupt import Interrupted
from noisekit.cli.screen import help_alone, quiet, say

app = typer.Typer(
    help="Find golden seeds: noises that make better images whatever the prompt.",
    epilog="Start with: noisekit seeds rank --limit 20 --pool 32 --out build/seeds",
    callback=help_alone,
    invoke_without_command=True,
)

#: Numbers of best seeds whose expected gain is printed.
SHOWN = (1, 4, 8, 16)


@app.command()
def rank(
    out: Annotated[Path, typer.Option(help="Folder for the ranking; what it holds is not done again.")],
    model: Annotated[str, typer.Option(help="A card, a folder or a hub id.")] = "tiny",
    prompts: Annotated[
        str, typer.Option(help="A suite or a file, as for compare; judge on other prompts than these.")
    ] = "tiny_train",
    limit: Annotated[int | None, typer.Option(help="Only the first so many prompts.")] = 50,
    pool: Annotated[int, typer.Option(help="Seeds to rank: 0, 1, …")] = 64,
    metric: Annotated[
        str, typer.Option(help="The metric that ranks; see `noisekit list metrics`.")
    ] = "image_reward",
    weights: Annotated[
        str | None,
        typer.Option(help="Weights of the metric: tiny or published (default: tiny for bundled models)."),
    ] = None,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    scheduler: options.Scheduler = None,
    batch: Annotated[int | None, typer.Option(help="Images made at once.")] = None,
) -> None:
    """Make an image of every prompt from the noise of every seed, and rank the seeds by the metric's mean over prompts.

    A seed names the noise of torch.manual_seed, as in scripts. The method golden_seeds then draws from the best of them, at
    no cost per image. Run it again with more prompts or seeds: only what is missing is computed.

    \b
    Examples:
      noisekit seeds rank --limit 50 --pool 64 --out build/seeds
      noisekit seeds rank --model tiny-turbo --metric truth --out build/turbo-seeds
      noisekit compare --methods "golden_seeds(artefact='build/seeds')" --limit 20 --store runs/golden
    """
    from noisekit.evaluation.reliability import Reliability, expected_gain
    from noisekit.golden_seeds.method import GoldenSeeds
    from noisekit.golden_seeds.rank import rank_seeds
    from noisekit.methods.parameters import settings
    from noisekit.methods.rewarded import usual_weights
    from noisekit.metrics import Evaluator
    from noisekit.models import load_model
    from noisekit.prompts import load_prompts
    from noisekit.registry import checked_metrics

    suite, names = load_prompts(prompts, limit), checked_metrics(metric)
    quiet()
    loaded = load_model(model, steps=steps, guidance=guidance, scheduler=scheduler)
    chosen = weights or usual_weights([loaded.card])
    evaluator = Evaluator(names, weights=chosen, device=loaded.device)
    try:
        ranking, scores = rank_seeds(
            loaded, suite, pool, evaluator, out, batch=batch, progress=sys.stderr.isatty()
        )
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; finished scores are kept in {out}: the same command goes on from there"
        ) from None
    reliability = Reliability(**ranking.reliability)
    say(f"{metric} of {len(ranking.seeds)} seeds on {len(suite)} prompts, best first:")
    shown = min(8, len(ranking.seeds) - 1)
    pairs = zip(ranking.seeds[:shown], ranking.scores[:shown], strict=True)
    best = [f"{seed} ({score:.4g})" for seed, score in pairs]
    say(f"  {', '.join(best)}, …, {ranking.seeds[-1]} ({ranking.scores[-1]:.4g})")
    say(
        f"split-half correlation {reliability.r:.2f} [{reliability.low:.2f}, {reliability.high:.2f}]: to be expected on "
        "other prompts, over a random seed,"
    )
    gains = {m: expected_gain(scores, m, reliability) for m in SHOWN if m < len(ranking.seeds)}
    say("  " + ", ".join(f"{gain:+.3g} from the best {m}" for m, gain in gains.items()))
    say(f"cost {ranking.calls:g} calls, {ranking.calls / 1000:g} an image when they serve 1,000 images")
    usual = settings(GoldenSeeds)["best"].metadata["default"]
    say(f"{out}: {GoldenSeeds(artefact=str(out), best=min(usual, len(ranking.seeds)))}")

"""The commands. Each imports what it needs when it runs, so that --help is instant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from noisekit import registry
from noisekit.cli import options
from noisekit.cli.compare_runs import compare_runs
from noisekit.cli.distance import distance
from noisekit.cli.export import export
from noisekit.cli.gallery import gallery
from noisekit.cli.geneval import geneval
from noisekit.cli.interrupt import kept_in
from noisekit.cli.learn import app as learn
from noisekit.cli.listing import app as listing
from noisekit.cli.method import app as method
from noisekit.cli.models import app as models
from noisekit.cli.noises import noises
from noisekit.cli.npnet import app as npnet
from noisekit.cli.papers import app as papers
from noisekit.cli.pick import calibrate, pick
from noisekit.cli.plan import app as plan
from noisekit.cli.report import report, tell
from noisekit.cli.rewards import app as rewards
from noisekit.cli.run import run, show
from noisekit.cli.score import score
from noisekit.cli.screen import help_alone, quiet, say
from noisekit.cli.seeds import app as seeds
from noisekit.cli.serve_app import app as serve_app
from noisekit.cli.status import status
from noisekit.cli.vote import app as vote
from noisekit.errors import BadValue
from noisekit.output import output_file
from noisekit.paths import given_path

app = typer.Typer(
    name="noisekit",
    help="Compare noise-selection methods for text-to-image diffusion models at equal cost.",
    epilog="Start with: noisekit compare --limit 5 --store runs/first",
    callback=help_alone,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(learn, name="learn")
app.add_typer(listing, name="list")
app.add_typer(method, name="method")
app.add_typer(models, name="models")
app.add_typer(npnet, name="npnet")
app.add_typer(papers, name="papers")
app.add_typer(plan, name="plan")
app.add_typer(seeds, name="seeds")
app.add_typer(rewards, name="rewards")
app.add_typer(vote, name="vote")
app.command()(pick)
app.command()(calibrate)
tiny = typer.Typer(help="The bundled tiny world.", callback=help_alone, invoke_without_command=True)
app.add_typer(tiny, name="tiny")
app.command()(run)
app.command()(status)
app.command()(report)
app.command()(gallery)
app.command("compare-runs")(compare_runs)
app.command()(distance)
app.command()(export)
app.command()(geneval)
app.command()(noises)
app.command()(score)
app.command("app")(serve_app)


@app.command()
def compare(
    store: Annotated[Path, typer.Option(help="Folder that keeps the run; what it holds is not done again.")],
    models: Annotated[
        str,
        typer.Option("--models", "--model", help="Models, separated by commas: cards, folders, hub ids."),
    ] = "tiny",
    methods: Annotated[
        str, typer.Option(help="Methods, separated by commas; standard is always added.")
    ] = "selection,cosine",
    prompts: Annotated[
        str, typer.Option(help="A suite, or a .txt, .csv, .tsv, .json or .jsonl file.")
    ] = "tiny",
    limit: Annotated[int | None, typer.Option(help="Only the first so many prompts.")] = None,
    seeds: Annotated[
        str, typer.Option(help="How many images per prompt (seeds 0, 1, …), or which seeds: 0,5,7 or 0-9,20.")
    ] = "1",
    metrics: options.Metrics = options.ALL_METRICS,
    weights: options.Weights = None,
    seconds: options.Seconds = None,
    calls: options.Calls = None,
    candidates: options.Candidates = None,
    equivalents: options.Equivalents = None,
    noise: Annotated[
        str,
        typer.Option(
            help="per_prompt; shared: one noise a seed for all prompts; published: that of torch.manual_seed(seed)."
        ),
    ] = "per_prompt",
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    scheduler: options.Scheduler = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    offload: options.Offload = None,
    low_memory: options.LowMemory = False,
    batch: Annotated[int | None, typer.Option(help="Images that a method works on at once.")] = None,
    curves: options.Curves = False,
    keep_noise: options.KeepNoise = False,
    dry_run: options.DryRun = False,
    no_report: options.NoReport = False,
) -> int:
    """Run methods on the same prompts and seeds, score all images, print a table and write report.html.

    Run it again with more methods, prompts, seeds or metrics: only what is missing is computed. Exit code 1: done, but some
    images failed; `noisekit status` says why.

    \b
    Examples:
      noisekit compare --limit 12 --seeds 2 --store runs/demo
      noisekit compare --methods "selection(candidates=8),cosine(steps=10)" --store runs/demo
      noisekit compare --model tiny-turbo --methods reno --seeds 0-9 --seconds 5 --store runs/turbo
      noisekit compare --model ./my-model --prompts my.txt --metrics clip_score --store runs/mine
      noisekit compare --model sdxl --methods npnet,selection --store runs/sdxl --dry-run
      noisekit compare --model sdxl-turbo --methods reno --weights published --low-memory --store runs/small-gpu
    """
    from noisekit.comparison import run_plan
    from noisekit.comparison.compare import planned
    from noisekit.engine.forecast.preview import preview
    from noisekit.models.loading import split_models

    quiet()
    plan = planned(
        split_models(models),
        registry.split(methods),
        prompts,
        limit,
        seeds=seeds,
        metrics=registry.split(metrics),
        weights=weights,
        store=store,
        budget=options.budget(seconds, calls, candidates, equivalents),
        noise=noise,
        batch=batch,
        curves=curves,
        keep_noise=keep_noise,
        low_memory=low_memory,
        settings={
            "steps": steps,
            "guidance": guidance,
            "scheduler": scheduler,
            "device": device,
            "dtype": dtype,
            "offload": offload,
        },
    )
    if dry_run:
        show(preview(plan, store=plan.folder()))
        return 0
    with kept_in(store):
        return tell(run_plan(plan, progress=sys.stderr.isatty(), strict=True), report=not no_report)


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What the image should show.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG file to write.")],
    model: Annotated[str, typer.Option(help="A card, a folder or a hub id.")] = "tiny",
    method: Annotated[
        str | None,
        typer.Option(
            help="How the noise is chosen; auto: what was measured as best within --seconds or --equivalents (default: auto "
            "where one of them is given, else standard)."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the initial noise.")] = 0,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Weights of the rewards that the method climbs: tiny, published or a path (default: tiny for bundled "
            "models)."
        ),
    ] = None,
    seconds: options.Seconds = None,
    calls: options.Calls = None,
    candidates: options.Candidates = None,
    equivalents: options.Equivalents = None,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    scheduler: options.Scheduler = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    offload: options.Offload = None,
    low_memory: Annotated[
        bool,
        typer.Option("--low-memory", help="Recompute instead of keeping what gradients need."),
    ] = False,
    control: Annotated[
        Path | None, typer.Option(help="The image that a model with a ControlNet follows.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="The image that becomes frames; the prompt may then be empty.")
    ] = None,
) -> None:
    """Make one image from a noise that a method has chosen; the parameters are written into the PNG.

    Frames become a contact sheet, and beside it, with the ending .webp, an animation.

    \b
    Examples:
      noisekit generate "a red circle" -o circle.png
      noisekit generate "a red circle" --model tiny-turbo --equivalents 32 -o circle.png
      noisekit generate "a red circle" --method "cosine(steps=20)" --seconds 10 -o circle.png
      noisekit generate "two blue squares" --model tiny-turbo --method reno --seed 7 -o squares.png
    """
    from noisekit.engine.resolve import check_climbed, warn_of_unread
    from noisekit.image_prompts import ControlledPrompt, ImagePrompt
    from noisekit.methods import load_method
    from noisekit.methods.inputs import checked_prompts
    from noisekit.plan.sources import ModelSource
    from noisekit.results.frontier import AUTO, automatic
    from noisekit.store.png import write_png

    budget = options.budget(seconds, calls, candidates, equivalents)
    auto = method == AUTO or (method is None and (seconds is not None or equivalents is not None))
    chosen = load_method("standard" if auto else method or "standard", weights=weights)
    if control is not None and image is not None:
        raise BadValue(
            "--control and --image were both given; a model follows the one or makes frames of the other"
        )
    if image is not None:
        prompt = ImagePrompt(prompt, image)
    checked_prompts(prompt)
    if control is not None:
        prompt = ControlledPrompt(prompt, control)
    output = output_file(output, [".png"], inputs=filter(None, (control, image)))
    quiet()
    settings = {"steps": steps, "guidance": guidance, "scheduler": scheduler, "dtype": dtype}
    source = ModelSource(model, settings | {"device": device, "offload": offload})
    check_climbed([chosen], [source.outline()])
    loaded = (source.saving() if low_memory else source).load()
    warn_of_unread(loaded, [prompt])
    if auto:
        found = automatic(loaded, budget)
        say(f"auto: {found.method}; {found.reason}")
        chosen = load_method(found.method, weights=weights)
        check_climbed([chosen], [source.outline()])
    result = chosen(loaded, prompt, seeds=[seed], budget=budget, progress=sys.stderr.isatty())
    result.check_images()
    cost = result.cost
    spent: dict[str, Any] = {
        "calls": cost.calls,
        "equivalents": cost.equivalents,
        "seconds": round(cost.seconds, 3),
    }
    spent |= {"stopped": result.stopped}
    score = None if result.score is None else round(result.score[0].item(), 6)
    about = {"prompt": prompt, "model": result.model, "method": result.method, "seed": seed}
    write_png(output, result.images[0], about | {"identity": loaded.identity, "score": score} | spent)
    reached = "" if score is None else f"{chosen.objective} {score:.4g}, "
    worth = "" if cost.equivalents is None else f"{cost.equivalents:.3g} denoiser equivalents, "
    say(f"{output}: {result.method}, {reached}{cost.calls:g} calls, {worth}{cost.seconds:.2f} s")


@tiny.command()
def build(
    stage: Annotated[
        str | None, typer.Option(help="One stage only (default: all that are not done).")
    ] = None,
    work: Annotated[Path, typer.Option(help="Folder for data and checkpoints.")] = Path("build/tiny"),
    out: Annotated[
        Path | None, typer.Option(help="Folder for the weights (default: the bundled ones').")
    ] = None,
) -> None:
    """Train the bundled weights again; an interrupted stage goes on where it was.

    \b
    Examples:
      noisekit tiny build
      noisekit tiny build --stage vae --work build/tiny --out build/weights
    """
    from noisekit.models.places import BUNDLED
    from noisekit.tiny import build as recipe

    if stage is not None and stage not in recipe.STAGES:
        from noisekit.errors import unknown

        raise unknown("stage", stage, recipe.STAGES)
    recipe.build(stage, given_path(work), given_path(out or BUNDLED))

"""Options that several commands share, so that they read and mean the same everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from noisekit.registry import DEFAULT_METRICS

if TYPE_CHECKING:
    from noisekit.types import Budget

Seconds = Annotated[float | None, typer.Option(help="Budget: seconds per image, final sampling included.")]
Calls = Annotated[float | None, typer.Option(help="Budget: denoiser evaluations per image.")]
Candidates = Annotated[int | None, typer.Option(help="Budget: candidates that the search may try per image.")]
Equivalents = Annotated[
    float | None,
    typer.Option(
        help="Budget: operations per image, decoders, rewards and predictors included, in denoiser evaluations."
    ),
]
Steps = Annotated[int | None, typer.Option(help="Sampler steps, instead of the model card's.")]
Guidance = Annotated[float | None, typer.Option(help="Guidance scale, instead of the model card's.")]
Scheduler = Annotated[
    str | None, typer.Option(help="A sampler: ddim, euler, dpmpp_2m … or a diffusers scheduler class.")
]
Metrics = Annotated[str, typer.Option(help="Metrics, separated by commas; see `noisekit list metrics`.")]
Curves = Annotated[
    bool,
    typer.Option(
        "--curves", help="Score searches on their way too, for `noisekit pick`; costs time, not calls."
    ),
]
KeepNoise = Annotated[
    bool, typer.Option("--keep-noise", help="Store the noises of every image that is made.")
]
Weights = Annotated[
    str | None,
    typer.Option(
        help="Weights of metrics and of rewards that methods climb: tiny, published or a path (default: tiny where all "
        "models are bundled)."
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Load nothing: show what there is to do, what it costs, and what is missing here, with the commands that fetch "
        "it.",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="Where networks run, such as cuda or cpu (default: an accelerator, if any)."),
]
Dtype = Annotated[
    str | None,
    typer.Option(help="What a model's networks compute in: fp16, bf16, fp32 (default: its card's)."),
]
Offload = Annotated[
    str | None,
    typer.Option(help="Keep networks in the host's memory until they are called: model, sequential."),
]
LowMemory = Annotated[
    bool,
    typer.Option(
        "--low-memory",
        help="Decode image by image, recompute instead of keeping what gradients need, and score when all images are "
        "made, one metric's network at a time.",
    ),
]
NoReport = Annotated[
    bool,
    typer.Option(
        "--no-report",
        help="Make and score images only: no table, no report.html. `noisekit report` writes them when all parts are done.",
    ),
]

SafeCsv = Annotated[
    bool,
    typer.Option(
        "--safe-csv",
        help="Put an apostrophe before texts in the .csv that a spreadsheet would run as formulas (=, +, -, @ …).",
    ),
]

ALL_METRICS = ",".join(DEFAULT_METRICS)


def budget(
    seconds: float | None, calls: float | None, candidates: int | None, equivalents: float | None
) -> Budget:
    """The budget that the four options give; raises `BadValue` at 0 and below."""
    from noisekit.types import Budget

    return Budget(seconds, calls, candidates, equivalents)

"""`noisekit pick` and `noisekit calibrate`: the method for a budget, and what seconds mean on this machine."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisekit import registry
from noisekit.cli.screen import console, quiet, say
from noisekit.errors import BadValue

if TYPE_CHECKING:
    from noisekit.results import Run
    from noisekit.results.pick import Scale

#: Bytes in the units that --memory may name.
UNITS = {"": 1, "B": 1} | {
    f"{prefix}{unit}": base**power
    for unit, base in (("B", 1000), ("iB", 1024))
    for power, prefix in enumerate("KMGT", 1)
}


def pick(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    seconds: Annotated[float | None, typer.Option(help="Seconds that an image may take.")] = None,
    calls: Annotated[float | None, typer.Option(help="Denoiser evaluations that an image may take.")] = None,
    equivalents: Annotated[
        float | None,
        typer.Option(help="Operations that an image may take, of all networks, in denoiser evaluations."),
    ] = None,
    memory: Annotated[str | None, typer.Option(help="Memory that the device has, such as 16GiB.")] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Metrics to judge by, separated by commas (default: all that nothing optimised); votes: people's."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="For this model only, where the run holds several.")
    ] = None,
    throughput: Annotated[
        bool, typer.Option("--throughput", help="Seconds an image in batches, not of one image alone.")
    ] = False,
    device_scale: Annotated[
        str,
        typer.Option(
            help="How many times as long the device takes that it is for; auto times this machine in a few seconds."
        ),
    ] = "1",
    measure: Annotated[
        bool,
        typer.Option("--calibrate", help="Calibrate on this machine first, as `noisekit calibrate` does."),
    ] = False,
    allow_optimised: Annotated[
        bool, typer.Option("--allow-optimised", help="Let metrics judge that methods optimised.")
    ] = False,
) -> None:
    """Say which method and parameters to use within a budget, from the quality and cost that a run measured.

    It takes the best setting that is told from standard sampling as better, or standard where none is, and prints it with an
    interval that allows for the choice, the runner-up, and what twice the budget would buy. Searches that the run scored on
    their way count at each checkpoint: `noisekit compare --curves` scores all of them.

    \b
    Examples:
      noisekit pick runs/demo --seconds 2
      noisekit pick runs/demo --calls 100 --metric truth
      noisekit pick runs/demo --equivalents 64
      noisekit pick runs/demo --seconds 0.5 --calibrate --throughput
      noisekit pick runs/demo --seconds 2 --memory 16GiB --device-scale 2.5
    """
    from noisekit.results import load_run
    from noisekit.results.pick import pick as choose

    scale, limit = _scale(device_scale), None if memory is None else _bytes(memory)
    loaded = load_run(run)
    if measure or scale == "auto":
        quiet()
    if measure:
        from noisekit.results.measuring import calibrate  # the one part that needs the networks

        calibrate(loaded, progress=sys.stderr.isatty())
    held = list(loaded.frame()["model_name"].unique())
    for name in held if model is None and held else [model]:
        say(
            choose(
                loaded,
                seconds=seconds,
                calls=calls,
                equivalents=equivalents,
                memory=limit,
                metric=None if metric is None else registry.split(metric),
                model=name,
                throughput=throughput,
                device_scale=scale,
                allow_optimised=allow_optimised,
            )
        )


def calibrate(run: Annotated[Path, typer.Argument(help="The folder of a run.")]) -> None:
    """Measure on this machine how long one evaluation of each network takes that a run used, and keep it in the run.

    It takes under a minute. `noisekit pick RUN --seconds` then multiplies these seconds with the evaluations that each
    method made, which are the same on every machine.

    \b
    Example:
      noisekit calibrate runs/demo
    """
    from noisekit.results import load_run
    from noisekit.results.calibration import table
    from noisekit.results.measuring import calibrate as measure

    quiet()
    loaded: Run = load_run(run)
    console().print(table(measure(loaded, progress=sys.stderr.isatty())))


def _scale(text: str) -> Scale:
    if text == "auto":
        return "auto"
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale < float("inf"):
        raise BadValue(f"--device-scale {text!r} is neither a positive number nor 'auto'")
    return scale


def _bytes(text: str) -> float:
    found = re.fullmatch(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>[A-Za-z]*)", text.strip())
    if found is None or found["unit"] not in UNITS:
        raise BadValue(f"--memory {text!r} is no amount of memory; write it as 16GiB, 16GB or in bytes")
    return float(found["number"]) * UNITS[found["unit"]]

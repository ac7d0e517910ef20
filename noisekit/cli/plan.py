"""`noisekit plan`: write a plan, say in words what one will do, and give editors the schema of plan files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisekit.cli.screen import duration, help_alone, quiet, say
from noisekit.errors import BadValue
from noisekit.files import write_whole
from noisekit.output import output_file
from noisekit.paths import given_path

if TYPE_CHECKING:
    from noisekit.engine.forecast.overview import Overview
    from noisekit.methods import NoiseMethod
    from noisekit.plan import Plan

app = typer.Typer(
    help="Write and understand plans: YAML files that say what to compare.",
    epilog="Start with: noisekit plan new",
    callback=help_alone,
    invoke_without_command=True,
)


@app.command()
def new(
    name: Annotated[
        str, typer.Argument(help="The plan's name: of the file, and of the run's folder.")
    ] = "plan",
) -> None:
    """Write NAME.yaml, a plan with comments that runs as it is, to be changed into yours.

    \b
    Examples:
      noisekit plan new
      noisekit plan new mine && noisekit plan explain mine.yaml && noisekit run mine.yaml
    """
    path = given_path(name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    text = files("noisekit.plan").joinpath("new.yaml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text.replace("FILE", path.name).replace("NAME", path.stem))
    except FileExistsError:
        raise BadValue(f"{str(path)!r} is there already; give another name") from None
    except (OSError, ValueError) as error:
        raise BadValue(
            f"plan {str(path)!r} cannot be written: {getattr(error, 'strerror', None) or error}"
        ) from None
    say(f"{path}: `noisekit plan explain {path}` says what it will do, `noisekit run {path}` does it")


@app.command()
def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write (default: the screen).")
    ] = None,
) -> None:
    """Print the JSON Schema of plan files, by which editors complete and check them.

    A plan names it in its first line: # yaml-language-server: $schema=plan.schema.json

    \b
    Examples:
      noisekit plan schema -o plan.schema.json
      noisekit plan schema | jq .properties
    """
    import json

    from noisekit.plan.schema import plan_schema

    text = json.dumps(plan_schema(), indent=2, ensure_ascii=False)
    if output is None:
        say(text)
    else:
        output = output_file(output, [".json"], "schema")
        write_whole(output, f"{text}\n".encode())
        say(output)


@app.command()
def explain(
    plan: Annotated[Path, typer.Argument(help="A YAML file: models, methods, prompts, seeds, metrics, …")],
    store: Annotated[Path | None, typer.Option(help="The run's folder, instead of the plan's.")] = None,
) -> None:
    """Say in words what a plan will do: which models, methods, prompts, seeds and metrics, what judges whom, how many
    images and calls, how long, and what the store has of it. Nothing is loaded.

    \b
    Examples:
      noisekit plan explain plan.yaml
      noisekit plan explain plan.yaml --store runs/mine
    """
    from noisekit.engine.forecast.preview import preview
    from noisekit.plan import load_plan

    loaded = load_plan(plan)
    quiet()
    found = preview(loaded, store=store)
    for title, lines in (
        ("Models", _models(loaded)),
        ("Methods", _methods(found)),
        ("Prompts", (f"{suite.name}: {_count(len(suite), 'prompt')}" for suite in loaded.suites)),
        ("Images", _images(loaded)),
        ("Judged by", _judges(loaded, found)),
        ("To do", _to_do(loaded, found, store)),
    ):
        say(title)
        for line in lines:
            say(f"  {line}")


def _models(plan: Plan) -> Iterator[str]:
    for source in plan.models:
        model = source.outline()
        card = model.card
        guided = f"guidance {card.guidance:g}" if card.guidance > 1 else "no guidance"
        yield f"{model.label}: {_count(card.steps, 'step')}, {guided}, {card.batch} images at once"


def _methods(found: Overview) -> Iterator[str]:
    """Every method with the settings that it comes to on each model, in words, and what it costs."""
    said: set[str] = set()
    for cells in found.cells:
        job = cells.job
        line = f"{job.arm} on {job.model}, {job.calls:,g} calls an image"
        if line not in said:
            said.add(line)
            yield f"{line}: {_meaning(job.method)}"
    for reason in dict.fromkeys(pair.reason for pair in found.incompatible):
        yield f"left out: {reason}"
    searched = [line for line in found.lines if line.method not in {str(c.job.arm) for c in found.cells}]
    yield from (f"{line.method} on {line.model}, {line.calls:,g} calls an image" for line in searched)


def _meaning(method: NoiseMethod) -> str:
    """The first sentence that its class says of it."""
    first, *_ = (type(method).__doc__ or "").split("\n\n")
    return " ".join(first.split()).rstrip(".")


def _images(plan: Plan) -> Iterator[str]:
    if plan.search is not None:
        search = plan.search
        yield f"a search: {_count(search.trials, 'trial')} over {', '.join(search.over)}, {_limits(search.limits)} an image"
    seeds = f"{_count(len(plan.seeds), 'seed')} ({_some(plan.seeds)})"
    yield f"{seeds} of every prompt; noise {'of its own' if plan.noise == 'per_prompt' else 'shared by all prompts'}"
    for budget in plan.budgets:
        if given := _limits(asdict(budget)):
            yield f"within {given} an image"


def _limits(given: Mapping[str, float | None]) -> str:
    """Limits with their units, those that are there."""
    words = {"equivalents": "denoiser equivalents"}
    return ", ".join(
        f"{limit:g} {words.get(name, name)}" for name, limit in given.items() if limit is not None
    )


def _judges(plan: Plan, found: Overview) -> Iterator[str]:
    """Which metrics may judge all methods, and which of them say nothing of whom."""
    from noisekit.evaluation.held_out import held_out, in_hand, published_backbone
    from noisekit.methods.rewarded import usual_weights

    weights = plan.weights or usual_weights(source.outline().card for source in plan.models)
    backbone = published_backbone if weights == "published" else lambda _: ""
    methods = {str(cells.job.method): cells.job.method for cells in found.cells}
    hands = {name: in_hand(plan.metrics, method.optimised, backbone) for name, method in methods.items()}
    fair = held_out(plan.metrics, hands.values())
    yield f"{', '.join(fair) or 'nothing'}: held out, which no method here has a hand in"
    for metric in plan.metrics:
        if names := [name for name, own in hands.items() if metric in own]:
            yield f"{metric}: no evidence for {', '.join(names)}, which climbs it, its weights or its backbone"


def _to_do(plan: Plan, found: Overview, store: Path | None) -> Iterator[str]:
    missing, done = (sum(getattr(line, name) for line in found.lines) for name in ("missing", "done"))
    scoring, failed = (sum(getattr(line, name) for line in found.lines) for name in ("unscored", "failed"))
    yield f"{_count(missing, 'image')} to make, {found.calls:,.0f} calls in all"
    known = found.seconds if found.unknown < missing else None
    unknown = f", and {found.unknown} images that nothing is known of" if 0 < found.unknown < missing else ""
    if missing:
        yield f"time: {duration(known)}{unknown}"
    folder = store or plan.store
    where = f"in {folder}" if folder else "in the folder that --store names"
    yield f"{where}: {done} images done, {scoring} to score, {failed} failed"
    for one in found.absent:
        yield f"{one.what} is not on this machine; `{one.command}` downloads it"
    yield from (f"cannot be done: {reason}" for reason in found.broken)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _some(seeds: Sequence[int]) -> str:
    shown = ", ".join(map(str, seeds[:8]))
    return shown if len(seeds) <= 8 else f"{shown}, …"

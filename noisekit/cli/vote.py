"""`noisekit vote`: people judge pairs of images, and what their votes say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from noisekit import registry
from noisekit.cli.screen import console, help_alone, say
from noisekit.errors import BadValue
from noisekit.paths import given_path

#: What `noisekit vote RUN` is short for.
SERVE = "serve"


class _RunOrCommand(TyperGroup):
    """A group whose first word may be a run: `noisekit vote RUN` is `noisekit vote serve RUN`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help", "-h"):
            args = [SERVE, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunOrCommand,
    help="Let people judge pairs of images, blind: noisekit vote RUN. The commands below plan, show and exchange votes.",
    epilog="Example: noisekit vote runs/demo --methods standard,reno --questions alignment,overall",
    callback=help_alone,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Methods = Annotated[
    str | None, typer.Option(help="Two methods or more, by label or bare name (default: all of the run).")
]
Model = Annotated[str | None, typer.Option(help="For this model only, where the run holds several.")]
Questions = Annotated[
    str,
    typer.Option(
        help="What is asked of each pair: alignment, structure, detail, aesthetics, share, overall, or name=Your question?"
    ),
]
Repeats = Annotated[float, typer.Option(help="Share of pairs that a voter sees again, half of them swapped.")]
Attention = Annotated[float, typer.Option(help="Share of pairs of an image and noise.")]
Each = Annotated[int | None, typer.Option(help="Pairs that each voter is shown (default: all there are).")]
Voters = Annotated[
    str | None, typer.Option(help="The codes that may vote, separated by commas (default: any code).")
]


@app.command(SERVE)
def serve(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    methods: Methods = None,
    questions: Questions = "overall",
    model: Model = None,
    repeats: Repeats = 0.1,
    attention: Attention = 0.05,
    each: Each = None,
    voters: Voters = None,
    host: Annotated[
        str,
        typer.Option(help="Who can vote: 127.0.0.1 is this machine alone; 0.0.0.0 a network, with the link."),
    ] = "127.0.0.1",
    static: Annotated[
        Path | None,
        typer.Option(
            help="Write the page into this new folder instead, for a file server; --voters get a sheet each."
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="The port of the page (0: any that is free).")] = 8765,
) -> None:
    """Serve a page on which people vote on pairs of images, not knowing which method made which.

    Both images are of the same prompt and seed, left and right at random. Votes are kept in the run as they come in; stop
    the page and start it again whenever you like, with more methods too. `noisekit vote show RUN` says what they say.

    \b
    Examples:
      noisekit vote serve runs/demo --methods standard,reno --questions alignment,overall
      noisekit vote serve runs/demo --voters ann,ben --each 40 --attention 0.1
      noisekit vote serve runs/demo --host 0.0.0.0 --port 8765
      noisekit vote serve runs/demo --static page --voters ann,ben --each 40
    """
    from noisekit.results import load_run
    from noisekit.store.store import Store
    from noisekit.vote import questions as criteria
    from noisekit.vote.pairs import pairs
    from noisekit.vote.serving import Serving
    from noisekit.vote.static import SHEETS, write_static
    from noisekit.vote.study import Study

    asked = criteria.chosen(registry.split(questions))
    rules = _rules(repeats, attention, each, voters)
    loaded = load_run(run)
    found = pairs(loaded.frame(), registry.split(methods or ""), model)
    with Store.prepare(run, loaded.manifest["noise"]) as store:
        study = Study(store, found, list(asked), rules)
        if static is not None:
            codes = registry.split(voters) if voters else SHEETS
            page = write_static(study, asked, loaded.folder, given_path(static), codes, each or len(found))
            say(f"{page}\nvotes come back as files: `noisekit vote import {run} FILE …` adds them to the run")
            return
        with Serving(study, asked, loaded.folder, host, port) as serving:
            said = f"{len(found)} pairs to vote on at {serving.link}"
            say(f"{said}\nstop with Ctrl-C; votes are kept as they come in")
            serving.run()
    kept = len(load_run(run).votes())
    say(f"stopped; {kept} votes are kept in {run}: the same command goes on from there")


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    without: Annotated[str | None, typer.Option(help="Voters to leave out, separated by commas.")] = None,
) -> None:
    """Show what the votes on a run say: of methods, of the metrics that stand in for people, and of the voters.

    \b
    Examples:
      noisekit vote show runs/demo
      noisekit vote show runs/demo --without ann,ben
    """
    from noisekit.results import load_run
    from noisekit.vote import terminal

    loaded = load_run(run)
    votes = loaded.votes()
    if not len(votes):
        raise BadValue(
            f"nobody has voted on run {str(run)!r} yet; `noisekit vote {run}` serves a page for it"
        )
    terminal.show(votes.without(*registry.split(without or "")), loaded.arms, console())


@app.command()
def plan(
    precision: Annotated[float, typer.Option(help="Half of the interval of a win rate, such as 0.05.")],
    prompts: Annotated[int, typer.Option(help="Prompts that are voted on.")] = 100,
    voters: Annotated[int, typer.Option(help="People who vote.")] = 20,
    run: Annotated[
        Path | None, typer.Option(help="A run with votes to learn from, instead of the assumptions below.")
    ] = None,
    rate: Annotated[float, typer.Option(help="The win rate that is expected.")] = 0.6,
    ties: Annotated[float, typer.Option(help="The share of ties and both bad that is expected.")] = 0.2,
    prompt_share: Annotated[
        float, typer.Option(help="How much of the variance of votes is the prompts'.")
    ] = 0.1,
    voter_share: Annotated[float, typer.Option(help="How much of it is the voters'.")] = 0.05,
    peeking: Annotated[
        bool, typer.Option("--peeking", help="Somebody looks while votes come in, and may stop then.")
    ] = False,
) -> None:
    """Say how many votes it takes to know a win rate as well as you want.

    \b
    Examples:
      noisekit vote plan --precision 0.05 --prompts 200 --voters 40
      noisekit vote plan --precision 0.1 --prompts 50 --voters 20 --peeking
      noisekit vote plan --precision 0.05 --prompts 200 --voters 40 --run runs/demo
    """
    from noisekit.vote.planning import assumed, planned

    if run is None:
        shares = assumed(rate, ties, prompt_share, voter_share)
    else:
        from noisekit.results import load_run

        shares = load_run(run).votes().shares()
    say(planned(precision, shares, prompts, voters, peeking=peeking))


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .csv or .jsonl file to write.")],
) -> None:
    """Write all votes of a run as one table, a row a vote; the guide on votes says what each column is.

    \b
    Example:
      noisekit vote export runs/demo -o votes.csv
    """
    from noisekit.results import load_run
    from noisekit.vote.exchange import write_votes

    say(write_votes(load_run(run).votes(), output))


@app.command("import")
def import_(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    file: Annotated[list[Path], typer.Argument(help="Files of votes, .csv or .jsonl.")],
) -> None:
    """Add votes from files: of a static page, a crowd-work platform, or another copy of the run. Any vote counts once.

    \b
    Example:
      noisekit vote import runs/demo votes-ann.jsonl votes-ben.jsonl
    """
    from noisekit.results import load_run
    from noisekit.store.store import Store
    from noisekit.vote.exchange import read_votes

    loaded = load_run(run)
    images = set(loaded.frame()["image"])
    with Store.prepare(run, loaded.manifest["noise"]) as store:
        for one in file:
            new, there = read_votes(store, images, one)
            say(f"{one}: {new} new votes, {there} that were there already")


def _rules(repeats: float, attention: float, each: int | None, voters: str | None) -> Any:
    from noisekit.vote.study import Rules

    codes = None if voters is None else frozenset(registry.split(voters))
    return Rules(repeats, attention, each, codes)

"""The frontier: what every method brings for 4, 8, 16, 32 and 64 denoiser equivalents, and the best at each.

    python -m benchmarks.frontier --dry-run         # what there is to do, in equivalents, a line a size and budget
    python -m benchmarks.frontier                   # run benchmarks/plans/frontier: 25, 50, 100 and 200 prompts in turn
    python -m benchmarks.frontier tiny-turbo        # one of the plans
    python -m benchmarks.frontier --tell            # tables, docs/frontier-*.svg, and the table that `generate` chooses by

At each size the cheap budgets come first, and the same command goes on where it was stopped: what is not finished is a
smaller run of all arms. An arm is a method at a budget of which it uses more than of the one before: a search that is whole
already, or that cannot try two candidates, is no arm. Plans on one model share a store, runs/frontier/MODEL, and a frontier.
1 and 2 equivalents are no budgets: the decoder alone takes 2.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

import noisekit as nk
from benchmarks.effects import markdown, spread
from benchmarks.frontier_chart import chart
from noisekit import registry
from noisekit.comparison import run_plan
from noisekit.evaluation.best import race
from noisekit.evaluation.comparisons import comparisons
from noisekit.evaluation.statistics import STANDARD
from noisekit.files import write_whole
from noisekit.methods import load_method
from noisekit.methods.loop import affordable_work
from noisekit.models.outline import outline
from noisekit.plan import Plan, load_plan
from noisekit.results.frontier import TABLE, Row, write_frontiers
from noisekit.types import Cost

PLANS, RUNS = Path(__file__).parent / "plans" / "frontier", Path("runs", "frontier")
PICTURES = Path(__file__).parents[1] / "docs"
#: Sizes in turn.
LIMITS = (25, 50, 100, 200)
#: The metric that tells, and those that few methods of these plans climb.
METRIC, HELD_OUT = "truth", ("truth", "mps", "aesthetic")


def given(name: str) -> dict[str, Any]:
    """A plan as it is written."""
    found: dict[str, Any] = yaml.safe_load((PLANS / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


def names() -> list[str]:
    """The plans, the cheapest model's first."""
    return sorted((path.stem for path in PLANS.glob("*.yaml")), key=lambda name: (name != "tiny-turbo", name))


def arms(model: nk.Model, methods: Sequence[str], budgets: Sequence[float]) -> dict[float, list[str]]:
    """The methods that are an arm at each budget, standard among those of the least that its image fits."""
    found: dict[float, list[str]] = {budget: [] for budget in budgets}
    standard = load_method(STANDARD).whole_work(model) / model.flops()
    fits = [budget for budget in budgets if budget >= standard]
    for name in methods:
        method = load_method(name).resolved(model)
        brings = method.delivers_images(model) and not method.wrapped
        left = Cost() if brings else model.sample_cost()
        before = 0
        for budget in fits:
            number = affordable_work(budget, method, model, left)
            if number > before and number >= min(2, method.horizon):
                found[budget].append(name)
            before = number
    return {budget: own for budget, own in found.items() if own or budget in fits[:1]}


def steps(name: str) -> Iterator[tuple[float, dict[str, Any]]]:
    """A plan cut into one a budget and model, with the arms of that budget, the cheapest budget first."""
    plan = given(name)
    budgets = [one["equivalents"] for one in plan["budget"]]
    cut = [(label, arms(nk.load_model(label), plan["methods"], budgets)) for label in plan["models"]]
    for budget in budgets:
        for label, own in cut:
            if budget in own:
                yield budget, plan | {"models": [label], "methods": own[budget] or [STANDARD]}


def run(chosen: Sequence[str], limits: Sequence[int]) -> None:
    """Some plans at every size."""
    cut = sorted(((budget, name, plan) for name in chosen for budget, plan in steps(name)), key=_cheapest)
    for limit in limits:
        for budget, name, plan in cut:
            started = time.monotonic()
            done = run_plan(sized(plan, budget, limit), store=RUNS / base(plan), progress=False)
            took = time.monotonic() - started
            print(
                f"{limit} prompts, {budget:g} equivalents, {name}: {len(done)} images, {took:.0f} s",
                flush=True,
            )


def _cheapest(one: tuple[float, str, Mapping[str, Any]]) -> float:
    return one[0]


def base(plan: Mapping[str, Any]) -> str:
    """The model of a plan without settings: whose frontier it is."""
    return outline(plan["models"][0], {}).name


def sized(plan: Mapping[str, Any], budget: float, limit: int) -> Plan:
    """A plan of one budget and size."""
    suite = {**plan["prompts"], "limit": limit}
    return load_plan({**plan, "budget": [{"equivalents": budget}], "prompts": suite})


def dry_run(chosen: Sequence[str], limits: Sequence[int]) -> None:
    """What each size and budget takes, in images and in denoiser equivalents of the model, without what is there already."""
    for name in chosen:
        cut = list(steps(name))
        for limit in limits:
            for budget, plan in cut:
                images = limit * plan["seeds"] * len(plan["methods"])
                print(
                    f"{name}, {limit} prompts, {budget:g} equivalents on {plan['models'][0]}: {len(plan['methods'])} arms, "
                    f"{images:,} images, at most {images * budget:,.0f} equivalents"
                )


def tell() -> None:
    """Print the tables of all runs that are there, draw their charts and write the table that ships."""
    found: dict[str, list[Row]] = {}
    for model in dict.fromkeys(base(given(name)) for name in names()):
        if not (RUNS / model).is_dir():
            continue
        made = nk.load_run(RUNS / model)
        frame = whole(made)
        table = rows(made, frame)
        print(f"### `{model}`\n\n{markdown(HEAD, table_cells(table))}\n")
        write_whole(PICTURES / f"frontier-{model}.svg", chart(drawn(table), model, METRIC).encode())
        found[model] = chosen(made, frame, table, model)
        print("\n".join(verdicts(table)) + "\n")
        print("\n".join(f"- {one.budget:g}: `{one.method}`: {one}" for one in found[model]) + "\n")
    write_frontiers(found, TABLE)


def whole(made: nk.Run) -> pd.DataFrame:
    """The images of a run on the prompts that every arm of every model has."""
    frame = made.frame()
    arm = frame["model"] + "\n" + frame["method"]
    number = arm.groupby(frame["prompt"]).nunique()
    return frame[frame["prompt"].isin(number.index[number == arm.nunique()])]


#: At which p after Holm tells.
LEVEL = 0.05
#: Columns of the printed table.
HEAD = ("model", "method", "equivalents", "prompts × seeds", *HELD_OUT, "Holm's p of truth")


def rows(made: nk.Run, frame: pd.DataFrame) -> pd.DataFrame:
    """One row an arm: equivalents, means, differences to standard on its model with intervals, and p after Holm."""
    ties = {name: info.tie for name, info in made.metric_info.items()}
    tests = comparisons(frame, list(HELD_OUT), ties, made.shared, made.optimised)
    grouped = frame.groupby(["model", "method"], sort=False)
    table = grouped.agg(
        expression=("expression", "first"),
        budget=("budget_equivalents", "first"),
        equivalents=("equivalents", "mean"),
        prompts=("prompt", "nunique"),
        images=("prompt", "size"),
        **{metric: (metric, "mean") for metric in HELD_OUT},
    ).reset_index()
    for metric in HELD_OUT:
        own = tests[tests["metric"] == metric].set_index(["model", "method"])
        named = own[["difference", "low", "high", "optimised", "p_holm", "family"]].add_prefix(f"{metric}_")
        table = table.join(named, on=["model", "method"])
    return table.sort_values(["model", "equivalents"], kind="stable")


def table_cells(table: pd.DataFrame) -> list[list[str]]:
    """The table as it is printed."""
    found = []
    for arm in table.to_dict("records"):
        cells = [arm["model"], f"`{bare(arm['expression'])}`", f"{arm['equivalents']:.1f}"]
        cells.append(f"{arm['prompts']} × {arm['images'] // arm['prompts']}")
        for metric in HELD_OUT:
            ends = [arm[f"{metric}_{end}"] for end in ("difference", "low", "high")]
            known = arm["expression"] != STANDARD and not pd.isna(ends[0])
            mark = "†" if known and arm[f"{metric}_optimised"] else ""
            cells.append(f"{arm[metric]:.3f}{mark}" + (f" ({spread(*ends)})" if known else ""))
        p = arm[f"{METRIC}_p_holm"]
        found.append([*cells, "" if pd.isna(p) else f"{p:.2g}"])
    return found


def verdicts(table: pd.DataFrame) -> list[str]:
    """A line a method: where it brings most of the metric, and whether that is told."""
    found = []
    for name, own in drawn(table).groupby("name", sort=False):
        best = own.loc[own[f"{METRIC}_difference"].idxmax()]
        ends = spread(*(best[f"{METRIC}_{end}"] for end in ("difference", "low", "high")))
        told = "told" if best[f"{METRIC}_p_holm"] <= LEVEL else "not told"
        found.append(f"- `{name}`: most at {best['equivalents']:.1f} equivalents, {ends}: {told}")
    return found


def drawn(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a chart: those of methods, each with its name."""
    own = table[table["expression"] != STANDARD]
    several = own["model"].nunique() > 1
    names = [
        bare(row["expression"]) + (f" on {row['model']}" if several else "") for row in own.to_dict("records")
    ]
    return own.assign(name=names)


def bare(expression: str) -> str:
    """A method's name, and those of the methods that it runs."""
    one = registry.parse(expression)
    return registry.render(one.name, {}, [bare(inner) for inner in one.wrapped])


def chosen(made: nk.Run, frame: pd.DataFrame, table: pd.DataFrame, model: str) -> list[Row]:
    """The best at each budget among the arms of a model as its card has it; see `noisekit.evaluation.best`."""
    own, images = table[table["model"] == model].set_index("method"), frame[frame["model"] == model]
    found = list[Row]()
    for budget in sorted(own["budget"].dropna().unique()):
        within = own.index[own["equivalents"] <= budget]
        field = race(images[images["method"].isin(within)], [METRIC], made.shared)
        best = own.loc[field.best(STANDARD)]
        gain = field.against(STANDARD).loc[str(best.name)]
        found.append(
            Row(
                budget=float(budget),
                method=best["expression"],
                equivalents=rounded(best["equivalents"]),
                metric=METRIC,
                mean=rounded(best[METRIC]),
                **{end: rounded(gain[end]) for end in ("difference", "low", "high", "shrunk")},
                p=None if best.name == STANDARD else rounded(best[f"{METRIC}_p_holm"]),
                family=int(own[f"{METRIC}_family"].max()),
                settings=len(within),
                prompts=int(best["prompts"]),
                seeds=int(best["images"] // best["prompts"]),
            )
        )
    return found


def rounded(value: float) -> float:
    """Four digits of a figure."""
    return float(f"{value:.4g}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plans", nargs="*", metavar="PLAN", help=", ".join(names()))
    parser.add_argument("--limits", type=int, nargs="+", default=list(LIMITS), help="sizes, in prompts")
    parser.add_argument("--dry-run", action="store_true", help="say what there is to do and run nothing")
    parser.add_argument("--tell", action="store_true", help="write tables and charts and run nothing")
    asked = parser.parse_args()
    if asked.tell:
        tell()
    else:
        (dry_run if asked.dry_run else run)(asked.plans or names(), asked.limits)


if __name__ == "__main__":
    main()

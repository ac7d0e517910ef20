"""What `pick` is worth: fitted on half of the prompts of a run, judged by the truth on the other half, over ten budgets.

    regret(rule, budget) = max over settings within the budget of truth − truth of the rule's choice      on the other half
    mean regret          = mean over budgets and random halves

    python benchmarks/pick.py runs/tiny-turbo runs/tiny

prints the tables of benchmarks/README.md as Markdown: `pick` by the truth of its own half and by the metrics that no method
optimised, the truth left out; the highest mean of its own half, whatever its interval; always best-of as long as the budget
allows; always standard. The best setting in hindsight is the best on the half that judges, so that its own luck counts
against every rule. Budgets are ten powers from the cheapest image to the dearest one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

import noisekit as nk
from noisekit.evaluation.best import race
from noisekit.evaluation.statistics import STANDARD
from noisekit.results.curves import costs
from noisekit.results.eligible import eligible

BUDGETS = 10
TRUTH = "truth"


@dataclass(frozen=True)
class Half:
    """What a rule may see: images of half of the prompts, the settings within the budget, columns of metrics."""

    table: pd.DataFrame
    settings: pd.DataFrame
    held_out: Sequence[str]


Rule = Callable[[Half], str]


def by_truth(half: Half) -> str:
    return race(half.table, [TRUTH]).best(STANDARD)


def by_held_out(half: Half) -> str:
    return race(half.table, half.held_out).best(STANDARD)


def highest(half: Half) -> str:
    """The highest mean, the cheapest of equals."""
    means = half.table.groupby("method")[TRUTH].mean()
    cheapest_first = half.settings.sort_values("calls", kind="stable")["method"]
    return str(means[cheapest_first].idxmax())


def best_of(half: Half) -> str:
    own = half.settings[half.settings["search"].str.startswith("best_of(n=")]
    return STANDARD if own.empty else str(own.loc[own["calls"].idxmax(), "method"])


def standard(_half: Half) -> str:
    return STANDARD


RULES: Mapping[str, Rule] = {
    "pick, by truth": by_truth,
    "pick, by held-out metrics without truth": by_held_out,
    "highest mean of truth": highest,
    "always best_of": best_of,
    "always standard": standard,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "stores", nargs="+", help="folders of finished runs of one model each, scored by truth"
    )
    parser.add_argument("--halves", type=int, default=100, help="random halves of the prompts")
    given = parser.parse_args()
    for store in given.stores:
        run = nk.load_run(store)
        found, budgets = regrets(run, given.halves)
        print(
            f"### `{store}`: {costs(run.curves()).shape[0]} settings, {run.frame()['prompt'].nunique()} prompts\n"
        )
        print(markdown(found, budgets), end="\n\n", flush=True)


def regrets(run: nk.Run, halves: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Regret in truth (halves, budgets) by rule, and the budgets in calls."""
    table = eligible(run, run.curves(), TRUTH).table
    held_out = [column for name, column in eligible(run, table).columns.items() if name != TRUTH]
    settings = costs(table)
    budgets = np.geomspace(settings["calls"].min(), settings["calls"].max(), BUDGETS)
    prompts, draw = table["prompt"].unique(), np.random.default_rng(0)
    found = {name: np.zeros((halves, BUDGETS)) for name in RULES}
    for h in tqdm(range(halves), disable=None):
        seen = table["prompt"].isin(draw.permutation(prompts)[: len(prompts) // 2])
        truth = table[~seen].groupby("method")[TRUTH].mean()
        for b, budget in enumerate(budgets):
            within = settings[settings["calls"] <= budget * (1 + 1e-9)]
            half = Half(table[seen & table["method"].isin(within["method"])], within, held_out)
            hindsight = truth[within["method"]].max()
            for name, rule in RULES.items():
                found[name][h, b] = hindsight - truth[rule(half)]
    return found, budgets


def markdown(found: Mapping[str, np.ndarray], budgets: np.ndarray) -> str:
    """Mean regret in points of truth (hundredths), by budget in calls and over all."""
    head = ["rule", "mean", *(f"{budget:.0f} calls" for budget in budgets)]
    rows = [head, ["---"] * len(head)]
    for name, regret in found.items():
        each = [f"{100 * value:.1f}" for value in regret.mean(axis=0)]
        rows.append([name, f"**{100 * regret.mean():.2f}**", *each])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()

"""Where a run's images come from: every resolved value that decides them, and a plan that asks for them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from noisekit.report.source import STANDARD, ReportedRun, limits
from noisekit.types import Arm, Budget

if TYPE_CHECKING:
    import pandas as pd

Facts = list[tuple[str, str]]


def facts(values: Mapping[str, Any], prefix: str = "") -> Facts:
    """A mapping as (name, value) pairs, nested names joined by a blank; empty values are left out."""
    pairs: Facts = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            pairs += facts(value, f"{name} ")
        elif isinstance(value, list | tuple):
            pairs.append((name, ", ".join(map(str, value))))
        elif value is not None:
            pairs.append((name, str(value)))
    return pairs


def of_models(settings: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[str, Facts]:
    """What each model was: weights, dtype, size, sampler, steps, guidance, as its identity has them."""
    return {model: facts(fields["model"]) for (model, _), fields in settings.items() if "model" in fields}


def of_methods(settings: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[tuple[str, str], Facts]:
    """What each method depended on beside its own settings: its version, its rewards and artefacts, budget and noise."""
    without = ("model", "method")
    return {
        key: facts({name: value for name, value in fields.items() if name not in without})
        for key, fields in settings.items()
    }


def plan(run: ReportedRun) -> str:
    """A plan that asks for the same, "" where none can: prompts of no suite, or methods under different budgets."""
    frame = run.frame()
    suites = _suites(frame)
    arms = [run.arms[name] for name in frame["method"].unique()]
    methods = list(dict.fromkeys(arm.method for arm in arms))
    budgets = list(dict.fromkeys(arm.budget for arm in arms if arm.method != STANDARD))
    if not suites or any(Arm(m, b) not in arms for m in methods if m != STANDARD for b in budgets):
        return ""
    seeds = sorted(int(seed) for seed in frame["seed"].unique())
    values: dict[str, Any] = {
        "models": list(frame["model"].unique()),
        "methods": methods,
        "prompts": suites,
        "seeds": len(seeds) if seeds == list(range(len(seeds))) else seeds,
        "metrics": list(run.metrics),
        "noise": run.manifest["noise"],
    }
    if any(budget != Budget() for budget in budgets):
        values["budget"] = [limits(budget) for budget in budgets]
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100).rstrip()


def _suites(frame: pd.DataFrame) -> Sequence[Mapping[str, Any]]:
    """The suites with as many prompts as there are; none where some prompt is of none."""
    if "suite" not in frame or frame["suite"].isna().any():
        return []
    counts = frame.groupby("suite", sort=False)["prompt_id"].nunique()
    return [{"suite": str(suite), "limit": int(count)} for suite, count in counts.items()]

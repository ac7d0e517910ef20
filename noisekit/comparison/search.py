"""Search a method's settings against a metric, every trial at the same cost an image.

    trial   = values of the settings that are varied, proposed by a tree-structured Parzen estimator (optuna)
    value   = mean over prompts of the metric's difference to standard, on every other prompt of the plan
    result  = the best trial, judged again on the prompts between: its difference there, with a 95 % interval

Trials are ordinary cells in the plan's store. A search that was stopped is started again from nothing: it proposes the same
values, finds their images in the store, and so comes back to where it was. The value of the best trial is the largest of
many and flatters it, which is why the result is measured on other prompts.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from noisekit.comparison.compare import carry_out
from noisekit.engine.model_cache import ModelCache
from noisekit.errors import BadValue, NotSupported
from noisekit.evaluation.statistics import STANDARD, summary
from noisekit.methods import NoiseMethod, load_method
from noisekit.plan.plan import Plan
from noisekit.plan.search import Choices, Range, Search, WholeRange, halves
from noisekit.prompts import PromptSuite
from noisekit.runs import Run
from noisekit.store.store import Store

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


#: What a trial cost, in figures that are the same wherever it ran.
COUNTED = ("calls", "equivalents")


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    trials: one row a trial: method, value (mean difference to standard on the prompts searched on; NaN where it failed),
    calls and denoiser equivalents an image. best: the method of the best trial. judged: its row of `statistics.summary` on
    the other prompts.
    """

    metric: str
    trials: pd.DataFrame
    best: NoiseMethod
    judged: Mapping[str, Any]


def run_search(
    plan: Plan, *, store: str | Path | None = None, executor: str = "inprocess", progress: bool = True
) -> SearchResult:
    """Run the search of a plan, or go on with it: tried on one half of the prompts, judged on the other.

    Args:
        plan: With the key `search`.
        store: The folder that keeps all images (None: the plan's own); what it holds is not done again.
        executor: How the work is spread: "inprocess", "ray", or "ray:ADDRESS".
        progress: Whether to show a bar.

    Returns:
        All trials, the best of them, and what it is worth on the prompts that it was not chosen by.

    Raises:
        BadValue: The plan has no search or a single prompt, or every trial failed.
    """
    wanted = plan.search
    if wanted is None:
        raise BadValue("the plan has no key 'search'; `run_plan` runs it")
    both = searched, judging = halves(plan.suites)
    if not all(both):
        raise BadValue("a search needs two prompts or more: it searches on one half and judges on the other")
    sampled = _study(wanted.seed)
    runner = _Trials(plan, wanted, plan.folder(store), executor, progress)
    rows = []
    for _ in range(wanted.trials):
        trial = sampled.ask({name: _distribution(axis) for name, axis in wanted.over.items()})
        method = wanted.method_at(
            {name: axis.value(trial.params[name]) for name, axis in wanted.over.items()}
        )
        result = runner.judged(method, searched)
        value = result[f"{wanted.metric}_difference"]
        rows.append({"method": method, "value": value} | {name: result[name] for name in COUNTED})
        sampled.tell(trial, None if math.isnan(value) else value, state=_state(failed=math.isnan(value)))
    trials = pd.DataFrame(rows)
    if trials["value"].isna().all():
        raise BadValue(f"all {len(trials)} trials failed; `noisekit status {plan.folder(store)}` says why")
    best: NoiseMethod = trials["method"].iloc[trials["value"].argmax()]
    judged = runner.judged(best, judging)
    return SearchResult(wanted.metric, trials.assign(method=trials["method"].map(str)), best, judged)


class _Trials:
    """Runs methods beside standard at the search's budget, with the model loaded once."""

    def __init__(self, plan: Plan, wanted: Search, folder: Path, executor: str, progress: bool) -> None:
        self.plan, self.wanted, self.folder, self.executor, self.progress = (
            plan,
            wanted,
            folder,
            executor,
            progress,
        )
        self.cache = ModelCache()

    def judged(self, method: NoiseMethod, suites: tuple[PromptSuite, ...]) -> dict[str, Any]:
        """The summary of a method on suites, against standard; missing images are made."""
        metrics = tuple(dict.fromkeys([*self.plan.metrics, self.wanted.metric]))
        plan = self.plan.model_copy(
            update={
                "methods": tuple(dict.fromkeys([load_method(STANDARD), method])),
                "suites": suites,
                "budgets": (self.wanted.budget,),
                "metrics": metrics,
            }
        )
        with Store.prepare(self.folder, plan.noise) as store:
            found = carry_out(
                plan, store, executor=self.executor, progress=self.progress, strict=True, cache=self.cache
            )
            job = found.jobs[-1]
            self.wanted.check_metric(job.method)
            run = Run(store)
        frame = run.frame()
        prompts = {prompt.id for suite in suites for prompt in suite}
        own = frame["model"].eq(job.model) & frame["prompt_id"].isin(prompts) & frame["seed"].isin(plan.seeds)
        name = str(job.arm)
        frame = frame[own & frame["method"].isin([STANDARD, name])]
        table = summary(frame, [self.wanted.metric], {}, run.shared).set_index("method")
        nothing = dict.fromkeys([f"{self.wanted.metric}_difference", *COUNTED], math.nan)
        return dict(table.loc[name]) if name in table.index else nothing


def _study(seed: int) -> Any:
    """An optuna study in memory whose proposals depend on the seed and on the values it was told, and on nothing else."""
    try:
        import optuna
    except ImportError:
        raise NotSupported(
            "a search needs optuna; install it with `pip install 'noisekit[search]'`"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))


def _state(failed: bool) -> Any:
    from optuna.trial import TrialState

    return TrialState.FAIL if failed else TrialState.COMPLETE


def _distribution(axis: Range | Choices) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(axis, Choices):
        return CategoricalDistribution(axis.choices)
    if isinstance(axis, WholeRange):
        return IntDistribution(int(axis.low), int(axis.high), axis.log, int(axis.step or 1))
    return FloatDistribution(axis.low, axis.high, axis.log, axis.step)

"""noisekit: compare noise-selection methods for text-to-image diffusion models at equal cost.

    model = noisekit.load_model("tiny")
    result = noisekit.load_method("cosine(steps=20)")(model, ["a red circle"], seeds=[0])
    run = noisekit.compare("tiny", ["selection", "cosine"], limit=12, seeds=2, store="runs/demo")

Names are imported when they are first used, so that `import noisekit` is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noisekit import errors
    from noisekit.comparison import compare, run_plan, run_search
    from noisekit.image_prompts import ControlledPrompt, ImagePrompt
    from noisekit.methods import NoiseMethod, load_method
    from noisekit.methods.parameters import parameter
    from noisekit.metrics import Evaluator, Metric, MetricInfo, load_metric
    from noisekit.models import Model, load_model
    from noisekit.noise import NoiseSource
    from noisekit.plan import Plan, load_plan
    from noisekit.prompts import Prompt, load_prompts
    from noisekit.results import pick
    from noisekit.rewards import Reward, load_reward
    from noisekit.runs import Run, load_run
    from noisekit.types import Budget, Candidate, Cost, NoiseResult

__version__ = "0.1.0"

_HOMES = {
    "Budget": "noisekit.types",
    "Candidate": "noisekit.types",
    "ControlledPrompt": "noisekit.image_prompts",
    "Cost": "noisekit.types",
    "Evaluator": "noisekit.metrics",
    "ImagePrompt": "noisekit.image_prompts",
    "Metric": "noisekit.metrics",
    "MetricInfo": "noisekit.metrics",
    "Model": "noisekit.models",
    "NoiseMethod": "noisekit.methods",
    "NoiseResult": "noisekit.types",
    "NoiseSource": "noisekit.noise",
    "Plan": "noisekit.plan",
    "Prompt": "noisekit.prompts",
    "Reward": "noisekit.rewards",
    "Run": "noisekit.runs",
    "compare": "noisekit.comparison",
    "load_method": "noisekit.methods",
    "load_metric": "noisekit.metrics",
    "load_model": "noisekit.models",
    "load_plan": "noisekit.plan",
    "load_prompts": "noisekit.prompts",
    "load_reward": "noisekit.rewards",
    "load_run": "noisekit.runs",
    "parameter": "noisekit.methods.parameters",
    "pick": "noisekit.results",
    "run_plan": "noisekit.comparison",
    "run_search": "noisekit.comparison",
}

__all__ = [
    "Budget",
    "Candidate",
    "ControlledPrompt",
    "Cost",
    "Evaluator",
    "ImagePrompt",
    "Metric",
    "MetricInfo",
    "Model",
    "NoiseMethod",
    "NoiseResult",
    "NoiseSource",
    "Plan",
    "Prompt",
    "Reward",
    "Run",
    "__version__",
    "compare",
    "errors",
    "load_method",
    "load_metric",
    "load_model",
    "load_plan",
    "load_prompts",
    "load_reward",
    "load_run",
    "parameter",
    "pick",
    "run_plan",
    "run_search",
]


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("noisekit.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'noisekit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__

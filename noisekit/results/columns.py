"""The columns of a run's tables."""

from __future__ import annotations

from collections.abc import Mapping

from noisekit.store.columns import Form
from noisekit.types import COUNTED, Arm

#: Columns of `Run.frame`: before the metrics, and two groups after them.
ABOUT = ["model", "method", "prompt", "prompt_id", "kind", "unseen", "suite", "categories", "seed", "image"]
BUDGET = [name for name in Arm("").columns if name != "method"]
ARM = ["model_name", "expression", *BUDGET]
CALLS = [f"calls_{network}" for network in COUNTED]
SPENT = ["calls", *CALLS, "flops", "equivalents", "seconds", "batch", "peak_memory", "preparation"]
FOUND = ["stopped", "noise_norm", "noise_cosine", "noise_distance", "noise_kurtosis"]
UNCOUNTED = [*CALLS, "preparation"]
#: What is read of a row; see `store.columns`.
FORMS: Mapping[str, Form] = {
    **dict.fromkeys(("id", "image"), "key"),
    **dict.fromkeys(("setting", "model_id", "model", "model_name", "method", "prompt", "prompt_id"), "text"),
    **dict.fromkeys(("kind", "suite", "objective", "stopped"), "text"),
    **dict.fromkeys((*SPENT, *FOUND[1:], *BUDGET), "number"),
    **dict.fromkeys(("unseen", "categories", "seed", "batch", "optimised"), "json"),
}
#: Columns that every trace has.
TRACED = ["model", "method", "prompt", "seed", "step", "calls", "seconds", "score", "best"]

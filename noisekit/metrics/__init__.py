"""Metrics: what judges images. Rewards are metrics; so are checkers, detectors, and whatever a package adds.

metric = load_metric("truth")
scores = metric(images, prompts)                       # (B, 3, H, W) in [0, 1] -> (B, columns), NaN where it says nothing
table  = Evaluator(["clip_score", "truth"])(images, prompts)                   # a DataFrame, one row an image
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from noisekit.metrics.base import Metric
    from noisekit.metrics.evaluator import Evaluator
    from noisekit.metrics.info import MetricInfo
    from noisekit.metrics.loading import load_metric

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "base": ["Metric"],
        "evaluator": ["Evaluator"],
        "info": ["MetricInfo"],
        "loading": ["load_metric"],
    },
)

__all__ = ["Evaluator", "Metric", "MetricInfo", "load_metric"]

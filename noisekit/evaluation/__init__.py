"""Evaluation: images to scores, and scores to statements about which differences are real.

Names are imported when they are first used: statements need no network.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from noisekit.evaluation.evaluator import Evaluator
    from noisekit.evaluation.metric import MetricInfo

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "evaluator": ["Evaluator"],
        "metric": ["MetricInfo"],
    },
)

__all__ = ["Evaluator", "MetricInfo"]

"""Evaluation: images to scores, and scores to statements about which differences are real."""

from noisekit.evaluation.evaluator import Evaluator
from noisekit.evaluation.metric import MetricInfo

__all__ = ["Evaluator", "MetricInfo"]

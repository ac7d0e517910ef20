"""Evaluation: images to scores, and scores to statements about which differences are real."""

from noisekit.evaluation.evaluator import DEFAULT_METRICS, Evaluator

__all__ = ["DEFAULT_METRICS", "Evaluator"]

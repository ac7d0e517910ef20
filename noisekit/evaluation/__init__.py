"""Evaluation: from scores to statements about which differences are real. It needs no network but for diversity."""

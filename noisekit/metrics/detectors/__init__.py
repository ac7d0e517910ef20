"""Detectors of objects, as the rules of benchmarks ask them: published ones through transformers, and the checker."""

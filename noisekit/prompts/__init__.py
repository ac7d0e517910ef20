"""Prompts: suites and files become records with a content hash."""

from noisekit.prompts.suites import SUITES, Prompt, PromptSuite, load_prompts

__all__ = ["SUITES", "Prompt", "PromptSuite", "load_prompts"]

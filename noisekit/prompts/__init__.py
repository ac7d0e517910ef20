"""Prompts: suites and files become records with a content hash."""

from noisekit.prompts.suites import BUNDLED, Prompt, PromptSuite, load_prompts

__all__ = ["BUNDLED", "Prompt", "PromptSuite", "load_prompts"]

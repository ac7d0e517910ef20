"""Prompts and seeds as a method takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from noisekit import registry
from noisekit.errors import BadValue
from noisekit.image_prompts import ImagePrompt
from noisekit.types import LARGEST_SEED, LONGEST_PROMPT


def checked_prompts(prompts: str | Sequence[str]) -> list[str]:
    """Prompts as a list; raise on none, on what is neither text nor image, and on texts longer than any encoder reads."""
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    if not texts:
        raise BadValue("no prompts were given; give at least one")
    for text in texts:
        if not isinstance(text, str) or not (text.strip() or isinstance(text, ImagePrompt)):
            raise BadValue(f"prompt {text!r} is not a text with at least one word")
        if len(text) > LONGEST_PROMPT:
            start = registry.shortened(text)
            raise BadValue(
                f"prompt {start!r} has {len(text)} characters, more than the {LONGEST_PROMPT} allowed; text encoders "
                "read under 100 words, so shorten it"
            )
    return texts


def checked_seeds(seeds: Sequence[Any]) -> list[int]:
    """Seeds as a list; raise on none and on what is not a whole number from 0 to `LARGEST_SEED`."""
    for seed in seeds:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= LARGEST_SEED:
            raise BadValue(f"seed {registry.printed(seed)} is not a whole number of 0 or more, below 2^63")
    if not seeds:
        raise BadValue("no seeds were given; give at least one")
    return list(seeds)

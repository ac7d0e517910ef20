"""Shards: a part of a plan for each task of a job array. The parts are disjoint, and together they are the whole."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from noisekit.errors import BadValue


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 1) of `count`: the images whose id, as a number, leaves index − 1 when divided by count."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "3/16"; raise `BadValue` on anything else."""
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise BadValue(f"shard {text!r} is not a part of a whole; write the third of sixteen as '3/16'")
        return cls(int(found[1]), int(found[2]))

    def __contains__(self, generation: str) -> bool:
        return int(generation, 16) % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

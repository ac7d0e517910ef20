"""What of the tables of verdicts stands when all of a table is asked at once: Holm's p of every printed difference.

    python -m benchmarks.holm [FILE]           benchmarks/README.md by default

The runs behind the tables are kept nowhere, so p is read off the printed 95 % intervals, as if they were normal:
2·Φ(−|d| / s), s a quarter of the interval's length, nearly. Differences marked † claim nothing and are no members.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scipy.special import ndtr, stdtrit

from noisekit.evaluation.significance import holm

README = Path(__file__).parent / "README.md"
#: The tables whose differences are claims, by what stands above them.
HEADS = ("### `tiny`", "### `tiny-turbo`", "What they do to images, prompts and seeds as above:")
#: Prompts of all of them.
PROMPTS = 200
_CELL = re.compile(r"(?P<mark>†)? ?\((?P<d>[+-][\d.]+) \[(?P<low>[+-][\d.]+), (?P<high>[+-][\d.]+)\]\)")


class Claim(NamedTuple):
    """A printed difference to standard with its p, and that p after Holm over its table."""

    method: str
    metric: str
    difference: float
    p: float
    p_holm: float


def claims(text: str, head: str) -> list[Claim]:
    """Those of the first table below a head."""
    found = list(_printed(text, head))
    adjusted = holm([p for *_, p in found])
    return [Claim(*one, p_holm=float(p)) for one, p in zip(found, adjusted, strict=True)]


def _printed(text: str, head: str) -> Iterator[tuple[str, str, float, float]]:
    lines = text[text.index(f"\n{head}\n") :].split("\n\n|", 1)[1].split("\n\n", 1)[0].splitlines()
    names, *rows = ([cell.strip() for cell in line.strip("| ").split("|")] for line in lines)
    for method, *cells in rows[1:]:
        for name, cell in zip(names[1:], cells, strict=True):
            figures = _CELL.search(cell)
            if figures and not figures["mark"]:
                difference, low, high = (float(figures[part]) for part in ("d", "low", "high"))
                error = (high - low) / (2 * stdtrit(PROMPTS - 1, 0.975))
                if error:
                    yield method.strip("`"), name, difference, float(2 * ndtr(-abs(difference) / error))


def main() -> None:
    """Print, of every table, how many claims there are and which stand."""
    text = Path(sys.argv[1] if len(sys.argv) > 1 else README).read_text(encoding="utf-8")
    for head in HEADS:
        found = claims(text, head)
        standing = [one for one in found if one.p_holm <= 0.05]
        alone = sum(one.p <= 0.05 for one in found)
        print(
            f"{head.strip('#: ')}: {len(found)} comparisons, {alone} alone at 5 %, {len(standing)} after Holm"
        )
        for method in dict.fromkeys(one.method for one in standing):
            own = [f"{one.metric} {one.difference:+g}" for one in standing if one.method == method]
            print(f"  {method}: {', '.join(own)}")


if __name__ == "__main__":
    main()

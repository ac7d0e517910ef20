"""How a notebook shows a result: its images, and how the search for each went.

dots    the score of every candidate           line    the best score so far
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

from noisekit.inline import data_uri, thumbnail
from noisekit.shown import shown

if TYPE_CHECKING:
    from noisekit.types import NoiseResult

WIDTH, HEIGHT, MARGIN = 220, 64, 5
#: Samples of a batch that are drawn; the others are counted.
MOST = 24
MOST_BYTES = 120_000

_STYLE = """
.noisekit-result { color-scheme: light dark; color: #1f2933; background: #fff; padding: .6rem .8rem; }
.noisekit-result { font: 14px/1.45 system-ui, sans-serif; }
.noisekit-result .samples { display: flex; flex-wrap: wrap; gap: 1rem; }
.noisekit-result figure { margin: .4rem 0; width: 220px; }
.noisekit-result figcaption { overflow-wrap: anywhere; font-size: .86em; }
.noisekit-result img { display: block; width: 220px; height: 220px; object-fit: contain; }
.noisekit-result img.pixels { image-rendering: pixelated; }
.noisekit-result .soft { color: #52606d; }
.noisekit-result circle { fill: #6b7280; } .noisekit-result polyline { fill: none; stroke: #0072b2; stroke-width: 1.6; }
@media (prefers-color-scheme: dark) {
  .noisekit-result { color: #e6ebf0; background: #14181d; }
  .noisekit-result .soft { color: #a9b6c3; }
  .noisekit-result circle { fill: #9aa5b1; } .noisekit-result polyline { stroke: #4aa8e8; }
}
"""


def card(result: NoiseResult) -> str:
    """A result as one HTML element, everything from outside escaped."""
    spent = f"{result.cost.calls:g} calls, {result.cost.seconds:.3g} s an image; stopped: {result.stopped}"
    samples = "".join(_sample(result, place) for place in range(min(MOST, len(result.prompts))))
    more = len(result.prompts) - MOST
    rest = f'<p class="soft">{more} more samples are in the result.</p>' if more > 0 else ""
    head = f'<b>{_text(result.method)}</b> on {_text(result.model)} <span class="soft">{_text(spent)}</span>'
    shown_ones = f'<div class="samples">{samples}</div>{rest}'
    return f'<div class="noisekit-result"><style>{_STYLE}</style><div>{head}</div>{shown_ones}</div>'


def _sample(result: NoiseResult, place: int) -> str:
    prompt, seed = _text(result.prompts[place]), result.seeds[place]
    own = result.images[place].detach().float().nan_to_num().clamp(0, 1).mul(255).round().byte()
    pixels = own.reshape(-1, *own.shape[-3:]).permute(0, 2, 3, 1).numpy(force=True)
    source = data_uri(thumbnail([Image.fromarray(one) for one in pixels], MOST_BYTES, 440), "image/webp")
    large = ' class="pixels"' if max(pixels.shape[1:3]) <= 96 else ""
    return (
        f'<figure><img src="{source}" alt="{prompt}, seed {seed}"{large}>{_search(result, place)}'
        f'<figcaption>{prompt} <span class="soft">seed {seed}</span></figcaption></figure>'
    )


def _search(result: NoiseResult, place: int) -> str:
    """The scores of one sample by candidate, where there are two or more."""
    scored = [(point.score, point.best) for point in result.trace.points]
    scores = [math.nan if score is None else score[place] for score, _ in scored]
    best = [math.nan if so_far is None else so_far[place] for _, so_far in scored]
    known = [value for value in (*scores, *best) if math.isfinite(value)]
    if len(scores) < 2 or not known:
        return ""
    low, high = min(known), max(known)
    first = next(value for value in (*best, *known) if math.isfinite(value))
    last = next(value for value in (*reversed(best), *known) if math.isfinite(value))
    says = f"best score {first:.4g} to {last:.4g} in {len(scores)} candidates"

    def points(values: Sequence[float]) -> list[tuple[float, float]]:
        wide, tall = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN
        return [
            (MARGIN + wide * i / (len(values) - 1), HEIGHT - MARGIN - tall * (v - low) / ((high - low) or 1))
            for i, v in enumerate(values)
            if math.isfinite(v)
        ]

    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.8"/>' for x, y in points(scores))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points(best))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{says}">{dots}'
        f'<polyline points="{line}"/></svg><div class="soft">{says}</div>'
    )


def _text(text: str) -> str:
    return escape(shown(str(text)))

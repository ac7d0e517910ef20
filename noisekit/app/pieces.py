"""Pieces of the page as HTML. Whatever comes from a user, a model or a store is escaped here, and nothing is fetched."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
import pandas as pd
from PIL import Image
from torch import Tensor

from noisekit.app.comparing import Came
from noisekit.app.searching import Seen
from noisekit.shown import shown
from noisekit.types import Cost

#: How a search ended, for people.
ENDS = {
    "done": "all candidates were tried",
    "budget": "the budget is spent",
    "asked": "stopped; the best so far is kept",
    "not finite": "no figure was finite any more",
}


def text(value: object) -> str:
    """As it may stand in HTML; what would steer the reading order shows as an escape."""
    return escape(shown(str(value)))


def problem(sentence: object) -> str:
    """A sentence of an error, as the command line words it."""
    return f'<p class="problem" role="alert">{text(" ".join(str(sentence).split()))}</p>'


def said(sentence: object, *notes: str) -> str:
    """A sentence, and warnings below it."""
    return f'<p role="status">{text(sentence)}</p>' + "".join(
        f'<p class="note">{text(note)}</p>' for note in notes
    )


def searched(seen: Seen) -> str:
    """How far a search is: its bar while it goes on, and what the best so far says and cost."""
    if not (seen.of or seen.stopped):
        return said("the search begins", seen.method)
    figures = [f"candidate {seen.step} of {seen.of}"] if seen.of else ["the standard noise"]
    if seen.score is not None:
        figures.append(f"best {seen.objective} {seen.score:.4g}")
    figures.append(spent(seen.cost))
    if seen.stopped:
        return said(" · ".join([*figures, ENDS[seen.stopped]]), seen.method, *seen.notes)
    return bar(seen.step, seen.of, "candidates tried") + said(" · ".join(figures), seen.method)


def compared(came: Came) -> str:
    """How far a comparison is."""
    progress = came.progress
    failed = f", {progress.failed} failed" if progress.failed else ""
    counted = f"{progress.done} of {progress.total} images{failed}"
    if came.over:
        kept = "stopped; the finished images are kept, and the same comparison goes on from there"
        return said(f"{counted} · {kept if came.over == 'stopped' else 'done'}", *came.notes)
    return bar(progress.done, progress.total, "images made") + said(
        " · ".join(filter(None, [counted, progress.doing]))
    )


def bar(done: int, of: int, what: str) -> str:
    return f'<progress value="{done}" max="{max(1, of)}" aria-label="{text(what)}"></progress>'


def spent(cost: Cost | None) -> str:
    """What an image took, in the units of budgets."""
    if cost is None:
        return ""
    figures = [counted(cost.calls, "call"), f"{cost.seconds:.2f} s"]
    if cost.equivalents is not None:
        figures.insert(1, f"{cost.equivalents:.3g} equivalents")
    return ", ".join(figures)


def counted(number: float, thing: str) -> str:
    """Such as "1 call" and "12 calls"."""
    return f"{number:g} {thing}{'s' * (number != 1)}"


def side_by_side(seen: Seen, prompt: str, seed: int) -> str:
    """The standard image and the best so far."""
    if seen.standard is None:
        return ""
    of = f"of “{prompt}”, seed {seed}"
    left = figure(seen.standard, f"The standard image {of}", "standard", spent(seen.standard_cost))
    found = seen.standard if seen.best is None else seen.best
    name = "found" if seen.stopped else "best so far"
    return f'<div class="pair">{left}{figure(found, f"The image {name} {of}", name, spent(seen.cost))}</div>'


def figure(image: Tensor, about: str, name: str, cost: str) -> str:
    """An image (3, H, W) in [0, 1] with its words; small ones are shown larger, pixel by pixel."""
    small = ' class="small"' if image.shape[-1] < 256 else ""
    source = base64.b64encode(png(image)).decode()
    return (
        f'<figure><img{small} alt="{text(about)}" src="data:image/png;base64,{source}">'
        f"<figcaption><b>{text(name)}</b> {text(cost)}</figcaption></figure>"
    )


def png(image: Tensor) -> bytes:
    """The pixels of an image (3, H, W) in [0, 1], as stores keep them."""
    pixels = image.float().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy(force=True)
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(content, "PNG")
    return content.getvalue()


def table(frame: pd.DataFrame) -> str:
    """A table with figures of three places."""
    rounded = frame.map(lambda value: f"{value:.3f}" if isinstance(value, float) else shown(str(value)))
    return str(rounded.to_html(index=False, border=0, escape=True, classes="figures"))


def link(address: str, words: str) -> str:
    """A link that opens beside the app."""
    return f'<a href="{escape(address)}" target="_blank" rel="noopener noreferrer">{text(words)}</a>'

"""What a notebook shows of a result: its images and its search, with everything from outside as text."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import torch
from PIL import Image

from noisekit.card import MOST, card
from noisekit.types import Cost, NoiseResult, Trace, TracePoint

HOSTILE = '<script>alert(1)</script>\x1b[2J" onload="x'


def result(samples: int, scores: list[float] | None) -> NoiseResult:
    points = [
        TracePoint(step, Cost(), (score,) * samples, (max(scores[: step + 1]),) * samples, {})
        for step, score in enumerate(scores or [])
    ]
    noise = torch.zeros(samples, 4, 4, 4)
    return NoiseResult(
        images=torch.rand(samples, 3, 16, 16),
        noise=noise,
        initial=noise,
        score=None,
        trace=Trace(tuple(points)),
        cost=Cost(denoiser=7, seconds=0.25),
        prompts=[HOSTILE] * samples,
        seeds=list(range(samples)),
        method="reno(steps=3)",
        model=HOSTILE,
        stopped="done",
    )


def test_images_and_their_search() -> None:
    html = result(2, [0.1, 0.3, float("nan"), 0.2])._repr_html_()
    assert html.count('<img src="data:image/webp') == html.count("<svg") == 2
    assert html.count("<circle") == 2 * 3
    assert "best score 0.1 to 0.3 in 4 candidates" in html
    assert "7 calls, 0.25 s an image; stopped: done" in html


def test_a_result_without_a_search_and_one_of_many() -> None:
    assert "<svg" not in card(result(1, None))
    many = card(result(MOST + 3, [0.0, 1.0]))
    assert many.count("<img ") == MOST and "3 more samples" in many


def test_frames_play() -> None:
    film = replace(result(1, None), images=torch.rand(1, 3, 3, 16, 16))
    content = base64.b64decode(card(film).partition("base64,")[2].partition('"')[0])
    assert getattr(Image.open(io.BytesIO(content)), "n_frames", 1) == 3


def test_everything_from_outside_is_text() -> None:
    html = card(result(1, [1.0, 1.0]))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[2J&quot; onload=&quot;x" in html
    assert "<script" not in html and '" onload="' not in html and "\x1b" not in html

"""How colourful an image looks (Hasler & Süsstrunk 2003, "Measuring colourfulness in natural images").

    rg = R − G        yb = (R + G)/2 − B                              over pixels in 0 … 255
    M  = √(σ_rg² + σ_yb²) + 0.3 · √(μ_rg² + μ_yb²)                    the spread of colours, and their shift from grey

People called images "slightly colourful" at 15 and "highly colourful" at 82. Nobody need know the prompt.
"""

import math

import torch

import noisekit as nk


class Colourfulness(nk.Metric):
    """A formula of the pixels, in two parts."""

    reads_prompt = False
    info = nk.MetricInfo(
        name="colourfulness",
        version="M of Hasler and Süsstrunk",
        weights="none",
        family="none",
        low=0.0,
        high=1.3 * math.sqrt(2) * 255,
        tie=0.5,
        parts=("spread", "shift"),
    )
    identity = {"metric": "colourfulness", "version": 1}

    def score(self, images, prompts):
        red, green, blue = (255 * images).unbind(1)
        opponents = torch.stack([red - green, (red + green) / 2 - blue], 1).flatten(2)  # (B, 2, H·W)
        spread = opponents.std(2, correction=0).norm(dim=1)
        shift = 0.3 * opponents.mean(2).norm(dim=1)
        return torch.stack([spread + shift, spread, shift], 1)

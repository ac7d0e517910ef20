"""Whether two runs made the same images, though in other batches, on other threads or in other processes."""

from __future__ import annotations

import pandas as pd

#: What rounding may do to a score: where it carries a pixel over the middle between two of its 256 levels, the stored image
#: differs by a level there, and one such pixel has moved the tiny CLIPScore (−100 to 100) by .01. Other images are whole
#: points apart.
SCORES = {"clip_score": 0.05}


def assert_alike(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Equal rows in equal order: numbers within fp32's rounding through a network, scores within some pixels' last level."""
    scores = [name for name in SCORES if name in expected]
    for name in scores:
        pd.testing.assert_series_equal(found[name], expected[name], rtol=0, atol=SCORES[name])
    pd.testing.assert_frame_equal(
        found.drop(columns=scores), expected.drop(columns=scores), rtol=1e-4, atol=1e-5
    )

"""The checker agrees with labels given by eye to 200 generated images, before its verdicts were known.

labels.png holds the images row by row, 20 in a row, each 32×32; labels.csv says of each, in the same order, whether it
fulfils its prompt.
"""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from noisekit.world import check, parse, suite

DATA = Path(__file__).parents[1] / "data"


def test_the_checker_agrees_with_the_eye():
    with open(DATA / "labels.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    sheet = np.asarray(Image.open(DATA / "labels.png"), np.float32) / 255
    tiles = sheet.reshape(10, 32, 20, 32, 3).transpose(0, 2, 4, 1, 3).reshape(200, 3, 32, 32)
    assert [row["prompt"] for row in rows] == list(suite()[:200])
    labels = np.array([row["label"] == "1" for row in rows])
    assert 0.2 < labels.mean() < 0.95
    verdicts = [check(tile, parse(row["prompt"])).fulfilled for tile, row in zip(tiles, rows, strict=True)]
    assert np.mean(labels == verdicts) >= 0.95

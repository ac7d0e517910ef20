"""How far each arm of a run lies from a folder of reference pictures: FID, FID∞ and CMMD, prompts unread.

One row per (model, method): images and reference count how many pictures were compared, for both distances grow as they
become fewer, so that only arms of one number can be compared. See `noisekit.metrics.distances`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL.Image import Image

from noisekit.errors import BadValue, NotSupported, unknown
from noisekit.metrics.distances.cmmd import cmmd
from noisekit.metrics.distances.embedding import Embedding, clip_folder, inception_file
from noisekit.metrics.distances.frechet import Gaussian, curve, frechet, infinity
from noisekit.metrics.distances.inception import Inception, Resize
from noisekit.paths import given_path, path_within
from noisekit.pictures import endings, read_picture
from noisekit.results.run import Run
from noisekit.store.png import frames_in

#: Pictures at once.
BATCH = 32
#: Features of the Inception: fewer pictures leave their covariance singular.
FEATURES = 2048

Features = NDArray[np.float64]


class Distances(NamedTuple):
    """table: one row an arm. networks: what measured, by column. notes: what to know when reading it."""

    table: pd.DataFrame
    networks: dict[str, str]
    notes: list[str]


def distances(
    run: Run,
    reference: str | Path,
    metrics: Sequence[str] = ("fid", "cmmd"),
    weights: str = "published",
    *,
    resize: Resize = "clean",
    limit: bool = False,
    device: str | torch.device = "cpu",
) -> Distances:
    """The distances of a run's arms from a reference.

    Args:
        run: The run.
        reference: A folder of pictures, its subfolders included.
        metrics: "fid", "cmmd" or both.
        weights: "published", or the Inception's file and CMMD's folder by path; "tiny" for cmmd alone.
        resize: How pictures are resized for the Inception: "clean", "tf" or "torch".
        limit: Whether to extrapolate FID to endless images, FID∞; takes as long as sixteen FIDs.
        device: Where networks run.

    Raises:
        BadValue: An unknown metric, a folder without pictures, too few images.
        CorruptWeights: Weights are not on this machine.
        NotSupported: There are no such weights, or the run holds sequences of frames.
    """
    for name in metrics:
        if name not in ("fid", "cmmd"):
            raise unknown("distance", name, ("fid", "cmmd"))
    paths = _pictures(given_path(reference))
    frame = run.frame()
    arms = {key: own["image"].tolist() for key, own in frame.groupby(["model", "method"], sort=False)}
    rows: list[dict[str, Any]] = [
        {"model": model, "method": method, "images": len(images), "reference": len(paths)}
        for (model, method), images in arms.items()
    ]
    networks = {}
    of_arms = [[path_within(run.folder, name) for name in images] for images in arms.values()]
    if any(frames_in(file) for files in of_arms for file in files[:1]):
        raise NotSupported(
            f"run {str(run.folder)!r} holds sequences of frames, and fid and cmmd compare single pictures; judge frames by "
            "metrics, such as those against true views"
        )
    if "fid" in metrics:
        inception = Inception(inception_file(weights), device, resize)
        networks["fid"] = inception.name
        known = Gaussian.of(_features(lambda some: inception(some).numpy(), paths))
        for row, own in zip(rows, of_arms, strict=True):
            features = _features(lambda some: inception(some).numpy(), own)
            row["fid"] = frechet(Gaussian.of(features), known)
            if limit:
                row["fid_infinity"] = infinity(*curve(features, known))
    if "cmmd" in metrics:
        embedding = Embedding(clip_folder(weights), device)
        networks["cmmd"] = embedding.name
        vectors = _features(embedding, paths)
        for row, own in zip(rows, of_arms, strict=True):
            row["cmmd"] = cmmd(_features(embedding, own), vectors)
    return Distances(pd.DataFrame(rows), networks, _notes(rows, metrics))


def _features(embed: Callable[[Sequence[Image]], Features], paths: Sequence[Path]) -> Features:
    """The features (N, D) of picture files."""
    return np.concatenate([embed(batch) for batch in _batches(paths)])


def _batches(paths: Sequence[Path]) -> Iterator[list[Image]]:
    """Neighbours of the same size, `BATCH` at most."""
    held: list[Image] = []
    for path in paths:
        picture = read_picture(path)
        if held and (len(held) == BATCH or picture.size != held[0].size):
            yield held
            held = []
        held.append(picture)
    yield held


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise BadValue(f"reference {str(folder)!r} is not a folder of pictures")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings() and path.is_file())
    if not found:
        raise BadValue(
            f"reference {str(folder)!r} holds no picture (.png, .jpg, .webp and whatever else Pillow reads)"
        )
    return found


def _notes(rows: Sequence[dict[str, Any]], metrics: Sequence[str]) -> list[str]:
    counts = {row["images"] for row in rows}
    notes = []
    if len(counts) > 1:
        notes.append(
            "arms have different numbers of images, and distances grow with fewer: do not compare them"
        )
    if "fid" in metrics and min([*counts, rows[0]["reference"]]) < FEATURES:
        notes.append(f"fid of fewer pictures than its {FEATURES} features is far above that of many")
    return notes

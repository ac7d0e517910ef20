"""FID and CMMD against the reference library and against plain formulas, and the Inception block by block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from PIL import Image

from noisekit.errors import BadValue, CorruptWeights
from noisekit.metrics.distances.cmmd import cmmd
from noisekit.metrics.distances.frechet import Gaussian, curve, frechet, infinity


def features(seed: int, count: int, width: int = 16) -> np.ndarray:
    """Correlated features whose law the seed decides."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(seed % 2).normal(size=(width, width)) / width**0.5
    return rng.normal(size=(count, width)) @ mixing + seed % 2


def plain_fid(one: np.ndarray, other: np.ndarray) -> float:
    """By the formula as it is printed, with scipy's square root of a matrix."""
    first, second = np.cov(one.T), np.cov(other.T)
    root = scipy.linalg.sqrtm(first @ second).real
    return float(((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root))


def test_fid_is_that_of_the_reference_library_and_of_the_formula() -> None:
    fidelity = pytest.importorskip("torch_fidelity.metric_fid")
    one, other = features(0, 300), features(1, 200)
    stats = [fidelity.fid_features_to_statistics(torch.from_numpy(part)) for part in (one, other)]
    theirs = fidelity.fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
    ours = frechet(Gaussian.of(one), Gaussian.of(other))
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert ours == pytest.approx(plain_fid(one, other), abs=1e-6)
    assert ours == pytest.approx(frechet(Gaussian.of(other), Gaussian.of(one)), abs=1e-9)
    assert frechet(Gaussian.of(one), Gaussian.of(one)) == pytest.approx(0, abs=1e-9)


def test_fid_of_committed_features() -> None:
    """Features of four dimensions in whole parts of 31, and their distance by torch-fidelity 0.4."""
    places, columns = np.mgrid[:60, :4]
    rows = ((7 * places**2 + 3 * columns * places + columns) % 31) / 31
    distance = frechet(Gaussian.of(rows[:30]), Gaussian.of(rows[30:] ** 2))
    assert distance == pytest.approx(0.14361172481777917, abs=1e-9)


def test_singular_covariances_give_no_negative_distance() -> None:
    few = features(0, 5)
    assert 0 <= frechet(Gaussian.of(few), Gaussian.of(features(1, 6))) < np.inf
    with pytest.raises(BadValue, match="1 images have no covariance"):
        Gaussian.of(features(0, 1))


def test_the_bias_follows_its_law_and_the_limit_is_free_of_it() -> None:
    """Of N samples of N(0, I_d) against that law itself E[FID] = (d + d (d + 1) / 4) / N."""
    d, exact = 16, Gaussian(np.zeros(16), np.eye(16), 10**9)
    rng = np.random.default_rng(0)
    for count in (250, 1000):
        drawn = [frechet(Gaussian.of(rng.normal(size=(count, d))), exact) for _ in range(20)]
        assert np.mean(drawn) == pytest.approx((d + d * (d + 1) / 4) / count, rel=0.1)
    sets = [rng.normal(size=(400, d)) for _ in range(20)]
    limits = [infinity(*curve(drawn, exact)) for drawn in sets]
    biased = np.mean([frechet(Gaussian.of(drawn), exact) for drawn in sets])
    assert abs(np.mean(limits)) < biased / 5
    sizes, values = curve(sets[0], exact)
    assert sizes[0] == 133
    assert sizes[-1] == 400
    assert values[0] > values[-1]
    with pytest.raises(BadValue, match="too few for a curve"):
        curve(sets[0][:30], exact)


def plain_cmmd(one: np.ndarray, other: np.ndarray) -> float:
    """Pair by pair."""

    def mean(first: np.ndarray, second: np.ndarray) -> float:
        return float(np.mean([[np.exp(-((a - b) ** 2).sum() / 200) for b in second] for a in first]))

    return 1000 * (mean(one, one) + mean(other, other) - 2 * mean(one, other))


def units(seed: int, count: int, width: int = 8) -> np.ndarray:
    vectors = features(seed, count, width)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_cmmd(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = units(0, 40), units(1, 30)
    whole = cmmd(one, other)
    assert whole == pytest.approx(plain_cmmd(one, other), abs=1e-9)
    monkeypatch.setattr("noisekit.metrics.distances.cmmd.BLOCK", 7)
    assert cmmd(one, other) == pytest.approx(whole, abs=1e-9)
    assert whole == pytest.approx(cmmd(other, one), abs=1e-9)
    assert cmmd(one, one) == pytest.approx(0, abs=1e-9)
    # Nearly a thousand times the squared distance of the means, over a hundred.
    assert whole == pytest.approx(10 * ((one.mean(0) - other.mean(0)) ** 2).sum(), rel=0.05)


@pytest.mark.parametrize(("cosine", "expected"), [(0.0, 19.900332), (-1.0, 39.602653)])
def test_cmmd_of_two_vectors(cosine: float, expected: float) -> None:
    other = np.array([[cosine, (1 - cosine**2) ** 0.5]])
    assert cmmd(np.array([[1.0, 0.0]]), other) == pytest.approx(expected, abs=1e-6)


# --- the Inception of 2015 -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights under the names of the published file, pickled as it is."""
    from noisekit.metrics.distances.inception import Inception2015

    torch.manual_seed(0)
    network = Inception2015()
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            torch.nn.init.normal_(tensor, std=0.05) if tensor.dim() > 1 else tensor.uniform_(0.5, 1)
        assert not name.startswith("AuxLogits")
    file = tmp_path_factory.mktemp("inception") / "pt_inception-2015-12-05-6726825d.pth"
    torch.save({k: v for k, v in network.state_dict().items() if "num_batches" not in k}, file)
    return file


def pictures(side: int, count: int = 2) -> list[Image.Image]:
    rng = np.random.default_rng(side)
    blocks = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return [Image.fromarray(block).resize((side, side), Image.Resampling.NEAREST) for block in blocks]


def test_features_are_those_of_the_reference_library(inception: Path) -> None:
    from noisekit.metrics.distances.inception import Inception

    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    theirs = fidelity.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(inception)
    )
    for side in (299, 128):
        seen = pictures(side)
        (expected,) = theirs(torch.from_numpy(np.stack([np.asarray(p) for p in seen])).permute(0, 3, 1, 2))
        ours = Inception(inception, resize="tf")(seen).numpy()
        assert np.abs(ours - expected.numpy()).max() < 1e-5 * np.abs(ours).max()


def test_ways_to_resize_differ_and_are_named(inception: Path) -> None:
    from noisekit.metrics.distances.inception import SIDE, Inception, prepared

    (seen,) = pictures(512, 1)
    inputs = {way: prepared([seen], way) for way in ("clean", "tf", "torch")}
    for way, pixels in inputs.items():
        assert pixels.shape == (1, 3, SIDE, SIDE)
        assert -1 <= pixels.min() < pixels.max() <= 1, way
    assert (inputs["clean"] - inputs["torch"]).abs().mean() > 1e-3
    assert (inputs["tf"] - inputs["torch"]).abs().mean() > 1e-3
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(np.array(seen)).permute(2, 0, 1)[None] / 255,
        (SIDE, SIDE),
        mode="bilinear",
        align_corners=False,
    )
    assert torch.equal(inputs["torch"], 2 * expected - 1)
    assert prepared(pictures(SIDE), "clean").equal(prepared(pictures(SIDE), "tf"))  # nothing to resize
    judge = Inception(inception)
    assert judge.name.startswith("Inception 2015, clean resize, weights ")  # which are not the published ones
    with pytest.raises(BadValue, match="resize='best' is none of clean, tf, torch"):
        Inception(inception, resize="best")  # type: ignore[arg-type]


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    from noisekit.metrics.distances.inception import Inception

    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(CorruptWeights, match="lacks"):
        Inception(tmp_path / "other.pth")

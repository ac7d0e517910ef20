"""Laws of the noise's statistics: white noise, equal and independent noises, filtered ones, and known matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from noisekit.evaluation.noise_analysis import NoiseAnalysis, noise_analysis
from noisekit.evaluation.noise_statistics import (
    excess_kurtosis,
    matrices,
    noise_statistics,
    singular_similarity,
)
from noisekit.evaluation.rings import rings


def noise(count: int, *shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *(shape or (4, 8, 8)), generator=generator, dtype=torch.float64)


def analysed(found: torch.Tensor, initial: torch.Tensor, **about: Any) -> NoiseAnalysis:
    """The statistics of a batch, put together as those of one method."""
    figures = noise_statistics(found, initial)
    names = ("found", "initial", "cross", "similarity")
    own = {"model": "m", "method": "x", "shape": list(found.shape[1:])} | about
    return noise_analysis(
        own | {name: getattr(figures, name)[i].tolist() for name in names} for i in range(len(found))
    )


def low_pass(values: torch.Tensor, below: int) -> torch.Tensor:
    keep = rings(*values.shape[2:]) < below
    return torch.fft.ifft2(torch.fft.fft2(values) * keep).real


def test_norm_distance_and_kurtosis_are_the_textbooks() -> None:
    x, y = noise(3), noise(3, seed=1) ** 3
    figures = noise_statistics(y, x)
    for i in range(3):
        flat, other = y[i].flatten().numpy(), x[i].flatten().numpy()
        assert figures.norm[i].item() == pytest.approx(np.linalg.norm(flat))
        assert figures.distance[i].item() == pytest.approx(np.linalg.norm(flat - other))
        assert figures.kurtosis[i].item() == pytest.approx(stats.kurtosis(flat))


def test_gaussian_noise_has_no_excess_kurtosis_and_uniform_noise_does() -> None:
    many, n = noise(4000), 256
    mean = excess_kurtosis(many).mean().item()
    assert mean == pytest.approx(-6 / (n + 1), abs=4 * math.sqrt(24 / n / len(many)))
    assert excess_kurtosis(torch.rand(1, 4, 64, 64, dtype=torch.float64)).item() == pytest.approx(
        -1.2, abs=0.1
    )


@pytest.mark.parametrize("shape", [(4, 8, 8), (1, 7, 9), (3, 6, 16)])
def test_the_rings_add_up_to_the_squared_norm(shape: tuple[int, int, int]) -> None:
    x, y = noise(2, *shape), noise(2, *shape, seed=1)
    figures = noise_statistics(x, y)
    torch.testing.assert_close(figures.found.sum(1), x.flatten(1).square().sum(1))
    torch.testing.assert_close(figures.initial.sum(1), y.flatten(1).square().sum(1))
    torch.testing.assert_close(figures.cross.sum(1), (x * y).flatten(1).sum(1))


def test_a_wave_lies_in_the_ring_of_its_frequency() -> None:
    column = torch.arange(16, dtype=torch.float64)
    wave = torch.cos(2 * math.pi * 3 * column / 16).expand(1, 1, 8, 16)
    power = noise_statistics(wave, wave).found[0]
    frequencies = analysed(wave, wave).frequencies
    assert power.argmax() == frequencies["found"].argmax()
    assert power.max() == pytest.approx(power.sum().item())
    assert frequencies["frequency"][int(power.argmax())] == pytest.approx(3 / 16, abs=1 / 16)


def test_white_noise_has_a_flat_spectrum() -> None:
    table = analysed(noise(3000), noise(3000, seed=1)).frequencies
    assert list(table["frequency"]) == [r / 8 for r in range(7)]
    for column in ("found", "initial"):
        error = np.sqrt(2 * table["chance"])  # of a mean of squares of standard normal numbers
        assert (np.abs(table[column] - 1) < 4 * error).all()


def test_equal_noises_cohere_wholly_and_a_factor_changes_nothing() -> None:
    x = noise(5)
    for factor in (1, -0.3, 20):
        found = analysed(factor * x, x)
        np.testing.assert_allclose(found.frequencies["coherence"], 1)
        np.testing.assert_allclose(found.vectors["similarity"], 1)
        np.testing.assert_allclose(found.frequencies["found"], factor**2 * found.frequencies["initial"])


def test_independent_noises_cohere_by_chance() -> None:
    """The expectation is 1/n exactly; over many pairs its mean must come near."""
    singles = [analysed(noise(1, seed=2 * i), noise(1, seed=2 * i + 1)).frequencies for i in range(400)]
    coherence = np.mean([table["coherence"] for table in singles], axis=0)
    np.testing.assert_allclose(coherence, singles[0]["chance"], rtol=0.35)
    together = analysed(noise(400), noise(400, seed=1)).frequencies
    np.testing.assert_allclose(together["chance"], singles[0]["chance"] / 400)
    assert (together["coherence"] < 12 * together["chance"]).all()


def test_filtered_noise_coheres_where_it_was_kept() -> None:
    x, fresh = noise(40), noise(40, seed=1)
    found = low_pass(x, 3) + fresh - low_pass(fresh, 3)
    coherence = analysed(found, x).frequencies["coherence"]
    np.testing.assert_allclose(coherence[:3], 1)
    assert (coherence[3:] < 0.05).all()


def test_matrices_are_those_of_npnet_for_four_channels() -> None:
    x = noise(2, 4, 3, 5)
    matrix = matrices(x)
    assert matrix.shape == (2, 6, 10)
    for a in range(2):
        for c in range(2):
            tile = matrix[:, 3 * a : 3 * a + 3, 5 * c : 5 * c + 5]
            assert torch.equal(tile, x[:, 2 * a + c])
    assert matrices(noise(1, 16, 3, 5)).shape == (1, 12, 20)
    assert matrices(noise(1, 8, 3, 5)).shape == (1, 6, 20)
    assert matrices(noise(1, 3, 3, 5)).shape == (1, 3, 15)


def test_singular_vectors_are_compared_whatever_their_signs_and_values() -> None:
    x = noise(3, 1, 6, 8)
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    signs = torch.tensor([1.0, -1, 1, -1, -1, 1], dtype=torch.float64)
    other = (u * signs) @ torch.diag_embed(s.square() + 0.1) @ vh  # in the same order
    torch.testing.assert_close(singular_similarity(other, x), torch.ones(3, 6, dtype=torch.float64))

    rotation = torch.linalg.qr(noise(1, 6, 6)[0]).Q
    turned = singular_similarity(rotation @ x, x)  # turns the left vectors and leaves the right ones
    left = (u * (rotation @ u)).sum(-2).abs()
    torch.testing.assert_close(turned, (left[:, 0] + 1) / 2)

    swapped = u[..., [1, 0, 2, 3, 4, 5]] @ torch.diag_embed(s) @ vh[..., [1, 0, 2, 3, 4, 5], :]
    assert (singular_similarity(swapped, x)[:, :2] < 1e-6).all()


def test_singular_vectors_of_independent_noises_agree_by_chance() -> None:
    table = analysed(noise(2000), noise(2000, seed=1)).vectors
    assert list(table["index"]) == list(range(16))
    np.testing.assert_allclose(table["similarity"].mean(), table["chance"][0], rtol=0.02)


def test_methods_models_and_sizes_stand_apart() -> None:
    small, large = noise(2, 1, 4, 4), noise(2, 1, 8, 8)
    records = []
    for x, model, method in ((small, "s", "a"), (small, "s", "b"), (large, "l", "a")):
        figures = noise_statistics(x, x)
        names = ("found", "initial", "cross", "similarity")
        lists = {name: getattr(figures, name)[0].tolist() for name in names}
        records.append({"model": model, "method": method, "shape": x.shape[1:], **lists})
    found = noise_analysis(records)
    sizes = found.frequencies.groupby(["model", "method"], sort=False).size()
    assert dict(sizes) == {("s", "a"): 4, ("s", "b"): 4, ("l", "a"): 7}
    nothing = noise_analysis([])
    assert list(nothing.frequencies.columns) == list(found.frequencies.columns)
    assert list(nothing.vectors.columns) == list(found.vectors.columns)
    assert nothing.frequencies.empty
    assert nothing.vectors.empty

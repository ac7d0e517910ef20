"""Metrics against true views: the right pictures are compared, the input's own view counts nowhere, and refusals."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import noisekit as nk
from noisekit.errors import BadValue, CorruptWeights, NotSupported
from noisekit.image_prompts import ImagePrompt
from noisekit.metrics import load_metric
from noisekit.metrics.views import LPIPS
from noisekit.prompts.views import truth
from noisekit.store.png import read_image
from noisekit.world.turntable import suite, turn

METRICS = ["clip_s", "psnr", "ssim"]


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two things with twelve views each."""
    home = tmp_path_factory.mktemp("things")
    for name, thing in zip("ab", suite(), strict=False):
        (home / name).mkdir()
        for i, view in enumerate(turn(thing, 12)):
            pixels = (view * 255).round().astype(np.uint8).transpose(1, 2, 0)
            Image.fromarray(pixels).save(home / name / f"{i:03d}.png")
    return home


def frames_of(folder: Path, numbers: list[int]) -> torch.Tensor:
    return torch.stack([read_image(folder / f"{i:03d}.png") for i in numbers])


@pytest.mark.parametrize("metric", METRICS)
def test_true_frames_are_best_whatever_the_last_one_is(things: Path, metric: str) -> None:
    """Four frames of twelve views: 3, 6, 9, and the input's own, which may be anything."""
    prompts = list(nk.load_prompts(str(things)))
    judge = load_metric(metric)
    best = {"clip_s": 1.0, "psnr": 100.0, "ssim": 1.0}[metric]
    true = torch.stack([frames_of(things / p.text, [3, 6, 9, 1]) for p in prompts])
    scores = judge(true, prompts)
    assert scores.shape == (2, 1)
    torch.testing.assert_close(scores, torch.full((2, 1), best), atol=1e-3, rtol=0)
    late = torch.stack([frames_of(things / p.text, [4, 7, 10, 0]) for p in prompts])
    assert (judge(late, prompts) < scores - judge.info.tie).all()
    turned = list(nk.load_prompts(f"{things}:reversed"))
    assert turned[0].text == prompts[0].text
    backwards = torch.stack([frames_of(things / p.text, [9, 6, 3, 0]) for p in turned])
    torch.testing.assert_close(judge(backwards, turned), scores, atol=1e-3, rtol=0)
    batch, singles = judge(late, prompts), [judge(late[i : i + 1], prompts[i : i + 1]) for i in (0, 1)]
    torch.testing.assert_close(batch, torch.cat(singles), atol=1e-4, rtol=0)


def test_the_similarities_are_the_definitions(things: Path) -> None:
    """PSNR by hand; SSIM by the published formula over a Gaussian window, away from the border."""
    (prompt, *_) = nk.load_prompts(str(things))
    made, true = frames_of(things / "a", [4, 8, 0, 0])[:2], frames_of(things / "a", [6])
    pair = torch.stack([made[0], true[0]])[None]
    error = (made[0] - true[0]).square().mean().item()
    assert load_metric("psnr")(pair, [prompt]).item() == pytest.approx(-10 * math.log10(error), abs=1e-3)
    at = torch.arange(11) - 5.0
    window = torch.exp(-(at**2) / (2 * 1.5**2))
    window = (window[:, None] * window).expand(3, 1, 11, 11) / window.sum() ** 2

    def blurred(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(x[None], window, groups=3)[0]

    x, y = made[0], true[0]
    mx, my = blurred(x), blurred(y)
    vx, vy, vxy = blurred(x * x) - mx**2, blurred(y * y) - my**2, blurred(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    ssim = ((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean().item()
    assert load_metric("ssim")(pair, [prompt]).item() == pytest.approx(ssim, abs=1e-3)


def test_they_say_nothing_of_other_prompts_and_images(things: Path) -> None:
    (prompt, *_) = nk.load_prompts(str(things))
    judge = load_metric("ssim")
    assert judge(torch.rand(1, 4, 3, 32, 32), ["a red circle"]).isnan().all()
    assert judge(torch.rand(1, 3, 32, 32), [prompt]).isnan().all()


def test_what_is_wrong_with_views_is_said(things: Path, tmp_path: Path) -> None:
    (prompt, *_) = nk.load_prompts(str(things))
    with pytest.raises(
        BadValue, match=r"12 views of one turn, which 5 frames do not divide; give a multiple of 5"
    ):
        load_metric("ssim")(torch.rand(1, 5, 3, 32, 32), [prompt])
    (tmp_path / "alone").mkdir()
    with pytest.raises(BadValue, match="holds 0 pictures; views of a thing are two or more"):
        nk.load_prompts(tmp_path)
    (tmp_path / "alone").rmdir()
    with pytest.raises(BadValue, match="a folder without folders of views"):
        nk.load_prompts(tmp_path)
    other = dict(prompt.metadata) | {"views_hash": "0"}
    with pytest.raises(BadValue, match="are not those that the prompt came with"):
        truth(other, 4, (32, 32))


class TestTurntable:
    def test_its_prompts_are_pictures_of_their_own(self) -> None:
        prompts = list(nk.load_prompts("turntable", limit=5))
        assert len({prompt.text for prompt in prompts}) == 5
        assert all(isinstance(prompt.text, ImagePrompt) for prompt in prompts)
        first = (turn(suite()[3], 8)[0] * 255).round().astype(np.uint8).transpose(1, 2, 0)
        assert (np.asarray(prompts[3].text.image) == first).all()

    def test_its_views_are_the_truth(self) -> None:
        (prompt,) = nk.load_prompts("turntable", limit=1)
        views = torch.from_numpy(turn(suite()[0], 8))
        frames = torch.cat([views[1:], views[:1]])[None]
        assert load_metric("ssim")(frames, [prompt]).item() == pytest.approx(1, abs=1e-4)

    def test_the_next_quarter_has_the_next_colour(self) -> None:
        """A quarter turn later the next colour stands where the first one stood."""
        from noisekit.world.grammar import COLOURS
        from noisekit.world.render import COLOUR_RGB
        from noisekit.world.turntable import Part, Thing

        for form in ("ball", "box", "cone", "cylinder"):
            views = turn(Thing((Part(form, 0, (0.0, 0.0), 0.5, 1.0, 0.0),)), 4)
            seen = [view[:, 17, 16] / view[:, 17, 16].max() for view in views]
            own = [COLOUR_RGB[i] / COLOUR_RGB[i].max() for i in range(len(COLOURS))]
            nearest = [
                min(range(len(own)), key=lambda i: float(np.abs(own[i] - pixel).sum())) for pixel in seen
            ]
            assert nearest == [0, 1, 2, 3], form


class TestLPIPS:
    def test_weights_that_are_not_here_are_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        with pytest.raises(
            CorruptWeights, match=r"are not on this machine: `python -c .*alexnet.* downloads its"
        ):
            load_metric("lpips", "published")
        with pytest.raises(CorruptWeights, match=r"there is no file .*none.pth"):
            load_metric("lpips", str(tmp_path / "none.pth"))
        with pytest.raises(NotSupported, match="no tiny weights"):
            load_metric("lpips", "tiny")
        torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
        with pytest.raises(CorruptWeights, match="does not hold the layers of torchvision's AlexNet"):
            load_metric("lpips", str(tmp_path / "other.pth"))

    @pytest.mark.slow
    def test_it_is_torchmetrics_with_the_files_backbone(self, things: Path, tmp_path: Path) -> None:
        from torchmetrics.functional.image.lpips import _LPIPS
        from torchvision.models import alexnet

        torch.manual_seed(3)
        backbone = alexnet(weights=None)
        torch.save(backbone.state_dict(), tmp_path / LPIPS.FILE)
        (prompt, *_) = nk.load_prompts(str(things))
        judge = load_metric("lpips", str(tmp_path))
        frames = frames_of(things / "a", [4, 0])[None]
        own = _LPIPS(net="alex", pnet_rand=True).eval()
        for name, layer in own.net.named_children():
            for number, inner in layer.named_children():
                if name.startswith("slice") and hasattr(inner, "weight"):
                    inner.load_state_dict(backbone.features[int(number)].state_dict())
        with torch.no_grad():
            expected = own(frames[0, :1], frames_of(things / "a", [6]), normalize=True).item()
        assert judge(frames, [prompt]).item() == pytest.approx(-expected, abs=1e-5)
        assert expected > 0
        same = frames_of(things / "a", [6, 0])[None]
        assert judge(same, [prompt]).item() == pytest.approx(0, abs=1e-6)

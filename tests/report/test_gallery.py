"""The pictures that tell most are found by the rule, all others follow, and however many there are the page stays small."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from noisekit.inline import LEAST, SIDE, thumbnail
from noisekit.pictures import animation
from noisekit.report.first import gallery as module
from noisekit.report.first.gallery import Scene, gallery
from noisekit.report.first.telling import telling
from noisekit.report.tables import ranking
from tests.report.conftest import METHODS, PROMPTS, RENO_LONG, RENO_SHORT, SELECTION


def place(scene: Scene) -> tuple[str, str, int]:
    return scene.model, scene.prompt, scene.seed


def test_gains_losses_and_typical_ones_are_those_of_the_rule(run: Any) -> None:
    """Where the answer is known: one image gains in all metrics, one loses in all, the others but one hardly move."""
    rows = run.rows
    metrics = ["clip_score", "aesthetic", "truth"]
    rows[metrics] = 0.0
    prompts = list(PROMPTS)
    own = rows["method"] == SELECTION
    at = {
        (prompts[0], 1): 5.0,
        (prompts[1], 2): -5.0,
        (prompts[2], 0): 0.5,
        (prompts[3], 0): -3.0,
        (prompts[4], 1): 0.4,
    }
    for (prompt, seed), size in at.items():
        rows.loc[own & (rows["prompt"] == prompt) & (rows["seed"] == seed), metrics] = size
    # a larger change on which metrics contradict each other is not agreed
    rows.loc[own & (rows["prompt"] == prompts[2]) & (rows["seed"] == 2), metrics] = [50.0, 50.0, -1.0]
    ranked = ranking(run)
    found = telling(rows[rows["model"] == "tiny"], ranked.models["tiny"], run.metric_info, each=2)
    assert [(one.reason, one.prompt, one.seed, one.label) for one in found[:4]] == [
        ("gain", prompts[0], 1, "selection"),
        ("gain", prompts[2], 0, "selection"),
        ("loss", prompts[1], 2, "selection"),
        ("loss", prompts[3], 0, "selection"),
    ]
    assert [(one.reason, one.prompt, one.seed) for one in found[4:]] == [("typical", prompts[4], 0)]


def test_what_a_method_climbs_is_no_gain_of_it(run: Any) -> None:
    turbo = run.rows["model"] == "tiny-turbo"
    run.rows.loc[turbo, ["aesthetic", "truth"]] = 0.0
    found = telling(run.rows[turbo], ranking(run).models["tiny-turbo"], run.metric_info)
    assert {one.reason for one in found} == {"typical"}


def test_ties_do_not_move_and_a_prompt_is_shown_first_but_once(run: Any) -> None:
    run.ties = {"clip_score": 1e6, "aesthetic": 1e6, "truth": 1e6}
    for model, lines in ranking(run).models.items():
        found = telling(run.rows[run.rows["model"] == model], lines, run.metric_info)
        assert {one.reason for one in found} == {"typical"}
    run.ties = {}
    found = telling(run.rows[run.rows["model"] == "tiny"], ranking(run).models["tiny"], run.metric_info)
    assert len({one.prompt for one in found}) == len(found)


def test_every_image_has_its_cell_once_beside_standard(run: Any) -> None:
    found = gallery(run, ranking(run))
    assert sorted(map(place, found.scenes)) == sorted(
        {(row["model"], row["prompt"], row["seed"]) for row in run.rows.to_dict("records")}
    )
    assert [scene.reason for scene in found.telling[:4]] == ["gain", "loss", "typical", "gain"]
    for scene in found.scenes:
        assert scene.cells[0].is_standard
        assert len(scene.cells) == len(METHODS[scene.model])
        assert (scene.reason is None) == (scene in found.others)
    assert found.seeds == [0, 1, 2] and found.models == ["tiny", "tiny-turbo"]
    assert set(found.categories) == set(filter(None, PROMPTS.values()))


def test_a_cell_says_what_changed_and_marks_truth(run: Any) -> None:
    ranked = ranking(run)
    scores = {(r["model"], r["method"], r["prompt"], r["seed"]): r for r in run.rows.to_dict("records")}
    labels = {line.label: line.method for line in ranked.lines}
    for scene in gallery(run, ranked).scenes:
        for cell in scene.cells:
            row = scores[scene.model, labels[cell.label], scene.prompt, scene.seed]
            assert cell.fulfilled is bool(row["truth"])
            assert scene.prompt in cell.alternative and cell.label in cell.alternative
            assert [change.metric for change in cell.changes] == ["aesthetic", "clip_score"]
            for change in cell.changes:
                standard = scores[scene.model, "standard", scene.prompt, scene.seed][change.metric]
                d = row[change.metric] - standard
                assert change.direction == (0 if cell.is_standard else np.sign(d))
                shown = float(change.text.replace("−", "-"))
                assert shown == pytest.approx(row[change.metric] if cell.is_standard else d, abs=0.006)
                assert change.optimised is (
                    change.metric == "clip_score" and labels[cell.label] in (RENO_LONG, RENO_SHORT)
                )


def test_a_page_that_would_be_too_large_shows_the_first_and_counts_the_others(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked = ranking(run)
    monkeypatch.setattr(module, "MOST_PICTURES", 30)
    found = gallery(run, ranked)
    shown = sum(len(scene.cells) for scene in found.scenes)
    assert shown <= 30 and shown + found.left_out == len(run.rows)
    assert found.telling == gallery(run, ranked, all_scenes=False).telling


def test_all_thumbnails_together_take_what_there_is(
    make_run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(side=160, seeds=1)  # noise, which no format makes small
    monkeypatch.setattr(module, "SPACE", 20_000)
    found = gallery(run, ranking(run))
    sizes = [
        len(base64.b64decode(cell.picture.source.partition(",")[2]))
        for scene in found.scenes
        for cell in scene.cells
    ]
    assert len(sizes) == 25 and 0 < sum(sizes) <= 20_000


@settings(max_examples=25)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.sampled_from([400, 1_000, 5_000, 24_000]),
    st.booleans(),
)
def test_a_thumbnail_is_the_image_in_as_many_bytes_as_it_may_take(
    wide: int, tall: int, most: int, noise: bool
) -> None:
    rng = np.random.default_rng(wide * tall)
    pixels = rng.integers(0, 256, (tall, wide, 3), dtype=np.uint8)
    image = Image.fromarray(pixels if noise else np.full_like(pixels, 90))
    content = thumbnail([image], most)
    small = Image.open(io.BytesIO(content))
    assert len(content) <= most or max(small.size) <= LEAST
    assert max(small.size) <= SIDE
    if small.size == image.size and len(content) < most / 2 and max(image.size) < SIDE:
        assert np.abs(np.asarray(small, dtype=int) - np.asarray(image, dtype=int)).max() <= (
            0 if noise else 3
        )


def test_names_of_files_are_quoted_and_stay_in_the_folder(run: Any) -> None:
    odd = 'images/a "b" #1 ?x=%41.png'
    first = run.rows.index[0]
    (run.folder / run.rows.loc[first, "image"]).rename(run.folder / odd)
    run.rows.loc[first, "image"] = odd
    run.rows.loc[run.rows.index[1], "image"] = str(Path("..") / "secret.png")
    cells = [cell for scene in gallery(run, ranking(run)).scenes for cell in scene.cells]
    files = {cell.picture.file for cell in cells}
    assert "images/a%20%22b%22%20%231%20%3Fx%3D%2541.png" in files
    assert sum(not cell.picture.source for cell in cells) == 1


def test_frames_play_in_their_cell_and_what_does_not_read_stands_still(run: Any) -> None:
    rows = run.rows[run.rows["model"] == "tiny"]["image"].tolist()
    frames = [Image.new("RGB", (32, 32), (80 * k, 0, 0)) for k in range(3)]
    (run.folder / rows[0]).with_suffix(".webp").write_bytes(animation(frames))
    (run.folder / rows[1]).with_suffix(".webp").write_bytes(b"RIFFnothing")
    pictures = {
        cell.picture.file: cell.picture for scene in gallery(run, ranking(run)).scenes for cell in scene.cells
    }
    played = pictures[str(Path(rows[0]).with_suffix(".webp"))]
    content = base64.b64decode(played.source.partition(",")[2])
    assert getattr(Image.open(io.BytesIO(content)), "n_frames", 1) == 3
    still = base64.b64decode(pictures[rows[1]].source.partition(",")[2])
    assert getattr(Image.open(io.BytesIO(still)), "n_frames", 1) == 1

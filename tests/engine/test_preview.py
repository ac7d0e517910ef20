"""The dry run: what a plan comes to before anything is loaded, and all that is missing for it at once."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

import noisekit as nk
from noisekit.comparison import run_plan
from noisekit.engine.forecast.overview import Overview, overview
from noisekit.engine.forecast.preview import preview
from noisekit.models.cards import cards
from noisekit.models.outline import Outline
from noisekit.plan import load_plan
from noisekit.plan.shard import Shard
from noisekit.rewards.cards import variants
from tests.engine.toys import COSINE, PROMPTS, SELECTION, CountingModel

CLIMBING = ["best_of(n=2)", "best_of(then(standard, zero_order), n=2)"]


@pytest.fixture
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches are empty, and whatever is loaded is a fault."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("NOISEKIT_CACHE", str(tmp_path / "made"))

    def loading(*_: Any, **__: Any) -> None:
        raise AssertionError("something was loaded")

    monkeypatch.setattr("noisekit.plan.sources.ModelSource.load", loading)
    monkeypatch.setattr("noisekit.methods.transfer.load_model", loading)
    monkeypatch.setattr("noisekit.rewards.loading._loaded", loading)


def looked_at(tmp_path: Path, **given: Any) -> Overview:
    usual = {"models": "tiny", "methods": "selection", "prompts": {"texts": PROMPTS}, "metrics": ["truth"]}
    return preview(load_plan(usual | given), store=tmp_path / "store")


@pytest.mark.parametrize(("weights", "method"), list(product(["tiny", "published", None], CLIMBING)))
def test_every_card_has_its_table_and_all_that_is_missing(
    weights: str | None, method: str, nothing_here: None, tmp_path: Path
) -> None:
    named = [name for name, card in cards().items() if not card.bundled]
    metrics = ["hps", "aesthetic", "truth"]
    found = looked_at(tmp_path, models=named, methods=method, metrics=metrics, weights=weights)
    assert len(found.lines) == 2 * len(named)
    assert all(line.missing == 3 and line.calls > 0 for line in found.lines)
    models = {f"model {name}": cards()[name].gigabytes for name in named}
    rewards = [] if weights == "tiny" else ["hps", "aesthetic", "image_reward"]
    sizes = {f"reward {name}": variants()[name].checkpoint.gigabytes for name in rewards}
    assert {one.what: one.gigabytes for one in found.absent} == models | sizes
    assert {one.command for one in found.absent} == {
        f"noisekit {'models' if kind == 'model' else 'rewards'} fetch {name}"
        for kind, name in (one.what.split(" ") for one in found.absent)
    }
    assert found.broken == ()
    assert not (tmp_path / "store").exists()


def test_what_cannot_be_fetched_is_said_in_a_sentence_each(nothing_here: None, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = looked_at(
        tmp_path,
        methods=["npnet(artefact='not-there')", "golden_seeds(artefact='nor-this')", "reno", "best_of(n=1)"],
        metrics=["hps"],
        weights=str(tmp_path / "empty"),
    )
    assert len(found.lines) == 4
    assert [pair.method.partition("(")[0] for pair in found.incompatible] == ["reno"]
    for name in ("'not-there'", "'nor-this'", "reward 'hps'", "reward 'image_reward'"):
        assert sum(name in sentence for sentence in found.broken) == 1


def test_the_models_that_are_searched_and_the_parts_that_come_from_elsewhere_are_missing_too(
    nothing_here: None, tmp_path: Path
) -> None:
    (tmp_path / "hub").mkdir()
    found = looked_at(
        tmp_path,
        models=["sd-2.1-base", "someone/else", "sdxl(unet='a/b:unet')", "sdxl(steps=4)"],
        methods="then(transfer(reno(steps=2), model='sd-turbo'), selection)",
    )
    commands = [one.command for one in found.absent if "models" in one.command]
    assert commands == [
        "noisekit models fetch sd-2.1-base",
        "noisekit models fetch someone/else",
        "noisekit models fetch 'sdxl(unet='\"'\"'a/b:unet'\"'\"')'",
        "noisekit models fetch sdxl",
        "noisekit models fetch sd-turbo",
    ]


def test_it_counts_what_a_run_then_finds(tmp_path: Path, brightness: Path) -> None:
    def both(**given: Any) -> tuple[Any, Any]:
        options = {key: given.pop(key) for key in ("shard", "retry_failed") if key in given}
        usual = {"models": [CountingModel()], "prompts": {"texts": PROMPTS}, "seeds": 2, "metrics": ["truth"]}
        plan = load_plan(usual | {"methods": [SELECTION, COSINE], "weights": "tiny"} | given)
        seen, found = (look(plan, store=tmp_path / "s", **options) for look in (preview, overview))
        return seen.lines, found.lines

    def run(**given: Any) -> nk.Run:
        usual = {"models": [CountingModel()], "seeds": 2, "metrics": ["truth"], "weights": "tiny"}
        return run_plan(load_plan(usual | given), store=tmp_path / "s", progress=False)

    seen, found = both()
    assert seen == found
    run(methods=[SELECTION], prompts={"texts": PROMPTS[:2]})
    for given in (
        {},
        {"metrics": ["truth", "brightness"]},
        {"budget": {"calls": 9}},
        {"models": [CountingModel(steps=4)]},
        {"methods": [SELECTION.replace("candidates=3", "candidates=4")]},
    ):
        seen, found = both(**given)
        assert seen == found, given
    run(methods=[COSINE], prompts={"texts": PROMPTS}, metrics=["brightness"])
    for given in ({}, {"metrics": ["truth", "brightness"]}, {"retry_failed": True}):
        seen, found = both(**given)
        assert seen == found, given
    halves = [both(shard=Shard(i, 2))[0] for i in (1, 2)]
    assert sum(line.done + line.unscored for part in halves for line in part) == 16


def test_a_search_has_a_table_too(nothing_here: None, tmp_path: Path) -> None:
    over = {"lr_per_element": {"low": 0.01, "high": 1}}
    search = {"method": "cosine", "over": over, "metric": "hps", "trials": 5, "calls": 40}
    plan = load_plan(
        {"models": "tiny", "prompts": {"texts": [*PROMPTS, "a blue circle"]}, "metrics": ["truth"]}
        | {"seeds": 2, "search": search, "weights": "published"}
    )
    found = preview(plan, store=tmp_path / "store")
    assert [(line.missing, line.calls) for line in found.lines] == [(8, 16), (20, 40), (4, 40)]
    assert [one.what for one in found.absent] == ["reward hps"]


def test_settings_under_the_same_names_are_another_methods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = load_plan(
        {
            "models": [CountingModel()],
            "methods": [SELECTION],
            "prompts": {"texts": PROMPTS},
            "metrics": ["truth"],
        }
    )
    run_plan(plan, store=tmp_path, progress=False)
    assert [line.done for line in preview(plan, store=tmp_path).lines] == [3, 3]
    monkeypatch.setattr(type(plan.methods[1]), "version", 99)
    assert [line.done for line in preview(plan, store=tmp_path).lines] == [3, 0]


def test_an_outline_refuses_what_only_the_model_can_do() -> None:
    sketch = Outline(cards()["sdxl"])
    for asked in (lambda: sketch.noise_shape, lambda: sketch.identity, lambda: sketch.grid(3)):
        with pytest.raises(nk.errors.NotSupported, match="'sdxl' is not loaded"):
            asked()

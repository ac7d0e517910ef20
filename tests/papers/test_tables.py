"""Every table of the papers: its header is true, its plan reads and completes, and its numbers find ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from noisekit import registry
from noisekit.cli import main
from noisekit.cli.papers import beside
from noisekit.comparison import run_plan
from noisekit.errors import BadValue
from noisekit.evaluation.intervals import interval
from noisekit.models.cards import cards as model_cards
from noisekit.models.outline import outline
from noisekit.papers import agreements, load_table, tables
from noisekit.papers.agreement import Printed, _balanced, _judged, printed_in
from noisekit.papers.missing import missing
from noisekit.papers.tables import papers, tried_on
from noisekit.plan import load_plan
from noisekit.prompts import load_prompts
from tests.test_plans import shortened

NAMES = list(tables())


def of_frames(table: Any) -> bool:
    return any(model_cards()[model.name].frames for model in table.models)


def outlined(source: Any) -> Any:
    return outline(source.given, source.settings)


def test_every_file_is_a_table_of_the_list(root: Path) -> None:
    folder = root / "noisekit" / "papers"
    files = {f"{path.parent.name}-{path.stem}" for path in folder.glob("*/*.yaml")}
    assert files == set(NAMES)
    assert (root / "benchmarks" / "papers").resolve() == folder
    assert all(about["left_out"] for about in papers().values())


@pytest.mark.parametrize("name", NAMES)
def test_the_header_says_what_is_printed_unknown_and_what_it_costs(name: str) -> None:
    table = load_table(name)
    assert table.title.endswith(".")
    assert table.note("Printed")
    assert table.note("Unknown")
    assert bool(table.needs) == ("artefact" in table.text or bool(table.folders))
    plan = load_plan(table.plan | {"prompts": {"suite": "tiny", "limit": 1}})
    assert plan.weights == "published"
    images = calls = 0.0
    for source in plan.models:
        model = outlined(source)
        for method in plan.methods:
            made = sum(table.suites.values()) * len(plan.seeds)
            images += made
            calls += made * method.cost(model).calls
    assert table.note("Cost") == f"{images:,.0f} images, {calls:,.0f} calls of the denoiser."


@pytest.mark.parametrize("name", NAMES)
def test_what_is_printed_is_what_the_plan_makes(name: str) -> None:
    table = load_table(name)
    models, plan = table.plan["models"], table.plan
    for printed in printed_in(table):
        assert printed.model in models
        parts = {name.partition(":")[0] for name in table.suites} if printed.mean_of else table.suites
        assert printed.suite in parts
        assert printed.mean_of in (0, len(table.suites))
        assert printed.metric in plan["metrics"]
        methods = {
            method.name for method in load_plan(plan | {"prompts": {"suite": "tiny", "limit": 1}}).methods
        }
        assert {printed.method.name, printed.against.name} <= methods


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_completes_on_the_tiny_world(name: str, tmp_path: Path) -> None:
    given, models = tried_on(load_table(name).scaled(1e-9), "tiny")
    assert set(models) == set(load_table(name).plan["models"])
    given["prompts"]["limit"] = 1
    metric = "ssim" if of_frames(load_table(name)) else "truth"
    plan = load_plan(
        shortened(given) | {"metrics": [metric], "seeds": given["seeds"] if given["seeds"] == 1 else 2}
    )
    run = run_plan(plan, store=tmp_path / "run", progress=False, strict=True)
    assert run.failures().empty
    assert run.frame()[metric].notna().all()
    assert set(run.frame()["model"]) == {model.label for model in map(outlined, plan.models)}


def test_the_numbers_of_a_run_stand_beside_the_printed_ones(tmp_path: Path) -> None:
    table = load_table("npnet-table-1")
    given, models = tried_on(table.scaled(0.02), "tiny")
    given |= {"metrics": ["hps", "aesthetic"], "methods": ["npnet"]}
    run = run_plan(load_plan(given), store=tmp_path, progress=False)
    found = agreements(table, run, models)
    wanted = [
        one for one in printed_in(table) if one.method.name == "npnet" and one.metric in ("hps", "aesthetic")
    ]
    assert [one.printed for one in found] == wanted
    frame = run.frame().pivot(index=["prompt", "seed"], columns="method", values="hps")
    (label,) = set(frame.columns) - {"standard"}
    for one in found:
        if one.printed.metric == "hps":
            assert one.difference == pytest.approx((frame[label] - frame["standard"]).mean())
            assert one.values == pytest.approx((frame["standard"].mean(), frame[label].mean()))
            d = (frame[label] - frame["standard"]).unstack("seed").to_numpy()
            assert (one.low, one.high) == pytest.approx(interval(d, level=1 - 0.05 / len(found)))


def test_a_fraction_takes_the_first_prompts_of_each_suite() -> None:
    table = load_table("npnet-table-1")
    assert table.scaled(1.0) == table.plan
    assert table.scaled(0.1)["prompts"] == [
        {"suite": "pick_a_pic_100", "limit": 10},
        {"suite": "drawbench", "limit": 20},
        {"suite": "hpdv2", "limit": 40},
    ]
    for wrong in (0.0, -1.0, 1.5):
        with pytest.raises(BadValue, match="not a fraction"):
            table.scaled(wrong)
    with pytest.raises(BadValue, match="npnet-table-1"):
        load_table("npnet-table-15")


def test_a_model_of_the_tiny_world_stands_in_by_the_number_of_its_steps() -> None:
    given, models = tried_on(load_table("selection-steps").plan, "tiny")
    assert models == {f"sdxl(steps={n})": f"tiny(steps={n})" for n in (5, 10, 30, 50)}
    given, models = tried_on(load_table("reno-geneval").plan, "tiny")
    assert set(models.values()) == {"tiny-turbo"}
    assert given["models"] == ["tiny-turbo"]
    given, _ = tried_on(load_table("reno-transfer-sdxl").plan, "tiny")
    assert registry.parse(given["methods"][0]).settings["model"] == "tiny-turbo"
    given, models = tried_on(load_table("npnet-table-1").plan, "sdxl-turbo")
    assert given["methods"] == ["inversion", "repaint", "npnet"]
    assert given["prompts"] == load_table("npnet-table-1").plan["prompts"]


def test_a_model_of_turns_stands_in_for_one_of_frames() -> None:
    given, models = tried_on(load_table("selection-sv3d").plan, "tiny")
    assert models == {"sv3d-u": "tiny-orbit"}
    assert given["prompts"] == {"suite": "turntable", "limit": 30}
    assert given["metrics"] == ["ssim", "psnr", "clip_s"]
    assert (given["methods"], given["weights"]) == (load_table("selection-sv3d").plan["methods"], "tiny")


def test_things_that_are_not_here_are_asked_for_before_anything_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert missing(load_table("selection-sv3d"))["prompts"] == ["omniobject3d"]
    assert main(["papers", "run", "selection-sv3d"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "the folder 'omniobject3d', which is not here; it needs the things of OmniObject3D" in said
    (tmp_path / "omniobject3d").mkdir()
    assert "omniobject3d" not in missing(load_table("selection-sv3d")).get("prompts", ())


def test_the_mean_of_categories_counts_each_the_same() -> None:
    """Two prompts of one category and one of another: (1 + 0)/2 and 1 make .75, where the mean of all is ⅔."""
    frame = pd.DataFrame(
        {"suite": ["own:a", "own:a", "own:b"], "prompt": ["x", "y", "z"], "geneval": [1.0, 0.0, 1.0]}
    )
    printed = Printed("m", "own", registry.parse("reno"), registry.parse("standard"), "geneval", (0, 1))
    assert _balanced(frame, replace(printed, mean_of=2))["geneval"].mean() == pytest.approx(0.75)
    assert _balanced(frame, replace(printed, mean_of=3)).empty


def test_the_fishes_of_imagenet_are_eighteen_names_of_seven_classes() -> None:
    """As many names a class as the paper's list has; the uniform part has one of each."""
    suite = load_prompts("imagenet_fish")
    counts = pd.Series([prompt.metadata["class"] for prompt in suite]).value_counts(sort=False)
    assert counts.to_list() == [2, 2, 5, 2, 2, 4, 1]
    assert sum(load_table("npnet-fid").suites.values()) == len(suite)
    uniform = load_prompts("imagenet_fish:uniform")
    assert [prompt.kind for prompt in uniform] == list(dict.fromkeys(prompt.kind for prompt in suite))
    assert len(load_prompts("imagenet_fish:tench")) == 2


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = missing(load_table("npnet-table-1"))
    assert found["models"] == ["sdxl"]
    assert found["networks"] == ["npnet/sdxl.pth"]
    assert {"hps", "mps"} <= set(found["rewards"])
    (tmp_path / "npnet").mkdir()
    (tmp_path / "npnet" / "sdxl.pth").touch()
    assert "networks" not in missing(load_table("npnet-table-1"))
    found = missing(load_table("reno-rewards"))
    assert {"hps", "image_reward", "clip_score_h14", "pick_score"} <= set(found["rewards"])
    assert "Salesforce/blip-vqa-capfilt-large" in found["scorers"]
    assert missing(load_table("reno-geneval"))["scorers"] == ["facebook/mask2former-swin-small-coco-instance"]


def test_the_command_lists_shows_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["papers"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in NAMES)
    assert "user studies" in listed
    assert main(["papers", "show", "npnet-dpo"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == load_table("npnet-dpo").plan
    command = ["papers", "run", "npnet-dpo", "--model", "tiny", "--scale", "0.05"]
    assert main([*command, "--dry-run"]) == 0
    assert "10 images to make" in capsys.readouterr().out
    assert main([*command, "--store", "own"]) == 0
    said = capsys.readouterr().out
    assert "tiny stood in for sdxl-dpo" in said
    assert "pick_score" in said
    assert Path("own/report.html").is_file()


@pytest.mark.parametrize("gain", [0.0, 0.5])
def test_what_has_no_interval_shows_none(gain: float, capsys: pytest.CaptureFixture[str]) -> None:
    """A single prompt, won or a tie."""
    (printed, *_) = printed_in(load_table("selection-optimisation"))
    against = np.zeros((1, 1))
    beside([_judged(printed, (against, against + gain), shared=False, level=0.95)], {})
    said = capsys.readouterr().out
    assert "cannot" in said
    assert f"{gain:+.3g}" in said
    assert "nan" not in said


def test_a_printed_winning_rate_is_set_beside_ours(tmp_path: Path) -> None:
    """The optimisation paper's 87 and 88 % by HPSv2, against a run in which every prompt is won."""
    (printed, *others) = printed_in(load_table("selection-optimisation"))
    assert {one.metric: one.rate for one in (printed, *others)} == {"hps": 0.88, "image_reward": None}
    assert printed.rate == 0.87
    against = np.zeros((40, 1))
    method = np.where(np.arange(40)[:, None] < 35, 1.0, -1.0) * np.linspace(0.5, 1.0, 40)[:, None]
    found = _judged(printed, (against, method), shared=False, level=0.99)
    assert found.rate[0] == 35 / 40
    assert found.rate[1] < 0.87 < found.rate[2]
    assert found.rate_verdict == "agrees"
    assert _judged(replace(printed, rate=0.5), (against, method), shared=False, level=0.99).rate_verdict == (
        "differs"
    )
    coin = np.where(np.arange(40)[:, None] % 2, 1.0, -1.0)
    assert _judged(printed, (against, coin), shared=False, level=0.99).rate_verdict == "differs"
    few = _judged(printed, (against[:4], method[:4]), shared=False, level=0.99)
    assert few.rate_verdict == "cannot tell at this size"
    assert _judged(printed, (against, method), shared=True, level=0.99).rate_verdict is None
    assert (
        _judged(replace(printed, rate=None), (against, method), shared=False, level=0.99).rate_verdict is None
    )

"""Plans: what a YAML file means, and the one sentence that a bad one gets, with the place in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import noisekit as nk
from noisekit.errors import BadValue, NoisekitError
from noisekit.plan.axes import entries
from noisekit.plan.search import COSTS
from noisekit.plan.shard import Shard
from noisekit.plan.sources import ModelSource

WHOLE = """
models: [tiny, {tiny-turbo: {steps: [1, 2]}}]
methods:
  - standard
  - cosine(steps=2)
  - reno: {steps: [10, 20], lr: 5e-1}
prompts:
  - {suite: tiny, category: relation, limit: 3}
  - mine.txt
limit: 2
seeds: [3, 1]
metrics: [clip_score, truth]
weights: tiny
budget: [{calls: 60}, {seconds: 2.5, candidates: 4}]
noise: shared
batch: 4
settings: {guidance: 2}
store: runs/mine
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.txt").write_text("a red circle\na green square\na blue triangle\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, text: str) -> Path:
    (folder / "plan.yaml").write_text(text)
    return folder / "plan.yaml"


def test_a_plan_says_everything_and_means_it(folder: Path) -> None:
    plan = nk.load_plan(written(folder, WHOLE))
    assert plan.models == (
        ModelSource("tiny", {"guidance": 2}),
        ModelSource("tiny-turbo", {"guidance": 2, "steps": 1}),
        ModelSource("tiny-turbo", {"guidance": 2, "steps": 2}),
    )
    assert [str(method) for method in plan.methods] == [
        "standard",
        "cosine(steps=2)",
        "reno(steps=10, lr=0.5)",
        "reno(steps=20, lr=0.5)",
    ]
    assert [(suite.name, len(suite)) for suite in plan.suites] == [("tiny:relation", 3), ("mine", 2)]
    assert plan.seeds == (3, 1)
    assert plan.metrics == ("clip_score", "truth")
    assert plan.budgets == (nk.Budget(calls=60), nk.Budget(seconds=2.5, candidates=4))
    assert (plan.weights, plan.noise, plan.batch, plan.store) == ("tiny", "shared", 4, Path("runs/mine"))
    assert nk.load_plan(plan) is plan


def test_a_mapping_is_a_plan_and_what_is_left_out_has_defaults() -> None:
    plan = nk.load_plan(
        {"models": "tiny", "methods": "cosine", "prompts": {"texts": ["one", "two"]}, "seeds": 2}
    )
    assert plan.suites[0].texts == ["one", "two"]
    assert (plan.seeds, plan.budgets, plan.noise, plan.batch) == ((0, 1), (nk.Budget(),), "per_prompt", None)
    with pytest.raises(BadValue, match="names no store"):
        plan.folder()
    assert plan.folder("x") == Path("x")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("3", (0, 1, 2)),
        ("0,5,7", (0, 5, 7)),
        ("2-4", (2, 3, 4)),
        ("1-2, 0 ,5-6", (1, 2, 0, 5, 6)),
        ("7,", (7,)),
    ],
)
def test_seeds_may_be_written_as_on_the_command_line(said: str, meant: tuple[int, ...]) -> None:
    assert nk.load_plan({"models": "tiny", "methods": "cosine", "seeds": said}).seeds == meant


def test_a_plan_takes_every_setting_that_load_model_takes() -> None:
    settings = {"lora": "some/lora", "lora_scale": 0.5, "unet": "some/unet", "revision": "main"}
    placed = {"size": (64, 64), "tiling": True, "slicing": True, "checkpointing": True, "offload": "model"}
    plan = nk.load_plan({"models": [{"tiny": settings}], "methods": "cosine", "settings": placed})
    assert plan.models == (ModelSource("tiny", placed | settings),)
    for name in ("settings", "source"):
        with pytest.raises(BadValue, match=f"unknown key in settings: '{name}'"):
            nk.load_plan({"models": "tiny", "methods": "cosine", "settings": {name: "x"}})


@given(st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(), min_size=1, max_size=3), min_size=1))
def test_a_grid_is_every_combination_once_in_order(axes: dict[str, list[int]]) -> None:
    found = [entry.settings for entry in entries({"name": axes}, "methods")]
    size = 1
    for values in axes.values():
        size *= len(values)
    assert len(found) == size
    assert all(list(settings) == list(axes) for settings in found)
    assert all(settings[key] in axes[key] for settings in found for key in axes)
    assert found[0] == {key: values[0] for key, values in axes.items()}
    assert found[-1] == {key: values[-1] for key, values in axes.items()}


BASE = "models: [tiny]\nmethods: [cosine]\n"
SEARCH = (
    "models: [tiny]\nsearch: {{method: cosine, over: {over}, metric: truth, trials: 2, calls: {calls}}}\n"
)

#: What a plan says, and what the sentence about it must contain.
BAD: dict[str, tuple[str, str]] = {
    "unknown key": (BASE + "metrix: [truth]", "'metrix'; did you mean 'metrics'"),
    "unknown key further down": (BASE + "budget: {cals: 3}", "budget: 'cals'; did you mean 'calls'"),
    "unknown key of a suite": (BASE + "prompts: {siute: tiny}", "prompts: 'siute'; did you mean 'suite'"),
    "key twice": (BASE + "seeds: 1\nseeds: 2", "'seeds' stands twice, again in line 4"),
    "key twice further down": (
        "models: [tiny]\nmethods:\n - cosine: {steps: 1, steps: 2}",
        "'steps' stands twice",
    ),
    "no models": ("methods: [cosine]", "'models' is missing"),
    "no methods": ("models: [tiny]\nmethods:", "'methods' is missing"),
    "empty list": ("models: [tiny]\nmethods: []", "methods is empty"),
    "empty grid": (
        "models: [tiny]\nmethods: [{reno: {steps: []}}]",
        "methods[0].reno.steps is an empty list",
    ),
    "unknown method": (
        "models: [tiny]\nmethods: [cosine, slection]",
        "methods[1]: unknown method 'slection'; did you",
    ),
    "unknown setting": (
        "models: [tiny]\nmethods: [{cosine: {stesp: [1]}}]",
        "methods[0].cosine(stesp=1): unknown",
    ),
    "wrong type of a setting": ("models: [tiny]\nmethods: [{cosine: {steps: [1, x]}}]", "steps='x'"),
    "setting out of range": ("models: [tiny]\nmethods: [{cosine: {steps: 0}}]", "steps=0"),
    "setting twice": (
        "models: [tiny]\nmethods: [{cosine(steps=1): {steps: 2}}]",
        "'steps' is given in the name",
    ),
    "settings that are none": ("models: [tiny]\nmethods: [{cosine: 3}]", "methods[0].cosine is 3"),
    "method twice": (
        "models: [tiny]\nmethods: [cosine(steps=2), {cosine: {steps: [1, 2]}}]",
        "methods[1].cosine and methods[0] are both 'cosine(steps=2)'",
    ),
    "a number for a method": ("models: [tiny]\nmethods: [3]", "methods[0] is 3"),
    "model twice": (
        "models: [tiny, tiny]\nmethods: [cosine]",
        "models[1] is a model that the plan names already",
    ),
    "unknown setting of a model": (
        "models: [{tiny: {stpes: 2}}]\nmethods: [cosine]",
        "models[0].tiny: 'stpes'",
    ),
    "unknown setting of all models": (
        BASE + "settings: {stpes: 2}",
        "settings: 'stpes'; did you mean 'steps'",
    ),
    "missing suite": (BASE + "prompts: [tiny, tinny]", "prompts[1]: unknown prompt suite"),
    "missing file": (BASE + "prompts: none.txt", "none.txt"),
    "unknown category": (
        BASE + "prompts: {suite: tiny, category: relatoin}",
        "prompts.suite: unknown category",
    ),
    "suite twice": (BASE + "prompts: [tiny, tiny]", "prompts[1]: two suites are called 'tiny'"),
    "suite without a name": (BASE + "prompts: {limit: 2}", "prompts names no suite"),
    "a number for a suite": (BASE + "prompts: 3", "prompts is 3"),
    "no limit": (BASE + "prompts: {suite: tiny, limit: 0}", "prompts.limit=0"),
    "limit of a wrong type": (BASE + "limit: two", "limit='two'"),
    "seeds of a wrong type": (BASE + "seeds: two", "seeds is 'two'"),
    "seeds backwards": (BASE + "seeds: 0,9-3", "seeds is '0,9-3', where"),
    "seeds of nothing": (BASE + "seeds: ','", "seeds is ',', where"),
    "a seed below zero": (BASE + "seeds: [0, -1]", "seeds: seed -1"),
    "unknown metric": (BASE + "metrics: [truht]", "metrics: unknown metric 'truht'"),
    "a number for a metric": (BASE + "metrics: 3", "metrics[0] is 3"),
    "unknown weights": (BASE + "weights: huge", "weights 'huge' is neither tiny nor published"),
    "budget of nothing": (BASE + "budget: {calls: 0}", "budget: budget calls=0"),
    "budget of a wrong type": (BASE + "budget: {calls: many}", "budget.calls='many' is not a number"),
    "half a candidate": (BASE + "budget: {candidates: 2.5}", "budget.candidates=2.5 is not a whole number"),
    "unknown noise": (BASE + "noise: sharde", "noise 'sharde' is not one of"),
    "batch of a wrong type": (BASE + "batch: true", "batch=True is not a whole number"),
    "store of a wrong type": (BASE + "store: 3", "store is 3"),
    "not YAML": (BASE + "prompts: [tiny", "is not valid YAML in line"),
    "not a mapping": ("- models", "plan is ['models']"),
    "an empty file": ("", "is empty; a plan names at least models and methods"),
    "code": (BASE + "seeds: !!python/object/apply:os.getcwd []", "line 3: tag "),
    "search beside methods": (
        BASE
        + "search: {method: cosine, over: {lr_per_element: {low: 1, high: 2}}, metric: truth, trials: 1, calls: 9}",
        "methods and search do not go together",
    ),
    "search over nothing": (SEARCH.format(over="{}", calls=9), "search.over names no setting"),
    "search over an unknown setting": (
        SEARCH.format(over="{rl: {low: 1, high: 2}}", calls=9),
        "search.over: 'rl'",
    ),
    "search the wrong way round": (
        SEARCH.format(over="{lr_per_element: {low: 2, high: 1}}", calls=9),
        "search.over.lr_per_element runs from 2",
    ),
    "search out of range": (
        SEARCH.format(over="{steps: {low: 0, high: 9}}", calls=9),
        "search.over.steps: setting",
    ),
    "search in halves of steps": (
        SEARCH.format(over="{steps: {low: 1.5, high: 9}}", calls=9),
        "search.over.steps.low=1.5",
    ),
    "search for nothing": (
        SEARCH.format(over="{lr_per_element: {low: 1, high: 2}}", calls=0),
        "search: budget calls=0",
    ),
    "search without a budget": (
        SEARCH.format(over="{lr_per_element: {low: 1, high: 2}}", calls="null"),
        "search gives its trials no budget",
    ),
    "memory as a budget": (BASE + "budget: {memory: 16GiB}", "budget.memory: memory is no budget"),
    "search of several models": (
        SEARCH.format(over="{lr_per_element: {low: 1, high: 2}}", calls=9).replace(
            "[tiny]", "[tiny, tiny-turbo]"
        ),
        "a search runs on one model",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_plan_gets_one_sentence(name: str, folder: Path) -> None:
    text, expected = BAD[name]
    path = written(folder, text)
    with pytest.raises(NoisekitError) as caught:
        nk.load_plan(path)
    said = str(caught.value)
    assert expected in said
    assert said.startswith(f"plan {str(path)!r}")
    assert said.count("plan '") == 1
    assert "\n" not in said
    assert len(said) < 700


@pytest.mark.parametrize("cost", COSTS)
def test_a_search_takes_a_budget_in_any_cost(cost: str) -> None:
    given = {"method": "reno", "over": {"lr": {"low": 1, "high": 2}}, "metric": "truth", "trials": 1, cost: 9}
    plan = nk.load_plan({"models": "tiny-turbo", "search": given})
    assert plan.search is not None
    assert plan.search.budget == nk.Budget(**{cost: 9})


def test_a_search_does_not_judge_a_method_by_what_it_maximises() -> None:
    def plan(**more: Any) -> dict[str, Any]:
        over = {"lr": {"low": 1, "high": 2}}
        given = {"method": "reno(rewards='hps:1')", "over": over, "metric": "hps", "trials": 1, "calls": 9}
        return {"models": "tiny-turbo", "search": given | more}

    with pytest.raises(BadValue, match=r"search.over.lr: metric 'hps' is what reno.* maximises itself"):
        nk.load_plan(plan())
    choices = {"rewards": {"choices": ["clip_score:1", "aesthetic:1 + hps:1"]}}
    with pytest.raises(BadValue, match=r"search.over.rewards: metric 'hps' is what reno.*aesthetic"):
        nk.load_plan(plan(over=choices))
    assert nk.load_plan(plan(allow_optimised=True)).search.allow_optimised  # type: ignore[union-attr]
    assert nk.load_plan(plan(metric="truth")).search.metric == "truth"  # type: ignore[union-attr]


def test_a_missing_plan_is_named(folder: Path) -> None:
    with pytest.raises(BadValue, match=r"plan 'none\.yaml' cannot be read: No such file"):
        nk.load_plan("none.yaml")
    (folder / "bytes.yaml").write_bytes(b"models: [\xff]")
    with pytest.raises(BadValue, match="is not UTF-8"):
        nk.load_plan("bytes.yaml")


@given(st.integers(1, 9), st.lists(st.integers(0, 2**128 - 1), max_size=20))
def test_shards_are_disjoint_and_cover_everything(count: int, ids: list[int]) -> None:
    shards = [Shard.parse(f"{i}/{count}") for i in range(1, count + 1)]
    for number in ids:
        key = f"{number:032x}"
        assert sum(key in shard for shard in shards) == 1


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "3", "a/b", "-1/4", "1/4/2", ""])
def test_a_bad_shard_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="as '3/16'"):
        Shard.parse(text)

"""The plan on how much a seed changes: it names a model of every family, and runs on a toy of each."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from noisekit.comparison import run_plan
from noisekit.models.cards import cards
from noisekit.models.loading import ADAPTERS, assemble
from noisekit.models.memory import Placement
from noisekit.plan.plan import Plan
from noisekit.prompts.cards import cards as suites
from tests.models import test_cards, test_transformer_cards

PLAN = Path(__file__).resolve().parents[2] / "benchmarks" / "plans" / "published" / "seeds.yaml"
SAID = yaml.safe_load(PLAN.read_text(encoding="utf-8"))
TOYS = {**test_cards.TOYS, **test_transformer_cards.TOYS}


@pytest.fixture(scope="module")
def families():
    """The first of the plan's models of each pipeline class, on a toy and in two steps at most."""
    found = {}
    for name in SAID["models"]:
        card, pipe = cards()[name], TOYS[name]()
        side = 32 if name.startswith(("sana", "hunyuan", "lumina")) else 16
        few = {"steps": card.steps if card.timesteps else min(card.steps, 2), "size": side}
        few |= {"tokens": 48 if name in test_transformer_cards.TOYS and name != "hunyuan-dit" else None}
        own = replace(card, repo="", unet=None, vae=None, lora=None, variant=None, **few)
        if type(pipe).__name__ not in found:
            found[type(pipe).__name__] = assemble(pipe, own, Placement("cpu"), move=True)
    return found


def test_the_plan_is_one_and_names_a_model_of_every_family(families):
    assert SAID["prompts"]["suite"] in suites()  # which is a download
    plan = Plan(**{**SAID, "prompts": "tiny"})
    assert [method.n for method in plan.methods if method.name == "best_of"] == [4, 16]
    assert len(plan.seeds) > 1
    assert set(families) == set(ADAPTERS) - {
        "StableDiffusionXLControlNetPipeline",  # which draws what it is shown
        "StableVideoDiffusionPipeline",  # which moves it
    }


def test_it_says_for_every_family_how_far_seeds_lie_apart_and_what_choosing_brings(families, tmp_path):
    given = {
        "models": list(families.values()),
        "methods": ["best_of(n=2)"],
        "prompts": {"texts": ["a red circle"]},
    }
    plan = Plan(**{**SAID, **given, "seeds": 2, "weights": "tiny", "metrics": ["image_reward", "hps"]})
    run = run_plan(plan, store=tmp_path / "run", progress=False, strict=True)
    apart = run.diversity_summary()
    assert len(apart) == 2 * len(families)
    assert (apart["diversity"] > 0).all()
    gain = run.summary().set_index(["model", "method"])
    chosen = gain[gain.index.get_level_values("method").str.startswith("best_of")]
    assert len(chosen) == len(families)
    assert (chosen["image_reward_difference"] >= 0).all()  # which it chose by
    assert chosen["hps_difference"].notna().all()

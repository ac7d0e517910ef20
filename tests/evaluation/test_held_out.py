"""One rule says what is evidence for whom: not what a method climbed, nor what reads the same weights or backbone."""

from pathlib import Path

import pytest

import noisekit as nk
from noisekit.evaluation.held_out import held_out, in_hand, published_backbone
from noisekit.results.eligible import eligible
from noisekit.rewards.cards import checkpoints, variants
from tests.results.curved import Known, write_run

PACKAGE = Path(nk.__file__).parent
PAPERS = ["hps", "pick_score", "image_reward", "clip_score", "aesthetic", "mps", "truth"]


@pytest.mark.parametrize(
    ("climbed", "fair"),
    [
        ((), PAPERS),
        (
            ("hps",),
            ["image_reward", "clip_score", "aesthetic", "truth"],
        ),  # PickScore and MPS are of ViT-H/14 too
        (
            ("clip_score_h14",),
            ["image_reward", "clip_score", "aesthetic", "truth"],
        ),  # which scored nothing itself
        (("hps", "image_reward", "clip_score_h14", "pick_score"), ["clip_score", "aesthetic", "truth"]),
        (("aesthetic",), ["hps", "pick_score", "image_reward", "clip_score", "mps", "truth"]),
        (("mine",), PAPERS),
    ],
)
def test_kin_of_published_metrics_are_held_out_of_nobodys_sight(climbed, fair):
    hand = in_hand(PAPERS, climbed, published_backbone)
    assert held_out(PAPERS, [hand, frozenset()]) == fair
    assert set(climbed) <= hand


def test_networks_that_began_on_their_own_are_kin_by_their_weights_alone():
    hand = in_hand(["hps", "pick_score", "mps", "mps_0.3"], ["mps"], lambda name: "")
    assert hand == {"mps", "mps_0.3"}


@pytest.mark.parametrize("name", sorted(variants()))
def test_every_published_reward_has_a_backbone(name):
    assert published_backbone(name) == variants()[name].checkpoint.backbone != ""


@pytest.mark.parametrize("name", ["hps_v2.1", "image_reward", "mps"])
def test_the_backbone_on_a_card_is_that_of_its_network(name):
    """Where the card says the network's sizes; those of the others stand in files that are not here."""
    card = checkpoints()[name]
    sizes = card.architecture
    tower = (
        sizes.get("model", {}).get("vision_cfg")
        or sizes.get("network", {}).get("vision")
        or sizes["clip"]["vision_config"]
    )
    layers = tower.get("layers") or tower["num_hidden_layers"]
    width = tower.get("width") or tower["hidden_size"]
    assert card.backbone.endswith(f" ViT-{layers}x{width}/{tower['patch_size']}")


def test_a_run_follows_it_by_the_families_that_it_recorded(tmp_path):
    methods = {
        "standard": Known({1: 0.0}, 1),
        "climber": Known({1: 0.5}, 1, optimised=["hps"]),
        "honest": Known({1: 0.2}, 1),
    }
    run = write_run(tmp_path / "run", methods, metrics=("hps", "mps", "truth"), families={"mps": "hps"})
    assert run.optimised("climber") == {"hps", "mps"}
    assert run.optimised("honest") == frozenset()
    assert list(eligible(run, run.curves()).columns) == ["truth"]
    assert run.tests().groupby("metric")["optimised"].sum().to_dict() == {"hps": 1, "mps": 1, "truth": 0}
    assert run.bradley_terry()["model"].unique().tolist() == ["toy"]


def test_the_rule_stands_in_one_place():
    """Who asks what is held out asks `held_out`; nobody else compares metrics with what was climbed."""
    wrong = [
        str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob("*.py"))
        if "same_weights(" in path.read_text(encoding="utf-8")
        or "import same_weights" in path.read_text(encoding="utf-8")
    ]
    assert wrong == ["evaluation/held_out.py", "rewards/cards.py"]

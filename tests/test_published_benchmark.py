"""`benchmarks/published.py`: the configurations are the published ones, and the table comes out for every family."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks import published
from benchmarks.random_weights import configurations, network, parts_of, write_rewards
from noisekit.methods.parameters import paper_values
from noisekit.methods.reno import ReNO
from noisekit.models.cards import cards
from noisekit.rewards import load_reward, parse_coefficients
from noisekit.rewards.cards import variants

#: Numbers of parameters of published networks.
PARAMETERS = {
    ("sd-1.4", "unet"): 859_520_964,
    ("sd-1.4", "vae"): 83_653_863,
    ("sd-1.4", "text_encoder"): 123_060_480,
    ("sd-turbo", "unet"): 865_910_724,
    ("sd-turbo", "text_encoder"): 340_387_840,
    ("sdxl", "unet"): 2_567_463_684,
    ("sdxl", "text_encoder_2"): 694_659_840,
    ("pixart-dmd", "transformer"): 610_856_096,
    ("pixart-dmd", "text_encoder"): 4_762_310_656,
    ("sd3-medium", "transformer"): 2_028_328_000,
    ("flux-schnell", "transformer"): 11_891_178_560,
    ("flux-dev", "transformer"): 11_901_408_320,
    ("sana", "transformer"): 1_604_462_752,
    ("sana", "vae"): 312_250_275,
    ("sana", "text_encoder"): 2_614_341_888,
    ("sd3.5-large", "transformer"): 8_056_627_520,
    ("z-image-turbo", "transformer"): 6_154_908_736,
    ("z-image-turbo", "text_encoder"): 4_022_468_096,
    ("flux2-klein", "transformer"): 3_875_544_576,
    ("qwen-image", "transformer"): 20_430_401_088,
    ("qwen-image", "text_encoder"): 8_292_166_656,
    ("krea2", "transformer"): 12_820_073_036,
    ("krea2", "text_encoder"): 4_437_815_808,
    ("chroma", "transformer"): 8_899_983_424,
}


@pytest.mark.parametrize(("card", "part"), PARAMETERS)
def test_networks_have_the_published_number_of_parameters(card: str, part: str) -> None:
    with torch.device("meta"):
        made = network(parts_of(card)[part])
    assert sum(tensor.numel() for tensor in made.parameters()) == PARAMETERS[card, part]


def test_every_family_of_cards_is_measured() -> None:
    assert set(configurations()["cards"]) <= set(cards())
    measured = {configurations()["cards"][name]["family"] for name in configurations()["cards"]}
    assert measured == set(configurations()["families"])


@pytest.mark.slow
def test_the_table_at_toy_size(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["--models", "hyper-sdxl,sd3-medium", "--methods", "standard,reno,npnet,repaint"]
    published.main(["--size", "tiny", "--device", "cpu", *chosen])
    out = capsys.readouterr().out
    rows = dict(re.findall(r"^\| (\S+ \| `\w+`) \| (.*) \|$", out, re.MULTILINE))
    wanted = {"hyper-sdxl": "standard reno npnet", "sd3-medium": "standard npnet"}
    assert list(rows) == [f"{name} | `{method}`" for name in wanted for method in wanted[name].split()]
    for row, numbers in rows.items():
        candidates, each, seconds, peak = numbers.split(" | ")
        assert peak == "–"  # of a CPU
        assert float(seconds) > 0
        if candidates != "–":
            assert int(candidates) == {"reno": 50, "npnet": 1}[row.split("`")[1]]
            assert float(seconds) > int(candidates) * float(each) / 2 > 0
    assert re.findall(r"^- ([\w-]+, \w+): ", out, re.MULTILINE) == [
        "hyper-sdxl, repaint", "sd3-medium, reno", "sd3-medium, repaint",
    ]  # fmt: skip


def test_the_full_size_is_not_started_on_a_cpu_by_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        published.main([])
    assert "give --size tiny" in capsys.readouterr().err


def test_a_long_search_is_priced_by_its_second_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten candidates in batches of two: 5 s for the first two, 3 s for the next two, and so on; 1 s for the image."""

    class Stub:
        def __init__(self, **fields: object) -> None:
            self.__dict__.update(fields)

    points = [Stub(cost=Stub(seconds=float(seconds))) for seconds in (5, 5, 8, 8)]
    result = Stub(broken={}, trace=Stub(points=points), cost=Stub(seconds=9.0, peak_memory=2**30))

    class Method:
        name = "made up"
        horizon = 10

        def resolved(self, _: object) -> Method:
            return self

        def __call__(self, *_: object, **__: object) -> Stub:
            return result

    row = published.measured(Stub(name="m", card=Stub(batch=2)), Method())  # type: ignore[arg-type]
    assert row.each == 1.5
    assert row.seconds == 9 + 6 * 1.5
    assert str(row) == "| m | `made up` | 10 | 1.500 | 18.00 | 1.0 |"


def test_the_random_rewards_are_files_that_rewards_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here with narrow networks of two layers; the published sizes stand in rewards/cards.yaml."""
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = sizes | {"image_size": 224, "patch_size": 56}
    text = sizes | {"vocab_size": 60, "max_position_embeddings": 40, "encoder_hidden_size": 16}
    tower = {"width": 16, "layers": 2}
    model = {
        "embed_dim": 8,
        "vision_cfg": tower | {"image_size": 224, "head_width": 8, "patch_size": 56},
        "text_cfg": tower | {"context_length": 77, "vocab_size": 49408, "heads": 2},
    }
    clip_text = sizes | {"vocab_size": 600, "max_position_embeddings": 77}
    small: dict[str, Any] = {
        "hps": {"model": model, "size": 224},
        "image_reward": variants()["image_reward"].checkpoint.architecture
        | {"network": {"vision": vision, "text": text, "mlp": [4, 1]}},
        "mps": {"clip": {"projection_dim": 8, "text_config": clip_text, "vision_config": vision}},
    }
    assert all(set(small[name]) <= set(variants()[name].checkpoint.architecture) for name in small)
    stubs = {name: SimpleNamespace(checkpoint=SimpleNamespace(architecture=small[name])) for name in small}
    monkeypatch.setattr("benchmarks.random_weights.variants", lambda: stubs)
    write_rewards(tmp_path, torch.device("cpu"))
    for name in parse_coefficients(paper_values(ReNO)["rewards"]):
        assert load_reward(name, str(tmp_path)).judge(torch.rand(1, 3, 30, 30), ["a red circle"]).isfinite()

"""MPS against a plain reference: one image, one head, one token at a time, on the checkpoint's own tensors."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from noisekit.rewards.mps import CONDITIONS, MPS, MPSNetwork

MEAN, STD = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.25]).view(3, 1, 1)
HEADS, WIDTH, THRESHOLD = 3, 4, 0.7
CONDITION = [2, 8, 9, 13, 3] + [0] * 7  # circle square left
PROMPTS = {
    "a red circle": [2, 4, 5, 8, 3] + [0] * 7,
    "two blue square": [2, 15, 7, 9, 3] + [0] * 7,
    "a red circle to the left of a blue square": [2, 4, 5, 8, 11, 12, 13, 10, 4, 7, 9, 3],
}


def turned(row: Tensor, place: int) -> Tensor:
    """Rotary position: coordinates j and j + 2 of four are a plane each."""
    half = len(row) // 2
    result = row.clone()
    for j in range(half):
        angle = place / 10000 ** (2 * j / len(row))
        result[j] = row[j] * math.cos(angle) - row[j + half] * math.sin(angle)
        result[j + half] = row[j + half] * math.cos(angle) + row[j] * math.sin(angle)
    return result


class Reference:
    """CLIP's towers are transformers'; all that follows them is written out."""

    def __init__(self, folder: Path, network: MPSNetwork) -> None:
        tensors = load_file(folder / "model.safetensors")
        self.tensors = {name: tensor.float() for name, tensor in tensors.items()}
        self.clip = network.clip

    def weigh(self, name: str, x: Tensor) -> Tensor:
        return x @ self.tensors[f"{name}.weight"].T

    def norm(self, name: str, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * self.tensors[f"{name}.weight"]

    def feed(self, wide: Tensor, name: str) -> Tensor:
        value, gate = wide[:, : wide.shape[1] // 2], wide[:, wide.shape[1] // 2 :]
        return self.weigh(name, value * gate * torch.sigmoid(gate))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, heard: list[int]) -> Tensor:
        rows = []
        for row in query:
            heads = []
            for h in range(HEADS):
                part = row[h * WIDTH : (h + 1) * WIDTH]
                weights = torch.stack([part @ key[i] / math.sqrt(WIDTH) for i in heard]).softmax(0)
                heads.append(sum(weight * value[i] for weight, i in zip(weights, heard)))
            rows.append(torch.cat(heads))
        return torch.stack(rows)

    def tokens(self, ids: list[int]) -> Tensor:
        hidden = self.clip.text_model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        return self.weigh("clip.text_projection", hidden)

    def heard(self, tokens: Tensor) -> list[int]:
        condition = self.tokens(CONDITION)
        closest = [max((token @ other).item() for other in condition) for token in tokens]
        return [i for i, value in enumerate(closest) if value / max(closest) > THRESHOLD]

    def image(self, pixels: Tensor, tokens: Tensor, heard: list[int]) -> Tensor:
        patches = self.clip.vision_model(pixel_values=pixels[None]).last_hidden_state[0]
        x = self.weigh("clip.visual_projection", patches)
        for layer in ("cross.layers.0", "cross.layers.1"):
            n = self.norm(f"{layer}.cross.norm", x)
            key, value = self.weigh(f"{layer}.cross.key_value", tokens).split(WIDTH, 1)
            answer = self.attend(self.weigh(f"{layer}.cross.query", n), key, value, heard)
            x = (
                x
                + self.weigh(f"{layer}.cross.out", answer)
                + self.feed(self.weigh(f"{layer}.cross.widen", n), f"{layer}.cross.narrow")
            )
            fused = self.weigh(f"{layer}.own.fused", self.norm(f"{layer}.own.norm", x))
            query, key, value, wide = fused.split([HEADS * WIDTH, WIDTH, WIDTH, fused.shape[1] - 20], 1)
            query = torch.stack(
                [
                    torch.cat([turned(head, place) for head in row.split(WIDTH)])
                    for place, row in enumerate(query)
                ]
            )
            key = torch.stack([turned(row, place) for place, row in enumerate(key)])
            answer = self.attend(query, key, value, list(range(len(x))))
            x = x + self.weigh(f"{layer}.own.out", answer) + self.feed(wide, f"{layer}.own.narrow")
        return x[0]

    def score(self, pixels: Tensor, ids: list[int]) -> Tensor:
        tokens = self.tokens(ids)
        end = tokens[ids.index(3)]
        seen = self.image(pixels, tokens, self.heard(tokens))
        return self.tensors["clip.logit_scale"].exp() * end @ seen / end.norm() / seen.norm()


@pytest.fixture
def mps(mps_folder: Path) -> MPS:
    return MPS.from_folder(mps_folder)


def pictures(count: int) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_agrees_with_the_reference_in_any_batch(mps: MPS, mps_folder: Path) -> None:
    reference = Reference(mps_folder, mps.network)
    heard = [reference.heard(reference.tokens(ids)) for ids in PROMPTS.values()]
    assert all(1 < len(tokens) < 12 for tokens in heard)  # otherwise this says nothing about the mask
    expected = torch.stack(
        [reference.score((p - MEAN) / STD, ids) for p, ids in zip(pictures(3), PROMPTS.values())]
    )
    assert expected.std() > 1e-3 * mps.bounds[1]
    for order in ([0, 1, 2], [2, 0, 1], [1], [2, 2, 0]):
        prompts = [list(PROMPTS)[i] for i in order]
        found = MPS.from_folder(mps_folder)(pictures(3)[order], prompts)
        torch.testing.assert_close(found, expected[order], rtol=1e-4, atol=1e-4)


def test_each_row_of_the_mask_has_its_own_maximum(mps: MPS) -> None:
    """Tokens that are a hundred times as long hide nothing of the row beside them."""
    tokens, condition = torch.rand(1, 6, 20) - 0.4, torch.rand(1, 4, 20) - 0.4
    together = mps.network.mask(torch.cat([tokens, 100 * tokens]), condition)
    alone = mps.network.mask(tokens, condition)
    assert together[0].tolist() == together[1].tolist() == alone[0].tolist()
    assert together.any(1).all()


def test_conditions_may_differ_from_row_to_row(mps: MPS) -> None:
    """As in training: forward with a condition each equals forward with one at a time."""
    ids = torch.tensor(list(PROMPTS.values()))
    conditions = torch.tensor([CONDITION, [2, 5, 3] + [0] * 9, [2, 15, 15, 3] + [0] * 8])
    pixels = (pictures(3) - MEAN) / STD
    end, seen, scale = mps.network(pixels, ids, conditions)
    for i in range(3):
        one = mps.network(pixels[i : i + 1], ids[i : i + 1], conditions[i : i + 1])
        torch.testing.assert_close(one[0], end[i : i + 1], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(one[1], seen[i : i + 1], rtol=1e-4, atol=1e-4)
    assert scale.item() == pytest.approx(mps.bounds[1])


def test_the_version_names_condition_and_threshold(mps_folder: Path, tmp_path: Path) -> None:
    assert MPS.from_folder(mps_folder).version == "circle square left, threshold 0.7"
    shutil.copytree(mps_folder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    for name, threshold in (("aesthetics", 0.01), ("semantic alignment", 0.3)):
        config |= {"condition": CONDITIONS[name], "threshold": threshold}
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.warns(UserWarning, match="first 12"):  # words of a vocabulary that is not this folder's
            assert MPS.from_folder(tmp_path).version == f"{name}, threshold {threshold}"


def test_the_released_condition_is_whole() -> None:
    overall = CONDITIONS["overall"]
    assert overall.startswith("light, color, clarity, tone,")
    assert overall.endswith("location, word, things.")
    assert len(overall.split(",")) == 22

"""ImageReward against a plain reference: one image, one head and one layer at a time, on the checkpoint's own tensors."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from noisekit.rewards.image_reward import ImageReward

MEAN, STD = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.25]).view(3, 1, 1)
HEADS = 2


class Reference:
    """BLIP's image tower and its BERT with cross-attention, from the names of the tensors in a checkpoint."""

    def __init__(self, file: Path) -> None:
        self.tensors = {name: tensor.float() for name, tensor in load_file(file).items()}

    def affine(self, name: str, x: Tensor) -> Tensor:
        return x @ self.tensors[f"{name}.weight"].T + self.tensors[f"{name}.bias"]

    def norm(self, name: str, x: Tensor, eps: float) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
        return scaled * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"]

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(N, d), (L, d), (L, d): heads are consecutive slices of d."""
        width = query.shape[1] // HEADS
        heads = []
        for h in range(HEADS):
            part = slice(h * width, (h + 1) * width)
            scores = query[:, part] @ key[:, part].T / math.sqrt(width)
            heads.append(scores.softmax(1) @ value[:, part])
        return torch.cat(heads, 1)

    def image(self, pixels: Tensor) -> Tensor:
        """(3, 16, 16) to (17, 24)."""
        kernel = self.tensors["vision.embeddings.patch_embedding.weight"].flatten(1)
        patches = torch.stack(
            [
                kernel @ pixels[:, y : y + 4, x : x + 4].flatten()
                for y in range(0, 16, 4)
                for x in range(0, 16, 4)
            ]
        )
        patches = patches + self.tensors["vision.embeddings.patch_embedding.bias"]
        x = torch.cat([self.tensors["vision.embeddings.class_embedding"][0], patches])
        x = x + self.tensors["vision.embeddings.position_embedding"][0]
        for layer in ("vision.encoder.layers.0", "vision.encoder.layers.1"):
            query, key, value = self.affine(
                f"{layer}.self_attn.qkv", self.norm(f"{layer}.layer_norm1", x, 1e-6)
            ).chunk(3, 1)
            x = x + self.affine(f"{layer}.self_attn.projection", self.attend(query, key, value))
            inner = F.gelu(self.affine(f"{layer}.mlp.fc1", self.norm(f"{layer}.layer_norm2", x, 1e-6)))
            x = x + self.affine(f"{layer}.mlp.fc2", inner)
        return self.norm("vision.post_layernorm", x, 1e-6)

    def meet(self, name: str, x: Tensor, other: Tensor) -> Tensor:
        """BERT's attention block: x asks `other`, and the sum is normalised afterwards."""
        query, key, value = (
            self.affine(f"{name}.self.{part}", tokens)
            for part, tokens in (("query", x), ("key", other), ("value", other))
        )
        heard = self.affine(f"{name}.output.dense", self.attend(query, key, value))
        return self.norm(f"{name}.output.LayerNorm", heard + x, 1e-12)

    def reward(self, pixels: Tensor, ids: list[int]) -> Tensor:
        image = self.image(pixels)
        words = self.tensors["text.embeddings.word_embeddings.weight"][ids]
        places = self.tensors["text.embeddings.position_embeddings.weight"][: len(ids)]
        x = self.norm("text.embeddings.LayerNorm", words + places, 1e-12)
        for layer in ("text.encoder.layer.0", "text.encoder.layer.1"):
            x = self.meet(f"{layer}.attention", x, x)
            x = self.meet(f"{layer}.crossattention", x, image)
            inner = F.gelu(self.affine(f"{layer}.intermediate.dense", x))
            x = self.norm(f"{layer}.output.LayerNorm", self.affine(f"{layer}.output.dense", inner) + x, 1e-12)
        r = self.affine("mlp.2", self.affine("mlp.1", self.affine("mlp.0", x[0])))
        return (r[0] - 0.3) / 1.5


def test_agrees_with_the_reference_whatever_is_padded(image_reward_folder: Path) -> None:
    reward = ImageReward.from_folder(image_reward_folder)
    reference = Reference(image_reward_folder / "model.safetensors")
    prompts = {
        "a red circle": [2, 4, 5, 8, 3],
        "two blue square": [2, 15, 7, 9, 3],
        "a red circle to the left of a blue square": [2, 4, 5, 8, 11, 12, 13, 10, 4, 7, 9, 3],
    }
    pictures = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0), requires_grad=True)
    scores = reward(pictures, list(prompts))
    expected = torch.stack(
        [reference.reward((p - MEAN) / STD, ids) for p, ids in zip(pictures, prompts.values())]
    )
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.05  # images and prompts differ
    found, wanted = (torch.autograd.grad(total.sum(), pictures)[0] for total in (scores, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4 * wanted.abs().max().item())


def test_the_range_has_no_end_but_the_tie_does(image_reward_folder: Path) -> None:
    reward = ImageReward.from_folder(image_reward_folder)
    assert reward.bounds == (-math.inf, math.inf)
    assert reward.tie == pytest.approx(4 * 1e-4)
    assert reward.family == "BLIP ViT-2x24/4"

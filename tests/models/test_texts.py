"""Encoded prompts: each once, forgotten beyond a bound, and of one length side by side."""

import pytest
import torch

from noisekit.models import texts
from noisekit.models.texts import Texts, masked, of_one_length


class Encoder:
    """States of as many tokens as a prompt has letters, of four bytes each, and what it was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, prompts):
        self.asked.append(list(prompts))
        return masked([torch.arange(1.0, len(text) + 1)[:, None] for text in prompts])


def test_each_prompt_is_encoded_once_in_batches():
    encoder = Encoder()
    encode = Texts(encoder, 2)
    first = encode(["a", "abc", "a", "ab"])
    assert encoder.asked == [["a", "abc"], ["ab"]]
    assert [one["text"].sum().item() for one in first] == [1, 6, 1, 3]
    assert encode(["ab", "a"])[0]["text"].tolist() == first[3]["text"].tolist()
    assert len(encoder.asked) == 2


def test_what_was_asked_for_longest_ago_is_forgotten_first(monkeypatch):
    monkeypatch.setattr(texts, "KEPT", 2 * (4 * 4 + 4))  # two prompts of four tokens
    encoder = Encoder()
    encode = Texts(encoder, 1)
    assert len(encode(["aaaa", "bbbb", "cccc"])) == 3  # more than are kept come out all the same
    encode(["bbbb"])
    encode(["dddd"])
    encoder.asked.clear()
    encode(["bbbb", "dddd", "cccc"])
    assert encoder.asked == [["cccc"]]


@pytest.mark.parametrize("first", [0, 1])
def test_side_by_side_the_shorter_are_filled_up_with_zeros(first):
    encoded = [
        {"text": torch.ones(1, 2, 3), "mask": torch.ones(1, 2, dtype=torch.bool)},
        {"text": torch.ones(1, 4, 3), "mask": torch.ones(1, 4, dtype=torch.bool), "size": torch.ones(1, 5)},
    ]
    found = of_one_length(encoded[first:] + encoded[:first])
    short, long = found[first], found[1 - first]
    assert short["text"].shape == long["text"].shape == (1, 4, 3)
    assert short["mask"].tolist() == [[True, True, False, False]]
    assert short["text"].sum() == 6
    assert long["size"].shape == (1, 5)
    assert long["text"] is encoded[1]["text"]

"""Pairs as they stream: each comes once, in the order of a permutation, from any batch on, whatever fits into memory."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from noisekit.errors import CorruptWeights
from noisekit.npnet import train as training
from noisekit.npnet.pairs import Collection
from noisekit.npnet.stream import Stream, batches, select
from noisekit.npnet.train import Training, train
from tests.npnet.test_collect import CONFIG, PROMPTS, made_up, model

__all__ = ["model"]  # a fixture

#: Bytes of a pair's noises.
PAIR = 2 * 4 * 4


def written(folder: Path, sizes: list[int]) -> Collection:
    """Shards of so many pairs; pair i of all has the number i everywhere in its noises, a new prompt every third time."""
    collection, number = Collection.prepare(folder, {"model": "made up"}), 0
    for size in sizes:
        numbers = torch.arange(number, number + size)
        lines = [{"prompt": f"prompt {i // 3}", "seed": int(i) % 3, "scores": {}} for i in numbers]
        noise = numbers.float()[:, None, None, None].expand(size, 4, 1, 1)
        names = ("source", "target", "source_latents", "target_latents")
        collection.add(lines, {name: noise.clone() for name in names})
        number += size
    return collection


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, ...], Collection]:
    kinds = [(7,), (1, 1, 1), (5, 2, 9, 4), (3, 3, 3, 3, 3, 1)]
    return {kind: written(tmp_path_factory.mktemp("pairs"), list(kind)) for kind in kinds}


@settings(max_examples=60, deadline=None)
@given(
    which=st.integers(0, 3),
    size=st.integers(1, 8),
    start=st.integers(0, 4),
    fit=st.integers(1, 30),
    seed=st.integers(0, 9),
)
def test_every_pair_comes_once_and_from_any_batch_on(
    places: Any, which: int, size: int, start: int, fit: int, seed: int
) -> None:
    sizes = list(places)[which]
    kept = select(places[sizes])
    order = torch.randperm(len(kept), generator=torch.Generator().manual_seed(seed))
    all_of_it = list(Stream(kept, order, size, 0, fit * PAIR))
    assert [len(batch.prompts) for batch in all_of_it[:-1]] == [size] * (len(all_of_it) - 1)
    numbers = torch.cat([batch.source[:, 0, 0, 0] for batch in all_of_it]).long()
    assert sorted(numbers.tolist()) == list(range(sum(sizes)))
    texts = [text for batch in all_of_it for text in batch.prompts]
    assert texts == [f"prompt {i // 3}" for i in numbers]
    if fit >= sum(sizes):
        assert torch.equal(numbers, order)
    later = list(Stream(kept, order, size, start, fit * PAIR))
    assert len(later) == max(0, len(all_of_it) - start)
    for ours, theirs in zip(later, all_of_it[start:], strict=True):
        assert ours.prompts == theirs.prompts
        assert torch.equal(ours.target, theirs.target)


def test_no_part_is_larger_than_what_may_be_held_but_a_single_shard(places: Any) -> None:
    kept = select(places[5, 2, 9, 4])
    parts = Stream(kept, torch.arange(20), 4, 0, 9 * PAIR).parts()
    sizes = [sum(len(kept.rows[i]) for i in part) for part in parts]
    assert sum(sizes) == 20
    assert max(sizes) <= 9 + 9  # a shard that reaches over the end of a part
    assert len(parts) > 1


def test_a_part_is_given_up_before_the_next_is_read(places: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read, parts = Stream._together, list[Any]()

    def together(self: Stream, part: Any) -> Any:
        assert all(earlier() is None for earlier in parts)
        found = read(self, part)
        parts.append(weakref.ref(found.source))
        return found

    monkeypatch.setattr(Stream, "_together", together)
    kept = select(places[5, 2, 9, 4])
    assert sum(len(batch.prompts) for batch in Stream(kept, torch.arange(20), 3, 0, 5 * PAIR)) == 20
    assert len(parts) > 2


def test_noises_of_another_shape_are_named(places: Any, tmp_path: Path) -> None:
    collection = written(tmp_path, [4, 4])
    file = tmp_path / "00001.safetensors"
    save_file({name: tensor.repeat(1, 1, 2, 2) for name, tensor in load_file(file).items()}, file)
    kept = select(collection)
    with pytest.raises(CorruptWeights, match=r"00001'\.safetensors holds noises of another shape"):
        list(batches(kept, torch.arange(8), 4))


def test_a_damaged_shard_is_named_from_another_process_too(tmp_path: Path) -> None:
    collection = written(tmp_path, [4, 4])
    kept = select(collection)
    (tmp_path / "00001.safetensors").write_bytes(b"cut")
    with pytest.raises(CorruptWeights, match=r"00001\.safetensors") as told:
        list(batches(kept, torch.arange(8), 4, held=4 * PAIR))
    assert "\n" not in str(told.value)
    assert str(told.value).startswith("'")


def test_a_training_goes_on_in_the_middle_of_an_epoch(model: Any, tmp_path: Path, monkeypatch: Any) -> None:
    collection = made_up(model, tmp_path / "pairs", 24, lambda noise, text: 1.1 * noise)
    wanted = Training(epochs=2, batch=4, lr=1e-3, metric=None)
    whole = train(collection, model, tmp_path / "whole", training=wanted, config=CONFIG)
    monkeypatch.setattr(training, "SAVED", 2)
    step, seen = training._Loop._step, []

    def stopped(self: Any, batch: Any) -> float:
        if len(seen) == 9:  # one batch after what was saved, in the second epoch
            raise KeyboardInterrupt
        seen.append(batch.prompts)
        return step(self, batch)

    monkeypatch.setattr(training._Loop, "_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(collection, model, tmp_path / "part", training=wanted, config=CONFIG)
    monkeypatch.setattr(training._Loop, "_step", step)
    part = train(collection, model, tmp_path / "part", training=wanted, config=CONFIG)
    assert part["losses"] == whole["losses"]
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "part")]
    assert files[0] == files[1]


def test_half_precision_takes_half_of_the_disk_and_is_another_collection(model: Any, tmp_path: Path) -> None:
    from noisekit.errors import BadValue
    from noisekit.npnet.collect import collect

    whole = collect(model, PROMPTS[:2], [0], tmp_path / "whole").shards()[0].tensors()
    half = collect(model, PROMPTS[:2], [0], tmp_path / "half", half=True).shards()[0].tensors()
    assert {tensor.dtype for tensor in whole.values()} == {torch.float32}
    assert {tensor.dtype for tensor in half.values()} == {torch.float16}
    torch.testing.assert_close(half["target"].float(), whole["target"], atol=2e-3, rtol=1e-3)
    with pytest.raises(BadValue, match="half"):
        collect(model, PROMPTS[:2], [1], tmp_path / "whole", half=True)


def test_prompt_embeddings_are_kept_up_to_a_bound(model: Any) -> None:
    usual = model._texts.most
    before = model.encode(PROMPTS).positive
    with model.texts_within(3 * before[0].nbytes):
        assert torch.equal(model.encode(PROMPTS).positive, before)
        assert len(model._texts._kept) == 3
        model.encode(PROMPTS[:1])
        assert len(model._texts._kept) == 3
    assert model._texts.most == usual


def test_the_benchmark_of_memory_runs(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    from benchmarks import pairs

    monkeypatch.setattr("sys.argv", ["pairs.py", "--pairs", "70", "--half", "--out", str(tmp_path / "out")])
    pairs.main()
    said = capsys.readouterr().out
    assert "70 pairs of 4 × 8 × 8" in said
    assert "GiB in an epoch" in said
    assert not (tmp_path / "out").exists()

"""Pairs and trainings on disk: two writers lose nothing; a full disk and a kill leave what the same call goes on from."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from noisekit.errors import CorruptWeights, Unwritable
from noisekit.files import only_writer
from noisekit.npnet import pairs
from noisekit.npnet.checkpoint import load_network, save_artefact
from noisekit.npnet.network import NPNet
from noisekit.npnet.pairs import TENSORS, Collection
from noisekit.npnet.stream import select
from noisekit.npnet.train import Training, train
from noisekit.pickles import read_pickle
from tests.npnet.made import SMALL
from tests.npnet.test_collect import CONFIG, made_up
from tests.npnet.test_collect import model as model  # the fixture
from tests.test_files import killed_while, room

ABOUT = {"model": "toy", "steps": 2}


def noises(value: float, n: int = 1) -> dict[str, torch.Tensor]:
    return {name: torch.full((n, 4, 2, 2), value) for name in TENSORS}


def line(prompt: str, seed: int = 0) -> dict[str, Any]:
    return {"prompt": prompt, "seed": seed, "scores": {}}


def together(*jobs: Callable[[], None]) -> None:
    """Run each job in a process of its own, all at once."""
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(len(jobs))

    def child(job: Callable[[], None]) -> None:
        ready.wait()
        job()
        os._exit(0)

    processes = [context.Process(target=child, args=(job,)) for job in jobs]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * len(jobs)


def fill(folder: Path, writer: int) -> None:
    collection = Collection.prepare(folder, ABOUT)
    for n in range(5):
        collection.add([line(f"{writer}-{n}"), line("of all", n)], noises(writer + n / 10, 2))


def test_many_processes_fill_one_collection(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "pairs"
    together(*(lambda writer=writer: fill(folder, writer) for writer in range(4)))  # type: ignore[misc]
    collection = Collection.read(folder)
    found = {
        text["prompt"]: shard.tensors()["source"][i, 0, 0, 0].item()
        for shard in collection.shards()
        for i, text in enumerate(shard.lines)
        if text["prompt"] != "of all"
    }
    assert found == pytest.approx({f"{w}-{n}": w + n / 10 for w in range(4) for n in range(5)})
    assert len(collection.shards()) == 20
    assert len(collection) == len(select(collection)) == 20 + 5  # what they made alike counts once


def test_threads_that_write_slowly_keep_each_others_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = Collection.prepare(tmp_path, ABOUT)
    save, slow = pairs.save_file, threading.Event()

    def slowly(*arguments: Any) -> None:
        save(*arguments)
        slow.wait(0.05)

    monkeypatch.setattr(pairs, "save_file", slowly)
    threads = [
        threading.Thread(target=collection.add, args=([line(str(n))], noises(float(n)))) for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = {s.lines[0]["prompt"]: s.tensors()["target"].mean().item() for s in collection.shards()}
    assert values == {str(n): n for n in range(6)}


def test_scores_of_several_writers_are_all_kept(tmp_path: Path) -> None:
    shard = Collection.prepare(tmp_path, ABOUT).add([line("a"), line("b")], noises(0.0, 2))

    def score(metric: str) -> None:
        for value in range(5):
            shard.add_scores(
                [{metric: {"weights": "w", "source": value, "target": value + i}} for i in (0, 1)]
            )

    together(*(lambda metric=metric: score(metric) for metric in "uvwxyz"))  # type: ignore[misc]
    (there,) = Collection.read(tmp_path).shards()
    for i, text in enumerate(there.lines):
        assert {name: value["target"] for name, value in text["scores"].items()} == dict.fromkeys(
            "uvwxyz", 4 + i
        )


def test_one_of_two_ways_of_collecting_begins_a_folder(tmp_path: Path) -> None:
    """Whichever is first: no folder holds pairs of both."""
    outcomes = tmp_path / "outcomes"
    outcomes.mkdir()

    def begin(way: int) -> None:
        try:
            Collection.prepare(tmp_path / "pairs", ABOUT | {"steps": way})
        except Exception as error:
            (outcomes / f"{way}").write_text(str(error))

    together(*(lambda way=way: begin(way) for way in range(5)))  # type: ignore[misc]
    (first,) = {str(way) for way in range(5)} - {file.name for file in outcomes.iterdir()}
    assert Collection.read(tmp_path / "pairs").about["steps"] == int(first)
    assert all("with another steps" in file.read_text() for file in outcomes.iterdir())


@pytest.mark.parametrize("size", [0, 10, 300])
def test_a_full_disk_costs_the_shard_at_work_and_no_other(size: int, tmp_path: Path) -> None:
    with room(0), pytest.raises(ValueError, match="cannot be written: File too large"):
        Collection.prepare(tmp_path, ABOUT)
    collection = Collection.prepare(tmp_path, ABOUT)  # the same call goes on
    shard = collection.add([line("first")], noises(1.0))
    for write in (
        lambda: collection.add([line("second" * 99)], noises(2.0, 9)),
        lambda: shard.add_scores([{"hps": {"weights": "x" * 400, "source": 0.0, "target": 1.0}}]),
    ):
        with (
            room(size),
            pytest.raises(Unwritable, match="File too large; what it holds is kept, and the same command"),
        ):
            write()
    assert [s.lines for s in Collection.read(tmp_path).shards()] == [[line("first")]]
    collection.add([line("second")], noises(2.0))
    assert [s.path.name for s in collection.shards()] == ["00000", "00001"]


@pytest.mark.parametrize("name", ["collection.json", "00000.safetensors", "00000.jsonl"])
def test_a_kill_costs_the_shard_at_work_and_no_other(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when all of a file is written under its other name, and before it takes its place."""
    replace = Path.replace

    def job(kill: Callable[[], None]) -> None:
        monkeypatch.setattr(
            Path, "replace", lambda part, to: kill() if to.name == name else replace(part, to)
        )
        Collection.prepare(tmp_path, ABOUT).add([line("a")], noises(1.0))

    killed_while(job)
    collection = Collection.prepare(tmp_path, ABOUT)
    assert len(collection) == 0
    collection.add([line("a")], noises(1.0))
    assert len(select(collection)) == 1
    assert not list(tmp_path.glob(".*.part"))


TRAINING = Training(epochs=3, batch=8, lr=1e-3)


@pytest.fixture(scope="module")
def collection(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return made_up(model, tmp_path_factory.mktemp("pairs"), 24, lambda noise, _: 1.1 * noise)


@pytest.fixture(scope="module")
def whole(model: Any, collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Any]:
    """The size of a checkpoint, and what the training came to."""
    out = tmp_path_factory.mktemp("whole")
    card = train(collection, model, out, training=TRAINING, config=CONFIG)
    return (out / "training.pt").stat().st_size, card["losses"]


@pytest.mark.parametrize("part", [0.0, 0.4, 0.99])
def test_a_training_goes_on_from_where_the_disk_was_full(
    part: float, model: Any, collection: Collection, whole: tuple[int, Any], tmp_path: Path
) -> None:
    size, losses = whole
    with (
        room(int(part * size)),
        pytest.raises(Unwritable, match="cannot be written: File too large; what it holds"),
    ):
        train(collection, model, tmp_path, training=TRAINING, config=CONFIG)
    assert not (tmp_path / "card.json").exists()
    assert train(collection, model, tmp_path, training=TRAINING, config=CONFIG)["losses"] == losses
    assert not list(tmp_path.glob(".*.part"))


def test_a_second_training_into_a_folder_is_refused(
    model: Any, collection: Collection, tmp_path: Path
) -> None:
    held, done = threading.Event(), threading.Event()

    def first() -> None:
        with only_writer(tmp_path):
            held.set()
            done.wait(60)

    thread = threading.Thread(target=first)
    thread.start()
    held.wait(60)
    with pytest.raises(Unwritable, match="another process is writing to"):
        train(collection, model, tmp_path, training=TRAINING, config=CONFIG)
    done.set()
    thread.join()


@pytest.mark.parametrize("damage", ["half", "nothing", "a list", "no history", "another optimiser", "words"])
def test_a_damaged_checkpoint_of_a_training_is_named(
    damage: str, model: Any, collection: Collection, whole: tuple[int, Any], tmp_path: Path
) -> None:
    train(collection, model, tmp_path, training=TRAINING, config=CONFIG)
    file = tmp_path / "training.pt"
    content = read_pickle(file)
    if damage in ("half", "nothing"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2 if damage == "half" else 0])
    else:
        if damage == "another optimiser":
            content["optimiser"]["state"][0]["exp_avg"] = torch.zeros(3, 3)
        changes = {"a list": [content], "words": content | {"history": "many"}, "another optimiser": content}
        torch.save(changes.get(damage, {k: content[k] for k in content if k != "history"}), file)
    with pytest.raises(CorruptWeights, match=r"training\.pt") as caught:
        train(collection, model, tmp_path, training=TRAINING, config=CONFIG)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 300, 9000])
def test_an_artefact_is_replaced_whole_or_stays(size: int, tmp_path: Path) -> None:
    before = NPNet(SMALL)
    save_artefact(tmp_path, before, {"metric": "hps"})
    kept = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    torch.manual_seed(1)
    with room(size), pytest.raises(OSError, match="File too large"):
        save_artefact(tmp_path, NPNet(SMALL), {"metric": "mps"})
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == kept
    assert load_network(tmp_path).card == {"metric": "hps"}

"""Folders as the scripts of benchmarks read them, byte by byte, read back by the rules that those scripts go by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from noisekit.cli import main
from noisekit.errors import BadValue, Unwritable
from noisekit.results import load_run
from noisekit.store.store import Store
from tests.store import lines

#: Lines of a suite of GenEval as it is published.
SUITE = (
    '{"tag": "two_object", "include": [{"class": "bench", "count": 1}, {"class": "sports ball", "count": 1}], '
    '"prompt": "a photo of a bench and a sports ball"}',
    '{"tag": "counting", "include": [{"class": "clock", "count": 2}], "exclude": [{"class": "clock", "count": 3}], '
    '"prompt": "a photo of two clocks"}',
)


def store(
    folder: Path, prompts: Mapping[str, Any], methods: tuple[str, ...] = ("standard",), seeds: int = 4
) -> Path:
    """Images of prompts, whose metadata are given; each a colour of its own, and right where its seed is even."""
    with Store.prepare(folder, "per_prompt") as opened:
        opened.append("metrics", [lines.metric("geneval")])
        for m, method in enumerate(methods):
            for p, (prompt, metadata) in enumerate(prompts.items()):
                for seed in range(seeds):
                    key = f"{m}-{p}-{seed}"
                    image = torch.full((3, 8, 8), (m * 100 + p * 10 + seed) / 255)
                    about = {"prompt": prompt, "prompt_id": prompt, "model": "tiny", "model_id": "tiny"}
                    about |= {"method": method, "setting": method, "seed": seed, "metadata": metadata}
                    opened.append(
                        "rows", [lines.image(key, **about, image=opened.save_image(key, image, {}))]
                    )
                    opened.append("scores", [lines.score(key, "geneval", geneval=float(seed % 2 == 0))])
    return folder


@pytest.fixture
def geneval(tmp_path: Path) -> Path:
    entries = [json.loads(line) for line in SUITE]
    return store(
        tmp_path / "run", {entry.pop("prompt"): entry for entry in entries}, ("standard", "cosine(steps=2)")
    )


def level(file: Path) -> int:
    """The grey level of an image, which says which one it is."""
    from noisekit.store.png import read_image

    return round(read_image(file)[0, 0, 0].item() * 255)


def test_geneval(geneval: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out"
    assert main(["export", str(geneval), "--layout", "geneval", "-o", str(target)]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    assert sorted(path.name for path in target.iterdir()) == ["tiny-cosine-steps=2", "tiny-standard"]
    for m, arm in enumerate(("tiny-standard", "tiny-cosine-steps=2")):
        for p, line in enumerate(SUITE):
            folder = target / arm / f"{p:05}"
            assert (folder / "metadata.jsonl").read_bytes() == line.encode()
            names = [f"{seed:05}.png" for seed in range(4)]
            assert sorted(path.name for path in (folder / "samples").iterdir()) == names
            for seed, name in enumerate(names):
                assert level(folder / "samples" / name) == m * 100 + p * 10 + seed
        others = [path.name for path in (target / arm).iterdir() if not path.name.isdigit()]
        assert others == ["results.jsonl"]


def test_geneval_results_are_summed_up_by_the_official_rules(geneval: Path, tmp_path: Path) -> None:
    """The summary reads tag, correct and metadata: images and tasks by means, prompts by their best image."""
    import pandas as pd

    target = load_run(geneval).export_images(tmp_path / "out", "geneval")
    table = pd.read_json(target / "tiny-standard" / "results.jsonl", orient="records", lines=True)
    assert list(table["filename"][:2]) == ["00000/samples/00000.png", "00000/samples/00001.png"]
    assert table["correct"].mean() == 0.5
    assert table.groupby("metadata")["correct"].any().mean() == 1
    assert table.groupby("tag")["correct"].mean().to_dict() == {"two_object": 0.5, "counting": 0.5}
    assert [json.loads(text) for text in table["metadata"].unique()] == [json.loads(line) for line in SUITE]


def test_compbench(tmp_path: Path) -> None:
    prompts = ["a green bench and a blue bowl", "The red hat was on top of the brown coat rack."]
    run = load_run(store(tmp_path / "run", dict.fromkeys(prompts), seeds=3))
    samples = run.export_images(tmp_path / "out", "t2i_compbench") / "tiny-standard" / "samples"
    names = [f"{prompts[i // 3]}_{i:06}.png" for i in range(6)]
    assert sorted(path.name for path in samples.iterdir()) == sorted(names)
    for i, name in enumerate(names):
        assert level(samples / name) == i // 3 * 10 + i % 3
        assert name.split("_")[0] == prompts[i // 3]


@pytest.mark.parametrize("prompt", ["a snake_case", "either/or", "long " * 60])
def test_compbench_refuses_what_its_scripts_cannot_read(tmp_path: Path, prompt: str) -> None:
    run = load_run(store(tmp_path / "run", {prompt.strip(): None}, seeds=1))
    with pytest.raises(BadValue, match="cannot be the name of a file"):
        run.export_images(tmp_path / "out", "t2i_compbench")
    assert not (tmp_path / "out").exists()


def test_refusals(geneval: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = load_run(geneval)
    with pytest.raises(BadValue, match=r"unknown layout 'genevall'; did you mean 'geneval'\?"):
        run.export_images(tmp_path / "out", "genevall")
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").touch()
    with pytest.raises(Unwritable):
        run.export_images(tmp_path / "there", "geneval")
    plain = load_run(store(tmp_path / "plain", {"a red circle": None}))
    with pytest.raises(BadValue, match="does not know what a picture must show"):
        plain.export_images(tmp_path / "out", "geneval")
    assert not (tmp_path / "out").exists()
    command = ["export", str(geneval), "--layout", "geneval", "--safe-csv", "-o", str(tmp_path / "out")]
    assert main(command) == 2
    assert "leave one of them out" in capsys.readouterr().err

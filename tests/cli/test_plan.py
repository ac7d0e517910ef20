"""`noisekit plan`: a plan that runs as it is written, its schema for editors, and in words what it will do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

import noisekit as nk
from noisekit.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_plan_runs_as_it_is_and_is_never_written_over(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "new", "mine"]) == 0
    assert main(["plan", "schema", "-o", "plan.schema.json"]) == 0
    written = (folder / "mine.yaml").read_text(encoding="utf-8")
    schema = json.loads((folder / "plan.schema.json").read_text(encoding="utf-8"))
    assert written.startswith("# yaml-language-server: $schema=plan.schema.json\n")
    assert not list(Draft202012Validator(schema).iter_errors(yaml.safe_load(written)))
    plan = nk.load_plan("mine.yaml")
    assert (len(plan.methods), plan.images, plan.store) == (4, 24, Path("runs/mine"))
    assert main(["plan", "new", "mine"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (folder / "mine.yaml").read_text(encoding="utf-8") == written


def test_what_the_comments_of_a_new_plan_propose_can_be_switched_on(folder: Path) -> None:
    assert main(["plan", "new"]) == 0
    text = (folder / "plan.yaml").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("# ") and line[2:].split(":")[0] in nk.Plan.key_names():
            text = text.replace(line, line[2:])
    plan = nk.load_plan(yaml.safe_load(text))
    assert (plan.noise, plan.curves, len(plan.budgets)) == ("shared", True, 2)


def test_a_plan_is_explained_before_and_after_it_is_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "plan.yaml").write_text(
        "models: [tiny-turbo]\nmethods: [\"reno(steps=2, rewards='hps:1')\", npnet]\nlimit: 2\nseeds: 0-1\n"
        "metrics: [hps, truth]\nbudget: {calls: 9}\n"
    )
    assert main(["plan", "explain", "plan.yaml"]) == 0
    said = capsys.readouterr().out
    for words in (
        "tiny-turbo: 1 step, no guidance",
        "reno(steps=2, ",
        "2 seeds (0, 1) of every prompt",
        "tiny: 2 prompts",
        "within 9 calls an image",
        "truth: held out",
        "hps: no evidence for reno(steps=2",
        "12 images to make",
        "time: unknown",
        "in the folder that --store names: 0 images done",
    ):
        assert words in said
    assert main(["run", "plan.yaml", "--store", "runs/it", "--no-report"]) == 0
    capsys.readouterr()
    assert main(["plan", "explain", "plan.yaml", "--store", "runs/it"]) == 0
    said = capsys.readouterr().out
    assert "0 images to make" in said
    assert "in runs/it: 12 images done, 0 to score" in said


def test_a_plan_that_cannot_be_explained_gets_its_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "plan.yaml").write_text("models: [tiny]\nmethods: [cosin]\n")
    assert main(["plan", "explain", "plan.yaml"]) == 2
    assert "line 2: methods[0]: unknown method 'cosin'; did you mean 'cosine'?" in capsys.readouterr().err

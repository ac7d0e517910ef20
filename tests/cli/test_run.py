"""`noisekit run` and `noisekit status`: a plan from the first look to the last image, as somebody types it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from noisekit.cli import main
from noisekit.models.pipeline import DiffusersModel
from noisekit.results import load_run

PLAN = """
models: [tiny]
methods:
  - cosine: {steps: [1, 2], round_trip_steps: 2}
  - reno
prompts: {suite: tiny, limit: 3}
seeds: 2
metrics: [truth]
settings: {steps: 2}
store: run
"""

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def type_in(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Types a command in a folder with a plan; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.yaml").write_text(PLAN)

    def typed(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(arguments))
        return code, *capsys.readouterr()

    return typed


def counts(table: str, method: str) -> list[str]:
    """The figures after the suite's name in the line of a method."""
    (line,) = (
        line for line in table.splitlines() if method in line and " tiny " in line.partition(method)[2]
    )
    return line.rpartition(" tiny ")[2].split()


def test_a_comparison_can_be_looked_at_before_any_model_is_loaded(type_in: Typed, tmp_path: Path) -> None:
    typed = "compare --model tiny-turbo,sdxl-turbo --methods reno,cosine --limit 3 --store seen --dry-run"
    code, out, err = type_in(*typed.split())
    assert (code, err) == (0, "")
    assert "to do: " in out and "incompatible: method 'cosine'" in " ".join(out.split())
    assert "noisekit models fetch sdxl-turbo" in out
    assert not (tmp_path / "seen").exists()


def test_a_plan_is_looked_at_run_killed_mended_and_run_again(
    type_in: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = type_in("run", "plan.yaml", "--dry-run")
    assert (code, err) == (0, "")
    assert counts(out, "standard") == ["0", "0", "6", "0", "unknown"]
    assert counts(out, "steps=1") == ["0", "0", "6", "0", "unknown"]
    assert "incompatible: method 'reno' needs a model that is one-step" in " ".join(out.split())
    assert "to do: 18 images to make (unknown), 0 to score" in out
    assert not (tmp_path / "run").exists()

    decode, calls = DiffusersModel.decode, []

    def fragile(self: DiffusersModel, latents: Any) -> Any:
        calls.append(len(latents))
        if len(calls) == 4:  # a look at what it costs, warm-up, one batch
            raise KeyboardInterrupt
        if 5 <= len(calls) <= 11:  # a batch of 6, its halves, and theirs
            raise ArithmeticError("no luck")
        return decode(self, latents)

    monkeypatch.setattr(DiffusersModel, "decode", fragile)
    code, out, err = type_in("run", "plan.yaml")
    assert code == 130
    assert "6 finished images are kept in run: `noisekit run plan.yaml` goes on from there" in err
    code, out, err = type_in("run", "plan.yaml", "--shard", "1/1")
    assert code == 1
    assert "left out: method 'reno'" in err
    assert re.search(r"\d images failed; `noisekit status RUN` says why, --retry-failed", err)
    failed = len(load_run("run").failures())
    assert 0 < failed < 12
    assert Path("run/report.html").is_file()

    code, out, _ = type_in("status", "run")
    assert code == 0
    assert f"{18 - failed} images, scored by truth" in out
    assert f"{failed} failed; `noisekit run PLAN --retry-failed` tries them again:" in out
    assert "ArithmeticError: no luck" in out

    monkeypatch.setattr(DiffusersModel, "decode", decode)
    code, out, _ = type_in("run", "plan.yaml", "--retry-failed")
    assert code == 0
    code, out, err = type_in("status", "run", "--plan", "plan.yaml")
    assert (code, err) == (0, "")
    assert counts(out, "standard") == ["6", "0", "0", "0", "0", "s"]
    assert "failed;" not in out

    Path("other.yaml").write_text(PLAN.replace("settings: {steps: 2}", "settings: {steps: 2, guidance: 2}"))
    code, out, _ = type_in("status", "run", "--plan", "other.yaml", "--why")
    assert code == 0
    said = " ".join(out.split())
    assert "standard on tiny(steps=2, guidance=2" in said
    assert (
        "nearest in the store is standard on tiny(steps=2); it differs in model.guidance: stored 3.0, wanted 2"
        in said
    )


def test_a_search_prints_its_trials_and_what_the_best_is_worth(type_in: Typed) -> None:
    pytest.importorskip("optuna")
    over = "{lr_per_element: {low: 0.01, high: 1, log: true}}"
    Path("search.yaml").write_text(
        "models: [tiny]\nprompts: {suite: tiny, limit: 4}\nmetrics: [truth]\nsettings: {steps: 2}\nstore: found\n"
        f"search: {{method: 'cosine(round_trip_steps=1)', over: {over}, metric: truth, trials: 2, calls: 30}}\n"
    )
    code, out, err = type_in("run", "search.yaml")
    assert code == 0, err
    assert len(re.findall(r"^[12] +cosine\(", out, re.MULTILINE)) == 2
    assert re.search(r"^best: cosine\(.*lr_per_element=", out, re.MULTILINE)
    assert re.search(
        r"on the other 2 prompts: truth \+\S+ over standard, too few for an interval$", out, re.MULTILINE
    )
    for option in (["--shard", "1/2"], ["--no-report"]):
        code, _, err = type_in("run", "search.yaml", *option)
        assert code == 2
        assert "no shards, nothing to try again and no report to leave out" in err


@pytest.mark.parametrize(
    "command",
    [
        "run plan.yaml --store 'a run' --shard 2/4",
        pytest.param(
            "compare --methods cosine(steps=1) --prompts tiny --limit 1 --steps 1 --metrics truth --store 'a run'",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_parts_of_a_run_leave_the_report_to_a_command_of_its_own(type_in: Typed, command: str) -> None:
    code, out, err = type_in(*shlex.split(command), "--no-report")
    images = len(list(Path("a run/images").glob("*.png")))
    assert images > 0
    assert (code, out) == (0, f"a run: {images} images; `noisekit report 'a run'` shows what came out\n"), err
    assert not Path("a run/report.html").exists()
    code, out, _ = type_in("report", "a run")
    assert code == 0
    assert "cosine" in out
    assert Path("a run/report.html").is_file()


BAD = {
    "no plan": (["run", "none.yaml"], "'none.yaml' cannot be read"),
    "no store": (["run", "bare.yaml"], "names no store"),
    "a bad key": (
        ["run", "bad.yaml"],
        "plan 'bad.yaml', line 2: unknown key in plan: 'metohds'; did you mean 'methods'",
    ),
    "a bad shard": (["run", "plan.yaml", "--shard", "0/4"], "shard '0/4'"),
    "an unknown executor": (["run", "plan.yaml", "--executor", "rya"], "'rya'; did you mean 'ray'"),
    "a store below a file": (["run", "plan.yaml", "--store", "plan.yaml/run"], "plan.yaml/run"),
    "a store that is somebody's folder": (["run", "plan.yaml", "--store", "."], "holds other files"),
    "a store of another schema": (["run", "plan.yaml", "--store", "later"], "has schema 99"),
    "weights that are not there": (["run", "weights.yaml"], "not-there"),
    "a metric without weights": (["run", "metric.yaml"], "metrics: "),
    "status of no run": (["status", "."], "is no run"),
    "why without a plan": (["status", "later", "--why"], "give --plan FILE"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_sentence_and_computes_nothing(name: str, type_in: Typed, tmp_path: Path) -> None:
    (tmp_path / "bare.yaml").write_text("models: [tiny]\nmethods: [cosine]\nmetrics: [truth]\n")
    (tmp_path / "bad.yaml").write_text("models: [tiny]\nmetohds: [cosine]\n")
    (tmp_path / "weights.yaml").write_text(
        "models: [tiny]\nmethods: [npnet(artefact='not-there')]\nstore: run\n"
    )
    (tmp_path / "empty").mkdir()
    (tmp_path / "metric.yaml").write_text(
        "models: [tiny]\nmethods: [cosine]\nmetrics: [hps]\nweights: empty\nstore: run\n"
    )
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "manifest.json").write_text('{"schema": 99, "noise": "per_prompt"}')
    arguments, expected = BAD[name]
    code, out, err = type_in(*arguments)
    assert (code, out) == (2, ""), out
    assert expected in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("*.jsonl"))


PLACED = ["--device", "cpu", "--dtype", "fp32", "--weights", "tiny", "--low-memory"]


@pytest.mark.slow
def test_where_and_how_a_plan_runs_is_chosen_on_the_command_line(type_in: Typed) -> None:
    Path("one.yaml").write_text(
        "models: [tiny-turbo]\nmethods: ['best_of(reno(steps=1), n=1)']\nprompts: {suite: tiny, limit: 1}\n"
        "metrics: [aesthetic]\nweights: published\nstore: run\n"
    )
    code, _, err = type_in("run", "one.yaml", *PLACED)
    assert code == 0, err
    assert load_run("run").metric_info["aesthetic"].weights == "tiny"
    code, _, err = type_in(
        "compare", "--model", "tiny-turbo", "--methods", "best_of(reno(steps=1),n=1)", "--limit", "1",
        "--metrics", "aesthetic", "--store", "run", *PLACED,
    )  # fmt: skip
    assert code == 0, err
    assert len(load_run("run").frame()) == 2
    code, _, err = type_in("generate", "a red circle", "--model", "tiny-turbo", "-o", "x.png", *PLACED)
    assert code == 0, err


NOWHERE = {
    "a device that is not there": (["--device", "cuda:99"], "cuda:99"),
    "no number type": (["--dtype", "fp12"], "'fp12'"),
    "an offload from the host to itself": (["--device", "cpu", "--offload", "model"], "offload='model'"),
    "no offload": (["--device", "cpu", "--offload", "some"], "offload='some'"),
    "weights that are not there": (["--weights", "not-there"], "not-there"),
}


@pytest.mark.parametrize("name", NOWHERE)
def test_what_cannot_be_had_here_is_named_by_every_command(name: str, type_in: Typed) -> None:
    given, expected = NOWHERE[name]
    model = ["--model", "tiny-turbo"]
    Path("one.yaml").write_text(
        "models: [tiny-turbo]\nmethods: [best_of]\nmetrics: [aesthetic]\nstore: run\n"
    )
    for command in (
        ["run", "one.yaml"],
        ["compare", *model, "--methods", "best_of", "--metrics", "aesthetic", "--store", "run"],
        ["generate", "a red circle", *model, "--method", "best_of", "-o", "x.png"],
    ):
        code, out, err = type_in(*command, *given)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert expected in err

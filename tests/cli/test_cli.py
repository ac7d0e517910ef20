"""The command line, in this process: what a person types, what they see, and what bad input gets."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from noisekit.cli import main
from tests.pipelines import stable_diffusion

FAST = ["--steps", "2", "--metrics", "truth"]
SELECTION = "selection(candidates=2, round_trip_steps=2)"
COSINE = "cosine(steps=2, round_trip_steps=2)"

#: What the installed program runs.
PROGRAM = "import sys; from noisekit.cli import main; sys.exit(main())"

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion folder that noisekit has not seen before."""
    folder = tmp_path_factory.mktemp("models") / "sd"
    stable_diffusion().save_pretrained(folder)
    return folder


@pytest.fixture
def type_in(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Types a command in an empty folder; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def typed(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return typed


def rows(store: Path) -> list[dict[str, object]]:
    return [
        json.loads(line)
        for file in (store / "rows").glob("*.jsonl")
        for line in file.read_text().splitlines()
    ]


# --- help ------------------------------------------------------------------------------------------------------------

COMMANDS = [
    "compare",
    "run",
    "status",
    "report",
    "compare-runs",
    "generate",
    "score",
    "rewards fetch",
    "rewards convert",
    "learn collect",
    "learn train",
    "learn convert",
    "learn rewards",
    "npnet collect",
    "npnet train",
    "npnet convert",
    "tiny build",
    "vote serve",
    "vote show",
    "vote plan",
    "vote export",
    "vote import",
]
COMMANDS += [f"list {what}" for what in ("models", "methods", "rewards", "prompts")]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_examples_that_parse(type_in: Typed, command: str) -> None:
    code, out, _ = type_in(*command.split(), "--help")
    assert code == 0
    examples = re.findall(r"^\s+noisekit (.*)$", out, re.MULTILINE)
    assert examples
    assert all(example.startswith(command) for example in examples)
    options = set(re.findall(r"(?<!\S)--?[a-z][\w-]*", out))
    assert all(set(re.findall(r"(?<!\S)--?[a-z][\w-]*", example)) <= options for example in examples)


@pytest.mark.parametrize("typed", ["", "-h", "--help"])
def test_help_needs_no_command(type_in: Typed, typed: str) -> None:
    code, out, err = type_in(*typed.split())
    assert (code, err) == (0, "")
    assert all(command.split()[0] in out for command in COMMANDS)
    code, out, err = type_in("list", *typed.split())
    assert (code, err) == (0, "")
    assert "rewards" in out


@pytest.mark.parametrize(
    ("what", "shown"),
    [
        ("models", ["tiny-turbo", "one-step"]),
        ("methods", ["standard", "selection", "candidates", "100 (paper)", "cosine", "reno"]),
        (
            "rewards",
            ["clip_score", "100 cos", "−100 to 100", "0.02", "CLIP ViT-", "aesthetic"],
        ),
        ("metrics", ["clip_score", "truth", "checker", "geneval", "compbench", "soft_tifa"]),
        ("prompts", ["tiny", "250"]),
    ],
)
def test_lists_show_what_there_is(type_in: Typed, what: str, shown: list[str]) -> None:
    code, out, err = type_in("list", what)
    assert (code, err) == (0, "")
    assert all(text in out for text in shown)


# --- the main job ----------------------------------------------------------------------------------------------------


def test_compare_prints_a_table_and_writes_a_report(type_in: Typed, model: Path, tmp_path: Path) -> None:
    command = [
        "compare",
        "--model",
        model,
        "--methods",
        f"{SELECTION},{COSINE}",
        "--limit",
        "2",
        "--store",
        "run",
    ]
    code, out, err = type_in(*command, *FAST)
    assert code == 0, err
    assert all(text in out for text in ("standard", "selection", "cosine", "95 %"))
    assert Path(out.splitlines()[-1]) == Path("run/report.html")
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    assert len(rows(tmp_path / "run")) == 3 * 2
    assert "Traceback" not in err

    before = len(list((tmp_path / "run").rglob("*.jsonl")))
    assert type_in(*command, *FAST)[0] == 0
    assert len(list((tmp_path / "run").rglob("*.jsonl"))) == before
    assert type_in(*command, *FAST, "--seeds", "2")[0] == 0
    assert len(rows(tmp_path / "run")) == 3 * 2 * 2

    code, out, _ = type_in("report", "run")
    assert code == 0
    assert "cosine" in out
    code, out, _ = type_in("report", "run", "--format", "markdown")
    assert code == 0
    assert out.count("| standard |") == 1
    assert type_in("report", "run", "--format", "latex", "-o", "tables.tex")[:2] == (0, "tables.tex\n")
    assert r"\toprule" in (tmp_path / "tables.tex").read_text()
    code, out, _ = type_in("compare-runs", "run", "run", "-o", "changes.html")
    assert code == 0
    assert "0 changed by more than chance" in " ".join(out.split())
    assert (tmp_path / "changes.html").stat().st_size > 5_000


def test_generate_writes_an_image_with_its_parameters(type_in: Typed, model: Path, tmp_path: Path) -> None:
    prompt = "a <b>red</b> circle & ../../etc"
    command = ["generate", prompt, "--model", model, "--method", COSINE, "--steps", "2", "--seed", "3"]
    code, out, err = type_in(*command, "-o", "circle.png")
    assert (code, err) == (0, "")
    assert re.search(
        r"circle.png: cosine\(.*\), inversion stability .*, \d+ calls, [\d.]+ denoiser equivalents, [\d.]+ s",
        out,
    )
    with Image.open(tmp_path / "circle.png") as file:
        assert file.text["prompt"] == prompt  # type: ignore[attr-defined]
        assert file.text["seed"] == "3"  # type: ignore[attr-defined]
        assert file.size == (16, 16)
        pixels = file.tobytes()
    assert os.listdir(tmp_path) == ["circle.png"]
    assert type_in(*command, "-o", "again.png", "--seconds", "60")[0] == 0
    assert Image.open(tmp_path / "again.png").tobytes() == pixels


def test_score_matches_images_with_prompts(type_in: Typed, tmp_path: Path) -> None:
    from noisekit.store.png import write_png
    from tests.metrics.test_evaluator import CAPTIONS, rendered

    (tmp_path / "pictures").mkdir()
    for name, caption in zip("bca", CAPTIONS):
        write_png(tmp_path / "pictures" / f"{name}.png", rendered(caption), {})
    (tmp_path / "lines.txt").write_text(f"{CAPTIONS[2]}\n\n{CAPTIONS[0]}\n{CAPTIONS[1]}\n")
    code, out, err = type_in("score", "pictures", "--prompts", "lines.txt", "--metrics", "truth")
    assert code == 0, err
    by_name = pd.read_csv(tmp_path / "pictures" / "scores.csv")
    assert list(by_name["image"]) == ["a.png", "b.png", "c.png"]
    assert (by_name["truth"] == 1).all()
    assert "a.png" in out
    assert "mean" in out
    assert "truth: prompt fulfilled" in out
    about = json.loads((tmp_path / "pictures" / "scores.metrics.json").read_text())["truth"]
    assert (about["low"], about["high"], about["direction"], about["tie"]) == (0, 1, "higher", 0)
    assert about["identity"]["version"] == 1

    table = pd.DataFrame({"Image": ["c.png", "a.png"], "Prompt": [CAPTIONS[0], CAPTIONS[2]]})
    table.to_csv(tmp_path / "pairs.csv", index=False)
    assert (
        type_in("score", "pictures", "--prompts", "pairs.csv", "--metrics", "truth", "-o", "mine.csv")[0] == 0
    )
    assert list(pd.read_csv(tmp_path / "mine.csv")["truth"]) == [0, 1]

    command = ["score", "pictures", "--prompts", "pairs.csv", "--metrics", "truth", "-o", "mine.json"]
    assert type_in(*command)[0] == 0
    both = json.loads((tmp_path / "mine.json").read_text())
    assert both["metrics"]["truth"] == about
    assert [(row["image"], row["truth"]) for row in both["scores"]] == [("c.png", 0), ("a.png", 1)]
    assert [row["truth_relation"] for row in both["scores"]] == [None, 1]


def test_a_network_is_trained_on_collected_pairs_and_used(
    type_in: Typed, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from noisekit.models.stable_diffusion import StableDiffusion

    command = [
        "npnet",
        "collect",
        "--model",
        model,
        "--limit",
        "6",
        "--steps",
        "2",
        "--metrics",
        "clip_score,color_red",
    ]
    code, _, err = type_in(
        *command, "--out", "pairs"
    )  # the model is not bundled: its pairs want published metrics
    assert code == 2
    assert "`noisekit rewards fetch clip_score` downloads it" in err
    assert not Path("pairs").exists()
    command += ["--weights", "tiny"]
    code, out, err = type_in(*command, "--out", "pairs")
    assert code == 0, err
    assert re.fullmatch(
        r"pairs: 6 pairs, scored by clip_score \(tiny weights\) and color_red, mean cosine 0\.\d+\n", out
    )
    sample, samples = StableDiffusion.sample, []

    def interrupted(*arguments: object) -> object:
        samples.append(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(StableDiffusion, "sample", interrupted)
    code, _, err = type_in(*command, "--seeds", "2", "--out", "pairs")
    assert code == 130
    assert err == "noisekit: interrupted; 6 pairs are kept in pairs: the same command goes on from there\n"
    assert len(samples) == 1
    monkeypatch.setattr(StableDiffusion, "sample", sample)
    assert type_in(*command, "--seeds", "2", "--out", "pairs")[1].startswith("pairs: 12 pairs, scored by")

    train = ["npnet", "train", "pairs", "--epochs", "1", "--filter-metric", "clip_score", "--out", "net"]
    code, _, err = type_in(*train)
    assert code == 2
    assert "those of model 'sd', and 'tiny'" in err
    code, out, err = type_in(*train, "--model", model, "--margin", "-100")
    assert code == 0, err
    assert json.loads(Path("net/card.json").read_text())["metric_weights"] == "tiny"
    assert re.search(r"net: 12 of 12 pairs kept, \d+ parameters, validation loss .*identity", out)
    golden = ["generate", "a red circle", "--model", model, "--method", "npnet(artefact='net')"]
    code, out, err = type_in(*golden, "-o", "golden.png")
    assert code == 0, err
    assert "npnet(artefact='net')" in out


# --- bad input -------------------------------------------------------------------------------------------------------

LONG = "a red circle " * 800

#: What is typed, and what the sentence must contain.
BAD: dict[str, tuple[list[str], str]] = {
    "unknown command": (["compere"], "compere"),
    "unknown option": (["compare", "--stoer", "run"], "--stoer"),
    "missing option": (["compare"], "--store"),
    "wrong type of option": (["compare", "--store", "run", "--seeds", "two"], "two"),
    "unknown model": (
        ["compare", "--store", "run", "--model", "tiney", *FAST],
        "'tiney'; did you mean 'tiny'",
    ),
    "no folder": (["generate", "hi", "--model", "./nowhere", "-o", "x.png"], "./nowhere"),
    "unknown method": (
        ["compare", "--store", "run", "--methods", "slection"],
        "'slection'; did you mean 'selection'",
    ),
    "unknown setting": (["generate", "hi", "--method", "cosine(stesp=2)", "-o", "x.png"], "'stesp'"),
    "wrong type of setting": (
        ["generate", "hi", "--method", "cosine(steps='two')", "-o", "x.png"],
        "steps='two'",
    ),
    "setting out of range": (["generate", "hi", "--method", "cosine(steps=0)", "-o", "x.png"], "steps=0"),
    "unfinished setting": (["generate", "hi", "--method", "cosine(steps=", "-o", "x.png"], "cosine(steps="),
    "unknown metric": (["compare", "--store", "run", "--metrics", "hsp"], "'hsp'"),
    "unknown prompts": (["compare", "--store", "run", "--prompts", "tinny"], "'tinny'"),
    "missing prompt file": (["compare", "--store", "run", "--prompts", "none.txt"], "none.txt"),
    "empty prompt file": (["compare", "--store", "run", "--prompts", "empty.txt"], "empty.txt"),
    "prompt file that is an image": (["compare", "--store", "run", "--prompts", "image.txt"], "image.txt"),
    "limit of zero": (["compare", "--store", "run", "--limit", "0"], "limit=0"),
    "no seeds": (["compare", "--store", "run", "--seeds", "0"], "seeds=0"),
    "seed below zero": (["generate", "hi", "--model", "MODEL", "--seed", "-1", "-o", "x.png"], "-1"),
    "no batch": (["compare", "--store", "run", "--batch", "0"], "batch=0"),
    "unknown noise": (["compare", "--store", "run", "--noise", "sharde"], "'sharde'"),
    "budget of zero": (["generate", "hi", "--seconds", "0", "-o", "x.png"], "seconds=0"),
    "budget below zero": (["compare", "--store", "run", "--calls", "-5", *FAST], "calls=-5"),
    "no steps": (["generate", "hi", "--model", "MODEL", "--steps", "0", "-o", "x.png"], "steps=0"),
    "unknown scheduler": (
        ["generate", "hi", "--model", "MODEL", "--scheduler", "DIMScheduler", "-o", "x.png"],
        "'DIMScheduler'",
    ),
    "method on a model that lacks what it needs": (
        ["compare", "--store", "run", "--model", "MODEL", "--methods", "reno(rewards='clip_score')", *FAST],
        "'reno' needs a model that is one-step",
    ),
    "truncated weights": (["compare", "--store", "run", "--model", "TRUNCATED", *FAST], "truncated"),
    "corrupted configuration": (["generate", "hi", "--model", "CORRUPTED", "-o", "x.png"], "corrupted"),
    "output in no folder": (["generate", "hi", "--model", "MODEL", "-o", "none/x.png"], "none/x.png"),
    "output that is a folder": (["generate", "hi", "--model", "MODEL", "-o", "folder.png"], "folder.png"),
    "output of another format": (["generate", "hi", "--model", "MODEL", "-o", "x.jpg"], "x.jpg"),
    "store below a file": (
        ["compare", "--model", "MODEL", "--store", "empty.txt/run", *FAST],
        "empty.txt/run",
    ),
    "store that is somebody's folder": (
        ["compare", "--model", "MODEL", "--store", ".", *FAST],
        "holds other files",
    ),
    "long prompt": (["generate", LONG, "--model", "MODEL", "-o", "x.png"], f"{len(LONG)} characters"),
    "empty prompt": (["generate", " ", "--model", "MODEL", "-o", "x.png"], "' '"),
    "report of no run": (["report", "folder.png"], "folder.png"),
    "report in no format": (["report", "folder.png", "--format", "pdf"], "pdf"),
    "no run to compare with": (["compare-runs", "folder.png", "nowhere"], "folder.png"),
    "scores of no folder": (["score", "nowhere", "--prompts", "one.txt"], "nowhere"),
    "scores of no images": (["score", "folder.png", "--prompts", "one.txt"], "folder.png"),
    "scores with too few prompts": (["score", "pictures", "--prompts", "one.txt"], "2 images"),
    "scores of lost images": (["score", "pictures", "--prompts", "lost.csv"], "lost.png"),
    "scores nowhere to go": (["score", "pictures", "--prompts", "two.txt", "-o", "none/s.csv"], "none/s.csv"),
    "pairs of no seeds": (["npnet", "collect", "--seeds", "0", "--out", "pairs"], "seeds=0"),
    "pairs of an unknown variant": (
        ["npnet", "collect", "--variant", "relased", "--out", "pairs"],
        "variant='relased'",
    ),
    "pairs by an unknown metric": (
        ["npnet", "collect", "--model", "MODEL", "--metrics", "hsp", "--out", "pairs"],
        "'hsp'",
    ),
    "pairs among other files": (
        ["npnet", "collect", "--model", "MODEL", "--weights", "tiny", "--out", "."],
        "holds other files",
    ),
    "pairs by weights that are not there": (
        ["npnet", "collect", "--model", "MODEL", "--weights", "not-there", "--out", "pairs"],
        "weights='not-there' of reward 'hps'",
    ),
    "pairs by an unknown method": (["learn", "collect", "--method", "ren", "--out", "pairs"], "'ren'"),
    "pairs of a part that is none": (["learn", "collect", "--shard", "3/2", "--out", "pairs"], "'3/2'"),
    "rewards without updates": (["learn", "rewards", "--updates", "0", "--out", "net"], "updates=0"),
    "rewards through many steps": (
        ["learn", "rewards", "--model", "MODEL", "--weights", "tiny", "--out", "net"],
        "one-step",
    ),
    "training on no pairs": (["npnet", "train", "pictures", "--out", "net"], "noisekit npnet collect"),
    "training without a rate": (["npnet", "train", "pictures", "--lr", "0", "--out", "net"], "lr=0"),
    "unknown stage": (["tiny", "build", "--stage", "vea"], "'vea'; did you mean 'vae'"),
}


@pytest.fixture(scope="module")
def broken(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    truncated, corrupted = (tmp_path_factory.mktemp("broken") / name for name in ("truncated", "corrupted"))
    for folder in (truncated, corrupted):
        shutil.copytree(model, folder)
    weights = truncated / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    (corrupted / "unet" / "config.json").write_text('{"block_out_channels": [8')
    return {"MODEL": model, "TRUNCATED": truncated, "CORRUPTED": corrupted}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_sentence(
    type_in: Typed, broken: dict[str, Path], tmp_path: Path, case: str
) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "one.txt").write_text("a red circle\n")
    (tmp_path / "two.txt").write_text("a red circle\na blue square\n")
    (tmp_path / "lost.csv").write_text("image,prompt\nlost.png,a red circle\n")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "pictures").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (32, 32)).save(tmp_path / "pictures" / name)
    shutil.copy(tmp_path / "pictures" / "a.png", tmp_path / "image.txt")
    arguments, expected = BAD[case]
    before = {path for path in tmp_path.rglob("*") if path.relative_to(tmp_path).parts[0] != "run"}
    code, out, err = type_in(*(broken.get(argument, argument) for argument in arguments))
    assert code == 2
    assert out == ""
    assert err.startswith("noisekit: ")
    assert err.count("\n") == 1
    assert len(err) < 700
    assert expected in err
    assert {path for path in tmp_path.rglob("*") if path.relative_to(tmp_path).parts[0] != "run"} == before
    assert not list(tmp_path.rglob("*.jsonl"))


def test_a_prompt_is_text_and_never_markup_or_path(type_in: Typed, model: Path, tmp_path: Path) -> None:
    prompt = "<script>alert(1)</script><img src=x onerror=alert(2)> ../../[bold]red[/bold]"
    (tmp_path / "prompts.txt").write_text(f"{prompt}\n")
    code, _, err = type_in(
        "compare",
        "--model",
        model,
        "--methods",
        SELECTION,
        "--prompts",
        "prompts.txt",
        "--store",
        "run",
        *FAST,
    )
    assert code == 0, err
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert {path.parent for path in tmp_path.rglob("*.png")} == {tmp_path / "run" / "images"}
    assert {row["prompt"] for row in rows(tmp_path / "run")} == {prompt}


# --- interruptions ---------------------------------------------------------------------------------------------------


def test_an_interrupted_comparison_says_what_is_kept_and_goes_on(
    type_in: Typed, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from noisekit.models.stable_diffusion import StableDiffusion

    decode, batches = StableDiffusion.decode, []

    def interrupted(self: StableDiffusion, latents: object) -> object:
        batches.append(latents)
        # a look at what it costs, warm-up and two batches of standard, warm-up and one of selection
        if len(batches) == 7:
            raise KeyboardInterrupt
        return decode(self, latents)  # type: ignore[arg-type]

    command = [
        "compare",
        "--model",
        model,
        "--methods",
        SELECTION,
        "--limit",
        "4",
        "--batch",
        "2",
        "--store",
        "run",
    ]
    monkeypatch.setattr(StableDiffusion, "decode", interrupted)
    code, out, err = type_in(*command, *FAST)
    assert code == 130
    assert out == ""
    assert err == (
        "noisekit: interrupted; 6 finished images are kept in run: the same command goes on from there\n"
    )
    assert len(rows(tmp_path / "run")) == 6
    monkeypatch.setattr(StableDiffusion, "decode", decode)
    assert type_in(*command, *FAST)[0] == 0
    assert len(rows(tmp_path / "run")) == 8


def test_an_interruption_before_anything_was_done_is_told(
    type_in: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("noisekit.results.load_run", interrupted)
    assert type_in("status", "run") == (130, "", "noisekit: interrupted\n")


@pytest.mark.slow
def test_sigterm_of_a_real_process_keeps_what_is_finished(model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "compare", "--model", str(model), "--methods", SELECTION]
    command += ["--limit", "100", "--seeds", "20", "--batch", "1", "--store", "run", *FAST]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        while (
            process.poll() is None and sum(file.stat().st_size for file in tmp_path.glob("run/rows/*")) < 5000
        ):
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    kept = int(re.search(r"interrupted; (\d+) finished images are kept in run", err)[1])  # type: ignore[index]
    assert kept == len(rows(tmp_path / "run")) >= 3
    assert "Traceback" not in err

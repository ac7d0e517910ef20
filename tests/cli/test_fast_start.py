"""Looking at what there is imports no network library: it has to answer at once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from noisekit import registry
from noisekit.cli import catalogue
from noisekit.prompts import BUNDLED, load_prompts

STORE = Path(__file__).parents[1] / "data" / "store-1"
NETWORKS = {"torch", "torchvision", "diffusers", "transformers", "open_clip"}
#: Runs one command after the other and says of each how it ended and which libraries of `NETWORKS` there were by then.
SCRIPT = f"""
import contextlib, io, json, sys
from noisekit.cli import main
for command in sys.argv[1:]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(command.split())
    found = [name for name in {sorted(NETWORKS)!r} if name in sys.modules]
    print(json.dumps([command, [code, found, said.getvalue()]]))
"""
LOOKING = [
    "list models",
    "list methods",
    "list metrics",
    "list rewards",
    "list prompts",
    "status STORE",
    "report STORE",
    "pick STORE --calls 100",
    "export STORE -o rows.csv",
    "plan new",
    "plan schema",
]


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, list[str], str]]:
    """What became of each command; all are typed in one process, since a start costs more than most of them."""
    folder = tmp_path_factory.mktemp("looking")
    shutil.copytree(STORE, folder / "STORE")
    command = [sys.executable, "-c", SCRIPT, *LOOKING]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("command", LOOKING)
def test_looking_imports_no_network_library(
    looked: dict[str, tuple[int, list[str], str]], command: str
) -> None:
    code, imported, said = looked[command]
    assert code == 0, said
    assert not imported, "it, or a command before it"


def test_the_catalogue_says_what_the_classes_say() -> None:
    kept, made = json.loads(catalogue.FILE.read_text(encoding="utf-8")), json.loads(catalogue.made())
    assert kept == made, "`python -m noisekit.cli.catalogue` writes it anew"


def test_what_an_installed_package_adds_is_asked_of_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.METHODS, "another", registry.METHODS["reno"])
    assert catalogue.methods()["another"] == catalogue.methods()["reno"]


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_a_bundled_suite_has_as_many_prompts_as_listed(name: str) -> None:
    assert len(load_prompts(name)) == BUNDLED[name].entries


@pytest.mark.slow
def test_the_benchmark_of_starts_gives_its_table(root: Path) -> None:
    command = [
        sys.executable,
        "benchmarks/start.py",
        "--rounds",
        "1",
        "--commands",
        "--help",
        "status STORE/run",
    ]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("| ")]
    assert rows[2:] == ["(torch, diffusers and the pipeline alone)", "`--help`", "`status run`"]


@pytest.mark.slow
def test_what_a_command_imports_is_not_looked_through_for_garbage(tmp_path: Path) -> None:
    """Once in a process: what came later may be garbage one day. And no library tells at the end of what it misses."""
    script = (
        "import gc, sys; from noisekit.cli import main; from noisekit.cli.screen import quiet; quiet(); "
        "kept = gc.get_freeze_count(); assert main(sys.argv[1:]) == 0; "
        "print(kept > 100_000, gc.get_freeze_count() <= kept, gc.isenabled())"
    )
    command = (
        "compare --models tiny-turbo --methods standard --limit 1 --metrics truth --no-report --store run"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1].split() == ["True", "True", "True"]
    assert "leak" not in done.stderr

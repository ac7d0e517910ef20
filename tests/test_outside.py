"""What other packages add: the guides' examples, and what `noisekit method new` writes, pass the laws as they are."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from noisekit.cli import main

EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"


def installed(package: Path, target: Path) -> None:
    """Leave in `target` what installing a package would leave there for Python to know it by."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    facts = target / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    ((group, points),) = project["entry-points"].items()
    (facts / "entry_points.txt").write_text(
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items())
    )


def passed(target: Path, monkeypatch: pytest.MonkeyPatch, *packages: Path) -> str:
    """What the packages' own tests say, run far from this project's settings."""
    for package in packages:
        installed(package, target)
    here = Path(__file__).resolve().parents[1]
    monkeypatch.setenv("PYTHONPATH", ":".join(map(str, (here, target, *packages))))
    options = ["-v", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(target)]
    command = [sys.executable, "-B", "-m", "pytest", *options, *map(str, packages)]
    done = subprocess.run(command, cwd=target, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return done.stdout


@pytest.mark.slow
def test_the_guides_example_passes_its_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = EXAMPLES / "dno"
    assert "failed" not in passed(tmp_path / "site", monkeypatch, example)
    assert len((example / "noisekit_dno.py").read_text(encoding="utf-8").splitlines()) < 80


def test_the_metric_of_the_guide_and_a_new_method_as_it_is_pass_their_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one process, since a start costs more than either."""
    monkeypatch.chdir(tmp_path)
    assert main(["method", "new", "my_search"]) == 0
    said = passed(tmp_path / "site", monkeypatch, EXAMPLES / "colourfulness", tmp_path / "my_search")
    of = Counter(line.split("/")[-1].split(".py::")[0] for line in said.splitlines() if "PASSED" in line)
    assert "failed" not in said and of["test_noisekit_colourfulness"] == 11
    assert len(of) == 2 and min(of.values()) > 5


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("reno", "there is a method 'reno' already"),
        ("My-Search", "'My-Search' is no name"),
        ("there", "there already"),
    ],
)
def test_a_new_method_needs_a_name_and_a_folder_of_its_own(
    name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    assert main(["method", "new", name]) == 2
    assert says in capsys.readouterr().err

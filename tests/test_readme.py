"""What the README tells people to type works: its blocks run in order, in one empty folder, the make targets left out.

Searches and comparisons are as long as a reader's patience there; here their numbers are cut, and nothing else.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [
    match.groups()
    for match in re.finditer(r"^```(bash|python|yaml)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
]

#: What stands for how long something takes, and as much of it as shows that it runs.
CUT = [
    (r"\blimit([ =:]+)\d+", r"limit\g<1>3"),
    (r"\bseeds([ =:]+)\d+", r"seeds\g<1>1"),
    (r"\bsteps=\d+", "steps=2"),
    (r"\bepochs \d+", "epochs 1"),
]


def cut(text: str) -> str:
    """A block with the numbers of prompts, seeds, steps and epochs made small."""
    for pattern, small in CUT:
        assert re.search(pattern, README), f"README.md has nothing of {pattern} to cut"
        text = re.sub(pattern, small, text)
    return text


def run_python(block: str, names: dict[str, object]) -> None:
    exec(compile(block, "README.md", "exec"), names)


def run_shell(block: str) -> None:
    """`noisekit` through its entry point in this process, since starting one costs seconds; other lines in a shell."""
    for line in block.replace("\\\n", " ").splitlines():
        program, *arguments = shlex.split(line, comments=True) or [""]
        if program == "noisekit":
            from noisekit.cli import main

            assert main(arguments) == 0, f"README.md: {line}"
        elif program not in ("make", ""):
            subprocess.run(["bash", "-c", line], check=True, stdin=subprocess.DEVNULL)


def test_every_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {language for language, _ in BLOCKS} == {"bash", "python", "yaml"}
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "readme"}
    for language, text in BLOCKS:
        block = cut(text)
        if language == "python":
            run_python(block, names)
        elif language == "yaml":
            name = block.partition("\n")[0].removeprefix("# ")
            Path(name).write_text(block, encoding="utf-8")
        else:
            run_shell(block)
    assert (tmp_path / "runs/first/report.html").is_file()
    assert (tmp_path / "pictures/circle.png").is_file()


def test_every_link_leads_somewhere() -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if "://" not in target]
    missing = [target for target in targets if not (ROOT / target.split("#")[0]).exists()]
    assert targets
    assert not missing


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)

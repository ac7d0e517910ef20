"""How soon a command answers.

    python benchmarks/start.py [--rounds 3]

Each line is a process of its own, and all of them take turns. Seconds of the processor, the least of the rounds, since what
else a machine does only adds to it; and the ratio to what no comparison can do without: importing torch and diffusers, and
loading the pipeline of `tiny`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from noisekit.paths import BUNDLED

LOADING = f"import torch; from diffusers import StableDiffusionPipeline as P; P.from_pretrained({str(BUNDLED / 'tiny')!r})"
ONE = "compare --models tiny --methods standard --limit 1 --store STORE/new"

#: What is typed after `noisekit`; STORE is a folder with a finished run, `run`, and room for others.
COMMANDS = [
    "--help",
    "list methods",
    "list metrics",
    "list rewards",
    "list models",
    "list prompts",
    "plan new",
    "plan schema",
    "status STORE/run",
    "pick STORE/run --calls 100",
    "export STORE/run -o STORE/rows.csv",
    "report STORE/run",
    f"{ONE} --metrics truth --no-report",
    f"{ONE} --metrics truth",
    f"{ONE} --no-report",
    ONE,
]


def seconds(*command: str) -> float:
    """Of the processor, for a process that must succeed, in an empty folder."""
    before = os.times()
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(command, cwd=empty, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def measured(rounds: int, commands: list[str]) -> dict[str, float]:
    """By command, and "" for the loading alone."""
    found: dict[str, list[float]] = {}
    noisekit = [sys.executable, "-c", "import sys; from noisekit.cli import main; sys.exit(main())"]
    with tempfile.TemporaryDirectory() as home:
        store = Path(home)
        run = f"compare --models tiny-turbo --methods best_of(n=4) --limit 6 --no-report --store {store / 'run'}"
        seconds(*noisekit, *run.split())
        for number in range(rounds):
            found.setdefault("", []).append(seconds(sys.executable, "-c", LOADING))
            for command in commands:
                typed = command.replace("STORE/new", f"{store / 'new'}{number}{len(found)}").replace(
                    "STORE", home
                )
                found.setdefault(command, []).append(seconds(*noisekit, *typed.split()))
    return {command: min(times) for command, times in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--commands", nargs=argparse.REMAINDER, default=COMMANDS, help="only these, each in quotes"
    )
    given = parser.parse_args()
    found = measured(given.rounds, given.commands)
    base = found.pop("")
    print(f"the least of {given.rounds} rounds; load average at their end: {os.getloadavg()[0]:.1f}\n")
    print("| `noisekit …` | seconds of the processor | over the loading alone |\n| --- | --- | --- |")
    print(f"| (torch, diffusers and the pipeline alone) | {base:.2f} | 1 |")
    for command, least in found.items():
        print(f"| `{command.replace('STORE/', '')}` | {least:.2f} | {least / base:.2f} |")


if __name__ == "__main__":
    main()

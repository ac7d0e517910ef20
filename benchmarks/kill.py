"""Kill a run again and again, and see whether its rows are those of one that was left alone.

    python benchmarks/kill.py [--kills 20]

A plan of 200 cells on `tiny` runs in a process that gets SIGKILL at a random moment after its first row, and is started
again on the same store until it was killed so many times; then it may finish. Where it finishes earlier, another store is
begun. Prints what the kills left behind, and whether every image and every score is there, once, with the values of an
unbroken run.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import yaml

import noisekit as nk
from noisekit.store.store import Store

PLAN = {
    "models": ["tiny"],
    "methods": ["inversion"],
    "prompts": "tiny",
    "limit": 50,
    "seeds": 2,
    "metrics": ["truth", "clip_score"],
    "settings": {"steps": 2},
    "batch": 4,
}
CELLS = 200
COMMAND = [sys.executable, "-c", "import sys; from noisekit.cli import main; sys.exit(main())", "run"]
#: What depends on the moment and the machine.
LOOSE = ["seconds", "batch", "peak_memory"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    moments = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.yaml"
        plan.write_text(yaml.safe_dump(PLAN))
        whole = Path(folder) / "whole"
        finish(plan, whole)
        kills, runs = 0, 0
        while kills < given.kills:
            store = Path(folder) / f"killed-{runs}"
            own = 0
            while kills < given.kills and killed(plan, store, moments):
                kills, own = kills + 1, own + 1
                print(f"kill {kills}: {left(store)}", flush=True)
            finish(plan, store)
            runs += 1
            print(f"run {runs}, killed {own} times: {compared(store, whole)}", flush=True)


def start(plan: Path, store: Path) -> subprocess.Popen[bytes]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*COMMAND, str(plan), "--store", str(store)], **quiet)  # type: ignore[call-overload]


def finish(plan: Path, store: Path) -> None:
    code = start(plan, store).wait()
    if code:
        raise SystemExit(f"the run ended with {code}")


def killed(plan: Path, store: Path, moments: random.Random) -> bool:
    """Kill a run within a second after its first row; whether it was not done before."""
    before = bytes_of(store)
    process = start(plan, store)
    while process.poll() is None and bytes_of(store) == before:
        time.sleep(0.001)
    time.sleep(moments.uniform(0, 0.7))
    process.kill()
    return process.wait() < 0


def bytes_of(store: Path) -> int:
    return sum(file.stat().st_size for file in (store / "rows").glob("*.jsonl"))


def left(store: Path) -> str:
    """What a kill left behind."""
    rows = Store.read(store).lines("rows")
    files = [file.read_bytes() for file in store.glob("*/*.jsonl")]
    cut = sum(bool(content) and not content.endswith(b"\n") for content in files)
    ids = {row["id"] for row in rows}
    unscored = len(ids) - len(nk.load_run(store).frame().dropna(subset=["truth"])) if rows else 0
    orphans = sum(file.stem not in ids for file in (store / "images").glob("*.png"))
    parts = len(list(store.glob("*/.*")))
    return f"{len(rows)} rows, {unscored} not scored, {orphans} images without a row, {parts} part files, {cut} cut lines"


def compared(store: Path, whole: Path) -> str:
    """Whether nothing is lost, nothing is there twice, and all values are those of the unbroken run."""
    rows = [row["id"] for row in Store.read(store).lines("rows")]
    scores = [row["score_id"] for row in Store.read(store).lines("scores")]
    one, other = (table(path) for path in (store, whole))
    same = one.equals(other)
    if not same:
        pd.testing.assert_frame_equal(one, other, rtol=1e-5)
    return (
        f"{len(rows)} rows of {CELLS} ({len(rows) - len(set(rows))} twice), {len(scores)} scores of "
        f"{CELLS * len(PLAN['metrics'])} ({len(scores) - len(set(scores))} twice), values "
        f"{'identical to' if same else 'within 1e-5 of'} the unbroken run's"
    )


def table(store: Path) -> pd.DataFrame:
    frame = nk.load_run(store).frame().drop(columns=LOOSE)
    return frame.sort_values(["method", "prompt", "seed"], ignore_index=True)


if __name__ == "__main__":
    main()

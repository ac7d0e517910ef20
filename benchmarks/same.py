"""Whether two revisions of noisekit give the same noises, images and scores.

    python benchmarks/same.py 37a1d0d            # that commit against the working tree
    python benchmarks/same.py 37a1d0d HEAD~3     # two commits

A fixed set runs at each revision in a process of its own, by the public names alone: every method for two prompts and two
seeds on `tiny` or `tiny-turbo`, a comparison that stores and scores its images, and the scores of its folder of pictures.
Methods and settings of models that the earlier revision does not know are left out. Noises and images are compared as
tensors, tables as numbers. Prints one line an item, names the methods whose version rose,
and exits with 1 where anything differs by more than --tolerance.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROMPTS = ["a red circle to the left of a blue square", "two green triangles"]
REWARDS = "rewards='hps:5 + clip_score:0.01', weights='tiny'"

METHODS = {
    "tiny": [
        "standard",
        "selection(candidates=3, round_trip_steps=2)",
        "selection(candidates=3, round_trip_steps=2, pick='unstable', pool='paper')",
        "cosine(steps=2, round_trip_steps=2)",
        "cosine(steps=2, round_trip_steps=2, update='backprop', renormalise=True)",
        "cosine(steps=2, round_trip_steps=2, update='fixed_point', solver='euler')",
        "inversion",
        "inversion(variant='released', times=2)",
        "repaint",
        "npnet",
        "golden_seeds",
        f"best_of(n=3, {REWARDS})",
        f"random_search(steps=2, {REWARDS})",
        f"zero_order(steps=1, neighbours=2, {REWARDS})",
        "transfer(golden_seeds, model='tiny-turbo')",
        "pink",
        "low_band",
        "initno(rounds=2, iterations=2, more=1)",
        f"pcn(steps=2, {REWARDS})",
        f"trs(warm_up=2, rounds=1, proposals=2, regions=2, {REWARDS})",
        f"ses(generations=2, samples=2, elites=2, {REWARDS})",
    ],
    "tiny(eta=1.0)": [
        "standard",
        f"fk(particles=3, {REWARDS})",
        f"das(particles=2, alpha=1.0, {REWARDS})",
        f"dno(steps=1, orders=2, {REWARDS})",
        f"evosearch(populations='3 2 2 2 2', elites=1, {REWARDS})",
        f"rbf(evaluations=12, initial=3, {REWARDS})",
    ],
    "tiny-turbo": [
        "standard",
        f"reno(steps=3, {REWARDS})",
        f"reno(steps=3, ball='heavy', clip=1.0, {REWARDS})",
        f"then(npnet, reno(steps=2, {REWARDS}))",
        f"best_of(reno(steps=2, {REWARDS}), n=2, {REWARDS})",
    ],
}
COMPARED = ["inversion", "best_of(n=2)"]
METRICS = ["hps", "pick_score", "image_reward", "mps", "clip_score", "aesthetic", "truth"]


def work(folder: Path) -> None:
    """Run the fixed set with whatever noisekit is on the path, and leave tensors and tables in a folder."""
    import torch
    from safetensors.torch import save_file

    import noisekit as nk
    from noisekit.cli import main as command
    from noisekit.errors import NoisekitError

    torch.set_num_threads(1)
    tensors, versions = {}, {}
    for name, methods in METHODS.items():
        try:
            model = nk.load_model(name)
        except NoisekitError as reason:
            print(f"left out: {reason}", file=sys.stderr)
            continue
        for text in methods:
            try:
                method = nk.load_method(text)
            except NoisekitError as reason:
                print(f"left out: {reason}", file=sys.stderr)
                continue
            result = method(model, PROMPTS, seeds=[0, 1])
            versions[text] = type(method).version
            tensors[f"{name} {text} noise"] = result.noise.contiguous()
            tensors[f"{name} {text} image"] = result.images.contiguous()
            if getattr(result, "injected", None) is not None:
                tensors[f"{name} {text} injected"] = result.injected.contiguous()
            if result.score is not None:
                tensors[f"{name} {text} score"] = result.score.contiguous()
    save_file(tensors, folder / "tensors.safetensors")
    (folder / "versions.json").write_text(json.dumps(versions))
    run = nk.compare(
        ["tiny"], COMPARED, "tiny", limit=3, seeds=2, metrics=METRICS, store=folder / "store", progress=False
    )
    frame = run.frame().sort_values(["method", "prompt", "seed"])
    frame[["method", "prompt", "seed", *METRICS, "noise_cosine", "calls"]].to_csv(
        folder / "rows.csv", index=False
    )
    pictures = folder / "pictures"
    pictures.mkdir()
    prompts = []
    for i, row in enumerate(frame.to_dict("records")[:6]):
        (pictures / f"{i}.png").write_bytes((folder / "store" / row["image"]).read_bytes())
        prompts.append(row["prompt"])
    (folder / "prompts.txt").write_text("\n".join(prompts) + "\n")
    arguments = ["--prompts", str(folder / "prompts.txt"), "--weights", "tiny", "--metrics", "hps,aesthetic"]
    if command(["score", str(pictures), *arguments, "-o", str(folder / "scores.csv")]):
        raise SystemExit("score failed")


def ran(revision: str | None, folder: Path) -> Path:
    """The folder of what the fixed set left at a revision, or in the working tree."""
    tree, out = ROOT, folder / (revision or "tree")
    out.mkdir()
    if revision is not None:
        tree = folder / f"{revision}-code"
        subprocess.run(
            ["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", tree, revision], check=True
        )
    try:
        environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(Path(__file__).resolve()), "--work", str(out)]
        subprocess.run(command, cwd=tree, env=environment, check=True, stdout=sys.stderr)
    finally:
        if revision is not None:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=True)
    return out


def differences(one: Path, other: Path) -> dict[str, float]:
    """By item the largest absolute difference; infinite where an item is missing or of another shape."""
    import numpy as np
    import pandas as pd
    from safetensors.torch import load_file

    found: dict[str, float] = {}
    first, second = (load_file(folder / "tensors.safetensors") for folder in (one, other))
    for name in sorted(first):
        a, b = first[name], second.get(name)
        same = b is not None and a.shape == b.shape
        found[name] = float((a - b).abs().max()) if same else np.inf  # type: ignore[operator, union-attr]
    for table in ("rows.csv", "scores.csv"):
        a, b = (pd.read_csv(folder / table) for folder in (one, other))
        for column in a.columns:
            left, right = a[column], b.get(column)
            if right is None or len(left) != len(right):
                found[f"{table} {column}"] = np.inf
            elif pd.api.types.is_numeric_dtype(left):
                found[f"{table} {column}"] = float((left - right).abs().max())
            else:
                found[f"{table} {column}"] = 0.0 if list(left) == list(right) else np.inf
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", nargs="?", default="HEAD", help="a commit")
    parser.add_argument("after", nargs="?", help="another one; the working tree where it is left out")
    parser.add_argument(
        "--tolerance", type=float, default=0.0, help="the largest difference that counts as none"
    )
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work is not None:
        work(given.work)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        one, other = ran(given.before, Path(folder)), ran(given.after, Path(folder))
        found = differences(one, other)
        before, after = (json.loads((place / "versions.json").read_text()) for place in (one, other))
    for name, difference in found.items():
        print(f"{'same' if difference <= given.tolerance else 'DIFFERS':8}{difference:<12.3g}{name}")
    for text in (text for text in before if before[text] != after.get(text)):
        print(f"version {before[text]} → {after.get(text)}: {text}")
    wrong = sum(difference > given.tolerance for difference in found.values())
    print(f"{len(found) - wrong} of {len(found)} items are the same")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())

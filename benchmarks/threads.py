"""What threads are worth: a comparison on the tiny world, and one call of denoisers of growing size, on idle and busy cores.

    python benchmarks/threads.py [--threads 1,2,4,8] [--repeats 3]

Every number of threads is given by OMP_NUM_THREADS to a process of its own; "own choice" leaves it to noisekit. All take
turns, and the least of the repeats counts. Busy means beside as many endless loops as the machine has cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from noisekit.threads import VARIABLES

#: The comparison: 3 prompts, one image a call.
COMPARISON = "compare --model tiny-turbo --methods reno,best_of --prompts tiny --limit 3 --calls 30 --store"

#: Denoisers: widths of the two levels, side of the latents. Heads have 32 channels.
NETWORKS = {"tiny's": ((64, 96), 8), "medium": ((128, 256), 32), "large": ((320, 640), 64)}

#: One call of each denoiser on one sample, in seconds, and its parameters.
CALLS = """
import json, time, torch
from diffusers import UNet2DConditionModel
from noisekit.threads import fitting
found = {}
for name, (widths, side) in json.loads('''%s''').items():
    network = UNet2DConditionModel(
        sample_size=side, block_out_channels=widths, layers_per_block=1, cross_attention_dim=128, norm_num_groups=16,
        attention_head_dim=[width // 32 for width in widths],
        down_block_types=["CrossAttnDownBlock2D"] * 2, up_block_types=["CrossAttnUpBlock2D"] * 2,
    ).eval()
    parameters, seconds = sum(tensor.numel() for tensor in network.parameters()), []
    inputs = torch.randn(1, 4, side, side), 500, torch.randn(1, 18, 128)
    with torch.no_grad(), fitting(parameters):
        for _ in range(6):
            start = time.perf_counter()
            network(*inputs)
            seconds.append(time.perf_counter() - start)
    found[name] = [parameters, sorted(seconds[1:])[2]]
print(json.dumps(found))
"""


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many processes busy."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def environment(threads: int | None) -> dict[str, str]:
    """This process's, with so many threads; None: with nobody's choice."""
    free = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return free | ({} if threads is None else {"OMP_NUM_THREADS": str(threads), "MKL_DYNAMIC": "FALSE"})


def comparison(threads: int | None) -> Mapping[str, float]:
    """Seconds of the comparison from the command line, start-up and report included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-c",
            "from noisekit.cli import main; main()",
            *COMPARISON.split(),
            f"{folder}/run",
        ]
        start = time.perf_counter()
        subprocess.run(command, env=environment(threads), check=True, capture_output=True)
        return {"comparison": time.perf_counter() - start}


def calls(threads: int | None) -> Mapping[str, float]:
    """Milliseconds of one call of each denoiser."""
    done = subprocess.run(
        [sys.executable, "-c", CALLS % json.dumps(NETWORKS)],
        env=environment(threads),
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)
    return {f"{name}, {size / 1e6:.3g} M": 1000 * seconds for name, (size, seconds) in found.items()}


def table(
    measure: Callable[[int | None], Mapping[str, float]], chosen: list[int | None], repeats: int
) -> None:
    """Print the least of `repeats` measurements by number of threads, idle and busy."""
    cores = os.cpu_count() or 1
    found: dict[tuple[str, int, int | None], float] = {}
    for others in (0, cores):
        for _ in range(repeats):
            for threads in chosen:
                with busy(others):
                    for name, value in measure(threads).items():
                        key = name, others, threads
                        found[key] = min(value, found.get(key, value))
    heads = ["own choice" if threads is None else f"{threads}" for threads in chosen]
    print(f"\n| threads | cores | {' | '.join(heads)} |\n| --- | --- |{' --- |' * len(heads)}")
    for name, others in dict.fromkeys((name, others) for name, others, _ in found):
        row = " | ".join(f"{found[name, others, threads]:.3g}" for threads in chosen)
        print(f"| {name} | {'busy' if others else 'idle'} | {row} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", default="1,2,4,8")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    chosen: list[int | None] = [None, *map(int, given.threads.split(","))]
    print(f"{os.cpu_count()} cores; seconds of `noisekit {COMPARISON.removesuffix(' --store')}`")
    table(comparison, chosen, given.repeats)
    print("\nmilliseconds of one call of a denoiser, and its parameters")
    table(calls, chosen, given.repeats)


if __name__ == "__main__":
    main()

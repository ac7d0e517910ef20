"""What threads are worth: a search on the tiny world, and one call of denoisers of growing size, on idle and busy cores.

    python benchmarks/threads.py [--threads 1,2,4,8] [--rounds 3]

Every number of threads is given by OMP_NUM_THREADS to a process of its own; "own" leaves the choice to noisekit. The
processes are started once, and take turns: in every round each does all pieces of work alone, then beside as many endless
loops as the machine has cores. The table gives medians over the rounds, in milliseconds by the clock and (in brackets) of
the processor.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from noisekit.threads import SMALL, VARIABLES

#: Denoisers by their widths on two levels and the side of their latents: heads have 32 channels.
NETWORKS = [
    ((64, 96), 8),
    ((96, 192), 16),
    ((128, 256), 32),
    ((192, 384), 32),
    ((256, 512), 32),
    ((320, 640), 32),
]

#: A worker: it does the piece of work whose number it reads, and answers with seconds by the clock and of the processor.
WORKER = """
import json, sys, time
import torch
from diffusers import UNet2DConditionModel
import noisekit as nk
from noisekit.threads import fitting

model = nk.load_model("tiny-turbo")
methods = [nk.load_method("best_of(n=8)"), nk.load_method("reno(steps=3)")]
prompts = list(nk.load_prompts("tiny", 3))

def search():
    for method in methods:
        method(model, [prompt.text for prompt in prompts])

def denoiser(widths, side):
    network = UNet2DConditionModel(
        sample_size=side, block_out_channels=widths, layers_per_block=1, cross_attention_dim=128, norm_num_groups=16,
        attention_head_dim=[width // 32 for width in widths],
        down_block_types=["CrossAttnDownBlock2D"] * 2, up_block_types=["CrossAttnUpBlock2D"] * 2,
    ).eval()
    parameters = sum(tensor.numel() for tensor in network.parameters())
    inputs = torch.randn(1, 4, side, side), 500, torch.randn(1, 18, 128)
    def call():
        with torch.no_grad(), fitting(parameters):
            network(*inputs)
    return f"a call of {parameters / 1e6:.3g} M parameters", call

pieces = [("a search on tiny-turbo", search)]
pieces += [denoiser(tuple(widths), side) for widths, side in json.loads(sys.argv[1])]
for _, work in pieces:
    work()  # what only the first call costs
print(json.dumps([name for name, _ in pieces]), flush=True)
for line in sys.stdin:
    work = pieces[int(line)][1]
    repeats = 1 if int(line) == 0 else 2
    clock, processor = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        work()
    found = time.perf_counter() - clock, time.process_time() - processor
    print(json.dumps([seconds / repeats for seconds in found]), flush=True)
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


class Worker:
    """A process with so many threads; None: with nobody's choice."""

    def __init__(self, threads: int | None) -> None:
        free = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        chosen = {} if threads is None else {"OMP_NUM_THREADS": str(threads), "MKL_DYNAMIC": "FALSE"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, json.dumps(NETWORKS)],
            env=free | chosen,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.pieces: list[str] = self._read()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()

    def do(self, piece: int) -> tuple[float, float]:
        """Seconds by the clock and of the processor."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{piece}\n")
        self.process.stdin.flush()
        clock, processor = self._read()
        return clock, processor

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a worker has died; run its code alone to see why")
        return json.loads(line)


def measured(workers: Sequence[Worker], cores: int, rounds: int) -> dict[tuple[int, int, int], list[Any]]:
    """By piece, loops beside it and worker: what it took in every round."""
    found: dict[tuple[int, int, int], list[Any]] = {}
    for _ in range(rounds):
        for loops in (0, cores):
            with busy(loops):
                for piece in range(len(workers[0].pieces)):
                    for number, worker in enumerate(workers):
                        found.setdefault((piece, loops, number), []).append(worker.do(piece))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", default="1,2,4,8")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    chosen: list[int | None] = [*map(int, given.threads.split(",")), None]
    cores = os.cpu_count() or 1
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(threads)) for threads in chosen]
        load = os.getloadavg()[0]
        found = measured(workers, cores, given.rounds)
    print(
        f"{cores} cores; one thread below {SMALL / 1e6:g} M parameters; medians of {given.rounds} rounds; load average "
        f"when they began: {load:.1f}\n"
    )
    heads = ["own" if threads is None else f"{threads}" for threads in chosen]
    print(f"| ms by the clock (of the processor) | cores | {' | '.join(heads)} |")
    print(f"| --- | --- |{' --- |' * len(heads)}")
    for piece, name in enumerate(workers[0].pieces):
        for loops in (0, cores):
            row = []
            for number in range(len(workers)):
                clock, processor = (
                    1000 * statistics.median(seconds)
                    for seconds in zip(*found[piece, loops, number], strict=True)
                )
                row.append(f"{clock:.3g} ({processor:.3g})")
            print(f"| {name} | {'busy' if loops else 'idle'} | {' | '.join(row)} |")


if __name__ == "__main__":
    main()

"""How well an inversion can be undone: relative error of the latents after denoise, invert, denoise.

    python benchmarks/inversion.py

prints the table of benchmarks/README.md as Markdown, for DDIM on the tiny world's v-predicting network.
"""

from __future__ import annotations

import torch

import noisekit as nk
from noisekit.noise import NoiseSource
from noisekit.solvers import DDIM, Solver
from noisekit.world import suite

PROMPTS = list(suite()[200:225])
SEED = 100
SOLVERS: dict[str, Solver] = {
    "told": DDIM(),
    "state, as diffusers": DDIM(read_at="state"),
    "current timestep": DDIM(evaluate_at="current"),
}


def main() -> None:
    print(f"| steps, guidance | {' | '.join(SOLVERS)} |\n| {' | '.join(['---'] * (len(SOLVERS) + 1))} |")
    for steps in (4, 8, 16, 50):
        for guidance in (1.0, 3.0):
            errors = [f"{undone(solver, steps, guidance):.3f}" for solver in SOLVERS.values()]
            print(f"| {steps}, {guidance:g} | {' | '.join(errors)} |", flush=True)


@torch.no_grad()
def undone(solver: Solver, steps: int, guidance: float) -> float:
    """‖z′ − z‖ / ‖z‖ of latents z and what denoising their inverted noise gives, over the whole batch."""
    model = nk.load_model("tiny")
    grid, conditioning = model.grid(steps), model.encode(PROMPTS)
    noise = NoiseSource(model.noise_shape, PROMPTS, [SEED] * len(PROMPTS)).initial

    def u(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return model.predict(x, t, conditioning, guidance)

    latents = solver.denoise(u, noise, grid)
    again = solver.denoise(u, solver.invert(u, latents, grid), grid)
    return ((again - latents).norm() / latents.norm()).item()


if __name__ == "__main__":
    main()

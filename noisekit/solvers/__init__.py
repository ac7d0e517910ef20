"""Time grids and their steps, there and back. Solvers know no models: they take a denoise callable."""

from noisekit.solvers.base import Denoiser, EulerAt, EvaluateAt, Grid, ReadAt, Solver
from noisekit.solvers.ddim import DDIM
from noisekit.solvers.diffusion import DiffusionGrid, sampler_grid, scheduler_grid
from noisekit.solvers.dpm import DPMSolver
from noisekit.solvers.euler import Euler
from noisekit.solvers.flow import FlowGrid, flow_grid, shift_for
from noisekit.solvers.stochastic import injected_deviation, noisy_step

#: The solvers by the name that methods take.
SOLVERS: dict[str, type[Solver]] = {"ddim": DDIM, "dpm": DPMSolver, "euler": Euler}

__all__ = [
    "DDIM",
    "SOLVERS",
    "DPMSolver",
    "Denoiser",
    "DiffusionGrid",
    "Euler",
    "EulerAt",
    "EvaluateAt",
    "FlowGrid",
    "Grid",
    "ReadAt",
    "Solver",
    "flow_grid",
    "injected_deviation",
    "noisy_step",
    "sampler_grid",
    "scheduler_grid",
    "shift_for",
]

"""Every ready plan runs to its end on the tiny world, on a prompt of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from noisekit.comparison.compare import run_plan
from noisekit.plan.plan import load_plan
from noisekit.rewards import BUNDLED

PLANS = sorted((Path(__file__).resolve().parents[1] / "benchmarks" / "plans").glob("*.yaml"))

#: Keys whose lists are no grids, and are run whole.
WHOLE = {"methods", "metrics"}

#: Long searches are cut here: that a plan runs does not depend on how long.
SHORT = {"steps": 2, "candidates": 2, "round_trip_steps": 2, "n": 2}


@pytest.fixture(autouse=True)
def trained(tmp_path, monkeypatch):
    """A folder in which every artefact that a plan names is the bundled one."""
    monkeypatch.chdir(tmp_path)
    for path in PLANS:
        for line in path.read_text(encoding="utf-8").splitlines():
            _, found, name = line.partition("- build/npnet/")
            if found:
                shutil.copytree(
                    BUNDLED / "npnet", f"build/npnet/{name.partition(' ')[0]}", dirs_exist_ok=True
                )


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_ready_plan_reads_and_says_what_it_is_for(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    plan = load_plan(path)
    assert len(plan.models) * len(plan.methods) * len(plan.budgets) > 1
    assert sum(1 for line in text.splitlines() if line.startswith("models:")) == 1


#: One of each kind of plan but transfer, which a paper's table is; the others run with --slow.
USUAL = ("head_to_head_one_step", "npnet_parts", "reno_rewards", "skills")


@pytest.mark.parametrize(
    "path",
    [path if path.stem in USUAL else pytest.param(path, marks=pytest.mark.slow) for path in PLANS],
    ids=lambda path: path.stem,
)
def test_a_ready_plan_completes_at_reduced_size(path, tmp_path):
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    given["prompts"] = {**given["prompts"], "limit": 1}
    metric = "ssim" if given["prompts"]["suite"] == "turntable" else "truth"
    given = {"budget": {"candidates": 2}} | given | {"seeds": 1, "metrics": [metric]}
    plan = load_plan(shortened(given))
    run = run_plan(plan, store=tmp_path / "run", progress=False, strict=True)
    frame = run.frame()
    jobs = frame.groupby(["model", "method"]).size()
    assert (jobs == 1).all()
    assert len(jobs) >= len(plan.models) * len(plan.methods)
    assert frame[metric].notna().all()
    assert run.failures().empty


def shortened(value, inside_grid=False):
    """A plan with the ends of every grid, and numbers of steps, candidates and runs as in `SHORT`."""
    if isinstance(value, dict):
        return {
            key: cut(value[key], SHORT[key]) if key in SHORT else shortened(value[key], key not in WHOLE)
            for key in value
        }
    if isinstance(value, list):
        return [shortened(item) for item in (ends(value) if inside_grid else value)]
    return value


def ends(listed):
    return [listed[0], listed[-1]] if len(listed) > 2 else listed


def cut(value, most):
    if isinstance(value, list):
        return list(range(1, min(len(value), most) + 1))
    return min(value, most) if isinstance(value, int) else value


def test_the_plans_cover_what_was_published():
    assert {path.stem for path in PLANS} >= {
        *("head_to_head", "head_to_head_one_step", "selection_candidates", "cosine_steps", "cosine_rules"),
        *("reno_rewards", "reno_iterations", "reno_colour", "optimisers", "transfer"),
        *("npnet_seeds", "npnet_guidance", "npnet_samplers", "npnet_parts", "npnet_training"),
        *("steps_as_an_arm", "noise_analysis", "skills", "search_scaling"),
    }

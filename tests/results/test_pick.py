"""Picking a method for a budget, on runs whose best method is known."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

import noisekit as nk
from noisekit.cli import main
from noisekit.errors import BadValue
from noisekit.results.curves import costs
from noisekit.results.pick import pick
from noisekit.store.manifest import hardware
from noisekit.store.store import Store
from noisekit.types import Arm, Budget
from tests.results.curved import CALL, Known, write_run

ROOT = Path(__file__).resolve().parents[2]

#: A fast search that levels off, a slow one that ends higher, one that hurts, and one that changes nothing.
METHODS = {
    "standard": Known({1: 0.0}, 1),
    "best_of(n=20)": Known({1: 0.0, 2: 0.1, 5: 0.2, 10: 0.2, 20: 0.2}, 1),
    "reno(steps=20)": Known({1: 0.0, 2: 0.05, 5: 0.25, 10: 0.4, 20: 0.4}, 3),
    "selection": Known({1: -0.3}, 8),
    "npnet": Known({1: 0.0}, 1),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("known") / "run", METHODS)


@pytest.mark.parametrize(
    ("calls", "best"),
    [
        (1, "standard"),
        (2, "best_of(n=20) @ 2 candidates"),
        (5, "best_of(n=20) @ 5 candidates"),
        (15, "reno(steps=20) @ 5 candidates"),
        (30, "reno(steps=20) @ 10 candidates"),
    ],
)
def test_the_best_within_the_budget_is_picked(run, calls, best):
    choice = pick(run, calls=calls)
    assert choice.method == best
    assert choice.calls <= calls
    assert choice.prompts == (60 if choice.settings > 1 else 0)
    if best != "standard":
        truth = METHODS[choice.arm.method].quality[choice.arm.budget.candidates]
        assert choice.gain.low < truth < choice.gain.high
        assert choice.gain.low > 0
        assert choice.gain.method == "standard"


def test_what_twice_the_budget_and_the_runner_up_bring(run):
    choice = pick(run, calls=15)
    assert choice.doubled.method == "reno(steps=20) @ 10 candidates"
    assert choice.doubled.low < 0.15 < choice.doubled.high
    assert choice.runner_up.method.startswith("best_of")
    assert choice.runner_up.difference < 0
    assert pick(run, calls=31).doubled.method in ("reno(steps=20)",) or pick(run, calls=31).doubled is None


def test_a_runner_up_is_another_method_and_not_another_budget(tmp_path):
    methods = {"standard": Known({1: 0.0}, 1), "best_of": Known({1: 0.1}, 2)}
    methods |= {Arm("cosine", Budget(calls=calls)): Known({1: 0.01 * calls}, calls) for calls in (10, 20, 40)}
    choice = pick(write_run(tmp_path / "run", methods), calls=40)
    assert choice.method == "cosine @ 40 calls"
    assert choice.arm.budget == Budget(calls=40)
    assert choice.runner_up.method == "best_of"


def test_one_setting_is_all_that_fits(tmp_path):
    methods = {"standard": Known({1: 0.0}, 1), "best_of": Known({1: 0.1}, 2)}
    assert "it is all that fits the budget" in str(pick(write_run(tmp_path / "run", methods), calls=1))


def test_a_choice_can_be_run(run):
    choice = pick(run, calls=30)
    assert choice.arm.budget == Budget(candidates=10)


def test_nothing_told_from_standard_is_not_bought(tmp_path):
    """Forty settings of no effect: the highest of them flatters itself, and standard is taken."""
    methods = {"standard": Known({1: 0.0}, 1)} | {f"m{i}": Known({1: 0.0}, 2) for i in range(40)}
    run = write_run(tmp_path / "null", methods, prompts=30, spread=0.3, luck=1)
    means = run.frame().groupby("method")["truth"].mean()
    assert means.max() > means["standard"] + 0.03
    choice = pick(run, calls=2)
    assert (choice.method, choice.gain) == ("standard", None)
    assert not choice.runner_up.significant
    assert "nothing is told from it" in str(choice)


def test_optimised_metrics_are_no_evidence(tmp_path):
    methods = {
        "standard": Known({1: 0.0}, 1),
        "climber": Known({1: 0.5}, 1, optimised=["hps"]),
        "honest": Known({1: 0.2}, 1),
    }
    run = write_run(tmp_path / "run", methods, metrics=("hps", "truth", "mps"))
    with pytest.raises(BadValue, match=r"'hps' was optimised by climber .* judge by truth, mps"):
        pick(run, calls=1, metric="hps")
    assert pick(run, calls=1, metric="hps", allow_optimised=True).method == "climber"
    assert list(pick(run, calls=1).means) == ["truth", "mps"]
    with pytest.raises(BadValue, match=r"'hsp'.*hps"):
        pick(run, calls=1, metric="hsp")


def test_a_metric_added_later_judges_what_it_can(tmp_path):
    methods = {"standard": Known({1: 0.0}, 1), "best_of(n=5)": Known({1: 0.0, 2: 0.3, 5: 0.3}, 1)}
    run = write_run(tmp_path / "run", methods, metrics=("truth", "mps"), late=("mps",))
    early = pick(run, calls=2)
    assert early.method == "best_of(n=5) @ 2 candidates"
    assert any("mps judged some settings only" in note for note in early.notes)
    late = pick(run, calls=5, metric="mps")
    assert late.method == "best_of(n=5)"
    assert any("left out" in note for note in late.notes)


def test_a_checkpoint_costs_what_its_candidates_did(tmp_path):
    methods = {"standard": Known({1: 0.0}, 1), "m": Known({1: 0, 2: 0, 5: 0}, 4, ["hps"])}
    table = costs(write_run(tmp_path / "run", methods).curves()).set_index("method")
    assert list(table.index) == ["standard", "m", "m @ 1 candidates", "m @ 2 candidates"]
    assert table["expression"].tolist() == ["standard", "m", "m", "m"]
    assert table["calls"].tolist() == [1, 20, 4, 8]
    assert table["calls_reward"].tolist() == [0, 5, 1, 2]
    assert table.loc["m @ 2 candidates", "seconds"] == pytest.approx(8 * CALL)


def test_a_checkpoint_that_was_run_as_a_budget_stands_once(tmp_path):
    methods = {
        "standard": Known({1: 0.0}, 1),
        "m": Known({1: 0, 2: 0.1, 5: 0.1}, 1),
        Arm("m", Budget(candidates=2)): Known({2: 0.1}, 1),
    }
    table = write_run(tmp_path / "run", methods).curves()
    assert (table["method"] == "m @ 2 candidates").sum() == 120
    assert set(table.loc[table["method"] == "m @ 2 candidates", "search"]) == {"m @ 2 candidates"}


def test_steps_are_an_arm_and_models_are_not(tmp_path):
    """Standard at 4 steps is all that 4 calls buy; with 8 the model as its card has it is what others must beat."""
    methods = {"standard": Known({1: 0.0}, 8), "cosine": Known({1: 0.3}, 16)}
    few = {
        "standard": Known({1: -0.3}, 4, model="toy(steps=4)", model_name="toy"),
        "best_of(n=2)": Known({1: 0.2}, 8, model="toy(steps=4)", model_name="toy"),
    }
    folder = tmp_path / "run"
    write_run(folder, methods)
    run = write_run(folder, few)
    assert (pick(run, calls=4).model, pick(run, calls=4).method) == ("toy(steps=4)", "standard")
    eight = pick(run, calls=8)
    assert (eight.model, eight.method) == ("toy(steps=4)", "best_of(n=2)")
    assert (eight.gain.model, eight.gain.method) == ("toy", "standard")
    assert pick(run, calls=16).method == "cosine"
    assert pick(run, calls=16, model="toy(steps=4)").method == "best_of(n=2)"
    other = write_run(folder, {"standard": Known({1: 0.0}, 1, model="rival")})
    with pytest.raises(BadValue, match="several models; pick for one of toy, rival"):
        pick(other, calls=8)
    assert pick(other, calls=8, model="rival").model == "rival"


def calibrated(folder: Path, seconds: float, **changes) -> None:
    networks = {"encode": 1.0, "denoiser": seconds, "decoder": 0.5, "reward hps": 0.0, "reward mps": 0.2}
    row = {"model": "toy", "mode": "latency", "batch": 1, "hardware": hardware(), "seconds": networks}
    with Store.prepare(folder, "per_prompt") as store:
        store.append("calibrations", [row | changes])


def test_seconds_are_calibrated_ones_times_counts(tmp_path):
    methods = {
        "standard": Known({1: 0.0}, 1),
        "best_of(n=10)": Known({2: 0.1, 10: 0.2}, 1, optimised=["hps", "mps"]),
    }
    run = write_run(tmp_path / "run", methods)
    assert pick(run, seconds=3 * CALL).method == "best_of(n=10) @ 2 candidates"  # the run's own seconds
    calibrated(run.folder, 2.0)
    calibrated(run.folder, 9.0, hardware={"cpu": "another"})
    calibrated(run.folder, 7.0, mode="throughput", batch=8)
    run = nk.load_run(run.folder)
    quick = pick(run, seconds=5.8)
    # encode 1 + 2 denoiser calls of 2 + a decoder call of 0.5 + 2 rewards of 0.1 on average
    assert (quick.method, quick.seconds) == ("best_of(n=10) @ 2 candidates", pytest.approx(5.7))
    assert any("batch 1 on this machine" in note for note in quick.notes)
    assert pick(run, seconds=5.6).method == "standard"
    assert pick(run, seconds=11, device_scale=2.5).seconds == pytest.approx(2.5 * 3.5)
    assert pick(run, seconds=20, throughput=True).seconds == pytest.approx(1 + 14 + 0.5 + 0.2)


def test_a_calibration_that_lacks_a_network_is_refused(tmp_path):
    run = write_run(tmp_path / "run", {"standard": Known({1: 0.0}, 1, row={"calls_predictor": 1.0})})
    calibrated(run.folder, 1.0)
    with pytest.raises(BadValue, match=r"nothing of predictor evaluations"):
        pick(nk.load_run(run.folder), seconds=9)


def test_memory_rules_out_what_is_known_to_need_more(tmp_path):
    methods = {
        "standard": Known({1: 0.0}, 1, row={"peak_memory": 2**30}),
        "reno": Known({1: 0.3}, 1, row={"peak_memory": 3 * 2**30}),
        "best_of": Known({1: 0.1}, 1, row={"peak_memory": 2**30}),
    }
    run = write_run(tmp_path / "run", methods)
    assert pick(run, calls=1).method == "reno"
    assert pick(run, calls=1, memory=2 * 2**30).method == "best_of"
    with pytest.raises(BadValue, match=r"takes 1 calls and 0\.01 s an image, and 1 GiB"):
        pick(run, memory=2**29)


def test_preparation_is_told(tmp_path):
    methods = {"standard": Known({1: 0.0}, 1), "golden": Known({1: 0.2}, 1, row={"preparation": 2400.0})}
    choice = pick(write_run(tmp_path / "run", methods), calls=1)
    assert any("2400 calls were spent before its first image: 20 an image" in note for note in choice.notes)


@pytest.mark.parametrize(
    ("budget", "sentence"),
    [
        ({"calls": 0.5}, "not even standard sampling fits the budget: on toy it takes 1 calls"),
        ({"calls": -1}, "calls=-1 is not a positive number"),
        ({}, "no budget was given"),
        ({"seconds": 1, "device_scale": "auto"}, "no calibration of 'toy' to scale"),
        ({"calls": 1, "model": "toi"}, "'toi'"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(run, budget, sentence):
    with pytest.raises(BadValue, match=sentence):
        pick(run, **budget)


def test_too_few_prompts_in_common_are_refused(tmp_path):
    run = write_run(tmp_path / "run", {"standard": Known({1: 0.0}, 1), "m": Known({1: 0.0}, 1)}, prompts=1)
    with pytest.raises(BadValue, match="fewer than two prompts in common"):
        pick(run, calls=1)


def test_few_shared_seeds_give_no_interval_and_no_choice(tmp_path):
    folder = write_run(tmp_path / "run", METHODS).folder
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"per_prompt"', '"shared"'))
    said = str(pick(nk.load_run(folder), calls=30))
    assert "toy: standard" in said
    assert re.search(
        r"runner-up .*: \+0\.\d+ \(too few shared seeds for an interval\), not told apart$",
        said,
        re.MULTILINE,
    )
    assert "nan" not in said


def test_the_command(run, capsys):
    assert main(["pick", str(run.folder), "--calls", "30", "--metric", "truth", "--memory", "16GiB"]) == 0
    out = capsys.readouterr().out
    assert "toy: reno(steps=20) @ 10 candidates" in out
    assert "truth over standard: +0.4" in out
    assert "is unknown (a CPU does not tell)" in out
    assert main(["pick", str(run.folder), "--calls", "30", "--memory", "16 apples"]) == 2
    assert main(["pick", str(run.folder), "--calls", "30", "--device-scale", "fast"]) == 2
    errors = capsys.readouterr().err
    assert "'16 apples' is no amount of memory" in errors
    assert "'fast' is neither a positive number nor 'auto'" in errors


def test_regret_of_picks_on_other_prompts_is_small(tmp_path, monkeypatch):
    """The benchmark's own code on known curves: picks lose little, one method for all budgets loses more."""
    monkeypatch.syspath_prepend(str(ROOT))
    benchmark = importlib.import_module("benchmarks.pick")
    run = write_run(tmp_path / "run", METHODS, metrics=("truth", "mps"))
    found, budgets = benchmark.regrets(run, halves=3)
    assert budgets[0] == 1
    assert budgets[-1] == pytest.approx(60)
    mean = {name: np.mean(regret) for name, regret in found.items()}
    assert min(regret.min() for regret in found.values()) >= 0
    assert mean["pick, by truth"] < 0.02
    assert mean["pick, by held-out metrics without truth"] < 0.03
    assert mean["always best_of"] > 0.04
    assert mean["always standard"] > 0.15


def test_a_limit_of_equivalents_counts_what_rides_for_nothing_in_calls(tmp_path):
    spent = {"standard": 1.0, "npnet": 1.4, "best_of": 40.0}
    gains = {"standard": 0.0, "npnet": 0.2, "best_of": 0.4}
    methods = {
        name: Known({1: gains[name]}, 1, row={"equivalents": worth, "flops": 1e9 * worth})
        for name, worth in spent.items()
    }
    run = write_run(tmp_path / "run", methods)
    assert pick(run, calls=1).method == "best_of"
    choice = pick(run, equivalents=3)
    assert (choice.method, choice.equivalents) == ("npnet", pytest.approx(1.4))
    assert "1.4 denoiser equivalents" in str(choice)
    with pytest.raises(BadValue, match="or 1 denoiser equivalents"):
        pick(run, equivalents=0.5)


def test_settings_whose_operations_nobody_counted_are_left_out_of_such_a_limit(run, tmp_path):
    with pytest.raises(BadValue, match="operations of these images were not counted"):
        pick(run, equivalents=10)
    methods = {
        "standard": Known({1: 0.0}, 1, row={"equivalents": 1.0, "flops": 1e9}),
        "npnet": Known({1: 0.2}, 1),
    }
    choice = pick(write_run(tmp_path / "run", methods), equivalents=10)
    assert choice.method == "standard"
    assert "the operations of 1 settings are unknown: they are left out" in choice.notes

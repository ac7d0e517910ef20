"""The papers' claims: what is asked is what the plans run, and words follow Holm over all of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from noisekit.cli import main
from noisekit.evaluation.significance import holm
from noisekit.methods import load_method
from noisekit.models.outline import outline
from noisekit.papers import claims
from noisekit.papers.claims import Answer, Claim, answers, asked, results, write_answers
from noisekit.plan import load_plan
from tests.results.curved import Known, write_run

METHODS = ["best_of(n=2)", "inversion", "repaint", "npnet"]


def named(text: str, model: str = "tiny") -> str:
    return str(load_method(text).resolved(outline(model)))


@pytest.mark.parametrize("claim", asked()["claims"], ids=lambda claim: claim.id)
def test_what_is_asked_is_what_its_plan_runs(claim: Claim, root: Path) -> None:
    file = root / "benchmarks" / "plans" / "verdicts" / f"{claim.plan}.yaml"
    plan = load_plan(yaml.safe_load(file.read_text(encoding="utf-8")))
    assert claim.model in [source.outline().name for source in plan.models]
    run = {str(method.resolved(outline(claim.model))) for method in plan.methods}
    assert {named(text, claim.model) for text in (*claim.arm, *claim.against)} <= run
    assert claim.says
    assert claim.setting


def test_claims_are_named_once() -> None:
    names = [claim.id for claim in asked()["claims"]]
    assert len(set(names)) == len(names)
    assert asked()["metric"] == "truth"
    assert 0 < asked()["margin"] < 1


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Four claims of a run in which one arm is better, one is worse, one is as good, and one has no images."""
    gains = dict(zip(METHODS, (0.2, -0.2, 0.0), strict=False))
    known = {"standard": Known({1: 0.0}, 1, model="tiny")}
    known |= {named(text): Known({1: gain}, 1, model="tiny") for text, gain in gains.items()}
    run = write_run(tmp_path / "run", known, prompts=80, spread=0.1)
    own = tuple(
        Claim(text, "a paper", "it helps", "here", "made", "tiny", (text,), ("standard",)) for text in METHODS
    )
    pair = replace(own[0], id="pair", arm=("best_of(n=2)", "inversion"))
    monkeypatch.setattr(claims, "asked", lambda: {"metric": "truth", "margin": 0.05, "claims": (*own, pair)})
    return run


def test_words_follow_holm_over_all_that_was_asked(made) -> None:
    found = {one.id: one for one in answers({"made": made.frame()})}
    better, worse, same, lacking = (found[name] for name in METHODS)
    assert (better.verdict, worse.verdict, same.verdict) == ("confirmed", "refuted", "not told")
    assert (better.as_good, same.as_good) == (False, True)
    assert lacking == Answer("npnet", family=5)
    assert lacking.verdict == "not run"
    assert {one.family for one in found.values()} == {5}
    assert better.low < 0.2 < better.high
    assert (better.prompts, better.seeds) == (80, 2)
    tests = made.tests().set_index("method")["p"]
    raw = [tests[named(name)] for name in METHODS[:3]]
    d = np.mean([_differences(made, named(name)) for name in METHODS[:2]], axis=0)
    assert found["pair"].difference == pytest.approx(d.mean(), rel=1e-3)
    from noisekit.evaluation.intervals import estimate

    adjusted = holm([*raw, 1.0, estimate(d).p])
    for one, p in zip((better, worse, same, lacking, found["pair"]), adjusted, strict=True):
        assert one.p is None or one.p == pytest.approx(p, rel=0.01)


def _differences(run, method: str) -> np.ndarray:
    table = run.frame().pivot(index="prompt", columns=["method", "seed"], values="truth")
    return (table[method] - table["standard"]).to_numpy()


def test_nothing_that_was_not_run_is_told(made) -> None:
    assert {one.verdict for one in answers({})} == {"not run"}


def test_answers_come_back_as_they_were_written(made, tmp_path, monkeypatch) -> None:
    found = answers({"made": made.frame()})
    write_answers(found, tmp_path / "claims.json")
    monkeypatch.setattr(claims, "files", lambda package: tmp_path)
    assert [answer for _, answer in results()] == found
    (tmp_path / "claims.json").unlink()
    assert {answer.verdict for _, answer in results()} == {"not run"}


def test_the_shipped_answers_are_of_these_claims_and_the_command_prints_them(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "220")
    shipped = results()
    assert [claim for claim, _ in shipped] == list(asked()["claims"])
    assert {answer.family for _, answer in shipped} == {len(shipped)}
    assert main(["papers", "claims"]) == 0
    said = capsys.readouterr().out
    for claim, answer in shipped:
        assert claim.says.split()[0] in said
        assert answer.verdict in said
    assert f"all {len(shipped)} claims" in said

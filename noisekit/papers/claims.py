"""The papers' claims, asked of the tiny world: what was asked before the runs, and what came out.

    d            mean difference in the metric, of the mean over a claim's arms to the mean over what they are set against
    confirmed    d > 0 and p ≤ .05        refuted    d < 0 and p ≤ .05        not told    otherwise
    as good as   p of |d| ≥ margin at most .05 (`noisekit.evaluation.equivalence`)

Both p are Holm's over all the claims that were asked, whether they were run or not. What is asked stands in claims.yaml,
written before the runs; what came out in claims.json, which `benchmarks/verdicts.py` writes. Confirmed and refuted are words
about two models of 32 pixels at the setting named, and about nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import yaml

from noisekit.evaluation.equivalence import equivalence
from noisekit.evaluation.intervals import Array, Estimate, estimate
from noisekit.evaluation.power import detectable
from noisekit.evaluation.significance import holm
from noisekit.evaluation.statistics import grids, trimmed
from noisekit.files import read_json, write_json
from noisekit.methods import load_method
from noisekit.models.outline import outline
from noisekit.report.claims import p_value

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["confirmed", "refuted", "not told", "not run"]
FILE = "claims.json"
LEVEL = 0.05


@dataclass(frozen=True)
class Claim:
    """What a paper says, and how it was asked.

    Args:
        id: by which it is named.
        paper: whose claim it is.
        says: the claim.
        setting: at which it was asked.
        plan: of benchmarks/plans/verdicts.
        model: that made the images.
        arm: methods that should be better; their mean is taken.
        against: what they are set against, likewise.
    """

    id: str
    paper: str
    says: str
    setting: str
    plan: str
    model: str
    arm: tuple[str, ...]
    against: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What came out of a claim; figures are None where it was not run, or where too little is known.

    Args:
        id: of the claim.
        prompts: how many were asked.
        seeds: of each.
        difference: d.
        low: the lower end of its 95 % interval, for itself alone.
        high: the upper end.
        detectable: the true difference that a sample like this one tells from none with probability .8.
        p: after Holm.
        p_margin: that d is as large as the margin, after Holm.
        family: how many claims Holm adjusts for.
    """

    id: str
    prompts: int = 0
    seeds: int = 0
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    detectable: float | None = None
    p: float | None = None
    p_margin: float | None = None
    family: int = 0

    @property
    def verdict(self) -> Verdict:
        """The word for it."""
        if self.difference is None:
            return "not run"
        if self.p is None or self.p > LEVEL:
            return "not told"
        return "confirmed" if self.difference > 0 else "refuted"

    @property
    def as_good(self) -> bool:
        """Whether the two are told to be as good as each other, within the margin."""
        return self.p_margin is not None and self.p_margin <= LEVEL


@cache
def asked() -> Mapping[str, Any]:
    """What was written before the runs: metric, margin and claims."""
    with as_file(files("noisekit.papers") / "claims.yaml") as path:
        said: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    own = [Claim(**row | {key: tuple(row[key]) for key in ("arm", "against")}) for row in said["claims"]]
    return said | {"claims": tuple(own)}


def answers(frames: Mapping[str, pd.DataFrame]) -> list[Answer]:
    """What runs of the plans say of all claims.

    Args:
        frames: `Run.frame` by the plan's name; a claim whose plan is not among them, or whose arms have no images there,
            was not run.
    """
    claims: Sequence[Claim] = asked()["claims"]
    found = {
        claim.id: d for claim in claims if (d := _differences(claim, frames.get(claim.plan))) is not None
    }
    known = {name: estimate(d, shared=False) for name, d in found.items()}
    plain = _adjusted(claims, {name: one.p for name, one in known.items()})
    margin = _adjusted(claims, {name: equivalence(one, asked()["margin"]) for name, one in known.items()})
    return [
        _answer(claim.id, found[claim.id], known[claim.id], plain[claim.id], margin[claim.id], len(claims))
        if claim.id in found
        else Answer(claim.id, family=len(claims))
        for claim in claims
    ]


def _differences(claim: Claim, frame: pd.DataFrame | None) -> Array | None:
    """d (prompts, seeds) of a claim; None where an arm has no images."""
    if frame is None:
        return None
    own = frame[frame["model"] == claim.model]
    by_method = grids(own.assign(method=own["expression"]), [asked()["metric"]])
    sides = []
    for names in (claim.arm, claim.against):
        arms = [by_method.get(str(load_method(name).resolved(outline(claim.model)))) for name in names]
        if any(arm is None for arm in arms):
            return None
        sides.append(np.mean([arm[..., 0] for arm in arms if arm is not None], axis=0))
    d = trimmed(sides[0] - sides[1])
    return d if d.size else None


def _adjusted(claims: Sequence[Claim], p: Mapping[str, float]) -> dict[str, float]:
    """Holm's p of all claims; one that was not run, or of which too little is known, is a member that tells nothing."""
    members = [p.get(claim.id, 1.0) for claim in claims]
    adjusted = holm(np.nan_to_num(members, nan=1.0))
    return {claim.id: float(one) for claim, one in zip(claims, adjusted, strict=True)}


def _answer(name: str, d: Array, one: Estimate, p: float, margin: float, family: int) -> Answer:
    low, high = one.interval()
    told = {"difference": one.mean, "low": low, "high": high, "detectable": detectable(one)}
    figures = {key: float(f"{value:.4g}") if np.isfinite(value) else None for key, value in told.items()}
    p, margin = (float(f"{value:.3g}") for value in (p, margin))
    return Answer(name, len(d), d.shape[1], **figures, p=p, p_margin=margin, family=family)


def write_answers(found: Sequence[Answer], path: Path) -> None:
    """Write what came out, as `results` reads it."""
    write_json(path, {one.id: asdict(one) for one in found})


def results() -> list[tuple[Claim, Answer]]:
    """Every claim with what came out, as it ships with noisekit."""
    with as_file(files("noisekit.papers") / FILE) as path:
        written = read_json(path) if path.is_file() else {}
    claims: Sequence[Claim] = asked()["claims"]
    return [(claim, Answer(**written.get(claim.id, {"id": claim.id}))) for claim in claims]


#: Heads of the table of claims.
HEADS = ("claim", "asked of", "prompts × seeds", "difference [95 %]", "detectable", "p, Holm", "verdict")


def cells(claim: Claim, answer: Answer) -> tuple[str, ...]:
    """A claim as a line of the table; `HEADS` are above it."""
    about = (f"{claim.says} ({claim.paper})", f"{claim.model}: {claim.setting}")
    if answer.difference is None:
        return (*about, "", "", "", "", answer.verdict)
    interval = "" if answer.low is None else f" [{answer.low:+.3f}, {answer.high:+.3f}]"
    figures = (
        f"{answer.prompts} × {answer.seeds}",
        f"{answer.difference:+.3f}{interval}",
        "–" if answer.detectable is None else f"{answer.detectable:.3f}",
        "–" if answer.p is None else p_value(answer.p),
    )
    same = f"; as good as each other within {asked()['margin']}" if answer.as_good else ""
    return (*about, *figures, answer.verdict + same)


def legend() -> str:
    """What stands below the table."""
    return (
        f"differences in {asked()['metric']}; Holm's family: all {len(asked()['claims'])} claims, run or not; detectable: "
        "the true difference that such a sample tells from none in 80 of 100 experiments"
    )

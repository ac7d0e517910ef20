"""What a run says first: a sentence a model, with no word in it that does not survive Holm's adjustment.

    told          p of the mean difference to standard ≤ .05 after Holm over all comparisons of the model     see `claims`
    the gain      among those told as better, on the first metric in the tables' order that has one, the largest
    nearest       where none is told: the comparison that fewest prompts would tell, if it is as large as it looks

A method's own metric is in no claim, so that it is never what wins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from noisekit.report.claims import Claim, Claims, p_value
from noisekit.report.tables import Line, Ranking

Outcome = Literal["better", "worse", "open"]


@dataclass(frozen=True)
class Verdict:
    """A sentence about one model in two parts, so that what it is about can be set apart: "reno", "is better than …"."""

    model: str
    outcome: Outcome
    subject: str
    says: str

    def __str__(self) -> str:
        return f"{self.model}: {self.subject} {self.says}"


def verdicts(ranked: Ranking, found: dict[str, Claims]) -> list[Verdict]:
    """One a model, in the order of the tables; found: the claims of each, none where there was nothing to compare."""
    return [_verdict(model, lines, ranked, found.get(model)) for model, lines in ranked.models.items()]


def _verdict(model: str, lines: Sequence[Line], ranked: Ranking, found: Claims | None) -> Verdict:
    if found is None:
        others = [line for line in lines if not line.is_standard]
        lacking = "no metric has scored it beside standard" if others else "no other method was run beside it"
        return Verdict(model, "open", "Nothing", f"can be compared with standard yet: {lacking}.")
    told = [claim for claim in found.rows if claim.stands]
    gains = [claim for claim in told if claim.verdict == "better"]
    losses = [claim for claim in told if claim.verdict == "worse"]
    if gains:
        first = min(ranked.metrics.index(claim.metric) for claim in gains)
        own = [claim for claim in gains if claim.metric == ranked.metrics[first]]
        best = max(own, key=lambda claim: claim.figures["difference"])
        says = f"is better than standard in {_where(best, found)}: {_size(best)}, {_cost(best.line, lines)}"
        return Verdict(model, "better", best.line.label, says + _beside(best, gains, losses, ranked.truth))
    if losses:
        worst = min(losses, key=lambda claim: claim.figures["p_holm"])
        says = f"is worse than standard in {_where(worst, found)}: {_size(worst)}, {_cost(worst.line, lines)}"
        return Verdict(
            model, "worse", worst.line.label, f"{says}; no method is told from standard as better."
        )
    return Verdict(model, "open", "Nothing", f"can be told from standard{_wanting(found)}")


def _where(claim: Claim, found: Claims) -> str:
    return f"{claim.metric} on {claim.suite}" if len(found.suites) > 1 else claim.metric


def _size(claim: Claim) -> str:
    p, prompts = claim.figures["p_holm"], int(claim.figures["prompts"])
    text = p_value(p)
    return f"{claim.difference_text} over {prompts} prompts (p {'' if text[0] == '<' else '= '}{text} after Holm)"


def _cost(line: Line, lines: Sequence[Line]) -> str:
    counted = all(one.equivalents > 0 for one in lines)

    def spent(one: Line, unit: str = "") -> str:
        return f"{one.equivalents_text if counted else one.calls_text}{unit} and {one.seconds_text} s"

    standard = next(one for one in lines if one.is_standard)
    unit = " denoiser equivalents" if counted else " calls"
    return f"for {spent(line, unit)} an image instead of {spent(standard)}"


def _beside(best: Claim, gains: Sequence[Claim], losses: Sequence[Claim], truth: str | None) -> str:
    """What else is told of the same method, and of others."""
    parts = []
    worse = [claim for claim in losses if claim.line is best.line]
    if worse:
        parts.append("worse in " + " and ".join(f"{one.metric} ({one.difference_text})" for one in worse))
    if truth is not None and best.metric != truth and truth not in [one.metric for one in worse]:
        parts.append(f"in {truth} it is not told from standard")
    others = {claim.line.label for claim in gains if claim.metric == best.metric} - {best.line.label}
    if others:
        parts.append(
            f"so {'is' if len(others) == 1 else 'are'} {_counted(len(others), 'other method')}, by less"
        )
    return "".join(f"; {part}" for part in parts) + "."


def _wanting(found: Claims) -> str:
    """How many prompts there were, and how many it would take."""
    most = max((int(claim.figures["prompts"]) for claim in found.rows), default=0)
    with_prompts = f" with {_counted(most, 'prompt')}"
    open_ones = [claim for claim in found.rows if not claim.optimised]
    near = [claim for claim in open_ones if math.isfinite(claim.figures["needed"])]
    if not near:
        if any(not math.isnan(claim.figures["p"]) for claim in open_ones):
            return f"{with_prompts}, nor with any number of them that is within reach."
        return f"{with_prompts}: too few of them changed, or too few seeds were drawn, to tell anything."
    nearest = min(near, key=lambda claim: claim.figures["needed"])
    enough = _rounded(nearest.figures["needed"])
    return (
        f"{with_prompts}; what comes nearest, {nearest.line.label} with {nearest.difference_text} in "
        f"{_where(nearest, found)}, would take about {enough:,} prompts, if it is as large as it looks, to be told in four "
        "runs of five (after Holm)."
    )


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _rounded(number: float) -> int:
    """Upwards to two digits: more would look exact."""
    unit = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return int(math.ceil(number / unit) * unit)

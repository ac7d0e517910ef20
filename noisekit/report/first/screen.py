"""The first screen by itself, for a notebook or another page."""

from __future__ import annotations

from noisekit.report.claims import claims
from noisekit.report.first.gallery import gallery
from noisekit.report.first.telling import EACH, RULE
from noisekit.report.first.verdicts import verdicts
from noisekit.report.rendering import OF_A_PART, rendered, styles
from noisekit.report.source import ReportedRun
from noisekit.report.tables import ranking


def first_screen(run: ReportedRun, each: int = EACH) -> str:
    """What a report begins with: what can be told, and the pictures that tell most, `each` of a kind a model.

    One HTML element with its styles inside, of text and thumbnails: no script, no link, no other file.
    """
    ranked = ranking(run)
    content = {
        "style": styles(OF_A_PART),
        "verdicts": verdicts(ranked, claims(run, ranked)),
        "gallery": gallery(run, ranked, each, all_scenes=False),
        "rule": RULE,
    }
    return rendered("part.html", content)

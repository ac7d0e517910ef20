"""What voters are asked, in the words that they read; the criteria are those of a published study (Qi et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from noisekit.errors import BadValue, unknown

CRITERIA: Mapping[str, str] = {
    "overall": "All in all, which picture is better?",
    "alignment": "Which picture shows better what the words say: the things, how many, their colours, where they are?",
    "structure": "In which picture do the things look more as they should, whole and well shaped?",
    "detail": "Which picture has the finer and cleaner details?",
    "aesthetics": "Which picture is nicer to look at?",
    "share": "Which picture would you rather show to others?",
}
#: Characters of a question; longer ones do not fit a screen.
LONGEST = 300


def chosen(names: Sequence[str]) -> dict[str, str]:
    """Questions by name: those of `CRITERIA`, or "name=Your own question?".

    Raises:
        BadValue: a name that is unknown or stands twice, a name or text that no page can show, or no question.
    """
    found: dict[str, str] = {}
    for given in names:
        name, equals, text = (part.strip() for part in given.partition("="))
        if not equals and name not in CRITERIA:
            raise unknown("question", name, CRITERIA)
        if name in found:
            raise BadValue(f"question {name!r} stands twice; ask it once")
        if not name.isidentifier() or (equals and not 0 < len(text) <= LONGEST):
            raise BadValue(
                f"question {given[:80]!r} is none; write a word, '=' and a sentence of at most {LONGEST} characters"
            )
        found[name] = text if equals else CRITERIA[name]
    if not found:
        raise BadValue(f"no question was given; ask some of {', '.join(CRITERIA)}")
    return found

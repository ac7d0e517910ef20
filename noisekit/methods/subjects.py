"""The subjects of a prompt by a fixed rule, and the tokens that a text encoder reads them as.

A subject is the last word of every run of words between function words (articles, prepositions, conjunctions, pronouns,
auxiliaries, numerals, sides, anything in -ing) and punctuation: "a red circle to the left of a blue square" has the subjects
circle and square, "an astronaut riding a horse on Mars" astronaut, horse and Mars.
"""

from __future__ import annotations

import re
from typing import Any

from noisekit.errors import BadValue

FUNCTION_WORDS = frozenset(
    """a an the this that these those some any no each every all both another other
    of in on at to from with without by for into onto over under above below beneath beside besides between behind before
    after near next across through around along inside outside against among beyond within upon off up down out as like than
    and or but nor so while when where who whose which whom there here
    i you he she it we they me him her us them my your his its our their
    is are was were be been being am do does did has have had can could will would shall should may might must
    one two three four five six seven eight nine ten left right top bottom side front back middle center centre
    not very""".split()
)


def subjects_of(prompt: str) -> list[tuple[int, int]]:
    """Where the subjects stand in a prompt: start and end of each."""
    found: list[tuple[int, int]] = []
    run: re.Match[str] | None = None
    for word in [*re.finditer(r"[\w'’-]+|[^\w\s]", prompt), None]:
        text = "" if word is None else word[0].lower()
        if (
            word is None
            or not text[0].isalnum()
            or text in FUNCTION_WORDS
            or text.endswith("ing")
            or text.isdecimal()
        ):
            found += [run.span()] if run else []
            run = None
        else:
            run = word
    return found


def named_in(prompt: str, subjects: str) -> list[tuple[int, int]]:
    """Where the subjects of a text that lists them with commas between stand in a prompt, those that do, each once."""
    wanted = [re.escape(word.strip()) for word in subjects.split(",") if word.strip()]
    matches = (re.search(rf"(?<!\w){word}(?!\w)", prompt, re.IGNORECASE) for word in wanted)
    return [match.span() for match in matches if match]


def tokens_of(tokenizer: Any, prompt: str, subjects: str | None) -> list[list[int]]:
    """The positions of each subject's tokens in what a tokenizer makes of a prompt; raises `BadValue` where there are none.

    subjects: words with commas between (None: by the rule above).
    """
    length = tokenizer.model_max_length
    read = tokenizer(prompt, truncation=True, max_length=length, return_offsets_mapping=True)
    spans = subjects_of(prompt) if subjects is None else named_in(prompt, subjects)
    tokens = [
        [i for i, (start, end) in enumerate(read["offset_mapping"]) if span[0] <= start < end <= span[1]]
        for span in spans
    ]
    if not any(tokens):
        why = "by the rule that noisekit has" if subjects is None else f"of subjects={subjects!r}"
        raise BadValue(
            f"prompt {prompt[:60]!r} has no subject {why} that the text encoder reads; name some, as in subjects='cat, dog'"
        )
    return [own for own in tokens if own]

"""What T2I-CompBench reads in a prompt: noun phrases, the objects of a relation, and the words without adjectives.

The published scorer asks spaCy's small English model, and so does this one where it is installed with that model. Without
it rules take its place, which read the benchmark's template prompts, "a red apple and a blue bowl", as they are meant and
longer sentences by closed lists of words. What reads the prompts decides scores, and stands in the metric's version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from noisekit.files import shipped_yaml
from noisekit.metrics.compbench.spatial import PHRASES, Relation

#: Phrases that say where something is, and the most that are asked about.
PLACES = frozenset({"top", "the side", "the left", "the right"})
MOST = 8
#: Whom detectors know as a person.
PEOPLE = dict.fromkeys(("girl", "boy", "man", "woman"), "person")


def _words() -> Mapping[str, frozenset[str]]:
    read = shipped_yaml("metrics/compbench/words.yaml")
    return {kind: frozenset(words.split()) for kind, words in read.items()}


WORDS = _words()


class Parser(Protocol):
    """Reads prompts of the benchmark. name: as it stands in the metric's version."""

    name: str

    def chunks(self, prompt: str) -> list[str]:
        """The noun phrases of a prompt in order."""
        ...

    def without_adjectives(self, prompt: str) -> str:
        """The prompt's words that are no adjectives, with a space between them."""
        ...


def phrases(parser: Parser, prompt: str) -> list[str]:
    """The noun phrases that are asked about: things, not places, `MOST` of them."""
    return [chunk for chunk in parser.chunks(prompt) if chunk not in PLACES][:MOST]


def relation(prompt: str) -> Relation | None:
    """What stands how to what in a prompt: the nouns around the first relation it has; None where it has none."""
    text = f" {prompt.lower()} "
    phrase = next((phrase for phrase in PHRASES if f" {phrase} " in text), None)
    if phrase is None:
        return None
    before, after = (Rules().chunks(part) for part in text.split(f" {phrase} ", 1))
    if not before or not after:
        return None
    subject, target = (chunk.split()[-1] for chunk in (before[-1], after[0]))
    return Relation(PEOPLE.get(subject, subject), PHRASES[phrase], PEOPLE.get(target, target))


class Rules:
    """Reads prompts by lists of words (words.yaml): a phrase goes from a determiner, or the end of another, to the next."""

    name = "phrases by rules"

    def chunks(self, prompt: str) -> list[str]:
        found: list[list[str]] = [[]]
        for token in re.findall(r"[\w'-]+|[^\w\s]", prompt):
            word, own = token.lower(), found[-1]
            if (
                own
                and word in (",", "and")
                and {one.lower() for one in own} <= WORDS["adjectives"] | WORDS["determiners"]
            ):
                own.append(token)  # "a black and white cat" and "the soft, fluffy pillow" are one thing
            elif word in WORDS["ends"] or not re.match(r"\w", token):
                found.append([])
            elif word in WORDS["determiners"]:
                found.append([token])
            else:
                own.append(token)
        things = (re.sub(r" (,)|( and| \w{3,}ed)$", r"\1", " ".join(words)) for words in found)
        return [
            thing
            for thing in things
            if not re.fullmatch(r"|\w+(ed|ing)", thing) and thing.lower() not in WORDS["determiners"]
        ]

    def without_adjectives(self, prompt: str) -> str:
        tokens = re.findall(r"[\w-]+|'\w+|[^\w\s]", prompt)
        return " ".join(token for token in tokens if token.lower() not in WORDS["adjectives"])


class SpaCy:
    """Reads prompts by spaCy's small English model."""

    MODEL = "en_core_web_sm"

    def __init__(self) -> None:
        spacy = import_module("spacy")
        network = spacy.load(self.MODEL)
        self._read = cache(network)
        self.name = f"phrases by spaCy {spacy.__version__}, {self.MODEL} {network.meta['version']}"

    def chunks(self, prompt: str) -> list[str]:
        return [chunk.text for chunk in self._read(prompt).noun_chunks]

    def without_adjectives(self, prompt: str) -> str:
        tokens: Any = self._read(prompt)
        return " ".join(token.text for token in tokens if token.pos_ != "ADJ")


@cache
def default_parser() -> Parser:
    """spaCy where it and its model are installed, else the rules."""
    try:
        return SpaCy()
    except (ImportError, OSError):  # spaCy says with the latter that a model is not installed
        return Rules()

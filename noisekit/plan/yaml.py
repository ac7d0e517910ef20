"""YAML as people write it, in bounded time and memory: plain values, lists and mappings, and nothing that surprises.

A plan may come from anywhere. Refused with the line are what YAML can do beyond that (aliases, which can stand for more than
any memory holds; tags; merge keys), keys that stand twice, values that lie too deep in each other, and numbers that YAML 1.1
reads otherwise than people do: 1:30 is 90 there, and 010 is 8. 1e-4 is a number here, and a date is a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from noisekit.errors import BadValue
from noisekit.registry import printed, shortened

#: Bytes of a file beyond which it is no plan.
LARGEST = 2**20
#: Values lie in each other this deep at most.
DEEPEST = 32
#: Digits of the longest number; a float of 64 bits needs fewer.
DIGITS = 32

_INTEGER = re.compile(r"[-+]?(0|[1-9][\d_]*|0x[\da-fA-F_]+)")
#: The parser in C where PyYAML has it: a file of the largest size is read at once.
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Document(NamedTuple):
    """What a file says, and the line in which each value stands, by its place: "methods[1].reno.steps"."""

    value: Any
    lines: dict[str, int]

    def line(self, complaint: str) -> int | None:
        """The line that a sentence which begins with a place, or names a key, is about; None where it names neither."""
        named = re.match(r"unknown key in (?P<where>.*?):? '(?P<key>[^']*)'", complaint)
        if named:
            where = "" if named["where"] == "plan" else f"{named['where']}."
            return self.lines.get(f"{where}{named['key']}")
        place = re.match(r"[\w.\[\]-]+", complaint)
        while place and (text := place[0]):
            if text in self.lines:
                return self.lines[text]
            place = re.match(r"(.*)(?=[.\[])", text)
        return None


class _Loader(_Parser):
    """Makes plain values, lists and mappings."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _refusal(key_node, "a key is a list or a mapping, where a name should be")
            key = self.construct_object(key_node)
            if key in seen:
                raise BadValue(f"key {key!r} stands twice, again in line {key_node.start_mark.line + 1}")
            seen.add(key)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found

    def number(self, node: yaml.ScalarNode) -> int | float:
        """A number that everybody reads alike."""
        text = self.construct_scalar(node)
        whole = node.tag.endswith(":int")
        if ":" in text or (whole and not _INTEGER.fullmatch(text)):
            raise _refusal(
                node,
                f"{shortened(text)!r} is another number in YAML than it looks; put it in quotes if it is a text, as in "
                "seeds: '1-30', or write the number in decimal digits",
            )
        if len(text) > DIGITS:
            raise _refusal(node, f"{shortened(text)} is a number of {len(text)} digits; the most is {DIGITS}")
        read = self.construct_yaml_int if whole else self.construct_yaml_float
        value: int | float = read(node)
        return value


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":value"))]
    for first, resolvers in _Parser.yaml_implicit_resolvers.items()
}
# YAML 1.1 takes a number with an exponent for a text unless it has a point and a sign.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d[\d_]*(\.[\d_]*)?[eE][-+]?\d+"), list("-+0123456789")
)
for _tag in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.number)


def read_yaml(path: Path) -> Document:
    """What a YAML file says; `BadValue` when it is missing, does not read as YAML, or holds what the module refuses."""
    try:
        if path.exists() and not path.is_file():
            raise BadValue(f"plan {str(path)!r} is no file")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise BadValue(f"plan {str(path)!r} is larger than {LARGEST // 2**20} MiB, which no plan is")
        text = content.decode("utf-8-sig")
        _check(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            lines = dict(_lines(node, "")) if node else {}
            return Document(loader.construct_document(node) if node else None, lines)
        finally:
            loader.dispose()
    except UnicodeDecodeError:
        raise BadValue(f"plan {str(path)!r} is not UTF-8 text") from None
    except BadValue as error:
        raise BadValue(
            str(error) if str(error).startswith("plan ") else f"plan {str(path)!r}: {error}"
        ) from None
    except (OSError, ValueError) as error:  # a path with a zero character is no path
        raise BadValue(
            f"plan {str(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise BadValue(f"plan {str(path)!r} is not valid YAML{place}: {problem}") from None


def _check(text: str) -> None:
    """Raise `BadValue` at what no plan needs, before anything is made of it."""
    depth = 0
    for event in yaml.parse(text, _Parser):
        if isinstance(event, yaml.AliasEvent):
            raise _refusal(event, f"'*{event.anchor}' stands for another value; write the value itself")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _refusal(event, f"tag {printed(tag)} is not read; write the value without a tag")
        if isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]:
            raise _refusal(event, "'<<' would merge another mapping; write its keys and values themselves")
        if isinstance(event, yaml.ScalarEvent) and re.search("[\0\ud800-\udfff]", event.value):
            raise _refusal(
                event,
                f"{printed(event.value)} holds a zero character or half of one, which no name and no text does",
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _refusal(event, f"values lie more than {DEEPEST} deep in each other")


def _refusal(place: Any, why: str) -> BadValue:
    return BadValue(f"line {place.start_mark.line + 1}: {why}")


def _lines(node: yaml.Node, where: str) -> Iterator[tuple[str, int]]:
    """The place of each value and its line; a value in a mapping stands where its key does."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = f"{where}.{key.value}" if where else str(key.value)
            yield here, key.start_mark.line + 1
            yield from _lines(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield f"{where}[{i}]", value.start_mark.line + 1
            yield from _lines(value, f"{where}[{i}]")

"""A folder of pictures that are there already, and the prompts that belong to them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

from noisekit.errors import BadValue
from noisekit.files import check_file
from noisekit.paths import given_path
from noisekit.pictures import endings, is_foreign
from noisekit.prompts import Prompt
from noisekit.prompts.files import COLUMNS, Record, checked_text, read_records
from noisekit.registry import shortened
from noisekit.scoring.scored import Pair

#: Names of the column that says which picture a prompt belongs to; case does not matter.
IMAGES = ("image", "file_name", "filename", "image_path", "path", "file")
#: What an empty line is read as; in a .json list it was written as an entry.
_EMPTY: Record = {"prompt": ""}


def match(folder: str | Path, prompts: str | Path) -> list[Pair]:
    """Pictures with their prompts.

    A file whose records have one of the columns `IMAGES` names each prompt's picture, by its path in the folder, such as
    "a/1.png". The prompts of any other go to the pictures of the folder itself one by one, in the order of their names,
    where numbers count as such: 2.png comes before 10.png.

    Raises `BadValue` wherever a pair would be a guess: numbers that differ, records without a picture or a prompt, two
    columns for either, names that read as the same number, pairs that stand twice.
    """
    folder, prompts = given_path(folder), given_path(prompts)
    if not folder.is_dir():
        raise BadValue(f"{str(folder)!r} is not a folder of images")
    entries = enumerate(read_records(prompts), 1)
    records = {n: record for n, record in entries if record != _EMPTY or prompts.suffix.lower() == ".json"}
    where = f"prompt file {str(prompts)!r}"
    columns, others = (
        [name for name in names if any(name in record for record in records.values())]
        for names in (IMAGES, [name for name in COLUMNS if name != "prompt"])
    )
    if len(columns) > 1:
        raise BadValue(
            f"{where} names images in several columns, {', '.join(columns)}; keep one, or rename the others"
        )
    if others:
        raise BadValue(
            f"{where} has the column {others[0]!r} beside the one that is read as prompts; keep one, or rename the other"
        )
    pairs = _by_name(folder, records, columns[0], where) if columns else _in_order(folder, records, where)
    for path, _ in pairs:
        check_file(path)
    return pairs


def name_in(folder: Path, path: Path) -> str:
    """What a picture is called in tables: its path in the folder, or the whole of it where it lies elsewhere."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _by_name(folder: Path, records: Mapping[int, Record], column: str, where: str) -> list[Pair]:
    pairs: dict[tuple[Path, str], tuple[int, Pair]] = {}
    places: dict[Path, int] = {}
    for number, record in records.items():
        here = f"entry {number} of {where}"
        name = record.get(column)
        if not isinstance(name, str) or not name.strip():
            given = "no image" if name is None or name == "" else f"{shortened(repr(name))} as its image"
            raise BadValue(
                f"{here} has {given}; write the name of one under {column!r}, or take the entry out"
            )
        path = folder / given_path(name.strip())
        prompt = _prompt(record, here)
        entry, _ = pairs.setdefault((path, prompt.text), (number, (path, prompt)))
        if entry != number:
            raise BadValue(f"{here} is the same as entry {entry}: image {name!r} with its prompt; keep one")
        if path in places:
            warnings.warn(
                f"{here} scores image {name!r} again, as entry {places[path]}, by another prompt",
                stacklevel=3,
            )
        _check_name(path, f"{where} names")
        places[path] = number
    return [pair for _, pair in pairs.values()]


def _in_order(folder: Path, records: Mapping[int, Record], where: str) -> list[Pair]:
    given = [_prompt(record, f"entry {number} of {where}") for number, record in records.items()]
    images, others = _pictures(folder)
    left_out = f"left out: {', '.join(others[:5])}{' …' if len(others) > 5 else ''}"
    if not images:
        reason = f"; {left_out}" if others else ""
        raise BadValue(
            f"folder {str(folder)!r} holds no image (.png, .jpg, .webp and whatever else Pillow reads){reason}; images in "
            'folders below it need a table with columns "image" and "prompt"'
        )
    if len(images) != len(given):
        ends = f" ({images[0].name} to {images[-1].name})" if len(images) > 1 else f" ({images[0].name})"
        raise BadValue(
            f"folder {str(folder)!r} holds {len(images)} images{ends} and {where} {len(given)} prompts"
            f'{f"; {left_out}" if others else ""}; give one prompt an image, or a table with columns "image" and "prompt"'
        )
    if others:
        warnings.warn(f"of folder {str(folder)!r} is {left_out}", stacklevel=3)
    return list(zip(images, given, strict=True))


def _pictures(folder: Path) -> tuple[list[Path], list[str]]:
    """The pictures in a folder by name, numbers in their order; and what is left out that people may take for one."""
    ordered: dict[tuple[str | int, ...], Path] = {}
    others = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):  # hidden, as are the halves that macOS writes beside files: ._1.png
            continue
        if path.is_dir():
            if any(one.suffix.lower() in endings() for one in path.iterdir()):
                others.append(f"{path.name}/")
        elif path.suffix.lower() in endings():
            _check_name(path, f"folder {str(folder)!r} holds")
            twin = ordered.setdefault(_natural(path.stem), path)
            if twin != path:
                raise BadValue(
                    f"folder {str(folder)!r} holds {twin.name!r} and {path.name!r}, and nothing says which comes first; "
                    'rename one, take it out, or give a table with columns "image" and "prompt"'
                )
        elif is_foreign(path):
            others.append(path.name)
    return [ordered[key] for key in sorted(ordered)], others


def _natural(name: str) -> tuple[str | int, ...]:
    """Text and numbers in turn, so that they compare: "img-10" as ("img-", 10, "")."""
    parts = re.split(r"([0-9]+)", name)
    return tuple(int(part) if place % 2 else part for place, part in enumerate(parts))


def _check_name(path: Path, where: str) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise BadValue(f"{where} {path.name!a}, whose name is no UTF-8 text; rename it") from None


def _prompt(record: Record, where: str) -> Prompt:
    text = record["prompt"]
    if text is None or not (text := checked_text(text, where)):
        raise BadValue(f"{where} has no prompt; write one, or take the entry and its image out")
    return Prompt(text, metadata={key: value for key, value in record.items() if key != "prompt"})

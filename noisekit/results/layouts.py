"""A run's images as the folders that benchmarks' own scripts read, so that both scorers can judge the same files.

    geneval          <arm>/<5 digits>/metadata.jsonl and <arm>/<5 digits>/samples/<5 digits>.png, a folder a prompt
                     <arm>/results.jsonl, which its summary reads, where the run was scored by geneval
    t2i_compbench    <arm>/samples/<prompt>_<6 digits>.png, numbered through all prompts

Prompts stand in the order of the run, and so of the suite, images of a prompt in the order of their seeds. An arm is a model
with a method.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from noisekit.errors import BadValue, unknown
from noisekit.files import whole_folder
from noisekit.metrics.geneval.rules import Record
from noisekit.paths import path_within
from noisekit.registry import shortened

#: By prompt, what its suite says of it.
Metadata = Mapping[str, Mapping[str, Any]]

#: Bytes that file systems allow in a name.
LONGEST_NAME = 255


def write_layout(frame: pd.DataFrame, metadata: Metadata, run: Path, layout: str, target: Path) -> Path:
    """Write the images of a run's frame into a new folder, one folder an arm, and return it.

    Raises:
        BadValue: on an unknown layout, and on prompts that the layout has no place for.
        Unwritable: where the folder is there already or cannot be written.
    """
    if layout not in LAYOUTS:
        raise unknown("layout", layout, LAYOUTS)
    if frame.empty:
        raise BadValue(f"run {str(run)!r} holds no images; there is nothing to write")
    with whole_folder(target) as folder:
        for name, arm in _arms(frame):
            (folder / name).mkdir()
            LAYOUTS[layout](arm, metadata, run, folder / name)
    return target


def _geneval(arm: pd.DataFrame, metadata: Metadata, run: Path, folder: Path) -> None:
    results = []
    for number, (prompt, own) in enumerate(arm.groupby("prompt", sort=False)):
        about = {**metadata.get(str(prompt), {})}
        if "include" not in about:
            raise BadValue(
                f"of prompt {shortened(str(prompt))!r} run {str(run)!r} does not know what a picture must show; the layout "
                "of geneval is for runs over the suite 'geneval'"
            )
        record, line = Record.read(about), json.dumps(about | {"prompt": prompt})
        here = folder / f"{number:05}"
        (here / "samples").mkdir(parents=True)
        (here / "metadata.jsonl").write_text(line, encoding="utf-8")
        for place, (_, row) in enumerate(own.iterrows()):
            file = here / "samples" / f"{place:05}.png"
            shutil.copyfile(path_within(run, row["image"]), file)
            score = row.get("geneval", math.nan)
            if not math.isnan(score):
                name = file.relative_to(folder).as_posix()
                result = {"filename": name, "tag": record.tag, "prompt": prompt, "correct": bool(score)}
                results.append(json.dumps(result | {"metadata": line}) + "\n")
    if results:
        (folder / "results.jsonl").write_text("".join(results), encoding="utf-8")


def _t2i_compbench(arm: pd.DataFrame, metadata: Metadata, run: Path, folder: Path) -> None:
    (folder / "samples").mkdir()
    for number, (_, row) in enumerate(arm.iterrows()):
        prompt, name = row["prompt"], f"{row['prompt']}_{number:06}.png"
        if re.search(r"[_/\x00]", prompt) or len(name.encode()) > LONGEST_NAME:
            raise BadValue(
                f"prompt {shortened(prompt)!r} cannot be the name of a file in the layout of t2i_compbench, whose scripts "
                'read it up to the first "_": export prompts without "_" and "/" and under 240 bytes'
            )
        shutil.copyfile(path_within(run, row["image"]), folder / "samples" / name)


#: By name, what writes the folder of an arm.
LAYOUTS: Mapping[str, Callable[[pd.DataFrame, Metadata, Path, Path], None]] = {
    "geneval": _geneval,
    "t2i_compbench": _t2i_compbench,
}


def _arms(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """A folder's name and the rows of each model with each method."""
    taken: set[str] = set()
    for (model, method), arm in frame.groupby(["model", "method"], sort=False):
        name = plain = re.sub(r"[^\w.=-]+", "-", f"{model}-{method}").strip("-.")[:100] or "arm"
        while name in taken:
            name = f"{plain}-{len(taken)}"
        taken.add(name)
        yield name, arm

"""The voting page as a folder that any file server serves: votes come back as files that voters send.

    index.html, page.css, page.js, static.js     the page; votes are kept in the voter's browser until they are saved
    sheets.js                                    by code what each voter is shown, drawn ahead
    pictures/<128 random bits>.png               pixels alone
    ballots.csv                                  the same for a crowd-work platform

What was drawn is kept in the run, so that `noisekit vote import` knows the ballots by their ids.
"""

from __future__ import annotations

import csv
import io
import json
import secrets
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from noisekit.errors import BadValue
from noisekit.files import whole_folder
from noisekit.vote.showing import picture, written
from noisekit.vote.study import NOISE, Study

#: Sheets where nobody's code was given.
SHEETS = tuple(f"sheet-{number}" for number in range(1, 11))


def write_static(
    study: Study, questions: Mapping[str, str], run: Path, folder: Path, voters: Sequence[str], each: int
) -> Path:
    """Draw sheets and write the page.

    Args:
        study: What is drawn from, and keeps what was drawn.
        questions: The text of each.
        run: The folder that images are in.
        folder: Where the page goes; it must not be there yet.
        voters: A sheet is drawn for each code.
        each: Ballots of a sheet, where there are so many.

    Raises:
        BadValue: No code, or a sheet without a ballot.
        Unwritable: The folder is there, or cannot be written.
    """
    with whole_folder(folder) as part:
        (part / "pictures").mkdir()
        named: dict[str, str] = {}
        sheets = {}
        for voter in voters:
            sheet = [
                _shown(study, ballot, questions, run, part, named) for ballot in study.sheet(voter, each)
            ]
            if not sheet:
                raise BadValue(f"voter {voter!r} has seen all pairs already; leave the code out")
            sheets[voter] = sheet
        if not sheets:
            raise BadValue("no code was given to draw a sheet for")
        (part / "index.html").write_text(written("sheets.js", "static.js"), encoding="utf-8")
        for name in ("page.css", "page.js", "static.js"):
            (part / name).write_bytes((files("noisekit.vote") / name).read_bytes())
        script = f'"use strict";\nconst sheets = {json.dumps(sheets)};\n'
        (part / "sheets.js").write_text(script, encoding="ascii")
        (part / "ballots.csv").write_text(_table(sheets), encoding="utf-8")
    return folder / "index.html"


def _shown(
    study: Study, ballot: Any, questions: Mapping[str, str], run: Path, part: Path, named: dict[str, str]
) -> dict[str, Any]:
    pair = study.pair(ballot)
    places = {}
    for side in ("left", "right"):
        image = getattr(ballot, side)
        if image not in named or image == NOISE:
            named[image] = f"pictures/{secrets.token_hex(16)}.png"
            (part / named[image]).write_bytes(picture(run, ballot, side))
        places[side] = named[image]
    asked = [{"name": name, "text": questions[name]} for name in ballot.questions]
    prompt = "" if pair is None else pair.prompt
    return {"id": ballot.ballot, "prompt": prompt, "questions": asked, **places}


def _table(sheets: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["ballot", "voter", "prompt", "questions", "left", "right"])
    for voter, sheet in sheets.items():
        for ballot in sheet:
            asked = " ".join(question["name"] for question in ballot["questions"])
            table.writerow([ballot["id"], voter, ballot["prompt"], asked, ballot["left"], ballot["right"]])
    return text.getvalue()

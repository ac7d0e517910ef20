"""The store: a folder that keeps all that was generated and scored, one line a fact, never rewritten.

    manifest.json              schema, versions, hardware, noise convention
    rows/<writer>.jsonl        one line a generated image
    noises/<writer>.jsonl      one line a generated image: the noise it came from, against the initial one
    scores/<writer>.jsonl      one line a scored image and metric
    metrics/<writer>.jsonl     one line a metric and its weights
    diversity/<writer>.jsonl   one line a setting and prompt: distances between the images of its seeds
    traces/<writer>.jsonl      one line a search
    failures/<writer>.jsonl    one line an image that could not be made or scored, and why
    settings/<writer>.jsonl    one line a setting: every resolved value that its identity covers
    calibrations/<writer>.jsonl   one line a model: seconds per evaluation of each network on some machine
    ballots/<writer>.jsonl     one line a pair of images that was shown to a voter
    votes/<writer>.jsonl       one line an answer of a voter
    images/<generation>.png    8-bit images, their parameters inside; frames as a contact sheet, see `png`
    images/<generation>.webp   the same frames, to be looked at
    noises/<generation>.safetensors   the noises themselves, where they were asked for

Every writer appends to files of its own and a fact is a whole line, so any number of processes may write, and the union
of the files is the run. A last line that was cut off when a writer died is passed over. pandas and DuckDB read it all.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

import pandas as pd
from msgspec.structs import asdict
from safetensors import SafetensorError

from noisekit.errors import BadValue
from noisekit.files import kept, write_json, write_whole
from noisekit.hashing import plain
from noisekit.paths import given_path, path_within
from noisekit.store import columns
from noisekit.store.columns import Form, Scores
from noisekit.store.lines import LineFile, Row, read_lines
from noisekit.store.manifest import SCHEMA, new_manifest, read_manifest
from noisekit.store.schema import LINES, Kind
from noisekit.types import Convention

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST = "manifest.json"


class Store:
    """An open store. `Store.read` opens one that is there; `Store.prepare` one that will be written to."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest
        self._writer = f"{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(4)}"
        self._files: dict[Kind, LineFile] = {}

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Raise `BadValue` where there is no store, or one of another schema."""
        path = given_path(folder)
        file = path / MANIFEST
        if not file.exists():
            raise BadValue(f"{str(path)!r} is no run: it holds no {MANIFEST}")
        manifest = read_manifest(file)
        schema = manifest["schema"]
        if schema != SCHEMA:
            raise BadValue(
                f"store {str(path)!r} has schema {schema!r}, and this version of noisekit reads schema {SCHEMA}; use "
                "the version that wrote it, or another folder"
            )
        if manifest.get("noise") not in get_args(Convention):
            raise BadValue(
                f"{str(file)!r} does not say how noise is keyed; restore it, or use another folder"
            )
        return cls(path, manifest)

    @classmethod
    def prepare(cls, folder: str | Path, convention: Convention) -> Self:
        """Begin a store, or open one to go on with it; raise `BadValue` where nothing can be written or read."""
        path = given_path(folder)
        parts = (*get_args(Kind), "images")
        try:
            path.mkdir(parents=True, exist_ok=True)
            others = [
                file.name
                for file in path.iterdir()
                if file.name not in (MANIFEST, *parts) and file.name[0] != "."
            ]
            if not (
                path / MANIFEST
            ).exists():  # looked at last: another process may begin the same store just now
                if others:
                    raise BadValue(
                        f"store {str(path)!r} holds other files and no {MANIFEST}; use an empty folder"
                    )
                write_json(path / MANIFEST, new_manifest(convention))
            for part in parts:
                (path / part).mkdir(exist_ok=True)
                probe = path / part / f".{secrets.token_hex(4)}"
                probe.touch()
                probe.unlink()
        except OSError as error:
            raise BadValue(f"store {str(path)!r} cannot be written: {error.strerror or error}") from None
        store = cls.read(path)
        if store.manifest["noise"] != convention:
            raise BadValue(
                f"store {str(path)!r} holds images of noise {store.manifest['noise']!r}; noise {convention!r} needs "
                "another folder"
            )
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def append(self, kind: Kind, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows, each stamped with the time: all of them or, raising `Unwritable`, none. They outlive this process."""
        now = round(time.time(), 6)
        stamped = [plain({**row, "created": now}) for row in rows]
        if not stamped:
            return
        with kept(self.folder, "store"):
            if kind not in self._files:
                self._files[kind] = LineFile(self.folder / kind / f"{self._writer}.jsonl")
            self._files[kind].append(stamped)

    def lines(self, kind: Kind) -> list[Row]:
        """All rows of all writers in the order of writing; raises `BadValue` where a line is damaged."""
        return sorted(map(asdict, self._lines(kind)), key=lambda row: row["created"])

    def columns(self, kind: Kind, forms: Mapping[str, Form]) -> pd.DataFrame:
        """These fields of all rows of all writers in the order of writing, fast; see `store.columns`."""
        return columns.read(self._lines(kind), forms)

    def scores(self, images: Sequence[str]) -> Scores:
        """The newest scores of images, by their ids."""
        return columns.read_scores(self._lines("scores"), images)

    def _lines(self, kind: Kind) -> Iterator[Any]:
        """The lines of all writers, one writer after the other, as the schema has them."""
        for file in sorted((self.folder / kind).glob("*.jsonl")):
            yield from read_lines(file, LINES[kind])

    def save_image(self, generation: str, image: Tensor, parameters: Mapping[str, Any]) -> str:
        """Write an image (3, H, W), or frames (F, 3, H, W), and return its path relative to the store."""
        from noisekit.store.png import write_png  # figures are looked at without Pillow

        name = f"images/{generation}.png"
        with kept(self.folder, "store"):
            write_png(self.folder / name, image, parameters)
        return name

    def has(self, image: str) -> bool:
        """Whether the file of an image is there, within the store."""
        return ".." not in image and not os.path.isabs(image) and os.path.isfile(self.folder / image)

    def image(self, name: str) -> Tensor:
        """The image (3, H, W) in [0, 1], or frames (F, 3, H, W), in steps of 1/255; never a file outside the store."""
        from noisekit.store.png import read_image

        return read_image(path_within(self.folder, name))

    def save_noise(self, generation: str, noise: Tensor, injected: Tensor | None = None) -> None:
        """Write the noise (C, h, w) of an image, and those injected after it (n, C, h, w), 4 bytes a value."""
        from safetensors.torch import save  # what was made is looked at without torch

        given = {"noise": noise} | ({} if injected is None else {"injected": injected})
        tensors = {name: tensor.float().contiguous().cpu() for name, tensor in given.items()}
        with kept(self.folder, "store"):
            write_whole(self.folder / "noises" / f"{generation}.safetensors", save(tensors))

    def noise(self, generation: str) -> Tensor:
        """The noise (C, h, w) that was kept of an image; raises `BadValue` where there is none."""
        return self._noises(generation)["noise"]

    def injected(self, generation: str) -> Tensor | None:
        """The injected noises (n, C, h, w) that were kept beside it; None where the method chose none."""
        return self._noises(generation).get("injected")

    def _noises(self, generation: str) -> dict[str, Tensor]:
        from safetensors.torch import load

        file = path_within(self.folder, f"noises/{generation}.safetensors")
        try:
            tensors = load(file.read_bytes())
            return {"noise": tensors["noise"]} | tensors
        except (SafetensorError, KeyError, IsADirectoryError):
            raise BadValue(
                f"{str(file)!r} does not read as the noise of an image; take it out of the store"
            ) from None
        except FileNotFoundError:
            raise BadValue(
                f"store {str(self.folder)!r} keeps no noise of image {generation!r}; noises are kept of images that "
                "are made with `keep_noise: true`"
            ) from None

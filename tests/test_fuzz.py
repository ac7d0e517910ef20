"""Whatever stands in plans, strings, stores, artefacts and picture files: a sentence or a value, never a traceback.

A short search runs always, a longer one with `--slow`. Each example has seconds, and all together a GiB.
"""

from __future__ import annotations

import io
import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from noisekit.engine.missing import Contents
from noisekit.errors import NoisekitError
from noisekit.golden_seeds.ranking import SeedRanking
from noisekit.methods import load_method
from noisekit.models import load_model
from noisekit.npnet.checkpoint import load_network, read_card
from noisekit.pictures import read_picture
from noisekit.plan import Plan, load_plan
from noisekit.registry import METHODS, parse
from noisekit.report import write_report
from noisekit.results import load_run
from noisekit.store.schema import Kind
from noisekit.store.store import Store
from tests.store.test_damage import WHOLE

pytestmark = pytest.mark.filterwarnings("ignore")

LENGTHS = pytest.mark.parametrize("examples", [40, pytest.param(3000, marks=pytest.mark.slow)])

ODD = [
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    10**30,
    1e308,
    float("inf"),
    float("nan"),
    1e-320,
    "",
    "\0",
    "\ud800",
    "\u202e",
]
ODD += [
    "1:30",
    "0-99999999999",
    "tiny",
    "standard",
    "reno(steps=50)",
    "../..",
    "/dev/zero",
    "x" * 5000,
    True,
    None,
]
ANY = st.recursive(
    st.sampled_from(ODD) | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def search(strategy: st.SearchStrategy[Any], check: Callable[[Any], object], examples: int) -> None:
    """Find a value at which `check` raises anything but a sentence, takes more than seconds, or fills the memory."""

    def one(value: Any) -> None:
        with suppress(NoisekitError):
            check(value)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    quiet = settings(
        max_examples=examples,
        deadline=10_000,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    quiet(given(strategy)(one))()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # KiB


def changed(content: bytes) -> st.SearchStrategy[bytes]:
    """Some bytes of a file replaced, taken out, or cut off."""

    def change(edits: list[tuple[int, int, bytes]]) -> bytes:
        made = content
        for place, length, new in edits:
            at = place % (len(made) + 1)
            made = made[:at] + new + made[at + length :]
        return made

    edit = st.tuples(st.integers(0, 10**6), st.integers(0, 40), st.binary(max_size=8))
    return st.lists(edit, min_size=1, max_size=4).map(change)


@LENGTHS
def test_plans(examples: int, tmp_path: Path) -> None:
    keys = st.sampled_from(Plan.key_names()) | st.text(max_size=5)
    plans = st.dictionaries(keys, ANY, max_size=4).map(
        lambda said: {"models": "tiny", "methods": "standard"} | said
    )
    text = st.text(st.sampled_from(list("a1:-[]{}&*!?|>'\"%@`#,<~.0 \n\t\0\ufeff")), max_size=60)
    written = plans.map(lambda said: yaml.safe_dump(said, allow_unicode=True)) | text
    search(plans, load_plan, examples)

    def read(content: str) -> None:
        (tmp_path / "p.yaml").write_text(content, encoding="utf-8", errors="surrogatepass")
        load_plan(tmp_path / "p.yaml")

    search(written | text.map(lambda own: f"models: tiny\nmethods: standard\n{own}"), read, examples)


@LENGTHS
def test_strings_of_methods_and_models(examples: int) -> None:
    values = ANY.map(repr) | st.text(max_size=10)
    names = st.sampled_from([*METHODS, "", "x", "ｒｅｎｏ"]) | st.text(max_size=5)
    keys = st.sampled_from(["steps", "n", "lr", "rewards", "artefact", "weights", "model", "candidates"])
    calls = st.lists(st.tuples(keys, values), max_size=3).map(
        lambda own: ", ".join(f"{k}={v}" for k, v in own)
    )
    methods = st.recursive(
        st.builds("{}({})".format, names, calls), lambda inner: st.builds("{}({}, n=2)".format, names, inner)
    )
    search(methods | st.text(max_size=30), load_method, examples)
    search(methods | st.text(max_size=30), parse, examples)
    search(
        methods | st.builds("tiny({})".format, calls).filter(lambda text: text != "tiny()"),
        load_model,
        examples,
    )


@pytest.fixture
def store(root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(root / "tests" / "data" / "store-1", tmp_path / "store"))


def lines() -> Iterator[st.SearchStrategy[tuple[Kind, bytes]]]:
    """Lines of every kind about an image of the store, one or two fields of which are anything."""
    shared = {"id": "eec8a3af082d5b58e36d5b524ca18eaa", "setting": "2f875be0503d916bf3cbe9eb3c43dc6e"}
    for kind in get_args(Kind):
        whole = {"created": 9e9} | WHOLE[kind] | {key: shared[key] for key in shared if key in WHOLE[kind]}
        fields = st.dictionaries(st.sampled_from([*whole]) | st.text(max_size=5), ANY, max_size=2)
        texts = fields.map(lambda own, whole=whole: json.dumps(whole | own).encode())  # type: ignore[misc]
        yield st.tuples(st.just(kind), texts | changed(json.dumps(whole).encode()))


@LENGTHS
def test_lines_of_a_store(examples: int, store: Path) -> None:
    def read(damaged: tuple[Kind, bytes]) -> None:
        kind, line = damaged
        (store / kind).mkdir(exist_ok=True)
        (store / kind / "zz.jsonl").write_bytes(line + b"\n")
        try:
            Contents(Store.read(store))
            run = load_run(store)
            (
                run.frame(),
                run.failures(),
                run.settings(),
                run.traces(),
                run.noise_analysis(),
                run.diversity_summary(),
            )
            run.calibrations()
            if examples > 1000:
                write_report(run, store / "report.html")
        finally:
            (store / kind / "zz.jsonl").unlink()

    search(st.one_of(*lines()), read, examples if examples < 1000 else examples // 10)


@LENGTHS
def test_artefacts(examples: int, root: Path, tmp_path: Path) -> None:
    network, seeds = (
        shutil.copytree(root / "noisekit" / "tiny" / "weights" / "npnet", tmp_path / "npnet"),
        tmp_path / "seeds",
    )
    shutil.copytree(next((root / "noisekit").rglob("seeds.json")).parent, seeds)

    def read(reader: Callable[[Path], object], file: Path) -> None:
        before = file.read_bytes()
        fields = st.dictionaries(st.sampled_from([*json.loads(before)]), ANY, max_size=2)
        texts = fields.map(lambda own: json.dumps(json.loads(before) | own).encode())

        def one(content: bytes) -> None:
            file.write_bytes(content)
            reader(file.parent)

        search(texts | changed(before), one, examples)
        file.write_bytes(before)

    read(SeedRanking.read, seeds / "seeds.json")
    read(load_network, network / "config.json")
    read(read_card, network / "card.json")


@LENGTHS
def test_picture_files(examples: int, tmp_path: Path) -> None:
    def read(content: bytes) -> None:
        (tmp_path / "picture").write_bytes(content)
        read_picture(tmp_path / "picture")

    drawn = Image.radial_gradient("L").resize((24, 16)).convert("RGB")
    kinds = []
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA"):
        content = io.BytesIO()
        drawn.save(content, kind)
        kinds.append(changed(content.getvalue()))
    search(st.one_of(*kinds), read, 3 * examples)

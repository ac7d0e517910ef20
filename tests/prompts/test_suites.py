"""Public suites: what each holds, where it comes from, and what is said when it cannot be had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from noisekit.errors import BadValue
from noisekit.prompts import PromptSuite, download, load_prompts
from noisekit.prompts.cards import cards

#: Name, copy among the shared data, prompts, empty entries, and the hash that results refer to.
COPIES = [
    ("drawbench", "drawbench.csv", 200, 0, "9a897f09593aafac"),
    ("pick_a_pic", "pickscore.csv", 499, 1, "2d8a690dcb9b54cd"),
    ("pick_a_pic_100", "pickscore.csv", 100, 1, "d7dc1f50582816dc"),
    ("parti_prompts", "PartiPrompts.tsv", 1632, 0, "116d7819ef5fe682"),
    ("geneval", "geneval_metadata.jsonl", 553, 0, "e1c98301d86b8bbd"),
    ("t2i_compbench", "t2i_compbench", 1800, 0, "a2fc5c6b75f762f0"),
]


@pytest.fixture(scope="module")
def copies(shared: Path) -> dict[str, PromptSuite]:
    """Every suite that has a copy among the shared data."""
    return {name: load_prompts(f"{name}={shared / 'data' / 'prompts' / file}") for name, file, *_ in COPIES}


@pytest.mark.parametrize(
    ("name", "file", "count", "empty", "digest"), COPIES, ids=[copy[0] for copy in COPIES]
)
def test_a_public_suite_is_whole(
    copies: dict[str, PromptSuite], name: str, file: str, count: int, empty: int, digest: str
) -> None:
    suite = copies[name]
    assert (suite.name, len(suite), suite.empty, suite.repeated) == (name, count, empty, 0)
    assert suite.hash == digest
    assert len({prompt.id for prompt in suite}) == count


def test_the_first_hundred_of_pick_a_pic_pass_over_the_empty_caption(copies: dict[str, PromptSuite]) -> None:
    """Caption 87, counted from 0, is empty: with it, the hundred would be 99."""
    assert copies["pick_a_pic_100"].texts == copies["pick_a_pic"].texts[:100]
    assert copies["pick_a_pic"].prompts[86].metadata["序号"] == "86"
    assert copies["pick_a_pic"].prompts[87].metadata["序号"] == "88"


KINDS = {
    "drawbench": {"Colors": 25, "Counting": 19, "Gary Marcus et al.": 10, "Rare Words": 7, "Reddit": 38},
    "parti_prompts": {"Abstract": 51, "Animals": 314, "World Knowledge": 214},
    "geneval": dict(
        zip(
            ("single_object", "two_object", "counting", "colors", "position", "color_attr"),
            (80, 99, 80, 94, 100, 100),
            strict=True,
        )
    ),
    "t2i_compbench": dict.fromkeys(("color", "shape", "texture", "spatial", "non_spatial", "complex"), 300),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds_are_the_suites_own_categories(copies: dict[str, PromptSuite], name: str) -> None:
    counts = Counter(prompt.kind for prompt in copies[name])
    assert KINDS[name].items() <= counts.items()
    assert len(counts) == {"drawbench": 11, "parti_prompts": 12, "geneval": 6, "t2i_compbench": 6}[name]


def test_parti_prompts_are_sorted_twice(copies: dict[str, PromptSuite]) -> None:
    challenges = Counter(prompt.categories["challenge"] for prompt in copies["parti_prompts"])
    assert len(challenges) == 11
    assert challenges["Quantity"] == 90
    assert copies["parti_prompts"].prompts[0].categories == {"category": "Abstract", "challenge": "Basic"}
    assert "Biology-inspired" in copies["parti_prompts"].prompts[0].metadata["note"]
    assert any(text.startswith('"G I G G L E" painted') for text in copies["parti_prompts"].texts)


def test_geneval_keeps_its_objects(copies: dict[str, PromptSuite]) -> None:
    suite = copies["geneval"]
    assert suite.prompts[0].metadata == {"tag": "single_object", "include": [{"class": "bench", "count": 1}]}
    counted = [prompt for prompt in suite if prompt.kind == "counting"]
    for prompt in counted:
        (wanted,), (forbidden,) = prompt.metadata["include"], prompt.metadata["exclude"]
        assert forbidden == {"class": wanted["class"], "count": wanted["count"] + 1}
    assert all("position" in prompt.metadata["include"][1] for prompt in suite if prompt.kind == "position")


def test_one_category_of_a_suite(shared: Path, copies: dict[str, PromptSuite]) -> None:
    folder = shared / "data" / "prompts"
    counting = load_prompts(f"geneval:counting={folder / 'geneval_metadata.jsonl'}")
    assert counting.name == "geneval:counting"
    assert counting.texts == [prompt.text for prompt in copies["geneval"] if prompt.kind == "counting"]
    assert len(load_prompts(f"drawbench:Gary Marcus et al.={folder / 'drawbench.csv'}")) == 10
    assert len(load_prompts(f"parti_prompts:Quantity={folder / 'PartiPrompts.tsv'}")) == 90
    colours = load_prompts(f"t2i_compbench:color={folder / 't2i_compbench' / 'color_val.txt'}")
    assert colours.prompts == copies["t2i_compbench"].prompts[:300]
    assert [prompt.kind for prompt in load_prompts("tiny:count", limit=3)] == ["count"] * 3
    with pytest.raises(BadValue, match=r"category .* 'geneval' 'countin'; did you mean 'counting'"):
        load_prompts(f"geneval:countin={folder / 'geneval_metadata.jsonl'}")


def test_the_corrupt_copy_of_hpdv2_is_refused_aloud(shared: Path) -> None:
    with pytest.raises(
        BadValue, match=r"more or fewer cells than its header .* may be cut.*ymhao/HPDv2"
    ) as caught:
        load_prompts(f"hpdv2={shared / 'data' / 'prompts' / 'HPD_prompt.csv'}")
    assert "\n" not in str(caught.value)


def test_another_file_is_not_taken_for_a_suite(tmp_path: Path) -> None:
    path = tmp_path / "drawbench.csv"
    path.write_text("Prompts,Category\n" + "".join(f"prompt {i},Colors\n" for i in range(199)))
    with pytest.raises(
        BadValue, match=r"199 entries where 'drawbench' has 200; download https://github.com/"
    ):
        load_prompts(f"drawbench={path}")
    assert len(load_prompts(path)) == 199
    with pytest.raises(BadValue, match=r"No such file.*drawbench=FILE"):
        load_prompts(f"drawbench={tmp_path / 'none.csv'}")
    with pytest.raises(BadValue, match=r"is read from a folder with anime.json, .*is a file"):
        load_prompts(f"hpsv2={path}")
    with pytest.raises(BadValue, match="'tiny' comes with noisekit"):
        load_prompts(f"tiny={path}")
    with pytest.raises(BadValue, match=r"'drawbnch'; did you mean 'drawbench'"):
        load_prompts(f"drawbnch={path}")


def test_training_scenes_are_none_of_the_suites() -> None:
    train, test = load_prompts("tiny_train", limit=500), load_prompts("tiny")
    assert len(train) == 500
    assert not any(prompt.unseen for prompt in train)
    assert not {prompt.id for prompt in train} & {prompt.id for prompt in test}


# --- from the network, which here is one process that plays both homes ----------------------------------------------


def styles() -> dict[str, bytes]:
    """The four files of the HPSv2 benchmark in their format, with texts of our own."""
    return {
        file: json.dumps([f"{style}, picture {i}" for i in range(800)]).encode()
        for style, file in cards()["hpsv2"].files.items()
    }


class Homes(HTTPServer):
    """Answers as Hugging Face's hub and GitHub's file server do, from `contents`; remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.contents: dict[str, bytes] = {}
        self.asked: list[str] = []


class Answer(BaseHTTPRequestHandler):
    server: Homes

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(self.path).lstrip("/")
        self.server.asked.append(path)
        content = self.server.contents.get(path)
        self.send_response(404 if content is None else 200)
        if content is not None and "/resolve/" in path:
            self.send_header("X-Repo-Commit", path.split("/resolve/")[1].split("/")[0])
            self.send_header("ETag", f'"{sha1(content).hexdigest()}"')
        content = content or b"there is no such file"
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def homes() -> Iterator[Homes]:
    server = Homes()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def loaded_elsewhere(name: str, cache: Path, offline: bool, endpoint: str) -> list[str]:
    """Name, number and first kind, or the error, from a process of its own: the client reads its settings on import."""
    code = (
        "import sys; from noisekit.prompts import load_prompts\n"
        "try: suite = load_prompts(sys.argv[1]); print(suite.name, len(suite), suite.prompts[0].kind, sep='\\n')\n"
        "except ValueError as error: print(error)"
    )
    settings = {"HF_HOME": str(cache), "HF_HUB_OFFLINE": str(int(offline)), "HF_ENDPOINT": endpoint}
    done = subprocess.run(
        [sys.executable, "-c", code, name],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


def test_a_suite_on_the_hub_is_downloaded_once(homes: Homes, tmp_path: Path) -> None:
    card = cards()["hpsv2"]
    homes.contents.update(
        {f"datasets/{card.repo}/resolve/{card.revision}/{file}": text for file, text in styles().items()}
    )
    assert loaded_elsewhere("hpsv2:photo", tmp_path, False, homes.url) == ["hpsv2:photo", "800", "photo"]
    assert {path.rpartition("/")[2] for path in homes.asked if "resolve" in path} == {"photo.json"}, (
        homes.asked
    )
    asked = len(homes.asked)
    assert loaded_elsewhere("hpsv2:photo", tmp_path, True, homes.url) == ["hpsv2:photo", "800", "photo"]
    assert len(homes.asked) == asked
    (error,) = loaded_elsewhere("hpsv2", tmp_path, True, homes.url)
    assert "HF_HUB_OFFLINE is set" in error
    assert "anime.json, concept-art.json, paintings.json, photo.json" in error
    assert error.endswith("'hpsv2=FOLDER'")


@pytest.fixture
def github(homes: Homes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Homes:
    """This process's GitHub is the test's server, and its cache is empty."""
    from huggingface_hub import constants

    monkeypatch.setattr(download, "GITHUB", homes.url)
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return homes


def test_a_suite_on_github_is_downloaded_once(github: Homes, capsys: pytest.CaptureFixture[str]) -> None:
    card = cards()["t2i_compbench"]
    for part, file in card.files.items():
        content = "\r\n".join(f"{part} {i}" for i in range(300)).encode()
        github.contents[f"{card.repo}/{card.revision}/{file}"] = content
    assert download.held(card, card.files["shape"]) is None
    suite = load_prompts("t2i_compbench")
    assert Counter(prompt.kind for prompt in suite) == dict.fromkeys(card.files, 300)
    assert len(github.asked) == 6
    assert capsys.readouterr().err.count("of prompt suite 't2i_compbench' from github:Karine-Huang/") == 6
    github.contents.clear()
    assert load_prompts("t2i_compbench").hash == suite.hash
    assert len(github.asked) == 6
    assert not capsys.readouterr().err


def test_a_file_that_is_gone_is_no_suite(github: Homes) -> None:
    with pytest.raises(BadValue, match=r"github did not give it: HTTP Error 404.*geneval=FILE") as caught:
        load_prompts("geneval")
    assert "\n" not in str(caught.value)
    card = cards()["geneval"]
    assert download.held(card, card.files[""]) is None


def test_offline_says_which_file_to_get_and_asks_nobody(
    github: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BadValue) as caught:
        load_prompts("geneval")
    card = cards()["geneval"]
    assert str(caught.value) == (
        "prompt suite 'geneval' is not on this machine and could not be downloaded (HF_HUB_OFFLINE is set); download "
        f"https://github.com/djghosh13/geneval/blob/{card.revision}/prompts/evaluation_metadata.jsonl and give it as "
        "'geneval=FILE'"
    )
    assert not github.asked


def test_every_card_names_a_commit_and_files_that_can_be_read() -> None:
    for card in cards().values():
        assert card.service in {"github", "huggingface"}
        assert len(card.revision) == 40, "a branch would let the prompts change under a comparison"
        assert int(card.revision, 16)
        assert card.entries == (card.first or card.rows * len(card.files))
        for file in card.files.values():
            assert Path(file).suffix in {".txt", ".csv", ".tsv", ".json", ".jsonl"}


@pytest.mark.weights
@pytest.mark.parametrize("name", cards())
def test_every_suite_can_be_downloaded(name: str) -> None:
    suite = load_prompts(name)
    assert len(suite) + suite.repeated >= cards()[name].entries - 1
    known = {copy[0]: copy[-1] for copy in COPIES}
    assert suite.hash == known.get(name, suite.hash)

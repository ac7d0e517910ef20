"""Fetching models from a hub of the test's own, which serves a toy SDXL in the published layout over HTTP."""

import json
import threading
from collections import Counter
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
import torch
from huggingface_hub import constants
from typer.testing import CliRunner

from noisekit.cli.app import app
from noisekit.errors import BadValue, CorruptWeights, NoisekitError
from noisekit.models import hub, load_model
from noisekit.models.cache import Need, need_of
from noisekit.models.cards import Card, cards
from noisekit.models.hub import wanted
from noisekit.models.places import needs
from tests.pipelines import sdxl

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BASE, FIX, STUDENT = "lab/toy-xl", "lab/toy-vae", "lab/toy-student"


class Hub(ThreadingHTTPServer):
    """Repositories as {file: bytes}, served as the hub does; what was asked for is remembered."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.asked, self.gated, self.spoilt = {}, [], set(), {}
        self.url = f"http://127.0.0.1:{self.server_port}"

    def downloads(self):
        """How often each file was sent, by its name with its repository's."""
        sent = (path.split("/") for method, path in self.asked if method == "GET" and "/resolve/" in path)
        return Counter("/".join(parts[:2] + parts[4:]) for parts in sent)


class Answer(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path).strip("/")
        self.server.asked.append((self.command, path))
        parts = path.split("/")
        repo = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        if repo in self.server.gated:
            return self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        if repo not in self.server.files:
            return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        files = self.server.files[repo]
        if parts[0] == "api":
            if parts[4] == "tree":
                return self.answer(200, json.dumps([entry(*item) for item in files.items()]).encode())
            listed = [sibling(name, content) for name, content in files.items()]
            about = {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": listed}
            return self.answer(200, json.dumps(about).encode())
        name = "/".join(parts[4:])
        if name not in files:
            return self.answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        content = files[name]
        headers = {"ETag": f'"{etag(name, content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if self.command == "GET":
            content = self.server.spoilt.get((repo, name), content)
        return self.answer(200, content, headers)

    def answer(self, status, content, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_):
        """Keep quiet."""


def etag(name, content):
    """SHA-256 for what the hub keeps outside git, git's own hash for the rest."""
    large = name.endswith((".safetensors", ".bin"))
    return (sha256(content) if large else sha1(b"blob %d\0" % len(content) + content)).hexdigest()


def sibling(name, content):
    large = {"lfs": {"sha256": etag(name, content), "size": len(content), "pointerSize": 9}}
    own = sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return {"rfilename": name, "size": len(content), "blobId": own} | (
        large if ".safetensors" in name else {}
    )


def entry(name, content):
    own = sha1(b"blob %d\0" % len(content) + content).hexdigest()
    large = {"lfs": {"oid": etag(name, content), "size": len(content), "pointerSize": 9}}
    about = {"type": "file", "path": name, "size": len(content), "oid": own}
    return about | (large if ".safetensors" in name else {})


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """The files of three repositories: a pipeline in both precisions and formats, an autoencoder, a student's UNet."""
    home = tmp_path_factory.mktemp("toys")
    sdxl().save_pretrained(home / "base")
    sdxl().save_pretrained(home / "half", variant="fp16")
    files = {
        str(path.relative_to(home / part)): path.read_bytes()
        for part in ("half", "base")
        for path in (home / part).rglob("*")
        if path.is_file()
    }
    files["unet/diffusion_pytorch_model.bin"] = b"a pickle"
    files["unet/model.onnx"] = b"onnx"
    files["sd_xl_base_1.0.safetensors"] = b"everything in one file"
    files["README.md"] = b"# Toy"
    other = sdxl(seed=1)
    other.vae.save_pretrained(home / "vae")
    fix = {path.name: path.read_bytes() for path in (home / "vae").iterdir()}
    fix["sdxl_vae.safetensors"] = b"the same in another layout"
    other.unet.save_pretrained(home / "unet")
    student = {"one-step.safetensors": (home / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()}
    return {BASE: files, FIX: fix, STUDENT: student}


@pytest.fixture
def server(toys, tmp_path, monkeypatch):
    """The hub of this process for one test, with an empty cache."""
    running = Hub()
    running.files = {repo: dict(files) for repo, files in toys.items()}
    thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    template = running.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", running.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


CARD = Card("toy", repo=BASE, variant="fp16", unet=f"{STUDENT}:one-step.safetensors", vae=FIX, gigabytes=0.1)


@pytest.fixture
def toy(monkeypatch):
    """A card that takes its pipeline, UNet and autoencoder from three repositories."""
    monkeypatch.setitem(cards(), "toy", CARD)


def run(*arguments):
    """Exit code and last line of a command, as `noisekit` ends it."""
    result = CliRunner().invoke(app, list(arguments))
    if isinstance(result.exception, NoisekitError):
        return 2, str(result.exception)
    assert result.exception is None, result.exception
    return result.exit_code, result.output


def test_a_card_is_fetched_whole_once_and_loads_offline(server, toy, monkeypatch):
    code, output = run("models", "fetch", "toy")
    assert code == 0, output
    taken = {path.split("/", 2)[2] for path in server.downloads()}
    assert {name for name in taken if name.endswith(".safetensors")} == {
        "text_encoder/model.fp16.safetensors",
        "text_encoder_2/model.fp16.safetensors",
        "diffusion_pytorch_model.safetensors",  # of the autoencoder, which has no variants
        "one-step.safetensors",
    }
    assert {"unet/config.json", "scheduler/scheduler_config.json"} <= taken
    assert any(name.endswith("/tokenizer.json") for name in taken)  # both tokenizers' are one file to the hub
    assert "vae/config.json" in taken
    assert not {"README.md", "unet/diffusion_pytorch_model.bin", "sd_xl_base_1.0.safetensors"} & taken
    assert output.count("equal to the hub's") == 3
    assert "about 0.1 GB" in output

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    before = len(server.asked)
    model = load_model("toy", steps=2, device="cpu")
    expected = sdxl()
    expected.unet, expected.vae = sdxl(seed=1).unet, sdxl(seed=1).vae
    assert model.identity == load_model(expected, steps=2).identity
    code, output = run("models", "fetch", "toy")
    assert code == 0
    assert output.count("offline, so not compared with the hub's") == 3
    assert len(server.asked) == before

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    files = server.downloads()
    assert run("models", "fetch", "toy")[0] == 0
    assert server.downloads() == files  # compared with the hub, and not downloaded again


def test_a_hub_id_is_downloaded_when_it_is_loaded(server):
    model = load_model(BASE, steps=2, device="cpu")
    assert model.identity == load_model(sdxl(), steps=2).identity
    assert "unet/diffusion_pytorch_model.safetensors" in str(server.downloads())
    assert "fp16" not in str(server.downloads())
    before = len(server.asked)
    assert load_model(f"{BASE}(steps=2)", device="cpu").identity == model.identity
    assert len(server.asked) == before


@pytest.mark.parametrize("spoilt", ["text_encoder/model.fp16.safetensors", "unet/config.json"])
def test_a_file_that_differs_from_the_hubs_is_downloaded_again_and_then_refused(server, toy, spoilt):
    content = server.files[BASE][spoilt]
    server.spoilt[BASE, spoilt] = content[:-1] + b"#"
    code, said = run("models", "fetch", "toy")
    assert code == 2
    assert said.startswith(f"{spoilt!r} of {BASE!r} differs from the hub's in size or hash, downloaded twice")
    assert server.downloads()[f"{BASE}/{spoilt}"] == 2
    server.spoilt.clear()
    assert run("models", "fetch", "toy")[0] == 0


def test_what_an_interrupted_download_lacks_is_noticed(server, toy, monkeypatch):
    assert run("models", "fetch", "toy")[0] == 0
    (need, *_) = needs(CARD)
    held = hub.held(need)
    (held / "text_encoder_2" / "model.fp16.safetensors").unlink()
    assert hub.held(need) is None
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BadValue) as caught:
        load_model("toy")
    assert str(caught.value) == (
        f"model 'toy' needs files that are missing: {BASE!r} is on this machine without 'text_encoder_2', and "
        "HF_HUB_OFFLINE is set; `noisekit models fetch toy` gets them where the hub can be reached (about 0.1 GB)"
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    load_model("toy", steps=1)
    assert hub.held(need) is not None


def test_gated_missing_and_unreachable_repositories_each_get_a_sentence(server, toy, monkeypatch):
    server.gated.add(BASE)
    code, said = run("models", "fetch", "toy")
    assert code == 2
    assert (
        f"{BASE!r} is not on this machine, and it is gated: accept its licence on its page on the hub, then log"
        in said
    )
    with pytest.raises(BadValue, match="'lab/none' is not on this machine, and the hub did not give it"):
        load_model("lab/none")
    server.files[BASE]["model_index.json"] = b"{"
    server.gated.clear()
    with pytest.raises(CorruptWeights, match=r"model_index.json' is missing or is no index of a diffusers"):
        load_model(BASE)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BadValue, match="the hub did not give it") as caught:
        load_model(FIX)
    assert "\n" not in str(caught.value)


def test_a_repository_of_pickles_is_refused_before_they_are_downloaded(server):
    files = server.files[BASE]
    for name in list(files):
        if name.startswith("unet/") and name.endswith(".safetensors"):
            del files[name]
    with pytest.raises(CorruptWeights, match=r"has no safetensors for 'unet', and noisekit reads no pickles"):
        load_model(BASE)
    assert ".bin" not in str(server.downloads())


class TestWanted:
    """Which of a repository's files are taken."""

    INDEX = {
        "_class_name": "StableDiffusion3Pipeline",
        "transformer": ["diffusers", "SD3Transformer2DModel"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "image_encoder": [None, None],
    }
    SHARDS = [f"transformer/diffusion_pytorch_model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    NAMES = [
        "model_index.json",
        "transformer/config.json",
        "transformer/diffusion_pytorch_model.safetensors.index.json",
        *SHARDS,
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/pytorch_model.bin",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "tokenizer/spiece.model",
        "safety_checker/model.safetensors",
        "image_encoder/model.safetensors",
        "text_encoder/deeper/model.safetensors",
        "flax_model.msgpack",
    ]

    def test_shards_come_with_their_index_and_variants_where_there_are_any(self):
        taken = wanted(Need("a/b", variant="fp16"), self.NAMES, self.INDEX)
        assert sorted(taken) == sorted(
            [name for name in self.NAMES if name.startswith(("model_index", "transformer", "tokenizer/"))]
            + ["text_encoder/config.json", "text_encoder/model.fp16.safetensors"]
        )
        assert "text_encoder/model.safetensors" in wanted(Need("a/b"), self.NAMES, self.INDEX)

    def test_weights_from_elsewhere_leave_only_the_configuration(self):
        taken = wanted(Need("a/b", without=frozenset({"transformer"})), self.NAMES, self.INDEX)
        assert [name for name in taken if name.startswith("transformer")] == ["transformer/config.json"]

    def test_a_part_is_one_file_or_one_folder(self):
        file = need_of("owner/name@v1.0:some/where.safetensors")
        assert file == Need("owner/name", "v1.0", None, "some/where.safetensors")
        assert wanted(file, [], {}) == ["some/where.safetensors"]
        names = ["unet/config.json", "unet/diffusion_pytorch_model.safetensors", "config.json"]
        assert wanted(need_of("owner/name:unet"), names, {}) == names[:2]
        for text in ("name", "../up", "/elsewhere/file.safetensors", "a/b/c", "a/b:", "https://host/a/b"):
            assert need_of(text) is None


@pytest.mark.parametrize("name", [name for name, card in cards().items() if not card.bundled])
def test_every_card_says_what_it_needs_and_asks_to_fetch_it(name, monkeypatch, tmp_path):
    card = cards()[name]
    assert card.gigabytes > 1
    assert card.licence
    assert all(need.repo.count("/") == 1 for need in needs(card))
    parts = [part for part in (card.unet, card.vae, card.controlnet, card.lora) if part]
    assert len(needs(card)) == 1 + len(parts)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BadValue) as caught:
        load_model(name)
    said = str(caught.value)
    assert f"`noisekit models fetch {name}`" in said
    assert f"about {card.gigabytes:g} GB" in said
    assert card.licence in said
    assert ("gated" in said) == card.gated


def test_settings_in_a_name_change_what_is_fetched():
    from noisekit.models.loading import resolve

    card, *_ = resolve("sdxl(unet='mhdang/dpo-sdxl-text2image-v1:unet')", {})
    assert needs(card) == needs(cards()["sdxl-dpo"])


@pytest.mark.weights
@pytest.mark.parametrize("name", [name for name, card in cards().items() if not card.bundled])
def test_every_card_loads_from_the_hub(name):
    model = load_model(name, dtype="bf16")
    assert isinstance(model.sample_cost().denoiser, float | int)
    assert torch.isfinite(model.encode(["a red circle"]).positive).all()

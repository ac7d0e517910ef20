"""The hub's cache as other programs and broken downloads leave it: what is here is used, and what is not is named."""

import shutil
import warnings

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from noisekit.errors import BadValue, CorruptWeights
from noisekit.models import load_model
from noisekit.models.cache import Need, held
from noisekit.models.cards import Card, cards
from noisekit.models.hashes import weights_hash
from noisekit.models.places import presence
from tests.pipelines import sdxl

REPO, PIN, NEWER = "lab/toy", "1" * 40, "2" * 40
NETWORKS = ("unet", "vae", "text_encoder", "text_encoder_2")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A pipeline in both precisions."""
    home = tmp_path_factory.mktemp("caches")
    sdxl().save_pretrained(home / "plain")
    sdxl().to(torch.float16).save_pretrained(home / "half", variant="fp16")
    return home


class Cache:
    """A cache of the hub with the snapshots of one repository, as links to blobs."""

    def __init__(self, root, files):
        self.home, self.files = root / "models--lab--toy", files

    def add(self, commit, *, plain=NETWORKS, half=NETWORKS, ref=None):
        """A snapshot with the weights of some networks in each precision, and all that is no weights."""
        for kind, taken in (("plain", plain), ("half", half)):
            for path in (self.files / kind).rglob("*"):
                name = path.relative_to(self.files / kind)
                if path.is_file() and (path.suffix != ".safetensors" or name.parts[0] in taken):
                    self.link(commit, name, path)
        if ref:
            (self.home / "refs").mkdir(exist_ok=True)
            (self.home / "refs" / ref).write_text(commit)
        return self.home / "snapshots" / commit

    def link(self, commit, name, path):
        blob = self.home / "blobs" / "-".join((path.parent.parent.name, *name.parts))
        blob.parent.mkdir(parents=True, exist_ok=True)
        if not blob.exists():
            shutil.copy(path, blob)
        place = self.home / "snapshots" / commit / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            place.symlink_to(blob)


@pytest.fixture
def network(request, monkeypatch):
    """None: "offline", where the user forbids it, or "unreachable", where nobody answers."""
    way = getattr(request, "param", "offline")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", way == "offline")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    return way


both_ways = pytest.mark.parametrize("network", ["offline", "unreachable"], indirect=True)


@pytest.fixture
def cache(files, tmp_path, monkeypatch, network):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setitem(cards(), "toy", Card("toy", repo=REPO, revision=PIN, variant="fp16", steps=2))
    return Cache(tmp_path, files)


def whole(pipe, half=()):
    """Whether the networks hold the numbers of the plain files, or of the half-precision ones."""
    exact = sdxl()
    for name in NETWORKS:
        expected = getattr(exact, name)
        if name in half:
            expected = expected.half().float()
        assert weights_hash(getattr(pipe, name)) == weights_hash(expected), name


def refused(source, **settings):
    with pytest.raises((BadValue, CorruptWeights)) as caught:
        load_model(source, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@both_ways
@pytest.mark.parametrize("ref", ["main", None])
@pytest.mark.parametrize("source", ["toy", REPO, f"{REPO}(revision={PIN!r})"])
def test_what_is_here_is_used_without_a_network(cache, ref, source):
    cache.add(PIN, half=(), ref=ref)
    whole(load_model(source, steps=2).pipe)


@pytest.mark.parametrize(
    ("plain", "half", "taken"),
    [
        (NETWORKS, NETWORKS, NETWORKS),
        ((), NETWORKS, NETWORKS),
        (NETWORKS, (), ()),
        (NETWORKS[:2], NETWORKS[2:], NETWORKS[2:]),
        (NETWORKS[1:], NETWORKS[:3], NETWORKS[:3]),
    ],
)
def test_the_variant_wished_goes_first_network_by_network(cache, plain, half, taken):
    cache.add(PIN, plain=plain, half=half)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        whole(load_model("toy").pipe, half=taken)


@pytest.mark.parametrize("half", [NETWORKS, ("vae",), ("unet", "text_encoder_2")])
def test_rounded_files_that_nobody_wished_are_not_taken_in_silence(cache, half):
    cache.add(PIN, plain=set(NETWORKS) - set(half), half=half, ref="main")
    with pytest.warns(UserWarning, match="has only rounded weights here") as said:
        whole(load_model(REPO, steps=2).pipe, half=half)
    assert all(f"{name} (fp16)" in str(said[0].message) for name in half)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        whole(load_model(REPO, steps=2, variant="fp16").pipe, half=half)
        load_model(REPO, steps=2, dtype="fp16")  # loses nothing


@pytest.mark.parametrize("place", [None, f"{REPO}@{PIN}:vae"])
def test_an_autoencoder_that_is_to_be_exact_is_never_a_rounded_one(cache, monkeypatch, place):
    card = Card("exact", repo=REPO, revision=PIN, variant="fp16", vae=place, vae_dtype="fp32", steps=2)
    monkeypatch.setitem(cards(), "exact", card)
    snapshot = cache.add(PIN, plain=())
    said = refused("exact")
    assert "vae" in said
    assert "fp16" in said
    assert "rounded" in said
    for path in (cache.files / "plain" / "vae").glob("*.safetensors"):
        shutil.copy(path, snapshot / "vae")
    whole(load_model("exact").pipe, half=set(NETWORKS) - {"vae"})


@both_ways
def test_another_commit_than_the_pinned_one_is_named_with_the_way_to_use_it(cache):
    cache.add(NEWER, ref="main")
    said = refused("toy")
    assert f"this machine holds commit {NEWER!r} of {REPO!r} (to use it, give revision={NEWER!r})" in said
    assert f"but not {PIN!r} whole" in said
    assert load_model(f"toy(revision={NEWER!r})").card.revision == NEWER
    assert load_model("toy(revision='main')").card.revision == "main"


def test_a_part_of_another_commit_is_named_with_the_way_to_use_it(cache):
    cache.add(PIN)
    cache.add(NEWER)
    said = refused("toy", unet=f"{REPO}@{'3' * 40}:unet")
    assert f"(to use it, give {REPO}@{PIN}:unet)" in said
    load_model("toy", unet=f"{REPO}@{NEWER}:unet")


def test_of_two_commits_none_is_guessed(cache):
    cache.add(PIN)
    cache.add(NEWER)
    assert "but not 'main' whole" in refused(REPO)
    assert load_model(f"{REPO}(revision={NEWER!r})").name == REPO


@pytest.mark.parametrize("there", [f"{name}" for name in NETWORKS] + ["tokenizer", "scheduler"])
def test_what_a_broken_download_lacks_is_named(cache, there):
    """Every file of a component in turn is a link that leads nowhere, as a download leaves it that was stopped."""
    snapshot = cache.add(PIN, plain=(), ref="main")
    needed = [path for path in (snapshot / there).iterdir() if "special" not in path.name]
    for path in needed:
        blob = path.resolve()
        aside = blob.rename(blob.with_suffix(".incomplete"))
        assert presence(cards()["toy"]) == "in part"
        assert f"without {there!r}" in refused("toy")
        aside.rename(blob)
    assert presence(cards()["toy"]) == "here"


def test_shards_count_where_all_of_them_are_here(cache):
    """An index of plain shards without them, beside the whole shards of a variant, and the other way round."""
    snapshot = cache.add(PIN)
    pipe = sdxl()
    for file in (snapshot / "unet").iterdir():
        file.unlink()
    pipe.unet.save_pretrained(snapshot / "unet", max_shard_size="100KB")
    pipe.unet.half().save_pretrained(snapshot / "unet", max_shard_size="100KB", variant="fp16")
    plain, half = (sorted((snapshot / "unet").glob(f"*model{v}-0*")) for v in ("", ".fp16"))
    assert len(plain) > 1
    assert len(half) > 1
    half[0].rename(snapshot / "away")
    whole(load_model("toy").pipe, half=NETWORKS[1:])
    (snapshot / "away").rename(half[0])
    plain[-1].unlink()
    with pytest.warns(UserWarning, match="unet .fp16."):
        whole(load_model("toy", variant="other").pipe, half=("unet",))
    assert held(Need(REPO, PIN)) == snapshot
    half[-1].unlink()
    assert "without 'unet'" in refused("toy")


def test_a_shard_without_what_its_index_promises_is_named(cache):
    snapshot = cache.add(PIN, half=())
    for file in (snapshot / "unet").iterdir():
        file.unlink()
    sdxl().unet.save_pretrained(snapshot / "unet", max_shard_size="100KB")
    shard = sorted((snapshot / "unet").glob("*-00001-of-*"))[0]
    tensors = load_file(shard)
    name = sorted(tensors)[0]
    del tensors[name]
    save_file(tensors, shard, {"format": "pt"})
    said = refused("toy")
    assert (
        f"lacks 1 tensors that 'diffusion_pytorch_model.safetensors.index.json' promises, such as {name!r}"
        in said
    )
    assert str(shard) in said


@pytest.mark.parametrize("size", [0, 7, 5000])
def test_a_truncated_file_is_named(cache, size):
    snapshot = cache.add(PIN)
    blob = (snapshot / "vae" / "diffusion_pytorch_model.fp16.safetensors").resolve()
    blob.write_bytes(blob.read_bytes()[:size])
    assert "vae/diffusion_pytorch_model.fp16.safetensors' is no whole safetensors file" in refused("toy")


@both_ways
def test_nothing_here_says_so(cache, network):
    assert presence(cards()["toy"]) == "not here"
    said = refused("toy")
    assert f"{REPO!r} is not on this machine" in said
    assert ("HF_HUB_OFFLINE is set" if network == "offline" else "the hub did not give it") in said
    assert "`noisekit models fetch toy` gets them" in said

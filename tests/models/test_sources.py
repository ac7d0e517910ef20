"""What `load_model` is given: folders of any name, subclassed pipelines, one-file checkpoints; and what is here of cards."""

import os
import shutil

import pytest
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
from typer.testing import CliRunner

from noisekit.cli.app import app
from noisekit.errors import BadValue, NotSupported
from noisekit.models import load_model
from noisekit.models.cards import cards
from noisekit.models.loading import resolve, split_models
from noisekit.models.places import BUNDLED
from tests.pipelines import stable_diffusion

#: Names that a user gives to folders.
NAMES = [
    "plain",
    "a, b",
    "model (v2)",
    "mine (final), really",
    "x(1)(2)",
    "steps=(2)",
    "of [it]",
    "tiny(steps=2)",
]
SETTINGS = ["", "(steps=2)", "(steps=2, size=(16, 24))"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same small pipeline under every name."""
    home = tmp_path_factory.mktemp("home (of all), here")
    stable_diffusion().save_pretrained(home / NAMES[0])
    for name in NAMES[1:]:
        (home / name).symlink_to(home / NAMES[0])
    return home


@pytest.fixture(params=["absolute", "relative", "home"])
def written(request, folders, monkeypatch):
    """How a folder's path is written."""
    monkeypatch.chdir(folders)
    monkeypatch.setenv("HOME", str(folders))
    start = {"absolute": f"{folders}/", "relative": "./", "home": "~/"}[request.param]
    return lambda name: start + name


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", NAMES)
def test_a_list_of_models_is_split_where_one_ends(written, name, settings):
    model, others = written(name) + settings, ["tiny", "tiny-turbo(steps=2, guidance=1.0)"]
    for listed in (
        [model],
        [model, *others],
        [*others, model],
        [others[0], model, others[1]],
        [model, model],
    ):
        assert split_models(",".join(listed)) == listed
        assert split_models(" , ".join(listed)) == listed


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_any_name_is_found_with_and_without_settings(written, name):
    assert resolve(written(name), {})[0].steps == 50
    card, *_ = resolve(written(name) + "(steps=2, size=(16, 24))", {})
    assert (card.steps, card.size) == (2, (16, 24))
    assert os.path.samefile(card.repo, os.path.expanduser(written(name)))


def test_a_folder_with_commas_and_brackets_loads(written):
    assert load_model(written("mine (final), really") + "(steps=2, size=(16, 24))").size == (16, 24)


def test_parts_are_found_from_home(folders, monkeypatch):
    monkeypatch.setenv("HOME", str(folders))
    file = "vae/diffusion_pytorch_model.safetensors"
    for place in ("~/plain/vae", f"~/plain/{file}", folders / "plain" / "vae"):
        assert load_model("~/plain", vae=place).identity == load_model("~/plain").identity


class Mine(StableDiffusionPipeline):
    """A user's own."""


class MineAgain(Mine):
    """And one more."""


@pytest.mark.parametrize("kind", [Mine, MineAgain])
def test_a_subclass_runs_as_its_family(kind):
    parts = stable_diffusion().components
    model = load_model(kind(**parts, requires_safety_checker=False), steps=2)
    assert type(model) is type(load_model(stable_diffusion(), steps=2))
    assert model.pipe.__class__ is kind


def test_a_folder_of_a_class_that_diffusers_does_not_have_is_refused(folders, tmp_path):
    copy = shutil.copytree(folders / "plain", tmp_path / "mine")
    index = copy / "model_index.json"
    index.write_text(index.read_text().replace('"StableDiffusionPipeline"', '"Mine"'))
    with pytest.raises(NotSupported, match=r"'mine' is a Mine; .* give the pipeline itself"):
        load_model(copy)
    index.write_text(
        index.read_text().replace('"Mine"', '"StableDiffusionPipeline"').replace("AutoencoderKL", "NoKL")
    )
    with pytest.raises(NotSupported, match=r"needs the network 'NoKL' of 'diffusers' for its 'vae'"):
        load_model(copy)


@pytest.mark.parametrize("name", ["all (in) one.safetensors", "all.ckpt", "none.safetensors"])
def test_a_checkpoint_in_one_file_is_refused_with_the_command_that_converts_it(folders, tmp_path, name):
    place = tmp_path / name
    if not name.startswith("none"):
        save_file(stable_diffusion().unet.state_dict(), place)
    for source in (place, str(place), f"{place}(steps=2)"):
        with pytest.raises(
            BadValue, match=r"convert it once by `python -c \"import diffusers; .*save_pretrained"
        ) as caught:
            load_model(source)
        assert str(place) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["revision", "variant", "unet", "vae", "controlnet", "lora"])
@pytest.mark.parametrize("value", [3, True, 0.5, ["a"], {"a": 1}])
def test_a_place_that_is_no_text_is_refused(name, value):
    with pytest.raises(BadValue, match=rf"{name}=.* of model 'tiny' is not a text"):
        load_model("tiny", **{name: value})


def test_the_list_says_what_is_here_without_asking_the_hub(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    card = cards()["sd-1.5"]
    snapshot = tmp_path / f"models--{card.repo.replace('/', '--')}" / "snapshots" / card.revision
    snapshot.mkdir(parents=True)

    def weights():
        lines = CliRunner().invoke(app, ["list", "models"], env={"COLUMNS": "400"}).output.splitlines()
        return {
            name: next(line for line in lines if line.startswith(f"{name} ")) for name in ("tiny", "sd-1.5")
        }

    monkeypatch.setattr("noisekit.cli.screen.WIDTH", 400)
    assert "bundled" in weights()["tiny"]
    assert "2.1 GB, not here" in weights()["sd-1.5"]
    os.symlink(BUNDLED / "tiny" / "model_index.json", snapshot / "model_index.json")
    assert "2.1 GB, in part" in weights()["sd-1.5"]
    for part in (BUNDLED / "tiny").iterdir():
        if part.is_dir():
            (snapshot / part.name).symlink_to(part)
    assert " here " in weights()["sd-1.5"]
    assert "GB" not in weights()["sd-1.5"]

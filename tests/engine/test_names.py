"""Names and identities: tables show the model that was asked for, or a sentence says why they cannot."""

import json
import shutil

import pytest

from noisekit.comparison import compare
from noisekit.errors import BadValue
from noisekit.models import load_model
from tests.pipelines import stable_diffusion

PROMPTS = ["a red circle"]


@pytest.fixture
def folder(tmp_path):
    stable_diffusion().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def run(models, store, **settings):
    given = {"steps": 1, "guidance": 0.0} | settings
    return compare(
        models, "standard", PROMPTS, metrics=["truth"], store=store, settings=given, progress=False
    )  # fmt: skip


def scale(folder, factor):
    file = folder / "vae" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"scaling_factor": factor}))


def test_one_model_under_two_names_is_refused_by_both(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    with pytest.raises(BadValue, match=r"'model\(.*'other\(.*are one and the same"):
        run([str(folder), str(tmp_path / "other")], tmp_path / "store")
    with pytest.raises(BadValue, match="are one and the same"):
        run([str(folder), f"{folder}/"], tmp_path / "store")


def test_one_model_under_another_name_in_a_later_run_is_refused_by_both(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    run([str(folder)], tmp_path / "store")
    with pytest.raises(BadValue, match=r"as 'model\(.*given as 'other\("):
        run([str(tmp_path / "other")], tmp_path / "store")


def test_a_table_shows_the_model_that_was_asked_for_last_whatever_was_made_last(folder, tmp_path):
    """A setting is corrected, and taken back: the third run makes no image and shows those of the first."""
    scale(folder, 1.0)
    first = run([str(folder)], tmp_path / "store").frame()
    scale(folder, 0.2)
    second = run([str(folder)], tmp_path / "store").frame()
    scale(folder, 1.0)
    third = run([str(folder)], tmp_path / "store").frame()
    assert len(first) == len(second) == len(third) == 1
    assert first["image"].tolist() == third["image"].tolist() != second["image"].tolist()
    assert len(list((tmp_path / "store" / "images").iterdir())) == 2


def test_a_pipeline_that_was_changed_is_another_model_of_the_same_name(tmp_path):
    pipe = stable_diffusion()
    model = load_model(pipe, steps=2, guidance=3.0)
    first = compare(model, "standard", PROMPTS, metrics=["truth"], store=tmp_path, progress=False).frame()
    pipe.enable_freeu(s1=0.6, s2=0.4, b1=1.3, b2=1.4)
    second = compare(model, "standard", PROMPTS, metrics=["truth"], store=tmp_path, progress=False).frame()
    pipe.disable_freeu()
    third = compare(model, "standard", PROMPTS, metrics=["truth"], store=tmp_path, progress=False).frame()
    assert first["image"].tolist() == third["image"].tolist() != second["image"].tolist()

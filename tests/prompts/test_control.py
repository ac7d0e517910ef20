"""Control images beside prompts: where they are read from, and that their pixels count in every identity."""

import json
import pickle
from pathlib import Path

import pytest
from PIL import Image

from noisekit.errors import BadValue
from noisekit.image_prompts import ControlledPrompt
from noisekit.noise import NoiseSource
from noisekit.prompts import PromptSuite, load_prompts
from noisekit.store.identity import generation_id

GREY, BRIGHT = Image.new("RGB", (6, 4), (9, 9, 9)), Image.new("L", (6, 4), 200)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "edges").mkdir()
    GREY.save(tmp_path / "edges" / "one.png")
    BRIGHT.save(tmp_path / "two.png")
    path = tmp_path / "prompts.csv"
    path.write_text("prompt,control\nred,edges/one.png\ngreen,two.png\nblue,\nred,edges/one.png\n")
    return path


def controls(suite: PromptSuite) -> list[str | None]:
    return [getattr(prompt.text, "control", None) for prompt in suite]


def test_a_column_names_the_control_image_beside_the_file(table: Path) -> None:
    suite = load_prompts(table)
    assert suite.texts == [ControlledPrompt("red", GREY), ControlledPrompt("green", BRIGHT), "blue"]
    assert suite.repeated == 1
    assert len({prompt.id for prompt in suite}) == 3
    assert suite.prompts[2].id == load_prompts(["blue"]).prompts[0].id
    listed = load_prompts([ControlledPrompt(" red ", GREY), ControlledPrompt("green", BRIGHT), "blue"])
    assert (listed.hash, controls(listed)) == (suite.hash, controls(suite))


def test_one_text_has_one_control_image(table: Path) -> None:
    table.write_text("prompt,control\nred,edges/one.png\nred,two.png\n")
    with pytest.raises(BadValue, match=r"holds 'red' with 2 control images; images are compared by prompt"):
        load_prompts(table)


@pytest.mark.parametrize("content", [None, b"no image"])
def test_an_image_that_cannot_be_read_is_named(table: Path, content: bytes | None) -> None:
    image = table.parent / "two.png"
    image.unlink() if content is None else image.write_bytes(content)
    with pytest.raises(BadValue, match=r"control image '.*two\.png' cannot be read") as caught:
        load_prompts(table)
    assert "\n" not in str(caught.value)


def test_pixels_count_in_identities_and_text_alone_in_noises() -> None:
    one, other = ControlledPrompt("red", GREY), ControlledPrompt("red", BRIGHT)
    assert one != other
    assert one != "red"
    assert hash(one) != hash(other)
    assert one == ControlledPrompt("red", GREY.copy()) == pickle.loads(pickle.dumps(one))
    assert json.dumps(one) == '"red"'
    assert len({generation_id("setting", prompt, 0) for prompt in (one, other, "red")}) == 3
    noises = [NoiseSource((1, 2, 2), [prompt], [0]).initial for prompt in (one, other, "red")]
    assert (noises[0] == noises[1]).all()
    assert (noises[0] == noises[2]).all()


def test_the_same_picture_is_the_same_however_it_came(tmp_path: Path) -> None:
    GREY.save(tmp_path / "a.png")
    GREY.convert("RGBA").save(tmp_path / "b.png")
    came = [ControlledPrompt("red", place) for place in (tmp_path / "a.png", str(tmp_path / "b.png"), GREY)]
    assert len(set(came)) == 1
    wide = ControlledPrompt("red", GREY.resize((4, 6)))  # the same bytes in another shape
    assert wide != came[0]

"""Pictures and their prompts: each gets its own, or a sentence says why nobody can tell which."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from noisekit.cli import main
from noisekit.errors import BadValue, Unwritable
from noisekit.results.export import FORMULA
from noisekit.scoring.folder import IMAGES, match, name_in
from noisekit.scoring.score_files import ENDINGS, check_output, write_scores
from noisekit.scoring.scored import Scored


def draw(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), "red").save(folder / name)


def write(path: Path, records: Sequence[dict[str, object]]) -> Path:
    """Records as a file of whichever kind the name says."""
    if path.suffix == ".json":
        path.write_text(json.dumps(records))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    else:
        pd.DataFrame(records).to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def matched(folder: Path, prompts: Path) -> dict[str, str]:
    return {name_in(folder, path): prompt.text for path, prompt in match(folder, prompts)}


# --- in the order of names -------------------------------------------------------------------------------------------

NUMBERED = {
    "as a loop names them": "{}.png",
    "behind a word": "img-{}.png",
    "padded": "{:05}.png",
    "padded for two": "{:02}.png",
    "a seed behind": "{}_7.png",
    "before a word": "{} final.png",
    "in brackets": "picture ({}).jpg",
    "with a step": "step100-{}.webp",
}


@given(
    form=st.sampled_from(list(NUMBERED.values())),
    numbers=st.lists(st.integers(0, 10**6), min_size=1, max_size=25, unique=True),
)
def test_numbers_in_names_count_as_numbers(
    form: str, numbers: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("numbered")
    for number in random.Random(len(numbers)).sample(numbers, len(numbers)):
        (folder / form.format(number)).touch()
    (prompts := folder / "p.txt").write_text("\n".join(f"prompt {number}" for number in sorted(numbers)))
    assert matched(folder, prompts) == {form.format(number): f"prompt {number}" for number in numbers}


def test_two_numbers_in_a_name_count_both(tmp_path: Path) -> None:
    names = [f"{prompt}_{seed}.png" for prompt in (0, 2, 10) for seed in (1, 9, 30)]
    draw(tmp_path, *random.Random(0).sample(names, len(names)))
    (prompts := tmp_path / "p.txt").write_text("\n".join(names))
    assert matched(tmp_path, prompts) == dict(zip(names, names, strict=True))


@pytest.mark.parametrize("names", [("1.png", "01.png"), ("7.png", "7.jpg"), ("a-2-b.png", "a-002-b.png")])
def test_names_of_one_number_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    draw(tmp_path, *names, "9.png")
    (prompts := tmp_path / "p.txt").write_text("a\nb\nc\n")
    with pytest.raises(BadValue, match="nothing says which comes first") as caught:
        match(tmp_path, prompts)
    assert all(repr(name) in str(caught.value) for name in names)


@pytest.mark.parametrize("many", [1, 2, 4, 12])
def test_numbers_that_differ_are_explained(tmp_path: Path, many: int) -> None:
    draw(tmp_path, "0.png", "1.png", "10.png", ".hidden.png", "deeper/2.png")
    (tmp_path / "._0.png").write_bytes(b"\0\5\x16\7 as macOS writes it")
    for name in ("photo.heic", "drawing.svg", "notes.txt"):
        (tmp_path / name).write_text("")
    (prompts := tmp_path / "p.txt").write_text("a red circle\n" * many)
    with pytest.raises(BadValue, match=rf"3 images \(0\.png to 10\.png\) and .* {many} prompts") as caught:
        match(tmp_path, prompts)
    assert "left out: deeper/, drawing.svg, photo.heic;" in str(caught.value)


def test_what_is_left_out_is_named_where_the_numbers_agree(tmp_path: Path) -> None:
    draw(tmp_path, "a.png", "b.GIF", "c.tiff", "d.avif", "e.JP2")
    (tmp_path / "f.heic").touch()
    (tmp_path / "table.csv").touch()
    (prompts := tmp_path / "p.txt").write_text("\n".join("vwxyz"))
    with pytest.warns(UserWarning, match=r"left out: f\.heic"):
        pairs = matched(tmp_path, prompts)
    assert pairs == {"a.png": "v", "b.GIF": "w", "c.tiff": "x", "d.avif": "y", "e.JP2": "z"}


def test_a_folder_of_folders_asks_for_a_table(tmp_path: Path) -> None:
    draw(tmp_path, "a/1.png", "b/1.png")
    (prompts := tmp_path / "p.txt").write_text("x\ny\n")
    with pytest.raises(BadValue, match=r"holds no image .*; left out: a/, b/; .* need a table"):
        match(tmp_path, prompts)


# --- by a column -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "jsonl"])
@pytest.mark.parametrize("text", ["prompt", "text", "caption", "Prompt"])
@pytest.mark.parametrize("image", [*IMAGES, "File_Name"])
def test_a_table_names_images_in_any_order(tmp_path: Path, image: str, text: str, ending: str) -> None:
    draw(tmp_path, "a/1.png", "b/1.png", "2.png")
    pairs = {"b/1.png": "a red circle", "2.png": 'two "blue", squares', "a/1.png": "a red circle"}
    records = [{"note": "x", image: name, text: prompt} for name, prompt in pairs.items()]
    assert matched(tmp_path, write(tmp_path / f"metadata.{ending}", records)) == pairs


@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "jsonl"])
@pytest.mark.parametrize("lacking", ["image", "prompt", "both"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_record_without_an_image_or_a_prompt_is_named(
    tmp_path: Path, ending: str, lacking: str, value: str | None
) -> None:
    draw(tmp_path, "a.png", "b.png", "c.png")
    records: list[dict[str, object]] = [
        {"image": f"{name}.png", "prompt": f"prompt {name}"} for name in "abc"
    ]
    records[1] |= {key: value for key in ("image", "prompt") if lacking in (key, "both")}
    with pytest.raises(BadValue, match=r"entry 2 of .* has (no prompt|no image|'  ' as its image)"):
        match(tmp_path, write(tmp_path / f"p.{ending}", records))


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_a_record_that_lacks_the_field_is_named(tmp_path: Path, ending: str) -> None:
    draw(tmp_path, "a.png", "b.png")
    first, second = {"image": "a.png", "prompt": "x"}, {"image": "b.png", "prompt": "y"}
    for records, said in (
        ([first, {"prompt": "y"}], "entry 2 of .* has no image"),
        ([{"prompt": "x"}, second], "entry 1 of .* has no image"),
        ([first, {"image": "b.png"}], "(entry|line) 2 .*has no prompt"),
        ([first, second | {"image": 7}], "entry 2 of .* has 7 as its image"),
        ([first, second | {"image": {"path": "b.png"}}], "entry 2 of .* as its image"),
        ([first, second | {"prompt": ["y"]}], r"entry 2 of .* holds \['y'\] where a text"),
    ):
        with pytest.raises(BadValue, match=said):
            match(tmp_path, write(tmp_path / f"p.{ending}", records))


@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "jsonl"])
@pytest.mark.parametrize(
    "two", [("image", "path"), ("file_name", "image"), ("prompt", "caption"), ("text", "prompts")]
)
def test_two_columns_for_one_thing_are_refused(tmp_path: Path, two: tuple[str, str], ending: str) -> None:
    draw(tmp_path, "a.png")
    record = {"image": "a.png"} | dict.fromkeys(two, "a.png")
    with pytest.raises(BadValue, match=f"{two[0]}|{two[1]}"):
        match(tmp_path, write(tmp_path / f"p.{ending}", [record]))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.csv", "image,prompt,Image\na.png,x,b.png\n"),
        ("p.tsv", "prompt\timage\tPROMPT\nx\ta.png\ty\n"),
        ("p.json", '[{"image": "a.png", "prompt": "x", "image": "b.png"}]'),
        ("p.jsonl", '{"image": "a.png", "prompt": "x", "Prompt": "y"}\n'),
    ],
)
def test_a_column_that_stands_twice_is_refused(tmp_path: Path, name: str, content: str) -> None:
    draw(tmp_path, "a.png", "b.png")
    (tmp_path / name).write_text(content)
    with pytest.raises(BadValue, match=r"'(image|prompt)' twice"):
        match(tmp_path, tmp_path / name)


def test_a_pair_that_stands_twice_is_refused_and_an_image_that_does_is_named(tmp_path: Path) -> None:
    draw(tmp_path, "a.png", "b.png")
    records = [{"image": name, "prompt": "x"} for name in ("a.png", "b.png", "a.png")]
    with pytest.raises(BadValue, match=r"entry 3 of .* is the same as entry 1: image 'a\.png'"):
        match(tmp_path, write(tmp_path / "p.csv", records))
    records[2] = {"image": "a.png", "prompt": "y"}
    with pytest.warns(UserWarning, match=r"entry 3 of .* scores image 'a\.png' again, as entry 1"):
        assert len(match(tmp_path, write(tmp_path / "p.csv", records))) == 3


@pytest.mark.parametrize("named", [True, False])
def test_a_fifo_is_refused_before_anybody_waits_for_it(tmp_path: Path, named: bool) -> None:
    os.mkfifo(tmp_path / "a.png")
    prompts = write(tmp_path / "p.csv", [{"image": "a.png", "prompt": "x"} if named else {"prompt": "x"}])
    with pytest.raises(BadValue, match=r"a\.png' cannot be read: it is no regular file"):
        match(tmp_path, prompts)
    os.mkfifo(tmp_path / "p.txt")
    with pytest.raises(BadValue, match=r"p\.txt' cannot be read: it is no regular file"):
        match(tmp_path, tmp_path / "p.txt")


# --- what is written -------------------------------------------------------------------------------------------------


@pytest.fixture
def scored() -> Scored:
    texts = [f"{sign}1+1" for sign in FORMULA] + ["a red circle", "two = three", "'quoted'"]
    frame = pd.DataFrame(
        {"image": [f"{i}.png" for i in range(len(texts))], "prompt": texts, "hps": 0.25, "truth": None}
    )
    return Scored(frame.astype({"truth": float}), {"hps": {"tie": 0.1}})


@pytest.mark.parametrize("ending", ENDINGS)
def test_each_ending_is_what_it_says(tmp_path: Path, scored: Scored, ending: str) -> None:
    path = tmp_path / f"scores{ending}"
    write_scores(scored, path)
    if ending == ".json":
        read = pd.DataFrame(json.loads(path.read_text())["scores"])
    else:
        read = duckdb.read_parquet(str(path)).df() if ending == ".parquet" else pd.read_csv(path)
        assert json.loads((tmp_path / "scores.metrics.json").read_text()) == scored.metrics
    assert read["hps"].tolist() == scored.frame["hps"].tolist() and read["truth"].isna().all()
    if ending != ".csv":  # which cannot tell line breaks of a cell apart
        assert read["prompt"].tolist() == scored.frame["prompt"].tolist()
    assert not list(tmp_path.glob(".*"))


def test_a_safe_csv_has_no_formula_and_loses_no_letter(tmp_path: Path, scored: Scored) -> None:
    write_scores(scored, tmp_path / "plain.csv")
    write_scores(scored, tmp_path / "safe.csv", safe_csv=True)
    plain, safe = (pd.read_csv(tmp_path / f"{name}.csv", lineterminator="\n") for name in ("plain", "safe"))
    assert (plain["prompt"].str.startswith(FORMULA)).sum() >= 5
    assert not safe["prompt"].str.startswith(FORMULA).any()
    assert safe["prompt"].tolist()[:4] == ["'=1+1", "'+1+1", "'-1+1", "'@1+1"]
    assert safe["prompt"].tolist()[-3:] == plain["prompt"].tolist()[-3:]
    assert safe["hps"].tolist() == plain["hps"].tolist()


@pytest.mark.parametrize("ending", ["", ".txt", ".xlsx", ".feather", ".csv.gz", ".png"])
def test_an_unknown_ending_is_refused(tmp_path: Path, ending: str) -> None:
    with pytest.raises(BadValue, match=r"does not end in \.csv, \.parquet or \.json"):
        check_output(tmp_path / f"scores{ending}", [])


@pytest.mark.parametrize(
    "clash", ["the table", "what the metrics are", "what is kept", "by a link", "an image"]
)
def test_no_input_is_written_over(tmp_path: Path, clash: str) -> None:
    output, prompts, image = tmp_path / "scores.csv", tmp_path / "scores.csv", tmp_path / "a.png"
    if clash == "what the metrics are":
        prompts = tmp_path / "scores.metrics.json"
    elif clash == "what is kept":
        prompts = tmp_path / "scores.csv.part"
    elif clash == "by a link":
        output = tmp_path / "linked.csv"
    elif clash == "an image":
        prompts, image = tmp_path / "p.csv", tmp_path / "scores.csv"
    for path in (prompts, image):
        path.write_text("precious")
    if clash == "by a link":
        output.symlink_to(prompts)
    with pytest.raises(BadValue, match="would be written over"):
        check_output(output, [prompts, image])
    check_output(tmp_path / "others.csv", [prompts, image])


def test_scores_that_cannot_be_written_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path, "pictures/a.png", "pictures/b.png")
    (tmp_path / "p.txt").write_text("a red circle\na blue square\n")
    monkeypatch.chdir(tmp_path)
    typed = "score pictures --prompts p.txt --metrics color_red --weights tiny -o s.parquet".split()

    def full(*_: object, **__: object) -> None:
        raise Unwritable("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("noisekit.scoring.score_files.save", full)
        assert main(typed) == 2
    assert "no space left" in capsys.readouterr().err
    assert len(Path("s.parquet.part").read_text().splitlines()) == 2 and not Path("s.parquet").exists()
    assert main(typed) == 0
    assert not Path("s.parquet.part").exists() and len(duckdb.read_parquet("s.parquet").df()) == 2


def test_what_another_program_left_under_the_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path, "pictures/a.png")
    monkeypatch.chdir(tmp_path)
    Path("p.txt").write_text("a red circle\n")
    for foreign in ('{"created": 1}\n', '{"created": 1, "metric": []}\n', "a table\nof mine\n"):
        Path("s.csv.part").write_text(foreign)
        code = main("score pictures --prompts p.txt --metrics color_red --weights tiny -o s.csv".split())
        said = capsys.readouterr().err
        assert (code, Path("s.csv.part").read_text()) == (2, foreign), said
        assert "s.csv.part" in said and "Traceback" not in said

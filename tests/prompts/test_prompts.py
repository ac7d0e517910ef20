"""Prompt suites and files: what is read, what is left out and counted, and what is refused with which words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from noisekit.errors import BadValue
from noisekit.prompts import load_prompts

TEXTS = ["a red circle", "two blue squares, on grass", 'a "quoted" word']
RECORDS = [{"Prompt": text, "Category": "shapes"} for text in TEXTS]
FILES = {
    "lines.txt": "\n".join(TEXTS),
    "bom.txt": "\ufeff" + "\r\n".join(TEXTS),
    "table.csv": 'Prompt,Category\na red circle,shapes\n"two blue squares, on grass",shapes\n"a ""quoted"" word",shapes\n',
    "caption.csv": '\ufeffn,caption\r\n0,a red circle\r\n1,"two blue squares, on grass"\r\n2,"a ""quoted"" word"\r\n',
    "quoted.tsv": 'Prompt\tKind\n"a red circle"\tshapes\ntwo blue squares, on grass\tshapes\n"a ""quoted"" word"\tshapes\n',
    "mac.txt": "\r".join(TEXTS) + "\r",
    "table.tsv": "Category\tPrompt\n" + "\n".join(f"shapes\t{text}" for text in TEXTS),
    "texts.json": json.dumps(TEXTS),
    "records.json": json.dumps(RECORDS, indent=1),
    "records.jsonl": "\n".join(json.dumps(record) for record in RECORDS),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_holds_the_same_prompts(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name].encode())
    suite = load_prompts(path)
    assert suite.texts == TEXTS
    assert suite.name == path.stem
    assert suite.hash == load_prompts(TEXTS).hash
    if "ategory" in FILES[name]:
        assert {prompt.kind for prompt in suite} == {"shapes"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.txt", "\na\n\n  \nb\na\n"),
        ("p.csv", "prompt\n\na\n\n  \nb\na\n"),
        ("p.jsonl", '{"prompt": ""}\n{"prompt": "a"}\n\n{"prompt": " "}\n"b"\n"a"'),
    ],
)
def test_empty_and_repeated_entries_are_left_out_and_counted(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    suite = load_prompts(tmp_path / name)
    assert (suite.texts, suite.empty, suite.repeated) == (["a", "b"], 3, 1)


TABLE = 'prompt\nein Fuß über der Tür\n"two lines,\nof one prompt"\n一只猫\n🦊 in the snow\n'


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_hash_is_of_the_texts_not_of_the_bytes(tmp_path: Path, ending: str, mark: str) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes((mark + TABLE.replace("\n", ending) + ending).encode())
    suite = load_prompts(path)
    assert suite.texts == ["ein Fuß über der Tür", "two lines,\nof one prompt", "一只猫", "🦊 in the snow"]
    assert (suite.empty, suite.hash) == (0, "702778070cc19cf1")


def test_the_hash_tells_texts_their_order_and_their_number_apart() -> None:
    changed = [
        TEXTS,
        [*TEXTS[:2], TEXTS[2] + "."],
        TEXTS[::-1],
        TEXTS[:2],
        [*TEXTS, "one more"],
        [" ".join(TEXTS)],
    ]
    assert len({load_prompts(texts).hash for texts in changed}) == len(changed)


def test_a_users_columns_become_categories_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    records = [
        {"text": "a", "Tag": " pets ", "challenge": 3, "objects": ["cat"], "kind": ""},
        {"text": "b", "category": ["not", "one"], "note": None},
    ]
    path.write_text("\n".join(json.dumps(record) for record in records))
    one, two = load_prompts(path)
    assert (one.kind, one.categories) == ("pets", {"tag": "pets", "challenge": "3"})
    assert one.metadata == {"tag": " pets ", "challenge": 3, "objects": ["cat"], "kind": ""}
    assert (two.kind, two.categories, two.unseen) == (None, {}, None)


@pytest.mark.parametrize(
    "text", ["../../etc/passwd", "C:\\autoexec.bat", "~", "drawbench", "geneval=x.jsonl", "p.txt"]
)
def test_a_prompt_never_becomes_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.txt").write_text(text)
    for suite in (load_prompts([text]), load_prompts("p.txt")):
        assert suite.texts == [text]
        assert suite.prompts[0].id.isalnum()


def test_a_limit_takes_the_first_and_changes_the_hash() -> None:
    suite = load_prompts(TEXTS, limit=2)
    assert suite.texts == TEXTS[:2]
    assert suite.hash != load_prompts(TEXTS).hash
    assert load_prompts(suite, limit=1).texts == TEXTS[:1]
    assert suite.prompts[0].id == load_prompts(TEXTS).prompts[0].id


BAD = {
    "missing.txt": (None, "No such file"),
    "empty.txt": (b"", "is empty"),
    "blank.csv": (b" \n \n", "is empty"),
    "header.csv": (b"prompt\n", "holds no prompt"),
    "picture.txt": (b"\x89PNG\r\n\x1a\n\x00\xff", "not UTF-8"),
    "zeros.txt": (b"a\x00b", "zero bytes"),
    "latin.csv": ("prompt\ncafé".encode("latin-1"), "not UTF-8"),
    "columns.csv": (b"a,b\n1,2\n", "no column prompt"),
    "commas.csv": (b"prompt\na red, round ball\nb\n", "has 1 of 2 rows .* put quotes"),
    "unclosed.csv": (b'prompt\n"a red ball\na blue cube\n', "close every quote"),
    "half.json": (b'["\\ud83e"]', "half of a character"),
    "broken.json": (b'["a", ', "not valid JSON"),
    "object.json": (b'{"prompt": "a"}', "not a JSON list"),
    "numbers.json": (b"[1, 2]", "holds 1 where"),
    "number.jsonl": (b'{"prompt": 7}', "holds 7 where"),
    "line.jsonl": (b'"a"\n{"prompt"\n', "in line 2"),
    "long.txt": (b"word " * 2000, "of 9999 characters"),
    "prompts.xlsx": (b"PK", "does not end in"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_sentence_that_names_them(tmp_path: Path, name: str) -> None:
    content, words = BAD[name]
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadValue, match=words) as caught:
        load_prompts(path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_suites_and_bad_limits_are_refused() -> None:
    with pytest.raises(BadValue, match="did you mean 'tiny'"):
        load_prompts("tinny")
    with pytest.raises(BadValue, match="limit=0"):
        load_prompts(TEXTS, limit=0)
    with pytest.raises(BadValue, match="holds no prompt"):
        load_prompts([])
    with pytest.raises(BadValue):
        load_prompts("a prompt that somebody took for a file " * 20)


def test_the_tiny_suite_knows_kind_and_unseen() -> None:
    suite = load_prompts("tiny")
    assert {prompt.kind for prompt in suite} == {"single", "count", "pair", "relation", "triple"}
    assert {prompt.unseen for prompt in suite} == {True, False}
    assert len({prompt.id for prompt in suite}) == len(suite)


@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        ("drawbench.csv", 200, "A red colored car."),
        ("pickscore.csv", 499, "A curious cat exploring a haunted mansion"),
        ("PartiPrompts.tsv", 1632, "bond"),
        ("geneval_metadata.jsonl", 553, "a photo of a bench"),
        ("t2i_compbench/color_val.txt", 300, None),
    ],
)
def test_public_suites_are_read_whole(shared: Path, name: str, count: int, first: str | None) -> None:
    suite = load_prompts(shared / "data" / "prompts" / name)
    assert len(suite) + suite.repeated == count
    assert first in (None, suite.texts[0])


def test_a_public_table_with_cut_captions_is_refused(shared: Path) -> None:
    with pytest.raises(BadValue, match=r"line 2 has 2, the header 4"):
        load_prompts(shared / "data" / "prompts" / "HPD_prompt.csv")

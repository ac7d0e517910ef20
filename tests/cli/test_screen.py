"""What reaches a screen: nothing in a prompt or a name steers it, and every encoding takes it."""

from __future__ import annotations

import ast
import io
import json
import os
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from rich.table import Table
from rich.text import Text

from noisekit.cli import main
from noisekit.cli.screen import ASCII, any_encoding, say
from noisekit.report.screen import Screen
from noisekit.shown import shown

#: Sets the title, clears the screen, rings, goes back to overwrite, turns the reading order, opens a C1 sequence.
HOSTILE = "a \x1b]0;OWNED\x07 red\r \x1b[2J circle \u202etxt.exe\u2066 \x9b31m [bold]loud[/bold] \x00\x7f\x0b"
COMMANDS = Path(__file__).resolve().parents[2] / "noisekit" / "cli"

any_text = st.text(
    st.one_of(
        st.characters(),
        st.characters(max_codepoint=0xA0),
        st.sampled_from("\u202e\u2066\u2028\ud800[]:\n"),
    ),
    max_size=20,
)


def steering(text: str) -> set[str]:
    """What no terminal should be sent, line breaks left out."""
    return {
        letter
        for letter in text
        if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(letter) in TURNING
    } - {"\n"}


TURNING = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}


@given(any_text)
@example(HOSTILE)
def test_only_what_steers_is_escaped(text: str) -> None:
    line = shown(text)
    assert not steering(line) and "\n" not in line
    assert line == shown(line)
    if not steering(text) and "\n" not in text:
        assert set(text) - set(line) <= set("\u061c\u200e\u200f")
    assert shown(text, lines=True).count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "text", ["ein grüner Kreis", "赤い\u3000円", "un cercle\u00a0!", "👩\u200d🚀", "می\u200cخواهم", "e\u0301"]
)
def test_writing_of_all_languages_stays(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize("terminal", [False, True])
@given(text=any_text)
@example(text=HOSTILE)
def test_a_table_shows_texts_as_they_are(terminal: bool, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        written = io.StringIO()
        patch.setattr(sys, "stdout", written)
        patch.setenv("TERM", "xterm")
        patch.setenv("FORCE_COLOR" if terminal else "NO_COLOR", "1")
        patch.delenv("NO_COLOR" if terminal else "FORCE_COLOR", raising=False)
        screen = Screen(400)
        table = Table(text, "style", title=text)
        table.add_row(text, Text(text, style="bold"))
        screen.print(table, text, Text(text))
    plain = written.getvalue()
    for style in ("\x1b[1m", "\x1b[3m", "\x1b[0m"):  # bold, a title's italics, and their end
        plain = plain.replace(style, "")
    assert not steering(plain)
    assert ("\x1b[1m" in written.getvalue()) is terminal
    # rich itself leaves a few control characters out of texts
    word = shown(text.translate(dict.fromkeys((7, 8, 11, 12, 13)))).partition("\\n")[0].strip()
    assert plain.count(word) >= 2  # in titles and cells it may be wrapped


def test_commands_print_nowhere_but_through_the_screen() -> None:
    """Everything that is printed has to pass `say` or `console`."""
    for path in COMMANDS.glob("*.py"):
        called = [
            node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)
        ]
        names = {ast.unparse(function) for function in called}
        direct = names & {
            "print",
            "Console",
            "typer.echo",
            "typer.secho",
            "sys.stdout.write",
            "sys.stderr.write",
        }
        assert direct <= ({"print"} if path.name == "screen.py" else set()), path.name


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, a picture and prompts whose names and texts want to steer the terminal."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "prompts.json").write_text(json.dumps([HOSTILE, "a red circle"]))
    pictures = folder / "pictures\x1b[2J"
    pictures.mkdir()
    for name in ("a\x1b]0;OWNED\x07.png", "b\u202e\r.png"):
        Image.new("RGB", (32, 32), "red").save(pictures / name)
    return folder


TABLES = {
    "compare": "compare --model tiny-turbo --methods standard --prompts prompts.json --metrics color_red --store STORE",
    "status": "status STORE",
    "dry run": "run PLAN --dry-run",
    "why": "status STORE --plan PLAN --why",
    "report": "report STORE",
    "markdown": "report STORE --format markdown",
    "compare-runs": "compare-runs STORE STORE",
    "pick": "pick STORE --calls 10",
    "export": "export STORE -o STORE.csv",
    "score": "score PICTURES --prompts prompts.json --metrics color_red,mps_0.3 --weights tiny",
    "an unknown method": "compare --methods HOSTILE --store STORE",
    "wrong usage": "compare --HOSTILE",
    "a lost file": "score PICTURES --prompts HOSTILE",
    "a lost plan": "run HOSTILE",
    "a lost run": "status HOSTILE",
}


def test_no_command_hands_control_characters_on(
    hostile: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hostile)
    monkeypatch.setenv("NO_COLOR", "1")
    store = "run\x1b[2J\u202e"
    Path("plan.yaml").write_text(
        "models: [tiny-turbo]\nmethods: [best_of(n=2)]\nprompts: prompts.json\nmetrics: [color_red]\n"
        f"store: {json.dumps(store)}\n"
    )
    # a command line is text that the system could have given, which holds no zero character
    words = {
        "STORE": store,
        "PICTURES": "pictures\x1b[2J",
        "HOSTILE": HOSTILE.replace("\0", ""),
        "PLAN": "plan.yaml",
    }
    escapes = 0
    for what, typed in TABLES.items():
        arguments = []
        for word in typed.split():
            for name, value in words.items():
                word = word.replace(name, value)
            arguments.append(word)
        code = main(arguments)
        out, err = capsys.readouterr()
        assert code == (2 if "HOSTILE" in typed else 0) and "Traceback" not in err, (what, err)
        assert not steering(out + err), what
        assert "OWNED" not in out + err or "\\x1b]0;OWNED" in out + err, what
        escapes += "\\x1b" in out + err
    assert escapes >= 8


# --- encodings -------------------------------------------------------------------------------------------------------

ENCODINGS = ["ascii", "latin-1", "cp1252", "cp437", "cp932", "koi8-r", "utf-8"]


def printed(encoding: str, *arguments: str) -> tuple[int, str]:
    """What a command writes into a pipe of an encoding."""
    pipe = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("stdout", "stderr"):
            patch.setattr(
                sys, name, io.TextIOWrapper(pipe, encoding=encoding, errors="strict", write_through=True)
            )
        code = main(list(arguments))
        return code, pipe.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_takes_what_commands_print(encoding: str, hostile: Path) -> None:
    code, said = printed(encoding, "list", "methods")
    assert code == 0 and "standard" in said and "Traceback" not in said
    code, said = printed(encoding, "list", "models")
    assert code == 0 and ("×" in said or "steps x guidance" in said)
    code, said = printed(encoding, "status", "ein grüner Kreis … 赤い円 \udcff")
    assert code == 2 and "ein gr" in said
    assert ("grüner" in said) is (encoding in ("latin-1", "cp1252", "cp437", "utf-8"))
    assert "\\udcff" in said and ("赤い円" in said or "\\u8d64\\u3044\\u5186" in said)


HUNG_UP = ["--help", "list prompts", "status STORE", "report STORE --format latex", "compare"]


@pytest.mark.parametrize("streams", [("stdout",), ("stderr",), ("stdout", "stderr")])
@pytest.mark.parametrize("command", HUNG_UP)
def test_a_command_that_nobody_reads_ends_quietly(
    command: str, streams: tuple[str, ...], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Path(__file__).parents[1] / "data" / "store-1"
    arguments = [str(store) if word == "STORE" else word for word in command.split()]
    written = "stderr" if command == "compare" else "stdout"  # wrong usage, as it names no store
    reader, writer = os.pipe()
    os.close(reader)
    for name in streams:
        monkeypatch.setattr(sys, name, open(os.dup(writer), "w"))  # noqa: SIM115  closed below
    code = main(arguments)
    os.close(writer)
    for name in streams:
        getattr(sys, name).close()  # what is left of it goes nowhere
    out, err = capfd.readouterr()
    assert code == (141 if written in streams else {"compare": 2}.get(command, 0))
    assert (out == "") is (written == "stderr" or "stdout" in streams)
    assert (err == "") is (written == "stdout" or "stderr" in streams)


@given(any_text)
def test_any_text_can_be_said_in_ascii(text: str) -> None:
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", pipe)
        with any_encoding():
            say(text)
    assert pipe.errors == "strict"
    said = pipe.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]  # it is bytes in memory
    assert said.endswith("\n") and not steering(said)


def test_signs_of_ours_have_a_spelling() -> None:
    """Where an encoding lacks them, people still read "3 x 2 -> -1 ..."; whatever else the tables print, escapes."""
    assert all(plain.isascii() and len(sign) == 1 for sign, plain in ASCII.items())
    listed = printed("ascii", "list", "methods")[1] + printed("ascii", "list", "rewards")[1]
    assert "\\u" not in listed and "\\x" not in listed, listed

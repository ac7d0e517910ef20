"""`noisekit app`: what it says, and what it refuses before it serves anything."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from noisekit.app.offer import Offer
from noisekit.app.serving import TOKEN, Serving
from noisekit.cli import main
from noisekit.web.access import kept_token

PROGRAM = "import sys; from noisekit.cli import main; sys.exit(main())"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--port", "99999"], "port 99999 is none"),
        (["--host", "no.such.host.invalid"], "is no address of this machine"),
        (["--host", "203.0.113.1", "--port", "0"], "nothing can be served at 203.0.113.1:0"),
        (["--model", "sdxl-tubro"], "did you mean 'sdxl"),
        (["--method", "reno(steps=0)"], "out of range"),
    ],
    ids=str,
)
def test_what_cannot_be_served_is_refused(
    options: list[str], sentence: str, tmp_path: Path, capsys: Any
) -> None:
    assert main(["app", "--runs", str(tmp_path / "runs"), *options]) == 2
    assert sentence in capsys.readouterr().err


def test_without_gradio_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["app", "--runs", str(tmp_path), "--port", "0"]) == 2
    assert "pip install 'noisekit[app]'" in capsys.readouterr().err


def test_only_this_machine_can_ask_unless_told_otherwise(served: Serving, tmp_path: Path) -> None:
    assert served.link == f"http://127.0.0.1:{served.port}/"
    assert served._socket.getsockname()[0] == "127.0.0.1"
    with Serving(Offer.of(["tiny"], [], tmp_path), "0.0.0.0", 0) as other:
        token = other.link.rpartition("?token=")[2]
        assert other.desk.voting.host == "0.0.0.0"
    assert token == kept_token(tmp_path / TOKEN) and len(token) >= 30  # the link lasts
    assert (tmp_path / TOKEN).stat().st_mode & 0o077 == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_interrupted(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-c", PROGRAM, "app", "--runs", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        link = process.stdout.readline().split()[-1]
        with urlopen(link) as answer:
            assert b"noisekit" in answer.read()
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and out.endswith("stopped\n") and err == ""

"""The command line: arguments in, one table or one clear sentence out.

Exit codes: 0 done, 1 done but for some images that failed, 2 something that the user can mend, 130 interrupted with
everything finished kept, 141 (what shells say of a closed pipe) when nobody reads the output any more.
"""

from __future__ import annotations

import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from noisekit.cli.app import app
from noisekit.cli.interrupt import Interrupted
from noisekit.cli.screen import any_encoding, hung_up, say
from noisekit.errors import NoisekitError
from noisekit.registry import shortened


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `argv` defaults to the process's arguments."""
    streams = sys.stdout, sys.stderr
    try:
        with any_encoding():
            return _run(sys.argv[1:] if argv is None else list(argv))
    except (BrokenPipeError, SystemExit) as end:  # which is what typer makes of a broken pipe
        sys.stdout, sys.stderr = streams
        return 141 if hung_up() else _say(str(end.__context__ or end), 2)


def _run(arguments: list[str]) -> int:
    try:
        with _terminated_as_interrupted(), _plain_warnings():
            code = typer.main.get_command(app).main(arguments, "noisekit", standalone_mode=False)
    except Interrupted as interruption:
        return _say(str(interruption), 130)
    except (KeyboardInterrupt, typer.Abort):
        return _say("interrupted", 130)
    except BrokenPipeError:
        raise
    except (NoisekitError, OSError) as error:
        return _say(str(error), 2)
    except Exception as error:
        if not hasattr(error, "format_message"):  # wrong usage, which typer words itself
            raise
        typed = shortened(shlex.join(["noisekit", *arguments]))
        return _say(f"{error.format_message().rstrip('.')} (in: {typed}); see `noisekit --help`", 2)
    if code == 130:  # what typer makes of a KeyboardInterrupt
        return _say("interrupted", 130)
    return code if isinstance(code, int) else 0


def _say(sentence: str, code: int) -> int:
    say(f"noisekit: {' '.join(sentence.split())}", error=True)
    return code


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends a command the way Ctrl-C does. Only a main thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show noisekit's own warnings as a sentence, and none of its libraries' in between."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if category is UserWarning:
            _say(f"warning: {message}", 0)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


__all__ = ["main"]

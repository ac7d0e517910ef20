"""What reaches the screen: all that commands print goes through here.

Tables are as wide as the screen, nothing is shown that libraries say by the way, control characters of prompts and names are
escaped, and what an encoding lacks is written in ASCII.
"""

from __future__ import annotations

import atexit
import codecs
import gc
import io
import logging
import os
import select
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, TextIO

import typer

from noisekit.shown import escaped, shown

if TYPE_CHECKING:
    from noisekit.report.screen import Screen

#: Columns of a table that goes to a file or a pipe.
WIDTH = 120
#: What is written where an encoding lacks a sign of ours; any other character is escaped.
ASCII = {
    "−": "-",
    "–": "-",
    "…": "...",
    "×": "x",
    "·": "*",
    "→": "->",
    "←": "<-",
    "±": "+-",
    "†": "+",
    "ᵀ": "^T",
}
ASCII |= {"²": "^2", "√": "sqrt", "≤": "<=", "≥": ">=", "′": "'", "∞": "inf", "‖": "||", "½": "1/2", "ℓ": "l"}
ASCII |= {letter: unicodedata.name(letter).split()[-1].lower() for letter in "αβγδεζηθικλμνξοπρστυφχψω"}


def help_alone(context: typer.Context) -> None:
    """A group of commands without a command shows its help."""
    if context.invoked_subcommand is None:
        say(context.get_help())


def say(text: object, *, end: str = "\n", error: bool = False) -> None:
    """Print a text at once, on stderr where it is an error."""
    print(shown(str(text), lines=True), end=end, file=sys.stderr if error else sys.stdout, flush=True)


def hung_up() -> bool:
    """Whether nobody reads any more what is printed, as after `| head`; what is still on its way there goes nowhere then."""
    gone = [stream for stream in (sys.stdout, sys.stderr) if _is_closed(stream)]
    for stream in gone:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    return bool(gone)


def _is_closed(stream: TextIO) -> bool:
    """Whether the other end of a pipe or a terminal is closed; systems without `poll` do not say."""
    if not hasattr(select, "poll"):
        return False
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
    except (OSError, ValueError):  # it is no file of the system's
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def console() -> Screen:
    """Where tables are printed."""
    from noisekit.report.screen import Screen

    return Screen(None if sys.stdout.isatty() else WIDTH)


@contextmanager
def any_encoding() -> Iterator[None]:
    """Whatever is printed reaches a screen or pipe of any encoding, in ASCII where need be."""
    with ExitStack() as after:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                after.callback(stream.reconfigure, errors=stream.errors)
                stream.reconfigure(errors=_ERRORS)
        yield


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(ASCII.get(letter) or escaped(letter) for letter in lacking), error.end


_ERRORS = "noisekit.ascii"
codecs.register_error(_ERRORS, _in_ascii)


def quiet() -> None:
    """Keep loading bars and hints of diffusers and transformers off the screen, and what the hub's client says of each time
    that it tries; downloads still show their bars.
    """
    with nullcontext() if "diffusers" in sys.modules else _kept_for_good():
        import diffusers
        import diffusers.pipelines.pipeline_utils  # what every model needs
        import huggingface_hub
        import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity(logging.CRITICAL)  # what it calls an error it raises, too
    huggingface_hub.utils.logging.set_verbosity_error()


@contextmanager
def _kept_for_good() -> Iterator[None]:
    """What is made inside is not garbage, and never looked through for some: a fifth of the time that large libraries take
    to be imported goes into that. At the end all of it is taken apart, or libraries tell of what they miss.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(gc.unfreeze)


def duration(seconds: float | None) -> str:
    """Seconds for people: "unknown", "0 s", "7.5 s", "3 min", "2.5 h"."""
    if seconds is None:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds else "0 s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

"""Files of public suites: found on this machine, or downloaded once and kept.

Hugging Face's files go through its own client and cache, GitHub's into that client's folder for other assets. Both stay
there under their commit, so they are never asked for again, and HF_HUB_OFFLINE=1 keeps both from the network.
"""

from __future__ import annotations

import os
import sys
import tempfile
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

from noisekit.errors import BadValue
from noisekit.prompts.cards import SuiteCard

#: Where GitHub serves single files as they are.
GITHUB = "https://raw.githubusercontent.com"

#: Seconds without an answer after which GitHub counts as out of reach.
PATIENCE = 10.0


def held(card: SuiteCard, file: str) -> Path | None:
    """The file of a suite where an earlier download left it, None when there was none."""
    if card.service == "huggingface":
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(card.repo, file, revision=card.revision, repo_type="dataset")
        return Path(found) if isinstance(found, str) else None
    path = _kept(card, file)
    return path if path.is_file() else None


def fetch(card: SuiteCard, file: str) -> Path:
    """The file of a suite, downloaded when it is not on this machine; `BadValue` says how to get it otherwise."""
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

    if (kept := held(card, file)) is not None:
        return kept
    try:
        path = (_from_hub if card.service == "huggingface" else _from_github)(card, file)
    except (OSError, HTTPError, HTTPException) as error:
        offline = isinstance(error, OfflineModeIsEnabled) or isinstance(error.__cause__, OfflineModeIsEnabled)
        reason = "HF_HUB_OFFLINE is set" if offline else f"{card.service} did not give it: {_short(error)}"
        raise BadValue(
            f"prompt suite {card.name!r} is not on this machine and could not be downloaded ({reason}); {card.advice}"
        ) from None
    print(
        f"noisekit: downloaded {file} of prompt suite {card.name!r} from {card.home}, licence: {card.licence}",
        file=sys.stderr,
    )
    return path


def _from_hub(card: SuiteCard, file: str) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(card.repo, file, revision=card.revision, repo_type="dataset"))


def _from_github(card: SuiteCard, file: str) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled

    if constants.HF_HUB_OFFLINE:
        raise OfflineModeIsEnabled
    with urlopen(f"{GITHUB}/{card.repo}/{card.revision}/{quote(file)}", timeout=PATIENCE) as answer:
        content = answer.read()
    path = _kept(card, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as target:
        target.write(content)
    os.replace(unfinished, path)  # at once: another process never sees half a file
    return path


def _kept(card: SuiteCard, file: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_ASSETS_CACHE) / "noisekit" / "prompts" / card.repo / card.revision / file


def _short(error: BaseException) -> str:
    """The innermost cause in one line: clients wrap it in paragraphs."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:200] or type(error).__name__

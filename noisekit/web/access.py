"""Who may ask a page that noisekit serves: this machine alone, or a network by a link with a token; never another site.

A browser says of each request where it comes from (Origin, Sec-Fetch-Site), and what name it used for the host. Without a
token names other than this machine's are refused, by which a foreign page could come in.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
from pathlib import Path
from urllib.parse import urlsplit

from noisekit.errors import BadValue
from noisekit.files import whole

#: Names by which a machine calls itself.
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
MOST_PORT = 65_535


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address; a name counts where all that it stands for does."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        raise BadValue(
            f"host {host!r} is no address of this machine; give 127.0.0.1, or 0.0.0.0 for a network"
        ) from None
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found)


def check_port(port: int) -> None:
    """Raise `BadValue` on a number that is no port; the system would take it modulo 65536."""
    if not 0 <= port <= MOST_PORT:
        raise BadValue(f"port {port} is none; give --port 1 … {MOST_PORT}, or 0 for any that is free")


def kept_token(file: Path) -> str:
    """The token that a file keeps, so that a link lasts; made where there is none, for its owner alone to read."""
    if not file.is_file():
        with whole(file) as part:
            part.touch(mode=0o600)
            part.write_text(secrets.token_urlsafe(24) + "\n", encoding="ascii")
    token = file.read_text(encoding="ascii", errors="replace").strip()
    if len(token) < 20:
        raise BadValue(f"{str(file)!r} holds no token; remove it, and a new link is made")
    return token


def is_token(given: str, token: str | None) -> bool:
    """Whether a token is the one that is wanted, if any is; how long it takes to tell says nothing."""
    return token is None or secrets.compare_digest(given.encode(), token.encode())


def is_here(host: str) -> bool:
    """Whether a Host header names this machine."""
    return re.sub(r":\d+$", "", host) in LOOPBACK


def is_foreign(host: str, origin: str | None, site: str) -> bool:
    """Whether another site sends a request with these headers Host, Origin and Sec-Fetch-Site ("none" without)."""
    elsewhere = origin is not None and urlsplit(origin).netloc != host
    return elsewhere or site not in ("same-origin", "none")

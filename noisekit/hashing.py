"""The hash of JSON values.

digest(values) = the first 32 digits of SHA-256 over canonical JSON: sorted keys, no spaces, UTF-8
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def digest(values: Mapping[str, Any]) -> str:
    """The hash of a mapping of JSON values."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]

"""JSON files that know whether they are whole: a dict with a checksum of everything else in it."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

_KEY = "checksum"


def dump_checked(content: Mapping[str, Any]) -> str:
    """A dict as JSON text with its checksum; NaN and infinity are to be None before, see `finite`."""
    plain = json.loads(json.dumps(content, allow_nan=False))  # keys that are numbers become texts
    return json.dumps(plain | {_KEY: checksum(plain)}, indent=2)


def load_checked(text: str) -> dict[str, Any]:
    """What `dump_checked` was given. Files of versions without a checksum are taken as they are.

    Raises:
        ValueError: it is no dict in JSON, or something in it has changed; the message says which.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError("it holds no dict")
    if _KEY in content and content.pop(_KEY) != checksum(content):
        raise ValueError("its checksum differs")
    return content


def checksum(content: Mapping[str, Any]) -> str:
    """SHA-256, hexadecimal, of the dict as JSON with sorted keys and no blanks."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: None stands for both."""
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Content hashes of settings, tensors and files: protocol ids, cache keys, identity of weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from torch import Tensor


def canonical(value: Any) -> str:
    """The JSON of `value`, equal for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def short_hash(value: Any, digits: int) -> str:
    """The first hex digits of the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:digits]


def tensor_hash(tensor: Tensor | None) -> str:
    """16 hex digits of the SHA-256 of a tensor's type, shape and content."""
    digest = hashlib.sha256()
    if tensor is not None:
        content = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{content.dtype}{content.shape}".encode())
        digest.update(content.data)
    return digest.hexdigest()[:16]


def file_hash(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

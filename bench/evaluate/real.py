"""The real images' features and statistics, computed once and kept on disk for all runs.

A file is found by its content key: a hash of the pixels, the extractor's weights, the settings and
the library versions. Many processes may want it at once: each that finds none computes it and
renames its own file into place, and all files of one key are equal. What is read is checked first;
a torn or foreign file is computed anew. A cache that cannot be written costs time and never a run.
One of those who want it computes, and the others wait (see `turns`), which saves time and no more:
what keeps a file whole is the rename.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch
from torch import Tensor

from bench.evaluate.extractors import Extractor
from bench.evaluate.fidelity import (
    RNG_SEED,
    TORCH_FIDELITY_VERSION,
    Arrays,
    Derive,
    Real,
    statistics,
)
from bench.evaluate.keys import canonical, short_hash, tensor_hash
from bench.evaluate.turns import turn

__all__ = ["Arrays", "cached_arrays", "fixed_part", "numerics", "real_reference"]

# For KID, precision and recall: the distances between 50,000 and 50,000 features fill 10 GB.
MOST_REAL_FEATURES = 10_000
_DERIVED = {"spectral root": ("factor",), "neighbour radii": ("radii",)}
_DIGEST = hashlib.sha256().digest_size


def numerics(extractor: Extractor) -> dict[str, str]:
    """What changes the last bits of features: no part of a protocol, but of every cache key."""
    return {
        "device": torch.device(extractor.device).type,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "torch_fidelity": TORCH_FIDELITY_VERSION,
        **({"arithmetic": extractor.arithmetic} if extractor.arithmetic else {}),
    }


def real_reference(cache: Path, pixels: Tensor, extractor: Extractor) -> Real:
    """The reference for uint8 images, shape (N, C, H, W); from the cache where it is there.

    FID's mean and covariance are those of all images; KID, precision and recall get all too, or
    10,000 of them chosen by a fixed seed.
    """

    def compute() -> Arrays:
        features = extractor(pixels).features
        mean, covariance = statistics(features)
        return {
            "mean": mean,
            "covariance": covariance,
            "features": fixed_part(features, MOST_REAL_FEATURES).numpy(),
        }

    key = {
        "what": "real reference",
        "pixels": tensor_hash(pixels),
        "extractor": [extractor.name, extractor.weights_hash, extractor.resizing],
        "most_features": MOST_REAL_FEATURES,
        **numerics(extractor),
    }
    found = cached_arrays(cache, key, ("mean", "covariance", "features"), compute)
    return Real(
        found["mean"],
        found["covariance"],
        torch.from_numpy(found["features"]),
        derive=_deriving(cache, extractor),
    )


def _deriving(cache: Path, extractor: Extractor) -> Derive:
    """Keeps what follows from the reference under the content of what it follows from.

    That content and not the reference's key: what was made from other bits is never met.
    """

    def derive(what: str, of: Mapping[str, Any], compute: Callable[[], Arrays]) -> Arrays:
        content = {name: _hashed(value) for name, value in of.items()}
        key = {"what": what, **content, "scipy": scipy.__version__, **numerics(extractor)}
        (name,) = _DERIVED[what]
        return cached_arrays(cache, key, (name,), compute)

    return derive


def _hashed(value: Any) -> Any:
    """Of arrays, the hash of their content; in C's order, whatever order they are kept in."""
    if isinstance(value, np.ndarray):
        return tensor_hash(torch.from_numpy(np.ascontiguousarray(value)))
    return tensor_hash(value) if isinstance(value, Tensor) else value


def fixed_part(rows: Tensor, most: int) -> Tensor:
    """All rows, or `most` of them, always the same, where there are more."""
    if len(rows) <= most:
        return rows
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(RNG_SEED))
    return rows[order[:most].to(rows.device)]


def cached_arrays(
    folder: Path, key: Mapping[str, Any], names: tuple[str, ...], compute: Callable[[], Arrays]
) -> Arrays:
    """The arrays `names` under `key`: read from `folder` if whole there, else computed and written.

    The file is an .npz with its own SHA-256 behind it (which readers of zip files skip) and the key
    inside.
    """
    stated, path = canonical(key), folder / f"{short_hash(key, 24)}.npz"
    found = _read(path, stated, names)
    if found is not None:
        return found
    with turn(path.with_suffix(".turn"), lambda: _read(path, stated, names)) as waited:
        if waited is not None:
            return waited
        found = compute()
        with contextlib.suppress(OSError):
            _write(path, stated, found)
    return found


def _read(path: Path, stated: str, names: tuple[str, ...]) -> Arrays | None:
    """The arrays, or None for a file that is not there, not whole or not ours."""
    try:
        content = path.read_bytes()
        payload = content[:-_DIGEST]
        if hashlib.sha256(payload).digest() != content[-_DIGEST:]:
            return None
        with np.load(io.BytesIO(payload), allow_pickle=False) as file:
            if str(file["key"]) != stated:
                return None
            return {name: file[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, zipfile.BadZipFile):
        return None


def _write(path: Path, stated: str, arrays: Arrays) -> None:
    """Write under another name, then rename, so that a reader meets a whole file or none."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, key=np.array(stated), **arrays)
    payload = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        draft.write_bytes(payload + hashlib.sha256(payload).digest())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)

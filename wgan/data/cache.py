"""Decoded image sets, kept as .npy files that every process maps into its memory.

A set is found by its key: all that its pixels depend on, the names, sizes and times of the source
files among them. Each array is a file of its own; a manifest beside them, written last, holds their
checksums. What is read is checked first: a torn or foreign file is made anew. Any number of
processes may come at once: each that finds nothing decodes, and renames its own files into place,
where all files of one key are equal. A cache that cannot be written costs time and never a run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wgan.data.base import Images
from wgan.data.places import cache_folder

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]
PIXELS = ("train", "held_out")
LABELS = ("train_labels", "held_out_labels")
_FORMAT = 1  # raised when files of the same key would hold something else


def cached_images(name: str, key: Mapping[str, Any], decode: Callable[[], Arrays]) -> Images:
    """The image set under `key`: mapped from the cache, or decoded and put there.

    Args:
        name: what the set is called.
        key: JSON-able; all that the pixels depend on.
        decode: makes the arrays `train` and `held_out`, uint8 (N, C, H, W), and where there are
            labels `train_labels` and `held_out_labels`, int64 (N,).
    """
    stated = json.dumps({"format": _FORMAT, **key}, sort_keys=True)
    stem = hashlib.sha256(stated.encode()).hexdigest()[:24]
    folder = cache_folder()
    found = _read(folder, stem)
    if found is None:
        arrays = decode()
        found = _write_and_map(folder, stem, name, arrays)
    return Images(name, **found)


def fingerprint(files: Iterable[tuple[str, Path]]) -> str:
    """A hash of the names, sizes and times of change of files, given as (name, path)."""
    digest = hashlib.sha256()
    for name, path in files:
        status = path.stat()
        line = f"{status.st_size}\0{status.st_mtime_ns}\n".encode()
        digest.update(os.fsencode(name) + b"\0" + line)
    return digest.hexdigest()


def _read(folder: Path, stem: str) -> dict[str, Any] | None:
    """The tensors, or None where a file is not there, not whole or not ours."""
    try:
        manifest = json.loads((folder / f"{stem}.json").read_bytes())
        checksums = manifest["checksums"]
        if not set(PIXELS) <= set(checksums) <= {*PIXELS, *LABELS}:
            return None
        found = {}
        for name, checksum in checksums.items():
            # Copy on write: torch warns of arrays that cannot be written.
            array = np.load(folder / f"{stem}-{name}.npy", mmap_mode="c", allow_pickle=False)
            if not _is_one(name, array) or _checksum(array) != checksum:
                return None
            found[name] = torch.from_numpy(array)
        return found
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError):
        return None


def _write_and_map(folder: Path, stem: str, name: str, arrays: Arrays) -> dict[str, Any]:
    """The arrays from the cache they were written to, or themselves where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part, array in arrays.items():
            _write(folder / f"{stem}-{part}.npy", _saver(array))
        checksums = {part: _checksum(array) for part, array in arrays.items()}
        manifest = json.dumps({"name": name, "checksums": checksums}).encode()
        _write(folder / f"{stem}.json", lambda path: _write_bytes(path, manifest))
        mapped = _read(folder, stem)
    except OSError as error:
        log.warning(
            "%s: %s cannot be written (%s); the images stay in this process's memory and are "
            "decoded anew by the next",
            name,
            folder,
            error.strerror or error,
        )
        mapped = None
    if mapped is None:
        return {part: torch.from_numpy(array) for part, array in arrays.items()}
    return mapped


def _is_one(name: str, array: NDArray[Any]) -> bool:
    if name in PIXELS:
        return array.dtype == np.uint8 and array.ndim == 4
    return array.dtype == np.int64 and array.ndim == 1


def _checksum(array: NDArray[Any]) -> str:
    """CRC-32 of an array's shape and content; 1.7 GB/s."""
    beginning = zlib.crc32(repr(array.shape).encode())
    return f"{zlib.crc32(np.ascontiguousarray(array).data, beginning):08x}"


def _saver(array: NDArray[Any]) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())

    return save


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _write(path: Path, save: Callable[[Path], None]) -> None:
    """Write under another name, then rename, so that a reader meets a whole file or none."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        save(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)

"""Writing a report into its folder, where an earlier one of the same sweep may lie.

A file of the earlier report that the new one lacks would be taken for part of it, so it goes; but
only if we wrote it and nobody has changed it since, which the list `files.json` tells.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from bench.files import write_bytes

LIST = "files.json"
_NAME = re.compile(r"(?:(?:figures|tables)/)?[A-Za-z0-9][A-Za-z0-9.-]*")


def write_files(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write a report's files, by their paths in the folder, and remove what an earlier one left.

    Returns:
        Files that an earlier report had and that were changed since: they are left as they are.

    Raises:
        OSError: the folder cannot be written.
    """
    earlier = _read_list(folder)
    ours = {name: _digest(content) for name, content in contents.items()}
    folder.mkdir(parents=True, exist_ok=True)
    # Until all is written the list names what may lie there from either report.
    _write_list(folder, earlier | ours)
    for name, content in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_bytes(folder / name, content)
    changed = []
    for name in sorted(earlier.keys() - ours.keys()):
        path = folder / name
        if not path.is_file() or path.is_symlink():
            continue
        if _digest(path.read_bytes()) == earlier[name]:
            path.unlink()
        else:
            changed.append(path)
    _write_list(folder, ours)
    return changed


def _read_list(folder: Path) -> dict[str, str]:
    """Digests by name of what the earlier report wrote; nothing where that cannot be told."""
    try:
        found = json.loads((folder / LIST).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    # Names that we would not give lead nowhere: the list might be anybody's.
    return {name: str(digest) for name, digest in found.items() if _NAME.fullmatch(name)}


def _write_list(folder: Path, digests: Mapping[str, str]) -> None:
    text = json.dumps(dict(sorted(digests.items())), indent=0)
    write_bytes(folder / LIST, (text + "\n").encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

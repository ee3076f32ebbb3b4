"""What was measured, kept for the estimate that `plan` shows.

It says something of a machine, not of results: so it lies in the user's cache, a file for each kind
of machine (processor, cores, versions), with a part for each way to train on it (device, threads).
A file that is damaged is as if it were not there, and one that cannot be written is done without.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.environment import machine
from bench.files import FileError, read_json, write_json
from bench.speed.figures import CellFigures, SideBySide, number
from wgan.data.places import cache_folder

_FORMAT = 1


@dataclass(frozen=True)
class Kept:
    """What is known of one way to train on this machine.

    Attributes:
        options: those of `run` that ask for it, e.g. "--backend local --threads 2".
        slots: runs at once.
        server: seconds before the first run begins.
        cells: by key.
        measured: when, last, in seconds since 1970.
    """

    options: str
    slots: int
    server: float = 0.0
    beside: SideBySide = field(default_factory=lambda: SideBySide(1))
    cells: Mapping[str, CellFigures] = field(default_factory=dict)
    measured: float = 0.0


def path_of(folder: Path | None = None) -> Path:
    """Where the figures of machines like this one lie; `folder` None: in the user's cache."""
    text = json.dumps(machine(), sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:12]
    return (folder or cache_folder().parent / "speed") / f"{name}.json"


def read_kept(folder: Path | None = None) -> list[Kept]:
    """Every way to train here of which something is known, the last measured first."""
    with contextlib.suppress(FileNotFoundError, FileError, ValueError, OSError):
        content = read_json(path_of(folder))
        if content.get("format") == _FORMAT and content.get("machine") == machine():
            found = [_from_plain(str(options), plain) for options, plain in _parts(content).items()]
            return sorted(found, key=lambda kept: -kept.measured)
    return []


def keep(found: Kept, folder: Path | None = None) -> bool:
    """Add what was found to what is known; says whether it could be written."""
    path = path_of(folder)
    parts = {kept.options: kept for kept in read_kept(folder)}
    before = parts.get(found.options)
    cells = {**(before.cells if before is not None else {}), **found.cells}
    parts[found.options] = Kept(
        found.options, found.slots, found.server, found.beside, cells, time.time()
    )
    content = {
        "format": _FORMAT,
        "machine": machine(),
        "arrangements": {options: _to_plain(kept) for options, kept in parts.items()},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, content, sync=False)
    except OSError:
        return False
    return True


def _to_plain(kept: Kept) -> dict[str, Any]:
    return {
        "slots": kept.slots,
        "server": kept.server,
        "measured": kept.measured,
        "beside": asdict(kept.beside),
        "cells": {key: figures.to_plain() for key, figures in kept.cells.items()},
    }


def _parts(content: Mapping[str, Any]) -> dict[str, Any]:
    parts = content.get("arrangements")
    if not isinstance(parts, dict):
        raise ValueError("no arrangements")
    return parts


def _from_plain(options: str, plain: Any) -> Kept:
    """One part of the file.

    Raises:
        ValueError: it holds something else.
    """
    if not isinstance(plain, dict) or not isinstance(plain.get("cells"), dict):
        raise ValueError(f"{options} has no cells")
    slots = plain.get("slots")
    if type(slots) is not int or slots < 1:
        raise ValueError(f"{slots!r} is no number of slots")
    return Kept(
        options,
        slots,
        number(plain.get("server")),
        SideBySide.from_plain(plain.get("beside")),
        {key: CellFigures.from_plain(figures) for key, figures in plain["cells"].items()},
        number(plain.get("measured")),
    )

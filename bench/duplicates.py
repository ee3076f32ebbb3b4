"""Whether two folders hold one and the same training: all but the times must be equal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from bench.environment import whole
from bench.files import FileError, read_json
from bench.run_folder import PROFILE_ROWS, TRAIN_ROWS, RunFolder

_TIMES = ("training_seconds", "evaluation_seconds")
_ENDINGS = ("state", "step", "reason", "dead_critic", "dead_critic_since", "protocol")


def first_difference(
    ours: Path, theirs: Path, our_final: Mapping[str, Any], their_final: Mapping[str, Any]
) -> str | None:
    """What differs first between two finished runs, as a clause; None where nothing does.

    Args:
        ours, theirs: their folders.
        our_final, their_final: what their state.json hold.

    Raises:
        OSError: a file of rows cannot be read.
    """
    for name in _ENDINGS:
        if our_final.get(name) != their_final.get(name):
            return _clause("state.json", name, our_final.get(name), their_final.get(name))
    for file in row_files(ours) | row_files(theirs):
        if (found := _rows_differ(file, ours / file, theirs / file)) is not None:
            return found
    return None


def row_files(folder: Path) -> dict[str, None]:
    """The names of the files of rows of a run, the training rows first."""
    scores = sorted(path.name for path in folder.glob("eval-*.jsonl"))
    return dict.fromkeys((TRAIN_ROWS, *scores, PROFILE_ROWS))


def numerics_differ(ours: Path, theirs: Path) -> str:
    """The numerics that differ, which may be why rows do; empty where none do or none are known."""
    here, there = _numerics(ours), _numerics(theirs)
    if here and there:
        here, there = whole(here), whole(there)
    return "; ".join(
        f"{name} is {_short(here.get(name))} here, {_short(there.get(name))} there"
        for name in here | there
        if here.get(name) != there.get(name)
    )


def _numerics(folder: Path) -> dict[str, Any]:
    try:
        found = read_json(RunFolder(folder).environment).get("numerics")
    except (FileNotFoundError, FileError):
        found = None
    return found if isinstance(found, dict) else {}


def _rows_differ(name: str, ours: Path, theirs: Path) -> str | None:
    """The first figure in which two files of rows differ; no file holds what an empty one does."""
    texts = [path.read_bytes() if path.exists() else b"" for path in (ours, theirs)]
    if texts[0] == texts[1]:
        return None
    lines = [text.splitlines() for text in texts]
    for number, (our_line, their_line) in enumerate(zip_longest(*lines), start=1):
        if our_line == their_line:
            continue
        if our_line is None or their_line is None:
            return f"{name} has {len(lines[0])} rows here, {len(lines[1])} there"
        us, them = _row(our_line), _row(their_line)
        if us is None or them is None:
            return f"{name}, line {number}: not the same, and no row"
        for key in us | them:
            if us.get(key) != them.get(key):
                place = f"{name}, step {us.get('step', '?')}"
                return _clause(place, key, us.get(key), them.get(key))
    return None


def _row(line: bytes) -> dict[str, Any] | None:
    """A row without its times."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    if not isinstance(row, dict):
        return None
    return {name: value for name, value in row.items() if name not in _TIMES}


def _clause(place: str, name: str, ours: object, theirs: object) -> str:
    here, there = (_short(value) for value in (ours, theirs))
    return f"{place}: {name} is {here} here, {there} there"


def _short(value: object) -> str:
    text = "not given" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

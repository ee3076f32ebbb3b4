"""`logs`: what one run said, found by the first characters of its id."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.files import read_rows
from bench.lease import Observer
from bench.run_folder import RunFolder
from bench.store import StoreError
from bench.verbs.show import say, show_json

_SHOWN = 8  # candidates in a message


def logs(wanted: str, results: Path, lines: int, *, as_json: bool) -> int:
    """Print the end of a run's log, and its last training and evaluation rows."""
    folder = RunFolder(find_run(wanted, results))
    standing = folder.standing(_run_id(folder.path), Observer())
    log = _lines(folder.log)[-lines:] if lines else []
    training = read_rows(folder.train_rows)[0][-1:]
    evaluations = [
        row for path in sorted(folder.path.glob("eval-*.jsonl")) for row in read_rows(path)[0][-1:]
    ]
    if as_json:
        show_json(
            {
                "folder": str(folder.path),
                "state": standing.state,
                "reason": standing.reason,
                "log": log,
                "training": training,
                "evaluations": evaluations,
            }
        )
        return 0
    say(f"{folder.path}: {standing.state}{': ' if standing.reason else ''}{standing.reason}")
    for line in log or ["(its log is empty)"]:
        say(line)
    for name, rows in (("last training row", training), ("last evaluation", evaluations)):
        for row in rows:
            say(f"{name}: {_spell(row)}")
    return 0


def find_run(wanted: str, results: Path) -> Path:
    """The run folder whose id or name begins with `wanted`, or at that path.

    Raises:
        StoreError: there is none, or more than one.
    """
    given = Path(wanted)
    if wanted and (given / "spec.json").is_file():
        return given
    if not results.is_dir():
        raise StoreError(f"no run {wanted!r}: there is no results folder {str(results)!r}")
    try:
        standing = sorted(path for path in results.glob("*/*--*") if (path / "spec.json").is_file())
    except OSError as error:
        raise StoreError(f"{results} cannot be read: {error.strerror}") from None
    found = [path for path in standing if wanted and _begins(wanted.rstrip("/"), path)]
    if not found:
        raise StoreError(_none_found(wanted, results, standing))
    if len(found) > 1:
        raise StoreError(f"{wanted!r} means {len(found)} runs: give more of the id\n{_list(found)}")
    return found[0]


def _begins(wanted: str, path: Path) -> bool:
    return _run_id(path).startswith(wanted) or path.name.startswith(wanted)


def _run_id(path: Path) -> str:
    return path.name.rpartition("--")[2]


def _none_found(wanted: str, results: Path, standing: Sequence[Path]) -> str:
    if not standing:
        return f"no run {wanted!r}: {results} holds no runs"
    return (
        f"no run in {results} has an id or a folder that begins with {wanted!r}; "
        f"there are {len(standing)}:\n{_list(standing)}"
    )


def _list(paths: Sequence[Path]) -> str:
    more = [f"  and {len(paths) - _SHOWN} more"] if len(paths) > _SHOWN else []
    return "\n".join([*(f"  {_run_id(path)}  {path}" for path in paths[:_SHOWN]), *more])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None


def _spell(row: dict[str, Any]) -> str:
    return " ".join(
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in row.items()
    )

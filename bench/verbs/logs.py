"""`logs`: what one run said, found by the first characters of its id, and goes on to say."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.files import last_row
from bench.lease import Observer
from bench.queues import outputs_of
from bench.run_folder import FINAL_STATES, RunFolder, Standing
from bench.store import StoreError
from bench.tail import Tail
from bench.verbs.show import note, say, show_json

_SHOWN = 8  # candidates in a message
_LOOK_SECONDS = 0.5
_GONE_SECONDS = 2.0  # without the folder, after which it is not waited for any more


def logs(
    wanted: str, results: Path, lines: int, *, follow: bool = False, rows: bool, as_json: bool
) -> int:
    """Print the end of a run's log, and its last rows; or go on until the run has ended.

    Args:
        rows: the rows are shown as the log is, its last lines and what is added.

    Raises:
        StoreError: there is no such run, or its folder was removed while it was followed.
    """
    folder = RunFolder(find_run(wanted, results))
    if follow:
        return _follow(folder, lines, rows=rows, as_json=as_json)
    standing = folder.standing(_run_id(folder.path), Observer())
    log = _last(folder.log, lines)
    kept = lines if rows else 1
    training = _rows(folder.train_rows, kept)
    evaluations = [row for path in _scores(folder) for row in _rows(path, kept)]
    outputs = outputs_of(folder.path.parent, _run_id(folder.path))
    if as_json:
        show_json(
            {
                "folder": str(folder.path),
                "state": standing.state,
                "reason": standing.reason,
                "outputs": [str(path) for path in outputs],
                "log": log,
                "training": training,
                "evaluations": evaluations,
            }
        )
        return 0
    for text in standing.notes:
        note(f"note: {text}")
    say(f"{folder.path}: {_spell_state(standing)}")
    for line in log or ["(its log is empty)"]:
        say(line)
    last = "" if rows else "last "
    for name, found in ((f"{last}training row", training), (f"{last}evaluation", evaluations)):
        for row in found:
            say(f"{name}: {_spell(row)}")
    for path in outputs:
        say(f"its job's own output: {path}")
    return 0


def _follow(folder: RunFolder, lines: int, *, rows: bool, as_json: bool) -> int:
    """Until the run has ended, or Ctrl-C; what is not of the log goes to standard error."""
    follower = _Follower(folder, lines, rows=rows, as_json=as_json)
    try:
        while not follower.look():
            time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        return 0
    finally:
        follower.close()
    return 0


class _Follower:
    """What is remembered of a run between two looks at it."""

    def __init__(self, folder: RunFolder, lines: int, *, rows: bool, as_json: bool) -> None:
        self._folder, self._lines, self._rows, self._as_json = folder, lines, rows, as_json
        self._run_id = _run_id(folder.path)
        self._observer = Observer()
        self._state = ""
        self._seen = time.monotonic()
        self._tails: dict[Path, Tail] = {}
        self._open(lines)

    def look(self) -> bool:
        """Print what is new; returns whether the run has ended.

        Raises:
            StoreError: its folder is gone, or its log cannot be read.
        """
        self._check_there()
        # Looked at first: whatever a run writes, it writes before its final state.
        standing = self._folder.standing(self._run_id, self._observer)
        self._open(sys.maxsize)
        over = standing.state in FINAL_STATES
        if standing.state != self._state and not over:
            self._tell(standing)
        for tail in self._tails.values():
            self._print(tail, over)
        if over:
            self._tell(standing)
        self._state = standing.state
        sys.stdout.flush()
        return over

    def close(self) -> None:
        """Close the files."""
        for tail in self._tails.values():
            tail.close()

    def _open(self, lines: int) -> None:
        """Follow the files that are there now; of one that has come since, all lines are new."""
        wanted = [self._folder.log]
        wanted += [self._folder.train_rows, *_scores(self._folder)] if self._rows else []
        for path in wanted:
            if path not in self._tails:
                self._tails[path] = Tail(path, lines)

    def _check_there(self) -> None:
        if self._folder.path.is_dir():
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > _GONE_SECONDS:
            raise StoreError(f"{self._folder.path} was removed while its log was followed")

    def _print(self, tail: Tail, over: bool) -> None:
        try:
            lines = [*tail.read(), *(tail.rest() if over else ())]
        except OSError as error:
            raise StoreError(f"{tail.path} cannot be read: {error.strerror}") from None
        if tail.restarted and not self._as_json:
            note(f"-- {tail.path.name} was cut or replaced; from its beginning:")
        for line in lines:
            if self._as_json:
                self._object(file=tail.path.name, line=line)
            elif tail.path == self._folder.log:
                say(line)
            else:
                for row in _parsed([line]):
                    say(f"{tail.path.stem}: {_spell(row)}")

    def _tell(self, standing: Standing) -> None:
        if self._as_json:
            self._object(state=standing.state, reason=standing.reason)
            return
        waits = {
            "pending": "; waiting for it to begin (Ctrl-C ends this)",
            "interrupted": f" at step {standing.step}; waiting for it to go on (Ctrl-C ends this)",
        }
        note(f"-- {self._folder.path}: {_spell_state(standing)}{waits.get(standing.state, '')}")

    def _object(self, **content: Any) -> None:
        say(json.dumps({"run_id": self._run_id, **content}, ensure_ascii=False))


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


def _last(path: Path, lines: int) -> list[str]:
    """The last lines of a file; none of one that is not there."""
    try:
        with Tail(path, lines) as tail:
            return [*tail.read(), *tail.rest()]
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None


def _rows(path: Path, count: int) -> list[dict[str, Any]]:
    """The last whole rows of a file of JSON lines."""
    if count == 1:
        row = last_row(path)
        return [] if row is None else [row]
    return list(_parsed(_last(path, count)))


def _parsed(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the torn last line of a writer that was killed
        if isinstance(row, dict):
            yield row


def _scores(folder: RunFolder) -> list[Path]:
    return sorted(folder.path.glob("eval-*.jsonl"))


def _spell_state(standing: Standing) -> str:
    return f"{standing.state}: {standing.reason}" if standing.reason else standing.state


def _spell(row: dict[str, Any]) -> str:
    return " ".join(
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in row.items()
    )
